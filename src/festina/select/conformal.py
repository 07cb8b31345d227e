"""One p-value for "this one is like the others", from several distances at once.  # V-9

Every row holds the distances of one retraining to the same reference; the first row is the candidate's. If the
candidate is exchangeable with the retrainings (its change does nothing that retraining alone would not do), any score
that treats the rows alike ranks its row anywhere with equal chance: the share of rows that score at least as high is
then at most ``a`` with chance at most ``a``, on average over calibrations. The score is the largest distance, each
in standard deviations above the mean over all rows: one combined test, because five tests at 5 % each call a quarter of
harmless retrainings out. What is *nearer* than retrainings are to each other is not called: a longer training may be
just that. Standard deviations and not median deviations, which are next to nothing where a distance takes few values,
so that any retraining may look odd (``benchmarks/internals.py`` has these beside each other).

Exactly rounded sums, ``+ - * /``, ``sqrt`` and comparisons alone, so that whoever recounts gets the same bits.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import fsum, sqrt

LEAST = 19  # retrainings below which not even the largest of all has a p of 0.05
SHOWN = 0.05


@dataclass(frozen=True, slots=True)
class Compared:
    """``score`` of the candidate, the largest ``of_nulls``, the p-value, and the place of the largest distance."""

    score: float
    of_nulls: float
    p: float
    where: int


def compared(rows: Sequence[Sequence[float]]) -> Compared:
    """Of the first row against the others. ``ValueError`` without a distance, or without another row."""
    if len(rows) < 2 or not rows[0] or len({len(row) for row in rows}) != 1:
        raise ValueError("a candidate and at least one retraining, each with the same distances")
    columns = [_standardised(column) for column in zip(*rows, strict=True)]
    scores = [max(row) for row in zip(*columns, strict=True)]
    mine = [column[0] for column in columns]
    beyond = sum(score >= scores[0] for score in scores[1:])
    return Compared(scores[0], max(scores[1:]), (1 + beyond) / len(rows), mine.index(max(mine)))


def _standardised(column: Sequence[float]) -> list[float]:
    """How many standard deviations of the column each value lies above its mean."""
    mean = fsum(column) / len(column)
    size = sqrt(fsum((x - mean) * (x - mean) for x in column) / len(column))
    if not size > 1e-12 * max(abs(x) for x in column):
        return [0.0 for _ in column]  # the same to the last bits
    return [(x - mean) / size for x in column]


def median(values: Sequence[float]) -> float:
    """The middle one, or half the sum of the two in the middle."""
    ordered = sorted(values)
    half = len(ordered) // 2
    return ordered[half] if len(ordered) % 2 else 0.5 * ordered[half - 1] + 0.5 * ordered[half]
