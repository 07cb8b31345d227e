"""One unit of an attribution: several trees side by side on the same items under one seed.  # V-8, E-3

As in a test, a unit is one process a tree, its mean over the items is one observation, and an order that the seed
decides keeps whatever disturbs the machine from favouring one of them. A tree that does not end ok scores worst and is
said to have failed. Nothing here decides about a candidate.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from festina.errors import Fault
from festina.experiment.batch import Judge, Scored
from festina.experiment.trial import Trials
from festina.sandbox.job import Ended
from festina.select.pairing import Scale
from festina.verify.client import PROVOKED

MOST = 1e100  # a printed number beyond this is nonsense, and its square is no number


@dataclass(frozen=True, slots=True)
class Cell:
    """One tree's part of a unit: the goal and each guard, in units of their ranges, larger is better."""

    goal: float | None  # None: there is no score, and no declared range that would have a worst one
    guards: tuple[float, ...]
    ran: bool
    record: dict[str, Any]


def measure(
    trials: Trials, judge: Judge, trees: Sequence[str], scale: Scale, seed: int, place: int | None,
    stop: Callable[[], bool],
) -> dict[str, Cell]:  # fmt: skip
    """Run every tree once. ``place``: position of items that were issued before; None: fresh ones.

    Raises ``Fault`` when the sandbox itself failed, or ``stop`` says so.
    """
    ticket, inputs = judge.issue(seed) if place is None else judge.again(seed, place)
    turn = seed % len(trees)
    cells: dict[str, Cell] = {}
    for tree in [*trees[turn:], *trees[:turn]]:
        if stop():
            raise Fault("cut-off", "the attribution was cut off")
        side = trials.side(tree, seed, inputs)
        if side.ended is Ended.SANDBOX_ERROR:
            raise Fault("sandbox-error", f"a trial could not be run: {side.detail}", fix="festina doctor")
        scored = _score(judge, ticket, side.answer)
        guards = tuple(sign * value / width for value, (sign, width) in zip(scored.guards, scale.guards, strict=True))
        mean = None if scored.mean is None or abs(scored.mean) > MOST else scored.mean
        goal = None if mean is None else scale.sign * mean / scale.width
        ran = side.answer is not None and (mean is not None or scored.mean is None)
        cells[tree] = Cell(goal, guards, ran, side.record())
    return cells


def _score(judge: Judge, ticket: str, answer: bytes | None) -> Scored:
    try:
        return judge.score(ticket, answer)
    except Fault as fault:
        if fault.name not in PROVOKED:
            raise
        return judge.score(ticket, None)  # V-1, T-6
