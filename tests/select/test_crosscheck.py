"""The second look at the benchmark's claims finds true bounds, and errors where a condition is broken."""

import random
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[2] / "benchmarks"))
import crosscheck
from acceptance.bound import rate
from acceptance.laws import catastrophe, ternary


@pytest.mark.parametrize("law", [ternary(0.05), catastrophe(0.05)], ids=["coin-like", "rare disaster"])
def test_S1_the_information_bound_made_in_another_way_is_the_benchmarks_and_has_its_certificate(law):
    points = crosscheck.law_of(law)
    stake = crosscheck.best_stake(points, 1.0)
    mass, mean, away = crosscheck.certificate(points, stake, 1.0)
    assert (mass, mean) == pytest.approx((1.0, 0.0), abs=1e-6), "a law of the other side"
    assert away == pytest.approx(rate(law, 0.0, above=True), rel=1e-6), "as far away as the benchmark says"
    _, wrong, _ = crosscheck.certificate(points, 0.5 * stake, 1.0)
    assert wrong > 1e-3, "another stake points at no law of the other side"


def test_S1_streams_that_break_a_condition_err_and_the_others_seldom_do():
    wrong = dict.fromkeys(crosscheck.STREAMS, 0)
    for name, (play, detect, cap) in crosscheck.STREAMS.items():
        for number in range(12):
            run = crosscheck.Run(detect, cap)
            play(run, random.Random(f"{name}/{number}"), 40)
            wrong[name] += run.wrong
            assert run.budget.reserved == ()
            assert 0.0 <= run.budget.spent <= crosscheck.ALPHA
    broken = next(name for name in wrong if name.startswith("MISTAKE"))
    assert wrong.pop(broken) >= 6
    assert sum(wrong.values()) <= 3  # of 48 runs, at .05 each
