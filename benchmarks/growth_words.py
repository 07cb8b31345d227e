"""Whether the sentences of ``festina growth`` about a run's pace are true, on simulated runs whose truth is known.

    python benchmarks/growth_words.py            # some ten minutes on one core
    python benchmarks/growth_words.py --quick    # a look

    python benchmarks/growth_words.py --only pace    # one part of it: words, pace or waits

*words*: each run is told at 8, 15, 25 and 40 accepted generations, through the reading that the command prints.
Counted: the pace said to rise or fall where it does not; the 90 % intervals of the next five generations; a warning
that capability runs away; forecasts not to be trusted. *pace*: the 90 % interval of the pace now, on more laws.
*waits*: of runs whose pace does change, where that could not be told at 8, 15 or 25: how often "about n more
generations" was said, and how many it took.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

import growth
from festina.watch.outlook import outlook, pace_now, series
from festina.watch.posterior import fit
from festina.watch.readings import SOON, Gain, Reading, tendency_of
from festina.watch.waits import until_told

Rng = np.random.Generator
TOLD, ASKED, ERROR = (8, 15, 25, 40), (8, 15, 25), 0.05
SHORT, LONG = 60, ASKED[-1] + SOON  # generations of a run


@dataclass(frozen=True)
class Run:
    """True gains, and the expected pace for the usual effort after each of so many generations (the first: at 0)."""

    gains: np.ndarray
    pace: np.ndarray
    effort: np.ndarray


Law = Callable[[Rng, int], Run]  # of so many generations


def by_level(phi: float, drift: float = 0.0, shape: float = 3.0, top: float = 16.0) -> Law:
    """The pace is 0.4 2^(phi x + drift t), at most ``top`` times the first; luck of so many successes."""

    def law(rng: Rng, n: int) -> Run:
        x, gains, pace = 0.0, [], []
        for g in range(n + 1):
            pace.append(0.4 * min(2.0 ** (phi * x + drift * g), top))
            gains.append(pace[-1] * float(rng.gamma(shape, 1.0 / shape)))
            x += gains[-1]
        return Run(np.array(gains[:-1]), np.array(pace), np.ones(n))

    return law


def heavy(rng: Rng, n: int) -> Run:
    """A steady pace with Student's t of 3 degrees of freedom."""
    scale = 0.4 / 1.1027
    return Run(scale * np.abs(rng.standard_t(3.0, n)), np.full(n + 1, 0.4), np.ones(n))


def wandering(rng: Rng, n: int) -> Run:
    """A steady pace for one effort; effort wanders by a fifth a generation, recorded."""
    effort = np.exp(np.cumsum(0.2 * rng.standard_normal(n)))
    return Run(0.4 * effort * rng.gamma(3.0, 1.0 / 3.0, n), np.full(n + 1, 0.4), effort)


def leaping(rng: Rng, n: int) -> Run:
    """A steady pace and one leap of ten generations' worth."""
    run = by_level(0.0)(rng, n)
    run.gains[int(rng.integers(10, 24))] += 4.0
    return run


LAWS: dict[str, tuple[Law, int]] = {  # and whether the pace rises (1), falls (-1) or stands still (0)
    "steady": (by_level(0.0), 0), "steady, heavy tails (t, 3)": (heavy, 0), "effort wanders": (wandering, 0),
    "one leap": (leaping, 0), "compounds (phi 0.15)": (by_level(0.15), 1),
    "wears out (phi -0.15)": (by_level(-0.15), -1), "wears out fast (phi -0.4)": (by_level(-0.4), -1),
    "computing 3 % cheaper": (by_level(0.0, 0.0426), 1),
}  # fmt: skip


def stepped(law: Callable[[Rng], growth.Step]) -> Law:
    """A law whose next gain follows from generation and level; its pace is the mean of many draws."""

    def make(rng: Rng, n: int) -> Run:
        step, x, gains, pace = law(rng), 0.0, [], []
        for g in range(n + 1):
            pace.append(float(step(g, np.full(3000, x), np.random.default_rng([g, 1])).mean()))
            gains.append(float(step(g, np.array([x]), rng)[0]))
            x += gains[-1]
        return Run(np.array(gains[:-1]), np.array(pace), np.ones(n))

    return make


def changing(rng: Rng, n: int) -> Run:
    """The pace changes once, by a factor of 1/3 to 3."""
    pace = np.full(n + 1, growth.between(rng, 0.2, 0.8))
    pace[rng.integers(12, 40) :] *= growth.between(rng, 1 / 3, 3)
    return Run(pace[:-1] * rng.gamma(2.0, 0.5, n), pace, np.ones(n))


def waving(rng: Rng, n: int) -> Run:
    """The pace goes up and down by a factor of 1.8, in 20 to 50 generations."""
    turns = 2.0 * np.pi * (np.arange(n + 1) / rng.uniform(20, 50) + rng.random())
    pace = 0.4 * np.exp(0.6 * np.sin(turns))
    return Run(pace[:-1] * rng.gamma(3.0, 1.0 / 3.0, n), pace, np.ones(n))


def rare(rng: Rng) -> growth.Step:
    """A steady pace of one success a generation."""
    return lambda g, x, luck: luck.poisson(1.0, x.shape) * luck.gamma(2.0, 0.2, x.shape)


def dearer(rng: Rng) -> growth.Step:
    """Computing gets 1 to 4 % dearer a generation; luck is log-normal."""
    rate, sigma = 1.0 - rng.uniform(0.01, 0.04), rng.uniform(0.4, 0.9)
    return lambda g, x, luck: 0.4 * rate**g * np.exp(sigma * luck.standard_normal(x.shape) - sigma**2 / 2.0)


PACES: dict[str, Law] = {name: law for name, (law, _) in LAWS.items()} | {
    **{name: stepped(law) for name, law in growth.STEPS.items()}, "steady, log-normal": stepped(growth.lognormal),
    "pace changes once": changing, "pace comes in waves": waving,
    "one success a generation *": stepped(rare), "computing gets dearer *": stepped(dearer),
}  # fmt: skip  # *: nothing was chosen by them


def rows_of(run: Run, rng: Rng) -> tuple[Gain, ...]:
    n = len(run.gains)
    measured = run.gains + ERROR * rng.standard_normal(n)
    units = np.maximum(1, np.round(1000.0 * run.effort)).astype(int)
    return tuple(Gain(g + 1, float(measured[g]), ERROR, int(units[g])) for g in range(n))


def counted(law: str, runs: int) -> dict[str, float]:
    make, way = LAWS[law]
    wrong = right = five = warned = distrust = shown = total = 0
    for number in range(runs):
        rng = np.random.default_rng([number, 11, *law.encode()])
        run = make(rng, SHORT)
        rows = rows_of(run, rng)
        for count in TOLD:
            r: Reading = outlook(rows[:count], score=count == TOLD[-1])
            total += 1
            said = WAYS[r.tendency]
            wrong += said not in (0, way)
            right += said == way != 0
            usual = float(run.effort[:count].mean())
            _, low, _, high = r.ahead[1]
            per = run.gains[count : count + 5] / run.effort[count : count + 5] * usual
            five += low <= float(per.sum()) <= high
            warned += r.escape > 0.05
            distrust += r.trust is False
            shown += r.evidence >= 20.0
    return {
        "wrong": wrong / total, "right": right / total, "next five held": five / total, "runaway said": warned / total,
        "not to be trusted": distrust / runs, "rise shown": shown / total,
    }  # fmt: skip


def paced(law: str, runs: int) -> dict[str, float]:
    """The 90 % interval of the pace now, and how often the true one lies below and above it."""
    places, widths, misses = [], [], []
    for number in range(runs):
        rng = np.random.default_rng([number, 12, *law.encode()])
        run = PACES[law](rng, LONG)
        rows = rows_of(run, rng)
        for count in TOLD:
            low, middle, high = pace_now(fit(series(rows[:count])), 0.05, 0.5, 0.95)
            true = float(run.effort[:count].mean()) * float(run.pace[count])
            places.append(-1 if true < low else 1 if true > high else 0)
            widths.append(high / low)
            misses.append(abs(float(np.log2(middle / true))))
    found = np.array(places)
    return {
        "pace held": float(np.mean(found == 0)), "lower": float(np.mean(found < 0)),
        "higher": float(np.mean(found > 0)),
        "upper end over lower": float(np.median(widths)), "middle off, doublings": float(np.median(misses)),
    }  # fmt: skip


def waited(law: str, runs: int) -> dict[str, float]:
    """Where it could not be told: how often a number was said, and the true waits over it (infinite: not seen)."""
    make, way = LAWS[law]
    asked, over, soon, shares = 0, [], [], []
    for number in range(runs):
        rng = np.random.default_rng([number, 13, *law.encode()])
        rows = rows_of(make(rng, LONG), rng)
        ways: dict[int, int] = {}
        for count in ASKED:
            found = fit(series(rows[:count]))
            if tendency_of(found.speeding_up) != "cannot tell":
                continue
            asked += 1
            more, share = until_told(found)
            wait = next((k for k in range(1, SOON + 1) if _way(rows, count + k, ways) == way), float("inf"))
            if more is not None:
                over.append(wait / more)
            elif share is not None:
                soon.append(wait <= SOON)
                shares.append(share)
    known = np.array(over) if over else np.full(1, np.nan)
    return {
        "could not be told": asked, "a number said": len(over), "median wait over it": float(np.median(known)),
        "told by then": float(np.mean(known <= 1.0)), "a share said": len(soon),
        "mean share": float(np.mean(shares)) if shares else float("nan"),
        "told within": float(np.mean(soon)) if soon else float("nan"),
    }  # fmt: skip


WAYS = {"speeding up": 1, "slowing down": -1, "cannot tell": 0}


def _way(rows: tuple[Gain, ...], count: int, known: dict[int, int]) -> int:
    if count not in known:
        known[count] = WAYS[tendency_of(fit(series(rows[:count])).speeding_up)]
    return known[count]


PARTS: dict[str, tuple[Callable[[str, int], dict[str, float]], list[str]]] = {
    "words": (counted, list(LAWS)), "pace": (paced, list(PACES)),
    "waits": (waited, [law for law, (_, way) in LAWS.items() if way]),
}  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--quick", action="store_true", help="two runs of each law")
    parser.add_argument("--runs", type=int, default=20, help="of each law")
    parser.add_argument("--only", choices=PARTS, help="one part of it")
    parser.add_argument("--json", type=Path, help="write the numbers to this file, too")
    options = parser.parse_args()
    told: dict[str, dict[str, dict[str, float]]] = {}
    for part in [options.only] if options.only else PARTS:
        count, laws = PARTS[part]
        print(part)
        told[part] = {}
        for law in laws:
            told[part][law] = count(law, 2 if options.quick else options.runs)
            cells = ", ".join(f"{name} {cell:.2f}" for name, cell in told[part][law].items())
            print(f"  {law:28s} {cells}", flush=True)
    if options.json:
        options.json.write_text(json.dumps(told, indent=1) + "\n")


if __name__ == "__main__":
    main()
