"""There is one problem, no secret: n = 26. Each draw has a name of its own, so that answers belong to items."""

from __future__ import annotations

import random
from typing import Any

COUNT = 26


def grid() -> list[list[str]]:
    """Five by five circles of radius 0.1, and one between four of them: the start, and a known right answer."""
    rows = [[f"0.{2 * i + 1}", f"0.{2 * j + 1}", "0.1"] for i in range(5) for j in range(5)]
    return [*rows, ["0.2", "0.2", "0.0414213562"]]


def generate(seed: int, n: int) -> list[dict[str, Any]]:
    rng = random.Random(seed)
    names = [f"{rng.getrandbits(64):016x}" for _ in range(n)]
    return [
        {"input": {"instance": name, "count": COUNT}, "label": {}, "oracle": {"instance": name, "circles": grid()}}
        for name in names
    ]
