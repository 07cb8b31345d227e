"""One combined p-value: valid whatever the distances are, and no more."""

from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from festina.select.conformal import compared, median

ROWS = st.lists(st.tuples(*[st.floats(-1e6, 1e6)] * 3), min_size=3, max_size=25)


@given(ROWS)
def test_V9_over_all_orders_no_more_than_a_share_a_has_a_p_of_at_most_a(rows: list[tuple[float, ...]]) -> None:
    """Exchangeability is all that is assumed: so it must hold for each set of rows, whichever of them comes first."""
    ps = [compared([row, *rows[:i], *rows[i + 1 :]]).p for i, row in enumerate(rows)]
    for p in set(ps):
        assert sum(each <= p for each in ps) <= p * len(ps) + 1e-9


@given(ROWS, st.randoms(use_true_random=False))
def test_V9_the_order_of_retrainings_is_nothing(rows: list[tuple[float, ...]], coins: random.Random) -> None:
    others = rows[1:]
    coins.shuffle(others)
    assert compared(rows) == compared([rows[0], *others])


def test_V9_what_is_further_than_all_has_the_smallest_p_and_is_named() -> None:
    coins = random.Random(1)
    nulls = [(coins.gauss(1, 0.1), coins.gauss(5, 1)) for _ in range(19)]
    found = compared([(1.0, 15.0), *nulls])
    assert (found.p, found.where) == (1 / 20, 1)
    assert found.score > found.of_nulls
    assert compared([(1.0, 5.0), *nulls]).p > 0.2


def test_V9_many_distances_call_no_more_than_one_does() -> None:
    coins, called = random.Random(2), 0
    for _ in range(400):
        rows = [tuple(coins.expovariate(1) for _ in range(6)) for _ in range(20)]
        called += compared(rows).p <= 0.05
    assert called / 400 < 0.09  # six tests of 5 % each would call 26 %


def test_V9_what_never_varies_is_no_reason_and_any_difference_from_it_is() -> None:
    assert compared([(0.0,), (0.0,), (0.0,)]).p == 1.0
    assert compared([(1e-12,), (0.0,), (0.0,), (0.0,)]).p == 0.25
    assert compared([(1.0 + 1e-15,), (1.0,), (1.0,)]).p == 1.0
    for rows in ([(1.0,)], [(), ()], [(1.0,), (1.0, 2.0)]):
        with pytest.raises(ValueError, match="candidate"):
            compared(rows)
    assert (median([3, 1, 2]), median([4, 1, 2, 3])) == (2, 2.5)
