"""What the acceptance rule costs and how often it errs, beside simpler rules on the same draws.

Three tables: *validity* (how often a run of null candidates ends with any acceptance, with a 99 % upper limit,
on laws that are hard in different ways, and with the mistakes that void the guarantee as positive controls),
*efficiency* (mean units per null and per acceptance against the information bound), and *peers* (whole runs
of good, null and bad candidates under four rules). A fourth part compares intervals.

    python benchmarks/selection.py --quick            # under 30 s
    python benchmarks/selection.py --out results.json # minutes

Tests are played by ``festina.select.vector``: the rule, bit for bit.
"""

from __future__ import annotations

import argparse
import json
import math
import platform
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from statistics import NormalDist

import numpy as np
from numpy.typing import NDArray

from festina.select import Budget, Plan, SealedBlocks, interval, units_max_default
from festina.select.vector import Ends, gate

Array = NDArray[np.float64]
Law = Callable[[np.random.Generator, int, int], Array]  # (rng, tests, units) -> differences

ALPHA, BETA = 0.05, 0.1


# ---- laws of the difference -------------------------------------------------------------------------------


def coinlike(mean: float, change: float = 0.2) -> Law:
    """-1, 0 or 1 per item: ``change`` of the items differ, the mean is ``mean``."""

    def draw(rng: np.random.Generator, tests: int, units: int) -> Array:
        u = rng.random((tests, units))
        return np.where(u < (change + mean) / 2, 1.0, np.where(u < change, -1.0, 0.0))

    return draw


def graded(mean: float, sd: float) -> Law:
    """Means of a batch: nearly normal, small spread."""
    return lambda rng, tests, units: np.clip(rng.normal(mean, sd, (tests, units)), -1.0, 1.0)


def catastrophe(mean: float, share: float = 0.02) -> Law:
    """A little better almost always, a disaster seldom; the mean is what counts."""

    def draw(rng: np.random.Generator, tests: int, units: int) -> Array:
        usual = (mean + share * 0.98) / (1 - share)
        return np.where(rng.random((tests, units)) < share, -0.98, usual)

    return draw


def one_coin_per_process(size: float = 0.5, repeat: int = 1) -> Law:
    """All items of a process share one coin. ``repeat`` > 1 counts each of them as a unit: the mistake."""

    def draw(rng: np.random.Generator, tests: int, units: int) -> Array:
        coins = np.where(rng.random((tests, -(-units // repeat))) < 0.5, size, -size)
        return np.repeat(coins, repeat, axis=1)[:, :units]

    return draw


# ---- budgets of many runs -----------------------------------------------------------------------------------


class Budgets:
    """``budget.Budget`` for many runs; the real one is folded, run by run."""

    def __init__(self, runs: int, sealed: bool = False) -> None:
        self.folds: list[Budget | SealedBlocks] = [(SealedBlocks if sealed else Budget)(ALPHA) for _ in range(runs)]

    def open(self) -> Array:
        levels = np.zeros(len(self.folds))
        for i, fold in enumerate(self.folds):
            levels[i], self.folds[i] = fold.open()
        return levels

    def close(self, levels: Array, ends: Ends) -> None:
        for i, fold in enumerate(self.folds):
            self.folds[i] = fold.close(float(levels[i]), bool(ends.outcome[i] == "accept"), float(ends.refund[i]))


# ---- tables ------------------------------------------------------------------------------------------------


def upper_limit(hits: int, runs: int, confidence: float = 0.99) -> float:
    """One-sided Clopper-Pearson upper limit of a rate."""
    if hits == runs:
        return 1.0
    low, high = hits / runs, 1.0
    for _ in range(50):
        p = 0.5 * (low + high)
        below = sum(math.comb(runs, k) * p**k * (1.0 - p) ** (runs - k) for k in range(hits + 1))
        low, high = (p, high) if below > 1 - confidence else (low, p)
    return high


@dataclass
class NullCase:
    """A run in which every candidate is bad."""

    name: str
    law: Law
    guards: tuple[tuple[float, Law], ...] = ()  # (max_loss, law of the guard's difference)
    breaks: bool = False  # a mistake on purpose: the guarantee must fail here
    detect: float = 0.05
    cap: int = 400


def null_cases() -> list[NullCase]:
    at_margin = tuple((0.05, coinlike(-0.05, 0.1)) for _ in range(1))
    holding = tuple((0.05, graded(0.0, 0.02)) for _ in range(3))
    return [
        NullCase("coin-like items, no difference", coinlike(0.0)),
        NullCase("batch means sd 0.1, no difference", graded(0.0, 0.1)),
        NullCase("batch means sd 0.03, no difference", graded(0.0, 0.03)),
        NullCase("rare disaster (2 % at -0.98), mean 0", catastrophe(0.0)),
        NullCase("one coin per process, its mean is the unit", one_coin_per_process()),
        NullCase("gain 0.15, one of 4 guards at its margin", graded(0.15, 0.05), (*at_margin, *holding)),
        NullCase(
            "gain 0.15, the guard is a rare disaster at its margin",
            graded(0.15, 0.05),
            ((0.05, catastrophe(-0.05, 0.06)),),
        ),
        NullCase("MISTAKE: that coin counted once per item", one_coin_per_process(repeat=40), breaks=True),
    ]


def validity(runs: int, proposals: int, most: int = 400, seed: int = 1) -> list[dict[str, object]]:
    """Share of runs with any acceptance, by null law; ``most`` caps the units of a test."""
    rows = []
    for case in null_cases():
        budgets, hit, units, cap = Budgets(runs), np.zeros(runs, dtype=bool), 0, min(case.cap, most)
        plan = Plan("bounded", 0.5, 0.0, case.detect, BETA, tuple(loss for loss, _ in case.guards), cap)
        for t in range(proposals):
            rng = np.random.default_rng((seed, t))
            gains = case.law(rng, runs, cap)
            guards = tuple(law(rng, runs, cap) for _, law in case.guards)
            levels = budgets.open()
            ends = gate(plan, levels, gains, guards)
            budgets.close(levels, ends)
            hit |= ends.outcome == "accept"
            units += int(ends.units.sum())
        hits = int(hit.sum())
        rows.append(
            {
                "law": case.name, "breaks": case.breaks, "runs": runs, "proposals": proposals, "wrong": hits / runs,
                "upper99": upper_limit(hits, runs), "units_per_test": units / runs / proposals,
            }
        )  # fmt: skip
    return rows


def kl_rate(law: Law, shift: float, sign: float, most: float, draws: int) -> float:
    """Best growth per unit that any stake in [0, most] has on ``sign * (D - shift)``: the information bound."""
    x = sign * (law(np.random.default_rng(7), 1, draws)[0] - shift)
    low, high = 0.0, most * (1 - 1e-9)
    for _ in range(40):
        a, b = low + (high - low) / 3, high - (high - low) / 3
        low, high = (a, high) if np.log1p(a * x).mean() < np.log1p(b * x).mean() else (low, b)
    return float(np.log1p(low * x).mean())


def efficiency(tests: int, draws: int = 400_000, seed: int = 2) -> list[dict[str, object]]:
    """Mean units to accept at levels 1/1020 and 1e-4, and to give up on a null, over the information bound."""
    rows: list[dict[str, object]] = []
    cases = [
        ("batch means sd 0.03", 0.03, 0.03, lambda m: graded(m, 0.03)),
        ("batch means sd 0.03", 0.05, 0.05, lambda m: graded(m, 0.03)),
        ("batch means sd 0.1", 0.03, 0.03, lambda m: graded(m, 0.1)),
        ("batch means sd 0.1", 0.05, 0.05, lambda m: graded(m, 0.1)),
        ("batch means sd 0.1", 0.05, 0.15, lambda m: graded(m, 0.1)),
        ("graded items sd 0.35", 0.05, 0.05, lambda m: graded(m, 0.35)),
        ("coin-like items", 0.05, 0.05, coinlike),
        ("coin-like items", 0.1, 0.1, coinlike),
    ]
    for name, detect, gain, law in cases:
        row: dict[str, object] = {"law": name, "detect": detect, "gain": gain}
        null, true = law(0.0), law(gain)
        give_up = math.log(1 / BETA) / kl_rate(null, detect, -1.0, 1 / (1 - detect), draws)
        for level in (ALPHA / 51, 1e-4):
            need = math.log(1 / level) / kl_rate(true, 0.0, 1.0, 1.0, draws)
            cap = int(8 * need + 200)
            plan = Plan("bounded", level, 0.0, detect, 1e-12, (), cap)
            ends = gate(plan, np.full(tests, level), true(np.random.default_rng(seed), tests, cap))
            units = float(ends.units[ends.outcome == "accept"].mean())
            row[f"accept_{level:.2g}"] = units
            row[f"accept_{level:.2g}_ratio"] = units / need
        plan = Plan(
            "bounded",
            ALPHA / 51,
            0.0,
            detect,
            BETA,
            (),
            units_max_default(Plan("bounded", ALPHA / 51, 0.0, detect, BETA, (), 1)),
        )
        ends = gate(plan, np.full(tests, plan.level), null(np.random.default_rng(seed), tests, plan.units_max))
        row["null"] = float(ends.units.mean())
        row["null_ratio"] = row["null"] / give_up  # type: ignore[operator]  # a float just stored
        rows.append(row)
    return rows


@dataclass
class Scenario:
    """A run of proposals: 80 % null, 10 % gains, 10 % regressions of the same sizes."""

    name: str
    law: Callable[[float], Law]
    sizes: tuple[float, ...]
    detect: float
    cap: int
    greedy: int  # units that the greedy rule looks at
    sd: float


SCENARIOS = (
    Scenario(
        "processes of 40 items: units sd 0.1", lambda m: graded(m, 0.1), (0.03, 0.05, 0.1, 0.15), 0.05, 480, 30, 0.1
    ),
    Scenario("processes with 2 % crashes at -0.98", catastrophe, (0.05, 0.1), 0.05, 600, 30, 0.14),
    Scenario("single coin-like items", coinlike, (0.02, 0.05, 0.1), 0.05, 4000, 100, 0.447),
)


def effects(scenario: Scenario, proposals: int) -> list[float]:
    """True gains in a fixed shuffled order."""
    tenth = proposals // 10
    sizes = [scenario.sizes[i % len(scenario.sizes)] for i in range(tenth)]
    order = [*sizes, *(-s for s in sizes), *([0.0] * (proposals - 2 * tenth))]
    return [float(v) for v in np.random.default_rng(11).permutation(np.array(order))]


def peers(scenario: Scenario, runs: int, proposals: int, seed: int = 3) -> list[dict[str, object]]:
    """The four rules on the same draws."""
    truth = effects(scenario, proposals)
    normal = NormalDist()
    z = normal.inv_cdf(1 - ALPHA / proposals)
    fixed = min(scenario.cap, math.ceil(((z + normal.inv_cdf(0.9)) * scenario.sd / scenario.detect) ** 2) + 3)
    names = (
        "festina",
        f"greedy, {scenario.greedy} units",
        f"Bonferroni t, {fixed} units, run length known",
        "e-process per decision at 0.05",
    )
    false = {name: np.zeros(runs, dtype=int) for name in names}
    units = dict.fromkeys(names, 0)
    found: dict[str, dict[float, list[float]]] = {name: {} for name in names}
    budgets = Budgets(runs)
    for t, gain in enumerate(truth):
        d = scenario.law(gain)(np.random.default_rng((seed, t)), runs, scenario.cap)
        plan = Plan("bounded", 0.5, 0.0, scenario.detect, BETA, (), scenario.cap)
        levels = budgets.open()
        ours = gate(plan, levels, d)
        budgets.close(levels, ours)
        alone = gate(plan, np.full(runs, ALPHA), d, futility=False)
        means, head = d[:, : scenario.greedy].mean(1), d[:, :fixed]
        t_value = head.mean(1) / (head.std(1, ddof=1) / math.sqrt(fixed) + 1e-300)
        verdicts = (
            (ours.outcome == "accept", int(ours.units.sum())),
            (means > 0, runs * scenario.greedy),
            (t_value > t_quantile(z, fixed - 1), runs * fixed),
            (alone.outcome == "accept", int(alone.units.sum())),
        )
        for name, (accepted, used) in zip(names, verdicts, strict=True):
            units[name] += used
            if gain <= 0:
                false[name] += accepted
            else:
                found[name].setdefault(gain, []).append(float(accepted.mean()))
    return [
        {
            "rule": name, "runs": runs, "proposals": proposals, "any_wrong": float((false[name] > 0).mean()),
            "upper99": upper_limit(int((false[name] > 0).sum()), runs), "wrong_per_run": float(false[name].mean()),
            "power": {str(g): float(np.mean(v)) for g, v in sorted(found[name].items())},
            "units_per_run": units[name] / runs,
        }
        for name in names
    ]  # fmt: skip


def t_quantile(z: float, df: int) -> float:
    """Student's quantile from the normal one (Cornish-Fisher, three terms)."""
    return z + (z**3 + z) / (4 * df) + (5 * z**5 + 16 * z**3 + 3 * z) / (96 * df**2)


# ---- intervals --------------------------------------------------------------------------------------------


def widths(repeats: int, seed: int = 4) -> list[dict[str, object]]:
    """Mean half-width of 95 % intervals: ours, a mixture of fixed stakes, the predictable plug-in."""
    rows: list[dict[str, object]] = []
    laws = (
        ("batch means sd 0.03", graded(0.06, 0.03)),
        ("batch means sd 0.1", graded(0.06, 0.1)),
        ("coin-like items", coinlike(0.05)),
        ("rare disaster", catastrophe(0.0)),
    )
    for units in (50, 100, 200, 300):
        for name, law in laws:
            draws = law(np.random.default_rng(seed), repeats, units)
            ours, fixed, plug = [], [], []
            for row in draws:
                low, high = interval([float(v) for v in row]) or (-1.0, 1.0)
                ours.append((high - low) / 2)
                fixed.append(_half_width(row, _mixture))
                plug.append(_half_width(row, _plug_in))
            rows.append(
                {
                    "law": name,
                    "units": units,
                    "ours": float(np.mean(ours)),
                    "mixture": float(np.mean(fixed)),
                    "plug_in": float(np.mean(plug)),
                }
            )
    return rows


def _mixture(d: Array, mean: float) -> float:
    shares = np.array([0.06, 0.17, 0.45, 0.95])
    return float(np.exp(np.log1p(shares[:, None] * ((1 + d) / (1 + mean) - 1)[None, :]).sum(1)).mean())


def _plug_in(d: Array, mean: float) -> float:
    """Waudby-Smith and Ramdas, predictable plug-in with cap 3/4, on differences in [-1, 1]."""
    n = np.arange(1, len(d) + 1)
    centre = np.cumsum(d) / (n + 1)
    squares = np.cumsum((d - np.concatenate([[0.0], centre[:-1]])) ** 2)
    variance = np.concatenate([[1.0], (1.0 + squares[:-1]) / n[1:]])
    stake = np.minimum(np.sqrt(2 * math.log(40) / (variance * n * np.log(1 + n))), 0.75 / (1 + mean))
    return float(np.exp(np.log1p(stake * (d - mean)).sum()))


def _half_width(d: Array, wealth: Callable[[Array, float], float]) -> float:
    bounds = []
    for x in (d, -d):
        low, high = -1.0, float(x.mean())
        for _ in range(30):
            middle = 0.5 * (low + high)
            low, high = (middle, high) if middle > -1 and wealth(x, middle) >= 40 else (low, middle)
        bounds.append(low)
    return (-bounds[1] - bounds[0]) / 2


# ---- command ----------------------------------------------------------------------------------------------


def show(title: str, rows: list[dict[str, object]]) -> None:
    print(f"\n{title}")
    for row in rows:
        print("  " + "  ".join(f"{k}={v:.4g}" if isinstance(v, float) else f"{k}={v}" for k, v in row.items()))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--quick", action="store_true", help="fewer runs, under 30 s")
    parser.add_argument("--out", type=Path, help="write the tables as JSON")
    args = parser.parse_args()
    began = time.process_time()
    quick = args.quick
    result: dict[str, object] = {"machine": platform.machine(), "python": platform.python_version(), "quick": quick}
    tables: list[tuple[str, str, Callable[[], list[dict[str, object]]]]] = [
        (
            "validity",
            f"Any acceptance in a run of bad candidates (alpha = {ALPHA})",
            lambda: validity(60, 6, 200) if quick else validity(1000, 60),
        ),
        (
            "efficiency",
            "Units against the information bound",
            lambda: efficiency(20, 20_000) if quick else efficiency(1000),
        ),
        ("intervals", "Half-width of 95 % intervals", lambda: widths(2 if quick else 40)),
    ]
    for scenario in SCENARIOS[: 1 if quick else 3]:
        name = f"peers: {scenario.name}"
        tables.append((name, name, partial(peers, scenario, 60 if quick else 200, 20 if quick else 100)))
    for key, title, make in tables:
        rows = make()
        result[key] = rows
        show(title, rows)
    result["cpu_s"] = round(time.process_time() - began, 1)
    if args.out:
        args.out.write_text(json.dumps(result, indent=1) + "\n")
    print(f"\n{result['cpu_s']} s of CPU")


if __name__ == "__main__":
    main()
