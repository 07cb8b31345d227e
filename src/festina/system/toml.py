"""Strict reading of TOML, and the line on which each key stands (the standard parser does not tell).

``load`` raises ``UsageError`` and nothing else, whatever the bytes are.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Sequence

from festina.errors import UsageError

__all__ = ["lines_of_keys", "load", "nearest_line"]

MAX_BYTES = 256 << 10  # a manifest has a few kilobytes; tomllib takes quadratic time on some inputs

_KEY = r"""(?:[A-Za-z0-9_-]+|"(?:\\.|[^"\\\n])*"|'[^'\n]*')"""
_DOTTED = re.compile(rf"[ \t]*({_KEY}(?:[ \t]*\.[ \t]*{_KEY})*)[ \t]*")
_ONE_KEY = re.compile(_KEY)
_VALUE_TOKEN = re.compile(
    r'"""(?:[^"\\]|\\.|"(?!""))*"{3,5}'
    r"|'''(?:[^']|'(?!''))*'{3,5}"
    r'|"(?:[^"\\\n]|\\.)*"'
    r"|'[^'\n]*'"
    r"|#[^\n]*"
    r"|[\[\]{}\n]"
    r"|[^\[\]{}\n\"'#]+"
    r"|.",
    re.DOTALL,
)
_TOMLLIB_PLACE = re.compile(r" \(at (?:line (\d+), column \d+|end of document)\)$")


def load(data: bytes, where: str) -> tuple[dict[str, object], str]:
    """The parsed document and its text. ``where`` names the file in errors."""
    if len(data) > MAX_BYTES:
        raise UsageError(
            "manifest-too-long", f"{len(data)} bytes are more than the {MAX_BYTES} that a manifest may have",
            fix="keep data in files of their own and name them in the manifest", where=where,
        )  # fmt: skip
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError as error:
        line = data[: error.start].count(b"\n") + 1
        raise UsageError(
            "manifest-not-utf8", "the file is not UTF-8 text", fix="save it as UTF-8", where=f"{where}:{line}"
        ) from None
    try:
        return tomllib.loads(text), text
    except RecursionError:
        words, line = "the nesting is too deep", 1
    except ValueError as error:  # TOMLDecodeError, and plain ones for numbers and dates that Python refuses
        words, line = _syntax_words(str(error), text)
    raise UsageError(
        "manifest-syntax", f"not valid TOML: {words}",
        fix='strings need quotes, lists look like ["a", "b"]; see https://toml.io', where=f"{where}:{line}",
    )  # fmt: skip


def _syntax_words(message: str, text: str) -> tuple[str, int]:
    place = _TOMLLIB_PLACE.search(message)
    if place is None:
        return "a number or date is out of bounds", 1
    line = int(place[1]) if place[1] else text.count("\n") + 1
    return message[: place.start()][:200], line


def lines_of_keys(text: str) -> dict[tuple[str, ...], int]:
    """For every table header and every key outside inline tables: its line, counted from 1. ``text`` is valid TOML."""
    found: dict[tuple[str, ...], int] = {}
    table: tuple[str, ...] = ()
    at, line = 0, 1
    while at < len(text):
        if text[at] in " \t\r\n":
            line += text[at] == "\n"
            at += 1
        elif text[at] == "[":
            match = _DOTTED.match(text, at + (2 if text.startswith("[[", at) else 1))
            if match:
                table = _keys(match[1])
                found.setdefault(table, line)
            at = _end_of_line(text, at)
        elif text[at] != "#" and (match := _DOTTED.match(text, at)):
            keys = table + _keys(match[1])
            for depth in range(len(table) + 1, len(keys) + 1):
                found.setdefault(keys[:depth], line)
            at, passed = _skip_value(text, match.end())
            line += passed
        else:
            at = _end_of_line(text, at)
    return found


def _keys(dotted: str) -> tuple[str, ...]:
    return tuple(key[1:-1] if key[0] in "\"'" else key for key in _ONE_KEY.findall(dotted))


def _end_of_line(text: str, at: int) -> int:
    end = text.find("\n", at)
    return len(text) if end < 0 else end


def _skip_value(text: str, at: int) -> tuple[int, int]:
    """Where the value after a key ends (at its line's end), and how many lines it spans more than one."""
    depth = lines = 0
    for token in _VALUE_TOKEN.finditer(text, at):
        word = token[0]
        if word == "\n" and depth <= 0:
            return token.start(), lines
        lines += word.count("\n")
        depth += (word in ("[", "{")) - (word in ("]", "}"))
    return len(text), lines


def nearest_line(lines: dict[tuple[str, ...], int], path: Sequence[str | int]) -> int:
    """The line of the longest known beginning of ``path``; 1 if none is known."""
    keys = tuple(str(part) for part in path)
    for length in range(len(keys), 0, -1):
        if keys[:length] in lines:
            return lines[keys[:length]]
    return 1
