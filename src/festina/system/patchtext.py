"""What a patch's text says about itself, before git sees it.

The text decides nothing in favour of a patch: what it does is judged by its effect (``scope``). It can only
refuse early, for what the effect no longer shows (copies, renames, headers that name one file and hunks that
name another) and for sizes that git should not have to read.  # P-1

Lines that start a header (``copy from``, ``new mode`` …) are recognised wherever they stand: no line inside a
hunk can start with a letter, so a forged hunk cannot hide one.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field

__all__ = ["PatchText", "Section", "read_patch", "without_binary"]

_HUNK = re.compile(rb"@@ -\d+(?:,(\d+))? \+\d+(?:,(\d+))? @@")
_MODE = re.compile(rb"(?:old mode|new mode|deleted file mode|new file mode) +(\S*)")
_INDEX_MODE = re.compile(rb"index [0-9a-f]+\.\.[0-9a-f]+ +(\S+)")
_COPY = re.compile(rb"(?:copy from|copy to|rename from|rename to|rename old|rename new) ?(.*)")
_SIMILARITY = re.compile(rb"(?:dis)?similarity index")
# git takes each of these for a binary change, and then fetches the result from the object store by the name on the
# ``index`` line, whatever branch that object is from, before it looks at any data in the patch.
_BINARY = re.compile(rb"GIT binary patch|(?:Binary files|Files) .* differ\s*$")
_HELD = re.compile(rb"^GIT binary patch\n.*?(?=^diff --git |\Z)", re.MULTILINE | re.DOTALL)
_ESCAPE = re.compile(rb"\\([0-7]{3}|.)", re.DOTALL)
_SIMPLE = {b"n": b"\n", b"t": b"\t", b"r": b"\r", b"a": b"\a", b"b": b"\b", b"f": b"\f", b"v": b"\v"}
NOTHING = "/dev/null"
_MAX_HEADER_BYTES = 20_000  # of a line with two names; and ways to split it: keeps hostile lines cheap
_MAX_SPLITS = 16


@dataclass(slots=True)
class Section:
    """One file's part of a patch: the names it uses, ``NOTHING`` for the missing side. Prefixes are stripped."""

    header: tuple[str, str] | None = None  # names on the ``diff --git`` line; None for a traditional patch
    old: str | None = None  # name after ``---``
    new: str | None = None  # name after ``+++``
    raw: list[str] = field(default_factory=list)  # the same names before their prefix was stripped

    def names(self) -> list[str]:
        found = [*(self.header or ()), self.old, self.new]
        return list(dict.fromkeys(name for name in found if name is not None and name != NOTHING))


@dataclass(slots=True)
class PatchText:
    """All that is read from the text of a patch."""

    sections: list[Section] = field(default_factory=list)
    copies: list[str] = field(default_factory=list)  # names in copy and rename headers
    modes: list[str] = field(default_factory=list)
    similarity: bool = False
    binary: bool = False


def read_patch(patch: bytes) -> PatchText:
    """Read the headers of a patch. Never raises: what cannot be understood stays out and is git's to refuse."""
    found = PatchText()
    section: Section | None = None
    old_left = new_left = 0
    for line in patch.split(b"\n"):
        if (old_left or new_left) and line[:1] in (b" ", b"-", b"+", b"", b"\\"):
            old_left -= line[:1] in (b" ", b"-", b"")
            new_left -= line[:1] in (b" ", b"+", b"")
            old_left, new_left = max(old_left, 0), max(new_left, 0)
            continue
        old_left = new_left = 0
        if line.startswith(b"diff --git "):
            section = Section(header=_header_names(line[len(b"diff --git ") :]))
            found.sections.append(section)
        elif line.startswith((b"--- ", b"+++ ")):
            section = _file_line(found, section, line)
        elif section is not None and section.new is not None and (hunk := _HUNK.match(line)):
            old_left, new_left = (int(count[:9]) if count is not None else 1 for count in hunk.groups())
        else:
            _header_line(found, line)
    return found


def without_binary(patch: bytes) -> bytes:
    """A patch that git wrote, for readers: of a binary file it keeps which one changed, not what it holds."""
    return _HELD.sub(b"Binary file, contents left out\n", patch)


def _file_line(found: PatchText, section: Section | None, line: bytes) -> Section:
    """A ``---`` or ``+++`` line; a ``---`` after a complete section starts a traditional one."""
    raw, name = _name(line[4:])
    if section is None or (line[:1] == b"-" and section.old is not None):
        section = Section()
        found.sections.append(section)
    section.raw.append(raw)
    if line[:1] == b"-":
        section.old = name
    else:
        section.new = name
    return section


def _header_line(found: PatchText, line: bytes) -> None:
    if copy := _COPY.match(line):
        found.copies.append(_decode(_unquoted(copy[1])))
    elif _SIMILARITY.match(line):
        found.similarity = True
    elif mode := _MODE.match(line) or _INDEX_MODE.match(line):
        found.modes.append(mode[1].decode("ascii", "replace"))
    elif _BINARY.match(line):
        found.binary = True


def _decode(raw: bytes) -> str:
    return raw.decode("utf-8", "surrogateescape")


def _unquoted(raw: bytes) -> bytes:
    """Undo git's C-style quoting; bytes that are not quoted come back as they are."""
    raw = raw.removesuffix(b"\r")
    if len(raw) < 2 or raw[:1] != b'"':
        return raw

    def one(match: re.Match[bytes]) -> bytes:
        code = match[1]
        return bytes([int(code, 8) & 0xFF]) if len(code) == 3 else _SIMPLE.get(code, code)

    return _ESCAPE.sub(one, raw[1:].split(b'"', 1)[0] if b"\\" not in raw else raw[1:].rsplit(b'"', 1)[0])


def _name(raw: bytes) -> tuple[str, str]:
    """A name after ``---`` or ``+++``: as written, and without its first component (git's ``-p1``)."""
    text = _decode(_unquoted(raw) if raw[:1] == b'"' else raw.removesuffix(b"\r").split(b"\t", 1)[0])
    return text, _strip(text)


def _strip(text: str) -> str:
    if text == NOTHING:
        return NOTHING
    _, slash, rest = text.partition("/")
    return rest if slash else text


def _splits(rest: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Ways to read the two names of a ``diff --git`` line, which git does not separate when unquoted."""
    if rest[:1] == b'"':
        end = re.match(rb'"(?:\\.|[^"\\])*"', rest)
        if end:
            yield end[0], rest[end.end() + 1 :]
        return
    middle = len(rest) // 2
    yield rest[:middle], rest[middle + 1 :]  # names of equal length: all that git writes without renames
    at = -1
    for _ in range(_MAX_SPLITS):
        at = rest.find(b" ", at + 1)
        if at < 0:
            return
        yield rest[:at], rest[at + 1 :]


def _header_names(rest: bytes) -> tuple[str, str]:
    """The two names of a ``diff --git`` line, without prefixes; equal ones are preferred, as git does."""
    first: tuple[str, str] | None = None
    for left, right in _splits(rest.removesuffix(b"\r")[:_MAX_HEADER_BYTES]):
        names = (_strip(_decode(_unquoted(left))), _strip(_decode(_unquoted(right))))
        if names[0] == names[1]:
            return names
        first = names
    return first or (_decode(rest[:_MAX_HEADER_BYTES]), "")
