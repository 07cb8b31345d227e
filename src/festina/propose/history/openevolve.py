"""OpenEvolve's record: ``checkpoints/checkpoint_N``, each with ``metadata.json`` and ``programs/ID.json``.

A program's JSON holds its code, parent, iteration, time and metrics; what ranks it is ``combined_score``, else the mean
of all numbers. Checkpoints overlap: a program is told once, from the first checkpoint that has it, and a later one that
tells another score is a contradiction. What a checkpoint calls its best program counts as accepted; the archive has no
other decision. Iterations without a program are common (no usable answer, or pushed out of the archive), so they are
worth a note and no more.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

from festina.propose.history.types import (
    MAX_FILES,
    History,
    Told,
    count_of,
    cut,
    number_of,
    odd_name,
    scores_of,
    shown,
    utc,
)

_CHECKPOINT = re.compile(r"checkpoint_(\d{1,9})")
_FIELDS = frozenset({
    "id", "code", "changes_description", "language", "parent_id", "generation", "timestamp", "iteration_found",
    "metrics", "complexity", "diversity", "metadata", "prompts", "artifacts_json", "artifact_dir", "embedding",
})  # fmt: skip


def read_openevolve(folder: Path, metric: str, path: str) -> History:
    """``metric``: NAME:direction, or empty for OpenEvolve's own. ``path``: where the program belongs in a tree."""
    found = History(metric=metric or "combined_score:higher")
    files, best = 0, set()
    for checkpoint in _checkpoints(folder):
        best |= _best(found, folder, checkpoint)
        programs = checkpoint / "programs"
        for each in _listed(found, programs):
            files += 1
            if files > MAX_FILES:
                found.find("too-large", "", f"more than {MAX_FILES:,} programs: the rest was not read")
                break
            if each.suffix == ".json":
                _program(found, folder, each, metric.partition(":")[0], path)
    if not found.rows:
        found.find("unreadable", "", "no checkpoint_N with programs lies here")
    found.rows = [_decided(row, best) for row in _once(found.rows)]
    _untold(found)
    return found


def _listed(found: History, programs: Path) -> list[Path]:
    """What lies in a checkpoint's folder of programs; a link to another is not followed."""
    try:
        return sorted(programs.iterdir()) if programs.is_dir() and not programs.is_symlink() else []
    except OSError as error:
        where = shown(f"{programs.parent.name}/programs")
        found.find("unreadable", where, f"{where} is not read: {error.strerror}")
        return []


def _checkpoints(folder: Path) -> list[Path]:
    """In order of their numbers; ``folder`` may be the output folder, its ``checkpoints``, or one checkpoint."""
    if (folder / "metadata.json").is_file():
        return [folder]
    base = folder / "checkpoints" if (folder / "checkpoints").is_dir() else folder
    named = [(int(m[1]), each) for each in sorted(base.iterdir()) if (m := _CHECKPOINT.fullmatch(each.name))]
    return [each for _, each in sorted(named) if each.is_dir() and not each.is_symlink()]


def _best(found: History, folder: Path, checkpoint: Path) -> set[str]:
    data = found.take(folder, checkpoint / "metadata.json")
    about = found.json(f"{checkpoint.name}/metadata.json", data) if data is not None else None
    best = about.get("best_program_id") if isinstance(about, dict) else None
    return {best} if isinstance(best, str) else set()


def _program(found: History, folder: Path, path: Path, metric: str, place: str) -> None:
    where = shown(f"{path.parent.parent.name}/programs/{path.name}")
    data = found.take(folder, path)
    told = found.json(where, data) if data is not None else None
    if told is None:
        return
    if not isinstance(told, dict) or not isinstance(told.get("id"), str):
        found.find("unreadable", where, f"{where} is no program of OpenEvolve's")
        return
    key = cut(told["id"])
    odd_name(found, key, where)
    if key != path.stem:
        found.find("wrong-name", key, f"{where} holds the program {shown(key)}")
    if unknown := sorted(set(told) - _FIELDS):
        found.find("unknown-field", key, f"{where}: {shown(', '.join(map(str, unknown)), 200)}")
    said = told.get("metrics")
    metrics: dict[str, Any] = said if isinstance(said, dict) else {}
    code = told.get("code")
    score = _score(found, key, where, metrics, metric)
    about = told.get("metadata")
    found.add(
        Told(
            key, parent=cut(told.get("parent_id")), number=count_of(told.get("iteration_found")),
            at=utc(told.get("timestamp")), score=score, decimals=17,
            status="unknown" if score is not None else "failed",
            by=cut(about.get("llm_model")) if isinstance(about, dict) else "",
            content=found.keep(key, code.encode("utf-8", "replace")) if isinstance(code, str) else "", path=place,
            scores=scores_of(metrics.items()), words=cut(told.get("changes_description"), 500), source=where,
        )
    )  # fmt: skip


def _score(found: History, key: str, where: str, metrics: Mapping[str, Any], metric: str) -> float | None:
    """As OpenEvolve ranks (``utils/metrics_utils``): combined_score, else the mean of all numbers."""
    for name, value in metrics.items():
        if isinstance(value, int | float) and not isinstance(value, bool) and number_of(value) is None:
            found.find("not-finite", key, f"{where}: {shown(str(name), 60)} is not finite")
    if metric in metrics or (not metric and "combined_score" in metrics):
        return number_of(metrics[metric or "combined_score"])
    if metric:
        return None
    numbers = [value for each in metrics.values() if (value := number_of(each)) is not None]
    return number_of(sum(numbers) / len(numbers)) if numbers else None


def _once(rows: list[Told]) -> list[Told]:
    """One row a claim: the first checkpoint's. Another claim about the same program stays, and contradicts it."""
    first: dict[str, Told] = {}
    for row in rows:
        first.setdefault(row.digest, row)
    return list(first.values())


def _decided(row: Told, best: set[str]) -> Told:
    return replace(row, status="accepted") if row.key in best else row


def _untold(found: History) -> None:
    """Iterations of which no program is left, as ranges."""
    told = {row.number for row in found.rows if row.number is not None}
    lost = gaps({0, *told})
    if lost:
        count = sum(high - low + 1 for low, high in lost)
        found.find("no-trace", "", f"{count:,} of {max(told):,} iterations left no program: {ranges(lost)}")


def gaps(numbers: set[int]) -> list[tuple[int, int]]:
    """The first and last of every run of whole numbers that is missing between those told: a stranger may tell of a
    number that nobody could count to."""
    line = sorted(numbers)
    return [(low + 1, high - 1) for low, high in pairwise(line) if high - low > 1]


def ranges(spans: Sequence[tuple[int, int]]) -> str:
    """1-3, 7: the first ten of them."""
    said = [str(low) if low == high else f"{low}-{high}" for low, high in spans[:10]]
    return ", ".join(said) + (f" and {len(spans) - 10} more" if len(spans) > 10 else "")
