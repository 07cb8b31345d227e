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

SHARE = 0.15  # of all sandboxed runs, for cross-plays
TWO_ARM, ALL_FOUR = 2.0, 8.0  # doublings of the line since the last of its kind (a design study's power)
PROBLEMS, UNITS = 24, 8  # the usual size of one cross-play


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
            return Due(kind, gained, share, share <= SHARE)
    return None


def _cost(problems: int, units: int) -> int:
    """Sandboxed runs: two of improvers, and three products' for each unit."""
    return problems * (2 + 3 * units)
