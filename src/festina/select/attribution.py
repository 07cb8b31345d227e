"""Which part of a change caused what: combinations to run, and effects from their scores.  # V-8, S-5

Parts are numbered 0 .. n-1 and a combination is a set of bits: 0 is the tree before the change, ``full(n)`` the whole
change. ``ablation`` leaves each part out of the whole and adds each alone to nothing; what the parts' leave-one-out
effects do not add up to is the residue, a sign that parts work only together (negative) or do the same thing
(positive). Shapley values share the whole effect out among the parts, exactly from all combinations, or from
permutations and their reverses, one pair a unit, so that one interval covers noise and sampling alike.

Every unit scores all its combinations on the same items under the same seed. Intervals are ``student``'s, 95 % each by
itself: of 20 parts that do nothing, one will seem to do something.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import factorial
from typing import Literal

from festina.errors import Fault
from festina.select.student import Spread, spread

EXACT_PARTS = 6  # 64 combinations
LEAST_UNITS = 8  # fewer say nothing worth a run
SINGLE = "the change is a single hunk, whose effect is the verdict's"  # a change that explains itself

Word = Literal["helps", "harms", "nothing", "unclear", "needed"]
Scores = Mapping[int, float]  # by combination


def full(parts: int) -> int:
    return (1 << parts) - 1


def ablation(parts: int) -> tuple[int, ...]:
    """The combinations of leave-one-out and add-one-in, without repeats; the whole comes first."""
    whole = full(parts)
    wanted = [whole, 0, *(whole ^ 1 << i for i in range(parts)), *(1 << i for i in range(parts))]
    return tuple(dict.fromkeys(wanted))


def every(parts: int) -> tuple[int, ...]:
    """All combinations, for exact Shapley values."""
    if parts > EXACT_PARTS:
        raise Fault("too-many-parts", f"{parts} parts have {1 << parts} combinations")
    return tuple(range(1 << parts))


def chains(order: Sequence[int]) -> tuple[int, ...]:
    """The combinations that a permutation and its reverse pass through, without repeats."""
    forth, back = [0], [0]
    for one, other in zip(order, reversed(order), strict=True):
        forth.append(forth[-1] | 1 << one)
        back.append(back[-1] | 1 << other)
    return tuple(dict.fromkeys([*forth, *back]))


@dataclass(frozen=True, slots=True)
class Ablation:
    """Effects by part. None: a combination that it needs did not run."""

    leave_out: tuple[Spread | None, ...]
    alone: tuple[Spread | None, ...]
    total: Spread
    residue: Spread | None


def by_ablation(parts: int, units: Sequence[Scores], *, scale: float = 1.0) -> Ablation:
    """Effects from units that each scored ``ablation(parts)`` but for combinations that never ran."""
    whole = full(parts)

    def effect(more: int, less: int) -> Spread | None:
        if any(more not in unit or less not in unit for unit in units):
            return None
        return spread([unit[more] - unit[less] for unit in units], scale)

    leave_out = tuple(effect(whole, whole ^ 1 << i) for i in range(parts))
    residue = None
    if None not in leave_out:
        left = [
            unit[whole] - unit[0] - sum(unit[whole] - unit[whole ^ 1 << i] for i in range(parts)) for unit in units
        ]
        residue = spread(left, scale)
    total = effect(whole, 0)
    if total is None:
        raise Fault("nothing-to-compare", "the change or what it changed did not run")
    return Ablation(leave_out, tuple(effect(1 << i, 0) for i in range(parts)), total, residue)


def by_shapley(parts: int, units: Sequence[Scores], *, scale: float = 1.0) -> tuple[Spread, ...]:
    """Exact Shapley values from units that each scored ``every(parts)``."""
    weights = [
        factorial(size) * factorial(parts - size - 1) / factorial(parts) for size in range(parts)
    ]  # by how many others are there already
    found = []
    for i in range(parts):
        without = [mask for mask in range(1 << parts) if not mask >> i & 1]
        values = [
            sum(weights[mask.bit_count()] * (unit[mask | 1 << i] - unit[mask]) for mask in without) for unit in units
        ]
        found.append(spread(values, scale))
    return tuple(found)


def by_permutations(
    parts: int, units: Sequence[Scores], orders: Sequence[Sequence[int]], *, scale: float = 1.0
) -> tuple[Spread, ...]:
    """Shapley values from one permutation and its reverse a unit, each scored on ``chains`` of that unit's order."""
    rows: list[list[float]] = [[] for _ in range(parts)]
    for unit, order in zip(units, orders, strict=True):
        gained = [0.0] * parts
        for way in (order, list(reversed(order))):
            mask = 0
            for i in way:
                gained[i] += 0.5 * (unit[mask | 1 << i] - unit[mask])
                mask |= 1 << i
        for i in range(parts):
            rows[i].append(gained[i])
    return tuple(spread(values, scale) for values in rows)


def judged(effect: Spread | None, guards: Sequence[Spread], *, detect: float, untouched: bool) -> Word:
    """One word about a part. ``untouched``: no score of any unit differed without it."""
    if effect is None:
        return "needed"
    if effect[1] > 0.0:
        return "helps"
    if effect[2] < 0.0:
        return "harms"
    small = -detect < effect[1] and effect[2] < detect
    if untouched or (small and not any(guard[1] > 0.0 for guard in guards)):
        return "nothing"
    return "unclear"
