"""Cosignatures: a witness saw this checkpoint at this time, and it continues what the witness saw before.  # L-2

C2SP tlog-cosignature, Ed25519 (type byte 4): a signature line under a checkpoint, over the checkpoint's text and the
time. What a cosignature says is the witness's word; that it is this witness's is checked here.
Not covered: ML-DSA-44 cosignatures (type byte 6): they are ignored like any unknown key's.
"""

from __future__ import annotations

import base64
from collections.abc import Iterable
from dataclasses import dataclass
from typing import NamedTuple

from festina.errors import IntegrityError
from festina.ledger.checkpoint import SignatureLine, key_hash, parse_vkey, signature_line, take_apart, vkey
from festina.ledger.signing import SIGNATURE_BYTES, Signer, verify

__all__ = ["COSIGNATURE", "Cosigned", "WitnessKey", "cosign", "cosigned", "joined", "witness_key"]

COSIGNATURE = b"\x04"
TIME_BYTES = 8
MAX_TIME = (1 << 63) - 1


@dataclass(frozen=True, slots=True)
class WitnessKey:
    """A witness that somebody trusts: its name and raw Ed25519 key."""

    name: str
    public: bytes

    @property
    def text(self) -> str:
        """As C2SP's verifier keys are written."""
        return vkey(self.name, self.public, COSIGNATURE)


class Cosigned(NamedTuple):
    """A cosignature that holds. ``at``: seconds since 1970 by the witness's clock."""

    name: str
    at: int


def witness_key(text: str) -> WitnessKey:
    """A witness's verifier key. Raises ``UsageError`` bad-key."""
    return WitnessKey(*parse_vkey(text, COSIGNATURE))


def _message(text: str, at: int) -> bytes:
    return f"cosignature/v1\ntime {at}\n{text}".encode()


def cosign(text: str, name: str, signer: Signer, at: int) -> str:
    """A signature line, with its newline, over a checkpoint's text as of ``at``."""
    raw = key_hash(name, signer.public, COSIGNATURE) + at.to_bytes(TIME_BYTES, "big") + signer.sign(_message(text, at))
    return f"— {name} {base64.b64encode(raw).decode()}\n"


def cosigned(note: str, witnesses: Iterable[WitnessKey]) -> tuple[Cosigned, ...]:
    """Which of ``witnesses`` cosigned the note, the newest time of each; lines of other keys are ignored.

    Raises ``IntegrityError`` where a line names one of them and its signature does not hold.
    """
    text, lines = take_apart(note)
    known = {(w.name, key_hash(w.name, w.public, COSIGNATURE)): w for w in witnesses}
    found: dict[str, int] = {}
    for line in lines:
        witness = known.get((line.name, line.key))
        if witness is not None:
            found[witness.name] = max(found.get(witness.name, 0), _checked(text, line, witness))
    return tuple(Cosigned(name, at) for name, at in sorted(found.items()))


def _checked(text: str, line: SignatureLine, witness: WitnessKey) -> int:
    at = int.from_bytes(line.signature[:TIME_BYTES], "big")
    long = len(line.signature) == TIME_BYTES + SIGNATURE_BYTES
    if not (long and at <= MAX_TIME and verify(witness.public, line.signature[TIME_BYTES:], _message(text, at))):
        raise IntegrityError("bad-cosignature", f"the cosignature in the name of {witness.name} does not match")
    return at


def joined(note: str, answer: str, witnesses: Iterable[WitnessKey]) -> str:
    """The note with those lines of a witness's answer that hold; lines of unknown keys are left out.

    Raises ``IntegrityError`` for an answer that is none.
    """
    kept, keys = note, tuple(witnesses)
    for line in answer.split("\n")[:-1] or [answer]:
        signature_line(line)
        if cosigned(f"{take_apart(note)[0]}\n{line}\n", keys) and line not in kept.split("\n"):
            kept += f"{line}\n"
    return kept
