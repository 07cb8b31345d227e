"""The circles example: a packing is judged exactly, and its improver finds better ones."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from festina.system.manifest import load_manifest
from tests.examples.modules import imported

CIRCLES = Path(__file__).resolve().parents[2] / "examples" / "packing" / "circles"
SYSTEM = CIRCLES / "system"


@pytest.fixture(scope="module")
def ex() -> Iterator[SimpleNamespace]:
    """The example's modules, forgotten again afterwards."""
    names = ("scoring", "improve", "generator", "measure")
    with imported(names, CIRCLES, SYSTEM, CIRCLES / "vault") as modules:
        yield modules


def score(ex: SimpleNamespace, circles: object, count: int = 26, name: str = "a") -> float:
    item = {"input": {"instance": "a", "count": count}}
    return ex.scoring.radii(item, {"instance": name, "circles": circles})


def test_T4_only_the_circles_may_change():
    manifest = load_manifest(SYSTEM)
    assert manifest.scope.allow == ("circles.json",)
    assert "answer.py" in manifest.protected()


def test_the_start_is_the_grid_and_the_answer_names_its_item(ex, tmp_path):
    (tmp_path / "items.jsonl").write_text('{"id": "i", "input": {"instance": "a", "count": 26}}\n')
    env = {"PATH": os.environ["PATH"], "FESTINA_IN": str(tmp_path), "FESTINA_OUT": str(tmp_path)}
    subprocess.run([sys.executable, "-S", "-E", "answer.py"], cwd=SYSTEM, env=env, check=True)
    (row,) = [json.loads(line) for line in (tmp_path / "predictions.jsonl").read_text().splitlines()]
    assert row["output"]["circles"] == ex.generator.grid()
    assert score(ex, row["output"]["circles"]) == pytest.approx(2.5414213562)
    assert score(ex, row["output"]["circles"], name="b") == 0


def test_circles_may_touch_and_an_overlap_in_the_last_place_is_none_the_less_one(ex):
    touching = [["0.25", "0.5", "0.25"], ["0.75", "0.5", "0.25"]]
    assert score(ex, touching, 2) == 0.5
    last = "0.25" + "0" * 27 + "1"
    for at in ([0, 2], [1, 2], [1, 0]):  # a radius too large, a centre beyond the wall's reach
        wrong = [list(circle) for circle in touching]
        wrong[at[0]][at[1]] = last if at[1] == 2 else "0.75" + "0" * 27 + "1"
        assert score(ex, wrong, 2) == 0


@pytest.mark.parametrize(
    "circle",
    [
        ["0.5", "0.5", "-0.1"], ["0.5", "0.5", "0.0"], ["0.5", "0.5", "1e-1"], ["0.5", "0.5", "1/3"],
        ["0.5", "0.5", " 0.1"],
        ["0.5", "0.5", "0.1\n"], ["0.5", "0.5", 0.1], ["0.5", "0.5", "nan"], ["0.5", "0.5"], ["0.5", "0.5", "0.1", "0"],
        ["0.5", "0.5", "0." + "1" * 31], ["0.5", "0.5", "0.\u0661"], ["1.5", "0.5", "0.1"], None, "0.5", {},
    ],
)  # fmt: skip
def test_T3_a_circle_is_three_decimals_and_nothing_else(ex, circle):
    assert score(ex, [["0.5", "0.5", "0.1"]], 1) == 0.1
    assert score(ex, [circle], 1) == 0


def test_an_overlap_of_a_billionth_is_refused_where_a_tolerance_takes_it_for_a_record(ex):
    honest = ex.generator.grid()
    cheat = ex.measure.swollen(honest)
    assert ex.measure.tolerant(cheat) > ex.measure.tolerant(honest) > 2.54  # positive control: the cheat works there
    assert score(ex, cheat) == 0


def test_the_improver_finds_more_than_the_grid_and_writes_what_the_exact_check_takes(ex):
    start = np.array(ex.generator.grid(), dtype=float)
    rows = ex.improve.written(ex.improve.search(start, np.random.default_rng(1), 1.0))
    assert rows is not None
    assert score(ex, rows) > 2.6
