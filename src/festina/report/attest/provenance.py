"""SLSA provenance v1 of a release as an in-toto Statement v1, signed in a DSSE envelope.

Subject: the released commit and tree, and files of it where they are named. Resolved dependencies: the commit that the
line started from, every accepted patch, the evaluators. Byproducts: the entries with verdicts, approvals and release,
by the hash of their signed bytes. The builder is the engine, named by its whole public key.
The predicate is of another type than a ledger's entries, so that a signed provenance can never pass for one.
Not covered: what the released files do; and that the engine's key is the right one, which a reader has to know from
elsewhere.
"""

from __future__ import annotations

import base64
from collections.abc import Mapping
from hashlib import sha256
from typing import Any

from festina.errors import IntegrityError, UsageError
from festina.ledger.canonical import canonical, parse_strict
from festina.ledger.record import Record
from festina.ledger.signing import Signer, pae, verify
from festina.ledger.statement import PAYLOAD_TYPE, STATEMENT_TYPE, seal
from festina.report.attest.trace import Step, Trace

PREDICATE = "https://slsa.dev/provenance/v1"
MAX_BYTES = 16 << 20  # of an attestation that is read
BUILD = "urn:festina:build:accepted-generation:1"

Node = dict[str, Any]


def statement(trace: Trace, files: Mapping[str, str] | None = None) -> bytes:
    """The in-toto statement, in one spelling. ``files``: sha256 of files of the released tree, by their paths."""
    subject = [_git("commit", "gitCommit", trace.commit), _git("tree", "gitTree", trace.tree)]
    subject += [{"name": path, "digest": {"sha256": digest}} for path, digest in sorted((files or {}).items())]
    predicate = {"buildDefinition": _definition(trace), "runDetails": _details(trace)}
    return canonical({"_type": STATEMENT_TYPE, "subject": subject, "predicateType": PREDICATE, "predicate": predicate})


def signed(payload: bytes, signer: Signer) -> bytes:
    """The statement in a DSSE envelope with one signature."""
    return seal(payload, signer.keyid, signer.sign(pae(PAYLOAD_TYPE, payload))) + b"\n"


def check(envelope: bytes, trace: Trace, files: Mapping[str, str] | None = None) -> None:
    """Raise unless the engine of this record signed exactly what the record says of this release."""
    payload, sig = _open(envelope)
    public = base64.b64decode(trace.genesis.engine_key)
    if not verify(public, sig, pae(PAYLOAD_TYPE, payload)):
        raise IntegrityError("provenance-unsigned", "the engine of this record did not sign it")
    if payload != statement(trace, files):
        raise IntegrityError("provenance-differs", f"the record says something else of generation {trace.generation}")


def named(envelope: bytes) -> tuple[str, ...]:
    """The paths of files that an attestation speaks of. Raises ``IntegrityError`` for what is none."""
    payload, _ = _open(envelope)
    try:
        subject: Any = parse_strict(payload, max_bytes=MAX_BYTES, max_depth=20)
        return tuple(str(row["name"]) for row in subject["subject"] if "sha256" in row["digest"])
    except (KeyError, TypeError):
        raise _none() from None


def _open(envelope: bytes) -> tuple[bytes, bytes]:
    """Payload and signature of an envelope that may be larger than an entry's."""
    try:
        found: Any = parse_strict(envelope, max_bytes=MAX_BYTES, max_depth=4)
        (signature,) = found["signatures"]
        if found["payloadType"] != PAYLOAD_TYPE:
            raise _none()
        return base64.b64decode(found["payload"], validate=True), base64.b64decode(signature["sig"], validate=True)
    except (KeyError, TypeError, ValueError):
        raise _none() from None


def _none() -> IntegrityError:
    return IntegrityError("not-a-provenance", "this is no signed provenance of a release")


def require_engine(trace: Trace, signer: Signer) -> None:
    """Raise ``UsageError`` where the key at hand is not the one that the record names."""
    if signer.public != base64.b64decode(trace.genesis.engine_key):
        raise UsageError("not-the-engine", "this key is not the engine's of that record", fix="--statement")


def _definition(trace: Trace) -> Node:
    epoch = trace.epochs[-1]
    return {
        "buildType": BUILD,
        "externalParameters": {
            "system": trace.genesis.system, "origin": trace.genesis.origin, "release": trace.release.release,
            "generation": trace.generation, "cause": trace.cause, "autonomy": epoch.autonomy,
        },
        "internalParameters": {
            "demo": trace.genesis.demo, "alpha": epoch.alpha, "suite": epoch.suite.name,
            "sandboxLevel": trace.run.sandbox_level if trace.run is not None else None,
            "approvedWithoutPerson": trace.without_person,
        },
        "resolvedDependencies": [
            _git("start", "gitCommit", trace.start),
            *(_patch(step) for step in trace.steps),
            *(_evaluator(epoch.epoch, epoch.evaluator) for epoch in trace.epochs),
        ],
    }  # fmt: skip


def _details(trace: Trace) -> Node:
    public = base64.b64decode(trace.genesis.engine_key)
    entries = [*(step.verdict for step in trace.steps), *trace.approvals, trace.released]
    return {
        "builder": {"id": f"urn:festina:engine:{public.hex()}", "version": {"festina": trace.genesis.version}},
        "metadata": {
            "invocationId": f"{trace.genesis.origin}#release-{trace.release.release}",
            "startedOn": trace.began, "finishedOn": trace.released.at,
        },
        "byproducts": [_entry(record) for record in entries],
    }  # fmt: skip


def _git(name: str, kind: str, oid: str) -> Node:
    return {"name": name, "digest": {kind: oid}}


def _patch(step: Step) -> Node:
    notes = {"generation": step.generation, "author": step.author, "commit": step.commit, "entry": step.received.seq}
    return {"name": f"patch of proposal {step.proposal}", "digest": {"sha256": step.patch}, "annotations": notes}


def _evaluator(epoch: int, digest: str) -> Node:
    return {"name": f"evaluator of epoch {epoch}", "digest": {"sha256": digest}}


def _entry(record: Record) -> Node:
    return {
        "name": f"entry {record.seq}: {record.kind}", "digest": {"sha256": sha256(record.envelope).hexdigest()},
        "mediaType": "application/vnd.dsse.envelope.v1+json",
        "annotations": {"entry": record.seq, "leaf": record.leaf},
    }  # fmt: skip


def pem(public: bytes) -> str:
    """A raw Ed25519 public key as other tools read it."""
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
    from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

    key = Ed25519PublicKey.from_public_bytes(public)
    return key.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode("ascii")
