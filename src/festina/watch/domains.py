"""What changed in what a system can do: an ability that was not there before, and how many domains moved.  # G-1, W-3

*New ability.* Where the first complete characterisation of a domain did not show the ability, each later one bets on
"it is still at the floor": the unit scores' mean is at most ``floor``. Factors ``1 + s (x - floor) / floor`` with five
stakes, averaged; their product is an e-value also where units of one file differ in difficulty, since the product of
expectations is largest where they are equal. The j-th characterisation alarms from ``j (j + 1) / ALPHA`` on, so that a
domain that stays at its floor is ever called new with a chance of at most ``ALPHA``, however often it is looked at.

*Breadth.* Which domains moved between two characterised versions: a Student interval of the units' differences, paired
where both answered the same items, at 95 % for all domains together (Bonferroni). It informs people, no more.

Scores are shares in [0, 1], 1 most capable. Not covered: a system that hides what it can do, and domains nobody probes.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

__all__ = ["ALPHA", "Breadth", "Moved", "breadth", "evidence", "moved", "new_ability"]

ALPHA = 0.01  # chance, for each domain and for ever, of calling an ability new that is not there
STAKES = (0.05, 0.1, 0.2, 0.4, 0.8)
_CAP = 1e300

Scores = Sequence[float | None]
Direction = Literal["up", "down", "not shown"]


def evidence(scores: Scores, floor: float) -> float:
    """The e-value of one characterisation against "at the floor". ``floor`` in (0, 1)."""
    wealth = [1.0] * len(STAKES)
    for x in scores:
        if x is not None:
            wealth = [min(_CAP, w * (1.0 + s * (x - floor) / floor)) for w, s in zip(wealth, STAKES, strict=True)]
    return sum(wealth) / len(STAKES)


def new_ability(found: Sequence[float]) -> int | None:
    """By each characterisation's ``evidence``, in order: the first with an ability that the first lacked; else None."""
    for j, each in enumerate(found, 1):
        if each >= j * (j + 1) / ALPHA:
            return None if j == 1 else j - 1
    return None


@dataclass(frozen=True, slots=True)
class Moved:
    """How a domain's mean score moved. ``low``, ``high``: simultaneous 95 % with the other domains."""

    by: float
    low: float
    high: float

    @property
    def way(self) -> Direction:
        return "up" if self.low > 0.0 else "down" if self.high < 0.0 else "not shown"


@dataclass(frozen=True, slots=True)
class Breadth:
    """Of a change: each domain's move, and the word for all of them."""

    domains: Mapping[str, Moved]

    @property
    def changed(self) -> tuple[str, ...]:
        return tuple(name for name, each in self.domains.items() if each.way != "not shown")

    @property
    def word(self) -> Literal["one domain only", "none shown", "narrow", "general"]:
        if len(self.domains) < 2:
            return "one domain only"
        if not self.changed:
            return "none shown"
        return "general" if 2 * len(self.changed) > len(self.domains) else "narrow"

    def sentence(self) -> str:
        said = {"up": "up", "down": "down"}
        moves = ", ".join(f"{n} {said[m.way]} by {abs(m.by):.3f}" for n, m in self.domains.items() if m.way in said)
        still = [name for name, each in self.domains.items() if each.way == "not shown"]
        tail = f"; not shown to have moved: {', '.join(still)}" if still else ""
        if self.word == "none shown":
            return f"no domain is shown to have moved ({', '.join(self.domains)})"
        if self.word == "one domain only":
            return f"{moves or 'not shown to have moved'}; one domain alone says nothing of breadth"
        return f"{self.word} ({len(self.changed)} of {len(self.domains)} domains): {moves}{tail}"


def moved(before: Scores, after: Scores, *, paired: bool, domains: int) -> Moved | None:
    """None with fewer than three units to compare."""
    alpha = 0.05 / max(1, domains)
    if paired:
        rows = [b - a for a, b in zip(before, after, strict=False) if a is not None and b is not None]
        if len(rows) < 3:
            return None
        middle, variance = _moments(rows)
        error, freedom = math.sqrt(variance / len(rows)), len(rows) - 1
    else:
        first, second = [x for x in before if x is not None], [x for x in after if x is not None]
        if min(len(first), len(second)) < 3:
            return None
        (m0, v0), (m1, v1) = _moments(first), _moments(second)
        middle, error = m1 - m0, math.sqrt(v0 / len(first) + v1 / len(second))
        freedom = min(len(first), len(second)) - 1
    half = _student(1.0 - alpha / 2.0, freedom) * error
    return Moved(middle, middle - half, middle + half)


def breadth(domains: Mapping[str, tuple[Scores, Scores, bool]]) -> Breadth:
    """By domain: scores before, after, and whether they answered the same items."""
    found = {
        name: moved(before, after, paired=paired, domains=len(domains))
        for name, (before, after, paired) in sorted(domains.items())
    }
    return Breadth({name: each for name, each in found.items() if each is not None})


def _moments(rows: Sequence[float]) -> tuple[float, float]:
    middle = math.fsum(rows) / len(rows)
    return middle, math.fsum((x - middle) ** 2 for x in rows) / (len(rows) - 1)


def _student(p: float, freedom: int) -> float:
    """A quantile of Student's t by Hill's expansion around the normal one; within 2 % from 5 degrees of freedom on."""
    from statistics import NormalDist

    z, n = NormalDist().inv_cdf(p), float(freedom)
    g1 = (z**3 + z) / 4
    g2 = (5 * z**5 + 16 * z**3 + 3 * z) / 96
    g3 = (3 * z**7 + 19 * z**5 + 17 * z**3 - 15 * z) / 384
    g4 = (79 * z**9 + 776 * z**7 + 1482 * z**5 - 1920 * z**3 - 945 * z) / 92160
    return z + g1 / n + g2 / n**2 + g3 / n**3 + g4 / n**4
