"""Published takeoff models reproduced, worlds a CPU-second beside a plain Python loop, and rules of pace compared.

    python benchmarks/simulate.py            # about two minutes on one core
    python benchmarks/simulate.py --quick    # a look
    python benchmarks/simulate.py --json F   # the numbers as data

    python benchmarks/simulate.py --published multiple_simsF.py   # the authors' own program as a peer, too

Peers of the software intelligence explosion: ``plain``, the leanest loop over one world at a time in Python's own
numbers; and the authors' program (github.com/thoulden/Accelerated_AI_Progress, multiple_simsF.py, not shipped here) as
it is, but for its web page. All count the same four windows. Rates are worlds for each second of CPU time, the best of
three, draws of parameters included.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import math
import random
import sys
import time
import types
from collections.abc import Callable
from pathlib import Path

import numpy as np

from festina.watch import pacing, published, takeoff

RULES = [pacing.Rule("none"), pacing.Rule("watch")] + [
    pacing.Rule(kind, limit) for limit in (1.0, 2.0) for kind in ("stop-after", "step", "pace")
]


def plain(coins: random.Random, months_at_most: float = 48.0) -> list[bool]:
    """One world of the software intelligence explosion, and which of ``takeoff.WINDOWS`` it shows."""
    speedup = math.exp(coins.uniform(math.log(2), math.log(32)))
    returns = math.exp(coins.uniform(math.log(0.4), math.log(3.6)))
    parallel = math.exp(coins.uniform(math.log(0.15), math.log(0.6)))
    ceiling = 8.0 * coins.uniform(6.0, 16.0)
    months, r, times, size = 3.0 / speedup, returns, [0.0], 0
    while times[-1] < months_at_most and size < ceiling and r > 0.0:
        times.append(times[-1] + months)
        size += 1
        r -= returns / ceiling
        if r > 0.0:
            months *= 2.0 ** min(parallel * (1.0 / r - 1.0), 100.0)
    found = []
    for _, span, count in takeoff.WINDOWS:
        hit = False
        for i in range(len(times) - count):
            if times[i + count] - times[i] < span:
                hit = True
                break
        found.append(hit)
    return found


def rate(work: Callable[[], object], worlds: int) -> float:
    """Worlds a CPU-second, the best of three."""
    best = math.inf
    for _ in range(3):
        begun = time.process_time()
        work()
        best = min(best, time.process_time() - begun)
    return worlds / best


class _Page(types.ModuleType):
    """In place of the web page that the authors' program draws on: takes everything, shows nothing."""

    def __getattr__(self, name: str) -> _Page:
        return _Page(name)

    def __call__(self, *words: object) -> _Page:
        return self


def as_published(path: Path) -> Callable[[int], dict[tuple[int, int], float]]:
    """``run_simulations`` of the authors' program with its own defaults."""
    spec = importlib.util.spec_from_file_location("as_published", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    for name in ("streamlit", "pandas", "matplotlib", "matplotlib.pyplot"):  # it draws with these, and only draws
        sys.modules[name] = _Page(name)
    spec.loader.exec_module(module)
    windows = [(12, 3), (4, 10), (12, 10), (4, 30)]
    ranges = (0.4, 3.6, 6.0, 16.0, 0.15, 0.6, 2.0, 32.0, 0.5, False, False, False)
    return lambda worlds: module.run_simulations(worlds, windows, *ranges)[0]


def rates(part: int, program: Path | None) -> dict[str, float]:
    coins, rng = random.Random(0), np.random.Generator(np.random.SFC64(0))
    loop = 6_000 // part
    found = {
        "plain Python loop": rate(lambda: [plain(coins) for _ in range(loop)], loop),
        "forethought": rate(lambda: takeoff.forethought(400_000 // part, rng), 400_000 // part),
        "ai-2027": rate(lambda: takeoff.ai_2027(400_000 // part, rng), 400_000 // part),
        "metr": rate(lambda: takeoff.metr(20_000 // part, rng), 20_000 // part),
    }
    if program is not None:
        simulate, count = as_published(program), 3_000 // part
        print(f"  the authors' program, {count} worlds: {simulate(count)}")
        found["the authors' program"] = rate(lambda: simulate(count), count)
    priors = pacing.World()
    drawn = pacing.draw(10_000 // part, rng, priors)
    rule = pacing.Rule("pace", 2.0)
    found["governed, 104 generations"] = rate(lambda: pacing.govern(rule, drawn, rng, priors), 10_000 // part)
    return found


def compared(worlds: int) -> dict[str, dict[str, tuple[float, ...]]]:
    """(gained, worst gap p50, p95, harm, held back) of every rule in every case."""
    table: dict[str, dict[str, tuple[float, ...]]] = {}
    for name, priors in pacing.STRESS.items():
        drawn = pacing.draw(worlds, np.random.Generator(np.random.SFC64(1)), priors)
        rows = {}
        for rule in RULES:
            out = pacing.govern(rule, drawn, np.random.Generator(np.random.SFC64(2)), priors)
            worst = np.quantile(out.worst_gap, (0.5, 0.95))
            numbers = (np.median(out.gained), *worst, out.harmed.mean(), out.waited.mean())
            rows[rule.name] = tuple(float(number) for number in numbers)
        table[name] = rows
    return table


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--quick", action="store_true", help="a tenth of the worlds")
    parser.add_argument("--json", type=Path, help="write the numbers to this file, too")
    parser.add_argument("--published", type=Path, help="the authors' multiple_simsF.py")
    options = parser.parse_args()
    part = 10 if options.quick else 1
    told: dict[str, object] = {}
    print("Published figures")
    for model in published.MODELS:
        run = published.run(model, (40_000 if model == "metr" else 400_000) // part, 0)
        told[model] = [(f.what, f.published, f.here, f.error, f.agrees) for f in run.figures]
        for f in run.figures:
            print(
                f"  {model:12s} {f.what:62s} {f.published!s:>10s} {f.here:9.3f} ± {2 * f.error:.3f} agrees: {f.agrees}"
            )
    found = rates(part, options.published)
    told["worlds a CPU-second"] = found
    print("Worlds a CPU-second")
    for name, value in found.items():
        print(f"  {name:26s} {value:12,.0f}")
    for peer in ("plain Python loop", "the authors' program"):
        if peer in found:
            print(f"  forethought is {found['forethought'] / found[peer]:,.0f} times {peer}")
    table = compared(10_000 // part)
    told["rules"] = table
    for name, rows in table.items():
        print(f"Rules of pace, {name}: gained, worst gap p50 and p95, harm, held back")
        for rule, numbers in rows.items():
            gained, middle, high, harm, held = numbers
            print(f"  {rule:14s} {gained:6.1f} {middle:6.1f} {high:6.1f} {harm:6.2f} {held:6.2f}")
    if options.json:
        options.json.write_text(json.dumps(told, indent=1) + "\n")


if __name__ == "__main__":
    main()
