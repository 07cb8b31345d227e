"""Each gate's price beside its catch: what the record says, counted once, and nothing that it does not say."""

from __future__ import annotations

from typing import Literal

import pytest

from festina.ledger import entries as e
from festina.report.data import GateRow
from festina.report.gates import Gates, _total, gates
from tests.loop.paper import Paper, PaperLoop, digest, oid


def rows(loop: PaperLoop) -> dict[str, GateRow]:
    return {row.key: row for row in gates(loop.records)}


@pytest.mark.parametrize("at_once", [1, 3])
def test_G7_every_trial_is_some_gates_and_what_was_caught_is_what_the_state_counts(at_once: int) -> None:
    loop = PaperLoop(5, proposals=25, share=0.1, plant=0.3, at_once=at_once)
    loop.begin()
    loop.run()
    found, s = rows(loop), loop.state
    assert {"scope", "controls", "evidence", "plants", "same"} <= found.keys()
    attributions = sum(
        r.body.trials for r in loop.records if r.kind == "measure-started" and r.body.purpose == "attribution"
    )
    assert sum(row.trials for row in found.values()) == s.trials - attributions, "no trial twice, none left out"
    words = [p.word for p in s.proposals.values()]
    assert found["scope"].caught == words.count("refused")
    verdicts = [r.body for r in loop.records if r.kind == "verdict" and not r.body.again]
    real = [b.verdict for b in verdicts if s.proposals[b.proposal].plant is None]
    assert (found["evidence"].tried, found["evidence"].caught) == (len(real), len(real) - real.count("accept"))
    planted = [b.verdict for b in verdicts if s.proposals[b.proposal].plant is not None]
    assert (found["plants"].tried, found["plants"].caught) == (len(planted), len(planted) - planted.count("accept"))
    assert found["people"].caught == sum(g.denied or False for g in s.generations.values())
    assert all(row.seqs and row.cost for row in found.values())


def test_G7_a_loop_that_stood_still_says_for_whom_and_how_long() -> None:
    made = Gates()

    def put(at: int, body: e.Body) -> None:
        made.take(Paper(at, body.kind, f"2026-01-01T00:{at // 60:02d}:{at % 60:02d}.000Z", body, digest(at)))

    end = e.RunEnded(run="r", reason="waiting", detail="nobody has reviewed the last generations: x", wall_s=1.0)
    start = e.RunStarted(
        run="r", improver="own", frozen_improver=False, wall_s=1.0, trials=1, proposals=1, sandbox_level=3,
        sandbox_missing=(), sandbox_policy=digest(5), separated_uids=True,
    )  # fmt: skip
    put(10, end)
    put(40, start)
    put(50, end.model_copy(update={"detail": "No person has given a sign of life in time: festina renew"}))
    put(70, start)
    put(80, e.Halted(halt="1" * 16, by="the governor", since="x", reason="a tier"))
    put(85, e.Halted(halt="2" * 16, by="ann", since="x", reason="lunch"))
    put(90, e.Resumed(halts=("1" * 16, "2" * 16), reviewer="ann", reason=digest(1), without_person=False))
    put(100, end.model_copy(update={"reason": "finished"}))
    put(110, end)
    put(130, e.FaultRecorded(what="disk-full", detail=None))
    found = {row.key: row for row in made.rows()}
    assert found["people"].still_s == 30.0 + 20.0, "the last wait goes on until the record's end"
    assert found["pace"].still_s == 20.0 + 10.0, "a person's own halt is no gate's"
    assert found["pace"].words == "1 halt, 0 alarms of growth"
    assert found == {row.key: row for row in made.rows()}, "asking changes nothing"


def test_G7_what_ran_side_by_side_counts_once() -> None:
    assert _total([(0.0, 10.0), (5.0, 12.0), (20.0, 21.0), (6.0, 7.0)]) == 13.0


def asked(review: int) -> e.ReviewRequested:
    return e.ReviewRequested(
        review=review, generation=1, commit=oid(1), improver_changed=False, patch=digest(3), evidence=digest(4),
        evaluator=digest(5), binding=digest(1), expires="2026-02-01T00:00:00.000Z", protocol=2, base=oid(0),
    )  # fmt: skip


def decided(review: int, who: str, word: Literal["approve", "deny"]) -> e.ReviewDecided:
    return e.ReviewDecided(
        review=review, binding=digest(1), reviewer=who, decision=word, reason=digest(2), without_person=False
    )


def test_R5_no_count_tells_what_somebody_said_before_the_review_is_settled() -> None:
    made = Gates()

    def put(*bodies: e.Body) -> dict[str, str]:
        for body in bodies:
            made.take(Paper(0, body.kind, "2026-01-01T00:00:00.000Z", body, oid(0)))
        return {row.key: row.words for row in made.rows()}

    assert not put(asked(0), decided(0, "ann", "deny"), decided(0, "bob", "approve"))
    settled = e.ReviewSettled(review=0, outcome="deny", votes=(1, 2), origin="", salt="", answer=0)
    assert put(settled) == {"people": "1 of 1 decision denied"}
    taken_back = e.ReviewWithdrawn(review=1, binding=digest(1), reviewer="ann", decided=5, reason=digest(2))
    caught = settled.model_copy(update={"review": 1, "outcome": "catch"})
    said = put(asked(1), decided(1, "ann", "deny"), taken_back, decided(1, "ann", "approve"), caught)
    assert said == {"people": "1 of 1 decision denied; 0 of 1 catch trial caught"}


def test_G7_R3_a_catch_trial_is_no_denial_of_a_real_change() -> None:
    made = Gates()
    bodies: tuple[e.Body, ...] = (
        asked(0),
        decided(0, "ann", "deny"),
        e.ReviewSettled(review=0, outcome="catch", votes=(0,), origin="catch:x:y:z", salt="", answer=0),
        decided(1, "ann", "deny"),
        decided(1, "bob", "approve"),
    )  # fmt: skip
    for seq, body in enumerate(bodies):
        made.take(Paper(seq, body.kind, "2026-01-01T00:00:00.000Z", body, oid(seq)))
    (row,) = made.rows()
    assert row.words == "1 of 1 decision denied; 1 of 1 catch trial caught"


def test_G7_a_soak_and_what_became_of_a_release_are_gates_with_their_price() -> None:
    made = Gates()
    started = e.MeasureStarted(
        measure=0, purpose="soak", generation=1, attempt=1, units=20, trials=40, items=400, source=None, fresh=False
    )
    soak = e.Soaked(
        measure=0, suite="long", generation=1, tree=oid(1), base=oid(2), units=20, items=400, mean=0.5, base_mean=0.5,
        estimate=0.0, interval=(-0.3, 0.3), answer="cannot tell", details=digest(1),
    )  # fmt: skip
    came = e.OutcomesCounted(
        batch=0, generation=1, commit=oid(1), rows=digest(2), events="0", first="2026-01-01T00:00:00Z",
        last="2026-01-01T00:00:00Z",
    )  # fmt: skip
    bodies = (
        started, soak, e.MeasureEnded(measure=0, purpose="soak"), came, came, e.IncidentDrafted(about=4, text="badly"),
        e.Halted(halt="1" * 16, by="outcomes", since="x", reason="badly"),
    )  # fmt: skip
    for seq, body in enumerate(bodies):
        made.take(Paper(seq, body.kind, f"2026-01-01T00:00:{seq:02d}.000Z", body, oid(seq)))
    found = {row.key: row for row in made.rows()}
    assert (found["soak"].seconds, found["soak"].trials, found["soak"].caught, found["soak"].seqs) == (2.0, 40, 1, (1,))
    assert (found["outcomes"].tried, found["outcomes"].caught, found["outcomes"].seqs) == (2, 1, (4,))
    assert found["outcomes"].words == "1 of 2 outcome files took a version back"
    assert found["pace"].words == "1 halt, 0 alarms of growth"
