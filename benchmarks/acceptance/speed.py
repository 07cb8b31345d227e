"""How many updates a second, one by one and on arrays, beside other code for the same step. One core, processor time.

Does not cover: what a unit of evidence costs to produce, which is all of the bill in practice.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from importlib.util import find_spec
from math import log1p
from time import process_time

import numpy as np

from acceptance.frame import Column, Goal, Job, Row, Size, Table, Tables, numbers, stream
from acceptance.laws import Graded, ternary
from acceptance.runs import plan_of
from festina.select import Evidence, observe, start
from festina.select.gate import gain_bets
from festina.select.vector import BoundedBets, gate

ROUNDS = 5  # the fastest counts
TESTS = 4096


def one_by_one(units: int) -> list[Row]:
    """Tests whose gain and guard are both open: a gain, its futility, a guard and its violation."""
    plan = plan_of(0.05, 10**9, guards=(0.05,), level=1e-12)
    gains = ternary(0.02).draw(stream("speed", "gain"), 1, units)[0]
    guards = Graded(-0.05, 0.1).draw(stream("speed", "guard"), 1, units)[0]
    evidence = [Evidence(float(gain), (float(guard),)) for gain, guard in zip(gains, guards, strict=True)]
    fresh = start(plan)

    def ours() -> None:
        state = fresh
        for unit in evidence:
            state = observe(state, unit)
            if state.outcome != "continue":
                state = fresh

    values = [float(gain) for gain in gains]
    rows = [
        _row("a whole test: gain, futility, one guard", "Festina, one by one", 4, units / _best(ours)),
        _row("one e-process", "plain Python after the textbook (aGRAPA)", 1, units / _best(partial(textbook, values))),
    ]
    if find_spec("online_fdr"):
        rate = units / _best(partial(packaged, values))
        rows.append(_row("one e-process, its stake fixed", "online-fdr's BettingEProcess", 1, rate))
    return rows


def textbook(values: list[float]) -> float:
    """Waudby-Smith and Ramdas (arXiv 2010.09686): aGRAPA with cap 0.9, in logarithms."""
    wealth, total, squares = 0.0, 0.0, 1.0
    for x in values:
        wealth += log1p(min(max(total / squares, 0.0), 0.9) * x)  # mean over mean square
        total, squares = total + x, squares + x * x
    return wealth


def packaged(values: list[float]) -> float:
    from online_fdr.e_values import BettingEProcess

    process = BettingEProcess(0.2)
    for x in values:
        process.update(x)
    return float(process.log_current)


def arrays(units: int) -> list[Row]:
    """Many tests at once."""
    columns = np.ascontiguousarray(ternary(0.02).draw(stream("speed", "arrays"), TESTS, units).T)
    better, _ = gain_bets(plan_of(0.05, 10**9, level=1e-300))

    def ours() -> None:
        bets = BoundedBets(better, TESTS)  # type: ignore[arg-type]  # a bounded plan's
        for column in columns:
            bets.step(column)

    def book() -> None:
        wealth, total, squares = np.zeros(TESTS), np.zeros(TESTS), np.ones(TESTS)
        for x in columns:
            wealth += np.log1p(np.clip(total / squares, 0.0, 0.9) * x)
            total, squares = total + x, squares + x * x

    cap = 400
    null = ternary(0.0).draw(stream("speed", "tests"), TESTS, cap)
    levels = np.full(TESTS, 1e-3)
    played = int(gate(plan_of(0.1, cap), levels, null).units.sum())
    whole = played / _best(lambda: gate(plan_of(0.1, cap), levels, null) and None)
    return [
        _row("one e-process", "Festina, arrays", 1, TESTS * units / _best(ours)),
        _row("one e-process", "the same textbook on arrays (numpy)", 1, TESTS * units / _best(book)),
        _row("whole tests up to their verdict: gain, futility", "Festina, arrays", 2, whole),
    ]


def _best(work: Callable[[], object]) -> float:
    """Processor seconds of the fastest round."""
    found = []
    for _ in range(ROUNDS):
        began = process_time()
        work()
        found.append(process_time() - began)
    return min(found)


def _row(what: str, by: str, processes: int, rate: float) -> Row:
    return {"what": what, "by": by, "units": rate, "updates": processes * rate}


TABLES = (
    Table(
        "speed",
        "Speed",
        f"One core, processor time, the fastest of {ROUNDS} rounds. An update is one e-process seeing one unit.",
        (
            Column("what", "what sees a unit"), Column("by", "code"), Column("units", "units a second", ",.0f"),
            Column("updates", "updates a second", ",.0f"),
        ),
    ),
)  # fmt: skip


def jobs(size: Size) -> list[Job]:
    units = {"tiny": 200, "quick": 2000}.get(size.name, 20_000)
    return [
        Job("speed", partial(one_by_one, units), alone=True),
        Job("speed", partial(arrays, units // 20), alone=True),
    ]


def goals(tables: Tables) -> list[Goal]:
    single, *_ = (row for row in tables["speed"] if row["by"] == "Festina, one by one")
    many, *_ = (row for row in tables["speed"] if row["by"] == "Festina, arrays")
    return [
        Goal("whole tests one by one, units a second", numbers([single], "units")[0], 50_000),
        Goal("e-processes on arrays, updates a second", numbers([many], "updates")[0], 10_000_000),
    ]
