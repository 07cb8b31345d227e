"""An Inspect task: a file with one ``@task`` function. Its solver may change; its dataset and its scorer may not.

A task's solver and scorer mostly stand in one file, and whoever may edit the one could edit the other. So the file is
copied: proposals change the copy (``festina_solver.py``), of which nothing but the solver is used; dataset and scorer
come from the original, which is out of scope. All three still share one process, so the score is self-reported.

Inspect (UKGovernmentBEIS/inspect_ai): ``eval(task, model=...)``; a log's ``results.scores[].metrics`` hold the numbers.
"""

from __future__ import annotations

import re
from importlib import resources
from pathlib import Path

from festina.propose.foreign.types import Task, no_task, plain_name, text_of

__all__ = ["read_inspect"]

RUNNER, SOLVER = "festina_inspect.py", "festina_solver.py"
_TASK = re.compile(r"^@task\b[^\n]*\n(?:@[^\n]*\n)*(?:async )?def (\w+)\(", re.MULTILINE)


def read_inspect(folder: Path, metric: str | None = None, allow: tuple[str, ...] = ()) -> Task:
    """Raises ``UsageError`` unless the folder holds exactly one task."""
    found = [(path.name, name) for path in sorted(folder.glob("*.py")) for name in _TASK.findall(text_of(path))]
    if len(found) != 1:
        told = ", ".join(f"{file}@{name}" for file, name in found)[:200]
        raise no_task(
            "inspect", folder,
            f"there are {len(found)} tasks: {told}" if found else "no file here has an @task function",
            "a folder with one task: copy the one that you mean, with what it needs",
        )  # fmt: skip
    ((file, name),) = found
    plain_name("inspect", folder, file)
    template = resources.files("festina.propose.foreign").joinpath("inspect_runner.py.txt").read_text("utf-8")
    runner = template.replace("{FILE}", file).replace("{NAME}", name).replace("{SOLVER}", SOLVER)
    return Task(
        run=("python3", RUNNER),
        allow=allow or (SOLVER,),
        metric=metric or "score:higher",
        assurance=(
            "self-reported: solver, dataset and scorer run in one process, and the solver could read the targets,",
            "so nothing here is proven. Items in the vault and the task's scorer outside, docs/manifest.md, give",
            f'more: scorer = "inspect:{file}@{name}". What it could get away with:',
            f"festina drill inspect:{file}@{name} --honest ANSWERS.py",
        ),
        lost=(
            f"{file} stays as it is: a proposal changes {SOLVER}, a copy of which only the solver is used",
            "no model is set: Inspect's mockllm answers until festina.toml has [model] and experiment.model = true",
            "the task's approval, sandbox and epochs are Inspect's own, and a box has no docker",
        ),
        files={RUNNER: runner.encode(), SOLVER: (folder / file).read_bytes()},
    )
