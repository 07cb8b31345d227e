"""Alarms about a version that are in the record while the halt that they call for is not: who raised one died.  # D-4

Pure. A watch whose events say "roll back", a soak or outcomes whose finding drafted an incident: each halts everything
once the release has gone back. Whoever next takes the ledger finishes that (``takeback.finish``), and a run that is
going on stops. A person who has opened the incident has looked, and nothing is left then.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from festina.loop import soaks

if TYPE_CHECKING:
    from festina.loop.state import State

Alarm = Literal["monitor", "outcomes", "soak"]


@dataclass(frozen=True, slots=True)
class Left:
    """What is to be finished. ``watch``: its number, where one raised it; ``halted``: and only its end is missing."""

    generation: int
    by: Alarm
    reason: str
    watch: int | None = None
    halted: bool = False


def left(s: State) -> Left | None:
    """The first alarm that nobody has finished."""
    return _watch(s) or _soak(s) or _outcomes(s)


def _watch(s: State) -> Left | None:
    now = s.watches.open
    if now is None or now.alarm is None:
        return None
    why = now.sentence("taken back by the monitor")
    return Left(now.started.generation, "monitor", why, now.started.watch, not _fresh(s, "monitor", now.alarm))


def _soak(s: State) -> Left | None:
    for terms in soaks.terms_of(s):
        for (number, suite), row in s.watches.soaks.rows.items():
            if suite == terms.name and soaks.speaks(terms, row) and _unseen(s, "soak", row.seq):
                return Left(number, "soak", s.govern.drafts[row.seq])
    return None


def _outcomes(s: State) -> Left | None:
    for number, known in s.watches.outcomes.rows.items():
        if known.alarm is not None and _unseen(s, "outcomes", known.alarm):
            return Left(number, "outcomes", s.govern.drafts[known.alarm])
    return None


def _unseen(s: State, by: Alarm, seq: int) -> bool:
    return seq in s.govern.drafts and _fresh(s, by, seq)


def _fresh(s: State, by: Alarm, seq: int) -> bool:
    """Whether nothing was halted for it since."""
    return s.halts.newest.get(by, -1) < seq
