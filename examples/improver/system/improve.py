"""Propose better settings: the optimiser of the generation in force, turned on the optimiser itself.

The objective is the mean score over the public problems; what is searched are the 16 settings; and the search is run
by *this tree's* settings, from those of the incumbent. So a generation that optimises better should find better
settings. Whether it does is what ``festina growth --crossplay`` measures.
"""

from __future__ import annotations

import json
import os

import numpy as np
import optimise
import problems

EVALUATIONS = 60  # of the mean score: the proposing budget, the same for every generation


def mean_score(asked, batch, settings, seed):
    """The mean score over the problems, with random numbers that are the same for all settings."""
    rng = np.random.default_rng(seed)
    _, values = optimise.optimise(batch, batch.d, problems.BUDGET, settings, rng, problems.WIDTH)
    return float(np.mean(problems.scores(asked, values)))


def propose(own, incumbent, asked, seed, evaluations=EVALUATIONS):
    """(settings, their mean score, the incumbent's) of the best that ``own`` finds from ``incumbent``."""
    batch = problems.Batch(asked)

    def objective(x):
        return np.array([[mean_score(asked, batch, point, seed) for point in x[0]]])

    rng = np.random.default_rng(seed)
    size = len(optimise.NAMES)
    best, value = optimise.optimise(objective, np.array([size]), evaluations, own, rng, size, start=incumbent)
    return best[0], float(value[0]), mean_score(asked, batch, incumbent, seed)


def main():
    view, out = os.environ["FESTINA_VIEW"], os.environ["FESTINA_OUT"]
    incumbent = optimise.read(os.path.join(view, "tree"))
    _, asked = problems.read(os.path.join(view, "tree", "data", "public.jsonl"))
    seed = int(os.environ["FESTINA_SEED"]) % 2**63
    own = optimise.read(os.path.dirname(os.path.abspath(__file__)))
    found, value, base = propose(own, incumbent, asked, seed)
    if not value < base:
        print("nothing found that is better on the public problems")
        return
    os.makedirs(os.path.join(out, "files"), exist_ok=True)
    with open(os.path.join(out, "files", "settings.json"), "w") as file:
        file.write(optimise.text(found))
    with open(os.path.join(out, "proposal.json"), "w") as file:
        json.dump({"rationale": f"mean score on public problems {base:.3f} -> {value:.3f}",
                   "weakness": "settings chosen by hand or by a weaker search",
                   "predicted": round(base - value, 4)}, file)  # fmt: skip


if __name__ == "__main__":
    main()
