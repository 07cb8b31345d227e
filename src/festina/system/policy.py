"""``[policy]`` and ``[capability]``: the error budget, how far and how fast the loop may go, how people review."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import AfterValidator, BeforeValidator, Field, model_validator

from festina.system.fields import (
    Direction,
    Duration,
    Name,
    Number,
    Pause,
    Positive,
    Range,
    ScorerName,
    Table,
    a_witness_key,
    an_endpoint,
    as_tuple,
)  # fmt: skip


class Debt(Table):
    """``[policy] debt``: how far the working line may run ahead of people.  # G-3"""

    generations: Positive = 10
    lines: Positive = 2000
    unexplained: Annotated[Number, Field(ge=0, lt=1)] | None = None  # of the gain: by no part of a change's own effect


class Attribution(Table):
    """``[policy] attribution``: which hunk of an accepted change caused what.  # V-8"""

    share: Annotated[Number, Field(ge=0, le=100)] = 0.25


class ReviewPolicy(Table):
    """``[policy.review]``: how people review, how fast at most, and how they are measured.  # R-3, R-4, R-5"""

    people: Annotated[int, Field(ge=1, le=9)] = 1
    lines_per_hour: Annotated[Number, Field(gt=0, le=10**9)] = 500.0
    max_lines: Positive = 400
    per_hour: Positive = 6
    per_day: Positive = 20
    max_waiting: Positive = 10
    cooling_off: Pause = 600.0
    catch_rate: Annotated[Number, Field(ge=0, le=0.9)] = 0.2
    authority: Annotated[Number, Field(ge=0, lt=1)] = 0.0


class Pace(Table):
    """``[policy.pace]``: how far capability may move between complete characterisations.  # G-2"""

    step: Annotated[Number, Field(gt=0, le=100)]
    first: Annotated[Number, Field(ge=0, le=100)] = 1.0
    valid: Duration = 30 * 86400.0


class Tier(Table):
    """One of ``[capability.NAME] tiers``: a score and what must be attested from there on.  # G-1"""

    at: Number
    safeguards: Annotated[tuple[Name, ...], Field(min_length=1, max_length=16), BeforeValidator(as_tuple)]


class Capability(Table):
    """``[capability.NAME]``: what the system can do, measured as a whole; never a goal.  # G-1, V-11"""

    scorer: ScorerName
    direction: Direction = "higher"
    range: Range = (0.0, 1.0)
    units: Annotated[int, Field(ge=10, le=10_000)] = 50
    batch: Annotated[int, Field(ge=1, le=10_000)] = 10
    floor: Annotated[Number, Field(ge=0, le=0.9)] = 0.05
    shows: Positive | None = None
    tiers: Annotated[tuple[Tier, ...], Field(max_length=16), BeforeValidator(as_tuple)] = ()


class Witness(Table):
    """One of ``[policy.witness] witnesses``: its verifier key, and where it answers (none: by files).  # L-2"""

    key: Annotated[str, Field(max_length=400), AfterValidator(a_witness_key)]
    url: Annotated[str, AfterValidator(an_endpoint)] | None = None


class WitnessPolicy(Table):
    """``[policy.witness]``: who outside keeps the newest checkpoint, and refuses a rewritten record.  # L-2"""

    witnesses: Annotated[tuple[Witness, ...], Field(min_length=1, max_length=16), BeforeValidator(as_tuple)]
    quorum: Positive
    max_age: Duration = 86400.0
    release: bool = True

    @model_validator(mode="after")
    def _in_reach(self) -> Self:
        if len({each.key.partition("+")[0] for each in self.witnesses}) != len(self.witnesses):
            raise ValueError("two witnesses have the same name")
        if len({each.key.split("+", 2)[2] for each in self.witnesses}) != len(self.witnesses):
            raise ValueError("two witnesses have the same key")
        if self.quorum > len(self.witnesses):
            raise ValueError(f"a quorum of {self.quorum} is never reached by {len(self.witnesses)} witnesses")
        return self


class Soak(Table):
    """``[suite.soak.NAME]``: what a content must not do worse on, before it is released in full.  # D-3, V-11"""

    scorer: ScorerName
    direction: Direction
    range: Range = (0.0, 1.0)
    units: Annotated[int, Field(ge=10, le=10_000)] = 100
    batch: Annotated[int, Field(ge=1, le=10_000)] = 10
    max_loss: Annotated[Number, Field(gt=0)]
    valid: Duration = 14 * 86400.0


class Outcomes(Table):
    """``[policy.outcomes]``: how often the work of what is in use may turn out badly, days later.  # D-4"""

    tolerate: Annotated[Number, Field(gt=0, lt=1)]
    least: Positive = 100
    valid: Duration = 30 * 86400.0


class DocumentPolicy(Table):
    """``[policy.documents]``: what a release has to have in documents.  # C-1"""

    undetermined: Literal["block", "pass"] = "block"
    update: Name = "eu.model-report-update"


class Policy(Table):
    """``[policy]``: error budget, autonomy, isolation."""

    alpha: Annotated[Number, Field(gt=0, le=0.5)] = 0.05
    error: Literal["familywise", "fdr"] = "familywise"
    beta: Annotated[Number, Field(gt=0, le=0.5)] = 0.1
    spread: Annotated[Number, Field(ge=1, le=10**6)] | None = None  # None: ``terms.spread_of``
    min_level: Literal["L0", "L1", "L2", "L3"] = "L2"
    autonomy: Literal["observe", "propose-only", "release-by-approval", "unattended"] = "release-by-approval"
    debt: Debt = Debt()
    control_share: Annotated[Number, Field(ge=0, le=0.5)] = 0.02
    crossplay_share: Annotated[Number, Field(ge=0, le=0.5)] = 0.15
    plant_rate: Annotated[Number, Field(ge=0, le=0.9)] = 0.05
    attribution: Attribution = Attribution()
    release_steps: tuple[Literal["shadow", "canary"], ...] = ()  # to be passed before a release  # D-3
    review: ReviewPolicy = ReviewPolicy()
    pace: Pace | None = None
    outcomes: Outcomes | None = None
    lease: Duration | None = None
    reverts: Annotated[Number, Field(gt=0, le=1)] = 0.1
    witness: WitnessPolicy | None = None
    documents: DocumentPolicy | None = None
