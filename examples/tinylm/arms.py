"""What a gate and an improving improver are worth here: ``python arms.py ARM [--seed 0] [--steps 4]``.

Arms, without the engine and on the recipe alone:

- ``own``: the improver searches, and what it learns about searching is in force from the next step on;
- ``frozen``: the same, but generation 0's policy searches for ever;
- ``random``: each step proposes one draw from the whole space, tried by nobody, as often as ``own`` trains in a search;
- ``greedy``: one small edit at a time, kept if a single run on public text is better: no gate, no confirmation.

In the first three a judge stands for the gate: a proposal must be better on hidden text with each of three fresh seeds.
All arms get the same processor time (``--steps`` searches). At the end, three seeds that nobody used measure where the
arm began and where it is, on hidden text; for ``greedy`` also what it believed of itself. About
4 CPU minutes a step.
"""

from __future__ import annotations

import argparse
import json
import random
import statistics
import time

from measure import HERE, hidden, improve

JUDGE, FINAL = 500, 9000  # first seeds of the judge's and of the last measurement


def accepted(old: str, new: str, step: int) -> bool:
    seeds = range(JUDGE + 3 * step, JUDGE + 3 * step + 3)
    return all(b < a for a, b in zip(hidden(old, seeds), hidden(new, seeds), strict=True))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("arm", choices=("own", "frozen", "random", "greedy"))
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--steps", type=int, default=4)
    parser.add_argument("--cpu", type=float, default=improve.CPU_S, help="processor seconds of one search")
    options = parser.parse_args()
    rng, system = random.Random(f"{options.arm}/{options.seed}"), HERE / "system"
    policy = json.loads((system / "policy.json").read_text())
    lab, start = improve.Lab(system), (system / "train.py").read_text()
    source, failures, believed = start, 0, None
    for step in range(options.steps):
        improve.CPU_S = time.process_time() + options.cpu
        if options.arm in ("own", "frozen"):
            search = improve.Search(lab, source, policy, rng, failures)
            (bits, found), now = search.run()
            take = bits < now - improve.WORTH and accepted(source, found, step)
            policy = improve.learnt(policy, search.trials) if take and options.arm == "own" else policy
            source, failures = (found, 0) if take else (source, failures + 1)
            row = {"step": step, "public": [now, bits], "trials": len(search.trials), "accepted": take}
            print(json.dumps(row), flush=True)
            continue
        while time.process_time() < improve.CPU_S:
            wide = options.arm == "random"
            found, used, _ = improve.trial_of(source, policy | {"edits": 1.0} if not wide else policy, rng, wide)
            if wide:
                take = accepted(source, found, rng.randrange(1000))
            else:
                believed = lab.bits(source, 1, 1.0)[0] if believed is None else believed
                bits, _ = lab.bits(found, rng.randrange(1 << 31), 1.0)
                take, believed = bits < believed, min(bits, believed)
            source = found if take else source
            print(json.dumps({"step": step, "used": used, "accepted": take}), flush=True)
    ends = {"start": hidden(start, range(FINAL, FINAL + 3)), "end": hidden(source, range(FINAL, FINAL + 3))}
    print(json.dumps({"arm": options.arm, "seed": options.seed, "believed": believed} | ends))
    change = f"{statistics.mean(ends['start']):.3f} -> {statistics.mean(ends['end']):.3f}"
    print(f"{options.arm}: {change} bits per byte, hidden; {time.process_time():.0f} CPU seconds")


if __name__ == "__main__":
    main()
