"""Where the guarantee ends: for each condition of ``docs/proof.md``, the error with it held and with it broken.

    python benchmarks/breaks.py            # all, about a minute
    python benchmarks/breaks.py clusters   # one, in seconds

Each is one decision at level 0.05 (``steps`` and ``creep``: three and six, ``refunds``: a whole budget), the same every
time. "Error" is what the condition protects from: mostly the share of runs in which a change that is no improvement is
accepted. ``small`` breaks nothing but patience: its error is a real gain that is missed.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from festina.select import Budget, Plan
from festina.select.vector import Ends, gate

ALPHA = 0.05
Array = NDArray[np.float64]
Rng = np.random.Generator


def decide(gains: Array, guards: tuple[Array, ...] = ()) -> NDArray[np.bool_]:
    """Which of many tests at ALPHA accept: one row of differences each; guards may lose 0.05."""
    plan = Plan("bounded", ALPHA, 0.0, 0.05, 0.1, (0.05,) * len(guards), gains.shape[1])
    return ended(plan, gains, guards).outcome == "accept"


def ended(plan: Plan, gains: Array, guards: tuple[Array, ...] = ()) -> Ends:
    return gate(plan, np.full(len(gains), plan.level), gains, guards)


def coins(rng: Rng, mean: float, shape: tuple[int, ...], change: float = 0.2) -> Array:
    """Right or wrong items: ``change`` of them differ."""
    u = rng.random(shape)
    return np.where(u < (change + mean) / 2, 1.0, np.where(u < change, -1.0, 0.0))


def value(held: bool, runs: int, rng: Rng) -> float:
    """The score is the value. Broken: the candidate is worse, and 0.1 more is to be had by what the grader likes."""
    return float(decide(coins(rng, -0.05 if held else -0.05 + 0.1, (runs, 800))).mean())


def leak(held: bool, runs: int, rng: Rng) -> float:
    """Items are drawn after the candidate is fixed. Broken: the best of 100 equal ones is picked on them."""
    tries = coins(rng, 0.0, (runs, 100, 300))
    best = tries.mean(2).argmax(1)
    seen = tries[np.arange(runs), best]
    return float(decide(coins(rng, 0.0, (runs, 300)) if held else seen).mean())


def clipped(held: bool, runs: int, rng: Rng) -> float:
    """The declared range holds every difference. Broken: one in ten is -2 and is clipped to -1; the mean is -0.02."""
    true = np.where(rng.random((runs, 300)) < 0.1, -2.0, 0.2)
    return float(decide(true / 2.0 if held else np.clip(true, -1.0, 1.0)).mean())


def rerun(held: bool, runs: int, rng: Rng) -> float:
    """What fails is a unit, at the worst score. Broken: crashed runs of the candidate (7 %) are tried again."""
    crashed = rng.random((runs, 300)) < 0.07
    return float(decide(np.where(crashed & held, -0.95, 0.05)).mean())


def clusters(held: bool, runs: int, rng: Rng) -> float:
    """What shares its luck is one unit. Broken: 40 items that share one coin are counted as 40 units."""
    coin = rng.choice((-0.5, 0.5), (runs, 40))
    return float(decide(coin if held else np.repeat(coin, 40, axis=1)).mean())


def drift(held: bool, runs: int, rng: Rng) -> float:
    """No unit has a mean above the margin. Broken: the first 200 do (+0.1), all later ones, years of them, lose 0.1."""
    first, later = coins(rng, 0.0 if held else 0.1, (runs, 200)), coins(rng, -0.1, (runs, 400))
    return float(decide(np.hstack([first, later])).mean())


def remembered(held: bool, runs: int, rng: Rng) -> float:
    """Both sides are measured at every unit. Broken: the incumbent's score is that of one old run; nothing changed."""
    candidate, fresh = rng.normal(0.6, 0.1, (runs, 300)), rng.normal(0.6, 0.1, (runs, 300))
    return float(decide(np.clip(candidate - (fresh if held else fresh[:, :1]), -1.0, 1.0)).mean())


def steps(held: bool, runs: int, rng: Rng) -> float:
    """Scores add up. Broken: a judge of pairs whose likings run in a circle: three accepted steps lead back."""
    each = [decide(coins(rng, 0.15 if not held else gain, (runs, 400))) for gain in (0.15, 0.0, -0.15)]
    walked = each[0] & each[1] & each[2]
    return float(walked.mean())  # held: of the second and third step no one is an improvement


def skewed(held: bool, runs: int, rng: Rng) -> float:
    """Seeds without a range: symmetric when nothing improves. Broken: better by 0.1, ruined in 8 % of the runs (-2)."""
    noise = rng.normal(0.0, 0.02, (runs, 25))
    ruin = np.where(rng.random((runs, 25)) < 0.08, -2.0, 0.1)
    plan = Plan("symmetric", ALPHA, 0.0, 0.0, 0.1, (), 25)
    return float((ended(plan, noise if held else ruin + noise).outcome == "accept").mean())


def pool(held: bool, runs: int, rng: Rng) -> float:
    """Items are drawn from what the claim is about. Broken: again and again from the same 30 of them."""
    few = coins(rng, 0.0, (runs, 30), 0.5)
    again = np.take_along_axis(few, rng.integers(0, 30, (runs, 600)), axis=1)
    return float(decide(coins(rng, 0.0, (runs, 600), 0.5) if held else again).mean())


def scores(held: bool, runs: int, rng: Rng) -> float:
    """Of a shared block only the word gets out. Broken: a proposer adds up what 60 probes scored on it."""
    block = rng.choice((-1.0, 1.0), (runs, 60, 300))  # a probe is right on some items and wrong on others: no gain
    liked = np.sign(block.mean(2))[:, :, None]
    other = rng.choice((-1.0, 1.0), (runs, 60, 300))
    vote = np.sign((liked * (other if held else block)).sum(1))
    return float(decide(vote * (rng.random((runs, 300)) < 0.5)).mean())


def chosen(held: bool, runs: int, rng: Rng) -> float:
    """The metric is fixed before. Broken: whichever of 20 shows something is called the goal afterwards."""
    each = decide(coins(rng, 0.0, (20 * runs, 300))).reshape(20, runs)
    return float((each[0] if held else each.any(0)).mean())


def creep(held: bool, runs: int, rng: Rng) -> float:
    """Guards look at a frozen anchor. Broken: at the version before; six steps lose 0.04 each, 0.05 is allowed."""
    taken = np.zeros(runs)  # accepted steps
    for _ in range(6):
        loss = 0.04 * (taken + 1.0 if held else np.ones(runs))
        guard = rng.normal(-loss[:, None], 0.05, (runs, 600))
        taken = taken + decide(rng.normal(0.2, 0.05, (runs, 600)), (guard,))
    return float((0.04 * taken > 0.05).mean())


def refunds(held: bool, runs: int, rng: Rng) -> float:
    """A test gives back what it did not use. Broken: it gives everything back, so a lottery can be played for ever."""
    budget, levels = Budget(ALPHA), []
    for _ in range(150):
        level, budget = budget.open()
        budget = budget.close(level, False, 0.0 if held else 1.0)
        levels.append(level)
    won = rng.random((runs, 150)) < np.array(levels)  # the fairest of bad bets: all of the stake on a win of 1/level
    return float(won.any(1).mean())


def small(held: bool, runs: int, rng: Rng) -> float:
    """A gain of 0.01 can be seen when little noise hides it (sd 0.05). Broken: coin-like items, 4,000 of them."""
    gains = rng.normal(0.01, 0.05, (runs, 1500)) if held else coins(rng, 0.01, (runs, 4000))
    plan = Plan("bounded", ALPHA, 0.0, 0.01, 0.05, (), gains.shape[1])
    return 1.0 - float((ended(plan, gains).outcome == "accept").mean())


@dataclass(frozen=True)
class Break:
    """One condition: the demonstration, and how many runs show it well."""

    show: Callable[[bool, int, Rng], float]
    runs: int = 2000


BREAKS = {
    each.__name__: Break(each, runs)
    for each, runs in (
        (value, 2000), (leak, 300), (clipped, 2000), (rerun, 2000), (clusters, 1000), (drift, 2000), (remembered, 2000),
        (steps, 1000), (skewed, 2000), (pool, 2000), (scores, 200), (chosen, 400), (creep, 300), (refunds, 2000),
        (small, 300),
    )
}  # fmt: skip


def rates(name: str, share: float = 1.0) -> tuple[float, float]:
    """Error with the condition held and broken, on ``share`` of the runs."""
    case = BREAKS[name]
    runs = max(40, round(case.runs * share))
    held, broken = (case.show(held, runs, np.random.default_rng((7, held))) for held in (True, False))
    return held, broken


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("name", nargs="?", choices=BREAKS, help="all of them without it")
    name = parser.parse_args().name
    print("condition     error when held   broken")
    for each in [name] if name else BREAKS:
        held, broken = rates(each)
        print(f"{each:12s}  {held:15.3f}  {broken:7.3f}   {BREAKS[each].show.__doc__}")


if __name__ == "__main__":
    main()
