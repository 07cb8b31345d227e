"""Discontinuity and acceleration, tested after every generation with a stated rate of false alarms.  # W-3

- **jump**: this generation gained at least six generations' worth more than foreseen (``RULES``), and a gain as large
  has a chance below 1 in 200 under the laws of luck that this run's own gains allow (weighted by how
  well they explain them, so that whoever's gains come in rare leaps is not called every time).
- **drop**: measured capability fell by more than its own error explains at that level.
- **acceleration**: the evidence that the pace rises, over the best that any law without a rise can say, reaches
  1 / ``FALSE``. It may be looked at for ever: under such laws the chance that it ever gets there is at most ``FALSE``.

The rates hold as far as the laws do: successes of one or of mixed size, luck in proportion, heavy tails of the families
listed. A doubled pace is found by none of these within a few generations; nothing may depend on being told in time.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import numpy as np

from festina.watch.posterior import LEAST, Array, Grid, Series, filtered, fit
from festina.watch.readings import RULE, RULES

Kind = Literal["jump", "drop", "acceleration"]

FALSE, GENERATIONS = 0.05, 40  # false alarms: at most this chance in so many generations
USUAL = 3.0  # times what the last five brought for the effort: a gain of less is no jump, whatever was foreseen
EARLIEST = 8  # generations before which no jump is judged: the pace is not known
SIZES = ((3.0, "minor"), (10.0, "major"), (30.0, "extreme"))


@dataclass(frozen=True, slots=True)
class Alarm:
    """What was found at a generation (counted from 1). ``size``: of a jump, in generations of the pace before;
    ``chance``: of a gain at least as large by luck, or, of an acceleration, 1 over its evidence."""

    kind: Kind
    generation: int
    size: float
    chance: float

    @property
    def word(self) -> str:
        if self.kind != "jump":
            return self.kind
        return next((word for least, word in reversed(SIZES) if self.size >= least), "small") + " jump"


# -- laws of luck: a generation's gain over its mean ---------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Luck:
    """A law on positive numbers with mean 1. ``family``: erlang (k successes), weibull, lomax."""

    family: str
    shape: float
    weight: float  # before any gain was seen

    def beyond(self, at: Array) -> Array:
        """Chance of more than ``at``."""
        x = np.maximum(at, 0.0)
        if self.family == "erlang":
            rate, terms = self.shape * x, np.ones_like(x)
            total = np.ones_like(x)
            for i in range(1, int(self.shape)):
                terms = terms * rate / i
                total = total + terms
            return np.asarray(np.exp(-rate) * total)
        if self.family == "weibull":
            return np.asarray(np.exp(-((x * math.gamma(1.0 + 1.0 / self.shape)) ** self.shape)))
        return np.asarray((1.0 + x / (self.shape - 1.0)) ** -self.shape)

    def density(self, at: Array) -> Array:
        x = np.maximum(at, 0.15)  # near 0 the laws' poles say nothing about their tails
        if self.family == "erlang":
            k = self.shape
            found = np.exp(k * np.log(k) + (k - 1.0) * np.log(x) - k * x - math.lgamma(k))
        elif self.family == "weibull":
            scaled = x * math.gamma(1.0 + 1.0 / self.shape)
            found = self.shape / x * scaled**self.shape * np.exp(-(scaled**self.shape))
        else:
            found = self.shape / (self.shape - 1.0) * (1.0 + x / (self.shape - 1.0)) ** (-self.shape - 1.0)
        return np.where(at > 0.0, found, 0.0)


LAWS = (
    Luck("erlang", 16, 0.08), Luck("erlang", 8, 0.12), Luck("erlang", 4, 0.12), Luck("erlang", 2, 0.13),
    Luck("erlang", 1, 0.1), Luck("weibull", 0.75, 0.15), Luck("weibull", 0.5, 0.08), Luck("lomax", 4.0, 0.08),
    Luck("lomax", 2.5, 0.08), Luck("lomax", 1.8, 0.06),
)  # fmt: skip
DOUBT = 0.1  # weight of the laws as before any gain was seen: tails show themselves late
NODES, NODE_WEIGHTS = np.polynomial.hermite_e.hermegauss(9)
NODE_WEIGHTS = NODE_WEIGHTS / NODE_WEIGHTS.sum()


def chance_of(gain: float, error: float, means: Array, past: tuple[Array, Array, Array]) -> float:
    """Of a measured gain at least as large, if it is luck. ``means``: draws of what was foreseen.

    ``past``: gains, errors and fitted means of earlier generations, which say what luck is like here.
    """
    gains, errors, fitted = past
    before = np.array([law.weight for law in LAWS])
    weights = before.copy()
    if len(gains):
        low = max(1.0, float((gains / fitted).mean()))  # a robust fit lies low where luck is skewed
        fitted, means = fitted * low, means * low
        ratios = (gains[:, None] - errors[:, None] * NODES) / fitted[:, None]
        for i, law in enumerate(LAWS):
            seen = (law.density(ratios) @ NODE_WEIGHTS) / fitted
            weights[i] *= float(np.exp(np.log(np.maximum(seen * fitted, 1e-6)).sum()))
        weights = (1.0 - DOUBT) * weights / weights.sum() + DOUBT * before if weights.sum() > 0.0 else before
    at = (gain - error * NODES)[None, :] / means[:, None]
    tails = np.array([float((law.beyond(at) @ NODE_WEIGHTS).mean()) for law in LAWS])
    return float(weights @ tails)


# -- after each generation -----------------------------------------------------------------------------------


def judge(
    before: Series, gain: float, error: float, effort: float, known: frozenset[int] = frozenset(), rule: int = RULE
) -> Alarm | None:
    """The newest generation, against what those before it foresee.

    ``known``: generations (from 1) with an alarm of their own: they are no measure of what luck is like.
    ``rule``: version of the thresholds; ``KeyError`` for one that is not known.
    """
    least_size, called = RULES[rule]
    count = len(before.gain)
    drop = 0.5 * math.erfc(-gain / error / math.sqrt(2.0))  # capability that stands still, measured so low
    if drop < FALSE / GENERATIONS / 10.0:
        return Alarm("drop", count + 1, 0.0, drop)
    lately = max(float(before.gain[-5:].sum() / before.effort[-5:].sum()), 0.0) if count else 0.0
    if count < EARLIEST or gain <= USUAL * lately * effort:
        return None
    found = fit(before)
    state, picked = found.state, found.picked
    exponent = np.minimum(picked.phi * state.level + picked.drift * count, picked.cap)
    means = np.maximum(effort / found.unit * state.base * np.exp2(np.minimum(exponent, 30.0)), 1e-9)
    size = (gain - float(means.mean())) / float(means.mean())
    if size < least_size:
        return None
    rows = np.array([g for g in range(count) if g + 1 not in known])
    fitted = np.maximum(np.array([float(m.mean()) for m in state.means]), 1e-9)
    past = before.gain[rows], before.error[rows], fitted[rows]
    chance = chance_of(gain, error, means, past)
    return Alarm("jump", count + 1, size, chance) if chance < called else None


def alarms(series: Series, since: int = 0) -> list[Alarm]:
    """Of every generation after the first ``since``, each judged by what was known before it."""
    found: list[Alarm] = []
    for g in range(max(since, 1), len(series.gain)):
        gain, error, effort = (float(values[g]) for values in (series.gain, series.error, series.effort))
        if g < LEAST:
            continue
        known = frozenset(alarm.generation for alarm in found)
        alarm = judge(series.first(g), gain, error, effort, known)
        if alarm is not None:
            found.append(alarm)
    return found


# -- acceleration --------------------------------------------------------------------------------------------

RISES = np.array([0.02, 0.05, 0.1, 0.2, 0.35, 0.5])
FALLS = -np.array([0.0, 0.02, 0.05, 0.1, 0.2, 0.4])


def acceleration(series: Series) -> float:
    """Evidence that the pace rises: the mean likelihood of laws by which it does, over the best of those by which it
    does not. At least 20 has a chance of at most 1 in 20, however often it is looked at."""
    if len(series.gain) < LEAST:
        return 0.0
    first = max(float(np.mean(series.gain[:LEAST])), 0.2 * float(np.mean(series.error)), 1e-6)
    rates = np.linspace(-4.0, 4.0, 33)
    rising = _cells(RISES, rates[::2], first, series)
    flat = _cells(FALLS, rates, first, series)
    up, still = (filtered(series, grid, first, fade=1.0).evidence for grid in (rising, flat))
    top = float(still[np.isfinite(still)].max())
    return float(np.exp(np.minimum(np.where(np.isfinite(up), up, -np.inf) - top, 50.0)).mean())


def _cells(slopes: Array, rates: Array, first: float, series: Series) -> Grid:
    """Laws whose pace at the *start* is ``first`` 2^rate, in the grid's terms (which are the pace at the end)."""
    spreads = np.array([0.03, 0.08, 0.2, 0.5, 1.2])
    axes = np.meshgrid(slopes, rates, spreads, np.array([0.0, 1.0]), indexing="ij")
    slope, rate, spread, kind = (axis.ravel() for axis in axes)
    cap = np.full_like(slope, 4.0)
    end = np.minimum(slope * float(series.gain.sum()), cap)
    return Grid(slope, np.zeros_like(slope), rate + end, spread, kind, cap)
