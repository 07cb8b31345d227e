"""Scales, leaks and new abilities as part of the state: what does not follow from signed scores does not fit.  # G-1"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from festina.errors import IntegrityError
from festina.ledger import entries as e
from festina.loop import abilities
from festina.loop.governing import decided
from festina.loop.state import State
from tests.loop.paper import Paper, PaperLoop, digest

SOURCE, OTHER = "5" * 64, "6" * 64
NOW = datetime(2026, 11, 27, 10, 0, 1, tzinfo=UTC)


def terms(name: str = "x", **more: Any) -> e.CapabilityTerms:
    return e.CapabilityTerms(
        name=name, scorer="s:f", low=0.0, high=1.0, direction="higher", units=20, batch_items=10, **more
    )  # fmt: skip


def rules(state: State, *suites: e.CapabilityTerms) -> None:
    assert state.epoch is not None
    govern = e.GovernTerms(lease_s=None, reverts=0.1, capabilities=suites)
    state.epoch = state.epoch.model_copy(update={"govern": govern})


@pytest.fixture
def state() -> State:
    paper = PaperLoop(seed=5, proposals=2)
    paper.begin()
    paper.run()
    rules(paper.state, terms())
    return paper.state


def put(state: State, body: e.Body) -> None:
    state.apply(Paper(state.size, body.kind, "2026-11-27T10:00:00.000Z", body, digest(state.size)))


def characterise(
    state: State, scores: tuple[float | None, ...], *, number: int = 0, source: str = SOURCE, suite: str = "x"
) -> abilities.Run:  # fmt: skip
    known, measure = [score for score in scores if score is not None], state.side.count
    put(state, e.MeasureStarted(
        measure=measure, purpose="characterisation", generation=number, units=len(scores), trials=len(scores),
        attempt=state.side.tried("characterisation", number) + 1, items=10 * len(scores), source=source, fresh=False,
    ))  # fmt: skip
    put(state, e.Characterised(
        measure=measure, generation=number, suite=suite, tree="0" * 40, units=len(known), items=10 * len(known),
        missing=len(scores) - len(known), mean=sum(known) / max(1, len(known)), error=0.05, details="0" * 64,
        scores=scores,
    ))  # fmt: skip
    put(state, e.MeasureEnded(measure=measure, purpose="characterisation"))
    return state.govern.skills.runs[suite][-1]


def at(state: State, number: int = 0) -> abilities.Standing:
    found = abilities.standing(abilities.view(state), abilities.terms_of(state)[0], number)
    assert found is not None
    return found


SCORES = tuple((i % 8 + 1) / 10 for i in range(20))


def test_G1_what_answered_nothing_was_not_measured(state: State) -> None:
    """A mean of nothing is 0: for an inclination, the best there is."""
    rules(state, terms().model_copy(update={"direction": "lower"}))
    characterise(state, (None,) * 20)
    (said,) = abilities.lines(abilities.view(state), 0)
    assert said == "x: not measured; none of 20 units gave an answer"


def test_L1_G1_a_scale_that_its_scores_do_not_give_is_refused(state: State) -> None:
    run = characterise(state, SCORES)
    right = abilities.locking(abilities.view(state), terms(), run)
    assert right is not None
    for change in ({"difficulties": (0.0,) * 20}, {"at": 1.0}, {"generation": 1}, {"source": OTHER}, {"measure": 9}):
        with pytest.raises(IntegrityError, match="does not follow from the scores"):
            put(state, right.model_copy(update=change))
    put(state, right)
    with pytest.raises(IntegrityError, match="does not follow"):
        put(state, right)  # once for its items, for good
    assert (at(state).level, at(state).scale, at(state).used) == (pytest.approx(0.0, abs=1e-6), "good", 20)
    characterise(state, tuple(min(1.0, score + 0.2) for score in SCORES), number=state.line[-1])
    assert (at(state, state.line[-1]).level or 0.0) > 1.0
    assert "breadth" in abilities.lines(abilities.view(state), state.line[-1])[-1], "of one domain"


def test_L1_new_items_are_linked_through_the_version_that_answered_both(state: State) -> None:
    head = state.line[-1]
    put(state, abilities.locking(abilities.view(state), terms(), characterise(state, SCORES)))  # type: ignore[arg-type]
    characterise(state, tuple(min(1.0, score + 0.2) for score in SCORES), number=head)
    reached = at(state, head).level
    made = abilities.locking(abilities.view(state), terms(), characterise(state, SCORES, number=head, source=OTHER))
    assert made is not None
    assert made.linked
    assert made.at == reached
    put(state, made)
    assert at(state, head).level == pytest.approx(reached, abs=1e-6)
    assert at(state, 0).scale == "no scale", "what answered the old items alone stands on the new scale nowhere"


def test_G1_leaked_and_exhausted_anchors_are_named_and_lower_the_standing(state: State) -> None:
    put(state, abilities.locking(abilities.view(state), terms(), characterise(state, SCORES)))  # type: ignore[arg-type]
    gone = e.AnchorsLeaked(suite="x", source=SOURCE, generation=0, places=(0, 1, 2, 3))
    put(state, gone)
    assert (at(state).scale, at(state).used, at(state).leaked) == ("weakened", 16, (0, 1, 2, 3))
    assert "16 of 20 anchors count; leaked: unit 0, 1, 2, 3" in at(state).sentence()
    assert abilities.suites_lost(abilities.view(state), 0) == {}
    put(state, gone.model_copy(update={"places": tuple(range(11))}))
    assert abilities.suites_lost(abilities.view(state), 0) == {"x": "its scale is lost"}
    with pytest.raises(IntegrityError, match="never ran"):
        put(state, gone.model_copy(update={"suite": "y"}))
    state.govern.skills.leaked.clear()
    rules(state, terms(shows=1))
    assert at(state).scale == "good"
    characterise(state, SCORES)
    assert abilities.suites_lost(abilities.view(state), 0) == {"x": "its scale is lost"}
    assert at(state).sentence().endswith("all were shown as often as allowed")


def test_W3_G1_a_new_ability_holds_the_loop_until_a_person_approved_that_version(state: State) -> None:
    head = state.line[-1]
    state.generations[head].approved = None
    characterise(state, (0.0,) * 20)
    assert abilities.new_abilities(abilities.view(state)) == ()
    assert "too hard: cannot tell" in abilities.lines(abilities.view(state), 0)[0]
    characterise(state, (0.0,) * 10 + (0.5,) * 10, number=head)
    assert abilities.new_abilities(abilities.view(state)) == (("x", head),)
    (reason,) = [r for r in decided(state, NOW).reasons if r.rule == "new-ability"]
    assert (reason.effect, str(head) in reason.waits_for) == ("hold", True)
    assert any(line.startswith("NEW: ") for line in abilities.lines(abilities.view(state), head))
    state.generations[head].approved = 0
    assert abilities.new_abilities(abilities.view(state)) == ()
    assert not [r for r in decided(state, NOW).reasons if r.rule == "new-ability"]


def test_L1_S4_a_mean_that_its_unit_scores_do_not_give_is_found(state: State) -> None:
    from festina.verify.account import Account
    from festina.verify.capabilities import summary

    body = characterise(state, SCORES).body
    mean, error = summary(SCORES)
    right = body.model_copy(update={"mean": mean, "error": error})
    assert Account().check(9, "characterised", right) == []
    found = Account().check(9, "characterised", right.model_copy(update={"mean": mean + 0.1}))
    assert [each.field for each in found] == ["mean"]
    assert Account().check(9, "characterised", body.model_copy(update={"scores": ()})) == [], "an older record"


def test_G1_a_version_that_does_not_answer_shows_no_ability_and_locks_nothing(state: State) -> None:
    run = characterise(state, (*SCORES[:-1], None))
    assert abilities.locking(abilities.view(state), terms(), run) is None
    assert at(state).scale == "no scale"
    characterise(state, (0.9,) * 19 + (None,), number=state.line[-1])
    assert abilities.new_abilities(abilities.view(state)) == ()
