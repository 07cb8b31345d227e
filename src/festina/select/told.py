"""An attribution in plain words: what each hunk does, whether it can go, and whether the hunks add up.  # V-8, S-5

Pure text from numbers. Names of guards come from the manifest; places of hunks, which proposers chose, are added by
whoever shows this, made visible.
"""

from __future__ import annotations

from collections.abc import Sequence

from festina.select.attribution import Word
from festina.select.student import Spread
from festina.select.words import number

HEADS: dict[Word, str] = {
    "helps": "helps", "harms": "does harm", "nothing": "does nothing", "unclear": "cannot be told",
    "needed": "is needed",
}  # fmt: skip


def size(found: Spread) -> str:
    """An effect with its interval, with the decimals that the interval needs."""
    width = found[2] - found[1] or abs(found[0])
    return f"{number(found[0], width)} (between {number(found[1], width)} and {number(found[2], width)})"


def hunk(
    word: Word, effect: Spread | None, guards: Sequence[tuple[str, Spread]], *, units: int, shared: bool = False
) -> str:
    """What one hunk does. ``effect``: the whole change minus the change without it, or its share of the whole."""
    text = _goal(word, effect, units, shared)
    worse = [name for name, found in guards if found[2] < 0.0]
    better = [name for name, found in guards if found[1] > 0.0]
    if worse:
        text += f" It makes the guard {', '.join(worse)} worse."
    if better:
        text += f" It holds the guard {', '.join(better)} up."
    return text


def _goal(word: Word, effect: Spread | None, units: int, shared: bool) -> str:
    if effect is None or word == "needed":
        return "Is needed: without it the rest does not run."
    about = "its share of the whole is" if shared else "the change with it is better than without it by"
    if word == "nothing" and effect[1] == effect[2] == 0.0:
        return f"Does nothing: no score of {units} paired runs differed without it. This hunk can go."
    if word == "nothing":
        return f"Does nothing worth having: {about} {size(effect)}. This hunk can go."
    if word == "harms":
        return f"Does harm: {about} {size(effect)}. This hunk can go, and the change is better without it."
    if word == "helps":
        return f"Helps: {about} {size(effect)}."
    return f"Cannot be told: {about} {size(effect)}, and {units} paired runs do not say more."


def whole(total: Spread, residue: Spread | None, *, units: int, broken: int) -> str:
    """The change as a whole, and whether its hunks add up."""
    text = f"The whole change is better by {size(total)} in {units} paired runs."
    if residue is not None and residue[2] < 0.0:
        text += f" Its hunks do not add up (rest {size(residue)}): some of them work only together."
    elif residue is not None and residue[1] > 0.0:
        text += f" Its hunks do not add up (rest {size(residue)}): some of them do the same thing."
    if broken:
        text += f" {broken} of the combinations did not run at all."
    return text
