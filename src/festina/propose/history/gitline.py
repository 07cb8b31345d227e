"""A git branch as a loop's record: every commit since a given one is a generation that was kept.

A score is told where the message has a line ``NAME: NUMBER`` for the metric. What was tried and not kept left no trace
in git, which no reading can mend: the report says that such a record cannot show what was thrown away.
"""

from __future__ import annotations

from festina.errors import UsageError
from festina.propose.guess import parse_metric
from festina.propose.history.types import History, Told, cut, decimals_of
from festina.system.commits import Commit, Commits


def read_git(commits: Commits, metric: str, since: str) -> History:
    """``since``: the commit that the loop began with; empty: the first of the branch.

    Raises ``UsageError`` where that is further back than is read: what is left out must be nobody's guess.
    """
    found = History(metric=metric)
    line = list(commits.line)
    first = commits.find(since) if since else None
    if commits.cut and first not in line:
        raise UsageError(
            "branch-too-long", f"the loop's beginning is not among the newest {len(line):,} commits, which are all "
            "that is read", fix="--since COMMIT names a newer one to begin with",
        )  # fmt: skip
    if since:
        if first is None or first not in line:
            raise UsageError("no-commit", f"--since {since!a} names no commit of that branch", fix="git log --oneline")
        line = line[line.index(first) :]
    for number, each in enumerate(line):
        found.add(_row(each, number, metric.partition(":")[0]))
    return found


def _row(each: Commit, number: int, name: str) -> Told:
    score = parse_metric(each.body.encode("utf-8", "replace"), name) if name else None
    return Told(
        each.oid[:12], parent=each.parents[0][:12] if each.parents else "", number=number, at=each.at, score=score,
        decimals=decimals_of(repr(score)) if score is not None else 0, status="accepted", commit=each.oid,
        tree=each.tree, by=cut(each.author), words=cut(each.subject, 500), source="git",
    )  # fmt: skip
