"""The language-model example: what judges it is strict, its budget counts, its edits are programs."""

from __future__ import annotations

import importlib
import importlib.util
import json
import math
import os
import random
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from festina.system.manifest import load_manifest
from tests.examples.modules import imported
from tests.loop.commandline import festina
from tests.loop.invariants import check
from tests.toy import Toy

TINYLM = Path(__file__).resolve().parents[2] / "examples" / "tinylm"
SYSTEM = TINYLM / "system"


@pytest.fixture(scope="module")
def ex() -> Iterator[SimpleNamespace]:
    """The example's modules, forgotten again afterwards: their names are too common to leave in sys.modules."""
    names = ("harness", "edits", "improve", "generator", "scoring")
    with imported(names, SYSTEM, TINYLM / "vault") as modules:
        yield modules


def test_T4_the_manifest_protects_what_judges() -> None:
    manifest = load_manifest(SYSTEM)
    assert manifest.suite.hidden is not None
    assert (manifest.suite.hidden.unit, manifest.suite.hidden.test) == ("seed", "symmetric")
    assert {"harness.py", "data/**", "scoring.*"} <= set(manifest.protected())
    assert not set(manifest.scope.allow) & set(manifest.protected())


def test_V1_only_a_whole_distribution_has_a_score(ex: SimpleNamespace) -> None:
    item = {"label": "e"}
    assert ex.scoring.bits(item, {"e": 1_000_000}) == 0.0
    assert ex.scoring.bits(item, {"e": 500_000, "t": 500_000}) == 1.0
    assert 20.9 < ex.scoring.bits(item, {"t": 1_000_000}) < 21.0  # a floor, within the declared range
    whole = {"e": 999_999, "t": 1}
    wrong = (
        None, [], {}, "e", whole | {"t": 2}, whole | {"t": 1.0}, {"e": True, "t": 999_999},
        {"e": 2_000_000, "t": -1_000_000}, {"e": 1_000_000, "th": 0}, {"e": 1_000_000, "t": 0}, {"e": "1000000"},
    )  # fmt: skip
    for output in wrong:
        with pytest.raises(ValueError):
            ex.scoring.bits(item, output)


@given(st.lists(st.floats(0, 1), min_size=2, max_size=103).filter(lambda row: sum(row) > 1e-9))
def test_V1_every_model_s_answer_is_a_whole_distribution(ex: SimpleNamespace, row: list[float]) -> None:
    total = math.fsum(row)
    whole = ex.harness.millionths([x / total for x in row])
    assert sum(whole) == 1_000_000
    assert all(abs(n - 1e6 * x / total) <= 1.001 for n, x in zip(whole, row, strict=True))


def test_P4_no_context_shows_another_items_label_and_no_hidden_text_lies_in_the_system(ex: SimpleNamespace) -> None:
    hidden = ex.generator.hidden()
    items = ex.generator.generate(7, 600)
    assert len({item["input"] for item in items}) == len(items) == 600
    assert all(item["oracle"] == {item["label"]: 1_000_000} for item in items)
    long = [item for item in items if len(item["input"]) > 20]
    for item in long:  # passages that do not overlap: what follows one context stands in no other
        told = item["input"][-20:] + item["label"]
        shows = any(told in other["input"] for other in items if other is not item)
        assert not shows or hidden.count(told) > 1  # the text repeats itself
    assert ex.generator.generate(7, 600) == items != ex.generator.generate(8, 600)
    known = set(ex.harness.symbols())
    shown = (SYSTEM / "data" / "train.txt").read_text() + (SYSTEM / "data" / "public.txt").read_text()
    assert set(hidden) | set(shown) <= known
    pages = [hidden[start : start + 400] for start in range(0, len(hidden) - 400, 400)]
    assert sum(page in shown for page in pages) < 0.3 * len(pages)  # as much as topics repeat one another, no page


@given(st.lists(st.floats(1, 1000), min_size=1, max_size=60), st.floats(1, 5000))
def test_E1_training_ends_where_the_counted_work_is_used_up(
    ex: SimpleNamespace, costs: list[float], budget: float
) -> None:
    spent: list[float] = []

    def cost(number: int) -> float:
        spent.append(costs[number % len(costs)])
        return spent[-1]

    shares = list(ex.harness.schedule(budget, cost))
    assert len(shares) == len(spent) >= 1
    assert shares == sorted(shares)
    assert shares[-1] <= 1.0 or len(shares) == 1
    assert sum(spent[:-1]) + spent[-1] <= budget + max(costs)
    assert list(ex.harness.schedule(100.0, lambda _: 10.0)) == [n / 10 for n in range(10)]


def test_P6_every_edit_gives_a_program_and_fits_the_source(ex: SimpleNamespace) -> None:
    source = (SYSTEM / "train.py").read_text()
    for name in ex.edits.RECIPES:
        changed = ex.edits.toggled(source, name)
        compile(changed, name, "exec")
        assert changed != source, name
        back = ex.edits.toggled(changed, name)
        assert back in (source, changed), name
    policy = json.loads((SYSTEM / "policy.json").read_text())
    rng = random.Random(1)
    for number in range(200):
        text, used, _ = ex.improve.trial_of(source, policy, rng, number % 2 == 0)
        compile(text, "trial", "exec")
        assert ex.edits.value(text, "WIDTH") % ex.edits.value(text, "HEADS") == 0
        assert set(used) <= {*ex.edits.KNOBS, *ex.edits.RECIPES}
        for knob, (low, high, *_) in ex.edits.KNOBS.items():
            assert low <= ex.edits.value(text, knob) <= high, knob
        source = text if number % 10 == 9 else source


def test_no_piece_of_recipe_bars_the_way_of_another(ex: SimpleNamespace) -> None:
    """Once one did: where RMSNorm was in, pairs of characters could not be tried, and a long run was stuck."""
    source = (SYSTEM / "train.py").read_text()
    for first in ex.edits.RECIPES:
        changed = ex.edits.toggled(source, first)
        for second in ex.edits.RECIPES:
            if second != first:
                assert ex.edits.toggled(changed, second) != changed, (first, second)


def test_P5_the_policy_that_is_proposed_follows_what_paid(ex: SimpleNamespace) -> None:
    policy = json.loads((SYSTEM / "policy.json").read_text())
    bold = {"gain": 1.0, "used": ["RATE"], "wide": True, "edits": 6.0, "step": 6.0}
    dull = {"gain": 0.5, "used": ["INIT"], "wide": False, "edits": 1.0, "step": 1.2}
    bad = {"gain": -math.inf, "used": ["pairs"], "wide": False, "edits": 1.0, "step": 1.2}
    learnt = ex.improve.learnt(policy, [bold, bold, dull, dull, bad])
    assert learnt["edits"] > policy["edits"]
    assert learnt["step"] > policy["step"]
    assert learnt["wide"] > policy["wide"]
    assert learnt["weights"]["RATE"] > learnt["weights"]["INIT"] == 1.0 > learnt["weights"]["pairs"]
    nothing = ex.improve.learnt(policy, [bad])
    assert all(nothing[key] == policy[key] for key in ("edits", "step", "wide"))


@pytest.mark.slow
def test_E1_training_replays_bit_for_bit_and_the_counter_sees_attention(ex: SimpleNamespace, tmp_path: Path) -> None:
    if importlib.util.find_spec("torch") is None:
        pytest.skip("festina[torch] is not installed")
    look = (
        "import sys, hashlib; sys.path.insert(0, sys.argv[1])\n"
        "import torch, harness, train\n"
        "torch.set_num_threads(1)\n"
        "text = harness.encode((harness.HERE / 'data' / 'train.txt').read_text(), harness.symbols())\n"
        "model, steps = harness.train(train, text, 5, 12e9)\n"
        "kept = b''.join(p.detach().numpy().tobytes() for p in model.parameters())\n"
        "print(steps, hashlib.sha256(kept).hexdigest())\n"
        "q = torch.randn(2, 4, 64, 32, requires_grad=True)\n"
        "with harness.counter() as count:\n"
        "    torch.nn.functional.scaled_dot_product_attention(q, q, q).sum().backward()\n"
        "print(count.get_total_flops() / (2 * 2 * 2 * 4 * 64 * 64 * 32))\n"
    )
    run = [sys.executable, "-W", "ignore", "-c", look, str(SYSTEM)]
    first, second = (subprocess.run(run, capture_output=True, text=True, check=True).stdout for _ in range(2))
    assert first == second
    assert int(first.split()[0]) == 3
    assert float(first.split()[-1]) == 3.5  # two products forward, five back


@pytest.mark.slow
def test_E5_two_proposals_end_to_end_at_a_hundredth_of_the_budget(tmp_path: Path) -> None:
    if importlib.util.find_spec("torch") is None:
        pytest.skip("festina[torch] is not installed")
    root = tmp_path / "tinylm"
    shutil.copytree(SYSTEM, root, ignore=shutil.ignore_patterns("__pycache__"))
    for name, old, new in (
        ("harness.py", r'"200"', '"2"'),
        ("improve.py", r'"TINYLM_CPU_S", "200"', '"TINYLM_CPU_S", "9"'),
        ("improve.py", r"TRIAL_S = 25\.0", "TRIAL_S = 2.0"),
        ("improve.py", r"WORTH = 0\.02", "WORTH = -9.0"),  # whatever is best: what is tested here is the way
        ("train.py", r"WIDTH = 128", "WIDTH = 32"),
        ("train.py", r"LAYERS = 4", "LAYERS = 1"),
        ("festina.toml", r"batch = 600", "batch = 30\nmax_units = 12"),
        ("festina.toml", r"detect = 0.05", "detect = 0.3"),
    ):
        text, count = re.subn(old, new, (root / name).read_text())
        assert count == 1, (name, old)
        (root / name).write_text(text)
    toy = Toy(root, {"FESTINA_HOME": str(tmp_path / "homes"), "FESTINA_REVIEWER_KEYS": str(tmp_path / "keys")})
    toy.git("init", "-q", "-b", "main")
    toy.commit("generation 0")
    added = festina("vault", "add", "hidden", "--generator", str(TINYLM / "vault" / "generator.py"), toy=toy)
    assert added.returncode == 0, added.stderr
    run = [sys.executable, "-m", "festina", "run", "-C", str(root), "--yes", "--proposals", "2", "--budget", "15m"]
    environment = os.environ | toy.environment
    done = subprocess.run(run, env=environment, capture_output=True, text=True, timeout=1200, check=False)
    assert done.returncode == 0, done.stderr
    state = check(root, settled=True)
    assert len(state.proposals) == 2
    assert all(p.word in ("accepted", "rejected", "inconclusive") or p.patch is None for p in state.proposals.values())
    assert any(p.word is not None and p.patch is not None for p in state.proposals.values()), done.stderr
