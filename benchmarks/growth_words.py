"""Whether the sentences of ``festina growth`` about a run's pace are true, on simulated runs whose truth is known.

    python benchmarks/growth_words.py            # some ten minutes on one core
    python benchmarks/growth_words.py --quick    # a look

Each run is told at 8, 15, 25 and 40 accepted generations, through the reading that the command prints. Counted: the
pace said to rise or fall where it does not; the 90 % intervals of the pace now and of the next five generations; a
warning that capability runs away; forecasts not to be trusted; and, of runs whose pace does change, where "about n more
generations would tell" was said, how many it took.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from festina.watch.outlook import outlook
from festina.watch.readings import Gain, Reading

Rng = np.random.Generator
TOLD, LAST, ERROR = (8, 15, 25, 40), 60, 0.05


@dataclass(frozen=True)
class Run:
    """True gains, and the expected pace for the usual effort after each of so many generations (the first: at 0)."""

    gains: np.ndarray
    pace: np.ndarray
    effort: np.ndarray


Law = Callable[[Rng], Run]


def by_level(phi: float, drift: float = 0.0, shape: float = 3.0, top: float = 16.0) -> Law:
    """The pace is 0.4 2^(phi x + drift t), at most ``top`` times the first; luck of so many successes."""

    def law(rng: Rng) -> Run:
        x, gains, pace = 0.0, [], []
        for g in range(LAST + 1):
            pace.append(0.4 * min(2.0 ** (phi * x + drift * g), top))
            gains.append(pace[-1] * float(rng.gamma(shape, 1.0 / shape)))
            x += gains[-1]
        return Run(np.array(gains[:-1]), np.array(pace), np.ones(LAST))

    return law


def heavy(rng: Rng) -> Run:
    """A steady pace with Student's t of 3 degrees of freedom."""
    scale = 0.4 / 1.1027
    return Run(scale * np.abs(rng.standard_t(3.0, LAST)), np.full(LAST + 1, 0.4), np.ones(LAST))


def wandering(rng: Rng) -> Run:
    """A steady pace for one effort; effort wanders by a fifth a generation, recorded."""
    effort = np.exp(np.cumsum(0.2 * rng.standard_normal(LAST)))
    return Run(0.4 * effort * rng.gamma(3.0, 1.0 / 3.0, LAST), np.full(LAST + 1, 0.4), effort)


def leaping(rng: Rng) -> Run:
    """A steady pace and one leap of ten generations' worth."""
    run = by_level(0.0)(rng)
    run.gains[int(rng.integers(10, 24))] += 4.0
    return run


LAWS: dict[str, tuple[Law, int]] = {  # and whether the pace rises (1), falls (-1) or stands still (0)
    "steady": (by_level(0.0), 0), "steady, heavy tails (t, 3)": (heavy, 0), "effort wanders": (wandering, 0),
    "one leap": (leaping, 0), "compounds (phi 0.15)": (by_level(0.15), 1),
    "wears out (phi -0.15)": (by_level(-0.15), -1), "wears out fast (phi -0.4)": (by_level(-0.4), -1),
    "computing 3 % cheaper": (by_level(0.0, 0.0426), 1),
}  # fmt: skip


def told(run: Run, rng: Rng) -> Callable[[int, bool], Reading]:
    measured = run.gains + ERROR * rng.standard_normal(LAST)
    units = np.maximum(1, np.round(1000.0 * run.effort)).astype(int)
    rows = tuple(Gain(g + 1, float(measured[g]), ERROR, int(units[g])) for g in range(LAST))
    return lambda count, score: outlook(rows[:count], score=score)


def counted(law: str, runs: int) -> dict[str, float]:
    make, way = LAWS[law]
    wrong = right = pace = five = warned = distrust = shown = total = 0
    waits: list[float] = []
    for number in range(runs):
        rng = np.random.default_rng([number, 11, *law.encode()])
        run = make(rng)
        read = told(run, rng)
        for count in TOLD:
            r, total = read(count, count == TOLD[-1]), total + 1
            said = {"speeding up": 1, "slowing down": -1, "cannot tell": 0}[r.tendency]
            wrong += said not in (0, way)
            right += said == way != 0
            usual = float(run.effort[:count].mean())
            pace += r.pace[0] <= usual * run.pace[count] <= r.pace[2]
            _, low, _, high = r.ahead[1]
            per = run.gains[count : count + 5] / run.effort[count : count + 5] * usual
            five += low <= float(per.sum()) <= high
            warned += r.escape > 0.05
            distrust += r.trust is False
            shown += r.evidence >= 20.0
            if way and count == 15 and r.more is not None and count + 2 * r.more <= LAST:
                waits.append(_wait(read, count, way, r.more))
    cells = {
        "wrong": wrong / total, "right": right / total, "pace held": pace / total, "next five held": five / total,
        "runaway said": warned / total, "not to be trusted": distrust / runs, "rise shown": shown / total,
    }  # fmt: skip
    soon = float(np.mean([wait <= 2.0 for wait in waits])) if waits else float("nan")
    return cells | {"waits": len(waits), "told within twice what was said": soon}


def _wait(read: Callable[[int, bool], Reading], count: int, way: int, said: int) -> float:
    """Generations until the tendency was told rightly, over those said, in quarters; infinite beyond twice as many."""
    word = "speeding up" if way > 0 else "slowing down"
    quarters = (quarter for quarter in range(1, 9) if quarter * said >= 4)
    return next((q / 4 for q in quarters if read(count + q * said // 4, False).tendency == word), float("inf"))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--quick", action="store_true", help="two runs of each law")
    parser.add_argument("--runs", type=int, default=20, help="of each law")
    parser.add_argument("--only", choices=LAWS, help="one law")
    parser.add_argument("--json", type=Path, help="write the numbers to this file, too")
    options = parser.parse_args()
    found = {}
    for law in [options.only] if options.only else LAWS:
        found[law] = counted(law, 2 if options.quick else options.runs)
        print(f"{law:28s} " + ", ".join(f"{name} {cell:.2f}" for name, cell in found[law].items()), flush=True)
    if options.json:
        options.json.write_text(json.dumps(found, indent=1) + "\n")


if __name__ == "__main__":
    main()
