"""Discontinuity and acceleration, tested after every generation with a stated rate of false alarms.  # W-3

- **jump**: this generation gained at least six and a half generations' worth more than foreseen (``RULES``), and a gain
  as large has a small chance under the laws of luck and of noise (``luck.py``) that this run's own gains allow,
  weighted by how well they explain them, so that whoever's gains come in rare leaps is not called every time.
- **drop**: measured capability fell by more than its own error explains, and than outliers do such as this run has had.
- **acceleration**: the evidence that the pace rises, over the best that any law without a rise can say, reaches
  1 / ``FALSE``. It may be looked at for ever: under such laws the chance that it ever gets there is at most ``FALSE``.

The rates hold as far as the laws do. Where single gains leap by themselves (Student's t of 2.5 degrees of freedom)
nobody could keep to 5 %: whoever knew the law would find one jump of ten in four then. A doubled pace is found by none
of these within a few generations; nothing may depend on being told in time.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import numpy as np

from festina.watch import luck
from festina.watch.posterior import LEAST, Array, Grid, Posterior, Series, filtered, fit
from festina.watch.readings import RULE, RULES

Kind = Literal["jump", "drop", "acceleration"]

FALSE, GENERATIONS = 0.05, 40  # false alarms: at most this chance in so many generations
LOW = 3.0  # standard errors below 0 at which a fall is looked at
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
    apart = math.sqrt(2.0) if before.levels and rule >= 3 else 1.0  # a gain is the difference of two levels
    own = error * apart
    if gain < -LOW * own:
        fallen = _fallen(before, gain, own, apart, known) if rule >= 3 else 0.5 * math.erfc(-gain / own / 2.0**0.5)
        if fallen < FALSE / GENERATIONS * (1.0 if rule >= 3 else 0.1):
            return Alarm("drop", count + 1, 0.0, fallen)
    lately = max(float(before.gain[-5:].sum() / before.effort[-5:].sum()), 0.0) if count else 0.0
    if count < EARLIEST or gain <= USUAL * lately * effort:
        return None
    found = fit(before) if rule >= 3 else fit(before, steady=0.0)
    state, picked = found.state, found.picked
    exponent = np.minimum(picked.phi * state.level + picked.drift * count, picked.cap)
    means = np.maximum(effort / found.unit * state.base * np.exp2(np.minimum(exponent, 30.0)), 1e-9)
    size = (gain - float(means.mean())) / float(means.mean())
    if size < least_size:
        return None
    past = earlier(before, found, apart, known)
    if rule < 3:
        chance = luck.first_chance(gain, error, means, past)
    else:
        seen = luck.learnt(*past)
        size = (size + 1.0) / seen.scale - 1.0
        chance = seen.chance(gain, own, means[::4])
    return Alarm("jump", count + 1, size, chance) if size >= least_size and chance < called else None


def earlier(before: Series, found: Posterior, apart: float, known: frozenset[int]) -> tuple[Array, Array, Array]:
    """Gains, their errors and fitted means of generations without an alarm of their own."""
    rows = np.array([g for g in range(len(before.gain)) if g + 1 not in known], np.int64)
    fitted = np.maximum(np.array([float(m.mean()) for m in found.state.means]), 1e-9)
    return before.gain[rows], before.error[rows] * apart, fitted[rows]


def _fallen(before: Series, gain: float, own: float, apart: float, known: frozenset[int]) -> float:
    """Chance of a gain measured so low where capability stands still, outliers such as this run has had included."""
    none = np.empty(0)
    past = earlier(before, fit(before), apart, known) if len(before.gain) >= LEAST else (none, none, none)
    return luck.learnt(*past).fallen(gain, own)


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
