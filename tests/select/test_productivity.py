"""Ratios of improvers' gains: honest intervals, and none where there is nothing to divide by."""

from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from festina.select.productivity import authorship, productivity, sentence, shared_out


def played(seed: int, n: int, left: float, right: float, start: float = 0.3, noise: float = 0.05) -> list:
    """Scores of ``n`` problems whose true gains are ``left`` and ``right``."""
    coins = random.Random(seed)
    rows = []
    for _ in range(n):
        shared = coins.gauss(0, noise)
        a, b, s = (start + gain + shared + coins.gauss(0, noise) for gain in (left, right, 0.0))
        rows.append(tuple(min(1.0, max(0.0, x)) for x in (a, b, s)))
    return rows


def test_W2_the_ratio_covers_the_truth_as_often_as_it_says() -> None:
    """95 % intervals over 400 comparisons of two equal improvers; also that a difference is found no more than that."""
    inside = wrong = 0
    for seed in range(400):
        found = productivity(played(seed, 12, 0.2, 0.2), odds=False)
        assert found.ratio is not None
        inside += found.ratio[1] <= 1.0 <= found.ratio[2]
        wrong += found.answer != "cannot tell"
    assert 0.92 <= inside / 400 <= 0.98
    assert wrong == 400 - inside  # for a ratio of 1 the two say the same


def test_W2_twice_the_gain_is_found_and_is_about_twice() -> None:
    found = productivity(played(1, 24, 0.3, 0.15), odds=False)
    assert found.answer == "paid"
    assert found.ratio is not None
    assert found.ratio[1] < 2.0 < found.ratio[2]
    assert "3's improver improves more" in sentence(found, 3, 0, 0)


def test_W2_a_gain_that_is_not_told_from_nothing_gives_no_ratio() -> None:
    found = productivity(played(2, 12, 0.2, 0.0))
    assert found.ratio is None
    assert "no ratio can be given" in sentence(found, 2, 0, 0)
    assert found.answer == "paid"  # the difference has an interval all the same


@given(st.integers(0, 10**6), st.integers(3, 40), st.floats(0.05, 0.3), st.floats(0.05, 0.3))
def test_W1_swapping_the_sides_turns_the_ratio_over_on_the_log_odds_scale(seed, n, left, right) -> None:
    rows = played(seed, n, left, right)
    there, back = productivity(rows), productivity([(b, a, s) for a, b, s in rows])
    assert there.ahead == pytest.approx((-back.ahead[0], -back.ahead[2], -back.ahead[1]))
    if there.ratio is not None:
        assert there.ratio[1] <= there.ratio[0] <= there.ratio[2]
    if there.ratio is not None and back.ratio is not None and there.ratio[1] > 0:
        assert there.ratio == pytest.approx((1 / back.ratio[0], 1 / back.ratio[2], 1 / back.ratio[1]), rel=1e-6)


def test_W2_a_few_problems_that_are_all_alike_show_nothing() -> None:
    """Right-or-wrong products: with three problems an interval of no width comes one time in four by luck alone."""
    few, more = ([(1.0, 0.0, 0.0)] * n for n in (5, 6))
    assert productivity(few).answer == "cannot tell"
    assert "Neither improver is shown" in sentence(productivity(few), 1, 0, 0)
    assert productivity(more).answer == "paid"
    assert productivity([(b, a, s) for a, b, s in more]).answer == "did not pay"
    assert productivity([(0.7, 0.1, 0.1), (0.7 + 1e-15, 0.1, 0.1), (0.7, 0.1, 0.1)]).answer == "cannot tell"
    assert productivity([(0.7, 0.1, 0.1), (0.71, 0.1, 0.1), (0.69, 0.1, 0.1)]).answer == "paid"


def test_W1_perfect_scores_have_finite_odds() -> None:
    rows = [(1.0, 1.0, 0.0)] * 5
    assert productivity(rows).ratio == pytest.approx((1.0, 1.0, 1.0))


def test_P5_shares_add_up_and_a_lone_author_needs_none() -> None:
    shares = authorship([("people", 0.1), ("changed improvers", 0.3), ("people", 0.0)])
    assert [(s.author, s.generations, s.part) for s in shares] == [
        ("changed improvers", 1, pytest.approx(0.75)), ("people", 2, pytest.approx(0.25)),
    ]  # fmt: skip
    assert "(75%)" in shared_out(shares).replace(" %", "%")
    assert shared_out(()) == ""
    assert authorship([("people", -0.1)])[0].part is None
