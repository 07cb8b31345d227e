"""Entry types of what holds the loop back: halts and how they end."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

from pydantic import BaseModel, ConfigDict, Field

from festina.ledger.base import Body, Count, Digest, Name, Number, Oid, Role

EndReason = Literal[  # of a run
    "finished", "budget", "exhausted", "interrupted", "waiting", "fault", "crashed", "control", "halted",
]  # fmt: skip
Rung = Literal["observe", "propose-only", "release-by-approval", "unattended"]  # G-7
HaltId = Annotated[str, Field(pattern=r"^[0-9a-f]{16}$")]
Words = Annotated[str, Field(max_length=300)]  # of whoever halted, made plain before they came here


class TierTerms(BaseModel):
    """From this score on the named safeguards must be attested.  # G-1"""

    model_config = ConfigDict(frozen=True, strict=True, extra="forbid")
    at: Number  # in the suite's own unit
    safeguards: tuple[Name, ...]


class CapabilityTerms(BaseModel):
    """A suite that measures what the system can do, as a whole, and decides no verdict.  # G-1, V-11"""

    model_config = ConfigDict(frozen=True, strict=True, extra="forbid")
    name: Name
    scorer: str
    low: Number
    high: Number
    direction: Literal["higher", "lower"]  # of more capability
    units: Count
    batch_items: Count
    tiers: tuple[TierTerms, ...] = ()
    floor: Number = 0.05  # share of the range that is scored without the ability
    shows: Count | None = None  # how often one source's items may be shown before its anchors count no more


class PaceTerms(BaseModel):
    """How far capability may move between complete characterisations.  # G-2"""

    model_config = ConfigDict(frozen=True, strict=True, extra="forbid")
    step: Number  # doublings of the odds of success
    first: Number  # what the next gain is taken for, while none was measured
    valid_s: Number  # a characterisation is worth nothing after


class GovernTerms(BaseModel):
    """How fast the loop may go in an epoch.  # G-2, G-4"""

    model_config = ConfigDict(frozen=True, strict=True, extra="forbid")
    lease_s: Number | None  # a person's sign of life is good for so long; None: for ever
    reverts: Number  # share of accepted changes that may later be taken back
    pace: PaceTerms | None = None
    capabilities: tuple[CapabilityTerms, ...] = ()


class Renewed(Body):
    """A person gives a sign of life, signed by that person's own key: the lease begins anew.  # G-4"""

    kind: ClassVar[str] = "renewed"
    role: ClassVar[Role] = "reviewer"
    reviewer: Name
    without_person: bool


class Characterised(Body):
    """One capability suite ran as a whole on a generation.  # G-1, G-2

    Mean and standard error in the suite's own unit, over units that were answered. With a unit missing it is not
    complete: what a run does not answer says nothing about what it can do.
    """

    kind: ClassVar[str] = "characterised"
    role: ClassVar[Role] = "verifier"
    measure: Count
    generation: Count
    suite: Name
    tree: Oid
    units: Count
    items: Count
    missing: Count
    mean: Number
    error: Number
    details: Digest
    scores: tuple[Number | None, ...] = ()  # means of the first 1,000 units by place, in the suite's own unit


class AnchorsLocked(Body):
    """A suite's ability scale begins: the difficulty of each unit of items, from one version's scores, for good.  # G-1

    A pure function of the characterisation ``measure`` (and, where ``linked``, of where that version stood on the scale
    before), so everybody can make the numbers again. ``at``, ``at_error``: where that version stands, in doublings;
    difficulties and their errors in logits, by place; None: the unit was not answered. That the same items are asked
    each time is the engine's word.
    """

    kind: ClassVar[str] = "anchors-locked"
    suite: Name
    measure: Count
    generation: Count
    source: Digest
    items: Count  # a unit
    floor: Number
    linked: bool
    at: Number
    at_error: Number
    difficulties: tuple[Number | None, ...] = Field(max_length=200)
    errors: tuple[Number, ...] = Field(max_length=200)


class AnchorsLeaked(Body):
    """Items of these anchors stand in a generation's tree, word for word: they measure memory from now on.  # G-1"""

    kind: ClassVar[str] = "anchors-leaked"
    suite: Name
    source: Digest
    generation: Count
    places: tuple[Count, ...] = Field(min_length=1, max_length=200)


class Attested(Body):
    """A person states that a safeguard is in place until a date; signed by that person's own key.  # G-1"""

    kind: ClassVar[str] = "attested"
    role: ClassVar[Role] = "reviewer"
    safeguard: Name
    expires: str = Field(max_length=64)  # RFC 3339
    reviewer: Name
    reason: Digest  # what it rests on, in the content store
    without_person: bool


class AutonomyStepped(Body):
    """A person moves the loop one rung up the ladder of autonomy, or any number down; their key signs.  # G-7

    ``trust`` is what ``festina trust`` said of the rung, and ``cites`` the entries that this rests on. ``expires`` (RFC
    3339) is asked for on the highest rung alone. A step up counts once as many people have signed it as reviews take.
    """

    kind: ClassVar[str] = "autonomy-stepped"
    role: ClassVar[Role] = "reviewer"
    before: Rung
    rung: Rung
    expires: str | None = Field(default=None, max_length=64)
    trust: Literal["yes", "no", "cannot tell yet"]
    cites: tuple[Count, ...] = Field(default=(), max_length=256)
    reviewer: Name
    reason: Digest
    without_person: bool


class Halted(Body):
    """Somebody stopped everything; only a signed ``Resumed`` ends it.  # G-5, D-5

    Written after the effect. ``by`` is what the operating system called the user: a halt needs no key.
    """

    kind: ClassVar[str] = "halted"
    halt: HaltId
    by: Words
    since: str = Field(max_length=64)  # RFC 3339, by the clock of the machine that halted
    reason: Words
    processes: Count | None = None  # ended by it; None where another command recorded the halt later
    took_s: Number | None = None  # from the marker to the last of them dead
    left: Count = 0  # that could not be ended


class Resumed(Body):
    """A person ends these halts; signed by that person's own key.  # G-5"""

    kind: ClassVar[str] = "resumed"
    role: ClassVar[Role] = "reviewer"
    halts: tuple[HaltId, ...] = Field(min_length=1, max_length=256)
    reviewer: Name
    reason: Digest  # text in the content store
    without_person: bool
