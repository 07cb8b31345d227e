"""The real loop from generation 0 on, and what came of each generation: ``python loop.py FOLDER [--budget 2h]``.

Makes FOLDER with a copy of the system, a home and the vault, and runs ``festina run`` there, with a demo-only key that
approves each changed improver (``approved_loop.py``). At the end every accepted generation's recipe is trained on
seeds that nothing else has used, and FOLDER/generations.jsonl holds its bits per byte as ``measure.py`` has them. The
same command goes on where it was stopped.

``--claim model``: each version is trained once, and verdicts are about that model. The numbers at the end are of
retrainings all the same: they say whether the recipe is better, too.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parent)]

import approved_loop  # noqa: E402
from festina.loop.state import State  # noqa: E402

FIRST, SEEDS = 70_000, 3


def measure(folder: Path, state: State) -> None:
    """Bits per byte of each accepted generation, public and hidden."""
    from measure import measured

    rows = []
    for number in state.line:
        source = approved_loop.file_of(folder, state.generations[number].commit, "train.py").decode()
        found = measured(source, range(FIRST, FIRST + SEEDS), every=4)
        means = {name: round(statistics.mean(values), 4) for name, values in found.items()}
        rows.append({"generation": number} | means | {"sd": round(statistics.stdev(found["hidden"]), 4)})
        print(rows[-1], flush=True)
    (folder / "generations.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))


def claim_model(root: Path) -> None:
    """The manifest of a claim about one trained model: one training a verdict, and batches as observations."""
    path = root / "festina.toml"
    text = path.read_text()
    for old, new in (('outputs =', 'train = "once"\noutputs ='), ('unit = "seed"', 'unit = "item"')):
        assert text.count(old) == 1
        text = text.replace(old, new)
    path.write_text(text)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--budget", default="2h", help="time for the loop")
    parser.add_argument("--proposals", type=int, default=40)
    parser.add_argument("--workers", type=int, default=0, help="trials at once; 0: one for each core")
    parser.add_argument("--claim", choices=("recipe", "model"), default="recipe", help="of a folder that is made now")
    options = parser.parse_args()
    place = approved_loop.settle(options.folder)
    change = claim_model if options.claim == "model" else None
    approved_loop.prepare(place, HERE / "system", HERE / "vault" / "generator.py", change)
    asked = {"--budget": options.budget, "--proposals": options.proposals, "--workers": options.workers}
    measure(place, approved_loop.run(place, [str(word) for pair in asked.items() for word in pair]))
