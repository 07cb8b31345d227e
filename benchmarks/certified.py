"""How much of a line's true total gain is certified, beside a bound for each test by itself.

    python benchmarks/certified.py            # about two minutes on one core
    python benchmarks/certified.py --runs 4   # a look

Each run is a ledger of 40 proposals (80 % do nothing, the rest gain .05, .1 or .15 of the range), tested by the gate
under the error budget; every random stream follows from the run's number. "each by itself" is the lower bound of
test t at ``50 alpha/((t+49)(t+50))``, added up over the accepted ones: the textbook way. "missed": runs in which
more was certified than there was.
"""

from __future__ import annotations

import argparse
import random
from dataclasses import dataclass
from math import log

from festina.select import Budget, Evidence, Plan, estimate, gate, report
from festina.select import certified as made
from festina.select.certified import Shares, Step, total_at_least

ALPHA, TESTS, SIZES = 0.05, 40, (0.05, 0.1, 0.15)


@dataclass(frozen=True)
class Law:
    name: str
    sd: float  # 0: a fifth of the items change, by all of the range
    cap: int

    def draw(self, coins: random.Random, gain: float) -> float:
        if self.sd > 0.0:
            return max(-1.0, min(1.0, coins.gauss(gain, self.sd)))
        u = coins.random()
        return 1.0 if u < 0.1 + gain / 2.0 else -1.0 if u < 0.2 else 0.0


LAWS = (
    Law("batch means, sd 0.03", 0.03, 480), Law("batch means, sd 0.1", 0.1, 480),
    Law("graded items, sd 0.35", 0.35, 3000), Law("coin-like items", 0.0, 4000),
)  # fmt: skip


def ledger(law: Law, seed: int) -> tuple[float, float, float, float, int]:
    """(true total, sum of estimates, certified, each by itself, accepted)."""
    coins, budget, shares = random.Random(f"{law.name}:{seed}"), Budget(ALPHA), Shares()
    steps, truth, estimates, alone = [], 0.0, 0.0, 0.0
    for t in range(TESTS):
        gain = coins.choice(SIZES) if coins.random() < 0.2 else 0.0
        level, budget = budget.open()
        share, shares = shares.open()
        test = gate.start(Plan("bounded", level, 0.0, 0.05, 0.1, (), law.cap))
        gains: list[float] = []
        while test.outcome == "continue":
            gains.append(law.draw(coins, gain))
            test = gate.observe(test, Evidence(gains[-1]))
        accepted = test.outcome == "accept"
        budget = budget.close(level, accepted, 0.0 if accepted else gate.refund_share(test))
        if accepted:
            shares = shares.accepted()
            steps.append(Step(tuple(gains), share))
            truth, estimates = truth + gain, estimates + estimate(gains)
            alone += _alone(gains, ALPHA / 2.0 * 50.0 / ((t + 50.0) * (t + 51.0)))
    return truth, estimates, total_at_least(steps, shares.nats, ALPHA / 2.0) if steps else 0.0, alone, len(steps)


def _alone(gains: list[float], level: float) -> float:
    step, low, high = Step(tuple(gains), 1.0 - 1e-12), -1.0, estimate(gains)
    stakes = report.stakes(gains, made.HORIZONS, made.NATS)
    for _ in range(20):
        middle = 0.5 * (low + high)
        low, high = (middle, high) if made._term(step, stakes, middle) >= log(1.0 / level) else (low, middle)
    return low


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=40)
    runs = parser.parse_args().runs
    print("| law | steps a run | true total | sum of estimates | certified | each by itself | missed |")
    print("|---|---|---|---|---|---|---|")
    for law in LAWS:
        rows = [ledger(law, seed) for seed in range(runs)]
        means = [sum(row[i] for row in rows) / runs for i in range(5)]
        missed = sum(row[2] > row[0] for row in rows)
        print(
            f"| {law.name} | {means[4]:.1f} | {means[0]:.2f} | {means[1]:.2f} | {means[2]:.2f} | {means[3]:.2f} "
            f"| {missed} of {runs} |", flush=True,
        )  # fmt: skip


if __name__ == "__main__":
    main()
