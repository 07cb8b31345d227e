"""An interval for a mean of a number of units that was fixed beforehand: Student's t, two-sided 95 %.

Approximate: it trusts that means of ``n`` differences are about normal, and an effect rarer than about one unit in
``n / 3`` is not seen by ``n`` units. It is for informing people, and no acceptance hangs on it; acceptances use bets
that trust nothing (``gate``). Differences that are all equal give an interval of no width: what was seen, not what may
be.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import sqrt

from festina.errors import Fault
from festina.select.normal import TWO_SIDED

Spread = tuple[float, float, float]  # (estimate, low, high)

TABLE = (
    12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262, 2.228, 2.201, 2.179, 2.160, 2.145, 2.131, 2.120,
    2.110, 2.101, 2.093, 2.086, 2.080, 2.074, 2.069, 2.064, 2.060, 2.056, 2.052, 2.048, 2.045, 2.042,
)  # fmt: skip  # 97.5 % quantiles for 1 to 30 degrees of freedom


def quantile(freedom: int) -> float:
    """The 97.5 % quantile of Student's t. Beyond the table by Cornish and Fisher's expansion."""
    if freedom < 1:
        raise Fault("no-freedom", "an interval needs two units at least")
    if freedom <= len(TABLE):
        return TABLE[freedom - 1]
    z = TWO_SIDED
    return z + (z**3 + z) / (4 * freedom) + (5 * z**5 + 16 * z**3 + 3 * z) / (96 * freedom**2)


def spread(values: Sequence[float], scale: float = 1.0) -> Spread:
    """Mean and 95 % interval of at least two values, times ``scale``."""
    n = len(values)
    factor = quantile(n - 1)
    mean = sum(values) / n
    variance = sum((value - mean) ** 2 for value in values) / (n - 1)
    half = factor * sqrt(variance / n)
    return mean * scale, (mean - half) * scale, (mean + half) * scale
