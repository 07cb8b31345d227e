"""History that the tools themselves wrote: OpenEvolve's own loop and Inspect's own evaluations, then doctored."""

from __future__ import annotations

import importlib.util
import json
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from festina.ledger import entries as e
from festina.ledger.log import Ledger
from festina.loop.foreign.reading import Source, bring
from festina.loop.importing import bring as take_over
from festina.loop.recount import recount
from festina.system import home as homes
from festina.system.repo import Repo
from tests.loop.test_attach import Autoresearch, festina, git, kinds
from tests.modelserver import serving
from tests.toy import make_toy

PROGRAM = """# EVOLVE-BLOCK-START
GUESS = {guess}
# EVOLVE-BLOCK-END


def answer():
    return GUESS
"""
EVALUATOR = """import runpy


def evaluate(program_path):
    guess = runpy.run_path(program_path)["answer"]()
    return {"combined_score": 1.0 / (1.0 + abs(guess - 7.0)), "guess": float(guess)}
"""
OPENEVOLVE = """import sys
from openevolve import run_evolution
from openevolve.config import Config

if __name__ == "__main__":  # its workers are processes that import this file again
    endpoint, folder = sys.argv[1:]
    config = Config.from_dict({
        "random_seed": 1, "log_level": "WARNING", "checkpoint_interval": 2, "diff_based_evolution": False,
        "llm": {"api_base": endpoint, "api_key": "none", "models": [{"name": "scripted"}], "retries": 0},
        "evaluator": {"parallel_evaluations": 1, "cascade_evaluation": False},
    })
    run_evolution(f"{folder}/initial_program.py", f"{folder}/evaluator.py", config, iterations=6,
                  output_dir=f"{folder}/openevolve_output", cleanup=False)
"""
INSPECT = """import sys
from inspect_ai import Task, eval
from inspect_ai.dataset import Sample
from inspect_ai.log import read_eval_log, write_eval_log
from inspect_ai.model import ModelOutput
from inspect_ai.scorer import match
from inspect_ai.solver import solver


@solver
def adds(wrong):
    async def solve(state, generate):
        n = int(state.input_text)
        state.output = ModelOutput.from_content("mockllm/model", "no" if n == wrong else str(n + 1))
        return state
    return solve


samples = [Sample(input=str(n), target=str(n + 1)) for n in range(4)]
task = Task(dataset=samples, solver=adds(2), scorer=match(), name="addition")
log = eval(task, model="mockllm/model", log_dir="logs", display="none", epochs=2)[0]
write_eval_log(read_eval_log(log.location), "copy.json")
"""


def _run(folder: Path, script: str, *argv: str) -> None:
    (folder / "theirs.py").write_text(script)
    argv = (sys.executable, "theirs.py", *argv)
    done = subprocess.run(argv, cwd=folder, capture_output=True, text=True, check=False, timeout=240)
    assert done.returncode == 0, done.stderr[-3000:]


@pytest.mark.slow
@pytest.mark.skipif(importlib.util.find_spec("openevolve") is None, reason="festina[bench] is not installed")
def test_openevolves_own_checkpoints_are_read_run_again_and_held_against_each_other(tmp_path: Path) -> None:
    task = tmp_path / "task"
    task.mkdir()
    (task / "initial_program.py").write_text(PROGRAM.format(guess=1.0))
    (task / "evaluator.py").write_text(EVALUATOR)
    answers = [f"```python\n{PROGRAM.format(guess=guess)}```" for guess in (2.0, 9.0, 5.0, 6.5, 6.0, 7.5)]
    with serving(*answers) as served:
        _run(task, OPENEVOLVE, served.url, str(task))
    system = take_over("openevolve", task, tmp_path / "system", metric=None, allow=()).root
    first = bring(system, Source("openevolve", task / "openevolve_output"))
    assert not [each for each in first.findings if each.kind != "no-trace"]
    assert len(first.fresh) >= 4
    assert max(row.score or 0.0 for row in first.fresh) == pytest.approx(1 / 1.5)
    assert {row.by for row in first.fresh} == {"", "scripted"}
    done = festina("attach", "-C", str(system), "--check", "3", "--runs", "3")
    assert done.return_value == 0, done.stderr
    ledger = homes.require(Repo.discover(system)).ledger
    with Ledger.open(ledger, readonly=True) as opened:
        checks = [r.body for r in opened.records() if isinstance(r.body, e.HistoryChecked)]
    assert checks
    assert {check.word for check in checks} == {"reproduced"}
    done = festina("attach", "-C", str(system), "--gate", "--budget", "60s")
    assert done.return_value in (0, None), done.stderr
    kept = sum(row.status == "accepted" for row in first.fresh)
    assert f"selection: observed ({kept} of {kept} of what was kept judged by our gate)" in done.stdout
    best = max((row for row in first.fresh if row.status == "accepted"), key=lambda row: row.score or 0.0)
    newest = sorted((task / "openevolve_output/checkpoints").iterdir())[-1] / "programs" / f"{best.key}.json"
    told = json.loads(newest.read_text())
    told["metrics"]["combined_score"] = 0.99
    newest.write_text(json.dumps(told))
    lie = bring(system, Source("openevolve", task / "openevolve_output"))
    assert kinds(lie) >= {"contradiction"}
    assert festina("attach", "-C", str(system), "--check", "1", "--runs", "3").return_value == 0
    with Ledger.open(ledger, readonly=True) as opened:
        last = [r.body for r in opened.records() if isinstance(r.body, e.HistoryChecked)][-1]
    assert isinstance(last, e.HistoryChecked)
    assert (last.claimed, last.word) == (0.99, "not-reproduced")
    assert recount(ledger).ok


@pytest.mark.slow
def test_a_loop_is_followed_while_it_runs(tmp_path: Path) -> None:
    loop = Autoresearch(tmp_path / "ar")
    words = ["attach", "-C", str(loop.root), str(loop.root), "--from", "autoresearch", "--follow", "--every", "0.2s"]
    with subprocess.Popen([sys.executable, "-m", "festina", *words], stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        try:
            assert "baseline" not in process.stderr.readline()  # T-5: names and scores, no words of theirs
            assert "told, not verified" in process.stderr.readline()
            loop.commit("0.2")
            loop.log("1.010000", "keep", "rate 0.2")
            said = process.stderr.readline()
            while "1.01" not in said:  # the commit is seen before its line
                said = process.stderr.readline()
                assert said
        finally:
            process.send_signal(signal.SIGINT)
    assert process.returncode == 0


@pytest.mark.slow
@pytest.mark.skipif(importlib.util.find_spec("inspect_ai") is None, reason="festina[inspect] is not installed")
def test_inspects_own_logs_are_read_and_their_scores_made_again(tmp_path: Path) -> None:
    _run(tmp_path, INSPECT)
    system = tmp_path / "system"
    system.mkdir()
    git(system, "init", "-q", "-b", "main")
    git(system, "commit", "-q", "--allow-empty", "-m", "start")
    first = bring(system, Source("inspect", tmp_path / "logs"))
    assert [(row.score, row.words, row.by) for row in first.fresh] == [(0.75, "addition", "mockllm/model")]
    assert not first.findings
    log = json.loads((tmp_path / "copy.json").read_text())
    log["results"]["scores"][0]["metrics"]["accuracy"]["value"] = 1.0
    (tmp_path / "logs/copy.json").write_text(json.dumps(log))
    lie = bring(system, Source("inspect", tmp_path / "logs"))
    assert kinds(lie) == {"wrong-sum", "contradiction"}  # the same evaluation, told twice
    assert recount(homes.require(Repo.discover(system)).ledger).ok


@pytest.mark.slow
def test_G7_V10_claims_are_scored_outside_the_candidate_and_the_gate_judges_on_hidden_items(tmp_path: Path) -> None:
    """A loop that is told as JSON lines, on a system with public items, hidden items and a scorer of its own."""
    toy = make_toy(tmp_path / "toy", public=60)
    theirs = tmp_path / "theirs"
    theirs.mkdir()
    rows = []
    for number, (skill, claim) in enumerate(((0.3, 0.3), (0.75, 0.75), (0.45, 0.97))):
        (theirs / f"g{number}.json").write_text(json.dumps({"skill": skill}))
        rows.append({"id": f"g{number}", "number": number, "score": claim, "status": "keep", "file": f"g{number}.json",
                     "path": "skill.json"})  # fmt: skip
    (theirs / "told.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    asked = ("attach", "-C", str(toy.root))
    place = (str(theirs / "told.jsonl"), "--from", "jsonl", "--metric", "right:higher")
    done = festina(*asked, *place, "--check", "3", "--runs", "10")
    assert done.return_value == 0, done.stderr
    ledger = homes.require(Repo.discover(toy.root)).ledger
    with Ledger.open(ledger, readonly=True) as opened:
        checks = [r.body for r in opened.records() if isinstance(r.body, e.HistoryChecked)]
    assert {(c.claimed, c.word, c.assurance) for c in checks} == {
        (0.97, "not-reproduced", "scored"), (0.75, "reproduced", "scored"), (0.3, "reproduced", "scored"),
    }  # fmt: skip
    done = festina(*asked, "--gate", "--budget", "120s")
    assert done.return_value in (0, 4), done.stderr
    with Ledger.open(ledger, readonly=True) as opened:
        verdicts = [r.body for r in opened.records() if isinstance(r.body, e.Verdict)]
    assert [(v.verdict, v.assurance) for v in verdicts] == [("accept", "hidden"), ("reject", "hidden")]
    judged = json.loads(festina("trust", "-C", str(toy.root), "--quick", "--json").stdout)
    (ground,) = [g for s in judged["stages"][2:3] for g in s["grounds"] if "outside" in g["name"]]
    assert ground["answer"] == "no"
    assert recount(ledger).ok
