"""Times and numbers that do not fit their place are findings, though every hash and signature does.  # L-2, L-6"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from festina.ledger.audit import verify
from festina.ledger.dates import Dates
from festina.ledger.log import Draft, Ledger
from festina.ledger.numbering import Numbering
from tests.ledger.support import Keys, fault, genesis, requested

T0 = datetime(2026, 11, 27, 9, 0, tzinfo=UTC)


def stamp(minutes: float) -> str:
    return (T0 + timedelta(minutes=minutes)).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def found(*rows: tuple[float, bool]) -> list[tuple[int, str]]:
    """Findings about entries dated so many minutes after the first; True: a person's."""
    dates = Dates()
    for seq, (minutes, person) in enumerate(rows):
        dates.see(seq, stamp(minutes), person=person)
    return [(seq, what.partition(":")[0]) for seq, what in dates.close(T0 + timedelta(days=1))]


@pytest.mark.parametrize(("rows", "said"), [
    ([(0, False), (4, True), (1, False), (2, True), (3, False)], []),  # as far apart as honest clocks may be
    ([(0, False), (60, False), (10, False), (11, False)], [(2, "back-dated")]),  # a clock that jumped: told once
    ([(60, False), (10, True), (61, False)], [(1, "back-dated")]),
    ([(0, False), (60, True), (1, False), (2, False)], [(1, "dated ahead")]),  # the engine's entries are not blamed
    ([(0, False), (3000, True)], [(1, "dated in the future")]),
])  # fmt: skip
def test_L6_a_time_that_does_not_fit_its_place_is_a_finding(
    rows: list[tuple[float, bool]], said: list[tuple[int, str]]
) -> None:
    assert found(*rows) == said


@given(st.lists(st.tuples(st.integers(0, 600), st.booleans()), max_size=30))
def test_L6_times_that_only_rise_are_never_one(rows: list[tuple[int, bool]]) -> None:
    assert found(*sorted(rows)) == []


def test_L2_a_number_that_was_passed_over_is_a_finding_and_another_attempt_is_none() -> None:
    for numbers, said in (
        ((0, 0, 1, 2), []),
        ((0, 2), ["proposal 1"]),
        ((3, 4), ["proposals 0 to 2"]),
        ((0, 1, 0), []),
    ):
        numbering = Numbering()
        for seq, number in enumerate(numbers):
            numbering.see(seq, requested(number))
        assert [what.partition(", and ")[2] for _, what in numbering.findings] == [f"{each} never did" for each in said]


def test_L2_the_whole_check_tells_both(tmp_path: Path, keys: Keys) -> None:
    """Written by one who holds the keys: nothing is forged, and something is missing and dated back."""
    signers = {"engine": keys.engine, "verifier": keys.verifier}
    with Ledger.create(tmp_path / "l.db", genesis(keys), signers=signers) as log:
        log.append([Draft(requested(0)), Draft(fault())])
        (seen,) = log.append([Draft(requested(2))])
        (late,) = log.append([Draft(fault(), at="2026-01-01T00:00:00.000Z")])
    report = verify(tmp_path / "l.db")
    assert report.ok
    told = [(seq, what.partition(":")[0]) for seq, what in report.findings]
    assert [each for each in told if each[1] in ("left out", "back-dated", "dated ahead", "dated in the future")] == [
        (seen.seq, "left out"), (late.seq, "back-dated"),
    ]  # fmt: skip
