"""The records of a drill: intervals are exact, classes are never pooled, and silence is never called proof."""

from __future__ import annotations

import json
import math
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from festina.drill import render
from festina.drill.model import SILENCE, Finding, Honest, Report, Verdict, record, rows
from festina.select.rates import exact


def made(attack, verdict, runs=1, caught=1, **more):
    kind = attack.split("/")[0]
    return Finding(attack, kind, f"title of {attack}", verdict, "why", runs=runs, caught=caught, **more)


@given(st.integers(1, 60), st.data())
def test_V2_the_exact_interval_has_the_tails_it_claims(runs, data):
    hits = data.draw(st.integers(0, runs))
    low, high = exact(hits, runs)

    def at_most(k, p):
        return sum(math.comb(runs, j) * p**j * (1 - p) ** (runs - j) for j in range(k + 1))

    assert 0 <= low <= hits / runs <= high <= 1
    if hits:
        assert 1 - at_most(hits - 1, low) == pytest.approx(0.025, abs=1e-6)
    if hits < runs:
        assert at_most(hits, high) == pytest.approx(0.025, abs=1e-6)


def test_V2_known_values_of_the_interval():
    assert exact(3, 3) == (pytest.approx(0.2924, abs=1e-4), 1.0)
    assert exact(0, 10) == (0.0, pytest.approx(0.3085, abs=1e-4))
    assert exact(0, 0) == (0.0, 1.0)


def test_a_class_shows_its_weakest_attack_and_leaves_out_what_was_not_tried():
    table = rows([
        made("forge/a", Verdict.CAUGHT, 3, 3), made("forge/b", Verdict.HOLE, 3, 0),
        made("forge/c", Verdict.NOT_APPLICABLE, 0, 0), made("clock/a", Verdict.NOT_TESTED, 0, 0),
    ])  # fmt: skip
    assert [(row.kind, row.attacks, row.caught, row.weakest.attack) for row in table] == [("forge", 2, 1, "forge/b")]


def test_text_ends_with_the_sentence_on_silence_and_exit_codes_follow_the_holes():
    quiet = Report("t", ("summary",), (made("exit/a", Verdict.CAUGHT),), (Honest("as given", 3, 3),))
    exposed = Report("t", (), (made("reach/a", Verdict.EXPOSURE),), (), strict=True)
    holed = Report("t", (), (made("exit/a", Verdict.HOLE, 1, 0, score=math.inf),), ())
    assert [each.exit_code for each in (quiet, exposed, holed)] == [0, 3, 3]
    for each in (quiet, exposed, holed):
        assert render.text(each).rstrip().splitlines()[-1] == SILENCE
        assert render.one_line(each).endswith(SILENCE)
        assert json.loads(json.dumps(record(each), allow_nan=False))[-1]["silence"] == SILENCE


def test_a_finding_cannot_claim_more_catches_than_runs():
    with pytest.raises(ValueError, match="caught 2 of 1"):
        made("exit/a", Verdict.CAUGHT, 1, 2)


def test_many_holes_of_one_class_are_told_in_full_a_few_times_and_named_all():
    holes = tuple(made(f"constant/c{n}", Verdict.HOLE, caught=0, fix="compare the whole answer") for n in range(9))
    text = render.text(Report("t", ("s",), holes, ()))
    assert text.count("fix: compare the whole answer") == render.FULL
    joined = " ".join(text.split())
    assert all(f"{n + 1}. title of constant/c{n}" in joined for n in range(9))


def test_what_was_left_out_is_one_line_for_each_reason_and_named_when_asked_for():
    def left(attack: str, why: str) -> Finding:
        return replace(made(attack, Verdict.NOT_APPLICABLE, 0, 0), why=why)

    found = (*(left(f"forge/f{n}", "it reads no file") for n in range(30)), left("clock/a", "it keeps no time"))
    report = Report("t", ("s",), found, ())
    lines = render.text(report).split("\n")
    assert [line for line in lines if line.startswith("  - ")] == [
        "  - it reads no file: 30 attacks", "  - it keeps no time: clock/a"
    ]
    assert not any("forge/f7" in line for line in lines)
    assert any("--verbose" in line for line in lines)
    told = " ".join(render.text(report, verbose=True).split())
    assert all(f"forge/f{n}" in told for n in range(30))
    assert "--verbose" not in told


@pytest.mark.parametrize("width", range(20, 60))
def test_a_number_keeps_its_unit_where_a_line_is_broken(width: int) -> None:
    rows = render._wrap("weakest: 0 of 6 runs (0 to 46 %), 1 GiB was taken within 30 s and more of it", width)
    assert all(any(whole in row for row in rows) for whole in ("46 %),", "1 GiB", "30 s"))
    assert len(rows) > 1
