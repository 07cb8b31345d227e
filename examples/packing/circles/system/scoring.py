"""Judge a packing of circles exactly: whole numbers, no tolerance, no rounding.

Published records for this problem have been overlaps of 1e-9 that a tolerance let through. Here a coordinate is a
decimal with at most 30 places, read as a whole number of units of 1e-30; two circles may touch, and that is all.
"""

from __future__ import annotations

import re
from itertools import combinations
from typing import Any

PLACES = 30
ONE = 10**PLACES
NUMBER = re.compile(rf"0\.([0-9]{{1,{PLACES}}})")


def radii(item: dict[str, Any], output: object) -> float:
    """The sum of the radii if all circles lie in the unit square and no two overlap, else 0."""
    if type(output) is not dict or output.keys() != {"instance", "circles"}:
        return 0.0
    circles = output["circles"]
    if output["instance"] != item["input"]["instance"] or type(circles) is not list:
        return 0.0
    read = [_circle(circle) for circle in circles]
    if len(read) != item["input"]["count"] or None in read:
        return 0.0
    return exact([circle for circle in read if circle is not None]) / ONE


def exact(circles: list[tuple[int, int, int]]) -> int:
    """The sum of the radii in units of 1e-30, or 0 for what is no packing."""
    for x, y, r in circles:
        if r <= 0 or min(x, y) < r or max(x, y) + r > ONE:
            return 0
    for (x, y, r), (u, v, s) in combinations(circles, 2):
        if (x - u) ** 2 + (y - v) ** 2 < (r + s) ** 2:
            return 0
    return sum(r for _, _, r in circles)


def _circle(circle: object) -> tuple[int, int, int] | None:
    if type(circle) is not list or len(circle) != 3 or not all(type(each) is str for each in circle):
        return None
    found = [NUMBER.fullmatch(each) for each in circle if each.isascii()]
    if len(found) != 3 or None in found:
        return None
    x, y, r = (int(match[1].ljust(PLACES, "0")) for match in found if match is not None)
    return x, y, r
