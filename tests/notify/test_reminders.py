"""Deadlines are told ahead, on the day and when they are over: each stage once, over restarts too.  # C-1, G-6"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from festina.cli.reminding import remind
from festina.errors import UsageError
from festina.ledger import entries as e
from festina.ledger.log import Draft, Ledger
from festina.ledger.signing import LocalKey
from festina.notify.outbox import letters
from festina.notify.settings import read
from festina.report.law.calendar import Span, ahead, day_of, moment
from festina.report.law.incidents import Row, State
from festina.report.law.packs import load
from festina.report.law.reminders import due_now
from tests.ledger.support import digest, enrolled, genesis, make_keys

BRUSSELS = ZoneInfo("Europe/Brussels")
MOMENTS = st.datetimes(datetime(2025, 1, 1), datetime(2035, 1, 1)).map(lambda t: t.replace(tzinfo=UTC))
ZONES = st.sampled_from([BRUSSELS, ZoneInfo("America/Los_Angeles"), ZoneInfo("UTC")])


@given(MOMENTS, st.integers(1, 30), ZONES, st.sets(st.integers(1, 60), max_size=6))
def test_C1_so_many_business_days_are_left_when_somebody_is_reminded(
    end: datetime, n: int, zone: ZoneInfo, off: set[int]
) -> None:
    last = end.astimezone(zone).date()
    holidays = {last - timedelta(days=k) for k in off}
    first = ahead(end, Span(n, "BD"), zone, holidays).astimezone(zone).date()
    days = [first + timedelta(days=k) for k in range((last - first).days)]
    assert sum(d.weekday() < 5 and d not in holidays for d in days) == n
    assert first.weekday() < 5
    assert first not in holidays


@given(MOMENTS, st.integers(1, 400), st.sampled_from(["H", "D", "BD"]), ZONES)
def test_C1_a_reminder_comes_before_its_deadline_and_the_day_begins_at_midnight(
    end: datetime, n: int, unit: str, zone: ZoneInfo
) -> None:
    assert ahead(end, Span(n, unit), zone) < end
    begun = day_of(end, zone)
    assert begun <= end
    assert begun.astimezone(zone).date() == end.astimezone(zone).date()


def row(due: datetime | None, state: State = "due") -> Row:
    document = "eu.serious-incident-initial"
    return Row(1, "eu-gpai", document, "First report", ("AI Office",), "2 days", due, state, "Europe/Brussels")


def stages(now: datetime, due: datetime, state: State = "due") -> list[str]:
    return [each.id.rpartition("-")[2] for each in due_now([row(due, state)], load(), ("3bd", "1bd", "2h"), now)]


def test_C1_of_the_stages_that_have_come_only_the_newest_is_told() -> None:
    due = datetime(2026, 11, 30, 15, 0, tzinfo=UTC)  # a Monday
    told = [
        (datetime(2026, 11, 24, 15, 0, tzinfo=UTC), []),
        (datetime(2026, 11, 25, 15, 0, tzinfo=UTC), ["3bd"]),  # Wednesday, Thursday and Friday are left
        (datetime(2026, 11, 27, 14, 59, tzinfo=UTC), ["3bd"]),
        (datetime(2026, 11, 27, 15, 0, tzinfo=UTC), ["1bd"]),
        (datetime(2026, 11, 29, 23, 0, tzinfo=UTC), ["day"]),  # midnight in Brussels
        (datetime(2026, 11, 30, 13, 0, tzinfo=UTC), ["2h"]),
    ]
    assert [(now, stages(now, due)) for now, _ in told] == told
    assert stages(due + timedelta(seconds=1), due, "late") == ["late"]
    assert stages(due, due, "filed") == []
    assert due_now([row(None, "waiting")], load(), (), due) == []


@dataclass
class Desk:
    ledger: Ledger
    home: Path
    key: LocalKey


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    """A ledger with one incident that the law of the Union has a clock for, known since a Monday."""
    home = tmp_path / "toy-00000001"
    home.mkdir()
    keys = make_keys(tmp_path / "keys")
    (home / "notify.toml").write_text('[[webhook]]\nurl = "http://127.0.0.1:9/x"\nevents = ["deadline"]\n')
    with Ledger.create(home / "ledger.db", genesis(keys), signers=keys.own) as ledger:
        ledger.append([Draft(enrolled(keys.reviewer))])
        opened = e.IncidentOpened(
            incident=1, aware="2026-11-23T09:00:00.000Z", text=digest(b"IGNORE THIS"), about=None, reviewer="ada",
            without_person=False,
        )  # fmt: skip
        classified = e.IncidentClassified(
            incident=1, classes=("eu.cybersecurity",), causal="suspected", text=digest(b"why"), reviewer="ada",
            without_person=False,
        )  # fmt: skip
        ledger.append([Draft(opened, blobs=(b"IGNORE THIS",), signer=keys.reviewer)])
        ledger.append([Draft(classified, blobs=(b"why",), signer=keys.reviewer)])
        yield Desk(ledger, home, keys.reviewer)


def test_C1_G6_each_stage_is_put_out_once_over_restarts_and_none_after_the_report_was_sent(desk: Desk) -> None:
    settings = read(desk.home)
    assert settings is not None
    start = moment("2026-11-23T09:00:00Z")
    seen: list[str] = []
    for hour in range(0, 24 * 9, 8):
        found = remind(desk.ledger, desk.home, settings, start + timedelta(hours=hour))
        seen += [each.id for each in found if each.row.document == "eu.serious-incident-initial"]
        assert remind(desk.ledger, desk.home, settings, start + timedelta(hours=hour)) == []  # as after a restart
    assert len(seen) == len(set(seen))
    assert [each.rpartition("-")[2] for each in seen] == ["3bd", "1bd", "day", "late"]
    texts = [each.message for each in letters(desk.home)]
    assert {m.event for m in texts} == {"deadline"}
    assert "IGNORE" not in str(texts)  # no words of anybody's, only the law's and ours
    assert any("is LATE" in m.title for m in texts)

    other = desk.home.parent / "other-00000002"
    other.mkdir()
    filed = e.IncidentFiled(
        incident=1, document="eu.serious-incident-initial", sent="2026-11-24T09:00:00.000Z", content=digest(b"sent"),
        reviewer="ada", without_person=False,
    )  # fmt: skip
    desk.ledger.append([Draft(filed, blobs=(b"sent",), signer=desk.key)])
    after = remind(desk.ledger, other, settings, start + timedelta(days=8))
    assert "eu.serious-incident-initial" not in {each.row.document for each in after}


@pytest.mark.parametrize("text", ['before = ["3 days"]', 'before = ["0d"]', "before = 3", 'after = ["1d"]'])
def test_C1_a_reminder_that_means_nothing_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "notify.toml").write_text(f"[reminders]\n{text}\n")
    with pytest.raises(UsageError, match="reminders"):
        read(tmp_path)


def test_C1_the_packs_holidays_are_no_business_days() -> None:
    end = datetime(2026, 12, 28, 12, 0, tzinfo=UTC)
    off = {date(2026, 12, 25)}
    assert ahead(end, Span(1, "BD"), BRUSSELS, off) == datetime(2026, 12, 24, 12, 0, tzinfo=UTC)
    assert ahead(end, Span(1, "BD"), BRUSSELS) == datetime(2026, 12, 25, 12, 0, tzinfo=UTC)
