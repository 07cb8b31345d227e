"""The governor's three promises, for any reading and policy: unknown stops, worse is never faster, the step holds."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from festina.govern.governor import Policy, Reading, decide, may_commit, step_of

SIZES = st.floats(0.0, 50.0)
READINGS = st.builds(
    Reading, gap=st.none() | SIZES, next_gain=st.none() | SIZES, characterised_s=st.none() | st.floats(0, 1e6),
    coarse=st.lists(st.just("cyber"), max_size=1).map(tuple), crossed=st.lists(st.just("cyber"), max_size=1).map(tuple),
    lease_left_s=st.none() | st.floats(-1e5, 1e5), waiting=st.integers(0, 30),
    reverted=st.lists(st.booleans(), max_size=30).map(tuple), escapes=st.integers(0, 2),
    alarms=st.lists(st.just("jump"), max_size=1).map(tuple), incidents=st.integers(0, 2),
    new_abilities=st.lists(st.just("deception"), max_size=1).map(tuple),
    drafts=st.lists(st.just(7), max_size=1).map(tuple),
    divergence=st.none() | st.floats(0, 1), trusted=st.none() | st.booleans(),
)  # fmt: skip
POLICIES = st.builds(
    Policy, step=st.none() | st.floats(0.1, 20), first=st.floats(0, 5), valid_s=st.none() | st.floats(1, 1e6),
    lease_s=st.none() | st.floats(1, 1e6), reverts=st.floats(0, 1), max_waiting=st.integers(0, 20),
)  # fmt: skip
RANK = {"slow": 1, "hold": 2, "pause": 3, "halt": 4}


@given(READINGS, POLICIES, SIZES)
def test_G2_nothing_is_committed_when_gap_and_gain_exceed_the_step(r: Reading, p: Policy, gain: float) -> None:
    step = step_of(r, p)
    if step is not None and (r.gap is None or r.gap + gain > step):
        assert not may_commit(r, p, gain)
    if step is not None and r.gap is not None and r.gap + (p.first if r.next_gain is None else r.next_gain) > step:
        assert decide(r, p).rate == 0.0, "nor is anything begun that would"


WORSE = {
    "gap": lambda r, x: replace(r, gap=None if r.gap is None else r.gap + x),
    "next gain": lambda r, x: replace(r, next_gain=None if r.next_gain is None else r.next_gain + x),
    "an older characterisation": lambda r, x: replace(
        r, characterised_s=None if r.characterised_s is None else r.characterised_s + x
    ),
    "a suite that measures nothing": lambda r, _: replace(r, coarse=(*r.coarse, "speech")),
    "a tier crossed": lambda r, _: replace(r, crossed=(*r.crossed, "speech")),
    "less of the lease": lambda r, x: replace(r, lease_left_s=None if r.lease_left_s is None else r.lease_left_s - x),
    "a longer queue": lambda r, x: replace(r, waiting=r.waiting + int(x)),
    "one more taken back": lambda r, _: replace(r, reverted=(*r.reverted[:-1], True) if r.reverted else (True,)),
    "an escape": lambda r, _: replace(r, escapes=r.escapes + 1),
    "an alarm": lambda r, _: replace(r, alarms=(*r.alarms, "another")),
    "a new ability": lambda r, _: replace(r, new_abilities=(*r.new_abilities, "persuasion")),
    "an incident": lambda r, _: replace(r, incidents=r.incidents + 1),
    "a draft": lambda r, _: replace(r, drafts=(*r.drafts, 9)),
    "divergence": lambda r, x: replace(r, divergence=None if r.divergence is None else min(1.0, r.divergence + x / 50)),
    "distrust": lambda r, _: replace(r, trusted=False),
}


@pytest.mark.parametrize("what", WORSE)
@settings(max_examples=40)
@given(READINGS, POLICIES, SIZES)
def test_G2_worse_is_never_faster(what: str, r: Reading, p: Policy, by: float) -> None:
    before, after = decide(r, p), decide(WORSE[what](r, by), p)
    assert after.rate <= before.rate
    assert after.halt >= before.halt
    assert max((RANK[x.effect] for x in after.reasons), default=0) >= max(
        (RANK[x.effect] for x in before.reasons), default=0
    )
    assert may_commit(WORSE[what](r, by), p, 0.0) <= may_commit(r, p, 0.0)


@pytest.mark.parametrize("name", ["gap", "characterised_s", "lease_left_s", "divergence"])
@given(READINGS, POLICIES)
def test_T6_G2_what_is_not_known_and_needed_stops(name: str, r: Reading, p: Policy) -> None:
    policy = replace(p, step=p.step or 1.0, lease_s=p.lease_s or 60.0)
    assert decide(replace(r, **{name: None}), policy).rate == 0.0


@pytest.mark.parametrize("bad", [float("nan"), float("inf"), float("-inf")])
@pytest.mark.parametrize("name", ["gap", "next_gain", "characterised_s", "lease_left_s", "divergence"])
@settings(max_examples=20)
@given(READINGS, POLICIES)
def test_T6_G2_what_is_no_number_stops_and_commits_nothing(name: str, bad: float, r: Reading, p: Policy) -> None:
    policy = replace(p, step=p.step or 1.0, lease_s=p.lease_s or 60.0)
    assert decide(replace(r, **{name: bad}), policy).rate == 0.0
    assert not may_commit(r, policy, bad)
    if name in ("gap", "characterised_s"):
        assert not may_commit(replace(r, **{name: bad}), policy, 0.0)


@given(READINGS, POLICIES)
def test_G6_every_reason_says_what_it_waits_for_and_what_would_end_it(r: Reading, p: Policy) -> None:
    decision = decide(r, p)
    assert 0.0 <= decision.rate <= 1.0
    assert bool(decision.reasons) == (decision.rate < 1.0)
    assert all(reason.waits_for and reason.ends for reason in decision.reasons)
    if decision.characterise:
        done = replace(r, gap=0.0, characterised_s=0.0, alarms=())
        assert all(x.rule not in ("pace", "characterisation") for x in decide(done, p).reasons), "it would end it"


def test_G2_G4_a_quiet_loop_goes_at_full_speed() -> None:
    policy = Policy(step=2.0, valid_s=1e6, lease_s=3600.0, max_waiting=10)
    assert decide(Reading(gap=0.5, characterised_s=10.0, lease_left_s=60.0), policy).rate == 1.0
    assert may_commit(Reading(gap=0.5, characterised_s=10.0), policy, 1.5)
    assert not may_commit(Reading(gap=0.5, characterised_s=10.0), policy, 1.6)
    assert not may_commit(Reading(gap=0.5, characterised_s=10.0, trusted=None), policy, 1.0), "distrust halves the step"
    assert decide(Reading(gap=0.5, characterised_s=-5.0, lease_left_s=60.0), policy).rate == 0.0, "a clock jumped back"
