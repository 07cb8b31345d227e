"""A model's signature in the format of OpenSSF Model Signing v1.0: which files a released version consists of.

The statement lists every file of the release with its SHA-256, and which entry released it; the signature over it is
ECDSA with a key that is made for this, since the format knows no Ed25519. ``model_signing verify key`` checks it, and
so does ``check`` here: a changed, an added or a missing file is named.
Not covered: file modes, which the format does not record; empty folders; that the key is the signer's, which a reader
has to know from elsewhere; and, of files that the signer added, how they came about.
"""

from __future__ import annotations

import base64
import binascii
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from hashlib import file_digest, sha256
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any

from festina.errors import IntegrityError, UsageError
from festina.ledger.canonical import canonical, parse_strict
from festina.ledger.signing import pae, read_key, write_new_key
from festina.ledger.statement import PAYLOAD_TYPE, STATEMENT_TYPE
from festina.report.attest.trace import Trace
from festina.system.characters import shown
from festina.system.objects import REGULAR, TreeEntry, in_groups

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ec import ECDSA, EllipticCurvePrivateKey, EllipticCurvePublicKey

PREDICATE = "https://model_signing/signature/v1.0"
MEDIA_TYPE = "application/vnd.dev.sigstore.bundle.v0.3+json"
CURVES = {"secp256r1": "SHA256", "secp384r1": "SHA384", "secp521r1": "SHA512"}  # as Sigstore's protobuf specs pair them
IGNORED = ".git"  # of a checkout; no tree can hold it
READ_SPECIALLY = (".gitattributes", ".gitignore", ".github")  # `model_signing` passes over them unless told not to
MAX_BYTES = 64 << 20  # of a signature that is read: some 300,000 files

Node = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Signed:
    """What a signature says, after it was found to be the key's. ``files``: SHA-256 in hex, by path."""

    payload: bytes
    files: Mapping[str, str]
    ignored: tuple[str, ...]
    added: tuple[str, ...]  # by the signer, beside what was released
    entry: int | None  # that released it, as the signer says; None: another tool's signature


def statement(trace: Trace, files: Mapping[str, str], added: Sequence[str] = ()) -> bytes:
    """The in-toto statement, in one spelling. ``files``: SHA-256 in hex of every file, by path; ``added``: of these."""
    rows = [(name, files[name]) for name in sorted(files, key=lambda name: PurePosixPath(name).parts)]
    whole = sha256(b"".join(bytes.fromhex(digest) for _, digest in rows)).hexdigest()
    predicate = {
        "serialization": {
            "method": "files", "hash_type": "sha256", "allow_symlinks": False, "ignore_paths": [IGNORED],
        },
        "resources": [{"name": name, "algorithm": "sha256", "digest": digest} for name, digest in rows],
        "festina": {  # readers of v1.0 pass over further fields
            "origin": trace.genesis.origin, "generation": trace.generation, "commit": trace.commit, "tree": trace.tree,
            "entry": trace.released.seq, "leaf": trace.released.leaf, "approvedWithoutPerson": trace.without_person,
            "added": sorted(added),
        },
    }  # fmt: skip
    subject = [{"name": trace.genesis.system, "digest": {"sha256": whole}}]
    return canonical({"_type": STATEMENT_TYPE, "subject": subject, "predicateType": PREDICATE, "predicate": predicate})


def sign(payload: bytes, key: EllipticCurvePrivateKey) -> bytes:
    """The statement in a Sigstore bundle v0.3 with one signature; the same bytes each time where OpenSSL can."""
    sig = key.sign(pae(PAYLOAD_TYPE, payload), _deterministic(key.public_key()))
    bundle = {
        "mediaType": MEDIA_TYPE,
        "verificationMaterial": {"publicKey": {"hint": _hint(key.public_key())}, "tlogEntries": []},
        "dsseEnvelope": {
            "payload": base64.b64encode(payload).decode(), "payloadType": PAYLOAD_TYPE,
            "signatures": [{"sig": base64.b64encode(sig).decode(), "keyid": ""}],
        },
    }  # fmt: skip
    return canonical(bundle) + b"\n"


def read(bundle: bytes, public: EllipticCurvePublicKey) -> Signed:
    """What the signature says. Raises ``IntegrityError`` for what is none, or not this key's."""
    from cryptography.exceptions import InvalidSignature

    payload, sig = _open(bundle)
    try:
        public.verify(sig, pae(PAYLOAD_TYPE, payload), _ecdsa(public))
    except InvalidSignature:
        raise IntegrityError("model-signature-wrong", "this key did not sign it") from None
    try:
        said: Any = parse_strict(payload, max_bytes=MAX_BYTES, max_depth=20)
        (subject,) = said["subject"]
        predicate, terms = said["predicate"], said["predicate"]["serialization"]
        names = [str(row["name"]) for row in predicate["resources"]]
        files = {str(row["name"]): bytes.fromhex(row["digest"]) for row in predicate["resources"]}
        kinds = {row["algorithm"] for row in predicate["resources"]} | {terms["hash_type"]}
        known = said["_type"] == STATEMENT_TYPE and said["predicateType"] == PREDICATE and terms["method"] == "files"
        whole = sha256(b"".join(files.values())).hexdigest()
        if not known or kinds != {"sha256"} or len(names) != len(files) or subject["digest"]["sha256"] != whole:
            raise _none()
        ours = predicate.get("festina", {})
        ignored, added, entry = terms.get("ignore_paths", []), ours.get("added", []), ours.get("entry")
        digests = {name: digest.hex() for name, digest in files.items()}
        return Signed(payload, digests, tuple(map(str, ignored)), tuple(map(str, added)),
                      entry if type(entry) is int else None)  # fmt: skip
    except (KeyError, TypeError, ValueError, AttributeError):
        raise _none() from None


def differences(expected: Mapping[str, str], found: Mapping[str, str]) -> list[str]:
    """In words, what of ``found`` is not as signed; empty when all of it is."""
    words = [f"{shown(name)} is missing" for name in sorted(set(expected) - set(found))]
    words += [f"{shown(name)} was not signed" for name in sorted(set(found) - set(expected))]
    both = sorted(set(expected) & set(found))
    return words + [f"{shown(name)} holds other bytes" for name in both if expected[name] != found[name]]


def require_same(expected: Mapping[str, str], found: Mapping[str, str], *, where: str) -> None:
    """Raise ``IntegrityError`` naming what differs."""
    if words := differences(expected, found):
        more = f", and {len(words) - 5} more" if len(words) > 5 else ""
        raise IntegrityError("model-differs", "; ".join(words[:5]) + more, where=where)


def of_tree(entries: Sequence[TreeEntry], blobs: Callable[[Sequence[str]], Mapping[str, bytes]]) -> dict[str, str]:
    """SHA-256 of every file of a tree. Raises ``UsageError`` where it holds what the format cannot name."""
    for entry in entries:
        if entry.mode not in REGULAR or not _is_text(entry.path):
            raise UsageError(
                "not-signable", "a model's signature holds no symbolic link, submodule or name that is not UTF-8",
                fix="release a version without it", where=shown(entry.path),
            )  # fmt: skip
    found: dict[str, str] = {}
    for group in in_groups(entries):
        read_now = blobs([entry.oid for entry in group])
        found |= {entry.path: sha256(read_now[entry.oid]).hexdigest() for entry in group}
    return found


def of_folder(folder: Path, *, without: Sequence[Path] = (), ignored: Sequence[str] = (IGNORED,)) -> dict[str, str]:
    """SHA-256 of every file below ``folder`` but for ``without``. Raises ``IntegrityError`` for a link or a device.

    What is ignored is so by its name alone: where a link there leads to is looked at like everything else.
    """
    left_out, passed_over = {path.resolve() for path in without}, {folder / name for name in ignored}
    found: dict[str, str] = {}
    for at, folders, names in os.walk(folder, onerror=_unreadable):
        here = Path(at)
        folders[:] = [name for name in folders if here / name not in passed_over]
        for name in [*names, *(name for name in folders if (here / name).is_symlink())]:
            path = here / name
            if path in passed_over or (not path.is_symlink() and path.resolve() in left_out):
                continue
            if path.is_symlink() or not path.is_file() or not _is_text(name):
                raise IntegrityError(
                    "not-a-file", "only files whose names are UTF-8 can be signed", where=shown(str(path))
                )
            found[path.relative_to(folder).as_posix()] = digest_of(path)
    return found


def digest_of(path: Path) -> str:
    """SHA-256 in hex of a file of any size."""
    try:
        with path.open("rb") as file:
            return file_digest(file, "sha256").hexdigest()
    except OSError as error:
        _unreadable(error)
        raise


def load_key(path: Path) -> EllipticCurvePrivateKey:
    """A private key on one of the format's curves. Raises ``UsageError`` for another, or one that others may read."""
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey
    from cryptography.hazmat.primitives.serialization import load_pem_private_key

    try:
        key = load_pem_private_key(read_key(path), password=None)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        key = None
    if not isinstance(key, EllipticCurvePrivateKey) or key.curve.name not in CURVES:
        raise UsageError(
            "not-a-signing-key", "models are signed with an unencrypted EC key in PEM (P-256, P-384 or P-521)",
            fix="festina report sign --make-key FILE", where=str(path),
        )  # fmt: skip
    return key


def make_key(path: Path) -> EllipticCurvePrivateKey:
    """A new P-256 key in a new file."""
    from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, generate_private_key
    from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

    key = generate_private_key(SECP256R1())
    write_new_key(path, key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    return key


def load_public(path: Path) -> EllipticCurvePublicKey:
    """A public key on one of the format's curves. Raises ``UsageError`` for another."""
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePublicKey
    from cryptography.hazmat.primitives.serialization import load_pem_public_key

    try:
        key = load_pem_public_key(path.read_bytes()[:10_000])
    except (ValueError, TypeError, UnsupportedAlgorithm):
        key = None
    except OSError as error:
        raise UsageError("key-unusable", f"the key cannot be read: {error.strerror}", where=str(path)) from None
    if not isinstance(key, EllipticCurvePublicKey) or key.curve.name not in CURVES:
        raise UsageError("not-a-public-key", "this is no public EC key in PEM (P-256, P-384 or P-521)", where=str(path))
    return key


def public_pem(public: EllipticCurvePublicKey) -> bytes:
    """The public key as other tools read it, and as the bundle's hint is made from it."""
    from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

    return public.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)


def _open(bundle: bytes) -> tuple[bytes, bytes]:
    try:
        found: Any = parse_strict(bundle, max_bytes=MAX_BYTES, max_depth=6)
        envelope = found["dsseEnvelope"]
        (signature,) = envelope["signatures"]
        if found["mediaType"] != MEDIA_TYPE or envelope["payloadType"] != PAYLOAD_TYPE:
            raise _none()
        return base64.b64decode(envelope["payload"], validate=True), base64.b64decode(signature["sig"], validate=True)
    except (KeyError, TypeError, ValueError, binascii.Error):
        raise _none() from None


def _none() -> IntegrityError:
    return IntegrityError("not-a-model-signature", "this is no signature of a model with the SHA-256 of its files")


def _hint(public: EllipticCurvePublicKey) -> str:
    return sha256(public_pem(public)).hexdigest()


def _ecdsa(public: EllipticCurvePublicKey, *, deterministic: bool = False) -> ECDSA:
    from cryptography.hazmat.primitives import hashes
    from cryptography.hazmat.primitives.asymmetric.ec import ECDSA

    return ECDSA(getattr(hashes, CURVES[public.curve.name])(), deterministic_signing=deterministic)


def _deterministic(public: EllipticCurvePublicKey) -> ECDSA:
    """RFC 6979, so that the same release gives the same bytes (C-2); OpenSSL before 3.2 draws a nonce."""
    from cryptography.exceptions import UnsupportedAlgorithm

    try:
        return _ecdsa(public, deterministic=True)
    except UnsupportedAlgorithm:
        return _ecdsa(public)


def _is_text(name: str) -> bool:
    return not any("\ud800" <= c <= "\udfff" for c in name)


def _unreadable(error: OSError) -> None:
    raise UsageError("unreadable", f"it cannot be read: {error.strerror}", where=str(error.filename)) from None
