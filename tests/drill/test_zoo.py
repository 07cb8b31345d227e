"""Evaluators with known holes, and clean ones: the holes are found on the right line, and the clean ones stay clean.

V-2: every hole here stands beside the same candidate without the exploit, and "caught" beside an undefended evaluator.
"""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

import pytest

from festina.drill.model import Verdict
from festina.drill.outside import build, catalog, control
from festina.drill.outside.run import Options, drill

ZOO = Path(__file__).parent / "zoo"
SCRIPT = "python evaluate.py {candidate}"
ALONE = "PYTEST_DISABLE_PLUGIN_AUTOLOAD=1"  # else each evaluation loads the plugins of this environment
# folder -> (target, honest file, attacks that must be holes, attacks that must not be)
HOLED = {
    "items": (
        "evaluator.py:evaluate", "honest.py",
        {"reference/locals", "labels/source", "replay/table", "denominator/raise", "objects/anything", "scorer/up"},
        {"denominator/none", "exit/call-os", "numbers/nan"},
    ),
    "script": (
        SCRIPT, "honest.py", {"labels/data-script", "replay/script", "forge/survivor"},
        {"denominator/script-hang", "constant/everything-script", "denominator/script-fail", "judge/inject-script"},
    ),
    "pt": (
        f"SOLUTION={{candidate}} {ALONE} python -m pytest -q -p no:cacheprovider test_solution.py", "honest.py",
        {"tests/report", "tests/skip-call", "exit/call-os"}, {"exit/interrupt", "numbers/nan"},
    ),
    "oe": (
        "evaluator.py:evaluate", "initial_program.py", {"numbers/nan", "numbers/nan-part", "payload/reduce-parts"},
        {"numbers/inf", "constant/first", "scorer/up"},
    ),
    "text": (SCRIPT, "prompt.txt", {"judge/text"}, {"forge/text", "constant/word"}),
    "js": (SCRIPT, "c.json", {"numbers/json-nan"}, {"numbers/json-overflow", "numbers/json-null"}),
    "timed": (
        "python bench.py {candidate}", "honest.py", {"clock/patch", "forge/atexit", "vacuous/mutate-input"},
        {"clock/thread", "exit/import-os"},
    ),
    "selfreport": ("python {candidate}", "train.py", {"forge/claim"}, {"exit/import-os"}),
    "rows": (
        SCRIPT, "sub.csv", {"denominator/rows-missing", "numbers/rows-nan"},
        {"numbers/rows-huge", "constant/rows-none"},
    ),
    "patch": (
        SCRIPT, "fix.patch", {"files/patch-conftest", "files/patch-tests"}, {"files/patch-sitecustomize-py"},
    ),
    "noisy": (  # scores move from draw to draw: a lucky draw is no hole
        SCRIPT, "honest.py", {"persist/stale"}, {"denominator/script-fail", "denominator/script-hang"},
    ),
    "talks": (SCRIPT, "honest.py", {"labels/turns", "replay/turns"}, {"constant/first-turn", "replay/script"}),
    "evals": (SCRIPT, "honest.py", {"payload/text-script"}, {"replay/script", "labels/data-script"}),
}  # fmt: skip


def drilled(tmp_path, folder, target, honest, only=(), controls=False):
    theirs = tmp_path / "theirs"
    shutil.copytree(ZOO / folder, theirs)
    for path in theirs.rglob("*.py.txt"):  # not to be collected by our own pytest
        path.rename(path.with_suffix(""))
    options = Options(
        target, (theirs / honest,), theirs, only=tuple(only), out=tmp_path / "out", runs=2, controls=controls
    )
    return drill(options, lambda text: None)


@pytest.mark.slow
@pytest.mark.parametrize("folder", HOLED)
def test_V2_known_holes_are_found_and_nothing_else_is_claimed(tmp_path, folder):
    target, honest, holes, no_holes = HOLED[folder]
    report = drilled(tmp_path, folder, target, honest, holes | no_holes)
    found = {each.attack: each for each in report.findings}
    assert {name for name in holes if found[name].verdict is Verdict.HOLE} == holes
    assert not [name for name in no_holes if name in found and found[name].verdict is Verdict.HOLE]
    for name in holes:
        assert found[name].score != found[name].control
        assert found[name].source
        assert found[name].place or folder == "selfreport"
    assert report.false_alarms()[0] == 0


KEPT = ["forge/kept-large", "forge/kept-tiny", "forge/kept-negative"]


@pytest.mark.slow
def test_V2_a_measurement_that_the_candidate_makes_of_itself_is_a_hole_and_one_of_the_evaluators_own_is_none(tmp_path):
    report = drilled(tmp_path / "told", "kept", "evaluator.py:evaluate", "initial_program.py", KEPT)
    found = {each.attack: each for each in report.findings}
    hole = found["forge/kept-negative"]
    assert hole.verdict is Verdict.HOLE
    assert "program.ELAPSED" in hole.place.text
    assert "Measure it yourself" in hole.fix
    assert found["forge/kept-large"].verdict is not Verdict.HOLE  # here it only lowers the score
    measured = drilled(tmp_path / "measured", "kept", "measured.py:evaluate", "initial_program.py", KEPT[1:])
    assert len(measured.findings) == 2
    assert measured.holes == ()


@pytest.mark.slow
@pytest.mark.skipif(not shutil.which("bwrap"), reason="the clean evaluator needs bubblewrap")
def test_V2_a_clean_evaluator_has_no_hole_and_no_false_alarm(tmp_path):
    report = drilled(tmp_path, "clean", SCRIPT, "honest.py")
    assert [(each.attack, each.why) for each in report.holes] == []
    assert [each.attack for each in report.exposures] == []
    assert report.false_alarms()[0] == 0
    assert report.exit_code == 0


@pytest.mark.slow
def test_V2_attacks_work_on_evaluators_without_defence(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    kinds = ["exit/import-os", "forge/atexit", "scorer/up", "compare/close", "objects/anything", "denominator/shorter",
             "numbers/nan", "constant/everything", "reference/gc", "labels/data", "seeds/replay", "tests/report",
             "imports/bytecode", "payload/reduce", "files/labels", "limits/alarm", "vacuous/clear", "judge/inject",
             "clock/patch", "reach/network", *KEPT]  # fmt: skip
    wanted = [attack for attack in catalog.everything() if attack.id in kinds]
    assert control.works(wanted, sys.executable, lambda text: None) == dict.fromkeys(
        [attack.id for attack in wanted], ""
    )


@pytest.mark.slow
def test_V2_attacks_on_an_inspect_task_work_where_nothing_defends_it(tmp_path, monkeypatch):
    pytest.importorskip("inspect_ai")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    wanted = [attack for attack in catalog.everything() if "inspect" in attack.needs]
    assert len(wanted) == 5
    assert set(control.works(wanted, sys.executable, lambda text: None).values()) == {""}


def test_every_attack_has_a_payload_an_undefended_evaluator_and_a_remedy():
    names = build.sections()
    for attack in catalog.everything():
        assert attack.section in names
        assert not attack.control or attack.control in names
        assert attack.bed in control.beds()
        assert attack.fix
    spoken = {attack.section for attack in catalog.everything() if attack.base == "spoken"}  # words, no code
    for name in names.keys() - spoken:
        compile(names[name], name, "exec")


def test_what_an_evaluator_reads_of_a_packed_candidate_is_its_own_text_and_it_runs_the_same():
    honest = build.Honest.parse("def solve(x):\n    return 2 * x  # by doubling\n")
    baked = {"MARK": "kept apart", "BLANK": {}, "ROOT": "/", "TOP": "/", "DROP": "/", "CHAN": ""}
    source = build.compose(honest, "husk", "judge/inject", baked)
    packed = build.pack(source)
    assert "kept apart" in source
    assert "kept apart" not in packed
    assert "def solve(x)" in packed
    assert build.pack(packed) == packed
    spaces = [{"__name__": "candidate"}, {"__name__": "candidate"}]
    for text, space in zip((source, packed), spaces, strict=True):
        exec(compile(text, "candidate.py", "exec"), space)
    assert spaces[0]["solve"](3) == spaces[1]["solve"](3) != 6
    assert spaces[1]["_fd"]["C"]["MARK"] == "kept apart"
