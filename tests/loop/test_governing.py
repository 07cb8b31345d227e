"""The governor in the loop: it waits for a sign of life, rests, holds and halts, and says what would end it."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from festina.cli.status import advice
from festina.errors import IntegrityError
from festina.govern.governor import Decision, Reason
from festina.ledger import entries as e
from festina.loop import next as plan
from festina.loop.governed import gain_of
from festina.loop.governing import decided, reading_of, unmeasured
from tests.loop.paper import PaperLoop, digest, oid

START = datetime(2026, 1, 1, tzinfo=UTC)


def governed(lease_s: float | None = 3600.0, reverts: float = 0.1, seed: int = 1) -> PaperLoop:
    loop = PaperLoop(seed)
    loop.begin()
    epoch = loop.state.epoch
    assert epoch is not None
    loop.state.epoch = epoch.model_copy(update={"govern": e.GovernTerms(lease_s=lease_s, reverts=reverts)})
    while not isinstance(action := plan.next_action(loop.state, loop.facts()), plan.Propose):
        getattr(loop, f"_{type(action).__name__}")(action)
    return loop


def facts(loop: PaperLoop, after_s: float, **more: object) -> plan.Facts:
    return plan.Facts(0.0, governed=decided(loop.state, START + timedelta(seconds=after_s)), **more)  # type: ignore[arg-type]


def test_G4_without_a_sign_of_life_the_loop_pauses_and_says_how_to_go_on() -> None:
    loop = governed()
    assert not isinstance(plan.next_action(loop.state, facts(loop, 3000.0)), plan.Finish)
    action = plan.next_action(loop.state, facts(loop, 3700.0))
    assert isinstance(action, plan.Finish)
    assert action.reason == "waiting"
    assert "festina renew" in action.detail


def test_G4_any_signed_act_of_a_person_is_a_sign_of_life_and_a_demos_key_is_none() -> None:
    loop = governed()
    before = reading_of(loop.state, START).lease_left_s
    loop.put(e.Renewed(reviewer="ann", without_person=False))
    after = reading_of(loop.state, START).lease_left_s
    assert before is not None
    assert after is not None
    assert after > before
    loop.put(e.ReviewerEnrolled(reviewer="toy", key="x", demo=True))
    loop.put(e.Renewed(reviewer="toy", without_person=True), e.Renewed(reviewer="nobody", without_person=False))
    assert reading_of(loop.state, START).lease_left_s == after
    loop.put(e.Resumed(halts=("0" * 16,), reviewer="ann", reason=digest(1), without_person=False))
    newest = reading_of(loop.state, START).lease_left_s
    assert newest is not None
    assert newest > after


def test_G4_a_clock_that_jumped_back_never_makes_the_lease_longer() -> None:
    loop = governed()
    assert decided(loop.state, START - timedelta(hours=1)).rate == 0.0
    assert reading_of(loop.state, START - timedelta(hours=1)).lease_left_s is None
    assert decided(governed(lease_s=None).state, START - timedelta(hours=1)).rate == 1.0


def test_G4_G6_a_sign_of_life_in_the_future_names_the_clock_and_no_command_that_would_not_help() -> None:
    loop = governed()
    loop.state.govern.alive = "2027-01-01T00:00:00.000Z"  # the clock was a year ahead, and is right again
    pause = decided(loop.state, START).first("pause")
    assert pause is not None
    assert "2027-01-01T00:00:00" in pause.waits_for
    assert "clock" in pause.ends
    assert "renew" not in pause.ends
    late = decided(governed().state, START + timedelta(days=9)).first("pause")
    assert late is not None
    assert "festina renew" in late.ends


def test_G1_T6_something_that_outlived_its_box_halts_until_a_person_has_looked() -> None:
    loop = governed(lease_s=None)
    loop.put(e.FaultRecorded(what="sandbox-error", detail=None))
    assert decided(loop.state, START).rate == 1.0
    loop.put(e.FaultRecorded(what="tree-would-not-die", detail=None))
    action = plan.next_action(loop.state, facts(loop, 1.0))
    assert isinstance(action, plan.HaltLoop)
    loop.put(e.Halted(halt="1" * 16, by="the governor", since="2026-01-01T00:00:00+00:00", reason=action.reason))
    assert isinstance(plan.next_action(loop.state, facts(loop, 1.0)), plan.Finish)
    loop.put(e.Resumed(halts=("1" * 16,), reviewer="ann", reason=digest(1), without_person=False))
    assert decided(loop.state, START).rate == 1.0


def test_G1_T6_processes_of_its_own_that_are_lost_again_and_again_halt_too() -> None:
    loop = governed(lease_s=None)
    for what in ("spawner-lost", "disk-full", "verifier-died"):
        loop.put(e.FaultRecorded(what=what, detail=None))
    assert decided(loop.state, START).rate == 1.0, "once or twice is the host's doing"
    loop.put(e.FaultRecorded(what="box-vanished", detail=None))
    assert decided(loop.state, START).halt
    loop.put(e.Halted(halt="1" * 16, by="the governor", since="2026-01-01T00:00:00+00:00", reason="look"))
    loop.put(e.Resumed(halts=("1" * 16,), reviewer="ann", reason=digest(1), without_person=False))
    loop.put(e.FaultRecorded(what="spawner-lost", detail=None))
    assert decided(loop.state, START).rate == 1.0, "counted anew once a person has looked"
    loop.put(e.FaultRecorded(what="lease-folder", detail=None))
    assert decided(loop.state, START).halt


def test_D4_an_open_incident_lets_nothing_new_begin() -> None:
    loop = governed(lease_s=None)
    body = e.IncidentOpened(
        incident=0, aware="2026-01-01T00:00:00.000Z", text=digest(1), about=None, reviewer="ann", without_person=False
    )
    loop.put(body)
    decision = decided(loop.state, START)
    assert [(r.rule, r.effect) for r in decision.reasons] == [("incident", "hold")]
    assert advice(loop.state, running=False).startswith("festina incident resolve ")  # not: festina run
    over = e.IncidentResolved(
        incident=0, resolved="2026-01-01T00:00:00.000Z", text=digest(1), reviewer="toy", without_person=True
    )
    loop.put(e.ReviewerEnrolled(reviewer="toy", key="x", demo=True), over)
    assert decided(loop.state, START).rate == 0.0, "a demo's key speaks for nobody outside a demo"
    with pytest.raises(IntegrityError, match="enrolment"):
        loop.put(over.model_copy(update={"without_person": False}))
    loop.put(
        e.IncidentResolved(
            incident=0, resolved="2026-01-01T00:00:00.000Z", text=digest(1), reviewer="ann", without_person=False
        )
    )
    assert decided(loop.state, START).rate == 1.0
    assert advice(loop.state, running=False).startswith("festina run")


def test_G2_a_held_or_slowed_loop_begins_nothing_new_and_goes_on_with_what_is_open() -> None:
    loop = PaperLoop(3)
    loop.begin()
    slow = Decision(0.5, (Reason("queue", "slow", "a queue", "festina review", 0.5),))
    held = Decision(0.0, (Reason("incident", "hold", "an incident", "end it"),))
    seen = set()
    for _ in range(400):
        free = loop.facts()
        action = plan.next_action(loop.state, free)
        for decision in (slow, held):
            other = plan.next_action(loop.state, replace(free, governed=decision))
            if isinstance(action, plan.Propose) and action.attempt == 1:
                assert isinstance(other, plan.AwaitPace if decision is slow else plan.Finish)
            elif not isinstance(action, plan.Finish):
                assert other == action
        if isinstance(action, plan.Propose) and action.attempt == 1:
            assert plan.next_action(loop.state, replace(free, governed=slow, rested=True)) == action
        seen.add(type(action))
        if isinstance(action, plan.Finish):
            break
        getattr(loop, f"_{type(action).__name__}")(action)
    assert {plan.RunBatch, plan.Propose, plan.OpenTest} <= seen


def test_G2_changes_that_are_taken_back_slow_the_loop_and_then_pause_it() -> None:
    loop = governed(lease_s=None)
    g = loop.state.govern
    g.accepted = list(range(1, 21))
    for taken, rate in ((0, 1.0), (3, 1.0), (4, 0.5), (8, 0.25)):
        g.taken_back = set(range(1, 1 + taken))  # long ago
        assert abs(decided(loop.state, START).rate - rate) < 1e-9
    g.taken_back = {18, 19, 20}
    assert decided(loop.state, START).first("pause") is not None


# -- capability


def paced(step: float = 2.0, tiers: tuple[e.TierTerms, ...] = (), seed: int = 1) -> PaperLoop:
    loop = governed(lease_s=None, seed=seed)
    suite = e.CapabilityTerms(
        name="skill", scorer="s:f", low=0.0, high=1.0, direction="higher", units=20, batch_items=10, tiers=tiers
    )
    terms = e.GovernTerms(
        lease_s=None, reverts=0.1, pace=e.PaceTerms(step=step, first=0.5, valid_s=86400.0), capabilities=(suite,)
    )
    assert loop.state.epoch is not None
    loop.state.epoch = loop.state.epoch.model_copy(update={"govern": terms})
    return loop


def characterise(loop: PaperLoop, mean: float = 0.4, missing: int = 0, **odd: object) -> None:
    head, number = loop.state.head.number, loop.state.side.count
    loop.put(
        e.MeasureStarted(
            measure=number, purpose="characterisation", generation=head, units=20, trials=20, items=200, fresh=False,
            attempt=loop.state.side.tried("characterisation", head) + 1, source=digest(9),
        ),
        e.Characterised(
            measure=number, generation=head, suite="skill", tree=oid(2), units=20 - missing, items=10 * (20 - missing),
            missing=missing, mean=mean, error=0.02, details=digest(1),
            scores=(mean,) * (20 - missing) + (None,) * missing,
        ).model_copy(update=odd),
        e.MeasureEnded(measure=number, purpose="characterisation"),
    )  # fmt: skip


def test_G2_the_loop_characterises_before_it_begins_and_waits_where_it_cannot() -> None:
    loop = paced()
    assert plan.next_action(loop.state, facts(loop, 60.0)) == plan.Characterise(0)
    characterise(loop, missing=1)  # a suite that fails half-way is none
    assert plan.next_action(loop.state, facts(loop, 60.0)) == plan.Characterise(0)
    characterise(loop, missing=20)
    action = plan.next_action(loop.state, facts(loop, 60.0))
    assert isinstance(action, plan.Finish), "not for ever"
    assert "festina characterise" in action.detail
    characterise(loop)
    assert isinstance(plan.next_action(loop.state, facts(loop, 60.0)), plan.Propose)
    assert plan.next_action(loop.state, facts(loop, 2 * 86400.0)) == plan.Characterise(0), "it expires with time"


def test_G2_no_change_is_accepted_that_moves_further_than_the_step_allows() -> None:
    ends = [_commits(paced(step=step, seed=seed), step) for seed in range(1, 7) for step in (1.0, 4.0, 8.0)]
    assert sum(committed for committed, _ in ends) > 0
    assert sum(held for _, held in ends) > 0


def _commits(loop: PaperLoop, step: float) -> tuple[int, int]:
    """(accepted, held back) until the loop ends."""
    characterise(loop)
    held = committed = 0
    for _ in range(3000):
        free = loop.facts()
        now = replace(free, governed=decided(loop.state, START + timedelta(seconds=60)))
        action, ungoverned = plan.next_action(loop.state, now), plan.next_action(loop.state, free)
        if isinstance(ungoverned, plan.Decide) and ungoverned.verdict == "accept":
            gain, gap = gain_of(loop.state, loop.state.open[ungoverned.test]), reading_of(loop.state, START).gap
            assert gain is not None
            if action == ungoverned:
                committed += 1
                assert gap is not None
                assert gap + gain <= step
            else:
                held += 1
                assert isinstance(action, plan.Characterise | plan.Finish)
        if isinstance(action, plan.Characterise):
            characterise(loop)
        elif isinstance(action, plan.Finish):
            break
        else:
            loop.people()
            getattr(loop, f"_{type(action).__name__}")(action)
    return committed, held


def test_G1_a_tier_without_its_safeguards_halts_and_attested_ones_let_it_go_on() -> None:
    loop = paced(tiers=(e.TierTerms(at=0.45, safeguards=("two-people",)), e.TierTerms(at=0.9, safeguards=("air-gap",))))
    characterise(loop, mean=0.40)
    assert not decided(loop.state, START + timedelta(seconds=60)).halt
    characterise(loop, mean=0.42)  # its interval reaches the tier
    action = plan.next_action(loop.state, facts(loop, 60.0))
    assert isinstance(action, plan.HaltLoop)
    assert "two-people" in action.reason
    until = (START + timedelta(days=1)).isoformat()
    body = e.Attested(
        safeguard="two-people", expires=until, reviewer="nobody", reason=digest(1), without_person=False
    )
    loop.put(body)
    assert decided(loop.state, START + timedelta(seconds=60)).halt, "attested by nobody"
    loop.put(body.model_copy(update={"reviewer": "ann"}))
    assert not decided(loop.state, START + timedelta(seconds=60)).halt
    assert decided(loop.state, START + timedelta(days=2)).halt, "it has run out"


def test_G1_D2_with_tiers_a_release_waits_for_a_characterisation_of_exactly_that_version() -> None:
    loop, at = paced(tiers=(e.TierTerms(at=0.9, safeguards=("air-gap",)),)), START + timedelta(seconds=60)
    assert "not measured whole" in unmeasured(loop.state, 0, at)
    characterise(loop, missing=1)
    assert "not measured whole" in unmeasured(loop.state, 0, at)
    characterise(loop)
    assert unmeasured(loop.state, 0, at) == ""
    assert "too long ago" in unmeasured(loop.state, 0, at + timedelta(days=2))
    assert "too long ago" in unmeasured(loop.state, 0, at - timedelta(days=2)), "a clock jumped back"
    characterise(loop, mean=0.88)
    assert "air-gap" in unmeasured(loop.state, 0, at)
    assert "not measured whole" in unmeasured(loop.state, 1, at), "another version's says nothing"
    assert unmeasured(paced().state, 0, at) == "", "no tier asks for it"


def test_G2_a_suite_that_is_nearly_always_solved_measures_nothing() -> None:
    loop = paced()
    characterise(loop, mean=0.995)
    decision = decided(loop.state, START + timedelta(seconds=60))
    assert [(reason.rule, reason.effect) for reason in decision.reasons] == [("headroom", "hold")]


def test_W3_an_alarm_slows_a_loop_for_which_nobody_declared_a_pace_until_a_person_approved() -> None:
    loop = governed(lease_s=None)
    while loop.state.head.number < 1:
        action = plan.next_action(loop.state, loop.facts())
        assert not isinstance(action, plan.Finish)
        getattr(loop, f"_{type(action).__name__}")(action)
    loop.state.growth.alarms.append(
        e.GrowthAlarm(alarm="jump", generation=1, size=12.0, chance=0.001, gain=4.0, error=0.1, measured=8)
    )
    decision = decided(loop.state, START)
    assert [(r.rule, r.effect, r.rate) for r in decision.reasons] == [("alarm", "slow", 0.5)]
    assert "festina review" in decision.reasons[0].ends
    loop.state.generations[1].approved = 0
    assert decided(loop.state, START).rate == 1.0


def test_W3_G2_an_alarm_of_the_watch_holds_until_it_was_answered() -> None:
    loop = paced(step=50.0)
    characterise(loop)
    while loop.state.head.number < 1:
        action = plan.next_action(loop.state, loop.facts())
        assert not isinstance(action, plan.Finish)
        getattr(loop, f"_{type(action).__name__}")(action)
    body = e.GrowthAlarm(
        alarm="jump", generation=1, size=12.0, chance=0.001, gain=4.0, error=0.1, measured=8
    )
    loop.state.growth.alarms.append(body)
    decision = decided(loop.state, START + timedelta(hours=1))
    assert [(reason.rule, reason.effect) for reason in decision.reasons] == [("alarm", "hold")]
    assert decision.characterise
    characterise(loop)
    assert decided(loop.state, START + timedelta(hours=1)).rate == 1.0
