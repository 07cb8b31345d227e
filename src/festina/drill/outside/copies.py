"""Copies of the evaluator's folder: one pristine, and a fresh one for each evaluation.

Nothing of the user's is ever opened for writing: links that leave the folder are copied as what they point to, so
that a write through them stays in the copy.  Not covered: absolute paths written into the evaluator's code.
"""

from __future__ import annotations

import hashlib
import os
import shutil
from dataclasses import dataclass
from pathlib import Path

from festina.drill.outside.target import SKIP
from festina.errors import UsageError

LIMIT = 2 << 30


@dataclass(frozen=True)
class Room:
    """The folders of one evaluation (or of two that share them)."""

    top: Path
    root: Path  # the copy of the evaluator's folder
    home: Path
    tmp: Path
    candidates: Path  # where candidates lie that are not part of the evaluator's folder


def pristine(source: Path, target: Path) -> None:
    """Copy ``source`` to ``target``. Raises ``UsageError`` when it is larger than ``LIMIT``."""
    _copy(source.resolve(), source.resolve(), target, [0], frozenset())


def _copy(top: Path, source: Path, target: Path, size: list[int], above: frozenset[Path]) -> None:
    target.mkdir(parents=True, exist_ok=True)
    for entry in sorted(os.scandir(source), key=lambda each: each.name):
        to = target / entry.name
        path = Path(entry.path)
        if entry.is_symlink():
            real = path.resolve()
            if real.is_relative_to(top) and not os.path.isabs(os.readlink(path)):
                to.symlink_to(os.readlink(path))
                continue
            if not real.exists() or real in above:
                continue
        if path.is_dir():
            if entry.name not in SKIP:
                _copy(top, path, to, size, above | {path.resolve()})
        elif path.is_file():
            size[0] += path.stat().st_size
            if size[0] > LIMIT:
                raise UsageError(
                    "drill-root", f"the evaluator's folder {top} holds more than {LIMIT >> 30} GiB",
                    fix="say which folder the evaluator needs: --root FOLDER",
                )  # fmt: skip
            shutil.copy2(path, to)


def room(top: Path, base: Path) -> Room:
    """A fresh copy of ``base`` with home, temp and candidate folders beside it."""
    made = Room(top, top / "evaluator", top / "home", top / "tmp", top / "candidate")
    shutil.copytree(base, made.root, symlinks=True)
    for folder in (made.home, made.tmp, made.candidates):
        folder.mkdir(parents=True, exist_ok=True)
    return made


def digest(root: Path) -> dict[str, str]:
    """Hash of every file below ``root`` except bytecode that Python itself writes."""
    found = {}
    for path in sorted(root.rglob("*")):
        if path.is_symlink() or not path.is_file() or ".pytest_cache" in path.parts:
            continue
        if path.suffix == ".pyc" and path.parent.name == "__pycache__":
            continue
        found[path.relative_to(root).as_posix()] = hashlib.sha256(path.read_bytes()).hexdigest()
    return found
