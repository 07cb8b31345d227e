"""The packing example does what its README says, without the engine: the real scripts, as real processes."""

from __future__ import annotations

import json
import os
import random
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from festina.system.manifest import load_manifest
from tests.examples.modules import imported

PACKING = Path(__file__).resolve().parents[2] / "examples" / "packing"
SYSTEM = PACKING / "system"
BEST_FIT = {"priority": "-left", "tables": {}}
FOUND = {"priority": "-left - after*after * left", "tables": {}}  # as the improver finds it


@pytest.fixture(scope="module")
def ex() -> Iterator[SimpleNamespace]:
    """The example's modules, forgotten again afterwards."""
    names = ("packing", "scoring", "improve", "generator")
    with imported(names, SYSTEM, PACKING / "vault") as modules:
        yield modules


def instance(ex: SimpleNamespace, seed: int) -> dict:
    return ex.generator.generate(seed, 1)[0]


def test_T4_the_judge_s_own_loop_and_the_items_are_protected_and_only_the_rule_may_change():
    manifest = load_manifest(SYSTEM)
    assert manifest.scope.allow == ("rule.json",)
    assert {"packing.py", "answer.py", "scoring.*", "data/public.jsonl"} <= set(manifest.protected())


def test_best_fit_wastes_what_was_published_and_counting_bins_saves_it(ex):
    items = [instance(ex, seed) for seed in range(4)]
    for rule, least, most in ((BEST_FIT, 3.7, 4.3), (FOUND, 0.4, 0.75)):  # FunSearch's paper: best fit 3.98
        waste = [ex.scoring.waste(i, {"instance": i["input"]["instance"], "rule": rule}) for i in items]
        assert least < sum(waste) / len(waste) < most


@pytest.mark.parametrize(
    "formula",
    [
        "__import__('os')", "left.__class__", "a[left]", "[left][0]", "left if new else same", "lambda: 1", "min(left)",
        "abs(left, left)", "'x'", "True", "1e999", "left and new", "print(left)", "(x := left)", "left < space < 3",
        "", "left\n", "-" * 1999 + "1", "+".join("1" * 400), "\u2212left", "item**", "f(left)", "left[left]", "1j",
    ],
)  # fmt: skip
def test_T3_only_the_language_of_rules_is_read(ex, formula):
    with pytest.raises(ex.packing.BadRule):
        ex.packing.read_rule({"priority": formula, "tables": {}})
    item = instance(ex, 1)
    answer = {"instance": item["input"]["instance"], "rule": {"priority": formula, "tables": {}}}
    assert ex.scoring.waste(item, answer) == ex.scoring.WORST


@pytest.mark.parametrize("formula", ["1/0", "sqrt(-left)", "9**9**9", "(0-1)**0.5", "log1p(-5)", "same/same", "1/new"])
def test_T6_a_priority_that_is_not_finite_is_the_worst_score(ex, formula):
    rule = ex.packing.read_rule({"priority": formula, "tables": {}})
    assert ex.packing.play(rule, [60, 30, 50])[0] == float("inf")


def test_T6_an_answer_counts_only_for_the_instance_that_it_names(ex):
    item, other = instance(ex, 1), instance(ex, 2)
    right = {"instance": item["input"]["instance"], "rule": BEST_FIT}
    assert ex.scoring.waste(item, right) < ex.scoring.WORST
    for answer in (None, [], BEST_FIT, {**right, "more": 1}, {**right, "instance": other["input"]["instance"]}):
        assert ex.scoring.waste(item, answer) == ex.scoring.WORST


def test_what_answers_is_never_shown_the_items(ex):
    item = instance(ex, 3)
    assert item["input"].keys() == {"instance", "capacity", "count"}
    name = item["input"]["instance"]
    assert name not in item["label"]["items"]


@settings(max_examples=40, deadline=None)
@given(
    items=st.lists(st.integers(1, 100), min_size=1, max_size=60),
    formula=st.sampled_from(["-left", "left", "same - after*2", "-left - after*item", "new - left", "-(left == 0)"]),
)
def test_a_batch_of_rules_packs_as_each_alone_and_as_a_plain_packer_does(ex, items, formula):
    rule = ex.packing.read_rule({"priority": formula, "tables": {}})
    used = ex.packing.play(rule, items)[0]
    assert used == plain(formula, items)
    assert sum(items) / 100 <= used <= len(items)
    weighed = ex.packing.read_rule({"priority": f"({formula}) * 1", "tables": {}})
    variants = np.array([[*weighed.constants[:-1], weight] for weight in (2.0, 1.0, -1.0)])
    batch = ex.packing.play(weighed, items, variants)
    assert batch[0] == batch[1] == used
    assert batch[2] == plain(f"({formula}) * -1", items)


def plain(formula: str, items: list[int]) -> int:
    """The same packing with real bins, one by one, so that nothing rests on the counts."""
    bins: list[int] = []  # free space

    def value(space: int, size: int) -> float:
        left = space - size
        scope = {
            "item": size, "space": space, "left": left, "new": float(space == 100),
            "same": sum(b == space for b in bins) if space < 100 else 0,
            "after": sum(b == left for b in bins) if left else 0,
        }  # fmt: skip
        return float(eval(formula, {"__builtins__": {}}, scope))  # noqa: S307 - the formulas above

    for size in items:
        choices = sorted({b for b in bins if b >= size and b < 100} | {100})
        best = max(choices, key=lambda space: (value(space, size), -space))
        if best == 100:
            bins.append(100 - size)
        else:
            bins[bins.index(best)] -= size
    return len(bins)


@pytest.mark.slow
def test_the_improver_finds_a_rule_below_one_per_cent_from_best_fit(ex, tmp_path):
    tree, view, out = tmp_path / "tree", tmp_path / "view", tmp_path / "out"
    shutil.copytree(SYSTEM, tree, ignore=shutil.ignore_patterns("__pycache__"))
    view.mkdir()
    out.mkdir()
    (view / "tree").symlink_to(tree)
    env = {"PATH": os.environ["PATH"], "FESTINA_VIEW": str(view), "FESTINA_OUT": str(out), "FESTINA_SEED": "1"}
    subprocess.run([sys.executable, "improve.py"], cwd=tree, env=env, check=True, capture_output=True)
    text = (out / "files" / "rule.json").read_text()
    rule = ex.packing.read_rule(json.loads(text))
    rng = random.Random(9)
    held = [ex.generator.sizes(rng) for _ in range(6)]
    excess = [ex.packing.excess(float(ex.packing.play(rule, items)[0]), items) for items in held]
    assert sum(excess) / len(excess) < 1.0
    assert json.loads((out / "proposal.json").read_text())["predicted"] > 2
