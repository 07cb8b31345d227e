"""The ladders of ``benchmarks/oversight``: rungs count, breaks are told, strength is caught less."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
BENCHMARKS = ROOT / "benchmarks"


def test_breaks_are_told_from_whole_intervals(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    from oversight.frame import BROKEN, GOOD, Climbed, Ladder, Rung

    ladder = Ladder("x", "a guard", "strength", lambda _: ())
    rungs = [Rung("1", 100, 100), Rung("2", 97, 100), Rung("3", 60, 100), Rung("4", 99, 100), Rung("5", 5, 100)]
    climbed = Climbed(ladder, rungs, 0.0)
    assert climbed.broken(GOOD) == "5", "it stood once more at 4"
    assert climbed.broken(BROKEN) == "5"
    assert Climbed(ladder, rungs[:2], 0.0).broken(GOOD) == "never here"


@pytest.mark.slow
def test_oversight_runs_and_writes_its_tables(tmp_path: Path) -> None:
    out = tmp_path / "oversight.json"
    keys = ["harm-even", "alarm-20x5", "anchors-hard"]
    argv = [sys.executable, str(BENCHMARKS / "oversight"), "--runs", "40", "--only", *keys, "--out", str(out)]
    subprocess.run(argv, check=True, capture_output=True)
    ladders = {row["key"]: row for row in json.loads(out.read_text())["ladders"]}
    assert list(ladders) == keys
    for row in ladders.values():
        for rung in row["rungs"]:
            assert rung["low"] <= rung["caught"] / max(1, rung["tried"]) <= rung["high"] or not rung["tried"]
    harm = {rung["strength"]: rung for rung in ladders["harm-even"]["rungs"]}
    assert harm["2 margins"]["caught"] == 40
    assert harm["0.5 margins"]["high"] < 0.5
    assert ladders["alarm-20x5"]["below_50"] != "never here"
