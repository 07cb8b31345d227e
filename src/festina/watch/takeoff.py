"""Published models of a takeoff as Monte Carlo: the software intelligence explosion, AI 2027, METR's simple model.

``forethought(n, rng)``, ``ai_2027(n, rng)`` and ``metr(n, rng)`` draw ``n`` worlds from the published priors and
run each to its end. All are vectorised over worlds, in single precision where the published figures have two digits.

| model | source |
| --- | --- |
| forethought | Davidson & Houlden 2025, "How quick and big would a software intelligence explosion be?" |
| ai_2027 | Kokotajlo & Lifland 2025, AI 2027 takeoff forecast |
| metr | Kwa 2026, "A simpler AI timelines model", METR notes |

What they say rests on priors that their authors call guesses: a reproduced figure shows that the model here is
theirs, not that it is right. Does not cover: the many-sector economic models (full takeoff model, GATE).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Real = NDArray[np.float32]
Array = NDArray[np.float64]
Flags = NDArray[np.bool_]

CHUNK = 8192  # worlds at once: one array of 32 kB a doubling, so that what a step needs stays in cache
DOUBLINGS_A_YEAR = 8.0  # of recent progress: software in 3 months, and as much again from compute
RECENT_MONTHS = 3.0  # in which software has been doubling
WINDOWS = ((3.0, 12.0, 24), (3.0, 4.0, 26), (10.0, 12.0, 80), (10.0, 4.0, 80))
"""Years of progress, months into which they are pressed, and doublings that the published code counts for it."""
LOG_CAP = 14.0  # natural log of months that one doubling takes at most: beyond all horizons, far from overflow
NEVER = 2200.0  # calendar year of what a model does not reach


@dataclass(frozen=True, slots=True)
class Forethought:
    """Priors, each (low, high). ``log_uniform`` but for ``ceiling_years``, which is uniform."""

    speedup: tuple[float, float] = (2.0, 32.0)  # of software progress when research is automated
    returns: tuple[float, float] = (0.4, 3.6)  # r: doublings of software for one of cumulative effort
    parallel: tuple[float, float] = (0.15, 0.6)  # p: doublings of pace for one of parallel labour
    ceiling_years: tuple[float, float] = (6.0, 16.0)  # to the limits of software, in years of recent progress
    months: tuple[float, float] = (48.0, 48.0)  # until the simulation stops
    retraining: str = "no"  # "no", "paper" (its formula) or "app" (what the published app computes)


@dataclass(frozen=True, slots=True)
class Explosion:
    """``hits``: windows (as ``WINDOWS``) x worlds, whether so much progress was pressed into so little time;
    ``doublings``: reached within the months simulated."""

    hits: Flags
    doublings: Real


@dataclass(frozen=True, slots=True)
class Takeoff2027:
    """Human-only years as 80 % intervals of log-normal laws; ``speeds`` at SC, SAR, SIAR, ASI."""

    coder_to_researcher: tuple[float, float] = (1.5, 10.0)  # superhuman coder to superhuman researcher
    no_gap: tuple[float, float] = (0.15, 0.15)  # chance that the two come together
    median_to_best: tuple[float, float] = (1.0, 25.0)  # median researcher to the best one
    jumps: tuple[float, float] = (0.3, 7.5)  # from there to superintelligence, in such leaps
    start: tuple[float, float] = (2027.25, 2027.25)  # year of the superhuman coder
    speeds: tuple[float, float, float, float] = (5.0, 25.0, 250.0, 2000.0)


@dataclass(frozen=True, slots=True)
class Automation:
    """Priors of METR's model: symmetric triangles on (low, high), at January 2026."""

    slowness: tuple[float, float] = (1.5, 4.2)  # 1/v: e-folds of effective compute for one logit of automation
    automated: tuple[float, float] = (0.25, 0.5)  # f: share of the work of research
    labour_share: tuple[float, float] = (0.12, 0.35)  # alpha / (alpha + zeta)
    scale: tuple[float, float] = (0.8, 1.0)  # alpha + zeta
    difficulty: tuple[float, float] = (0.3, 1.0)  # beta: how fast software gets harder to improve
    pace: tuple[float, float] = (5.0, 5.0)  # growth of software in a year


# -- the software intelligence explosion -----------------------------------------------------------------


def forethought(n: int, rng: np.random.Generator, priors: Forethought = Forethought()) -> Explosion:
    """Run ``n`` worlds, doubling by doubling, in the order of steps of the published code."""
    hits = np.zeros((len(WINDOWS), n), np.bool_)
    doublings = np.empty(n, np.float32)
    for start in range(0, n, CHUNK):
        now = slice(start, min(n, start + CHUNK))
        _explode(rng, priors, hits[:, now], doublings[now])
    return Explosion(hits, doublings)


def _explode(rng: np.random.Generator, priors: Forethought, hits: Flags, doublings: Real) -> None:
    """One chunk. The time of doubling ``i`` is ``times[i]``; a world ends at its ceiling or after its months."""
    n = len(doublings)
    log_months = np.float32(np.log(RECENT_MONTHS)) - _logs(rng, n, priors.speedup)
    returns = np.exp(_logs(rng, n, priors.returns))
    power = np.exp(_logs(rng, n, priors.parallel)) * np.float32(np.log(2.0))
    ceiling = _uniform(rng, n, priors.ceiling_years) * np.float32(DOUBLINGS_A_YEAR)
    end = _uniform(rng, n, priors.months)
    step = returns / ceiling
    times = np.zeros((int(ceiling.max()) + 2, n), np.float32)
    work, fresh, alive = np.empty(n, np.float32), np.empty(n, np.bool_), np.ones(n, np.bool_)
    doublings[:] = 0.0
    for i in range(1, len(times)):
        np.exp(log_months, out=work)
        np.add(times[i - 1], work, out=times[i])
        doublings += alive
        for which, (_, months, count) in enumerate(WINDOWS):
            if i >= count:
                np.subtract(times[i], times[i - count], out=work)
                np.less(work, months, out=fresh)
                fresh &= alive
                hits[which] |= fresh
        returns -= step
        np.less(times[i], end, out=alive)
        np.greater(ceiling, np.float32(i), out=fresh)
        alive &= fresh
        if i % 8 == 0 and not alive.any():
            return
        np.maximum(returns, np.float32(1e-4), out=work)
        np.divide(np.float32(1.0), work, out=work)
        work -= np.float32(1.0)
        work *= power
        if priors.retraining != "no":
            _retrained(work, priors.retraining)
        log_months += work
        np.minimum(log_months, np.float32(LOG_CAP), out=log_months)


def _retrained(change: Real, how: str) -> None:
    """Acceleration that is partly spent on training faster: the paper's e/(1+|e|), or the app's e/|1+e|."""
    exponent = change / np.float32(np.log(2.0))
    below = 1.0 + np.abs(exponent) if how == "paper" else np.abs(1.0 + exponent)
    np.divide(change, np.maximum(below, np.float32(1e-6)), out=change)


# -- AI 2027 ---------------------------------------------------------------------------------------------


def ai_2027(n: int, rng: np.random.Generator, priors: Takeoff2027 = Takeoff2027()) -> Array:
    """Calendar years of the three phases, 3 x ``n``: coder to researcher, to superintelligent one, to ASI.

    With speed growing by a constant factor per share of a phase, its time has a closed form (``phase``); the published
    code takes day steps. What two phases share (0.8) is the correlation of their normal scores.
    """
    shared = rng.standard_normal(n)
    own = 0.8 * shared + 0.6 * rng.standard_normal(n)
    leap = _log_normal(shared, priors.median_to_best)
    gaps = np.empty((3, n))
    gaps[0] = np.where(rng.random(n) < priors.no_gap[0], 0.0, _log_normal(own, priors.coder_to_researcher))
    researcher = 10.0 + leap  # years of research behind the best researcher
    gaps[1] = researcher * (researcher / 10.0) ** 2 - researcher
    later = researcher + gaps[1]
    jumps = _log_normal(rng.standard_normal(n), priors.jumps)
    gaps[2] = later * np.exp(np.minimum(jumps * np.log(later / researcher), 600.0)) - later  # no overflow
    return np.stack([phase(gaps[k], priors.speeds[k], priors.speeds[k + 1]) for k in range(3)])


def phase(gap: Array, start: float, end: float) -> Array:
    """Calendar years for ``gap`` human-only years while speed grows from ``start`` to ``end``."""
    if start == end:
        return gap / start
    return np.asarray(gap * (1.0 / start - 1.0 / end) / np.log(end / start))


def _log_normal(score: Array, bounds: tuple[float, float]) -> Array:
    """Of normal scores, the law whose 80 % interval is ``bounds``."""
    low, high = np.log(bounds)
    return np.asarray(np.exp((low + high) / 2.0 + score * (high - low) / (2.0 * 1.2815515655446004)))


# -- METR's simple model ----------------------------------------------------------------------------------


def metr(
    n: int, rng: np.random.Generator, priors: Automation = Automation(), share: float = 0.99, steps: int = 24
) -> Array:
    """Calendar year in which ``share`` of research is automated, for ``n`` worlds; ``NEVER`` where not before 2070.

    S' = (L/(1-f))^alpha C^zeta S^(1-beta), f logistic in log(CS); in y = log S, by the midpoint rule with ``steps``
    steps a year, and the crossing by interpolation in the logit of f.
    """
    velocity = 1.0 / _triangle(rng, n, priors.slowness)
    start = _triangle(rng, n, priors.automated)
    ratio, scale = _triangle(rng, n, priors.labour_share), _triangle(rng, n, priors.scale)
    alpha, zeta, beta = ratio * scale, (1.0 - ratio) * scale, _triangle(rng, n, priors.difficulty)
    growth = np.log(_triangle(rng, n, priors.pace))
    logit0, goal = np.log(start / (1.0 - start)), np.log(share / (1.0 - share))

    def logit(y: Array, compute: float) -> Array:
        return velocity * (y + compute) + logit0

    def slope(y: Array, labour: float, compute: float) -> Array:
        automated = np.minimum(logit(y, compute), 13.8)  # 99.9999 %: there the published code stops, too
        manual = np.log1p(np.exp(automated)) + np.log1p(-start)
        return np.asarray(growth * np.exp(alpha * (labour + manual) + zeta * compute - beta * y))

    y, when = np.zeros(n), np.full(n, NEVER)
    labour, compute = _inputs(44 * 2 * steps, 2 * steps)
    before = logit(y, 0.0)
    for k in range(44 * steps):
        half = y + slope(y, labour[2 * k], compute[2 * k]) / (2 * steps)
        y = y + slope(half, labour[2 * k + 1], compute[2 * k + 1]) / steps
        after = logit(y, compute[2 * k + 2])
        crossed = (after >= goal) & (before < goal)
        if crossed.any():
            part = (goal - before[crossed]) / (after - before)[crossed]
            when[crossed] = 2026.0 + (k + part) / steps
        before = after
        if (after >= goal).all():
            break
    return when


def _inputs(count: int, a_year: int) -> tuple[Array, Array]:
    """Logs of labour and compute from 2026 on, ``a_year`` points a year: geometric between the published years."""
    years = count // a_year + 1
    labour = [np.log(2.0) if t < 3 else np.log(1.1) for t in range(years)]
    compute = [np.log(2.6) if t < 3 else np.log(max(1.25, 2.0 - 0.75 * max(0, t - 4) / 28)) for t in range(years)]
    at = np.arange(count + 1) / a_year
    knots = np.arange(years + 1)
    return (
        np.interp(at, knots, np.concatenate([[0.0], np.cumsum(labour)])),
        np.interp(at, knots, np.concatenate([[0.0], np.cumsum(compute)])),
    )


# -- draws ------------------------------------------------------------------------------------------------


def _uniform(rng: np.random.Generator, n: int, bounds: tuple[float, float]) -> Real:
    draws = rng.random(n, dtype=np.float32)
    draws *= np.float32(bounds[1] - bounds[0])
    draws += np.float32(bounds[0])
    return draws


def _logs(rng: np.random.Generator, n: int, bounds: tuple[float, float]) -> Real:
    """Natural logs of log-uniform draws."""
    return _uniform(rng, n, (float(np.log(bounds[0])), float(np.log(bounds[1]))))


def _triangle(rng: np.random.Generator, n: int, bounds: tuple[float, float]) -> Array:
    low, high = bounds
    return np.full(n, low) if low == high else rng.triangular(low, (low + high) / 2.0, high, n)
