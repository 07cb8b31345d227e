"""The flagship example does what its README says, without the engine: the real scripts, as real processes."""

from __future__ import annotations

import ast
import importlib
import importlib.util
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest

from festina.system.manifest import load_manifest
from tests.examples.modules import imported

LIBRARY = Path(__file__).resolve().parents[2] / "examples" / "library"
SYSTEM = LIBRARY / "system"
DETECT = 0.04  # what festina.toml declares


@pytest.fixture(scope="module")
def ex() -> Iterator[SimpleNamespace]:
    """The example's modules, forgotten again afterwards: their names are too common to leave in sys.modules."""
    names = ("solve", "improve", "generator", "chains", "planted", "scoring")
    with imported(names, LIBRARY, SYSTEM, LIBRARY / "vault") as modules:
        yield modules


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """A fresh copy of the system, as a sandbox would show it."""
    target = tmp_path / "tree"
    shutil.copytree(SYSTEM, target, ignore=shutil.ignore_patterns("__pycache__"))
    return target


def python(script: str, cwd: Path, **environment: str) -> str:
    line = [sys.executable, "-S", "-E", script]
    plain = {"PATH": os.environ["PATH"], "PYTHONHASHSEED": "0", **environment}
    return subprocess.run(line, cwd=cwd, env=plain, capture_output=True, text=True, check=True).stdout


def solve(tree: Path, items: list[dict], scratch: Path) -> list[dict]:
    scratch.mkdir(exist_ok=True)
    lines = [json.dumps({"id": f"i{n}", "input": item["input"]}) for n, item in enumerate(items)]
    (scratch / "items.jsonl").write_text("\n".join(lines) + "\n")
    python("solve.py", tree, FESTINA_IN=str(scratch), FESTINA_OUT=str(scratch))
    return [json.loads(line) for line in (scratch / "predictions.jsonl").read_text().splitlines()]


def improve(improver: Path, tree: Path, scratch: Path, *, seed: int = 1, history: tuple[dict, ...] = ()) -> dict | None:
    """One proposal of ``improver`` about ``tree``: its plan and files, or None."""
    shutil.rmtree(scratch, ignore_errors=True)
    view, out = scratch / "view", scratch / "out"
    view.mkdir(parents=True)
    out.mkdir()
    (view / "tree").symlink_to(tree)
    (view / "history.jsonl").write_text("".join(json.dumps(row) + "\n" for row in history))
    python("improve.py", improver, FESTINA_VIEW=str(view), FESTINA_OUT=str(out), FESTINA_SEED=str(seed))
    if not (out / "proposal.json").exists():
        return None
    files = {str(p.relative_to(out / "files")): p.read_text() for p in (out / "files").rglob("*") if p.is_file()}
    return {**json.loads((out / "proposal.json").read_text()), "files": files}


def primitives(ex: SimpleNamespace, *names: str) -> list:
    """Functions of the hidden mix as primitives, and ``nand``."""
    made = []
    for name in names:
        inputs = 2 if name == "nand" else ex.generator.FUNCTIONS[name][0]
        gates = [[0, 1]] if name == "nand" else ex.generator.gates_of([name, *range(inputs)], inputs)
        full = (1 << (1 << inputs)) - 1
        table = ex.solve.run(gates, ex.solve.columns(inputs), full)
        made.append(ex.solve.Primitive(f"f{inputs}_{table:x}", inputs, tuple(map(tuple, gates))))
    return made


def score(ex: SimpleNamespace, items: list[dict], predictions: list[dict], scorer: str = "solved") -> float:
    rows = zip(items, predictions, strict=True)
    return sum(getattr(ex.scoring, scorer)(item, row["output"]) for item, row in rows) / len(items)


# -- the tasks ----------------------------------------------------------------------------------------------


def test_the_manifest_is_valid_and_names_what_may_change():
    manifest = load_manifest(SYSTEM)
    assert manifest.scope.allow == ("library.json", "improve.py", "memo.json")
    assert manifest.improver.code == ("improve.py", "library.json")
    assert manifest.suite.hidden is not None
    assert manifest.suite.hidden.detect == DETECT


def test_the_same_seed_draws_the_same_tasks_and_another_seed_others(ex):
    assert ex.generator.generate(5, 50) == ex.generator.generate(5, 50)
    assert ex.generator.generate(5, 50) != ex.generator.generate(6, 50)


def test_no_hidden_task_is_ever_a_public_one(ex):
    public, hidden = ({(f[1], f[2]) for stratum in ex.generator.halves() for f in stratum[half]} for half in (0, 1))
    assert len(public) > 200
    assert not public & hidden
    drawn = {(x["input"]["inputs"], int(x["input"]["table"][::-1], 2)) for x in ex.generator.generate(1, 2000)}
    assert drawn <= hidden


def test_every_task_can_be_solved_and_needs_all_its_inputs(ex):
    for item in ex.generator.generate(3, 400):
        assert ex.scoring.solved(item, item["oracle"]) == 1.0
        assert ex.generator.uses_all(int(item["input"]["table"][::-1], 2), item["input"]["inputs"])


def test_the_committed_public_tasks_are_what_the_script_draws(ex):
    script = importlib.import_module("make_public")
    drawn = ex.generator.draw(script.PUBLIC_SEED, script.PUBLIC_TASKS, 0)
    rows = [json.loads(line) for line in (SYSTEM / "data" / "public.jsonl").read_text().splitlines()]
    assert [(row["input"], row["label"]) for row in rows] == [(item["input"], item["label"]) for item in drawn]
    assert len({row["id"] for row in rows}) == len(rows)
    assert not any("oracle" in row for row in rows)


# -- the scorer ---------------------------------------------------------------------------------------------

AND = {"input": {"inputs": 3, "table": "00010001"}, "label": {"easy": True}}
RIGHT = [[0, 1], [3, 3]]
HOSTILE = {
    "nothing": None,
    "no list": {"0": [0, 1]},
    "text": "[[0,1],[3,3]]",
    "no gates": [],
    "a gate of one wire": [[0]],
    "a gate of three wires": [[0, 1, 2], [3, 3]],
    "a gate that is text": ["01", [3, 3]],
    "a gate that is an object": [{"0": 0, "1": 1}, [3, 3]],
    "a wire that is true": [[0, True], [3, 3]],
    "a wire that is a float": [[0, 1.0], [3, 3]],
    "a wire that is text": [["0", 1], [3, 3]],
    "a wire that is null": [[0, None], [3, 3]],
    "a wire that is a list": [[[0], 1], [3, 3]],
    "a negative wire": [[0, 1], [-1, -1]],
    "a gate that reads itself": [[0, 1], [3, 3], [5, 5]],
    "a forward reference": [[4, 4], [0, 1], [3, 3]],
    "a wire far away": [[0, 10**400], [3, 3]],
    "more gates than allowed": [[0, 1], [3, 3]] * 129,
    "a huge program": [[0, 1]] * 200_000,
    "the wrong function": [[0, 1]],
    "the right function not last": [[0, 1], [3, 3], [4, 4]],
}


def test_the_scorer_takes_a_right_program_of_any_allowed_length(ex):
    assert ex.scoring.solved(AND, RIGHT) == 1.0
    assert ex.scoring.solved(AND, [[0, 1]] * 254 + [[3, 3]]) == 1.0  # padding is no crime up to the cap


@pytest.mark.parametrize("name", HOSTILE)
def test_the_scorer_gives_nothing_for(ex, name):
    assert ex.scoring.solved(AND, HOSTILE[name]) == 0.0
    assert ex.scoring.easy(AND, HOSTILE[name]) == 0.0


def test_the_guard_is_neutral_on_tasks_that_generation_0_finds_hard(ex):
    hard = {**AND, "label": {"easy": False}}
    assert ex.scoring.easy(hard, None) == 1.0
    assert ex.scoring.easy(AND, RIGHT) == 1.0


# -- the solver ---------------------------------------------------------------------------------------------


def test_every_answer_of_the_solver_verifies_with_any_library(ex, tree, tmp_path):
    items = ex.generator.generate(11, 120)
    for library in (("nand",), ("or", "and", "xor"), ("one", "differ", "xor", "and", "or", "majority", "parity")):
        (tree / "library.json").write_text(ex.solve.library_text(primitives(ex, *library)))
        predictions = solve(tree, items, tmp_path / "run")
        answered = [(item, row) for item, row in zip(items, predictions, strict=True) if row["output"] is not None]
        assert all(ex.scoring.solved(item, row["output"]) == 1.0 for item, row in answered)
        assert len(answered) > 0
    assert len(answered) > len(items) / 3


def test_the_solver_is_deterministic_and_answers_every_id(ex, tree, tmp_path):
    items = ex.generator.generate(12, 40)
    first, again = solve(tree, items, tmp_path / "a"), solve(tree, items, tmp_path / "b")
    assert first == again
    assert [row["id"] for row in first] == [f"i{n}" for n in range(40)]


def test_a_batch_costs_little(ex, tree, tmp_path):
    (tree / "library.json").write_text(ex.solve.library_text(primitives(ex, "one", "differ", "xor", "and", "or")))
    before = os.times()
    solve(tree, ex.generator.generate(13, 60), tmp_path / "run")
    after = os.times()
    assert after.children_user - before.children_user < 1.0  # 0.04 s on an idle core


def test_the_search_tests_no_more_expressions_than_its_budget(ex):
    few, many = (ex.solve.search(primitives(ex, "nand", "xor"), 4, budget) for budget in (50, 400))
    assert len(few) <= 50 + 4
    assert set(few) < set(many)


def test_generation_0_is_weak(ex):
    start = ex.solve.read_library(SYSTEM)
    assert 0.14 <= ex.chains.held(start)[0] <= 0.22


# -- the improver -------------------------------------------------------------------------------------------


def test_the_improver_is_deterministic_and_writes_only_a_library_and_its_plan(ex, tree, tmp_path):
    first = improve(tree, tree, tmp_path / "run")
    assert first == improve(tree, tree, tmp_path / "run")
    assert first is not None
    assert set(first) == {"rationale", "weakness", "predicted", "files"}
    assert list(first["files"]) == ["library.json"]
    assert 0 < first["predicted"] < 1


def test_the_improver_proposes_with_its_own_library_not_with_the_incumbents(ex, tree, tmp_path):
    """The same incumbent, two improvers: only the one that can say AND and OR sees XOR in its solutions."""
    grown = tmp_path / "grown"
    shutil.copytree(tree, grown)
    (grown / "library.json").write_text(ex.solve.library_text(primitives(ex, "and", "or", "nand")))
    by_frozen, by_grown = (improve(improver, grown, tmp_path / "run") for improver in (tree, grown))
    assert by_grown is not None
    assert '"f2_6"' in by_grown["files"]["library.json"]
    assert by_frozen is None or '"f2_6"' not in by_frozen["files"]["library.json"]


def test_the_frozen_improver_cannot_see_what_a_grown_one_sees(ex):
    tasks = ex.chains.public_tasks(4)
    seen = [
        {p.name for p in ex.improve.mine(library, tasks)}
        for library in (ex.solve.read_library(SYSTEM), primitives(ex, "and", "or", "nand"))
    ]
    assert "f2_6" not in seen[0]
    assert "f2_6" in seen[1]


def test_what_was_tried_since_the_last_acceptance_is_not_proposed_again(ex, tree, tmp_path):
    first = improve(tree, tree, tmp_path / "run")
    assert first is not None
    row = {"proposal": 1, "author": "own", "reason": "", "patch": ex.planted.patch(tree, first["files"]).decode()}
    second = improve(tree, tree, tmp_path / "run", history=({**row, "word": "rejected"},))
    assert second is None or second["files"] != first["files"]
    forgotten = ({**row, "word": "rejected"}, {**row, "patch": "", "word": "accepted"})
    assert improve(tree, tree, tmp_path / "run", history=forgotten) == first  # another incumbent: tried anew


def test_the_name_of_a_primitive_does_not_depend_on_the_order_of_its_inputs(ex):
    same = (["or", ["and", 0, 1], 2], ["or", 1, ["and", 2, 0]], ["or", ["and", 1, 2], 0])
    gates = [ex.generator.gates_of(expression, 3) for expression in same]
    made = [
        ex.improve.primitive_of((ex.solve.Primitive("x", 3, tuple(map(tuple, g))), 10, 11, 12), [10, 11, 12])
        for g in gates
    ]
    assert len({p.name for p in made}) == 1


def test_two_generations_of_recursion_already_beat_the_frozen_improver(ex):
    tasks = ex.chains.public_tasks(4)
    own, frozen = (ex.chains.chain(tasks, arm=arm, steps=2) for arm in ("own", "frozen"))
    assert own.generations[1] == frozen.generations[1]  # generation 0 proposes first in both
    assert own.final > frozen.final + 0.08


@pytest.mark.slow
def test_a_chain_of_five_acceptances_more_than_triples_generation_0(ex):
    own, frozen = (ex.chains.chain(ex.chains.public_tasks(4), arm=arm) for arm in ("own", "frozen"))
    assert len(own.generations) == 6
    assert own.final > 3.5 * own.generations[0][0]
    assert own.final > frozen.final + 0.3


# -- the failing arms ---------------------------------------------------------------------------------------


def test_without_a_gate_a_good_library_drowns(ex):
    start = primitives(ex, "one", "differ", "xor", "and", "or")
    result = ex.chains.chain(ex.chains.public_tasks(4), arm="most-used", gate="none", steps=8, start=start)
    assert result.generations[-1][2] >= 3 * len(start)
    assert result.final < result.generations[0][0] - 0.2


def test_without_a_gate_generation_0_grows_but_does_not_get_better(ex):
    result = ex.chains.chain(ex.chains.public_tasks(4), arm="most-used", gate="none", steps=8)
    assert result.generations[-1][2] >= 16
    assert min(share for share, _, _ in result.generations[1:]) < result.generations[0][0] - 0.03
    assert result.final < result.generations[0][0] + DETECT


def test_a_score_on_twenty_public_tasks_rises_while_the_system_gets_no_better(ex):
    result = ex.chains.chain(ex.chains.public_tasks(4, 20), gate="public")
    first, last = result.generations[0], result.generations[-1]
    assert last[1] >= first[1] + 0.1
    assert last[0] <= first[0] + 0.01


# -- planted proposals --------------------------------------------------------------------------------------


def applied(tree: Path, patch: Path) -> Path:
    subprocess.run(["git", "apply", str(patch)], cwd=tree, check=True, capture_output=True)
    return tree


def test_the_committed_patches_are_what_the_script_writes(tmp_path):
    subprocess.run([sys.executable, LIBRARY / "planted.py", SYSTEM, tmp_path], check=True)
    committed = {path.name: path.read_bytes() for path in (LIBRARY / "planted").rglob("*.patch")}
    assert committed == {path.name: path.read_bytes() for path in tmp_path.glob("*.patch")}


@pytest.mark.parametrize("name", ["null", "cheat", "scorer"])
def test_planted_patches_apply_to_later_generations_too(ex, tree, name):
    (tree / "library.json").write_text(ex.solve.library_text(primitives(ex, "differ", "xor", "and", "or")))
    applied(tree, LIBRARY / "planted" / f"{name}.patch")


def test_the_null_edit_changes_no_answer_and_no_proposal(ex, tree, tmp_path):
    items = ex.generator.generate(21, 80)
    answers, proposal = solve(tree, items, tmp_path / "a"), improve(tree, tree, tmp_path / "run")
    applied(tree, LIBRARY / "planted" / "null.patch")
    assert solve(tree, items, tmp_path / "b") == answers
    assert improve(tree, tree, tmp_path / "run") == proposal


def test_the_cheat_is_perfect_on_public_tasks_and_worth_nothing_on_fresh_ones(ex, tree, tmp_path):
    public = [json.loads(line) for line in (SYSTEM / "data" / "public.jsonl").read_text().splitlines()]
    fresh = ex.generator.generate(22, 800)
    honest = [score(ex, items, solve(tree, items, tmp_path / "a")) for items in (public, fresh)]
    applied(tree, LIBRARY / "planted" / "cheat.patch")
    cheating = [score(ex, items, solve(tree, items, tmp_path / "b")) for items in (public, fresh)]
    assert cheating[0] == 1.0 > honest[0]
    assert cheating[1] == honest[1]


def test_the_lucky_edit_helps_on_its_sample_and_not_on_fresh_tasks(ex, tree, tmp_path):
    sample = [json.loads(line) for line in (SYSTEM / "data" / "public.jsonl").read_text().splitlines()]
    sample, fresh = sample[: ex.planted.LUCKY_TASKS], ex.generator.generate(23, 1500)
    before = [score(ex, items, solve(tree, items, tmp_path / "a")) for items in (sample, fresh)]
    applied(tree, LIBRARY / "planted" / "generation-0" / "lucky.patch")
    after = [score(ex, items, solve(tree, items, tmp_path / "b")) for items in (sample, fresh)]
    assert after[0] > before[0]
    assert after[1] < before[1] + DETECT / 2


def test_the_scorer_edit_lies_outside_the_scope_and_would_pay(ex, tree):
    patch = LIBRARY / "planted" / "scorer.patch"
    assert [line for line in patch.read_text().splitlines() if line.startswith("+++")] == ["+++ b/scoring.py"]
    assert "scoring.py" not in load_manifest(SYSTEM).scope.allow
    applied(tree, patch)
    spec = importlib.util.spec_from_file_location("edited_scoring", tree / "scoring.py")
    assert spec is not None
    assert spec.loader is not None
    edited = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(edited)
    assert edited.solved(AND, [[0, 1]]) == 1.0  # a wrong answer, taken: the positive control


def test_the_example_needs_the_standard_library_alone():
    own = {path.stem for path in LIBRARY.rglob("*.py")} | {"approved_loop"}  # beside it: what starts the engine
    for path in LIBRARY.rglob("*.py"):
        nodes = list(ast.walk(ast.parse(path.read_text())))
        used = {alias.name for node in nodes if isinstance(node, ast.Import) for alias in node.names}
        used |= {node.module for node in nodes if isinstance(node, ast.ImportFrom) and node.module}
        assert {name.split(".")[0] for name in used} <= own | sys.stdlib_module_names, path
