"""autoresearch's record: ``results.tsv``, one line an experiment, and the branch that kept commits stand on.

``program.md`` tells the agent to log the commit's short hash, the metric (zero for a crash), other numbers, the status
``keep``, ``discard`` or ``crash`` and a description, and to reset the branch after a discard: so every commit on the
branch since the first logged one should have a line with ``keep``, and a discarded commit may be gone from git.
"""

from __future__ import annotations

from math import isfinite
from pathlib import Path

from festina.propose.guess import direction_of
from festina.propose.history.types import History, Status, Told, cut, decimals_of, odd_name, scores_of, shown
from festina.system.commits import Commit, Commits

RESULTS = "results.tsv"
_STATUS: dict[str, Status] = {"keep": "accepted", "discard": "rejected", "crash": "failed"}
_FIELDS = ("commit", "status", "description")


def read_autoresearch(folder: Path, metric: str, commits: Commits | None) -> History:
    """``metric``: NAME:direction, or empty for the second column. ``commits``: of the loop's branch."""
    found = History()
    data = found.take(folder, folder / RESULTS)
    if data is None:
        return found
    lines = data.decode("utf-8", "replace").replace("\r\n", "\n").split("\n")
    head = lines[0].split("\t")
    name = metric.partition(":")[0] or (head[1].strip() if len(head) > 1 else "")
    if "commit" not in head or "status" not in head or name not in head:
        found.find("unreadable", RESULTS, f"its first line names no commit, status or {shown(name) or 'metric'}")
        return found
    found.metric = metric or (f"{name}:{way}" if (way := direction_of(name)) else "")
    if lines[-1].count("\t") + 1 < len(head) and lines[-1].strip() and len(lines) > 1:
        found.find("half-line", RESULTS, f"{RESULTS} ends within a line: it is left for the next reading")
        lines.pop()
    for number, line in enumerate(lines[1:]):
        if line.strip():
            _line(found, dict(zip(head, line.split("\t"), strict=False)), len(line.split("\t")) == len(head), name,
                  number, commits)  # fmt: skip
    odd = [column for column in head if column not in (*_FIELDS, name) and not any(
        column == told for row in found.rows for told, _ in row.scores)]  # fmt: skip
    if odd and found.rows:
        found.find("unknown-field", RESULTS, f"columns without numbers are not read: {shown(', '.join(odd))}")
    if commits is not None and _on_branch(found, commits):
        _unlogged(found, commits)
    return found


def _on_branch(found: History, commits: Commits) -> bool:
    """Whether the branch is the loop's; and say where log and branch contradict each other about a commit."""
    line = {each.oid for each in commits.line}
    kept = [row for row in found.rows if row.commit]
    off = [row for row in kept if row.commit not in line]
    if len(kept) > 1 and len(off) >= len(kept) - 1:
        found.find("off-branch", "", "nothing that was kept after the first stands on this branch: --branch names the "
                   "loop's")  # fmt: skip
        return False
    for row in off:
        if commits.cut:
            found.find("too-large", row.key, f"{row.source}: kept, and its commit is not among the newest "
                       f"{len(line):,} of the branch, which are all that is read")  # fmt: skip
        else:
            found.find("contradiction", row.key, f"{row.source}: kept, and its commit is not on the branch")
    for row in found.rows:
        known = commits.find(row.key) if row.status in ("rejected", "failed") else None
        if known is not None and known.oid in line:
            found.find("contradiction", row.key, f"{row.source}: {row.status}, and its commit is on the branch")
    return True


def _line(
    found: History, row: dict[str, str], whole: bool, name: str, number: int, commits: Commits | None
) -> None:
    where = f"{RESULTS} line {number + 2}"
    key = cut(row.get("commit", "").strip()) or f"line {number + 2}"
    odd_name(found, key, where)
    if not whole:
        found.find("unreadable", key, f"{where} has another number of columns than the first line")
    status = _STATUS.get(row.get("status", "").strip().lower(), "unknown")
    if status == "unknown":
        found.find("unknown-field", key, f"{where}: no status of autoresearch's: {shown(row.get('status', ''), 40)!r}")
    text = row.get(name, "").strip()
    commit = commits.find(key) if commits is not None and status == "accepted" else None  # others go with the reset
    if commits is not None and commit is None and status == "accepted":
        found.find("no-generation", key, f"{where}: kept, and this repository has no such commit")
    found.add(
        Told(
            key, number=number, score=_score(found, key, where, text, status), decimals=decimals_of(text),
            status=status, commit=commit.oid if commit else "", tree=commit.tree if commit else "",
            at=commit.at if commit else "", parent="", words=cut(row.get("description"), 500),
            scores=scores_of((k, _float(v)) for k, v in row.items() if k != name and k not in _FIELDS),
            source=where,
        )
    )  # fmt: skip


def _float(text: str) -> float | None:
    try:
        return float(text)
    except ValueError:
        return None


def _score(found: History, key: str, where: str, text: str, status: Status) -> float | None:
    """A crash is logged as zero, which is no score."""
    value = _float(text)
    if status == "failed":
        return None
    if value is not None and not isfinite(value):
        found.find("not-finite", key, f"{where}: the score is {shown(text, 40)}")
        return None
    if value is None and text:
        found.find("unreadable", key, f"{where}: the score is no number: {shown(text, 40)!r}")
    return value


def _unlogged(found: History, commits: Commits) -> None:
    """Commits on the branch, from the first logged one on, of which no line tells: where is their evaluation?

    The newest commit may be the one that is being evaluated now.
    """
    logged = {known.oid for row in found.rows if (known := commits.find(row.key)) is not None}
    line: list[Commit] = list(commits.line)
    since = next((i for i, each in enumerate(line) if each.oid in logged), len(line))
    for each in line[since:]:
        if each.oid not in logged and each is line[-1]:
            found.find("in-flight", each.oid[:12], f"commit {each.oid[:12]} has no line in {RESULTS} yet")
        elif each.oid not in logged:
            found.find("no-score", each.oid[:12], f"commit {each.oid[:12]} is on the branch, and no line of {RESULTS} "
                       f"tells its score: {shown(each.subject, 80)}")  # fmt: skip
            found.add(Told(each.oid[:12], status="accepted", commit=each.oid, tree=each.tree, at=each.at,
                           by=cut(each.author), words=cut(each.subject, 500), source="git"))  # fmt: skip
