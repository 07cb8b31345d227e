"""What the history tells the built-in search: what was tried, and which way things went.

Patches are read back in memory: earlier incumbents are found by undoing accepted patches from the newest
to the oldest, so that a candidate can be compared with every tree that was ever tried, not only with every
diff. Where that chain breaks (a rollback, a patch of somebody else's), the comparison of diffs remains.
All of it is pure; a patch that cannot be read is passed over.
"""

from __future__ import annotations

import difflib
import hashlib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from festina.propose.source import Key, literals
from festina.system.textlines import lines_of

__all__ = ["Move", "Past", "Row", "change_of", "digest", "read_past"]

_HUNK = re.compile(r"@@ -(\d+)(?:,\d+)? \+(\d+)(?:,\d+)? @@")
Change = tuple[tuple[str, str], ...]  # ("-" or "+", path:line) in order
Tree = dict[str, bytes]


@dataclass(frozen=True, slots=True)
class Hunk:
    """``old`` and ``new`` lines with their line ends, and where each side starts (from 0)."""

    old_at: int
    new_at: int
    old: tuple[bytes, ...]
    new: tuple[bytes, ...]
    marked: tuple[tuple[str, bytes], ...]  # (" ", "-" or "+", line)


@dataclass(frozen=True, slots=True)
class Move:
    """One literal that a proposal changed."""

    key: Key
    old: bytes
    new: bytes


@dataclass(frozen=True, slots=True)
class Row:
    """One earlier proposal: its word and the values it moved (empty for other kinds of change)."""

    word: str
    reason: str
    moves: tuple[Move, ...]
    paths: tuple[str, ...]
    gain: float | None = None  # on public evidence, of a try

    @property
    def helped(self) -> bool:
        """Whether what it moved was for the better, as far as anybody has told."""
        return self.word in ("accepted", "better") if self.gain is None else self.gain > 0.0


@dataclass(frozen=True, slots=True)
class Past:
    """The fold of a history: rows oldest first, and all trees and changes that are not to be repeated."""

    rows: tuple[Row, ...]
    trees: frozenset[str]
    changes: frozenset[Change]


def digest(tree: Mapping[str, bytes]) -> str:
    """A name for the contents of the editable files."""
    state = hashlib.sha256()
    for path in sorted(tree):
        for part in (path.encode(), tree[path]):
            state.update(len(part).to_bytes(8, "big") + part)
    return state.hexdigest()


def change_of(before: Mapping[str, bytes], after: Mapping[str, bytes]) -> Change:
    """The changed lines between two trees, as ``read_past`` reads them from patches."""
    found: list[tuple[str, str]] = []
    for path in sorted(before):
        if before[path] == after[path]:
            continue
        old, new = (side[path].decode("utf-8", "replace").split("\n") for side in (before, after))
        for line in list(difflib.unified_diff(old, new, n=0, lineterm=""))[2:]:
            if line[:1] in "-+":
                found.append((line[0], f"{path}:{line[1:]}"))
    return tuple(found)


def read_past(history: Sequence[tuple[str, str, str, float | None]], incumbent: Tree) -> Past:
    """Fold (word, reason, patch, gain) rows, oldest first, given the editable files of the tree to be changed."""
    diffs = [_read(patch) for _, _, patch, _ in history]
    rows = [
        Row(word, reason, _moves(files), tuple(sorted(files)), gain)
        for (word, reason, _, gain), files in zip(history, diffs, strict=True)
    ]
    trees = {digest(incumbent)}
    state: Tree | None = dict(incumbent)
    for row, files in zip(reversed(rows), reversed(diffs), strict=True):
        if state is None:
            break
        moved = _apply(state, files, reverse=row.word == "accepted")
        if moved is not None:
            trees.add(digest(moved))
        if row.word == "accepted":
            state = moved
    changes = {_change(files) for files in diffs}
    return Past(tuple(rows), frozenset(trees), frozenset(changes))


def _read(patch: str) -> dict[str, list[Hunk]]:
    files: dict[str, list[Hunk]] = {}
    path = ""
    at: tuple[int, int] | None = None
    lines: list[tuple[str, bytes]] = []

    def close() -> None:
        if at is not None and path:
            old = tuple(text for mark, text in lines if mark != "+")
            new = tuple(text for mark, text in lines if mark != "-")
            files.setdefault(path, []).append(Hunk(*at, old, new, tuple(lines)))

    for line in patch.split("\n"):
        hunk = _HUNK.match(line)
        if hunk or line.startswith(("diff --git ", "--- a/")):
            close()
            at, lines = None, []
        if hunk:
            at = max(int(hunk[1]) - 1, 0), max(int(hunk[2]) - 1, 0)
        elif at is None and line.startswith("+++ "):
            path = line[6:].rstrip("\t\r") if line.startswith("+++ b/") else ""
        elif at is not None and line[:1] in (" ", "-", "+") and line:
            lines.append((line[0], line[1:].encode() + b"\n"))
        elif at is not None and line.startswith("\\") and lines:
            lines[-1] = (lines[-1][0], lines[-1][1].removesuffix(b"\n"))
    close()
    return files


def _apply(tree: Tree, files: Mapping[str, Sequence[Hunk]], *, reverse: bool) -> Tree | None:
    """``tree`` with the patch applied or undone; ``None`` unless every line stands exactly where it says."""
    result = dict(tree)
    for path, hunks in files.items():
        if path not in tree:
            return None
        lines = lines_of(tree[path])
        for hunk in sorted(hunks, key=lambda hunk: -hunk.old_at):  # from the end, so that places stay valid
            at, old, new = (hunk.new_at, hunk.new, hunk.old) if reverse else (hunk.old_at, hunk.old, hunk.new)
            if tuple(lines[at : at + len(old)]) != old:
                return None
            lines[at : at + len(old)] = new
        result[path] = b"".join(lines)
    return result


def _change(files: Mapping[str, Sequence[Hunk]]) -> Change:
    found: list[tuple[str, str]] = []
    for path in sorted(files):
        for hunk in files[path]:
            for mark, text in hunk.marked:
                if mark != " ":
                    found.append((mark, f"{path}:{text.decode('utf-8', 'replace').removesuffix(chr(10))}"))
    return tuple(found)


def _moves(files: Mapping[str, Sequence[Hunk]]) -> tuple[Move, ...]:
    """Literals that changed; nothing if any line changed in another way."""
    found: list[Move] = []
    for path in sorted(files):
        for hunk in files[path]:
            gone = [text for mark, text in hunk.marked if mark == "-"]
            come = [text for mark, text in hunk.marked if mark == "+"]
            if len(gone) != len(come):
                return ()
            for old, new in zip(gone, come, strict=True):
                (skeleton, before), (other, after) = literals(old.rstrip(b"\n")), literals(new.rstrip(b"\n"))
                if skeleton != other or len(before) != len(after):
                    return ()
                for index, ((_, left), (_, right)) in enumerate(zip(before, after, strict=True)):
                    if left != right:
                        found.append(Move((path, skeleton, index), left, right))
    return tuple(found)
