"""Intervals that hold at any stopping time."""

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from festina.errors import Fault
from festina.select import estimate, interval

unit = st.floats(-1.0, 1.0)


def batch(mean, sd, count, seed):
    rng = random.Random(seed)
    return [max(-1.0, min(1.0, rng.gauss(mean, sd))) for _ in range(count)]


@given(st.lists(unit, min_size=1, max_size=40))
@settings(max_examples=50, deadline=None)
def test_S4_the_interval_contains_the_estimate_and_lies_in_the_range(diffs):
    low, high = interval(diffs)
    assert -1.0 <= low <= estimate(diffs) <= high <= 1.0


@given(st.lists(unit, min_size=1, max_size=30))
@settings(max_examples=30, deadline=None)
def test_S4_mirrored_differences_mirror_the_interval(diffs):
    low, high = interval(diffs)
    assert interval([-d for d in diffs]) == (-high, -low)


@pytest.mark.parametrize(
    ("sd", "count", "width"), [(0.03, 128, 0.035), (0.1, 128, 0.04), (0.1, 300, 0.02), (0.03, 60, 0.07)]
)
def test_S4_the_interval_is_tight_for_batch_means(sd, count, width):
    low, high = interval(batch(0.06, sd, count, 1))
    assert low < 0.06 < high
    assert (high - low) / 2 <= width


LAWS = {
    "coin": lambda rng: (rng.random() < 0.1) - (rng.random() < 0.1),
    "disaster": lambda rng: 0.02 if rng.random() < 0.98 else -0.98,
    "batch": lambda rng: max(-1.0, min(1.0, rng.gauss(0.0, 0.1))),
}


@pytest.mark.parametrize("law", LAWS)
def test_S2_the_interval_holds_for_one_who_looks_after_every_unit(law):
    """The bound is set by the worst moment of the whole row, so one look at the end stands for all looks."""
    rng = random.Random(law)
    runs = 120
    missed = 0
    for _ in range(runs):
        low, high = interval([float(LAWS[law](rng)) for _ in range(100)])
        missed += not low <= 0.0 <= high
    assert missed <= 12  # 6 expected at most; 13 or more has a chance of 0.006


def test_S2_a_prefix_that_excludes_keeps_excluding():
    row = batch(0.3, 0.1, 60, 2) + batch(-0.2, 0.1, 60, 3)
    assert interval(row)[0] >= interval(row[:60])[0] - 1e-6 or interval(row)[0] == pytest.approx(
        estimate(row), abs=1e-6
    )


def test_S4_the_symmetric_interval_moves_and_scales_with_the_data():
    rng = random.Random(4)
    row = [rng.gauss(3.0, 2.0) for _ in range(40)]
    low, high = interval(row, "symmetric")
    assert low < 3.0 < high
    assert high - low < 4.0
    moved = interval([x + 1000.0 for x in row], "symmetric")
    assert moved == pytest.approx((low + 1000.0, high + 1000.0), abs=1e-3)
    scaled = interval([x * 64.0 for x in row], "symmetric")
    assert scaled == pytest.approx((low * 64.0, high * 64.0), rel=1e-5)


def test_S2_the_symmetric_interval_covers_the_centre():
    rng = random.Random(5)
    missed = 0
    for _ in range(150):
        low, high = interval([rng.gauss(0.0, 1.0) ** 3 for _ in range(20)], "symmetric")
        missed += not low <= 0.0 <= high
    assert missed <= 15


def test_S4_one_wild_seed_does_not_move_the_symmetric_interval_far():
    rng = random.Random(6)
    row = [rng.gauss(1.0, 0.5) for _ in range(30)]
    low, high = interval([*row[:10], 1e9, *row[10:]], "symmetric")
    assert 0.3 < low < high < 2.0


def test_S4_too_few_units_say_nothing():
    assert interval([]) is None
    assert interval([1.0, 2.0, 3.0, 4.0, 5.0], "symmetric") is None
    assert interval([0.5])[0] < -0.9
    for kind in ("bounded", "symmetric"):
        with pytest.raises(Fault):
            estimate([], kind)


def test_S4_an_accepted_difference_is_never_shown_below_its_margin():
    row = [1.0, -1.0, 1.0, 1.0, 0.0] * 5
    assert interval(row)[0] < 0.0
    assert interval(row, shown=0.0) == (0.0, interval(row)[1])
    tight = batch(0.3, 0.05, 60, 7)
    assert interval(tight, shown=0.0) == interval(tight)


def test_S4_constant_differences():
    low, high = interval([0.0] * 100)
    assert low == -high
    assert high < 0.04
    low, high = interval([0.25] * 8, "symmetric")
    assert low == pytest.approx(0.25)
    assert high == pytest.approx(0.25)
    assert interval([0.0] * 8, "symmetric") == pytest.approx((0.0, 0.0), abs=1e-6)


@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
def test_T6_intervals_of_broken_numbers_are_faults(bad):
    for kind in ("bounded", "symmetric"):
        with pytest.raises(Fault):
            interval([0.0] * 10 + [bad], kind)
    with pytest.raises(Fault):
        interval([1.5])
