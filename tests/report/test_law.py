"""Documents, incidents and deadlines: cited, stated or unknown; never late, never a word more than the record says."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st

from festina.cli.incident import _json, _sentence
from festina.cli.report import command
from festina.errors import UsageError
from festina.ledger import entries as e
from festina.ledger.log import Draft, Ledger
from festina.ledger.signing import LocalKey, Signer
from festina.loop import acts, stating
from festina.loop.state import fold as fold_state
from festina.loop.stating import Person
from festina.report.data import Entry, Remark
from festina.report.fold import fold
from festina.report.law import facts, incidents, reminders
from festina.report.law.calendar import Span, due, moment, span
from festina.report.law.documents import FORMS, Document, as_json, build, key
from festina.report.law.duties import FRONTIER, GPAI, SYSTEMIC, Facts, duties
from festina.report.law.packs import doubts, find, load, parse
from festina.system.home import Home
from tests.loop.commandline import festina
from tests.report.made_ledger import Log, digest, made_run, oid
from tests.toy import make_toy

BRUSSELS = ZoneInfo("Europe/Brussels")
MOMENTS = st.datetimes(datetime(2025, 1, 1), datetime(2035, 1, 1)).map(lambda t: t.replace(tzinfo=UTC))
ZONES = st.sampled_from([BRUSSELS, ZoneInfo("America/Los_Angeles"), ZoneInfo("America/New_York"), ZoneInfo("UTC")])


# -- deadlines -------------------------------------------------------------------------------------------


@given(MOMENTS, st.integers(1, 40), ZONES, st.sets(st.integers(0, 60), max_size=6))
def test_C1_business_days_end_on_one_and_count_each_once(
    start: datetime, n: int, zone: ZoneInfo, off: set[int]
) -> None:
    first = start.astimezone(zone).date()
    holidays = {first + timedelta(days=k) for k in off}
    end = due(start, Span(n, "BD"), zone, holidays).astimezone(zone).date()
    days = [first + timedelta(days=k) for k in range(1, (end - first).days + 1)]
    assert sum(d.weekday() < 5 and d not in holidays for d in days) == n
    assert end.weekday() < 5
    assert end not in holidays


@given(MOMENTS, st.integers(0, 400), st.sampled_from("HDWMY"), ZONES)
def test_C1_deadlines_come_after_their_start_and_more_time_is_never_less(
    start: datetime, n: int, unit: str, zone: ZoneInfo
) -> None:
    n = min(n, 40) if unit == "Y" else n
    ends = [due(start, Span(k, unit), zone) for k in (n, n + 1)]
    assert ends[0] <= ends[1]
    assert ends[0] >= start - timedelta(hours=1)  # a wall-clock hour that comes twice is taken the first time
    if unit == "H":
        assert ends[0] == start + timedelta(hours=n)


def test_C1_a_day_over_the_change_to_summer_time_ends_at_the_same_hour_by_the_wall() -> None:
    start = moment("2026-03-28T12:00+01:00")
    assert due(start, span("P1D"), BRUSSELS) == moment("2026-03-29T12:00+02:00")
    assert due(start, span("PT24H"), BRUSSELS) == moment("2026-03-29T13:00+02:00")


def test_C1_an_hour_that_does_not_exist_or_comes_twice_is_never_taken_late() -> None:
    assert due(moment("2026-03-28T02:30+01:00"), span("P1D"), BRUSSELS) <= moment("2026-03-29T03:30+02:00")
    assert due(moment("2026-10-24T02:30+02:00"), span("P1D"), BRUSSELS) == moment("2026-10-25T02:30+02:00")


def test_C1_months_end_on_their_last_day() -> None:
    assert due(moment("2026-08-31T10:00Z"), span("P6M"), ZoneInfo("UTC")) == moment("2027-02-28T10:00Z")
    assert due(moment("2028-02-29T10:00Z"), span("P2Y"), ZoneInfo("UTC")) == moment("2030-02-28T10:00Z")


@pytest.mark.parametrize("text", ["", "P", "5D", "PT2D", "P1H", "P-1D", "P99999D", "p2d", "P2D\n"])
def test_C1_what_is_no_period_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="no period"):
        span(text)


def test_C1_a_period_that_no_calendar_holds_is_refused() -> None:
    with pytest.raises(ValueError, match="last year"):
        span("P9999Y")
    assert due(moment("2026-08-31T10:00Z"), span("P9999W"), ZoneInfo("UTC")).year == 2218


def test_C1_a_time_without_a_zone_is_refused() -> None:
    with pytest.raises(ValueError, match="time zone"):
        moment("2026-11-27T09:00")
    for text in ("9999-12-31T23:59:00-05:00", "0001-01-01T00:00:00+05:00"):
        with pytest.raises(ValueError, match="years 1 to 9999"):
            moment(text)


# -- law as data -----------------------------------------------------------------------------------------


def test_C3_our_packs_hold_together_and_the_unsigned_one_is_off() -> None:
    packs = {pack.regime.id: pack for pack in load()}
    assert set(packs) == {"eu-gpai", "us-ca", "us-ny", "us-il", "voluntary"}
    assert not packs["us-il"].regime.enabled
    used = {field.fact for pack in packs.values() for document in pack.document for field in document.fields} - {None}
    assert used <= facts.FACTS.keys() | facts.INCIDENT_FACTS.keys()
    assert facts.FACTS.keys() <= used  # none is there for nothing


GOOD = """
[regime]
id = "own"
title = "Our own rules"
version = "1"
as_of = 2026-01-01
in_force = 2026-01-01
enabled = true
zone = "Europe/Vienna"
[[source]]
id = "s"
name = "Board decision 4"
checked = "primary"
[[document]]
id = "own.card"
title = "Card"
source = "s"
section = "2"
to = ["board"]
fields = [{ name = "system", fact = "system" }]
"""


@pytest.mark.parametrize(
    ("old", "new", "word"),
    [
        ('zone = "Europe/Vienna"', 'zone = "Mars/Olympus"', "zone"),
        ('zone = "Europe/Vienna"', 'zone = "../../etc/passwd"', "zone"),
        ('fact = "system"', 'fact = "vibes"', "vibes"),
        ('source = "s"', 'source = "t"', "no source 't'"),
        ("as_of = 2026-01-01", "", "as_of"),
        ('section = "2"', 'section = "2"\nclock = [{ from = "x" }]', "clock"),
        ('section = "2"', 'section = "2"\nclock = [{ from = "x", due = "soon" }]', "no period"),
        ('section = "2"', 'section = "2"\ncolour = 1', "colour"),
        ('section = "2"', 'section = "2"\nclock = [{ from = "x", due = "P1D", until = "resolved" }]', "until"),
        ('section = "2"', 'section = "2"\nincident = true\nclock = [{ from = "x", due = "P1D" }]', "'aware'"),
        ('section = "2"', 'section = "2"\nincident = true\nclock = [{ from = "filed:own.x", due = "P1D" }]', "filed:"),
        ('section = "2"', 'section = "2"\nincident = true\nclock = [{ from = "aware", due = "P1D", until = "x" }]',
         "until 'resolved'"),
        ('[[document]]', '[[source]]\nid = "s"\nname = "again"\nchecked = "memory"\n[[document]]', "twice"),
        ('as_of = 2026-01-01', 'as_of = 2026-02-30', "as_of|date"),
        ("[regime]", "[regime", "line"),
        ('fact = "system" }', 'fact = "system", only = ["press"] }', "only"),
        ('fact = "system" }', 'fact = "system" }, { name = "system" }', "twice"),
    ],
)
def test_C3_a_bad_pack_is_named_with_its_field(old: str, new: str, word: str) -> None:
    assert parse(GOOD.encode(), "own.toml").regime.id == "own"
    with pytest.raises(UsageError, match=word) as caught:
        parse(GOOD.replace(old, new).encode(), "own.toml")
    assert caught.value.where == "own.toml"


def test_C3_packs_of_ones_own_stand_beside_ours_and_replace_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FESTINA_LAW", str(tmp_path))
    (tmp_path / "own.toml").write_text(GOOD)
    assert find(load(), "own.card")[1].title == "Card"
    (tmp_path / "own.toml").write_text(GOOD.replace('id = "own"', 'id = "us-ca"', 1))
    with pytest.raises(UsageError, match="us-ca"):
        load()
    (tmp_path / "own.toml").write_text(GOOD.replace("own.card", "eu.model-report"))
    with pytest.raises(UsageError, match=r"eu\.model-report"):
        load()
    theirs = '[[incident_class]]\nid = "eu.death"\nwords = "ours"\n[[document]]'
    (tmp_path / "own.toml").write_text(GOOD.replace("[[document]]", theirs))
    with pytest.raises(UsageError, match=r"eu\.death"):
        load()
    (tmp_path / "own.toml").unlink()
    (tmp_path / "folder.toml").mkdir()
    with pytest.raises(UsageError, match="cannot be read") as caught:
        load()
    assert str(caught.value.where).endswith("folder.toml")


# -- documents -------------------------------------------------------------------------------------------


def made(log: Log, name: str, incident: int | None = None, to: str | None = None) -> Document:
    data = fold(log.records, log.blob, root="ab" * 32)
    people = incidents.fold(log.records, log.blob)
    pack, kind = find(load(), name)
    about = people.incidents[incident] if incident is not None else None
    return build(pack, kind, data, people, lambda seq: f"{seq:064x}", about, to)


def say(log: Log, document: str, field: str, text: str | None, by: str = "ann") -> int:
    return log.add(e.Stated(
        document=document, field=field, text=None if text is None else log.text(text), reviewer=by, without_person=False
    ))  # fmt: skip


def test_C1_every_field_is_cited_stated_or_unknown() -> None:
    log = made_run()
    for pack in load():
        for kind in pack.document:
            if kind.incident:
                continue
            document = made(log, kind.id)
            proven = dict(document.proofs)
            for cell in document.cells:
                for line in cell.lines:
                    assert line.source == "record"
                    assert line.entries
                    assert set(line.entries) <= proven.keys()
            assert set(document.missing) == {c.name for c in document.cells if not c.lines and not c.optional}


def test_C1_an_empty_mandatory_field_keeps_a_draft_and_statements_complete_it() -> None:
    log = made_run()
    assert made(log, "release-card").state == "draft"
    for field in made(log, "release-card").missing:
        say(log, "release-card", field, f"what {field} is")
    document = made(log, "release-card")
    assert document.state == "complete"
    stated = {c.name: c.lines[-1] for c in document.cells if c.lines[-1].source == "person"}
    assert {line.by for line in stated.values()} == {"ann"}
    say(log, "release-card", "contact", None)
    assert made(log, "release-card").missing == ("contact",)


def test_C1_two_people_who_contradict_each_other_keep_a_draft() -> None:
    log = made_run()
    for field in made(log, "release-card").missing:
        say(log, "release-card", field, "a thing")
    say(log, "release-card", "contact", "another thing", by="bob")
    document = made(log, "release-card")
    assert document.contradictions == ("contact",)
    assert document.state == "draft"
    say(log, "release-card", "contact", "a  thing", by="bob")
    assert made(log, "release-card").state == "complete"


def test_C2_the_same_record_gives_the_same_bytes() -> None:
    for form in FORMS.values():
        assert form(made(made_run(), "eu.model-report")) == form(made(made_run(), "eu.model-report"))


HOSTILE = "<script>alert(1)</script> [x](javascript:alert(2)) \u202e**bold** | `a`"


def test_T5_no_word_of_a_proposer_stands_in_a_document_and_people_cannot_write_markup() -> None:
    log = made_run(hostile=HOSTILE)
    say(log, "release-card", "contact", HOSTILE)
    say(log, "release-card", "intended_use", "# a heading\n## another")
    document = made(log, "release-card")
    from_record = [line.text for cell in document.cells for line in cell.lines if line.source == "record"]
    assert not any("alert" in text for text in from_record)
    page, text = FORMS["html"](document), FORMS["md"](document)
    assert "<script" not in page
    assert "alert(1)" in page  # shown, as text
    assert "<script" not in text
    assert "\\](javascript" in text  # the bracket is escaped: no link
    assert "\u202e" not in page + text
    assert not [line for line in text.split("\n") if line.startswith(("# a heading", "## another"))]


def test_C1_a_document_says_by_when_it_is_due_and_how_long_it_is_kept() -> None:
    text = FORMS["md"](made(made_run(), "eu.model-documentation"))
    due = "Due: before market placement; 14 days after downstream request. Keep for 10 years."
    assert f"downstream providers. {due}" in text
    again = made(made_run(), "eu.framework-assessment").due
    assert again == ("12 months after market placement, again every 12 months",)


def test_C1_what_downstream_providers_may_not_see_is_not_in_their_copy() -> None:
    log = made_run()
    say(log, "eu.model-documentation", "training_compute", "3e24 FLOP, estimated")
    assert "3e24" in FORMS["md"](made(log, "eu.model-documentation"))
    copy = made(log, "eu.model-documentation", to="downstream providers")
    assert "3e24" not in FORMS["md"](copy) + FORMS["html"](copy) + as_json(copy)
    assert "training_compute" not in as_json(copy)


def test_C1_documents_are_readable_as_json() -> None:
    read = json.loads(as_json(made(made_run(), "eu.model-report")))
    assert read["state"] == "draft"
    assert "architecture" in read["missing"]


# -- incidents -------------------------------------------------------------------------------------------

AWARE = "2026-11-20T10:00:00.000Z"
NOW = moment("2026-11-23T12:00Z")


@dataclass
class Case:
    log: Log

    def open(self, number: int = 1, aware: str = AWARE) -> Case:
        self.log.add(e.IncidentOpened(
            incident=number, aware=aware, text=self.log.text("the candidate reached a host"), about=None,
            reviewer="ann", without_person=False,
        ))  # fmt: skip
        return self

    def classify(self, *classes: str, number: int = 1) -> Case:
        self.log.add(e.IncidentClassified(
            incident=number, classes=classes, causal="suspected", text=self.log.text("it fits"), reviewer="ann",
            without_person=False,
        ))  # fmt: skip
        return self

    def filed(self, document: str, sent: str, unknown: int | None = None) -> Case:
        self.log.add(e.IncidentFiled(
            incident=1, document=document, sent=sent, content="0" * 64, reviewer="ann", without_person=False,
            unknown=unknown,
        ))  # fmt: skip
        return self

    def resolved(self, at: str) -> Case:
        self.log.add(e.IncidentResolved(
            incident=1, resolved=at, text=self.log.text("closed"), reviewer="ann", without_person=False
        ))  # fmt: skip
        return self

    def rows(self, now: datetime = NOW) -> dict[str, incidents.Row]:
        people = incidents.fold(self.log.records, self.log.blob)
        return {row.document: row for row in incidents.board(load(), people.incidents.values(), now)}

    def findings(self) -> list[str]:
        return [f.what for f in incidents.fold(self.log.records, self.log.blob).findings]


def test_C1_one_classification_shows_every_regimes_deadline() -> None:
    rows = Case(Log()).open().classify("eu.cybersecurity", "us-ca.deception", "us-ny.safety").rows()
    assert rows["eu.serious-incident-initial"].due == moment("2026-11-25T10:00Z")
    assert rows["us-ca.incident"].due == moment("2026-12-05T10:00Z")
    assert rows["us-ny.incident"].due == moment("2026-11-23T10:00Z")
    assert rows["us-ny.incident"].state == "late"
    assert rows["eu.serious-incident-final"].state == "waiting"
    assert "us-il.incident" not in rows


def test_C3_law_that_is_not_in_force_and_packs_from_the_future_say_so() -> None:
    rows = Case(Log()).open().classify("us-ca.deception", "us-ny.safety").rows()
    assert rows["us-ca.incident"].note == ""
    assert rows["us-ny.incident"].note == "not in force before 2027-01-01"
    later = Case(Log()).open().classify("us-ny.safety").rows(moment("2027-02-01T00:00Z"))
    assert later["us-ny.incident"].note == "not in force before 2027-01-01, after awareness"
    pack = parse(GOOD.replace("as_of = 2026-01-01", "as_of = 2026-05-01").encode(), "own.toml")
    assert doubts(pack, date(2026, 5, 1)) == ()
    assert "2026-05-01, which has not come" in doubts(pack, date(2026, 4, 1))[0]
    assert "in force from 2027-01-01" in made(made_run(), "us-ny.disclosure-statement").law


def test_C1_a_report_that_was_sent_too_late_is_filed_and_was_late() -> None:
    case = Case(Log()).open().classify("us-ny.safety").filed("us-ny.incident", "2026-11-23T11:00:00.000Z")
    row = case.rows()["us-ny.incident"]
    assert (row.state, row.sent) == ("filed", moment("2026-11-23T11:00Z"))
    assert "1 h 00 min too late" in _sentence(row, NOW)
    assert json.loads(_json(row))["sent"].startswith("2026-11-23T11:00")
    early = Case(Log()).open().classify("us-ny.safety").filed("us-ny.incident", "2026-11-21T11:00:00.000Z")
    assert "too late" not in _sentence(early.rows()["us-ny.incident"], NOW)


def test_C1_a_report_that_was_sent_as_a_draft_or_before_its_clock_began_stays_marked() -> None:
    at, initial, final = "2026-11-21T11:00:00.000Z", "eu.serious-incident-initial", "eu.serious-incident-final"
    for unknown, said in ((None, ""), (0, ""), (1, ", as a draft: 1 mandatory field open"), (3, "3 mandatory fields")):
        row = Case(Log()).open().classify("eu.harm").filed(initial, at, unknown).rows()[initial]
        assert ("draft" in _sentence(row, NOW)) == bool(said)
        assert said in _sentence(row, NOW)
    early = Case(Log()).open().classify("eu.harm").filed(final, at)  # 60 days after the end, which has not come
    assert "before its clock began" in _sentence(early.rows()[final], NOW)
    assert "before its clock" not in _sentence(early.resolved(at).rows()[final], NOW)


def test_C1_of_several_classes_the_earliest_deadline_counts_and_no_class_has_none() -> None:
    rows = Case(Log()).open().classify("eu.harm", "eu.critical-infrastructure").rows()
    assert rows["eu.serious-incident-initial"].due == moment("2026-11-22T10:00Z")
    assert Case(Log()).open().rows() == {}
    assert Case(Log()).open().classify("eu.harm").classify().rows() == {}


def test_C1_intermediate_reports_repeat_until_it_is_resolved_and_then_a_final_one_is_due() -> None:
    case = Case(Log()).open().classify("eu.death").filed("eu.serious-incident-initial", "2026-11-22T10:00:00.000Z")
    rows = case.rows()
    assert rows["eu.serious-incident-initial"].state == "filed"
    assert rows["eu.serious-incident-intermediate"].due == moment("2026-12-20T10:00Z")
    case.filed("eu.serious-incident-intermediate", "2026-12-18T10:00:00.000Z")
    assert case.rows()["eu.serious-incident-intermediate"].due == moment("2027-01-15T10:00Z")
    case.resolved("2026-12-20T10:00:00.000Z")
    rows = case.rows()
    assert "eu.serious-incident-intermediate" not in rows
    assert rows["eu.serious-incident-final"].due == moment("2027-02-18T10:00Z")


@pytest.mark.parametrize("at", ["0001-01-01T00:00:00.000Z", "9999-12-31T23:59:59.999Z"])
def test_T5_a_time_at_the_calendars_end_stops_no_board(at: str) -> None:
    case = Case(Log()).open(aware=at).classify("eu.cybersecurity", "us-ca.deception", "us-ny.safety")
    rows = case.filed("eu.serious-incident-initial", at).resolved(at).rows()
    assert {row.state for row in rows.values() if row.due is not None} <= {"late", "due", "filed"}
    assert len(reminders.due_now(rows.values(), load(), ("1bd", "3d", "5h"), moment("9999-01-01T00:00Z"))) >= 2


def test_L3_what_does_not_fit_is_a_finding() -> None:
    assert Case(Log()).classify("eu.harm").findings() == ["no such incident"]
    assert Case(Log()).open().open().findings().count("opened twice") == 1
    assert "aware in the future" in Case(Log()).open(aware="2027-01-01T00:00:00.000Z").findings()
    assert "recorded late" in Case(Log()).open(aware="2026-10-01T00:00:00.000Z").findings()
    assert "a filing out of time" in Case(Log()).open().filed("us-ca.incident", "2026-11-01T00:00:00.000Z").findings()


def test_C1_an_incident_report_declares_what_is_not_known() -> None:
    case = Case(made_run()).open().classify("eu.cybersecurity")
    document = made(case.log, "eu.serious-incident-initial", 1)
    cells = {c.name: c for c in document.cells}
    assert "harm and victims" in cells["unknown_fields_declared"].lines[0].text
    assert cells["chain_of_events"].lines[0].by == "ann"
    say(case.log, key(find(load(), "eu.serious-incident-initial")[1], None) + ":1", "harm_and_victims", "none known")
    later = made(case.log, "eu.serious-incident-initial", 1)
    assert "harm_and_victims" not in later.missing
    assert len(later.missing) == len(document.missing) - 1


def test_C1_each_sentence_of_an_incident_is_marked_with_whose_it_is() -> None:
    log = Log()
    Case(log).open()
    log.add(e.IncidentClassified(
        incident=1, classes=("eu.harm",), causal="established", text=log.text("bob's reason"), reviewer="bob",
        without_person=False,
    ))  # fmt: skip
    at = "2026-11-21T10:00:00.000Z"
    log.add(e.IncidentResolved(incident=1, resolved=at, text=log.text("x"), reviewer="toy", without_person=True))
    kinds = [kind.id for pack in load() for kind in pack.document if kind.incident]
    lines = [line for kind in kinds for cell in made(log, kind, 1).cells for line in cell.lines]
    words = ("known since", "bob's reason", "over since")
    by = {word: {line.by for line in lines if word in line.text} for word in words}
    assert by == {"known since": {"ann"}, "bob's reason": {"bob"}, "over since": {"toy (no person)"}}
    assert {line.by for line in lines if "established" in line.text} <= {"bob"}
    still = made(Case(Log()).open().log, "eu.serious-incident-initial", 1)
    (said,) = [line for cell in still.cells for line in cell.lines if "nobody stated that it is over" in line.text]
    assert (said.source, said.by) == ("record", "")


def test_near_misses_never_say_that_an_accepted_change_of_the_guards_was_refused() -> None:
    data = fold(made_run().records, made_run().blob)
    tried = next(p for p in data.proposals if p.guard_change)
    through = replace(data, proposals=(replace(tried, outcome="accepted"),))
    assert "it was ACCEPTED" in facts.near_misses(through)[0].text
    assert "it was not accepted" in facts.near_misses(data)[0].text


def test_near_misses_name_attempts_on_the_guards() -> None:
    said = facts.near_misses(fold(made_run().records, made_run().blob))
    assert any("guards the loop" in row.text for row in said)
    assert all(row.seqs for row in said)


def test_R3_V7_near_misses_name_approved_catch_trials_and_a_drills_holes_and_no_others() -> None:
    data = fold(made_run().records, made_run().blob)
    missed = Remark(7, "catch trial", "a sign was turned, in a.py line 3: ann missed it, bob saw through it")
    caught = Remark(8, "catch trial", "a sign was turned, in who missed it.py line 3: ann saw through it")
    hole = e.DrillFinished(
        commit=oid("c0"), attacks=9, caught=8, holes=1, exposures=0, untested=0, honest_runs=3, honest_lost=0,
        open=("eval",), looks=0, level=3, wall_s=4.0, details=digest("d"),
    )  # fmt: skip
    entry = Entry(9, "drill-finished", "2026-11-23T12:00:00.000Z", "engine")
    made = replace(data, remarks=(*data.remarks, missed, caught), drill=hole, entries=(*data.entries, entry))
    rows = [row for row in facts.near_misses(made) if row not in facts.near_misses(data)]
    assert [row.seqs for row in rows] == [(7,), (9,)]
    assert "approved a planted bad change" in rows[0].text
    assert "1 open holes (eval)" in rows[1].text
    closed = replace(made, drill=hole.model_copy(update={"holes": 0, "open": ()}))
    assert [row.seqs for row in facts.near_misses(closed) if row not in facts.near_misses(data)] == [(7,)]


# -- duties ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("compute", "answer"),
    [
        (None, "cannot tell yet"),
        (SYSTEMIC * 1.01, "applies"),
        (SYSTEMIC * 0.8, "close"),
        (SYSTEMIC * 0.7, "does not apply"),
    ],
)
def test_duties_compare_with_thirty_percent_of_doubt(compute: float | None, answer: str) -> None:
    found = {d.name: d for d in duties(Facts(compute=compute, general=True))}
    assert found["EU: general-purpose model with systemic risk"].answer == answer


def test_duties_of_who_changes_anothers_model() -> None:
    name = "EU: provider through changing somebody else's model"
    for ours, original, answer in [
        (4e23, 1e24, "applies"), (3e23, 1e24, "close"), (1e23, 1e24, "does not apply"), (None, 1e24, "cannot tell yet"),
        (0.34 * GPAI, None, "applies"), (0.1 * GPAI, None, "does not apply"),
    ]:  # fmt: skip
        found = {d.name: d for d in duties(Facts(ours=ours, original=original, modifies=True))}
        assert found[name].answer == answer, (ours, original)
    assert {d.name: d.answer for d in duties(Facts())}[name] == "does not apply"


def test_duties_of_a_models_maker_are_not_those_of_who_changes_a_little_of_it() -> None:
    def found(ours: float | None, original: float = 2e25) -> list[str]:
        rows = duties(Facts(compute=2e25, ours=ours, original=original, modifies=True, general=True))
        return [d.answer for d in rows if d.name.startswith("EU")]

    assert found(1e22) == ["does not apply"] * 3
    assert found(7e24) == ["applies"] * 3
    assert found(6e24) == ["close"] * 3
    assert found(None) == ["cannot tell yet"] * 3
    own = duties(Facts(compute=2e25, general=True))
    assert [d.answer for d in own if d.name.startswith("EU")] == ["applies", "applies", "does not apply"]
    done = CliRunner().invoke(command, ["duties", "--modifies", "--changes", "1e22", "--original", "0"])
    assert done.exit_code == 2
    assert "above 0" in done.output


def test_duties_never_say_no_where_a_number_is_missing() -> None:
    unknown = [d for d in duties(Facts()) if d.answer == "does not apply"]
    assert [d.name for d in unknown] == ["EU: provider through changing somebody else's model"]
    large = {d.name: d.answer for d in duties(Facts(compute=FRONTIER * 2))}
    assert large["California: large frontier developer"] == "cannot tell yet"
    small = {d.name: d.answer for d in duties(Facts(compute=1e22, general=True))}
    assert small["California: large frontier developer"] == "does not apply"


# -- as a user -------------------------------------------------------------------------------------------


@pytest.fixture
def ann(tmp_path: Path) -> Iterator[Person]:
    """A ledger on disk that knows one person, ann, whose key lies elsewhere."""
    keys: dict[e.Role, Signer] = {r: LocalKey.create(tmp_path / f"{r}.pem", r) for r in ("engine", "verifier")}
    public = {role: base64.b64encode(key.public).decode() for role, key in keys.items()}
    genesis = e.Genesis(
        origin="festina.local/toy-1a2b3c4d", system="toy", engine_key=public["engine"],
        verifier_key=public["verifier"], alpha=0.05, demo=False, version="0.1.0", schema_number=1,
    )  # fmt: skip
    home = Home(tmp_path / "homes" / "toy-1a2b3c4d")
    home.create()
    with Ledger.create(home.ledger, genesis, signers=keys) as ledger:
        state = fold_state(ledger.records())
        acts.enrol(ledger, state, home, "ann")
        yield Person(ledger, state, home, "ann")


def test_T1_only_an_enrolled_person_states_anything(ann: Person) -> None:
    with pytest.raises(UsageError) as caught:
        Person(ann.ledger, ann.state, Home(Path("/nonexistent")), "bob")
    assert caught.value.name == "not-enrolled"


def test_C1_statements_and_incidents_are_signed_and_checked_as_they_are_made(ann: Person) -> None:
    record = stating.state_field(ann, "release-card", "contact", "the team")
    stating.state_field(ann, "release-card", "contact", None)
    number, opened = stating.open_incident(ann, aware=moment("2026-01-02T10:00+01:00"), text="it reached a host")
    assert (number, stating.open_incident(ann, aware=moment(AWARE), text="again", about=0)[0]) == (1, 2)
    body = opened.body
    assert isinstance(body, e.IncidentOpened)
    assert body.aware == "2026-01-02T09:00:00.000Z"
    stating.classify(ann, 1, ("us-ca.control", "eu.harm", "eu.harm"), established=True, text="as seen")
    stating.filed(ann, 1, "us-ca.incident", sent=moment("2026-01-03T10:00Z"), content=b"report")
    stating.resolve(ann, 1, resolved=moment("2026-01-04T10:00Z"), text="closed")
    for name, act in {
        "already-resolved": lambda: stating.resolve(ann, 1, resolved=moment("2026-01-05T10:00Z"), text="again"),
        "no-such-incident": lambda: stating.resolve(ann, 9, resolved=moment(AWARE), text="x"),
        "sent-before-aware": lambda: stating.filed(ann, 1, "d", sent=moment("2026-01-01T00:00Z"), content=b"r"),
        "bad-report": lambda: stating.filed(ann, 1, "d", sent=moment("2026-01-03T00:00Z"), content=b""),
        "time-to-come": lambda: stating.open_incident(ann, aware=moment("2999-01-01T00:00Z"), text="x"),
        "no-such-entry": lambda: stating.open_incident(ann, aware=moment(AWARE), text="x", about=10_000),
        "nothing-stated": lambda: stating.state_field(ann, "d", "f", "  "),
        "statement-unreadable": lambda: stating.state_field(ann, "d", "f", "a\u202eb"),
        "statement-too-long": lambda: stating.state_field(ann, "d", "f", "a" * 30_000),
    }.items():
        size = ann.ledger.size
        with pytest.raises(UsageError) as caught:
            act()
        assert caught.value.name == name
        assert ann.ledger.size == size
    people = incidents.fold(ann.ledger.records(), ann.ledger.get_blob)
    assert people.statements == {}
    assert people.findings == [f for f in people.findings if f.what == "recorded late"]
    assert people.incidents[1].classes == ("eu.harm", "us-ca.control")
    with Ledger.open(ann.ledger.path, readonly=True) as again:  # every signature is checked  # L-1
        assert again.record(record.seq).keyid == record.keyid


def test_T1_nobody_signs_in_anothers_name(ann: Person) -> None:
    body = e.Stated(document="d", field="f", text=None, reviewer="bob", without_person=False)
    with pytest.raises(UsageError, match="in the name of bob"):
        ann.ledger.append([Draft(body, signer=ann.key)], expected_size=ann.ledger.size)


@pytest.mark.slow
def test_C1_from_an_incident_to_a_filed_report_on_the_command_line(tmp_path: Path) -> None:
    toy = make_toy(tmp_path, skill=0.2)
    assert festina("run", "--proposals", "1", "--budget", "60s", toy=toy).returncode in (0, 4, 5)
    assert festina("reviewer", "add", "ann", toy=toy).returncode == 0
    opened = festina("incident", "open", "--as", "ann", "--text", "it wrote where it should not", toy=toy)
    assert opened.stdout.strip() == "incident 1", opened.stderr
    no_class = festina("incident", "classify", "1", "--as", "ann", "--class", "eu.nonsense", "--text", "x", toy=toy)
    assert no_class.returncode == 2
    assert "eu.nonsense" in no_class.stderr
    board = festina("incident", "classify", "1", "--as", "ann", "--class", "eu.cybersecurity", "--text", "so", toy=toy)
    assert "due" in board.stdout
    field = ("report", "state", "eu.serious-incident-initial", "harm_and_victims", "--incident", "1")
    toy_root = ["-C", str(toy.root)]
    assert festina(field[0], *toy_root, *field[1:], "--as", "ann", "--text", "none", toy=toy).returncode == 0
    form = tmp_path / "form.toml"
    about = ("eu.serious-incident-initial", "--incident", "1")
    assert festina("report", "form", *about, "-o", str(form), toy=toy).returncode == 0
    form.write_text(form.read_text().replace('involvement = ""', 'involvement = "it wrote the file"'))
    signed = festina("report", *toy_root, "state", *about, "--form", str(form), "--as", "ann", toy=toy)
    assert "involvement stated by ann" in signed.stderr
    assert "Still unknown: response_done_or_intended and 1 more" in signed.stderr
    out = tmp_path / "report.md"
    written = festina("report", "document", "eu.serious-incident-initial", "--incident", "1", "-o", str(out), toy=toy)
    assert written.returncode == 0, written.stderr
    assert "DRAFT" in written.stderr
    assert "it wrote where it should not" in out.read_text()
    filed = festina("incident", "filed", "1", "eu.serious-incident-initial", str(out), "--as", "ann", toy=toy)
    assert "filed    eu.serious-incident-initial" in filed.stdout
    assert "as a draft: 2 mandatory fields open" in filed.stdout
    assert "As far as the record goes it was a draft: 2 mandatory fields open" in filed.stderr
    early = festina(
        "incident", "filed", "1", "us-ca.incident", str(out), "--as", "ann", "--sent", "2020-01-01T00:00Z", toy=toy
    )
    assert "sent-before-aware" in early.stderr
    assert festina("ledger", "verify", toy=toy).returncode == 0
    listed = festina("report", "documents", toy=toy)
    assert "eu.model-report" in listed.stdout
