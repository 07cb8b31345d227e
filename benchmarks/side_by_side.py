"""Real loops side by side on one stream of proposals: OpenEvolve's package, autoresearch's rule, and Festina.

    pip install -e '.[bench]' && python benchmarks/side_by_side.py          # 5 seeds
    python benchmarks/side_by_side.py --quick
    pip install -e '.[bench,torch]' && python benchmarks/side_by_side.py --only tinylm

One scripted model endpoint, asked over HTTP, makes the same changes for every loop (``beside/endpoint.py``); what a
loop shows it as the program to change is the loop's own choice. Each loop has as many runs of the system. OpenEvolve's
is its package with its defaults, prompts, islands and worker processes; Festina's is ``festina run`` with boxes,
verifier and ledger. "Trained once" keeps each trained model: a batch that it answers is a tenth of a run, and a verdict
is about it; its gain is measured by training again all the same. True gain is what the program that a loop ends with is
better than the start, on items that nothing else uses; a false step is a change of the loop's best that made it no
better there.
"""

from __future__ import annotations

import argparse
import itertools
import json
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from festina.select.budget import SEARCHED

sys.path[:0] = [str(Path(__file__).resolve().parent)]

from beside.endpoint import serving  # noqa: E402
from beside.loops import Played, cpu_s, festina, keep_if_better, openevolve  # noqa: E402
from beside.rules import festina_rules  # noqa: E402
from beside.tasks import KINDS, task_of  # noqa: E402
from search import interval  # noqa: E402

IN_PROCESS = "Festina, in process"
ONCE = "Festina, trained once"  # a claim about a trained model, where there is a training
LOOPS: dict[str, Callable[..., Played]] = {
    "keep if better": keep_if_better, "OpenEvolve": openevolve, "Festina, one by one": festina,
    IN_PROCESS: festina_rules, ONCE: partial(festina_rules, once=True),
    "Festina, archive": partial(festina, archive="archive = { workers = 1 }"),
}  # fmt: skip
QUICK = 0.2  # of the runs


def play(kind: str, loop: str, seed: int, share: float, spread: float = SEARCHED) -> dict[str, Any]:
    task = task_of(kind, seed)
    runs = round(share * task.runs)
    began, clock = cpu_s(), time.monotonic()
    with serving(task) as stream, tempfile.TemporaryDirectory(prefix="festina-beside-") as folder:
        more = {"spread": spread} if loop in (IN_PROCESS, ONCE) else {}
        played = LOOPS[loop](task, kind, stream, runs, Path(folder), **more)
    spent, took = cpu_s() - began, time.monotonic() - clock
    levels = [task.truth(text) for text in played.line]
    steps = [after - before for before, after in itertools.pairwise(levels)]
    return {
        "task": task.name, "loop": loop, "seed": seed, "start": levels[0], "gain": levels[-1] - levels[0],
        "accepted": len(steps), "false": sum(step <= 0 for step in steps), "runs": played.runs, "asked": stream.asked,
        "tokens": stream.tokens, "cpu_s": round(spent, 1), "wall_s": round(took, 1),
    }  # fmt: skip


def row(plays: list[dict[str, Any]]) -> str:
    mean, half = interval([each["gain"] for each in plays])

    def of(key: str) -> float:
        return statistics.fmean(each[key] for each in plays)

    worse = sum(each["gain"] < 0 for each in plays)
    cells = [
        plays[0]["task"], plays[0]["loop"], f"{mean:+.3f} ± {half:.3f}", f"{of('accepted'):.1f}", f"{of('false'):.1f}",
        f"{worse} of {len(plays)}", *(f"{of(key):.0f}" for key in ("runs", "asked")), f"{of('tokens') / 1000:.0f}",
        f"{of('cpu_s'):.0f}",
    ]  # fmt: skip
    return f"| {' | '.join(cells)} |"


HEAD = (
    "| system | loop | true gain | accepted | of these no better | ended worse than the start | runs | proposals asked "
    "| thousand tokens | CPU s |\n|---|---|---|---|---|---|---|---|---|---|"
)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="two seeds, a fifth of the runs")
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--first", type=int, default=0)
    parser.add_argument("--only", action="append", choices=list(KINDS))
    parser.add_argument("--loop", action="append", choices=list(LOOPS))
    parser.add_argument(
        "--spread", type=float, default=SEARCHED, help="tests that share the error budget evenly, in process"
    )
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    seeds = range(options.first, options.first + (2 if options.quick else options.seeds))
    found: list[dict[str, Any]] = []
    print(HEAD)
    for kind in options.only or [kind for kind in KINDS if kind != "tinylm"]:
        for loop in options.loop or [each for each in LOOPS if kind == "tinylm" or each != ONCE]:
            share = QUICK if options.quick else 1.0
            plays = [play(kind, loop, seed, share, options.spread) for seed in seeds]
            found += plays
            print(row(plays), flush=True)
            if options.json:
                options.json.write_text(json.dumps(found, indent=1) + "\n")


if __name__ == "__main__":
    main()
