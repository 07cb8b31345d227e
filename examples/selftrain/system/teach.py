"""One round: the model answers problems one digit longer than it can do, a filter picks, it learns from what is left.

The only right answers within reach are the public ones, of one to six digits. Everything longer is labelled by the
model itself, anew in each round, the newest length most of all.
"""

from __future__ import annotations

import json
import random
from pathlib import Path

import torch
from filters import FILTERS
from model import Adder, Example, Problem, answers, draw, train

TAUGHT = 6  # digits up to which there are right answers
BATCH = 64


def original(path: Path) -> list[Example]:
    """The public problems with their answers."""
    rows = [json.loads(line) for line in path.read_text().splitlines()]
    return [(row["input"]["a"], row["input"]["b"], row["label"]["sum"]) for row in rows]


def labelled(model: Adder, rng: random.Random, digits: int, asked: int, kept: int, name: str) -> list[Example]:
    """At most ``kept`` of ``asked`` new problems with the model's own answers, those that pass the filter."""
    problems = draw(rng, digits, asked)
    said = answers(model, problems)

    def ask(others: list[Problem]) -> list[str]:
        return answers(model, others)

    passed = FILTERS[name](problems, said, ask)
    fit = [(a, b, answer) for (a, b), answer, ok in zip(problems, said, passed, strict=True) if ok]
    return [row for row in fit if len(row[2]) <= digits + 1][:kept]


def one_round(teacher: Adder, pupil: Adder, taught: list[Example], recipe: dict, seed: int) -> list[Example]:
    """Train ``pupil`` towards ``recipe["reach"]`` digits on the teacher's answers; returns those of that length."""
    rng = random.Random(seed)
    torch.manual_seed(seed)
    reach = recipe["reach"]
    pools = {}
    for digits in range(TAUGHT + 1, reach + 1):
        part = 1 if digits == reach else 3  # a third of the work on lengths that were learnt before
        pool = labelled(teacher, rng, digits, recipe["asked"] // part, recipe["kept"] // part, recipe["filter"])
        if pool:
            pools[digits] = pool
    by_length: dict[int, list[Example]] = {}
    for row in taught:
        by_length.setdefault(len(row[0]), []).append(row)
    batches = []
    for _ in range(recipe["steps"]):
        own = pools and rng.random() < recipe["own_share"]
        source = pools if own else by_length
        newest = own and reach in pools and rng.random() < recipe["newest_share"]
        digits = reach if newest else rng.choice(list(source))
        batches.append(rng.choices(source[digits], k=BATCH))
    train(pupil, batches, recipe["rate"])
    return pools.get(reach, [])
