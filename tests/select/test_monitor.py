"""The monitor of what is in use: its promise by enumeration and by simulation, and what it finds.  # D-4"""

from __future__ import annotations

import random
from itertools import product
from math import isclose

import pytest

from festina.select.monitor import RATIOS, canary_null, observe, shadow_null, start


def left(t: int) -> float:
    """Weights that are still to come after ``t`` events."""
    return 1.0 / (t + 1)


@pytest.mark.parametrize("null", [0.02, 0.5, 0.9])
@pytest.mark.parametrize("truth", [0.2, 1.0])
def test_D4_the_lifetime_evidence_and_the_weights_to_come_never_grow_on_average(null: float, truth: float) -> None:
    """On every history of up to seven events, whatever came before: the heart of Ville's inequality."""
    chance = null * truth  # at most what the null allows
    for depth in range(7):
        for history in product([False, True], repeat=depth):
            before = start(null, 0.01)
            for x in history:
                before = observe(before, x)
            now = before.evidence + left(depth)
            after = chance * observe(before, True).evidence + (1 - chance) * observe(before, False).evidence
            assert after + left(depth + 1) <= now * (1 + 1e-12)
            if truth == 1.0:
                assert isclose(after + left(depth + 1), now, rel_tol=1e-9)


def test_D4_a_good_version_is_taken_back_no_more_often_than_promised() -> None:
    rng, alpha, runs = random.Random(3), 0.1, 400
    wrong = 0
    for _ in range(runs):
        watch = start(0.5, alpha)
        for _ in range(400):
            watch = observe(watch, rng.random() < 0.5)
            if watch.answer == "roll back":
                wrong += 1
                break
    assert wrong <= runs * alpha  # the promise itself: far below it in fact


@pytest.mark.parametrize(("chance", "within"), [(0.9, 40), (0.75, 120)])
def test_D4_a_worse_version_is_found_from_the_start_and_when_it_turns_worse_late(chance: float, within: int) -> None:
    rng = random.Random(5)
    for late in (0, 300):
        delays = []
        for _ in range(40):
            watch = start(0.5, 0.01)
            for _ in range(late):
                watch = observe(watch, rng.random() < 0.5)
            delay = 0
            while watch.answer != "roll back" and delay < 4 * within:
                watch = observe(watch, rng.random() < chance)
                delay += 1
            delays.append(delay)
        assert sorted(delays)[20] <= within * (1.0 if late == 0 else 1.6)


def test_D4_a_roll_back_once_said_stands() -> None:
    watch = start(0.5, 0.05)
    for _ in range(60):
        watch = observe(watch, True)
    for _ in range(500):
        watch = observe(watch, False)
    assert watch.answer == "roll back"


def test_D4_what_the_null_says() -> None:
    assert shadow_null(1.0) == 0.5
    assert isclose(canary_null(0.05, 1.0), 0.05)
    assert canary_null(0.05, 2.0) > 0.05
    rng = random.Random(
        9
    )  # equal failure rates, a tenth of the requests to the new one: failures come from it as often
    failures = [rng.random() < 0.1 for _ in range(100_000) if rng.random() < 0.03]
    assert abs(sum(failures) / len(failures) - canary_null(0.1, 1.0)) < 0.02


@pytest.mark.parametrize(("null", "alpha"), [(0.0, 0.1), (1.0, 0.1), (0.5, 0.0), (float("nan"), 0.1), (0.5, 1.0)])
def test_D4_chances_that_are_none_are_refused(null: float, alpha: float) -> None:
    with pytest.raises(ValueError, match="no chances"):
        start(null, alpha)


def test_D4_wealth_stays_finite() -> None:
    watch = start(0.001, 0.01)
    for _ in range(2_000):
        watch = observe(watch, True)
    assert all(w < float("inf") for w in (*watch.wealth, *watch.sums))
    assert len(watch.wealth) == len(RATIOS)
