"""What a judgement of trust is made of: plain frozen values, no single score anywhere.  # W-5"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Answer = Literal["yes", "no", "cannot tell yet"]
StageName = Literal["proposal", "experimentation", "selection", "deployment", "next rung"]


@dataclass(frozen=True, slots=True)
class Ground:
    """One condition: its answer, the evidence in words, the entries that it rests on.

    ``at`` is when the newest evidence was recorded, ``until`` when it stops counting; both RFC 3339 or empty. ``next``
    says what would turn the answer into a yes, or a *cannot tell* into an answer; empty for a yes.
    """

    name: str
    answer: Answer
    words: str
    seqs: tuple[int, ...] = ()
    at: str = ""
    until: str = ""
    next: str = ""


@dataclass(frozen=True, slots=True)
class Stage:
    """A no in any ground is a no; else what cannot be told in any cannot be told; else yes. No grounds: cannot tell."""

    name: StageName
    question: str
    grounds: tuple[Ground, ...]

    @property
    def answer(self) -> Answer:
        answers = {ground.answer for ground in self.grounds}
        if "no" in answers:
            return "no"
        return "yes" if answers == {"yes"} else "cannot tell yet"

    @property
    def open(self) -> tuple[Ground, ...]:
        """What stands in the way of a yes, the refuted before the unknown."""
        return tuple(g for g in self.grounds if g.answer == "no") + tuple(
            g for g in self.grounds if g.answer == "cannot tell yet"
        )


@dataclass(frozen=True, slots=True)
class Gate:
    """What a gate cost and what it caught. ``cost`` and ``caught`` are in words, with their own units."""

    name: str
    cost: str
    caught: str
    seqs: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class Trust:
    """The whole answer, as of ``at``. ``warning``: the time there would be, against the time that a stop takes."""

    system: str
    at: str
    size: int
    root: str
    demo: bool
    autonomy: str
    rung: str  # the next one; empty on the highest
    stages: tuple[Stage, ...]
    never_probed: tuple[str, ...]
    warning: tuple[str, ...]
    gates: tuple[Gate, ...]
    since: int = 0  # the entry that moved the line to the version in use, or to the newest where none is released


@dataclass(frozen=True, slots=True)
class Checked:
    """What a check of the record, made just now, said: entries, root, findings; ``numbers``: verdicts made again."""

    ok: bool
    words: str
    numbers: bool | None
    number_words: str = ""
