"""Ask the verifier's process for trick answers, no faster and no longer than its scorers carry."""

from __future__ import annotations

from dataclasses import dataclass

from festina.drill.own.scratch import SCORER_S, Own
from festina.errors import Fault
from festina.verify.types import Probed

__all__ = ["PATIENCE", "Pace", "Rows", "ask", "pace_of"]

PATIENCE = 20.0
ANSWER_SETS = 64  # sets of answers in one request, about
PILOT = 4  # items on which the scorer's pace is measured
FEWEST = 12  # items of a sample
LONG_S = 15.0  # what one request should take at most
Rows = tuple[Probed, ...]


@dataclass(frozen=True, slots=True)
class Pace:
    """How fast the scorer is, and how much of it the drill asks therefore."""

    row_s: float  # for one answer
    items: int  # of a sample
    runs: int  # at most

    def limit_s(self, rows: int) -> float:
        """Long enough for a scorer that is merely slow, so that what runs over it hangs."""
        return max(SCORER_S, PATIENCE * self.row_s * rows)


def pace_of(own: Own, items: int) -> Pace:
    """Measured on a few right answers."""
    assert own.verifier is not None
    row_s = own.verifier.tricks("pace", 1, PILOT)[0].seconds / PILOT
    fitting = int(LONG_S / (ANSWER_SETS * row_s)) if row_s else items
    return Pace(row_s, max(FEWEST, min(items, fitting)), 1 if fitting < FEWEST else 1_000)




def ask(own: Own, what: str, seed: int, count: int, guard: int = -1, *, pace: Pace) -> Rows | Fault:
    assert own.verifier is not None
    try:
        return own.verifier.tricks(what, seed, count, guard=guard, limit_s=pace.limit_s(count * ANSWER_SETS))
    except Fault as fault:  # it hung, or ended the verifier: a finding by itself
        return fault
