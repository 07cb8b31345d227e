"""What a loop is worth that goes no faster than its evidence: beside OpenEvolve's and autoresearch's, same proposer.

    pip install -e '.[bench]' && python benchmarks/recursion.py     # 5 seeds, about an hour of one core
    python benchmarks/recursion.py --quick

Every arm has the same proposer and as many runs of the system. True gain is what the version at the end is better
than the start on data and seeds that nothing else uses; a false acceptance made the true score no better. "tuned"
systems begin where a search has been: most changes of a good system do nothing or harm, and what a loop keeps of those
it keeps by luck. Systems, seeds and the meaning of runs are those of ``search.py``.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
from pathlib import Path
from typing import Any

sys.path[:0] = [str(Path(__file__).resolve().parent)]

from search import BUDGETS, interval, system_of  # noqa: E402
from searching.loops import Play  # noqa: E402
from searching.others import KeepIfBetter, OpenEvolve  # noqa: E402
from searching.systems import Tuned  # noqa: E402

ARMS: dict[str, tuple[type[Play], str]] = {
    "keep if better": (KeepIfBetter, ""), "OpenEvolve's database": (OpenEvolve, ""),
    "Festina, one by one": (Play, "one by one"), "Festina, archive": (Play, "mixed"),
}  # fmt: skip


def row(name: str, arm: str, seeds: range, budget: int) -> dict[str, Any]:
    kind, how = ARMS[arm]
    plays = []
    for seed in seeds:
        system = system_of(name.removeprefix("tuned "), seed)
        system = Tuned(system) if name.startswith("tuned ") else system
        plays.append(kind(system, seed, budget).play(how))
    gains = [p.at(budget) - p.curve[0][1] for p in plays]
    return {
        "system": name, "arm": arm, "runs": budget, "gain": interval(gains), "gains": gains,
        "accepted": statistics.fmean(len(p.accepted) for p in plays),
        "false": statistics.fmean(sum(gain <= 0 for gain in p.accepted) for p in plays),
        "worse_than_start": sum(gain < 0 for gain in gains), "proposals": statistics.fmean(p.proposed for p in plays),
    }  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--first", type=int, default=200)
    parser.add_argument("--only", action="append", choices=["recipe", "library", "tuned recipe", "tuned library"])
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    seeds = range(options.first, options.first + (2 if options.quick else options.seeds))
    found = []
    for name in options.only or ["recipe", "tuned recipe", "library", "tuned library"]:
        for arm in ARMS:
            found.append(row(name, arm, seeds, BUDGETS[name.rpartition(" ")[2]][-1]))
            f = found[-1]
            mean, half = f["gain"]
            print(f"{name:13} {arm:22} gain {mean:+.3f} \u00b1 {half:.3f}  accepted {f['accepted']:.1f}, false "
                  f"{f['false']:.1f}, ended worse than the start {f['worse_than_start']} of {len(seeds)}, changes "
                  f"{f['proposals']:.0f}", flush=True)  # fmt: skip
    if options.json:
        options.json.write_text(json.dumps(found, indent=1) + "\n")


if __name__ == "__main__":
    main()
