"""A proof that one entry is in the ledger, to hand to somebody who has only the engine's public key.  # D-2

C2SP tlog-proof text: number, Merkle path, signed checkpoint; the entry's envelope goes along as the "extra" line,
so that the file is enough by itself.
"""

from __future__ import annotations

import base64
import re
from typing import TYPE_CHECKING, NamedTuple

from festina.errors import IntegrityError
from festina.ledger.checkpoint import parse_and_verify
from festina.ledger.merkle import leaf_hash, verify_inclusion
from festina.ledger.statement import Entry, decode

if TYPE_CHECKING:
    from festina.ledger.log import Ledger

HEAD = "c2sp.org/tlog-proof@v1"
MAX_PROOF_BYTES = 200_000
_PROOF = re.compile(
    rf"{re.escape(HEAD)}\nextra ([A-Za-z0-9+/]+={{0,2}})\nindex (0|[1-9][0-9]{{0,17}})\n"
    r"((?:[A-Za-z0-9+/]{43}=\n)*)\n(.+)", re.DOTALL | re.ASCII,
)  # fmt: skip


class Proved(NamedTuple):
    """What a proof shows: this entry stood at ``seq`` when the engine signed ``size`` entries."""

    seq: int
    size: int
    entry: Entry


def prove(ledger: Ledger, seq: int) -> str:
    """The proof's text, under the newest checkpoint. UsageError when that does not cover ``seq`` yet."""
    proof = ledger.inclusion(seq)
    extra = base64.b64encode(ledger.record(seq).envelope).decode()
    path = "".join(base64.b64encode(node).decode() + "\n" for node in proof.hashes)
    return f"{HEAD}\nextra {extra}\nindex {seq}\n{path}\n{ledger.checkpoint()}"


def check_proof(text: str, *, origin: str, key: bytes) -> Proved:
    """Check a proof with the engine's public key alone. Raises IntegrityError.

    That the entry is in the log follows; its own signature is checked when its signer is the engine, otherwise the
    engine vouches for it: it signs no checkpoint over an entry that it has not checked.
    """
    match = _PROOF.fullmatch(text) if len(text) <= MAX_PROOF_BYTES else None
    if match is None:
        raise IntegrityError("bad-proof", "this is not a proof")
    point = parse_and_verify(match[4], origin, key)
    envelope, path = _bytes(match[1]), [_bytes(line) for line in match[3].split()]
    seq = int(match[2])
    if not verify_inclusion(leaf_hash(envelope), seq, point.size, path, point.root):
        raise IntegrityError("bad-proof", f"the entry is not number {seq} of that ledger")
    entry = decode(envelope)
    if entry.seq != seq:
        raise IntegrityError("bad-proof", f"the entry says that it is number {entry.seq}, not {seq}")
    return Proved(seq, point.size, entry)


def _bytes(text: str) -> bytes:
    """Canonical base64 only: one proof has one text, so that no changed one passes."""
    try:
        data = base64.b64decode(text, validate=True)
    except ValueError:
        data = b""
    if base64.b64encode(data).decode() != text:
        raise IntegrityError("bad-proof", "this is not a proof")
    return data
