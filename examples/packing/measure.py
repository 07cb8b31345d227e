"""The numbers in README.md: ``python measure.py [--seeds 5]`` (about a CPU minute and a half a seed).

The same improver under a judge that knows the answer: excess over the lower bound on 10 held-out instances of 5,000
items (per cent), drawn as hidden ones are. Arms, from best fit on:

- own: the improver of the example, PROPOSALS times, each kept if the judge finds it better by DETECT;
- random: DRAWS random terms with random weights, the same judge;
- numbers: no new terms, the evolution strategy alone over a table of the space left;
- overfit: the same, trained on one instance of 300 items for ever, and nobody judges.
"""

from __future__ import annotations

import argparse
import random
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE / "system"), str(HERE / "vault")]

import generator  # noqa: E402
import improve  # noqa: E402

from packing import Rule, excess, play, read_rule  # noqa: E402

PROPOSALS, DRAWS, DETECT, HELD, NUMBERS_S = 2, 10, 0.1, 10, 15.0
BEST_FIT = {"priority": "-left", "tables": {}}
T_975 = {2: 4.303, 3: 3.182, 4: 2.776, 5: 2.571, 7: 2.365, 9: 2.262}  # Student's t by degrees of freedom


class OneInstance(improve.Training):
    """The failing arm's training set: whatever number is asked for, the same short instance."""

    def __getitem__(self, number: int) -> list[int]:
        return super().__getitem__(0)[:300]


def mean_excess(rule: Rule, instances: list[list[int]]) -> float:
    return statistics.fmean(excess(float(play(rule, items)[0]), items) for items in instances)


def own(sizes: list[int], judge: Callable[[Rule], float], seed: int) -> Rule:
    rule, level = read_rule(BEST_FIT), judge(read_rule(BEST_FIT))
    for number in range(PROPOSALS):
        found = improve.propose(rule, sizes, 100 * seed + number)
        if found is not None:
            new = read_rule(found[0])
            value = judge(new)
            print(f"  own {number}: {found[2]}, training gain {found[1]:.3f}: {value:.3f}  {new.formula}", flush=True)
            rule, level = (new, value) if value <= level - DETECT else (rule, level)
    return rule


def at_random(_sizes: list[int], judge: Callable[[Rule], float], seed: int) -> Rule:
    rng = random.Random(seed)
    rule, level = read_rule(BEST_FIT), judge(read_rule(BEST_FIT))
    for _ in range(DRAWS):
        weight = rng.choice(improve.WEIGHTS)
        new = read_rule({"priority": f"{rule.formula} + {improve.term(rng)} * ({weight})", "tables": {}})
        value = judge(new)
        rule, level = (new, value) if value <= level - DETECT else (rule, level)
    return rule


def numbers(sizes: list[int], _judge: Callable[[Rule], float], seed: int) -> Rule:
    return _tuned(improve.Training(sizes, seed), seed)


def overfit(sizes: list[int], _judge: Callable[[Rule], float], seed: int) -> Rule:
    training = OneInstance(sizes, seed)
    rule = _tuned(training, seed)
    print(f"  overfit: on its own instance {mean_excess(rule, [training[0]]):.3f}, best fit "
          f"{mean_excess(read_rule(BEST_FIT), [training[0]]):.3f}", flush=True)  # fmt: skip
    return rule


def _tuned(training: improve.Training, seed: int) -> Rule:
    table = read_rule({"priority": "-left + a[left]", "tables": {"a": [0.0] * 101}})
    start = improve.Variant.of(table)
    found = improve.tune(start, training, random.Random(seed), time.process_time() + NUMBERS_S, table_step=3.0)
    return read_rule(found.document())


ARMS = {"own": own, "random": at_random, "numbers": numbers, "overfit": overfit}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=5, choices=[1, *(n + 1 for n in T_975)])
    parser.add_argument("--arms", nargs="+", choices=ARMS, default=list(ARMS))
    options = parser.parse_args()
    count = options.seeds
    finals: dict[str, list[float]] = {"best fit": [], **{arm: [] for arm in options.arms}}
    for seed in range(1, count + 1):
        rng = random.Random(f"held out {seed}")
        held = [generator.sizes(rng) for _ in range(HELD)]
        judged = [generator.sizes(rng) for _ in range(HELD)]  # the judge's instances are not those of the numbers
        public = [x for row in generator.generate(1000 + seed, 8) for x in bytes.fromhex(row["label"]["items"])]
        finals["best fit"].append(mean_excess(read_rule(BEST_FIT), held))
        for arm in options.arms:
            search, began = ARMS[arm], time.process_time()
            rule = search(public, lambda rule, judged=judged: mean_excess(rule, judged), seed)
            finals[arm].append(mean_excess(rule, held))
            spent = time.process_time() - began
            print(f"seed {seed} {arm:8s} {finals[arm][-1]:.3f}  ({spent:.0f} CPU s)  {rule.formula}", flush=True)
    for arm, values in finals.items():
        width = f"+- {T_975[count - 1] * statistics.stdev(values) / count**0.5:.3f}" if count > 1 else "(one seed)"
        print(f"{arm:8s} {statistics.fmean(values):.3f} {width}  (worst {max(values):.3f})")


if __name__ == "__main__":
    main()
