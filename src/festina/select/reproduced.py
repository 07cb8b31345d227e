"""Whether a claimed score comes out again: pure.

The claim is one number with as many decimals as were written, so it stands for an interval of half a unit in the last
place. It reproduces where it could be one more draw of what the runs here gave: within a two-sided 99.9 %
prediction interval of Student's t, widened by that half unit. With runs that all agree the interval has no width, and
the claim must be their value as far as it was written. A run without a score counts against the claim, for a
generation that was scored once does run.  # T-6

Not covered: noise that is far from normal (the prediction interval is approximate), and what the score is worth.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import sqrt
from typing import Literal

Word = Literal["reproduced", "not-reproduced", "cannot-tell"]
LEAST_RUNS = 3
RELATIVE = 1e-9  # two machines' last bits
# 99.95 % quantiles of Student's t for 1 to 30 degrees of freedom: one claim in a thousand is doubted wrongly
QUANTILES = (
    636.619, 31.599, 12.924, 8.610, 6.869, 5.959, 5.408, 5.041, 4.781, 4.587, 4.437, 4.318, 4.221, 4.140, 4.073,
    4.015, 3.965, 3.922, 3.883, 3.850, 3.819, 3.792, 3.768, 3.745, 3.725, 3.707, 3.690, 3.674, 3.659, 3.646,
)  # fmt: skip


def reproduced(claimed: float, decimals: int, values: Sequence[float | None]) -> Word:
    """What the runs say about the claim."""
    found = [value for value in values if value is not None]
    if 2 * len(found) < len(values) or not found:
        return "not-reproduced"
    if len(found) < LEAST_RUNS:
        return "cannot-tell"
    return "reproduced" if abs(claimed - sum(found) / len(found)) <= allowance(claimed, decimals, found) else (
        "not-reproduced"
    )


def allowance(claimed: float, decimals: int, found: Sequence[float]) -> float:
    """How far from the runs' mean the claim may lie."""
    n = len(found)
    mean = sum(found) / n
    deviation = sqrt(sum((value - mean) ** 2 for value in found) / (n - 1))
    rounding = 0.5 * 10.0**-decimals if decimals < 15 else 0.0
    slack = RELATIVE * max(abs(claimed), abs(mean))
    return QUANTILES[min(n - 1, len(QUANTILES)) - 1] * deviation * sqrt(1.0 + 1.0 / n) + rounding + slack
