"""Score answers: a sum is right or wrong, digit for digit, and only as a string of plain digits.

``exact`` is the goal. ``old`` is the guard: on problems as short as those that the first model was taught it is
``exact``, on all others it is 1. It stays at 1 while a model destroys itself at its frontier, which is why it is a
guard here and no goal.
"""

from __future__ import annotations

from typing import Any


def exact(item: dict[str, Any], output: object) -> float:
    """1.0 if ``output`` is the sum as people write it, else 0.0."""
    return float(type(output) is str and output == item["label"]["sum"])


def old(item: dict[str, Any], output: object) -> float:
    """The guard: ``exact`` on what was taught, and neutral elsewhere."""
    return exact(item, output) if item["label"]["old"] else 1.0
