"""Everything that is read off a run's measured gains at once.  # W-1, W-3, W-4"""

from __future__ import annotations

from math import sqrt

import numpy as np

from festina.watch import alarm, scores
from festina.watch.posterior import Posterior, Series, fit, forecast
from festina.watch.readings import Z95, Gain, Reading, still_true


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
        scores=tuple(record for record in scored if record.scores),
    )  # fmt: skip


def _more(posterior: Posterior, count: int) -> int | None:
    """Generations until the slope is told from 0 at 95 %, if it is what it seems: its error shrinks as n to the 3/2."""
    slope, weights = posterior.grid.slope, posterior.weights
    mean = float(weights @ slope)
    sd = sqrt(max(float(weights @ (slope - mean) ** 2), 1e-12))
    if not 0.05 <= posterior.speeding_up <= 0.95:
        return None
    wanted = count * (Z95 * sd / max(abs(mean), 1e-9)) ** (2.0 / 3.0)
    return max(1, round(wanted - count)) if wanted - count < 500 else None
