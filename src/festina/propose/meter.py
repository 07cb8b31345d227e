"""What models may cost, and what they did: accounting on paper.  # E-5

The worst case of a call is held before it is made (``hold``), and the call is refused where that does not fit under
the caps; afterwards what it used takes the place of what was held (``settle``). So nothing is ever overrun, as far as
the two bounds are true:

- a prompt has at most one token a byte, and at most ``PER_MESSAGE`` for each message's frame and ``PER_CALL`` for what
  a server's own template adds. That holds for tokenizers that work on bytes or fall back to them, as those of today's
  models do;
- a reply has at most the ``max_tokens`` that the request names.

A reply whose usage cannot be read is charged with all that was held. A server that says it used more than was held is
believed: the account shows it, and what follows is refused. A server that says less than it used is not found out.

Pure: no clock, no disk, no network.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

__all__ = ["Account", "Cap", "Caps", "Cost", "Price", "prompt_bound", "usage_of"]

PER_MESSAGE = 16
PER_CALL = 256
MOST_TOKENS = 10**9  # of one call: a larger number in a reply is no usage
MILLION = 1_000_000

Cap = Literal["tokens", "money", "calls"]


@dataclass(frozen=True, slots=True)
class Price:
    """Per million tokens, in whatever currency the caps are in. 0: a model of one's own."""

    input: float = 0.0
    output: float = 0.0


@dataclass(frozen=True, slots=True)
class Caps:
    """Hard limits of one run; None: none."""

    tokens: int | None = None
    money: float | None = None
    calls: int | None = None


@dataclass(frozen=True, slots=True)
class Cost:
    """What calls used, or may use at most."""

    tokens_in: int = 0
    tokens_out: int = 0
    money: float = 0.0
    calls: int = 0

    @property
    def tokens(self) -> int:
        return self.tokens_in + self.tokens_out

    def __add__(self, other: Cost) -> Cost:
        return Cost(
            self.tokens_in + other.tokens_in, self.tokens_out + other.tokens_out, self.money + other.money,
            self.calls + other.calls,
        )  # fmt: skip

    def __mul__(self, times: int) -> Cost:
        return Cost(self.tokens_in * times, self.tokens_out * times, self.money * times, self.calls * times)

    @classmethod
    def of(cls, price: Price, tokens_in: int, tokens_out: int, calls: int = 1) -> Cost:
        money = (tokens_in * price.input + tokens_out * price.output) / MILLION
        return cls(tokens_in, tokens_out, money, calls)


@dataclass(frozen=True, slots=True)
class Account:
    """The calls of one run: what is settled, and what is held for those under way, by the call's number."""

    settled: Cost = field(default_factory=Cost)
    held: Mapping[int, Cost] = field(default_factory=dict)

    @property
    def spent(self) -> Cost:
        """Settled, and everything that is held: a call that was cut off counts in full."""
        return sum(self.held.values(), self.settled)

    def over(self, caps: Caps, more: Cost) -> Cap | None:
        """The cap that ``more`` would break; None where it fits."""
        after = self.spent + more
        if caps.calls is not None and after.calls > caps.calls:
            return "calls"
        if caps.tokens is not None and after.tokens > caps.tokens:
            return "tokens"
        if caps.money is not None and after.money > caps.money * (1 + 1e-12):
            return "money"
        return None

    def room(self, caps: Caps, one: Cost, aside: Cost | None = None) -> int | None:
        """How many calls of at most ``one`` fit under the caps now, beside ``aside``; None: any number."""
        spent = self.spent + (aside or Cost())
        rows = ((caps.calls, spent.calls, one.calls), (caps.tokens, spent.tokens, one.tokens))
        found = [max(0, cap - used) // each for cap, used, each in rows if cap is not None and each > 0]
        if caps.money is not None and one.money > 0.0:
            found.append(int(max(0.0, caps.money * (1 + 1e-12) - spent.money) / one.money))
        return min(found, default=None)

    def hold(self, call: int, most: Cost) -> Account:
        return Account(self.settled, {**self.held, call: most})

    def settle(self, call: int, used: Cost) -> Account:
        """``used`` in place of what was held for ``call``. KeyError: nothing was."""
        held = dict(self.held)
        del held[call]
        return Account(self.settled + used, held)

    def give_up(self) -> Account:
        """Whoever was calling is dead: what was held is spent.  # L-3"""
        return Account(self.spent, {})


def prompt_bound(texts: list[str]) -> int:
    """Tokens that a prompt of these messages has at most."""
    return PER_CALL + sum(PER_MESSAGE + len(text.encode("utf-8", "surrogatepass")) for text in texts)


def usage_of(reply: object) -> tuple[int, int] | None:
    """(prompt, completion) tokens as an OpenAI-compatible reply states them; None where it does not, soundly."""
    usage = reply.get("usage") if isinstance(reply, Mapping) else None
    if not isinstance(usage, Mapping):
        return None
    found: list[int] = []
    for name in ("prompt_tokens", "completion_tokens"):
        value = usage.get(name)
        if isinstance(value, bool) or not isinstance(value, int | float):
            return None
        if not 0 <= value <= MOST_TOKENS or value != int(value):  # bounds first: 10**400 is no float
            return None
        found.append(int(value))
    return (found[0], found[1]) if any(found) else None
