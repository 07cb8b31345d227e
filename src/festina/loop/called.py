"""Calls to models as part of the state: what they may still cost, and what they did cost.  # E-5

The budget is a run's. A run that was killed goes on with what it had left, whatever was under way counted in full: a
crash, or a hundred of them, buys nobody another budget. A run that came to an end of its own gives the next a new one.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from festina.ledger import entries as e
from festina.ledger.log import Record
from festina.loop.rows import misfit
from festina.propose.meter import Account, Cost

if TYPE_CHECKING:
    from festina.loop.state import State


@dataclass(slots=True)
class Called:
    """``account``: of the run that is open, or of the last one until another begins."""

    count: int = 0  # calls ever begun
    account: Account = field(default_factory=Account)
    open: dict[int, e.ModelAsked] = field(default_factory=dict)
    total: Cost = field(default_factory=Cost)  # of the whole ledger, what was cut off in full
    proposals: dict[int, Cost] = field(default_factory=dict)
    by_model: dict[str, Cost] = field(default_factory=dict)
    ends: dict[str, int] = field(default_factory=dict)
    replies: dict[tuple[int, str], str] = field(default_factory=dict)  # of the last proposal: by request, what came

    def next_run(self, *, crashed: bool) -> Account:
        """What the next run starts with."""
        return self.account.give_up() if crashed else Account()

    def add(self, asked: e.ModelAsked, used: Cost) -> None:
        self.total += used
        self.by_model[asked.model] = self.by_model.get(asked.model, Cost()) + used
        if asked.proposal is not None:
            self.proposals[asked.proposal] = self.proposals.get(asked.proposal, Cost()) + used

    def run_started(self, *, crashed: bool) -> None:
        for asked in self.open.values():
            self.add(asked, most(asked))
            self.ends["cut"] = self.ends.get("cut", 0) + 1
        self.open = {}
        self.account = self.next_run(crashed=crashed)


def most(asked: e.ModelAsked) -> Cost:
    """What was held for a call."""
    return Cost(asked.tokens_in, asked.tokens_out, asked.money, asked.calls)


def _asked(s: State, r: Record, b: e.ModelAsked) -> None:
    c = s.called
    if b.call != c.count or s.run is None:
        raise misfit(r, "a call out of order, or outside a run")
    c.count += 1
    c.open[b.call] = b
    if b.asker == "improver" and b.proposal is not None:
        c.replies = {key: reply for key, reply in c.replies.items() if key[0] == b.proposal}
    c.account = c.account.hold(b.call, most(b))


def _answered(s: State, r: Record, b: e.ModelAnswered) -> None:
    c = s.called
    asked = c.open.pop(b.call, None)
    if asked is None:
        raise misfit(r, "an answer without its intent")  # L-3
    used = Cost(b.tokens_in, b.tokens_out, b.money, b.calls)
    c.account = c.account.settle(b.call, used)
    c.ends[b.ended] = c.ends.get(b.ended, 0) + 1
    c.add(asked, used)
    if asked.asker == "improver" and asked.proposal is not None and b.ended == "ok" and b.reply is not None:
        c.replies[asked.proposal, asked.request] = b.reply


HANDLERS: dict[str, Callable[[State, Record, Any], None]] = {"model-asked": _asked, "model-answered": _answered}
