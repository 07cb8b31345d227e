"""Draw what ``arms.py`` measured: how far each filter carries the model. ``python plot.py RESULTS.jsonl OUT.png``.

Left: the longest numbers up to which every length is added rightly in 99 of 100 cases, by round. Right: the share of
right labels among those that the filter let through.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import matplotlib

matplotlib.use("Agg")
from matplotlib import pyplot

COLOURS = {"none": "#b2182b", "agree": "#ef8a62", "nines": "#2166ac", "key": "#999999"}


def reach(accuracy: dict[str, float]) -> int:
    """The last length before the first that misses .99."""
    lengths = sorted(map(int, accuracy))
    good = [digits for digits in lengths if accuracy[str(digits)] >= 0.99]
    missed = [digits for digits in lengths if digits not in good]
    return max((digits for digits in good if not missed or digits < missed[0]), default=0)


if __name__ == "__main__":
    rows = [json.loads(line) for line in Path(sys.argv[1]).read_text().splitlines()]
    figure, (left, right) = pyplot.subplots(1, 2, figsize=(9, 3.4))
    for name, seed in sorted({(row["filter"], row["seed"]) for row in rows}):
        mine = sorted((r for r in rows if (r["filter"], r["seed"]) == (name, seed)), key=lambda r: r["round"])
        style = {"color": COLOURS[name], "linestyle": "-" if seed == 0 else "--", "marker": "o", "markersize": 3}
        label = name if seed == 0 else None
        left.plot([r["round"] for r in mine], [reach(r["accuracy"]) for r in mine], label=label, **style)
        told = [r for r in mine if r["right"] is not None]
        right.plot([r["round"] for r in told], [r["right"] for r in told], **style)
    left.set(xlabel="round", ylabel="digits at .99 and more", title="how far it adds")
    right.set(xlabel="round", ylabel="share", title="labels that are right", ylim=(-0.03, 1.03))
    left.legend(frameon=False)
    figure.tight_layout()
    figure.savefig(sys.argv[2], dpi=110)
