"""How predictions came true, read from a ledger: the loop's fold and the report's give the same scores."""

from __future__ import annotations

from dataclasses import replace

from festina.errors import IntegrityError
from festina.ledger import entries as e
from festina.loop import growth
from festina.loop.growth import predictions, sentences
from festina.loop.outlook import gains
from festina.loop.state import State, fold
from festina.report.fold import fold as report
from festina.report.growth import levels
from tests.loop.paper import Paper, PaperLoop


def said(loop: PaperLoop) -> list[Paper]:
    """The same ledger, where every second change predicts a gain of .3 and the others that nothing comes of them."""

    def with_words(body: e.Body) -> e.Body:
        if not isinstance(body, e.ProposalReceived) or body.patch is None:
            return body
        return body.model_copy(update={"predicted": 0.3 * (body.proposal % 2)})

    return [replace(record, body=with_words(record.body)) for record in loop.records]


def no_blob(digest: str) -> bytes:
    raise IntegrityError("blob-missing", "no such blob")


def test_P6_L1_state_and_report_score_the_same_predictions_and_leave_planted_changes_out() -> None:
    planted = scored = drawn = 0
    for seed in range(6):
        loop = PaperLoop(seed, proposals=16, plant=0.3)
        loop.begin()
        loop.run()
        s = fold(said(loop))  # type: ignore[arg-type]
        found = predictions(s)
        shown = report(said(loop), no_blob)
        assert found == shown.predictions
        assert shown.growth == levels(gains(s))  # C-4: what the report draws is the loop's own reading
        drawn += len(shown.growth) > 2
        judged = [p for p in s.proposals.values() if p.word in ("accepted", "rejected") or p.reason == "cap"]
        mine = [p for p in judged if p.plant is not None]
        assert sum(each.judged for each in found) == sum(each.predictions for each in found)
        assert sum(each.judged for each in found) <= len(judged) - len(mine)
        assert [each.sentence for each in found] == [line for line in sentences(s) if line.startswith("Predicted")]
        planted, scored = planted + len(mine), scored + sum(each.predictions for each in found)
    assert min(planted, drawn) > 3
    assert scored > 20


def test_P6_new_rules_begin_a_new_record_and_no_verdict_hangs_on_a_prediction() -> None:
    loop = PaperLoop(3, proposals=12)
    loop.begin()
    loop.run()
    silent, loud = fold(loop.records), fold(said(loop))  # type: ignore[arg-type]
    assert predictions(silent) == ()
    assert predictions(loud)  # positive control
    assert [p.word for p in silent.proposals.values()] == [p.word for p in loud.proposals.values()]
    epoch = next(r.body for r in loop.records if r.kind == "epoch-opened")
    loop.put(epoch.model_copy(update={"epoch": 1, "reason": "another scorer"}))
    assert predictions(fold(said(loop))) == report(said(loop), no_blob).predictions == ()  # type: ignore[arg-type]


def test_P6_what_was_told_before_is_told_anew_after_each_verdict() -> None:
    """A page keeps the scores between verdicts: after every entry they are those of a fold that never asked before."""
    loop = PaperLoop(2, proposals=10, plant=0.3)
    loop.begin()
    loop.run()
    asked, seen = State(), 0
    for record in said(loop):
        asked.apply(record)  # type: ignore[arg-type]
        if asked.line:
            assert predictions(asked) == growth._predictions(asked)
            seen += bool(predictions(asked))
    assert seen > 20
