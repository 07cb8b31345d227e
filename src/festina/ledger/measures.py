"""Entry types of measurements that decide no verdict: what they cost, and what they found.

A measurement is charged by ``MeasureStarted`` before its first run (E-1) and closed by ``MeasureEnded``, which
stands in one transaction with what was found: ``controls-checked`` for the rehearsal of the incumbent,
``public-compared``, ``attributed``, or ``final-scored``. One that was cut off has no end, and is charged all the same.

Effects are differences in the suite's own unit, oriented so that positive is better. A ``Spread`` is
(estimate, low, high); what kind of interval it is stands in the type's docstring.
"""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

from pydantic import BaseModel, ConfigDict, Field

from festina.ledger.base import Body, Count, Digest, Name, Number, Oid, Role, Short

Purpose = Literal[
    "rehearsal", "public", "attribution", "comparison", "final", "crossplay", "characterisation", "history", "soak",
    "internals",
]  # fmt: skip
Spread = tuple[Number, Number, Number]
Method = Literal["ablation", "shapley", "shapley-sampled"]
Words = Annotated[str, Field(max_length=600)]


class MeasureStarted(Body):
    """Intent: runs that decide no verdict are about to be made, and are charged now.  # E-1, L-3, V-3"""

    kind: ClassVar[str] = "measure-started"
    measure: Count
    purpose: Purpose
    generation: Count | None  # what it is about, where it is about one
    attempt: Count  # of this purpose and generation, from 1
    units: Count
    trials: Count
    items: Count  # looks at hidden items, counted now
    source: Digest | None  # digest of the vault source that the items come from
    fresh: bool  # False: the items were issued before, so that a finite suite loses none


class MeasureEnded(Body):
    """End of a measurement. What it found stands beside it in the same transaction."""

    kind: ClassVar[str] = "measure-ended"
    measure: Count
    purpose: Purpose


class MeasureSkipped(Body):
    """A measurement that an accepted generation would have had was not made, and why."""

    kind: ClassVar[str] = "measure-skipped"
    purpose: Purpose
    generation: Count
    reason: Short


class PublicCompared(Body):
    """The public gain of an accepted generation beside its hidden gain, and the gap between them.  # V-6

    ``public`` is the mean over the public items as if they had been drawn like the hidden ones (95 %, Student's t,
    which is approximate), ``hidden`` the verdict's. ``gap`` is public minus hidden; its interval adds both half-widths
    in squares. ``line_*`` are sums over ``generations`` accepted generations of
    this epoch that are on the working line and were compared.
    """

    kind: ClassVar[str] = "public-compared"
    role: ClassVar[Role] = "verifier"
    measure: Count
    generation: Count
    proposal: Count
    items: Count  # public items: the units of this interval
    repeats: Count  # paired runs, each over all items
    public: Spread
    hidden: Spread
    gap: Spread
    generations: Count
    line_public: Spread
    line_hidden: Spread
    line_gap: Spread
    sentence: Words
    details: Digest  # canonical JSON: mean difference of every public item, and the trial records


class HunkEffect(BaseModel):
    """One unit of a change and what it does. ``None``: could not be measured, because what was left did not run.

    ``leave_out`` is the whole change minus the change without this unit; ``alone`` is this unit by itself minus
    nothing; ``share`` its Shapley value. ``guards`` are the same as ``leave_out`` (or ``share``), for each guard.
    """

    model_config = ConfigDict(frozen=True, strict=True, extra="forbid")
    hunks: Count  # how many hunks of the patch it stands for; their places are in ``details``: proposers' names  # T-5
    added: Count  # lines
    removed: Count
    leave_out: Spread | None
    alone: Spread | None
    share: Spread | None
    guards: tuple[Spread, ...]
    verdict: Literal["helps", "harms", "nothing", "unclear", "needed"]


class Attributed(Body):
    """Which hunk of an accepted change caused what, by ablation on items that no proposer will see.  # V-8

    All spreads are 95 % each by themselves, for a number of units fixed before the first run (Student's t, which is
    approximate). ``residue`` is total minus the sum of ``leave_out``.
    """

    kind: ClassVar[str] = "attributed"
    role: ClassVar[Role] = "verifier"
    measure: Count
    generation: Count
    proposal: Count
    method: Method
    tree: Oid
    base_tree: Oid
    units: Count
    broken: Count  # combinations of hunks that did not run even once
    hunks: tuple[HunkEffect, ...]
    total: Spread
    residue: Spread | None
    guards: tuple[Name, ...]  # names, in the order of every ``guards`` above
    details: Digest  # canonical JSON: the hunks' places, and every score


class Distance(BaseModel):
    """One distance of a trained model to a retraining of the version before, beside those of other retrainings."""

    model_config = ConfigDict(frozen=True, strict=True, extra="forbid")
    name: Short  # behaviour, worst behaviour, representations, weights
    candidate: Number
    median: Number  # of the retrainings
    largest: Number


class InternalsCompared(Body):
    """The change inside a model, compared with the change that retraining alone causes, as one p-value.  # V-9

    Exact if the candidate is exchangeable with the retrainings, on average over calibrations; with few
    retrainings one calibration may call more. It says "different", never "worse", and decides nothing.
    """

    kind: ClassVar[str] = "internals-compared"
    role: ClassVar[Role] = "verifier"
    measure: Count
    generation: Count
    proposal: Count
    tree: Oid
    base_tree: Oid
    retrainings: Count  # of the version before, that could be read, beside the reference
    failed: Count  # retrainings that failed or left what cannot be read
    distances: tuple[Distance, ...]
    missing: tuple[Short, ...]  # what the system does not lay open
    score: Number | None  # None, and so p: the candidate's model could not be compared
    largest: Number | None  # score of any retraining
    p: Number | None
    sentence: Words
    details: Digest  # canonical JSON: every distance, tensors that moved most, and the trial records


class Calibrated(Body):
    """The version in use was run to see how its results vary, and what that makes of a run was forecast.  # W-4

    Decides nothing, is charged to no budget, and looked at no hidden item: ``items_from`` says at which ones. Forecasts
    are (value, low, high), for the first test of an epoch, a *run* being one sandboxed run of one tree; ``None``: could
    not be told.
    """

    kind: ClassVar[str] = "calibrated"
    commit: Oid
    manifest: Digest
    items_from: Literal["public", "dedicated", "fresh", "none"]
    runs: Count
    failed: Count
    workers: Count
    level: int
    run_s: Number  # one run, box and scoring included
    detect: Number | None  # the gain that was looked for, in the suite's own unit
    smallest: Spread | None  # smallest gain that 8 of 10 tests would find
    runs_rejected: Spread | None  # runs until a proposal that changes nothing is given up
    runs_accepted: Spread | None  # until one that gains ``detect`` is accepted
    details: Digest  # canonical JSON: measured, setting and forecast

    def sentence(self) -> str:
        """The forecast in words, the same in status and report."""
        parts = []
        if self.smallest is not None:
            parts.append(f"the smallest gain that 8 of 10 tests find is {_two(self.smallest)}")
        if self.runs_rejected is not None:
            parts.append(f"giving up a proposal that changes nothing takes {_two(self.runs_rejected)} runs")
        return f"from {self.runs} runs: " + ("; ".join(parts) or "nothing could be told")


def _two(span: Spread) -> str:
    """A forecast to two digits, which is what it is worth."""
    value, low, high = (f"{float(f'{each:.2g}'):,g}" for each in span)
    return value if low == high else f"{value} ({low} to {high})"
