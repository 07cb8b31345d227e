"""The loop's decisions, on paper: whatever people, crashes and candidates do, the rules of the line hold."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from festina.cli.assurance import block_lines
from festina.errors import IntegrityError
from festina.loop import next as plan
from festina.loop.state import State, fold
from tests.loop.paper import PaperLoop

loops = st.builds(PaperLoop, seed=st.integers(0, 10**6), proposals=st.integers(1, 10), approve=st.floats(0, 1),
                  guards=st.integers(0, 2), at_once=st.integers(1, 4),
                  error=st.sampled_from(["familywise", "fdr"]))  # fmt: skip
relaxed = settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])


@relaxed
@given(loops)
def test_L1_the_state_is_a_fold_and_replays_to_the_same(loop: PaperLoop) -> None:
    loop.begin()
    loop.run()
    again = fold(loop.records)
    assert again == loop.state


@relaxed
@given(loops)
def test_R1_no_improver_is_in_force_without_approval(loop: PaperLoop) -> None:
    loop.begin()
    loop.run()
    state = State()
    for record in loop.records:
        state.apply(record)
        if state.line:
            in_force = state.generations[state.in_force]
            assert in_force.parent is None or in_force.approved is not None


@relaxed
@given(loops)
def test_S1_the_budget_is_never_overdrawn_and_every_test_is_decided_once(loop: PaperLoop) -> None:
    loop.begin()
    loop.run()
    decided: set[int] = set()
    state = State()
    for record in loop.records:
        state.apply(record)
        if record.kind == "verdict":
            assert record.body.test not in decided
            decided.add(record.body.test)
        if state.budget is not None:
            assert -1e-12 <= state.budget.left <= 0.05 + 1e-12
            assert state.budget.spent <= 0.05 + 1e-12


@relaxed
@given(loops)
def test_S8_no_candidate_is_accepted_against_another_base_than_the_head(loop: PaperLoop) -> None:
    loop.begin()
    loop.run()
    state = State()
    for record in loop.records:
        if record.kind == "verdict" and record.body.verdict == "accept":
            assert record.body.base_commit == state.head.commit
        state.apply(record)


@relaxed
@given(loops)
def test_G3_the_line_never_runs_further_ahead_of_people_than_the_policy_says(loop: PaperLoop) -> None:
    loop.begin()
    loop.run()
    state = State()
    for record in loop.records:
        state.apply(record)
        if state.line and state.epoch is not None:
            assert state.debt[0] <= state.epoch.debt_generations


@relaxed
@given(loops, st.integers(0, 10**6))
def test_L3_an_entry_dropped_doubled_or_swapped_does_not_fold(loop: PaperLoop, pick: int) -> None:
    loop.begin()
    loop.run()
    records = loop.records
    ends = [i for i, r in enumerate(records) if r.kind in ("line-moved", "batch-ended", "verdict", "screened")]
    at = ends[pick % len(ends)]
    doubled = [*records[: at + 1], records[at], *records[at + 1 :]]
    renumbered = [replace(r, seq=i) for i, r in enumerate(doubled)]
    with pytest.raises(IntegrityError):
        fold(renumbered)
    with pytest.raises(IntegrityError):
        fold(records[:at] + records[at + 1 :])


def test_G6_a_run_that_is_interrupted_stops_before_anything_new() -> None:
    loop = PaperLoop(seed=1)
    loop.begin()
    loop._StartLine(None)
    assert isinstance(plan.next_action(loop.state, plan.Facts(0.0, interrupted=True)), plan.FinishMove)
    loop._FinishMove(None)
    action = plan.next_action(loop.state, plan.Facts(0.0, interrupted=True))
    assert isinstance(action, plan.Finish)
    assert action.reason == "interrupted"


def test_E5_a_spent_time_budget_ends_the_run_and_keeps_the_open_test() -> None:
    loop = PaperLoop(seed=3)
    loop.begin()
    for _ in range(200):
        action = plan.next_action(loop.state, plan.Facts(0.0))
        if isinstance(action, plan.RunBatch):
            break
        getattr(loop, "_" + type(action).__name__)(action)
    assert loop.state.open
    action = plan.next_action(loop.state, plan.Facts(1e9))
    assert isinstance(action, plan.Finish)
    assert action.reason == "budget"
    assert loop.state.open


def test_V2_failed_controls_stop_the_run_before_any_trial() -> None:
    loop = PaperLoop(seed=4)
    loop.begin()
    loop._StartLine(None)
    loop._FinishMove(None)
    from festina.ledger import entries as e

    loop.put(e.ControlsChecked(run="r", constant=1.0, random=1.0, oracle=1.0, incumbent=None, ok=False, note="equal"))
    action = plan.next_action(loop.state, plan.Facts(0.0))
    assert isinstance(action, plan.Finish)
    assert action.reason == "fault"


@pytest.mark.parametrize("mode", ["fresh", "sealed", "ledger"])
def test_P4_words_that_miss_their_slot_are_counted_and_said_with_a_remedy(mode: str) -> None:
    """On paper an entry takes a second and a slot five, so some tests outlast it; on fresh items there are no slots."""
    loop = PaperLoop(3, proposals=6, mode=mode)
    loop.begin()
    loop.run()
    said = "\n".join(block_lines(loop.state))
    assert bool(loop.state.late) == (mode != "fresh")
    assert ("word_every" in said) == (mode != "fresh")
    assert all(seconds >= 10.0 for seconds in loop.state.late)
    if mode == "ledger":
        assert loop.state.budget.nats > 4.0 * len(loop.state.late)  # what a late word costs  # S-1
