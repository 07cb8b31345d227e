"""The gap between what improved in public and what improved on hidden items, in numbers and in words.  # V-6, S-5

Both gains come as (estimate, low, high), oriented so that positive is better, with 95 % intervals. The gap is public
minus hidden. Its interval takes from each side the half-width that matters there and adds them in squares (the method
of variance estimates recovery): approximate. ``benchmarks/attribution.py`` has how often it is wrong and what it sees.
What was accepted was chosen for its hidden gain, which flatters that gain and makes the gap look smaller.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import sqrt

from festina.select.words import number

Spread = tuple[float, float, float]


def minus(a: Spread, b: Spread) -> Spread:
    """a - b of two independent estimates."""
    gap = a[0] - b[0]
    return gap, gap - sqrt((a[0] - a[1]) ** 2 + (b[2] - b[0]) ** 2), gap + sqrt((a[2] - a[0]) ** 2 + (b[0] - b[1]) ** 2)


def summed(spreads: Sequence[Spread]) -> Spread:
    """The sum of independent estimates."""
    middle = sum(each[0] for each in spreads)
    below = sqrt(sum((each[0] - each[1]) ** 2 for each in spreads))
    above = sqrt(sum((each[2] - each[0]) ** 2 for each in spreads))
    return middle, middle - below, middle + above


def overfitted(gap: Spread) -> bool:
    """Whether the public gain is more above the hidden one than the gap's interval explains."""
    return gap[1] > 0.0


def sentence(public: Spread, hidden: Spread, gap: Spread, *, items: int) -> str:
    """The comparison in plain words."""
    what = (
        f"On the {items:,} public items it is better by {_spread(public)}, on hidden items by {_spread(hidden)}; "
        f"the gap is {_spread(gap)}"
    )
    if overfitted(gap):
        return (
            f"{what}: more than chance explains. Part of the public gain does not carry over to items that the "
            "improver cannot see: it was fitted to the public items."
        )
    if gap[2] < 0.0:
        return f"{what}: hidden items gained more than public ones, so there is no sign of fitting to the public items."
    return f"{what}: within what chance explains, so no fitting to the public items is seen."


def over_the_run(public: Spread, hidden: Spread, gap: Spread, *, generations: int) -> str:
    """The same for all compared generations of the working line together."""
    steps = "the one accepted generation" if generations == 1 else f"{generations:,} accepted generations together"
    judged = "more than chance explains: evaluation overfitting" if overfitted(gap) else "within what chance explains"
    return (
        f"Over {steps} public scores improved by {_spread(public)}, hidden ones by {_spread(hidden)}; "
        f"gap {_spread(gap)}, {judged}."
    )


def _spread(found: Spread) -> str:
    width = found[2] - found[1]
    return f"{number(found[0], width)} (between {number(found[1], width)} and {number(found[2], width)})"
