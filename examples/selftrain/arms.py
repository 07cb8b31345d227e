"""The same rounds without a gate, whatever comes of them: what each filter does to the model.

    python arms.py RESULTS.jsonl --filter none agree nines key --seed 0 1

One line a round: the share of right labels among those that passed, and the model's accuracy at the lengths 5 and 6
(old) to 17, on 300 fresh problems each. ``key`` lets only right answers through: the most that any filter could do.
Resumes: rounds that stand in the file are not run again, their weights lie beside it.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE / "system")]

import filters  # noqa: E402
from base import accuracy, base, total  # noqa: E402
from model import load, save  # noqa: E402
from teach import one_round, original  # noqa: E402

LAST = 17
filters.FILTERS["key"] = lambda problems, said, ask: [total(p) == s for p, s in zip(problems, said, strict=True)]


def arm(out: Path, name: str, seed: int, rounds: int, done: dict[int, dict[str, Any]]) -> None:
    """Go on where ``out`` ends. Round 0 is the model as it was taught."""
    kept = out.with_suffix(f".{name}.{seed}.safetensors")
    recipe = json.loads((HERE / "system" / "recipe.json").read_text()) | {"filter": name}
    taught = original(HERE / "system" / "data" / "public.jsonl")
    for number in range(rounds + 1):
        if number in done:
            continue
        began = time.process_time()
        if number == 0:
            start = HERE / "system" / "weights.safetensors"
            model, labels = (load(start) if seed == 0 else base(seed)), []
        else:
            model, recipe["reach"] = load(kept), 6 + number
            labels = one_round(load(kept), model, taught, recipe, seed * 1000 + number)
        cpu = time.process_time() - began
        save(model, kept)
        right = sum(total((a, b)) == answer for a, b, answer in labels)
        row = {
            "filter": name, "seed": seed, "round": number, "labels": len(labels),
            "right": round(right / len(labels), 4) if labels else None, "cpu_s": round(cpu, 1),
            "accuracy": {str(digits): accuracy(model, digits, 300) for digits in range(5, LAST + 1)},
        }  # fmt: skip
        with out.open("a") as file:
            file.write(json.dumps(row) + "\n")
        print(row, flush=True)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=Path)
    parser.add_argument("--filter", nargs="+", default=["none", "agree", "nines", "key"])
    parser.add_argument("--seed", type=int, nargs="+", default=[0, 1])
    parser.add_argument("--rounds", type=int, default=11)
    options = parser.parse_args()
    known = [json.loads(line) for line in options.out.read_text().splitlines()] if options.out.exists() else []
    for seed in options.seed:
        for name in options.filter:
            mine = {row["round"]: row for row in known if (row["filter"], row["seed"]) == (name, seed)}
            arm(options.out, name, seed, options.rounds, mine)
