"""A tree as a thin layer over another tree's export: only what differs is written, deletions are marks.

``write_layer`` makes a folder that, mounted as the upper of two read-only layers of an overlay over the base's export,
shows exactly what ``write_export`` would have written: same files, bytes, modes and times, the same entries left out,
and no empty folder.

The kernel's marks are used: a character device 0:0 hides a path of the base. Where a folder became a file or the
other way round, the layer's entry hides the base's by itself. Not covered: mounting (``sandbox``), and inode numbers,
link counts and the order of directory listings, which differ from a full export's.
"""

from __future__ import annotations

import os
import stat
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from festina.system.export import Export, is_exported, write_files
from festina.system.objects import Change, TreeEntry, fsencode

__all__ = ["Base", "write_layer"]


@dataclass(frozen=True, slots=True)
class Base:
    """A tree that was exported in full to ``path``. ``folders`` counts the files anywhere below each folder."""

    tree: str
    path: Path
    files: frozenset[str]
    folders: Counter[str]

    @classmethod
    def of(cls, tree: str, path: Path, entries: Sequence[TreeEntry]) -> Base:
        files = frozenset(entry.path for entry in entries if is_exported(entry.path, entry.mode, entry.type))
        return cls(tree, path, files, Counter(folder for name in files for folder in _above(name)))


def _above(path: str) -> Iterator[str]:
    """The folders that ``path`` lies in, outermost first."""
    at = path.find("/")
    while at >= 0:
        yield path[:at]
        at = path.find("/", at + 1)


def write_layer(
    base: Base, changes: Sequence[Change], dest: Path, read: Callable[[Sequence[str]], dict[str, bytes]]
) -> Export:
    """Write the layer of a tree that differs from ``base`` by ``changes``. Raises as ``write_export`` does.

    Sizes are not known before the blobs are read, so they are read together: changes are bounded by the scope.
    """
    put = [
        TreeEntry(change.path, change.new_mode, "blob", change.new_oid, 0)
        for change in changes
        if is_exported(change.path, change.new_mode, "blob")
    ]
    marks = _marks(base, {entry.path for entry in put}, {change.path for change in changes})

    def mark(root: Path) -> None:
        for path in sorted(marks):
            place = os.path.join(os.fsencode(root), fsencode(path))
            os.makedirs(os.path.dirname(place), mode=0o700, exist_ok=True)
            os.mknod(place, stat.S_IFCHR, os.makedev(0, 0))

    return write_files(put, dest, read, then=mark)


def _marks(base: Base, put: set[str], changed: set[str]) -> set[str]:
    """The paths to hide: each file that is gone, or the outermost folder with nothing left in it."""
    gone = (changed & base.files) - put
    left = base.folders.copy()
    for path in gone:
        left.subtract(_above(path))
    new_folders: set[str] = set()
    for path in put:
        new_folders.update(_above(path))
        if path not in base.files:
            left.update(_above(path))
    found = set()
    for path in gone:
        place = next((folder for folder in _above(path) if left[folder] <= 0), path)
        if place not in put and place not in new_folders:
            found.add(place)
    return found
