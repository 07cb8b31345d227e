"""The stand-alone drill on whole evaluators; the large zoo is marked slow."""

from __future__ import annotations

from pathlib import Path

import pytest

from festina.drill.model import Verdict
from festina.drill.outside.run import Options, drill
from festina.drill.outside.study import NotScored

SORTING = "def solve(xs):\n    out = list(xs)\n    out.sort()\n    return out\n"
HERE = Path(__file__).parent / "zoo"


def drilled(tmp_path, evaluator, honest=SORTING, only=(), target="evaluator.py:evaluate", **more):
    folder = tmp_path / "theirs"
    folder.mkdir()
    (folder / "evaluator.py").write_text(evaluator)
    (tmp_path / "candidate.py").write_text(honest)
    options = Options(target, (tmp_path / "candidate.py",), folder, only=tuple(only), out=tmp_path / "out", **more)
    return drill(options, lambda text: None)


def test_V2_a_hole_is_found_with_its_line_and_its_control_and_the_original_is_untouched(tmp_path):
    text = (HERE / "items" / "evaluator.py").read_text()
    report = drilled(tmp_path, text, only=["reference/locals", "denominator/raise", "files/evaluator"])
    assert {each.attack for each in report.holes} == {"reference/locals", "denominator/raise", "files/evaluator"}
    found = {each.attack: each for each in report.holes}
    assert "program.solve" in found["reference/locals"].place.text
    assert "except" in found["denominator/raise"].place.text
    assert found["reference/locals"].score == 1.0
    assert found["reference/locals"].control < 0.5
    assert found["reference/locals"].runs == 3
    assert report.exit_code == 3
    assert (tmp_path / "theirs" / "evaluator.py").read_text() == text
    assert sorted(p.name for p in (tmp_path / "theirs").iterdir()) == ["evaluator.py"]


def test_an_evaluator_that_gives_no_score_is_an_error_with_its_own_words(tmp_path):
    with pytest.raises(NotScored, match="nothing_here"):
        drilled(tmp_path, "import nothing_here\n\ndef evaluate(path):\n    return 1\n")


def test_what_does_not_apply_is_never_counted_as_caught(tmp_path):
    report = drilled(tmp_path, (HERE / "items" / "evaluator.py").read_text(), only=["forge", "tests/report"])
    verdicts = {each.verdict for each in report.findings}
    assert verdicts == {Verdict.NOT_APPLICABLE}
    assert report.exit_code == 0
