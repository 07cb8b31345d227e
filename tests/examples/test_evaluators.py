"""The two evaluators of ``examples/evaluators``: the drill finds the holes of one and none in the other."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

HERE = Path(__file__).resolve().parents[2] / "examples" / "evaluators"


def drill(evaluator: str, only: str) -> tuple[int, list[dict]]:
    line = [f"{evaluator}.py:evaluate", "--honest", "sorting.py", "--json", "--only", only]
    done = subprocess.run(
        [sys.executable, "-m", "festina", "drill", *line],
        cwd=HERE, capture_output=True, text=True, timeout=280,
    )  # fmt: skip
    return done.returncode, [json.loads(line) for line in done.stdout.splitlines()]


@pytest.mark.slow
def test_V1_the_leaky_evaluator_is_shown_where_failures_leave_its_count():
    status, records = drill("leaky", "denominator/raise")
    holes = [each for each in records if each.get("verdict") == "hole"]
    assert status == 3
    assert [each["attack"] for each in holes] == ["denominator/raise"]
    line = int(holes[0]["place"].rpartition(":")[2])
    assert "except" in (HERE / "leaky.py").read_text().splitlines()[line - 1]


@pytest.mark.slow
def test_T3_the_isolated_evaluator_gives_nothing_away_and_honest_candidates_keep_their_score():
    status, records = drill("isolated", "objects")
    assert status == 0
    verdicts = [each["verdict"] for each in records if each["record"] == "finding"]
    assert "caught" in verdicts
    assert set(verdicts) <= {"caught", "not applicable"}
    assert records[-1]["honest_lost"] == 0
