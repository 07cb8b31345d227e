"""The verifier's own books: a fold over a ledger's entries that knows every number of every verdict.  # S-4, S-5, T-1

``check`` says which numbers of an entry do not follow from the entries before it; ``take`` folds it in. Both need
nothing but entries: no database, no clock, no engine. The loop keeps other books (``loop.state``) for other purposes;
that the two agree is checked at every signature, because the verifier's process signs no verdict that its own books
do not give (``signing``). They share the rule itself (``select``) and the composition of the entry (``verdicts``).

What does not follow from entries, and is taken as the engine said it: how many items a finite suite still held (the
reason ``budget``), that a trial could not be run (``fault``), and everything outside verdicts, levels and evidence.

``follows`` has the checks, ``taking`` the fold, ``books`` what both work on.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from festina.errors import IntegrityError
from festina.ledger import entries as e
from festina.ledger.base import Entered
from festina.select import gate, planning
from festina.select.budget import AnyBudget, Promise
from festina.select.noise import UNKNOWN, Noise
from festina.verify import blocks
from festina.verify.books import Control, Line, Mismatch, Open
from festina.verify.follows import CHECKS
from festina.verify.soaking import Asking
from festina.verify.taking import TAKES
from festina.verify.verdicts import anchor_needed

__all__ = ["TAKEN", "Account", "Mismatch", "Open"]

TAKEN = frozenset(TAKES)


@dataclass(slots=True)
class Account:
    """The books after the entries taken so far."""

    genesis: e.Genesis | None = None
    epoch: e.EpochOpened | None = None
    alpha: float = 0.0  # summed over epochs
    tested: bool = False  # whether a test was opened in this epoch
    error: Promise = "familywise"
    budget: AnyBudget | None = None
    noise: Noise = UNKNOWN  # what this epoch's closed tests have shown of differences
    shared: blocks.Shared = field(default_factory=blocks.Shared)
    open: dict[int, Open] = field(default_factory=dict)  # by test
    trees: dict[int, str] = field(default_factory=dict)  # screened, by proposal
    targets: dict[int, str] = field(default_factory=dict)  # declared, by proposal  # S-6
    origins: dict[int, tuple[int, str]] = field(default_factory=dict)  # (entry, what it sealed), by proposal  # V-7
    undo: tuple[int, AnyBudget] | None = None
    line: Line = field(default_factory=Line)
    control: Control | None = None
    measure: e.MeasureStarted | None = None  # charged and not ended
    measure_leaf: str = ""
    soaks: dict[tuple[str, str], Asking] = field(default_factory=dict)  # by content and suite  # D-3
    draws: dict[tuple[int | None, str | None], str] = field(default_factory=dict)  # leaf of a final score's intent
    level: int = 0  # of the run's sandbox
    at_once: int = 1  # tests that the run may have open
    reviewers: dict[str, e.ReviewerEnrolled] = field(default_factory=dict)
    plans: dict[gate.Plan, int] = field(default_factory=dict)  # fewest units that could accept
    verdicts: int = 0
    told: int = 0  # verdicts whose reason is the engine's word

    def check(self, seq: int, kind: str, body: Any) -> list[Mismatch]:  # noqa: ANN401 - one of some thirty types
        """What of this entry does not follow. Raises ``IntegrityError`` for an entry that fits nothing before it."""
        found = CHECKS[kind](self, body) if kind in CHECKS else {}
        return [Mismatch(seq, kind, name, *map(str, pair)) for name, pair in found.items()]

    def take(self, record: Entered) -> None:
        """Fold an entry in, as it was recorded."""
        if record.kind in TAKES:
            TAKES[record.kind](self, record, record.body)

    def see(self, record: Entered) -> list[Mismatch]:
        """Check and take."""
        if record.kind not in TAKES:
            return []
        found = self.check(record.seq, record.kind, record.body)
        self.take(record)
        return found

    def test(self, number: int) -> Open:
        if number not in self.open:
            raise IntegrityError("entry-does-not-fit", f"test {number} is not open")
        return self.open[number]

    def rules(self) -> e.EpochOpened:
        if self.epoch is None:
            raise IntegrityError("entry-does-not-fit", "no epoch is open")
        return self.epoch

    def anchor_apart(self, incumbent_tree: str, target: e.Target) -> bool:
        """Whether guards need a side of their own: the anchor is another tree than the incumbent.  # V-4"""
        epoch = self.rules()
        return anchor_needed(epoch, target) and epoch.anchor_tree != incumbent_tree

    def least_units(self, plan: gate.Plan) -> int:
        """The fewest units that could accept, computed once a level."""
        if plan not in self.plans:
            self.plans.clear()
            self.plans[plan] = planning.units_min_accept(plan)
        return self.plans[plan]
