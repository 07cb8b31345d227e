"""Score an answer: evaluate the point that it names, and trust no value that the candidate reports."""

from __future__ import annotations

import numpy as np
import problems


def regret(item, output):
    """log10 of the point's regret over random search's, from -2 (best) to 1 (worst, also for what is no point)."""
    problem = item["input"]
    if type(output) is not list or len(output) != problem["d"]:
        return 1.0
    if not all(type(v) in (int, float) and 0.0 <= v <= 1.0 for v in output):
        return 1.0
    point = np.zeros((1, 1, problems.WIDTH))
    point[0, 0, : problem["d"]] = output
    return problems.score(problem, float(problems.Batch([problem])(point)[0, 0]))
