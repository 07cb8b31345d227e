"""The engine's book of calls to models: intents and ends go into the ledger as they happen.  # E-5, L-3

Calls are made beside the loop, in the improver's thread or for a trial, and the loop may be busy for minutes. So a
clerk of its own, one thread with its own handle on the ledger, does the writing; whoever asks waits for it. The loop
reads these entries like those of any other process. They decide nothing, and what the loop is about to write does not
depend on them (``Bench.append``).
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from festina.ledger import entries as e
from festina.ledger.log import Draft, Ledger
from festina.ledger.signing import Signer
from festina.loop.crash import crash_point
from festina.loop.state import State
from festina.propose.book import Answer, Ask, digest, name_of
from festina.propose.meter import Account, Cap, Caps, Cost
from festina.system.manifest import ModelTable

__all__ = ["LedgerBook", "caps_of"]


def caps_of(table: ModelTable) -> Caps:
    """The hard caps that the manifest names."""
    return Caps(table.tokens, table.money, table.calls)


class LedgerBook:
    """``state``: as it is before the run starts. ``stopped``: whether calls under way are to be cut off."""

    def __init__(
        self, path: Path, signer: Signer, state: State, caps: Caps, stopped: Callable[[], bool]
    ) -> None:
        self._account: Account = state.called.next_run(crashed=state.run is not None or state.called.crashed)
        self._count = state.called.count
        self._replies = dict(state.called.replies)
        self._caps = caps
        self._stopped = stopped
        self._path, self._signer = path, signer
        self._ledger: Ledger | None = None
        self._clerk = ThreadPoolExecutor(1, thread_name_prefix="book")

    def close(self) -> None:
        """Let go of the ledger. Calls that are still under way stay charged in full."""
        self._clerk.submit(self._close).result()
        self._clerk.shutdown()

    def hold(self, ask: Ask) -> int | Cap:
        return self._clerk.submit(self._hold, ask).result()

    def settle(self, call: int, answer: Answer) -> None:
        self._clerk.submit(self._settle, call, answer).result()

    def room(self, one: Cost, aside: Cost | None = None) -> int | None:
        return self._clerk.submit(lambda: self._account.room(self._caps, one, aside)).result()

    def paid(self, request: bytes) -> bytes | None:
        return self._clerk.submit(self._paid, request).result()

    def stopped(self) -> bool:
        return self._stopped()

    # -- the clerk's thread

    def _open(self) -> Ledger:
        if self._ledger is None:
            self._ledger = Ledger.open(self._path, signers={"engine": self._signer})
        return self._ledger

    def _close(self) -> None:
        if self._ledger is not None:
            self._ledger.close()

    def _hold(self, ask: Ask) -> int | Cap:
        cap = self._account.over(self._caps, ask.most)
        if cap is not None:
            return cap
        call, most = self._count, ask.most
        body = e.ModelAsked(
            call=call, asker=ask.asker, proposal=ask.proposal, test=ask.test, model=name_of(ask.model),
            request=digest(ask.request), calls=most.calls, tokens_in=most.tokens_in, tokens_out=most.tokens_out,
            money=float(most.money),
        )  # fmt: skip
        self._open().append([Draft(body, blobs=(ask.request,))])
        self._count += 1
        self._account = self._account.hold(call, most)
        crash_point("model-asked")
        return call

    def _settle(self, call: int, answer: Answer) -> None:
        crash_point("model-unrecorded")
        used = answer.used
        reply = answer.reply
        body = e.ModelAnswered(
            call=call, ended=answer.ended, reply=digest(reply) if reply is not None else None, calls=used.calls,
            tokens_in=used.tokens_in, tokens_out=used.tokens_out, money=float(used.money), metered=answer.metered,
            wall_s=round(answer.wall_s, 3),
        )  # fmt: skip
        sealed = {"salt": answer.salt} if answer.salt and reply is not None else {}
        self._open().append([Draft(body, blobs=(reply,) if reply is not None else (), sealed=sealed)])
        self._account = self._account.settle(call, used)
        crash_point("model-answered")

    def _paid(self, request: bytes) -> bytes | None:
        reply = self._replies.get(digest(request))
        return self._open().get_blob(reply) if reply is not None else None
