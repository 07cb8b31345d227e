"""Entry types of the watch over what serves: its plan, its events in order, its end.  # D-3, D-4"""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

from pydantic import BaseModel, ConfigDict, Field

from festina.ledger.base import Body, Count, Number, Oid, Short

CLASS = r"^[A-Za-z0-9][A-Za-z0-9._:-]{0,39}$"  # of a failure, as a service or a judge names it
MOST_CLASSES = 16
Step = Literal["shadow", "canary", "full"]


class WatchStarted(Body):
    """Plan: which content is watched, against which, at which step, and when it is taken back.  # L-4

    ``null`` is the chance that an event speaks against the new version while it is good enough; ``alpha`` bounds the
    chance of ever rolling a good one back. ``least`` is how many requests the step has to see to be passed.
    """

    kind: ClassVar[str] = "watch-started"
    watch: Count
    step: Step
    generation: Count
    commit: Oid
    against: Count | None  # generation of the version beside it; None at the full step
    share: Number  # of the requests that the new version answers; 0 in shadow
    tolerate: Number
    null: Number
    alpha: Number
    least: Count
    score: Number | None = None  # an answer below it failed; None: scores are not looked at
    slower: Number | None = None  # times what the version beside it usually takes; an answer of either beyond it failed
    judged: Literal["status", "service", "judge"] = "status"  # who says how good an answer was


class Classed(BaseModel):
    """Failures of one class: of the new version, and of the one beside it."""

    model_config = ConfigDict(frozen=True, strict=True, extra="forbid")
    name: Annotated[str, Field(pattern=CLASS)]
    new: Count
    beside: Count


class WatchCounted(Body):
    """What came since the last such entry. ``events``: one character each, 1 speaks against the new version."""

    kind: ClassVar[str] = "watch-counted"
    watch: Count
    requests: Count  # in which the new version had a part
    failures: Count  # of the new version
    beside: Count  # requests to the version beside it
    beside_failures: Count
    events: Annotated[str, Field(pattern=r"^[01]*$", max_length=20_000)]
    classes: tuple[Classed, ...] = Field(default=(), max_length=MOST_CLASSES)


class WatchEnded(Body):
    """How it ended. ``took_s``: from the event that decided to the last request that the new version got."""

    kind: ClassVar[str] = "watch-ended"
    watch: Count
    reason: Literal["passed", "rolled-back", "starved", "stopped"]
    detail: Short
    took_s: Number | None = None
