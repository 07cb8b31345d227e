"""The ladder of autonomy in the loop: what each rung does, who steps up, what takes the highest away for good."""

from __future__ import annotations

import random
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import event, given, settings
from hypothesis import strategies as st

from festina.cli.autonomy import standing
from festina.errors import IntegrityError, UsageError
from festina.ledger import entries as e
from festina.loop import acts, autonomy
from festina.loop import next as plan
from festina.loop.unattended import rests_on
from festina.report import reviewed
from festina.review.seats import moment
from tests.loop.paper import PaperLoop, digest, oid

START = datetime(2026, 1, 1, tzinfo=UTC)
SUITE = e.CapabilityTerms(
    name="skill", scorer="s:f", low=0.0, high=1.0, direction="higher", units=20, batch_items=10,
    tiers=(e.TierTerms(at=0.9, safeguards=("two-people",)),),
)  # fmt: skip
GOVERN = e.GovernTerms(
    lease_s=36000.0, reverts=0.5, pace=e.PaceTerms(step=90.0, first=0.5, valid_s=30000.0), capabilities=(SUITE,)
)


def now(loop: PaperLoop, more_s: float = 0.0) -> datetime:
    return moment(loop.state.last_at) + timedelta(seconds=more_s)


def on(rung: e.Rung, seed: int = 1, **more: Any) -> PaperLoop:
    loop = PaperLoop(seed, autonomy=rung, govern=GOVERN, **more)
    loop.begin()
    return loop


def stepped(loop: PaperLoop, rung: e.Rung, **more: Any) -> None:
    body = e.AutonomyStepped(
        before=loop.state.govern.autonomy.rung, rung=rung, expires=None, trust="yes", cites=(1,), reviewer="ann",
        reason=digest(1), without_person=False,
    )  # fmt: skip
    loop.put(body.model_copy(update=more))


def attested(loop: PaperLoop, lasts_s: float = 50000.0) -> None:
    until = (START + timedelta(seconds=lasts_s)).isoformat()
    loop.put(e.Attested(safeguard="two-people", expires=until, reviewer="ann", reason=digest(1), without_person=False))


def characterised(loop: PaperLoop) -> None:
    head, number = loop.state.head.number, loop.state.side.count
    loop.put(
        e.MeasureStarted(
            measure=number, purpose="characterisation", generation=head, units=20, trials=20, items=200, fresh=False,
            attempt=loop.state.side.tried("characterisation", head) + 1, source=digest(9),
        ),
        e.Characterised(
            measure=number, generation=head, suite="skill", tree=oid(2), units=20, items=200, missing=0, mean=0.4,
            error=0.02, details=digest(1),
        ),
        e.MeasureEnded(measure=number, purpose="characterisation"),
    )  # fmt: skip


def until(loop: PaperLoop, kind: Any, limit: int = 4000, **facts: Any) -> Any:
    for _ in range(limit):
        action = plan.next_action(loop.state, replace(loop.facts(), **facts))
        if isinstance(action, kind):
            return action
        assert not isinstance(action, plan.Finish), action
        getattr(loop, f"_{type(action).__name__}")(action)
    raise AssertionError(kind)


def unattended(seed: int = 1) -> PaperLoop:
    """Attested, characterised and signed: the highest rung, before anything was proposed."""
    loop = on("unattended", seed)
    until(loop, plan.Propose)
    attested(loop)
    characterised(loop)
    stepped(loop, "unattended", expires=(START + timedelta(seconds=40000)).isoformat())
    assert loop.state.govern.autonomy.rung == "unattended"
    return loop


def test_G7_at_observe_only_what_others_hand_in_is_judged_and_nothing_moves() -> None:
    for seed in range(4):
        loop = on("observe", seed, approve=1.0, proposals=40)
        done = until(loop, plan.Finish)
        assert (done.reason, loop.state.proposals) == ("finished", {}), "it proposes nothing by itself"
        while not isinstance(action := until(loop, plan.Propose | plan.Finish, queued=True), plan.Finish):
            loop._Propose(action)
        words = {p.word for p in loop.state.proposals.values()}
        assert loop.state.line == [0]
        if "accepted" in words:
            assert not loop.state.reviews
            assert loop.state.generations.keys() == {0}
            break
    else:
        raise AssertionError("nothing was accepted")
    with pytest.raises(UsageError, match="nothing is released"):
        acts._may_leave(loop.state)


def test_G7_an_entry_that_merges_at_observe_does_not_fit() -> None:
    loop = on("observe", 1)
    for _ in range(40):
        until(loop, plan.Propose, queued=True)
        action = plan.next_action(loop.state, replace(loop.facts(), queued=True))
        loop._Propose(action)
        decision = until(loop, plan.Decide | plan.Propose, queued=True)
        if isinstance(decision, plan.Decide) and decision.verdict == "accept":
            proposal = loop.state.open[decision.test].proposal
            loop._Decide(decision)
            body = e.LineIntent(
                move=loop.state.moves, cause="accept", generation=1, old_commit=oid(1), new_commit=oid(7),
                proposal=proposal,
            )  # fmt: skip
            with pytest.raises(IntegrityError, match="cannot move there"):
                loop.put(body)
            return
    raise AssertionError("nothing was accepted")


def test_G7_at_propose_only_the_line_moves_and_neither_improver_nor_release_leave_the_loop() -> None:
    loop = on("propose-only", 3, approve=1.0, proposals=30)
    seen = set()
    for _ in range(3000):
        loop.people()
        action = plan.next_action(loop.state, loop.facts())
        seen.add(type(action))
        if isinstance(action, plan.Finish):
            break
        getattr(loop, f"_{type(action).__name__}")(action)
    assert len(loop.state.line) > 1
    assert any(g.approved is not None for g in loop.state.generations.values())
    assert plan.PutInForce not in seen
    assert loop.state.in_force == 0
    with pytest.raises(UsageError, match="a person takes the patch"):
        acts._may_leave(loop.state)
    stepped(loop, "release-by-approval", trust="no")
    assert loop.state.govern.autonomy.rung == "propose-only", "the rules allow no more, and trust says no"


def test_G7_nobody_goes_up_but_by_one_rung_with_a_signature_and_what_trust_says() -> None:
    loop = on("observe")
    mine = loop.state.govern.autonomy
    loop.state.epoch = loop.state.epoch.model_copy(update={"autonomy": "unattended"})  # type: ignore[union-attr]
    for body in ({"reviewer": "nobody"}, {"trust": "no"}, {"before": "propose-only"}, {"rung": "release-by-approval"}):
        stepped(loop, **({"rung": "propose-only"} | body))
        assert mine.rung == "observe", body
    assert len(loop.state.ignored) == 4
    loop.put(e.ReviewerEnrolled(reviewer="toy", key="x", demo=True))
    stepped(loop, "propose-only", reviewer="toy", without_person=True)
    assert mine.rung == "observe", "a demo's key speaks for nobody outside a demo"
    stepped(loop, "propose-only", trust="cannot tell yet")
    stepped(loop, "release-by-approval", trust="cannot tell yet")
    assert [move.rung for move in mine.moves] == ["propose-only", "release-by-approval"]
    stepped(loop, "observe", trust="no")
    assert mine.rung == "observe", "down goes any number at once, and asks for nothing"


def test_G7_the_highest_rung_asks_for_a_yes_and_for_everything_that_it_rests_on() -> None:
    loop = on("unattended")
    until(loop, plan.Propose)
    mine, ends = loop.state.govern.autonomy, (START + timedelta(seconds=40000)).isoformat()
    stepped(loop, "unattended", expires=ends)
    attested(loop)
    stepped(loop, "unattended", expires=ends)
    characterised(loop)
    for more in ({"trust": "cannot tell yet"}, {"expires": None}, {"expires": START.isoformat()}, {"expires": "soon"}):
        stepped(loop, "unattended", **({"expires": ends} | more))
    assert mine.rung == "release-by-approval"
    assert len(loop.state.ignored) == 6
    stepped(loop, "unattended", expires=ends)
    assert (mine.rung, mine.grant is not None) == ("unattended", True)


def test_R5_G7_where_reviews_take_two_people_so_does_the_highest_rung() -> None:
    loop = on("unattended")
    until(loop, plan.Propose)
    terms = e.ReviewTerms(
        people=2, lines_per_hour=500.0, max_lines=400, per_hour=6, per_day=20, max_waiting=10, cooling_off_s=0.0,
        catch_rate=0.0, authority=0.0,
    )  # fmt: skip
    loop.state.epoch = loop.state.epoch.model_copy(update={"review": terms})  # type: ignore[union-attr]
    loop.put(e.ReviewerEnrolled(reviewer="bob", key="k2", demo=False))
    attested(loop)
    characterised(loop)
    mine, ends = loop.state.govern.autonomy, (START + timedelta(seconds=40000)).isoformat()
    stepped(loop, "unattended", expires=ends)
    stepped(loop, "unattended", expires=ends)
    assert mine.rung == "release-by-approval", "the same person twice is one person"
    stepped(loop, "unattended", expires=ends, reviewer="bob")
    assert mine.rung == "unattended"
    assert mine.grant is not None
    assert mine.grant.people == ("ann", "bob")


FALLS = {
    "an incident": lambda loop: loop.put(
        e.IncidentOpened(incident=1, aware="2026-01-01T00:00:00.000Z", text=digest(1), about=None, reviewer="ann",
                         without_person=False)
    ),
    "a halt": lambda loop: loop.put(e.Halted(halt="1" * 16, by="x", since="2026-01-01T00:00:00.000Z", reason="")),
    "an escape": lambda loop: loop.put(e.FaultRecorded(what="tree-would-not-die", detail=None)),
    "an alarm": lambda loop: loop.state.growth.alarms.append(
        e.GrowthAlarm(alarm="jump", generation=0, size=9.0, chance=0.001, gain=4.0, error=0.1, measured=9)
    ),
    "a lapsed lease": lambda loop: setattr(loop.state.govern, "alive", "2025-12-01T00:00:00.000Z"),
    "a lapsed characterisation": lambda loop: loop.state.govern.abilities.clear(),
    "a lapsed safeguard": lambda loop: attested(loop, lasts_s=1.0),
}  # fmt: skip


@pytest.mark.parametrize("what", FALLS)
def test_G7_it_falls_by_itself_and_never_comes_back_by_itself(what: str) -> None:
    loop = unattended()
    FALLS[what](loop)
    if what == "an alarm":  # no characterisation has looked at it
        loop.state.govern.abilities.clear()
    assert autonomy.rung_at(loop.state, now(loop)) == "release-by-approval"
    assert autonomy.release_due(loop.state, now(loop)) is None
    loop.state.growth.alarms.clear()
    attested(loop)  # whatever mends it comes too late: the entry itself shows that it had lapsed
    characterised(loop)
    loop.put(e.Renewed(reviewer="ann", without_person=False))
    assert loop.state.govern.autonomy.rung == "release-by-approval"
    fell = loop.state.govern.autonomy.moves[-1]
    assert fell.why
    told = reviewed.rungs(loop.state)[-1]  # in the report
    assert (told.seq, told.what) == (fell.seq, "autonomy")
    assert told.text == f"unattended -> release-by-approval by {fell.at[:16]}Z: {fell.why}"
    row = standing(loop.state, now(loop))["moves"][-1]  # in status and autonomy
    assert (row["entry"], row["at"], row["why"]) == (fell.seq, fell.at, fell.why)


def test_G7_new_rules_are_no_signature() -> None:
    loop = unattended()
    assert loop.state.epoch is not None
    loop.put(loop.state.epoch.model_copy(update={"epoch": 1}))
    assert loop.state.govern.autonomy.rung == "release-by-approval"
    stepped(loop, "observe")
    loop.put(loop.state.epoch.model_copy(update={"epoch": 2}))
    assert loop.state.govern.autonomy.rung == "observe", "what a person lowered no manifest raises"


def released(loop: PaperLoop, **more: Any) -> None:
    grant, head = loop.state.govern.autonomy.grant, loop.state.head
    body = e.ReleaseIntent(
        release=loop.state.releases, cause="release", generation=head.number, old_commit=None, new_commit=head.commit,
        review=None, grant=grant.seqs[-1] if grant is not None else 0,
    )  # fmt: skip
    loop.put(body.model_copy(update=more))


def test_L2_what_witnesses_must_have_seen_of_a_release_without_asking_is_its_signed_step_too() -> None:
    loop = grown()
    proposal = loop.state.head.proposal
    assert proposal is not None
    verdict, mine = loop.state.proposals[proposal].verdict_seq, loop.state.govern.autonomy
    assert mine.grant is not None
    assert verdict is not None
    assert verdict > max(mine.grant.seqs)
    assert rests_on(loop.state, proposal) == verdict
    mine.grant = replace(mine.grant, seqs=(1, verdict + 3))  # signed anew, after the verdict
    assert rests_on(loop.state, proposal) == verdict + 3
    mine.grant = None
    assert rests_on(loop.state, proposal) is None


def grown() -> PaperLoop:
    """The highest rung, and a first accepted change on the line that left the improver alone."""
    for seed in range(1, 20):
        loop = unattended(seed)
        while loop.state.head.number == 0 or loop.state.move is not None:
            action = plan.next_action(loop.state, loop.facts())
            if isinstance(action, plan.Finish):
                break
            getattr(loop, f"_{type(action).__name__}")(action)
        else:
            loop.state.head.improver_changed = False
            return loop
    raise AssertionError("nothing was accepted")


def test_G7_an_accepted_change_is_measured_whole_and_then_released_without_asking() -> None:
    loop = grown()
    due = autonomy.release_due(loop.state, now(loop))
    assert due == 1
    assert until(loop, plan.Characterise, release_due=due) == plan.Characterise(1)
    with pytest.raises(IntegrityError, match="without approval"):
        released(loop)  # not measured yet
    characterised(loop)
    assert until(loop, plan.ReleaseAlone, release_due=due) == plan.ReleaseAlone(1)
    with pytest.raises(IntegrityError, match="without approval"):
        released(loop, grant=3)  # another entry than the signed step
    with pytest.raises(IntegrityError, match="without approval"):
        released(loop, grant=None)
    released(loop)
    loop._FinishRelease(None)
    assert (loop.state.released, loop.state.head.granted is not None) == (1, True)
    assert loop.state.needs_review, "people look at it all the same"
    assert autonomy.release_due(loop.state, now(loop)) is None
    assert loop.state.head.fit, "a roll back may come back to it"


@pytest.mark.parametrize(
    "how",
    ["improver", "person:ann:notes", "planted:a", "outside:theirs:0123", "denied", "provisional", "doubtful", "steps"],
)
def test_G7_R1_what_the_highest_rung_never_covers(how: str) -> None:
    loop = grown()
    characterised(loop)
    head = loop.state.head
    assert autonomy.covers(loop.state, head, now(loop)) == ""
    if how == "improver":
        head.improver_changed = True
    elif ":" in how:
        head.author = how
    elif how == "denied":
        head.denied = True
    elif how == "doubtful":
        head.doubtful = True
        assert loop.state.epoch is not None
        loop.state.twins = autonomy_twins(loop)
    elif how == "steps":
        loop.state.epoch = loop.state.epoch.model_copy(update={"release_steps": ("canary",)})  # type: ignore[union-attr]
    else:
        assert head.verdict is not None
        head.verdict = head.verdict.model_copy(update={"provisional": True})
    assert autonomy.covers(loop.state, head, now(loop))
    with pytest.raises(IntegrityError):
        released(loop)


def autonomy_twins(loop: PaperLoop) -> Any:
    from festina.loop import sameness

    assert loop.state.epoch is not None
    twins = sameness.begin(loop.state.epoch.model_copy(update={"control_share": 0.1}), 1)
    assert twins is not None
    twins.alarm = 5
    return twins


@settings(max_examples=25, deadline=None)
@given(st.integers(1, 10**6), st.lists(st.sampled_from(["incident", "halt", "lapse", "sign", "deny"]), max_size=4))
def test_G7_whatever_happens_nothing_leaves_unasked_but_on_a_rung_that_stood(seed: int, events: list[str]) -> None:
    loop = PaperLoop(seed, autonomy="unattended", govern=GOVERN, proposals=12, approve=0.7)
    loop.begin()
    until(loop, plan.Propose)
    attested(loop)
    characterised(loop)
    ends = (START + timedelta(seconds=40000)).isoformat()
    stepped(loop, "unattended", expires=ends)
    coins, left, unasked = random.Random(seed), list(events), 0
    for _ in range(1500):
        if left and coins.random() < 0.05:
            _happens(loop, left.pop(), ends)
        s = loop.state
        due = autonomy.release_due(s, now(loop))
        action = plan.next_action(s, replace(loop.facts(), release_due=due))
        if isinstance(action, plan.Finish):
            break
        if isinstance(action, plan.Characterise):
            characterised(loop)
        elif isinstance(action, plan.ReleaseAlone):
            mine, head = s.govern.autonomy, s.head
            assert mine.rung == "unattended"
            assert not s.govern.incidents
            assert not s.halts.standing
            assert datetime.fromisoformat(s.govern.safeguards["two-people"]) > now(loop)
            newest = max(n for n in s.line if s.generations[n].approved is not None or n == s.line[0])
            assert not any(s.generations[n].improver_changed for n in s.line if newest < n <= head.number)
            assert s.govern.complete_all(s, head.number)
            released(loop)
            unasked += 1
        else:
            if isinstance(action, plan.Screen):
                loop.state.proposals[action.proposal].author = "own"
            getattr(loop, f"_{type(action).__name__}")(action)
            for g in loop.state.generations.values():  # what a paper loop screens changes the improver: half of it
                if g.parent is not None and not g.commit and g.number % 2:
                    g.improver_changed = False
            loop.people()
    event(f"released unasked: {unasked > 0}")


def _happens(loop: PaperLoop, what: str, ends: str) -> None:
    s = loop.state
    if what == "incident":
        FALLS["an incident"](loop)
    elif what == "halt":
        number = f"{len(loop.records):016x}"
        loop.put(e.Halted(halt=number, by="x", since="2026-01-01T00:00:00.000Z", reason=""))
        loop.put(e.Resumed(halts=(number,), reviewer="ann", reason=digest(1), without_person=False))
    elif what == "lapse":
        attested(loop, lasts_s=1.0)
        attested(loop)
    elif what == "sign":
        stepped(loop, "unattended", expires=ends)
    elif s.line and s.head.parent is not None:
        s.head.denied = True


def test_G7_what_runs_out_between_quiet_entries_is_seen_at_the_first_entry_after_it() -> None:
    loop = unattended()
    lasts = len(loop.records) + 30  # an entry a second on paper
    attested(loop, lasts_s=float(lasts))
    for _ in range(60):
        loop.start_run()
    moved = loop.state.govern.autonomy.moves[-1]
    assert (moved.seq, moved.rung) == (lasts, "release-by-approval")
    assert "two-people" in moved.why
