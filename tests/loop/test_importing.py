"""Other tools' tasks become systems: in a new folder, with what they lose told, and they run."""

from __future__ import annotations

import hashlib
import subprocess
import sys
from pathlib import Path

import pytest

from festina.errors import UsageError
from festina.ledger.log import Ledger
from festina.loop.importing import bring
from festina.propose.foreign.openevolve import fixed_lines
from festina.system import home as homes
from festina.system.repo import Repo
from tests.loop.commandline import festina
from tests.loop.invariants import read
from tests.toy import Toy

PROGRAM = '''"""Fit a line by steps."""
import pathlib
RATE = 2.0
# EVOLVE-BLOCK-START
STEP = 0.01
ROUNDS = 4


def fit(points):
    a = b = 0.0
    for _ in range(ROUNDS):
        for x, y in points:
            error = a * x + b - y
            a -= STEP * error * x
            b -= STEP * error
    return a, b
# EVOLVE-BLOCK-END
'''
EVALUATOR = '''import importlib.util
import os
import random

from openevolve.evaluation_result import EvaluationResult  # as many tasks do, whether it is installed or not


def evaluate(program_path):
    spec = importlib.util.spec_from_file_location("program", program_path)
    program = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(program)
    rng = random.Random(os.environ.get("FESTINA_SEED"))
    points = [(x / 10, 2 * x / 10 + 1 + rng.gauss(0, 0.1)) for x in range(30)]
    a, b = program.fit(points)
    loss = sum((a * x + b - y) ** 2 for x, y in points) / len(points)
    return EvaluationResult(metrics={"loss": loss, "combined_score": 1 / (1 + loss)}, artifacts={"a": str(a)})
'''
TRAIN = '''import math, os, random
from prepare import evaluate_bpb
RATE = 0.05
STEPS = 12
rng = random.Random(os.environ.get("FESTINA_SEED"))
weight = rng.gauss(0, 0.01)
for _ in range(STEPS):
    weight -= RATE * (weight - 1.0)
print("---")
print(f"val_bpb:          {evaluate_bpb(weight):.6f}")
print(f"num_steps:        {STEPS}")
'''
PREPARE = "TIME_BUDGET = 300\n\n\ndef evaluate_bpb(weight):\n    return 1.0 + (weight - 1.0) ** 2\n"
PROGRAM_MD = 'Edit `train.py` alone. Read the result: `grep "^val_bpb:" run.log`. Lower is better. NEVER STOP.\n'


def folder(path: Path, **files: str) -> Path:
    path.mkdir(parents=True, exist_ok=True)
    for name, text in files.items():
        (path / name.replace("__", ".")).write_text(text)
    return path


def openevolve(path: Path) -> Path:
    return folder(path, initial_program__py=PROGRAM, evaluator__py=EVALUATOR, config__yaml="max_iterations: 9\n")


def autoresearch(path: Path, train: str = TRAIN, program: str = PROGRAM_MD) -> Path:
    return folder(path, train__py=train, prepare__py=PREPARE, program__md=program)


def digest(path: Path) -> str:
    files = sorted(each for each in path.rglob("*") if each.is_file())
    return hashlib.sha256(b"".join(str(each).encode() + each.read_bytes() for each in files)).hexdigest()


@pytest.mark.parametrize(("tool", "make", "metric"), [
    pytest.param("openevolve", openevolve, "combined_score:higher", marks=pytest.mark.slow),
    pytest.param("autoresearch", autoresearch, "val_bpb:lower", marks=pytest.mark.slow),
])  # fmt: skip
def test_V10_a_task_of_another_tool_runs_says_whose_word_its_score_is_and_stays_as_it_was(
    tool, make, metric, tmp_path, monkeypatch
):
    monkeypatch.setenv("FESTINA_HOME", str(tmp_path / "homes"))
    task = make(tmp_path / "task")
    before = digest(task)
    made = festina("init", "--from", tool, "--to", str(tmp_path / "system"), str(task))
    assert made.returncode == 0, made.stderr
    assert "self-reported" in made.stderr
    assert "festina drill" in made.stderr
    assert f'metric = "{metric}"' in (tmp_path / "system" / "festina.toml").read_text()
    assert digest(task) == before
    toy = Toy(tmp_path / "system", {})
    manifest = toy.root / "festina.toml"
    manifest.write_text(manifest.read_text().replace("archive = {}", "archive = { tries = 2 }"))  # a short search
    toy.commit("a shorter search")
    said = ""
    for _ in range(4):  # the search draws by lot: a run may spend its trials on tries alone, and the next goes on
        run = festina("run", "--proposals", "1", "--trials", "200", "--yes", "--workers", "1", toy=toy)
        assert run.returncode in (0, 5), run.stderr
        said += run.stderr
        if "paired runs" in said:
            break
    assert "paired runs" in said
    assert "nothing is proven" in said


def test_nothing_is_ever_overwritten(tmp_path):
    task = openevolve(tmp_path / "task")
    for name in ("taken", "task"):
        (tmp_path / name).mkdir(exist_ok=True)
        with pytest.raises(UsageError) as refused:
            bring("openevolve", task, tmp_path / name, metric=None, allow=())
        assert refused.value.name == "folder-exists"
    with pytest.raises(UsageError) as refused:
        bring("openevolve", task, task / "below", metric=None, allow=())
    assert refused.value.name == "folder-inside"
    (task / "festina_evaluate.py").write_text("mine\n")
    with pytest.raises(UsageError) as refused:
        bring("openevolve", task, tmp_path / "new", metric=None, allow=())
    assert refused.value.name == "name-taken"
    assert not (tmp_path / "new").exists()


def test_P2_lines_outside_the_marks_cannot_change_and_a_program_that_tries_never_runs(tmp_path):
    system = bring("openevolve", openevolve(tmp_path / "task"), tmp_path / "system", metric=None, allow=()).root
    program, ran = system / "initial_program.py", tmp_path / "ran"

    def run(text: str) -> subprocess.CompletedProcess[str]:
        program.write_text(text)
        ran.unlink(missing_ok=True)
        line = [sys.executable, "festina_evaluate.py"]
        return subprocess.run(line, cwd=system, capture_output=True, text=True, env={"FESTINA_SEED": "1"})

    mark = f"pathlib.Path({str(ran)!r}).touch()\n"
    inside = run(PROGRAM.replace("STEP = 0.01\n", f"STEP = 0.02\n{mark}"))
    assert inside.returncode == 0, inside.stderr
    assert ran.exists()  # positive control: within the marks the same line runs
    for changed in (
        PROGRAM.replace("RATE = 2.0\n", mark),
        PROGRAM.replace("STEP = 0.01\n", f"# EVOLVE-BLOCK-END\n{mark}# EVOLVE-BLOCK-START\n"),
        PROGRAM.replace("# EVOLVE-BLOCK-END\n", mark),
        PROGRAM + mark,
    ):
        outside = run(changed)
        assert outside.returncode != 0
        assert "outside its EVOLVE-BLOCK marks" in outside.stderr
        assert not ran.exists()


def test_marks_that_do_not_pair_are_no_marks():
    assert fixed_lines(b"a\n# EVOLVE-BLOCK-START\nb\n# EVOLVE-BLOCK-END\nc") is not None
    ended = b"# EVOLVE-BLOCK-START\nb\n# EVOLVE-BLOCK-END\n\n\ndef f(): pass"
    assert fixed_lines(ended) == fixed_lines(ended + b"\n")
    for text in (b"a\nb", b"# EVOLVE-BLOCK-START\nb", b"# EVOLVE-BLOCK-END\nb\n# EVOLVE-BLOCK-START\n"):
        assert fixed_lines(text) is None


def test_a_command_that_does_not_run_in_a_box_leaves_the_system_and_says_so(tmp_path):
    task = autoresearch(tmp_path / "task", train="import no_such_package\n" + TRAIN)
    with pytest.raises(UsageError) as failed:
        bring("autoresearch", task, tmp_path / "system", metric=None, allow=())
    assert failed.value.name == "import-does-not-run"
    assert "no_such_package" in failed.value.what
    assert f"install no_such_package for the Python that runs Festina, {sys.executable}" in failed.value.fix
    assert (tmp_path / "system" / "festina.toml").exists()
    with pytest.raises(UsageError) as again:  # whoever repeats the command is told to go on where it stands
        bring("autoresearch", task, tmp_path / "system", metric=None, allow=())
    assert again.value.name == "folder-exists"
    assert "an earlier import made this folder" in again.value.what
    assert "add what was missing, commit it" in again.value.fix


def test_an_import_that_breaks_off_leaves_nothing_in_the_way(tmp_path, monkeypatch):
    task = autoresearch(tmp_path / "task")

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr("festina.loop.importing._manifest", full)
        with pytest.raises(OSError, match="No space"):
            bring("autoresearch", task, tmp_path / "system", metric=None, allow=())
    assert not (tmp_path / "system").exists()
    made = bring("autoresearch", task, tmp_path / "system", metric=None, allow=())
    assert (made.root / "festina.toml").exists()


def test_what_wants_a_gpu_is_not_tried_and_asks_for_one(tmp_path):
    task = autoresearch(tmp_path / "task", train='device = torch.device("cuda")\n' + TRAIN)
    made = bring("autoresearch", task, tmp_path / "system", metric=None, allow=())
    assert "experiment.gpu = true" in (made.root / "festina.toml").read_text()
    assert "not tried" in made.told
    assert "300 s on the clock" in made.told


@pytest.mark.parametrize(
    ("tool", "files", "name"),
    [
        ("openevolve", {"evaluator__py": EVALUATOR}, "no-openevolve-task"),
        ("openevolve", {"initial_program__py": PROGRAM, "evaluator__py": "x = 1\n"}, "no-openevolve-task"),
        ("openevolve", {"initial_program__py": PROGRAM, 'e";x__py': EVALUATOR}, "no-openevolve-task"),
        ("autoresearch", {"prepare__py": PREPARE}, "no-autoresearch-task"),
        ("autoresearch", {"train__py": "print(1)\n"}, "no-autoresearch-task"),
    ],
)
def test_a_folder_that_is_no_such_task_is_refused_with_what_is_missing(tool, files, name, tmp_path):
    with pytest.raises(UsageError) as refused:
        bring(tool, folder(tmp_path / "task", **files), tmp_path / "system", metric=None, allow=())
    assert refused.value.name == name
    assert refused.value.fix
    assert not (tmp_path / "system").exists()


QUIZ = '''from inspect_ai import Task, task
from inspect_ai.dataset import MemoryDataset, Sample
from inspect_ai.model import ModelOutput
from inspect_ai.scorer import match
from inspect_ai.solver import solver

SURE = 2


@solver
def count():
    async def solve(state, generate):
        right = int(state.sample_id) <= SURE
        state.output = ModelOutput.from_content("none", str(state.metadata["n"]) if right else "?")
        return state

    return solve


@task
def quiz():
    samples = [Sample(id=n, input=f"{n} + {n}?", target=str(2 * n), metadata={"n": 2 * n}) for n in range(1, 5)]
    return Task(dataset=MemoryDataset(samples), solver=count(), scorer=match())
'''


def test_an_inspect_folder_needs_exactly_one_task(tmp_path):
    for text in ("x = 1\n", QUIZ + QUIZ.replace("def quiz", "def other")):
        with pytest.raises(UsageError) as refused:
            bring("inspect", folder(tmp_path / "task", quiz__py=text), tmp_path / "new", metric=None, allow=())
        assert refused.value.name == "no-inspect-task"


@pytest.mark.slow
def test_V10_of_an_inspect_task_only_the_solver_may_change_and_its_scorer_stays(tmp_path):
    made = bring("inspect", folder(tmp_path / "task", quiz__py=QUIZ), tmp_path / "system", metric=None, allow=())
    assert 'allow = ["festina_solver.py"]' in (made.root / "festina.toml").read_text()
    assert "self-reported" in made.told

    def score(text: str) -> str:
        (made.root / "festina_solver.py").write_text(text)
        line = [sys.executable, "festina_inspect.py"]
        done = subprocess.run(line, cwd=made.root, capture_output=True, text=True, env={"PATH": "/usr/bin:/bin"})
        return done.stdout.splitlines()[-1] if done.returncode == 0 else done.stderr

    surer = QUIZ.replace("SURE = 2", "SURE = 3")
    lenient = surer.replace("target=str(2 * n)", 'target="?"').replace("range(1, 5)", "range(4, 5)")
    assert score(lenient) == "score: 0.75"  # the copy's solver on the task's own dataset; on the copy's it were 1.0


@pytest.mark.slow
def test_V10_P7_an_inspect_folder_is_imported_and_its_solver_is_tried_in_a_whole_run(tmp_path, monkeypatch):
    """Each run starts Inspect anew, so that the run is a short one: it may end before a verdict."""
    pytest.importorskip("inspect_ai", reason="the extra festina[inspect] is not installed")
    monkeypatch.setenv("FESTINA_HOME", str(tmp_path / "homes"))
    task = folder(tmp_path / "task", quiz__py=QUIZ)
    made = festina("init", "--from", "inspect", "--to", str(tmp_path / "system"), str(task))
    assert made.returncode == 0, made.stderr
    toy = Toy(tmp_path / "system", {})
    done = festina("run", "--proposals", "1", "--trials", "12", "--yes", "--workers", "2", toy=toy)
    assert done.returncode in (0, 5), done.stderr
    state, _ = read(toy.root)
    nodes = list(state.search.nodes.values())
    assert nodes[0].scores[0] == 0.5  # two of four samples, by the task's own scorer, printed in a box
    assert all(score is not None for score in nodes[0].scores)
    children = [node for node in nodes if node.parent is not None]
    assert children  # the search changed the solver, and the change was run
    assert {score for node in children for score in node.scores} <= {None, 0.0, 0.25, 0.5, 0.75, 1.0}
    changed = {path for node in children for path in paths_of(toy, node.patch)}
    assert changed == {"festina_solver.py"}
    assert state.faults == 0


def paths_of(toy: Toy, patch: str) -> set[str]:
    with Ledger.open(homes.require(Repo.discover(toy.root)).ledger, readonly=True) as ledger:
        lines = ledger.get_blob(patch).decode().splitlines()
    return {line.removeprefix("+++ b/") for line in lines if line.startswith("+++ b/")}
