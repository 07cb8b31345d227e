"""Rules of pace in simulated worlds: no rule lets effort through that its limit forbids, and their order holds."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from festina.select.normal import ONE_SIDED
from festina.watch import pacing
from festina.watch.pacing import STRESS, Rule, World


def governed(rule: Rule, priors: World, worlds: int = 1_500, seed: int = 0, paths: bool = False) -> pacing.Outcome:
    return pacing.compared([rule], priors, worlds, seed, paths=paths)[0]


positive = st.floats(1e-3, 1e3)


@given(st.sampled_from(["step", "pace"]), st.floats(0.1, 10), st.floats(0, 20), positive, positive, st.floats(0.1, 2))
def test_G2_no_effort_whose_predicted_gain_breaks_the_limit(
    kind: str, limit: float, gap: float, pace: float, remaining: float, luck: float
) -> None:
    one = np.array
    share = float(pacing.effort(Rule(kind, limit), one([gap]), one([pace]), 1.0, one([remaining]), luck)[0])
    mean = pace * pacing.WEEK
    assert 0.0 <= share <= 1.0
    if share > 0.0:
        assert gap + mean * (share + ONE_SIDED * luck * np.sqrt(share)) <= limit + 1e-9


@given(st.sampled_from(["stop-after", "step", "pace"]), st.floats(0, 5), st.floats(0, 5), positive, positive)
def test_G2_more_gap_more_speed_or_more_time_never_allows_more(
    kind: str, gap: float, more: float, pace: float, remaining: float
) -> None:
    def share(gap: float, pace: float, remaining: float) -> float:
        rule = Rule(kind, 2.0)
        return float(pacing.effort(rule, np.array([gap]), np.array([pace]), 1.0, np.array([remaining]), 0.7)[0])

    now = share(gap, pace, remaining)
    assert share(gap + more, pace, remaining) <= now + 1e-12
    assert share(gap, pace + more, remaining) <= now + 1e-12
    assert share(gap, pace, remaining + more) <= now + 1e-12


def test_G2_pace_keeps_the_gap_where_stopping_afterwards_does_not() -> None:
    pace, stop = governed(Rule("pace", 2.0), World()), governed(Rule("stop-after", 2.0), World())
    worst = {out.rule.kind: float(np.quantile(out.worst_gap, 0.95)) for out in (pace, stop)}
    assert worst["pace"] < 5.0 < worst["stop-after"]
    assert pace.harmed.mean() < stop.harmed.mean()


@pytest.mark.parametrize("name", STRESS)
def test_G2_the_order_of_the_rules_holds_where_what_is_invented_is_otherwise(name: str) -> None:
    outs = {kind: governed(Rule(kind, 2.0), STRESS[name], 800) for kind in pacing.RULES}
    worst = {kind: float(np.quantile(out.worst_gap, 0.95)) for kind, out in outs.items()}
    harm = {kind: float(out.harmed.mean()) for kind, out in outs.items()}
    assert worst["pace"] < worst["stop-after"] < worst["watch"] <= worst["none"]
    assert harm["pace"] < harm["stop-after"] < harm["watch"] < harm["none"]
    assert worst["pace"] < 6.0


def test_G2_the_long_run_pace_is_at_most_half_the_limit_in_each_characterisation() -> None:
    """Where speed is no bottleneck and luck is small: v <= limit / (2 latency), as one examination is in
    flight; less, since the rule allows for compounding that these worlds do not have."""
    calm = World(
        speedup=(30.0, 30.0), returns=(1.0, 1.0), parallel=(0.15, 0.15), ceiling=(1e5, 1e5), bottleneck=(0.0, 0.0),
        latency_weeks=(12.0, 12.0), luck=(0.05, 0.05), jumps=(0.0, 0.0), years=(4.0, 4.0),
    )  # fmt: skip
    out = governed(Rule("pace", 2.0), calm, 200)
    steady = 2.0 / (2.0 * 12.0 * pacing.WEEK)
    assert 0.4 * steady < float(np.median(out.gained)) / 4.0 <= 1.05 * steady


def test_G2_velocity_is_the_explosions_own() -> None:
    """The closed form against the step by step law of doubling times."""
    far = World(bottleneck=(0.0, 0.0), ceiling=(2000.0, 2000.0))
    drawn = pacing.draw(1, np.random.Generator(np.random.SFC64(3)), far)
    power, r0 = float(drawn.power[0]), float(drawn.power[0] * drawn.ceiling[0] * np.log(2) / drawn.bend[0])
    log_pace = 0.0
    for step in range(1, 41):
        r = r0 * (1.0 - step / 2000.0)
        log_pace -= power * (1.0 / r - 1.0)
    ratio = pacing.velocity(drawn, np.array([40.0])) / pacing.velocity(drawn, np.array([0.0]))
    assert float(np.log2(ratio[0])) == pytest.approx(log_pace, rel=0.02, abs=0.02)


def test_G2_each_parameter_has_an_effect() -> None:
    base = governed(Rule("stop-after", 1.0), World(), 400)
    other = {
        "speedup": (20.0, 32.0), "returns": (2.0, 3.6), "parallel": (0.5, 0.6), "ceiling": (48.0, 50.0),
        "bottleneck": (0.0, 0.0), "ces": (-5.0, -4.0), "latency_weeks": (20.0, 26.0), "generation_weeks": (2.0, 2.0),
        "years": (1.0, 1.0), "luck": (1.4, 1.4), "jumps": (0.2, 0.2), "misjudged": (2.0, 2.0), "flaws": (0.4, 0.5),
        "catch": (0.1, 0.1), "staleness": (0.5, 0.5), "harm": (0.2, 0.2),
    }  # fmt: skip
    assert set(other) == set(World.__dataclass_fields__)
    for name, value in other.items():
        rule = Rule("pace" if name == "misjudged" else "stop-after", 1.0)
        before = governed(rule, World(), 400) if name == "misjudged" else base
        after = governed(rule, replace(World(), **{name: value}), 400)
        assert (before.gained.mean(), before.harmed.mean()) != (after.gained.mean(), after.harmed.mean()), name
