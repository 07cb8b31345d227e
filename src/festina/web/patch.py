"""A patch for a reader: line by line, coloured by its language, with nothing in it that deceives the eye.  # T-5, R-2

Never a rendering of what the patch holds: Markdown, HTML and SVG are shown as their source. What cannot be seen is
marked and written out; a letter that passes for one of another script is marked with what it reads as. Colours come
from Pygments, for a few languages whose lexers were measured on hostile text; other files go without.
"""

from __future__ import annotations

import html
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from festina.propose.text import visible
from festina.report.markup import Html, raw
from festina.review.questions import path_of
from festina.system.characters import skeleton

LINES = 400  # on one page; a reviewer is not asked to read more at a time  # R-4
LINE_CHARACTERS = 600  # of one row; a longer line takes several
COLOURED_BYTES = 120_000

_WORD = re.compile(r"[^\W\d_][\w]*")
_HUNK = re.compile(r"@@ -(\d{1,9})(?:,\d{1,9})? \+(\d{1,9})(?:,\d{1,9})? @@")
_SHOWN = re.compile(r"<U\+[0-9A-F]{4,6}>")


@dataclass(frozen=True, slots=True)
class Line:
    """``sort``: file, hunk, same, add, del or note. Numbers are those of the old and the new file.

    ``more``: it goes on with the line before it, which is longer than a row: nothing of a line is ever left out.  # R-1
    """

    sort: str
    old: int | None
    new: int | None
    text: str
    markup: Html
    more: bool = False


@dataclass(frozen=True, slots=True)
class Shown:
    """A part of a patch. ``odd`` counts characters that would not have been seen as what they are."""

    lines: tuple[Line, ...]
    first: int
    total: int
    odd: int
    files: tuple[str, ...]


def shown(data: bytes, first: int = 0, most: int = LINES) -> Shown:
    """The lines from ``first`` on, at most ``most`` of them."""
    text = data.decode("utf-8", "replace")
    rows = list(_pieces_of(_rows(text.split("\n")[:-1] if text.endswith("\n") else text.split("\n"))))
    part = rows[first : first + most]
    coloured = _coloured(part) if len(data) <= COLOURED_BYTES else {}
    lines = tuple(
        Line(sort, old, new, body, coloured.get(i) or marked(body), more)
        for i, (sort, old, new, body, _, more) in enumerate(part)
    )
    odd = sum(_count(row[3]) for row in rows)
    return Shown(lines, first, len(rows), odd, tuple(dict.fromkeys(row[4] for row in rows if row[4])))


_Row = tuple[str, int | None, int | None, str, str]  # sort, old number, new number, text, file
_Piece = tuple[str, int | None, int | None, str, str, bool]  # the same, and whether it goes on with the one before


def _pieces_of(rows: Iterable[_Row]) -> Iterator[_Piece]:
    """Rows of at most ``LINE_CHARACTERS``: a longer line goes on in the next.  # R-1"""
    for sort, old, new, body, name in rows:
        yield sort, old, new, body[:LINE_CHARACTERS], name, False
        for at in range(LINE_CHARACTERS, len(body), LINE_CHARACTERS):
            yield sort, None, None, body[at : at + LINE_CHARACTERS], name, True


def _rows(lines: Sequence[str]) -> Iterator[_Row]:
    """(sort, old number, new number, text, file) of each line of a unified diff."""
    old = new = 0
    name, inside = "", False
    for line in lines:
        hunk = _HUNK.match(line)
        if line.startswith("diff --git "):
            name, inside = path_of(line), False
            yield "file", None, None, line, name
        elif hunk:
            old, new, inside = int(hunk[1]), int(hunk[2]), True
            yield "hunk", None, None, line, name
        elif not inside:
            yield "note", None, None, line, name
        elif line.startswith("+"):
            yield "add", None, new, line[1:], name
            new += 1
        elif line.startswith("-"):
            yield "del", old, None, line[1:], name
            old += 1
        elif line.startswith("\\"):
            yield "note", None, None, line, name
        else:
            yield "same", old, new, line[1:], name
            old, new = old + 1, new + 1


def marked(text: str, cls: str = "") -> Html:
    """Text with hidden characters and look-alikes in a mark, escaped."""
    inner = html.escape(text) if text.isascii() and text.isprintable() else "".join(_pieces(text))
    return raw(f'<span class="{cls}">{inner}</span>') if cls else raw(inner)


def _pieces(text: str) -> Iterator[str]:
    at = 0
    for match in _WORD.finditer(text):
        reads = lookalike(match[0])
        if reads is not None:
            yield from _seen(text[at : match.start()])
            title = html.escape(f"look-alike letters: reads as {reads}")
            yield f'<mark title="{title}">{"".join(_seen(match[0]))}</mark>'
            at = match.end()
    yield from _seen(text[at:])


def _seen(text: str) -> Iterator[str]:
    """Escaped; what ``visible`` writes out stands in a mark, and what only looks like its output does not."""
    for char in text:
        if char == "\t" or " " <= char <= "~":
            yield html.escape(char)
            continue
        out = visible(char, lines=False)
        yield html.escape(out) if out == char else f"<mark>{html.escape(out)}</mark>"


def lookalike(word: str) -> str | None:
    """What a word is taken for when its letters only look like those of plain ASCII; None for honest words."""
    if word.isascii():
        return None
    reads = skeleton(word)
    foreign = any(ord(c) > 0x24F and skeleton(c).isascii() for c in word)
    return reads if foreign and reads.isascii() else None


def _count(text: str) -> int:
    if text.isascii() and text.isprintable():
        return 0
    hidden = len(_SHOWN.findall(visible(text, lines=False))) - len(_SHOWN.findall(text)) - text.count("\t")
    return max(0, hidden) + sum(lookalike(m[0]) is not None for m in _WORD.finditer(text))


def _coloured(rows: Sequence[_Piece]) -> dict[int, Html]:
    """Markup by row for the lines of code: each file's old and new side goes through the lexer as one text."""
    found: dict[int, Html] = {}
    for name in dict.fromkeys(row[4] for row in rows):
        lexer = _lexer(name)
        if lexer is None:
            continue
        for sorts in (("del",), ("same", "add")):
            at = [i for i, row in enumerate(rows) if row[4] == name and row[0] in sorts]
            code = [rows[i][3] for i in at]
            if any("\r" in line or "\x0b" in line or "\x0c" in line for line in code):
                continue  # what ends a line for a lexer and for no reader
            found |= dict(zip(at, _lexed(lexer, code), strict=False))
    return found


def _lexed(lexer: Any, code: Sequence[str]) -> list[Html]:  # noqa: ANN401 - Pygments has no types
    from pygments.token import STANDARD_TYPES

    lines: list[list[str]] = [[]]
    for token, value in lexer.get_tokens("\n".join(code)):
        cls = next((STANDARD_TYPES[t] for t in reversed(token.split()) if t in STANDARD_TYPES), "")
        for i, piece in enumerate(value.split("\n")):
            if i:
                lines.append([])
            if piece:
                lines[-1].append(marked(piece, cls))
    return [raw("".join(parts)) for parts in lines[: len(code)]]


def _lexer(name: str) -> Any:  # noqa: ANN401
    """Only lexers that take time in step with the text, whatever stands in it: hostile text is their usual fare."""
    from pygments.lexers import JsonLexer, PythonLexer, TOMLLexer

    known = {"py": PythonLexer, "pyi": PythonLexer, "json": JsonLexer, "jsonl": JsonLexer, "toml": TOMLLexer}
    found = known.get(name.rpartition(".")[2].lower())
    return found(stripnl=False, ensurenl=False) if found is not None else None
