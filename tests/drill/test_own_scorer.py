"""The drill against the user's own scorer: planted holes are named with their line; a good scorer raises no alarm."""

from __future__ import annotations

import pytest

from festina.drill.own import asking, scorer, source
from festina.verify import probes
from tests.attacks.test_evaluator import Tap
from tests.drill.systems import SCORERS, scorer_holes, with_scorer
from tests.toy import make_toy
from tests.verify.home import MARK, Home


@pytest.mark.parametrize(
    ("planted", "attack", "line"),
    [
        ("substring", "constant/everything", 3),
        ("evaluates", "payload/code", 3),
        ("answered-only", "denominator/memory", 6),
        pytest.param("tolerant", "numbers/not-a-number", 2, marks=pytest.mark.slow),
        pytest.param("excuses", "denominator/abstain", 2, marks=pytest.mark.slow),
        pytest.param("pattern", "constant/pattern", 5, marks=pytest.mark.slow),
        pytest.param("judge", "judge/instructions", 3, marks=pytest.mark.slow),
    ],
)
def test_V2_a_careless_scorer_is_a_hole_with_its_line_and_a_fix(tmp_path, planted, attack, line):
    holes = scorer_holes(with_scorer(tmp_path, SCORERS[planted]))
    assert attack in holes, list(holes)
    found = holes[attack]
    assert str(found.place) == f"scoring.py:{line}"
    assert found.caught < found.runs
    assert found.fix


@pytest.mark.slow
def test_V2_a_scorer_that_can_be_kept_busy_is_a_hole(tmp_path, monkeypatch):
    monkeypatch.setattr(asking, "SCORER_S", 3.0)
    holes = scorer_holes(with_scorer(tmp_path, SCORERS["slow"]))
    assert set(holes) == {"resources/slow-scorer"}
    assert holes["resources/slow-scorer"].place.line == 5


def test_V2_a_strict_scorer_has_no_hole(tmp_path):
    assert scorer_holes(make_toy(tmp_path, skill=0.7)) == {}


@pytest.mark.parametrize("trick", scorer.TRICKS, ids=lambda trick: trick.attack)
def test_V2_positive_control_each_trick_pays_with_a_careless_scorer(trick):
    assert scorer.control_pays(trick) == 1.0


def test_V2_positive_control_the_payload_runs_where_answers_are_evaluated():
    assert scorer._executes()


def test_T1_no_label_comes_back_from_the_tricks(tmp_path):
    home = Home(tmp_path, "def right(item, output):\n    return float(item['label'] in str(output))\n")
    verifier = home.start()
    try:
        tap = verifier._sock = Tap(verifier._sock)
        for what in probes.SETS:
            verifier.tricks(what, 1, 20)
        assert len(tap.seen) > 5000
        assert MARK.encode() not in tap.seen
        rows = {row.name: row.mean for row in verifier.tricks("answers", 1, 20)}
        assert rows["everything:everything-in-one-text"] == 1.0  # positive control: labels were in the answers
    finally:
        home.close()


def test_the_tricks_hold_every_right_answer():
    made = probes.everything([5, "x", [1]])
    assert made["everything-in-one-text"] == "5, x, [1]"
    assert made["everything-in-a-list"] == [5, "x", [1]]


def test_the_line_is_found_in_a_helper_that_the_scorer_imports(tmp_path):
    scoring = "from helper import near\n\n\ndef right(item, output):\n    return near(1, 2)\n"
    (tmp_path / "scoring.py").write_text(scoring)
    (tmp_path / "helper.py").write_text("def near(a, b):\n    c = float(a)\n    return c\n")
    place = source.locate(tmp_path, "scoring:right", source.calls("float"))
    assert (place.file, place.line) == ("helper.py", 2)
    assert source.imported_files(tmp_path, "scoring") == {"helper.py": 1}
