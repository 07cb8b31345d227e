"""What the verifier's books hold: open tests, the working line, the control; and what does not follow from them."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import NamedTuple

from festina.ledger import entries as e
from festina.select import gate
from festina.select.budget import AnyBudget
from festina.select.sameness import Sameness
from festina.verify import denials


class Mismatch(NamedTuple):
    """A number that is not what the entries before it give."""

    seq: int
    kind: str
    field: str
    recorded: str
    recomputed: str


@dataclass(slots=True)
class Open:
    """A test without a verdict."""

    terms: e.TestOpened
    leaf: str
    progress: gate.TestState
    before: AnyBudget
    gains: list[float] = field(default_factory=list)
    tampering: tuple[int, int] = (0, 0)
    items: int = 0
    batches: int = 0
    attempt: int = 0  # of the batch in flight; 0: none
    units: int = 0
    seeds: str = ""  # digest of the seeds that the intent in flight named
    faults: int = 0


@dataclass(slots=True)
class Line:
    """The working line, as far as verdicts depend on it."""

    numbers: list[int] = field(default_factory=list)
    commits: dict[int, str] = field(default_factory=dict)
    trees: dict[str, str] = field(default_factory=dict)  # by commit
    verdicts: dict[int, e.Verdict] = field(default_factory=dict)  # accepted, by proposal
    proposals: dict[int, int] = field(default_factory=dict)  # by generation
    intent: e.LineIntent | None = None
    asked: denials.Asked = field(default_factory=denials.Asked)  # of people

    @property
    def head(self) -> str:
        return self.commits[self.numbers[-1]] if self.numbers else ""

    @property
    def denial(self) -> bool:
        return any(number in self.asked.denied for number in self.numbers)


@dataclass(slots=True)
class Control:
    """The incumbent against itself in this epoch.  # V-2"""

    test: Sameness
    count: int = 0
    attempt: int = 0
    units: int = 0
    leaf: str = ""
    tree: str = ""
    alarm: int | None = None
    judged: int = 0
