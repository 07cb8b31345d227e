"""Returns to improvement from four corners: two improvers, each from two starts, all run today.  # W-2

Improver k from start s gains 2^(a + kappa x_k - beta x_s) on average: a better improver gains more (``kappa``), and
what is better already is harder to improve (``beta``). ``r = kappa / beta``, and compounding goes on by itself where
r > 1, that is where ``phi = kappa - beta`` > 0. None of this follows from a log of gains: that knows only
the diagonal, at different times.

Gains are pooled over problems on the log-odds scale, as in ``productivity``; intervals are quantiles (5, 95 %) of the
four gains' joint normal law, in which the two gains from one start share their problems. ``r`` is the quantile of a
ratio of draws and never a ratio of estimates: where beta may be 0 or less it has no upper bound. Nothing is said where
a gain cannot be told from nothing, nor where the two improvers' versions are less than a doubling apart.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import inf, log, log2, sqrt

from festina.select.productivity import LEAST_PROBLEMS, Row

DRAWS = 4001
LEAST_APART = 1.0  # doublings between the two versions
SURE = 0.95  # share of draws in which all four gains are above nothing
Side = tuple[float, float, float, float, float]  # newer's gain, older's, their variances, covariance; log-odds
Band = tuple[float, float, float]  # 5, 50, 95 %


@dataclass(frozen=True, slots=True)
class Corners:
    """``apart``: doublings between the versions. The rest is None where it cannot be told, and ``why`` says why not.

    ``r[2]`` is infinite where beta may be 0.
    """

    apart: float
    kappa: Band | None = None
    beta: Band | None = None
    phi: Band | None = None
    r: Band | None = None
    why: str = ""


def corners(low: Sequence[Row], high: Sequence[Row], apart: float) -> Corners:
    """``low``: rows (newer improver's product, older one's, start) from the older version; ``high``: from the newer."""
    if apart < LEAST_APART:
        return Corners(apart, why=f"the two versions are {apart:.1f} doublings apart, and it takes {LEAST_APART:g}")
    if min(len(low), len(high)) < LEAST_PROBLEMS:
        return Corners(apart, why=f"each start needs {LEAST_PROBLEMS} problems at least")
    sides = [_gains(low), _gains(high)]
    draws = [d for i in range(DRAWS) if (d := _draw(sides, i)) is not None]
    if len(draws) < SURE * DRAWS:
        return Corners(apart, why="a gain of one of them cannot be told from nothing")
    kappas, betas = [], []
    for new_low, old_low, new_high, old_high in draws:
        kappas.append((log2(new_low / old_low) + log2(new_high / old_high)) / 2.0 / apart)
        betas.append((log2(new_low / new_high) + log2(old_low / old_high)) / 2.0 / apart)
    ratios = [_ratio(k, b) for k, b in zip(kappas, betas, strict=True)]
    phis = [log2(d[2] / d[1]) / apart for d in draws]  # the diagonal: newer from newer against older from older
    return Corners(apart, _band(kappas), _band(betas), _band(phis), _band(ratios))


def _ratio(kappa: float, beta: float) -> float:
    """With beta at 0 or below, what gains at all runs away, and what does not has no returns."""
    if beta > 0.0:
        return kappa / beta
    return inf if kappa > 0.0 else 0.0


def _gains(rows: Sequence[Row]) -> Side:
    """Pooled over the problems."""
    n = len(rows)
    floor = 0.5 / (n + 1)
    means = [min(1.0 - floor, max(floor, sum(row[k] for row in rows) / n)) for k in range(3)]
    points, slopes = [log(m / (1.0 - m)) for m in means], [1.0 / (m * (1.0 - m)) for m in means]
    moved = [[slope * (value - mean) for value, mean, slope in zip(row, means, slopes, strict=True)] for row in rows]
    pairs = [(x - s, y - s) for x, y, s in moved]
    v, w, c = (sum(p[i] * p[j] for p in pairs) / (n - 1) / n for i, j in ((0, 0), (1, 1), (0, 1)))
    return points[0] - points[2], points[1] - points[2], v, w, c


def _draw(
    sides: Sequence[tuple[float, float, float, float, float]], i: int
) -> tuple[float, float, float, float] | None:
    """The i-th draw of (newer from older start, older from older, newer from newer, older from newer)."""
    found = []
    for side, (a, b, v, w, c) in enumerate(sides):
        first, second = _normal(i, 2 * side), _normal(i, 2 * side + 1)
        sd = sqrt(max(v, 1e-12))
        found.append(a + sd * first)
        found.append(b + c / sd * first + sqrt(max(w - c * c / max(v, 1e-12), 0.0)) * second)
    return (found[0], found[1], found[2], found[3]) if min(found) > 0.0 else None


_STEPS = (0.8191725133961645, 0.6710436067037893, 0.5497004779019703, 0.4503087774195104)  # Roberts' 4-d sequence


def _normal(i: int, axis: int) -> float:
    """A normal score of a low-discrepancy sequence: the same each time, and evener than chance."""
    u = (0.5 + (i + 1) * _STEPS[axis]) % 1.0
    return _inverse_normal(min(max(u, 1e-6), 1.0 - 1e-6))


def _inverse_normal(p: float) -> float:
    from statistics import NormalDist

    return NormalDist().inv_cdf(p)


def _band(values: list[float]) -> Band:
    ordered = sorted(values)
    low, middle, high = (ordered[min(len(ordered) - 1, int(q * len(ordered)))] for q in (0.05, 0.5, 0.95))
    return low, middle, high


def sentence(found: Corners, left: int, right: int) -> str:
    """In words: whether the returns suffice for compounding by itself."""
    if found.r is None or found.kappa is None or found.phi is None or found.beta is None:
        return f"Returns to improvement (r) between generations {right} and {left} are not identified: {found.why}."
    low, middle, high = found.r
    top = "no upper bound" if high == inf else f"{high:.2f}"
    shown = "more than can be told" if middle == inf else f"{middle:.2f}"
    said = f"Returns to improvement between generations {right} and {left}: r = {shown} ({low:.2f} to {top}, 90 %)"
    if low > 1.0:
        word = "each gain makes the next one cheaper than it makes it harder: this compounds"
    elif high < 1.0:
        word = "gains get harder faster than the improver gets better: this does not compound"
    else:
        word = "whether this compounds by itself cannot be told yet"
    return (
        f"{said}; {word}. A doubling of the system makes its improver gain 2^{found.kappa[1]:.2f} times as much, and "
        f"what is left 2^{found.beta[1]:.2f} times as hard to gain."
    )
