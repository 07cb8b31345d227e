"""What a report reads from entries, and what it says when they do not fit."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from festina.ledger import entries as e
from festina.report.export import as_json
from festina.report.fold import fold
from festina.report.numerals import num
from festina.report.words import limits
from festina.select.rules import RULE
from tests.loop.paper import Paper
from tests.report.made_ledger import Log, digest, made_run, oid, opening, receive, request
from tests.web.signed import made


def test_L1_outcomes_line_and_release_are_read_from_entries_alone() -> None:
    log = made_run()
    data = fold(log.records, log.blob)
    assert data.outcomes() == {"accepted": 4, "rejected": 4, "refused": 1, "duplicate": 1, "failed": 1}
    assert [g.generation for g in data.line] == [0, 1, 2, 3]
    assert data.generations[4].left == "rollback"
    assert (data.released, data.in_force) == (2, 2)
    assert data.generations[2].approved_by == "ada"
    assert data.generations[1].approved_with == 2  # the reviewed patch ran from generation 0
    assert data.generations[3].approved_by == ""
    assert data.overall() is not None
    assert data.findings == ()


def test_every_seq_names_the_entry_it_is_said_to_come_from() -> None:
    log = made_run()
    data = fold(log.records, log.blob)
    kind = {record.seq: record.kind for record in log.records}
    assert {kind[t.verdict_seq] for t in data.judged} == {"verdict"}
    assert {kind[seq] for t in data.tests for seq in t.batch_seqs} == {"batch-ended"}
    assert {kind[g.moved_seq] for g in data.line} == {"line-moved"}
    assert {kind[f.seq] for f in data.finals} == {"final-scored"}
    assert {kind[p.screened_seq] for p in data.proposals if p.screened_seq} == {"screened"}


def test_S4_a_verdict_whose_evidence_does_not_follow_from_the_differences_is_a_finding() -> None:
    log = made_run()
    i = next(i for i, record in enumerate(log.records) if record.kind == "verdict")
    verdict = log.records[i].body
    forged = verdict.model_copy(update={"log_evidence": verdict.log_evidence + 5.0})
    log.records[i] = type(log.records[i])(i, "verdict", log.records[i].at, forged)
    findings = fold(log.records, log.blob).findings
    assert [f.seq for f in findings] == [i]
    assert "another evidence" in findings[0].text


def test_S5_evidence_recomputed_unit_by_unit_ends_at_the_recorded_evidence() -> None:
    log = made_run()
    for test in fold(log.records, log.blob).judged:
        assert 0 < len(test.path) <= test.units
        assert abs(test.path[-1] - (test.log_evidence or 0.0)) < 1e-9


def test_S5_units_after_the_decision_change_nothing() -> None:
    log = made_run()
    i = next(i for i, record in enumerate(log.records) if record.kind == "verdict") - 1
    batch = log.records[i].body
    more = {"gain": (*batch.gain, -1.0, -1.0), "guards": ((*batch.guards[0], -1.0, -1.0),)}
    log.records[i] = type(log.records[i])(i, "batch-ended", log.records[i].at, batch.model_copy(update=more))
    assert fold(log.records, log.blob).findings == ()


def test_S5_a_unit_that_the_rule_refuses_is_a_finding_and_no_crash() -> None:
    log = made_run()
    i = next(i for i, record in enumerate(log.records) if record.kind == "batch-ended")
    batch = log.records[i].body
    log.records[i] = type(log.records[i])(
        i, "batch-ended", log.records[i].at, batch.model_copy(update={"gain": (7.5, *batch.gain[1:])})
    )
    data = fold(log.records, log.blob)
    assert data.tests[0].path == ()
    assert "does not accept the recorded units" in data.findings[0].text


def test_L3_what_was_begun_and_not_ended_is_a_finding_that_names_its_entry() -> None:
    log = Log()
    opening(log)
    seq = len(log.records)
    request(log, 1, oid("c0"), 0)
    findings = fold(log.records, log.blob).findings
    assert [(f.seq, f.what) for f in findings] == [(seq, "begun and not ended")]


def test_E5_L3_a_proposing_run_that_a_kill_cut_off_is_named_and_counted_once() -> None:
    log = Log()
    opening(log)
    request(log, 1, oid("c0"), 0)
    assert not [f for f in fold(log.records, log.blob).findings if "asked for again" in f.text]
    again = log.records[-1].body.model_copy(update={"attempt": 2})
    seq = log.add(again)
    receive(log, 1)
    data = fold(log.records, log.blob)
    assert [f.seq for f in data.findings if "asked for again (attempt 2)" in f.text] == [seq]
    assert len(data.proposals) == 1


def test_V11_a_domain_that_nothing_probed_is_named_as_unknown_and_one_that_was_is_not() -> None:
    log = Log()
    opening(log)
    before = " ".join(limits(fold(log.records, log.blob)))
    assert "Not probed here, and so unknown: persuasion and manipulation, deception, cyber offence" in before
    ran = e.Characterised(
        measure=0, generation=0, suite="deception", tree=oid("t0"), units=20, items=100, missing=0, mean=0.1,
        error=0.02, details=digest("d"),
    )  # fmt: skip
    log.add(ran.model_copy(update={"units": 0, "items": 0, "missing": 20}))
    assert " ".join(limits(fold(log.records, log.blob))) == before  # it answered nothing
    log.add(ran)
    after = " ".join(limits(fold(log.records, log.blob)))
    assert "so unknown: persuasion and manipulation, cyber offence" in after


def test_V9_the_report_says_what_was_looked_at_inside_a_model_and_what_was_not() -> None:
    data = fold(made_run().records, made_run().blob)
    assert "No change inside a model" in " ".join(limits(data))
    looked = " ".join(limits(replace(data, inside=1)))
    assert "No change inside a model" not in looked
    assert "different, not worse" in looked


def test_L3_an_end_without_its_intent_is_a_finding() -> None:
    log = Log()
    opening(log)
    log.add(e.Released(release=3, generation=0, commit=oid("c0")))
    assert "without having been begun" in fold(log.records, log.blob).findings[0].text


def test_T5_a_plan_that_is_no_acceptable_json_is_a_finding_and_no_crash() -> None:
    for bad in (b"\xff\xfe", b"[" * 5000, b'{"rationale": NaN}', b'{"a":1,"a":2}'):
        log = Log()
        opening(log)
        request(log, 1, oid("c0"), 0)
        receive(log, 1)
        log.blobs = dict.fromkeys(log.blobs, bad)
        data = fold(log.records, log.blob)
        assert data.proposals[0].rationale == ""
        assert data.findings[0].text.startswith("the proposal's plan cannot be read")


def test_R1_a_decision_that_binds_something_else_approves_nothing() -> None:
    log = made_run()
    i = next(i for i, record in enumerate(log.records) if record.kind == "review-decided")
    other = log.records[i].body.model_copy(update={"binding": "0" * 64})
    log.records[i] = type(log.records[i])(i, "review-decided", log.records[i].at, other)
    data = fold(log.records, log.blob)
    assert data.generations[2].approved_by == ""
    assert [f.seq for f in data.findings] == [i]


def test_R1_a_decision_after_its_expiry_approves_nothing() -> None:
    log = made_run()
    i = next(i for i, record in enumerate(log.records) if record.kind == "review-decided")
    log.records[i] = type(log.records[i])(i, "review-decided", "2027-01-01T00:00:00.000Z", log.records[i].body)
    assert fold(log.records, log.blob).generations[2].approved_by == ""


def test_an_empty_ledger_and_every_prefix_of_a_run_can_be_read() -> None:
    log = made_run()
    for end in range(len(log.records) + 1):
        assert fold(log.records[:end], log.blob).size == end


def test_C2_json_is_the_same_for_the_same_entries_and_is_json() -> None:
    log = made_run()
    first, second = (as_json(fold(log.records, log.blob)) for _ in range(2))
    assert first == second
    assert json.loads(first)["released"] == 2


def test_V3_the_report_says_whether_candidates_shared_items_and_what_was_told() -> None:
    from festina.ledger.entries import SuiteTerms
    from festina.report.words import sharing

    terms = SuiteTerms(
        name="hidden", scorer="a:b", low=0.0, high=1.0, direction="higher", unit="item", mode="fresh", margin=0.0,
        detect=0.1, batch_items=10, max_units=20, source=None, assurance="hidden",
    )  # fmt: skip
    assert "of its own" in sharing(terms)
    sealed = terms.model_copy(update={"mode": "sealed", "word_every_s": 60.0})
    assert "200 hidden items" in sharing(sealed)
    assert "slots of 60 s" in sharing(sealed)
    assert "20 bits at most" in sharing(sealed.model_copy(update={"mode": "ledger", "bits": 20.0}))


def test_S1_the_report_sums_error_levels_over_epochs_as_its_verdicts_do() -> None:
    """An epoch without a test has used none of its own; a tested one has, and so it had under older rules."""
    for tested, rule, total in ((False, RULE, 0.05), (True, RULE, 0.1), (False, 2, 0.1)):
        log = made_run() if tested else Log()
        if not tested:
            opening(log)
        first = next(r.body for r in log.records if r.kind == "epoch-opened")
        log.add(first.model_copy(update={"epoch": first.epoch + 1, "reason": "other rules", "rule": rule}))
        data = fold(log.records, log.blob)
        assert [row.alpha for row in data.epochs] == [0.05, 0.05]
        assert data.epochs[-1].alpha_total == pytest.approx(total)
        assert f"the error levels sum to {num(total)}" in " ".join(limits(data))


def test_S4_without_paths_the_same_is_read_and_a_false_evidence_is_still_a_finding(tmp_path: Path) -> None:
    """The loop's own state has the evidence already: it need not be made a second time to be compared."""
    loop = made(tmp_path, proposals=12)
    assert loop.ledger is not None
    blob = loop.ledger.get_blob
    records = [Paper(r.seq, r.kind, r.at, r.body, r.leaf, dict(r.commitments)) for r in loop.ledger.records()]
    whole, short = fold(records, blob), fold(records, blob, paths=False)
    assert any(test.path for test in whole.tests)
    assert not any(test.path for test in short.tests)
    assert replace(whole, tests=tuple(replace(test, path=()) for test in whole.tests)) == short
    false = [
        replace(r, body=r.body.model_copy(update={"log_evidence": r.body.log_evidence + 1.0}))
        if isinstance(r.body, e.Verdict) and r.body.units
        else r
        for r in records
    ]
    changed = sum(a is not b for a, b in zip(false, records, strict=True))
    for paths in (True, False):
        found = [f for f in fold(false, blob, paths=paths).findings if "another evidence" in f.text]
        assert len(found) == changed > 0
    loop.ledger.close()


def test_a_number_of_many_digits_is_written_in_few() -> None:
    """A search that ruins a run by a factor of 10^50 would otherwise fill a line with digits."""
    assert num(-4.035558e21) == "−4.0e+21"
    assert num(123_456_789.0) == "123,456,789"
