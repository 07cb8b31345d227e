"""Where a quoted piece of a file stands, also where it was quoted a little wrong. Pure.

``place`` tries, in this order, and takes the first that finds exactly one place: the lines as quoted; without blank
lines at both ends; with other white space at line ends; with another indentation (the new lines are then moved by the
same distance); and one place that is nearly the same while nothing else is. Two places are ``Ambiguous`` and never a
guess. Everything but the first is a repair and is told by name.
"""

from __future__ import annotations

import difflib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

__all__ = ["Ambiguous", "Missing", "Placed", "Repair", "place"]

Repair = Literal[
    "blank lines", "white space", "indentation", "nearly the same", "fence", "marker", "path", "format", "json", "value"
]
NEAR = 0.85  # of the characters agree
FINALISTS = 20  # places that look most alike at a glance are compared in full
CLEAR = 0.1  # and no other place comes as close as this
MOST_QUOTED = 2000  # characters of a piece that is searched for as nearly the same: time goes with their square
MOST_COMPARED = 500_000  # characters: a nearly-the-same search over more is not begun


@dataclass(frozen=True, slots=True)
class Placed:
    """The whole text with the piece replaced."""

    text: str
    repair: Repair | None = None


@dataclass(frozen=True, slots=True)
class Ambiguous:
    places: int


@dataclass(frozen=True, slots=True)
class Missing:
    """``nearest``: the line (from 1) where the most similar piece starts; 0 where nothing is similar."""

    nearest: int = 0


def place(text: str, old: str, new: str) -> Placed | Ambiguous | Missing:
    """``text`` with the lines ``old`` replaced by ``new``, or why that cannot be done."""
    lines, search, put = text.split("\n"), old.split("\n"), new.split("\n")
    if text.endswith("\n"):
        lines.pop()
    found = _found(lines, search, lambda line: line)
    if found:
        return _put(text, lines, found, len(search), put, None)
    search, put, trimmed = _trimmed(search, put)
    if not search:
        return Missing()
    stages: list[tuple[Repair, Callable[[str], str]]] = [
        ("blank lines", lambda line: line), ("white space", str.rstrip), ("indentation", str.strip),
    ]  # fmt: skip
    for repair, form in stages:
        if repair == "blank lines" and not trimmed:
            continue
        found = _found(lines, search, form)
        if found and repair == "indentation":
            if len(found) > 1:
                return Ambiguous(len(found))
            put = _moved(put, search, lines[found[0] : found[0] + len(search)])
        if found:
            return _put(text, lines, found, len(search), put, repair)
    return _near(text, lines, search, put)


def _put(
    text: str, lines: Sequence[str], found: Sequence[int], length: int, put: Sequence[str], repair: Repair | None
) -> Placed | Ambiguous:
    if len(found) > 1:
        return Ambiguous(len(found))
    at = found[0]
    kept = [] if list(put) == [""] else put
    result = "\n".join([*lines[:at], *kept, *lines[at + length :]])
    return Placed(result + "\n" if text.endswith("\n") and result else result, repair)


def _found(lines: Sequence[str], search: Sequence[str], form: Callable[[str], str]) -> list[int]:
    """Where ``search`` begins in ``lines``, overlaps included: Knuth, Morris and Pratt, over lines.

    Time goes with the number of lines, whatever repeats in a hostile answer.  # T-5
    """
    wanted = [form(line) for line in search]
    if not any(wanted):
        return []
    known = {line: number for number, line in enumerate(wanted)}  # equal lines, equal numbers: compared once each
    pattern = [known[line] for line in wanted]
    back = _fallbacks(pattern)
    found, matched = [], 0
    for at, line in enumerate(lines):
        number = known.get(form(line), -1)
        while matched and pattern[matched] != number:
            matched = back[matched - 1]
        matched += pattern[matched] == number
        if matched == len(pattern):
            found.append(at + 1 - matched)
            matched = back[matched - 1]
    return found


def _fallbacks(pattern: Sequence[int]) -> list[int]:
    """For each beginning of ``pattern``, the length of its longest proper beginning that is its end, too."""
    back, length = [0], 0
    for number in pattern[1:]:
        while length and pattern[length] != number:
            length = back[length - 1]
        length += pattern[length] == number
        back.append(length)
    return back


def _trimmed(search: list[str], put: list[str]) -> tuple[list[str], list[str], bool]:
    """Without blank lines at the ends of what is searched, and as many fewer at the ends of what is put."""
    front, end = _blank(search), _blank(search[::-1])
    if front == len(search):
        return [], put, front > 0
    put = put[min(front, _blank(put)) :]
    last = min(end, _blank(put[::-1]), max(0, len(put) - 1))
    return search[front : len(search) - end], put[: len(put) - last], front + end > 0


def _blank(lines: Sequence[str]) -> int:
    """How many blank lines stand at the beginning."""
    return next((at for at, line in enumerate(lines) if line.strip()), len(lines))


def _indent(line: str) -> str:
    return line[: len(line) - len(line.lstrip())]


def _moved(put: Sequence[str], quoted: Sequence[str], real: Sequence[str]) -> list[str]:
    """``put`` with the indentation that the file has where ``quoted`` has another: longest known beginning first."""
    known = {_indent(a): _indent(b) for a, b in zip(quoted, real, strict=True) if a.strip()}
    sizes = sorted({len(each) for each in known}, reverse=True)
    moved = []
    for line in put:
        indent = _indent(line)
        base = next((indent[:size] for size in sizes if size <= len(indent) and indent[:size] in known), None)
        moved.append(line if base is None or not line.strip() else known[base] + indent[len(base) :] + line.lstrip())
    return moved


def _near(text: str, lines: Sequence[str], search: Sequence[str], put: Sequence[str]) -> Placed | Ambiguous | Missing:
    size, wanted = len(search), "\n".join(line.strip() for line in search)
    if len(wanted) > MOST_QUOTED or len(lines) * max(1, len(wanted)) > MOST_COMPARED or len(lines) < size:
        return Missing()
    matcher = difflib.SequenceMatcher(autojunk=False)
    matcher.set_seq2(wanted)
    glances: list[tuple[float, int]] = []
    pieces = [line.strip() for line in lines]
    for at in range(len(lines) - size + 1):
        matcher.set_seq1("\n".join(pieces[at : at + size]))
        if matcher.real_quick_ratio() >= NEAR - CLEAR and (glance := matcher.quick_ratio()) >= NEAR - CLEAR:
            glances.append((glance, at))
    scored: list[tuple[float, int]] = []
    for _, at in sorted(glances, reverse=True)[:FINALISTS]:
        matcher.set_seq1("\n".join(pieces[at : at + size]))
        scored.append((matcher.ratio(), at))
    scored.sort(reverse=True)
    if not scored or scored[0][0] < NEAR:
        return Missing(scored[0][1] + 1 if scored else 0)
    best, at = scored[0]
    rivals = [other for ratio, other in scored[1:] if abs(other - at) >= size and ratio > best - CLEAR]
    if rivals:
        return Ambiguous(1 + len(rivals))
    return _put(text, lines, [at], size, _moved(put, search, lines[at : at + size]), "nearly the same")
