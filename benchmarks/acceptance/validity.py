"""How often a run of nothing but bad candidates ends with an acceptance, on laws that are hard in different ways.

Each case is run at full length; the shorter length is its beginning. Rows marked as a mistake break a condition of the
guarantee on purpose: they must err, or the benchmark could not see an error.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from acceptance.frame import (
    ALPHA,
    Array,
    Column,
    Flags,
    Goal,
    Job,
    Row,
    Size,
    Table,
    Tables,
    numbers,
    stream,
    upper_limit,
)
from acceptance.laws import (
    Adversary,
    Atoms,
    Changing,
    Clusters,
    Graded,
    Law,
    OneCoin,
    Reseeded,
    all_or_nothing,
    catastrophe,
    jackpot,
    ternary,
)
from acceptance.runs import Mode, Sealed, close, levels_of, plan_of
from festina.select.vector import Abort, gate

Owner = Literal["patient", "screens", "takes profit", "luckiest"]

SLOT = 50  # units a slot of the schedule is long, in the modes that share items
MISTAKES = 20  # proposals are enough to show a mistake
LOOK = 20  # units after which an owner who stops early looks
AT_ONCE = 5  # tests that the owner opens together to keep the luckiest


@dataclass(frozen=True, slots=True)
class Case:
    """A run in which every candidate is bad."""

    name: str
    law: Law
    detect: float = 0.05
    cap: int = 400
    guards: tuple[tuple[float, Law], ...] = ()  # (max_loss, law of the guard's difference)
    mode: Mode = "fresh"
    same: float = 0.5  # shared items: the share of a candidate's answers that earlier ones gave as well
    owner: Owner = "patient"
    breaks: bool = False
    times: int = 1  # so many times the runs: 0.04 of 2,000 runs would not be told from 0.05
    weight: float = 30.0


AT_MARGIN, IDLE = (0.2, ternary(-0.2, 0.4)), (0.2, Atoms((-0.05, 0.05), (0.5, 0.5)))
RUIN = all_or_nothing(0.24)
CASES = (
    Case("right or wrong items (0.2 change), no difference", ternary(0.0), detect=0.1, weight=80),
    Case("graded items, sd 0.2, no difference", Graded(0.0, 0.2)),
    Case("batch means, sd 0.03, no difference", Graded(0.0, 0.03)),
    Case("+0.02 usually, -0.98 in 2 %, mean 0", catastrophe(0.0)),
    Case("-0.02 usually, +0.98 in 2 %, mean 0", jackpot(0.0)),
    Case("one coin per process, its mean is the unit", OneCoin(), detect=0.1, weight=80),
    Case("clusters of 20 items, their mean is the unit", Clusters(), detect=0.1, cap=100),
    Case("another seed and nothing else", Reseeded(), cap=150, weight=80),
    Case("the spread changes every ten units", Changing(), detect=0.1, weight=60),
    Case("every second unit is worse, none better", Changing(dip=0.1)),
    Case("worse at first, later no difference", Changing(warm=0.2), detect=0.1),
    Case("an adversary: wins small, then everything is lost", RUIN, detect=0.2, cap=150, times=4, weight=60),
    Case("an adversary who sees the account, for ruin", Adversary(0.2, "bold"), 0.2, 150, times=4, weight=80),
    Case("an adversary who sees the account, for spread", Adversary(0.2, "wild"), detect=0.2, cap=150),
    Case("its owner ends every test that is behind after 20 units", RUIN, 0.2, 150, owner="screens", times=4,
         weight=60),
    Case("its owner ends a test at a full refund", ternary(0.0), detect=0.1, owner="takes profit"),
    Case("its owner opens 5 and keeps the luckiest", ternary(0.0), detect=0.1, owner="luckiest"),
    Case("gain 0.5, 16 guards exactly at their margins", Graded(0.5, 0.1), 0.3, 75, (AT_MARGIN,) * 16, weight=150),
    Case("gain 0.5, one guard at its margin, 15 not moved", Graded(0.5, 0.1), 0.3, 75,
         (AT_MARGIN, *(IDLE,) * 15), weight=150),
    Case("gain 0.15, its guard a rare disaster at its margin", Graded(0.15, 0.05), 0.05, 300,
         ((0.05, catastrophe(-0.05, 0.06)),), weight=100),
    *(
        Case(f"{words}, on {mode} items", law, 0.1, 300, mode=mode, same=same, weight=60)
        for mode in ("sealed", "ledger")
        for words, law, same in (
            ("right or wrong items, half of the answers shared", ternary(0.0), 0.5),
            ("the same tree again and again", ternary(0.0), 1.0),
            ("+0.12 usually, ruin else, half of the answers shared", all_or_nothing(0.12), 0.5),
        )
    ),
    Case("MISTAKE: that coin counted once per item", OneCoin(repeat=40), breaks=True),
    Case("MISTAKE: items of clusters counted singly", Clusters(singly=True), detect=0.1, breaks=True),
    Case("MISTAKE: another seed, the old score remembered", Reseeded(remembered=True), cap=150, breaks=True),
)  # fmt: skip


def played(case: Case, size: Size) -> list[Row]:
    """One row: runs with any acceptance after the short and after the long stretch."""
    runs, most = size.runs * case.times, min(size.proposals, MISTAKES) if case.breaks else size.proposals
    levels, hit, units = levels_of(case.mode, runs), np.zeros(runs, dtype=bool), 0
    items, early, tests = _Items(case, runs), None, 0
    at_once = AT_ONCE if case.owner == "luckiest" else 1
    for t in range(0, most, at_once):
        opened = [levels.open() for _ in range(at_once)]
        gains = np.concatenate([items.draw(t + k) for k in range(at_once)])
        guards = tuple(
            law.draw(stream("validity", case.name, t, k), runs, case.cap) for k, (_, law) in enumerate(case.guards)
        )
        plan = plan_of(case.detect, case.cap, guards=tuple(loss for loss, _ in case.guards))
        noise = None if levels.noise is None else levels.noise.take(np.tile(np.arange(runs), at_once))
        ends = gate(plan, np.concatenate(opened), gains, guards, abort=_abort(case.owner, runs), noise=noise)
        for k in range(at_once):
            hit |= close(levels, opened[k], ends, gains, SLOT, slice(k * runs, (k + 1) * runs))
        units, tests = units + int(ends.units.sum()), tests + at_once
        if isinstance(levels, Sealed):
            items.renew(levels.index == 0, t)
        if early is None and t + at_once >= size.short and not case.breaks:
            early = int(hit.sum())
    return [_row(case, runs, [(size.short, early), (tests, int(hit.sum()))], units / runs / tests)]


class _Items:
    """Fresh draws for each candidate, or a block of each run whose items candidates share."""

    def __init__(self, case: Case, runs: int) -> None:
        self.case, self.runs, self.used = case, runs, 0
        self.shared = case.mode != "fresh"
        self.block = self._fresh("block", 0) if self.shared else np.zeros((0, 0))

    def _fresh(self, what: str, t: int) -> Array:
        return self.case.law.draw(stream("validity", self.case.name, what, t), self.runs, self.case.cap)

    def draw(self, t: int) -> Array:
        if not self.shared:
            return self._fresh("gain", t)
        if self.case.same == 1.0:
            return self.block
        own = stream("validity", self.case.name, "own", t).random(self.block.shape) >= self.case.same
        return np.where(own, self._fresh("gain", t), self.block)

    def renew(self, over: Flags, t: int) -> None:
        if over.any():
            self.block = np.where(over[:, None], self._fresh("block", t + 1), self.block)


def _abort(owner: Owner, runs: int) -> Abort | None:
    """When the owner ends a test on his own account."""
    if owner == "patient":
        return None

    def stop(n: int, rows: NDArray[np.int64], wealth: Array) -> Flags:
        if owner == "takes profit":  # a refund is at most 1: whoever ends here pays nothing for what he saw
            return (wealth >= 1.0) & (n >= LOOK)
        if n != LOOK:
            return np.zeros(len(rows), dtype=bool)
        if owner == "screens":
            return wealth < 1.0
        best = np.zeros(runs)
        np.maximum.at(best, rows % runs, wealth)
        return wealth < best[rows % runs]

    return stop


def _row(case: Case, runs: int, stretches: list[tuple[int, int | None]], units: float) -> Row:
    seen = [(proposals, hits) for proposals, hits in stretches if hits is not None]
    limits = [upper_limit(hits, runs) for _, hits in seen]
    return {
        "case": case.name, "mode": case.mode, "breaks": case.breaks, "runs": runs, "units": units,
        "proposals": " / ".join(f"{proposals:,}" for proposals, _ in seen),
        "wrong": " / ".join(f"{hits / runs:.4f}" for _, hits in seen),
        "limits": "" if case.breaks else " / ".join(f"{limit:.4f}" for limit in limits),
        "least": min(hits / runs for _, hits in seen), "final": seen[-1][1] / runs, "worst": max(limits),
    }  # fmt: skip


TABLES = (
    Table(
        "validity",
        "Runs of bad candidates only",
        "Share of runs with any acceptance, all of which are wrong, and its exact one-sided upper limit at 99 %, after "
        "the shorter and the longer number of proposals. alpha is 0.05. A mistake breaks a condition of the guarantee "
        "on purpose ([where it breaks](proof.md#where-it-breaks)) and must err.",
        (
            Column("case", "every candidate"), Column("runs", "runs", ",d"), Column("proposals", "proposals"),
            Column("wrong", "runs with an acceptance"), Column("limits", "99 % limit"),
            Column("units", "units a test", ",.0f"),
        ),
    ),
)  # fmt: skip


def jobs(size: Size) -> list[Job]:
    return [Job("validity", partial(played, case, size), case.weight) for case in CASES]


def goals(tables: Tables) -> list[Goal]:
    """The worst limit of the rows that must hold, and the least of those that must err."""
    rows = tables["validity"]
    held, broken = ([row for row in rows if row["breaks"] == breaks] for breaks in (False, True))
    return [
        Goal("runs with a wrong acceptance, 99 % limit, worst row", max(numbers(held, "worst")), ALPHA, at_most=True),
        Goal("the same with a condition broken, least row", min(numbers(broken, "least")), ALPHA),
    ]
