"""A material change waits for the update of the Model Report, an unjudged one where the rules say so.  # C-1"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from festina.errors import UsageError
from festina.ledger import entries as e
from festina.ledger.log import Draft
from festina.loop import material, stating
from festina.loop.state import fold
from festina.report.fold import fold as read
from festina.report.law import incidents
from festina.report.law.documents import build
from festina.report.law.packs import find, load
from tests.web.signed import SignedLoop

UPDATE = "eu.model-report-update"


@dataclass
class DocumentedLoop(SignedLoop):
    """Its epoch may ask for documents."""

    documents: e.DocumentTerms | None = None

    def _draft(self, body: e.Body) -> Draft:
        if isinstance(body, e.EpochOpened):
            body = body.model_copy(update={"documents": self.documents})
        return super()._draft(body)


def made(place: Path, documents: e.DocumentTerms | None) -> DocumentedLoop:
    loop = DocumentedLoop(seed=3, proposals=30, guards=1, place=place, documents=documents)
    loop.begin()
    while len(loop.state.line) < 3:
        loop.some(10)
    return loop


@pytest.fixture
def asked(tmp_path: Path) -> Iterator[DocumentedLoop]:
    loop = made(tmp_path, e.DocumentTerms(undetermined=True, update=UPDATE))
    yield loop
    assert loop.ledger is not None
    loop.ledger.close()


def person(loop: DocumentedLoop) -> stating.Person:
    assert loop.ledger is not None
    return stating.Person(loop.ledger, loop.state, loop.home, "ann")


def name_of(loop: DocumentedLoop, number: int) -> str:
    found = material.problem(loop.state, number)
    return found.name if found is not None else ""


def test_C1_an_unjudged_change_blocks_a_release_where_the_rules_ask(asked: DocumentedLoop) -> None:
    first, second = material.changes(asked.state, asked.state.line[2])
    assert name_of(asked, second) == "materiality-undetermined"
    stating.determine(person(asked), first, (), text="a constant")
    assert name_of(asked, first) == ""
    with pytest.raises(UsageError, match=f"generation {second} is material"):
        material.require(asked.state, second)
    stating.determine(person(asked), second, (), text="a constant, too")
    material.require(asked.state, second)


def test_C1_a_material_change_waits_for_an_update_confirmed_after_it_was_judged(asked: DocumentedLoop) -> None:
    first, second = material.changes(asked.state, asked.state.line[2])
    early = stating.confirm(person(asked), UPDATE, second, b"{}")
    stating.determine(person(asked), first, ("capabilities", "use"), text="it now calls tools")
    stating.determine(person(asked), second, (), text="a constant")
    assert early.seq >= 0
    assert name_of(asked, second) == "material-change"  # what was confirmed before does not count
    stating.confirm(person(asked), "release-card", second, b"{}")
    assert name_of(asked, second) == "material-change"  # nor does another document
    stating.confirm(person(asked), UPDATE, second, b"{}")
    assert name_of(asked, second) == ""
    stating.determine(person(asked), second, ("incident",), text="a near miss came of it")
    assert name_of(asked, second) == "material-change"
    stating.determine(person(asked), second, (), text="it came of something else")  # taken back by who said it
    assert name_of(asked, second) == ""
    assert asked.ledger is not None
    assert fold(asked.ledger.records()).outside == asked.state.outside


def test_C1_what_was_declared_material_blocks_also_where_the_rules_ask_for_nothing(tmp_path: Path) -> None:
    loop = made(tmp_path, None)
    number = loop.state.line[1]
    assert name_of(loop, number) == ""
    record = stating.determine(person(loop), number, ("evaluation",), text="the suite leaked")
    assert name_of(loop, number) == "material-change"
    with pytest.raises(UsageError, match="no change on the working line"):
        stating.determine(person(loop), 0, (), text="the start changes nothing")
    assert loop.ledger is not None
    people = incidents.fold(loop.ledger.records(), loop.ledger.get_blob)
    data = read(loop.ledger.records(), loop.ledger.get_blob, root=loop.ledger.root().hex())
    pack, kind = find(load(), UPDATE)
    ledger = loop.ledger
    document = build(pack, kind, data, people, lambda seq: ledger.record(seq).leaf)
    lines = next(c for c in document.cells if c.name == "triggers_1_to_5").lines
    assert (lines[-1].by, lines[-1].entries) == ("ann", (record.seq,))
    assert lines[-1].text == f"generation {number} is material (evaluation): the suite leaked"
    loop.ledger.close()


def test_C1_R1_a_judgement_of_nobody_enrolled_or_about_another_commit_counts_for_nothing(asked: DocumentedLoop) -> None:
    number = asked.state.line[1]
    assert asked.ledger is not None
    body = e.MaterialityDetermined(
        generation=number, commit="9" * 40, material=False, triggers=(), text="a" * 64, reviewer="ann",
        without_person=False,
    )  # fmt: skip
    for record in asked.ledger.append([Draft(body, signer=asked.ann)]):
        asked.state.apply(record)
    assert name_of(asked, number) == "materiality-undetermined"
    with pytest.raises(UsageError, match="may not state"):
        stating.Person(asked.ledger, asked.state, asked.home, "eve")
