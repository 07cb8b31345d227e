"""From a scorer's number to the rule: what lies outside the declared range is a failure, never clipped."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from festina.select import Evidence, Plan, observe, start
from festina.select.pairing import Scale, differences
from festina.verify.scoring import Mark, Range, Scorer, mark, mean_over
from festina.verify.types import UnitScore
from tests.verify.test_verify_scoring import ITEM

PLAN = Plan("bounded", 0.01, 0.0, 0.05, 0.1, (), 100)
ranges = st.builds(
    lambda low, width, direction: Range(low, low + width, direction),
    st.floats(-100, 100).map(lambda v: round(v, 3)), st.floats(0.01, 100).map(lambda v: round(v, 3)),
    st.sampled_from(["higher", "lower"]),
)  # fmt: skip
anything = st.one_of(st.floats(-250, 250), st.floats(allow_nan=True, allow_infinity=True), st.none(), st.booleans())


def side(bounds, values):
    """One side's score of a unit: a cluster or batch whose items the scorer gave ``values``."""
    marks = [mark(Scorer("s:f", lambda item, out, v=v: v, bounds), ITEM, "x", "out", ()) for v in values]
    own = bounds.own(mean_over(marks, 0))
    return UnitScore(own, (own,), len(values), sum(not m.valid for m in marks), ()), marks


@given(ranges, st.lists(st.tuples(anything, anything), min_size=1, max_size=6))
def test_S7_whatever_a_scorer_returns_a_difference_lies_in_the_range_and_the_gate_takes_it(bounds, rows):
    (candidate, marks), (incumbent, _) = (side(bounds, column) for column in zip(*rows, strict=True))
    sign = 1.0 if bounds.direction == "higher" else -1.0
    scale = Scale(sign, bounds.high - bounds.low, ((sign, bounds.high - bounds.low),))
    found = differences(_Side(candidate), _Side(incumbent), _Side(incumbent), scale, late=False)
    assert -1.0 <= found.gain <= 1.0
    assert found.guards == (found.gain,)
    assert observe(start(PLAN), Evidence(found.gain)).units == 1
    for value, each in zip((v for v, _ in rows), marks, strict=True):
        number = isinstance(value, float) and math.isfinite(value)
        if not number or not bounds.low - 1e-6 <= value <= bounds.high + 1e-6:
            assert each == Mark(0.0, False, each.failure)  # the worst of the range, whichever end that is


@pytest.mark.parametrize(("low", "high", "better"), [(0.0, 1.0, "higher"), (0.0, 1.0, "lower"), (-3.0, 5.0, "higher")])
def test_S7_a_score_beyond_the_best_end_costs_its_item_and_is_not_the_best_score(low, high, better):
    """Clipping would count it as perfect: the mistake that ``benchmarks/breaks.py clipped`` shows."""
    bounds = Range(low, high, better)
    beyond = high + 0.7 if better == "higher" else low - 0.7
    best, worst = (high, low) if better == "higher" else (low, high)
    (honest, _), (outside, _) = side(bounds, [best] * 4), side(bounds, [best] * 3 + [beyond])
    assert (honest.mean, outside.failed) == (best, 1)
    assert outside.mean == pytest.approx(best + 0.25 * (worst - best))


class _Side:
    """What ``differences`` reads of a side."""

    def __init__(self, score: UnitScore) -> None:
        self.mean, self.guards, self.judges = score.mean, score.guards, ()
