"""Where calls to models are entered before they are made, and settled afterwards.  # E-5, L-3

The caller holds the most that a call can cost, makes it, and settles it with what came. The engine's book writes both
into the ledger; ``PaperBook`` keeps them in memory, for callers without an engine.
"""

from __future__ import annotations

import re
import threading
from dataclasses import dataclass
from hashlib import sha256
from typing import Literal, Protocol

from festina.ledger.calling import Ended
from festina.propose.meter import Account, Cap, Caps, Cost

__all__ = ["Answer", "Ask", "Book", "PaperBook", "digest", "name_of"]


@dataclass(frozen=True, slots=True)
class Ask:
    """What is about to be asked. ``request``: the bytes that will be sent, or a batch's allowance."""

    model: str
    request: bytes
    most: Cost
    asker: Literal["improver", "candidate"] = "improver"
    proposal: int | None = None
    test: int | None = None


@dataclass(frozen=True, slots=True)
class Answer:
    """What came of it. ``metered``: whether ``used`` is what the reply said, and not all that was held."""

    ended: Ended
    reply: bytes | None
    used: Cost
    metered: bool
    wall_s: float = 0.0
    salt: str = ""  # of the hashes in ``reply``, which the record seals; empty: there are none  # L-5


class Book(Protocol):
    """Safe to use from several threads."""

    def hold(self, ask: Ask) -> int | Cap:
        """Enter the intent and give the call's number; or the cap that does not allow it, and nothing is entered."""
        ...

    def settle(self, call: int, answer: Answer) -> None:
        """Enter the end of a call, once."""
        ...

    def room(self, one: Cost, aside: Cost | None = None) -> int | None:
        """How many calls of at most ``one`` the caps allow now, beside ``aside``; None: any number."""
        ...

    def paid(self, request: bytes) -> bytes | None:
        """The reply to this very request, its seed included, where it was paid for before a crash."""
        ...

    def stopped(self) -> bool:
        """Whether calls under way are to be cut off: the operator or the clock says so."""
        ...


def name_of(model: str) -> str:
    """A model's name as an entry or an author can hold it."""
    return re.sub(r"[^A-Za-z0-9._:@+-]", "-", model)[:90]


def digest(data: bytes) -> str:
    return sha256(data).hexdigest()


class PaperBook:
    """In memory. ``calls`` holds what was asked and, once settled, what came."""

    def __init__(self, caps: Caps | None = None) -> None:
        self._caps = caps or Caps()
        self._lock = threading.Lock()
        self.account = Account()
        self.calls: list[tuple[Ask, Answer | None]] = []

    def hold(self, ask: Ask) -> int | Cap:
        with self._lock:
            cap = self.account.over(self._caps, ask.most)
            if cap is not None:
                return cap
            self.account = self.account.hold(len(self.calls), ask.most)
            self.calls.append((ask, None))
            return len(self.calls) - 1

    def settle(self, call: int, answer: Answer) -> None:
        with self._lock:
            self.account = self.account.settle(call, answer.used)
            self.calls[call] = (self.calls[call][0], answer)

    def room(self, one: Cost, aside: Cost | None = None) -> int | None:
        with self._lock:
            return self.account.room(self._caps, one, aside)

    def paid(self, request: bytes) -> bytes | None:
        return None

    def stopped(self) -> bool:
        return False
