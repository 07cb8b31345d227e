"""S-curves, as further laws of a forecast: a pace that rises to a top, turns and dies away.  # W-4

The laws of ``posterior`` rise or fall for ever, so their intervals do not hold where a pace turns. Here the pace goes
by time as that of a logistic curve does,

    pace(t) = now sech^2(z / 2 + (t - now) / 2 w) / sech^2(z / 2)

over a grid of how long ago the top was (``z``, in widths ``w``; below 0: still to come, and then at most 1.7 times the
pace now, since beyond that a curve is a rise and the other laws have those), of ``w``, and of pace and luck as there.
An S-curve is one law from its start to its end, so its cells are weighed by evidence that does not fade; against the
other laws all of them together stand with evidence that fades like theirs. They enter forecasts alone: what is said of
the tendency, and alarms, go by the posterior's laws.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from festina.watch.posterior import (
    FADE,
    FINE_SPREAD,
    LN2,
    RATE_SD,
    Array,
    Filter,
    Filtered,
    Grid,
    Posterior,
    Rows,
    Series,
    picks,
    weights_of,
    worth_of,
)

PRIOR = 0.05  # chance of an S-curve, before any gain was seen
AGES = np.linspace(-1.5, 4.0, 9)  # z
WIDTHS = np.exp(np.linspace(np.log(3.0), np.log(18.0), 6))  # generations
PAIRS = np.repeat(AGES, len(WIDTHS)), np.tile(WIDTHS, len(AGES))
RATES, SPREADS = np.linspace(-2.2, 2.2, 12), (0.05, 0.2, 0.8)  # log2 of the pace now, and D, of the coarse grid
OFFSETS = np.linspace(-2.5, 2.5, 9)  # of the fine one, standard deviations of the pace
MOST, LEAST_SHARE = 20, 1e-3  # pairs of age and width that are refined, and share below which one is not


@dataclass(frozen=True, slots=True)
class Curves:
    """``CELLS`` S-curves in proportion to their weights. ``share``: of all laws, those that are S-curves."""

    age: Array
    width: Array
    grid: Grid  # pace now and luck
    state: Filtered
    share: float


def shape(after: Array | float, age: Array, width: Array) -> Array:
    """Log2 of the pace so many generations after now, over that now; at least -60."""
    there, here = (np.abs(z) / 2.0 for z in (age + after / width, age))
    height = [-2.0 * (u + np.log1p(np.exp(-2.0 * u))) for u in (there, here)]
    return np.maximum((height[0] - height[1]) / LN2, -60.0)


def curves(posterior: Posterior) -> Curves:
    """What the posterior's series says of S-curves."""
    series, scale = posterior.series, posterior.scale
    where, height, sd, kept = _coarse(series, scale)
    row, (off, spread, kind) = _cells(len(where), OFFSETS, FINE_SPREAD)
    grid = _grid(height[row] + sd[row] * off, spread, kind)
    state, faded = _followed(series, scale, where[row], grid)
    cells = np.log(sd[row] * (OFFSETS[1] - OFFSETS[0]) / RATE_SD / np.sqrt(2.0 * np.pi))
    prior = cells - 0.5 * (grid.log_rate / RATE_SD) ** 2 - np.log(len(PAIRS[0]) * 2 * len(FINE_SPREAD))
    odds = worth_of(faded + prior) - np.log(kept) - posterior.worth + np.log(PRIOR / (1.0 - PRIOR))
    rows = picks(weights_of(state.evidence + prior))
    pair, grid = where[row[rows]], grid.take(rows)
    state, _ = _followed(series, scale, pair, grid, keep=True)
    share = float(1.0 / (1.0 + np.exp(-np.clip(odds, -700.0, 700.0))))
    return Curves(PAIRS[0][pair], PAIRS[1][pair], grid, state, share)


def _coarse(series: Series, scale: float) -> tuple[Rows, Array, Array, float]:
    """Pairs of age and width that explain the series, with mean and standard deviation of the pace for each, and their
    share of all pairs."""
    pairs = len(PAIRS[0])
    row, (rate, spread, kind) = _cells(pairs, RATES, SPREADS)
    state, _ = _followed(series, scale, row, _grid(rate, spread, kind))
    weights = weights_of(0.5 * state.evidence - 0.5 * (rate / RATE_SD) ** 2)
    by_rate = weights.reshape(pairs, len(RATES), -1).sum(2)
    shares = by_rate.sum(1)
    where = np.argsort(shares)[::-1][:MOST]
    where = where[shares[where] > LEAST_SHARE]
    height = by_rate[where] @ RATES / shares[where]
    varied = by_rate[where] @ RATES**2 / shares[where] - height**2
    return where, height, np.sqrt(np.maximum(varied, 0.04)), float(shares[where].sum())


def _cells(pairs: int, rates: Array, spreads: tuple[float, ...]) -> tuple[Rows, list[Array]]:
    """A pair's number for each cell, and what it has of pace, luck and kind of luck."""
    axes = np.meshgrid(np.arange(float(pairs)), rates, np.array(spreads), np.array([0.0, 1.0]), indexing="ij")
    pair, *others = (axis.ravel() for axis in axes)
    return pair.astype(np.int64), others


def _grid(rate: Array, spread: Array, kind: Array) -> Grid:
    none = np.zeros_like(rate)
    return Grid(none, none, rate, spread, kind, np.full_like(rate, np.inf))


def _followed(series: Series, scale: float, pair: Rows, grid: Grid, *, keep: bool = False) -> tuple[Filtered, Array]:
    """Run every curve through the series; also its faded evidence. ``keep``: also scores of every generation."""
    count, level = len(series.gain), np.cumsum(series.gain)
    effort, now = series.effort / series.effort.mean(), scale * np.exp2(grid.log_rate)
    paces = np.exp2(np.maximum(shape(np.arange(1.0 - count, 1.0)[:, None], *PAIRS), -30.0))
    start, variance, evidence, faded = (np.zeros_like(now) for _ in range(4))
    run = Filter(grid, scale, series.levels, 1.0, now, start, variance, evidence)
    scores: list[Array] = []
    for g in range(count):
        before = run.evidence.copy()
        run.base = now * paces[g, pair]
        _, innovation, total = run.step(series.gain[g], level[g], float(series.error[g]), effort[g])
        faded = FADE * faded + run.evidence - before
        if keep:
            scores.append(innovation / np.sqrt(total))
    return Filtered(run.level, run.variance, run.evidence, now, [], scores), faded
