"""Landlock: what a process and all of its children may reach, as a list of (path, access). Linux 5.13 or newer.

Standard library only and no policy here: the engine, the launcher and a process that confines itself inside a
box can all load it. ``ruleset`` makes a descriptor, ``restrict`` puts it on the calling thread for good; the two
may happen in different processes, since the rules hold files and not names. What a kernel's version does not
know is left out and named by ``lacks``: nothing is assumed.

Not covered by any version: connecting to a unix socket by its path, reading the metadata of a file (``stat``),
locks and watches on files that may be read, UDP and every other socket family. Callers close those by seccomp.
"""

from __future__ import annotations

import ctypes
import os
import stat
import struct
from collections.abc import Iterable
from dataclasses import dataclass
from enum import Flag, auto

__all__ = ["Access", "Prepared", "Rule", "abi", "lacks", "make", "prepare", "restrict", "ruleset"]

_CREATE, _ADD, _RESTRICT = 444, 445, 446  # the same numbers on every machine
_VERSION, _PATH_BENEATH = 1, 1  # linux/landlock.h
_EXECUTE, _WRITE_FILE, _READ_FILE, _READ_DIR = 1 << 0, 1 << 1, 1 << 2, 1 << 3
_REMOVE_DIR, _REMOVE_FILE, _MAKE_CHAR, _MAKE_DIR, _MAKE_REG, _MAKE_SOCK = (1 << bit for bit in range(4, 10))
_MAKE_FIFO, _MAKE_BLOCK, _MAKE_SYM, _REFER, _TRUNCATE, _IOCTL_DEV = (1 << bit for bit in range(10, 16))
_FIRST = (1 << 13) - 1  # all that version 1 knows
_TCP = 0b11  # bind and connect
_SCOPES = 0b11  # abstract unix sockets, signals
_ON_FILES = _EXECUTE | _WRITE_FILE | _READ_FILE | _TRUNCATE | _IOCTL_DEV
_REMOVE = _REMOVE_DIR | _REMOVE_FILE
_MAKE = _MAKE_DIR | _MAKE_REG | _MAKE_SOCK | _MAKE_FIFO | _MAKE_SYM | _REFER  # never devices
_libc = ctypes.CDLL(None, use_errno=True)


class Access(Flag):
    """What may be done below a path."""

    READ = auto()  # read files, list directories
    RUN = auto()  # execute files
    WRITE = auto()  # write, make, rename and remove files and directories; never devices
    DEVICE = auto()  # ioctl on device files


_BITS = {
    Access.READ: _READ_FILE | _READ_DIR,
    Access.RUN: _EXECUTE,
    Access.WRITE: _WRITE_FILE | _TRUNCATE | _REMOVE | _MAKE,
    Access.DEVICE: _IOCTL_DEV,
}
_SINCE = (
    (2, "files cannot be moved between folders"),
    (3, "files that may be read can be truncated where the user id allows it"),
    (4, "TCP is not covered"),
    (5, "ioctl on devices is not covered"),
    (6, "processes of the same user can be signalled, and abstract unix sockets reached"),
)


@dataclass(frozen=True, slots=True)
class Rule:
    """``path`` and everything below it may be used as ``access`` says."""

    path: str
    access: Access


def _call(number: int, *args: object) -> int:
    result = int(_libc.syscall(ctypes.c_long(number), *args))
    if result < 0:
        code = ctypes.get_errno()
        raise OSError(code, f"landlock: {os.strerror(code)}")
    return result


def abi() -> int:
    """The version that this kernel speaks; 0 where it has none or it is switched off."""
    try:
        return _call(_CREATE, None, ctypes.c_size_t(0), ctypes.c_uint32(_VERSION))
    except OSError:
        return 0


def lacks(version: int) -> tuple[str, ...]:
    """What ``version`` cannot do, in words."""
    return tuple(words for since, words in _SINCE if version < since)


def _handled(version: int) -> tuple[int, int, int]:
    """Rights on files, on TCP, and scopes that ``version`` knows: all of them are taken away unless granted."""
    files = _FIRST
    files |= _REFER if version >= 2 else 0
    files |= _TRUNCATE if version >= 3 else 0
    files |= _IOCTL_DEV if version >= 5 else 0
    return files, _TCP if version >= 4 else 0, _SCOPES if version >= 6 else 0


@dataclass(frozen=True, slots=True)
class Prepared:
    """Rules in the kernel's own terms: worked out once, made into a ruleset many times."""

    attributes: bytes
    paths: tuple[tuple[str, int], ...]


def prepare(rules: Iterable[Rule], *, version: int | None = None) -> Prepared:
    version = abi() if version is None else version
    files, tcp, scopes = _handled(version)
    words = struct.pack("QQQ", files, tcp, scopes)[: 8 if version < 4 else 16 if version < 6 else 24]
    found = []
    for rule in rules:
        bits = 0
        for access, granted in _BITS.items():
            bits |= granted if access in rule.access else 0
        found.append((rule.path, bits & files))
    return Prepared(words, tuple(found))


def make(prepared: Prepared) -> int:
    """A descriptor of everything the rules allow, and nothing else: no TCP, no signal and no abstract socket beyond
    the confined processes themselves. A path that does not exist is an error, so that no rule is lost unseen."""
    words = prepared.attributes
    made = _call(_CREATE, ctypes.c_char_p(words), ctypes.c_size_t(len(words)), ctypes.c_uint32(0))
    try:
        for path, bits in prepared.paths:
            _add(made, path, bits)
    except OSError:
        os.close(made)
        raise
    return made


def ruleset(rules: Iterable[Rule], *, version: int | None = None) -> int:
    """``prepare`` and ``make`` in one."""
    return make(prepare(rules, version=version))


def _add(made: int, path: str, bits: int) -> None:
    handle = os.open(path, os.O_PATH | os.O_CLOEXEC)
    try:
        if not stat.S_ISDIR(os.fstat(handle).st_mode):
            bits &= _ON_FILES
        words = struct.pack("=Qi", bits, handle)
        _call(_ADD, ctypes.c_int(made), ctypes.c_int(_PATH_BENEATH), ctypes.c_char_p(words), ctypes.c_uint32(0))
    finally:
        os.close(handle)


def restrict(made: int) -> None:
    """Confine the calling thread and all that it starts; there is no way back. ``no_new_privs`` must be set."""
    _call(_RESTRICT, ctypes.c_int(made), ctypes.c_uint32(0))
