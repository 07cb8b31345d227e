"""What happens when candidates share hidden items: two attacks, against naive reuse and against the modes for it.

In every run all candidates are truly no better (first attack) or worse (second), so that any acceptance is wrong.

- *climb*: each proposal answers some items anew by chance; what is accepted becomes the incumbent: the word is used.
- *boost*: probes that differ by chance, then votes of probes, weighted by whatever leaked about them: their scores on
  the block, or only the word and the slot in which it came.

Gates: every decision alone at 0.05, the run-level budget for fresh items on one block that is used again and again,
sealed blocks, and the information ledger. Levels come from ``festina.select.budget`` itself, verdicts from the
simulator of ``festina.select.vector``, which is the rule bit for bit.

Does not cover: other attacks, leaks other than these, blocks whose items depend on each other.
Usage: python benchmarks/reuse.py [--runs N]
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

sys.path.insert(0, str(Path(__file__).parent))
from acceptance.frame import upper_limit
from festina.select import Plan
from festina.select.budget import AnyBudget, Budget, InformationLedger, SealedBlocks
from festina.select.vector import Ends, gate

ALPHA, ALONE = 0.05, 0.05
ITEMS = 300
CLIMBS, PROBES, VOTES = 40, 24, 8
SLOT = 25  # units a slot of the schedule is long
PLAN = Plan("bounded", ALPHA, 0.0, 0.1, 0.1, (), ITEMS)
GATES = ("alone", "reuse", "sealed", "ledger")

Array = NDArray[np.float64]


class Levels:
    """The budgets of many runs, folded one by one by the real code."""

    def __init__(self, kind: str, runs: int) -> None:
        make = {"sealed": SealedBlocks, "ledger": InformationLedger}.get(kind, Budget)
        self.alone, self.told = kind == "alone", kind in ("sealed", "ledger")
        self.folds: list[AnyBudget] = [make(ALPHA) for _ in range(runs)]

    def open(self) -> Array:
        if self.alone:
            return np.full(len(self.folds), ALONE)
        opened = [fold.open() for fold in self.folds]
        self.folds = [after for _, after in opened]
        return np.array([level for level, _ in opened])

    def close(self, levels: Array, ends: Ends) -> None:
        if self.alone:
            return
        slots = 1 + (ends.units - 1) // SLOT
        for i, fold in enumerate(self.folds):
            after = fold.close(float(levels[i]), bool(ends.outcome[i] == "accept"), float(ends.refund[i]))
            told = self.told and isinstance(after, SealedBlocks | InformationLedger)
            self.folds[i] = after.told(int(slots[i])) if told else after


def climb(kind: str, runs: int, seed: int) -> NDArray[np.bool_]:
    """Runs with a wrong acceptance when the accept bit is climbed."""
    rng = np.random.default_rng(seed)
    levels, hit = Levels(kind, runs), np.zeros(runs, dtype=bool)
    incumbent = rng.random((runs, ITEMS)) < 0.5
    for _ in range(CLIMBS):
        anew = rng.random((runs, ITEMS)) < 0.3
        candidate = np.where(anew, rng.random((runs, ITEMS)) < 0.5, incumbent)
        level = levels.open()
        ends = gate(PLAN, level, candidate.astype(float) - incumbent)
        levels.close(level, ends)
        accepted = ends.outcome == "accept"
        hit |= accepted
        incumbent = np.where(accepted[:, None], candidate, incumbent)
        if kind == "sealed":  # a new block: how the incumbent does on it is chance again
            incumbent = np.where(accepted[:, None], rng.random((runs, ITEMS)) < 0.5, incumbent)
    return hit


def boost(kind: str, leak: str, runs: int, seed: int) -> NDArray[np.bool_]:
    """Runs with a wrong acceptance when ``leak`` ("scores" or "slots") of probes weights their votes."""
    rng = np.random.default_rng(seed)
    levels, hit = Levels(kind, runs), np.zeros(runs, dtype=bool)
    probes = rng.choice(np.array([-1, 0, 1], dtype=np.int8), (PROBES, runs, ITEMS), p=[0.205, 0.6, 0.195])
    weights = np.zeros((PROBES, runs))
    for k in range(PROBES + VOTES):
        if k < PROBES:
            gains = probes[k].astype(float)
        else:
            chosen = rng.random((PROBES, runs)) < 0.5
            gains = np.sign(np.einsum("pr,pri->ri", weights * chosen, probes))
        level = levels.open()
        ends = gate(PLAN, level, gains)
        levels.close(level, ends)
        hit |= ends.outcome == "accept"
        if k < PROBES:
            weights[k] = gains.mean(1) if leak == "scores" else 1 + (ends.units - 1) // SLOT
        if k == PROBES - 1 and leak == "slots":
            weights -= weights.mean(0)
    return hit


def table(runs: int, seed: int = 1) -> list[dict[str, object]]:
    """One row for each attack and gate."""
    rows: list[dict[str, object]] = []
    for kind in GATES:
        attacks = {"climb the accept bit": climb(kind, runs, seed)}
        leaks = ("scores", "slots") if kind in ("alone", "reuse") else ("slots",)
        attacks |= {f"boost by {leak}": boost(kind, leak, runs, seed) for leak in leaks}
        for name, hit in attacks.items():
            wrong = int(hit.sum())
            held = kind in ("sealed", "ledger")  # of the others only the size of the failure is of interest
            upper = upper_limit(wrong, runs) if held else None
            rows.append({"gate": kind, "attack": name, "wrong": wrong / runs, "upper99": upper})
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--runs", type=int, default=2000)
    runs = parser.parse_args().runs
    print(f"{runs} runs; any acceptance is wrong; alpha {ALPHA}, {ITEMS} items in a block\n")
    print("| gate | attack | runs with a wrong acceptance | 99 % upper limit |\n|---|---|---|---|")
    for row in table(runs):
        limit = "" if row["upper99"] is None else f"{row['upper99']:.4f}"
        print(f"| {row['gate']} | {row['attack']} | {row['wrong']:.3f} | {limit} |")


if __name__ == "__main__":
    main()
