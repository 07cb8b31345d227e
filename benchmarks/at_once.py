"""When does testing several proposals side by side pay? A model of a run: the real rule and round sizes, no clock.

    python benchmarks/at_once.py            # about a minute on one core
    python benchmarks/at_once.py --runs 3   # a look

Each run judges 40 proposals (80 % do nothing, the rest gain .15 of the range; units are batch means, sd .1, detect
.05) with some workers. A unit takes between half and one and a half times its mean time, a proposal its own time.
One at a time, the improver waits while its change is tested; side by side, it works on the next change meanwhile.
When one is accepted, the tests beside it start anew. Time is what the workers' schedule gives: every round ends with
its slowest unit. Startup, controls and measurements are left out, and changes do the same whenever they are made.
"""

from __future__ import annotations

import argparse
import heapq
import random
from dataclasses import dataclass, field

from festina.loop.testing import BATCH_S, round_size
from festina.select import Budget, Evidence, Plan, gate

PROPOSALS, GAIN, CAP = 40, 0.15, 480
CASES = (  # (workers, seconds a unit, seconds a proposal)
    (2, 0.1, 1.0), (2, 20.0, 1.0), (2, 20.0, 120.0), (16, 20.0, 1.0), (16, 20.0, 120.0),
)  # fmt: skip


@dataclass
class Open:
    gain: float
    level: float
    test: gate.TestState


@dataclass
class Run:
    workers: int
    unit_s: float
    propose_s: float
    at_once: int
    coins: random.Random
    budget: Budget = field(default_factory=lambda: Budget(0.05))
    seconds: float = 0.0
    units: int = 0
    accepted: int = 0
    judged: int = 0

    def play(self) -> Run:
        waiting: list[float] = []  # true gains of changes whose test the line ended
        tests: list[Open] = []
        gains = [GAIN if self.coins.random() < 0.2 else 0.0 for _ in range(PROPOSALS)]
        known, ready = False, None  # when the proposal that the improver works on is there
        while self.judged < PROPOSALS:
            while len(tests) < self.at_once and (waiting or gains):
                if waiting:
                    gain = waiting.pop(0)
                else:
                    ready = self.seconds + self.propose_s if ready is None else ready
                    if tests and ready > self.seconds:
                        break  # the tests go on
                    gain, self.seconds, ready = gains.pop(0), max(self.seconds, ready), None
                level, self.budget = self.budget.open()
                tests.append(Open(gain, level, gate.start(Plan("bounded", level, 0.0, 0.05, 0.1, (), CAP))))
            self._round(tests, round_size(self.workers, len(tests), self.unit_s if known else 0.0, BATCH_S))
            known = True
            tests, waiting = self._endings(tests, waiting)
        return self

    def _round(self, tests: list[Open], size: int) -> None:
        free = [0.0] * self.workers
        for i in range(size):
            for one in tests:
                if one.test.units + i >= CAP:
                    continue
                heapq.heapreplace(free, free[0] + self.unit_s * self.coins.uniform(0.5, 1.5))
                self.units += 1
                value = max(-1.0, min(1.0, self.coins.gauss(one.gain, 0.1)))
                if one.test.outcome == "continue":
                    one.test = gate.observe(one.test, Evidence(value))
        self.seconds += max(free)

    def _endings(self, tests: list[Open], waiting: list[float]) -> tuple[list[Open], list[float]]:
        left, moved = [], False
        for one in tests:
            if moved:  # S-8
                self.budget = self.budget.close(one.level, False, gate.refund_share(one.test))
                waiting.append(one.gain)
            elif one.test.outcome == "continue":
                left.append(one)
            else:
                moved = one.test.outcome == "accept"
                self.accepted += moved
                self.judged += 1
                self.budget = self.budget.close(one.level, moved, 0.0 if moved else gate.refund_share(one.test))
        if moved:
            for one in left:
                self.budget = self.budget.close(one.level, False, gate.refund_share(one.test))
            waiting, left = [one.gain for one in left] + waiting, []
        return left, waiting


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=30)
    runs = parser.parse_args().runs
    print("| workers | a unit | a proposal | at once | units a run | minutes a run | minutes an acceptance |")
    print("|---|---|---|---|---|---|---|")
    for workers, unit_s, propose_s in CASES:
        for at_once in (1, 2, 4):
            done = [Run(workers, unit_s, propose_s, at_once, random.Random(seed)).play() for seed in range(runs)]
            minutes = sum(run.seconds for run in done) / 60.0
            units = sum(run.units for run in done) / runs
            print(
                f"| {workers} | {unit_s:g} s | {propose_s:g} s | {at_once} | {units:,.0f} "
                f"| {minutes / runs:,.1f} | {minutes / sum(run.accepted for run in done):,.2f} |", flush=True,
            )  # fmt: skip


if __name__ == "__main__":
    main()
