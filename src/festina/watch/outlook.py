"""Everything that is read off a run's measured gains at once.  # W-1, W-3, W-4"""

from __future__ import annotations

from math import erfc, exp, sqrt

import numpy as np

from festina.watch import alarm, scores
from festina.watch.posterior import FADE, Posterior, Series, fit, forecast
from festina.watch.readings import Gain, Reading, still_true


def series(made: tuple[Gain, ...]) -> Series:
    columns = zip(*((g.doublings, g.error, float(g.effort)) for g in made), strict=True)
    gain, error, effort = (np.array(column, np.float64) for column in columns)
    return Series(gain, error, effort)


def outlook(made: tuple[Gain, ...], *, score: bool = True, before: Reading | None = None) -> Reading:
    """Raises ``ValueError`` with too few gains. ``score``: also make and score every past forecast.

    ``before``: an earlier reading of the same run. It changes nothing but the time that this takes.
    """
    data = series(made)
    posterior = fit(data)
    draws = forecast(posterior, np.full(10, posterior.unit), 1e-6)
    scored = scores.scored(data, known=still_true(before, made)) if score else ()
    one = next((record for record in scored if record.ahead == 1 and record.scores), None)
    up = posterior.speeding_up
    phi, pace = posterior.phi(0.05, 0.5, 0.95), posterior.pace(0.05, 0.5, 0.95)
    ahead = [(h, *(float(q) for q in np.quantile(draws[h - 1], (0.05, 0.5, 0.95)))) for h in (1, 5, 10)]
    return Reading(
        gains=made, tendency="speeding up" if up > 0.95 else "slowing down" if up < 0.05 else "cannot tell",
        speeding_up=up, compounding=posterior.compounding, drifting=posterior.drifting,
        phi=(phi[0], phi[1], phi[2]), pace=(pace[0], pace[1], pace[2]),
        next_gain=(float(draws[0].mean()), float(np.quantile(draws[0], 0.95))),
        ahead=tuple((int(h), low, middle, high) for h, low, middle, high in ahead),
        escape=posterior.diverges_within(3.0), divergence=posterior.divergence(),
        evidence=alarm.acceleration(data), more=_more(posterior, len(made)),
        trust=scores.trusted(one) if one is not None else None,
        scores=tuple(record for record in scored if record.scores), steady=posterior.steady,
    )  # fmt: skip


def _more(posterior: Posterior, count: int) -> int | None:
    """Generations until the tendency is told at 95 %, if the slope is what it seems under laws that have one.

    Its error shrinks as the generations that are remembered (evidence fades) to the power 3/2, and the odds of a pace
    that does not change go as the slope's density at 0.
    """
    if not 0.05 <= posterior.speeding_up <= 0.95:
        return None
    moving = posterior.weights * (posterior.grid.slope != 0.0)
    total = float(moving.sum())
    if total < 1e-6:
        return None
    slope = posterior.grid.slope
    mean = float(moving @ slope) / total
    sd = sqrt(max(float(moving @ (slope - mean) ** 2) / total, 1e-12))
    still = posterior.steady / total
    for wanted in range(count + 1, count + 500):
        less = (_remembered(count) / _remembered(wanted)) ** 1.5
        z, then = abs(mean) / sd, abs(mean) / (sd * less)
        odds = still / less * exp(0.5 * (z * z - then * then))
        if (0.5 * erfc(-then / sqrt(2.0)) + 0.5 * odds) / (1.0 + odds) > 0.95:
            return wanted - count
    return None


def _remembered(count: int) -> float:
    return (1.0 - FADE**count) / (1.0 - FADE)
