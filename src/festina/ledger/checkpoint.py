"""Signed checkpoints: "the log of this name had this size and this root".  # L-2

C2SP signed-note (Ed25519, type byte 1) around a C2SP tlog-checkpoint of exactly three lines. Signatures by other
keys (witnesses, ``cosignature.py``) are allowed and ignored here; extension lines are not used and are refused.
"""

from __future__ import annotations

import base64
import re
from dataclasses import dataclass
from hashlib import sha256
from typing import NamedTuple, NoReturn

from festina.errors import IntegrityError, UsageError
from festina.ledger.signing import PUBLIC_BYTES, SIGNATURE_BYTES, Signer, verify

ED25519 = b"\x01"
MAX_NOTE_BYTES = 100_000  # 16 signatures of 5 kB must be accepted (signed-note, "Format")
MAX_SIGNATURES = 32


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """A verified checkpoint: size in entries, root hash of 32 bytes."""

    origin: str
    size: int
    root: bytes


class SignatureLine(NamedTuple):
    """One line under a note: who signed by its own word, which key it means (4 bytes), and the signature."""

    name: str
    key: bytes
    signature: bytes


def _bad(what: str) -> NoReturn:
    raise IntegrityError("bad-checkpoint", f"the checkpoint is not valid: {what}")


def key_hash(name: str, public: bytes, kind: bytes = ED25519) -> bytes:
    """First four bytes of SHA-256(name, newline, type byte, public key): which key a signature line means."""
    return sha256(name.encode("utf-8") + b"\n" + kind + public).digest()[:4]


def vkey(name: str, public: bytes, kind: bytes = ED25519) -> str:
    """A key as signed-note writes it for people: name, key hash in hex, base64 of type byte and key."""
    return f"{name}+{key_hash(name, public, kind).hex()}+{base64.b64encode(kind + public).decode()}"


def parse_vkey(text: str, kind: bytes = ED25519) -> tuple[str, bytes]:
    """(name, raw Ed25519 key) of a verifier key of this type. Raises ``UsageError``."""
    name, _, rest = text.strip().partition("+")
    try:
        raw = base64.b64decode(rest.partition("+")[2], validate=True)
        known = len(raw) == 1 + PUBLIC_BYTES and raw[:1] == kind and vkey(name, raw[1:], kind) == text.strip()
        check_origin(name)
    except (ValueError, UsageError):
        known = False
    if not known:
        whose = "a log's" if kind == ED25519 else "a witness's"
        raise UsageError("bad-key", f"this is not {whose} key: {text.strip()[:80]!r}", fix="NAME+8 HEX DIGITS+BASE64")
    return name, raw[1:]


def check_origin(origin: str) -> None:
    """A key name is not empty and has neither spaces nor a plus sign nor control characters."""
    if not origin or "+" in origin or any(c.isspace() or not c.isprintable() for c in origin) or len(origin) > 255:
        raise UsageError("bad-origin", "a ledger's origin is a name such as festina.local/tinylm-1a2b3c4d")


def note_text(origin: str, size: int, root: bytes) -> str:
    return f"{origin}\n{size}\n{base64.b64encode(root).decode()}\n"


def sign_note(text: str, name: str, signer: Signer) -> str:
    """Text plus one signature line. ``text`` ends in a newline."""
    signature = signer.sign(text.encode("utf-8"))
    line = base64.b64encode(key_hash(name, signer.public) + signature).decode()
    return f"{text}\n— {name} {line}\n"


def make(origin: str, size: int, root: bytes, signer: Signer) -> str:
    check_origin(origin)
    return sign_note(note_text(origin, size, root), origin, signer)


def take_apart(note: str, most: int = MAX_SIGNATURES) -> tuple[str, list[SignatureLine]]:
    """A signed note's text, with its last newline, and its signature lines, none of them checked."""
    if len(note) > MAX_NOTE_BYTES:
        _bad("too long")
    if any(ord(c) < 0x20 and c != "\n" for c in note) or not note.endswith("\n"):
        _bad("not a signed note")
    if not note.isprintable() and any(0xD800 <= ord(c) <= 0xDFFF for c in note):
        _bad("not text")
    text, gap, tail = note.rpartition("\n\n")
    lines = tail[:-1].split("\n")
    if not gap or not 1 <= len(lines) <= most:
        _bad("not a signed note")
    return text + "\n", [signature_line(line) for line in lines]


def signature_line(line: str) -> SignatureLine:
    """One line, without its newline."""
    match = re.fullmatch(r"— ([^\s+]+) ([A-Za-z0-9+/]+={0,2})", line)
    if match is None:
        _bad("not a signature line")
    raw = _base64(match[2])
    return SignatureLine(match[1], raw[:4], raw[4:])


def open_note(note: str, name: str, public: bytes, *, exact: bool = False) -> str:
    """The note's text, when ``name`` with ``public`` signed it. ``exact``: that one signature and no other."""
    text, lines = take_apart(note, 1 if exact else MAX_SIGNATURES)
    wanted, good = key_hash(name, public), False
    for line in lines:
        if line.name != name or line.key != wanted:
            continue  # a witness, or somebody who hopes to be taken for one
        if len(line.signature) != SIGNATURE_BYTES or not verify(public, line.signature, text.encode("utf-8")):
            _bad("the signature does not match")
        good = True
    if not good:
        _bad("not signed by the ledger's engine key")
    return text


def _base64(text: str) -> bytes:
    try:
        raw = base64.b64decode(text, validate=True)
    except ValueError:
        _bad("not base64")
    if base64.b64encode(raw).decode() != text:
        _bad("base64 that is not canonical")
    return raw


def parse_and_verify(
    text: str, origin: str, public: bytes, *, key_name: str | None = None, exact: bool = False
) -> Checkpoint:
    """Check signature, origin and form. ``key_name`` is the signer's name in the note, by default the origin."""
    body = open_note(text, origin if key_name is None else key_name, public, exact=exact)
    lines = body[:-1].split("\n")
    if len(lines) != 3 or lines[0] != origin:
        _bad("it is about another log")
    if not re.fullmatch(r"0|[1-9][0-9]{0,17}", lines[1], re.ASCII):
        _bad("no size")
    root = _base64(lines[2])
    if len(root) != 32:
        _bad("no root")
    return Checkpoint(origin, int(lines[1]), root)
