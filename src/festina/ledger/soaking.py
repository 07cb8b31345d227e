"""Entry types of evidence that takes its time: soak runs before a full release, and outcomes that come in days later.

Both have an expiry of their own.  # D-2, D-3, D-4
"""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

from pydantic import BaseModel, ConfigDict, Field

from festina.ledger.base import Body, Count, Digest, Name, Number, Oid, Role

SoakAnswer = Literal["holds", "worse", "cannot tell"]


class SoakTerms(BaseModel):
    """A suite that a content must not do worse on than what is in use, before it is released in full.  # D-3, V-11"""

    model_config = ConfigDict(frozen=True, strict=True, extra="forbid")
    name: Name
    scorer: str
    low: Number
    high: Number
    direction: Literal["higher", "lower"]  # which way is better
    units: Count
    batch_items: Count
    max_loss: Number  # in the suite's own unit
    valid_s: Number  # its evidence is worth nothing after


class OutcomeTerms(BaseModel):
    """What becomes of a release later on: how often it may go badly, how much must be known, for how long.  # D-4"""

    model_config = ConfigDict(frozen=True, strict=True, extra="forbid")
    tolerate: Number  # share of outcomes that may be bad
    least: Count  # outcomes until anything is said for it
    valid_s: Number  # an older outcome says nothing for it; against it, it counts for ever
    alpha: Number  # chance of ever taking back a version that is good enough


class Soaked(Body):
    """One soak suite ran on a generation and on what is in use, paired; scored by the verifier.  # D-3

    ``estimate`` and ``interval`` are of the oriented mean difference, positive is better, in the suite's own unit. The
    interval is one of 95 % the first time, at any stopping time; later its lower end pays for ``failed``, its upper end
    for ``asked`` (``select.report.repeated``). *holds*: all of it lies above ``-max_loss``; *worse*: below it.

    ``asked``: how often this suite was asked about this content, this time included; ``failed``: how often before it
    did not hold. 0 ``asked``: an entry from before this was counted, with 95 %.
    """

    kind: ClassVar[str] = "soaked"
    role: ClassVar[Role] = "verifier"
    measure: Count
    suite: Name
    generation: Count
    tree: Oid
    base: Oid  # the tree that it is compared with
    units: Count
    items: Count
    mean: Number
    base_mean: Number
    estimate: Number
    interval: tuple[Number, Number]
    answer: SoakAnswer
    details: Digest
    asked: Count = 0
    failed: Count = 0


class OutcomesCounted(Body):
    """Outcomes of a generation's work that came in later, in the order in which they happened.  # D-4

    ``events``: one character each, 1: it went badly. ``first``, ``last``: when the earliest and the latest happened
    (RFC 3339). The rows (id, time, bad) are in the content store; that they are true is their bringer's word.
    """

    kind: ClassVar[str] = "outcomes-counted"
    batch: Count
    generation: Count
    commit: Oid
    rows: Digest
    events: Annotated[str, Field(pattern=r"^[01]+$", max_length=20_000)]
    first: str = Field(max_length=64)
    last: str = Field(max_length=64)
