"""Published takeoff models: their figures come out, and each parameter does what its name says."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from festina.watch import published, takeoff
from festina.watch.takeoff import WINDOWS, Forethought


def rng(seed: int = 0) -> np.random.Generator:
    return np.random.Generator(np.random.SFC64(seed))


def plain_explosion(speedup: float, returns: float, parallel: float, years: float) -> tuple[list[bool], int]:
    """One world of the software intelligence explosion in plain Python, step by step."""
    ceiling, months, r, times = 8.0 * years, 3.0 / speedup, returns, [0.0]
    while times[-1] < 48.0 and len(times) - 1 < ceiling and r > 0.0:
        times.append(times[-1] + months)
        r -= returns / ceiling
        if r > 0.0:
            months *= 2.0 ** (parallel * (1.0 / r - 1.0))
    hits = [any(times[i + n] - times[i] < span for i in range(len(times) - n)) for _, span, n in WINDOWS]
    return hits, len(times) - 1


@pytest.mark.parametrize("model", published.MODELS)
def test_W4_published_figures_come_out(model: str) -> None:
    found = published.run(model, 4_000 if model == "metr" else 60_000, 1)
    assert found.figures
    for figure in found.figures:
        assert figure.agrees, figure


def test_W4_a_figure_of_other_priors_is_compared_with_nothing_and_a_wrong_one_disagrees() -> None:
    other = published.run("forethought", 2_000, 1, Forethought(returns=(0.4, 0.5)))
    assert [f.agrees for f in other.figures] == [None] * 4
    wrong = replace(published.run("forethought", 20_000, 1).figures[0], here=50.0)
    assert wrong.agrees is False


def test_W4_worlds_of_the_vectorised_explosion_are_those_of_a_plain_loop() -> None:
    cases = [(2.0, 0.4, 0.15, 6.0), (8.0, 1.2, 0.3, 11.0), (32.0, 3.6, 0.6, 16.0), (20.0, 2.0, 0.45, 7.3)]
    cases += [(3.0, 3.0, 0.6, 12.0), (2.0, 1.5, 0.6, 15.9), (9.0, 0.9, 0.2, 9.1)]
    for speedup, returns, parallel, years in cases:
        fixed = Forethought((speedup,) * 2, (returns,) * 2, (parallel,) * 2, (years,) * 2)
        found = takeoff.forethought(3, rng(), fixed)
        hits, doublings = plain_explosion(speedup, returns, parallel, years)
        assert found.hits.T.tolist() == [hits] * 3, (speedup, returns, parallel, years)
        assert found.doublings.tolist() == [doublings] * 3


def test_W4_retraining_slows_what_accelerates_and_the_apps_bracket_fattens_the_tail() -> None:
    fast = Forethought(returns=(2.0, 3.6))
    shares = {
        how: takeoff.forethought(40_000, rng(2), replace(fast, retraining=how)).hits.mean(1)
        for how in ("no", "paper", "app")
    }
    assert shares["paper"][0] < shares["no"][0]
    all_r = {how: takeoff.forethought(60_000, rng(3), Forethought(retraining=how)) for how in ("paper", "app")}
    assert all_r["app"].hits[3].mean() > all_r["paper"].hits[3].mean() + 0.01


def test_W4_a_phase_takes_what_day_steps_take() -> None:
    for gap, start, end in ((3.3, 5.0, 25.0), (18.75, 25.0, 250.0), (10.0, 4.0, 4.0)):
        days, progress = 0, 0.0
        while progress < gap * 365:
            progress += start * (end / start) ** (progress / (gap * 365))
            days += 1
        assert float(takeoff.phase(np.array([gap]), start, end)[0]) == pytest.approx(days / 365, abs=2.5 / 365)


def test_W4_automation_comes_later_where_software_gets_harder_and_is_refined_by_smaller_steps() -> None:
    easy = takeoff.metr(800, rng(4), takeoff.Automation(difficulty=(0.3, 0.4)))
    hard = takeoff.metr(800, rng(4), takeoff.Automation(difficulty=(0.9, 1.0)))
    assert float(np.median(hard)) > float(np.median(easy)) + 0.5
    coarse, fine = takeoff.metr(300, rng(5), steps=24), takeoff.metr(300, rng(5), steps=96)
    assert float(np.abs(coarse - fine).max()) < 0.02


def test_W4_automation_that_never_comes_says_so() -> None:
    slow = takeoff.metr(50, rng(), takeoff.Automation(slowness=(40.0, 40.0), automated=(0.25, 0.25)))
    assert set(slow.tolist()) == {takeoff.NEVER}
