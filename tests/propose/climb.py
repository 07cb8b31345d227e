"""A small training script and a judge that accepts only true improvements, to see what the search is worth."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from difflib import unified_diff
from pathlib import Path

from festina.propose.guess import parse_metric
from festina.propose.search_worker import answer
from festina.propose.types import Budget, HistoryRow, Improver, NoProposal, Proposal, View

SCRIPT = '''"""Logistic regression by stochastic gradient descent on synthetic data."""

import math
import os
import random

LR = 0.0005
EPOCHS = 2
MOMENTUM = 0.0
WEIGHT_DECAY = 0.05
BATCH = 64
INIT_STD = 1.5
DIMS = 8


def make_data(rng, n):
    rows = []
    for _ in range(n):
        x = [rng.gauss(0.0, 1.0) for _ in range(DIMS)]
        z = 3.0 * x[0] - 2.0 * x[1] + 1.5 * x[2] + 0.5
        rows.append((x, 1 if rng.random() < 1.0 / (1.0 + math.exp(-z)) else 0))
    return rows


def predict(w, x):
    z = w[-1] + sum(a * b for a, b in zip(w, x))
    return 1.0 / (1.0 + math.exp(-max(-30.0, min(30.0, z))))


def train(rng, data):
    w = [rng.gauss(0.0, INIT_STD) for _ in range(DIMS + 1)]
    v = [0.0] * (DIMS + 1)
    for _ in range(EPOCHS):
        rng.shuffle(data)
        for at in range(0, len(data), BATCH):
            batch = data[at : at + BATCH]
            g = [WEIGHT_DECAY * a for a in w]
            for x, y in batch:
                e = (predict(w, x) - y) / len(batch)
                for i in range(DIMS):
                    g[i] += e * x[i]
                g[-1] += e
            for i in range(DIMS + 1):
                v[i] = MOMENTUM * v[i] + g[i]
                w[i] -= LR * v[i]
    return w


def evaluate(w, data):
    return -sum(math.log(max(1e-9, p if y else 1.0 - p)) for x, y in data for p in [predict(w, x)]) / len(data)


if __name__ == "__main__":
    rng = random.Random(int(os.environ.get("FESTINA_SEED", "0")))
    weights = train(rng, make_data(rng, 300))
    print(f"val_loss: {evaluate(weights, make_data(random.Random(99), 1000)):.5f}")
'''


def score(tree: Path, seeds: tuple[int, ...] = (1, 2), limit_s: float = 3.0) -> float | None:
    """Mean loss over the seeds; None if a run failed."""
    total = 0.0
    for seed in seeds:
        try:
            env = {"FESTINA_SEED": str(seed)}
            done = subprocess.run([sys.executable, "train.py"], cwd=tree, env=env, capture_output=True, timeout=limit_s)
        except subprocess.TimeoutExpired:
            return None
        value = parse_metric(done.stdout, "val_loss") if done.returncode == 0 else None
        if value is None:
            return None
        total += value
    return total / len(seeds)


def diff(path: str, old: bytes, new: bytes) -> str:
    before, after = (data.decode().splitlines(keepends=True) for data in (old, new))
    body = "".join(unified_diff(before, after, f"a/{path}", f"b/{path}"))
    return f"diff --git a/{path} b/{path}\n{body}"


class InProcess:
    """The search without its process: the same answers, sooner."""

    author = "search"

    def propose(self, view: View, budget: Budget) -> Proposal | NoProposal:
        found = answer({
            "tree": str(view.tree), "allow": list(view.allow), "seed": view.seed,
            "max_changed_lines": view.max_changed_lines,
            "history": [[row.word, row.reason, row.patch, row.gain] for row in view.history],
        })  # fmt: skip
        if "none" in found:
            return NoProposal(self.author, str(found["none"]), exhausted=True)
        files = found["files"]
        assert isinstance(files, dict)
        return Proposal(self.author, files={path: text.encode() for path, text in files.items()})


def climb(
    tree: Path,
    improver: Improver,
    judge: Callable[[Path], float | None],
    proposals: int,
    *,
    first_seed: int = 0,
    allow: tuple[str, ...] = ("*.py",),
    margin: float = 0.002,
) -> tuple[list[HistoryRow], list[float]]:
    """Keep what is truly better (lower). Returns the history and the incumbent's score after each proposal."""
    best = judge(tree)
    assert best is not None
    rows: list[HistoryRow] = []
    path_of_scores: list[float] = []
    for number in range(proposals):
        made = improver.propose(View(tree, tree, tuple(rows), first_seed + number, allow, 40), Budget())
        if not isinstance(made, Proposal):
            break
        assert made.files
        old = {path: (tree / path).read_bytes() for path in made.files}
        for path, data in made.files.items():
            (tree / path).write_bytes(data or b"")
        got = judge(tree)
        better = got is not None and got < best - margin
        patch = "".join(diff(path, old[path], made.files[path] or b"") for path in sorted(old))
        rows.append(HistoryRow(number, made.author, patch, "accepted" if better else "rejected"))
        if better and got is not None:
            best = got
        else:
            for path, data in old.items():
                (tree / path).write_bytes(data)
        path_of_scores.append(best)
    return rows, path_of_scores
