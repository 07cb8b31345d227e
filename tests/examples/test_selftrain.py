"""The model that teaches itself: what can be shown without torch, and one round of the real loop (slow)."""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest

from festina.ledger.log import Ledger
from festina.loop.state import fold
from festina.system.globs import matches_any
from festina.system.manifest import load_manifest
from tests.examples.modules import imported

EXAMPLE = Path(__file__).resolve().parents[2] / "examples" / "selftrain"
SYSTEM = EXAMPLE / "system"


@pytest.fixture(scope="module")
def ex() -> Iterator[SimpleNamespace]:
    """The example's modules that need no torch, forgotten again afterwards."""
    names = ("filters", "improve", "scoring", "generator")
    with imported(names, SYSTEM, EXAMPLE / "vault") as modules:
        yield modules


def test_T4_the_model_code_and_its_answering_are_out_of_reach_and_the_weights_are_part_of_the_improver():
    manifest = load_manifest(SYSTEM)
    assert not any(matches_any(manifest.scope.allow, path) for path in ("model.py", "answer.py", "scoring.py"))
    assert {"weights.safetensors", "recipe.json", "filters.py"} <= set(manifest.improver.code)
    assert manifest.scope.binary


def test_V1_hidden_problems_cover_the_taught_lengths_and_those_beyond_and_are_added_rightly(ex):
    items = ex.generator.generate(7, 2000)
    assert items == ex.generator.generate(7, 2000) != ex.generator.generate(8, 2000)
    assert {len(item["input"]["a"]) for item in items} == set(range(1, 21))
    for item in items:
        a, b = item["input"]["a"], item["input"]["b"]
        assert len(a) == len(b)
        assert item["label"] == {"sum": str(int(a) + int(b)), "old": len(a) <= 6}
    assert 0.2 < sum(item["label"]["old"] for item in items) / len(items) < 0.3


def test_T6_only_the_sum_as_a_string_of_digits_scores(ex):
    item = {"label": {"sum": "1000", "old": False}}
    assert ex.scoring.exact(item, "1000") == 1.0
    for wrong in (1000, 1000.0, "01000", " 1000", "1000\n", "1e3", "１０００", True, None, ["1000"], "999"):
        assert ex.scoring.exact(item, wrong) == 0.0
    assert ex.scoring.old(item, None) == 1.0
    assert ex.scoring.old({"label": {"sum": "7", "old": True}}, "8") == 0.0


def test_the_public_problems_hold_no_answer_beyond_what_generation_0_was_taught():
    rows = [json.loads(line) for line in (SYSTEM / "data" / "public.jsonl").read_text().splitlines()]
    assert max(len(row["input"]["a"]) for row in rows) == 6
    assert all(str(int(row["input"]["a"]) + int(row["input"]["b"])) == row["label"]["sum"] for row in rows)


def test_nines_passes_two_wrong_carries_that_cancel_elevens_do_not_and_agreement_passes_what_is_wrong_twice(ex):
    problems = [("4999999", "1000001")] * 3
    said = ["6000000", "5000000", "6099999"]  # right, one carry wrong, off by 99999

    def asked(others):
        return ["5000000"] * len(others)  # wrong whichever number comes first

    assert ex.filters.nines(problems, said, asked) == [True, False, True]
    assert ex.filters.elevens(problems, said, asked) == [True, False, False]
    assert ex.filters.agree(problems, said, asked) == [False, True, False]
    assert all(ex.filters.none(problems, said, asked))


def row(word: str, name: str) -> dict:
    return {"word": word, "patch": f' {{\n-  "filter": "x",\n+  "filter": "{name}",\n   "reach": 7,\n'}


def test_P4_the_improver_finds_the_filter_that_pays_from_one_word_a_proposal(ex):
    names = list(ex.filters.FILTERS)
    still = SimpleNamespace(random=lambda: 1.0)  # no exploring
    assert ex.improve.choose(names, [], random.Random(1)) == "none"
    assert ex.improve.choose(names, [row("rejected", "none")], random.Random(1)) == "agree"
    history = [row("rejected", "none"), row("failed", "agree"), row("rejected", "agree"), row("accepted", "nines")]
    assert ex.improve.record(history) == {"none": [False], "agree": [False], "nines": [True]}
    unchanged = {"word": "accepted", "patch": ' {\n   "filter": "nines",\n-  "reach": 7,\n+  "reach": 8,\n'}
    assert ex.improve.record([*history, unchanged])["nines"] == [True, True]
    assert ex.improve.choose(names, history, still) == "nines"
    stalled = [*history, *[row("accepted", "nines")] * 5, row("rejected", "nines")]
    assert ex.improve.choose(names, stalled, still) == "nines"
    assert ex.improve.choose(names, [*stalled, row("rejected", "nines")], still) == "elevens"
    history.append(row("rejected", "elevens"))
    drawn = {ex.improve.choose(names, history, random.Random(seed)) for seed in range(80)}
    assert drawn == set(names)  # and now and then another


@pytest.mark.slow
def test_R1_P5_one_round_of_the_real_loop_weights_cross_as_data_and_propose_nothing_before_approval(tmp_path: Path):
    pytest.importorskip("torch")
    root = tmp_path / "run" / "system"
    root.parent.mkdir()
    environment = {
        "FESTINA_HOME": str(tmp_path / "home"), "FESTINA_REVIEWER_KEYS": str(tmp_path / "keys"),
        "PATH": os.environ["PATH"], "OMP_NUM_THREADS": "1",
    }  # fmt: skip
    lay_out = "import sys, pathlib; sys.path[:0] = [sys.argv[1]]; import loop; loop.prepare(pathlib.Path(sys.argv[2]))"
    python = [sys.executable, "-W", "ignore"]
    subprocess.run([*python, "-c", lay_out, str(EXAMPLE), str(root.parent)], env=environment, check=True, timeout=100)
    recipe = json.loads((root / "recipe.json").read_text()) | {"steps": 60, "asked": 300, "kept": 200}
    (root / "recipe.json").write_text(json.dumps(recipe, indent=2) + "\n")
    for words in (["add", "-A"], ["-c", "user.name=t", "-c", "user.email=t@localhost", "commit", "-qm", "smaller"]):
        subprocess.run(["git", "-C", str(root), *words], check=True)
    line = [*python, "-m", "festina", "run", "-C", str(root), "--proposals", "1", "--budget", "250s"]
    done = subprocess.run(line, env=environment, capture_output=True, text=True, timeout=290)
    assert done.returncode in (0, 5), done.stderr
    with Ledger.open(next((tmp_path / "home").rglob("ledger.db")), readonly=True) as ledger:
        state = fold(ledger.records())
    proposal = state.proposals[0]
    assert (proposal.author, proposal.binary, proposal.word == "refused") == ("own", True, False), done.stderr
    assert proposal.tree is not None
    assert state.in_force == 0
    assert "by the improver of generation 0" in done.stderr
