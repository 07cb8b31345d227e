"""Lines as git has them: a line feed ends one, and nothing else does.

``splitlines`` breaks a text at form feeds, line separators and six characters more, bytes at lone carriage returns:
numbers of lines then mean others than those in git's diff, and in Python's own tokens.
"""

from __future__ import annotations

import re
from typing import AnyStr

__all__ = ["lines_of", "starts_of"]


def lines_of(text: AnyStr) -> list[AnyStr]:
    """The lines with their ends; joined they are the text again. The last one may lack its end."""
    if isinstance(text, bytes):
        return [line for line in re.split(rb"(?<=\n)", text) if line]
    return [line for line in re.split(r"(?<=\n)", text) if line]


def starts_of(text: str) -> list[int]:
    """Where each line starts, and where the text ends: one more than there are lines."""
    found = [0]
    for line in lines_of(text):
        found.append(found[-1] + len(line))
    return found
