"""How often the internals card (V-9) calls a harmless retraining out, and how often what retraining does not do.

    python benchmarks/internals.py [--rounds 200] [--retrainings 19] [--json FILE]

A softmax regression (7 x 7) is trained by stochastic gradient descent from a random start, again and again; the change
is none, a longer training, or a direction added to the weights that no answer shows. The card's own distances, and its
score beside two others: on either side of the mean, and in median deviations. A target for *none* is 1 in 20.
"""

from __future__ import annotations

import argparse
import json
import math
import random
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from festina.loop.internals import Trained, found_of
from festina.select.conformal import compared
from festina.verify.internals import Model

CHANGES = {"none": (7, 0.0), "trained 200 steps, not 7": (200, 0.0), "a direction that no answer shows": (7, 20.0)}
INPUTS = [7 * i + i % 5 for i in range(40)]
Rows = Sequence[Sequence[float]]


def train(steps: int, aside: float, coins: random.Random) -> Trained:
    w = [[coins.gauss(0, 0.3) for _ in range(7)] for _ in range(7)]
    for _ in range(steps):
        x = coins.randrange(7)
        top = max(w[x])
        odds = [math.exp(v - top) for v in w[x]]
        for y in range(7):
            w[x][y] += 0.5 * ((y == x) - odds[y] / sum(odds))
    w = [[v + aside * (x + 1) / 7 for v in row] for x, row in enumerate(w)]
    rows = [w[i % 7] for i in INPUTS]
    scores = [float(row.index(max(row)) == i % 7) for row, i in zip(rows, INPUTS, strict=True)]
    return Trained(0, Model({"w": np.array(w)}, scores, {"out": np.array(rows)}), "", {})


def either_side(rows: Rows) -> float:
    table = np.asarray(rows)
    return _p(np.abs(table - table.mean(0)) / np.maximum(table.std(0), 1e-12))


def median_deviations(rows: Rows) -> float:
    table = np.asarray(rows)
    apart = table - np.median(table, 0)
    return _p(apart / np.maximum(np.median(np.abs(apart), 0), 1e-12))


def _p(scores: np.ndarray) -> float:
    top = scores.max(1)
    return (1 + int((top[1:] >= top[0]).sum())) / len(top)


SCORES: dict[str, Callable[[Rows], float]] = {
    "the card": lambda rows: compared(rows).p, "on either side": either_side, "median deviations": median_deviations,
}  # fmt: skip


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])  # type: ignore[union-attr]
    parser.add_argument("--rounds", type=int, default=200)
    parser.add_argument("--retrainings", type=int, default=19)
    parser.add_argument("--json", type=Path)
    asked = parser.parse_args()
    coins, level = random.Random(1), 1 / (asked.retrainings + 1) + 1e-9
    found: dict[str, dict[str, float]] = {}
    print(f"{'change':<36}" + "".join(f"{name:>20}" for name in SCORES))
    for change, how in CHANGES.items():
        called = dict.fromkeys(SCORES, 0)
        for _ in range(asked.rounds):
            runs = [train(*how, coins), *(train(*CHANGES["none"], coins) for _ in range(asked.retrainings + 1))]
            rows = found_of(runs).rows
            for name, score in SCORES.items():
                called[name] += score(rows) <= level
        found[change] = {name: n / asked.rounds for name, n in called.items()}
        print(f"{change:<36}" + "".join(f"{share:>20.0%}" for share in found[change].values()))
    if asked.json is not None:
        asked.json.write_text(json.dumps({"rounds": asked.rounds, "called": found}, indent=1) + "\n")
    return 0 if found["none"]["the card"] <= level + 3 * math.sqrt(level / asked.rounds) else 1


if __name__ == "__main__":
    sys.exit(main())
