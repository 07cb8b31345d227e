"""The numbers in README.md: ``python measure.py [--seeds 8]`` (about half a minute for each seed).

Seed 0 is the example as committed, on which its sizes were chosen: it is shown, but the means and their 95 %
intervals are over the other seeds. Each of those cuts the functions into other halves and draws other tasks,
public and held-out. A perfect judge decides, so the arms differ only in who proposes: own (the last accepted
generation), frozen (generation 0's tree proposes for ever), random (edits drawn by lot, 40 of them).
"""

from __future__ import annotations

import argparse
import math
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from chains import HERE, Chain, Task, chain, generator, held_out, public_tasks, solve

THRESHOLD = math.log(51 / 0.05)  # evidence for a first acceptance at alpha 0.05 and spread 50, in nats
SCRIPTS = ("solve.py", "improve.py")
BET = 0.9  # largest stake of the gate
T_975 = {5: 2.571, 6: 2.447, 7: 2.365, 8: 2.306, 9: 2.262, 11: 2.201}  # Student's t by degrees of freedom


def world(seed: int) -> list[Task]:
    """The public tasks of a seed, whose functions are cut by it as well."""
    if seed:
        generator.CUT = seed
        generator.halves.cache_clear()
        held_out.cache_clear()
    return public_tasks(seed or 4)


def interval(values: list[float]) -> tuple[float, float]:
    """Mean and half-width of its 95 % interval."""
    width = T_975[len(values) - 1] * statistics.stdev(values) / math.sqrt(len(values))
    return statistics.mean(values), width


def units(result: Chain) -> int:
    """About what the acceptances would cost the real gate, in units: evidence needed by growth at the largest stake."""
    return sum(math.ceil(THRESHOLD / math.log1p(BET * gain)) for gain, _, accepted in result.proposals if accepted)


def seconds(script: str, library: list[solve.Primitive], items: str) -> float:
    """CPU seconds of one process of the system with this library, interpreter start included."""
    with tempfile.TemporaryDirectory() as scratch:
        tree = Path(scratch, "tree")
        shutil.copytree(HERE / "system", tree)
        (tree / "library.json").write_text(solve.library_text(library))
        Path(scratch, "items.jsonl").write_text(items)
        Path(scratch, "history.jsonl").touch()
        environment = {"FESTINA_IN": scratch, "FESTINA_OUT": scratch, "FESTINA_VIEW": scratch, "FESTINA_SEED": "1"}
        before = os.times()
        subprocess.run([sys.executable, "-S", "-E", script], cwd=tree, env=environment, check=True, capture_output=True)
        after = os.times()
        return after.children_user + after.children_system - before.children_user - before.children_system


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=8, choices=[n + 1 for n in T_975])
    count = parser.parse_args().seeds
    finals = {"own": [], "frozen": [], "random": []}
    gains, libraries = [], []
    began = time.process_time()
    for seed in range(count + 1):
        tasks = world(seed)
        for arm in finals:
            result = chain(tasks, arm=arm, seed=seed, steps=40 if arm == "random" else 16)
            finals[arm] += [result.final] if seed else []
            path = " ".join(f"{share:.3f}" for share, _, _ in result.generations)
            print(
                f"seed {seed} {arm:6s} {path}  ({len(result.proposals)} proposals, acceptances ~ {units(result)} units)"
            )
            if arm == "own":
                gains += [(hidden, public) for hidden, public, _ in result.proposals] if seed else []
                libraries.append(result.library)
        print(f"       own's last library: {', '.join(p.name for p in libraries[-1])}", flush=True)
    for arm, finish in finals.items():
        print("{:6s} final held-out {:.3f} +- {:.3f}".format(arm, *interval(finish)))
    for arm in ("frozen", "random"):
        differences = [a - b for a, b in zip(finals["own"], finals[arm], strict=True)]
        print("own - {:6s} {:+.3f} +- {:.3f}".format(arm, *interval(differences)))
    print(f"hidden gain / public gain of all own proposals: {sum(h for h, _ in gains) / sum(p for _, p in gains):.2f}")
    items = "".join((HERE / "system" / "data" / "public.jsonl").read_text().splitlines(keepends=True)[:40])
    for name, library in (("generation 0", solve.read_library(HERE / "system")), ("last generation", libraries[0])):
        times = {script: 1000 * min(seconds(script, library, items) for _ in range(3)) for script in SCRIPTS}
        print(f"{name}: " + ", ".join(f"{script} {time:.0f} ms" for script, time in times.items()))
    print(f"all of this: {time.process_time() - began:.0f} CPU seconds")


if __name__ == "__main__":
    main()
