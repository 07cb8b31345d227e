"""What the acceptance benchmark claims, looked at by code that shares nothing with it but the rule itself.

    python benchmarks/crosscheck.py                   # some ten minutes of one core
    python benchmarks/crosscheck.py --runs 100        # a look
    python benchmarks/crosscheck.py --json FILE

*Bound*: the information bound of every law of the benchmark, made again by golden section instead of bisection, and
from sums over a fine grid instead of Gauss-Legendre nodes. Each comes with a certificate: the law on the other side
that reaches it, which must add up to one, have the mean asked for, and lie as far away as the bound says. An oracle
that knows the law and stakes the best share is played beside it: a bound that is too easy (too large) would show as an
oracle that beats it.

*Streams* that the benchmark does not have, each against the one-by-one rule and the real ``Budget`` (no arrays). Every
candidate is no better, so that any acceptance is wrong:

- ``teaches noise``: by turns, ten changes that hardly differ and ten that differ as much as they can, and after each
  ten ruinous ones that win small: against a rule that carries noise from test to test;
- ``buys more units``: each test has few units; one that ends above half of its start is given more, up to twelve
  times, the others are ended at once; the level stays reserved meanwhile (S-2, S-3);
- ``eight under one coin``: eight tests side by side whose units mostly share one draw a round, so that all are lucky
  together; all that fall below a third of the leader are ended and opened anew at once;
- ``other laws``: laws that no row of the benchmark has (skewed, U-shaped, heavy-tailed and cut, calm with storms);
- ``MISTAKE: each draw counted five times``: the control. It must err, or these streams could not see an error.

Not covered: shared items (their attackers are in ``acceptance --only attack``), guards, few seeds.
"""

from __future__ import annotations

import argparse
import json
import math
import random
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))

from acceptance.bound import rate
from acceptance.contest import SCENARIOS
from acceptance.efficiency import SINGLES
from acceptance.frame import upper_limit
from acceptance.laws import Atoms, Exact, Graded
from festina.select import gate
from festina.select.budget import Budget
from festina.select.noise import UNKNOWN

ALPHA, BETA = 0.05, 0.1
GOLDEN = (math.sqrt(5.0) - 1.0) / 2.0
ORACLES, LEVEL = 400, 1e-4
Draw = Callable[[random.Random], float]

# ---- the bound -----------------------------------------------------------------------------------------------


def law_of(law: Exact) -> list[tuple[float, float]]:
    """Values and chances; of a Beta law by the midpoint rule on its quantile scale, not by the benchmark's nodes."""
    if isinstance(law, Atoms):
        return list(zip(law.values, law.chances, strict=True))
    assert isinstance(law, Graded)
    middle, variance = 0.5 * (1.0 + law.mean), 0.25 * law.sd**2
    total = middle * (1.0 - middle) / variance - 1.0
    a, b = middle * total, (1.0 - middle) * total
    constant = math.lgamma(a + b) - math.lgamma(a) - math.lgamma(b)
    count, found = 40_000, []
    for i in range(count):
        x = (i + 0.5) / count
        density = math.exp(constant + (a - 1.0) * math.log(x) + (b - 1.0) * math.log1p(-x))
        found.append((2.0 * x - 1.0, density / count))
    mass = math.fsum(chance for _, chance in found)
    return [(value, chance / mass) for value, chance in found]


def growth(points: list[tuple[float, float]], stake: float) -> float:
    return math.fsum(chance * math.log1p(stake * payoff) for payoff, chance in points)


def best_stake(points: list[tuple[float, float]], most: float) -> float:
    """Golden section on a concave function."""
    low, high = 0.0, most * (1.0 - 1e-9)
    left, right = high - GOLDEN * (high - low), low + GOLDEN * (high - low)
    at_left, at_right = growth(points, left), growth(points, right)
    while high - low > 1e-10 * most:
        if at_left > at_right:
            high, right, at_right = right, left, at_left
            left = high - GOLDEN * (high - low)
            at_left = growth(points, left)
        else:
            low, left, at_left = left, right, at_right
            right = low + GOLDEN * (high - low)
            at_right = growth(points, right)
    return 0.5 * (low + high)


def certificate(points: list[tuple[float, float]], stake: float, worst: float) -> tuple[float, float, float]:
    """(mass, mean payoff, distance) of the law on the other side that the stake points at.

    What its mass lacks lies on the worst payoff that the range allows.
    """
    tilted = [chance / (1.0 + stake * payoff) for payoff, chance in points]
    rest = max(0.0, 1.0 - math.fsum(tilted))
    mean = math.fsum(p * q for (p, _), q in zip(points, tilted, strict=True)) - rest * worst
    away = math.fsum(c * math.log(c / q) for (_, c), q in zip(points, tilted, strict=True) if c > 0.0)
    return math.fsum(tilted) + rest, mean, away


def bounds(oracles: int) -> Iterator[dict[str, object]]:
    cases = {(f"{case.name}, gain {case.gain:g}", case.law(case.gain), case.detect) for case in SINGLES}
    cases |= {(f"{s.name}, gain {g:g}", s.law(g), s.detect) for s in SCENARIOS[:5] for g in (s.detect, s.sizes[0])}
    for name, law, detect in sorted(cases, key=lambda each: each[0]):
        for above, mean, which in ((True, 0.0, law), (False, detect, _null_of(law))):
            points = [(v - mean if above else mean - v, c) for v, c in law_of(which)]
            worst = 1.0 + mean if above else 1.0 - mean
            stake = best_stake(points, 1.0 / worst)
            mass, other_mean, away = certificate(points, stake, worst)
            found, theirs = growth(points, stake), rate(which, mean, above)
            yield {
                "law": name, "question": "accept" if above else "give up", "bound": found, "benchmark": theirs,
                "apart": abs(found / theirs - 1.0), "mass": mass, "mean": other_mean, "distance": away,
                "oracle": _oracle(points, stake, found, LEVEL if above else BETA, oracles, f"{name}{above}"),
            }  # fmt: skip


def _null_of(law: Exact) -> Exact:
    """The same kind of law with mean 0, as the benchmark's changes that do nothing."""
    if isinstance(law, Graded):
        return Graded(0.0, law.sd)
    mean = sum(v * c for v, c in zip(law.values, law.chances, strict=True))  # type: ignore[attr-defined]
    if law.values == (-1.0, 0.0, 1.0):  # type: ignore[attr-defined]
        change = law.chances[0] + law.chances[2]  # type: ignore[attr-defined]
        return Atoms((-1.0, 0.0, 1.0), (change / 2, 1.0 - change, change / 2))
    return Atoms((law.values[0], law.values[1] - mean / law.chances[1]), law.chances)  # type: ignore[attr-defined]


def _oracle(
    points: list[tuple[float, float]], stake: float, rate_: float, level: float, tests: int, seed: str
) -> float:
    """Mean units over the bound of one who knows the law; never below 1 but by chance."""
    rng, need, total = random.Random(seed), math.log(1.0 / level), 0
    steps, chances = [math.log1p(stake * payoff) for payoff, _ in points], [chance for _, chance in points]
    sums = [0.0]
    for chance in chances:
        sums.append(sums[-1] + chance)
    for _ in range(tests):
        logs = 0.0
        while logs < need:
            more = rng.choices(steps, cum_weights=sums[1:], k=max(8, int(0.5 * (need - logs) / rate_)))
            for step in more:
                logs += step
                total += 1
                if logs >= need:
                    break
    return total / tests / (need / rate_)


# ---- streams -------------------------------------------------------------------------------------------------


class Run:
    """One run of the rule: its budget, what tests have taught, and whether anything was accepted."""

    def __init__(self, detect: float, cap: int) -> None:
        self.detect, self.cap = detect, cap
        self.budget, self.noise, self.wrong, self.units, self.tests = Budget(ALPHA), UNKNOWN, False, 0, 0

    def open(self, cap: int | None = None) -> Test:
        level, self.budget = self.budget.open()
        self.tests += 1
        plan = gate.Plan("bounded", level, 0.0, self.detect, BETA, (), cap or self.cap, noise=self.noise)
        return Test(level, gate.start(plan))

    def close(self, test: Test) -> None:
        accepted = test.state.outcome == "accept"
        self.wrong |= accepted
        self.units += test.state.units
        refund = 0.0 if accepted else gate.refund_share(test.state)
        self.budget = self.budget.close(test.level, accepted, refund)
        self.noise = self.noise.after(test.seen)


class Test:
    def __init__(self, level: float, state: gate.TestState) -> None:
        self.level, self.state, self.seen = level, state, list[float]()

    def see(self, value: float) -> None:
        self.state = gate.observe(self.state, gate.Evidence(value))
        self.seen.append(value)

    @property
    def on(self) -> bool:
        return self.state.outcome == "continue"


def ruin(gain: float) -> Draw:
    """Wins a little until everything is lost; mean 0."""
    return lambda rng: -1.0 if rng.random() < gain / (1.0 + gain) else gain


def coin(size: float) -> Draw:
    return lambda rng: size if rng.random() < 0.5 else -size


def teaches_noise(run: Run, rng: random.Random, tests: int) -> None:
    while run.tests < tests:
        for law in (*[coin(0.001)] * 10, *[ruin(0.24)] * 10, *[coin(1.0)] * 10, *[ruin(0.24)] * 10):
            test = run.open()
            while test.on:
                test.see(law(rng))
            run.close(test)


def buys_more_units(run: Run, rng: random.Random, tests: int) -> None:
    law = ruin(0.3)
    while run.tests < tests:
        test = run.open(8)
        for more in range(12):
            while test.on:
                test.see(law(rng))
            if test.state.outcome != "cap" or test.state.gain.wealth < 0.5:
                break
            test.state = gate.extend(test.state, 8 * (more + 2))
        run.close(test)


def eight_under_one_coin(run: Run, rng: random.Random, tests: int) -> None:
    law, fields = ruin(0.24), [run.open() for _ in range(8)]
    while run.tests < tests:
        luck = law(rng)
        for test in fields:
            test.see(luck if rng.random() < 0.8 else law(rng))
        lead = max(test.state.gain.wealth for test in fields)
        for i, test in enumerate(fields):
            if not test.on or test.state.gain.wealth < lead / 3.0:
                run.close(test)
                fields[i] = run.open()
    for test in fields:
        run.close(test)


def counts_fivefold(run: Run, rng: random.Random, tests: int) -> None:
    law = coin(0.3)
    while run.tests < tests:
        test = run.open()
        while test.on:
            value = law(rng)
            for _ in range(5):
                if test.on:
                    test.see(value)
        run.close(test)


def _skewed(rng: random.Random) -> float:
    return min(1.0, 0.02 * (rng.expovariate(1.0) - 1.0))  # cut far out, where nothing is left to speak of


def _u_shaped(rng: random.Random) -> float:
    return 2.0 * rng.betavariate(0.2, 0.2) - 1.0


def _heavy(rng: random.Random) -> float:
    return max(-1.0, min(1.0, 0.02 * math.tan(math.pi * (rng.random() - 0.5))))


def _stormy(rng: random.Random) -> float:
    return coin(0.9 if rng.random() < 0.03 else 0.01)(rng)


def other_laws(run: Run, rng: random.Random, tests: int) -> None:
    laws = (_skewed, _u_shaped, _heavy, _stormy)
    while run.tests < tests:
        test = run.open()
        while test.on:
            test.see(laws[run.tests % len(laws)](rng))
        run.close(test)


STREAMS: dict[str, tuple[Callable[[Run, random.Random, int], None], float, int]] = {
    "teaches noise": (teaches_noise, 0.2, 150),
    "buys more units": (buys_more_units, 0.2, 8),
    "eight under one coin": (eight_under_one_coin, 0.2, 150),
    "other laws": (other_laws, 0.1, 200),
    "MISTAKE: each draw counted five times": (counts_fivefold, 0.2, 200),
}


def streams(runs: int, tests: int) -> Iterator[dict[str, object]]:
    for name, (play, detect, cap) in STREAMS.items():
        began, wrong, units, done = time.process_time(), 0, 0, 0
        for number in range(runs):
            run = Run(detect, cap)
            play(run, random.Random(f"{name}/{number}"), tests)
            wrong, units, done = wrong + run.wrong, units + run.units, done + run.tests
        yield {
            "stream": name, "runs": runs, "tests": done / runs, "units": units / done, "wrong": wrong / runs,
            "upper99": upper_limit(wrong, runs), "cpu_s": round(time.process_time() - began, 1),
        }  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--runs", type=int, default=2000, help="of each stream")
    parser.add_argument("--tests", type=int, default=80, help="proposals of a run, about")
    parser.add_argument("--oracles", type=int, default=ORACLES, help="tests of the oracle for each bound")
    parser.add_argument("--only", choices=("bound", "streams"))
    parser.add_argument("--json", type=Path)
    asked = parser.parse_args()
    found: dict[str, list[dict[str, object]]] = {"bound": [], "streams": []}
    for row in bounds(asked.oracles) if asked.only != "streams" else ():
        found["bound"].append(row)
        print(" ".join(f"{k}={v:.6g}" if isinstance(v, float) else f"{v}" for k, v in row.items()), flush=True)
    for row in streams(asked.runs, asked.tests) if asked.only != "bound" else ():
        found["streams"].append(row)
        print(" ".join(f"{k}={v:.4g}" if isinstance(v, float) else f"{k}={v}" for k, v in row.items()), flush=True)
    if asked.json:
        asked.json.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
