"""Ledgers that the right keys signed and that say something else: what a thief of every key would write."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from festina.ledger import entries as e
from festina.ledger.checkpoint import make
from festina.ledger.merkle import Tree, leaf_hash
from festina.ledger.record import Record
from festina.ledger.signing import LocalKey, pae
from festina.ledger.statement import NO_PREV, PAYLOAD_TYPE, seal, statement
from festina.ledger.store import Store
from festina.loop.recount import Recount
from festina.review.binding import binding
from festina.review.questions import answer_digest, question
from tests.toy import Toy

Mutate = Callable[[int, Record], e.Body | None]


def ledger_of(toy: Toy) -> Path:
    (found,) = Path(toy.environment["FESTINA_HOME"]).glob("toy-*/ledger.db")  # not that of a control arm
    return found


def signed_again(toy: Toy, target: Path, mutate: Mutate) -> Path:
    """The ledger as somebody writes it who holds all keys: other bodies, a right chain, a right checkpoint."""
    source = Store.open(ledger_of(toy), readonly=True)
    folder = ledger_of(toy).parent
    keys = {role: LocalKey.load(folder / "keys" / f"{role}.pem", role) for role in ("engine", "verifier")}
    for path in sorted(Path(toy.environment["FESTINA_REVIEWER_KEYS"]).rglob("*.pem"))[:1]:
        keys["reviewer"] = LocalKey.load(path, "reviewer")
    leaves: dict[str, str] = {}  # new ones by old ones
    Store.create(target)
    copy, tree, prev, seq = Store.open(target), Tree(), NO_PREV, 0
    with copy.writing(durable=True):
        for number, envelope in source.entries():
            record = Record(number, envelope, leaf_hash(envelope))
            body = mutate(number, record)
            if body is None:
                continue
            if isinstance(body, e.ReviewRequested):
                leaf = leaves[body.evidence]
                bound = binding(patch=body.patch, evidence=leaf, evaluator=body.evaluator, commit=body.commit)
                asked = question(source.blob(body.patch), bound)
                answer = answer_digest(bound, asked.right) if body.protocol > 1 else body.answer
                body = body.model_copy(update={"evidence": leaf, "binding": bound, "answer": answer})
            entry, key = record.entry, keys[record.body.role]
            payload = statement(
                seq=seq, prev=prev, at=entry.at, body=body, content=entry.content, commitments=entry.commitments,
                subjects=entry.subjects,
            )  # fmt: skip
            data = seal(payload, key.keyid, key.sign(pae(PAYLOAD_TYPE, payload)))
            copy.add_entry(seq, data)
            tree.append(leaf_hash(data))
            leaves[record.leaf] = prev = leaf_hash(data).hex()
            seq += 1
        for _, blob in source.blobs():
            copy.add_blob(blob)
        copy.set_checkpoint(len(tree), make(first(toy).origin, len(tree), tree.root(), keys["engine"]))
    copy.close()
    source.close()
    return target


def first(toy: Toy) -> e.Genesis:
    store = Store.open(ledger_of(toy), readonly=True)
    try:
        body = next(Record(n, data, b"").body for n, data in store.entries())
    finally:
        store.close()
    assert isinstance(body, e.Genesis)
    return body


def wrong(found: Recount) -> set[tuple[str, str]]:
    return {(row.kind, row.field) for row in found.mismatches}


def edited(kind: str, change: Callable[[Any], dict[str, object]], nth: int = 0) -> Mutate:
    """Change the nth entry of a kind."""
    seen = [0]

    def mutate(number: int, record: Record) -> e.Body:
        body = record.body
        if body.kind != kind:
            return body
        seen[0] += 1
        return body.model_copy(update=change(body)) if seen[0] == nth + 1 else body

    return mutate
