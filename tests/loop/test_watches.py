"""The watch as part of the state: what does not follow from its events does not fit.  # D-4, L-1"""

from __future__ import annotations

from dataclasses import replace

import pytest

from festina.errors import IntegrityError
from festina.ledger import entries as e
from festina.loop import alarmed
from festina.loop import next as plan
from festina.loop.state import State
from tests.loop.paper import Paper, PaperLoop, digest


@pytest.fixture
def state() -> State:
    """A state with a working line; its generations' commits are real enough to be named."""
    paper = PaperLoop(seed=5, proposals=2)
    paper.begin()
    paper.run()
    return paper.state


def put(state: State, body: e.Body) -> None:
    state.apply(Paper(state.size, body.kind, "2026-11-27T10:00:00.000Z", body, digest(state.size)))


def begin(state: State, *, step: str = "shadow", null: float = 0.5, least: int = 20, share: float = 0.0) -> None:
    generation = state.generations[state.line[-1]]
    put(state, e.WatchStarted(
        watch=len(state.watches.rows), step=step, generation=generation.number, commit=generation.commit, against=0,  # type: ignore[arg-type]
        share=share, tolerate=1.0, null=null, alpha=0.01, least=least,
    ))  # fmt: skip


def count(state: State, events: str, *, requests: int | None = None, failures: int = 0) -> None:
    put(state, e.WatchCounted(
        watch=0, requests=len(events) if requests is None else requests, failures=failures, beside=len(events),
        beside_failures=0, events=events,
    ))  # fmt: skip


def end(state: State, reason: str) -> None:
    put(state, e.WatchEnded(watch=0, reason=reason, detail=""))  # type: ignore[arg-type]


def test_D4_a_watch_passes_with_enough_requests_and_quiet_events(state: State) -> None:
    begin(state)
    count(state, "01" * 10)
    end(state, "passed")
    commit = state.generations[state.line[-1]].commit
    assert state.watches.passed(commit, "shadow") is not None
    assert state.watches.passed(commit, "canary") is None


@pytest.mark.parametrize(
    ("events", "reason", "word"),
    [("0" * 20, "rolled-back", "not what its events say"), ("1" * 40, "passed", "not what its events say"),
     ("1" * 40, "stopped", "not what its events say"), ("0" * 5, "passed", "fewer requests")],
)  # fmt: skip
def test_D4_an_end_that_does_not_follow_from_the_events_does_not_fit(
    state: State, events: str, reason: str, word: str
) -> None:
    begin(state)
    count(state, events)
    with pytest.raises(IntegrityError, match=word):
        end(state, reason)


def test_D4_what_was_taken_back_has_passed_nothing_any_more(state: State) -> None:
    begin(state)
    count(state, "01" * 10)
    end(state, "passed")
    begin(state)
    put(state, e.WatchCounted(watch=1, requests=40, failures=40, beside=40, beside_failures=0, events="1" * 40))
    put(state, e.WatchEnded(watch=1, reason="rolled-back", detail=""))
    assert state.watches.passed(state.generations[state.line[-1]].commit, "shadow") is None


def test_D4_a_watch_with_another_null_or_beside_another_does_not_fit(state: State) -> None:
    with pytest.raises(IntegrityError, match="null"):
        begin(state, null=0.9)
    with pytest.raises(IntegrityError, match="null"):
        begin(state, step="canary", share=0.1, null=0.5)
    begin(state)
    with pytest.raises(IntegrityError, match="beside another"):
        begin(state)
    with pytest.raises(IntegrityError, match="more failures"):
        count(state, "1", failures=3)


def test_D3_a_watch_that_could_never_take_anything_back_passes_nothing(state: State) -> None:
    begin(state, least=5)  # ten times the odds takes twelve failures in a row
    count(state, "01" * 10)
    end(state, "passed")
    assert state.watches.passed(state.generations[state.line[-1]].commit, "shadow") is None


def test_D4_what_an_alarm_leaves_waits_for_a_person_to_open_it(state: State) -> None:
    begin(state)
    count(state, "1" * 40, failures=40)
    end(state, "rolled-back")
    about = state.size - 1
    put(state, e.IncidentDrafted(about=about, text="taken back"))
    assert state.govern.drafts == {about: "taken back"}
    opened = e.IncidentOpened(
        incident=1, aware="2026-11-27T09:00:00.000Z", text=digest(1), about=about, reviewer="nobody",
        without_person=False,
    )
    put(state, opened)
    assert state.govern.drafts, "opened by nobody"
    put(state, opened.model_copy(update={"reviewer": "ann"}))
    assert not state.govern.drafts
    assert state.govern.incidents, "the incident itself holds the loop until it is resolved"
    with pytest.raises(IntegrityError, match="comes later"):
        put(state, e.IncidentDrafted(about=state.size, text="x"))


def halt(state: State, by: str) -> None:
    put(state, e.Halted(halt=f"{state.size:016x}", by=by, since="2026-11-27T10:00:00.000Z", reason="it is worse"))
    state.halts.standing.clear()  # a person has looked


def test_D4_a_run_stops_at_an_alarm_whose_watch_died_before_it_acted() -> None:
    paper = PaperLoop(seed=5, proposals=12)
    paper.begin()
    while len(paper.state.line) < 2:
        getattr(paper, f"_{type(action := plan.next_action(paper.state, paper.facts())).__name__}")(action)
    state = paper.state
    begin(state)
    count(state, "01" * 10)
    assert alarmed.left(state) is None, "a watch that is going on"
    assert not isinstance(plan.next_action(state, paper.facts()), plan.HaltLoop)
    count(state, "1" * 40)
    action = plan.next_action(state, paper.facts())
    assert isinstance(action, plan.HaltLoop)
    assert "taken back by the monitor" in action.reason
    halt(state, "the governor")
    left = alarmed.left(state)
    assert left is not None
    assert (left.generation, left.by, left.watch, left.halted) == (state.line[-1], "monitor", 0, False)
    halt(state, "monitor")
    assert alarmed.left(state) == replace(left, halted=True), "its end alone is missing"
    end(state, "rolled-back")
    assert alarmed.left(state) is None
