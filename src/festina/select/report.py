"""Numbers about a difference, for people: an estimate and an interval that holds at any stopping time.

The interval never decides anything; acceptance is ``gate``'s. It covers one quantity with the stated
confidence however the moment of stopping was chosen, but *one* quantity: over many verdicts some intervals
miss. The seldom one where an interval and a verdict seem to disagree is explained by their different
error levels.

``bounded``: the mean of differences in [-1, 1]. Two bets per side, one tuned to about 200 units (share 0.8)
and one to 2,000, each with a stake that a running estimate of the variance sets; a mean is outside when the
bet against it ever reaches 40. ``benchmarks/acceptance`` has it beside a fixed mixture of stakes and the usual
predictable plug-in: for 50 to 300 units it is the narrowest, but for coin-like scores at 50 units (0.22, plug-in 0.20).

``symmetric``: the centre of symmetry, by the bets of ``bets.Symmetric`` with a scale that does not move with
the centre, so that the set is an interval. Under 6 units no such interval exists: ``None``.

Only ``+ - * /``, ``sqrt`` and comparisons: same differences in the same order, same bits.  # S-5
"""

from __future__ import annotations

from bisect import insort
from collections.abc import Callable, Sequence
from math import isfinite, sqrt

from festina.errors import Fault
from festina.select.bets import SLOPES, remember, standardise, symmetric_factor, typical
from festina.select.gate import Kind

OUTSIDE = 40.0  # a side's bet at 2/0.05: both sides together miss with probability 0.05
NATS = 3.6888794541139363  # log(OUTSIDE), written out so that no logarithm is taken
HORIZONS = ((200.0, 0.8), (2000.0, 0.2))  # (units the stake is tuned to, share)
PRIOR_UNITS, PRIOR_VARIANCE = 4.0, 0.05
STAKE_LIMIT = 0.95  # share of the most that could be staked
STEPS = 26  # of bisection: to 2**-26 of the range


def estimate(diffs: Sequence[float], kind: Kind = "bounded") -> float:
    """The mean (bounded), or the median (symmetric): one wild seed does not move it."""
    if not diffs:
        raise Fault("no-differences", "an estimate was asked for without a unit")
    if kind == "bounded":
        total = 0.0
        for value in diffs:  # not sum(): it rounds differently from Python 3.12 on
            total += value
        return total / len(diffs)
    ordered = sorted(diffs)
    half = len(ordered) // 2
    return ordered[half] if len(ordered) % 2 else 0.5 * ordered[half - 1] + 0.5 * ordered[half]


def interval(
    diffs: Sequence[float], kind: Kind = "bounded", *, shown: float | None = None
) -> tuple[float, float] | None:
    """95 % interval of the mean (bounded) or centre (symmetric) of the differences, at any stopping time.

    Differences as they came, in the gate's units. Contains ``estimate``. None: too few units to say.

    ``shown``: the margin of an *accepted* test. Its evidence has shown, at the test's own level, that the truth
    lies above the margin, with bets aimed at just that; the lower end is raised to it where these bets saw less
    (some acceptances on coin-like scores, none seen on batch means). The chance of a miss grows by the level.
    """
    found = _symmetric_interval(diffs) if kind == "symmetric" else _bounded_interval(diffs)
    if found is None or shown is None:
        return found
    return min(max(found[0], shown), estimate(diffs, kind)), found[1]


def repeated(diffs: Sequence[float], *, below: int, above: int) -> tuple[float, float] | None:
    """An interval for a question that was asked before: each end pays for how often it could have been wrong.

    ``below``, ``above``: which asking it is for the lower and for the upper end, from 1. The nth misses with
    probability 0.025 / n**2 on its side: however often one asks, a side is ever wrong with 0.025 * pi**2 / 6 < 0.042.
    ``repeated(diffs, below=1, above=1)`` is ``interval(diffs)``.
    """
    if below < 1 or above < 1:
        raise Fault("asked-less-than-once", "an interval was asked for with no asking")
    return _bounded_interval(diffs, below, above)


def _nats(asking: int) -> float:
    """About log(40 * asking**2): where the stakes aim. Close is enough, what is shown does not rest on it."""
    more = 0.0
    for n in range(2, min(asking, 1000) + 1):
        more += 4.0 / (2 * n - 1)  # 2 * log(n / (n - 1)) to within 4 %, without a logarithm
    return NATS + more


def _bounded_interval(diffs: Sequence[float], below: int = 1, above: int = 1) -> tuple[float, float] | None:
    if any(not -1.0 <= value <= 1.0 for value in diffs):
        raise Fault("evidence-out-of-range", "a difference lies outside the declared range")
    if not diffs:
        return None
    middle = estimate(diffs)
    plans = stakes(diffs, HORIZONS, _nats(below))
    lower = _lower_bound(diffs, plans, middle, OUTSIDE * below * below)
    other = plans if above == below else stakes(diffs, HORIZONS, _nats(above))
    upper = -_lower_bound([-value for value in diffs], other, -middle, OUTSIDE * above * above)
    return lower, upper


def stakes(diffs: Sequence[float], horizons: Sequence[tuple[float, float]], nats: float) -> list[list[float]]:
    """For each horizon (units, share) the stake at every unit, from earlier units only, tuned to show ``nats`` then."""
    plans: list[list[float]] = [[] for _ in horizons]
    total, squares = 0.0, PRIOR_UNITS * PRIOR_VARIANCE
    for n, value in enumerate(diffs):
        variance = squares / (PRIOR_UNITS + n)
        for plan, (horizon, _) in zip(plans, horizons, strict=True):
            plan.append(sqrt(2.0 * nats / (variance * max(n + 1.0, horizon))))
        deviation = value - total / (n + 1)  # the mean so far with one pretended 0
        squares += deviation * deviation
        total += value
    return plans


def _lower_bound(
    diffs: Sequence[float], plans: list[list[float]], middle: float, most: float = OUTSIDE
) -> float:
    """The largest mean in [-1, middle] that the bets on "it is more" have put outside."""

    (_, sooner), (_, later) = HORIZONS

    def outside(mean: float) -> bool:
        limit = STAKE_LIMIT / (1.0 + mean)
        soon, late = sooner, later
        for value, a, b in zip(diffs, *plans):  # noqa: B905 -- of one length; strict= costs time
            x = value - mean
            soon *= 1.0 + (a if a < limit else limit) * x
            late *= 1.0 + (b if b < limit else limit) * x
            if soon + late >= most:
                return True
        return False

    low, high = -1.0, middle
    for _ in range(STEPS):
        mean = 0.5 * (low + high)
        if mean > -1.0 and outside(mean):
            low = mean
        else:
            high = mean
    return low


def _symmetric_interval(diffs: Sequence[float]) -> tuple[float, float] | None:
    if any(not isfinite(value) for value in diffs):
        raise Fault("evidence-out-of-range", "a difference is not finite")
    if len(diffs) < 6:
        return None
    scales = _scales(diffs)
    middle = estimate(diffs, "symmetric")
    lower = _centre_bound(diffs, scales, middle)
    upper = _centre_bound([-value for value in diffs], scales, -middle)
    if lower is None or upper is None:
        return None
    return lower, -upper


def _scales(diffs: Sequence[float]) -> list[float]:
    """Before each unit, the typical distance of the earlier ones from their middle at the time they came.

    Moving all differences by a constant changes nothing here: the scale does not depend on the centre.
    """
    scales: list[float] = []
    sizes: tuple[float, ...] = ()
    ordered: list[float] = []
    for value in diffs:
        scales.append(typical(sizes))
        if ordered:
            sizes = remember(sizes, abs(value - ordered[(len(ordered) - 1) // 2]))
        insort(ordered, value)
    return scales


def _centre_bound(diffs: Sequence[float], scales: list[float], middle: float) -> float | None:
    """The largest centre at or left of ``middle`` that is outside; None when none can be put outside."""

    def outside(centre: float) -> bool:
        slow, fast = 0.5, 0.5
        for value, scale in zip(diffs, scales, strict=True):
            z = standardise(value - centre, scale)
            slow *= symmetric_factor(SLOPES[0] * z)
            fast *= symmetric_factor(SLOPES[1] * z)
            if slow + fast >= OUTSIDE:
                return True
        return False

    return _bisect_left(outside, middle, scales[-1] or max(abs(value) for value in diffs))


def _bisect_left(outside: Callable[[float], bool], middle: float, size: float) -> float | None:
    step = size * 1e-3 if size > 0.0 else 1.0
    for _ in range(60):
        if outside(middle - step):
            break
        step *= 2.0
    else:
        return None
    low, high = middle - step, middle
    for _ in range(STEPS):
        centre = 0.5 * (low + high)
        low, high = (centre, high) if outside(centre) else (low, centre)
    return low
