"""One question about the diff whose answer is known, and what there is to predict.  # R-2

The question follows from the patch and the binding alone, so that everybody who checks the record gets the same
one. It asks what somebody who read the diff knows and somebody who did not has to guess; it is scored, and never
stops anybody.
Pure. Lines of the patch are a proposer's: choices come out visible.  # T-5
"""

from __future__ import annotations

import hashlib
import random
import re
from collections.abc import Sequence
from dataclasses import dataclass

from festina.propose.text import visible

CHOICES = 3
LINE_CHARACTERS = 120  # a changed line counts as one for each so many characters that it holds or begins  # R-4
BINARY_LINES = 25  # what a binary file counts as, whatever its size: reading longer does not make it readable  # R-4
SHOWN = 120  # characters of a line that a choice shows
_FILE = re.compile(r"^diff --git .* b/(.*)$")
_ESCAPE = re.compile(r"\\([0-3][0-7]{2}|.)")
_LETTERS = {"a": "\a", "b": "\b", "t": "\t", "n": "\n", "v": "\v", "f": "\f", "r": "\r"}
_DIGITS = re.compile(r"\d")


@dataclass(frozen=True, slots=True)
class Question:
    """Exactly one of ``choices`` is right. ``right`` is for who checks, never for the page."""

    text: str
    choices: tuple[str, ...]
    right: int


@dataclass(frozen=True, slots=True)
class Diff:
    """A patch by its lines, without their markers."""

    added: tuple[str, ...]
    removed: tuple[str, ...]
    kept: tuple[str, ...]
    files: tuple[tuple[str, int, int], ...]  # path, added, removed
    amounts: tuple[int, ...] = ()  # how many lines each file counts as  # R-4

    @property
    def lines(self) -> int:
        return len(self.added) + len(self.removed)

    @property
    def amount(self) -> int:
        """Changed lines by what there is to read: a long line counts as several, a file as one at least.  # R-4"""
        return sum(self.amounts)


def headed(patch: bytes, review: int) -> bytes:
    """A patch as a request shows it: its first line is its own, so that no other entry names the same digest.  # R-3"""
    return f"festina review {review}\n".encode() + patch


def bare(patch: bytes) -> bytes:
    """The patch without that line."""
    return patch.partition(b"\n")[2] if patch.startswith(b"festina review ") else patch


def path_of(header: str) -> str:
    """The file of a section of git's own patch, by its ``diff --git`` line: the same name twice, quoted where git does.

    Names may hold `` b/``, quotes and letters of any script. What is no such line comes back as it is.
    """
    both = header.removeprefix("diff --git ")
    old, new = both[: len(both) // 2], both[len(both) // 2 + 1 :]
    if new.startswith('"') and new.endswith('"'):
        new, old = _unquoted(new[1:-1]), _unquoted(old[1:-1])
    return new[2:] if new.startswith("b/") and old == "a/" + new[2:] else both


def _unquoted(text: str) -> str:
    """What git's quotes hold: bytes by octal number, and a few by letter."""
    whole = _ESCAPE.sub(lambda m: chr(int(m[1], 8)) if m[1][0] in "0123" else _LETTERS.get(m[1], m[1]), text)
    return whole.encode("latin-1", "replace").decode("utf-8", "replace")


def counted(line: str) -> int:
    """How many lines a changed line counts as, by its length.  # R-4"""
    return max(1, -(-len(line) // LINE_CHARACTERS))


def read_diff(patch: bytes) -> Diff:
    """Take git's own patch apart. Lines inside a hunk are counted, whatever they look like."""
    added: list[str] = []
    removed: list[str] = []
    kept: list[str] = []
    files: list[_Part] = []
    old = new = 0
    for line in patch.decode(errors="replace").split("\n"):
        if old > 0 or new > 0:
            mark, text = line[:1], line[1:]
            old -= mark in (" ", "-", "")
            new -= mark in (" ", "+", "")
            if mark in "+-" and mark:
                (added if mark == "+" else removed).append(text)
                if files:
                    files[-1].count(mark, text)
            elif mark == " ":
                kept.append(text)
            continue
        if found := _FILE.match(line):
            files.append(_Part(found[1]))
        elif hunk := re.match(r"^@@ -\d+(?:,(\d+))? \+\d+(?:,(\d+))? @@", line):
            old, new = (int(n) if n is not None else 1 for n in hunk.groups())
        elif line == "GIT binary patch" and files:
            files[-1].amount = BINARY_LINES
    rows = tuple((part.path, part.added, part.removed) for part in files)
    return Diff(tuple(added), tuple(removed), tuple(kept), rows, tuple(max(1, part.amount) for part in files))


@dataclass(slots=True)
class _Part:
    """One file of a patch, while it is read."""

    path: str
    added: int = 0
    removed: int = 0
    amount: int = 0

    def count(self, mark: str, text: str) -> None:
        self.added, self.removed = self.added + (mark == "+"), self.removed + (mark == "-")
        self.amount += counted(text)


def question(patch: bytes, binding: str) -> Question:
    """The question for this patch under this binding (sha256 hex)."""
    diff = read_diff(patch)
    coins = random.Random(hashlib.sha256(f"festina-question:{binding}".encode()).digest())
    return _about_lines(diff, coins) or _about_counts(diff, coins)


def answer_digest(binding: str, choice: int) -> str:
    """What a request says of the right choice. Who has the patch can make it anyway; who looks at the record can not
    read it at a glance."""
    return hashlib.sha256(f"festina-answer-1:{binding}:{choice}".encode()).hexdigest()


def _about_lines(diff: Diff, coins: random.Random) -> Question | None:
    """Which of these lines comes in."""
    told = {line.strip() for line in diff.added}
    sort = [line for line in dict.fromkeys(diff.added) if len(line.strip()) >= 4]
    if not sort:
        return None
    right = coins.choice(sort)
    wrong = list(dict.fromkeys(s for x in (*diff.removed, *diff.kept) if len(s := x.strip()) >= 4 and s not in told))
    coins.shuffle(wrong)
    wrong = wrong[: CHOICES - 1]
    for _ in range(20):
        if len(wrong) == CHOICES - 1:
            break
        other = _DIGITS.sub(lambda _: str(coins.randrange(10)), right.strip())
        if other not in told and other not in wrong:
            wrong.append(other)
    if len(wrong) < CHOICES - 1:
        return None
    return _made("Which of these lines does the change add?", right.strip(), wrong, coins)


def _about_counts(diff: Diff, coins: random.Random) -> Question:
    """How many lines come in and go out."""
    true = (len(diff.added), len(diff.removed))
    said = "{} added, {} removed"
    others = {(a + i, max(0, b + j)) for a, b in (true,) for i, j in ((1, 0), (2, 1), (0, 3), (4, 0))}
    wrong = [said.format(*pair) for pair in sorted(others - {true})]
    coins.shuffle(wrong)
    return _made("How many lines does the change add and remove?", said.format(*true), wrong[: CHOICES - 1], coins)


def _made(text: str, right: str, wrong: Sequence[str], coins: random.Random) -> Question:
    choices = [right, *wrong]
    coins.shuffle(choices)
    shown = tuple(visible(choice, lines=False, limit=SHOWN) for choice in choices)
    return Question(text, shown, choices.index(right))
