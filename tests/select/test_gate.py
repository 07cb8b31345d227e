"""The rule for one candidate, clause by clause."""

import itertools
import math
import random
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from festina.errors import Fault, Unreachable, UsageError
from festina.select import (
    Evidence,
    Plan,
    check_reachable,
    decision,
    extend,
    guard_evidence,
    log_evidence,
    log_threshold,
    observe,
    observe_all,
    refund_share,
    start,
    units_ideal,
    units_max_default,
    units_min_accept,
    units_steady,
    unproven,
    vector,
    violated,
)
from festina.select.rules import RULES

LEVEL = 0.05 / 51
PLAN = Plan("bounded", LEVEL, 0.0, 0.05, 0.1, (), 1000)
SEEDS = Plan("symmetric", 1e-3, 0.0, 0.0, 0.1, (), 40)


def run(plan, gains, guards=()):
    rows = [Evidence(g, tuple(column[i] for column in guards)) for i, g in enumerate(gains)]
    return observe_all(start(plan), rows)


def noisy(mean, sd, count, seed):
    rng = random.Random(seed)
    return [max(-1.0, min(1.0, rng.gauss(mean, sd))) for _ in range(count)]


def test_S2_a_real_gain_is_accepted_and_the_evidence_stands_at_the_threshold():
    state = run(PLAN, noisy(0.08, 0.1, 1000, 1))
    assert decision(state) == "accept"
    assert log_evidence(state) >= log_threshold(PLAN) > 6.9
    assert state.units < 200
    assert unproven(state) == ()


def test_S2_a_candidate_that_changes_nothing_is_futile_long_before_the_cap():
    state = run(PLAN, [0.0] * 1000)
    assert (decision(state), state.units) == ("futile", 51)
    assert run(replace(PLAN, rule=1), [0.0] * 1000).units == 54  # the first version, for ledgers that began with it
    assert refund_share(state) == 1.0  # it used nothing: identical answers are no evidence either way


def test_S2_a_worse_candidate_is_given_up_sooner():
    assert run(PLAN, noisy(-0.1, 0.1, 1000, 2)).units < 30


def test_S2_between_margin_and_detect_the_cap_ends_it_and_it_can_go_on():
    capped = run(replace(PLAN, units_max=60), [0.045] * 60)
    assert (decision(capped), unproven(capped)) == ("cap", ("gain",))
    longer = extend(capped, 1000)
    assert decision(longer) == "continue"
    assert decision(observe_all(longer, [Evidence(0.045)] * 400)) == "accept"


def test_S3_going_on_counts_the_evidence_already_seen():
    row = noisy(0.06, 0.1, 400, 3)
    whole = run(PLAN, row)
    part = run(replace(PLAN, units_max=whole.units - 5), row)
    if part.outcome == "cap":
        part = observe_all(extend(part, 1000), [Evidence(g) for g in row[part.units :]])
    assert part == whole


@pytest.mark.parametrize("gains", [[1.0] * 200, [0.0] * 200])
def test_S3_a_decided_test_takes_no_more_units_and_cannot_be_extended(gains):
    state = run(PLAN, gains)
    with pytest.raises(Fault) as caught:
        observe(state, Evidence(0.0))
    assert caught.value.name == "test-decided"
    with pytest.raises(Fault):
        extend(state, 10_000)


@pytest.mark.parametrize("value", [1.0001, -1.5, math.nan, math.inf, -math.inf])
def test_T6_evidence_outside_the_range_is_the_callers_fault(value):
    for evidence in (Evidence(value, (0.0,)), Evidence(0.0, (value,))):
        with pytest.raises(Fault) as caught:
            observe(start(replace(PLAN, guards=(0.05,))), evidence)
        assert caught.value.name == "evidence-out-of-range"
    with pytest.raises(Fault):
        observe(start(SEEDS), Evidence(math.nan))


def test_T6_a_missing_guard_value_is_a_fault_and_no_pass():
    with pytest.raises(Fault) as caught:
        observe(start(replace(PLAN, guards=(0.05,))), Evidence(0.1))
    assert caught.value.name == "evidence-guards"


# ---- guards ------------------------------------------------------------------------------------------------


def test_V4_every_guard_must_cross_the_same_threshold_as_the_gain():
    plan = replace(PLAN, guards=(0.1, 0.05))
    state = run(plan, [0.3] * 600, ([0.0] * 600, [0.0] * 600))
    assert decision(state) == "accept"
    assert min(guard_evidence(state)) >= log_threshold(plan)
    assert state.units == units_ideal(replace(plan, detect=0.3))


@settings(max_examples=20, deadline=None)
@given(st.floats(0.06, 1.0), st.sampled_from([(), (0.1,), (0.02, 0.3)]))
def test_S7_what_a_steady_gain_takes_is_what_the_gate_takes(gain, losses):
    plan = replace(PLAN, guards=losses)
    state = run(plan, [gain] * 1000, [[0.0] * 1000 for _ in losses])
    assert (decision(state), state.units) == ("accept", units_steady(plan, gain))
    assert units_steady(replace(plan, units_max=state.units - 1), gain) == state.units
    assert units_steady(plan, 0.0) == 1001  # never


def test_V4_a_guard_that_is_violated_ends_the_test_early_as_guard():
    plan = replace(PLAN, guards=(0.05, 0.05))
    state = run(plan, [0.2] * 600, ([0.0] * 600, noisy(-0.2, 0.1, 600, 4)))
    assert decision(state) == "guard"
    assert state.units < 80
    assert violated(state) == (1,)
    assert refund_share(state) < 0.5


def test_V4_a_guard_that_cannot_be_shown_blocks_and_is_named():
    plan = replace(PLAN, guards=(0.05,), units_max=300)
    state = run(plan, [0.3] * 300, ([-0.045, -0.055] * 150,))
    assert decision(state) == "cap"
    assert unproven(state) == ("guard 0",)


def test_V4_a_shown_gain_does_not_turn_futile_while_a_guard_is_open():
    plan = replace(PLAN, guards=(0.02,), units_max=2000)
    gains = [0.3] * 100 + [0.0] * 1900
    state = run(plan, gains, ([0.0] * 2000,))
    assert decision(state) == "accept"


def test_V4_a_guard_at_its_margin_is_not_passed_however_good_the_gain():
    plan = replace(PLAN, guards=(0.05,))
    for seed in range(20):
        guard = noisy(-0.05, 0.2, 1000, seed)
        state = run(plan, [0.2] * 1000, (guard,))
        assert state.outcome in ("guard", "cap")


def test_V4_guards_are_bounded_beside_a_symmetric_gain_unless_the_plan_says_otherwise():
    plan = replace(SEEDS, guards=(0.05,), units_max=400)
    seeds = noisy(1.0, 1.0, 400, 5)
    strict = observe_all(start(plan), [Evidence(g, (0.0,)) for g in seeds])
    weak = observe_all(start(replace(plan, guard_kind="symmetric")), [Evidence(g, (0.0,)) for g in seeds])
    assert (strict.outcome, weak.outcome) == ("accept", "accept")
    assert strict.units > 3 * weak.units
    with pytest.raises(Unreachable):
        check_reachable(replace(plan, units_max=40))
    check_reachable(replace(plan, units_max=40, guard_kind="symmetric"))


# ---- planning ----------------------------------------------------------------------------------------------

plans = st.builds(
    lambda level, margin, step, guards, units: Plan("bounded", level, margin, margin + step, 0.1, tuple(guards), units),
    st.floats(1e-5, 0.4),
    st.sampled_from([0.0, 0.01, 0.2]),
    st.floats(0.01, 0.5),
    st.lists(st.floats(0.01, 0.6), max_size=2),
    st.just(5000),
)


@given(plans)
@settings(max_examples=60, deadline=None)
def test_S7_the_best_row_of_exactly_units_min_accept_accepts_and_not_earlier(plan):
    need = units_min_accept(plan)
    best = Evidence(1.0, tuple(1.0 for _ in plan.guards))
    capped = replace(plan, units_max=need)
    state = observe_all(start(capped), [best] * need)
    assert (state.outcome, state.units) == ("accept", need)
    assert observe_all(start(replace(plan, units_max=max(1, need - 1))), [best] * need).outcome == "cap"


@given(plans, st.data())
@settings(max_examples=150, deadline=None)
def test_S7_no_row_of_fewer_units_accepts(plan, data):
    fewer = units_min_accept(plan) - 1
    value = st.one_of(st.sampled_from([1.0, 0.99, 0.5, 0.0, -1e-6, -1e-3, -1.0]), st.floats(-1, 1))
    gains = data.draw(st.lists(value, min_size=fewer, max_size=fewer))
    guards = tuple(1.0 for _ in plan.guards)
    assert observe_all(start(plan), [Evidence(g, guards) for g in gains]).outcome != "accept"


@pytest.mark.parametrize("level", [0.4, 0.25, 0.12])
def test_S7_no_row_of_fewer_units_accepts_exhaustively(level):
    plan = Plan("bounded", level, 0.0, 0.2, 0.1, (), 5000)
    fewer = units_min_accept(plan) - 1
    assert 1 <= fewer <= 6
    for row in itertools.product([-1.0, -0.3, -1e-4, 0.0, 0.05, 0.6, 1.0], repeat=min(fewer, 5)):
        tail = (1.0,) * (fewer - len(row))
        assert run(plan, (*row, *tail)).outcome != "accept"


def test_S7_symmetric_units_min_accept_is_exact():
    need = units_min_accept(SEEDS)
    assert need == 11
    growing = [10.0 ** (3 * i) for i in range(need)]
    assert run(replace(SEEDS, units_max=need), growing).outcome == "accept"
    assert run(SEEDS, growing[:-1]).outcome == "continue"
    rng = random.Random(6)
    for _ in range(2000):
        row = [rng.choice([0.0, 1.0, 1e-3, 1e6, 10.0 ** rng.uniform(-9, 9)]) for _ in range(need - 1)]
        assert run(SEEDS, row).outcome != "accept"


def test_S7_a_plan_that_cannot_reach_a_verdict_is_refused_with_what_would_do():
    plan = replace(PLAN, detect=0.02, guards=(0.005,), units_max=200)
    with pytest.raises(Unreachable) as caught:
        check_reachable(plan)
    fix = caught.value.fix
    assert "380 units" in fix
    assert "detect = 0.039" in fix
    assert "max_loss = 0.038" in fix
    check_reachable(replace(plan, detect=0.039, guards=(0.038,)))
    check_reachable(replace(plan, units_max=units_ideal(plan)))


def test_S7_the_refusal_speaks_in_the_manifests_numbers():
    plan = replace(PLAN, detect=0.02, guards=(0.005,), units_max=200)
    with pytest.raises(Unreachable) as caught:
        check_reachable(plan, width=8.0, guards=[("memorisation", 100.0)])
    assert "a gain of 0.16 needs 380 units" in caught.value.fix
    assert "detect = 0.31 or more" in caught.value.fix
    assert "guard memorisation with max_loss 0.5 needs" in caught.value.fix
    check_reachable(replace(plan, detect=0.31 / 8.0, guards=(3.8 / 100.0,)))


def test_S7_the_default_cap_is_reachable_and_lets_a_detectable_gain_through():
    for v0, sd in ((0.01, 0.1), (0.0025, 0.05)):
        plan = replace(PLAN, units_max=units_max_default(PLAN, v0), guards=(0.05,))
        check_reachable(plan)
        accepted = [
            run(plan, noisy(0.05, sd, plan.units_max, seed), ([0.0] * plan.units_max,)).outcome == "accept"
            for seed in range(30)
        ]
        assert sum(accepted) >= 25  # beta of 0.1 allows 3 to be missed on average


@pytest.mark.parametrize("sd", [0.03, 0.1])
def test_S7_near_constant_units_cost_about_what_the_bound_asks(sd):
    """ln(1/a)/(0.9 detect) units to accept, ln(1/beta)/(0.9 detect) to give up: within a quarter."""
    accept = [run(PLAN, noisy(0.05, sd, 1000, s)) for s in range(40)]
    accepted = [s.units for s in accept if s.outcome == "accept"]
    assert len(accepted) >= 34
    assert sum(accepted) / len(accepted) <= 1.25 * math.log(1 / LEVEL) / (0.9 * 0.05)
    null = [run(PLAN, noisy(0.0, sd, 1000, s)).units for s in range(40)]
    assert sum(null) / len(null) <= 1.25 * math.log(10) / (0.9 * 0.05)


@pytest.mark.parametrize(
    "change",
    [
        {"level": 0.0}, {"level": 1.0}, {"level": math.nan}, {"beta": 1.0}, {"margin": -0.1}, {"margin": 0.05},
        {"detect": 1.0}, {"guards": (0.0,)}, {"guards": (1.0,)}, {"units_max": 0},
    ],
)  # fmt: skip
def test_S7_senseless_plans_are_refused(change):
    with pytest.raises(UsageError):
        replace(PLAN, **change)


ENDLESS = replace(PLAN, level=1e-12, units_max=1500)  # acceptance is out of reach: giving up has all the time there is


@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize(
    "law",
    [
        lambda rng, shape: rng.choice([-1.0, 0.0, 1.0], shape, p=[0.075, 0.8, 0.125]),
        lambda rng, shape: rng.normal(0.05, 0.1, shape),
        lambda rng, shape: np.where(rng.random(shape) < 0.02, -0.98, (0.05 + 0.0196) / 0.98),  # rare disaster
        lambda rng, shape: np.where(rng.random(shape) < 0.06, 0.95, (0.05 - 0.057) / 0.94),  # rare triumph
        lambda rng, shape: 0.05 + rng.choice([-0.9, 0.9], shape) * (rng.random(shape) < 0.5),
    ],
)
def test_S2_a_gain_of_detect_is_given_up_with_a_chance_of_at_most_beta(rule, law):
    """Whatever the bet has learnt: its null is that the gain is there."""
    gains = np.clip(law(np.random.default_rng(6), (1000, ENDLESS.units_max)), -1.0, 1.0)
    ends = vector.gate(replace(ENDLESS, rule=rule), np.full(1000, ENDLESS.level), gains)
    assert (ends.outcome == "futile").mean() <= 0.1 + 3 * (0.1 * 0.9 / 1000) ** 0.5


# ---- symmetric ---------------------------------------------------------------------------------------------


def test_S7_forty_seeds_show_a_shift_of_one_standard_deviation_in_nine_cases_of_ten():
    rng = np.random.default_rng(5)
    for law in (rng.normal(1.0, 1.0, (2000, 40)), rng.laplace(1.0, 0.5**0.5, (2000, 40))):
        found = (vector.gate(SEEDS, np.full(2000, SEEDS.level), law).outcome == "accept").mean()
        assert found >= 0.9 + 3 * (0.1 * 0.9 / 2000) ** 0.5


def noisy_wide(mean, seed):
    rng = random.Random(seed)
    return [rng.gauss(mean, 1.0) for _ in range(40)]


def test_S7_a_recipe_that_is_worse_is_given_up_and_one_that_changes_nothing_ends_at_the_cap():
    assert run(SEEDS, [-abs(x) for x in noisy_wide(1.0, 7)]).outcome == "futile"
    assert run(SEEDS, [0.0] * 40).outcome == "cap"


def test_S2_symmetric_scale_does_not_matter():
    row = noisy_wide(0.6, 8)
    assert run(SEEDS, row).units == run(SEEDS, [x * 1024.0 for x in row]).units


# ---- replay ------------------------------------------------------------------------------------------------


@given(st.lists(st.tuples(st.floats(-1, 1), st.floats(-1, 1)), max_size=60))
@settings(deadline=None)
def test_S5_replay_gives_the_same_bits_however_it_is_cut(rows):
    plan = replace(PLAN, guards=(0.05,))
    units = [Evidence(a, (b,)) for a, b in rows]
    whole = observe_all(start(plan), units)
    half = len(units) // 2
    cut = observe_all(observe_all(start(plan), units[:half]), units[half:])
    assert whole == cut
    assert repr(whole) == repr(cut)


def test_S5_replay_gives_the_numbers_written_here():
    """Written down once: another machine, Python or order of operations that differs is found."""
    state = run(replace(PLAN, guards=(0.05,)), [0.1, -0.2, 0.05, 1.0, -1.0, 0.3] * 4, ([0.0, 0.1, -0.1] * 8,))
    assert state.gain.wealth.hex() == EXPECTED["gain"]
    assert state.futility.wealth.hex() == EXPECTED["futility"]
    first = run(replace(PLAN, rule=1), [0.1, -0.2, 0.05, 1.0, -1.0, 0.3] * 4)
    assert (first.futility.wealth.hex(), first.gain) == (EXPECTED["futility 1"], state.gain)
    assert state.guards[0].wealth.hex() == EXPECTED["guard"]
    seeds = run(SEEDS, [0.4, -0.1, 2.5, 0.0, 1e6, 0.7])
    assert seeds.gain.wealth.hex() == EXPECTED["seeds"]


EXPECTED = {
    "gain": "0x1.35983773ca869p-1",
    "futility": "0x1.3264355dda4d2p-1",
    "futility 1": "0x1.07e40962ec3c9p-1",
    "guard": "0x1.0f9112cb46cf2p+1",
    "seeds": "0x1.114249e43a53ep+3",
}
