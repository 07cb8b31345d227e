"""The whole check, offline, of a ledger that somebody hands you.  # L-1, L-2, L-3, L-4, L-5, L-6

``verify`` reads every entry and looks at everything: canonical form, order, keys and every signature; the signed
checkpoint against the Merkle root; every piece of content against its digest and against the entries that
name it; every opening against its commitment; intents and ends; SQLite's own structure. It says what is wrong
first, as number and kind of entry. It needs the one file and nothing beside it.
"""

from __future__ import annotations

import base64
import os
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from hashlib import sha256
from multiprocessing import get_context
from pathlib import Path
from typing import Protocol

from festina.errors import IntegrityError
from festina.ledger.audits import Audits
from festina.ledger.checkpoint import Checkpoint, parse_and_verify
from festina.ledger.cosignature import WitnessKey
from festina.ledger.dates import Dates
from festina.ledger.entries import KINDS
from festina.ledger.merkle import Tree, leaf_hash
from festina.ledger.numbering import Numbering
from festina.ledger.pairs import Finding, Pairs
from festina.ledger.rules import Admitted, Claim, Rules
from festina.ledger.statement import commitment, peek_kind
from festina.ledger.store import Store, has_wal
from festina.ledger.witnesses import Seen, Witnesses

FILE = -1  # number in ``first_bad`` for damage that belongs to no one entry
CHUNK = 256  # signatures checked at once
INLINE = 2_000  # from this many entries on, other cores help
SALT_BYTES = 32

LIMITS = """\
What this ledger shows: what was recorded, by which key, in which order, and that it is unchanged since.
What it cannot show:
  - that an observation was true: a key holder can sign a falsehood;
  - who holds a key: compare the engine's key with one you got elsewhere (--key), or a whole forged ledger passes;
  - that nothing came later: an older copy of the same file is a valid ledger, and entries that a reviewer \
appended after the newest checkpoint can be cut off; only a checkpoint kept elsewhere (--checkpoint) shows it, \
such as the newest one of a witness that you trust (--witness checks its cosignatures);
  - that recorded times are right: they come from the recording machine's clock;
  - what a sealed field says where its opening was left out of this copy."""


@dataclass(frozen=True, slots=True)
class Report:
    """Result of ``verify``. ``first_bad`` is (number, "kind: what"); number -1 is the file or its checkpoint."""

    ok: bool
    entries: int
    first_bad: tuple[int, str] | None
    findings: tuple[Finding, ...]
    origin: str = ""
    engine_key: str = ""  # base64
    root: str = ""  # hex, over all entries
    covered: int = 0  # entries under the newest signed checkpoint
    signatures: int = 0
    content: int = 0  # pieces of content whose digest was checked
    withheld: int = 0  # sealed fields whose opening is not in this copy
    witnesses: tuple[tuple[str, Seen | None], ...] = ()  # the newest checkpoint that each cosigned
    limits_text: str = LIMITS


class Source(Protocol):
    """What ``verify`` reads: the SQLite file, or a copy as plain files."""

    def reading(self) -> AbstractContextManager[None]: ...
    def entries(self, start: int = 0) -> Iterator[tuple[int, bytes]]: ...
    def strays(self) -> int: ...
    def checkpoints(self) -> list[tuple[int, str]]: ...
    def blobs(self) -> Iterator[tuple[str, bytes]]: ...
    def blob(self, digest: str) -> bytes: ...
    def openings(self) -> Iterator[tuple[int, str, bytes, str]]: ...
    def problems(self) -> str: ...
    def close(self) -> None: ...


def _first_false(chunk: list[tuple[int, Claim]]) -> int:
    """Number of the first signature that does not hold, or -1. Runs in a worker."""
    for seq, claim in chunk:
        if not claim.holds():
            return seq
    return -1


class _Signatures:
    """Checks signatures behind the reader's back, in other processes where there are cores for it."""

    def __init__(self) -> None:
        self.count = 0
        self._chunk: list[tuple[int, Claim]] = []
        self._waiting: list[Future[int]] = []
        self._pool: ProcessPoolExecutor | None = None
        self._bad: list[int] = []

    def add(self, seq: int, claim: Claim) -> None:
        self.count += 1
        self._chunk.append((seq, claim))
        if len(self._chunk) >= CHUNK:
            self._flush()

    def _flush(self) -> None:
        chunk, self._chunk = self._chunk, []
        workers = len(os.sched_getaffinity(0)) - 1
        # fork is safe only without threads; without fork, a caller's module would be imported again
        if self._pool is None and self.count >= INLINE and workers > 0 and threading.active_count() == 1:
            self._pool = ProcessPoolExecutor(min(workers, 8), mp_context=get_context("fork"))
        if self._pool is None:
            self._note(_first_false(chunk))
            return
        self._waiting.append(self._pool.submit(_first_false, chunk))
        while len(self._waiting) > 64:  # bounds memory: 64 chunks of at most 16 MiB
            self._note(self._waiting.pop(0).result())

    def _note(self, seq: int) -> None:
        if seq >= 0:
            self._bad.append(seq)

    def finish(self) -> int:
        """The first bad one, or -1."""
        self._flush()
        for future in self._waiting:
            self._note(future.result())
        self._waiting = []
        return min(self._bad, default=-1)

    def close(self) -> None:
        if self._pool is not None:
            self._pool.shutdown(cancel_futures=True)


class _Stop(Exception):
    """The entries cannot be read further: later ones mean nothing without this one."""


@dataclass(slots=True)
class _Audit:
    source: Source
    key: bytes | None
    kept: tuple[str, ...]
    trusted: tuple[WitnessKey, ...] = ()
    rules: Rules = field(default_factory=Rules)
    tree: Tree = field(default_factory=Tree)
    pairs: Pairs = field(default_factory=Pairs)
    seen: Witnesses = field(default_factory=Witnesses)
    audits: Audits = field(default_factory=Audits)
    dates: Dates = field(default_factory=Dates)
    numbering: Numbering = field(default_factory=Numbering)
    bad: list[tuple[int, str]] = field(default_factory=list)
    notes: list[Finding] = field(default_factory=list)
    content: dict[str, tuple[int, str]] = field(default_factory=dict)  # digest -> first entry that names it
    sealed: dict[tuple[int, str], tuple[str, str]] = field(default_factory=dict)
    roles: list[bool] = field(default_factory=list)  # per entry: signed by a reviewer
    kinds: list[str] = field(default_factory=list)
    paired: bool = True
    covered: int = 0
    checked: int = 0

    def run(self) -> Report:
        signatures = _Signatures()
        try:
            with self.source.reading():
                whole = self._entries(signatures)
                first = signatures.finish()
                if first >= 0:
                    self.bad.append((first, f"{self.kinds[first]}: its signature does not match its bytes"))
                if whole:
                    for check in (self._checkpoint, self._kept, self._witnesses, self._content, self._openings):
                        self._guard(check)
                self._guard(self._structure)
        except IntegrityError as error:
            self.bad.append((FILE, f"file: {error.what}"))
        finally:
            signatures.close()
        return self._report(signatures.count)

    def _guard(self, check: Callable[[], None]) -> None:
        try:
            check()
        except IntegrityError as error:
            self.bad.append((FILE, f"file: {error.what}"))

    def _report(self, signatures: int) -> Report:
        self.bad.sort(key=lambda found: (found[0] == FILE, found[0]))
        withheld = len(self.sealed)
        if withheld:
            self.notes.append(Finding(-1, f"{withheld} sealed fields are not opened in this copy"))
        genesis = self.rules.genesis
        return Report(
            ok=not self.bad,
            entries=len(self.tree),
            first_bad=self.bad[0] if self.bad else None,
            findings=tuple(self.pairs.close() + [Finding(*each) for each in self._found()] + self.notes),
            origin=genesis.origin if genesis else "",
            engine_key=base64.b64encode(self.rules.engine).decode(),
            root=self.tree.root().hex(),
            covered=self.covered,
            signatures=signatures,
            content=self.checked,
            withheld=withheld,
            witnesses=self.seen.trusted(self.trusted) or tuple(self.seen.newest.items()),
        )

    def _found(self) -> list[tuple[int, str]]:
        return self.seen.findings + self.numbering.findings + self.dates.close()

    # -- entries

    def _entries(self, signatures: _Signatures) -> bool:
        """Read all entries in order; False when one could not be read."""
        try:
            for seq, envelope in self.source.entries():
                self._entry(seq, envelope, signatures)
        except _Stop:
            return False
        except IntegrityError as error:
            self.bad.append((self.rules.size, f"unreadable: {error.what}"))
            return False
        if self.rules.size == 0:
            self.bad.append((0, "missing: there is no entry at all"))
            return False
        return True

    def _entry(self, seq: int, envelope: bytes, signatures: _Signatures) -> None:
        number = self.rules.size
        if seq != number:
            self.bad.append((number, f"missing: entry {number} is not there, the next one is {seq}"))
            raise _Stop
        leaf = leaf_hash(envelope)
        try:
            admitted = self.rules.admit(envelope, leaf)
            if number == 0 and self.key is not None and self.rules.engine != self.key:
                raise IntegrityError("another-key", "its engine key is not the one that you gave")
        except IntegrityError as error:
            self.bad.append((number, f"{peek_kind(envelope)}: {error.what}"))
            raise _Stop from None
        self.tree.append(leaf)
        signatures.add(number, admitted.claim)
        self._note(number, admitted)

    def _note(self, seq: int, admitted: Admitted) -> None:
        entry = admitted.entry
        self.seen.see(seq, entry.at, admitted.body)
        self.audits.see(seq, admitted.body)
        self.kinds.append(entry.kind)
        self.roles.append(KINDS[entry.kind].role == "reviewer")
        self.numbering.see(seq, admitted.body)
        self.dates.see(seq, entry.at, person=self.roles[-1])
        for digest in entry.content:
            self.content.setdefault(digest, (seq, entry.kind))
        for name, digest in entry.commitments.items():
            self.sealed[seq, name] = (digest, entry.kind)
        if self.paired:
            try:
                self.pairs.see(seq, entry.kind, entry.body)
            except IntegrityError as error:
                self.bad.append((seq, f"{entry.kind}: {error.what}"))
                self.paired = False  # what follows would only repeat it

    # -- what binds the entries together

    def _checkpoint(self) -> None:
        rows = self.source.checkpoints()
        if len(rows) != 1:
            self.bad.append((FILE, f"checkpoint: {len(rows) or 'none'} where one belongs"))
            return
        size, note = rows[0]
        point = self._parsed(note, "checkpoint", exact=True)
        if point is None:
            return
        if point.size != size:
            self.bad.append((FILE, "checkpoint: its row says another size than its text"))
        self.covered = self._compare(point, "the signed checkpoint")
        for seq in range(self.covered, len(self.roles)):
            if not self.roles[seq]:  # an engine signs its checkpoint together with its entries
                self.bad.append((seq, f"{self.kinds[seq]}: it stands after the newest signed checkpoint"))
                return

    def _kept(self) -> None:
        for kept in self.kept:
            point = self._parsed(kept, "checkpoint kept elsewhere", exact=False)
            if point is not None:
                self._compare(point, "the checkpoint kept elsewhere")

    def _witnesses(self) -> None:
        """Every cosignature and auditor's note that an entry claims, and the witnesses that the caller asks for."""
        assert self.rules.genesis is not None  # entries were read
        self.bad += self.seen.check(
            self.source.blob, self.rules.genesis.origin, self.rules.engine, self.tree.root_at
        )
        self.bad += self.audits.check(self.source.blob, self.rules.genesis.origin, self.tree.root_at)
        for name, seen in self.seen.trusted(self.trusted):
            if seen is None:
                self.bad.append((FILE, f"witness: {name} cosigned nothing here with the key that you gave"))

    def _parsed(self, note: str, what: str, *, exact: bool) -> Checkpoint | None:
        assert self.rules.genesis is not None  # entries were read
        try:
            return parse_and_verify(note, self.rules.genesis.origin, self.rules.engine, exact=exact)
        except IntegrityError as error:
            self.bad.append((FILE, f"{what}: {error.what}"))
            return None

    def _compare(self, point: Checkpoint, what: str) -> int:
        """Entries that ``point`` covers, after noting where it disagrees."""
        if point.size > len(self.tree):
            count = len(self.tree)
            self.bad.append((count, f"missing: {what} covers {point.size} entries, {count} are there"))
        elif self.tree.root_at(point.size) != point.root:
            self.bad.append((FILE, f"checkpoint: {what} over {point.size} entries has another root than they have"))
        return point.size

    # -- what lies beside the entries

    def _content(self) -> None:
        wanted, strays = dict(self.content), 0
        for digest, data in self.source.blobs():
            found = sha256(data).hexdigest()
            if found != digest:
                seq, kind = wanted.get(digest, (FILE, "content"))
                self.bad.append((seq, f"{kind}: its content {digest} was changed"))
            elif digest not in self.content:
                strays += 1
            wanted.pop(digest, None)
            self.checked += 1
        for digest, (seq, kind) in wanted.items():
            self.bad.append((seq, f"{kind}: its content {digest} is missing"))
        if strays:
            self.notes.append(Finding(-1, f"{strays} pieces of content are named by no entry"))

    def _openings(self) -> None:
        for seq, name, salt, value in self.source.openings():
            digest, kind = self.sealed.pop((seq, name), ("", ""))
            if not digest:
                self.bad.append((seq, f"opening: {name!r} opens nothing that an entry sealed"))
            elif len(salt) != SALT_BYTES or commitment(salt, value) != digest:
                self.bad.append((seq, f"{kind}: the opening of its sealed field {name!r} was changed"))

    def _structure(self) -> None:
        if self.source.strays():
            self.bad.append((FILE, "file: entries with numbers below 0"))
        problem = self.source.problems()
        if problem:
            self.bad.append((FILE, f"file: {problem}"))


def _open(path: Path, settled: bool) -> Source:
    if os.path.isdir(path):  # unlike Path.is_dir, false and no error for a name that is too long
        from festina.ledger.copies import PlainFiles  # the copy that `export DIR` writes

        return PlainFiles(path)
    return Store.open(path, readonly=True, settled=settled)


@contextmanager
def reading(path: Path) -> Iterator[Source]:
    """The entries and content of a ledger's file or of a copy, as they are now. Check them with ``verify``, too."""
    source = _open(path, settled=False)
    try:
        with source.reading():
            yield source
    finally:
        source.close()


def verify(
    path: Path | str, *, key: bytes | None = None, checkpoint: str | Sequence[str] | None = None,
    witnesses: Sequence[WitnessKey] = (),
) -> Report:  # fmt: skip
    """Check everything about the ledger at ``path`` (its file, or a copy as plain files).

    ``key``: the engine's public key (32 bytes) that you trust; ``checkpoint``: those that you or
    witnesses kept; ``witnesses``: each of them must have cosigned it.
    Damage never raises: it is in the report. Raises ``UsageError`` where there is no ledger to look at (no file, no
    permission) and for a ledger that a newer version wrote.
    """
    path = Path(path)
    before = _state(path)
    kept = (checkpoint,) if isinstance(checkpoint, str) else tuple(checkpoint or ())
    trusted = tuple(witnesses)
    report = _verify(path, key, kept, trusted, settled=True)
    if not report.ok and _state(path) != before:
        # somebody wrote while it was read as a settled file: read again, under SQLite's locks
        report = _verify(path, key, kept, trusted, settled=False)
    return report


def _state(path: Path) -> tuple[int, int, bool]:
    try:
        stat = os.stat(path)
    except (OSError, ValueError):
        return 0, 0, False
    return stat.st_mtime_ns, stat.st_size, has_wal(path)


def _verify(
    path: Path, key: bytes | None, kept: tuple[str, ...], trusted: tuple[WitnessKey, ...], *, settled: bool
) -> Report:
    try:
        source = _open(path, settled)
    except IntegrityError as error:
        return Report(ok=False, entries=0, first_bad=(FILE, f"file: {error.what}"), findings=())
    try:
        return _Audit(source, key, kept, trusted).run()
    finally:
        source.close()
