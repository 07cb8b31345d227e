"""Scorers of every form in the whole loop: real engine, boxes, verifier. Who breaks one pays for it."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import pytest

from tests.loop.commandline import festina
from tests.loop.invariants import check
from tests.toy import Toy, make_toy

PROGRAM = """\
import json, sys
for line in sys.stdin:
    row = json.loads(line)
    ODD
    print(json.dumps({"id": row["id"], "score": 1.0 if row["output"] == row["label"] else 0.0}))
"""


def with_program(toy: Toy, odd: str = "pass", scorer: str = '["python3", "judge.py"]', extra: str = "") -> Toy:
    manifest = toy.root / "festina.toml"
    manifest.write_text(manifest.read_text().replace('scorer = "scoring:right"', f"scorer = {scorer}") + extra)
    (toy.root / "judge.py").write_text(PROGRAM.replace("ODD", odd))
    toy.commit("a program judges")
    return toy


def run(toy: Toy, proposals: int = 1) -> None:
    done = festina("run", "--proposals", str(proposals), "--budget", "100s", toy=toy)
    assert done.returncode == 0, done.stderr


def words(toy: Toy) -> list[str | None]:
    return [p.word for p in check(toy.root, settled=True).proposals.values()]


@pytest.mark.parametrize(
    "scorer",
    ['["python3", "judge.py"]', pytest.param('{ command = ["python3", "./judge.py"] }', marks=pytest.mark.slow)],
)
def test_V1_a_program_judges_and_a_better_candidate_is_accepted(tmp_path: Path, scorer: str) -> None:
    toy = with_program(make_toy(tmp_path, step="0.7"), scorer=scorer)
    run(toy)
    assert words(toy) == ["accepted"]


def test_T4_a_proposal_that_touches_the_program_is_refused(tmp_path: Path) -> None:
    toy = with_program(make_toy(tmp_path, step="0.7"))
    text = (toy.root / "improve.py").read_text()
    (toy.root / "improve.py").write_text(text + 'open(out + "/files/judge.py", "w").write("print(1)")\n')
    manifest = toy.root / "festina.toml"
    manifest.write_text(manifest.read_text().replace('allow = ["skill.json"', 'allow = ["judge.py", "skill.json"'))
    toy.commit("a greedy improver")
    run(toy)
    state = check(toy.root, settled=True)
    assert [p.word for p in state.proposals.values()] == ["refused"]
    assert state.proposals[0].guard_change


BREAKING = """\
import json, os
for line in open(os.environ["FESTINA_IN"] + "/items.jsonl"):
    item = json.loads(line)
    skill = json.load(open("skill.json"))["skill"]
    output = "break" if skill > 0.9 else item["input"] % 7 if item["input"] % 10 < 3 else -1
    print(json.dumps({"id": item["id"], "output": output}), file=open(os.environ["FESTINA_OUT"] + "/predictions.jsonl", "a"))
"""  # noqa: E501


@pytest.mark.parametrize(
    "odd",
    [
        'if row["output"] == "break": sys.exit(1)',
        pytest.param('while row["output"] == "break": pass', marks=pytest.mark.slow),
    ],
    ids=["crashes", "hangs"],
)
def test_T6_a_candidate_whose_answers_break_the_scorer_has_the_worst_score_and_the_run_goes_on(
    tmp_path: Path, odd: str
) -> None:
    toy = make_toy(tmp_path, step="0.7")
    (toy.root / "answer.py").write_text(BREAKING)
    run(with_program(toy, odd, extra='\n[verifier]\nwall = "2s"\n'))
    state = check(toy.root, settled=True)
    assert [p.word for p in state.proposals.values()] == ["rejected"]
    assert state.faults == 0


def test_T6_a_scorer_that_fails_by_itself_is_nobodys_fault_but_its_own(tmp_path: Path) -> None:
    """It is well during the controls and breaks afterwards, for every answer alike."""
    count = tmp_path / "count"
    count.write_text("")
    count.chmod(0o666)
    for folder in (tmp_path, *tmp_path.parents):
        if folder == tmp_path or folder.name.startswith(("pytest-", "popen-")):  # parallel tests nest deeper
            folder.chmod(0o755)
    odd = f"""open({str(count)!r}, "a").write("x")
    if len(open({str(count)!r}).read()) > 800: sys.exit(4)"""
    toy = with_program(make_toy(tmp_path, step="0.7"), odd)
    done = festina("run", "--proposals", "2", "--budget", "100s", toy=toy)
    assert done.returncode == 0, done.stderr
    state = check(toy.root, settled=True)
    assert state.faults >= 3
    assert "accepted" not in [p.word for p in state.proposals.values()]
    assert "rejected" not in [p.word for p in state.proposals.values()]


TASK = """\
from inspect_ai import Task, task
from inspect_ai.scorer import match

@task
def quiz():
    return Task(scorer=match(), sandbox="local")
"""


@pytest.mark.slow
def test_V1_an_inspect_task_judges_offline_and_its_traps_are_told(tmp_path: Path) -> None:
    if importlib.util.find_spec("inspect_ai") is None:
        pytest.skip("the extra festina[inspect] is not installed")
    toy = make_toy(tmp_path, step="0.7")
    (toy.root / "quiz.py").write_text(TASK)
    with_program(toy, scorer='"inspect:quiz.py@quiz"')
    done = festina("run", "--proposals", "1", "--budget", "200s", toy=toy)
    assert done.returncode == 0, done.stderr
    assert "quiz.py:6: sandbox=" in done.stderr
    assert words(toy) == ["accepted"]
