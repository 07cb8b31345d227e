"""The stand-alone drill on whole evaluators; the large zoo is marked slow."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import tempfile
import time
from functools import partial
from pathlib import Path

import pytest

from festina.drill.model import Verdict
from festina.drill.outside import catalog
from festina.drill.outside.given import given
from festina.drill.outside.run import Options, drill
from festina.drill.outside.shapes import form, turns
from festina.drill.outside.study import NotScored
from festina.drill.outside.target import parse
from festina.errors import Fault, UsageError

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


def test_an_attack_that_fails_on_our_side_is_not_tested_by_name_and_the_others_go_on(tmp_path):
    text = (HERE / "items" / "evaluator.py").read_text()
    (tmp_path / "out" / "attacks" / "reference-locals.py").mkdir(parents=True)  # its source cannot be kept there
    report = drilled(tmp_path, text, only=["reference/locals", "denominator/raise"], controls=False)
    found = {each.attack: each for each in report.findings}
    assert found["reference/locals"].verdict is Verdict.NOT_TESTED  # V-2: not caught
    assert "our side failed" in found["reference/locals"].why
    assert found["denominator/raise"].verdict is Verdict.HOLE
    assert any("1 attack was not tested" in line for line in report.summary)


def test_a_command_that_reads_a_fixed_place_and_writes_its_result_is_attacked_in_both(tmp_path):
    text = "import json\nimport sub.solution as s\ngood = sum(s.solve([n, 1]) == sorted([n, 1]) for n in range(9))\n"
    text += "json.dump({'good': good, 'of': 9}, open('result.json', 'w'))\n"
    (tmp_path / "theirs" / "sub").mkdir(parents=True)
    (tmp_path / "theirs" / "check.py").write_text(text)
    honest = tmp_path / "honest.py"
    honest.write_text(SORTING)
    common = {"target": "python check.py", "honest": (honest,), "where": tmp_path / "theirs", "controls": False}
    wanted = {"objects/anything", "forge/result-atexit", "files/evaluator"}
    more = {"candidate_path": "sub/solution.py", "result": "result.json", "metric": "good:higher"}
    report = drill(Options(**common, **more, only=tuple(wanted)), lambda text: None)
    assert {each.attack for each in report.holes} == wanted
    with pytest.raises(UsageError, match="the honest candidate lies elsewhere"):
        drill(Options(**common), lambda text: None)


def test_a_candidate_that_is_a_folder_needs_an_entry_that_can_be_told(tmp_path):
    for name in ("agent.py", "tools.py"):
        (tmp_path / name).write_text("")
    assert given(tmp_path).entry == "agent.py"
    assert given(tmp_path, "tools.py").file == tmp_path / "tools.py"
    (tmp_path / "agent.py").rename(tmp_path / "other.py")
    for entry in ("", "missing.py", "../x.py"):
        with pytest.raises(UsageError, match=r"entry|no file|which file"):
            given(tmp_path, entry)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_a_drill_that_is_told_to_end_leaves_no_process_and_no_folder(tmp_path, number):
    theirs, temp = tmp_path / "theirs", tmp_path / "temp"
    for folder in (theirs, temp):
        folder.mkdir()
    (theirs / "e.py").write_text("import time\n\ndef evaluate(path):\n    time.sleep(60)\n")
    (tmp_path / "c.py").write_text(SORTING)
    env = {**os.environ, "TMPDIR": str(temp)}
    argv = [sys.executable, "-m", "festina", "drill", "e.py:evaluate", "--honest", "../c.py"]
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    default = partial(signal.signal, number, signal.SIG_DFL)  # under nohup the signal is ignored, and stays so
    with subprocess.Popen(argv, cwd=theirs, env=env, preexec_fn=default, **quiet) as process:  # noqa: PLW1509
        try:
            until = time.monotonic() + 60
            while not _using(temp) and time.monotonic() < until:
                time.sleep(0.05)
            assert _using(temp)
            process.send_signal(number)
            assert process.wait(30) == 128 + number
        finally:
            process.kill()
    assert not _using(temp)
    assert not list(temp.glob("festina-*drill-*"))


def test_a_folder_or_a_file_alone_is_refused_with_what_in_it_looks_like_an_evaluator(tmp_path):
    (tmp_path / "bench").mkdir()
    text = "def helper(a, b):\n    pass\n\ndef evaluate(path, more=1):\n    pass\n"
    (tmp_path / "bench" / "judge.py").write_text(text)
    (tmp_path / "bench" / "broken.py").write_text("def (")
    (tmp_path / "plain.py").write_text("print(1)\n")
    for text, wanted in (
        ("bench", "cd bench && festina drill judge.py:evaluate --honest FILE"),
        ("bench/judge.py", "festina drill bench/judge.py:evaluate --honest FILE"),
        ("plain.py", 'festina drill "python plain.py {candidate}" --honest FILE'),
    ):
        with pytest.raises(UsageError) as caught:
            parse(text, tmp_path)
        assert wanted in caught.value.fix
    (tmp_path / "bench" / "judge.py").unlink()
    with pytest.raises(UsageError, match="bench is a folder"):
        parse("bench", tmp_path, fixed=True)


def test_a_time_that_is_too_short_says_how_long_it_takes_and_leaves_nothing(tmp_path, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "temp"))
    (tmp_path / "temp").mkdir()
    said = []
    (tmp_path / "theirs").mkdir()
    (tmp_path / "theirs" / "evaluator.py").write_text((HERE / "items" / "evaluator.py").read_text())
    (tmp_path / "candidate.py").write_text(SORTING)
    short = Options("evaluator.py:evaluate", (tmp_path / "candidate.py",), tmp_path / "theirs", only=("denominator",),
                    seconds=1.0)  # fmt: skip
    with pytest.raises(Fault, match="no attack could be tried") as caught:
        drill(short, said.append)
    assert re.fullmatch(r"--seconds \d+0, or leave it out", caught.value.fix)
    assert any("takes about" in line for line in said)
    assert list((tmp_path / "temp").iterdir()) == []


def _using(folder):
    """Processes with a path below ``folder`` in their command line."""
    found = []
    for entry in Path("/proc").iterdir():
        try:
            if entry.name.isdigit() and os.fsencode(folder) in (entry / "cmdline").read_bytes():
                found.append(int(entry.name))
        except OSError:
            continue
    return found


TWO_FORMS = """
import importlib.util


def evaluate(path):
    spec = importlib.util.spec_from_file_location("candidate", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    good = 0
    for n in range(12):
        xs = [n * 7 % 5, n, 3]
        if hasattr(module, "Sorter"):
            good += module.Sorter().run(list(xs)) == sorted(xs)
        else:
            got = module.solve(list(xs))
            good += type(got) is list and all(type(x) is int for x in got) and got == sorted(xs)
    return {"combined_score": good / 12}
"""
CLASS = "class Sorter:\n    def run(self, xs):\n        return sorted(xs)\n"


@pytest.mark.slow
def test_attacks_are_built_on_every_form_of_honest_candidate(tmp_path):
    (tmp_path / "sorter.py").write_text(CLASS)
    (tmp_path / "same.py").write_text("def solve(xs):\n    return sorted(xs)\n")
    (tmp_path / "theirs").mkdir()
    (tmp_path / "theirs" / "evaluator.py").write_text(TWO_FORMS)
    (tmp_path / "candidate.py").write_text(SORTING)
    said = []
    kept = {"where": tmp_path / "theirs", "only": ("objects/anything",), "controls": False, "out": tmp_path / "out"}
    alone = drill(Options("evaluator.py:evaluate", (tmp_path / "candidate.py",), **kept), said.append)
    assert not alone.holes
    every = tuple(tmp_path / name for name in ("candidate.py", "same.py", "sorter.py"))
    report = drill(Options("evaluator.py:evaluate", every, **kept), said.append)
    assert [hole.attack for hole in report.holes] == ["objects/anything"]
    assert report.holes[0].why.endswith("; built on sorter.py")
    assert "class Sorter" in Path(report.holes[0].source).read_text()
    assert sum("has another form" in line for line in said) == 1  # same.py has the first one's
    assert any("built on 2 forms" in note for note in report.notes)
    assert {row.variant for row in report.honest} == {"as given"}  # a drill of one attack is brief


def test_attacks_go_round_the_forms_where_time_is_limited():
    class Facts:
        def __init__(self, *lacking):
            self.lacking = lacking

        def lacks(self, needs):
            return next((need for need in needs if need in self.lacking), "")

    every = catalog.everything()
    turn = turns(every, [Facts(), Facts("timing")])
    assert set(turn) == {attack.id for attack in every}
    share = sum(turn.values()) / len(turn)
    assert 0.35 < share < 0.55
    assert all(turn[attack.id] == 0 for attack in every if attack.kind == "limits" or "timing" in attack.needs)
    assert form(SORTING, "a.py") == form("def solve(xs):\n    return 1\n", "b.py") != form(CLASS, "a.py")
    assert form("x: 1\n", "a.yaml") != form("{}", "a.json")
