"""Blocks of hidden items that candidates share, as the fold sees them.  # V-3, P-4, S-8

In sealed and ledger mode a test's items are those of the block in use, from its first item on, whatever came before.
A sealed block is taken from the source's untouched items when its first test opens, and given up on an acceptance, when
its tests are spent, or when the line goes back. A ledger block is one for the source's life: what was told about it
stands through every epoch.

Words reach the improver on a schedule: its next proposal, or the first try before that, is asked for a whole number of
slots after the test opened. How many these were is what the time tells, and is paid for. Between two runs the operator
decides the time: one slot.
"""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING

from festina.ledger import entries as e
from festina.select.budget import AnyBudget, InformationLedger, SealedBlocks, budget_of

if TYPE_CHECKING:
    from festina.loop.state import State

__all__ = ["asked", "close_open", "give_up", "keep", "opened", "place", "room", "shared", "size", "start", "told_all"]


def shared(epoch: e.EpochOpened) -> bool:
    """Whether candidates answer the same items."""
    return epoch.suite.mode != "fresh"


def size(epoch: e.EpochOpened) -> int:
    """Items of one block."""
    return epoch.suite.max_units * epoch.suite.batch_items


def start(s: State, epoch: e.EpochOpened) -> AnyBudget:
    """The budget of a new epoch; in ledger mode with what was told about the block before."""
    s.block = None
    s.word_from, s.late = "", []
    kept = s.ledgers.get(epoch.suite.source or "")
    if epoch.suite.mode == "ledger" and kept is not None:
        s.block = (0, kept[0])
        return kept[1].under(epoch.alpha)
    return budget_of(epoch.suite.mode, epoch.alpha, epoch.spread, epoch.error)


def place(s: State) -> tuple[int, int]:
    """(number, first item) of the block that the next test uses."""
    assert s.epoch is not None
    budget = s.budget
    number = budget.block if isinstance(budget, SealedBlocks) else 0
    if s.block is not None and s.block[0] == number:
        return s.block
    return number, s.source_looks.get(s.epoch.suite.source or "", 0)


def opened(s: State, number: int, first: int, at: str) -> None:
    """A test opened in this block: its items are no longer untouched."""
    assert s.epoch is not None
    source = s.epoch.suite.source or ""
    s.block = (number, first)
    s.source_looks[source] = max(s.source_looks.get(source, 0), first + size(s.epoch))
    s.word_from = at


def keep(s: State) -> None:
    """Remember what is told about a block that stays."""
    if isinstance(s.budget, InformationLedger) and s.epoch is not None and s.block is not None:
        s.ledgers[s.epoch.suite.source or ""] = (s.block[1], s.budget)


def asked(s: State, at: str) -> None:
    """The improver was asked at this time, for a proposal or a try: the words up to here have been told."""
    if s.word_from and s.epoch is not None and isinstance(s.budget, SealedBlocks | InformationLedger):
        slots = _slots(s.word_from, at, s.epoch.suite.word_every_s) if s.word_from >= s.run_at else 1
        if slots > 1:
            s.late.append(_seconds(s.word_from, at))
        s.budget = s.budget.told(slots)
        keep(s)
    s.word_from = ""


def give_up(s: State) -> None:
    """The line went back: a sealed block's words were about another incumbent.  # S-8"""
    if isinstance(s.budget, SealedBlocks) and not s.budget.reserved:
        s.budget = s.budget.retire()


def close_open(s: State) -> None:
    """A new epoch ends the open test: its word is told like any other."""
    for test in s.open.values():
        if isinstance(s.budget, InformationLedger):
            s.budget = s.budget.close(test.terms.level, False)
            keep(s)


def room(s: State, items_left: int | None) -> bool:
    """Whether the source holds what the next test needs.  # V-3"""
    assert s.epoch is not None
    if items_left is None or s.open:
        return True
    return place(s) == s.block or items_left >= size(s.epoch)


def told_all(s: State) -> bool:
    """Whether as much was told about the block as it can bear."""
    if not isinstance(s.budget, InformationLedger) or s.epoch is None:
        return False
    return s.budget.bits >= s.epoch.suite.bits


def _slots(start_: str, end: str, every_s: float) -> int:
    return max(1, int(_seconds(start_, end) // every_s)) if every_s > 0 else 1


def _seconds(start_: str, end: str) -> float:
    return (datetime.fromisoformat(end) - datetime.fromisoformat(start_)).total_seconds()
