"""What the models of ``takeoff`` published, beside what they give here: figures with their Monte Carlo errors.

A published figure agrees if it differs by no more than rounding and twice the errors of both sides. Where its authors
do not say how many worlds they drew, the number that their program draws by default is taken.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from festina.watch import takeoff
from festina.watch.takeoff import Array

MODELS = ("forethought", "ai-2027", "metr")
SHARES = ("57", "41", "18", "12")  # per cent, in the order of takeoff.WINDOWS
RETRAINED = ("57", "41", "19", "14")  # with retraining, as the app computes it
APP_WORLDS, FORECAST_WORLDS = 1000, 5000  # the defaults of the published programs
PHASES = ("superhuman coder to superhuman researcher", "to superintelligent researcher", "to superintelligence")


@dataclass(frozen=True, slots=True)
class Figure:
    """One figure. ``here`` and both errors (standard errors) in ``unit``; ``published`` is the authors' text."""

    what: str
    unit: str  # "%", "years" or "year"
    here: float
    error: float
    published: str | None = None
    published_error: float = 0.0
    within: tuple[float, float] | None = None  # what the published text can stand for, rounding included

    @property
    def agrees(self) -> bool | None:
        """None where nothing was published of these priors."""
        if self.within is None:
            return None
        slack = 2.0 * float(np.hypot(self.error, self.published_error))
        return self.within[0] - slack <= self.here <= self.within[1] + slack


@dataclass(frozen=True, slots=True)
class Run:
    """A model's run: its figures, and samples to draw (years, or doublings)."""

    model: str
    worlds: int
    figures: tuple[Figure, ...]
    samples: Array


def run(model: str, worlds: int, seed: int, priors: Any = None) -> Run:  # noqa: ANN401 - one of three dataclasses
    """Draw ``worlds`` worlds of ``model``. ``priors`` None: the published ones, and their figures stand beside."""
    rng = np.random.Generator(np.random.SFC64(seed))
    make: dict[str, Callable[..., Run]] = {"forethought": _forethought, "ai-2027": _ai_2027, "metr": _metr}
    return make[model](worlds, rng, priors)


def _forethought(n: int, rng: np.random.Generator, priors: takeoff.Forethought | None) -> Run:
    asked = priors or takeoff.Forethought()
    found = takeoff.forethought(n, rng, asked)
    texts: dict[takeoff.Forethought, tuple[str, ...]] = {
        takeoff.Forethought(): SHARES, takeoff.Forethought(retraining="app"): RETRAINED,
    }  # fmt: skip
    figures = []
    for k, (years, months, _) in enumerate(takeoff.WINDOWS):
        share = float(found.hits[k].mean())
        text = texts[asked][k] if asked in texts else None
        said = float(text) if text is not None else 0.0
        what = f"{years:g} years of progress at the recent pace within {months:g} months"
        within = (said - 0.5, said + 0.5) if text is not None else None
        errors = _share_error(share, n), _share_error(said / 100.0, APP_WORLDS)
        figures.append(Figure(what, "%", 100.0 * share, errors[0], text, errors[1], within))
    return Run("forethought", n, tuple(figures), found.doublings.astype(np.float64))


def _ai_2027(n: int, rng: np.random.Generator, priors: takeoff.Takeoff2027 | None) -> Run:
    asked = priors or takeoff.Takeoff2027()
    years = takeoff.ai_2027(n, rng, asked)
    figures = []
    for k, text in enumerate(("0.33", "0.30", "0.16")):
        said = float(text)
        errors = _median_error(years[k], n), _median_error(years[k], FORECAST_WORLDS)
        within = (said - 0.005, said + 0.005) if priors is None else None
        shown = text if priors is None else None
        figures.append(Figure(PHASES[k], "years", float(np.median(years[k])), errors[0], shown, errors[1], within))
    when = asked.start[0] + years.sum(0)
    middle = Figure(
        "superintelligence, median", "year", float(np.median(when)), _median_error(when, n),
        "April 2028" if priors is None else None, _median_error(when, FORECAST_WORLDS),
        (2028.25, 2028.34) if priors is None else None,
    )  # fmt: skip
    return Run("ai-2027", n, (*figures, middle), when)


def _metr(n: int, rng: np.random.Generator, priors: takeoff.Automation | None) -> Run:
    when = takeoff.metr(n, rng, priors or takeoff.Automation())
    middle = Figure(
        "99 % of AI research automated, median", "year", float(np.median(when)), _median_error(when, n),
        "late 2032" if priors is None else None, 0.0, (2032.67, 2033.0) if priors is None else None,
    )  # fmt: skip
    return Run("metr", n, (middle,), when)


def _share_error(share: float, count: int) -> float:
    """In per cent."""
    return 100.0 * float(np.sqrt(share * (1.0 - share) / count))


def _median_error(values: Array, count: int) -> float:
    """Standard error of the median of ``count`` draws like these, from the spread of the quantiles around it."""
    half = 0.5 / np.sqrt(count)
    low, high = np.quantile(values, (0.5 - half, 0.5 + half))
    return float(high - low) / 2.0
