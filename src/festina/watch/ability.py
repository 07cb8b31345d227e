"""An ability scale: what a version can do, on items whose difficulty was locked once.  # G-1, W-1

The model is Rasch's with a floor: a unit (the items that one process answers; what shares a process is one response,
E-3) is answered with share ``P = c + (1 - c) / (1 + exp(-(ability - difficulty)))``, ``c`` being what is scored without
the ability. One difficulty for each unit and no discrimination: a loop has few versions to fit on (2PL needs hundreds),
and in Rasch's model the comparison of two versions does not hang on which anchors are left, which is what counts when
anchors leak. Difficulties come from one reference version, shrunk to their common normal law (empirical Bayes), since
what chance made look easy is no easy item; then the reference stands exactly where it is said to stand.

An ability is where the anchors together expect what was scored (the test characteristic curve; with ``c`` = 0 the
maximum of the likelihood). Its error has three parts: the answers' own spread, widened where units differ more than the
model says; that of the difficulties; and that of where the reference stood. Anchors that fit no longer are dropped, the
worst first, and named: by a bound on the tail (Hoeffding's, over the difficulty's own uncertainty, seen from the half
of the anchors that agree best) at a level that is spent over all looks: the chance of ever naming a sound one is at
most ``DRIFT``. That trusts that a unit's items are answered about independently, given what the version can do. Where
the answers as a whole fit no ability (many leaks, a system of another kind), none is told.

Levels and errors are in doublings of the odds. Pure; no numpy, since a fold computes it.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Literal

__all__ = ["MAX_ANCHORS", "MAX_SE", "Placed", "Scale", "lock", "place"]

MAX_ANCHORS = 200
DRIFT = 0.01  # chance of ever naming a sound anchor
MAX_SE = 0.3 / math.log(2.0)  # doublings; a coarser ability is none (takeoff study, headroom)
LEAST = 5  # anchors under which there is no scale
LEAST_ITEMS = 5  # in a unit: of fewer, nobody can tell chance from difficulty (found: intervals that hold 76 %)
MISFIT = 3.0  # mean squared residual beyond which no one ability explains the answers: many leaks, another system
_LN2 = math.log(2.0)
_GRID = tuple(-6.0 + 0.3 * i for i in range(41))  # of difficulties, around their mean
_NODES = ((-1.7320508075688772, 1 / 6), (0.0, 2 / 3), (1.7320508075688772, 1 / 6))  # Gauss-Hermite
_WIDE = 40.0  # logits: beyond any ability

Headroom = Literal["enough", "too hard", "too easy", "too coarse", "of no one ability"]


@dataclass(frozen=True, slots=True)
class Scale:
    """Locked anchors: difficulty and standard error of each unit, by place, in logits; None: was never answered.

    ``items`` a unit; ``floor`` in [0, 1); ``error`` of where the reference stood, in logits.
    """

    items: int
    floor: float
    difficulties: tuple[float | None, ...]
    errors: tuple[float, ...]
    error: float = 0.0


@dataclass(frozen=True, slots=True)
class Placed:
    """An ability in doublings, and what it rests on. ``level`` None: no anchor answered, or none left."""

    level: float | None
    error: float
    used: int
    drifted: tuple[tuple[int, Literal["easier", "harder"]], ...] = ()
    headroom: Headroom = "enough"

    @property
    def told(self) -> bool:
        """Whether the ability is known well enough to be one."""
        return self.level is not None and self.headroom == "enough"


def lock(scores: Sequence[float | None], items: int, floor: float, at: float = 0.0, error: float = 0.0) -> Scale | None:
    """Difficulties from one version's unit scores in [0, 1]; ``at``, ``error``: where it stands, in doublings.

    None where they say nothing of difficulty: too few answered, units too small, or nearly nothing or all solved.
    """
    known = [score for score in scores if score is not None]
    total = len(known) * items
    share = _above(sum(known) / len(known), floor) if known else 0.0
    if items < LEAST_ITEMS or len(known) < LEAST or not 2.0 / total < share < 1.0 - 2.0 / total:
        return None
    law = _law(known, items, floor, _logit(share))
    posterior = {score: _posterior(score, items, floor, *law) for score in set(known)}
    middle = [None if score is None else posterior[score][0] for score in scores]
    theta = at * _LN2
    shift = theta - _solve([b for b in middle if b is not None], floor, sum(known))
    return Scale(
        items, floor, tuple(None if b is None else b + shift for b in middle),
        tuple(0.0 if score is None else posterior[score][1] for score in scores), error * _LN2,
    )  # fmt: skip


def place(scale: Scale, scores: Sequence[float | None], looks: int, out: Collection[int] = ()) -> Placed:
    """The ability behind unit scores in [0, 1]. ``looks``: so many were made, this one included. ``out``: not used."""
    use = [
        i for i, b in enumerate(scale.difficulties[: len(scores)])
        if b is not None and scores[i] is not None and i not in out
    ]  # fmt: skip
    level = DRIFT / (looks * (looks + 1))
    drifted: list[tuple[int, Literal["easier", "harder"]]] = []
    most = len(use) // 2  # where more than half moved, nobody can say which half it is
    while len(use) >= LEAST:
        theta, doubt = _typical(scale, scores, use)
        spread = _typical_spread(scale, scores, use, theta)
        tails = {i: _tail(scale, scores, i, theta, doubt, spread) for i in use}
        worst = min(use, key=tails.__getitem__)
        if len(drifted) >= most or tails[worst] * 2 * len(use) >= level:
            return _placed(scale, scores, use, _theta(scale, scores, use), drifted)
        score, expected = scores[worst], _share(theta - (scale.difficulties[worst] or 0.0), scale.floor)
        drifted.append((worst, "easier" if (score or 0.0) > expected else "harder"))
        use.remove(worst)
    return Placed(None, math.inf, len(use), tuple(sorted(drifted)), "too coarse")


def _placed(
    scale: Scale, scores: Sequence[float | None], use: Sequence[int], theta: float,
    drifted: Sequence[tuple[int, Literal["easier", "harder"]]],
) -> Placed:  # fmt: skip
    shares = [_share(theta - _b(scale, i), scale.floor) for i in use]
    slopes = [_slope(p, scale.floor) for p in shares]
    own = [p * (1.0 - p) / scale.items for p in shares]
    chi = sum((_y(scores, i) - p) ** 2 / max(v, 1e-12) for i, p, v in zip(use, shares, own, strict=True))
    wider = max(1.0, chi / max(1, len(use) - 1))
    given = sum((slope * scale.errors[i]) ** 2 for i, slope in zip(use, slopes, strict=True))
    total = sum(slopes)
    error = math.sqrt((wider * sum(own) + given) / total**2 + scale.error**2) / _LN2 if total > 0.0 else math.inf
    seen = sum(_y(scores, i) for i in use) / len(use)
    half = 0.5 / (len(use) * scale.items)
    room: Headroom = "enough"
    if sum(_residual(scale, scores, i, theta) ** 2 for i in use) > MISFIT * len(use):
        room = "of no one ability"
    elif error > MAX_SE:
        room = "too hard" if seen <= scale.floor + half else "too easy" if seen >= 1.0 - 2 * half else "too coarse"
        if room == "too coarse" and not 0.1 < _above(seen, scale.floor) < 0.9:
            room = "too hard" if seen < 0.5 else "too easy"
    return Placed(theta / _LN2, error, len(use), tuple(sorted(drifted)), room)


def _b(scale: Scale, i: int) -> float:
    found = scale.difficulties[i]
    assert found is not None  # only anchors are used
    return found


def _y(scores: Sequence[float | None], i: int) -> float:
    found = scores[i]
    assert found is not None
    return found


def _above(share: float, floor: float) -> float:
    """Share of what the floor leaves."""
    return min(1.0, max(0.0, (share - floor) / (1.0 - floor)))


def _logit(p: float) -> float:
    return math.log(p / (1.0 - p))


def _share(x: float, floor: float) -> float:
    x = min(_WIDE, max(-_WIDE, x))
    return floor + (1.0 - floor) / (1.0 + math.exp(-x))


def _slope(share: float, floor: float) -> float:
    """d share / d ability."""
    q = (share - floor) / (1.0 - floor)
    return (1.0 - floor) * q * (1.0 - q)


def _solve(difficulties: Sequence[float], floor: float, total: float) -> float:
    """Where these difficulties together expect ``total``."""
    low, high = -_WIDE, _WIDE
    for _ in range(60):
        middle = 0.5 * (low + high)
        if sum(_share(middle - b, floor) for b in difficulties) < total:
            low = middle
        else:
            high = middle
    return 0.5 * (low + high)


def _theta(scale: Scale, scores: Sequence[float | None], use: Sequence[int]) -> float:
    """In logits. Half an item is added where nothing, or everything, was solved: then it is an end, no value."""
    half = 0.5 / scale.items
    total = sum(_y(scores, i) for i in use)
    total = min(len(use) - half, max(len(use) * scale.floor + half * (1.0 - scale.floor), total))
    return _solve([_b(scale, i) for i in use], scale.floor, total)


def _typical(scale: Scale, scores: Sequence[float | None], use: Sequence[int]) -> tuple[float, float]:
    """(ability, its error) of the half of the units that agree best: whatever a minority does, it does not move it.

    From where as many units do better than expected as worse, to the half that is nearest to that, three times over.
    """
    low, high = -_WIDE, _WIDE
    for _ in range(40):
        theta = 0.5 * (low + high)
        ahead = sum(math.copysign(1.0, _y(scores, i) - _share(theta - _b(scale, i), scale.floor)) for i in use)
        low, high = (theta, high) if ahead > 0.0 else (low, theta)
    near = list(use)
    for _ in range(3):
        near = sorted(use, key=lambda i: abs(_residual(scale, scores, i, theta)))[: max(LEAST, (len(use) + 1) // 2)]
        theta = _theta(scale, scores, near)
    slopes = sum(_slope(_share(theta - _b(scale, i), scale.floor), scale.floor) for i in near)
    own = sum(_share(theta - _b(scale, i), scale.floor) * 0.25 for i in near) / scale.items
    return theta, math.sqrt(own) / slopes if slopes > 0.0 else _WIDE


def _residual(scale: Scale, scores: Sequence[float | None], i: int, theta: float) -> float:
    """How far a unit is from what is expected, in its own standard deviations."""
    p = _share(theta - _b(scale, i), scale.floor)
    variance = p * (1.0 - p) / scale.items + (_slope(p, scale.floor) * scale.errors[i]) ** 2
    return (_y(scores, i) - p) / math.sqrt(max(variance, 1e-12))


def _typical_spread(scale: Scale, scores: Sequence[float | None], use: Sequence[int], theta: float) -> float:
    """How much wider than a coin's a typical unit's answers scatter: by the median, which few anchors do not move."""
    squares = sorted(_residual(scale, scores, i, theta) ** 2 for i in use)
    return max(1.0, squares[len(squares) // 2] / 0.4549)  # the median of a square of a normal


def _tail(
    scale: Scale, scores: Sequence[float | None], i: int, theta: float, doubt: float, spread: float
) -> float:  # fmt: skip
    """Bound on the chance of a score so far from what is expected, on its side."""
    score, items = _y(scores, i), scale.items / spread
    wide, chance = math.hypot(scale.errors[i], doubt), 0.0
    for node, weight in _NODES:
        p = min(1.0 - 1e-12, max(1e-12, _share(theta - _b(scale, i) + node * wide, scale.floor)))
        beyond = (score > p) == (score > _share(theta - _b(scale, i), scale.floor))
        chance += weight * (math.exp(-items * _kl(score, p)) if beyond else 1.0)
    return chance


def _kl(y: float, p: float) -> float:
    first = y * math.log(y / p) if y > 0.0 else 0.0
    return first + ((1.0 - y) * math.log((1.0 - y) / (1.0 - p)) if y < 1.0 else 0.0)


def _law(scores: Sequence[float], items: int, floor: float, theta: float) -> tuple[float, float]:
    """(mean, standard deviation) of the difficulties around an ability of 0, by expectation and maximisation."""
    counts = {score: scores.count(score) for score in sorted(set(scores))}
    mean, deviation = -theta, 1.0
    for _ in range(12):
        found = {score: _posterior(score, items, floor, mean, deviation) for score in counts}
        n = len(scores)
        mean = sum(k * found[s][0] for s, k in counts.items()) / n
        square = sum(k * ((found[s][0] - mean) ** 2 + found[s][1] ** 2) for s, k in counts.items()) / n
        deviation = min(3.0, max(0.05, math.sqrt(square)))
    return mean, deviation


def _posterior(score: float, items: int, floor: float, mean: float, deviation: float) -> tuple[float, float]:
    """(mean, standard deviation) of a difficulty after a unit's score, on a grid."""
    rows = []
    for x in _GRID:
        b = mean + x * max(0.5, deviation)
        p = min(1.0 - 1e-12, max(1e-12, _share(-b, floor)))
        log = items * (score * math.log(p) + (1.0 - score) * math.log(1.0 - p))
        rows.append((b, log - 0.5 * ((b - mean) / deviation) ** 2))
    top = max(log for _, log in rows)
    weights = [(b, math.exp(log - top)) for b, log in rows]
    total = sum(w for _, w in weights)
    centre = sum(b * w for b, w in weights) / total
    return centre, math.sqrt(sum((b - centre) ** 2 * w for b, w in weights) / total)
