"""Is the forecast of ``festina calibrate`` true? Systems with known noise are calibrated, then the real rule is run.

Each system is measured as the command does it (rounds of one seed: current version, one small change, now and then the
same again), many times over; each forecast is held against what thousands of tests on the system's own law really take.
``ratio`` is forecast over truth (median, and the middle 80 % of calibrations); ``in range`` how often the truth lay in
the range that the forecast gave, within 6 % for what a few hundred played tests blur.

    python benchmarks/calibrate.py --quick
    python benchmarks/calibrate.py --out benchmarks/results/calibrate.json
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from festina.calibrate.forecast import forecast
from festina.calibrate.reach import crossing
from festina.calibrate.types import Answer, Measured, Run, Setting
from festina.calibrate.values import Forecast, Span
from festina.select import Plan
from festina.select.vector import gate

Array = NDArray[np.float64]
Draw = Callable[[np.random.Generator, int], Array]  # so many values with mean 0

CALIBRATIONS = 10  # of each system
RUNS = 40  # of a calibration: the command's default
BLUR = 0.06


def normal(sd: float) -> Draw:
    return lambda rng, n: sd * rng.standard_normal(n)


def heavy(sd: float) -> Draw:
    """Student's t with 4 degrees of freedom, clipped at 12 standard deviations."""
    return lambda rng, n: sd * np.clip(rng.standard_t(4, n) / 2.0**0.5, -12.0, 12.0)


def disaster(share: float, loss: float, sd: float) -> Draw:
    """Seldom a large loss on either side, else small noise."""

    def draw(rng: np.random.Generator, n: int) -> Array:
        kind = rng.random(n)
        jump = np.where(kind < share, -loss, np.where(kind > 1.0 - share, loss, 0.0))
        return jump + sd * rng.standard_normal(n)

    return draw


@dataclass(frozen=True)
class System:
    """Where the noise of a pair comes from. ``printed``: one number a run and no declared range."""

    name: str
    shared: float  # sd of what a seed does to both sides
    own: Draw  # of a pair of runs
    item: Draw | float | None  # of a pair's difference on one item; a number: right or wrong, and so many change
    items: int = 40
    group: int = 1  # items that share one draw of ``item``: a cluster
    detect: float = 0.05
    cap: int | None = None

    @property
    def printed(self) -> bool:
        return self.item is None

    def units(self, rng: np.random.Generator, tests: int, units: int, gain: float) -> Array:
        """Differences of pairs with a candidate that is better by ``gain``."""
        count = tests * units
        found = self.own(rng, count)
        if isinstance(self.item, float):
            share = max(self.item, gain)
            better = rng.binomial(self.items, (share + gain) / 2.0, count)
            worse = rng.binomial(self.items - better, (share - gain) / 2.0 / (1.0 - (share + gain) / 2.0))
            found = found + (better - worse) / self.items
        elif self.item is not None:
            clusters = self.items // self.group
            found = found + gain + sum(self.item(rng, count) for _ in range(clusters)) / clusters
        else:
            found = found + gain
        return (found if self.printed else np.clip(found, -1.0, 1.0)).reshape(tests, units)

    def measured(self, seed: int) -> Measured:
        """Forty runs, in the rounds of ``calibrate.measure``."""
        rng, runs = np.random.default_rng((9, seed)), []
        index = 0
        while len(runs) < RUNS:
            shared = self.shared * float(rng.standard_normal())
            right = isinstance(self.item, float)
            base = rng.integers(0, 2, self.items).astype(float) if right else rng.uniform(0.3, 0.7, self.items)
            for tree, repeat in (("incumbent", 0), (f"change {index % 3}", 0), *[("incumbent", 1)] * (index % 3 == 0)):
                differs = tree != "incumbent"
                shift = shared + (float(self.own(rng, 1)[0]) if differs else 0.0)
                if self.item is None:
                    runs.append(Run(tree, index, repeat, 2.0, 2.0, metric=1.2 - shift))
                    continue
                scores = base if right else base + shift
                if differs and isinstance(self.item, float):
                    scores = np.where(rng.random(self.items) < self.item, 1.0 - base, base)
                elif differs:
                    scores = scores + np.repeat(self.item(rng, self.items // self.group), self.group)
                runs.append(Run(tree, index, repeat, 2.0, 2.0, tuple(
                    Answer(f"{index}-{i}", f"{index}-{i // self.group}" if self.group > 1 else None, float(x))
                    for i, x in enumerate(scores)
                )))  # fmt: skip
            index += 1
        kind, scale = ("symmetric", None) if self.printed else ("bounded", (0.0, 1.0))
        return Measured(self.name, kind, "lower" if self.printed else "higher", scale, "fresh", tuple(runs[:RUNS]))  # type: ignore[arg-type]

    @property
    def setting(self) -> Setting:
        return Setting(
            alpha=0.05, spread=50.0, beta=0.1, margin=0.0, detect=None if self.printed else self.detect,
            units_max=60 if self.printed else self.cap, items_per_run=1 if self.printed else self.items,
            mode="printed" if self.printed else "fresh", hours=1.0 / 3.0, unit="seed",
        )  # fmt: skip


SYSTEMS = (
    System("quiet runs, graded items", 0.02, normal(0.005), normal(0.1)),
    System("right or wrong, 4 in 10 answers change", 0.0, normal(0.0), 0.4, items=20),
    System("noisy training, a half of the range", 0.1, normal(0.2), normal(0.1)),
    System("heavy tails between runs", 0.05, heavy(0.12), normal(0.1)),
    System("3 runs in 100 lose 0.9 of the range", 0.02, disaster(0.03, 0.9, 0.01), normal(0.1)),
    System("clusters of 8 that repeat each other", 0.02, normal(0.01), normal(0.35), group=8),
    System("one item a run, right or wrong", 0.0, normal(0.0), 0.3, items=1, detect=0.1),
    System("a printed loss, seeds differ", 0.02, normal(0.004), None),
    System("a printed loss, heavy tails", 0.02, heavy(0.004), None),
)


@dataclass(frozen=True)
class Truth:
    """What tests on the system's own law take."""

    rejected: float  # runs
    accepted: float
    power: float
    reach: float


def truth(system: System, found: Forecast, tests: int = 300) -> Truth:
    """By the plan that the forecast was made for."""
    level = found.levels[0]
    at = found.kinds[1].gain
    detect = 0.0 if system.printed else (found.detect or 0.0)
    plan = Plan("symmetric" if system.printed else "bounded", level, 0.0, detect, 0.1, (), found.units_max)

    def play(gain: float, plan: Plan) -> tuple[float, float]:
        draws = system.units(np.random.default_rng(5), tests, plan.units_max, gain)
        ends = gate(plan, np.full(tests, level), draws)
        spent = [min(1 + -(-(n - 1) // found.batch) * found.batch, plan.units_max) if n > 1 else 1 for n in ends.units]
        return 2.0 * float(np.mean(spent)), float((ends.outcome == "accept").mean())

    rejected, _ = play(0.0, plan)
    accepted, power = play(at, plan)
    assert found.reach is not None
    assert found.reach.first is not None
    grid = [found.reach.first.value * factor for factor in np.geomspace(0.5, 2.0, 10)]
    cap = found.reach.units
    shares = [play(gain, replace(plan, detect=0.0 if system.printed else gain, units_max=cap))[1] for gain in grid]
    return Truth(rejected, accepted, power, crossing(grid, shares) or grid[-1])


def within(span: Span, value: float) -> bool:
    return span.low * (1.0 - BLUR) <= value <= span.high * (1.0 + BLUR)


def against(system: System, calibrations: int, first: int = 0) -> dict[str, object]:
    """One system: many calibrations, each with its forecast and the truth beside it."""
    ratios: dict[str, list[float]] = {"rejected": [], "accepted": [], "reach": []}
    inside: dict[str, list[bool]] = {"rejected": [], "accepted": [], "reach": []}
    powers = []
    for seed in range(first, first + calibrations):
        found = forecast(system.measured(seed), system.setting)
        real = truth(system, found)
        assert found.reach is not None
        assert found.reach.first is not None
        for name, span, value in (
            ("rejected", found.kinds[0].price.runs, real.rejected),
            ("accepted", found.kinds[1].price.runs, real.accepted),
            ("reach", found.reach.first, real.reach),
        ):
            ratios[name].append(span.value / value)
            inside[name].append(within(span, value))
        powers.append((found.kinds[1].accepted.value, real.power))
    row: dict[str, object] = {"system": system.name, "calibrations": calibrations}
    for name, values in ratios.items():
        low, middle, high = np.quantile(values, [0.1, 0.5, 0.9])
        row[name] = [round(float(v), 3) for v in (middle, low, high)]
        row[f"{name} in range"] = round(float(np.mean(inside[name])), 3)
    row["power"] = [round(float(v), 3) for v in np.mean(powers, axis=0)]
    return row


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--quick", action="store_true", help="a few calibrations of each system")
    parser.add_argument("--out", type=Path, help="write the table as JSON")
    args = parser.parse_args()
    began, rows = time.process_time(), []
    print("| system | rejecting | in range | accepting | in range | smallest gain | in range | found: said, true |")
    print("|---|---|---|---|---|---|---|---|")
    for system in SYSTEMS:
        row = against(system, 3 if args.quick else CALIBRATIONS)
        rows.append(row)
        cells = [str(row["system"])]
        for name in ("rejected", "accepted", "reach"):
            middle, low, high = row[name]  # type: ignore[misc]  # a list just stored
            cells += [f"{middle:.2f} ({low:.2f} to {high:.2f})", f"{row[f'{name} in range']:.2f}"]
        cells.append(", ".join(f"{v:.2f}" for v in row["power"]))  # type: ignore[attr-defined]
        print("| " + " | ".join(cells) + " |", flush=True)
    cpu = round(time.process_time() - began, 1)
    if args.out:
        args.out.write_text(json.dumps({"rows": rows, "cpu_s": cpu}, indent=1) + "\n")
    print(f"\n{cpu} s of CPU")


if __name__ == "__main__":
    main()
