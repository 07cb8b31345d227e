"""What search before the gate is worth, and how parents are best chosen.

    python benchmarks/search.py                 # the page's numbers: 8 seeds, about an hour of one core
    python benchmarks/search.py --quick         # a look

Arms share the system, the proposer (``searching.systems``) and the acceptance rule; they differ in what the proposer
is asked to change and in what is handed in. "one by one" hands every change of the incumbent to the gate. The others
try changes in public first (``propose/archive.py``) and differ in the choice of parents. Counted are runs of the
system, scratch runs and both sides of every unit of the gate; true scores are on data and seeds that nothing else
uses.
"""

from __future__ import annotations

import argparse
import functools
import json
import math
import statistics
import sys
from pathlib import Path
from typing import Any

from festina.select.budget import SEARCHED

sys.path[:0] = [str(Path(__file__).resolve().parent)]

from searching.loops import ARMS, Play  # noqa: E402
from searching.systems import Library, Recipe, System  # noqa: E402

BUDGETS = {"recipe": (200, 400, 600), "library": (500, 1000, 1500)}
T95 = {2: 12.71, 3: 4.30, 4: 3.18, 5: 2.78, 6: 2.57, 7: 2.45, 8: 2.36, 9: 2.31, 10: 2.26}


@functools.cache
def system_of(name: str, seed: int) -> System:
    """One for all arms: what a tree scores is worked out once."""
    return Recipe() if name == "recipe" else Library(seed)


def interval(values: list[float]) -> tuple[float, float]:
    """(mean, half of its 95 % interval), Student's t."""
    if len(values) < 2:
        return values[0], math.nan
    half = T95.get(len(values), 2.0) * statistics.stdev(values) / math.sqrt(len(values))
    return statistics.fmean(values), half


def row(name: str, arm: str, seeds: range, **settings: float) -> dict[str, Any]:
    budgets = BUDGETS[name]
    plays = [Play(system_of(name, seed), seed, budgets[-1], **settings).play(arm) for seed in seeds]
    gains = {n: [p.at(n) - p.curve[0][1] for p in plays] for n in budgets}
    return {
        "system": name, "arm": arm, **settings, "gain": {n: interval(each) for n, each in gains.items()},
        "last": gains[budgets[-1]], "accepted": statistics.fmean(len(p.accepted) for p in plays),
        "false": sum(gain <= 0 for p in plays for gain in p.accepted),
        "tests": statistics.fmean(p.tested for p in plays), "proposals": statistics.fmean(p.proposed for p in plays),
        "runs": statistics.fmean(p.used for p in plays),
    }  # fmt: skip


def line(found: dict[str, Any]) -> str:
    gains = "  ".join(f"{n}: {mean:+.3f} ± {half:.3f}" for n, (mean, half) in found["gain"].items())
    return (
        f"{found['system']:8} {found['arm']:11} {gains}  accepted {found['accepted']:.1f} ({found['false']} false), "
        f"tests {found['tests']:.1f}, changes {found['proposals']:.0f}, runs {found['runs']:.0f}"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--seeds", type=int, default=8)
    parser.add_argument("--first", type=int, default=100, help="first seed; those below 100 were used for tuning")
    parser.add_argument("--only", action="append", choices=["recipe", "library"])
    parser.add_argument("--arm", action="append", choices=list(ARMS))
    parser.add_argument("--tries", type=int, default=24)
    parser.add_argument("--runs", type=int, default=4, help="runs of one tree at most")
    parser.add_argument("--restart", action="store_true", help="begin a new archive when the line moves")
    parser.add_argument("--spread", type=float, default=SEARCHED, help="tests that share the error budget evenly")
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    seeds = range(options.first, options.first + (2 if options.quick else options.seeds))
    found = []
    for name in options.only or BUDGETS:
        for arm in options.arm or ARMS:
            found.append(row(name, arm, seeds, tries=options.tries, most=options.runs, restart=options.restart,
                             spread=options.spread))  # fmt: skip
            print(line(found[-1]), flush=True)
    if options.json:
        options.json.write_text(json.dumps(found, indent=1) + "\n")


if __name__ == "__main__":
    main()
