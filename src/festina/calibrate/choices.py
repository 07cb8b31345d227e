"""What looking for gains of other sizes would cost, and which size suits the budget where none was declared."""

from __future__ import annotations

from dataclasses import replace
from math import floor, log10

from festina.calibrate.play import Case, play
from festina.calibrate.scene import LONGEST, USUAL_DETECT, Scene
from festina.calibrate.values import Choice

FACTORS = (0.5, 1.0, 2.0, 4.0)  # of what was declared
SHARES = (0.002, 0.5)  # of the range, between which sizes are tried where nothing was declared
ENOUGH = (20, 5, 2)  # proposals that the budget should judge, and what will do where it cannot
PLAYED = 4_000  # units of a test
SHOWN = 5


def choose(scene: Scene) -> tuple[Scene, tuple[Choice, ...]]:
    """The scene with a gain to look for, and the sizes beside it. Without a range there is nothing to choose."""
    if not scene.bounded or scene.detect is None:
        return scene, ()
    if not scene.chosen:
        rows = [_row(scene, factor * scene.detect) for factor in FACTORS]
        return replace(scene, reference=scene.detect), tuple(row for row in rows if row is not None)
    if not scene.stages:
        return scene, ()
    found = [row for size in sizes(scene.width) if (row := _row(scene, size / scene.width)) is not None]
    if not found:
        return replace(scene, reference=scene.detect), ()
    pick = _suited(scene, found)
    at = max(0, found.index(pick) - 1)
    detect = pick.detect / scene.width
    return replace(scene, detect=detect, reference=detect), tuple(found[at : at + SHOWN])


def _suited(scene: Scene, rows: list[Choice]) -> Choice:
    """The smallest size with which the budget judges enough proposals; a usual one where there is no budget."""
    if scene.budget_units is None:
        return next((row for row in rows if row.detect >= USUAL_DETECT * scene.width * 0.999), rows[-1])
    for enough in ENOUGH:
        for row in rows:
            if row.proposals is not None and row.proposals >= enough:
                return row
    return rows[-1]


def sizes(width: float) -> list[float]:
    """1, 2, 5, 10 ... times a power of ten, over the shares of the range that are tried."""
    low, high = SHARES[0] * width, SHARES[1] * width
    found = []
    for power in range(floor(log10(low)) - 1, floor(log10(high)) + 2):
        found += [step * 10.0**power for step in (1.0, 2.0, 5.0)]
    return [size for size in found if low <= size <= high]


def _row(scene: Scene, detect: float) -> Choice | None:
    if not scene.stages or not scene.margin < detect < 1.0:
        return None
    plan = scene.plan(detect)
    if plan.units_max > (LONGEST if detect == scene.detect else PLAYED):
        return None
    level, stage = scene.levels[0], scene.stages[0]
    ends = play(plan, {"null": Case(stage, 0.0, level), "gain": Case(stage, detect, level)})
    nothing, gain = scene.runs(ends["null"]), scene.runs(ends["gain"])
    share = scene.setting.improving
    proposals = None
    if scene.budget_units is not None:
        proposals = 2.0 * scene.budget_units / ((1.0 - share) * nothing + share * gain + scene.training_runs)
    return Choice(
        detect * scene.width, plan.units_max, ends["gain"].accepted, gain, nothing, scene.hours(gain),
        scene.hours(nothing), proposals,
    )  # fmt: skip
