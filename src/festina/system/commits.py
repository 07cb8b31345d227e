"""A branch of somebody's repository as plain values, read by git plumbing that runs nothing they configured.

Texts in a commit are its author's, and hostile.  # T-5
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime

from festina.errors import UsageError
from festina.system.repo import Repo

MOST = 10_000
_SHORT = re.compile(r"[0-9a-f]{4,64}")


@dataclass(frozen=True, slots=True)
class Commit:
    """``at``: when it was committed, by its own word; RFC 3339 in UTC. ``body``: the whole message."""

    oid: str
    tree: str
    parents: tuple[str, ...]
    at: str
    author: str
    body: str

    @property
    def subject(self) -> str:
        return self.body.partition("\n")[0]


class Commits:
    """The first-parent line of one branch, oldest first, and whatever else a short name finds.

    ``cut``: the branch is longer than what is read, so that its beginning is not in ``line``.
    """

    def __init__(self, repo: Repo, branch: str = "") -> None:
        """``branch`` empty: what HEAD names. Raises ``UsageError`` where there is no such branch."""
        self._repo = repo
        tip = tip_of(repo, branch)
        self.line = tuple(reversed([_commit(raw) for raw in repo.log_records(tip, MOST)]))
        self.cut = bool(self.line) and bool(self.line[0].parents)
        self._known: dict[str, Commit | None] = {each.oid: each for each in self.line}

    def find(self, name: str) -> Commit | None:
        """The commit of a full or short object name; None where this repository has none, or several."""
        if not _SHORT.fullmatch(name):
            return None
        if name not in self._known:
            hits = [each for oid, each in self._known.items() if each is not None and oid.startswith(name)]
            oid = hits[0].oid if len(hits) == 1 else self._repo.long_name(name)
            self._known[name] = hits[0] if len(hits) == 1 else self._read(oid)
        return self._known[name]

    def _read(self, oid: str | None) -> Commit | None:
        return None if oid is None else next((_commit(raw) for raw in self._repo.log_records(oid, 1)), None)


def tip_of(repo: Repo, branch: str = "") -> str:
    """The newest commit of a branch, or of HEAD. Raises ``UsageError`` where there is none."""
    if not branch:
        return repo.head()
    name = branch if branch.startswith("refs/") else f"refs/heads/{branch}"
    found = repo.ref(name)
    if found is None:
        raise UsageError("no-branch", f"there is no branch {branch!a}", fix="git branch --list names them",
                         where=str(repo.root))  # fmt: skip
    return found


def _commit(raw: str) -> Commit:
    oid, tree, parents, seconds, author, body = raw.split("\x1f", 5)
    try:
        at = datetime.fromtimestamp(int(seconds), UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    except (ValueError, OverflowError, OSError):
        at = ""  # a commit may claim any number
    return Commit(oid, tree, tuple(parents.split()), at, author, body.strip("\n"))
