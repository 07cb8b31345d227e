"""Provenance of a release: official messages read it, another implementation verifies it.  # C-1, D-1"""

from __future__ import annotations

import base64
import json
from dataclasses import dataclass, replace
from hashlib import sha256
from importlib import resources
from pathlib import Path
from typing import Any, cast

import jsonschema_rs
import pytest
from click.testing import CliRunner
from cryptography.hazmat.primitives.serialization import load_pem_public_key
from google.protobuf import json_format
from in_toto_attestation.predicates.provenance.v1 import provenance_pb2
from in_toto_attestation.v1 import statement_pb2
from in_toto_attestation.v1.statement import Statement
from securesystemslib.dsse import Envelope
from securesystemslib.exceptions import VerificationError
from securesystemslib.signer import SSlibKey

from festina.cli.report import command
from festina.errors import IntegrityError, UsageError
from festina.ledger import entries as e
from festina.ledger.log import Draft, Ledger
from festina.ledger.merkle import leaf_hash
from festina.ledger.record import Record
from festina.ledger.signing import LocalKey
from festina.ledger.statement import decode
from festina.report.attest import provenance
from festina.report.attest.bom import bom
from festina.report.attest.trace import Trace, release, releases
from festina.report.bundle.make import make
from festina.report.fold import fold
from festina.report.law import incidents
from festina.report.oscal import checks
from festina.report.whole import whole
from tests.report.made_ledger import made_run, oid


@pytest.fixture
def engine(tmp_path: Path) -> LocalKey:
    return LocalKey.create(tmp_path / "engine.pem", "engine")


@pytest.fixture
def ledger(tmp_path: Path, engine: LocalKey) -> Path:
    """The made-up run with its review and release, signed and stored for real."""
    verifier = LocalKey.create(tmp_path / "verifier.pem", "verifier")
    ada = LocalKey.create(tmp_path / "ada.pem", "reviewer")
    made = made_run()
    keys = {"engine_key": engine, "verifier_key": verifier}
    genesis = made.records[0].body.model_copy(
        update={name: base64.b64encode(key.public).decode() for name, key in keys.items()}
    )
    own = {"key": base64.b64encode(ada.public).decode()}
    with Ledger.create(tmp_path / "ledger.db", genesis, signers={"engine": engine, "verifier": verifier}) as log:
        for data in made.blobs.values():
            log.put_blob(data)
        log.put_blob(b"because")
        drafts = []
        for record in made.records[1:]:
            body = record.body.model_copy(update=own) if isinstance(record.body, e.ReviewerEnrolled) else record.body
            drafts.append(Draft(body, at=record.at, signer=ada if isinstance(body, e.ReviewDecided) else None))
        log.append(drafts)
    return tmp_path / "ledger.db"


def trace(ledger: Path) -> Trace:
    with Ledger.open(ledger, readonly=True) as log:
        return release(log.records(), None)


def verified(envelope: bytes, public: bytes) -> dict[str, Any]:
    """The statement, read and verified by code that is not ours."""
    key = SSlibKey.from_crypto(load_pem_public_key(provenance.pem(public).encode()))
    parsed = json.loads(envelope)
    for signature in parsed["signatures"]:
        signature["keyid"] = key.keyid  # a label: DSSE readers find keys their own way
    read = Envelope.from_dict(parsed)
    assert list(read.verify([key], 1)) == [key.keyid]
    message = json_format.Parse(read.payload, statement_pb2.Statement())  # refuses unknown fields
    Statement.copy_from_pb(message).validate()
    statement: dict[str, Any] = json.loads(read.payload)
    made = json_format.ParseDict(statement["predicate"], provenance_pb2.Provenance())
    assert made.build_definition.build_type
    assert made.run_details.builder.id
    return statement


def test_C1_official_messages_read_it_and_another_implementation_verifies_it(ledger: Path, engine: LocalKey) -> None:
    of = trace(ledger)
    envelope = provenance.signed(provenance.statement(of, {"a.txt": "ab" * 32}), engine)
    said = verified(envelope, engine.public)
    assert said["predicateType"] == "https://slsa.dev/provenance/v1"
    subject = {row["name"]: row["digest"] for row in said["subject"]}
    assert subject["commit"] == {"gitCommit": of.commit}
    assert subject["a.txt"] == {"sha256": "ab" * 32}
    broken = json.loads(envelope)
    broken["payload"] = base64.b64encode(base64.b64decode(broken["payload"]).replace(b"a.txt", b"b.txt")).decode()
    with pytest.raises(VerificationError):
        verified(json.dumps(broken).encode(), engine.public)


def test_C1_it_names_every_accepted_patch_on_the_way_and_the_entries_that_accepted_it(ledger: Path) -> None:
    of = trace(ledger)
    with Ledger.open(ledger, readonly=True) as log:
        records = list(log.records())
    assert [step.generation for step in of.steps] == list(range(1, of.generation + 1))
    assert of.steps[-1].commit == of.commit
    assert of.start == oid("c0")
    said = json.loads(provenance.statement(of))["predicate"]
    materials = said["buildDefinition"]["resolvedDependencies"]
    patches = [row["digest"]["sha256"] for row in materials if "patch" in row["name"]]
    assert patches == [step.patch for step in of.steps]
    for row in said["runDetails"]["byproducts"]:
        record = records[row["annotations"]["entry"]]
        assert row["digest"]["sha256"] == sha256(record.envelope).hexdigest()
        assert row["annotations"]["leaf"] == leaf_hash(record.envelope).hex()
    kinds = {records[row["annotations"]["entry"]].kind for row in said["runDetails"]["byproducts"]}
    assert kinds == {"verdict", "review-decided", "released"}


def test_C2_what_comes_later_changes_nothing_in_it(ledger: Path) -> None:
    of = trace(ledger)
    with Ledger.open(ledger, readonly=True) as log:
        upto = [r for r in log.records() if r.seq <= of.released.seq]
        assert len(upto) < log.size
    assert provenance.statement(releases(upto)[-1]) == provenance.statement(of)


def test_T1_a_check_names_a_strange_signer_another_release_and_what_is_none(
    ledger: Path, engine: LocalKey, tmp_path: Path
) -> None:
    of = trace(ledger)
    good = provenance.signed(provenance.statement(of), engine)
    provenance.check(good, of)
    stranger = LocalKey.create(tmp_path / "stranger.pem", "engine")
    with pytest.raises(UsageError, match="not the engine"):
        provenance.require_engine(of, stranger)
    entry = of.released.envelope  # signed by the engine, too, and of another type
    for name, envelope in {
        "provenance-unsigned": provenance.signed(provenance.statement(of), stranger),
        "provenance-differs": provenance.signed(provenance.statement(replace(of, commit="0" * 40)), engine),
        "not-a-provenance": b'{"payload":"e30=","payloadType":"text/plain","signatures":[{"sig":"AA=="}]}',
    }.items():
        with pytest.raises(IntegrityError) as caught:
            provenance.check(envelope, of)
        assert caught.value.name == name
    with pytest.raises(IntegrityError) as caught:
        provenance.check(entry, of)
    assert caught.value.name == "provenance-differs"
    for junk in (b"", b"[]", b'{"signatures":[]}', b"\xff", b"{" * 50):
        with pytest.raises(IntegrityError):
            provenance.check(junk, of)


def test_D1_a_release_that_rests_on_nothing_is_named_and_none_is_a_usage_error(ledger: Path) -> None:
    with Ledger.open(ledger, readonly=True) as log:
        records = list(log.records())
    with pytest.raises(IntegrityError, match="no verdict accepted"):
        releases([r for r in records if r.kind != "verdict"])
    with pytest.raises(IntegrityError, match="on no line"):
        releases([r for r in records if r.kind != "line-intent"])
    epoch = next(r for r in records if r.kind == "epoch-opened")
    moved = replace_body(epoch, epoch.body.model_copy(update={"start_commit": oid("elsewhere")}))
    with pytest.raises(IntegrityError, match="no epoch"):
        releases([moved if r.seq == epoch.seq else r for r in records])
    with pytest.raises(IntegrityError, match="without its intent"):
        releases([r for r in records if r.kind != "release-intent"])
    with pytest.raises(UsageError) as caught:
        release(records, 99)
    assert caught.value.name == "never-released"


@dataclass(frozen=True)
class Other:
    """A record whose body is another one."""

    seq: int
    at: str
    kind: str
    body: e.Body
    envelope: bytes = b"{}"
    leaf: str = "0" * 64


def replace_body(record: Record, body: e.Body) -> Record:
    return cast("Record", Other(record.seq, record.at, record.kind, body))


def test_C1_a_new_epoch_on_the_same_commit_hides_no_earlier_change(ledger: Path) -> None:
    of = trace(ledger)
    with Ledger.open(ledger, readonly=True) as log:
        records = list(log.records())
    last = of.released.seq
    start = e.LineIntent(
        move=99, cause="start", generation=9, old_commit=of.commit, new_commit=of.commit, proposal=None
    )  # fmt: skip
    again = [*records[:last], cast("Record", Other(last, of.released.at, "line-intent", start)), of.released]
    assert releases(again)[-1].steps == of.steps


def test_C1_a_decision_that_did_not_count_is_no_approval_in_it(ledger: Path) -> None:
    with Ledger.open(ledger, readonly=True) as log:
        records = list(log.records())
    at = next(i for i, r in enumerate(records) if r.kind == "release-intent")
    decided = next(r for r in records if r.kind == "review-decided" and r.body.review == records[at].body.review)
    by_demo = decided.body.model_copy(update={"without_person": True})
    demo = cast("Record", Other(1000, decided.at, decided.kind, by_demo))
    end = e.ReviewSettled(
        review=decided.body.review, outcome="approve", votes=(decided.seq,), origin="real:x", salt="", answer=0
    )  # fmt: skip
    settled = cast("Record", Other(1001, decided.at, end.kind, end))
    found = releases([*records[:at], demo, settled, *records[at:]])[-1]
    assert [r.seq for r in found.approvals] == [decided.seq, 1001]
    assert not found.without_person


def test_C1_a_release_without_asking_rests_on_the_signed_step_and_a_rollback_says_so(ledger: Path) -> None:
    of = trace(ledger)
    with Ledger.open(ledger, readonly=True) as log:
        records = list(log.records())
    at = next(i for i, r in enumerate(records) if r.kind == "release-intent")
    step = e.AutonomyStepped(before="release-by-approval", rung="unattended", trust="yes", reviewer="ada",
                             reason="0" * 64, without_person=True)  # fmt: skip
    stepped = cast("Record", Other(1000, of.began, step.kind, step))
    unasked = records[at].body.model_copy(update={"review": None, "grant": 1000})
    found = releases([*records[:at], stepped, replace_body(records[at], unasked), *records[at + 1 :]])[-1]
    assert [r.kind for r in found.approvals] == ["autonomy-stepped"]
    assert found.without_person
    back = records[at].body.model_copy(update={"review": None, "cause": "rollback"})
    found = releases([*records[:at], replace_body(records[at], back), *records[at + 1 :]])[-1]
    said = json.loads(provenance.statement(found))["predicate"]["buildDefinition"]
    assert said["externalParameters"]["cause"] == "rollback"
    assert not found.approvals


@pytest.fixture(scope="module")
def cyclonedx() -> jsonschema_rs.Validator:
    """The schema that CycloneDX publishes, as its own library carries it."""
    folder = resources.files("cyclonedx.schema._res")

    def named(uri: str) -> Any:
        return json.loads(folder.joinpath(uri.rsplit("/", 1)[1]).read_text(encoding="utf-8"))

    return jsonschema_rs.validator_for(named("/bom-1.6.SNAPSHOT.schema.json"), retriever=named)


@pytest.mark.parametrize("model", [False, True])
def test_C1_the_official_schema_accepts_a_bill_of_materials(
    ledger: Path, cyclonedx: jsonschema_rs.Validator, model: bool
) -> None:
    of = trace(ledger)
    with Ledger.open(ledger, readonly=True) as log:
        data = fold(log.records(), log.get_blob, root=log.root().hex())
    made = json.loads(bom(of, data, {"a.txt": "ab" * 32}, model=model))
    assert [str(error)[:300] for error in cyclonedx.iter_errors(made)] == []
    component = made["metadata"]["component"]
    assert [c["uid"] for c in component["pedigree"]["commits"]] == [step.commit for step in of.steps]
    assert ("modelCard" in component) == model
    if model:
        metrics = component["modelCard"]["quantitativeAnalysis"]["performanceMetrics"]
        assert [float(m["value"]) for m in metrics[: len(of.steps)]] == [
            pytest.approx(g.estimate, rel=1e-5) for g in data.generations if 0 < g.generation <= of.generation
        ]
        assert all(set(m["confidenceInterval"]) == {"lowerBound", "upperBound"} for m in metrics)
    made["metadata"]["component"]["type"] = "spirit"
    assert not cyclonedx.is_valid(made)  # it can refuse


def test_C1_a_bundle_holds_each_releases_provenance_and_says_why_one_is_missing(
    ledger: Path, engine: LocalKey, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make(ledger, tmp_path / "bundle", signer=engine)
    (made,) = (tmp_path / "bundle" / "provenance").iterdir()
    assert verified(made.read_bytes(), engine.public)["subject"][0]["digest"]["gitCommit"] == trace(ledger).commit
    assert len(list((tmp_path / "bundle" / "oscal").iterdir())) == 5

    def odd(*_: object) -> Trace:
        raise IntegrityError("odd-release", "a release that rests on nothing")

    monkeypatch.setattr("festina.report.attest.trace._trace", odd)
    make(ledger, tmp_path / "odd", signer=engine)
    assert "rests on nothing" in (tmp_path / "odd" / "provenance" / "NOT-MADE.txt").read_text()


def test_C1_on_the_command_line_a_ledger_file_gives_a_statement_and_no_signature(ledger: Path) -> None:
    def run(*words: str) -> Any:
        return CliRunner().invoke(command, ["--ledger", str(ledger), "provenance", *words])

    assert json.loads(run("--statement").stdout)["predicateType"] == provenance.PREDICATE
    for words, name in (((), "no-key"), (("--statement", "--file", "a"), "no-repository")):
        wrong = run(*words).exception
        assert isinstance(wrong, UsageError)
        assert wrong.name == name
    (ledger.parent / "earlier.json").write_text("{}")
    for words in (("--statement",), ("--file", "a"), ("--out", str(ledger.parent / "new.json"))):
        assert run("--check", str(ledger.parent / "earlier.json"), *words).exit_code == 2, "no option is passed over"


def test_C2_one_pass_reads_what_several_passes_read(ledger: Path) -> None:
    with Ledger.open(ledger, readonly=True) as log:
        made = whole(log)
        root = log.root().hex()
        assert made.data == fold(log.records(), log.get_blob, root=root, paths=False)
        assert made.people == incidents.fold(log.records(), log.get_blob)
        gathered = checks.Gathered()
        for record in log.records():
            gathered.take(record)
            entry = decode(record.envelope)
            assert (record.kind, record.at, record.body) == (entry.kind, entry.at, entry.model())
            assert dict(record.commitments) == entry.commitments
            assert record.leaf == log.leaf(record.seq)
            with pytest.raises(AttributeError):
                record.body = None
        assert made.case == gathered.case(made.data, made.people, made.packs)
        with pytest.raises(IndexError):
            log.leaf(log.size)
        with pytest.raises(IndexError):
            log.leaf(-1)
