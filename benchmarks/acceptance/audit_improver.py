"""The improver of ``audit``: three ways to propose, by lot. Copied into the example as ``mixed.py``.

*careful*: the example's own improver, on all public tasks. *lucky*: the same on 20 of them, which it fits. *lot*: two
sub-functions drawn by lot, sometimes for an old one. A loop meets all three kinds, and is not told which.
"""

from __future__ import annotations

import json
import os
import random

import improve
import solve

WAYS = ("careful", "lucky", "lot")
FEW = 20


def choose(
    incumbent: list[solve.Primitive], tasks: list[solve.Task], tried: set[frozenset[str]], seed: int
) -> tuple[list[solve.Primitive] | None, str]:
    """(the library to propose or None, the way it was found)."""
    rng = random.Random(seed)
    way = rng.choice(WAYS)
    if way != "lot":
        seen = tasks if way == "careful" else rng.sample(tasks, FEW)
        best = improve.propose(incumbent, incumbent, seen, tried, seed)
        return (best[0] if best else None), way
    pool = [p for p in improve.mine(incumbent, tasks) if p.name not in improve.names(incumbent)]
    library = rng.sample(pool, min(2, len(pool))) + incumbent
    if rng.random() < 0.5:
        library.remove(rng.choice(incumbent))
    return (None if improve.names(library) in tried else library), way


def main() -> None:
    view, out = os.environ["FESTINA_VIEW"], os.environ["FESTINA_OUT"]
    tree = os.path.join(view, "tree")
    incumbent = solve.read_library(tree)
    with open(os.path.join(view, "history.jsonl")) as file:
        tried = improve.tried_since_acceptance([json.loads(line) for line in file], incumbent)
    tasks = solve.read_tasks(os.path.join(tree, "data", "public.jsonl"))
    library, way = choose(incumbent, tasks, tried, int(os.environ["FESTINA_SEED"]))
    if library is None:
        print("nothing untried")
        return
    os.makedirs(os.path.join(out, "files"), exist_ok=True)
    with open(os.path.join(out, "files", "library.json"), "w") as file:
        file.write(solve.library_text(library))
    with open(os.path.join(out, "proposal.json"), "w") as file:
        json.dump({"weakness": "tasks without a program", "rationale": way, "predicted": 0.03}, file)


if __name__ == "__main__":
    main()
