"""The real loop from generation 0 on, and what came of each generation: ``python loop.py FOLDER [--budget 2h]``.

Makes FOLDER with a copy of the system, a home and the vault, and runs ``festina run`` there. Each generation's weights
teach the next, so each needs approval before it proposes; here a demo-only key approves, and such a ledger can never
release anything. With a person in its place the loop is ``festina run --review-wait 8h`` and ``festina review``.

At the end every accepted generation answers fresh problems of each length (``accuracy`` in ``base.py``), and
FOLDER/generations.jsonl holds the result. The same command goes on where it was stopped.
"""

from __future__ import annotations

import argparse
import json
import random
import sys
import tempfile
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE / "system"), str(HERE.parent)]

import approved_loop  # noqa: E402
from festina.loop.state import State  # noqa: E402


def prepare(folder: Path, first: str = "none") -> Path:
    """A repository with generation 0, whose recipe names the filter ``first``, and the vault's generator."""

    def begin_with(root: Path) -> None:
        recipe = root / "recipe.json"
        recipe.write_text(recipe.read_text().replace('"filter": "none"', f'"filter": "{first}"'))

    return approved_loop.prepare(folder, HERE / "system", HERE / "vault" / "generator.py", begin_with)


def measure(folder: Path, state: State) -> None:
    """Each accepted generation on fresh problems; and how right the labels are that its filter takes."""
    from base import accuracy, total
    from model import load
    from teach import labelled

    rows, models = [], {}
    for number in state.line:
        generation = state.generations[number]
        with tempfile.TemporaryDirectory() as scratch:
            weights = Path(scratch) / "weights.safetensors"
            weights.write_bytes(approved_loop.file_of(folder, generation.commit, "weights.safetensors"))
            models[number] = load(weights)
        recipe = json.loads(approved_loop.file_of(folder, generation.commit, "recipe.json"))
        row = {"generation": number, "filter": recipe["filter"], "reach": recipe["reach"]}
        if generation.proposal is not None:
            teacher = models[state.proposals[generation.proposal].from_generation]
            rng = random.Random(f"labels/{number}")
            told = labelled(teacher, rng, recipe["reach"], recipe["asked"], recipe["kept"], recipe["filter"])
            right = sum(total((a, b)) == answer for a, b, answer in told)
            row |= {"labels": len(told), "right": round(right / len(told), 4) if told else None}
        row["accuracy"] = {str(digits): accuracy(models[number], digits, 300) for digits in range(5, 21)}
        rows.append(row)
        print(row, flush=True)
    (folder / "generations.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--budget", default="2h", help="time for the loop")
    parser.add_argument("--proposals", type=int, default=40)
    parser.add_argument("--workers", type=int, default=0, help="trials at once; 0: one for each core")
    parser.add_argument("--first", default="none", help="the filter that generation 0's recipe names")
    options = parser.parse_args()
    place = approved_loop.settle(options.folder)
    prepare(place, options.first)
    asked = {"--budget": options.budget, "--proposals": options.proposals, "--workers": options.workers}
    measure(place, approved_loop.run(place, [str(word) for pair in asked.items() for word in pair]))
