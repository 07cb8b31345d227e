"""The budget: its potential never grows on average, whatever the proposer does."""

import itertools
from dataclasses import replace
from functools import cache

import pytest
from hypothesis import given
from hypothesis import strategies as st

from festina.errors import Fault, UsageError
from festina.select import Budget, FdrBudget, SealedBlocks
from festina.select.budget import budget_of

ENDS = st.lists(st.tuples(st.booleans(), st.floats(0.0, 1.0)), max_size=60)


@given(ENDS, st.floats(0.001, 0.5), st.floats(0.5, 200.0))
def test_S1_nothing_makes_budget(ends, alpha, spread):
    budget = Budget(alpha, spread)
    for accepted, refund in ends:
        level, budget = budget.open()
        assert 0.0 < level < alpha
        budget = budget.close(level, accepted, refund)
        assert 0.0 < budget.free <= alpha
        assert budget.spent <= alpha


def test_S1_levels_shrink_slowly_and_an_acceptance_costs_nothing():
    budget = Budget(0.05)
    first, opened = budget.open()
    assert first == pytest.approx(0.05 / 51)
    assert opened.close(first, True).next_level() == pytest.approx(first)
    for _ in range(200):
        level, opened = budget.open()
        budget = opened.close(level, False, 0.0)
    assert 0.05 / 51 / 30 < budget.next_level() < first / 20  # 10.1 nats after 200 tests without any refund
    assert budget.spent < 0.05


def test_S1_a_full_refund_leaves_the_budget_as_it_was():
    budget = Budget(0.05)
    level, opened = budget.open()
    closed = opened.close(level, False, 1.0)
    assert (closed.free, closed.spent_effective) == (pytest.approx(0.05), 0.0)


def test_S1_open_tests_have_disjoint_reserves_and_close_once():
    first, budget = Budget(0.05).open()
    second, budget = budget.open()
    assert second < first
    assert budget.free + first + second == pytest.approx(0.05)
    budget = budget.close(first, False, 0.2)
    assert budget.reserved == (second,)
    with pytest.raises(Fault) as caught:
        budget.close(first, False, 0.2)
    assert caught.value.name == "budget-level"


@pytest.mark.parametrize("refund", [-0.1, 1.1, float("nan")])
def test_S1_an_impossible_refund_is_a_fault(refund):
    level, budget = Budget(0.05).open()
    with pytest.raises(Fault):
        budget.close(level, False, refund)


def test_S1_impossible_budgets_are_refused():
    for bad in (0.0, 0.6):
        with pytest.raises(UsageError):
            Budget(bad)
    with pytest.raises(Fault):
        replace(Budget(0.05), free=0.06)


# ---- the potential, by enumeration ------------------------------------------------------------------------

# A bad candidate's evidence in the smallest world that can still cross a threshold: it triples with chance
# 1/3 or falls to nothing's half... fair on average: 3 * 1/3 + 0 * 2/3 = 1, or 1.5 and 0.5 evenly.
WORLDS = {"steep": ((3.0, 1 / 3), (0.0, 2 / 3)), "gentle": ((1.5, 0.5), (0.5, 0.5))}


@pytest.mark.parametrize("world", WORLDS)
@pytest.mark.parametrize("alpha", [0.2, 0.5])
def test_S1_no_policy_whatever_gets_a_bad_candidate_accepted_with_more_than_alpha(world, alpha):
    """The exact value of the game: at every point the proposer picks what is best for it among testing on,
    abandoning (with the refund) and opening good or bad candidates, over every outcome of every draw."""
    steps = WORLDS[world]

    @cache
    def value(budget: Budget, level: float, wealth: float, draws: int, tests: int) -> float:
        options = [0.0]
        if level == 0.0:  # nothing open
            if tests:
                opened, after = budget.open()
                options.append(value(after, opened, 1.0, draws, tests - 1))
                options.append(value(after.close(opened, True), 0.0, 1.0, draws, tests - 1))  # a good one accepted
            return max(options)
        options.append(value(budget.close(level, False, min(1.0, wealth)), 0.0, 1.0, draws, tests))
        if draws:
            total = 0.0
            for factor, chance in steps:
                grown = wealth * factor
                total += chance * (1.0 if grown >= 1.0 / level else value(budget, level, grown, draws - 1, tests))
            options.append(total)
        return max(options)

    best = value(Budget(alpha, 0.6), 0.0, 1.0, 8, 4)
    assert 0.0 < best <= alpha + 1e-12


def test_S1_with_a_refund_too_many_the_same_game_exceeds_alpha():
    """Positive control: give everything back at every end, and the proposer wins more than alpha."""

    @cache
    def value(budget: Budget, level: float, wealth: float, draws: int, tests: int) -> float:
        if level == 0.0:
            if not tests:
                return 0.0
            opened, after = budget.open()
            return value(after, opened, 1.0, draws, tests - 1)
        options = [value(budget.close(level, False, 1.0), 0.0, 1.0, draws, tests)]
        if draws:
            options.append(
                sum(
                    chance * (1.0 if wealth * f >= 1.0 / level else value(budget, level, wealth * f, draws - 1, tests))
                    for f, chance in WORLDS["steep"]
                )
            )
        return max(options)

    assert value(Budget(0.2, 0.6), 0.0, 1.0, 8, 4) > 0.2


@given(
    st.lists(
        st.tuples(st.booleans(), st.lists(st.sampled_from([0.0, 0.5, 1.0, 1.7]), max_size=4)), min_size=1, max_size=6
    ),
    st.floats(0.05, 0.5),
)
def test_S1_the_potential_never_grows_at_any_step(story, alpha):
    """Phi = free + a*M over open bad + a over open good; every kind of step, several tests open at once."""
    budget, tests = Budget(alpha, 2.0), []

    def phi() -> float:
        return budget.free + sum(level * (1.0 if good else wealth) for level, good, wealth in tests)

    for good, factors in story:
        before = phi()
        level, budget = budget.open()
        tests.append((level, good, 1.0))
        assert phi() == pytest.approx(before)
        for factor in factors:  # a fair bet: up by f or down by 2 - f with equal chance leaves the mean
            level, was_good, wealth = tests[-1]
            up, down = wealth * factor, wealth * (2.0 - factor)
            assert 0.5 * (up + down) == pytest.approx(wealth)
            tests[-1] = (level, was_good, up)
    while tests:
        before = phi()
        level, good, wealth = tests.pop(0)
        budget = budget.close(level, good and wealth > 1.0, min(1.0, wealth))
        assert phi() <= before + 1e-12


# ---- sealed blocks -----------------------------------------------------------------------------------------


def test_S1_sealed_levels_sum_to_at_most_alpha_over_any_pattern_of_verdicts():
    for pattern in itertools.product([False, True], repeat=8):
        blocks, per_block = SealedBlocks(0.05), {}
        for accepted in pattern:
            level, opened = blocks.open()
            per_block.setdefault(blocks.block, []).append(level)
            blocks = opened.close(level, accepted)
        for k, levels in per_block.items():
            assert sum(levels) <= 5 * 0.05 / ((k + 5) * (k + 6)) + 1e-15
    assert sum(5 / ((k + 5) * (k + 6)) for k in range(10**5)) == pytest.approx(1.0, abs=1e-4)
    assert sum(20 / ((j + 20) * (j + 21)) for j in range(10**5)) == pytest.approx(1.0, abs=1e-3)


def test_P4_a_sealed_block_carries_one_test_at_a_time_and_pays_no_refund():
    level, blocks = SealedBlocks(0.05).open()
    with pytest.raises(Fault):
        blocks.open()
    closed = blocks.close(level, False, 1.0)
    assert (closed.block, closed.index) == (0, 1)
    assert closed.spent == pytest.approx(level)
    assert closed.left == pytest.approx(0.05 - level)
    level, blocks = closed.open()
    moved = blocks.close(level, True)
    assert (moved.block, moved.index) == (1, 0)
    with pytest.raises(Fault):
        moved.close(level, False)


# ---- the share of wrong ones -------------------------------------------------------------------------------


@given(ENDS, st.floats(0.001, 0.5), st.floats(0.5, 200.0))
def test_S1_fdr_charges_never_exceed_alpha_and_no_level_does(ends, alpha, spread):
    budget = FdrBudget(alpha, spread)
    for accepted, refund in ends:
        level, opened = budget.open()
        other, both = opened.open()
        assert 0.0 < level <= alpha
        assert other != level
        assert both.left + opened.cost(level, True) + both.cost(other, True) + both.used == pytest.approx(alpha)
        budget = both.close(other, False, 1.0).close(level, accepted, refund)
        assert budget.used <= alpha


def test_S1_fdr_levels_grow_with_acceptances_and_the_first_is_the_familywise_one():
    budget = FdrBudget(0.05)
    assert budget.next_level() == Budget(0.05).next_level()
    levels = []
    for _ in range(5000):
        level, budget = budget.open()
        levels.append(level)
        budget = budget.close(level, True)
    assert levels[20] > 5 * levels[0]
    assert max(levels) <= 0.05


def test_S1_an_acceptance_under_the_share_is_paid_for():
    level, opened = FdrBudget(0.05).open()
    assert opened.close(level, True).left < opened.close(level, False, 0.9).left


@pytest.mark.parametrize(
    ("world", "refunded"), [("steep", "what is left"), ("gentle", "what is left"), ("steep", "everything")]
)
def test_S1_no_policy_whatever_gets_a_share_of_wrong_ones_above_alpha(world, refunded):
    """The exact value of the game in which the proposer wins the share of bad ones at its worst moment. Positive
    control: a rule that gives everything back loses it."""
    steps, alpha = WORLDS[world], 0.2

    @cache
    def value(budget: FdrBudget, level: float, wealth: float, draws: int, tests: int, bad: int) -> float:
        share = bad / budget.accepts if budget.accepts else 0.0
        options = [share]
        if level == 0.0:
            if tests:
                opened, after = budget.open()
                options.append(value(after, opened, 1.0, draws, tests - 1, bad))
                options.append(value(after.close(opened, True), 0.0, 1.0, draws, tests - 1, bad))  # a good one
            return max(options)
        share = min(1.0, wealth) if refunded == "what is left" else 1.0
        options.append(value(budget.close(level, False, share), 0.0, 1.0, draws, tests, bad))
        if draws:
            options.append(sum(chance * grown(budget, level, wealth * f, draws, tests, bad) for f, chance in steps))
        return max(options)

    def grown(budget: FdrBudget, level: float, wealth: float, draws: int, tests: int, bad: int) -> float:
        if wealth < 1.0 / level:
            return value(budget, level, wealth, draws - 1, tests, bad)
        after = budget.close(level, True)
        return max((bad + 1) / after.accepts, value(after, 0.0, 1.0, draws - 1, tests, bad + 1))

    best = value(FdrBudget(alpha, 0.6), 0.0, 1.0, 8, 5, 0)
    assert (best <= alpha + 1e-12) is (refunded == "what is left")


def test_S1_a_share_of_wrong_ones_is_refused_where_candidates_share_items():
    for mode in ("sealed", "ledger"):
        with pytest.raises(UsageError) as caught:
            budget_of(mode, 0.05, 50.0, "fdr")
        assert caught.value.name == "fdr-needs-fresh"
    assert isinstance(budget_of("fresh", 0.05, 50.0, "fdr"), FdrBudget)
