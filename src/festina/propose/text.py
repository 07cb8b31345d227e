"""Proposer text made safe to show: what cannot be seen, or turns the line around, is written out.  # T-5

``visible`` replaces every character that a reader would not see as itself by ``<U+XXXX>``: controls
(terminal escapes too), bidirectional marks, zero-width and filler characters, white space that looks
like a blank, tags, variation selectors, private, unassigned and surrogate code points, and floods of
combining marks. Line feeds and tabs stay when ``lines`` is true. Applying it twice changes nothing.

Not covered: letters of other scripts that look alike (the review page marks mixed scripts in diffs), and
what the words say.
"""

from __future__ import annotations

import unicodedata

__all__ = ["rows", "visible"]

MAX_MARKS = 4  # combining marks on one letter; more is a flood that covers neighbouring lines
_HIDDEN_LETTERS = frozenset(
    {0x034F, 0x115F, 0x1160, 0x17B4, 0x17B5, 0x180B, 0x180C, 0x180D, 0x180F, 0x2800, 0x3164, 0xFFA0}
)  # fillers, joiners and variation selectors that are letters or marks to Unicode
_HIDDEN_CATEGORIES = frozenset({"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"})


def _hidden(char: str) -> bool:
    code = ord(char)
    if 0x20 <= code < 0x7F:
        return False
    category = unicodedata.category(char)
    return (
        category in _HIDDEN_CATEGORIES
        or category == "Zs"  # every blank but U+0020 is a look-alike
        or code in _HIDDEN_LETTERS
        or 0xFE00 <= code <= 0xFE0F
        or 0xE0000 <= code <= 0xE0FFF
    )


def rows(text: str) -> list[str]:
    """A text's lines, each visible. Only a line feed ends one: what else some programs break at is written out."""
    return [visible(line) for line in text.removesuffix("\n").split("\n")]


def visible(text: str, *, lines: bool = True, limit: int | None = None) -> str:
    """``text`` with every unseen character written as ``<U+XXXX>``.

    ``lines=False`` also writes out line feeds and tabs, for text shown within one line. ``limit`` caps
    the number of characters of the result; a cut is shown as ``…``.
    """
    out: list[str] = []
    size = marks = 0
    for char in text.replace("\r\n", "\n"):
        marks = marks + 1 if unicodedata.category(char) in ("Mn", "Me") else 0
        keep = (lines and char in "\n\t") or (not _hidden(char) and marks <= MAX_MARKS)
        piece = char if keep else f"<U+{ord(char):04X}>"
        size += len(piece)
        if limit is not None and size > limit:
            out.append("…")
            break
        out.append(piece)
    return "".join(out)
