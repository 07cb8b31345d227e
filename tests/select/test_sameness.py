"""The incumbent against itself: silent on honest noise of any shape, loud when a side is favoured."""

import itertools
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from festina.errors import Fault
from festina.select import sameness


def play(rows, *, guards=0, kind="bounded"):
    """Rows are (by role, by order, guards ...), or one number: then the order alternates."""
    state = sameness.begin(kind, guards)
    for i, row in enumerate(rows):
        state = sameness.see(state, row if isinstance(row, tuple) else (float(row), float(row) * (-1) ** i))
    return state


@pytest.mark.parametrize(
    "law",
    [
        [(0.3, 0.5), (-0.3, 0.5)],
        [(0.02, 0.98), (-0.98, 0.02)],  # skewed: a rare loss, and the mean still 0
        [(1.0, 0.1), (0.0, 0.8), (-1.0, 0.1)],
    ],
)
def test_V2_the_evidence_is_fair_over_every_path_when_no_side_is_favoured(law):
    total = 0.0
    for path in itertools.product(law, repeat=5):
        total += math.prod(p for _, p in path) * play([x for x, _ in path]).evidence
    assert total == pytest.approx(1.0, abs=1e-12)


@given(st.lists(st.floats(-1, 1), max_size=80))
def test_V2_it_does_not_matter_which_side_is_called_the_first(row):
    one, other = play(row), play([-x for x in row])
    assert one.evidence == pytest.approx(other.evidence)
    assert one.broken == other.broken


@pytest.mark.parametrize("sign", [1.0, -1.0])
def test_V2_a_judge_that_favours_a_side_is_found_and_named(sign):
    state = play([0.1 * sign + 0.02 * (i % 3 - 1) for i in range(200)])
    assert state.broken
    assert state.units < 200  # latched: later units change nothing
    assert state.suspect == (0, int(sign))


def test_V2_a_judge_that_favours_whoever_ran_first_is_found_and_named():
    state = play([(0.2 * (-1) ** i, 0.2) for i in range(100)])
    assert state.broken
    assert state.suspect == (1, 1)


def test_V2_a_guard_that_favours_a_side_is_found_too():
    state = play([(0.05 * (-1) ** i, 0.05, -0.3) for i in range(100)], guards=1)
    assert state.broken
    assert state.suspect == (2, -1)


def test_V2_a_system_without_noise_never_alarms_and_a_decided_test_stays_decided():
    assert play([0.0] * 1000).evidence == 1.0
    broken = play([0.9] * 30)
    assert play([0.9] * 60) == broken


def test_V2_a_difference_out_of_range_is_our_fault_not_evidence():
    with pytest.raises(Fault):
        play([1.5])
    with pytest.raises(Fault):
        play([(0.1, 0.1, 0.1)])


def test_V2_the_share_owed_is_a_share_of_what_was_judged():
    assert [sameness.due(0.02, n, 0) for n in (0, 49, 50, 100)] == [0, 0, 1, 2]
    assert sameness.due(0.02, 100, 2) == 0
    assert sameness.due(0.0, 10**6, 0) == 0


LAWS = {
    "coin": lambda rng, n: rng.choice([-1.0, 1.0], n),
    "small noise": lambda rng, n: rng.normal(0.0, 0.05, n).clip(-1, 1),
    "rare disaster": lambda rng, n: np.where(rng.random(n) < 0.02, -0.98, 0.02),
    "few differ": lambda rng, n: rng.choice([-0.5, 0.0, 0.5], n, p=[0.02, 0.96, 0.02]),
}


@pytest.mark.slow
@pytest.mark.parametrize("law", LAWS)
def test_V2_honest_noise_alarms_in_at_most_one_run_of_a_hundred(law):
    """2,000 runs of 300 units each; 35 alarms or more would have a chance below 0.002 at a true rate of 1 %."""
    rng = np.random.default_rng(20261126)
    alarms = sum(play(LAWS[law](rng, 300).tolist()).broken for _ in range(2000))
    assert alarms <= 34


@pytest.mark.slow
def test_V2_power_against_a_judge_that_favours_the_first_side():
    """A tenth of the range under noise of a fifth: found within 200 units in nearly every run."""
    rng = np.random.default_rng(7)
    found = sum(play(rng.normal(0.1, 0.2, 200).clip(-1, 1).tolist()).broken for _ in range(200))
    assert found >= 190
