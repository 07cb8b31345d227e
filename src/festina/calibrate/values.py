"""What a forecast says: plain numbers, in the metric's own unit, in runs and in hours; JSON by ``asdict``."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from math import isfinite
from typing import Any, Literal

from festina.calibrate.noise import Source
from festina.calibrate.types import Setting


@dataclass(frozen=True, slots=True)
class Span:
    """A number and the range that goes with how well it is known."""

    value: float
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class Sources:
    """How much scores differ when nothing has become better: standard deviations. None: not told by these runs."""

    score: float  # mean of the version in use
    seeds: Span | None  # of a run's score, from seed to seed
    reruns: Span | None  # of a run's score, the same seed again
    items: Span | None  # from item to item within a run
    clusters: Span | None  # design effect: so many items of a cluster tell as much as one alone
    paired: Span | None  # of the difference of two runs side by side: what the rule sees
    unpaired: Span | None  # of the difference of two runs that share nothing
    pairing: Span | None  # how many times fewer units pairing needs: ratio of the two variances
    source: Source  # where ``paired`` comes from
    pairs: int
    share_items: float | None  # share of items in the variance of a paired difference; the rest is the runs' own
    runs: int
    failed: int
    broken: int  # neighbours that never ran well


@dataclass(frozen=True, slots=True)
class Price:
    """What a test costs: runs (of both sides) and hours with the workers that there are."""

    runs: Span
    hours: Span


@dataclass(frozen=True, slots=True)
class Kind:
    """One kind of proposal: how its tests end."""

    gain: float
    accepted: Span  # share
    price: Price


@dataclass(frozen=True, slots=True)
class Choice:
    """What looking for gains of a size would cost."""

    detect: float
    units_max: int
    found: float  # share of such gains that are accepted
    runs_accepted: float
    runs_rejected: float
    hours_accepted: float
    hours_rejected: float
    proposals: float | None  # that the budget judges


@dataclass(frozen=True, slots=True)
class Point:
    """A point of the power curve: the chance of acceptance at the first test and at the 50th."""

    gain: float
    first: float
    later: float


@dataclass(frozen=True, slots=True)
class Rule:
    """A way to decide, on 100 proposals of the stated mix with this system's noise."""

    name: Literal["once", "mean", "record", "best", "festina"]
    runs: float  # for the 100
    wrong: float  # accepted without being better
    harmful: float  # of these, worse
    found: float  # share of the real gains


AdviceName = Literal["items", "fewer-items", "range", "pairing", "clusters", "workers", "detect", "graded", "guards"]


@dataclass(frozen=True, slots=True)
class Advice:
    """A change of the set-up and what it buys, computed by playing it."""

    name: AdviceName
    before: float  # what is changed: items in a run, range, workers, detect
    after: float
    runs_rejected: tuple[float, float]  # before, after
    runs_accepted: tuple[float, float]
    hours_rejected: tuple[float, float]
    hours_accepted: tuple[float, float]
    reach: tuple[float, float] | None  # smallest gain within the budget


@dataclass(frozen=True, slots=True)
class Claim:
    """What an acceptance would say, and what it costs. None: these runs cannot tell, for the reason in ``why``."""

    name: Literal["artifact", "recipe"]
    paired: float | None
    hours_accepted: float | None
    hours_rejected: float | None
    why: str = ""


@dataclass(frozen=True, slots=True)
class Reach:
    """The smallest gain that is accepted in 8 of 10 cases within so many units a side. None: none at all."""

    units: int
    first: Span | None  # by the first test of a ledger
    later: float | None  # by the 50th
    apart: float | None  # by the first, if candidates shared nothing with what they are compared with but their items
    at_most: bool  # even smaller gains may be in reach: no longer test was played


@dataclass(frozen=True, slots=True)
class Forecast:
    """Everything that can be said beforehand. What hangs on noise is None where it could not be told."""

    name: str
    lower: bool  # lower scores are better
    bounded: bool
    setting: Setting
    noise: Sources
    run_s: float
    train_s: float  # of a training, within ``run_s`` or, where ``setting.once``, before a candidate's test
    batch: int  # units that are run before the next look
    levels: tuple[float, float]  # of the first test and of the 50th
    detect: float | None  # that was looked for; None: not declared, and nothing could be chosen
    detect_chosen: bool  # not declared: chosen here
    units_max: int
    units_least: int  # that any acceptance takes
    units_clean: int  # that a gain of ``detect`` takes without any noise
    kinds: tuple[Kind, ...]  # a proposal that changes nothing, one that gains, one that loses; the first test
    later: tuple[Kind, ...]  # the same at the 50th
    proposals: Span | None  # that the budget judges, with the stated mix
    accepted: Span | None  # of these
    hours_per_acceptance: Span | None
    reach: Reach | None
    choices: tuple[Choice, ...]
    curve: tuple[Point, ...]
    rules: tuple[Rule, ...]
    bottleneck: Literal["items", "runs", "range", "none", "unknown"]
    advice: tuple[Advice, ...]
    claims: tuple[Claim, ...]
    unseen: float | None  # runs of a rejection had one run more failed than did; None: where it was not played
    any_gain: bool  # no noise and no range: ``kinds`` stand for every gain
    notes: tuple[str, ...]


def record(forecast: Forecast) -> dict[str, Any]:
    """As plain data for JSON; what has no upper end is None there."""

    def plain(value: object) -> object:
        if isinstance(value, dict):
            return {key: plain(each) for key, each in value.items()}
        if isinstance(value, list | tuple):
            return [plain(each) for each in value]
        return None if isinstance(value, float) and not isfinite(value) else value

    return {key: plain(value) for key, value in asdict(forecast).items()}
