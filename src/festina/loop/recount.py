"""Every verdict of a ledger, made again from its entries, offline.  # S-4, S-5, L-1

One pass over the entries. Each goes through the loop's own fold (``state``: does it fit what came before?), through the
verifier's books (``verify.account``: do its numbers follow?) and is held against its content (``contents``). The two
sets of books must agree in the end. Signatures and hashes are ``ledger.audit``'s business: check those first.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from festina.errors import Fault, IntegrityError
from festina.ledger.audit import reading
from festina.ledger.entries import BatchStarted
from festina.ledger.merkle import leaf_hash
from festina.ledger.record import Record
from festina.loop import growth, outcomes, outlook, reviewed
from festina.loop.contents import Contents, seeds_digest
from festina.loop.foreign import recheck as foreign
from festina.loop.state import State
from festina.verify.account import Account, Mismatch

MOST = 1000  # mismatches that are listed: a wrong early number shows in all later ones
Tell = Callable[[int], None]


@dataclass(frozen=True, slots=True)
class Recount:
    """What was made again, and what is not what it should be."""

    entries: int
    verdicts: int
    batches: int
    mismatches: tuple[Mismatch, ...]
    notes: tuple[str, ...]  # what could not be made again, and why
    control: float | None  # evidence that the incumbent differs from itself, as a natural log
    caught: tuple[int, int] | None  # planted changes that were judged: (not accepted, all)

    @property
    def ok(self) -> bool:
        return not self.mismatches


def recount(path: Path, tell: Tell = lambda _: None) -> Recount:
    """Make every number again. ``tell`` hears the number of each thousandth entry."""
    with reading(path) as source:
        made = _Pass(source.blob)
        for seq, envelope in source.entries():
            if seq % 1000 == 0:
                tell(seq)
            if not made.see(Record(seq, envelope, leaf_hash(envelope))):
                break
    return made.result()


class _Pass:
    def __init__(self, blob: Callable[[str], bytes]) -> None:
        self.account, self.state = Account(), State()
        self.contents, self.blob = Contents(self.account, blob, self.state.trained.done), blob
        self.found: list[Mismatch] = []
        self.batches = 0

    def see(self, record: Record) -> bool:
        """False where what follows would mean nothing."""
        kind = record.kind
        try:
            self.found += self.account.check(record.seq, kind, record.body)
            self.found += self.contents.check(record)
            told = growth.check(self.state, record.body) + outlook.check(self.state, record.body)
            told += reviewed.check(self.state, record.body, self.blob)
            told += foreign.check(self.state, record.body, self.blob, record.at)
            told += outcomes.check(self.state, record.body, self.blob)
            self.found += [Mismatch(record.seq, kind, *row) for row in told]
            if kind == "batch-started":
                self._seeds(record)
            self.state.apply(record)  # first: it refuses what has not the form that the books rely on
            self.account.take(record)
        except (IntegrityError, Fault) as error:
            self.found.append(Mismatch(record.seq, kind, "order", error.what, "an entry that fits those before it"))
            return False
        self.batches += kind == "batch-ended"
        return len(self.found) < MOST

    def _seeds(self, record: Record) -> None:
        body = record.body
        assert isinstance(body, BatchStarted)
        wanted = seeds_digest(self.account.test(body.test).leaf, body.batch, body.units)
        if body.seeds != wanted:
            self.found.append(Mismatch(record.seq, record.kind, "seeds", body.seeds, wanted))

    def result(self) -> Recount:
        account, state = self.account, self.state
        if not self.found and account.budget != state.budget:
            self.found.append(Mismatch(state.size, "end", "error budget", str(state.budget), str(account.budget)))
        judged = [plant for plant in state.plants if plant.judged]
        return Recount(
            entries=state.size, verdicts=account.verdicts, batches=self.batches, mismatches=tuple(self.found),
            notes=tuple(self._notes()), control=account.control.test.log_evidence if account.control else None,
            caught=(sum(not plant.missed for plant in judged), len(judged)) if judged else None,
        )  # fmt: skip

    def _notes(self) -> list[str]:
        notes = ["Scores follow from answers, which are not stored: of those the record has the digests."]
        if self.account.told:
            notes.append(
                f"{self.account.told} verdicts ended because items ran out or trials could not be run: that this was "
                "so is the engine's word; their numbers were made again."
            )
        if self.contents.missing:
            notes.append(f"{self.contents.missing} entries came without their details: their sums were not made again.")
        if self.contents.brief:
            notes.append(f"{self.contents.brief} units were recorded without guards' scores: those are as recorded.")
        return notes + reviewed.without_effect(self.state)
