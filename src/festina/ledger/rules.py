"""Who may say what, and in which order: the ledger's rules without any I/O.  # L-2, T-1

``Rules.admit`` takes the entries in order and checks all but the signature itself: canonical form, number,
predecessor, schema, kind and body, and that the key is the one that this kind needs: the engine's and the
verifier's from the first entry, a reviewer's from an enrolment that the engine signed earlier. It returns what
must still hold (``Claim``), so that signatures can be checked elsewhere (another process) or at once.
Wrong content is hostile input (``IntegrityError``); wrong order of calls is the caller's bug.
"""

from __future__ import annotations

import base64
from dataclasses import dataclass, field, replace
from typing import NamedTuple

from festina.errors import IntegrityError
from festina.ledger.entries import SCHEMA, AuditorEnrolled, Body, Genesis, ReviewerEnrolled, Role
from festina.ledger.merkle import leaf_hash
from festina.ledger.signing import PUBLIC_BYTES, keyid, verify
from festina.ledger.statement import NO_PREV, Entry, bad, decode


class Claim(NamedTuple):
    """A signature that must hold."""

    public: bytes
    sig: bytes
    data: bytes

    def holds(self) -> bool:
        return verify(self.public, self.sig, self.data)


class Admitted(NamedTuple):
    entry: Entry
    body: Body
    leaf: bytes
    claim: Claim


def raw_key(text: str) -> bytes:
    """A public key as entries write it: canonical base64 of 32 bytes."""
    try:
        public = base64.b64decode(text, validate=True)
    except ValueError:
        public = b""
    if len(public) != PUBLIC_BYTES or base64.b64encode(public).decode() != text:
        bad("a public key that is none", "bad-key")
    return public


@dataclass(slots=True)
class Rules:
    """State after some entries: the genesis, the keys in force, the number and leaf of the next predecessor."""

    size: int = 0
    prev: str = NO_PREV
    genesis: Genesis | None = None
    engine: bytes = b""
    verifier: bytes = b""
    ids: dict[Role, str] = field(default_factory=dict)  # of the engine's and the verifier's key
    reviewers: dict[str, tuple[bytes, str]] = field(default_factory=dict)  # key id -> (key, name)
    auditors: dict[bytes, str] = field(default_factory=dict)  # keys that sign no entry, with their names

    def copy(self) -> Rules:
        return replace(self, reviewers=dict(self.reviewers), auditors=dict(self.auditors))

    def start(self, genesis: Genesis) -> None:
        """Take keys from the first entry."""
        self.genesis = genesis
        self.engine, self.verifier = raw_key(genesis.engine_key), raw_key(genesis.verifier_key)
        if self.engine == self.verifier:  # T-1: two principals, two keys
            bad("engine and verifier with one key", "shared-key")
        self.ids = {"engine": keyid(self.engine), "verifier": keyid(self.verifier)}

    def enrol(self, body: ReviewerEnrolled) -> None:
        public = raw_key(body.key)
        if public in (self.engine, self.verifier):  # T-1: nobody reviews with the engine's or verifier's key
            bad("a reviewer with the engine's or verifier's key", "shared-key")
        if public in self.auditors or body.reviewer in self.auditors.values():  # T-1: whoever audits decides nothing
            bad("a reviewer with an auditor's key or name", "shared-key")
        known = self.reviewers.get(keyid(public))
        if known is not None and known != (public, body.reviewer):
            bad("one key for two reviewers", "shared-key")
        self.reviewers[keyid(public)] = (public, body.reviewer)

    def enrol_auditor(self, body: AuditorEnrolled) -> None:
        """From here on this key is an auditor's: it signs no entry, and nobody may be enrolled with it."""
        public = raw_key(body.key)
        names = {name for _, name in self.reviewers.values()}
        if public in (self.engine, self.verifier) or keyid(public) in self.reviewers or body.auditor in names:
            bad("an auditor with a key or name that decides here", "shared-key")
        if self.auditors.get(public, body.auditor) != body.auditor or (
            public not in self.auditors and body.auditor in self.auditors.values()
        ):
            bad("one key for two auditors, or one auditor with two keys", "shared-key")
        self.auditors[public] = body.auditor

    def key_for(self, role: Role, key_id: str, body: Body) -> bytes:
        """The key that must have signed, or an IntegrityError."""
        if role == "reviewer":
            if key_id not in self.reviewers:
                bad(f"signed by a key ({key_id}) of no reviewer enrolled before it", "unknown-key")
            public, name = self.reviewers[key_id]
            if (said := getattr(body, "reviewer", name)) != name:
                bad(f"signed with the key of {name}, in the name of {said}", "wrong-key")
            return public
        if key_id != self.ids.get(role):
            bad(f"signed by a key ({key_id}) that may not sign this: it needs the {role}'s", "wrong-key")
        return self.engine if role == "engine" else self.verifier

    def admit(self, envelope: bytes, leaf: bytes | None = None) -> Admitted:
        """Check the next entry and move past it. The signature is still to be checked."""
        entry = decode(envelope)
        if entry.seq != self.size:
            bad(f"it says it is number {entry.seq}: entries were dropped, moved or inserted", "out-of-order")
        if entry.prev != self.prev:
            bad("it follows another entry than the one before it: entries were replaced or inserted", "out-of-order")
        if entry.schema > SCHEMA:
            bad(f"it is written in schema {entry.schema}, newer than {SCHEMA}", "newer-entry")
        body = entry.model()
        entry.check_exact(body)
        public = self.enter(body, entry.keyid)
        found = leaf_hash(envelope) if leaf is None else leaf
        self.follow(found)
        return Admitted(entry, body, found, Claim(public, entry.sig, entry.signed()))

    def enter(self, body: Body, key_id: str) -> bytes:
        """Take what the next entry changes about keys; the key that must have signed it."""
        if (self.size == 0) != isinstance(body, Genesis):
            bad("a ledger starts with its one genesis entry", "bad-genesis")
        if isinstance(body, Genesis):
            self.start(body)
        public = self.key_for(body.role, key_id, body)
        if isinstance(body, ReviewerEnrolled):
            self.enrol(body)
        elif isinstance(body, AuditorEnrolled):
            self.enrol_auditor(body)
        return public

    def follow(self, leaf: bytes) -> None:
        """The next entry follows this one."""
        self.size += 1
        self.prev = leaf.hex()

    def admit_signed(self, envelope: bytes) -> Admitted:
        """``admit`` and the signature, at once."""
        admitted = self.admit(envelope)
        if not admitted.claim.holds():
            raise IntegrityError("bad-signature", "its signature does not match its bytes")
        return admitted
