"""A safety case holds where its evidence does, and says what speaks against it."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from dataclasses import replace
from datetime import date
from pathlib import Path

import pytest
from click.testing import CliRunner

from festina.cli.report import command
from festina.errors import UsageError
from festina.report.case.check import Checked, check
from festina.report.case.forms import FORMS, as_svg
from festina.report.case.model import DOCUMENT, Case, load, parse
from festina.report.law.incidents import People, Statement
from festina.report.trust.model import Ground, Stage, Trust
from tests.report.made_ledger import made_run
from tests.report.test_command import ledger as ledger  # a fixture
from tests.report.test_trust import trust

DAY = date(2026, 11, 27)


def sound() -> Trust:
    """A judgement in which every ground that our case names is a yes."""
    found = trust(made_run())
    stages = {s.name: {g.name: g for g in s.grounds} for s in found.stages}
    for node in load().node:
        if node.ground is not None:
            stage, _, name = node.ground.partition("/")
            stages.setdefault(stage, {})[name] = Ground(name, "yes", "as seen", (1,))  # type: ignore[arg-type]
    made = tuple(
        Stage(name, "", tuple(g for g in rows.values() if g.answer == "yes"))  # type: ignore[arg-type]
        for name, rows in stages.items()
    )
    return replace(found, stages=made)


def stated(*nodes: str, text: str = "we looked", by: str = "ann", person: bool = True, seq: int = 999) -> People:
    said = {
        (DOCUMENT, node, by): Statement(seq, "2026-11-26T10:00:00.000Z", DOCUMENT, node, text, by, not person)
        for node in nodes
    }
    return People(statements=said)


OURS = [node.id for node in load().node if node.stated]


def whole(people: People | None = None, judged: Trust | None = None, case: Case | None = None) -> Checked:
    return check(case or load(), judged or sound(), people or stated(*OURS), DAY)


def test_a_case_whose_leaves_all_hold_holds() -> None:
    assert whole().top.state == "holds"
    assert whole().problems == ()


@pytest.mark.parametrize("node", [n.id for n in load().node if n.ground or n.stated])
def test_any_leaf_that_fails_keeps_the_top_from_holding(node: str) -> None:
    row = next(n for n in load().node if n.id == node)
    if row.stated:
        found = whole(stated(*(n for n in OURS if n != node)))
        assert found.top.state == "cannot be ruled out"
    else:
        stage, _, name = (row.ground or "").partition("/")
        for answer, state in (("no", "does not hold"), ("cannot tell yet", "cannot be ruled out")):
            judged = sound()
            stages = tuple(
                replace(
                    s,
                    grounds=tuple(
                        replace(g, answer=answer) if (s.name, g.name) == (stage, name) else g for g in s.grounds
                    ),
                )
                for s in judged.stages
            )
            found = whole(judged=replace(judged, stages=stages))
            assert found.top.state == state
            assert [p.node.id for p in found.problems] == [node]
        gone = tuple(
            replace(s, grounds=tuple(g for g in s.grounds if (s.name, g.name) != (stage, name))) for s in judged.stages
        )
        assert whole(judged=replace(judged, stages=gone)).top.state == "unsupported"


def test_a_demonstration_key_states_nothing_and_people_who_differ_leave_it_open() -> None:
    assert whole(stated(*OURS, person=False)).top.state == "cannot be ruled out"
    both = stated(*OURS)
    both.statements.update(stated("tiers", text="no", by="bob").statements)
    assert [p.node.id for p in whole(both).problems] == ["tiers"]


def test_W5_evidence_stated_of_an_earlier_version_is_not_of_this_one() -> None:
    judged = sound()
    assert judged.since > 0
    before = whole(stated(*OURS, seq=judged.since - 1), judged=judged)
    evidence = {n.id for n in load().node if n.stated and n.kind == "evidence"}
    assert evidence
    assert {p.node.id for p in before.problems} == evidence
    assert all("earlier version" in p.why for p in before.problems)
    assert whole(stated(*OURS, seq=judged.since), judged=judged).top.state == "holds"


SMALL = """
[case]
title = "t"
version = "1"
[[node]]
id = "top"
kind = "claim"
text = "It is fine"
[[node]]
id = "e"
kind = "evidence"
parent = "top"
text = "seen"
stated = true
[[node]]
id = "a"
kind = "assumption"
parent = "top"
text = "traffic stays as it is"
until = 2026-12-01
"""


def test_an_assumption_that_ended_and_a_claim_without_support_do_not_hold() -> None:
    case = parse(SMALL.encode(), "case.toml")
    assert whole(stated("e"), case=case).top.state == "holds"
    assert check(case, sound(), stated("e"), date(2026, 12, 2)).top.state == "does not hold"
    bare = parse(SMALL.replace("stated = true", "").encode(), "case.toml")
    assert whole(stated("e"), case=bare).top.state == "unsupported"
    lone = parse(SMALL[: SMALL.index('[[node]]\nid = "e"')].encode(), "case.toml")
    assert whole(case=lone).top.state == "unsupported"


@pytest.mark.parametrize(
    ("old", "new", "word"),
    [
        ('parent = "top"\ntext = "seen"', 'parent = "nowhere"\ntext = "seen"', "nowhere"),
        ('parent = "top"\ntext = "seen"', 'parent = "a"\ntext = "seen"', "nothing below it"),
        ('parent = "top"\ntext = "seen"', 'text = "seen"', "exactly one"),
        ('id = "a"', 'id = "e"', "one id"),
        ("until = 2026-12-01", 'until = "soon"', "until"),
        ("stated = true", "stated = true\nscore = 0.9", "score"),
        ("stated = true", "until = 2026-12-01", "assumption"),
        ('kind = "claim"', 'kind = "hope"', "kind"),
    ],
)
def test_a_bad_case_is_named_with_its_node(old: str, new: str, word: str) -> None:
    with pytest.raises(UsageError, match=word) as caught:
        parse(SMALL.replace(old, new).encode(), "case.toml")
    assert caught.value.where == "case.toml"


def test_a_circle_is_refused() -> None:
    circle = (
        SMALL
        + '[[node]]\nid = "x"\nkind = "claim"\ntext = "x"\nparent = "y"\n'
        + '[[node]]\nid = "y"\nkind = "claim"\ntext = "y"\nparent = "x"\n'
    )
    with pytest.raises(UsageError, match="circle"):
        parse(circle.encode(), "case.toml")


def test_T5_every_form_has_every_node_and_nothing_is_markup() -> None:
    people = stated(*OURS, text="<script>alert(1)</script>\u202e")
    found = whole(people)
    for name, form in FORMS.items():
        text = form(found)
        for row in found.nodes:
            assert row.node.id in text, (name, row.node.id)
        assert "\u202e" not in text or name == "json"
    picture = ET.fromstring(as_svg(found))
    assert picture.tag.endswith("svg")
    assert not [e for e in picture.iter() if e.tag.endswith("script")]


def test_boxes_of_the_picture_do_not_overlap() -> None:
    from festina.report.case.forms import HIGH, WIDE, _laid_out

    boxes = list(_laid_out(whole()).values())
    for i, one in enumerate(boxes):
        for other in boxes[i + 1 :]:
            assert abs(one.x - other.x) >= WIDE or abs(one.y - other.y) >= HIGH


def test_festina_report_case_says_what_stands_in_the_way(ledger: Path, tmp_path: Path) -> None:
    done = CliRunner().invoke(command, ["--ledger", str(ledger), "case", "-o", str(tmp_path / "case.txt")])
    assert done.exit_code == 3, done.output
    assert "stand in the way" in done.stderr
    assert "claim top" in (tmp_path / "case.txt").read_text()
