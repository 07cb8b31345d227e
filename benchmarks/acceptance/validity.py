"""How often a run of nothing but bad candidates ends with an acceptance, on laws that are hard in different ways.

Each case is run at full length; the shorter length is its beginning. Rows marked as a mistake break a condition of the
guarantee on purpose: they must err, or the benchmark could not see an error.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

import numpy as np

from acceptance.frame import ALPHA, BETA, Array, Column, Goal, Job, Row, Size, Table, Tables, stream, upper_limit
from acceptance.laws import (
    Law,
    ternary,
)
from acceptance.runs import Mode, Sealed, close, levels_of
from festina.select import Plan
from festina.select.vector import gate

SLOT = 50  # units a slot of the schedule is long, in the modes that share items
MISTAKES = 20  # proposals are enough to show a mistake


@dataclass(frozen=True, slots=True)
class Case:
    """A run in which every candidate is bad."""

    name: str
    law: Law
    guards: tuple[tuple[float, Law], ...] = ()  # (max_loss, law of the guard's difference)
    detect: float = 0.05
    cap: int = 400
    mode: Mode = "fresh"
    same: float = 0.5  # shared items: the share of a candidate's answers that earlier ones gave as well
    breaks: bool = False
    weight: float = 1.0


CASES = (
    Case("coin-like items", ternary(0.0), detect=0.1, weight=6),
)  # fmt: skip


def played(case: Case, size: Size) -> list[Row]:
    """One row: runs with any acceptance after the short and after the long stretch."""
    runs, most = size.runs, min(size.proposals, MISTAKES) if case.breaks else size.proposals
    levels, hit, units, early = levels_of(case.mode, runs), np.zeros(runs, dtype=bool), 0, 0
    plan = Plan("bounded", 0.5, 0.0, case.detect, BETA, tuple(loss for loss, _ in case.guards), case.cap)
    items = _Items(case, runs)
    for t in range(most):
        gains = items.draw(t)
        guards = tuple(
            law.draw(stream("validity", case.name, t, k), runs, case.cap) for k, (_, law) in enumerate(case.guards)
        )
        opened = levels.open()
        ends = gate(plan, opened, gains, guards)
        hit |= close(levels, opened, ends, SLOT)
        units += int(ends.units.sum())
        if isinstance(levels, Sealed):
            items.renew(levels.index == 0, t)
        if t + 1 == size.short:
            early = int(hit.sum())
    return [_row(case, size, int(hit.sum()), None if case.breaks else early, units / runs / most)]


class _Items:
    """Fresh draws for each candidate, or a block of each run whose items candidates share."""

    def __init__(self, case: Case, runs: int) -> None:
        self.case, self.runs = case, runs
        self.block = self._fresh("block", 0) if case.mode != "fresh" else np.zeros((0, 0))

    def _fresh(self, what: str, t: int) -> Array:
        return self.case.law.draw(stream("validity", self.case.name, what, t), self.runs, self.case.cap)

    def draw(self, t: int) -> Array:
        if self.case.mode == "fresh":
            return self._fresh("gain", t)
        if self.case.same == 1.0:
            return self.block
        own = stream("validity", self.case.name, "own", t).random(self.block.shape) >= self.case.same
        return np.where(own, self._fresh("gain", t), self.block)

    def renew(self, over: np.ndarray, t: int) -> None:
        if over.any():
            self.block[over] = self._fresh("block", t + 1)[over]


def _row(case: Case, size: Size, hits: int, early: int | None, units: float) -> Row:
    return {
        "case": case.name, "mode": case.mode, "breaks": case.breaks, "runs": size.runs, "units": units,
        "short": None if early is None else early / size.runs,
        "short_upper": None if early is None else upper_limit(early, size.runs),
        "long": hits / size.runs, "long_upper": None if case.breaks else upper_limit(hits, size.runs),
    }  # fmt: skip


TABLES = (
    Table(
        "validity",
        "Runs of bad candidates only",
        "Share of runs with any acceptance after 200 and after 1,000 proposals, and its upper limit at 99 %.",
        (
            Column("case", "every candidate is"), Column("mode", "items"), Column("runs", "runs", ",d"),
            Column("short", "200 proposals", ".4f"), Column("short_upper", "limit", ".4f"),
            Column("long", "1,000 proposals", ".4f"), Column("long_upper", "limit", ".4f"),
            Column("units", "units a test", ",.0f"),
        ),
    ),
)  # fmt: skip


def jobs(size: Size) -> list[Job]:
    return [Job("validity", partial(played, case, size), case.weight) for case in CASES]


def goals(tables: Tables) -> list[Goal]:
    """The worst limit of the rows that must hold, and the least of those that must err."""
    rows = tables["validity"]
    limits = [row[key] for row in rows if not row["breaks"] for key in ("short_upper", "long_upper")]
    found = [Goal("any wrong acceptance in a run, 99 % limit, worst row", max(limits), ALPHA, at_most=True)]  # type: ignore[type-var, arg-type]
    controls = [row["long"] for row in rows if row["breaks"]]
    if controls:
        found.append(Goal("the same with a condition broken, least row", min(controls), ALPHA))  # type: ignore[type-var, arg-type]
    return found
