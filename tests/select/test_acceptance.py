"""The acceptance benchmark plays the rule that it judges, and sees errors where there are some."""

import random
import sys
from pathlib import Path

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).parents[2] / "benchmarks"))
from acceptance import runs
from acceptance.bound import kl, rate
from acceptance.frame import upper_limit
from acceptance.laws import Graded, ternary
from festina.select.budget import budget_of


@pytest.mark.parametrize("mode", ["fresh", "sealed", "ledger"])
def test_S1_levels_of_many_runs_are_those_of_the_budget(mode):
    rng = random.Random(1)
    levels, folds = runs.levels_of(mode, 3), [budget_of(mode, 0.05, 50.0) for _ in range(3)]
    for _ in range(130):
        opened = [fold.open() for fold in folds]
        many = levels.open()
        assert many == pytest.approx([level for level, _ in opened], rel=0 if mode == "fresh" else 1e-12)
        ends = [(rng.random() < 0.05, rng.random(), rng.choice([1, 1, 1, 2, 5])) for _ in folds]
        accepted, refund, slots = (np.array(column) for column in zip(*ends, strict=True))
        levels.close(many, accepted, refund, slots)
        for i, (level, fold) in enumerate(opened):
            folds[i] = fold.close(level, *ends[i][:2])
            if mode != "fresh":
                folds[i] = folds[i].told(ends[i][2])


def test_the_bound_is_the_exact_one():
    """Ternary: the best stake against a mean of at most 0 is known in closed form. Graded: a quadrature of its law."""
    p, q = 0.125, 0.075
    expected = p * np.log(2 * p / (p + q)) + q * np.log(2 * q / (p + q))
    assert rate(ternary(p - q, p + q), 0.0, above=True) == pytest.approx(expected, rel=1e-9)
    values, weights = Graded(0.05, 0.2).points()
    mean, square = float(weights @ values), float(weights @ values**2)
    assert (weights.sum(), mean, (square - mean**2) ** 0.5) == pytest.approx((1.0, 0.05, 0.2), rel=1e-9)
    assert kl(0.9, 0.001) == pytest.approx(0.9 * np.log(900) + 0.1 * np.log(0.1 / 0.999))


def test_upper_limits_are_exact():
    assert upper_limit(0, 2000) == pytest.approx(1 - 0.01 ** (1 / 2000), rel=1e-9)
    assert upper_limit(75, 2000) == pytest.approx(0.0486, abs=2e-4)
