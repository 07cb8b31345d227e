"""How sure a variance is that few values gave: chi-square intervals, wider where the values have heavy tails.

Exact for values from a normal law. For others the degrees of freedom are cut by the excess kurtosis that was seen (Box,
1953), which few values underestimate: an interval from fewer than about ten values is a rough one.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import exp, fsum, inf, lgamma, log, sqrt

from festina.select.normal import TWO_SIDED
from festina.select.rates import bisect

TAIL = 0.025  # on each side: 95 % intervals
LARGE = 200.0  # degrees of freedom from which Wilson and Hilferty's formula is exact enough


def variance_span(variance: float, freedom: float) -> tuple[float, float]:
    """95 % interval of a variance that was estimated with so many degrees of freedom; (0, inf) without any."""
    if variance == 0.0:
        return 0.0, 0.0
    if freedom <= 0.0:
        return 0.0, inf
    low, high = _chi_square(TAIL, freedom), _chi_square(1.0 - TAIL, freedom)
    return variance * freedom / high, variance * freedom / low if low > 0.0 else inf


def freedom_of(values: Sequence[float], freedom: float) -> float:
    """``freedom`` as far as the tails of ``values`` (centred) let it count."""
    n = len(values)
    second = fsum(v * v for v in values) / n if n else 0.0
    if n < 4 or second == 0.0:
        return freedom
    excess = fsum(v**4 for v in values) / n / second**2 - 3.0
    return freedom / (1.0 + max(0.0, excess) * freedom / (2.0 * (freedom + 1.0)))


def _chi_square(p: float, freedom: float) -> float:
    """Quantile of the chi-square distribution."""
    if freedom > LARGE:
        z = TWO_SIDED if p > 0.5 else -TWO_SIDED
        part = 2.0 / (9.0 * freedom)
        return freedom * (1.0 - part + z * sqrt(part)) ** 3
    return 2.0 * bisect(lambda x: _gamma_share(0.5 * freedom, x) < p, 0.0, freedom + 20.0 * sqrt(freedom) + 20.0)


def _gamma_share(a: float, x: float) -> float:
    """The regularised lower incomplete gamma function, by its series: all terms are positive."""
    if x <= 0.0:
        return 0.0
    term = total = 1.0 / a
    for n in range(1, 10_000):
        term *= x / (a + n)
        total += term
        if term < total * 1e-14:
            break
    return min(1.0, exp(a * log(x) - x - lgamma(a)) * total)
