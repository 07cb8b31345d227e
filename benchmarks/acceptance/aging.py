"""What a long run and many guards take from the rule's power."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

import numpy as np

from acceptance.frame import Column, Goal, Job, Row, Size, Table, Tables, numbers, stream
from acceptance.laws import Graded, Law, ternary
from acceptance.runs import Fresh, close, plan_of
from festina.select.vector import gate

EVERY = 10  # one proposal in so many is a gain of ``detect``; all others change nothing


@dataclass(frozen=True, slots=True)
class Long:
    name: str
    gain: Law
    null: Law
    detect: float
    cap: int


LONG = (
    Long("graded items, sd 0.1", Graded(0.05, 0.1), Graded(0.0, 0.1), 0.05, 600),
    Long("right or wrong items", ternary(0.1), ternary(0.0), 0.1, 1500),
)


def aging(case: Long, proposals: int, runs: int) -> list[Row]:
    """Gains found in the first and in the last thirtieth of a long run."""
    levels, plan = Fresh(runs), plan_of(case.detect, case.cap)
    found = []
    for t in range(proposals):
        law = case.gain if t % EVERY == 0 else case.null
        opened = levels.open()
        draws = law.draw(stream("aging", case.name, t), runs, case.cap)
        ends = gate(plan, opened, draws, noise=levels.noise)
        accepted = close(levels, opened, ends, draws, case.cap)
        if t % EVERY == 0:
            found.append(float(accepted.mean()))
    window = max(1, len(found) // 30)
    early, late = float(np.mean(found[:window])), float(np.mean(found[-window:]))
    return [
        {
            "stream": case.name, "proposals": proposals, "runs": runs, "early": early, "late": late,
            "ratio": late / early, "nats": float(np.log(1.0 / opened).mean()),
        }
    ]  # fmt: skip


def guarded(count: int, tests: int, chunk: int = 250) -> list[Row]:
    """A gain of 0.05 with ``count`` guards that it leaves alone, at level 0.001."""
    plan = plan_of(0.05, 4000, guards=(0.03,) * count, level=1e-3)
    accepted = units = 0
    for at in range(0, tests, chunk):
        n = min(chunk, tests - at)
        gains = ternary(0.05).draw(stream("guarded", at), n, plan.units_max)
        guards = [ternary(0.0, 0.05).draw(stream("guarded", at, k), n, plan.units_max) for k in range(count)]
        ends = gate(plan, np.full(n, plan.level), gains, guards)
        accepted += int((ends.outcome == "accept").sum())
        units += int(ends.units.sum())
    return [{"guards": count, "tests": tests, "accepted": accepted / tests, "units": units / tests}]


TABLES = (
    Table(
        "aging",
        "Late in a long run",
        "One proposal in ten gains `detect`, the others change nothing. Found: the share of the gains accepted in the "
        "first and in the last thirtieth of the run. *Nats*: what the last test must show; the first one's are 6.9.",
        (
            Column("stream", "stream"), Column("proposals", "proposals", ",d"), Column("runs", "runs", ",d"),
            Column("early", "found early", ".3f"), Column("late", "found late", ".3f"),
            Column("ratio", "late over early", ".3f"), Column("nats", "nats", ".1f"),
        ),
    ),
    Table(
        "guarded",
        "What guards take",
        "A gain of .05 on right or wrong items (0.2 change) and guards that do not move (0.05 of their items change, "
        "`max_loss` .03), level 0.001, at most 4,000 units.",
        (
            Column("guards", "guards"), Column("tests", "tests", ",d"), Column("accepted", "accepted", ".3f"),
            Column("units", "units a test", ",.0f"),
        ),
    ),
)  # fmt: skip


def jobs(size: Size) -> list[Job]:
    cases = LONG[:1] if size.name == "tiny" else LONG
    return [
        *(Job("aging", partial(aging, case, 3 * size.proposals, size.streams), 100) for case in cases),
        *(
            Job("guarded", partial(guarded, count, size.tests // 2), 1 + 4 * count)
            for count in ((0, 4) if size.name == "tiny" else (0, 16))
        ),
    ]


def goals(tables: Tables) -> list[Goal]:
    plain, full = numbers(tables["guarded"], "accepted")
    most = tables["guarded"][-1]["guards"]
    steps = tables["aging"][0]["proposals"]
    return [
        Goal(
            f"found late in {steps:,} proposals over found early, worst row",
            min(numbers(tables["aging"], "ratio")),
            0.9,
        ),
        Goal(f"acceptances with {most} guards over those without", full / plain, 0.9),
    ]
