"""Whether a job is a call of one Python interpreter that a warm process of it can carry out, and which call.

A pure reading of the command and the environment, no more faithful than it must be: whatever a warm process could
not imitate exactly (other interpreters, flags that change the language, variables that are read at start) is
named, and the job runs in a cold box.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping
from dataclasses import dataclass

from festina.sandbox.runtime import FIXED_ENV

__all__ = ["PythonCall", "interpreter", "read_call"]

_FLAGS = frozenset("IEsBuP")  # without effect here, or imitated


@dataclass(frozen=True, slots=True)
class PythonCall:
    """``kind``: -c, -m or script; ``words``: code, module or path, then its arguments."""

    kind: str
    words: tuple[str, ...]
    isolated: bool  # neither the program's folder nor the working directory are searched for modules
    unbuffered: bool


def interpreter(word: str, path: str) -> str | None:
    """The file that ``word`` starts in a box with this search path, if it looks like a Python."""
    found = word if "/" in word else shutil.which(word, path=path)
    return found if found and os.path.basename(found).startswith("python") else None


def _same(one: str, other: str) -> bool:
    """python and python3 of one folder are one interpreter; equal files in two folders are two environments."""
    return os.path.dirname(one) == os.path.dirname(other) and os.path.realpath(one) == os.path.realpath(other)


def read_call(argv: tuple[str, ...], env: Mapping[str, str], python: str, path: str) -> PythonCall | str:
    """The call, or why a warm process of ``python`` cannot carry it out."""
    found = interpreter(argv[0], path)
    if found is None:
        return "the command is not Python"
    if not _same(found, python):
        return f"the command is another Python than {os.path.basename(python)} of the warm box"
    for name, value in env.items():
        if (name.startswith("PYTHON") or name in FIXED_ENV) and FIXED_ENV.get(name) != value:
            return f"{name} is read when an interpreter starts"
    seen: set[str] = set()
    rest = list(argv[1:])
    while rest and rest[0].startswith("-") and rest[0] not in ("-c", "-m"):
        letters = set(rest.pop(0)[1:])
        if not letters or not letters <= _FLAGS:
            return "the interpreter is started with other flags"
        seen |= letters
    if not rest or (rest[0] in ("-c", "-m") and len(rest) < 2):
        return "the interpreter is given no program"
    kind = rest.pop(0) if rest[0] in ("-c", "-m") else "script"
    return PythonCall(kind, tuple(rest), bool(seen & {"I", "P"}), "u" in seen)
