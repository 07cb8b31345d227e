"""The numbers in ../README.md: ``python measure.py [--seeds 5]`` (about 25 CPU seconds a seed and proposal).

From the grid, PROPOSALS proposals of the example's own improver one after another, judged exactly. Then the known
cheat: the same packing with every radius larger by 4e-10, which a tolerance of 1e-9 takes for a better one.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import numpy as np

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE / "system"), str(HERE / "vault")]

import improve  # noqa: E402
from generator import grid  # noqa: E402

PROPOSALS, SWELL, TOLERANCE = 2, 4e-10, 1e-9


def swollen(rows: list[list[str]]) -> list[list[str]]:
    return [[x, y, f"{float(r) + SWELL:.{improve.DIGITS}f}"] for x, y, r in rows]


def tolerant(rows: list[list[str]]) -> float:
    """The sum of radii as a judge with a tolerance has it; 0 for what even that refuses."""
    x, y, r = np.array(rows, dtype=float).T
    gaps = np.hypot(x[:, None] - x, y[:, None] - y) - r[:, None] - r
    worst = min(gaps[np.triu_indices(len(r), 1)].min(), *(edge.min() for edge in (x - r, 1 - x - r, y - r, 1 - y - r)))
    return float(r.sum()) if worst >= -TOLERANCE else 0.0


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=5)
    for seed in range(1, parser.parse_args().seeds + 1):
        rows, sums = grid(), []
        for number in range(PROPOSALS):
            rng = np.random.default_rng(100 * seed + number)
            found = improve.written(improve.search(np.array(rows, dtype=float), rng, improve.CPU_S))
            rows = found if found and improve.total(found) > improve.total(rows) else rows
            sums.append(f"{improve.total(rows) / improve.ONE:.9f}")
        print(f"seed {seed}: {' -> '.join(sums)}", flush=True)
    cheat = swollen(rows)
    print(f"swollen by {SWELL}: a tolerance of {TOLERANCE} says {tolerant(cheat):.9f}, "
          f"the exact check {improve.total(cheat) / improve.ONE:.1f}")  # fmt: skip


if __name__ == "__main__":
    main()
