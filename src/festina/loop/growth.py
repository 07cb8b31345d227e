"""Control arms and cross-play as part of the state: what was planned, what was found.  # W-2

No verdict, level or move of the line depends on any of it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from festina.ledger import entries as e
from festina.ledger.log import Record
from festina.loop.rows import misfit
from festina.select.productivity import Share, author, authorship, shared_out

if TYPE_CHECKING:
    from festina.loop.state import State


@dataclass(slots=True)
class Crossplay:
    """One comparison of two improvers. ``leaf``: of its plan; the improvers' seeds follow from it  # E-3"""

    plan: e.CrossplayPlanned
    leaf: str
    problems: list[e.CrossplayProblem] = field(default_factory=list)
    ended: e.CrossplayEnded | None = None


@dataclass(slots=True)
class Grown:
    """All of them, in order."""

    crossplays: list[Crossplay] = field(default_factory=list)
    arms: list[tuple[e.ArmStarted, e.ArmEnded | None]] = field(default_factory=list)

    @property
    def open_arm(self) -> e.ArmStarted | None:
        """An arm that was begun and has no end: it goes on with the next call."""
        return self.arms[-1][0] if self.arms and self.arms[-1][1] is None else None

    @property
    def last_arm(self) -> e.ArmEnded | None:
        return next((ended for _, ended in reversed(self.arms) if ended is not None), None)

    @property
    def last_crossplay(self) -> e.CrossplayEnded | None:
        return next((c.ended for c in reversed(self.crossplays) if c.ended is not None), None)


def authors(s: State) -> tuple[Share, ...]:
    """Who made the gain of the working line: people, the search, the improver of the start, or a changed one.  # P-5"""
    steps = []
    for number in s.line:
        g = s.generations[number]
        if g.target == "gain" and g.verdict is not None and g.verdict.estimate is not None and g.proposal is not None:
            p = s.proposals[g.proposal]
            steps.append((author(p.improver, p.from_generation == s.line[0]), g.verdict.estimate))
    return authorship(steps)


def sentences(s: State) -> list[str]:
    """What is known of whether recursion pays, for status, report and ``festina growth``; newest findings only."""
    found = [shared_out(authors(s))]
    arm, played = s.growth.last_arm, s.growth.last_crossplay
    found += [arm.sentence] if arm is not None else []
    found += [played.sentence] if played is not None else []
    return [each for each in found if each]


def _planned(s: State, r: Record, b: e.CrossplayPlanned) -> None:
    sides = ((b.left, b.left_commit), (b.right, b.right_commit), (b.start, b.start_commit))
    if b.crossplay != len(s.growth.crossplays):
        raise misfit(r, "a cross-play out of order")
    if any(number not in s.generations or s.generations[number].commit != commit for number, commit in sides):
        raise misfit(r, "a cross-play of generations that are not there")
    s.growth.crossplays.append(Crossplay(b, r.leaf))


def _open(s: State, r: Record, number: int) -> Crossplay:
    plays = s.growth.crossplays
    if number >= len(plays) or plays[number].ended is not None:
        raise misfit(r, "a cross-play that is not open")
    return plays[number]


def _problem(s: State, r: Record, b: e.CrossplayProblem) -> None:
    play, now = _open(s, r, b.crossplay), s.side.open
    if now is None or (now.purpose, now.measure) != ("crossplay", b.measure):
        raise misfit(r, "a problem's result without a measurement that was charged")  # E-1
    if b.problem != len(play.problems) or b.problem >= play.plan.problems:
        raise misfit(r, "a problem out of order")
    play.problems.append(b)


def _ended(s: State, r: Record, b: e.CrossplayEnded) -> None:
    play = _open(s, r, b.crossplay)
    if b.problems != len(play.problems) or b.problems != play.plan.problems:
        raise misfit(r, "a cross-play ended before its plan")  # L-4
    play.ended = b


def _arm_started(s: State, r: Record, b: e.ArmStarted) -> None:
    if b.arm != len(s.growth.arms) or s.growth.open_arm is not None:
        raise misfit(r, "a control arm out of order")
    s.growth.arms.append((b, None))


def _arm_ended(s: State, r: Record, b: e.ArmEnded) -> None:
    now = s.growth.open_arm
    if now is None or now.arm != b.arm:
        raise misfit(r, "the end of an arm that is not open")  # L-3
    s.growth.arms[-1] = (now, b)


HANDLERS: dict[str, Callable[[State, Record, Any], None]] = {
    "crossplay-planned": _planned, "crossplay-problem": _problem, "crossplay-ended": _ended,
    "arm-started": _arm_started, "arm-ended": _arm_ended,
}  # fmt: skip
