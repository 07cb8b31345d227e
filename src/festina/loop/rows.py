"""What the state is made of: one row each for proposals, open tests, generations and reviews.

Filled by the fold in ``state`` alone; everybody else only reads them.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from festina.ledger import entries as e
from festina.propose.types import Word
from festina.select import gate


@dataclass(slots=True)
class Proposed:
    """One proposal's way through the loop. ``stage`` says what happens next to it."""

    number: int
    improver: str
    from_generation: int
    base_commit: str
    attempt: int
    seed: int
    stage: str = "requested"  # requested | received | screened | testing | closed
    author: str = ""
    patch: str | None = None
    plan: str | None = None
    predicted: float | None = None
    word: Word | None = None
    reason: str = ""
    tree: str | None = None
    changed_lines: int = 0
    improver_changed: bool = False
    guard_change: bool = False
    verdict_seq: int | None = None


@dataclass(slots=True)
class OpenTest:
    """A test that has a plan and no verdict yet."""

    number: int
    proposal: int
    seq: int
    leaf: str  # of the test-opened entry: unit seeds are derived from it  # E-3
    terms: e.TestOpened
    progress: gate.TestState
    batches: int = 0
    attempt: int = 0  # of the batch in flight; 0: none in flight
    units: int = 0  # of the batch in flight
    items: int = 0
    gains: list[float] = field(default_factory=list)
    candidate_sum: float = 0.0
    incumbent_sum: float = 0.0
    failed: int = 0
    denied: int = 0
    faults: int = 0


@dataclass(slots=True)
class Generation:
    """An accepted commit of the system."""

    number: int
    commit: str
    parent: int | None
    proposal: int | None = None
    author: str = "start"
    verdict: e.Verdict | None = None
    verdict_leaf: str = ""
    improver_changed: bool = False
    changed_lines: int = 0
    approved: int | None = None  # review number
    without_person: bool = False
    denied: bool = False


@dataclass(slots=True)
class Review:
    """Something that waits, or waited, for a person."""

    terms: e.ReviewRequested
    seq: int
    decision: e.ReviewDecided | None = None
    decision_at: str = ""
    decision_seq: int = -1
