"""What the rule costs beside the information bound.

The bound (``bound``) uses the exact law and the level that each test had: ``ln(1/level)`` over the rate for a gain,
``ln(1/beta)`` over the rate for giving up, and the smaller of both for a gain below ``detect``, which may end either
way.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from math import log

import numpy as np

from acceptance.bound import kl, rate
from acceptance.contest import SCENARIOS, Scenario
from acceptance.frame import ALPHA, BETA, Column, Goal, Job, Row, Size, Table, Tables, numbers, stream
from acceptance.laws import Atoms, Exact, Graded, catastrophe, jackpot, ternary
from acceptance.runs import Fresh, close, plan_of
from festina.select import Plan
from festina.select.noise import Noise
from festina.select.vector import gate

FIRST = ALPHA / 51  # the first level of a ledger
LAST = 1e-4
EARLIER = 20  # tests that have shown the noise
COSTED = tuple(scenario for scenario in SCENARIOS if scenario.null == 0.0)


def need(law: Exact, effect: float, detect: float, level: float) -> float:
    """Units that a test of this candidate needs on average, whatever the rule."""
    give_up = log(1.0 / BETA) / rate(law, detect, above=False) if effect < detect else np.inf
    accept = log(1.0 / level) / rate(law, 0.0, above=True) if effect > 0.0 else np.inf
    return float(min(give_up, accept))


# ---- whole runs ----------------------------------------------------------------------------------------------


def mixed(scenario: Scenario, streams: int) -> list[Row]:
    """One row: the bill of whole runs beside the bound of the same tests; the streams are ``contest``'s."""
    levels, found = Fresh(streams), []
    units = bound = strict = 0.0
    for t, effect in enumerate(float(mean) for mean in scenario.truth()):
        opened = levels.open()
        draws = scenario.law(effect).draw(stream("contest", scenario.name, t), streams, scenario.units)
        ends = gate(scenario.plan, opened, draws, noise=levels.noise)
        share = float(close(levels, opened, ends, draws, scenario.cap).mean())
        units += float(ends.units.mean())
        level = float(np.exp(np.log(opened).mean()))
        least = need(scenario.law(effect), effect, scenario.detect, level)
        bound += least
        strict += least if effect < scenario.detect else kl(share, level) / rate(scenario.law(effect), 0.0, above=True)
        if effect == scenario.detect:
            found.append(share)
    return [
        {
            "stream": scenario.name, "runs": streams, "units": units, "bound": bound, "ratio": units / bound,
            "strict": units / strict, "found": float(np.mean(found)),
        }
    ]  # fmt: skip


# ---- single tests --------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Single:
    name: str
    law: Callable[[float], Exact]
    detect: float
    gain: float


def tilted(mean: float) -> Atoms:
    """Four grades of unequal steps."""
    shift = mean / 2.0
    return Atoms((-0.5, -0.1, 0.2, 0.4), (0.1 - shift, 0.5 - shift / 2, 0.3 + shift / 2, 0.1 + shift))


SINGLES = (
    Single("graded sd 0.03", partial(Graded, sd=0.03), 0.03, 0.03),
    Single("graded sd 0.03", partial(Graded, sd=0.03), 0.05, 0.05),
    Single("graded sd 0.1", partial(Graded, sd=0.1), 0.03, 0.03),
    Single("graded sd 0.1", partial(Graded, sd=0.1), 0.05, 0.05),
    Single("graded sd 0.1", partial(Graded, sd=0.1), 0.05, 0.15),
    Single("graded sd 0.2", partial(Graded, sd=0.2), 0.02, 0.02),
    Single("graded sd 0.35", partial(Graded, sd=0.35), 0.05, 0.05),
    Single("coin-like, 0.2 change", ternary, 0.05, 0.05),
    Single("coin-like, 0.2 change", ternary, 0.1, 0.1),
    Single("coin-like, 0.05 change", partial(ternary, change=0.05), 0.02, 0.02),
    Single("coin-like, all change", partial(ternary, change=1.0), 0.1, 0.1),
    Single("rare disaster", catastrophe, 0.05, 0.05),
    Single("rare triumph", jackpot, 0.05, 0.05),
)


def single(case: Single, tests: int) -> list[Row]:
    """Mean units to accept at two levels and to give up on a change of nothing, each over its bound."""
    row: Row = {"law": case.name, "detect": case.detect, "gain": case.gain}
    law, null = case.law(case.gain), case.law(0.0)
    for name, level in (("first", FIRST), ("last", LAST)):
        least = log(1.0 / level) / rate(law, 0.0, above=True)
        plan = plan_of(case.detect, int(8 * least + 200), level=level)
        row[name] = _mean_units(plan, law, tests, case, futility=False)
        row[f"{name}_ratio"] = row[name] / least
    least = need(null, 0.0, case.detect, FIRST)
    plan = plan_of(case.detect, int(8 * least + 200), level=FIRST)
    values, weights = null.points()
    later = replace(plan, noise=Noise(EARLIER, EARLIER * float(np.sum(weights * values * values))))
    for name, one in (("null", plan), ("later", later)):
        row[name] = _mean_units(one, null, tests, case, futility=True)
        row[f"{name}_ratio"] = row[name] / least
    return [row]


def _mean_units(plan: Plan, law: Exact, tests: int, case: Single, *, futility: bool) -> float:
    """In chunks: a test may last for tens of thousands of units."""
    chunk = max(1, min(tests, 4_000_000 // plan.units_max))
    total = 0
    for at in range(0, tests, chunk):
        count = min(chunk, tests - at)
        gains = law.draw(stream("single", case.name, int(1e6 * case.gain), at), count, plan.units_max)
        total += int(gate(plan, np.full(count, plan.level), gains, futility=futility).units.sum())
    return total / tests


# ---- the part ------------------------------------------------------------------------------------------------

TABLES = (
    Table(
        "cost",
        "Whole runs beside the information bound",
        "The streams of the comparison with other rules. The bound is the sum, over the tests of a run, of what any "
        "rule needs at that test's level, from the exact law. *Strict*: a gain of `detect` counts only as often as it "
        "was found.",
        (
            Column("stream", "stream"), Column("runs", "runs", ",d"), Column("found", "found", ".2f"),
            Column("units", "units a run", ",.0f"), Column("bound", "bound", ",.0f"),
            Column("ratio", "over bound", ".3f"), Column("strict", "over strict bound", ".3f"),
        ),
    ),
    Table(
        "single",
        "Single tests beside the information bound",
        "Mean units to accept a gain at the first level of a ledger (0.05/51) and at 0.0001, and to give up on a "
        "change that does nothing: as the first test of an epoch, and after twenty others of that noise.",
        (
            Column("law", "law of a unit"), Column("detect", "`detect`", ".2g"), Column("gain", "gain", ".2g"),
            Column("first", "accept at 0.05/51", ",.0f"), Column("first_ratio", "over bound", ".2f"),
            Column("last", "accept at 0.0001", ",.0f"), Column("last_ratio", "over bound", ".2f"),
            Column("null", "give up", ",.0f"), Column("null_ratio", "over bound", ".2f"),
            Column("later", "give up later", ",.0f"), Column("later_ratio", "over bound", ".2f"),
        ),
    ),
)  # fmt: skip


def jobs(size: Size) -> list[Job]:
    scenarios = {"tiny": SCENARIOS[3:4], "quick": COSTED[:1]}.get(size.name, COSTED)
    singles = SINGLES[1:2] if size.name == "tiny" else SINGLES
    return [
        *(Job("cost", partial(mixed, scenario, size.streams), 60) for scenario in scenarios),
        *(Job("single", partial(single, case, size.tests), 20) for case in singles),
    ]


def goals(tables: Tables) -> list[Goal]:
    first, null, last = (max(numbers(tables["single"], key)) for key in ("null_ratio", "later_ratio", "last_ratio"))
    cost = tables["cost"][0]
    return [
        Goal(f"cost of a run over the bound, {cost['stream']}", numbers([cost], "ratio")[0], 1.20, at_most=True),
        Goal("giving up on a change of nothing over the bound, worst row, first test", first, 1.25, at_most=True),
        Goal("the same after twenty tests", null, 1.25, at_most=True),
        Goal("accepting at 0.0001 over the bound, worst row", last, 1.25, at_most=True),
    ]
