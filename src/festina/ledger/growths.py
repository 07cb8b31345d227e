"""Entry types of what is known about improving itself: control arms and cross-play.  # W-2

Each problem of a cross-play is charged by a ``MeasureStarted`` of purpose ``crossplay`` and closed in one transaction
with its result, so that what was paid for is kept when the engine dies.
"""

from __future__ import annotations

from typing import ClassVar, Literal

from pydantic import BaseModel, ConfigDict

from festina.ledger.base import Body, Count, Digest, Number, Oid, Role, Short
from festina.ledger.measures import Spread, Words

Answer = Literal["paid", "did not pay", "cannot tell"]


class CrossplayPlanned(Body):
    """Two generations' improvers are to be compared from one start. The plan stands before any data.  # L-4"""

    kind: ClassVar[str] = "crossplay-planned"
    crossplay: Count
    left: Count  # generations
    right: Count
    start: Count
    left_commit: Oid
    right_commit: Oid
    start_commit: Oid
    problems: Count
    units: Count  # paired runs on fresh items by which each product is scored
    wall_s: Number  # limits of one proposing run, the same for both
    cpu_s: Number


class Product(BaseModel):
    """What one improver made of one problem. Where it is no change, the start itself was scored in its place."""

    model_config = ConfigDict(frozen=True, strict=True, extra="forbid")
    word: Literal["proposed", "nothing", "no-op", "refused"]
    reason: Short
    guard_change: bool  # it tried to touch what judges it
    patch: Digest | None
    tree: Oid
    score: Number  # in the suite's own unit
    wall_s: Number
    cpu_s: Number


class CrossplayProblem(Body):
    """One problem's result. ``start``: the start's own score on the same items."""

    kind: ClassVar[str] = "crossplay-problem"
    role: ClassVar[Role] = "verifier"
    crossplay: Count
    problem: Count
    measure: Count
    left: Product
    right: Product
    start: Number
    details: Digest  # canonical JSON: the unit records
    worst: bool = False  # runs without a score count as worse than the start; False: they were left out


class CrossplayEnded(Body):
    """All problems were played. Differences are in the suite's unit, positive is better, 95 % over problems."""

    kind: ClassVar[str] = "crossplay-ended"
    crossplay: Count
    problems: Count
    left: Spread
    right: Spread
    ahead: Spread
    ratio: Spread | None  # None: not identified
    answer: Answer
    sentence: Words


class ArmStarted(Body):
    """A control arm is about to run: the same start and rules, generation 0's improver for ever, the same budget."""

    kind: ClassVar[str] = "arm-started"
    arm: Count
    start_commit: Oid
    head: Count  # of the line that it is the control of
    proposals: Count
    trials: Count
    spent_wall_s: Number  # by the line
    wall_s: Number  # the arm's at most
    calls: Count = 0  # of models, by the line; the arm may use as much
    tokens: Count = 0
    money: Number = 0.0


class ArmEnded(Body):
    """The arm's end beside the line's. The ledger of the arm is named by origin, size and root.

    ``estimate``: the line's head minus the arm's, on fresh items, in the suite's own unit with a 95 % interval.
    """

    kind: ClassVar[str] = "arm-ended"
    arm: Count
    origin: Short
    size: Count
    root: Digest
    tree: Oid
    head: Count
    generations: Count  # accepted, of the arm
    proposals: Count
    trials: Count
    wall_s: Number
    reason: Short
    calls: Count = 0  # of models, by the arm
    tokens: Count = 0
    money: Number = 0.0
    by_changed: Count  # accepted generations of the line that a changed improver proposed
    line_mean: Number
    arm_mean: Number
    estimate: Number
    interval: tuple[Number, Number]
    answer: Answer
    sentence: Words


class ProductivityTerms(BaseModel):
    """How proposals are judged that set out to make the improver better: the unit is one improvement problem.  # S-6"""

    model_config = ConfigDict(frozen=True, strict=True, extra="forbid")
    detect: Number  # more gain than the improver in force, in the suite's own unit
    max_loss: Number  # how much worse at the task itself, in the suite's own unit
    conduct: Number  # how much more often refused, as a share of the problems
    max_units: Count
    anchored: bool = False  # the task is compared with the anchor, too; False: with the version in use alone  # V-4
