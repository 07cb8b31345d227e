"""Ed25519 keys and DSSE: who signed which bytes.  # L-2, T-1

A key file is PKCS#8 PEM, mode 0600; one that group or world may read is refused, because then nobody knows who
signed. The key's id is the first 16 hex digits of SHA-256 over the raw public key: a label, never evidence;
checks always use the whole key that the ledger's first entry or an enrolment names.
Not covered: hardware keys (another ``Signer``), revocation, key rotation of engine and verifier.
"""

from __future__ import annotations

import base64
import os
import re
import stat
from functools import lru_cache
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
)

from festina.errors import UsageError

if TYPE_CHECKING:
    from festina.ledger.entries import Role

PUBLIC_BYTES = 32
SIGNATURE_BYTES = 64


def keyid(public: bytes) -> str:
    return sha256(public).hexdigest()[:16]


def pae(payload_type: str, payload: bytes) -> bytes:
    """DSSE v1 pre-authentication encoding: what is signed instead of the bare payload."""
    kind = payload_type.encode("utf-8")
    return b"DSSEv1 %d %s %d %s" % (len(kind), kind, len(payload), payload)


@lru_cache(maxsize=64)
def _public_key(public: bytes) -> Ed25519PublicKey:
    return Ed25519PublicKey.from_public_bytes(public)


def verify(public: bytes, sig: bytes, data: bytes) -> bool:
    """True when ``sig`` is ``public``'s Ed25519 signature over ``data``. Malformed keys are False."""
    try:
        _public_key(public).verify(sig, data)
    except (InvalidSignature, ValueError):
        return False
    return True


class Signer(Protocol):
    """Something that signs for one role. ``sign`` may cross a process boundary; the caller checks the result."""

    @property
    def role(self) -> Role: ...
    @property
    def keyid(self) -> str: ...
    @property
    def public(self) -> bytes: ...
    def sign(self, data: bytes) -> bytes: ...


class LocalKey:
    """A private key in a file of this machine."""

    __slots__ = ("_private", "keyid", "public", "role")

    def __init__(self, private: Ed25519PrivateKey, role: Role) -> None:
        self._private = private
        self.role: Role = role
        self.public: bytes = private.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)
        self.keyid: str = keyid(self.public)

    def __repr__(self) -> str:
        return f"LocalKey({self.role}, {self.keyid})"

    def sign(self, data: bytes) -> bytes:
        return self._private.sign(data)

    @classmethod
    def create(cls, path: Path, role: Role) -> LocalKey:
        """Make a key and its file. Never overwrites one."""
        private = Ed25519PrivateKey.generate()
        write_new_key(path, private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
        return cls(private, role)

    @classmethod
    def load(cls, path: Path, role: Role) -> LocalKey:
        pem = read_key(path)
        try:
            private = load_pem_private_key(pem, password=None)
        except (ValueError, TypeError, UnsupportedAlgorithm):
            private = None
        if not isinstance(private, Ed25519PrivateKey):
            raise UsageError("not-a-key", "this is not an unencrypted Ed25519 private key in PEM", where=str(path))
        return cls(private, role)


def write_new_key(path: Path, pem: bytes) -> None:
    """Write a private key to a new file that only its owner may read. Never overwrites one."""
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    try:
        fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    except FileExistsError:
        raise UsageError(
            "key-exists", "a key already lies here", fix="use it, or choose another name", where=str(path)
        ) from None
    except OSError as error:
        raise _unusable(path, error) from None
    with os.fdopen(fd, "wb") as file:
        file.write(pem)
        file.flush()
        os.fsync(file.fileno())


def read_key(path: Path) -> bytes:
    """The bytes of a private key's file; refuses one that others may read.  # T-1"""
    path = Path(path)
    try:
        with path.open("rb") as file:
            mode = os.fstat(file.fileno()).st_mode
            pem = file.read(10_000)
    except OSError as error:
        raise _unusable(path, error) from None
    if not stat.S_ISREG(mode) or stat.S_IMODE(mode) & 0o077:
        raise UsageError(
            "key-readable-by-others", "others on this machine can read this private key, so it proves nothing",
            fix=f"make a new key; if it was never exposed: chmod 600 {path}", where=str(path),
        )  # fmt: skip
    return pem


def _unusable(path: Path, error: OSError) -> UsageError:
    return UsageError("key-unusable", f"the key file cannot be used: {error.strerror}", where=str(path))


def parse_public(text: str) -> bytes:
    """A raw Ed25519 public key from 64 hex digits or from base64. Raises ``UsageError``."""
    text = text.strip()
    if re.fullmatch(r"[0-9a-fA-F]{64}", text):
        return bytes.fromhex(text)
    try:
        public = base64.b64decode(text, validate=True)
    except ValueError:
        public = b""
    if len(public) != PUBLIC_BYTES:
        raise UsageError(
            "not-a-public-key", "an Ed25519 public key is 32 bytes, as 64 hex digits or as base64",
            fix="`festina ledger verify` prints the engine's key of a ledger that it trusts",
        )  # fmt: skip
    return public
