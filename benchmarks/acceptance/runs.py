"""Whole runs of the rule, many at once: levels from the budget, verdicts from ``festina.select.vector``.

``Fresh``, ``Fdr``, ``Sealed`` and ``Ledger`` are ``festina.select.budget`` for many runs:
``tests/select/test_acceptance.py`` shows that they give its levels.
"""

from __future__ import annotations

from math import log
from typing import Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from acceptance.frame import ALPHA, BETA, Array, Flags
from festina.select import Plan
from festina.select.budget import BLOCK_TESTS, IN_TIME, SPREAD
from festina.select.vector import Ends, Noises

Mode = Literal["fresh", "fdr", "sealed", "ledger"]
Counts = NDArray[np.int64]


def plan_of(
    detect: float, cap: int, *, guards: tuple[float, ...] = (), level: float = 0.5, symmetric: bool = False
) -> Plan:
    """A test under the rule as it is now; ``level`` matters only where no budget gives one."""
    return Plan("symmetric" if symmetric else "bounded", level, 0.0, detect, BETA, guards, cap)


class Levels(Protocol):
    """The error budgets of many runs. ``close`` says what was told, too: after how many ``slots`` each word came.

    ``noise``: what closed tests have taught, on fresh items; ``learn`` after each test.
    """

    noise: Noises | None

    def open(self) -> Array: ...

    def close(self, levels: Array, accepted: Flags, refund: Array, slots: Counts) -> None: ...


class Fresh:
    """``budget.Budget``; several tests of a run may be open at once."""

    def __init__(self, runs: int) -> None:
        self.noise: Noises | None = Noises(np.zeros(runs), np.zeros(runs))
        self.free, self.used = np.full(runs, ALPHA), np.zeros(runs)

    def open(self) -> Array:
        levels = self.free / (SPREAD + 1.0 + self.used)
        self.free = self.free - levels
        return levels

    def close(self, levels: Array, accepted: Flags, refund: Array, slots: Counts) -> None:
        self.free = np.minimum(self.free + levels * np.where(accepted, 1.0, refund), ALPHA)
        self.used = self.used + np.where(accepted, 0.0, 1.0 - refund)


class Fdr:
    """``budget.FdrBudget``, one test at a time."""

    def __init__(self, runs: int) -> None:
        self.noise: Noises | None = Noises(np.zeros(runs), np.zeros(runs))
        self.used, self.spent, self.accepts, self.charge = (np.zeros(runs) for _ in range(4))

    def open(self) -> Array:
        charge = np.maximum(0.0, ALPHA - self.used) / (SPREAD + 1.0 + self.spent)
        levels: Array = np.minimum(charge * (self.accepts + 1.0), ALPHA)
        self.charge = np.minimum(charge, levels / (self.accepts + 1.0))
        return levels

    def close(self, levels: Array, accepted: Flags, refund: Array, slots: Counts) -> None:
        back = np.where(accepted, 0.0, refund)
        self.used = np.minimum(self.used + self.charge * (1.0 - back), ALPHA)
        self.spent, self.accepts = self.spent + (1.0 - back), self.accepts + accepted


class Sealed:
    """``budget.SealedBlocks``; ``block`` says when items must be new."""

    noise: Noises | None = None

    def __init__(self, runs: int) -> None:
        self.block, self.index, self.nats = np.zeros(runs), np.zeros(runs), np.zeros(runs)

    def open(self) -> Array:
        k = self.block
        return 5.0 * ALPHA / ((k + 5) * (k + 6)) * _share(self.index) * np.exp(-self.nats)

    def close(self, levels: Array, accepted: Flags, refund: Array, slots: Counts) -> None:
        over = accepted | (self.index + 1 >= BLOCK_TESTS)
        self.block = self.block + over
        self.index = np.where(over, 0.0, self.index + 1)
        self.nats = np.where(over, 0.0, self.nats + _slot_nats(slots))


class Ledger:
    """``budget.InformationLedger``."""

    noise: Noises | None = None

    def __init__(self, runs: int) -> None:
        self.accepts, self.refusals, self.nats = np.zeros(runs), np.zeros(runs), np.zeros(runs)

    def open(self) -> Array:
        return ALPHA * _share(self.accepts + self.refusals) * np.exp(-self.nats)

    def close(self, levels: Array, accepted: Flags, refund: Array, slots: Counts) -> None:
        chance = np.where(accepted, 1 + self.accepts, 19 + self.refusals) / (20 + self.accepts + self.refusals)
        self.accepts, self.refusals = self.accepts + accepted, self.refusals + ~accepted
        self.nats = self.nats - np.log(chance) + _slot_nats(slots)


def levels_of(mode: Mode, runs: int) -> Levels:
    return {"fresh": Fresh, "fdr": Fdr, "sealed": Sealed, "ledger": Ledger}[mode](runs)


def close(levels: Levels, opened: Array, ends: Ends, draws: Array, slot: int, rows: slice = slice(None)) -> Flags:
    """Close one test of each run; which were accepted. ``slot``: units a slot of the schedule is long."""
    accepted = ends.outcome[rows] == "accept"
    learn(levels, ends, draws, rows)
    levels.close(opened, accepted, ends.refund[rows], 1 + (ends.units[rows] - 1) // slot)
    return accepted


def learn(levels: Levels, ends: Ends, draws: Array, rows: slice = slice(None)) -> None:
    """What one closed test of each run teaches about noise; tests of rules that do not learn ignore it."""
    if levels.noise is not None:
        levels.noise = levels.noise.after(ends.units[rows], draws[rows])


def _share(index: Array) -> Array:
    return 20.0 / ((index + 20) * (index + 21))


def _slot_nats(slots: Counts) -> Array:
    late = np.log(np.maximum(slots, 2) * (np.maximum(slots, 2) - 1.0)) - log(1.0 - IN_TIME)
    return np.where(slots == 1, -log(IN_TIME), late)
