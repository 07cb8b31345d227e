"""What is certified of the total gain holds whatever was picked, and something is left of it."""

import random
from math import log, log1p

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from festina.errors import Fault
from festina.select import Evidence, Plan, gate, report
from festina.select import certified as made
from festina.select.certified import Shares, Step, Total, certify, obstacle, total_at_least

QUICK = Plan("bounded", 0.3, 0.0, 0.1, 0.3, (), 200)  # accepts much by luck


def ledger(seed: int, tests: int, plan: Plan, truth: list[float], sd: float) -> tuple[list[Step], list[float], Shares]:
    """Steps, their true sizes, and the shares, of tests that stop at the gate's word."""
    coins, shares, steps, sizes = random.Random(seed), Shares(), [], []
    for _ in range(tests):
        size = coins.choice(truth)
        share, shares = shares.open()
        test, gains = gate.start(plan), []
        while test.outcome == "continue":
            gains.append(max(-1.0, min(1.0, coins.gauss(size, sd))))
            test = gate.observe(test, Evidence(gains[-1]))
        if test.outcome == "accept":
            shares = shares.accepted()
            steps.append(Step(tuple(gains), share))
            sizes.append(size)
    return steps, sizes, shares


def test_S4_luck_that_was_picked_is_not_certified():
    """At a level of 0.3, changes that do nothing and were accepted by luck. Positive control: as if only what was
    accepted had been tested, the same bound is wrong far more often than the level allows."""
    alpha, wrong, naive, runs = 0.3, 0, 0, 25
    for seed in range(runs):
        steps, sizes, shares = ledger(seed, 80, QUICK, [0.0], 0.2)
        wrong += total_at_least(steps, shares.nats, alpha) > sum(sizes)
        picked = [Step(step.gains, 0.5) for step in steps]
        naive += total_at_least(picked, len(picked) * log(2.0), alpha) > sum(sizes)
    assert wrong <= alpha * runs
    assert naive > 0.6 * runs


def test_S4_of_real_gains_a_good_part_is_certified_and_never_more_than_there_was():
    plan = Plan("bounded", 0.05 / 51, 0.0, 0.05, 0.1, (), 480)
    for seed in range(3):
        steps, sizes, shares = ledger(seed, 12, plan, [0.0, 0.0, 0.0, 0.1, 0.15], 0.1)
        assert 0.25 * sum(sizes) < total_at_least(steps, shares.nats, 0.025) < sum(sizes)


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 10**6), st.integers(1, 4), st.floats(0.01, 0.5))
def test_S4_no_sizes_that_the_bets_allow_sum_to_less(seed, count, alpha):
    """The bound is below every point of the region, tried at random and along its edge."""
    coins, shares, steps = random.Random(seed), Shares(), []
    for _ in range(count):
        share, shares = shares.open()
        mean = coins.uniform(-0.1, 0.4)
        gains = tuple(max(-1.0, min(1.0, coins.gauss(mean, 0.2))) for _ in range(coins.randrange(5, 60)))
        steps.append(Step(gains, share))
        shares = shares.accepted()
    bound = total_at_least(steps, shares.nats, alpha)
    plans = [report.stakes(step.gains, made.HORIZONS, made.NATS) for step in steps]
    for _ in range(60):
        aim = [coins.uniform(-1.0, sum(step.gains) / len(step.gains) + 0.1) for step in steps]
        terms = sum(made._term(step, plan, size) for step, plan, size in zip(steps, plans, aim, strict=True))
        if terms < log(1.0 / alpha):
            assert bound <= sum(aim) + 1e-9


@given(st.lists(st.booleans(), max_size=300))
def test_S4_what_picking_costs_is_the_code_length_of_the_verdicts(words):
    shares, told = Shares(), 0.0
    for accepted in words:
        share, shares = shares.open()
        assert 0.0 < share < 1.0
        told -= log(share) if accepted else log1p(-share)
        shares = shares.accepted() if accepted else shares
    n, k = len(words), sum(words)
    even = n * log(n) - sum(x * log(x) for x in (k, n - k) if x) if n else 0.0  # n times the entropy of the share
    assert told <= even + 3.0 * log(n + 4.0)


def test_S4_a_planted_acceptance_is_taken_back():
    share, shares = Shares().open()
    assert shares.accepted().accepted(-1) == shares
    assert share == 0.25


def test_S4_where_there_is_no_bound_it_says_why():
    steps, shares = [Step((0.2,) * 30, 0.25)], Shares().open()[1]
    shared = obstacle("sealed", bounded=True, provisional=False, doubtful=False, improver=False)
    total = certify(steps, shares, 0, estimates=0.2, width=1.0, why=shared)
    assert total == Total(1, 0.2, None, shared)
    assert "same hidden items" in total.sentence()
    assert "0.20" in total.sentence()
    assert obstacle("fresh", bounded=True, provisional=False, doubtful=False, improver=False) == ""
    assert "lost" in obstacle("fresh", bounded=True, provisional=False, doubtful=False, improver=True)
    assert certify([], shares, 0, estimates=0.0, width=1.0, why="") is None
    with pytest.raises(Fault):
        total_at_least([Step((), 0.5)], 1.0, 0.05)


def test_S4_the_bound_is_in_the_suites_own_unit_and_later_epochs_get_less():
    steps, shares = [Step((0.2,) * 120, 0.25)], Shares().open()[1]
    terms = ((0, 1.0), (0, 8.0), (3, 1.0))
    first, wide, later = (certify(steps, shares, epoch, estimates=0.2, width=width, why="") for epoch, width in terms)
    assert wide.at_least == pytest.approx(8.0 * first.at_least)
    assert 0.0 < later.at_least < first.at_least < 0.2
