"""Exact intervals for rates and for how two misses go together. Pure arithmetic.  # S-5

``exact`` is Clopper and Pearson's interval: it covers any true rate with at least the stated confidence, whatever
the number of runs. Not covered: rates that change while they are counted.
"""

from __future__ import annotations

from collections.abc import Callable
from math import exp, fsum, lgamma, log, log1p

CONFIDENCE = 0.95


def exact(hits: int, runs: int, confidence: float = CONFIDENCE) -> tuple[float, float]:
    """Clopper-Pearson interval of a rate; (0, 1) for no runs."""
    if not 0 <= hits <= runs:
        raise ValueError(f"{hits} of {runs}")
    if runs == 0:
        return 0.0, 1.0
    tail = (1.0 - confidence) / 2.0
    low = 0.0 if hits == 0 else bisect(lambda p: 1.0 - at_most(hits - 1, runs, p) < tail, 0.0, 1.0)
    high = 1.0 if hits == runs else bisect(lambda p: at_most(hits, runs, p) > tail, 0.0, 1.0)
    return low, high


def at_most(hits: int, runs: int, p: float) -> float:
    """P(X <= hits) for X binomial(runs, p)."""
    if p <= 0.0:
        return 1.0
    if p >= 1.0:
        return 1.0 if hits >= runs else 0.0
    terms = [exp(log_choose(runs, k) + k * log(p) + (runs - k) * log1p(-p)) for k in range(hits + 1)]
    return min(1.0, fsum(terms))


def log_choose(n: int, k: int) -> float:
    return lgamma(n + 1) - lgamma(k + 1) - lgamma(n - k + 1)


def bisect(left: Callable[[float], bool], low: float, high: float) -> float:
    """Where ``left`` turns from true to false."""
    for _ in range(60):
        middle = 0.5 * (low + high)
        low, high = (middle, high) if left(middle) else (low, middle)
    return 0.5 * (low + high)
