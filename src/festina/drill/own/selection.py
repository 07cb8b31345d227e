"""Attacks on the choice: luck that is resubmitted, and losses too small to see, through the pure gate.

A simulation, and labelled so: candidates that are no better (or a little worse) are offered over and over to the
rule with this system's own plan, budget and margins; their units are drawn at the noise of one batch. One run is
a whole ledger's life of ``OFFERS`` proposals. Caught: nothing was accepted in it.

The control takes what looks better in one batch, as many loops do. Not covered: dependence between units.
"""

from __future__ import annotations

import random
from dataclasses import replace
from functools import partial

from festina.drill.model import Finding, Verdict
from festina.drill.own.scratch import Own
from festina.select import gate
from festina.select.budget import budget_of
from festina.select.rates import exact
from festina.verify.verdicts import first_plan

LIVES = 40  # simulated ledgers
OFFERS = 25  # proposals in each
UNITS = 1000  # of one test, at most
SLICES = 4
STEP_LOSS = 0.5  # of a guard's max_loss, lost by each offer of a salami


def attack(own: Own) -> list[Finding]:
    """Resubmitted luck, and for each guard a salami of small losses."""
    plan = first_plan(own.epoch)
    spread = _spread(own)
    found = [_luck(own, plan, spread)]
    found += [_salami(own, plan, spread, number) for number in range(len(own.epoch.guards))]
    return found


def _spread(own: Own) -> float:
    """Standard deviation of one unit's difference, in units of the range."""
    suite = own.epoch.suite
    per_unit = 0.5 if suite.low is not None else 1.0
    return float(per_unit / max(1, suite.batch_items) ** 0.5)


def _draw(coins: random.Random, mean: float, spread: float) -> float:
    return max(-1.0, min(1.0, coins.gauss(mean, spread)))


def _tested(plan: gate.Plan, coins: random.Random, gain: float, guards: list[float], spread: float) -> bool:
    """Whether one candidate with these true differences is accepted."""
    state = gate.start(plan)
    while gate.decision(state) == "continue":
        values = tuple(_draw(coins, each, spread) for each in guards)
        state = gate.observe(state, gate.Evidence(_draw(coins, gain, spread), values))
    return gate.decision(state) == "accept"


def _luck(own: Own, plan: gate.Plan, spread: float) -> Finding:
    """The same worthless change again and again, each time with a comment changed."""
    lucky = fooled = 0
    cut = replace(plan, units_max=min(plan.units_max, UNITS))
    for life in range(LIVES):
        coins = random.Random(life)
        budget = budget_of("fresh", own.epoch.alpha, own.epoch.spread, own.epoch.error)
        guards = [0.0] * len(plan.guards)
        accepted = False
        for _ in range(OFFERS):
            level, budget = budget.open()
            accepted = accepted or _tested(replace(cut, level=level), coins, plan.margin, guards, spread)
            budget = budget.close(level, accepted, 0.0)
        lucky += accepted
        fooled += any(_draw(coins, plan.margin, spread) > plan.margin for _ in range(OFFERS))
    low, _ = exact(lucky, LIVES)
    alpha = own.epoch.alpha
    made = partial(
        Finding,
        attack="selection/resubmitted-luck", kind="selection",
        title="the same worthless change, resubmitted until luck accepts it", runs=LIVES,
        caught=LIVES - lucky, control=fooled / LIVES,
        did=f"Simulated: {OFFERS} proposals that change nothing, in each of {LIVES} ledgers, through the pure rule.",
    )  # fmt: skip
    why = f"simulated: accepted in {lucky} of {LIVES} ledgers, a budget of {alpha:g} allows {alpha * LIVES:g}"
    if low > alpha:
        return made(verdict=Verdict.HOLE, why=why, fix="lower policy.alpha, and report it to Festina")
    return made(verdict=Verdict.CAUGHT if fooled else Verdict.NOT_TESTED, why=why)


def _salami(own: Own, plan: gate.Plan, spread: float, number: int) -> Finding:
    """True gains in a row, each losing half of what a guard allows: the losses are measured against the anchor."""
    guard = own.epoch.guards[number]
    loss = plan.guards[number]
    cut = replace(plan, units_max=min(plan.units_max, UNITS))
    over = sum(_sliced(cut, random.Random(1000 + life), spread, number, anchored=True) > loss for life in range(LIVES))
    patient = replace(plan, units_max=UNITS)  # the control is about what is compared, not about how long
    fooled = sum(_sliced(patient, random.Random(life), spread, number, anchored=False) > loss for life in range(3))
    low, _ = exact(over, LIVES)
    made = partial(
        Finding,
        attack=f"selection/salami-{guard.name}", kind="selection", runs=LIVES, caught=LIVES - over,
        title=f"losses too small to see, one after the other, in guard {guard.name}", control=fooled / 3,
        did=f"Simulated: {SLICES} true gains in a row, each losing half of what guard {guard.name} allows.",
    )  # fmt: skip
    why = f"simulated: in {over} of {LIVES} ledgers the losses went past max_loss {guard.max_loss:g} of the anchor"
    if low > own.epoch.alpha:
        return made(verdict=Verdict.HOLE, why=why, fix="lower the guard's max_loss, and report it to Festina")
    return made(verdict=Verdict.CAUGHT if fooled else Verdict.NOT_TESTED, why=why)


def _sliced(plan: gate.Plan, coins: random.Random, spread: float, number: int, *, anchored: bool) -> float:
    """What a guard has lost after ``SLICES`` offers. ``anchored`` False: each is compared with the one before it."""
    step, lost = STEP_LOSS * plan.guards[number], 0.0
    for _ in range(SLICES):
        guards = [0.0] * len(plan.guards)
        guards[number] = -(lost + step) if anchored else -step
        if _tested(plan, coins, 2.0 * plan.detect, guards, spread):
            lost += step
    return lost - 1e-9
