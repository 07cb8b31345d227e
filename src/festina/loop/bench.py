"""Everything with an effect that one engine holds while it runs: home, repository, ledger, box, judge, improvers.

``Bench.append`` is the only way for the loop to write. It never writes on top of entries that it has not
folded in: when another process (a reviewer, a rollback) appended in between, it folds those in and either
appends after all (paid work that still fits) or raises ``Replan``, and the loop decides anew.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from festina.errors import Busy, Fault
from festina.experiment.batch import Judge
from festina.experiment.trial import Trials
from festina.ledger.log import Draft, Ledger, Record
from festina.ledger.signing import Signer
from festina.loop.state import State
from festina.loop.workspaces import export
from festina.propose.types import Budget, Improver
from festina.sandbox.job import Sandbox
from festina.select.pairing import Scale
from festina.system.home import Home
from festina.system.repo import Repo
from festina.system.scope import Scope
from festina.verify.client import RemoteSigner, Verifier

if TYPE_CHECKING:
    from concurrent.futures import ThreadPoolExecutor

    from festina.loop.book import LedgerBook
    from festina.loop.proposing import Asked, Kept
    from festina.loop.trying import Tries

CALLS = ("model-asked", "model-answered")  # written by the engine's own clerk at any time; they decide nothing
Listener = Callable[[Record, State], None]


class Replan(Exception):
    """The ledger moved on: decide again from the state as it is now. Never leaves the loop."""


@dataclass(slots=True)
class Bench:
    """The engine's tools. ``state`` is always the fold of everything in ``ledger`` that was seen."""

    home: Home
    repo: Repo
    ledger: Ledger
    state: State
    scope: Scope
    sandbox: Sandbox
    proposer_box: Sandbox  # as root under another uid than candidates  # T-1
    trials: Trials
    judge: Judge
    verifier: Verifier | None  # None where the candidate reports its own score
    verifier_signer: Signer
    scale: Scale
    improver: Improver
    book: LedgerBook | None = None  # of calls to models; None where the manifest names none
    queue: Sequence[Improver] = ()  # people's and planted proposals, one each, tried in turn with the improver
    public_items: tuple[bytes, bytes] | None = None  # (inputs alone, items with labels), as JSON lines
    propose_budget: Budget = field(default_factory=Budget)
    workers: int = 1
    wall_s: float = 3600.0
    listener: Listener | None = None
    unit_s: float = 0.0  # how long a unit takes, as measured so far; 0: not yet. Decides batch sizes only
    asked: Asked | None = None  # a proposal that the improver is working on beside the tests
    kept: Kept | None = None  # what an improver made in a planted slot
    tries: Tries = field(default_factory=dict)  # under way, by number  # P-7
    tryers: ThreadPoolExecutor | None = None
    rested: int = -1  # proposals of the run after which it has rested for its rate  # G-2
    rested_at: float = 0.0  # when it last had, in seconds of the run
    word_due: str = ""  # the test whose word's slot has come  # P-4
    expired: threading.Event = field(default_factory=threading.Event)  # the run's time is spent  # E-5
    model_spent: threading.Event = field(default_factory=threading.Event)  # nor can a trial ask models  # E-5
    interrupted: threading.Event = field(default_factory=threading.Event)
    started: float = field(default_factory=time.monotonic)  # monotonic: a wall clock that jumps moves no budget

    @property
    def elapsed_s(self) -> float:
        return time.monotonic() - self.started

    @property
    def items_left(self) -> int | None:
        """Hidden items not yet issued of a finite suite; None where they never end."""
        source = self.verifier.source if self.verifier is not None else None
        epoch = self.state.epoch
        if source is None or epoch is None:
            return None
        return self.state.source_left(source.positions(epoch.suite.unit, epoch.suite.batch_items))

    @property
    def tries_at_once(self) -> int:
        """Tries that may be under way side by side."""
        terms = self.state.epoch.archive if self.state.epoch is not None else None
        return 1 if terms is None else terms.workers or self.workers

    @property
    def cut_off(self) -> bool:
        """Whether boxes are being killed because the operator or the clock says stop."""
        return self.interrupted.is_set() or self.expired.is_set()

    def signing(self, shown: object) -> Signer:
        """The verifier's signer with the receipts of the scores behind an entry.  # T-1"""
        signer = self.verifier_signer
        return signer.showing(shown) if isinstance(signer, RemoteSigner) else signer

    def kill_boxes(self) -> None:
        """End everything untrusted that runs now."""
        self.sandbox.kill_all()
        self.proposer_box.kill_all()

    def tree_dir(self, tree: str) -> Path:
        """The exported files of a git tree, made once an engine.  # never checked out"""
        return export(self.repo, self.home, tree)

    def sync(self) -> bool:
        """Fold in what others appended; whether any of it can matter to what was about to be written."""
        records = self.ledger.refresh()
        for record in records:
            self._take(record)
        return any(record.kind not in CALLS for record in records)

    def append(self, *drafts: Draft, still: Callable[[State], bool] | None = None) -> list[Record]:
        """Append in one transaction and fold. ``still`` says whether the drafts fit a state that moved on."""
        while True:
            try:
                records = self.ledger.append(drafts, expected_size=self.state.size)
            except Busy:
                moved = self.sync()
                if self.state.size != self.ledger.size:  # the fold refused an entry: it would be waited for for ever
                    raise Fault(
                        "entry-unread", f"entry {self.state.size} is written, and the state cannot take it in",
                        fix="festina ledger verify says what is wrong with it", where=str(self.ledger.path),
                    ) from None  # fmt: skip
                if moved and (still is None or not still(self.state)):
                    raise Replan from None
                continue
            for record in records:
                self._take(record)
            return records

    def _take(self, record: Record) -> None:
        self.state.apply(record)
        if self.listener is not None:
            self.listener(record, self.state)
