"""Draw instances: 5,000 items each, sizes from a Weibull distribution (shape 3, scale 45), rounded to 1..100.

Festina loads this file into the vault (``festina vault add hidden --generator vault/generator.py``) and calls
``generate(seed, n)``; nothing that runs in a sandbox ever sees it. The distribution is FunSearch's (Romera-Paredes
et al., Nature 625, 2024). It is no secret; the draws are.
"""

from __future__ import annotations

import math
import random
from typing import Any

ITEMS, CAPACITY, SHAPE, SCALE = 5000, 100, 3.0, 45.0


def sizes(rng: random.Random, n: int = ITEMS) -> list[int]:
    """n item sizes, by inverting the distribution function."""
    drawn = (SCALE * (-math.log(1.0 - rng.random())) ** (1.0 / SHAPE) for _ in range(n))
    return [min(CAPACITY, max(1, round(size))) for size in drawn]


def generate(seed: int, n: int) -> list[dict[str, Any]]:
    """Fresh instances. What answers is told a name, the capacity and the number of items; the items are the label."""
    rng = random.Random(seed)
    made = []
    for _ in range(n):
        name = f"{rng.getrandbits(64):016x}"
        made.append({
            "input": {"instance": name, "capacity": CAPACITY, "count": ITEMS},
            "label": {"items": bytes(sizes(rng)).hex()},
            "oracle": {"instance": name, "rule": {"priority": "-left", "tables": {}}},  # best fit: sound, not best
        })  # fmt: skip
    return made
