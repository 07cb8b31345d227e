"""The ledger: append, read, prove.  # L-1, L-2, L-3, L-5

``Ledger.append`` is one transaction: entries, content, openings and, with the engine's key, the signed checkpoint
over them. ``Ledger.open`` re-hashes every entry against the newest checkpoint and checks the signatures
of what stands after it; ``verify`` checks everything. Several processes may append at once: SQLite's lock
gives one order, and each first reads, and checks, what the others wrote, so that an engine never signs a checkpoint
over an entry that it has not checked.

Not covered: who may append when (the engine's lock), and whether what is recorded is true (L-6).
"""

from __future__ import annotations

import base64
import os
import re
from collections.abc import Generator, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path
from typing import NoReturn

from festina.errors import Busy, FestinaError, IntegrityError, UsageError
from festina.ledger.audit import SALT_BYTES, Report, verify
from festina.ledger.checkpoint import check_origin, make, parse_and_verify
from festina.ledger.entries import KINDS, AuditorEnrolled, Body, Genesis, ReviewerEnrolled, Role
from festina.ledger.merkle import Tree, leaf_hash
from festina.ledger.record import Draft, Proof, Record
from festina.ledger.rules import Rules
from festina.ledger.signing import LocalKey, Signer, pae
from festina.ledger.signing import verify as verify_signature
from festina.ledger.statement import (
    MAX_ENVELOPE_BYTES,
    PAYLOAD_TYPE,
    commitment,
    decode,
    peek_kind,
    seal,
    statement,
    unseal,
)
from festina.ledger.store import Store, damaged

__all__ = ["Draft", "Ledger", "Proof", "Record", "Report", "verify"]  # the room's main names in one place

_HEX64 = re.compile(rb'"([0-9a-f]{64})"')
_ENROLMENTS = tuple(  # unescaped quotes: cannot stand inside a string
    b'"predicateType":"urn:festina:entry:%s:' % kind for kind in (b"reviewer-enrolled", b"auditor-enrolled")
)


def _in_base64(text: bytes) -> tuple[bytes, bytes, bytes]:
    """What ``text`` looks like inside base64, at each of its three alignments, without the characters it shares."""
    first, second, third = (base64.b64encode((b"\0" * n + text)[: (n + len(text)) // 3 * 3]) for n in range(3))
    return first, second[2:], third[3:]


_NEEDLES = sum(map(_in_base64, _ENROLMENTS), ())  # opening decodes no entry but enrolments


def _may_enrol(envelope: bytes) -> bool:
    """False for what is surely no enrolment. A plain loop: this runs for every entry at every opening."""
    for needle in _NEEDLES:  # noqa: SIM110
        if needle in envelope:
            return True
    return False


def now() -> str:
    return datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


class Ledger:
    """An open ledger. Use from one thread; other threads and processes open their own."""

    def __init__(self, store: Store, signers: Mapping[Role, Signer]) -> None:
        self._store = store
        self._signers = dict(signers)
        self._tree = Tree()
        self._rules = Rules()
        self._covered = 0  # entries under the newest signed checkpoint
        self._note = ""
        self._unseen: list[Record] = []  # appended by others, read by ``append``, not yet given out

    # -- life

    @classmethod
    def create(cls, path: Path | str, genesis: Genesis, *, signers: Mapping[Role, Signer]) -> Ledger:
        """Start a ledger. Appears whole or not at all; never overwrites."""
        path = Path(path)
        check_origin(genesis.origin)
        _check_signers(signers)
        if "engine" not in signers:
            raise UsageError("no-engine-key", "a ledger starts with the engine's signature")
        if path.exists() or path.is_symlink():
            _exists(path)
        scratch = path.with_name(f".{path.name}.{os.getpid()}.{os.urandom(4).hex()}")
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            Store.create(scratch)
            ledger = cls(Store.open(scratch), signers)
            try:
                ledger.append([Draft(genesis)])
            finally:
                ledger.close()
            os.link(scratch, path)
        except FileExistsError:
            _exists(path)
        except OSError as error:
            raise UsageError(
                "ledger-unwritable", f"no ledger can be made here: {error.strerror}", where=str(path)
            ) from None
        finally:
            for name in (scratch, scratch.with_name(scratch.name + "-wal"), scratch.with_name(scratch.name + "-shm")):
                name.unlink(missing_ok=True)
        _sync_directory(path.parent)
        return cls.open(path, signers=signers)

    @classmethod
    def open(cls, path: Path | str, *, signers: Mapping[Role, Signer] | None = None, readonly: bool = False) -> Ledger:
        """Open and check: every hash against the newest signed checkpoint, and the signatures after it.  # L-1

        IntegrityError names the first bad entry. UsageError: no ledger, newer schema, signers that are not its own.
        """
        path = Path(path)
        _check_signers(signers or {})
        store = Store.open(path, readonly=readonly)
        ledger = cls(store, signers or {})
        try:
            try:
                ledger._load()
            except IntegrityError as error:
                _blame(path, error)
            ledger._check_own_keys()
        except FestinaError:
            store.close()
            raise
        return ledger

    def __enter__(self) -> Ledger:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Fold everything into the one file."""
        self._store.close()

    # -- what it says

    @property
    def path(self) -> Path:
        return self._store.path

    @property
    def size(self) -> int:
        """Entries read and checked so far; ``refresh`` reads what others appended."""
        return len(self._tree)

    @property
    def genesis(self) -> Genesis:
        assert self._rules.genesis is not None  # open and create read it
        return self._rules.genesis

    @property
    def origin(self) -> str:
        return self.genesis.origin

    @property
    def reviewers(self) -> Mapping[str, bytes]:
        """Public keys of enrolled reviewers by key id."""
        return {key_id: public for key_id, (public, _) in self._rules.reviewers.items()}

    @property
    def engine_key(self) -> bytes:
        """The raw public key that signs this ledger's checkpoints."""
        return self._rules.engine

    def root(self, size: int | None = None) -> bytes:
        """Root over the first ``size`` entries, by default all. ``IndexError`` for more than there are."""
        return self._tree.root() if size is None else self._tree.root_at(size)

    def records(self, start: int = 0) -> Generator[Record, None, None]:
        """Entries from ``start`` on, up to ``size`` as it is now. Each is compared with its checked leaf hash."""
        end = len(self._tree)
        for seq, envelope in self._store.entries(start):
            if seq >= end:
                return
            leaf = leaf_hash(envelope)
            if leaf != self._tree.leaf(seq):
                raise damaged(f"entry {seq} ({peek_kind(envelope)}) was changed since it was checked", self.path)
            yield Record(seq, envelope, leaf)

    def record(self, seq: int) -> Record:
        if not 0 <= seq < self.size:
            raise UsageError("no-entry", f"there is no entry {seq}: the ledger has {self.size}", where=str(self.path))
        for found in self.records(seq):
            if found.seq == seq:
                return found
            break
        raise damaged(f"entry {seq} is missing", self.path)

    def leaf(self, seq: int) -> str:
        """Leaf hash of entry ``seq`` in hex, as it was checked. ``IndexError`` for one that is not there."""
        return self._tree.leaf(seq).hex()

    def get_blob(self, digest: str) -> bytes:
        """Content by digest, re-hashed: IntegrityError when it differs or is missing."""
        if not re.fullmatch(r"[0-9a-f]{64}", digest, re.ASCII):
            raise UsageError("bad-digest", f"not a sha256 in lower-case hex: {digest[:80]!r}")
        return self._store.blob(digest)

    def opening(self, record: Record, name: str) -> tuple[bytes, str] | None:
        """(salt, value) of a sealed field, checked against its commitment; None where this copy has none.  # L-5"""
        found = self._store.opening(record.seq, name)
        if found is not None and commitment(*found) != record.commitments.get(name):
            raise damaged(f"the opening of entry {record.seq}'s {name} was changed", self.path)
        return found

    def checkpoint(self) -> str:
        """The newest signed checkpoint: keep a copy elsewhere, and nobody can cut the ledger behind it.  # L-2"""
        return self._note

    @property
    def covered(self) -> int:
        """Entries under the newest signed checkpoint."""
        return self._covered

    def inclusion(self, seq: int, size: int | None = None) -> Proof:
        """That entry ``seq`` is in the tree of ``size`` entries (default: all that the checkpoint covers)."""
        size = self._covered if size is None else size
        if not 0 <= seq < size <= self.size:
            raise UsageError("no-proof", f"entry {seq} is not under a signed checkpoint ({size} entries)")
        return Proof(seq, size, self._tree.root_at(size), tuple(self._tree.inclusion_proof(seq, size)))

    def consistency(self, m: int, n: int) -> Proof:
        """That the tree of ``m`` entries is a prefix of the tree of ``n``."""
        if not 0 <= m <= n <= self.size:
            raise UsageError("no-proof", f"sizes {m} and {n} do not fit a ledger of {self.size} entries")
        hashes = tuple(self._tree.consistency_proof(m, n))
        return Proof(m, n, self._tree.root_at(n), hashes, self._tree.root_at(m))

    # -- writing

    def put_blob(self, data: bytes) -> str:
        """Keep content; durable together with the next durable append."""
        self._writable()
        with self._store.writing(durable=False):
            return self._store.add_blob(data)

    def append(
        self, drafts: Sequence[Draft], *, expected_size: int | None = None, durable: bool = True
    ) -> list[Record]:
        """Record all of ``drafts`` or none.  # L-3

        ``expected_size``: raise ``Busy`` (ledger-moved) unless the ledger has this many entries: somebody else
        appended, so ``refresh`` and decide again. What others appended meanwhile is checked first, and given
        out by the next ``refresh``. Without an engine signer no checkpoint is written, and only reviewers may append.
        """
        self._writable()
        if not drafts:
            return []
        with self._all_or_nothing(), self._store.writing(durable=durable):
            self._catch_up()
            if expected_size is not None and len(self._tree) != expected_size:
                raise Busy(
                    "ledger-moved", f"the ledger has {len(self._tree)} entries, not {expected_size}",
                    fix="read what was appended, then decide again", where=str(self.path),
                )  # fmt: skip
            records = [self._add(draft) for draft in drafts]
            if "engine" in self._signers:
                self._sign_checkpoint()
        return records

    def cover(self) -> str:
        """The checkpoint over everything: signed now where people appended since the newest one."""
        self._writable()
        with self._all_or_nothing(), self._store.writing(durable=True):
            self._catch_up()
            if self._covered < len(self._tree) and "engine" in self._signers:
                self._sign_checkpoint()
        return self._note

    def refresh(self) -> list[Record]:
        """Entries that other processes appended since, checked, oldest first."""
        with self._all_or_nothing(), self._store.reading():
            self._catch_up()
        found, self._unseen = self._unseen, []
        return found

    @contextmanager
    def _all_or_nothing(self) -> Iterator[None]:
        """When the transaction fails, the file is rolled back, and so is the memory of it."""
        keep, rules, covered, note = len(self._tree), self._rules.copy(), self._covered, self._note
        unseen, done = len(self._unseen), False
        try:
            yield
            done = True
        finally:
            if not done:
                self._tree.truncate(keep)
                del self._unseen[unseen:]
                self._rules, self._covered, self._note = rules, covered, note

    def _writable(self) -> None:
        if self._store.readonly:
            raise UsageError("ledger-readonly", "this ledger is open for reading only", where=str(self.path))

    def _signer(self, draft: Draft) -> Signer:
        role = draft.body.role
        signer = draft.signer if draft.signer is not None else self._signers.get(role)
        if signer is None or signer.role != role:
            raise UsageError("no-signer", f"a {draft.body.kind} entry needs the {role}'s key")
        if role != "reviewer" and "engine" not in self._signers:
            raise UsageError("no-engine-key", f"a {draft.body.kind} entry needs a checkpoint by the engine's key")
        return signer

    def _add(self, draft: Draft) -> Record:
        """One entry into the open transaction."""
        seq, signer, body = len(self._tree), self._signer(draft), _as_it_will_be_read(draft.body)
        content = {self._store.add_blob(data) for data in draft.blobs}
        salts = {name: os.urandom(SALT_BYTES) for name in draft.sealed}
        named = {found.decode() for found in _HEX64.findall(body.model_dump_json().encode())} - content
        content |= {digest for digest in named if self._store.has_blob(digest)}
        try:
            public = self._rules.enter(body, signer.keyid)
            payload = statement(
                seq=seq, prev=self._rules.prev, at=draft.at or now(), body=body, content=sorted(content),
                commitments={name: commitment(salts[name], value) for name, value in draft.sealed.items()},
                subjects=draft.subjects or (("ledger", sha256(self.origin.encode()).hexdigest()),),
            )  # fmt: skip
        except (ValueError, TypeError, IntegrityError) as error:
            raise UsageError("bad-draft", f"a {body.kind} entry is refused: {error}") from None
        signed = pae(PAYLOAD_TYPE, payload)
        sig = signer.sign(signed)
        if signer.public != public or not (type(signer) is LocalKey or verify_signature(public, sig, signed)):
            raise UsageError("bad-signature", f"the {signer.role}'s signer gave a signature that does not hold")
        for name, value in draft.sealed.items():
            self._store.add_opening(seq, name, salts[name], value)
        return self._write(seq, body.kind, seal(payload, signer.keyid, sig))

    def _write(self, seq: int, kind: str, envelope: bytes) -> Record:
        if len(envelope) > MAX_ENVELOPE_BYTES:
            raise UsageError(
                "entry-too-large", f"a {kind} entry of {len(envelope)} bytes, over {MAX_ENVELOPE_BYTES}",
                fix="put what is long into the content store and record its digest",
            )  # fmt: skip
        leaf = leaf_hash(envelope)
        self._store.add_entry(seq, envelope)
        self._tree.append(leaf)
        self._rules.follow(leaf)
        return Record(seq, envelope, leaf)

    def _sign_checkpoint(self) -> None:
        size = len(self._tree)
        self._note = make(self.origin, size, self._tree.root(), self._signers["engine"])
        self._covered = size
        self._store.set_checkpoint(size, self._note)

    # -- reading and checking what is there

    def _load(self) -> None:
        """Hash everything, check the newest checkpoint, then the entries after it one by one."""
        with self._store.reading():
            self._hash_all()
            size = len(self._tree)
            covered = self._read_checkpoint()
            tail = list(self._store.entries(covered)) if covered < size else []
            if tail:
                self._tree.truncate(covered)
                self._rules.size, self._rules.prev = covered, self._tree.leaf(covered - 1).hex()
                if not all(self._admit_tail(tail)):  # an engine signs its checkpoint together with its entries
                    raise damaged("entries stand after the newest signed checkpoint", self.path)
        self._unseen = []

    def _hash_all(self) -> None:
        tree = self._tree
        for seq, envelope in self._store.entries():
            if seq != len(tree):
                raise damaged(f"entry {len(tree)} is missing", self.path)
            if seq == 0:
                self._rules.admit_signed(envelope)
            elif _may_enrol(envelope) and any(e in unseal(envelope)[0] for e in _ENROLMENTS):
                self._enrol(decode(envelope).model())
            tree.append(leaf_hash(envelope))
        if not len(tree):
            raise damaged("there is no entry at all", self.path)
        self._rules.size, self._rules.prev = len(tree), tree.leaf(len(tree) - 1).hex()

    def _enrol(self, body: Body) -> None:
        if isinstance(body, ReviewerEnrolled):
            self._rules.enrol(body)
        elif isinstance(body, AuditorEnrolled):
            self._rules.enrol_auditor(body)
        else:
            raise IntegrityError("bad-entry", "an entry that says two kinds")

    def _read_checkpoint(self) -> int:
        """Entries covered by the newest checkpoint, which must agree with the tree and never go back."""
        rows = self._store.checkpoints()
        if len(rows) != 1:
            raise damaged(f"{len(rows)} checkpoints where one belongs", self.path)
        size, note = rows[0]
        if not self._covered or note != self._note:
            point = parse_and_verify(note, self.origin, self._rules.engine, exact=True)
            if point.size != size or not max(self._covered, 1) <= size <= len(self._tree):
                raise damaged(f"its checkpoint covers {point.size} entries, {len(self._tree)} are there", self.path)
            if self._tree.root_at(size) != point.root:
                raise damaged("its entries are not those that its checkpoint was signed over", self.path)
            self._covered, self._note = size, note
        return self._covered

    def _admit_tail(self, rows: Sequence[tuple[int, bytes]]) -> list[bool]:
        """Check new entries fully; per entry, whether a reviewer signed it."""
        roles: list[bool] = []
        for seq, envelope in rows:
            if seq != len(self._tree):
                raise damaged(f"entry {len(self._tree)} is missing", self.path)
            admitted = self._rules.admit_signed(envelope)
            self._tree.append(admitted.leaf)
            self._unseen.append(Record(seq, envelope, admitted.leaf))
            roles.append(KINDS[admitted.entry.kind].role == "reviewer")
        return roles

    def _catch_up(self) -> None:
        """Read and check what other processes appended. Call inside a transaction."""
        start = len(self._tree)
        rows = list(self._store.entries(max(start - 1, 0)))
        if start:
            if not rows or rows[0][0] != start - 1 or leaf_hash(rows[0][1]) != self._tree.leaf(start - 1):
                raise damaged("the ledger was rewound or replaced while it was open", self.path)
            rows = rows[1:]
        if not rows:
            return
        roles = self._admit_tail(rows)
        covered = self._read_checkpoint()
        for offset, by_reviewer in enumerate(roles):
            if start + offset >= covered and not by_reviewer:
                raise damaged(f"entry {start + offset} stands after the newest signed checkpoint", self.path)

    def _check_own_keys(self) -> None:
        """Signers that this ledger does not know would write what nobody believes."""
        rules, signers = self._rules, self._signers
        for signer, public in ((signers.get("engine"), rules.engine), (signers.get("verifier"), rules.verifier)):
            if signer is not None and signer.public != public:
                raise UsageError(
                    "wrong-key", f"this ledger was started with another {signer.role} key", where=str(self.path),
                    fix=f"use the {signer.role} key that lies beside this ledger",
                )  # fmt: skip


def _as_it_will_be_read(body: Body) -> Body:
    """The body as its JSON reads back. That checks it: ``model_copy`` does not, and a bad entry would stay for ever."""
    if KINDS.get(body.kind) is not type(body):
        raise UsageError("bad-draft", f"{type(body).__name__} is not a type of entry")
    try:
        found = type(body).model_validate_json(body.model_dump_json())
    except ValueError as error:
        raise UsageError("bad-draft", f"a {body.kind} entry does not fit its type: {error}") from None
    if found != body:  # NaN, for one, is written as null
        raise UsageError("bad-draft", f"a {body.kind} entry does not read back as it is")
    return found


def _check_signers(signers: Mapping[Role, Signer]) -> None:
    for role, signer in signers.items():
        if signer.role != role:
            raise UsageError("wrong-key", f"the {role}'s signer says that it is the {signer.role}'s")


def _exists(path: Path) -> NoReturn:
    raise UsageError("ledger-exists", "there is a ledger here already", fix="open it", where=str(path))


def _sync_directory(path: Path) -> None:
    fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def _blame(path: Path, error: IntegrityError) -> NoReturn:
    """Name the first bad entry: opening stops at a wrong hash, the full check finds where."""
    report = verify(path)
    if report.first_bad is None:
        raise error
    seq, what = report.first_bad
    place = f"entry {seq} " if seq >= 0 else ""
    raise damaged(f"{place}{what}", path) from None
