"""How good forecasts were: each made from what was known then, scored against what was measured after.  # W-4

CRPS (continuous ranked probability score, in doublings; less is better) beside that of a straight line through the last
five; the place of what came in what was foreseen (PIT), and how often the 50 and 90 % intervals held it.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from festina.watch.forecasts import forecast
from festina.watch.posterior import Array, Series, fit
from festina.watch.readings import Score, Scored

EARLIEST = 5  # generations before the first forecast that is scored
TRUSTED = 0.01  # chance of places so uneven, below which forecasts are not trusted
ENOUGH = 10  # scored forecasts, before which nothing is said of trust
RECENT = 20


def crps(draws: Array, came: float) -> float:
    """Of a forecast given by draws."""
    ordered = np.sort(draws)
    count = len(ordered)
    spread = float((2.0 * np.arange(count) - count + 1.0) @ ordered) / count**2
    return float(np.mean(np.abs(ordered - came))) - spread


def straight_line(levels: Array, ahead: int, last: int = 5) -> float:
    """The line of least squares through the ``last`` levels, so far ahead."""
    tail = levels[-last:]
    if len(tail) < 2:
        return float(tail[-1])
    at = np.arange(len(tail)) - (len(tail) - 1) / 2.0
    slope = float(at @ tail / (at @ at))
    return float(tail.mean()) + slope * float(at[-1] + ahead)


def scored(
    series: Series, horizons: Sequence[int] = (1, 5), every: int = 1, known: Sequence[Score] = ()
) -> tuple[Scored, ...]:
    """Every forecast that this series allows, from every origin; of effort, what was really spent is taken.

    ``known``: scores of this same series when it was shorter. A score never changes once what it foresaw has come, so
    they are taken as they are: one more generation then costs one fit and not one for every generation.
    """
    levels = np.cumsum(series.gain)
    done = {(score.origin, score.ahead): score for score in known}
    rows: dict[int, list[Score]] = {ahead: [] for ahead in horizons}
    for origin in range(EARLIEST, len(levels), every):
        within = [ahead for ahead in horizons if ahead <= len(levels) - origin]
        missing = [ahead for ahead in within if (origin, ahead) not in done]
        if missing:
            spent, error = series.effort[origin : origin + max(missing)], float(series.error[origin - 1])
            draws = forecast(fit(series.first(origin)), spent, error)
            done |= {(origin, ahead): _score(levels, draws[ahead - 1], origin, ahead) for ahead in missing}
        for ahead in within:
            rows[ahead].append(done[origin, ahead])
    return tuple(Scored(ahead, tuple(found)) for ahead, found in rows.items())


def _score(levels: Array, draws: Array, origin: int, ahead: int) -> Score:
    """``draws``: of what was foreseen at ``origin`` for so many generations ahead."""
    came = float(levels[origin + ahead - 1] - levels[origin - 1])
    line = abs(straight_line(levels[:origin], ahead) - float(levels[origin + ahead - 1]))
    return Score(origin, ahead, crps(draws, came), line, float(np.mean(draws < came)))


def evenness(places: Sequence[float]) -> float:
    """Chance of places at least as uneven if forecasts are right (Kolmogorov and Smirnov, Stephens' correction)."""
    ordered = np.sort(np.asarray(places))
    count = len(ordered)
    above = np.arange(1, count + 1) / count - ordered
    below = ordered - np.arange(count) / count
    distance = max(float(above.max()), float(below.max()))
    z = distance * (math.sqrt(count) + 0.12 + 0.11 / math.sqrt(count))
    total = sum((-1) ** (k - 1) * math.exp(-2.0 * k * k * z * z) for k in range(1, 101))
    return min(1.0, max(0.0, 2.0 * total)) if z > 0.2 else 1.0


def trusted(record: Scored) -> bool | None:
    """Whether the newest forecasts hold what they say; None with too few."""
    places = [score.place for score in record.scores][-RECENT:]
    return evenness(places) >= TRUSTED if len(places) >= ENOUGH else None
