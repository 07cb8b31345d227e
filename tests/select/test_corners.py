"""Four corners: r is found where it can be, has no bounds where it has none, and is never quoted without."""

from __future__ import annotations

import random
from math import exp, inf, isfinite

import pytest

from festina.select.corners import Corners, corners, sentence


def rows(seed: int, new: float, old: float, *, n: int = 24, noise: float = 0.02) -> list[tuple[float, float, float]]:
    """Problems whose products gain these log-odds from a start of 0.3."""
    coins, found = random.Random(seed), []
    base = 0.3 / 0.7
    for _ in range(n):
        scores = [base * exp(gain) / (1.0 + base * exp(gain)) for gain in (new, old, 0.0)]
        found.append(tuple(min(1.0, max(0.0, score + coins.gauss(0, noise))) for score in scores))
    return found  # type: ignore[return-value]


def gains(
    kappa: float, beta: float, apart: float, first: float = 0.4
) -> tuple[tuple[float, float], tuple[float, float]]:
    """(newer, older) improvers' gains from the older and from the newer start."""
    better, harder = 2.0 ** (kappa * apart), 2.0 ** (-beta * apart)
    return (first * better, first), (first * better * harder, first * harder)


@pytest.mark.parametrize(("kappa", "beta"), [(0.3, 0.15), (0.1, 0.3)])
def test_W2_r_is_found_and_the_right_side_of_1_is_told(kappa: float, beta: float) -> None:
    low, high = gains(kappa, beta, 4.0)
    inside = 0
    for seed in range(10):
        found = corners(rows(seed, *low, noise=0.01), rows(seed + 50, *high, noise=0.01), 4.0)
        assert found.r is not None
        assert found.kappa is not None
        inside += found.r[0] <= kappa / beta <= found.r[2]
        assert found.kappa[1] == pytest.approx(kappa, abs=0.1)
    assert inside >= 7
    said = sentence(found, 5, 0)
    assert ("this compounds" in said) == (kappa > beta)
    assert ("does not compound" in said) == (kappa < beta)


def test_W2_where_what_is_better_is_not_harder_to_improve_r_has_no_upper_bound() -> None:
    low, high = gains(0.3, 0.0, 3.0)
    found = corners(rows(1, *low), rows(2, *high), 3.0)
    assert found.r is not None
    assert found.r[2] == inf
    assert isfinite(found.r[0])
    assert "no upper bound" in sentence(found, 5, 0)


def test_W2_a_gain_that_cannot_be_told_from_nothing_identifies_nothing() -> None:
    found = corners(rows(1, 0.5, 0.0), rows(2, 0.5, 0.3), 4.0)
    assert found.r is None
    assert "not identified" in sentence(found, 5, 0)
    assert "cannot be told from nothing" in sentence(found, 5, 0)


def test_W2_versions_too_close_and_too_few_problems_say_so() -> None:
    near = corners(rows(1, 0.5, 0.4), rows(2, 0.5, 0.3), 0.4)
    few = corners(rows(1, 0.5, 0.4, n=2), rows(2, 0.5, 0.3), 4.0)
    assert (near.r, few.r) == (None, None)
    assert "0.4 doublings apart" in near.why
    assert "3 problems" in few.why


def test_W2_the_same_rows_give_the_same_answer_and_more_problems_a_narrower_one() -> None:
    low, high = gains(0.3, 0.2, 4.0)
    few, many = (corners(rows(3, *low, n=n), rows(4, *high, n=n), 4.0) for n in (8, 200))
    assert few == corners(rows(3, *low, n=8), rows(4, *high, n=8), 4.0)
    assert many.phi is not None
    assert few.phi is not None
    assert many.phi[2] - many.phi[0] < 0.5 * (few.phi[2] - few.phi[0])
    assert isinstance(few, Corners)
