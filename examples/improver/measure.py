"""The numbers in README.md, without the engine: ``python measure.py DIR [--seeds 4]`` after ``prepare.py DIR``.

Three arms from the same start, with the same number of proposals: *own* (the last accepted generation proposes),
*frozen* (generation 0 proposes for ever) and *random* (60 settings drawn by lot around nothing, the best on the public
problems). A judge that knows the answer, from 2,000 fresh held-out problems for each decision, keeps what is better by
two standard errors. Then the productivity of the final improvers: each one gets the same start and the same 60
evaluations on fresh copies of the task "improve the improver". Then the failing arm: 20 public problems instead of
200. ``--only`` runs one part.
"""

from __future__ import annotations

import argparse
import math
import statistics
import sys
import time
import types
from pathlib import Path

import numpy as np

STEPS = 8  # proposals of an arm
JUDGED = 2000  # fresh problems for each decision
COPIES = 8  # fresh improvement problems for each improver
# Student's t by degrees of freedom
T_975 = {1: 12.706, 2: 4.303, 3: 3.182, 4: 2.776, 5: 2.571, 6: 2.447, 7: 2.365}


def interval(values):
    """Mean and half-width of its 95 % interval."""
    return statistics.mean(values), T_975[len(values) - 1] * statistics.stdev(values) / math.sqrt(len(values))


def drawer(path):
    module = types.ModuleType("generator")
    exec(compile(path.read_text(), str(path), "exec"), module.__dict__)  # noqa: S102 - prepare.py wrote it
    return lambda seed, n: [item["input"] for item in module.generate(seed, n)]


class World:
    """The prepared system's modules and draws."""

    def __init__(self, folder):
        sys.path.insert(0, str(folder / "system"))
        import improve
        import optimise
        import problems

        self.improve, self.optimise, self.problems = improve, optimise, problems
        self.held, self.public = drawer(folder / "generator.py"), drawer(folder / "public_generator.py")
        self.start = optimise.read(folder / "system")

    def each(self, settings, asked, seed):
        """The score of every problem, a few at a time: memory grows with their number."""
        rng, found = np.random.default_rng(seed), []
        for at in range(0, len(asked), 200):
            some = asked[at : at + 200]
            batch = self.problems.Batch(some)
            _, values = self.optimise.optimise(batch, batch.d, self.problems.BUDGET, settings, rng, self.problems.WIDTH)
            found += self.problems.scores(some, values)
        return np.array(found)

    def propose(self, arm, settings, head, asked, seed):
        if arm == "random":
            rng = np.random.default_rng(seed)
            batch = self.problems.Batch(asked)
            drawn = [rng.random(len(head)) for _ in range(self.improve.EVALUATIONS)]
            return min(drawn, key=lambda each: self.improve.mean_score(asked, batch, each, seed))
        return self.improve.propose(settings, head, asked, seed)[0]

    def chain(self, arm, seed, public):
        """(generations as settings, decisions as (public gain, hidden gain, accepted))."""
        line, told = [self.start], []
        asked = self.public(seed, public)
        for step in range(STEPS):
            number = 1000 * seed + step
            own = line[-1] if arm == "own" else self.start
            made = self.propose(arm, own, line[-1], asked, number)
            batch = self.problems.Batch(asked)
            seen = [self.improve.mean_score(asked, batch, each, number) for each in (line[-1], made)]
            fresh = self.held(10**6 + number, JUDGED)
            gain = self.each(line[-1], fresh, number) - self.each(made, fresh, number)
            mean, error = gain.mean(), gain.std() / math.sqrt(JUDGED)
            told.append((seen[0] - seen[1], mean, mean > 2 * error))
            line += [made] if told[-1][2] else []
        return line, told

    def level(self, settings):
        """Held-out (functions, tables, all): mean scores on 4,000 problems that nothing else uses."""
        asked = self.held(5, 4000)
        score = self.each(settings, asked, 5)
        real = np.array([p["family"] not in self.problems.HELD_FUNCTIONS for p in asked])
        return score[~real].mean(), score[real].mean() if real.any() else math.nan, score.mean()

    def productivity(self, settings, start):
        """Gains on held-out problems of what an improver makes from ``start``, over fresh copies of the task."""
        gains = []
        for copy in range(COPIES):
            made = self.propose("own" if settings is not None else "random", settings, start,
                                self.public(500 + copy, 200), 77 + copy)  # fmt: skip
            fresh = self.held(10**7 + copy, 800)
            gains.append(float((self.each(start, fresh, copy) - self.each(made, fresh, copy)).mean()))
        return gains


def arms(world, seeds):
    """The three arms over all seeds; prints them, and how far own is ahead."""
    print("start: functions {:+.3f}, tables {:+.3f}, all {:+.3f}".format(*world.level(world.start)), flush=True)
    ends = {arm: [] for arm in ("own", "frozen", "random")}
    for seed in range(1, seeds + 1):
        for arm, kept in ends.items():
            line, told = world.chain(arm, seed, 200)
            kept.append(world.level(line[-1]))
            print("seed {} {:6s} {} accepted of {}: functions {:+.3f}, tables {:+.3f}, all {:+.3f}".format(
                seed, arm, sum(t[2] for t in told), len(told), *kept[-1]), flush=True)  # fmt: skip
    for arm, kept in ends.items():
        print("{:6s} final, all: {:+.3f} +- {:.3f}".format(arm, *interval([level[2] for level in kept])))
    for arm in ("frozen", "random"):
        ahead = [b[2] - a[2] for a, b in zip(ends["own"], ends[arm], strict=True)]
        print("own ahead of {:6s} by {:+.3f} +- {:.3f}".format(arm, *interval(ahead)), flush=True)


def improvers(world, seeds):
    """Productivity of the own arm's last improvers, and of random search, beside generation 0's."""
    base = world.productivity(world.start, world.start)
    print("generation 0's improver gains {:+.3f} +- {:.3f} from generation 0".format(*interval(base)), flush=True)
    for seed in range(seeds + 1):
        settings = world.chain("own", seed, 200)[0][-1] if seed else None
        gains = world.productivity(settings, world.start)
        ahead = [a - b for a, b in zip(gains, base, strict=True)]
        name = f"own, seed {seed}" if seed else "random"
        ratio = statistics.mean(gains) / statistics.mean(base)
        print("  {:12s} {:+.3f}, ahead {:+.3f} +- {:.3f}, ratio {:.2f}".format(
            name, statistics.mean(gains), *interval(ahead), ratio), flush=True)  # fmt: skip


def few(world, seeds):
    """The failing arm: 20 public problems instead of 200."""
    for seed in range(1, seeds + 1):
        _, told = world.chain("own", seed, 20)
        print("20 public problems, seed {}: public gains {}, held-out gains {}".format(
            seed, *(" ".join(f"{t[k]:+.3f}" for t in told) for k in (0, 1))), flush=True)  # fmt: skip


PARTS = {"arms": arms, "improvers": improvers, "few": few}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--seeds", type=int, default=4, choices=[2, 3, 4, 5, 6, 7, 8])
    parser.add_argument("--only", choices=sorted(PARTS))
    options = parser.parse_args()
    world, began = World(options.folder.absolute()), time.process_time()
    for name, part in PARTS.items():
        if options.only in (None, name):
            part(world, options.seeds)
    print(f"all of this: {time.process_time() - began:.0f} CPU seconds")


if __name__ == "__main__":
    main()
