"""What capability suites show between complete characterisations widens the gap, and never narrows it.  # G-2"""

from __future__ import annotations

import copy
from datetime import timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from festina.ledger import entries as e
from festina.loop.governing import decided, reading_of
from festina.loop.shown import gap, pace_of
from festina.loop.state import State
from festina.review.seats import moment
from tests.loop.paper import digest, oid
from tests.loop.test_never_faster import grown

LOOP = grown(generations=3)
AT = moment(LOOP.state.last_at) + timedelta(seconds=1)


def with_runs(*runs: tuple[int, str, float, int], gains: float | None = 0.1) -> State:
    """(place on the line, suite, mean, missing) of characterisations; each change gained ``gains`` doublings."""
    s = copy.deepcopy(LOOP.state)
    assert s.epoch is not None
    assert s.epoch.govern is not None
    (suite,) = s.epoch.govern.capabilities
    both = (suite, suite.model_copy(update={"name": "other"}))
    s.epoch = s.epoch.model_copy(update={"govern": s.epoch.govern.model_copy(update={"capabilities": both})})
    s.govern.gains = dict.fromkeys(s.line[1:], gains)
    s.govern.abilities = {}
    for place, name, mean, missing in runs:
        body = e.Characterised(
            measure=0, generation=s.line[place], suite=name, tree=oid(2), units=20 - missing,
            items=10 * (20 - missing), missing=missing, mean=mean, error=0.02, details=digest(1),
        )  # fmt: skip
        s.govern.abilities.setdefault(s.line[place], {})[name] = (s.last_at, body)
    return s


WHOLE = ((0, "skill", 0.2, 0), (0, "other", 0.2, 0))


def test_G2_a_suite_that_ran_alone_counts_before_the_next_complete_characterisation() -> None:
    assert len(LOOP.state.line) == 4
    start = LOOP.state.line[0]
    assert gap(with_runs(*WHOLE), start) == pytest.approx(0.3)
    moved = with_runs(*WHOLE, (1, "other", 0.6, 0))
    assert 2.5 < (gap(moved, start) or 0.0) - 0.2 < 4.0  # log2 of 6 in odds, its upper bound, and two changes since
    assert decided(moved, AT).room < decided(with_runs(*WHOLE), AT).room - 2.0
    assert (gap(with_runs(*WHOLE, (1, "other", 0.6, 5)), start) or 0.0) > 2.5  # whatever it did not answer
    assert gap(with_runs(*WHOLE, (1, "other", 0.6, 20)), start) == pytest.approx(0.3)  # it answered nothing
    assert gap(with_runs(*WHOLE, (3, "other", 0.22, 0)), start) == pytest.approx(0.3)  # chance explains that
    assert gap(with_runs(*WHOLE, (3, "other", 0.05, 0)), start) == pytest.approx(0.3)  # a fall is no credit
    assert gap(with_runs(*WHOLE, (1, "other", 0.6, 0), gains=None), start) is None  # T-6


def test_G2_changes_are_taken_for_the_pace_that_suites_showed_before() -> None:
    again = ((2, "skill", 0.2, 0), (2, "other", 0.6, 0))
    s = with_runs(*WHOLE, *again)
    pace = pace_of(s, s.line[2])
    assert 1.2 < pace < 2.0  # some 2.6 doublings in two changes, by the upper bound
    assert gap(s, s.line[2]) == pytest.approx(pace)  # one change since: not the .1 that its own test says
    assert reading_of(s, AT).next_gain == pytest.approx(pace)
    known = with_runs(*WHOLE, *again, gains=3.0)  # the gains said as much: nothing was missed
    assert pace_of(known, s.line[2]) == 0.0
    assert gap(known, s.line[2]) == 3.0
    assert pace_of(with_runs(*WHOLE, *again, gains=None), s.line[2]) == pace
    assert pace_of(with_runs(*again), s.line[2]) == 0.0  # the first characterisation shows no movement


RUNS = st.lists(
    st.tuples(st.integers(1, 3), st.sampled_from(["skill", "other"]), st.floats(0.0, 1.0), st.sampled_from([0, 1, 20])),
    max_size=5,
)


@settings(max_examples=60, deadline=None)
@given(RUNS, st.floats(0.0, 2.0))
def test_G2_nothing_that_a_suite_shows_makes_the_gap_smaller_than_the_gains(
    runs: list[tuple[int, str, float, int]], gains: float
) -> None:
    s = with_runs(*WHOLE, *runs, gains=gains)
    newest = next(n for n in reversed(s.line) if s.govern.complete_all(s, n))
    since = len(s.line) - 1 - s.line.index(newest)
    assert (gap(s, newest) or 0.0) >= gains * since - 1e-9
    assert (reading_of(s, AT).next_gain or 0.0) >= gains
