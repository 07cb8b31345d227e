"""The rule of ``gate`` on many tests of one plan at once, for simulation and planning: numpy, and the same bits.

``gate(plan, levels, gains, guards, judges)`` plays ``len(levels)`` tests, each at its own level, on differences that
are given in full (tests x units), and says how each would have ended. Nothing here decides a real test: the loop
uses ``festina.select.gate`` alone, and ``tests/select/test_vector.py`` shows that both give the same bits.

Not imported by ``festina.select``: numpy costs a tenth of a second that no command should pay without need.

Does not cover: going on with a capped test (``extend``); evidence outside the declared range, which the caller keeps
out (``gate.observe`` refuses it, here it is a Fault for the whole batch).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from festina.errors import Fault
from festina.select.bets import (
    CLIP,
    PATIENCE,
    PRIOR_SQUARES,
    PRIOR_UNITS,
    SCALE_SAMPLES,
    SLOPES,
    Bet,
    Bounded,
)
from festina.select.gate import Plan, gain_bets, guard_bets, judge_bets

Array = NDArray[np.float64]
Flags = NDArray[np.bool_]

NEAR = 1.0 + 1e-6  # wealths this close to the last that could still be proven are followed unit by unit


@dataclass(frozen=True, slots=True)
class Ends:
    """How each of many tests ended; arrays of one entry a test."""

    outcome: NDArray[np.str_]  # "accept", "futile", "guard", "judge" or "cap"
    units: NDArray[np.int64]  # looked at, up to the decision
    refund: Array  # ``gate.refund_share``: of the level, if the test is not accepted


class BoundedBets:
    """``bets.Bounded`` for many tests: the same aims and payoffs of their own."""

    def __init__(self, bet: Bounded, tests: int) -> None:
        self.effects, self.limit = bet.effects, bet.limit
        self.stakes = [np.full(tests, stake) for stake in bet.stakes]
        self.wealth = np.full(tests, bet.wealth)
        self.losses, self.squares = np.full(tests, bet.losses), np.full(tests, bet.squares)
        self.units = bet.units

    def step(self, x: Array, moving: Flags | None = None) -> None:
        """One payoff for each test; ``moving``: the tests that it counts for (the others keep what they have)."""
        n = self.units
        floor = 1.0 / (1.0 + PATIENCE * n)
        with np.errstate(invalid="ignore", divide="ignore"):  # no loss yet: 0/0, and fmax takes the floor
            size = np.fmax(floor, self.squares / self.losses)
        spread = (PRIOR_SQUARES + 2.0 * self.squares) / (PRIOR_UNITS + n)
        total = np.zeros_like(x)
        for part, effect in enumerate(self.effects):
            risk = np.minimum(1.0 / (size + spread / effect), self.limit)
            after = self.stakes[part] * (1.0 + risk * x)
            self.stakes[part] = after if moving is None else np.where(moving, after, self.stakes[part])
            total = total + after
        self.wealth = total if moving is None else np.where(moving, total, self.wealth)
        loss = np.where(x < 0.0, -x, 0.0)
        if moving is not None:
            loss = np.where(moving, loss, 0.0)
        self.losses = self.losses + loss
        self.squares = self.squares + loss * loss
        self.units = n + 1

    def keep(self, rows: Flags) -> None:
        """Forget all other tests."""
        self.stakes = [part[rows] for part in self.stakes]
        self.wealth, self.losses, self.squares = self.wealth[rows], self.losses[rows], self.squares[rows]

    def best_factor(self, best: float) -> float:
        """No payoff up to ``best`` multiplies a wealth by more than this."""
        return 1.0 + self.limit * best


class SymmetricBets:
    """``bets.Symmetric`` for many tests."""

    def __init__(self, tests: int) -> None:
        self.stakes = [np.full(tests, 0.5) for _ in SLOPES]
        self.wealth = np.ones(tests)
        self.sizes = np.full((tests, SCALE_SAMPLES), np.inf)  # sorted; inf: not there yet
        self.count = np.zeros(tests, dtype=np.int64)

    def step(self, x: Array, moving: Flags | None = None) -> None:
        counts = x != 0.0 if moving is None else moving & (x != 0.0)
        scale = self.sizes[np.arange(len(x)), np.maximum(self.count - 1, 0) // 2]
        with np.errstate(invalid="ignore", over="ignore"):
            z = np.where(self.count == 0, np.sign(x), np.maximum(-CLIP, np.minimum(CLIP, x / scale)))
        total = np.zeros_like(x)
        for part, slope in enumerate(SLOPES):
            u = slope * z
            after = self.stakes[part] * (1.0 + u / np.sqrt(1.0 + u * u))
            self.stakes[part] = np.where(counts, after, self.stakes[part])
            total = total + after
        self.wealth = np.where(counts, total, self.wealth)
        grows = counts & (self.count < SCALE_SAMPLES)
        at = np.nonzero(grows)[0]
        self.sizes[at, self.count[at]] = np.abs(x[at])
        self.sizes[at] = np.sort(self.sizes[at], axis=1)
        self.count = self.count + grows

    def keep(self, rows: Flags) -> None:
        self.stakes = [part[rows] for part in self.stakes]
        self.wealth, self.sizes, self.count = self.wealth[rows], self.sizes[rows], self.count[rows]

    def best_factor(self, best: float) -> float:
        return 2.0


Bets = BoundedBets | SymmetricBets


def many(bet: Bet, tests: int) -> Bets:
    """So many copies of a fresh bet."""
    return BoundedBets(bet, tests) if isinstance(bet, Bounded) else SymmetricBets(tests)


@dataclass(slots=True)
class _Part:
    """What must be shown (``shows``) and what speaks against it (``doubts``), on one column of differences."""

    shows: Bets
    doubts: Bets
    above: float  # shows bets on D - above
    below: float  # doubts bets on below - D
    best: float  # largest payoff of ``shows``

    def step(self, d: Array, proven: Array) -> None:
        moving = self.shows.wealth < proven
        everyone = bool(moving.all())
        self.shows.step(d - self.above, None if everyone else moving)
        self.doubts.step(self.below - d, None if everyone else moving)

    def keep(self, rows: Flags) -> None:
        self.shows.keep(rows)
        self.doubts.keep(rows)


def gate(
    plan: Plan, levels: Array, gains: Array, guards: Sequence[Array] = (), judges: Sequence[Array] = (),
    *, futility: bool = True,
) -> Ends:  # fmt: skip
    """Play one test per entry of ``levels`` on the given differences (tests x ``plan.units_max`` or more).

    ``plan.level`` is not looked at. ``futility=False`` plays on where the rule would give up: for comparisons.
    """
    _check(plan, levels, gains, guards, judges)
    tests = len(levels)
    columns = [gains, *guards, *judges]
    parts = _parts(plan, tests)
    outcome, units, refund = np.full(tests, "cap", "<U6"), np.full(tests, plan.units_max), np.zeros(tests)
    proven, index = 1.0 / levels, np.arange(tests)
    for n in range(plan.units_max):
        for part, column in zip(parts, columns, strict=True):
            part.step(column[index, n], proven)
        now = _outcomes(plan, proven, plan.units_max - n - 1, parts, futility)
        done = now != "continue"
        if done.any():
            rows = index[done]
            outcome[rows], units[rows] = now[done], n + 1
            refund[rows] = np.minimum.reduce([np.ones(len(index)), *(part.shows.wealth for part in parts)])[done]
            for part in parts:
                part.keep(~done)
            index, proven = index[~done], proven[~done]
            if not len(index):
                break
    return Ends(outcome, units, refund)


def _parts(plan: Plan, tests: int) -> list[_Part]:
    """Gain, guards and judges, in this order."""
    found = []
    for (shows, doubts), above, below in [
        (gain_bets(plan), plan.margin, plan.detect),
        *((guard_bets(loss, plan.guard_kind), -loss, -loss) for loss in plan.guards),
        *((judge_bets(margin, detect), margin, detect) for margin, detect in plan.judges),
    ]:
        found.append(_Part(many(shows, tests), many(doubts, tests), above, below, 1.0 - above))
    return found


def _outcomes(plan: Plan, proven: Array, left: int, parts: list[_Part], futility: bool) -> NDArray[np.str_]:
    guards = len(plan.guards)
    missing = [part.shows.wealth < proven for part in parts]
    out = np.full(len(proven), "continue", dtype="<U8")
    lost = np.zeros(len(proven), dtype=bool)
    for part, open_part in zip(parts, missing, strict=True):
        lost |= open_part & ~_within(part.shows, part.best, proven, left)
    out[lost] = "cap"
    for part, open_part in zip(parts[1 + guards :], missing[1 + guards :], strict=True):
        out[open_part & (part.doubts.wealth >= len(plan.judges) / plan.beta)] = "judge"
    if futility:
        out[missing[0] & (parts[0].doubts.wealth >= 1.0 / plan.beta)] = "futile"
    for part in parts[1 : 1 + guards]:
        out[part.doubts.wealth >= guards / plan.beta] = "guard"
    out[~np.logical_or.reduce(missing)] = "accept"
    return out


def _within(bets: Bets, best: float, proven: Array, left: int) -> Flags:
    """Whether ``left`` more units could take each wealth to its threshold: ``gate._within``, to the bit."""
    factor = bets.best_factor(best)
    reach = bets.wealth * min(1e280, factor ** min(left, 900))
    able = reach >= proven
    for i in np.nonzero((reach < proven * NEAR) & (reach * NEAR > proven))[0]:
        wealth = float(bets.wealth[i])
        for _ in range(left):
            wealth *= factor
        able[i] = wealth >= proven[i]
    return able


def _check(plan: Plan, levels: Array, gains: Array, guards: Sequence[Array], judges: Sequence[Array]) -> None:
    if len(guards) != len(plan.guards) or len(judges) != len(plan.judges):
        raise Fault("evidence-columns", "not as many columns of differences as the plan has guards and judges")
    if not bool(((levels > 0.0) & (levels < 1.0)).all()):
        raise Fault("plan-levels", "a level lies between 0 and 1")
    kinds = [plan.kind, *(plan.guard_kind for _ in guards), *("bounded" for _ in judges)]
    for values, kind in zip((gains, *guards, *judges), kinds, strict=True):
        if values.shape[0] != len(levels) or values.shape[1] < plan.units_max:
            raise Fault("evidence-columns", f"differences of shape {values.shape}: a test a row, units_max columns")
        bound = 1.0 if kind == "bounded" else 1e300
        if not bool((np.abs(values[:, : plan.units_max]) <= bound).all()):
            raise Fault("evidence-out-of-range", "a difference lies outside the declared range")
