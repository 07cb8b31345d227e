"""What closed tests teach about noise makes later tests cheaper and no later test less safe."""

from dataclasses import replace
from itertools import product

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from festina.select import Evidence, Plan, observe_all, start
from festina.select.gate import gain_bets
from festina.select.noise import GUESS, LEAST, MOST, Noise
from festina.select.planning import units_min_accept
from festina.select.vector import Noises, gate

PLAN = Plan("bounded", 0.01, 0.0, 0.1, 0.1, (), 600)
differences = st.lists(st.floats(-1.0, 1.0), max_size=40)


@given(differences)
def test_S5_a_test_teaches_its_mean_square_and_only_if_it_had_units_enough(diffs):
    noise = Noise().after(diffs)
    assert noise.tests == (len(diffs) >= LEAST)
    if noise.tests:
        assert noise.squares == pytest.approx(float(np.mean(np.square(diffs))))
        several = Noises(np.zeros(1), np.zeros(1)).after(np.array([len(diffs)]), np.array([[*diffs, 1.0]]))
        assert (several.tests[0], several.squares[0]) == (1, pytest.approx(noise.squares))


@given(st.lists(st.floats(0.0, 1.0), max_size=30))
def test_S5_what_was_learnt_counts_as_a_few_units_and_lies_between_the_guess_and_what_was_seen(squares):
    noise = Noise(len(squares), sum(squares))
    units, total = noise.prior(4.0, 0.5, 0.0)
    assert 4.0 <= units <= 4.0 + MOST
    assert min(GUESS, *squares, GUESS) - 1e-9 <= total / units <= max(GUESS, *squares, GUESS) + 1e-9


@pytest.mark.parametrize("rule", [1, 2])
def test_S5_older_rules_learn_nothing(rule):
    plan = replace(PLAN, rule=rule)
    assert gain_bets(plan) == gain_bets(replace(plan, noise=Noise(9, 0.1)))


def test_S1_after_every_path_of_an_earlier_test_the_next_ones_bets_are_fair():
    """Lemma 1 with the past of all tests: over every path, on a law with mean 0, the mean wealth stays exactly 1."""
    law = ((-0.5, 1 / 3), (0.25, 2 / 3))
    for first in product((0, 1), repeat=3):
        noise = Noise().after([law[i][0] for i in first] * 4)
        bet, _ = gain_bets(replace(PLAN, noise=noise))
        mean = 0.0
        for path in product(law, repeat=7):
            one, chance = bet, 1.0
            for x, p in path:
                one, chance = one.after(x), chance * p
            mean += chance * one.wealth
        assert mean == pytest.approx(1.0, abs=1e-12)


def test_S7_the_fewest_units_that_can_accept_are_exact_whatever_was_learnt():
    for noise in (Noise(), Noise(3, 0.001), Noise(12, 11.0)):
        plan = replace(PLAN, noise=noise)
        least = units_min_accept(plan)
        assert observe_all(start(plan), [Evidence(1.0)] * 600).units == least
        rng = np.random.default_rng(1)
        lucky = rng.choice([1.0, 0.9, -0.05], (300, least - 1), p=[0.8, 0.15, 0.05])
        assert all(observe_all(start(plan), map(Evidence, row)).outcome != "accept" for row in lucky)


@pytest.mark.parametrize("sd", [0.03, 0.1, 0.2])
def test_S5_a_change_of_nothing_is_given_up_sooner_once_the_noise_is_known(sd):
    rng, tests = np.random.default_rng(2), 400
    d = np.clip(rng.normal(0.0, sd, (tests, 600)), -1.0, 1.0)
    known = Noises(np.full(tests, 20.0), np.full(tests, 20.0 * float((d * d).mean())))
    plan, levels = replace(PLAN, detect=0.05), np.full(tests, 0.01)
    bare, learnt = (gate(plan, levels, d, noise=noise).units.mean() for noise in (None, known))
    assert learnt < 0.97 * bare
