"""What was tried in public, as the report reads it: the archive's own account, and nothing that cannot be told yet."""

from __future__ import annotations

import math

import pytest

from festina.loop import searching
from festina.report.data import Tried, TryRow
from festina.report.fold import fold
from festina.report.html import page
from festina.report.tries import section
from tests.loop.paper import Searching


@pytest.fixture(scope="module")
def loop() -> Searching:
    loop = Searching(seed=5, proposals=4, at_once=2, approve=1.0)
    loop.begin()
    loop.run()
    return loop


def test_P7_the_report_shows_the_archives_trees_parents_and_gains(loop: Searching) -> None:
    data = fold(loop.records, lambda _: b"{}")
    known = searching.archive(loop.state)
    assert known is not None
    assert len(known.nodes) > 5
    assert {row.node: row.parent for row in data.tried.trees} == {n: node.parent for n, node in known.nodes.items()}
    for row in data.tried.trees:
        assert row.works == known.nodes[row.node].works
        if row.gain is not None and row.parent is not None:
            assert math.isclose(row.gain, known.gain(row.node, row.parent), abs_tol=1e-12)
    assert data.trials == loop.state.trials  # E-1: tries are runs, too
    assert data.tried.runs == loop.state.search.runs


def test_P7_what_was_handed_in_stands_by_its_tree_with_the_gates_word(loop: Searching) -> None:
    data = fold(loop.records, lambda _: b"{}")
    words = {number: word for row in data.tried.trees for number, word in row.judged}
    judged = {p.number: p.word for p in loop.state.proposals.values() if p.word in ("accepted", "rejected")}
    assert judged
    assert all(words[number] == word for number, word in judged.items())
    text = page(data, plots=False)
    assert "Tried in public" in text
    assert all(f"proposal {number}: {word}" in text for number, word in judged.items())


def test_V7_a_tree_is_named_with_no_proposal_before_that_is_judged(loop: Searching) -> None:
    first = next(at for at, record in enumerate(loop.records) if record.kind == "verdict")
    data = fold(loop.records[:first], lambda _: b"{}")
    assert data.tried.trees
    assert not any(row.judged for row in data.tried.trees)


def test_T5_a_long_chain_by_a_hostile_author_is_shown_harmless() -> None:
    rows = [TryRow(0, None, "the start", 1, (0.0,))]
    rows += [TryRow(n, n - 1, "<script>\u202e", n, (0.1 * n,), 0.1) for n in range(1, 3000)]
    text = section(Tried(tuple(rows), 3000, 2), lambda *_: "")  # type: ignore[arg-type, return-value]
    assert "<script>" not in text
    assert "\u202e" not in text
    assert "the first 150 of 3,000" in text
    assert section(Tried(), lambda *_: "") == ""  # type: ignore[arg-type, return-value]
