"""How a released version came about: from the record's entries alone, back along the line to its start.

A release's trace ends with the entry that released it: what was recorded later changes nothing in it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from festina.errors import IntegrityError, UsageError
from festina.ledger import entries as e
from festina.ledger.base import Body
from festina.ledger.record import Record


@dataclass(frozen=True, slots=True)
class Step:
    """One accepted change on the way: its commit and tree, the patch, and the entries that accepted it."""

    generation: int
    commit: str
    tree: str
    proposal: int
    author: str
    patch: str  # sha256
    received: Record
    verdict: Record


@dataclass(frozen=True, slots=True)
class Trace:
    """All that led to one release.

    ``approvals``: people's decisions that it rests on, with their settling, or their step to releasing without being
    asked; none where an earlier release came back. ``start``: the commit that a line began with.
    """

    genesis: e.Genesis
    run: e.RunStarted | None
    epochs: tuple[e.EpochOpened, ...]  # that had begun
    release: e.Released
    cause: str  # release or rollback
    released: Record
    generation: int
    commit: str
    tree: str
    start: str
    steps: tuple[Step, ...]  # oldest first
    approvals: tuple[Record, ...]
    began: str  # when the first of the changes was asked for, or the release was meant to happen

    @property
    def without_person(self) -> bool:
        bodies = [r.body for r in self.approvals]
        return any(b.without_person for b in bodies if isinstance(b, e.ReviewDecided | e.AutonomyStepped))


@dataclass(slots=True)
class _Seen:
    genesis: e.Genesis | None = None
    run: e.RunStarted | None = None
    epochs: list[e.EpochOpened] = field(default_factory=list)
    moves: dict[str, e.LineIntent] = field(default_factory=dict)  # by the new commit
    asked: dict[int, str] = field(default_factory=dict)  # proposal: when
    received: dict[int, Record] = field(default_factory=dict)
    accepted: dict[int, tuple[e.Verdict, Record]] = field(default_factory=dict)  # by proposal
    decided: dict[int, list[Record]] = field(default_factory=dict)  # review: decisions to approve, settling
    stepped: dict[int, Record] = field(default_factory=dict)  # by entry
    intents: dict[int, tuple[e.ReleaseIntent, str]] = field(default_factory=dict)


def releases(records: Iterable[Record]) -> list[Trace]:
    """Every release that the record holds, oldest first."""
    found = Releases()
    for record in records:
        found.take(record)
    return found.traces


class Releases:
    """The traces of all releases. Filled by ``take`` alone, in the record's order."""

    def __init__(self) -> None:
        self._seen = _Seen()
        self._traces: list[Trace] = []
        self._odd: IntegrityError | None = None

    @property
    def traces(self) -> list[Trace]:
        """Oldest first. Raises ``IntegrityError`` where the record holds a release that does not follow."""
        if self._odd is not None:
            raise self._odd
        return self._traces

    def take(self, record: Record) -> None:
        if record.kind == e.Released.kind:
            self._released(record)
        elif (takes := _TAKES.get(record.kind)) is not None:
            takes(self._seen, record, record.body)

    def _released(self, record: Record) -> None:
        body = record.body
        assert isinstance(body, e.Released)
        try:
            self._traces.append(_trace(self._seen, record, body))
        except IntegrityError as error:
            self._odd = self._odd or error


def release(records: Iterable[Record], generation: int | None) -> Trace:
    """``chosen`` of all that the record releases."""
    return chosen(releases(records), generation)


def chosen(traces: list[Trace], generation: int | None) -> Trace:
    """The newest release, or the newest one of a generation. Raises ``UsageError``."""
    found = [t for t in traces if generation is None or t.generation == generation]
    if not found:
        which = "nothing" if generation is None else f"generation {generation}"
        raise UsageError("never-released", f"the record releases {which}", fix="festina review, then festina release")
    return found[-1]


def _trace(seen: _Seen, record: Record, body: e.Released) -> Trace:
    if seen.genesis is None or not seen.epochs or body.release not in seen.intents:
        raise _odd(record, "comes without its intent or without an epoch")
    intent, began = seen.intents[body.release]
    steps: list[Step] = []
    commit = body.commit
    while True:
        move = seen.moves.get(commit)
        if move is None or len(steps) > len(seen.moves):
            raise _odd(record, f"rests on commit {commit[:12]}, which is on no line")
        if move.cause == "start" or move.old_commit is None or move.proposal is None:
            break
        steps.append(_step(seen, record, move, move.proposal))
        commit = move.old_commit
    steps.reverse()
    trees = {epoch.start_commit: epoch.start_tree for epoch in seen.epochs}
    if commit not in trees:
        raise _odd(record, f"begins with commit {commit[:12]}, with which no epoch does")
    return Trace(
        genesis=seen.genesis, run=seen.run, epochs=tuple(seen.epochs), release=body, cause=intent.cause,
        released=record, generation=body.generation, commit=body.commit,
        tree=steps[-1].tree if steps else trees[commit], start=commit, steps=tuple(steps),
        approvals=_approvals(seen, intent), began=seen.asked.get(steps[0].proposal, began) if steps else began,
    )  # fmt: skip


def _approvals(seen: _Seen, intent: e.ReleaseIntent) -> tuple[Record, ...]:
    found = list(seen.decided.get(intent.review, ())) if intent.review is not None else []
    settled = [r.body for r in found if isinstance(r.body, e.ReviewSettled)]
    if settled:  # what was taken back before it, or had no effect, is no approval
        found = [r for r in found if isinstance(r.body, e.ReviewSettled) or r.seq in settled[-1].votes]
    if intent.grant is not None and intent.grant in seen.stepped:
        found.append(seen.stepped[intent.grant])
    return tuple(found)


def _step(seen: _Seen, record: Record, move: e.LineIntent, proposal: int) -> Step:
    received, accepted = seen.received.get(proposal), seen.accepted.get(proposal)
    body = received.body if received is not None else None
    if accepted is None or received is None or not isinstance(body, e.ProposalReceived) or body.patch is None:
        raise _odd(record, f"rests on proposal {proposal}, which no verdict accepted")
    verdict, entry = accepted
    return Step(move.generation, move.new_commit, verdict.tree, proposal, body.author, body.patch, received, entry)


def _odd(record: Record, what: str) -> IntegrityError:
    return IntegrityError("odd-release", f"the release in entry {record.seq} {what}")


def _opened(seen: _Seen, record: Record, body: Body) -> None:
    if isinstance(body, e.Genesis):
        seen.genesis = body
    elif isinstance(body, e.RunStarted):
        seen.run = body
    elif isinstance(body, e.EpochOpened):
        seen.epochs.append(body)
    del record


def _proposed(seen: _Seen, record: Record, body: Body) -> None:
    if isinstance(body, e.ProposalRequested):
        seen.asked[body.proposal] = record.at
    elif isinstance(body, e.ProposalReceived):
        seen.received[body.proposal] = record


def _judged(seen: _Seen, record: Record, body: Body) -> None:
    if isinstance(body, e.Verdict) and body.verdict == "accept":
        seen.accepted[body.proposal] = (body, record)


def _moved(seen: _Seen, record: Record, body: Body) -> None:
    if isinstance(body, e.LineIntent) and body.cause == "accept":
        seen.moves[body.new_commit] = body
    elif isinstance(body, e.LineIntent) and body.cause == "start":  # of a new epoch, perhaps with an accepted commit
        seen.moves.setdefault(body.new_commit, body)
    elif isinstance(body, e.ReleaseIntent):
        seen.intents[body.release] = (body, record.at)


def _reviewed(seen: _Seen, record: Record, body: Body) -> None:
    if isinstance(body, e.AutonomyStepped):
        seen.stepped[record.seq] = record
    approving = isinstance(body, e.ReviewDecided) and body.decision == "approve"
    if isinstance(body, e.ReviewDecided | e.ReviewSettled) and (approving or isinstance(body, e.ReviewSettled)):
        seen.decided.setdefault(body.review, []).append(record)


_TAKES: dict[str, Callable[[_Seen, Record, Body], None]] = {
    e.Genesis.kind: _opened, e.RunStarted.kind: _opened, e.EpochOpened.kind: _opened,
    e.ProposalRequested.kind: _proposed, e.ProposalReceived.kind: _proposed, e.Verdict.kind: _judged,
    e.LineIntent.kind: _moved, e.ReleaseIntent.kind: _moved, e.ReviewDecided.kind: _reviewed,
    e.ReviewSettled.kind: _reviewed, e.AutonomyStepped.kind: _reviewed,
}  # fmt: skip
