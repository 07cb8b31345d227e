"""Blocks in a model's answer: SEARCH/REPLACE edits and fenced files, with the paths that stand before them. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from festina.propose.placing import Repair
from festina.system.characters import path_problem

__all__ = ["MOST_BLOCKS", "NOWHERE", "Edit", "Whole", "find_edits", "find_files"]

_OPEN = re.compile(r"^\s*<{5,9}\s*(?:SEARCH|ORIGINAL|HEAD|OLD)?:?\s*(.*)$", re.IGNORECASE)
_SPLIT = re.compile(r"^\s*={5,9}\s*$")
_CLOSE = re.compile(r"^\s*>{5,9}\s*(?:REPLACE|UPDATED|NEW)?\b.*$", re.IGNORECASE)
_EXACT = (re.compile(r"<{7} SEARCH"), re.compile(r"={7}"), re.compile(r">{7} REPLACE"))
_FENCE = re.compile(r"^\s*(`{3,}+|~{3,}+)([^`]*+)$")  # nothing is given back: a hostile line costs its length  # T-5
_WORDS = re.compile(r"(?i)^(?:file(?:name)?|path|edit|in|update[ds]?|modified|new file)\b\s*:?\s*")
_PATH = re.compile(r"(?=.*(?:/|\w\.\w{1,8}$))[\w./+@-]{1,200}")
LOOK_BACK = 3  # lines before a block in which its path may stand
MOST_BLOCKS = 50  # one more is still read, by which an answer of more is known
NOWHERE = ""  # the path of a block whose label is a path that no tree can hold: "/etc/passwd" is not the file shown


@dataclass(frozen=True, slots=True)
class Edit:
    """``path`` None: none was named; ``NOWHERE``. ``new`` None: the block ends before the divider."""

    path: str | None
    old: str
    new: str | None
    unfinished: bool = False
    repairs: tuple[Repair, ...] = ()


@dataclass(frozen=True, slots=True)
class Whole:
    """A fenced block. ``path`` None: none was named; ``NOWHERE``."""

    path: str | None
    text: str
    unfinished: bool = False
    repairs: tuple[Repair, ...] = ()


def find_edits(text: str, shown: Mapping[str, str]) -> list[Edit]:
    """Every SEARCH/REPLACE block in order. A block without a path has that of the one before."""
    lines = text.split("\n")
    found: list[Edit] = []
    at, last = 0, None
    while at < len(lines) and len(found) <= MOST_BLOCKS:
        opened = _OPEN.match(lines[at])
        if opened is None or (not opened[1] and not re.search(r"(?i)search|original|head|old", lines[at])):
            at += 1
            continue
        edit, after = _block(lines, at)
        named = [opened[1]] if opened[1] else []
        path, repairs = _path([*named, *_before(lines, at)], shown)
        repairs += edit.repairs
        if path is None:
            path = last
        if path is None and len(shown) == 1:
            path, repairs = next(iter(shown)), ("path", *repairs)
        last = path
        found.append(Edit(path, edit.old, edit.new, edit.unfinished, repairs))
        at = after
    return found


def _block(lines: Sequence[str], start: int) -> tuple[Edit, int]:
    divider = end = None
    at = start + 1
    while at < len(lines):
        if divider is None and _SPLIT.match(lines[at]):
            divider = at
        elif divider is not None and _CLOSE.match(lines[at]):
            end = at
            break
        elif _OPEN.match(lines[at]) and "<" * 5 in lines[at]:
            break  # the next block begins before this one has ended
        at += 1
    if divider is None:
        return Edit(None, "\n".join(lines[start + 1 : at]), None, unfinished=True), at
    old, new = list(lines[start + 1 : divider]), list(lines[divider + 1 : at])
    repairs: list[Repair] = []
    if end is None:
        while new and (not new[-1].strip() or _FENCE.match(new[-1])):
            new.pop()
    marks = (lines[start].strip(), lines[divider].strip(), lines[end].strip() if end is not None else "")
    if not all(exact.fullmatch(mark) for exact, mark in zip(_EXACT, marks, strict=True)):
        repairs.append("marker")
    old, bare_old = _unfenced(old)
    new, bare_new = _unfenced(new)
    if bare_old or bare_new:
        repairs.append("fence")
    return Edit(None, "\n".join(old), "\n".join(new), end is None, tuple(repairs)), at + (end is not None)


def _unfenced(lines: list[str]) -> tuple[list[str], bool]:
    if len(lines) >= 2 and _FENCE.match(lines[0]) and _FENCE.match(lines[-1]):
        return lines[1:-1], True
    return lines, False


def find_files(text: str, shown: Mapping[str, str]) -> list[Whole]:
    """Every fenced block, with the path in its first line or just before it."""
    lines = text.split("\n")
    found: list[Whole] = []
    at = 0
    while at < len(lines) and len(found) <= MOST_BLOCKS:
        fence = _FENCE.match(lines[at])
        if fence is None:
            at += 1
            continue
        mark = fence[1]
        end = next((n for n in range(at + 1, len(lines)) if lines[n].strip() == mark), None)
        body = lines[at + 1 : end if end is not None else len(lines)]
        named = [word for word in fence[2].split() if "." in word or "/" in word]
        path, repairs = _path([*named, *_before(lines, at)], shown)
        if path is None and body and body[0].lstrip().startswith(("#", "//")):
            path, repairs = _path([body[0].strip().lstrip("#/").strip()], shown)
        found.append(Whole(path, "\n".join(body), end is None, repairs))
        at = (end if end is not None else len(lines)) + 1
    return found


def _before(lines: Sequence[str], at: int) -> Iterable[str]:
    """The lines just before a block, nearest first, up to the end of another block."""
    for line in reversed(lines[max(0, at - LOOK_BACK) : at]):
        if _CLOSE.match(line):
            return
        if line.strip() and not _FENCE.match(line):
            yield line
        fence = _FENCE.match(line)
        if fence is not None:
            yield from (word for word in fence[2].split() if "." in word or "/" in word)


def _path(candidates: Iterable[str], shown: Mapping[str, str]) -> tuple[str | None, tuple[Repair, ...]]:
    """The first candidate that is a path: one that was shown, one by its last name, one like a new file's, or none that
    a tree can hold.
    """
    for line in candidates:
        plain = line.strip().strip("`*#>-: \t\"'")
        plain = _WORDS.sub("", plain).strip("`*: \t\"'").removeprefix("./")
        for word in dict.fromkeys([plain, *re.findall(r"[\w./+@-]+", plain)]):
            if word in shown:
                return word, () if word == line.strip() else ("path",)
        tail = [path for path in shown if path.rpartition("/")[2] == plain.rpartition("/")[2]] if plain else []
        if len(tail) == 1:
            return tail[0], ("path",)
        if _PATH.fullmatch(plain):
            return (NOWHERE if path_problem(plain) else plain), ()
    return None, ()
