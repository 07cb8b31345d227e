"""How well a model keeps to the forms of answer, before a run is spent on finding out.

    python scripts/try_model.py --endpoint http://127.0.0.1:11434/v1 --name qwen2.5-coder:7b
    python scripts/try_model.py --endpoint URL-OF-LOCAL_MODEL.PY --name smollm2 --count 20 --max-output 160

Asks for ``--count`` proposals in each form, for the same small training script, and counts answers that can be read,
those of them that needed a mend, and why the others could not be read; and which way ``lr`` moved. The example in the
prompt for settings moves one by lot, so that a model without an idea comes out even. Nothing is recorded or kept.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

from festina.cli.estimates import answers
from festina.propose.answers import Change, Form, read_answer
from festina.propose.book import PaperBook
from festina.propose.chat import Completion, Endpoint, HttpModel, Request, key_from
from festina.propose.prompt import tell
from festina.propose.types import View

TRAIN = """\
lr = 0.01
width = 32
momentum = 0.9


def step(weight, gradient, velocity):
    velocity = momentum * velocity - lr * gradient
    return weight + velocity, velocity
"""
FORMS: tuple[Form, ...] = ("knobs", "edits", "files")


def tried(model: HttpModel, name: str, form: Form, count: int, max_output: int) -> tuple[Counter[str], int, float]:
    """What became of the answers, tokens used, seconds."""
    found: Counter[str] = Counter()
    tokens, began = 0, time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        Path(folder, "train.py").write_text(TRAIN)
        for seed in range(count):
            view = View(Path(folder), Path(folder), (), seed, ("train.py",), 50)
            told = tell(view, goal="make loss lower", task="train.py trains a small network", form=form, budget=8192)
            request = Request(
                name, (("system", told.system), ("user", told.user)), 0.9, seed, max_output, 600.0, None, told.schema
            )
            said = model.complete(request)
            if not isinstance(said, Completion):
                found[f"no answer: {said.what}"] += 1
                continue
            tokens += said.used.tokens
            change = read_answer(said.text, told.files, form, cut_short=said.cut_short)
            if not isinstance(change, Change):
                found[f"not readable: {change.why}"] += 1
                continue
            found["readable"] += 1
            found["mended"] += bool(change.repairs)
            line = change.files.get("train.py", "").partition("\n")[0]
            if line.startswith("lr = ") and line != "lr = 0.01":
                found["lr up" if float(line[5:]) > 0.01 else "lr down"] += 1
    return found, tokens, time.monotonic() - began


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--endpoint", required=True)
    parser.add_argument("--name", required=True)
    parser.add_argument("--key-env", help="the variable that holds the key")
    parser.add_argument("--count", type=int, default=10)
    parser.add_argument("--max-output", type=int, default=800)
    options = parser.parse_args()
    model = HttpModel(Endpoint(options.endpoint.rstrip("/"), key_from(options.key_env), 600.0), PaperBook())
    if not answers(options.endpoint):
        sys.exit(f"nothing answers at {options.endpoint}")
    for form in FORMS:
        found, tokens, seconds = tried(model, options.name, form, options.count, options.max_output)
        others = (f"{number} {what}" for what, number in sorted(found.items()) if what not in ("readable", "mended"))
        print(
            f"{form}: {found['readable']} of {options.count} readable, {found['mended']} of them after a mend; "
            f"{', '.join(others)}; "
            f"{tokens:,} tokens in {seconds:.0f} s",
            flush=True,
        )
    return 0


if __name__ == "__main__":
    sys.exit(main())
