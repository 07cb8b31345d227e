"""Halts as part of the state: which stand, and how earlier ones ended.  # G-5, G-6"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from festina.ledger import entries as e
from festina.ledger.log import Record
from festina.loop.rows import misfit

if TYPE_CHECKING:
    from festina.loop.state import State


@dataclass(frozen=True, slots=True)
class Ended:
    """A halt and the resume that ended it."""

    halt: e.Halted
    resumed: e.Resumed
    at: str


@dataclass(slots=True)
class Halts:
    """``standing`` by id, in the order in which they were recorded; while there is one, nothing runs."""

    standing: dict[str, e.Halted] = field(default_factory=dict)
    history: list[Ended] = field(default_factory=list)
    newest: dict[str, int] = field(default_factory=dict)  # by who halted: the entry of the last one

    @property
    def ended(self) -> frozenset[str]:
        """Ids of the halts that a person has ended: their markers mean nothing any more."""
        return frozenset(each.halt.halt for each in self.history)

    def sentence(self) -> str:
        """Who stopped it, when and why; empty where nothing stands."""
        if not self.standing:
            return ""
        first = next(iter(self.standing.values()))
        because = f" because: {first.reason}" if first.reason else ""
        more = f", and {len(self.standing) - 1} more" if len(self.standing) > 1 else ""
        return f"halted by {first.by or 'somebody'} at {first.since}{because}{more}"


def halted(s: State, r: Record, b: e.Halted) -> None:
    if b.halt in s.halts.standing or b.halt in s.halts.ended:
        raise misfit(r, "a halt recorded twice")
    s.halts.standing[b.halt] = b
    s.halts.newest[b.by] = r.seq


def resumed(s: State, r: Record, b: e.Resumed) -> None:
    who = s.reviewers.get(b.reviewer)
    if who is None or (who.demo and not (s.genesis and s.genesis.demo and b.without_person)):
        return  # not somebody who may decide here: a person's key alone can never stop a ledger
    s.govern.looked()
    for halt in b.halts:
        stood = s.halts.standing.pop(halt, None)  # one that does not stand is passed over: recorded, without effect
        if stood is not None:
            s.halts.history.append(Ended(stood, b, r.at))


HANDLERS: dict[str, Callable[[State, Record, Any], None]] = {"halted": halted, "resumed": resumed}
