"""The smallest gain that one test finds in 8 of 10 cases, for several stages at once.

Each gain of a grid is looked for by a plan of its own (``detect`` is that gain) and played; the answer lies where the
share of acceptances crosses 8 in 10, between two gains of the grid.
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from dataclasses import replace
from math import exp, log
from typing import TypeVar

from festina.calibrate.play import Case, play
from festina.calibrate.scene import Scene

POWER = 0.8
UNITS = 1_000  # of a test that is played here at most: one proposal seldom gets more of a night
STEPS, FINER = 8, 3
ANY_GAIN = 1.0  # stands for every gain where there is neither noise nor a range
Name = TypeVar("Name", bound=Hashable)


def reach_units(scene: Scene) -> int:
    """Units that one test may take: its cap, or the budget where that is less."""
    declared = scene.setting.units_max
    if declared is None and not scene.bounded:
        declared = scene.plan().units_max
    known = [UNITS] + [declared for _ in [0] if declared is not None]
    if scene.budget_units is not None:
        known.append(max(1, int(scene.budget_units)))
    return min(known)


def smallest(
    scene: Scene, wanted: Mapping[Name, Case], spread: tuple[float, float],
    units: int | None = None,
) -> dict[Name, float | None]:
    """For each case, whatever its gain, the smallest gain, None where no gain of the grid is found often enough.

    ``spread``: least and largest variance of a unit that the stages have; the grid covers both. ``units``: of a test;
    by default what the budget allows.
    """
    units = units or reach_units(scene)
    low, high = 0.6 * scene.guess(units, spread[0]), 2.5 * scene.guess(units, spread[1])
    low, high = max(low, scene.margin + 1e-9), min(high, 0.98) if scene.bounded else high
    if high <= 0.0:  # no noise and no range: any gain shows, if there are enough units for one at all
        sure = {name: replace(case, gain=ANY_GAIN) for name, case in wanted.items()}
        found = play(scene.plan(None, units), sure)
        return {name: 0.0 if result.accepted >= POWER else None for name, result in found.items()}
    if low >= high:
        return dict.fromkeys(wanted)
    grid = [low * (high / low) ** (i / (STEPS - 1.0)) for i in range(STEPS)]
    shares = _shares(scene, wanted, grid, units)
    first = next(iter(wanted))  # a finer grid about the first answer, which is the one that is looked at most
    at = next((i for i, gain in enumerate(grid) if shares[first, gain] >= POWER), 0)
    if at > 0:
        finer = [grid[at - 1] * (grid[at] / grid[at - 1]) ** (i / (FINER + 1.0)) for i in range(1, FINER + 1)]
        shares |= _shares(scene, wanted, finer, units)
        grid = sorted([*grid, *finer])
    return {name: crossing(grid, [shares[name, gain] for gain in grid]) for name in wanted}


def _shares(
    scene: Scene, wanted: Mapping[Name, Case], grid: list[float], units: int
) -> dict[tuple[Name, float], float]:
    """How often each gain is accepted. With a range each gain has a plan of its own; without one, one plan does."""
    plans = [(scene.plan(gain, units), [gain]) for gain in grid] if scene.bounded else [(scene.plan(None, units), grid)]
    found: dict[tuple[Name, float], float] = {}
    for plan, gains in plans:
        cases = {(name, g): replace(case, gain=g) for name, case in wanted.items() for g in gains}
        found |= {case: result.accepted for case, result in play(plan, cases).items()}
    return found


def crossing(grid: list[float], shares: list[float], power: float = POWER) -> float | None:
    """Where the shares rise above ``power``, on a logarithmic scale; the grid's first gain where they all do."""
    for i, share in enumerate(shares):
        if share >= power:
            if i == 0:
                return grid[0]
            before = shares[i - 1]
            part = (power - before) / (share - before)
            return exp(log(grid[i - 1]) + part * (log(grid[i]) - log(grid[i - 1])))
    return None
