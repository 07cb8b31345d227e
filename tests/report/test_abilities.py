"""The report says what each version can do in the words of the loop, from its own reading.  # G-1, D-3"""

from __future__ import annotations

from festina.ledger import entries as e
from festina.loop import abilities as loops
from festina.report.abilities import Abilities, section
from festina.report.markup import Html
from tests.loop.paper import Paper, PaperLoop
from tests.loop.test_abilities import SCORES, characterise, rules, terms
from tests.loop.test_soaks import LATER, TERMS, counted, soak


def test_C1_the_report_says_what_status_says_of_the_same_entries() -> None:
    paper = PaperLoop(seed=5, proposals=2)
    paper.begin()
    paper.run()
    state, seen = paper.state, Abilities()
    assert state.epoch is not None
    rules(state, terms())
    state.epoch = state.epoch.model_copy(update={"soaks": (TERMS,), "outcomes": LATER})
    applied, records = state.apply, []
    seen.take(Paper(0, "epoch-opened", "2026-11-27T09:00:00.000Z", state.epoch, "0" * 64))

    class Both:
        """The state, whose entries the report reads, too."""

        def __getattr__(self, name: str) -> object:
            return getattr(state, name)

        def apply(self, record: Paper) -> None:
            applied(record)
            seen.take(record)
            records.append(record)

    both: loops.State = Both()  # type: ignore[assignment, name-defined, attr-defined]
    run = characterise(both, SCORES)
    scale = loops.locking(loops.view(state), terms(), run)
    assert isinstance(scale, e.AnchorsLocked)
    both.apply(Paper(state.size, scale.kind, "2026-11-27T10:00:00.000Z", scale, "1" * 64))
    head = state.line[-1]
    characterise(both, tuple(min(1.0, score + 0.2) for score in SCORES), number=head)
    soak(both, -0.3, -0.2)
    state.released_history.append(head)
    counted(both, "1" * 40)
    said = [row.text for row in seen.rows(state.line, head)]
    for n in (0, head):
        for line in loops.lines(loops.view(state), n):
            assert f"Generation {n}, {line}." in said
    assert any("worse by more than 0.1" in text for text in said)
    assert any("40 of 40 went badly" in text for text in said)
    alerts = [row for row in seen.rows(state.line, head) if row.alert]
    assert len(alerts) == 2
    page = str(section(seen.rows(state.line, head), lambda seq: Html(f"[{seq}]")))
    assert page.count("<li>") == len(said)
    assert section((), lambda _: Html("")) == ""
