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


KEPT = 256  # replies that a crash may have left unused: more are never under way
WORDS = {
    "down": "nothing answered", "slow": "too slow", "limited": "too many requests", "auth": "key not accepted",
    "refused": "refused by a filter", "schema": "not what the protocol says", "endless": "without an end",
    "empty": "empty", "huge": "too large", "error": "an error of the server", "cut": "cut off",
}  # fmt: skip


_READ = frozenset({  # all that ``Called.take`` looks at
    e.ModelAsked, e.ModelAnswered, e.ProposalReceived, e.RunEnded, e.RunStarted,
})  # fmt: skip


@dataclass(slots=True)
class Called:
    """``account``: of the run that is open, or of the last one until another begins. Takes entries in any order."""

    count: int = 0  # calls ever begun
    account: Account = field(default_factory=Account)
    open: dict[int, e.ModelAsked] = field(default_factory=dict)
    total: Cost = field(default_factory=Cost)  # of the whole ledger, what was cut off in full
    proposals: dict[int, Cost] = field(default_factory=dict)
    by_model: dict[str, Cost] = field(default_factory=dict)
    ends: dict[str, int] = field(default_factory=dict)
    repairs: int = 0
    replies: dict[str, str] = field(default_factory=dict)  # the last of the improver's: by request, what came
    crashed: bool = False  # the last run

    def take(self, body: e.Body) -> None:
        if type(body) not in _READ:
            return
        if isinstance(body, e.ModelAsked):
            self._asked(body)
        elif isinstance(body, e.ModelAnswered):
            self._answered(body)
        elif isinstance(body, e.ProposalReceived):
            self.repairs += body.repairs
        elif isinstance(body, e.RunEnded):
            self.crashed = body.reason == "crashed"
        elif isinstance(body, e.RunStarted):
            self._run_started()

    def next_run(self, *, crashed: bool) -> Account:
        """What the next run starts with."""
        return self.account.give_up() if crashed else Account()

    def _asked(self, b: e.ModelAsked) -> None:
        self.count = max(self.count, b.call + 1)
        self.open[b.call] = b
        self.account = self.account.hold(b.call, most(b))

    def _answered(self, b: e.ModelAnswered) -> None:
        asked = self.open.pop(b.call, None)
        if asked is None:
            return
        used = Cost(b.tokens_in, b.tokens_out, b.money, b.calls)
        self.account = self.account.settle(b.call, used)
        self._add(asked, used, b.ended)
        if asked.asker == "improver" and b.ended == "ok" and b.reply is not None:
            self.replies[asked.request] = b.reply
            while len(self.replies) > KEPT:
                del self.replies[next(iter(self.replies))]

    def _run_started(self) -> None:
        for asked in self.open.values():
            self._add(asked, most(asked), "cut")
        self.account = self.next_run(crashed=self.crashed)
        self.open = {}

    def _add(self, asked: e.ModelAsked, used: Cost, ended: str) -> None:
        self.total += used
        self.by_model[asked.model] = self.by_model.get(asked.model, Cost()) + used
        self.ends[ended] = self.ends.get(ended, 0) + 1
        if asked.proposal is not None:
            self.proposals[asked.proposal] = self.proposals.get(asked.proposal, Cost()) + used

    def sentences(self) -> list[str]:
        """What models were asked and what it cost, in plain words; empty where none was."""
        if not self.count:
            return []
        t, now = self.total, self.account.spent
        which = ", ".join(f"{name} {cost.calls}" for name, cost in sorted(self.by_model.items()))
        paid = f", {t.money:.4g} in money" if t.money else ""
        run = f"; {now.tokens:,} of the tokens in the last run" if now.tokens != t.tokens else ""
        said = [f"Models: {_count(t.calls, 'call')} ({which}), {t.tokens:,} tokens{paid}{run}."]
        failed = {how: number for how, number in self.ends.items() if how != "ok"}
        if failed:
            words = ", ".join(f"{number} {WORDS[how]}" for how, number in sorted(failed.items()))
            said.append(f"Calls that gave no answer: {words}.")
        if self.repairs:
            said.append(f"{_count(self.repairs, 'slip')} in the form of answers mended before they were read.")
        return said


def _count(number: int, noun: str) -> str:
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def most(asked: e.ModelAsked) -> Cost:
    """What was held for a call."""
    return Cost(asked.tokens_in, asked.tokens_out, asked.money, asked.calls)


def _asked(s: State, r: Record, b: e.ModelAsked) -> None:
    if b.call != s.called.count:  # it may come just after a run's end: of a try that was under way
        raise misfit(r, "a call out of order")
    s.called.take(b)


def _answered(s: State, r: Record, b: e.ModelAnswered) -> None:
    if b.call not in s.called.open:
        raise misfit(r, "an answer without its intent")  # L-3
    s.called.take(b)


HANDLERS: dict[str, Callable[[State, Record, Any], None]] = {"model-asked": _asked, "model-answered": _answered}
