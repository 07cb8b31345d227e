"""Read a box's results: after everything in it is dead, without following anything, under caps.  # T-3

``pinned`` is a descriptor of the box's own ``/out``, opened before the first instruction of the job: the
mount stays alive through it when the box is gone, and nothing has to be unmounted after a crash. Refused:
links of any kind, a second name (hard link), FIFOs, devices, sockets, directories in place of files,
``..`` and absolute names, other file systems, sparse giants. What is read is a private copy; callers hash
and parse the copy.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from dataclasses import dataclass

from festina.sandbox.job import Ended, Limits
from festina.sandbox.kernel import open_beneath

__all__ = ["Harvest", "after_harvest", "harvest"]

_FLAGS = os.O_RDONLY | os.O_NONBLOCK | os.O_NOFOLLOW | os.O_NOCTTY
_DEPTH = 32


@dataclass(frozen=True, slots=True)
class Harvest:
    """``refused``: name and reason. ``over``: the caps on size or count were exceeded, reading stopped."""

    files: dict[str, bytes]
    refused: tuple[tuple[str, str], ...]
    over: str = ""


def harvest(pinned: int, names: tuple[str, ...] | None, limits: Limits) -> Harvest:
    """Declared ``names``, or every plain file where ``names`` is None."""
    files: dict[str, bytes] = {}
    refused: list[tuple[str, str]] = []
    room = limits.output_bytes
    wanted = _walk(pinned, b"", refused, limits.output_files) if names is None else iter(names)
    for count, name in enumerate(wanted):
        if count >= limits.output_files:
            return Harvest(files, tuple(refused), f"more than {limits.output_files} output files")
        data = _read(pinned, name, room)
        if isinstance(data, str):
            refused.append((name, data))
            if data == _TOO_LARGE:
                return Harvest(files, tuple(refused), f"{name}: output over {limits.output_bytes} bytes")
            continue
        room -= len(data)
        files[name] = data
    return Harvest(files, tuple(refused))


_TOO_LARGE = "too large"


def after_harvest(ended: Ended, found: Harvest, names: tuple[str, ...] | None) -> tuple[Ended, list[str]]:
    """The end once the results were read: only an ``ok`` can still turn into something else.  # E-2, T-6"""
    notes = [found.over] if found.over else []
    notes += [f"{name!r}: {why}" for name, why in found.refused[:8]]
    if ended is Ended.OK and found.over:
        return Ended.OUTPUT_LIMIT, notes
    if ended is Ended.OK and names is not None and found.refused:
        return Ended.NO_RESULT, notes
    return ended, notes


def _read(pinned: int, name: str, room: int) -> bytes | str:
    """The bytes, or why not."""
    if not name or name.startswith("/") or "\0" in name or ".." in name.split("/"):
        return "not a name below /out"
    try:
        fd = open_beneath(pinned, os.fsencode(name), _FLAGS)
    except OSError as error:
        return "missing" if isinstance(error, FileNotFoundError) else f"not a plain file ({error.strerror})"
    try:
        status = os.fstat(fd)
        if not stat.S_ISREG(status.st_mode):
            return "not a plain file"
        if status.st_nlink != 1:
            return "has a second name (hard link)"
        if status.st_size > room:
            return _TOO_LARGE
        data = bytearray()
        while chunk := os.read(fd, min(1 << 20, room + 1 - len(data))):
            data += chunk
            if len(data) > room:
                return _TOO_LARGE
        return bytes(data)
    finally:
        os.close(fd)


def _walk(pinned: int, below: bytes, refused: list[tuple[str, str]], most: int, depth: int = 0) -> Iterator[str]:
    """Names of what looks like a plain file, in byte order; each is judged again when it is opened."""
    try:
        fd = open_beneath(pinned, below or b".", os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
    except OSError as error:
        refused.append((os.fsdecode(below), f"unreadable ({error.strerror})"))
        return
    try:
        with os.scandir(fd) as listing:
            entries = sorted(_some(listing, most), key=lambda entry: os.fsencode(entry.name))
        for entry in entries:
            path = os.path.join(below, os.fsencode(entry.name))
            name = os.fsdecode(path)
            if any(0xDC80 <= ord(char) <= 0xDCFF for char in entry.name):
                refused.append((ascii(name), "the name is not UTF-8"))
            elif entry.is_dir(follow_symlinks=False):
                if depth >= _DEPTH:
                    refused.append((name, "too deep"))
                else:
                    yield from _walk(pinned, path, refused, most, depth + 1)
            elif entry.is_file(follow_symlinks=False):
                yield name
            else:
                refused.append((name, "not a plain file"))
    finally:
        os.close(fd)


def _some(listing: Iterator[os.DirEntry[str]], most: int) -> Iterator[os.DirEntry[str]]:
    """At most one more than may be there: a directory of a million names is not read to its end."""
    for count, entry in enumerate(listing):
        if count > most:
            return
        yield entry
