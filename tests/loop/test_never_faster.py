"""Bad data in the governor's hands: a defined state each, and never a faster loop.  # G-2, G-6, T-6"""

from __future__ import annotations

import copy
from datetime import datetime, timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from festina.ledger import entries as e
from festina.loop import autonomy, outlook
from festina.loop import next as plan
from festina.loop.governing import decided, reading_of
from festina.loop.growth import Crossplay, played
from festina.loop.state import State
from festina.review.seats import moment
from tests.loop.paper import PaperLoop, digest, oid
from tests.loop.test_autonomy import unattended
from tests.loop.test_governing import START, characterise, paced


def grown(*, generations: int = 2, tiers: tuple[e.TierTerms, ...] = (), mean: float = 0.4) -> PaperLoop:
    """A paced loop with some accepted changes, characterised at its start."""
    for seed in range(1, 30):
        loop = paced(step=40.0, seed=seed, tiers=tiers)
        characterise(loop, mean=mean)
        while loop.state.head.number < generations:
            action = plan.next_action(loop.state, loop.facts())
            if isinstance(action, plan.Finish):
                break
            getattr(loop, f"_{type(action).__name__}")(action)
        else:
            return loop
    raise AssertionError("nothing was accepted")


GROWN = grown()
SOON = datetime.fromisoformat(GROWN.state.last_at) + timedelta(seconds=1)


@settings(max_examples=60, deadline=None)
@given(st.floats(-1e8, 1e8))
def test_G4_a_clock_that_jumps_never_makes_the_loop_faster(seconds: float) -> None:
    honest = decided(GROWN.state, SOON)
    assert honest.rate > 0.0
    jumped = decided(GROWN.state, SOON + timedelta(seconds=seconds))
    assert jumped.rate <= honest.rate
    assert jumped.room <= honest.room
    if seconds < -200.0 or seconds > 2 * 86400.0:
        assert jumped.rate == 0.0, "too early or too late: nothing counts"


@pytest.mark.parametrize("seconds", [-1e7, -3600.0, 1e7])
def test_G7_a_clock_that_jumps_takes_the_highest_rung_away(seconds: float) -> None:
    loop = unattended()
    at = moment(loop.state.last_at)
    assert autonomy.rung_at(loop.state, at) == "unattended"
    assert autonomy.rung_at(loop.state, at + timedelta(seconds=seconds)) == "release-by-approval"


LOSSES = ("gains", "gain unknown", "abilities", "alive", "mean", "missing", "age")


def without(state: State, what: str, number: int) -> State:
    """The same state with a piece of what is known gone, or unreadable."""
    s = copy.deepcopy(state)
    number = s.line[number % len(s.line)]
    if what == "gains":
        s.govern.gains.pop(number, None)
    elif what == "gain unknown":
        s.govern.gains[number] = None
    elif what == "alive":
        s.govern.alive = "yesterday"
    elif number in s.govern.abilities:
        at, body = s.govern.abilities[number]["skill"]
        if what == "abilities":
            del s.govern.abilities[number]
        elif what == "missing":
            s.govern.abilities[number]["skill"] = (at, body.model_copy(update={"missing": 1}))
        elif what == "age":
            s.govern.abilities[number]["skill"] = ("not a time", body)
        else:
            s.govern.abilities[number]["skill"] = (at, body.model_copy(update={"error": 1e9}))
    return s


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(st.sampled_from(LOSSES), st.integers(0, 9)), min_size=1, max_size=4))
def test_G2_T6_whatever_is_lost_or_unreadable_never_makes_the_loop_faster(losses: list[tuple[str, int]]) -> None:
    state, before = GROWN.state, decided(GROWN.state, SOON)
    for what, number in losses:
        state = without(state, what, number)
    after = decided(state, SOON)
    assert after.rate <= before.rate
    assert after.room <= before.room
    if any(what in ("abilities", "missing", "age") and state.line[n % len(state.line)] == 0 for what, n in losses):
        assert after.rate == 0.0, "the only characterisation is gone"
        assert any(reason.ends for reason in after.reasons)


@pytest.mark.parametrize(
    "odd",
    [{"mean": -1e300}, {"mean": 1e300}, {"mean": 1.1}, {"error": 1e300}, {"error": -0.1}, {"units": 1}, {"items": 0},
     {"units": 0, "items": 0}, {"units": 10**9, "items": 10**10}],
    ids=str,
)  # fmt: skip
def test_G2_T6_a_characterisation_with_numbers_that_its_suite_cannot_give_lets_nothing_go_on(
    odd: dict[str, Any],
) -> None:
    loop = paced(step=40.0)
    characterise(loop, **odd)
    at = moment(loop.state.last_at) + timedelta(seconds=1)
    held = decided(loop.state, at)
    assert (held.rate, held.characterise) == (0.0, True)
    assert not loop.state.govern.complete_all(loop.state, 0)
    assert loop.state.ignored[-1][2] == "numbers that its suite cannot give"
    characterise(loop)
    assert decided(loop.state, at + timedelta(seconds=10)).rate == 1.0, "a true one counts"
    characterise(loop, **odd)
    assert decided(loop.state, at + timedelta(seconds=20)).rate == 0.0, "and the newest is what is known"


def test_G2_a_single_generation_is_paced_by_the_declared_first_step() -> None:
    loop = paced(step=0.4)  # less than the first step may move it
    characterise(loop)
    assert outlook.read(loop.state) is None, "nothing grows yet"
    reading = reading_of(loop.state, START + timedelta(seconds=60))
    assert (reading.gap, reading.next_gain, reading.trusted) == (0, None, True)
    decision = decided(loop.state, START + timedelta(seconds=60))
    assert [(r.rule, r.effect) for r in decision.reasons] == [("step", "hold")]
    assert "policy.pace.step" in decision.reasons[0].ends


def test_G1_T6_a_version_that_shows_much_less_than_the_one_before_is_held_until_a_person_looked() -> None:
    loop = grown(generations=1)
    characterise(loop, mean=0.4)
    at = moment(loop.state.last_at) + timedelta(seconds=1)
    assert decided(loop.state, at).rate == 1.0
    characterise(loop, mean=0.1)
    held = decided(loop.state, at + timedelta(seconds=10))
    assert [(r.rule, r.effect) for r in held.reasons] == [("alarm", "hold")]
    assert "hide what it can do" in held.reasons[0].waits_for
    characterise(loop, mean=0.1)
    assert decided(loop.state, at + timedelta(seconds=20)).rate == 0.0, "measuring again does not answer it"
    loop.state.head.approved = 0
    assert decided(loop.state, at + timedelta(seconds=20)).rate == 1.0


def test_G1_T6_what_is_hidden_does_not_lower_a_tier_that_was_reached() -> None:
    loop = grown(generations=1, tiers=(e.TierTerms(at=0.45, safeguards=("two-people",)),), mean=0.6)
    at = moment(loop.state.last_at) + timedelta(seconds=1)
    assert decided(loop.state, at).halt
    characterise(loop, mean=0.05)
    assert decided(loop.state, at).halt, "the line once reached it"


@pytest.mark.parametrize("how", ["nobody", "a demo's key", "expired", "no date", "another safeguard"])
def test_G1_an_attestation_that_is_none_leaves_the_halt(how: str) -> None:
    loop = paced(tiers=(e.TierTerms(at=0.45, safeguards=("two-people",)),))
    characterise(loop, mean=0.5)
    loop.put(e.ReviewerEnrolled(reviewer="toy", key="x", demo=True))
    change: dict[str, dict[str, Any]] = {
        "nobody": {"reviewer": "nobody"}, "a demo's key": {"reviewer": "toy", "without_person": True},
        "expired": {"expires": "2025-12-31T00:00:00+00:00"}, "no date": {"expires": "for ever"},
        "another safeguard": {"safeguard": "air-gap"},
    }  # fmt: skip
    good = e.Attested(
        safeguard="two-people", expires="2026-02-01T00:00:00+00:00", reviewer="ann", reason=digest(1),
        without_person=False,
    )  # fmt: skip
    at = START + timedelta(minutes=1)
    loop.put(good.model_copy(update=change[how]))
    assert decided(loop.state, at).halt
    loop.put(good)
    assert not decided(loop.state, at).halt


def test_G1_T6_a_clock_that_is_set_back_revives_no_attestation_that_the_record_saw_run_out() -> None:
    loop = paced(tiers=(e.TierTerms(at=0.45, safeguards=("two-people",)),))
    characterise(loop, mean=0.5)
    loop.put(e.Attested(
        safeguard="two-people", expires="2026-01-01T00:10:00+00:00", reviewer="ann", reason=digest(1),
        without_person=False,
    ))  # fmt: skip
    early = START + timedelta(minutes=5)
    assert not decided(loop.state, early).halt
    loop.state.last_at = "2026-01-01T00:11:00.000Z"  # an entry of the engine's after it ran out
    assert decided(loop.state, START + timedelta(minutes=12)).halt
    assert decided(loop.state, early).halt


def test_W2_T6_a_first_improver_that_no_longer_runs_is_the_start_itself_and_ends_no_run() -> None:
    made = {"reason": "", "guard_change": False, "patch": None, "tree": oid(2), "wall_s": 0.0, "cpu_s": 0.0}
    dead = e.Product(word="nothing", score=0.3, **(made | {"reason": "the improver ended 'nonzero'"}))
    alive = e.Product(word="proposed", score=0.6, **(made | {"patch": digest(4), "tree": oid(3)}))
    loop = PaperLoop(1)
    loop.begin()
    terms = e.CrossplayPlanned(
        crossplay=0, left=1, right=0, start=0, left_commit=oid(5), right_commit=oid(1), start_commit=oid(1),
        problems=6, units=8, wall_s=1.0, cpu_s=1.0,
    )  # fmt: skip
    rows = [
        e.CrossplayProblem(
            crossplay=0, problem=k, measure=k, left=alive.model_copy(update={"score": 0.6 + k / 100}), right=dead,
            start=0.3, details=digest(1), worst=True,
        )
        for k in range(6)
    ]  # fmt: skip
    ended = played(loop.state, Crossplay(terms, "", rows))
    assert ended.answer in ("paid", "cannot tell")
    assert ended.ratio is None, "a gain of nothing divides nothing"
    assert ended.sentence


def test_D3_a_step_that_saw_no_traffic_is_not_passed_and_nothing_is_released_by_it() -> None:
    loop = PaperLoop(5, proposals=2)
    loop.begin()
    loop.run()
    g = loop.state.generations[loop.state.line[-1]]
    loop.put(
        e.WatchStarted(
            watch=0, step="shadow", generation=g.number, commit=g.commit, against=0, share=0.0, tolerate=1.0,
            null=0.5, alpha=0.01, least=100,
        ),
        e.WatchEnded(watch=0, reason="starved", detail="0 requests, 100 asked for"),
    )  # fmt: skip
    assert loop.state.watches.passed(g.commit, "shadow") is None
    assert "too few requests came" in loop.state.watches.rows[0].sentence()
