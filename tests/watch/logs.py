"""Made logs of growth whose law is known."""

from __future__ import annotations

import numpy as np

from festina.watch.posterior import Series


def successes(rng: np.random.Generator, mean: float, size: float = 0.125) -> float:
    """A gain made of exponential successes."""
    count = rng.poisson(mean / size)
    return float(rng.exponential(size, count).sum()) if count else 0.0


def compounding(seed: int, count: int = 40, phi: float = 0.0, pace: float = 0.5, cap: float = 16.0) -> np.ndarray:
    """True gains of a run whose pace is ``pace`` 2^(phi x), at most ``cap`` times the first."""
    rng, x, gains = np.random.default_rng(seed), 0.0, []
    for _ in range(count):
        gains.append(successes(rng, pace * min(2.0 ** (phi * x), cap)))
        x += gains[-1]
    return np.array(gains)


def measured(gains: np.ndarray, seed: int, error: float = 0.1, *, levels: bool = True) -> Series:
    rng, count = np.random.default_rng([seed, 7]), len(gains)
    noise = error * rng.standard_normal(count)
    told = np.diff(np.concatenate([[0.0], np.cumsum(gains) + noise])) if levels else gains + noise
    return Series(told, np.full(count, error), np.ones(count), levels)
