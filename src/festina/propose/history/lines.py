"""JSON lines: one generation a line, for loops that no other reader knows. docs/attach.md has the fields.

``file`` names the generation's program or artifact beside the record: it is hashed, and where ``sha256`` is told, too,
both must agree; so must ``score`` and that of a ``log`` of Inspect's. ``commit`` must be in the repository. A missing
number is a gap: somebody may have left it out.
"""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Any

from festina.propose.history.inspect_log import read_inspect
from festina.propose.history.openevolve import gaps, ranges
from festina.propose.history.types import (
    History,
    Status,
    Told,
    count_of,
    cut,
    decimals_of,
    number_of,
    odd_name,
    scores_of,
    shown,
    utc,
)
from festina.system.characters import path_problem
from festina.system.commits import Commits

_STATUS: dict[str, Status] = {
    "accepted": "accepted", "keep": "accepted", "kept": "accepted", "rejected": "rejected", "discard": "rejected",
    "discarded": "rejected", "failed": "failed", "crash": "failed", "unknown": "unknown",
}  # fmt: skip
_FIELDS = frozenset({
    "id", "parent", "number", "at", "score", "scores", "metric", "status", "commit", "file", "path", "sha256", "by",
    "words", "origin", "log",
})  # fmt: skip
_SCORE = re.compile(rb'"score"\s*:\s*(-?\d[0-9.eE+-]*)')
LARGEST = 1 << 40  # bytes of an artifact that is hashed, a piece at a time


def read_lines(folder: Path, name: str, metric: str, commits: Commits | None) -> History:
    """``name``: the record's file within ``folder``."""
    found = History(metric=metric)
    data = found.take(folder, folder / name)
    lines = (data or b"").split(b"\n")
    if lines[-1].strip() and not lines[-1].rstrip().endswith(b"}"):
        found.find("half-line", shown(name), f"{shown(name)} ends within a line: it is left for the next reading")
        lines.pop()
    for at, line in enumerate(lines):
        if line.strip():
            where = f"{shown(name)} line {at + 1}"
            told = found.json(where, line)
            if isinstance(told, dict):
                _row(found, folder, told, line, where, commits)
            elif told is not None:
                found.find("unreadable", where, f"{where} is no object")
    numbers = {row.number for row in found.rows if row.number is not None}
    if missing := gaps(numbers):
        found.find("gap", "", f"no line tells of number {ranges(missing)}: an evaluation may have been left out")
    return found


def _row(
    found: History, folder: Path, told: dict[str, Any], line: bytes, where: str, commits: Commits | None
) -> None:
    key = cut(told.get("id")) or (str(told["id"]) if count_of(told.get("id")) is not None else "")
    if not key:
        found.find("unreadable", where, f"{where} names no id")
        return
    odd_name(found, key, where)
    if unknown := sorted(set(told) - _FIELDS):
        found.find("unknown-field", key, f"{where}: {shown(', '.join(unknown), 200)}")
    status = _STATUS.get(str(told.get("status", "unknown")).lower())
    if status is None:
        found.find("unknown-field", key, f"{where}: status {shown(str(told['status']), 40)!r}")
    _say(found, told, where)
    score, decimals = _score(found, folder, key, told, line, where)
    commit = _commit(found, key, told, where, commits)
    found.add(
        Told(
            key, parent=cut(told.get("parent")), number=count_of(told.get("number")), at=_time(found, key, told, where),
            score=score, decimals=decimals, status=status or "unknown",
            commit=commit[0], tree=commit[1], content=_content(found, folder, key, told, where),
            path=cut(told.get("path")) if path_problem(cut(told.get("path"))) is None else "",
            by=cut(told.get("by")), words=cut(told.get("words"), 500),
            scores=scores_of(told["scores"].items()) if isinstance(told.get("scores"), dict) else (), source=where,
        )
    )  # fmt: skip


def _score(
    found: History, folder: Path, key: str, told: dict[str, Any], line: bytes, where: str
) -> tuple[float | None, int]:  # fmt: skip
    """The score and its decimals; held against the evaluation's log, where one is named."""
    score, text = number_of(told.get("score")), _SCORE.search(line)
    decimals = decimals_of(text[1].decode()) if text else 17
    if told.get("score") is not None and score is None:
        found.find("not-finite", key, f"{where}: the score is no finite number")
    name = cut(told.get("log"))
    if not name:
        return score, decimals
    logged = _logged(found, folder, key, name, where)
    if score is None or logged is None:
        return (logged, 17) if score is None else (score, decimals)
    if abs(score - logged) > 0.5 * 10.0**-decimals + 1e-9 * abs(logged):
        found.find("contradiction", key, f"{where}: score {score!r}, and its log {shown(name, 80)} says {logged!r}")
    return score, decimals


def _logged(found: History, folder: Path, key: str, name: str, where: str) -> float | None:
    """The score of a log of Inspect's beside the record."""
    if path_problem(name) is not None or not _lies_in(folder, folder / name):
        found.find("no-generation", key, f"{where}: there is no log {shown(name, 80)} in this folder")
        return None
    log = read_inspect(folder / name, found.metric, None)
    found.findings += log.findings
    found.files += log.files
    return log.rows[0].score if log.rows else None


def _lies_in(folder: Path, path: Path) -> bool:
    return Path(os.path.realpath(path)).is_relative_to(os.path.realpath(folder)) and path.is_file()


def _say(found: History, told: dict[str, Any], where: str) -> None:
    """Origin and metric are the same in every line, or that is said."""
    for field, now in (("origin", found.claimed_origin), ("metric", found.metric)):
        said = cut(told.get(field))
        if said and now and said != now:
            found.find("contradiction", where, f"{where}: {field} {shown(said, 80)}, and before it {shown(now, 80)}")
        elif said and field == "origin":
            found.claimed_origin = said
        elif said:
            found.metric = said


def _time(found: History, key: str, told: dict[str, Any], where: str) -> str:
    at = utc(told.get("at"))
    if told.get("at") is not None and not at:
        found.find("unreadable", key, f"{where}: {shown(str(told['at']), 40)!r} is no time with a zone")
    return at


def _commit(
    found: History, key: str, told: dict[str, Any], where: str, commits: Commits | None
) -> tuple[str, str]:
    name = cut(told.get("commit"))
    if not name:
        return "", ""
    commit = commits.find(name) if commits is not None else None
    if commit is None:
        found.find("no-generation", key, f"{where}: there is no commit {shown(name, 70)} here")
        return "", ""
    return commit.oid, commit.tree


def _content(found: History, folder: Path, key: str, told: dict[str, Any], where: str) -> str:
    """The hash of the named file, held against what the line claims of it."""
    claimed, name = cut(told.get("sha256")).lower(), cut(told.get("file"))
    if not name:
        if claimed:
            found.find("no-generation", key, f"{where}: a hash, and no file that it could be held against")
        return ""
    problem = path_problem(name)
    if problem is not None:
        found.find("odd-name", key, f"{where}: {shown(name, 80)}: {problem[1]}")
        return ""
    digest = found.artifact(folder, folder / name, most=LARGEST)
    if digest is None:
        found.find("no-generation", key, f"{where}: the file that it names cannot be read")
        return ""
    if claimed and claimed != digest:
        found.find("wrong-hash", key, f"{where}: it says {shown(claimed, 64)}, and {shown(name, 80)} is {digest}")
    return digest
