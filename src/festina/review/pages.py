"""What a page of a review holds, before it is drawn: values for the terminal, the web and JSON alike.  # R-2

Text of a proposer is still hostile here: ``patch`` and ``in_use`` are raw, everything else is already visible.  # T-5
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from festina.ledger.entries import Classification
from festina.review.seats import Stage


@dataclass(frozen=True, slots=True)
class Row:
    """One review in the queue, as one person sees it. ``decided`` of ``people`` have decided: never who, or what."""

    review: int
    generation: int
    lines: int
    files: int
    improver_changed: bool
    asked: str
    expires: str
    stage: Stage
    left_s: float
    blocked: str
    decided: int
    people: int

    @property
    def headline(self) -> str:
        part = ", changes the improver itself" if self.improver_changed else ""
        some = f", {self.decided} of {self.people} have decided" if self.people > 1 else ""
        return (
            f"review {self.review}: generation {self.generation}, {self.lines} changed lines in {self.files} "
            f"file{'s' if self.files != 1 else ''}{part}{some}; expires {self.expires[:10]}"
        )


@dataclass(frozen=True, slots=True)
class FileRow:
    """One file of the diff. ``marks`` say why it deserves a second look; marked files come first."""

    path: str
    added: int
    removed: int
    marks: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Asked:
    """The question about the diff, without its answer. No choice is selected beforehand."""

    text: str
    choices: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class BlindPage:
    """The change without any claim, score or rationale. ``in_use`` is empty where both diffs are the same."""

    row: Row
    patch: str
    in_use: str
    reviewed_name: str
    in_use_name: str
    files: tuple[FileRow, ...]
    question: Asked
    prediction: str
    confirm: str


@dataclass(frozen=True, slots=True)
class Section:
    title: str
    lines: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class EvidencePage:
    """What was measured, and the proposer's words last. ``answered`` says what the person's answer was worth."""

    row: Row
    sections: tuple[Section, ...]
    confirm: str
    answered: str = ""
    again_s: float = 0.0  # until an approval is possible, after a wrong answer  # R-2


@dataclass(frozen=True, slots=True)
class VoteRow:
    """One person's way through a settled review."""

    reviewer: str
    first: Classification | None
    final: Classification | None
    approve: bool
    reason: str
    answered: bool | None
    predicted: float | None


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of a review, once nothing can be taken back."""

    review: int
    result: Literal["approved", "denied", "catch", "set aside"]
    catch: str
    votes: tuple[VoteRow, ...]
    truth: str
