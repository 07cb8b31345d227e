"""What a reader of another tool's task hands back, and the small things that readers share."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from festina.errors import UsageError

MAX_TEXT = 4 << 20  # bytes of a file that is looked into


@dataclass(frozen=True, slots=True)
class Task:
    """A task as a system: paths are relative to its folder."""

    run: tuple[str, ...]
    allow: tuple[str, ...]
    metric: str  # NAME:higher or NAME:lower
    assurance: tuple[str, ...]  # lines: whose word the score is, and what to do about it
    lost: tuple[str, ...] = ()  # what the tool's own files say and this system does not do
    files: Mapping[str, bytes] = field(default_factory=dict)  # to be added; none of them may exist
    settings: tuple[str, ...] = ()  # further lines of festina.toml
    try_it: bool = True  # whether one run here, without a GPU, says anything


def text_of(path: Path) -> str:
    """A file's text, or nothing where there is none; what is no UTF-8 in it is replaced."""
    if not path.is_file():
        return ""
    with path.open("rb") as file:
        return file.read(MAX_TEXT).decode("utf-8", "replace")


def plain_name(kind: str, folder: Path, name: str) -> str:
    """``name``, which is written into a program; only letters, digits, dot, dash and underscore."""
    if re.fullmatch(r"[A-Za-z0-9_][A-Za-z0-9_.-]*", name) is None:
        raise no_task(kind, folder, f"{name!a} is a name with odd characters", "rename it")
    return name


def no_task(kind: str, folder: Path, what: str, fix: str) -> UsageError:
    return UsageError(f"no-{kind}-task", what, fix=fix, where=str(folder))
