"""Forecasts where a pace turns: S-curves have their share of the draws, and no more than the log says."""

from __future__ import annotations

from functools import cache

import numpy as np
import pytest

from festina.watch import scores
from festina.watch.curves import PRIOR, curves, shape
from festina.watch.forecasts import by_laws, forecast
from festina.watch.posterior import CELLS, Posterior, Series, fit
from tests.watch.logs import compounding, measured


def turned(seed: int, count: int, top: float = 20.0, middle: float = 18.0, width: float = 5.0) -> np.ndarray:
    """True gains of an S-curve of ``top`` doublings, with luck of a sixth."""
    level = top / (1.0 + np.exp(-(np.arange(count + 1) - middle) / width))
    return np.diff(level) * np.random.default_rng(seed).gamma(36.0, 1.0 / 36.0, count)


def test_W4_the_pace_of_an_s_curve_is_that_of_a_logistic() -> None:
    after, width, age = np.arange(-5.0, 6.0), 4.0, np.array(1.5)
    logistic = 1.0 / (np.cosh((after / width + age) / 2.0) ** 2)
    now = 1.0 / np.cosh(age / 2.0) ** 2
    assert shape(after, age, np.array(width)) == pytest.approx(np.log2(logistic / now))


@cache
def posterior(seed: int) -> Posterior:
    """Of an S-curve, three generations after its top."""
    return fit(measured(turned(seed, 31)[:21], seed))


def test_W4_a_pace_that_rose_and_turned_is_told_from_one_that_does_neither() -> None:
    assert curves(posterior(3)).share > 0.3
    assert curves(fit(measured(compounding(1, 21, 0.0), 1))).share < 2.0 * PRIOR


def test_W4_a_log_that_says_nothing_leaves_the_chance_of_an_s_curve_where_it_was() -> None:
    blind = Series(np.full(4, 0.1), np.full(4, 100.0), np.ones(4))
    assert curves(fit(blind)).share == pytest.approx(PRIOR, rel=0.3)


def test_W4_after_a_turn_forecasts_hold_where_those_of_laws_without_one_lie_too_high() -> None:
    """The control: the same posterior, without S-curves."""
    ours, others = [], []
    for seed in (3, 4):
        found, came = posterior(seed), float(turned(seed, 31)[21:].sum())
        ours.append(scores.crps(forecast(found, np.ones(10))[-1], came))
        others.append(scores.crps(by_laws(found, np.ones(10), None, np.arange(10 * CELLS) // 10)[-1], came))
    assert np.mean(ours) < 0.85 * np.mean(others)
