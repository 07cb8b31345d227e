"""Train generation 0: right answers of one to six digits, no more. ``python base.py OUT.safetensors [--seed N]``.

The weights in ``system/`` are those of seed 0.
"""

from __future__ import annotations

import argparse
import random
import sys
import time
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE / "system")]

import torch  # noqa: E402
from model import Adder, Problem, answers, draw, save, train  # noqa: E402

STEPS, BATCH, RATE, TAUGHT = 500, 64, 3e-3, 6


def total(problem: Problem) -> str:
    """The answer key: in this file and the vault, never in the system."""
    return str(int(problem[0]) + int(problem[1]))


def base(seed: int) -> Adder:
    torch.manual_seed(seed)
    rng = random.Random(seed)
    model = Adder()
    lengths = [rng.randint(1, TAUGHT) for _ in range(STEPS)]
    train(model, [[(*p, total(p)) for p in draw(rng, digits, BATCH)] for digits in lengths], RATE)
    return model


def accuracy(model: Adder, digits: int, count: int, seed: int = 12345) -> float:
    problems = draw(random.Random(seed * 100 + digits), digits, count)
    said = answers(model, problems)
    return sum(answer == total(p) for p, answer in zip(problems, said, strict=True)) / count


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("out", type=Path)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    began = time.process_time()
    made = base(options.seed)
    save(made, options.out)
    cost = time.process_time() - began
    print(f"{cost:.0f} CPU seconds", {digits: accuracy(made, digits, 500) for digits in range(5, 11)})
