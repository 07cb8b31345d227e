"""Appending, reading and sharing a ledger: order, atomicity, signers, sealed fields, copies."""

from __future__ import annotations

import base64
import os
import subprocess
import sys
from pathlib import Path

import pytest

import festina.ledger
from festina.errors import Busy, IntegrityError, UsageError
from festina.ledger.audit import verify
from festina.ledger.copies import export
from festina.ledger.entries import FaultRecorded, ProposalReceived, Verdict
from festina.ledger.log import Draft, Ledger
from festina.ledger.merkle import verify_consistency, verify_inclusion
from festina.ledger.proof import check_proof, prove
from festina.ledger.signing import LocalKey
from festina.ledger.store import Store
from tests.ledger.support import (
    COVERED,
    ENTRIES,
    PATCH,
    Keys,
    batch_ended,
    decided,
    digest,
    dump,
    enrolled,
    fault,
    genesis,
    received,
    run_started,
    small_ledger,
    text,
    verdict,
)


def test_L1_a_ledger_reads_back_what_was_recorded(ledger_file: Path, keys: Keys):
    with Ledger.open(ledger_file) as ledger:
        records = list(ledger.records())
        assert [r.seq for r in records] == list(range(ENTRIES))
        assert records[8].body == verdict(1)
        assert isinstance(records[8].body, Verdict)
        assert records[8].keyid == keys.verifier.keyid
        assert records[4].subjects == (("tree", "2" * 40),)
        assert ledger.record(4) == records[4]
        assert ledger.get_blob(digest(PATCH)) == PATCH
        assert (ledger.size, ledger.covered) == (ENTRIES, COVERED)
        assert [r.seq for r in ledger.records(10)] == [10, 11, 12]
        assert list(ledger.reviewers) == [keys.reviewer.keyid]


def test_L1_one_file_is_the_whole_ledger_after_each_durable_append(tmp_path: Path, keys: Keys):
    path = tmp_path / "l.db"
    with Ledger.create(path, genesis(keys), signers=keys.own) as ledger:
        for n in range(5):
            ledger.append([Draft(fault(f"f{n}"))])
            alone = tmp_path / f"alone{n}.db"
            alone.write_bytes(path.read_bytes())  # without -wal and -shm, while the writer is open
            report = verify(alone)
            assert (report.ok, report.entries) == (True, n + 2)
    assert [p.name for p in tmp_path.glob("l.db*")] == ["l.db"]


def test_L1_verify_leaves_no_trace_and_needs_no_write_permission(ledger_file: Path):
    before = ledger_file.read_bytes()
    assert verify(ledger_file).ok
    assert [p.name for p in ledger_file.parent.glob("ledger.db*")] == ["ledger.db"]
    assert ledger_file.read_bytes() == before


def test_create_never_overwrites_and_leaves_nothing_half_made(tmp_path: Path, keys: Keys):
    path = tmp_path / "l.db"
    Ledger.create(path, genesis(keys), signers=keys.own).close()
    for _ in range(2):
        with pytest.raises(UsageError) as caught:
            Ledger.create(path, genesis(keys), signers=keys.own)
        assert caught.value.name == "ledger-exists"
    os.symlink("nowhere", tmp_path / "link.db")
    with pytest.raises(UsageError):
        Ledger.create(tmp_path / "link.db", genesis(keys), signers=keys.own)
    with pytest.raises(UsageError, match="engine"):
        Ledger.create(tmp_path / "m.db", genesis(keys), signers={"verifier": keys.verifier})
    assert sorted(p.name for p in tmp_path.iterdir()) == ["l.db", "link.db"]


def test_T1_one_key_cannot_be_two_principals(tmp_path: Path, keys: Keys, ledger_file: Path):
    twice = genesis(keys).model_copy(update={"verifier_key": text(keys.engine)})
    with pytest.raises(UsageError, match="one key"):
        Ledger.create(tmp_path / "l.db", twice, signers=keys.own)
    with Ledger.open(ledger_file, signers=keys.own) as ledger:
        for body in (enrolled(keys.engine, "eve"), enrolled(keys.verifier, "eve"), enrolled(keys.reviewer, "eve")):
            with pytest.raises(UsageError, match="key"):
                ledger.append([Draft(body)])
        assert ledger.size == ENTRIES


def test_L2_an_append_is_all_or_nothing(ledger_file: Path, keys: Keys):
    with Ledger.open(ledger_file, signers=keys.own) as ledger:
        root, note = ledger.root(), ledger.checkpoint()
        with pytest.raises(UsageError) as caught:
            ledger.append([Draft(fault(), blobs=(b"lost",)), Draft(fault(), at="yesterday")])
        assert caught.value.name == "bad-draft"
        assert (ledger.size, ledger.root(), ledger.checkpoint()) == (ENTRIES, root, note)
        with pytest.raises(IntegrityError):
            ledger.get_blob(digest(b"lost"))
        assert ledger.append([Draft(fault())])[0].seq == ENTRIES
        assert ledger.covered == ENTRIES + 1
    assert verify(ledger_file).ok


def test_L2_an_entry_over_65535_bytes_is_refused(ledger_file: Path, keys: Keys):
    with Ledger.open(ledger_file, signers=keys.own) as ledger:
        big = batch_ended(1).model_copy(update={"gain": tuple(0.1 for _ in range(20_000))})
        with pytest.raises(UsageError) as caught:
            ledger.append([Draft(big)])
        assert caught.value.name == "entry-too-large"


def test_T1_each_kind_needs_its_own_role(ledger_file: Path, keys: Keys, tmp_path: Path):
    stranger = LocalKey.create(tmp_path / "s.pem", "reviewer")
    with Ledger.open(ledger_file, signers=keys.own) as ledger:
        for draft in (
            Draft(decided()), Draft(verdict(1), signer=keys.engine), Draft(fault(), signer=keys.verifier),
            Draft(decided(), signer=stranger), Draft(decided("bob"), signer=keys.reviewer),
        ):  # fmt: skip
            with pytest.raises(UsageError):
                ledger.append([draft])
        assert ledger.append([Draft(decided(), signer=keys.reviewer)])
    with Ledger.open(ledger_file, signers={"verifier": keys.verifier}) as ledger, pytest.raises(UsageError):
        ledger.append([Draft(verdict(1))])
    assert verify(ledger_file).ok


class Liar:
    """A signer in another process that returns nonsense."""

    role = "verifier"

    def __init__(self, keys: Keys) -> None:
        self.keyid, self.public = keys.verifier.keyid, keys.verifier.public

    def sign(self, data: bytes) -> bytes:
        return bytes(64)


def test_T1_a_signature_from_another_process_is_checked_before_it_is_recorded(ledger_file: Path, keys: Keys):
    with Ledger.open(ledger_file, signers=keys.own) as ledger:
        with pytest.raises(UsageError, match="signature"):
            ledger.append([Draft(verdict(1), signer=Liar(keys))])
        assert ledger.size == ENTRIES


def test_opening_with_another_ledgers_keys_is_refused(ledger_file: Path, tmp_path: Path):
    other = LocalKey.create(tmp_path / "o.pem", "engine")
    with pytest.raises(UsageError) as caught:
        Ledger.open(ledger_file, signers={"engine": other})
    assert caught.value.name == "wrong-key"
    with pytest.raises(UsageError):
        Ledger.open(ledger_file, signers={"verifier": other})


def test_L1_two_open_ledgers_see_each_others_entries_in_one_order(ledger_file: Path, keys: Keys):
    with Ledger.open(ledger_file, signers=keys.own) as a, Ledger.open(ledger_file, signers=keys.own) as b:
        a.append([Draft(fault("one"))])
        with pytest.raises(Busy) as caught:
            b.append([Draft(fault("two"))], expected_size=ENTRIES)
        assert caught.value.name == "ledger-moved"
        assert [r.body for r in b.refresh()] == [fault("one")]
        assert b.refresh() == []
        a.append([Draft(fault("three"))])
        b.append([Draft(fault("four"))])  # reads "three" first
        assert [r.body for r in b.refresh()] == [fault("three")]
        assert [r.body for r in a.refresh()] == [fault("four")]
        assert a.root() == b.root()
    assert verify(ledger_file).ok


def test_L2_an_engine_never_signs_over_what_it_did_not_check(ledger_file: Path, keys: Keys):
    with Ledger.open(ledger_file, signers=keys.own) as ledger:
        store = Store.open(ledger_file)
        with store.writing(durable=True):
            store.add_entry(ENTRIES, next(store.entries(12))[1])  # a reviewer's entry, copied
        store.close()
        with pytest.raises(IntegrityError):
            ledger.append([Draft(fault())])
        with pytest.raises(IntegrityError):
            ledger.refresh()
        assert ledger.size == ENTRIES


def test_L1_a_file_that_was_replaced_or_rewound_is_noticed(ledger_file: Path, keys: Keys):
    old = ledger_file.read_bytes()
    with Ledger.open(ledger_file, signers=keys.own) as ledger:
        ledger.append([Draft(fault())])
        spare = ledger_file.with_name("spare.db")
        spare.write_bytes(old)
        os.rename(spare, ledger_file)
        with pytest.raises(IntegrityError, match="replaced"):
            ledger.append([Draft(fault())])


def test_L1_records_are_compared_with_what_was_checked(ledger_file: Path, keys: Keys):
    with Ledger.open(ledger_file) as ledger:
        store = Store.open(ledger_file)
        with store.writing(durable=True):
            store._db.execute("UPDATE entry SET envelope = (SELECT envelope FROM entry WHERE seq = 3) WHERE seq = 4")
        store.close()
        with pytest.raises(IntegrityError, match="entry 4"):
            list(ledger.records())


def test_L2_proofs_hold_against_the_checkpoint(ledger_file: Path, keys: Keys):
    with Ledger.open(ledger_file) as ledger:
        for seq in range(COVERED):
            proof = ledger.inclusion(seq)
            leaf = bytes.fromhex(ledger.record(seq).leaf)
            assert verify_inclusion(leaf, proof.start, proof.size, proof.hashes, proof.root)
            proved = check_proof(prove(ledger, seq), origin=ledger.origin, key=keys.engine.public)
            assert (proved.seq, proved.size, proved.entry.model()) == (seq, COVERED, ledger.record(seq).body)
        for m in range(ENTRIES + 1):
            step = ledger.consistency(m, ENTRIES)
            assert verify_consistency(m, ENTRIES, step.hashes, step.start_root, step.root)
        with pytest.raises(UsageError):
            ledger.inclusion(COVERED)  # the reviewer's entry is under no checkpoint yet
        with pytest.raises(UsageError):
            ledger.consistency(5, ENTRIES + 1)


def test_D2_a_changed_proof_is_refused(ledger_file: Path, keys: Keys):
    with Ledger.open(ledger_file) as ledger:
        good, origin = prove(ledger, 8), ledger.origin
    tails = [at - 1 for at in range(1, len(good)) if good[at] == "=" != good[at - 1]]  # bits that base64 leaves unused
    for at in (*range(0, len(good), 7), *tails):
        changed = good[:at] + ("A" if good[at] != "A" else "B") + good[at + 1 :]
        with pytest.raises(IntegrityError):
            check_proof(changed, origin=origin, key=keys.engine.public)
    for key, name in ((keys.verifier.public, origin), (keys.engine.public, "festina.local/other")):
        with pytest.raises(IntegrityError):
            check_proof(good, origin=name, key=key)


@pytest.mark.parametrize("name", ["copy.db", "copy"])
def test_L5_public_and_full_copy_verify_against_the_same_leaves(ledger_file: Path, tmp_path: Path, name: str):
    full, public = tmp_path / f"full-{name}", tmp_path / f"public-{name}"
    export(ledger_file, full)
    export(ledger_file, public, public=True)
    reports = [verify(ledger_file), verify(full), verify(public)]
    assert all(report.ok for report in reports)
    assert len({(report.root, report.entries, report.covered) for report in reports}) == 1
    assert [report.withheld for report in reports] == [0, 0, 2]
    raw = b"".join(f.read_bytes() for f in ([public] if public.is_file() else public.rglob("*")) if f.is_file())
    assert b"be better" not in raw
    assert b"17, 4, 9" not in raw
    with pytest.raises(UsageError):
        export(ledger_file, full)


def test_C2_same_ledger_same_plain_files(ledger_file: Path, tmp_path: Path):
    export(ledger_file, tmp_path / "a")
    export(ledger_file, tmp_path / "b")
    files = sorted(p.relative_to(tmp_path / "a") for p in (tmp_path / "a").rglob("*") if p.is_file())
    assert files == sorted(p.relative_to(tmp_path / "b") for p in (tmp_path / "b").rglob("*") if p.is_file())
    assert all((tmp_path / "a" / f).read_bytes() == (tmp_path / "b" / f).read_bytes() for f in files)


def test_L5_a_sealed_value_cannot_be_guessed_from_its_commitment(tmp_path: Path, keys: Keys):
    with Ledger.create(tmp_path / "l.db", genesis(keys), signers=keys.own) as ledger:
        one, two = (ledger.append([Draft(fault(), sealed={"reason": "yes"})])[0] for _ in range(2))
    assert one.commitments["reason"] != two.commitments["reason"]  # salted: the same value twice looks different
    assert digest(b"yes") not in (one.commitments["reason"], two.commitments["reason"])


def test_L2_content_put_before_its_entry_is_bound_by_it(tmp_path: Path, keys: Keys):
    with Ledger.create(tmp_path / "l.db", genesis(keys), signers=keys.own) as ledger:
        name = ledger.put_blob(b"report")
        record = ledger.append([Draft(FaultRecorded(what="x", detail=name))])[0]
        assert record.entry.content == (name,)


def test_durable_false_is_as_complete_after_closing(tmp_path: Path, keys: Keys):
    path = tmp_path / "l.db"
    with Ledger.create(path, genesis(keys), signers=keys.own) as ledger:
        for n in range(20):
            ledger.append([Draft(fault(f"f{n}"))], durable=False)
    assert [p.name for p in tmp_path.glob("l.db*")] == ["l.db"]
    assert verify(path).entries == 21


@pytest.mark.parametrize("length", range(6))
def test_T1_opening_finds_reviewers_at_every_alignment_of_base64(tmp_path: Path, keys: Keys, length: int):
    path = tmp_path / "l.db"
    with Ledger.create(path, genesis(keys), signers=keys.own) as ledger:
        ledger.append([Draft(enrolled(keys.reviewer, "a" * (length + 1)))])
    with Ledger.open(path) as ledger:
        assert list(ledger.reviewers) == [keys.reviewer.keyid]


def test_reading_only_never_writes(ledger_file: Path, keys: Keys):
    with Ledger.open(ledger_file, signers=keys.own, readonly=True) as ledger:
        for call in (lambda: ledger.append([Draft(fault())]), lambda: ledger.put_blob(b"x")):
            with pytest.raises(UsageError) as caught:
                call()
            assert caught.value.name == "ledger-readonly"


def test_missing_things_are_named(ledger_file: Path):
    with Ledger.open(ledger_file) as ledger:
        with pytest.raises(IntegrityError, match="not in the ledger"):
            ledger.get_blob("0" * 64)
        for call in (lambda: ledger.get_blob("zz"), lambda: ledger.record(99), lambda: ledger.record(-1)):
            with pytest.raises(UsageError):
                call()


def test_every_name_of_the_room_is_there_and_importing_it_is_cheap():
    for name in festina.ledger.__all__:
        assert getattr(festina.ledger, name) is not None
    assert sorted(festina.ledger._HOME) == festina.ledger.__all__
    with pytest.raises(AttributeError):
        _ = festina.ledger.nothing
    heavy = "('pydantic', 'cryptography', 'sqlite3', 'numpy')"
    code = f"import sys, festina.ledger, festina.cli.ledger; print([m for m in {heavy} if m in sys.modules])"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "[]\n"


def test_the_entry_is_a_dsse_envelope_around_an_in_toto_statement(ledger_file: Path):
    import json

    with Ledger.open(ledger_file) as ledger:
        record = ledger.record(4)
    envelope = json.loads(record.envelope)
    assert sorted(envelope) == ["payload", "payloadType", "signatures"]
    assert envelope["payloadType"] == "application/vnd.in-toto+json"
    statement = json.loads(base64.b64decode(envelope["payload"]))
    assert statement["_type"] == "https://in-toto.io/Statement/v1"
    assert statement["subject"] == [{"name": "tree", "digest": {"gitTree": "2" * 40}}]
    assert statement["predicateType"] == "urn:festina:entry:proposal-received:1"
    assert sorted(statement["predicate"]) == ["at", "body", "commitments", "content", "prev", "schema", "seq"]
    assert ProposalReceived.model_validate_json(json.dumps(statement["predicate"]["body"])) == received(1)


def test_a_small_ledger_is_what_the_tests_say(tmp_path: Path, keys: Keys):
    path = small_ledger(tmp_path / "l.db", keys)
    rows = dump(path)
    assert rows is not None
    assert [len(rows[name]) for name in ("entry", "blob", "opening", "checkpoint")] == [ENTRIES, 4, 2, 1]
    assert run_started().kind == "run-started"
