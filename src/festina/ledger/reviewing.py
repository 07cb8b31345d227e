"""A review step by step: who looked when, what they made of it before the evidence, what came of it.  # R-1 to R-5

The reviewer signs each step with a key of their own; the engine signs only ``review-settled``, which opens what a
request sealed and says which decisions count, and ``review-brought``, which carries a step that was signed elsewhere.
A step out of order is recorded without effect: a person's key alone can never stop a ledger.
"""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

from pydantic import BaseModel, ConfigDict, Field

from festina.ledger.base import Body, Count, Digest, Name, Number, Oid, Role, Short

Classification = Literal["sound", "scope", "integrity", "capability", "unsure"]
Outcome = Literal["approve", "deny", "catch", "void"]
Share = Annotated[float, Field(ge=0, le=1, allow_inf_nan=False)]


class ReviewTerms(BaseModel):
    """How people review in an epoch: how many, how fast at most, and how they are measured themselves.  # R-3, R-4"""

    model_config = ConfigDict(frozen=True, strict=True, extra="forbid")
    people: Count  # decisions that a review needs  # R-5
    lines_per_hour: Number  # nobody classifies faster than this
    max_lines: Count  # changed lines that one review may show
    per_hour: Count  # reviews that one person may begin in an hour
    per_day: Count
    max_waiting: Count  # reviews that may wait before no new proposal is begun
    cooling_off_s: Number  # how long a decision can be taken back, and does not count yet
    catch_rate: Share  # of the requests: planted bad ones; sealed: ``catch_secret``
    authority: Share  # what the lower bound of a person's hit rate must reach for approvals to count


class ReviewOpened(Body):
    """The diff was put before this person: reading time runs from here.  # R-4"""

    kind: ClassVar[str] = "review-opened"
    role: ClassVar[Role] = "reviewer"
    review: Count
    binding: Digest
    reviewer: Name
    in_use: Oid  # the commit that was in use then, against which it was shown, too  # R-2
    without_person: bool


class ReviewClassified(Body):
    """What a person made of the diff before any evidence, any score or any claim was shown.  # R-2

    ``cite`` is the text of what they point at, ``answer`` the number of a choice of the generated question, and
    ``predicted`` their probability that the measured gain is at least the one the suite looks for.
    """

    kind: ClassVar[str] = "review-classified"
    role: ClassVar[Role] = "reviewer"
    review: Count
    binding: Digest
    reviewer: Name
    classification: Classification
    cite: Digest
    answer: Count
    predicted: Share
    without_person: bool


class ReviewWithdrawn(Body):
    """A person takes a decision back that does not count yet.  # R-1"""

    kind: ClassVar[str] = "review-withdrawn"
    role: ClassVar[Role] = "reviewer"
    review: Count
    binding: Digest
    reviewer: Name
    decided: Count  # the entry with the decision
    reason: Digest


class ReviewSettled(Body):
    """Nothing can be taken back any more: these decisions count, and what was sealed is opened.  # R-1, R-3

    ``origin`` is what the request sealed: ``real:COMMIT``, or ``catch:KIND:BASIS:PLACE``. ``void``: approved by
    somebody whose approvals do not count, so that it must be asked again.
    """

    kind: ClassVar[str] = "review-settled"
    review: Count
    outcome: Outcome
    votes: tuple[Count, ...]  # the entries with the decisions
    origin: Short
    salt: Annotated[str, Field(pattern=r"^([0-9a-f]{64})?$")]  # empty where nothing was sealed
    answer: Count  # the right choice of the generated question


class ReviewHanded(Body):
    """The diff was written to a file for this person: reading time runs from here.  # R-4"""

    kind: ClassVar[str] = "review-handed"
    review: Count
    binding: Digest
    reviewer: Name
    in_use: Oid


class ReviewsReceived(Body):
    """Steps of people stand here whose clocks are ahead of the engine's: they count as made by now.  # R-4"""

    kind: ClassVar[str] = "reviews-received"
    reviews: tuple[Count, ...]


class ReviewBrought(Body):
    """A step that a person signed elsewhere. ``statement`` is its JSON, with that person's own signature.  # T-1"""

    kind: ClassVar[str] = "review-brought"
    step: Literal["review-classified", "review-decided", "review-withdrawn"]
    statement: Annotated[str, Field(max_length=4_000)]
    keyid: Annotated[str, Field(pattern=r"^[0-9a-f]{16}$")]
    sig: Annotated[str, Field(pattern=r"^[A-Za-z0-9+/]{86}==$")]
