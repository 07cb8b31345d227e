"""A change taken apart into the hunks that a reviewer sees, and any combination of them put together again.  # V-8

Parts are cut at the hunk headers of git's own canonical patch, and combinations are put together from whole lines of
the two versions of a file, never by applying text with an offset: a hunk whose context occurs twice cannot land
elsewhere. An added, deleted, binary or type-changed file is one part. That the parts add up to the change is checked
with git before any of them is used; a change for which they do not is one part.

Not covered: whether a combination runs. That is for a sandbox to find out.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby, pairwise

from festina.system.objects import REGULAR, Change
from festina.system.repo import ApplyFailed, Repo
from festina.system.textlines import lines_of

__all__ = ["MOST_PARTS", "Part", "Parts", "take_apart"]

MOST_PARTS = 12  # more are grouped: by file, then neighbours
_HUNK = re.compile(rb"^@@ -(\d+)(?:,(\d+))? \+(\d+)(?:,(\d+))? @@", re.MULTILINE)
_FILE = re.compile(rb"^diff --git ", re.MULTILINE)  # no line inside a hunk can start with a letter

Range = tuple[int, int, int, int]  # old lines [a, b), new lines [c, d)


@dataclass(frozen=True, slots=True)
class Piece:
    """One hunk, or a whole file where ``lines`` is None."""

    path: str
    lines: Range | None
    added: int
    removed: int


@dataclass(frozen=True, slots=True)
class Part:
    """What is left out or put in together. ``pieces`` are in the order of the patch."""

    pieces: tuple[Piece, ...]

    @property
    def added(self) -> int:
        return sum(piece.added for piece in self.pieces)

    @property
    def removed(self) -> int:
        return sum(piece.removed for piece in self.pieces)

    @property
    def place(self) -> str:
        """Where it is, as a reviewer would look for it. Paths are a proposer's words: show them escaped.  # T-5"""
        found = []
        for path, group in groupby(self.pieces, key=lambda piece: piece.path):
            lines = [piece.lines for piece in group if piece.lines is not None]
            spans = ", ".join(f"{r[2] + 1}-{max(r[3], r[2] + 1)}" for r in lines)
            found.append(f"{path}:{spans}" if spans else path)
        return "; ".join(found)


@dataclass(frozen=True, slots=True)
class Parts:
    """A change from ``base`` to ``tree``, in parts."""

    base: str
    tree: str
    parts: tuple[Part, ...]
    old: dict[str, bytes | None]
    new: dict[str, bytes | None]

    def combine(self, repo: Repo, mask: int) -> str:
        """The tree with the parts whose bits are set, its objects quarantined unless it is one of the two ends.

        Raises ``ApplyFailed`` for a combination that no tree can be: a file and a folder of one name.
        """
        if mask == 0:
            return self.base
        if mask == (1 << len(self.parts)) - 1:
            return self.tree
        return repo.write_files(self.base, self._files(mask))

    def adds_up(self, repo: Repo) -> bool:
        """Whether all parts together are the change."""
        try:
            made = repo.write_files(self.base, self._files((1 << len(self.parts)) - 1))
        except ApplyFailed:  # a file where a folder was, in the same change
            return False
        repo.discard(made)
        return made == self.tree

    def _files(self, mask: int) -> dict[str, bytes | None]:
        chosen = [piece for i, part in enumerate(self.parts) if mask >> i & 1 for piece in part.pieces]
        files: dict[str, bytes | None] = {}
        for path in dict.fromkeys(piece.path for piece in chosen):
            files[path] = self._file(path, [piece.lines for piece in chosen if piece.path == path])
        return files

    def _file(self, path: str, chosen: Sequence[Range | None]) -> bytes | None:
        old, new = self.old[path], self.new[path]
        if None in chosen or old is None or new is None:
            return new
        before, after = lines_of(old), lines_of(new)
        lines: list[bytes] = []
        at = 0
        for a, b, c, d in sorted(span for span in chosen if span is not None):
            lines += before[at:a] + after[c:d]
            at = b
        return b"".join(lines + before[at:])


def take_apart(repo: Repo, base: str, tree: str, *, most: int = MOST_PARTS) -> Parts:
    """The change between two trees in at most ``most`` parts; one part where it cannot be taken apart."""
    changes = repo.raw_diff(base, tree)
    blobs = repo.read_blobs([oid for change in changes for oid in (change.old_oid, change.new_oid) if oid.strip("0")])
    old = {change.path: blobs.get(change.old_oid) for change in changes}
    new = {change.path: blobs.get(change.new_oid) for change in changes}
    sections = _FILE.split(repo.diff(base, tree))[1:]
    if len(sections) != len(changes):
        return _one(base, tree, changes, old, new)
    pieces = [piece for change, text in zip(changes, sections, strict=True) for piece in _pieces(change, text)]
    parts = Parts(base, tree, _grouped(pieces, most), old, new)
    return parts if parts.adds_up(repo) else _one(base, tree, changes, old, new)


def _one(
    base: str, tree: str, changes: Sequence[Change], old: dict[str, bytes | None], new: dict[str, bytes | None]
) -> Parts:
    whole = Part(tuple(Piece(change.path, None, change.added, change.deleted) for change in changes))
    return Parts(base, tree, (whole,), old, new)


def _pieces(change: Change, text: bytes) -> list[Piece]:
    """The hunks of one file's section; the whole file where it is not a plain change of text."""
    hunks = list(_HUNK.finditer(text))
    if change.old_mode != change.new_mode or change.new_mode not in REGULAR or not hunks:
        return [Piece(change.path, None, change.added, change.deleted)]
    found = []
    for k, hunk in enumerate(hunks):
        end = hunks[k + 1].start() if k + 1 < len(hunks) else len(text)
        body = text[hunk.end() : end].split(b"\n")[1:]
        added, removed = (sum(line.startswith(mark) for line in body) for mark in (b"+", b"-"))
        found.append(Piece(change.path, (*_span(hunk[1], hunk[2]), *_span(hunk[3], hunk[4])), added, removed))
    return found


def _span(start: bytes, count: bytes | None) -> tuple[int, int]:
    """Lines [a, b) counted from 0; git names the line before where a side has none."""
    length = 1 if count is None else int(count)
    first = int(start) - (length > 0)
    return first, first + length


def _grouped(pieces: Sequence[Piece], most: int) -> tuple[Part, ...]:
    if len(pieces) <= most:
        return tuple(Part((piece,)) for piece in pieces)
    parts = [Part(tuple(group)) for _, group in groupby(pieces, key=lambda piece: piece.path)]
    if len(parts) > most:
        cuts = [round(k * len(parts) / most) for k in range(most + 1)]
        runs = [parts[a:b] for a, b in pairwise(cuts)]
        parts = [Part(tuple(piece for part in run for piece in part.pieces)) for run in runs]
    return tuple(parts)
