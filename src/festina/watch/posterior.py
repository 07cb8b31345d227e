"""The law by which a run grows: a posterior from measured gains and what they cost.  # W-1, W-4

Capability ``x`` is counted in doublings of whatever scale the gains are measured on (here: of the odds of a paired
comparison). Effort ``E`` is what a generation cost, of which the mean is 1. A generation gains on average

    m = E 2^(a + min(phi x + drift t, cap)),   variance D m (successes of one size) or D m^2 (luck in proportion)

Two explanations of a changing pace compete: *compounding* (``phi``: capability itself makes the next gain cheaper or
dearer) and *drift* (``drift`` log2 a generation: cheaper computing, human help, all that goes by time). A log
alone hardly tells them apart, and never says how much of ``phi`` is the improver's: that takes a
cross-play.
``cap`` is a hard limit of speed: without one, forecasts of what compounds are worthless. Its priors are 2, 4 and 16
times the first pace; those of ``phi`` are p (1 - 1/r) of Davidson and Houlden 2025, mixed with a normal law.

One extended Kalman filter for each cell of a grid over (a, phi or drift, D, kind, cap), all at once. Innovations have
Student tails, so that a jump moves the level and not the law; older evidence fades (``FADE`` a generation), so that
the law may change. A first coarse grid finds where the mass is, a second refines there. Nothing here is random.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
Flags = NDArray[np.bool_]
Rows = NDArray[np.int64]

LEAST = 3  # generations below which nothing is fitted
NU = 10.0  # degrees of freedom of innovations
FADE = 0.96  # weight of evidence that is one generation older
CELLS = 200
CAPS, CAP_WEIGHTS = (1.0, 2.0, 4.0), (0.05, 0.1, 0.85)  # log2 of the first pace
RATE_SD = 1.5  # log2 of the pace now, about ``scale``, before any gain was seen
DRIFT_PRIOR, DRIFT_SD = 0.35, 0.06  # chance of drift, and its size in log2 a generation
STEADY = 0.4  # chance, before any gain was seen, of a pace that does not change
LN2 = float(np.log(2.0))


@dataclass(frozen=True, slots=True)
class Series:
    """Gains by generation. ``gain``, ``error`` (standard errors): doublings. ``effort``: in any unit, above 0.

    ``levels``: each version's level was measured by itself, so that the error of a gain is that of two levels;
    otherwise each gain was measured by itself, against the version before.
    """

    gain: Array
    error: Array
    effort: Array
    levels: bool = False

    def __post_init__(self) -> None:
        lengths = {len(self.gain), len(self.error), len(self.effort)}
        numbers = np.concatenate([self.gain, self.error, self.effort])
        if len(lengths) != 1 or not np.isfinite(numbers).all():
            raise ValueError("gains, errors and efforts are finite and as many as each other")
        if len(self.gain) and (self.error.min() <= 0.0 or self.effort.min() <= 0.0):
            raise ValueError("errors and efforts are above 0")

    def first(self, count: int) -> Series:
        return Series(self.gain[:count], self.error[:count], self.effort[:count], self.levels)


@dataclass(frozen=True, slots=True)
class Grid:
    """Cells: parameters as arrays of one length."""

    phi: Array
    drift: Array
    log_rate: Array  # log2 of the pace now, over ``scale``
    spread: Array  # D
    kind: Array  # 0: successes of one size; 1: luck in proportion
    cap: Array

    def take(self, rows: Rows) -> Grid:
        return Grid(
            self.phi[rows], self.drift[rows], self.log_rate[rows], self.spread[rows], self.kind[rows], self.cap[rows]
        )

    @property
    def slope(self) -> Array:
        """What of ``phi`` and ``drift`` the cell has."""
        return self.phi + self.drift


@dataclass(slots=True)
class Filtered:
    """After the last generation, an entry a cell. ``scores``: standardised innovations, generations x cells."""

    level: Array
    variance: Array
    evidence: Array  # log likelihood, faded
    base: Array  # pace where x and t are 0
    means: list[Array]
    scores: list[Array]


@dataclass(frozen=True, slots=True)
class Posterior:
    """What a series says. ``grid`` with ``weights`` (sum 1); ``picked``: ``CELLS`` cells in proportion to them."""

    series: Series
    grid: Grid
    weights: Array
    scale: float  # doublings for the mean effort, by which log_rate is counted
    unit: float  # mean effort
    picked: Grid
    state: Filtered  # of the picked cells
    worth: float  # log of the mean (faded) likelihood of all these laws by their prior

    def share(self, flags: Flags) -> float:
        return float(self.weights @ flags)

    @property
    def compounding(self) -> float:
        """P(phi > 0): of all laws, those by which capability makes the next gain cheaper."""
        return self.share(self.grid.phi > 0.0)

    @property
    def speeding_up(self) -> float:
        """Chance that the pace for one effort rises, whatever the reason; one that does not change counts half."""
        return self.share(self.grid.slope > 0.0) + 0.5 * self.steady

    @property
    def steady(self) -> float:
        """Chance of a pace that does not change at all."""
        return self.share(self.grid.slope == 0.0)

    @property
    def drifting(self) -> float:
        """Chance that what changes the pace goes by time and not by capability."""
        return self.share(self.grid.drift != 0.0)

    def phi(self, *chances: float) -> tuple[float, ...]:
        """Quantiles of phi, of the laws without drift: for each doubling, log2 by which a gain gets cheaper."""
        weights = self.weights * (self.grid.drift == 0.0)
        return quantiles(self.grid.phi, weights, chances)

    def diverges_within(self, generations: float) -> float:
        """Chance that, but for the limit of speed, capability diverges within so many generations of mean effort.

        Under the laws by which the pace changes: whoever fears it does not count on one that stands still.
        """
        soon = (self.grid.phi > 0.0) & (self._until() < generations)
        return self.share(soon) / max(1.0 - self.steady, 1e-9)

    def divergence(self) -> float | None:
        """Median generations to divergence, at the mean effort; None where it may well never do so.

        Under the laws by which the pace changes.
        """
        until = np.where(self.grid.phi > 0.0, self._until(), np.inf)
        middle = quantiles(until, self.weights * (self.grid.slope != 0.0), (0.5,))[0]
        return middle if np.isfinite(middle) and middle < 1e6 else None

    def _until(self) -> Array:
        """Generations to divergence by each cell, where its ``phi`` is above 0."""
        speed = self.scale * np.exp2(self.grid.log_rate)
        return np.asarray(1.0 / np.maximum(self.grid.phi * LN2 * speed, 1e-12))


def quantiles(values: Array, weights: Array, chances: tuple[float, ...]) -> tuple[float, ...]:
    """Of a weighted sample; nan where nothing has weight."""
    total = float(weights.sum())
    if total <= 0.0:
        return tuple(float("nan") for _ in chances)
    order = np.argsort(values)
    below = np.cumsum(weights[order]) / total
    rows = np.minimum(np.searchsorted(below, chances), len(values) - 1)
    return tuple(float(value) for value in values[order][rows])


# -- the filter -----------------------------------------------------------------------------------------------


@dataclass(slots=True)
class Filter:
    """Every cell of a grid, taken from generation to generation. Arrays end with an entry a cell."""

    grid: Grid
    scale: float
    levels: bool
    fade: float
    base: Array
    level: Array
    variance: Array
    evidence: Array
    at: int = 0  # generations seen
    _flat: Array = field(init=False)  # variance of a gain, for its mean: of successes of one size ...
    _steep: Array = field(init=False)  # ... and of luck in proportion, for its mean's square

    def __post_init__(self) -> None:
        grid, rate = self.grid, self.scale * np.exp2(self.grid.log_rate)
        self._flat = np.where(grid.kind == 0.0, grid.spread * rate, 0.0)
        self._steep = np.where(grid.kind == 0.0, 0.0, grid.spread)

    def step(self, gain: Array | float, level: Array | float, error: float, effort: float) -> tuple[Array, ...]:
        """A generation's measured gain and level, for an effort in units of the mean: (mean, innovation, variance) by
        each cell."""
        grid, x, var = self.grid, self.level, self.variance
        exponent = grid.phi * x + grid.drift * self.at
        free = exponent < grid.cap
        np.minimum(exponent, grid.cap, out=exponent)
        mean = np.minimum(effort * self.base * np.exp2(exponent), 1e4 * self.scale)
        slope = np.clip(mean * grid.phi * LN2 * free, -0.95, 30.0)
        process = (self._flat + self._steep * mean) * mean
        noise = error**2
        grown = 1.0 + slope
        if self.levels:
            total, innovation = grown * grown * var + process + noise, level - x - mean
        else:
            total, innovation = slope * slope * var + process + noise, gain - mean
        square = innovation * innovation / total
        self.evidence *= self.fade
        self.evidence -= 0.5 * np.log(total) + 0.5 * (NU + 1.0) * np.log1p(square / NU)
        wide = np.maximum(total * (NU + square) / (NU + 1.0), total)
        if self.levels:
            trust = 1.0 - noise / wide
            self.level = x + mean + trust * innovation
            self.variance = trust * noise
        else:
            process = process + (wide - total)
            shared = var * slope * grown + process
            trust = shared / wide
            self.level = x + mean + trust * innovation
            self.variance = np.maximum(grown * grown * var + process - trust * shared, 0.0)
        self.at += 1
        return mean, innovation, total


def filtered(series: Series, grid: Grid, scale: float, *, fade: float = FADE, keep: bool = False) -> Filtered:
    """Run every cell through the series. ``keep``: also means and scores of every generation."""
    count = len(series.gain)
    level = np.cumsum(series.gain)
    effort = series.effort / series.effort.mean()
    now = np.minimum(grid.phi * level[-1] + grid.drift * count, grid.cap)
    base = scale * np.exp2(grid.log_rate) * np.exp2(np.clip(-now, -30.0, 30.0))
    run = Filter(grid, scale, series.levels, fade, base, *(np.zeros_like(base) for _ in range(3)))
    means, scores = [], []
    for g in range(count):
        mean, innovation, total = run.step(series.gain[g], level[g], float(series.error[g]), effort[g])
        if keep:
            means.append(mean)
            scores.append(innovation / np.sqrt(total))
    return Filtered(run.level, run.variance, run.evidence, base, means, scores)


# -- the grids ----------------------------------------------------------------------------------------------------

COARSE_PHI = np.sign(np.linspace(-1, 1, 29)) * np.abs(np.linspace(-1, 1, 29)) ** 1.6 * 0.8
COARSE_DRIFT = np.linspace(-0.15, 0.15, 10)  # never 0: that is phi's
COARSE_SPREAD, FINE_SPREAD = (0.03, 0.15, 0.8), (0.015, 0.04, 0.1, 0.25, 0.6, 1.6)


def fit(series: Series, steady: float = STEADY) -> Posterior:
    """Raises ``ValueError`` with fewer than ``LEAST`` generations. ``steady``: the prior chance of a pace that does not
    change; 0 leaves it out."""
    if len(series.gain) < LEAST:
        raise ValueError(f"at least {LEAST} generations")
    scale = _scale(series)
    coarse = _product(COARSE_PHI, np.zeros(1), CAPS)
    drifts = _product(np.zeros(1), COARSE_DRIFT, CAPS[-1:])
    grid = _joined([coarse, drifts])
    width = np.where(grid.drift == 0.0, np.interp(grid.phi, COARSE_PHI, np.gradient(COARSE_PHI)), 0.033)
    rough = weights_of(0.5 * filtered(series, grid, scale).evidence + _prior(grid) + np.log(width))
    parts, logs = _refined(grid, rough)
    if steady > 0.0:
        still, worth = _still(grid, rough)
        parts, logs = [*parts, still], [*(each + np.log1p(-steady) for each in logs), worth + np.log(steady)]
    fine = _joined(parts)
    evidence = filtered(series, fine, scale).evidence + np.concatenate(logs)  # with the prior
    weights = weights_of(evidence)
    picked = fine.take(picks(weights))
    state = filtered(series, picked, scale, keep=True)
    cell = 0.2 / RATE_SD / np.sqrt(2.0 * np.pi) / (2 * len(FINE_SPREAD))  # 0.2: its steps, of standard deviations
    return Posterior(
        series,
        fine,
        weights,
        scale,
        float(series.effort.mean()),
        picked,
        state,
        worth_of(evidence) + float(np.log(cell)),
    )


def _scale(series: Series) -> float:
    """Pace at the end, roughly: what the grid of ``log_rate`` is centred on. Above 0 whatever was measured."""
    count = len(series.gain)
    effort = series.effort / series.effort.mean()
    recent = 0.85 ** np.arange(count)[::-1]
    late = float(recent @ series.gain / (recent @ effort))
    overall = float(series.gain.sum() / effort.sum())
    floor = 0.5 * float(np.sqrt(np.mean(series.error**2))) / np.sqrt(count)
    return float(max(late, 0.3 * overall, floor, 1e-6))


def _product(phi: Array, drift: Array, caps: tuple[float, ...]) -> Grid:
    axes = np.meshgrid(
        phi, drift, np.linspace(-2.2, 2.2, 12), np.array(COARSE_SPREAD), np.array([0.0, 1.0]), np.array(caps),
        indexing="ij",
    )  # fmt: skip
    return Grid(*(axis.ravel() for axis in axes))


def _refined(grid: Grid, weights: Array) -> tuple[list[Grid], list[Array]]:
    """Cells around the mass of each cap, and of drift, with the logs of what a cell is worth, its prior with it."""
    parts, logs = [], []
    drifting = grid.drift != 0.0
    for cap in CAPS:
        for going in (False, True):
            here = (grid.cap == cap) & (drifting == going)
            total = float(weights[here].sum())
            if total < 2e-3:
                continue
            share, slope, rate = weights[here] / total, grid.slope[here], grid.log_rate[here]
            middle, height = float(share @ slope), float(share @ rate)
            varied = max(float(share @ (slope - middle) ** 2), 1e-8)
            tilt = float(share @ ((slope - middle) * (rate - height))) / varied
            beside = max(float(share @ (rate - height) ** 2) - tilt**2 * varied, 0.04)
            step = 0.033 if going else float(np.interp(middle, COARSE_PHI, np.gradient(COARSE_PHI)))
            sd = max(float(np.sqrt(varied)), 0.6 * step)
            slopes, offsets = middle + sd * np.linspace(-3, 3, 19), np.sqrt(beside) * np.linspace(-3, 3, 11)
            axes = np.meshgrid(slopes, offsets, np.array(FINE_SPREAD), np.array([0.0, 1.0]), indexing="ij")
            at, off, spread, kind = (axis.ravel() for axis in axes)
            none = np.zeros_like(at)
            rates = height + tilt * (at - middle) + off
            phi, drift = (none, at) if going else (at, none)
            parts.append(Grid(phi, drift, rates, spread, kind, np.full_like(at, cap)))
            logs.append(_prior(parts[-1]) + np.log(sd * np.sqrt(beside)))
    return parts, logs


def _still(grid: Grid, weights: Array) -> tuple[Grid, Array]:
    """Cells of a pace that does not change, and the logs of what one is worth, in the terms of ``_refined``."""
    here = (grid.slope == 0.0) & (grid.cap == CAPS[-1])
    share, rate = weights[here] + 1e-300, grid.log_rate[here]
    share = share / share.sum()
    height = float(share @ rate)
    sd = max(float(np.sqrt(share @ (rate - height) ** 2)), 0.2)
    offsets = sd * np.linspace(-3, 3, 19)
    axes = np.meshgrid(offsets, np.array(FINE_SPREAD), np.array([0.0, 1.0]), indexing="ij")
    off, spread, kind = (axis.ravel() for axis in axes)
    none, rates = np.zeros_like(off), height + off
    worth = np.log(sd / 3.0 / 0.2) - 0.5 * (rates / RATE_SD) ** 2  # its one step, over the two of a cell there
    return Grid(none, none, rates, spread, kind, np.full_like(off, CAPS[-1])), worth


def _joined(parts: list[Grid]) -> Grid:
    return Grid(
        *(
            np.concatenate([getattr(p, name) for p in parts])
            for name in ("phi", "drift", "log_rate", "spread", "kind", "cap")
        )
    )


def _prior(grid: Grid) -> Array:
    """Log density, up to a constant."""
    caps = np.log(np.select([grid.cap == cap for cap in CAPS], CAP_WEIGHTS))
    phi = np.interp(grid.phi, *_forethought()) + 0.3 * np.exp(-0.5 * (grid.phi / 0.5) ** 2)
    drift = np.exp(-0.5 * (grid.drift / DRIFT_SD) ** 2) / (DRIFT_SD * 2.5066)
    law = np.where(grid.drift == 0.0, np.log(1.0 - DRIFT_PRIOR) + np.log(phi / 1.376), np.log(DRIFT_PRIOR * drift))
    return np.asarray(law + caps - 0.5 * (grid.log_rate / RATE_SD) ** 2)


_TABLE: list[tuple[Array, Array]] = []


def _forethought() -> tuple[Array, Array]:
    """Density of p (1 - 1/r) under the priors of ``takeoff.Forethought``, as a table (points, density)."""
    if not _TABLE:
        chance = (np.arange(400) + 0.5) / 400
        p = np.exp(np.log(0.15) + chance * np.log(4.0))[:, None]
        r = np.exp(np.log(0.4) + chance * np.log(9.0))[None, :]
        density, edges = np.histogram((p * (1.0 - 1.0 / r)).ravel(), bins=80, range=(-1.0, 0.6), density=True)
        _TABLE.append(((edges[1:] + edges[:-1]) / 2.0, density))
    return _TABLE[0]


def picks(weights: Array) -> Rows:
    """``CELLS`` rows in proportion to ``weights``."""
    return np.minimum(np.searchsorted(np.cumsum(weights), (np.arange(CELLS) + 0.5) / CELLS), len(weights) - 1)


def worth_of(logs: Array) -> float:
    """Log of their sum."""
    top = float(logs[np.isfinite(logs)].max())
    return top + float(np.log(np.exp(logs[np.isfinite(logs)] - top).sum()))


def weights_of(logs: Array) -> Array:
    """Shares by their logs."""
    logs = np.where(np.isfinite(logs), logs, -np.inf)
    weights = np.exp(logs - logs.max())
    return np.asarray(weights / weights.sum())
