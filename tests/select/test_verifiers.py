"""Several verifiers: who misses what alone, what they miss together, and what may be concluded from it."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from festina.select import gate
from festina.select.verifiers import odds_interval, own_word, study, voices

word = st.sampled_from(["missed", "caught", "undecided"])
tables = st.integers(1, 3).flatmap(lambda n: st.lists(st.tuples(*[word] * n), max_size=30))


def rows(**counts):
    """Rows of two verifiers from counts such as mm=3 (both missed), mc, cm, cc."""
    names = {"m": "missed", "c": "caught", "u": "undecided"}
    return [tuple(names[x] for x in key) for key, n in counts.items() for _ in range(n)]


@given(tables)
def test_V5_numbers_stay_in_their_ranges_whatever_was_seen(table):
    found = study(table)
    count = len(table[0]) if table else 1
    low, high = found.effective_interval
    assert 1.0 <= low <= high <= count
    if found.effective is not None:
        assert low <= found.effective <= high
    assert found.joint.misses <= min((rate.misses for rate in found.rates), default=0)
    for rate, undecided in zip(found.rates, found.undecided, strict=True):
        assert rate.decided + undecided == len(table)
    for pair in found.pairs:
        down, up = pair.odds_ratio
        assert 0.0 <= down <= up
        assert pair.phi is None or -1.0 - 1e-9 <= pair.phi <= 1.0 + 1e-9


@given(tables)
def test_V5_the_order_of_plants_does_not_matter(table):
    assert study(table) == study(table[::-1])


def test_V5_two_that_miss_the_same_count_as_one_and_two_that_do_not_as_two():
    same = study(rows(mm=20, cc=60))
    assert same.effective == pytest.approx(1.0)
    assert same.effective_interval[1] < 1.3  # from the joint and single rates alone it would reach 2
    assert same.pairs[0].odds_ratio[0] > 1.0
    assert same.needed == 0
    apart = study(rows(mm=4, mc=16, cm=16, cc=64))  # exactly independent at a fifth each
    assert apart.effective == pytest.approx(2.0)
    assert apart.pairs[0].ratio == pytest.approx(1.0)
    assert apart.pairs[0].phi == pytest.approx(0.0)
    assert apart.pairs[0].odds_ratio[0] < 1.0 < apart.pairs[0].odds_ratio[1]


def test_V5_too_few_plants_is_said_and_not_papered_over():
    found = study(rows(mc=1, cc=20))
    assert found.effective is None
    assert found.effective_interval == (1.0, 2.0)
    assert found.needed >= 100
    assert study([]).effective_interval == (1.0, 1.0)


def test_V5_the_odds_interval_agrees_with_known_values():
    """Fisher's conditional interval for the table 3 1 / 1 3; R prints 0.2117329 and, less exactly, 621.9337505.

    The upper end solves P(X <= 3) = 0.025 with weights 1, 16, 36, 16, 1: at 626.24 it is 0.02500.
    """
    low, high = odds_interval(3, 4, 4, 8)
    assert low == pytest.approx(0.2117, abs=1e-4)
    assert high == pytest.approx(621.9, rel=0.01)
    sizes = [w * high**k for k, w in enumerate((1, 16, 36, 16, 1))]
    assert sum(sizes[:4]) / sum(sizes) == pytest.approx(0.025, abs=1e-9)
    assert odds_interval(0, 0, 3, 9) == (0.0, math.inf)


@pytest.mark.parametrize(
    ("families", "proposer", "most"),
    [
        (("python", "qwen"), "llama", 2),
        (("python", "qwen"), "qwen", 2),  # the proposer's own is the shared one
        (("qwen", "qwen"), "llama", 1),
        (("qwen", "llama"), "llama", 2),
        (("unknown", "unknown"), "llama", 1),
        (("python", "unknown"), "unknown", 2),
        (("qwen", "llama"), "unknown", 1),  # it could be either
        (("python", "python"), "search", 1),
    ],
)
def test_V5_a_family_that_is_unknown_or_the_proposers_is_no_voice_of_its_own(families, proposer, most):
    assert voices(families, proposer) == most


def test_V5_own_words():
    say = lambda value, n=200: own_word(0.01, 0.1, 200, 0.0, 0.1, [value] * n)  # noqa: E731
    assert say(0.3) == "missed"
    assert say(-0.1) == "caught"
    assert say(0.05, 3) == "undecided"


def plan(judges=((0.0, 0.1),), level=0.01):
    return gate.Plan("bounded", level, 0.0, 0.1, 0.1, (), 400, judges=judges)


def play(plan_, gain, judges, n=400):
    return gate.observe_all(gate.start(plan_), [gate.Evidence(gain, (), judges)] * n)


def test_V5_acceptance_needs_every_verifier_and_names_the_one_that_saw_too_little():
    assert play(plan(), 0.2, (0.2,)).outcome == "accept"
    turned = play(plan(), 0.2, (-0.05,))
    assert turned.outcome == "judge"
    assert gate.unconvinced(turned) == (0,)
    assert gate.decision(play(plan(judges=()), 0.2, ())) == "accept"  # the control: without it the gain is enough
    assert "judge 0" in gate.unproven(play(plan(), 0.2, (0.0,), 20))


def test_V5_a_futile_end_gives_back_no_more_than_the_weakest_evidence():
    state = play(plan(), 0.2, (-0.05,))
    assert gate.refund_share(state) <= state.judges[0].wealth


@pytest.mark.slow
def test_V5_S1_a_change_that_only_one_verifier_likes_is_accepted_at_most_at_the_level():
    """1,500 tests at level 0.1: the goal sees a clear gain, the further verifier none at all (mean 0, noisy)."""
    rng = np.random.default_rng(11)
    fooled = plan(level=0.1)
    accepted = 0
    for _ in range(1500):
        noise = rng.normal(0.0, 0.2, 300).clip(-1, 1).tolist()
        units = [gate.Evidence(0.3, (), (x,)) for x in noise]
        accepted += gate.observe_all(gate.start(fooled), units).outcome == "accept"
    assert accepted <= 1500 * 0.1 + 3 * math.sqrt(1500 * 0.1 * 0.9)


@pytest.mark.slow
@pytest.mark.parametrize("shared", [0.0, 0.5, 1.0])
def test_V5_the_interval_covers_a_known_dependence(shared):
    """Both miss a fifth; with chance ``shared`` the second misses exactly what the first does. 150 studies of 100."""
    rng = np.random.default_rng(5)
    p = 0.2
    joint = shared * p + (1 - shared) * p * p
    truth = 2 * math.log(joint) / (2 * math.log(p))
    odds = joint * (1 - 2 * p + joint) / (p - joint) ** 2 if shared < 1 else math.inf
    covered = found_odds = 0
    for _ in range(150):
        first = rng.random(100) < p
        second = np.where(rng.random(100) < shared, first, rng.random(100) < p)
        table = [tuple("missed" if x else "caught" for x in pair) for pair in zip(first, second, strict=True)]
        found = study(table)
        low, high = found.effective_interval
        covered += low - 1e-9 <= truth <= high + 1e-9
        down, up = found.pairs[0].odds_ratio
        found_odds += down <= odds <= up
    assert covered >= 142
    assert found_odds >= 138
