"""Which line of the evaluator a hole sits in: from the frames that the candidate saw, else from the source."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

from festina.drill.model import Place
from festina.drill.outside import build

if TYPE_CHECKING:
    from festina.drill.outside.bench import Outcome
    from festina.drill.outside.catalog import Attack
    from festina.drill.outside.study import Study

# Where to look next when the source has no line of the wanted kind.
_NEXT = {
    "call": ("import", "subprocess"), "import": ("subprocess", "call"), "subprocess": ("import",), "except": ("call",),
    "zip": ("compare", "call"), "compare": ("call",), "in": ("compare", "call"), "timer": ("call",), "data":
    ("import", "subprocess"), "items": ("data", "call", "subprocess"),
    "random": ("items", "call"), "eval": ("call",), "pickle": ("call",),
}  # fmt: skip


def locate(attack: Attack, study: Study, best: Outcome | None) -> Place | None:
    """The nearest line of the attack's kind; ``None`` when the evaluator's source cannot be read."""
    base = study.bench.base
    near = _frame(study, "call") or _frame(study, "import")
    if best is not None:  # the exploit said itself which line it used
        for effect in best.effects:
            if effect.get("line") and (name := _inside(str(effect.get("file", "")), study)):
                return _place(base, name, int(effect["line"]))
    if attack.site == "kept" and study.honest is not None and (seen := _naming(study, build.kept(study.honest))):
        return _place(base, *seen)
    for kind in (attack.site, *_NEXT.get(attack.site, ())):
        seen = _frame(study, kind) if kind in ("call", "import") else None
        if seen:
            return _place(base, *seen)
        rows = study.facts.source.places.get(kind, ())
        if rows:
            return _place(base, *_closest(rows, near, base))
    if near:
        return _place(base, *near)
    files = study.facts.source.files
    return _place(base, files[0], 1) if files else None


def _naming(study: Study, names: tuple[str, ...]) -> tuple[str, int] | None:
    """The first line of the evaluator that reads one of these names of the candidate's module."""
    wanted = re.compile(rf"""\.(?:{"|".join(names)})\b|["'](?:{"|".join(names)})["']""")
    for file in study.facts.source.files:
        rows = (study.bench.base / file).read_text(encoding="utf-8", errors="replace").splitlines()
        if at := next((number for number, row in enumerate(rows, 1) if wanted.search(row)), 0):
            return file, at
    return None


def _frame(study: Study, kind: str) -> tuple[str, int] | None:
    for file, line, text in study.facts.frames(kind):
        name = _inside(str(file), study)
        if name:
            return name, int(line)
        if copied := _same_line(str(text), study):
            return copied
    return None


def _same_line(text: str, study: Study) -> tuple[str, int] | None:
    """A line of the evaluator's folder with this text: the evaluator ran a copy of the file somewhere else."""
    for path in sorted(study.bench.base.rglob("*.py")) if text else ():
        rows = path.read_text(encoding="utf-8", errors="replace").splitlines()
        at = next((number for number, row in enumerate(rows, 1) if row.strip() == text), 0)
        if at:
            return path.relative_to(study.bench.base).as_posix(), at
    return None


def _inside(file: str, study: Study) -> str:
    """``file`` of some evaluation's copy, relative to the evaluator's folder."""
    head, sep, tail = file.partition("/evaluator/")
    return tail if sep and (study.bench.base / tail).is_file() and "/runs/" in head else ""


def _closest(rows: tuple[tuple[str, int], ...], near: tuple[str, int] | None, base: Path) -> tuple[str, int]:
    """After the line that calls the candidate, in its file, where there is one; else where its path stands."""
    if near is None:
        return next((row for row in rows if "argv" in _place(base, *row).text), rows[0])
    same = [row for row in rows if row[0] == near[0]]
    return min(same, key=lambda row: (row[1] < near[1], abs(row[1] - near[1]))) if same else rows[0]


def _place(base: Path, name: str, line: int) -> Place:
    try:
        rows = (base / name).read_text(encoding="utf-8", errors="replace").splitlines()
        text = rows[line - 1] if 0 < line <= len(rows) else ""
    except OSError:
        text = ""
    return Place(name, line, text)
