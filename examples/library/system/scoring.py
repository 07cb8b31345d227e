"""Score answers: run the program that a candidate wrote down against the wanted table, and trust nothing in it.

``solved`` is the goal. ``easy`` is the guard: on tasks that generation 0 can express well it is ``solved``, on
all others it is 1, so that a growing language may not forget what it could say at the start.
"""

from __future__ import annotations

from typing import Any

MAX_GATES = 256


def solved(item: dict[str, Any], output: object) -> float:
    """1.0 if ``output`` is a straight-line NAND program that computes the item's table, else 0.0."""
    inputs, wanted = item["input"]["inputs"], int(item["input"]["table"][::-1], 2)
    if type(output) is not list or not 0 < len(output) <= MAX_GATES:
        return 0.0
    rows = range(1 << inputs)
    full = (1 << (1 << inputs)) - 1
    wires = [sum(1 << row for row in rows if row >> i & 1) for i in range(inputs)]
    for gate in output:
        if type(gate) is not list or len(gate) != 2:
            return 0.0
        a, b = gate
        # Exact types (true is no number), and only wires that exist already: no cycles, no forward references.
        if type(a) is not int or type(b) is not int or not (0 <= a < len(wires) and 0 <= b < len(wires)):
            return 0.0
        wires.append(full & ~(wires[a] & wires[b]))
    return float(wires[-1] == wanted)


def easy(item: dict[str, Any], output: object) -> float:
    """The guard: ``solved`` where the item's label says so, and neutral elsewhere."""
    return solved(item, output) if item["label"]["easy"] else 1.0
