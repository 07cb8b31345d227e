"""Propose new weights: one round of learning from the approved generation's own answers.

Started by Festina in the tree of the improver in force, with a view of the incumbent. The weights of *this* tree
answer problems one digit longer than the incumbent was trained for, a filter picks, and the incumbent's weights learn
from what is left. So each approved generation teaches the next: weights, filter and recipe are the improver.

Which filter is tried follows from the one word that each earlier proposal got: the filter with the best record of
late, and now and then another one. Nothing else is known of the hidden problems.
"""

from __future__ import annotations

import json
import os
import random
import re
from pathlib import Path

LATELY = 3  # judged proposals of a filter that count: what carried the model so far may carry it no further
EXPLORE = 0.2  # share of proposals with a filter drawn by lot, once each has been tried


def record(history: list[dict]) -> dict[str, list[bool]]:
    """For each filter whether its judged proposals were accepted, oldest first: each patch shows the filter."""
    found: dict[str, list[bool]] = {}
    for row in history:
        used = re.search(r'^[ +] +"filter": "(\w+)"', row["patch"], re.MULTILINE)
        if used and row["word"] in ("accepted", "rejected", "inconclusive", "not accepted"):
            found.setdefault(used[1], []).append(row["word"] == "accepted")
    return found


def choose(names: list[str], history: list[dict], rng: random.Random) -> str:
    """The filter with the best record, the first of equals; one not tried counts as one half. Then by lot, too."""
    seen = record(history)
    if len(seen) >= len(names) and rng.random() < EXPLORE:
        return rng.choice(names)
    late = {name: seen.get(name, [])[-LATELY:] for name in names}
    return max(names, key=lambda name: (sum(late[name]) + 1) / (len(late[name]) + 2))


def main() -> None:
    from filters import FILTERS  # takes torch with it: the part above is tested without
    from model import load, save
    from teach import one_round, original

    view, out = Path(os.environ["FESTINA_VIEW"]), Path(os.environ["FESTINA_OUT"])
    seed = int(os.environ["FESTINA_SEED"])
    history = [json.loads(line) for line in (view / "history.jsonl").read_text().splitlines()]
    recipe = json.loads((view / "tree" / "recipe.json").read_text())
    names = sorted(FILTERS, key=lambda name: name != recipe["filter"])  # the one in use first
    recipe["filter"] = choose(names, history, random.Random(seed))
    recipe["reach"] += 1
    pupil = load(view / "tree" / "weights.safetensors")
    newest = one_round(load(Path("weights.safetensors")), pupil, original(Path("data/public.jsonl")), recipe, seed)
    files = out / "files"
    files.mkdir()
    save(pupil, files / "weights.safetensors")
    (files / "recipe.json").write_text(json.dumps(recipe, indent=2) + "\n")
    plan = {
        "weakness": f"problems of {recipe['reach']} digits",
        "rationale": f"{len(newest)} of {recipe['asked']} own answers passed the filter '{recipe['filter']}'",
        "predicted": 0.07,
    }
    (out / "proposal.json").write_text(json.dumps(plan))


if __name__ == "__main__":
    main()
