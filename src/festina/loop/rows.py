"""What the state is made of: one row each for proposals, open tests, generations and reviews.

Filled by the fold in ``state`` alone; everybody else only reads them.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from festina.errors import IntegrityError
from festina.ledger import entries as e
from festina.ledger.log import Record
from festina.propose.types import Target, Word
from festina.review.seats import Seat, Vote
from festina.select import gate
from festina.select.budget import AnyBudget
from festina.select.certified import Step
from festina.select.sameness import Sameness
from festina.select.verifiers import OwnWord


@dataclass(frozen=True, slots=True)
class Plant:
    """A planted defect after its reveal.  # V-7"""

    proposal: int
    defect: str
    basis: str  # construction | public | presumed
    run: int
    word: Word  # what the loop made of it; "accepted" is a miss
    trials: int
    reason: str
    words: tuple[OwnWord, ...] = ()  # of each verifier on its own  # V-5

    @property
    def missed(self) -> bool:
        return self.word == "accepted"

    @property
    def judged(self) -> bool:
        """Whether the gate came to a decision: what was closed by a new epoch or a moved line says nothing."""
        return self.word in ("accepted", "rejected", "refused") or self.reason == "cap"


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
    signed: bool = False  # by the person who made it  # R-1
    patch: str | None = None
    binary: bool = False  # the patch was written by the engine, of files that hold more than text
    plan: str | None = None
    predicted: float | None = None
    target: Target = "gain"  # S-6
    word: Word | None = None
    reason: str = ""
    tree: str | None = None
    moved: bool = False  # the line moved under its test: it is tested again  # S-8
    changed_lines: int = 0
    improver_changed: bool = False
    guard_change: bool = False
    verdict_seq: int | None = None
    estimate: float | None = None  # of the newest verdict, in the suite's unit
    run: int = 0  # in which run it was first asked for
    leaf: str = ""  # of its first request: whether the slot is planted follows from it  # V-7
    received_seq: int | None = None
    origin: str = ""  # commitment to whether it is planted; empty where nothing is planted
    wall_s: float = 0.0
    cpu_s: float = 0.0
    trials: int = 0
    barren_before: int = 0
    words: tuple[OwnWord, ...] = ()  # of the goal's verifier and each further one, on their own  # V-5
    plant: Plant | None = None  # set when it is revealed


@dataclass(slots=True)
class OpenTest:
    """A test that has a plan and no verdict yet."""

    number: int
    proposal: int
    seq: int
    leaf: str  # of the test-opened entry: unit seeds are derived from it  # E-3
    terms: e.TestOpened
    progress: gate.TestState
    before: AnyBudget  # the error budget as it was before this test took its level
    share: float = 0.0  # of this test in what is certified of the line
    batches: int = 0
    attempt: int = 0  # of the batch in flight; 0: none in flight
    units: int = 0  # of the batch in flight
    items: int = 0
    gains: list[float] = field(default_factory=list)
    judged: list[tuple[float, ...]] = field(default_factory=list)  # by unit: what each further verifier saw
    candidate_sum: float = 0.0
    incumbent_sum: float = 0.0
    failed: int = 0
    denied: int = 0
    tampering: tuple[int, int] = (0, 0)  # attempts on the guards by the candidate's improver, and by that in force
    faults: int = 0
    first_item: int = 0  # how many items of the source were issued before this test: its own follow


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
    granted: int | None = None  # released without asking: the signed step that it rests on  # G-7
    denied: bool = False
    doubtful: bool = False  # accepted after the last sound control before a broken one  # V-2
    retired: tuple[int, int] = (0, 0)  # (first, count) of the items of a finite source that its test used up
    public: e.PublicCompared | e.MeasureSkipped | None = None  # V-6
    attribution: e.Attributed | e.MeasureSkipped | None = None  # V-8
    internals: e.InternalsCompared | e.MeasureSkipped | None = None  # V-9
    step: Step | None = None  # what its verdict rests on, for what is certified of the line
    means: tuple[float, float] | None = None  # of the candidate and of the incumbent, in the suite's own unit  # W-1
    trials: int = 0  # charged in all when it was accepted
    target: Target = "gain"  # "productivity": its estimate is about its improver, not about the task  # S-6


    @property
    def fit(self) -> bool:
        """Whether it may be in use: a start, approved, or released under a signed step.  # R-1, G-7"""
        return (self.parent is None or self.approved is not None or self.granted is not None) and not self.denied


@dataclass(slots=True)
class Review:
    """Something that waits, or waited, for a person. ``decision`` is the one that counts, once it does."""

    terms: e.ReviewRequested
    seq: int
    asked: str = ""
    rules: e.ReviewTerms | None = None  # of the epoch in which it was asked for
    decision: e.ReviewDecided | None = None
    decision_at: str = ""
    decision_seq: int = -1
    seats: dict[str, Seat] = field(default_factory=dict)  # by reviewer
    settled: e.ReviewSettled | None = None
    settled_seq: int = -1
    votes: tuple[Vote, ...] = ()  # that it was settled by
    closed: bool = False  # without a decision about the generation: a catch trial, set aside, or put back to review

    @property
    def undecided(self) -> bool:
        return self.decision is None and not self.closed

    @property
    def fits(self) -> bool:
        """Whether it shows no more than one review may.  # R-4"""
        return self.rules is None or self.terms.lines <= self.rules.max_lines


@dataclass(slots=True)
class Twins:
    """The incumbent against itself, over one epoch.  # V-2"""

    test: Sameness
    sound_seq: int  # newest entry at which nothing spoke against sameness
    count: int = 0  # controls begun and ended
    attempt: int = 0  # of the control in flight; 0: none
    units: int = 0  # of the control in flight
    tree: str = ""  # of the control in flight
    leaf: str = ""  # of its first intent: unit seeds follow from it
    judged: int = 0  # units of candidates in this epoch: a share of them is owed
    given_up: int = 0  # controls that could not be finished
    alarm: int | None = None  # the entry that broke the control, until somebody resolves it
    alarms: list[int] = field(default_factory=list)
    resolved: list[e.ControlResolved] = field(default_factory=list)
    total: int = 0  # units over all tests of the epoch


def misfit(record: Record, why: str) -> IntegrityError:
    """An entry that does not fit the state before it: order is state."""
    where = f"entry {record.seq}"
    return IntegrityError("entry-does-not-fit", f"{where} ({record.kind}): {why}", where=where)

