"""Answer problems: the best point that this tree's settings find for each, within the same number of evaluations."""

from __future__ import annotations

import json
import os

import numpy as np
import optimise
import problems


def main():
    here = os.path.dirname(os.path.abspath(__file__))
    ids, asked = problems.read(os.path.join(os.environ["FESTINA_IN"], "items.jsonl"))
    batch = problems.Batch(asked)
    rng = np.random.default_rng(int(os.environ["FESTINA_SEED"]))
    points, _ = optimise.optimise(batch, batch.d, problems.BUDGET, optimise.read(here), rng, problems.WIDTH)
    with open(os.path.join(os.environ["FESTINA_OUT"], "predictions.jsonl"), "w") as file:
        for name, problem, point in zip(ids, asked, points, strict=True):
            file.write(json.dumps({"id": name, "output": [round(float(v), 9) for v in point[: problem["d"]]]}) + "\n")


if __name__ == "__main__":
    main()
