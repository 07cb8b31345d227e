"""Traps of Inspect tasks are told with file and line, and a sound task is not scolded."""

from __future__ import annotations

import pytest

from festina.verify.inspect_lint import findings, lint
from tests.verify.home import INSPECT, TASK


@pytest.mark.parametrize(
    ("line", "word"),
    [
        ("t = Task(dataset=d, scorer=s, fail_on_error=False)", "crashing pays"),
        ("t = Task(dataset=d, scorer=s, fail_on_error=0.5)", "crashing pays"),
        ("log = inspect_ai.eval(t, retry_on_error=3)", "rolled again"),
        ("t = Task(dataset=d, scorer=s, sandbox='local')", "no sandbox"),
        ("t = task_with(t, sandbox=('local', 'x'))", "no sandbox"),
        ("s = Score(value=float('nan'))", "not a number"),
        ("s = Score(value=math.nan)", "not a number"),
        ("s = model_graded_qa()", "asks a model"),
        ("r = await_(sandbox().exec(['ls']))", "in a sandbox"),
        ("t = Task(dataset=d, scorer=s, epochs=5)", "epochs"),
    ],
)
def test_a_trap_is_named_with_its_line(line, word):
    found = lint(b"import inspect_ai\n" + line.encode(), "evals/quiz.py")
    assert len(found) == 1
    assert found[0].startswith("evals/quiz.py:2: ")
    assert word in found[0]


@pytest.mark.parametrize(
    "text", [TASK.replace("ODD", "pass"), "Task(fail_on_error=True, retry_on_error=0, epochs=1)", "("]
)
def test_a_sound_task_gives_nothing(text):
    assert lint(text.encode(), "quiz.py") == []


def test_only_inspect_tasks_are_read():
    source = b"t = Task(sandbox='local')"
    read = {"quiz.py": source, "scoring.py": source}.get
    assert len(findings(["scoring:right", INSPECT, INSPECT], read)) == 1
