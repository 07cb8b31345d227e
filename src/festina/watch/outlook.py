"""Everything that is read off a run's measured gains at once.  # W-1, W-3, W-4"""

from __future__ import annotations

from math import sqrt

import numpy as np

from festina.watch import alarm, luck, scores
from festina.watch.forecasts import forecast
from festina.watch.posterior import Posterior, Series, fit, quantiles
from festina.watch.readings import Gain, Reading, still_true, tendency_of
from festina.watch.waits import until_told


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
    phi, pace = posterior.phi(0.05, 0.5, 0.95), pace_now(posterior, 0.05, 0.5, 0.95)
    ahead = [(h, *(float(q) for q in np.quantile(draws[h - 1], (0.05, 0.5, 0.95)))) for h in (1, 5, 10)]
    tendency = tendency_of(up)
    more, within = until_told(posterior) if tendency == "cannot tell" else (None, None)
    return Reading(
        gains=made, tendency=tendency,
        speeding_up=up, compounding=posterior.compounding, drifting=posterior.drifting,
        phi=(phi[0], phi[1], phi[2]), pace=(pace[0], pace[1], pace[2]),
        next_gain=(float(draws[0].mean()), float(np.quantile(draws[0], 0.95))),
        ahead=tuple((int(h), low, middle, high) for h, low, middle, high in ahead),
        escape=posterior.diverges_within(3.0), divergence=posterior.divergence(),
        evidence=alarm.acceleration(data), more=more, within=within,
        trust=scores.trusted(one) if one is not None else None,
        scores=tuple(record for record in scored if record.scores), steady=posterior.steady,
    )  # fmt: skip


def pace_now(posterior: Posterior, *chances: float) -> tuple[float, ...]:
    """Quantiles of the gain that the mean effort brings now, doublings.

    What the laws of the posterior say, times how far a fit that leaps do not move lies below the mean of this run's
    gains: that is learnt from them as for alarms (``luck.learnt``), and it is not known well.
    """
    own = posterior.series
    apart = sqrt(2.0) if own.levels else 1.0
    scales, shares = luck.learnt(*alarm.earlier(own, posterior, apart, frozenset())).scales()
    fitted = posterior.scale * np.exp2(posterior.picked.log_rate)
    weights = np.broadcast_to(shares[:, None], (len(scales), len(fitted)))
    return quantiles((scales[:, None] * fitted).ravel(), weights.ravel(), chances)
