"""Planted defects on paper: blind before the verdict, out of every count after it, and never on the line."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace
from typing import Any, cast

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from festina.errors import IntegrityError
from festina.ledger import entries as e
from festina.ledger.statement import commitment
from festina.loop import next as plan
from festina.loop import planting, plants, proposing
from festina.loop.bench import Bench
from festina.loop.state import State, fold
from festina.propose.plants import Plant
from festina.propose.types import Budget as Limits
from festina.propose.types import Proposal
from festina.report.fold import fold as read_report
from festina.report.html import page
from festina.select.budget import Budget
from tests.loop.paper import PaperLoop

relaxed = settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.too_slow])
loops = st.builds(
    PaperLoop, seed=st.integers(0, 10**6), proposals=st.integers(1, 8), approve=st.floats(0, 1),
    guards=st.integers(0, 1), share=st.sampled_from([0.0, 0.1]), plant=st.floats(0.05, 0.7),
    plant_gain=st.sampled_from([None, 0.6]),
)  # fmt: skip


@relaxed
@given(loops)
def test_V7_a_plant_reaches_neither_line_nor_review_nor_budget(loop: PaperLoop) -> None:
    loop.begin()
    loop.run()
    assert fold(loop.records) == loop.state
    state, free = State(), 0.05
    planted = {r.body.proposal for r in loop.records if r.kind == "plant-revealed"}
    for record in loop.records:
        state.apply(record)
        assert isinstance(state.budget, Budget) or state.budget is None
        if record.kind == "line-intent":
            assert record.body.proposal not in planted
        if record.kind == "review-requested":
            assert state.generations[record.body.generation].proposal not in planted
        if record.kind == "test-opened" and record.body.proposal in planted:
            assert state.budget is not None
            free = state.budget.free + record.body.level  # before it took its level
        if record.kind == "plant-revealed" and state.proposals[record.body.proposal].verdict_seq is not None:
            assert state.budget is not None
            assert state.budget.free == pytest.approx(free, abs=1e-15)
            assert not state.budget.reserved
    for number in planted:
        assert loop.planted(number)
        assert all(g.proposal != number for g in loop.state.generations.values())
    left_open = {n for n in loop.origins if loop.planted(n)} - planted - {loop.state.current}
    left_open -= {t.proposal for t in loop.state.open.values()} | set(loop.state.again)
    assert not left_open  # each is revealed, whatever cut in between


@relaxed
@given(loops)
def test_S1_the_levels_of_real_tests_are_those_of_a_ledger_without_plants(loop: PaperLoop) -> None:
    """The error budget over the real tests alone, recomputed: plants leave no trace in it."""
    loop.begin()
    loop.run()
    planted = {r.body.proposal for r in loop.records if r.kind == "plant-revealed"}
    budget = Budget(0.05, 50.0)
    tests: dict[int, e.TestOpened] = {}
    state = State()
    for record in loop.records:
        before = state.open.get(record.body.test) if record.kind == "verdict" else None
        state.apply(record)
        if record.kind == "test-opened" and record.body.proposal not in planted:
            level, budget = budget.open()
            assert record.body.level == level
            tests[record.body.test] = record.body
        if record.kind == "verdict" and record.body.test in tests:
            assert before is not None
            from festina.select import gate

            accepted = record.body.verdict == "accept"
            refund = 0.0 if accepted else gate.refund_share(before.progress)
            budget = budget.close(tests[record.body.test].level, accepted, refund)


def under_way(loop: PaperLoop) -> int:
    """The one proposal that is screened or tested."""
    return next((t.proposal for t in loop.state.open.values()), loop.state.current or -1)


def with_plants(gain: float | None = None, *, start: int = 0) -> PaperLoop:
    for seed in range(start, 60):
        loop = PaperLoop(seed=seed, proposals=8, plant=0.5, plant_gain=gain, approve=1.0)
        loop.begin()
        loop.run()
        if any(p.missed if gain else p.judged for p in loop.state.plants):
            return loop
    raise AssertionError("no loop planted anything")


def test_V7_before_the_reveal_no_entry_tells_a_plant_from_another() -> None:
    """Same kinds, same fields, same author; the one difference is what a salted commitment hides."""
    loop = with_plants()
    planted = {p.proposal for p in loop.state.plants}
    received = [r for r in loop.records if r.kind == "proposal-received" and r.body.patch is not None]
    asked = {r.body.proposal: r.body for r in loop.records if r.kind == "proposal-requested"}
    for record in received:
        assert set(record.commitments) == {"origin"}
        assert len(record.commitments["origin"]) == 64
    shapes = {
        (n in planted, asked[n].improver, asked[n].from_generation == asked[n].from_generation)
        for n in asked
    }
    assert {shape[1:] for shape in shapes if shape[0]} <= {shape[1:] for shape in shapes if not shape[0]}
    assert len({r.commitments["origin"] for r in received}) == len(received)  # salted: equal values look different


def test_V7_a_missed_plant_is_counted_as_missed_and_moves_nothing() -> None:
    loop = with_plants(0.6)
    missed = next(p for p in loop.state.plants if p.missed)
    verdict = next(r.body for r in loop.records if r.kind == "verdict" and r.body.proposal == missed.proposal)
    assert verdict.verdict == "accept"
    assert missed.proposal not in {g.proposal for g in loop.state.generations.values()}
    data = read_report(loop.records, lambda _: b"{}")
    assert missed.proposal not in {p.proposal for p in data.proposals}
    assert {p.proposal for p in data.plants} == {p.proposal for p in loop.state.plants}
    assert sum(p.trials for p in data.plants) == sum(p.trials for p in loop.state.plants)
    assert data.trials == loop.state.trials
    assert "planted on purpose" in page(data, plots=False)


def test_V7_L5_nobody_can_call_a_real_acceptance_a_plant_afterwards() -> None:
    """The attack: an engine that accepted something bad wants it out of the count."""
    loop = with_plants()
    real = next(g for g in loop.state.generations.values() if g.proposal is not None)
    p = loop.state.proposals[real.proposal]
    assert p.received_seq is not None
    salt, _ = loop.origins[p.number]
    fields = {"proposal": p.number, "received": p.received_seq, "salt": salt.hex(), "defect": "null",
              "basis": "construction", "trials": 0, "origin": plants.origin_of("null", "construction", 0)}  # fmt: skip
    with pytest.raises(IntegrityError, match="sealed"):
        loop.put(e.PlantRevealed(**fields))
    # the control: with a commitment that fits, it is the line that says no
    p.origin = commitment(salt, str(fields["origin"]))
    with pytest.raises(IntegrityError, match="line moved"):
        loop.put(e.PlantRevealed(**fields))


def test_L3_a_reveal_doubled_or_dropped_does_not_fold() -> None:
    loop = with_plants()
    at = next(i for i, r in enumerate(loop.records) if r.kind == "plant-revealed")
    doubled = [*loop.records[: at + 1], loop.records[at], *loop.records[at + 1 :]]
    with pytest.raises(IntegrityError):
        fold([replace(r, seq=i) for i, r in enumerate(doubled)])


def test_V7_a_reveal_comes_before_anything_else() -> None:
    loop = PaperLoop(seed=1)
    loop.begin()
    facts = plan.Facts(1e9, interrupted=True, plant_due=4)
    assert plan.next_action(loop.state, facts) == plan.RevealPlant(4)


def test_V7_a_plant_that_a_new_epoch_cut_off_is_revealed_and_counts_neither_way() -> None:
    for seed in range(40):
        loop = PaperLoop(seed=seed, proposals=8, plant=0.6)
        loop.begin()
        for _ in range(400):
            action = plan.next_action(loop.state, plan.Facts(0.0, plant_due=loop.due()))
            if isinstance(action, plan.Finish):
                break
            if isinstance(action, plan.Screen | plan.RunBatch) and loop.planted(under_way(loop)):
                opened = next(r.body for r in loop.records if r.kind == "epoch-opened")
                loop.put(opened.model_copy(update={"epoch": 1, "reason": "new rules"}))
                assert loop.due() is not None
                budget = loop.state.budget
                loop._RevealPlant(plan.RevealPlant(loop.due() or 0))
                assert loop.state.budget == budget == Budget(0.05, 50.0)
                assert [p.judged for p in loop.state.plants][-1] is False
                assert loop.due() is None
                return
            getattr(loop, "_" + type(action).__name__)(action)
    raise AssertionError("no plant was under way in 40 loops")


def test_V7_a_plant_takes_no_proposal_from_the_run() -> None:
    loop = with_plants()
    real = [r for r in loop.records if r.kind == "proposal-requested" and r.body.attempt == 1]
    planted = {p.proposal for p in loop.state.plants}
    assert sum(r.body.proposal not in planted for r in real) <= 8
    assert loop.state.run_proposals == sum(r.body.proposal not in planted for r in real)


class Asking:
    """An improver whose answers cost something, and are told apart by their number."""

    author = "model:m"

    def __init__(self) -> None:
        self.asked = 0

    def propose(self, view: object, budget: object) -> Proposal:
        self.asked += 1
        return Proposal(self.author, files={"skill.json": b"%d" % self.asked}, rationale=f"words {self.asked}",
                        predicted=float(self.asked), wall_s=0.0, cpu_s=0.25, repairs=2)  # fmt: skip


def test_V7_E5_a_planted_slot_asks_models_like_any_other_and_what_came_is_handed_in_later(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    plant = Plant("mistake", "construction", {"skill.json": b"bad"}, "claim")
    slots = {1: planting.Slot(7, cast(Any, None), "", "", asks=True)}
    monkeypatch.setattr(planting, "slot", lambda _, number: slots.get(number))
    monkeypatch.setattr(planting, "_choose", lambda *_: (plant, "construction", 0))
    rows = {1: SimpleNamespace(plant=None)}
    b = cast(Bench, SimpleNamespace(
        state=SimpleNamespace(proposals=rows), propose_budget=Limits(), wall_s=99.0, elapsed_s=0.0, cut_off=False,
        kept=None,
    ))  # fmt: skip
    improver = Asking()

    def made(number: int, base: str = "tree") -> proposing.Made:
        return proposing._work(b, improver, cast(Any, None), number, base, plants=True)()

    planted = made(1)
    assert isinstance(planted.proposal, Proposal)
    assert planted.origin.startswith("planted:mistake")
    assert planted.proposal.files == {"skill.json": b"bad"}
    mine = planted.proposal
    assert (mine.author, mine.rationale, mine.predicted) == ("model:m", "words 1", 1.0)
    assert (mine.cpu_s, mine.repairs) == (0.25, 2)
    assert improver.asked == 1  # its calls stand in the record, as in any slot
    before = made(2)  # the plant is not revealed: a slot without calls would tell it
    assert (improver.asked, before.origin) == (2, planting.IMPROVER)
    rows[1] = SimpleNamespace(plant=object())
    elsewhere = made(3, "another tree").proposal
    assert isinstance(elsewhere, Proposal)
    assert elsewhere.rationale == "words 3"  # the line has moved: it fits no more
    later = made(4)
    assert isinstance(later.proposal, Proposal)
    assert (later.proposal.rationale, improver.asked) == ("words 1", 3)  # what was paid for is handed in
    made(5)
    assert improver.asked == 4  # and once
