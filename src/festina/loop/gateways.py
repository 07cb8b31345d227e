"""The gateway of a session, from the manifest's words.  # E-6

Inside a run calls are entered into the ledger. Measurements without a run (calibration, a release's final score) have
the same caps each time and keep their accounts on paper: the ledger knows budgets of runs alone.
"""

from __future__ import annotations

from collections.abc import Callable

from festina.errors import UsageError
from festina.loop.book import caps_of
from festina.loop.state import State
from festina.propose.book import Answer, Ask, Book, PaperBook
from festina.propose.chat import key_from
from festina.propose.gateway import Gateway
from festina.propose.meter import Cap, Cost, Price
from festina.sandbox.job import Level
from festina.system.manifest import EachModel, Manifest

__all__ = ["gateway_of", "session_gateway"]


def gateway_of(manifest: Manifest, book: Book | None = None) -> Gateway | None:
    """None where nothing in a box asks models. UsageError: the key is not there. Without ``book``: on paper."""
    table = manifest.model
    if table is None or not (manifest.experiment.model or manifest.improver.asks):
        return None
    each = {name: table.each.get(name, EachModel()) for name in table.names}
    prices = {name: Price(float(one.input), float(one.output)) for name, one in each.items()}
    return Gateway(
        table.endpoint, key_from(table.key_env), table.names, prices, table.max_output, table.wall,
        book or PaperBook(caps_of(table)),
    )  # fmt: skip


def session_gateway(manifest: Manifest, book: Book | None, state: State, level: Level) -> Gateway | None:
    """The gateway of an engine's session, in which runs begin and end. UsageError: no box has one at ``level``."""
    if manifest.model is None or book is None:
        return None
    if level < Level.L2 and (manifest.experiment.model or manifest.improver.asks):
        raise UsageError(
            "gateway-needs-a-box", f"at {level.name} a run has no network of its own, so that none can ask models",
            fix="use a host that offers L2 (`festina doctor`)", where="festina.toml: model",
        )  # E-6  # fmt: skip
    return gateway_of(manifest, Switched(book, PaperBook(caps_of(manifest.model)), lambda: state.run is not None))


class Switched:
    """The ledger's book while a run is open, a paper one otherwise."""

    def __init__(self, book: Book, paper: Book, running: Callable[[], bool]) -> None:
        self._book, self._paper, self._running = book, paper, running
        self._on_paper: set[int] = set()

    def hold(self, ask: Ask) -> int | Cap:
        if self._running():
            return self._book.hold(ask)
        call = self._paper.hold(ask)
        if isinstance(call, str):
            return call
        self._on_paper.add(-1 - call)
        return -1 - call

    def settle(self, call: int, answer: Answer) -> None:
        if call in self._on_paper:
            self._paper.settle(-1 - call, answer)
        else:
            self._book.settle(call, answer)

    def room(self, one: Cost, aside: Cost | None = None) -> int | None:
        return (self._book if self._running() else self._paper).room(one, aside)

    def paid(self, request: bytes) -> bytes | None:
        return self._book.paid(request)

    def stopped(self) -> bool:
        return self._book.stopped()
