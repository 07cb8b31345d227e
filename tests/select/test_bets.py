"""The two bets: fair under their null, whatever the past; blind to the future; monotone where it is claimed."""

import itertools
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from festina.select.bets import CLIP, SCALE_SAMPLES, Bounded, Symmetric, bounded, symmetric
from festina.select.rules import LOSSES, RULES, SQUARES

FRESH = bounded((0.05, 0.1, 0.2), (0.5, 0.3, 0.2), 1.0, LOSSES)
LEARNS = bounded((0.05, 0.2), (0.85, 0.15), 1.0, SQUARES)  # wins count for its stakes, too
payoff = st.floats(-1.0, 1.0)
wild = st.floats(-1e12, 1e12)


def play(bet: Bounded | Symmetric, row: tuple[float, ...] | list[float]) -> Bounded | Symmetric:
    for x in row:
        bet = bet.after(x)
    return bet


def expected(bet: Bounded | Symmetric, law: list[tuple[float, float]], depth: int) -> float:
    """Exact expected wealth after ``depth`` draws, by enumerating every path."""
    total = 0.0
    for path in itertools.product(law, repeat=depth):
        chance = math.prod(p for _, p in path)
        total += chance * play(bet, [x for x, _ in path]).wealth
    return total


@pytest.mark.parametrize(
    "law",
    [
        [(1.0, 0.1), (0.0, 0.8), (-1.0, 0.1)],
        [(0.02, 0.98), (-0.98, 0.02)],  # rare disaster
        [(0.5, 0.5), (-0.5, 0.5)],  # one coin per process
        [(1.0, 0.25), (-1.0, 0.2), (-0.1, 0.5), (0.0, 0.05)],
    ],
)
def test_S2_bounded_bet_is_fair_when_the_mean_is_zero_over_every_path(law):
    assert expected(FRESH, law, 6) == pytest.approx(1.0, abs=1e-12)
    assert expected(LEARNS, law, 6) == pytest.approx(1.0, abs=1e-12)


@pytest.mark.parametrize("centre", [0.0, -0.3, -2.0])
def test_S2_symmetric_bet_is_at_most_fair_left_of_zero_over_every_path(centre):
    law = [(centre + x, p) for x, p in [(-3.0, 0.1), (-1.0, 0.3), (0.0, 0.2), (1.0, 0.3), (3.0, 0.1)]]
    mean = expected(symmetric(), law, 5)
    assert mean <= 1.0 + 1e-12
    if centre == 0.0:
        assert mean == pytest.approx(1.0, abs=1e-12)


@given(st.sampled_from([FRESH, LEARNS]), st.lists(payoff, max_size=60), payoff)
def test_S2_bounded_factor_is_linear_in_the_next_payoff_with_a_slope_from_the_past(fresh, past, x):
    """Linear with a slope >= 0 and 1 at zero: the expected factor is at most 1 whenever the mean is."""
    bet = play(fresh, past)
    up, down, middle = (bet.after(v).wealth for v in (1.0, -1.0, x))
    assert 0.0 <= down <= bet.wealth <= up
    assert middle == pytest.approx(bet.wealth + (up - bet.wealth) * x, rel=1e-9, abs=1e-300)


@given(st.lists(wild, max_size=40), wild)
def test_S2_symmetric_factors_of_mirrored_payoffs_cancel(past, x):
    bet = play(symmetric(), past)
    assert bet.after(x).wealth + bet.after(-x).wealth == pytest.approx(2.0 * bet.wealth, rel=1e-12)


@given(st.lists(wild, max_size=30), wild, wild)
def test_S2_symmetric_factor_grows_with_the_payoff(past, x, y):
    low, high = sorted((x, y))
    bet = play(symmetric(), past)
    assert bet.after(low).wealth <= bet.after(high).wealth


@given(st.lists(payoff, max_size=80))
def test_S7_an_unbroken_row_of_the_best_payoff_is_the_best_row(row):
    """The base of ``units_min_accept``, exact in floating point."""
    assert play(FRESH, row).wealth <= play(FRESH, [1.0] * len(row)).wealth


def test_S7_no_bet_that_leads_to_acceptance_lets_a_win_lower_its_stakes():
    """What the exactness of ``units_min_accept`` rests on, in every version of the rule."""
    for rule in RULES.values():
        assert rule.gain.tuning.win_weight == rule.guard.tuning.win_weight == 0.0
    row = [0.001] * 30
    assert play(FRESH, [1.0, *row]).wealth > play(FRESH, [0.001, *row]).wealth
    fear = [play(LEARNS, [x, 0.001]).wealth / play(LEARNS, [x]).wealth for x in (1.0, 0.001)]
    assert fear[0] < fear[1]  # the others do learn from a win that payoffs are wild


def test_S5_every_version_of_the_rule_stakes_all_of_it_and_less_than_all_at_risk():
    for rule in RULES.values():
        for aim in (rule.gain, rule.futility, rule.guard, rule.violation):
            assert sum(aim.weights) == pytest.approx(1.0, abs=1e-15)
            assert 0.0 < aim.tuning.share < 1.0
            assert len(aim.aims) == len(aim.weights)


def test_symmetric_first_payoff_counts_by_its_sign_alone():
    assert symmetric().after(1e-9).wealth == symmetric().after(1e9).wealth > 1.0
    assert symmetric().after(-3.0).wealth < 1.0


def test_symmetric_all_zero_differences_never_move_the_evidence():
    bet = play(symmetric(), [0.0] * 50)
    assert (bet.wealth, bet.units, bet.sizes) == (1.0, 50, ())


def test_symmetric_constant_differences_are_evidence_by_sign():
    assert play(symmetric(), [0.3] * 12).wealth == play(symmetric(), [3e-7] * 12).wealth > 1000.0


@given(st.floats(1e3, 1e300))
def test_symmetric_one_huge_outlier_does_not_blind_the_bet(outlier):
    usual = [1.0, 0.8, 1.2, 0.9, 1.1] * 4
    assert play(symmetric(), [outlier, *usual]).wealth > 1000.0
    assert play(symmetric(), [*usual, outlier]).wealth > play(symmetric(), usual).wealth
    assert 0.0 < play(symmetric(), [*usual, -outlier]).wealth < play(symmetric(), usual).wealth


def test_symmetric_payoffs_are_clipped_and_memory_is_bounded():
    bet = play(symmetric(), [1.0, 1.0, 1.0])
    assert bet.after(CLIP).wealth == bet.after(1e9).wealth
    assert len(play(symmetric(), [1.0 + i for i in range(3 * SCALE_SAMPLES)]).sizes) == SCALE_SAMPLES


def test_S5_the_stakes_use_no_function_that_rounds_differently_elsewhere():
    import ast
    from pathlib import Path

    from festina.select import bets, report

    for module in (bets, report):
        tree = ast.parse(Path(module.__file__).read_text())
        from_math = {
            a.name for n in ast.walk(tree) if isinstance(n, ast.ImportFrom) and n.module == "math" for a in n.names
        }
        assert from_math <= {"sqrt", "isfinite"}
        names = {n.func.id for n in ast.walk(tree) if isinstance(n, ast.Call) and isinstance(n.func, ast.Name)}
        assert "sum" not in names
        assert not any(isinstance(n, ast.Pow) for n in ast.walk(tree))
