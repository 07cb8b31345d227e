"""Call ``file.py:function`` on one candidate in a process of its own, as OpenEvolve calls its evaluators.

A program of its own: ``python harness.py JOB``, JOB a JSON object. The answer goes to a file that is opened before
any of the evaluator's code runs. Imports nothing of ours, so that the evaluator's own interpreter can run it.
Whatever the evaluator raises ends this process, which the caller reads as "no score".
"""

from __future__ import annotations

import importlib.util
import json
import os
import sys
from collections.abc import Awaitable, Callable, Mapping


def main() -> None:
    job = json.loads(sys.argv.pop())
    answer = os.open(job["answer"], os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    os.set_inheritable(answer, False)
    write, dump, isnumber = os.write, json.dumps, _number
    found = call(job["file"], job["function"], job["candidate"])
    write(answer, dump(numbers(found, isnumber)).encode())


def call(file: str, function: str, candidate: str) -> object:
    folder = os.path.dirname(os.path.abspath(file))
    if folder not in sys.path:
        sys.path.insert(0, folder)
    spec = importlib.util.spec_from_file_location("evaluation_module", file)
    if spec is None or spec.loader is None:
        raise SystemExit(f"cannot load {file}")
    module = importlib.util.module_from_spec(spec)
    sys.modules["evaluation_module"] = module
    spec.loader.exec_module(module)
    evaluate = getattr(module, function)
    found = evaluate(candidate)
    if isinstance(found, Awaitable):
        import asyncio  # only here: its import costs more than a small evaluator

        return asyncio.run(_awaited(found))
    return found


async def _awaited(found: Awaitable[object]) -> object:
    return await found


def numbers(found: object, number: Callable[[object], float | None]) -> dict[str, float]:
    """Every number in what the evaluator returned, by name."""
    metrics = getattr(found, "metrics", found)
    if isinstance(metrics, tuple | list) and metrics:
        metrics = metrics[0]
    if isinstance(metrics, Mapping):
        return {str(key): value for key in list(metrics) if (value := number(metrics[key])) is not None}
    value = number(metrics)
    return {} if value is None else {"score": value}


def _number(value: object) -> float | None:
    if isinstance(value, bool | int | float):
        return float(value)
    convert = getattr(value, "__float__", None)
    if convert is None or isinstance(value, str | bytes):
        return None
    try:
        return float(convert())
    except (TypeError, ValueError):
        return None


if __name__ == "__main__":
    main()
