"""Values read from git objects, and moving loose objects out of quarantine.

A *stage* is a private directory with a temporary index and an object directory of its own. What git writes
while it applies a patch lands there; the repository's object store sees it only after ``promote``.  # P-1
"""

from __future__ import annotations

import hashlib
import os
import re
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from festina.errors import IntegrityError

__all__ = [
    "Change", "TreeEntry", "alternates", "check_blob", "fsdecode", "in_groups", "parse_ls_tree", "parse_raw_diff",
]

OID = re.compile(r"[0-9a-f]{40}(?:[0-9a-f]{24})?")
REGULAR = ("100644", "100755")
GROUP_BYTES = 32 << 20  # of files that are read at once, about


@dataclass(frozen=True, slots=True)
class TreeEntry:
    """One leaf of a tree. ``path`` has lone surrogates where its bytes are not UTF-8; ``size`` is -1 for non-blobs."""

    path: str
    mode: str  # "100644", "100755", "120000" (symlink), "160000" (submodule)
    type: str
    oid: str
    size: int


def in_groups(entries: Sequence[TreeEntry]) -> Iterator[list[TreeEntry]]:
    """Entries in order, in groups of at most ``GROUP_BYTES`` of content, or of one entry that is larger."""
    group: list[TreeEntry] = []
    size = 0
    for entry in entries:
        if group and size + entry.size > GROUP_BYTES:
            yield group
            group, size = [], 0
        group.append(entry)
        size += entry.size
    if group:
        yield group


@dataclass(frozen=True, slots=True)
class Change:
    """One path on which two trees differ. Modes are "000000" and oids all zeros where a side has nothing."""

    path: str
    old_mode: str
    new_mode: str
    old_oid: str
    new_oid: str
    added: int  # lines; counted as text whatever attributes say
    deleted: int


def fsdecode(raw: bytes) -> str:
    return raw.decode("utf-8", "surrogateescape")


def fsencode(path: str) -> bytes:
    return path.encode("utf-8", "surrogateescape")


def parse_ls_tree(raw: bytes) -> tuple[TreeEntry, ...]:
    """Parse ``git ls-tree -r -z -l``."""
    entries = []
    for record in raw.split(b"\0")[:-1]:
        head, _, path = record.partition(b"\t")
        mode, kind, oid, size = head.split()
        entries.append(
            TreeEntry(fsdecode(path), mode.decode(), kind.decode(), oid.decode(), -1 if size == b"-" else int(size))
        )
    return tuple(entries)


def parse_raw_diff(raw: bytes) -> tuple[Change, ...]:
    """Parse ``git diff-tree -r --raw --numstat -z --no-renames``."""
    fields = raw.split(b"\0")[:-1]
    heads: list[tuple[str, list[str]]] = []
    counts: dict[str, tuple[int, int]] = {}
    at = 0
    while at < len(fields):
        if fields[at].startswith(b":"):
            heads.append((fsdecode(fields[at + 1]), fields[at][1:].decode("ascii").split()))
            at += 2
        else:
            added, deleted, path = fields[at].split(b"\t", 2)
            counts[fsdecode(path)] = (int(added) if added != b"-" else 0, int(deleted) if deleted != b"-" else 0)
            at += 1
    return tuple(Change(path, head[0], head[1], head[2], head[3], *counts.get(path, (0, 0))) for path, head in heads)


def alternates(directories: Iterable[Path]) -> str:
    """A value for GIT_ALTERNATE_OBJECT_DIRECTORIES; quoted, because a path may hold the separator."""
    return ":".join(_quoted(os.fsencode(path)) for path in directories)


def _quoted(raw: bytes) -> str:
    return '"' + "".join(chr(b) if 32 <= b < 127 and b not in b'"\\' else f"\\{b:03o}" for b in raw) + '"'


def check_blob(oid: str, data: bytes) -> bytes:
    """Return ``data`` if it hashes to ``oid``. git does not look again at what it reads.  # D-3"""
    head = b"blob %d\0" % len(data)
    digest = hashlib.sha1(head + data, usedforsecurity=False) if len(oid) == 40 else hashlib.sha256(head + data)
    if digest.hexdigest() != oid:
        raise IntegrityError("object-corrupt", f"git object {oid} does not hash to its name", where=oid)
    return data


def parse_batch(raw: bytes, oids: Sequence[str]) -> Iterator[tuple[str, bytes]]:
    """Parse the answer of ``git cat-file --batch`` to ``oids``; every object must be a blob and intact."""
    at = 0
    for oid in oids:
        end = raw.index(b"\n", at)
        words = raw[at:end].split()
        if len(words) != 3 or words[0].decode() != oid or words[1] != b"blob":
            raise IntegrityError("object-missing", f"git object {oid} is missing or not a blob", where=oid)
        size = int(words[2])
        yield oid, check_blob(oid, raw[end + 1 : end + 1 + size])
        at = end + 1 + size + 1


def promote(stage: Path, target: Path) -> list[Path]:
    """Copy every loose object of ``stage`` into the object directory ``target``; each appears whole or not at all.

    Returns what was made (directories and files). Objects that are already there are left alone. All data is
    on disk before the first object gets its name, so a power loss leaves no torn object behind.
    """
    made: list[Path] = []
    waiting: list[tuple[str, Path]] = []
    try:
        for source in sorted(stage.glob("??/*")):
            folder = target / source.parent.name
            if (folder / source.name).exists():
                continue
            if not folder.is_dir():
                folder.mkdir(exist_ok=True)
                made.append(folder)
            waiting.append((_copy_synced(source, folder), folder / source.name))
        for temporary, final in waiting:
            os.rename(temporary, final)
            made.append(final)
    finally:
        for temporary, _ in waiting:
            Path(temporary).unlink(missing_ok=True)
    return made


def _copy_synced(source: Path, folder: Path) -> str:
    descriptor, name = tempfile.mkstemp(prefix="tmp_obj_", dir=folder)  # git gc removes stale tmp_obj_* by itself
    with os.fdopen(descriptor, "wb") as out:
        out.write(source.read_bytes())
        out.flush()
        os.fchmod(descriptor, 0o444)
        os.fsync(descriptor)
    return name


def restore_owner(made: Iterable[Path], like: Path) -> None:
    """As root in somebody else's repository: give new files to its owner, who must be able to go on using it."""
    if os.geteuid() != 0:
        return
    owner = like.stat()
    for path in made:
        os.chown(path, owner.st_uid, owner.st_gid, follow_symlinks=False)
