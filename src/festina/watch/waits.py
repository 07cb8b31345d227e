"""After how many more generations a tendency would be told: by futures that the posterior foresees.  # W-1"""

from __future__ import annotations

import numpy as np

from festina.watch.forecasts import by_laws
from festina.watch.posterior import CELLS, FADE, Array, Filter, Posterior
from festina.watch.readings import LIKELY, SHOWN, SOON

FUTURES = 40
FEWEST = 4  # cells of laws by which the pace changes, of ``CELLS``: with fewer nothing is said


def until_told(posterior: Posterior) -> tuple[int | None, float | None]:
    """(generations until the tendency has been told in ``LIKELY`` of cases, share in which ``SOON`` more do), if the
    pace does change. (None, share): more than ``SOON``. (None, None): it hardly does.

    Futures are drawn from the laws by which it changes, as a forecast draws them; each is measured and read like the
    run itself, by the cells of the posterior, whose weights follow what is seen.
    """
    moving = np.flatnonzero(posterior.picked.slope != 0.0)
    if len(moving) < FEWEST:
        return None, None
    rows = moving[np.linspace(0, len(moving) - 1, min(FUTURES, len(moving))).round().astype(int)]
    paths = by_laws(posterior, np.full(SOON, posterior.unit), None, np.arange(CELLS))[:, rows]
    shares = _told(posterior, paths)
    enough = np.flatnonzero(shares >= LIKELY)
    return (int(enough[0]) + 1 if len(enough) else None), float(shares[-1])


def _told(posterior: Posterior, paths: Array) -> Array:
    """Share of futures (doublings measured from now on: generations x futures) in which it has been told by then."""
    past, cells, series = posterior.state, posterior.picked, posterior.series
    shape = (paths.shape[1], CELLS)
    level, variance, evidence = (np.tile(each, (shape[0], 1)) for each in (past.level, past.variance, past.evidence))
    run = Filter(cells, posterior.scale, series.levels, FADE, past.base, level, variance, evidence, at=len(series.gain))
    start, error, told = float(series.gain.sum()), float(series.error[-1]), np.zeros(shape[0], bool)
    shares = np.empty(len(paths))
    for g, gains in enumerate(np.diff(paths, axis=0, prepend=0.0)):
        run.step(gains[:, None], start + paths[g][:, None], error, 1.0)
        logs = run.evidence - past.evidence  # the cells are there as often as that evidence says
        weights = np.exp(logs - logs.max(1, keepdims=True))
        up = weights @ ((cells.slope > 0.0) + 0.5 * (cells.slope == 0.0)) / weights.sum(1)
        told |= (up > SHOWN) | (up < 1.0 - SHOWN)
        shares[g] = told.mean()
    return shares
