"""The information bound: how many units any rule needs, from the exact law and nothing of the rule.

``rate`` is KL_inf, the smallest Kullback-Leibler distance from the law to any law on the range whose mean lies on the
other side of ``mean``. By its dual it is the best growth per unit that a fixed stake has, a concave problem in one
number.
"""

from __future__ import annotations

from functools import cache
from math import log

import numpy as np

from acceptance.frame import Array
from acceptance.laws import Exact


@cache
def rate(law: Exact, mean: float, above: bool) -> float:
    """Nats per unit against "the mean is at most ``mean``" (``above``) or "at least ``mean``"."""
    values, weights = law.points()
    payoff = values - mean if above else mean - values
    worst = 1.0 + mean if above else 1.0 - mean  # the largest loss that the range allows
    return _growth(payoff, weights, 1.0 / worst)


def _growth(payoff: Array, weights: Array, most: float) -> float:
    """Largest mean of log(1 + stake payoff) over 0 <= stake < most: bisection on its falling derivative."""
    low, high = 0.0, most * (1.0 - 1e-12)
    for _ in range(100):
        stake = 0.5 * (low + high)
        rising = float(np.sum(weights * payoff / (1.0 + stake * payoff))) > 0.0
        low, high = (stake, high) if rising else (low, stake)
    return float(np.sum(weights * np.log1p(low * payoff)))


def kl(p: float, q: float) -> float:
    """Nats between two coins."""
    first = p * log(p / q) if p > 0.0 else 0.0
    return first + ((1.0 - p) * log((1.0 - p) / (1.0 - q)) if p < 1.0 else 0.0)
