"""How far capability suites show that capability moved, beside what gains on the goal's own scale say.  # G-2

A skill that the goal does not ask for grows unseen between two characterisations. What suites show of it counts as soon
as any of them ran on a newer version, also where the others did not; and where they showed more between the last two
complete characterisations than the accepted gains came to, every change since is taken for that pace. Both only ever
widen the gap.

A movement is shown by more than ``CLEAR`` standard errors and ``LEAST`` doublings; then its upper 95 % bound counts.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from festina.loop import abilities
from festina.select.normal import TWO_SIDED_2
from festina.verify.capabilities import ability

if TYPE_CHECKING:
    from festina.loop.state import State

CLEAR, LEAST = 3.0, 0.5  # standard errors, and doublings


def gap(s: State, newest: int) -> float | None:
    """Doublings that capability may have moved since ``newest`` on the line; None: a gain is not known."""
    later = s.line[s.line.index(newest) + 1 :]
    pace = pace_of(s, newest)
    known = [max(gain, pace) for number in later if (gain := s.govern.gains.get(number)) is not None]
    if len(known) < len(later):
        return None
    measured = [
        found + sum(known[place + 1 :])
        for place, number in enumerate(later)
        if (found := _moved(s, newest, number)) is not None
    ]
    return max([sum(known), *measured])


def pace_of(s: State, newest: int) -> float:
    """Doublings a change, where suites showed more up to ``newest`` than the gains accepted meanwhile; else 0."""
    place = s.line.index(newest)
    before = next((at for at in range(place - 1, -1, -1) if s.govern.complete_all(s, s.line[at])), None)
    found = None if before is None else _moved(s, s.line[before], newest)
    if before is None or found is None:
        return 0.0
    gains = [s.govern.gains.get(number) for number in s.line[before + 1 : place + 1]]
    told = sum(gain for gain in gains if gain is not None)
    return found / (place - before) if found > told or None in gains else 0.0


def _moved(s: State, old: int, new: int) -> float | None:
    """Upper bound of the largest movement that a suite shows from one generation to the other; None: none is shown."""
    found = []
    before, after = s.govern.abilities.get(old, {}), s.govern.abilities.get(new, {})
    for suite in abilities.terms_of(s):
        if suite.name not in before or suite.name not in after:
            continue
        rows = [kept[suite.name][1] for kept in (before, after)]
        if not all(body.items for body in rows):  # no unit gave an answer: that is no measurement
            continue
        (low, wide), (high, narrow) = (ability(suite, body.mean, body.error, body.items) for body in rows)
        error = math.hypot(wide, narrow)
        if high - low > max(LEAST, CLEAR * error):
            found.append(high - low + TWO_SIDED_2 * error)
    return max(found, default=None)
