"""Small real ledgers for the tests: keys, bodies of several kinds, a ledger with everything in it."""

from __future__ import annotations

import base64
import sqlite3
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

from festina.ledger.checkpoint import make
from festina.ledger.entries import (
    BatchEnded,
    BatchStarted,
    Body,
    FaultRecorded,
    Genesis,
    LineIntent,
    LineMoved,
    ProposalReceived,
    ProposalRequested,
    ReviewDecided,
    ReviewerEnrolled,
    Role,
    RunEnded,
    RunStarted,
    TestOpened,
    Verdict,
)
from festina.ledger.log import Draft, Ledger
from festina.ledger.merkle import Tree, leaf_hash
from festina.ledger.signing import LocalKey, Signer, pae
from festina.ledger.statement import NO_PREV, PAYLOAD_TYPE, seal, statement
from festina.ledger.store import Store

OID, TREE = "1" * 40, "2" * 40
PATCH = b"--- a/train.py\n+++ b/train.py\n@@ -1 +1 @@\n-lr = 1\n+lr = 2\n"
DETAILS = b'{"trials":[]}'


def digest(data: bytes) -> str:
    return sha256(data).hexdigest()


@dataclass(frozen=True)
class Keys:
    engine: LocalKey
    verifier: LocalKey
    reviewer: LocalKey

    @property
    def own(self) -> Mapping[Role, Signer]:
        return {"engine": self.engine, "verifier": self.verifier}


def make_keys(directory: Path) -> Keys:
    return Keys(
        LocalKey.create(directory / "engine.pem", "engine"),
        LocalKey.create(directory / "verifier.pem", "verifier"),
        LocalKey.create(directory / "reviewer.pem", "reviewer"),
    )


def text(key: LocalKey) -> str:
    return base64.b64encode(key.public).decode()


def genesis(keys: Keys, origin: str = "festina.local/toy-00000001") -> Genesis:
    return Genesis(
        origin=origin, system="toy", engine_key=text(keys.engine), verifier_key=text(keys.verifier), alpha=0.05,
        demo=False, version="0.1.0", schema_number=1,
    )  # fmt: skip


def run_started(run: str = "r1") -> RunStarted:
    return RunStarted(
        run=run, improver="search", frozen_improver=False, wall_s=60.0, trials=10, proposals=5, sandbox_level=2,
        sandbox_missing=(), sandbox_policy="a" * 64, separated_uids=True,
    )  # fmt: skip


def requested(proposal: int, attempt: int = 0) -> ProposalRequested:
    return ProposalRequested(
        proposal=proposal, attempt=attempt, improver="search", from_generation=0, from_commit=OID, base_commit=OID,
        seed=7,
    )  # fmt: skip


def received(proposal: int, patch: bytes = PATCH) -> ProposalReceived:
    return ProposalReceived(
        proposal=proposal, author="search", patch=digest(patch), plan=None, predicted=0.1, exhausted=False, reason="",
        wall_s=1.0, cpu_s=0.5,
    )  # fmt: skip


def opened(test: int, proposal: int = 1) -> TestOpened:
    return TestOpened(
        test=test, proposal=proposal, tree=TREE, base_commit=OID, anchor_tree=TREE, level=0.01, block=0, units_max=100,
        units_min_accept=5,
    )  # fmt: skip


def batch_started(test: int, batch: int = 0, attempt: int = 0) -> BatchStarted:
    return BatchStarted(
        test=test, batch=batch, attempt=attempt, units=2, trials=4, items=80, seeds=digest(b"[1,2]")
    )  # fmt: skip


def batch_ended(test: int, batch: int = 0) -> BatchEnded:
    return BatchEnded(
        test=test, batch=batch, gain=(0.1, -0.05), guards=((0.0, 0.0),), candidate_mean=0.5, incumbent_mean=0.45,
        failed=0, denied=0, details=digest(DETAILS),
    )  # fmt: skip


def verdict(test: int, proposal: int = 1, tree: str = TREE) -> Verdict:
    return Verdict(
        test=test, proposal=proposal, tree=tree, base_commit=OID, verdict="accept", reason="shown",
        sentence="better by 0.05", units=2, items=80, estimate=0.05, interval=(0.01, 0.09), log_evidence=5.0,
        log_threshold=4.6, guard_evidence=(4.7,), alpha_spent=0.01, alpha_left=0.04, public_gain=None,
        assurance="hidden", provisional=False,
    )  # fmt: skip


def intent(move: int) -> LineIntent:
    return LineIntent(
        move=move, cause="accept", generation=move, old_commit=OID, new_commit="3" * 40, proposal=1
    )  # fmt: skip


def moved(move: int, commit: str = "3" * 40) -> LineMoved:
    return LineMoved(move=move, generation=move, commit=commit)


def enrolled(key: LocalKey, name: str = "ada") -> ReviewerEnrolled:
    return ReviewerEnrolled(reviewer=name, key=text(key), demo=False)


def decided(name: str = "ada", review: int = 1, reason: bytes = b"sound") -> ReviewDecided:
    return ReviewDecided(
        review=review, binding="b" * 64, reviewer=name, decision="approve", reason=digest(reason), without_person=False
    )  # fmt: skip


def fault(what: str = "fault") -> FaultRecorded:
    return FaultRecorded(what=what, detail=None)


def run_ended(run: str = "r1") -> RunEnded:
    return RunEnded(run=run, reason="budget", detail="", wall_s=3.0)


def small_ledger(path: Path, keys: Keys) -> Path:
    """Every part of a ledger in 13 entries; the last is a reviewer's, after the newest checkpoint.

    0 genesis, 1 run-started, 2 reviewer-enrolled, 3 proposal-requested, 4 proposal-received, 5 test-opened,
    6 batch-started, 7 batch-ended, 8 verdict, 9 line-intent, 10 line-moved, 11 run-ended, 12 review-decided
    """
    with Ledger.create(path, genesis(keys), signers=keys.own) as ledger:
        ledger.append([Draft(run_started()), Draft(enrolled(keys.reviewer))])
        ledger.append([Draft(requested(1))])
        ledger.append([Draft(received(1), blobs=(PATCH,), subjects=(("tree", TREE),), sealed={"prompt": "be better"})])
        ledger.append([Draft(opened(1))])
        ledger.append([Draft(batch_started(1), blobs=(b"[1,2]",))])
        ledger.append([Draft(batch_ended(1), blobs=(DETAILS,), sealed={"items": "17, 4, 9"})])
        ledger.append([Draft(verdict(1)), Draft(intent(1))])
        ledger.append([Draft(moved(1)), Draft(run_ended())])
    with Ledger.open(path, signers={"reviewer": keys.reviewer}) as ledger:
        ledger.append([Draft(decided(), blobs=(b"sound",))])
    return path


ENTRIES = 13
COVERED = 12  # the reviewer's entry stands after the newest checkpoint


def dump(path: Path) -> dict[str, list[tuple[object, ...]]] | None:
    """Every row of every table as SQLite reads it, or None when it cannot."""
    db = sqlite3.connect(path)
    try:
        return {
            name: db.execute(f"SELECT * FROM {name} ORDER BY 1, 2").fetchall()
            for name in ("entry", "blob", "opening", "checkpoint")
        }
    except sqlite3.Error:
        return None
    finally:
        db.close()


def sql(path: Path, *statements: str | tuple[str, tuple[object, ...]]) -> None:
    """An attacker's hand in the file."""
    db = sqlite3.connect(path)
    try:
        for statement in statements:
            db.execute(*((statement,) if isinstance(statement, str) else statement))
        db.commit()
        db.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
    finally:
        db.close()


def envelope(seq: int, prev: str, body: Body | bytes, key: LocalKey, *, name: str | None = None) -> bytes:
    """An entry as an attacker with ``key`` writes it; ``name`` is the key id that it claims. Bytes are the payload."""
    payload = body if isinstance(body, bytes) else statement(
        seq=seq, prev=prev, at="2026-01-31T09:30:00.000Z", body=body, content=(), commitments={},
        subjects=(("ledger", "0" * 64),),
    )  # fmt: skip
    return seal(payload, name or key.keyid, key.sign(pae(PAYLOAD_TYPE, payload)))


def forge(path: Path, keys: Keys, entries: Sequence[tuple[Body | bytes | None, LocalKey]]) -> Path:
    """A ledger written by somebody who holds the engine's key and obeys no rule; chain and checkpoint are right.

    ``None`` stands for the genesis. Bytes are a payload in which SEQ and PREV are filled in.
    """
    Store.create(path)
    store, tree, prev = Store.open(path), Tree(), NO_PREV
    with store.writing(durable=True):
        for seq, (body, key) in enumerate(entries):
            if isinstance(body, bytes):
                data = body.replace(b"SEQ", b"%d" % seq).replace(b"PREV", prev.encode())
                data = envelope(seq, prev, data, key)
            else:
                data = envelope(seq, prev, genesis(keys) if body is None else body, key)
            store.add_entry(seq, data)
            tree.append(leaf_hash(data))
            prev = leaf_hash(data).hex()
        store.set_checkpoint(len(tree), make(genesis(keys).origin, len(tree), tree.root(), keys.engine))
    store.close()
    return path
