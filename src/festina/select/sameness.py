"""The incumbent against itself: one long test of "no side is favoured".  # V-2, S-5

Two processes of the same tree answer the same items under the same seed, in an order that the seed decides. Then
no stream of differences (the goal's by role, the goal's by order of running, each guard's by role) has a mean other
than 0, whatever the noise, unless something tells the two sides apart: a judge that prefers one role, an order
effect, a leak.

Each stream carries a bet in either direction; the evidence is the mean of all their wealths. Under "every mean is 0,
given the past" each wealth is a nonnegative martingale that starts at 1, and so is their mean: it reaches ``1/level``
at any time, ever, with probability at most ``level`` (Ville). ``level`` is for one such test, however long, and has
nothing to do with the alpha of acceptances.

What it does not cover: whatever favours both sides alike (a scorer that is wrong, items that leaked), and small
effects that the few units run so far cannot show. A system without noise gives differences of exactly 0 and an
evidence of 1 for ever, which is as it should be.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import log

from festina.errors import Fault
from festina.select.bets import Bet, bounded, symmetric
from festina.select.gate import Kind
from festina.select.rules import LOSSES

LEVEL = 0.01  # chance of ever raising a false alarm in one epoch
AIMS, WEIGHTS = (0.01, 0.05, 0.2), (0.3, 0.4, 0.3)  # shares of the range that the parts of a bet are aimed at


@dataclass(frozen=True, slots=True)
class Sameness:
    """The test so far. ``bets`` are in pairs: the difference is above 0, it is below 0."""

    level: float
    kinds: tuple[Kind, ...]  # one a stream: goal by role, goal by order, guards by role
    bets: tuple[Bet, ...]
    units: int = 0
    broken: bool = False  # latched

    @property
    def evidence(self) -> float:
        """Mean wealth of all bets: the alarm sounds at ``1 / level``."""
        total = 0.0  # left to right: see bets._total
        for bet in self.bets:
            total += bet.wealth
        return total / len(self.bets)

    @property
    def log_evidence(self) -> float:
        """For people and entries; never decides. Never below -700."""
        value = self.evidence
        return round(log(value), 9) if value > 1e-304 else -700.0

    @property
    def suspect(self) -> tuple[int, int]:
        """The stream whose difference speaks loudest, and its sign: 1 where the first of the two is favoured."""
        at = max(range(len(self.bets)), key=lambda i: self.bets[i].wealth)
        return at // 2, 1 if at % 2 == 0 else -1


def begin(goal: Kind, guards: int, level: float = LEVEL) -> Sameness:
    """No unit yet. Guards have a declared range whatever the goal has."""
    kinds: tuple[Kind, ...] = (goal, goal)
    for _ in range(guards):
        kinds += ("bounded",)
    return Sameness(level, kinds, tuple(bet for kind in kinds for bet in (_fresh(kind), _fresh(kind))))


def see(state: Sameness, differences: Sequence[float]) -> Sameness:
    """One more unit: its difference in each stream. After an alarm nothing changes."""
    if state.broken:
        return state
    if len(differences) != len(state.kinds):
        raise Fault("control-streams", f"{len(differences)} differences for {len(state.kinds)} streams")
    bets: list[Bet] = []
    for i, (kind, x) in enumerate(zip(state.kinds, differences, strict=True)):
        bound = 1.0 if kind == "bounded" else 1e300
        if not -bound <= x <= bound:
            raise Fault("evidence-out-of-range", f"a difference of {x} lies outside the declared range")
        bets += [state.bets[2 * i].after(x), state.bets[2 * i + 1].after(-x)]
    after = Sameness(state.level, state.kinds, tuple(bets), state.units + 1)
    if after.evidence >= 1.0 / after.level:
        return Sameness(after.level, after.kinds, after.bets, after.units, broken=True)
    return after


def due(share: float, judged: int, seen: int) -> int:
    """How many units are owed: ``share`` of the units judged so far, less those already run."""
    return max(0, int(share * judged) - seen)


def _fresh(kind: Kind) -> Bet:
    return bounded(AIMS, WEIGHTS, 1.0, LOSSES) if kind == "bounded" else symmetric()
