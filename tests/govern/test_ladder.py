"""The highest rung of autonomy stands on everything that it names, and on nothing that is not known."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from festina.govern.ladder import LADDER, Standing, above, at_most, gone, steps_up

FIRM = Standing(granted_s=10.0, lease_s=10.0, characterised_s=5.0, valid_s=60.0, safeguards=1)
WORSE = {
    "the step ran out": {"granted_s": 0.0}, "nobody signed": {"granted_s": None}, "no sign of life": {"lease_s": -1.0},
    "no lease": {"lease_s": None}, "not characterised": {"characterised_s": None}, "stale": {"characterised_s": 61.0},
    "from the future": {"characterised_s": -1.0}, "no validity": {"valid_s": None}, "no tier": {"safeguards": 0},
    "a safeguard lapsed": {"lacking": ("two-people",)}, "an alarm": {"alarms": ("a jump",)},
    "an incident": {"incidents": 1}, "a halt": {"halts": 1}, "an escape": {"escapes": 1}, "a control": {"broken": True},
}  # fmt: skip


@pytest.mark.parametrize("what", WORSE)
def test_G7_each_thing_that_the_highest_rung_rests_on_takes_it_away_by_itself(what: str) -> None:
    assert gone(FIRM) == ()
    assert len(gone(replace(FIRM, **WORSE[what]))) == 1


@pytest.mark.parametrize("name", ["granted_s", "lease_s", "characterised_s", "valid_s"])
@given(st.sampled_from([float("nan"), math.inf, -math.inf, None]), st.sampled_from(sorted(WORSE)))
def test_T6_G7_what_is_no_number_takes_it_away_and_nothing_else_brings_it_back(
    name: str, bad: float | None, also: str
) -> None:
    broken = replace(FIRM, **{name: bad})
    assert gone(broken)
    assert len(gone(replace(broken, **WORSE[also]))) >= 1
    worse = replace(FIRM, **WORSE[also])
    assert set(gone(worse)) <= set(gone(replace(worse, **{name: bad})))


def test_G7_the_ladder_is_climbed_rung_by_rung() -> None:
    assert [above(rung) for rung in LADDER] == [*LADDER[1:], None]
    assert steps_up("observe", "release-by-approval") == 2
    assert at_most("unattended", "propose-only") == "propose-only"
