"""Four corners from recorded cross-plays, and which comparison is due next within a fixed share of the runs.  # W-2"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from festina.loop import outlook
from festina.select.corners import Corners, corners
from festina.select.productivity import Row

if TYPE_CHECKING:
    from festina.loop.growth import Crossplay
    from festina.loop.state import State

USUAL = 0.15  # share of all sandboxed runs, for cross-plays, where the rules name none
CUT_OFF = 3  # problems that could not be finished beyond one a cross-play: no more is begun by itself
TWO_ARM, ALL_FOUR = 2.0, 8.0  # doublings of the line since the last of its kind (a design study's power)
PROBLEMS, UNITS = 24, 8  # the usual size of one cross-play


@dataclass(frozen=True, slots=True)
class Wanted:
    """What is to be compared: generations, the number of problems, and runs by which each product is scored."""

    left: int
    right: int
    start: int
    problems: int
    units: int


@dataclass(frozen=True, slots=True)
class Square:
    """The newest four corners: improvers of ``left`` and ``right`` from either version."""

    left: int
    right: int
    found: Corners


@dataclass(frozen=True, slots=True)
class Due:
    """What is due: ``kind`` "cross-play" or "corners"; ``share`` of all runs with it, and whether it fits."""

    kind: str
    doublings: float  # gained since the last one
    share: float
    fits: bool


def square(s: State) -> Square | None:
    """From the newest pair of finished cross-plays of one epoch: left against right, from right and from left."""
    done = [play for play in s.growth.crossplays[s.growth.old[0] :] if play.ended is not None]
    for play in reversed(done):
        plan = play.plan
        if plan.start not in (plan.left, plan.right):
            continue
        other = plan.left if plan.start == plan.right else plan.right
        twin = next(
            (p for p in reversed(done) if (p.plan.left, p.plan.right, p.plan.start) == (plan.left, plan.right, other)),
            None,
        )
        if twin is None:
            continue
        low, high = (play, twin) if plan.start == plan.right else (twin, play)
        gap = _between(s, plan.right, plan.left)
        if gap is None or (rows := _rows(s, low)) is None or (others := _rows(s, high)) is None:
            return None
        return Square(plan.left, plan.right, corners(rows, others, gap))
    return None


def _between(s: State, older: int, newer: int) -> float | None:
    """Doublings from one generation of the line to a later one."""
    a, b = outlook.gap_since(s, older), outlook.gap_since(s, newer)
    return a[0] - b[0] if a is not None and b is not None else None


def _rows(s: State, play: Crossplay) -> list[Row] | None:
    """Scores as shares of the declared range, best 1; None without one."""
    assert s.epoch is not None
    low, high = s.epoch.suite.low, s.epoch.suite.high
    if low is None or high is None:
        return None
    worst, width = (low, high - low) if s.epoch.suite.direction == "higher" else (high, low - high)
    return [
        ((p.left.score - worst) / width, (p.right.score - worst) / width, (p.start - worst) / width)
        for p in play.problems
    ]


def due(s: State) -> Due | None:
    """Which comparison the growth since the last one asks for; None while it asks for none, or there is no scale."""
    if not s.line or s.in_force == s.line[0]:
        return None
    done = [play for play in s.growth.crossplays if play.ended is not None]
    newest = max((play.plan.left for play in done if play.plan.left in s.line), default=s.line[0])
    cornered = max(
        (p.plan.left for p in done if p.plan.start == p.plan.left and p.plan.left in s.line), default=s.line[0]
    )
    grown, since = outlook.gap_since(s, newest), outlook.gap_since(s, cornered)
    if grown is None or since is None:
        return None
    spent = sum(_cost(play.plan.problems, play.plan.units) for play in s.growth.crossplays)
    for kind, gained, least, count in (("corners", since[0], ALL_FOUR, 2), ("cross-play", grown[0], TWO_ARM, 1)):
        if gained >= least:
            cost = count * _cost(PROBLEMS, UNITS)
            share = (spent + cost) / max(1, s.trials + cost)
            return Due(kind, gained, share, share <= share_of(s))
    return None


def share_of(s: State) -> float:
    """Of all sandboxed runs, for comparing improvers; what the rules in force name."""
    return s.epoch.crossplay_share if s.epoch is not None and s.epoch.crossplay_share > 0.0 else USUAL


def play(s: State, items_left: int | None) -> Wanted | None:
    """Whose improvers solve the next problem now; None where no comparison is due, or it cannot be paid for.  # W-2

    What was begun is finished first. Only the system's own improver is compared, where an approved change of it is in
    force, with items that are drawn fresh, and where it asks no models: their price is nobody's to spend unasked.
    """
    run, epoch = s.run, s.epoch
    if run is None or epoch is None or epoch.crossplay_share <= 0.0 or not _comparable(s):
        return None
    if s.side.tried("crossplay", None) - sum(len(p.problems) for p in s.growth.crossplays) >= CUT_OFF:
        return None
    found = _next(s)
    if found is None or run.trials - s.run_trials < _cost(1, found.units):
        return None
    return found if items_left is None or items_left >= found.units * epoch.suite.batch_items else None


def _comparable(s: State) -> bool:
    """Whether two improvers are there that differ, and can be set the same problem."""
    run, epoch = s.run, s.epoch
    if run is None or epoch is None or not s.line or s.in_force not in s.line or run.frozen_improver:
        return False
    changed = any(s.generations[n].improver_changed for n in s.line[: s.line.index(s.in_force) + 1])
    return changed and run.improver == "own" and epoch.suite.mode == "fresh" and not s.called.count


def _next(s: State) -> Wanted | None:
    for going in s.growth.going:
        plan = going.plan
        return Wanted(plan.left, plan.right, plan.start, plan.problems, plan.units)
    wanted = due(s)
    if wanted is None or not wanted.fits:
        return None
    left, right, start = s.in_force, s.line[0], s.line[0]
    known = {(p.plan.left, p.plan.right, p.plan.start) for p in s.growth.crossplays[s.growth.old[0] :]}
    if wanted.kind == "corners" and (left, right, start) in known:
        start = left  # the other two of the four
    return Wanted(left, right, start, PROBLEMS, UNITS)


def _cost(problems: int, units: int) -> int:
    """Sandboxed runs: two of improvers, and three products' for each unit."""
    return problems * (2 + 3 * units)
