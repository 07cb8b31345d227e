"""Theorem 1, walked: on every tree of moves the potential never grows on average, in exact fractions where it can be.

A state is the budget and what is open; a move is what anybody may do. ``grown`` is the worst excess of the mean of Phi
after a move over Phi before it, over *all* sequences of moves up to a depth, good and bad candidates, several at once.
"""

import itertools
from fractions import Fraction
from typing import NamedTuple

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from festina.select import Budget, Evidence, Plan, observe, refund_share, start
from festina.select.budget import FdrBudget

HALF, THIRD = Fraction(1, 2), Fraction(1, 3)
LAWS = {  # fair bets: (factor on the wealth, chance)
    "steep": ((Fraction(3), THIRD), (Fraction(0), 1 - THIRD)),
    "gentle": ((Fraction(3, 2), HALF), (HALF, HALF)),
}


class Test(NamedTuple):
    """One open test; a good candidate's evidence may be anything, so it is not followed."""

    level: Fraction
    good: bool
    wealth: Fraction = Fraction(1)
    __test__ = False


class State(NamedTuple):
    budget: Budget
    tests: tuple[Test, ...] = ()
    wrong: bool = False


def phi(s: State) -> Fraction:
    if s.wrong:
        return Fraction(1)
    return s.budget.free + sum(t.level * (1 if t.good else t.wealth) for t in s.tests)


def without(s: State, i: int, budget: Budget) -> State:
    return State(budget, s.tests[:i] + s.tests[i + 1 :])


def moves(s: State, law: str, most: int, refund_all: bool):
    """Every move: a list of (state after, chance)."""
    if s.wrong:
        return
    if len(s.tests) < most:
        level, budget = s.budget.open()
        for good in (True, False):
            yield [(State(budget, (*s.tests, Test(level, good))), 1)]
    for i, t in enumerate(s.tests):
        proven = not t.good and t.wealth >= 1 / t.level
        if not t.good and not proven:  # proven: latched
            yield [
                (s._replace(tests=(*s.tests[:i], t._replace(wealth=t.wealth * f), *s.tests[i + 1 :])), p)
                for f, p in LAWS[law]
            ]
        share = Fraction(1) if t.good or refund_all else min(Fraction(1), t.wealth)
        for refund in {Fraction(0), share / 2, share}:  # other parts of the evidence may be lower still
            yield [(without(s, i, s.budget.close(t.level, False, refund)), 1)]
        if t.good or proven:
            after = without(s, i, s.budget.close(t.level, True))
            yield [(after._replace(wrong=not t.good), 1)]


def worst(start_: State, law: str, depth: int, most: int, refund_all: bool = False) -> Fraction:
    """The largest mean growth of Phi at any move of any sequence."""
    found, seen, layer = Fraction(-1), set(), {start_}
    for _ in range(depth):
        after = set()
        for s in layer - seen:
            before = phi(s)
            for move in moves(s, law, most, refund_all):
                found = max(found, sum(p * phi(n) for n, p in move) - before)
                after.update(n for n, _ in move)
        seen |= layer
        layer = after
    return found


def exact(alpha: Fraction) -> State:
    return State(Budget(alpha, HALF, free=alpha, spent_effective=Fraction(0)))


@pytest.mark.parametrize("law", LAWS)
def test_S1_on_every_tree_of_moves_the_potential_never_grows_on_average(law):
    assert worst(exact(Fraction(2, 5)), law, depth=6, most=2) == 0  # exactly: a fair bet leaves it where it was


def test_S1_with_a_refund_too_many_the_potential_grows():
    assert worst(exact(Fraction(2, 5)), "steep", depth=4, most=2, refund_all=True) > 0


@given(st.lists(st.integers(0, 40), max_size=14), st.integers(1, 9), st.sampled_from(sorted(LAWS)))
@settings(max_examples=60, deadline=None)
def test_S1_nor_on_long_stories_with_three_open_at_once(choices, tenths, law):
    s = exact(Fraction(tenths, 20))
    for choice in choices:
        options = list(moves(s, law, 3, refund_all=False))
        if not options:
            break
        move = options[choice % len(options)]
        assert sum(p * phi(n) for n, p in move) <= phi(s)
        s = move[choice % len(move)][0]
        assert s.budget.free > 0
        assert s.budget.free + sum(t.level for t in s.tests) <= s.budget.alpha


@given(st.lists(st.integers(0, 40), max_size=16), st.sampled_from(sorted(LAWS)))
@settings(max_examples=80, deadline=None)
def test_S1_the_potential_of_the_share_of_wrong_ones_does_not_grow_either(choices, law):
    """Phi = W + free + sum of charge*M over bad + sum of charge over good; W grows by 1/acceptances when wrong."""
    budget, tests, weight = FdrBudget(0.2, 0.5), [], 0.0  # tests: [level, charge, good, wealth]

    def value() -> float:
        return weight + budget.left + sum(q * (1.0 if good else m) for _, q, good, m in tests)

    for choice in choices:
        before, kind = value(), choice % 4
        if kind == 0 and len(tests) < 3:
            level, budget = budget.open()
            tests.append([level, budget.cost(level, True), choice % 8 < 4, 1.0])
        elif kind == 1 and tests:
            test = tests[choice % len(tests)]
            if not test[2] and test[3] < 1.0 / test[0]:
                mean = sum(float(p) * test[3] * float(f) for f, p in LAWS[law])
                assert mean <= test[3] + 1e-12
                test[3] *= float(LAWS[law][choice % 2][0])
                continue
        elif kind == 2 and tests:
            level, _, good, wealth = tests.pop(choice % len(tests))
            budget = budget.close(level, False, 1.0 if good else min(1.0, wealth))
        elif kind == 3 and tests:
            at = choice % len(tests)
            level, _, good, wealth = tests[at]
            if good or wealth >= 1.0 / level:
                tests.pop(at)
                budget = budget.close(level, True)
                weight += 0.0 if good else 1.0 / budget.accepts
        assert value() <= before + 1e-12


FAIR = {  # of the guard's payoff ``value + loss``: mean 0, the guard is exactly at its margin
    "coin": ((0.45, 0.5), (-0.55, 0.5)),
    "disaster": ((0.0, 19 / 20), (-1.0, 1 / 20)),
}


@pytest.mark.parametrize("law", FAIR)
@pytest.mark.parametrize("gain", [0.5, 0.0, -0.3])
def test_V4_over_every_path_the_real_gate_uses_at_most_its_level_when_one_guard_is_violated(law, gain):
    """E[accepted + level * (what a close gives back)] <= level, stopped anywhere: whatever the gain and the other guard
    show, the guard at its margin alone pays for the test (intersection-union)."""
    level, depth = 0.3, 9
    plan = Plan("bounded", level, 0.0, 0.1, 1e-9, (0.05, 0.2), 1000)
    stopped = {4: 0.0, 7: 0.0, depth: 0.0}
    for path in itertools.product(FAIR[law], repeat=depth):
        chance, state, n = 1.0, start(plan), 0
        for n, (value, p) in enumerate(path, 1):
            chance *= p
            if state.outcome == "continue":
                state = observe(state, Evidence(gain, (value, 0.3)))
            if n in stopped:
                rest = chance if n == depth else _share(path[:n], chance, depth - n)
                stopped[n] += rest * (1.0 if state.outcome == "accept" else level * refund_share(state))
    for paid in stopped.values():
        assert paid <= level + 1e-12


def _share(path, chance, left):
    """Paths that begin alike are walked once each: ``2**left`` times together, with all their chances."""
    return chance / 2**left
