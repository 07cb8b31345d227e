"""Run one candidate through an Inspect task in a process of its own, without a model.

A program of its own: ``python inspectharness.py JOB``, JOB a JSON object. The candidate's file defines
``answer(input) -> str`` or a ``@solver``; it takes the place of the task's solver, everything else of the task stays.
The answer file holds the metrics of the log's results, as a loop would read them. Imports nothing of ours.
"""

from __future__ import annotations

import importlib.util
import json
import os
import sys
from typing import Any


def main() -> None:
    job = json.loads(sys.argv.pop())
    answer = os.open(job["answer"], os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    try:
        import inspect_ai  # noqa: F401
    except ImportError:
        sys.exit("inspect_ai is not installed for this interpreter: pip install 'festina[inspect]'")
    write, dump = os.write, json.dumps
    task = _task(job["file"], job["task"])
    log = run(task, _solver(job["candidate"]), job["logs"])
    write(answer, dump(_numbers(log)).encode())


def _load(path: str, name: str) -> Any:  # noqa: ANN401 - somebody's module
    folder = os.path.dirname(os.path.abspath(path))
    if folder not in sys.path and name == "evaluation_task":
        sys.path.insert(0, folder)
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None:
        raise SystemExit(f"cannot load {path}")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module


def _task(file: str, name: str) -> Any:  # noqa: ANN401 - an Inspect task
    from inspect_ai import Task

    module = _load(file, "evaluation_task")
    names = [name] if name else [n for n, v in vars(module).items() if callable(v) and hasattr(v, "__registry_info__")]
    tasks = [getattr(module, each) for each in names if hasattr(module, each)]
    if not tasks:
        raise SystemExit(f"{file} has no task {name or 'at all'}")
    made = tasks[0] if isinstance(tasks[0], Task) else tasks[0]()
    if not isinstance(made, Task):
        raise SystemExit(f"{name} is not an Inspect task")
    return made


def _solver(path: str) -> Any:  # noqa: ANN401 - an Inspect solver
    from inspect_ai.solver import solver

    module = _load(path, "candidate")
    if not callable(getattr(module, "answer", None)) and not hasattr(module, "on_state"):
        made = [v for v in vars(module).values() if callable(v) and hasattr(v, "__registry_info__")]
        if not made:
            raise SystemExit("the candidate defines neither answer(input) nor a @solver")
        return made[-1]()

    @solver  # type: ignore[untyped-decorator,unused-ignore]  # an extra that may be absent
    def candidate() -> Any:  # noqa: ANN401 - Inspect's own type
        async def solve(state: Any, generate: Any) -> Any:  # noqa: ANN401
            hook = getattr(module, "on_state", None)
            if hook is not None:  # a drill's candidate that works on the state itself
                done = hook(state)
                if done is not None:
                    return done
            said = module.answer(state.input_text)
            state.output.completion = said if isinstance(said, str) else str(said)
            return state

        return solve

    return candidate()


def run(task: Any, candidate: Any, logs: str) -> Any:  # noqa: ANN401 - Inspect's own types
    from inspect_ai import eval as evaluate

    os.environ.setdefault("INSPECT_DISPLAY", "none")
    return evaluate(
        task, solver=candidate, model="none/none", display="none", log_dir=logs, log_realtime=True, score_display=False,
        log_level="warning",
    )[0]  # fmt: skip


def _numbers(log: Any) -> dict[str, float]:  # noqa: ANN401 - an EvalLog
    found: dict[str, float] = {}
    if log.status != "success" or log.results is None:
        return found
    for score in log.results.scores:
        for name, metric in score.metrics.items():
            if isinstance(metric.value, int | float) and name not in ("stderr", "std", "var"):
                found.setdefault(f"{score.name}/{name}", float(metric.value))
    return found


if __name__ == "__main__":
    main()
