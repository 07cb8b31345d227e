"""What goes into the ledger and what comes out: drafts, records, proofs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

from festina.ledger.entries import Body
from festina.ledger.signing import Signer
from festina.ledger.statement import Entry, decode, glance, model_of


@dataclass(frozen=True, slots=True)
class Draft:
    """What is to be recorded.

    ``subjects`` are (name, git object name or sha256); ``blobs`` go into the content store; ``sealed`` fields are
    recorded as salted commitments and their openings kept beside (L-5). ``signer`` defaults to the ledger's for the
    body's role, ``at`` (RFC 3339, UTC, milliseconds) to now.
    """

    body: Body
    subjects: tuple[tuple[str, str], ...] = ()
    blobs: tuple[bytes, ...] = ()
    sealed: Mapping[str, str] = field(default_factory=dict)
    signer: Signer | None = None
    at: str | None = None


class Record:
    """One entry as read. Immutable; taken apart only when asked, so that a long ledger opens fast."""

    __slots__ = ("_body", "_entry", "_envelope", "_glance", "_leaf", "_seq")

    def __init__(self, seq: int, envelope: bytes, leaf: bytes) -> None:
        self._seq, self._envelope, self._leaf = seq, envelope, leaf
        self._entry: Entry | None = None
        self._body: Body | None = None
        self._glance: tuple[str, str, bytes] | None = None

    def _seen(self) -> tuple[str, str, bytes]:
        if self._glance is None:
            self._glance = glance(self._envelope)
        return self._glance

    @property
    def entry(self) -> Entry:
        if self._entry is None:
            self._entry = decode(self._envelope)
        return self._entry

    @property
    def seq(self) -> int:
        return self._seq

    @property
    def kind(self) -> str:
        return self._seen()[0]

    @property
    def at(self) -> str:
        """When, by the recording machine's clock."""
        return self._seen()[1]

    @property
    def body(self) -> Body:
        if self._body is None:
            kind, _, payload = self._seen()
            self._body = model_of(kind, payload)
        return self._body

    @property
    def keyid(self) -> str:
        return self.entry.keyid

    @property
    def leaf(self) -> str:
        """Leaf hash in hex: names these exact bytes."""
        return self._leaf.hex()

    @property
    def commitments(self) -> Mapping[str, str]:
        return MappingProxyType(dict(self.entry.commitments))

    @property
    def subjects(self) -> tuple[tuple[str, str], ...]:
        return self.entry.subjects

    @property
    def envelope(self) -> bytes:
        return self._envelope

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Record) and (self._seq, self._leaf) == (other._seq, other._leaf)

    def __hash__(self) -> int:
        return hash((self._seq, self._leaf))

    def __repr__(self) -> str:
        return f"Record({self._seq}, {self.kind}, {self.at})"


@dataclass(frozen=True, slots=True)
class Proof:
    """Merkle proof against ``root`` over ``size`` entries.

    Inclusion: ``start`` is the entry's number. Consistency: ``start`` is the smaller size, ``start_root`` its root.
    """

    start: int
    size: int
    root: bytes
    hashes: tuple[bytes, ...]
    start_root: bytes = b""
