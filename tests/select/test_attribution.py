"""Effects of the parts of a change: exact where the truth is additive, honest where parts interact, rarely fooled."""

from __future__ import annotations

import random
from itertools import permutations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from festina.errors import Fault
from festina.select import attribution as a
from festina.select import student, told

parts = st.integers(2, 5)


def additive(effects: list[float], mask: int) -> float:
    return sum(effect for i, effect in enumerate(effects) if mask >> i & 1)


@given(st.lists(st.floats(-1, 1), min_size=2, max_size=5), st.integers(2, 6))
def test_V8_where_effects_add_up_every_method_finds_each(effects: list[float], units: int) -> None:
    n = len(effects)
    scores = [{mask: additive(effects, mask) for mask in a.every(n)} for _ in range(units)]
    found = a.by_ablation(n, scores)
    shares = a.by_shapley(n, scores)
    for i, effect in enumerate(effects):
        for spread in (found.leave_out[i], found.alone[i], shares[i]):
            assert spread is not None
            assert spread[0] == pytest.approx(effect, abs=1e-9)
    assert found.residue is not None
    assert found.residue[0] == pytest.approx(0.0, abs=1e-9)


def test_V8_a_pair_that_works_only_together_is_seen_in_the_rest_and_shared_by_shapley() -> None:
    scores = [{mask: 0.4 * (mask == 3) for mask in range(4)} for _ in range(8)]
    found = a.by_ablation(2, scores)
    assert [x and x[0] for x in found.leave_out] == pytest.approx([0.4, 0.4])
    assert [x and x[0] for x in found.alone] == [0.0, 0.0]
    assert found.residue == pytest.approx((-0.4, -0.4, -0.4))
    assert [x[0] for x in a.by_shapley(2, scores)] == pytest.approx([0.2, 0.2])
    assert "only together" in told.whole(found.total, found.residue, units=8, broken=0)
    either = [{mask: 0.4 * (mask > 0) for mask in range(4)} for _ in range(8)]
    twins = a.by_ablation(2, either)
    assert "the same thing" in told.whole(twins.total, twins.residue, units=8, broken=0)


@given(parts, st.randoms(use_true_random=False))
def test_V8_shapley_values_share_out_exactly_the_whole(n: int, coins: random.Random) -> None:
    scores = [{mask: coins.uniform(-1, 1) for mask in a.every(n)} for _ in range(4)]
    orders = [coins.sample(range(n), n) for _ in range(4)]
    total = sum(unit[a.full(n)] - unit[0] for unit in scores) / 4
    assert sum(x[0] for x in a.by_shapley(n, scores)) == pytest.approx(total)
    sampled = [{mask: unit[mask] for mask in a.chains(order)} for unit, order in zip(scores, orders, strict=True)]
    assert sum(x[0] for x in a.by_permutations(n, sampled, orders)) == pytest.approx(total)


def test_V8_permutations_over_all_orders_are_the_exact_values() -> None:
    coins = random.Random(5)
    truth = {mask: coins.uniform(-1, 1) for mask in a.every(4)}
    orders = list(permutations(range(4)))
    exact, sampled = a.by_shapley(4, [truth] * 2), a.by_permutations(4, [truth] * len(orders), orders)
    for one, other in zip(exact, sampled, strict=True):
        assert one[0] == pytest.approx(other[0])


@given(st.integers(2, 12), st.randoms(use_true_random=False))
def test_V8_a_pair_of_permutations_needs_two_trees_a_part(n: int, coins: random.Random) -> None:
    chain = a.chains(coins.sample(range(n), n))
    assert {0, a.full(n)} <= set(chain)
    assert len(chain) <= 2 * n


@pytest.mark.parametrize("units", [8, 16, 32])
def test_V8_a_part_that_does_nothing_is_blamed_or_praised_about_one_time_in_twenty(units: int) -> None:
    """Means of 20 coins each, unpaired: about the worst noise that an honest system has."""
    coins = random.Random(units)
    wrong, runs = 0, 4000
    for _ in range(runs):
        diffs = [(coins.getrandbits(20).bit_count() - coins.getrandbits(20).bit_count()) / 20 for _ in range(units)]
        word = a.judged(student.spread(diffs), (), detect=0.02, untouched=False)
        wrong += word in ("helps", "harms")
    assert 0.03 < wrong / runs < 0.065


def test_V8_a_part_that_helps_by_what_noise_allows_is_found() -> None:
    coins = random.Random(1)
    found = 0
    for _ in range(200):
        diffs = [0.1 + coins.gauss(0, 0.1) for _ in range(16)]
        found += a.judged(student.spread(diffs), (), detect=0.02, untouched=False) == "helps"
    assert found > 180


def test_V8_words_for_what_can_go() -> None:
    nothing, harm = (0.0, 0.0, 0.0), (-0.2, -0.3, -0.1)
    assert a.judged(nothing, (), detect=0.1, untouched=True) == "nothing"
    assert "can go" in told.hunk("nothing", nothing, [], units=16)
    assert a.judged(harm, (), detect=0.1, untouched=False) == "harms"
    assert "can go" in told.hunk("harms", harm, [], units=16)
    assert a.judged(None, (), detect=0.1, untouched=False) == "needed"
    keeps_a_guard = ((0.2, 0.1, 0.3),)
    assert a.judged((0.0, -0.01, 0.01), keeps_a_guard, detect=0.1, untouched=False) == "unclear"
    assert "safety up" in told.hunk("unclear", nothing, [("safety", (0.2, 0.1, 0.3))], units=16)
    assert "safety worse" in told.hunk("helps", (0.2, 0.1, 0.3), [("safety", (-0.2, -0.3, -0.1))], units=16)


def test_V8_combinations_that_never_ran_are_not_effects() -> None:
    scores = [{0: 0.0, 3: 0.5, 1: 0.2} for _ in range(8)]  # the second part alone does not run
    found = a.by_ablation(2, scores)
    assert found.leave_out[0] is None
    assert found.leave_out[1] is not None
    assert found.residue is None
    with pytest.raises(Fault, match="did not run"):
        a.by_ablation(2, [{0: 0.0} for _ in range(8)])


def test_student_quantiles_are_those_of_the_tables() -> None:
    for freedom, value in ((1, 12.706), (7, 2.365), (30, 2.042), (31, 2.0395), (60, 2.0003), (120, 1.9799)):
        assert student.quantile(freedom) == pytest.approx(value, abs=1e-3)
