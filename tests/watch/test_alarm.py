"""Alarms: what nothing before explains is called, and smooth growth and rare leaps are not."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from festina.watch import alarm, luck, readings
from festina.watch.posterior import Series
from tests.watch.logs import compounding, measured


def leapt(seed: int, size: float, at: int = 20) -> Series:
    gains = compounding(seed, at + 1)
    gains[at] += size * 0.5
    return measured(gains, seed)


def newest(series: Series) -> alarm.Alarm | None:
    last = len(series.gain) - 1
    gain, error, effort = (float(v[last]) for v in (series.gain, series.error, series.effort))
    return alarm.judge(series.first(last), gain, error, effort)


def test_W3_a_jump_of_ten_generations_is_found_and_sized() -> None:
    found = [newest(leapt(seed, 10.0)) for seed in range(12)]
    assert sum(a is not None and a.kind == "jump" for a in found) >= 10
    sizes = [a.size for a in found if a is not None]
    assert 7.0 < float(np.median(sizes)) < 14.0
    assert all(a is None or (a.generation == 21 and a.chance < readings.RULES[readings.RULE][1]) for a in found)


def test_W3_steady_and_smoothly_compounding_growth_calls_nobody() -> None:
    for seed in range(3):
        assert alarm.alarms(measured(compounding(seed, 22, 0.1 * seed), seed), since=6) == []


def test_W3_whose_gains_come_in_leaps_is_not_called_for_the_next_one() -> None:
    """The same leap after gains of one size, and after gains that leap every few generations."""
    steady = np.full(24, 0.5)
    leaps = np.where(np.arange(24) % 6 == 5, 2.5, 0.1)
    after = {}
    for name, gains in (("steady", steady), ("leaps", leaps)):
        series = measured(np.concatenate([gains, [4.5]]), 1)
        found = newest(series)
        after[name] = found.kind if found is not None else ""
    assert after == {"steady": "jump", "leaps": ""}


def test_W3_a_fall_is_called_and_noise_is_not() -> None:
    series = measured(compounding(1, 12), 1)
    before = series
    fell = alarm.judge(before, -0.9, 0.1, 1.0)
    assert fell is not None
    assert fell.kind == "drop"
    assert alarm.judge(before, -0.15, 0.1, 1.0) is None


def test_W3_an_outlier_such_as_this_run_has_had_is_no_fall() -> None:
    rng = np.random.default_rng(5)
    gains, errors = rng.gamma(3.0, 0.15, 40), 0.1 * rng.standard_normal(40)
    clean = Series(gains + errors, np.full(40, 0.1), np.ones(40))
    wild = Series(np.where(np.arange(40) % 9 == 4, -0.8, gains) + errors, np.full(40, 0.1), np.ones(40))
    assert alarm.judge(clean, -0.8, 0.1, 1.0) is not None
    assert alarm.judge(wild, -0.8, 0.1, 1.0) is None
    assert alarm.judge(wild, -3.5, 0.1, 1.0) is not None


def test_W3_what_luck_is_like_is_learnt_from_gains() -> None:
    """Rare large gains: the same leap is likelier than after even ones, by each kind of noise."""
    rng, means, error = np.random.default_rng(2), np.full(50, 0.4), np.full(40, 0.05)
    even, rare = 0.4 * rng.gamma(16.0, 1.0 / 16.0, 40), 0.4 * np.abs(rng.standard_t(2.0, 40)) / np.sqrt(2.0)
    chances = [luck.learnt(gains, error, np.full(40, 0.4)).chance(3.0, 0.05, means) for gains in (even, rare)]
    assert chances[0] < 1e-4 < 2e-3 < chances[1]
    assert luck.learnt(even, error, np.full(40, 0.2)).scale == pytest.approx(2.0, rel=0.35)  # a fit that lies low


def test_W3_more_effort_is_no_jump() -> None:
    series = measured(compounding(6, 20), 6)
    before = series
    gain = 12.0 * float(series.gain.mean())
    assert alarm.judge(before, gain, 0.1, 1.0) is not None
    assert alarm.judge(before, gain, 0.1, 12.0) is None


@pytest.mark.parametrize("law", luck.LAWS, ids=lambda law: f"{law.family}-{law.shape:g}")
def test_W3_laws_of_luck_have_mean_1_and_their_density_is_that_of_their_tail(law: luck.Luck) -> None:
    at = np.linspace(0.2, 60.0, 30_000)
    tail = law.beyond(at)
    assert -np.gradient(tail, at)[5:-5] == pytest.approx(law.density(at)[5:-5], abs=2e-3)
    edges = np.concatenate([[0.0], np.logspace(-6, 7, 200_000)])
    mean = float(np.trapezoid(law.beyond(edges), edges))
    assert mean == pytest.approx(1.0, rel=0.02)


def test_W3_laws_of_luck_have_weights_that_sum_to_1() -> None:
    assert sum(law.weight for law in luck.LAWS) == pytest.approx(1.0)


def test_W3_a_pace_that_rises_is_shown_and_a_steady_one_is_not() -> None:
    rising = measured(compounding(1, 40, 0.3), 1)
    assert alarm.acceleration(rising) >= 20.0
    for seed in range(6):
        steady = measured(compounding(seed, 40), seed)
        assert max(alarm.acceleration(steady.first(n)) for n in (10, 20, 30, 40)) < 20.0
    assert alarm.acceleration(rising.first(2)) == 0.0


def test_W3_sizes_have_words() -> None:
    found = alarm.Alarm("jump", 3, 12.0, 1e-4)
    assert found.word == "major jump"
    assert replace(found, size=5.0).word == "minor jump"
    assert replace(found, size=40.0).word == "extreme jump"
    assert replace(found, kind="drop").word == "drop"
