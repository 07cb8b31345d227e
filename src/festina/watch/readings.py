"""What is read off a run's growth: plain values, for whoever must not load numpy to know them.  # W-1, W-3, W-4"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal

LEAST = 3  # measured generations before anything is said of growth
# Alarms, by version: least size of a jump, chance below which it is called. The numbers were set on simulated logs,
# since mixtures of laws are cautious. From 3 on: more laws of luck, laws of noise, and a pace that may stand still.
RULES = {1: (5.0, 0.003), 2: (6.0, 0.005), 3: (6.5, 0.006)}
RULE = 3  # of new alarms
Tendency = Literal["speeding up", "slowing down", "cannot tell"]
SHOWN = 0.95  # chance at which a tendency is told
SOON, LIKELY = 60, 0.8  # more generations that are looked ahead for when it will be, and share of cases in which it is


def tendency_of(speeding_up: float) -> Tendency:
    """``speeding_up``: chance that the pace rises, and half of the chance that it does not change."""
    return "speeding up" if speeding_up > SHOWN else "slowing down" if speeding_up < 1.0 - SHOWN else "cannot tell"


@dataclass(frozen=True, slots=True)
class Score:
    """One forecast and what came. ``crps``, ``line``: doublings. ``place``: share of the forecast below what came."""

    origin: int  # generations known
    ahead: int
    crps: float
    line: float  # absolute miss of the straight line, which is the CRPS of a forecast without a width
    place: float


@dataclass(frozen=True, slots=True)
class Scored:
    """All forecasts of one horizon; at least one."""

    ahead: int
    scores: tuple[Score, ...]

    @property
    def crps(self) -> float:
        return sum(s.crps for s in self.scores) / len(self.scores)

    @property
    def line(self) -> float:
        return sum(s.line for s in self.scores) / len(self.scores)

    def covered(self, level: float) -> float:
        """Share of intervals of ``level`` that held what came."""
        edge = (1.0 - level) / 2.0
        return sum(edge < s.place < 1.0 - edge for s in self.scores) / len(self.scores)


@dataclass(frozen=True, slots=True)
class Gain:
    """One accepted generation: ``doublings`` with its standard ``error``, for ``effort`` runs since the one before."""

    generation: int
    doublings: float
    error: float
    effort: int


@dataclass(frozen=True, slots=True)
class Reading:
    """What may be said of the growth of a line with at least ``LEAST`` measured generations. Pairs: (5 %, 95 %)."""

    gains: tuple[Gain, ...]
    tendency: Tendency
    speeding_up: float  # chance that the pace rises, for whatever reason; half of ``steady`` counts for it
    compounding: float  # chance that capability itself makes the next gain cheaper
    drifting: float  # chance that the pace goes by time
    phi: tuple[float, float, float]  # 5, 50, 95 %
    pace: tuple[float, float, float]  # doublings that the mean effort brings now
    next_gain: tuple[float, float]  # of the next generation at the mean effort: mean, 95 % upper
    ahead: tuple[tuple[int, float, float, float], ...]  # (generations, 5, 50, 95 %) of doublings to come
    escape: float  # chance that capability diverges within three generations, but for a limit of speed
    divergence: float | None  # median generations to that; None: it may well never
    evidence: float  # that the pace rises; 20 is shown at 1 in 20, however often it was looked at
    more: int | None  # generations until the tendency is told in ``LIKELY`` of cases, if the pace does change
    trust: bool | None  # of forecasts; None with too few
    scores: tuple[Scored, ...]
    steady: float = 0.0  # chance that the pace does not change
    within: float | None = (
        None  # share of cases in which ``SOON`` more tell, if it does change; None: told, or it hardly does
    )

    @property
    def rises(self) -> float:
        return self.speeding_up - 0.5 * self.steady

    @property
    def falls(self) -> float:
        return 1.0 - self.speeding_up - 0.5 * self.steady


def still_true(before: Reading | None, made: Sequence[Gain]) -> tuple[Score, ...]:
    """Scores of an earlier reading that hold for ``made`` as well: those whose generations are the same in both."""
    if before is None:
        return ()
    same = 0
    for mine, theirs in zip(made, before.gains, strict=False):
        if mine != theirs:
            break
        same += 1
    return tuple(s for record in before.scores for s in record.scores if s.origin + s.ahead <= same)


def plain(reading: Reading) -> dict[str, Any]:
    """As values for JSON; ``of_plain`` reads them back."""
    return asdict(reading)


def of_plain(values: dict[str, Any]) -> Reading:
    """The reading that ``plain`` wrote. ``TypeError`` for anything else."""
    parts: dict[str, Any] = {name: _tuples(value) for name, value in values.items()}
    parts["gains"] = tuple(Gain(**each) for each in values["gains"])
    parts["scores"] = tuple(
        Scored(each["ahead"], tuple(Score(**score) for score in each["scores"])) for each in values["scores"]
    )
    return Reading(**parts)


def _tuples(value: Any) -> Any:  # noqa: ANN401 - JSON
    return tuple(_tuples(each) for each in value) if isinstance(value, list) else value
