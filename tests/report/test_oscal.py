"""Coverage of the Code's measures, and OSCAL documents that the official schema accepts.  # C-1, C-2"""

from __future__ import annotations

import base64
import hashlib
import json
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import jsonschema_rs
import pytest
from click.testing import CliRunner

from festina.cli.report import command
from festina.errors import UsageError
from festina.ledger import entries as e
from festina.ledger.merkle import leaf_hash
from festina.report.fold import fold
from festina.report.law import incidents
from festina.report.law.documents import build, key
from festina.report.law.packs import find, load
from festina.report.oscal import code as codes
from festina.report.oscal.checks import CHECKS, Case, Gathered
from festina.report.oscal.coverage import STATES, Covered, cover
from tests.report.made_ledger import Log, made_run, oid, request
from tests.report.test_command import ledger as ledger  # a fixture

OTHERS = Path(sys.prefix) / "others" / "bin"  # `make .venv/.others`
SCHEMA = Path(__file__).parent / "schemas" / "oscal_complete_schema.json"
PUBLISHED = "384324105c7a817af0f65b120a963146caa0e0d55d969cf0daf60e063b87a206"


@pytest.fixture(scope="module")
def schema() -> jsonschema_rs.Validator:
    raw = SCHEMA.read_bytes()
    assert hashlib.sha256(raw).hexdigest() == PUBLISHED  # as NIST published it
    return jsonschema_rs.validator_for(json.loads(raw))


def case(log: Log) -> Case:
    people = incidents.fold(log.records, log.blob)
    data = fold(log.records, log.blob, root="ab" * 32)
    gathered = Gathered()
    for record in log.records:
        gathered.take(record)
    return gathered.case(data, people, load())


def covered(log: Log) -> dict[str, Covered]:
    return {row.measure.id: row for row in cover(codes.load(), case(log))}


def say(log: Log, document: str, field: str, text: str) -> None:
    log.add(e.Stated(document=document, field=field, text=log.text(text), reviewer="ann", without_person=False))


def complete(log: Log, name: str, incident: int | None = None) -> None:
    """People state whatever is still unknown in a document."""
    now = case(log)
    pack, kind = find(now.packs, name)
    about = now.people.incidents[incident] if incident is not None else None
    for field in build(pack, kind, now.data, now.people, lambda seq: "", about).missing:
        say(log, key(kind, about), field, "as it is")


def test_C1_a_batch_that_was_cut_off_contradicts_nothing() -> None:
    """A spent budget, a halt or a roll back leaves something begun: ``ledger verify`` only notes it."""
    log = made_run()
    request(log, 99, oid("c0"), 0)
    assert [row.what for row in case(log).data.findings] == ["begun and not ended"]
    assert CHECKS["no-findings"](case(log)).held
    log.add(e.Released(release=3, generation=0, commit=oid("c0")))  # an end that nobody began
    assert CHECKS["no-findings"](case(log)).held is False


def incident(log: Log, *, aware: str, sent: str | None) -> None:
    log.add(e.IncidentOpened(incident=1, aware=aware, text=log.text("it got out"), about=None, reviewer="ann",
                             without_person=False))  # fmt: skip
    log.add(e.IncidentClassified(incident=1, classes=("eu.cybersecurity",), causal="suspected", text=log.text("so"),
                                 reviewer="ann", without_person=False))  # fmt: skip
    if sent is not None:
        log.add(e.IncidentFiled(incident=1, document="eu.serious-incident-initial", sent=sent, content="0" * 64,
                                reviewer="ann", without_person=False))  # fmt: skip


# -- coverage ----------------------------------------------------------------------------------------------


def test_C3_the_measures_hold_together_and_every_check_serves_one() -> None:
    code, packs = codes.load(), load()
    numbers = [m.id for m in code.measure if not m.id.startswith("ss-a")]
    assert len(numbers) == 3 + 5 + 32  # of the three chapters
    assert {name for m in code.measure for name in m.checks} == CHECKS.keys()
    for measure in code.measure:
        codes.asked(packs, measure)  # documents and fields exist
        assert measure.why.endswith(".")


@pytest.mark.parametrize(
    ("old", "new", "word"),
    [
        ('facts = ["rules", "process"]', 'facts = ["vibes"]', "no fact 'vibes'"),
        ('checks = ["no-findings"]', 'checks = ["all-well"]', "no check 'all-well'"),
        ('kinds = ["watch-ended"]', 'kinds = ["dream"]', "no kind of entry 'dream'"),
        ('id = "t-m1.2"', 'id = "t-m1.1"', "twice"),
        ('id = "t-m1.2"', 'id = "x-m1.2"', "no chapter"),
        ('best = "satisfied"', "", "best"),
        ('kind = "people"', 'kind = "people"\nmood = "good"', "mood"),
    ],
)
def test_C3_a_mistake_in_the_measures_is_named(old: str, new: str, word: str) -> None:
    raw = Path(codes.__file__).with_name(codes.FILE).read_text(encoding="utf-8")
    assert old in raw
    with pytest.raises(UsageError, match=word) as caught:
        codes.parse(raw.replace(old, new, 1).encode())
    assert caught.value.where == codes.FILE


def test_C1_nothing_is_satisfied_in_an_empty_record_and_each_measure_says_why() -> None:
    empty = Log()
    rows = covered(empty)
    assert {row.state for row in rows.values()} <= {"open", "human-owned", "not-applicable"}
    assert all(row.why for row in rows.values())


def test_C1_evidence_makes_a_measure_partial_and_peoples_statements_complete_it() -> None:
    log = made_run()
    assert covered(log)["ss-m10.1"].state == "partial"
    complete(log, "eu.implementation-record")
    now = covered(log)
    assert now["ss-m10.1"].state == "satisfied"
    assert now["ss-m10.1"].rows[0].seqs
    assert now["ss-a3.1"].state == "partial"  # the best it can come to
    assert now["ss-m8.1"].state == "human-owned"
    complete(log, "eu.governance-register")
    assert covered(log)["ss-m8.1"].state == "human-owned"  # whatever is stated


def test_C1_a_field_in_which_people_contradict_each_other_is_not_filled() -> None:
    log = made_run()
    complete(log, "eu.implementation-record")
    log.add(e.Stated(document="eu.implementation-record", field="system_integration", text=log.text("otherwise"),
                     reviewer="bob", without_person=False))  # fmt: skip
    assert covered(log)["ss-m10.1"].state == "partial"


def test_C1_a_late_filing_contradicts_and_one_in_time_satisfies() -> None:
    for aware, sent, state in (
        ("2026-11-20T10:00:00.000Z", "2026-11-22T10:00:00.000Z", "satisfied"),
        ("2026-11-15T10:00:00.000Z", "2026-11-22T10:00:00.000Z", "contradicted"),
        ("2026-11-15T10:00:00.000Z", None, "contradicted"),  # due long before the record ended
        ("2026-11-22T10:00:00.000Z", None, "open"),  # nothing was due yet
    ):
        log = made_run()
        incident(log, aware=aware, sent=sent)
        assert covered(log)["ss-m9.3"].state == state, (aware, sent)
        assert covered(log)["ss-m9.2"].state == "contradicted"  # its report is a draft
    complete(log, "eu.serious-incident-initial", 1)
    assert covered(log)["ss-m9.2"].state == "satisfied"


def test_C1_a_release_that_no_person_approved_contradicts() -> None:
    assert covered(made_run())["ss-m4.2"].state == "partial"  # with the approval of ada, a person
    assert covered(made_run(demo=True))["ss-m4.2"].state == "contradicted"
    log = made_run()
    start = next(i for i, r in enumerate(log.records) if r.kind == "review-decided")
    decided = log.records[start]
    rejected = decided.body.model_copy(update={"decision": "deny"})  # as if nobody had approved
    log.records[start] = replace(decided, body=rejected)
    assert covered(log)["ss-m7.6"].state == "contradicted"


def test_G7_a_release_under_a_signed_step_needs_no_approval_of_its_own() -> None:
    log = made_run(demo=True)
    assert CHECKS["released-only-approved"](case(log)).held is False
    intent = next(r for r in log.records if r.kind == "release-intent")
    unasked = intent.body.model_copy(update={"review": None, "grant": 3})
    log.records[intent.seq] = replace(intent, body=unasked)
    answer = CHECKS["released-only-approved"](case(log))
    assert answer.held
    assert "1 by a signed step" in answer.text


def judge(log: Log, generation: int, *triggers: str) -> None:
    log.add(e.MaterialityDetermined(
        generation=generation, commit=oid(f"c{generation}"), material=bool(triggers), triggers=triggers,
        text=log.text("so"), reviewer="ann", without_person=False,
    ))  # fmt: skip


def test_C1_a_release_that_nobody_judged_is_open_and_a_material_one_without_its_update_contradicts() -> None:
    log = made_run()
    piece = {row.name: row for row in covered(log)["ss-m7.6"].rows}["released-only-judged"]
    assert (piece.held, piece.failed) == (None, False)
    assert "nobody judged whether generation 1, 2" in piece.text  # the first came into use with the second
    judge(log, 1)
    judge(log, 2)
    complete(log, "eu.model-report-update")
    assert covered(log)["ss-m7.6"].state == "satisfied"
    judge(log, 2, "capabilities")
    assert covered(log)["ss-m7.6"].state == "contradicted"  # nothing was confirmed before it was released


@pytest.mark.parametrize(
    ("document", "generation", "held"),
    [("eu.model-report-update", 2, True), ("eu.model-report-update", 1, False), ("us.ca-large-developer", 2, False)],
)
def test_C1_only_the_update_that_covers_a_material_change_counts(document: str, generation: int, held: bool) -> None:
    log = made_run()
    used = next(at for at, r in enumerate(log.records) if r.kind == "released")
    later, log.records[used:] = log.records[used:], []
    judge(log, 1)
    judge(log, 2, "capabilities")
    log.add(e.DocumentConfirmed(
        document=document, generation=generation, content="0" * 64, reviewer="ann", without_person=False
    ))  # fmt: skip
    for record in later:
        log.records.append(replace(record, seq=len(log.records)))
    assert CHECKS["released-only-judged"](case(log)).held is held


def test_C1_no_piece_of_evidence_comes_without_a_citation_or_a_reason() -> None:
    log = made_run()
    for row in covered(log).values():
        for piece in row.rows:
            assert piece.text
            assert piece.seqs or piece.held is not True
            assert all(0 <= seq < len(log.records) for seq in piece.seqs)


# -- OSCAL ---------------------------------------------------------------------------------------------------


@pytest.fixture
def written(ledger: Path, tmp_path: Path) -> dict[str, Any]:
    done = CliRunner().invoke(
        command, ["--ledger", str(ledger), "oscal", str(tmp_path / "oscal")], catch_exceptions=False
    )
    assert done.exit_code == 0
    return {Path(name).name: json.loads(Path(name).read_text()) for name in done.stdout.split()}


def test_C1_the_official_schema_accepts_every_document(
    written: dict[str, Any], schema: jsonschema_rs.Validator
) -> None:
    assert len(written) == 5
    for name, document in written.items():
        assert [str(error)[:400] for error in schema.iter_errors(document)] == [], name
    spoilt = written["assessment-results.json"]
    spoilt["assessment-results"]["results"][0]["findings"][0]["target"]["status"]["state"] = "partial"
    assert not schema.is_valid(spoilt)  # it can refuse


def test_C1_every_reference_in_the_documents_leads_somewhere(written: dict[str, Any]) -> None:
    controls = {c["id"] for c in _found(written["catalog.json"], "controls")}
    statements = {p["id"] for p in _found(written["catalog.json"], "parts")}
    results = written["assessment-results.json"]["assessment-results"]
    observed = {o["uuid"] for o in results["results"][0]["observations"]}
    resources = {r["uuid"] for r in results["back-matter"]["resources"]}
    assert len(set(controls)) == len(codes.load().measure)
    for finding in results["results"][0]["findings"]:
        assert finding["target"]["target-id"] in statements
        assert {o["observation-uuid"] for o in finding.get("related-observations", [])} <= observed
    for observation in results["results"][0]["observations"]:
        assert {x["href"].removeprefix("#") for x in observation.get("relevant-evidence", [])} <= resources
    for name, part in (("assessment-plan.json", "import-ssp"), ("system-security-plan.json", "import-profile")):
        assert next(iter(written[name].values()))[part]["href"] in written
    assert results["import-ap"]["href"] in written
    text = json.dumps(written)
    uuids = text.split('"uuid": "')[1:]
    assert len({word[:36] for word in uuids}) == len(uuids)  # each names one thing


def _found(node: Any, name: str) -> Iterator[dict[str, Any]]:
    if isinstance(node, dict):
        yield from node.get(name, [])
        node = list(node.values())
    if isinstance(node, list):
        for inner in node:
            yield from _found(inner, name)


def test_L2_the_cited_entries_stand_in_the_results_as_they_were_signed(written: dict[str, Any]) -> None:
    resources = written["assessment-results.json"]["assessment-results"]["back-matter"]["resources"]
    assert resources
    for resource in resources:
        props = {p["name"]: p["value"] for p in resource["props"]}
        envelope = base64.b64decode(resource["base64"]["value"])
        assert leaf_hash(envelope).hex() == props["leaf-hash"]
        assert json.loads(envelope)["payloadType"] == "application/vnd.in-toto+json"


def test_C2_the_same_record_gives_the_same_documents(ledger: Path, tmp_path: Path) -> None:
    for name in ("a", "b"):
        assert CliRunner().invoke(command, ["--ledger", str(ledger), "oscal", str(tmp_path / name)]).exit_code == 0
    for path in (tmp_path / "a").iterdir():
        assert path.read_bytes() == (tmp_path / "b" / path.name).read_bytes()


def test_coverage_in_the_terminal_and_as_json_say_the_same(ledger: Path) -> None:
    def run(*words: str) -> Any:
        return CliRunner().invoke(command, ["--ledger", str(ledger), "coverage", *words])

    told = json.loads(run("--json").stdout)
    assert told["counts"].keys() <= STATES.keys()
    assert sum(told["counts"].values()) == len(told["measures"]) == len(codes.load().measure)
    assert f"{len(told['measures'])} measures" in run().stderr
    one = run("--measure", "ss-a3.1")
    assert "there: each of" in one.stdout
    wrong = run("--measure", "ss-m99").exception
    assert isinstance(wrong, UsageError)
    assert wrong.name == "no-such-measure"
    assert {m["state"] for m in json.loads(run("--state", "open", "--json").stdout)["measures"]} == {"open"}


READ = """
import json, pathlib, sys
from trestle.oscal.assessment_plan import AssessmentPlan
from trestle.oscal.assessment_results import AssessmentResults
from trestle.oscal.catalog import Catalog
from trestle.oscal.profile import Profile
from trestle.oscal.ssp import SystemSecurityPlan
kinds = {"catalog": Catalog, "profile": Profile, "system-security-plan": SystemSecurityPlan,
         "assessment-plan": AssessmentPlan, "assessment-results": AssessmentResults}
for path in sorted(pathlib.Path(sys.argv[1]).iterdir()):
    try:
        read = kinds[path.stem].oscal_read(path)
        print(path.stem, json.loads(path.read_text())[path.stem]["uuid"] == read.uuid)
    except Exception:
        print(path.stem, "refused")
"""


@pytest.mark.slow
@pytest.mark.skipif(not (OTHERS / "trestle").exists(), reason="make .venv/.others")
def test_C1_the_classes_of_compliance_trestle_read_every_document(ledger: Path, tmp_path: Path) -> None:
    assert CliRunner().invoke(command, ["--ledger", str(ledger), "oscal", str(tmp_path / "oscal")]).exit_code == 0
    spoilt = tmp_path / "spoilt"
    spoilt.mkdir()
    for path in (tmp_path / "oscal").iterdir():
        document = json.loads(path.read_bytes())
        document[path.stem]["metadata"]["spirit"] = 1
        (spoilt / path.name).write_text(json.dumps(document))
    names = sorted(path.stem for path in spoilt.iterdir())
    assert len(names) == 5
    for folder, word in ((tmp_path / "oscal", "True"), (spoilt, "refused")):  # it can refuse
        read = subprocess.run(
            [str(OTHERS / "python"), "-c", READ, str(folder)], capture_output=True, text=True, check=True
        )
        assert read.stdout.split("\n")[:-1] == [f"{name} {word}" for name in names], read.stderr
