"""What goes into the ledger and what comes out: drafts, records, proofs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

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

_NONE: Mapping[str, str] = MappingProxyType({})


class Record:
    """One entry as read. Immutable; taken apart only when asked, so that a long ledger opens fast.

    What is asked for often stands in a slot that is filled when it is first read: later reads cost no call.
    """

    __slots__ = ("_leaf", "_payload", "at", "body", "entry", "envelope", "kind", "seq")

    _leaf: bytes
    _payload: bytes
    seq: int
    envelope: bytes
    kind: str
    at: str  # when, by the recording machine's clock
    body: Body
    entry: Entry

    def __init__(self, seq: int, envelope: bytes, leaf: bytes) -> None:
        _SEQ(self, seq)
        _ENVELOPE(self, envelope)
        _LEAF(self, leaf)

    def __setattr__(self, name: str, value: object) -> None:
        raise AttributeError(f"a record is never changed: {name}")

    def __delattr__(self, name: str) -> None:
        raise AttributeError(f"a record is never changed: {name}")

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401 - called for a slot that is still empty
        if name in ("kind", "at", "_payload"):
            kind, at, payload = glance(self.envelope)
            _KIND(self, kind)
            _AT(self, at)
            _PAYLOAD(self, payload)
        elif name == "body":
            _BODY(self, model_of(self.kind, self._payload))
        elif name == "entry":
            _ENTRY(self, decode(self.envelope))
        else:
            raise AttributeError(name)
        return object.__getattribute__(self, name)

    @property
    def keyid(self) -> str:
        return self.entry.keyid

    @property
    def leaf(self) -> str:
        """Leaf hash in hex: names these exact bytes."""
        return self._leaf.hex()

    @property
    def commitments(self) -> Mapping[str, str]:
        payload = self._payload
        at = payload.rfind(b',"commitments":')  # after the body no string holds unescaped quotes
        if payload.startswith(b',"commitments":{},', at):  # nearly always
            return _NONE
        return MappingProxyType(dict(self.entry.commitments))

    @property
    def subjects(self) -> tuple[tuple[str, str], ...]:
        return self.entry.subjects

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Record) and (self.seq, self._leaf) == (other.seq, other._leaf)

    def __hash__(self) -> int:
        return hash((self.seq, self._leaf))

    def __repr__(self) -> str:
        return f"Record({self.seq}, {self.kind}, {self.at})"


# the slots' own setters, which pass ``__setattr__`` by
_SEQ, _ENVELOPE, _LEAF, _KIND, _AT, _PAYLOAD, _BODY, _ENTRY = (
    getattr(Record, name).__set__
    for name in ("seq", "envelope", "_leaf", "kind", "at", "_payload", "body", "entry")
)


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
