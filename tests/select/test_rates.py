"""Exact intervals and catch rates."""

from dataclasses import dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st

from festina.select.catches import rates
from festina.select.rates import at_most, exact


@given(st.integers(0, 200), st.floats(0.0, 1.0))
def test_V7_the_interval_holds_the_observed_rate_and_excludes_what_would_be_too_rare(runs, share):
    hits = min(runs, int(share * (runs + 1)))
    low, high = exact(hits, runs)
    assert 0.0 <= low <= high <= 1.0
    if runs:
        assert low <= hits / runs <= high
        assert 1.0 - at_most(hits - 1, runs, low) == pytest.approx(0.025, abs=1e-9) or low == 0.0
        assert at_most(hits, runs, high) == pytest.approx(0.025, abs=1e-9) or high == 1.0


def test_V7_known_values():
    assert exact(18, 20) == pytest.approx((0.6830, 0.9877), abs=5e-5)
    assert exact(0, 10) == pytest.approx((0.0, 0.3085), abs=5e-5)
    assert exact(0, 0) == (0.0, 1.0)


@pytest.mark.parametrize(("n", "p"), [(5, 0.3), (20, 0.05), (40, 0.9)])
def test_V7_coverage_is_at_least_what_it_says_by_enumeration(n, p):
    covered = sum(
        at_most(k, n, p) - (at_most(k - 1, n, p) if k else 0.0)
        for k in range(n + 1)
        if exact(k, n)[0] <= p <= exact(k, n)[1]
    )
    assert covered >= 0.95


@dataclass(frozen=True)
class Plant:
    defect: str
    basis: str
    missed: bool
    judged: bool = True


def test_V7_catches_are_counted_by_kind_and_only_where_a_decision_fell():
    rows = [Plant("null", "construction", False), Plant("null", "construction", True),
            Plant("exit", "presumed", False), Plant("exit", "presumed", False, judged=False)]  # fmt: skip
    found = rates(rows)
    assert (found.all.caught, found.all.judged, found.all.presumed) == (2, 3, 1)
    assert list(found.kinds) == ["exit", "null"]
    assert (found.kinds["null"].caught, found.kinds["null"].judged) == (1, 2)
    assert found.kinds["exit"].interval == exact(1, 1)
