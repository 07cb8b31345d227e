"""What runs show about the set-up is said in words: chance that no seed rules, failures, missing scores."""

from __future__ import annotations

import random
from collections.abc import Callable

import pytest

from festina.calibrate.measure import INCUMBENT, Found
from festina.calibrate.remarks import remarks
from festina.calibrate.types import Answer, Measured, Run

SEEDS = 14


def found(metric: Callable[[int, int], float], *, failed: int = 0, unscored: int = 0, level: int = 3) -> Found:
    """A calibration of a command whose run (seed, repeat) prints ``metric``."""
    runs = [
        Run(
            name, seed, repeat, 1.0, 1.0, metric=metric(seed, repeat) + (name != INCUMBENT),
            failed="nonzero" * (seed < failed),
        )
        for seed in range(SEEDS)
        for name, repeat in ((INCUMBENT, 0), (INCUMBENT, 1), ("change 1", 0))
        if not repeat or seed % 3 == 0
    ]  # fmt: skip
    measured = Measured("loss", "symmetric", "lower", None, "none", tuple(runs))
    return Found(measured, len(runs), len(runs), "", 1.0, level, asked=100, unscored=unscored)


def seeded(seed: int, repeat: int) -> float:
    return random.Random(seed).gauss(0.0, 1.0)


def test_nothing_odd_says_nothing() -> None:
    assert remarks(found(seeded)) == []


@pytest.mark.parametrize(
    ("metric", "words"),
    [
        (lambda seed, repeat: 1.5, "All 19 runs gave exactly the same score"),
        (lambda seed, repeat: random.Random(99 * seed + repeat).gauss(0, 1), "does not seem to take its chance from"),
        (lambda seed, repeat: seeded(seed, repeat) + 0.9 * repeat, "Runs of one seed differ, too"),
    ],
)
def test_E3_chance_that_does_not_follow_from_the_seed_is_pointed_out(
    metric: Callable[[int, int], float], words: str
) -> None:
    (said,) = remarks(found(metric))
    assert words in said
    assert "$FESTINA_SEED" in said


def test_V1_failures_and_missing_scores_count_as_the_worst_and_are_named() -> None:
    failures, missing = remarks(found(seeded, failed=3, unscored=7))
    assert "4 of 19 runs of the version in use gave no score (nonzero 4)" in failures
    assert "7 of 100 answers got no score" in missing


def test_T2_a_weak_box_is_named() -> None:
    (said,) = remarks(found(seeded, level=0))
    assert "provisional" in said


def test_scored_systems_are_not_told_about_seeds() -> None:
    # their items differ from seed to seed, so their scores say nothing about chance
    answers = tuple(Answer(str(i), None, float(i % 2)) for i in range(4))
    runs = tuple(Run(name, s, 0, 1.0, 1.0, answers) for s in range(5) for name in (INCUMBENT, "change 1"))
    measured = Measured("scoring:right", "bounded", "higher", (0.0, 1.0), "fresh", runs)
    assert remarks(Found(measured, 10, 10, "", 1.0, 3, asked=40, unscored=0)) == []
