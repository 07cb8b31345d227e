"""Forecasts of growth: draws of what will be measured, by the posterior's laws and by S-curves.  # W-4

Each law has its share of the draws. Nothing is random but these draws, which follow from ``SEED``.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from festina.watch.curves import curves, shape
from festina.watch.posterior import CELLS, LN2, Array, Filtered, Grid, Posterior, Rows

WALK = 0.15  # natural log a generation: how far the pace may wander in a forecast, at most
HIDES = 0.3  # of a generation's luck: a pace that wanders further than that would have shown itself in the gains
SPREAD = 1.3  # variance of a forecast's gains, of the fitted one: D is known only so well
DRAWS, SEED = 2000, 1
Exponent = Callable[[int, Array], Array]  # log2 of the pace over the base, so many generations on, at levels


def forecast(posterior: Posterior, effort: Array, error: float | None = None) -> Array:
    """Draws of what will be measured: generations ahead x ``DRAWS``, doublings gained from now on.

    ``effort``: of each generation to come, in the series' unit. ``error``: standard error of each measurement, by
    default the last one's. Gains are drawn from the fitted law and, the longer the series, from its own surprises.
    """
    found = curves(posterior)
    turning = round(found.share * DRAWS)
    own = by_laws(posterior, effort, error, _spread(DRAWS - turning))
    if not turning:
        return own
    cell = _spread(turning)
    age, width = found.age[cell], found.width[cell]

    def exponent(ahead: int, x: Array) -> Array:
        return shape(ahead + 1.0, age, width)

    curved = _drawn(posterior, found.grid.take(cell), found.state, cell, exponent, effort, error)
    return np.concatenate([own, curved], axis=1)


def by_laws(posterior: Posterior, effort: Array, error: float | None, cell: Rows) -> Array:
    """By the posterior's laws alone: a draw for each entry of ``cell``, rows of ``picked``."""
    law, count = posterior.picked.take(cell), len(posterior.series.gain)

    def exponent(ahead: int, x: Array) -> Array:
        return np.minimum(law.phi * x + law.drift * (count + ahead), law.cap)

    return _drawn(posterior, law, posterior.state, cell, exponent, effort, error)


def _spread(draws: int) -> Rows:
    """A cell for each draw, evenly."""
    return np.arange(draws) * CELLS // max(draws, 1)


def _drawn(
    posterior: Posterior, law: Grid, state: Filtered, cell: Rows, exponent: Exponent, effort: Array,
    error: float | None,
) -> Array:  # fmt: skip
    """``law``: of each draw; ``state``: of cells."""
    rng, draws = np.random.Generator(np.random.SFC64(SEED)), len(cell)
    sigma = float(posterior.series.error[-1]) if error is None else error
    x = state.level[cell] + np.sqrt(state.variance[cell]) * rng.standard_normal(draws)
    start = posterior.series.gain.sum() if posterior.series.levels else x.copy()
    flat = np.where(law.kind == 0.0, law.spread * posterior.scale * np.exp2(law.log_rate), 0.0)
    steep = np.where(law.kind == 0.0, 0.0, law.spread)
    scores = np.array(state.scores)
    count = len(scores)
    walk, noise, out = np.zeros(draws), np.zeros(draws), np.empty((len(effort), draws))
    for k, each in enumerate(np.asarray(effort, np.float64) / posterior.unit):
        power = exponent(k, x)
        base = np.maximum(each * state.base[cell], 1e-300)
        steady = np.maximum(base * np.exp2(np.clip(power, -300.0, 30.0)), 1e-300)
        wander = np.minimum(WALK, HIDES * np.sqrt(flat / steady + steep))
        walk += (wander * rng.standard_normal(draws) - 0.5 * wander**2) / LN2  # without a trend of its own
        mean = base * np.exp2(np.minimum(power + walk, 30.0))
        process = (flat + steep * mean) * mean
        wide = np.maximum(process * SPREAD, 1e-300)
        drawn = rng.standard_gamma(np.maximum(mean * mean / wide, 1e-3)) * wide / np.maximum(mean, 1e-300)
        own = rng.random(draws) < count / (count + 5.0)
        again = scores[rng.integers(0, count, draws), cell] * np.sqrt(
            (count + 3.0) / count
        )  # a fit is closer than luck
        x = x + np.where(own, mean + np.sqrt(process) * again, drawn)
        if posterior.series.levels:
            out[k] = x - start + sigma * rng.standard_normal(draws)
        else:
            noise += sigma * rng.standard_normal(draws)
            out[k] = x - start + noise
    return out
