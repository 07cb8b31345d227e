"""Candidates that are settings, nested rows or JavaScript: attacks are whole files of the same form, and work."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys

import pytest

from festina.drill.model import Verdict
from festina.drill.outside import control, javascript
from festina.drill.outside.mutants import empty, kind_of, mutants
from festina.drill.outside.run import Options, drill

COMMON = "const k = 2;\nfunction half(x) { return x / k; }\nmodule.exports = { half, twice: (x) => x * k };\n"
ALONE = "module.exports = function (x) { return x + 1; };\n"
ES = "const k = 2;\nexport function half(x) { return x / k; }\nexport const twice = (x) => x * k;\n"
ES += "export default half;\n"
needs_node = pytest.mark.skipif(not shutil.which("node"), reason="no node here")


def texts(raw: str, name: str) -> dict[str, str]:
    return {each.attack.id: each.text for each in mutants(raw, name, "score: 0.9\n")}


@pytest.mark.parametrize(
    ("raw", "name", "names", "alone"),
    [
        (COMMON, "a.js", ["half", "twice"], False),
        ("exports.a = 1;\nmodule.exports.b = () => 2;\n", "a.cjs", ["a", "b"], False),
        (ALONE, "a.js", [], True),
        (ES, "a.mjs", ["half", "twice"], True),
        ("function f() {}\nexport { f as solve, f };\n", "a.js", ["solve", "f"], False),
        ("export async function solve(x: number): Promise<number> { return x; }\n", "a.ts", ["solve"], False),
        ("console.log(1);\n", "a.js", [], False),
    ],
)
def test_what_javascript_exports_is_read_from_its_text(raw, name, names, alone):
    assert javascript.exported(raw, name) == (names, alone)
    assert kind_of(raw, name) == "javascript"


CALL = """
const path = process.argv[1];
import(path).then((m) => {
  const made = m.default && m.default.half ? m.default : m;
  const said = [];
  for (const x of [8, 10]) try { said.push(made.half(x)); } catch (e) { said.push('threw'); }
  process.stdout.write('RESULT ' + said.map(String).join(' '));
});
"""


@needs_node
@pytest.mark.parametrize(("raw", "name"), [(COMMON, "a.js"), (ES, "a.mjs")])
def test_each_javascript_attack_is_a_module_that_does_what_it_says(tmp_path, raw, name):
    wanted = {
        "exit/js": (0, ""), "forge/js": (0, "score: 0.9\n"), "numbers/js-nan": (0, "RESULT NaN NaN"),
        "numbers/js-minus-inf": (0, "RESULT -Infinity -Infinity"), "denominator/js-throw": (0, "RESULT 4 threw"),
        "clock/js": (0, "RESULT 4 5"), "compare/js-patched": (0, "RESULT undefined undefined"),
    }  # fmt: skip
    made = texts(raw, name)
    for number, (attack, result) in enumerate(wanted.items()):
        path = tmp_path / f"{number}-{name}"
        path.write_text(made[attack])
        done = subprocess.run(["node", "-e", CALL, str(path)], capture_output=True, text=True, timeout=60, check=False)
        assert (done.returncode, done.stdout) == result, (attack, done.stderr)
    (tmp_path / f"husk-{name}").write_text(empty(raw, name))
    husk = ["node", "-e", CALL, str(tmp_path / f"husk-{name}")]
    done = subprocess.run(husk, capture_output=True, text=True, check=True)
    assert done.stdout == "RESULT undefined undefined"


def test_numbers_of_settings_are_replaced_and_nothing_else():
    raw = "rate: 0.5  # of 3 steps\nname: v2 model\nlist:\n  - 1\n  - x1: 2e-3\nnested:\n  deep: -4\nwords: 3 little\n"
    made = texts(raw, "a.yaml")
    assert made["numbers/yaml-nan"] == (
        "rate: .nan # of 3 steps\nname: v2 model\nlist:\n  - .nan \n  - x1: .nan \nnested:\n  deep: .nan \n"
        "words: 3 little\n"
    )
    assert "numbers/yaml-nan" not in texts("name: a\n", "a.yml")
    yaml = pytest.importorskip("yaml")
    assert str(yaml.safe_load(made["numbers/yaml-nan"])["nested"]["deep"]) == "nan"
    assert yaml.safe_load(made["numbers/yaml-overflow"])["rate"] == float("inf")
    with pytest.raises(yaml.YAMLError):
        yaml.safe_load(made["payload/yaml-tag"])
    assert "experts agree" in yaml.safe_load(made["judge/text"])["answer"]


def test_nested_rows_keep_their_form():
    rows = [{"id": n, "pred": {"label": "a", "p": [0.1, 0.2]}} for n in range(20)]
    made = texts("".join(json.dumps(row) + "\n" for row in rows), "a.jsonl")
    last = json.loads(made["numbers/rows-huge"].splitlines()[-1])
    assert last == {"id": 19, "pred": {"label": 1e308, "p": [1e308, 1e308]}}
    assert json.loads(made["denominator/rows-nan"].splitlines()[0]) == rows[0]
    assert json.loads(empty("".join(json.dumps(row) + "\n" for row in rows), "a.jsonl").splitlines()[3])["pred"] == {
        "label": 0, "p": [0, 0],
    }  # fmt: skip


@pytest.mark.slow
@needs_node
def test_V2_attacks_in_other_languages_work_where_nothing_defends(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    found = {}
    for bed in control.beds().values():
        if bed.candidate.endswith((".js", ".yaml")):
            found |= {m.attack.id: m.attack for m in mutants(bed.honest, bed.candidate, "score: 0.9\n")}
    pytest.importorskip("yaml")
    assert len(found) > 12
    assert control.works(found.values(), sys.executable, lambda _: None) == dict.fromkeys(found, "")


HARNESS = """
import os, subprocess, sys
check = '''
const m = require(process.argv[1]);
const cases = [[8, 4], [3, 1.5], [10, 5]];
let good = 0;
for (const [x, want] of cases) {
  const got = GOT;
  if (TEST) good++;
}
require('fs').writeFileSync(process.argv[2], String(good / cases.length));
'''
if os.path.exists("out.txt"): os.remove("out.txt")
subprocess.run(["node", "-e", check, os.path.abspath(sys.argv[1]), "out.txt"])
print("score:", open("out.txt").read() if os.path.exists("out.txt") else 0.0)
"""


@pytest.mark.slow
@needs_node
def test_V2_a_javascript_evaluator_that_lets_not_a_number_pass_is_found_and_a_strict_one_is_quiet(tmp_path):
    (tmp_path / "honest.js").write_text(COMMON)
    asked = ("numbers", "exit", "compare", "denominator/js-throw", "forge")
    for name, got, test in (
        ("careless", "m.half(x)", "got !== undefined && !(Math.abs(got - want) > 1e-6)"),
        ("strict", "(() => { try { return m.half(x); } catch { return undefined; } })()",
         "typeof got === 'number' && got - want < 1e-6 && want - got < 1e-6"),
    ):  # fmt: skip
        theirs = tmp_path / name
        theirs.mkdir()
        (theirs / "evaluate.py").write_text(HARNESS.replace("GOT", got).replace("TEST", test))
        report = drill(
            Options("python evaluate.py {candidate}", (tmp_path / "honest.js",), theirs, only=asked, runs=2,
                    controls=False, out=tmp_path / f"out-{name}"), lambda _: None,
        )  # fmt: skip
        assert {hole.attack for hole in report.holes} == ({"numbers/js-nan"} if name == "careless" else set())
        assert report.false_alarms()[0] == 0
        assert any(each.verdict is Verdict.CAUGHT for each in report.findings)
