"""An outside generation as a tree of this system: its files where a proposal may change anything, ours elsewhere.

So what is run again, or put before our gate, is judged by the evaluator that is pinned here, whatever the outside loop
did to its own. What it changed beyond the scope is named, and never run.  # T-4, P-2
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from festina.errors import FestinaError, IntegrityError
from festina.ledger import entries as e
from festina.ledger.canonical import parse_strict
from festina.loop.foreign.folding import Loop, Story
from festina.propose.history.types import MAX_KEPT, Told, shown
from festina.system.globs import matches_any
from festina.system.objects import REGULAR, TreeEntry
from festina.system.repo import Repo
from festina.system.scope import Scope

Files = Mapping[str, bytes | None]
MAX_FILE = 8 << 20  # bytes of a file that is carried over


@dataclass(frozen=True, slots=True)
class Carried:
    """What of a generation can be laid over a tree of ours; ``beyond``: paths out of scope that the loop changed."""

    files: Files
    beyond: tuple[str, ...] = ()


class NotHere(FestinaError):
    """A generation of which this record and repository hold no content: it cannot be run again."""

    exit_code = 2


def carried(row: Told, base: str, story: Story, repo: Repo, scope: Scope, contents: Mapping[str, bytes]) -> Carried:
    """All that may change, as the generation has it. ``base``: the tree of ours that it is laid over.

    Raises ``NotHere`` where its content is not in the record and not in the repository.
    """
    if row.content and row.path and row.content in contents:
        return Carried({row.path: contents[row.content]})
    if not row.tree:
        raise NotHere("not-here", f"{shown(row.key)}: neither its commit nor its program is here")
    theirs, ours = _entries(repo, row, row.tree), {each.path for each in repo.ls_tree(base)}
    wanted = {path: each for path, each in theirs.items() if matches_any(scope.allow, path)}
    if any(each.mode not in REGULAR or each.size > MAX_FILE for each in wanted.values()):
        raise NotHere("not-here", f"{shown(row.key)}: a file that may change is no plain file, or over 8 MiB")
    blobs = repo.read_blobs([each.oid for each in wanted.values()])
    files: dict[str, bytes | None] = {path: blobs[each.oid] for path, each in wanted.items()}
    files |= {path: None for path in ours if path not in theirs and matches_any(scope.allow, path)}
    return Carried(files, _beyond(row, theirs, story, repo, scope))


def _entries(repo: Repo, row: Told, tree: str) -> dict[str, TreeEntry]:
    try:
        return {each.path: each for each in repo.ls_tree(tree)}
    except IntegrityError:
        raise NotHere(
            "not-here", f"{shown(row.key)}: its commit is not in this repository: git fetch THEIR-REPOSITORY BRANCH"
        ) from None  # fmt: skip


def _beyond(row: Told, theirs: Mapping[str, TreeEntry], story: Story, repo: Repo, scope: Scope) -> tuple[str, ...]:
    """Paths out of scope that the loop changed since the first generation that it kept, without its own record."""
    first = next((each for each in story.kept if each.tree), row)
    start = _entries(repo, first, first.tree)
    records = {each.name for reading in story.loop.readings for each in reading.body.files}
    changed = [path for path in sorted(set(theirs) | set(start)) if theirs.get(path) != start.get(path)]
    return tuple(path for path in changed if path not in records and not matches_any(scope.allow, path))


def contents_of(loop: Loop, blob: Callable[[str], bytes]) -> dict[str, bytes]:
    """Programs that readings kept, by sha256."""
    found: dict[str, bytes] = {}
    for reading in loop.readings:
        found |= programs(reading.body, blob)
    return found


def programs(body: e.HistoryRead, blob: Callable[[str], bytes]) -> dict[str, bytes]:
    """What one reading kept."""
    if body.contents is None:
        return {}
    value = parse_strict(blob(body.contents), max_bytes=2 * MAX_KEPT, max_depth=3)
    if not isinstance(value, dict):
        raise IntegrityError("bad-history", "the programs of a reading are not what is written here")
    try:
        found = {str(digest): base64.b64decode(text, validate=True) for digest, text in value.items()}
    except (ValueError, TypeError):
        found = {"": b""}
    if any(hashlib.sha256(data).hexdigest() != digest for digest, data in found.items()):
        raise IntegrityError("bad-history", "the programs of a reading are not those that its rows name")
    return found
