"""An autoresearch folder: ``train.py`` is edited, ``prepare.py`` judges, ``program.md`` tells an agent what to do.

karpathy/autoresearch (``program.md``): ``train.py`` runs for a fixed time on the clock and prints ``val_bpb: NUMBER``
with other numbers after a line of dashes; ``prepare.py`` holds data and metric and is not to be edited. Variants
measure other things; the metric is the one that ``program.md`` has the agent ``grep`` for.
"""

from __future__ import annotations

import re
from pathlib import Path

from festina.propose.foreign.types import Task, no_task, text_of
from festina.propose.guess import direction_of

__all__ = ["read_autoresearch"]

SLACK_S = 300  # start, compilation and evaluation, beside the budget for training


def read_autoresearch(folder: Path, metric: str | None = None, allow: tuple[str, ...] = ()) -> Task:
    """Raises ``UsageError`` where there is no train.py, or no metric can be told."""
    train, prepare, program = (text_of(folder / name) for name in ("train.py", "prepare.py", "program.md"))
    if not train:
        raise no_task("autoresearch", folder, "there is no train.py", "name the folder that holds it")
    gpu = "cuda" in train and "cuda.is_available" not in train
    budget = re.search(r"^TIME_BUDGET\s*=\s*(\d+)", prepare + "\n" + train, re.MULTILINE)
    lost = []
    if program:
        lost.append("program.md is not read: who proposes stands in [improver], docs/manifest.md")
    if budget:
        lost.append(f"{budget[1]} s on the clock are no budget that replays: count steps or FLOPs where you can")
    if ".cache" in prepare + train or "expanduser" in prepare + train:
        lost.append("data below a home directory: a box shows none; put it into the repository, or make it there")
    if (folder / "pyproject.toml").exists():
        lost.append("`uv run` is not used, since a box has no network: the packages must be there in this Python")
    settings = []
    if gpu:
        wall = 2 * int(budget[1]) + SLACK_S if budget else 3600
        settings = ["experiment.gpu = true", f'experiment.limits = {{ wall = "{wall}s", memory = "32GiB" }}']
    judge = "prepare.py" if prepare else "train.py itself"
    return Task(
        run=("python3", "train.py"),
        allow=allow or ("train.py",),
        metric=metric or _metric(folder, program, train),
        assurance=(
            f"self-reported: the metric is computed ({judge}) in train.py's own process, and train.py",
            "prints it, so nothing here is proven. What it could get away with:",
            "festina drill 'python3 train.py' --candidate-path train.py --honest train.py",
        ),
        lost=tuple(lost),
        settings=tuple(settings),
        try_it=not gpu,
    )


def _metric(folder: Path, program: str, train: str) -> str:
    asked = re.search(r"""grep\s+["']?\^([A-Za-z]\w*):""", program)
    printed = re.search(r"""print\(f?["'](val_\w+|score)\s*:""", train)
    name = asked[1] if asked else printed[1] if printed else None
    direction = direction_of(name) if name else None
    if name is None or direction is None:
        raise no_task(
            "autoresearch", folder, f"cannot tell which way {name} is better" if name else "cannot tell the metric",
            f"--metric {name or 'val_bpb'}:lower (or :higher)",
        )  # fmt: skip
    return f"{name}:{direction}"
