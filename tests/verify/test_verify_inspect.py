"""Scorers that are Inspect tasks: real ones, offline, without a model."""

from __future__ import annotations

import importlib.util
import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from festina.errors import Fault, UsageError
from festina.verify import inspecting
from tests.verify.home import INSPECT, MARK, TASK, Home, answers, suite

if importlib.util.find_spec("inspect_ai") is None:  # importing it here would start its threads
    pytest.skip("the extra festina[inspect] is not installed", allow_module_level=True)
pytestmark = pytest.mark.slow  # `make test-slow` installs the extra
TERMS = suite(scorer=INSPECT)

#: What the scorer does with an answer of this name. Loading a task takes seconds, so that one task does it all.
ODD = """said = state.output.completion
        print(target.text)
        if said == "raise": raise ValueError(target.text)
        if said == "late": raise TimeoutError
        if said == "memory": keep = bytearray(1 << 33)
        if said == "nan": return Score(value=float("nan"))
        if said == "infinite": return Score(value=float("inf"))
        if said == "dict": return Score(value={"a": 1.0})
        if said == "list": return Score(value=[1.0])
        if said == "none": return None
        if said == "seven": return Score(value=7)
        if said == "exit": import os; os._exit(0)
        if said == "kill": import os; os.kill(os.getpid(), 9)
        while said == "spin": pass
        COUNT.append(1)
        if len(COUNT) > 60: return Score(value="I")"""


@pytest.fixture
def make(tmp_path):
    made = []

    def build(odd="pass", task=TASK, **options):
        (tmp_path / str(len(made))).mkdir()
        made.append(Home(tmp_path / str(len(made)), **options))
        (made[-1].evaluator / "quiz.py").write_text(task.replace("ODD", odd))
        return made[-1]

    yield build
    for home in made:
        home.close()


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    made = Home(tmp_path_factory.mktemp("home"))
    (made.evaluator / "quiz.py").write_text("COUNT = []\n" + TASK.replace("ODD", ODD))
    yield made
    made.close()


@pytest.fixture(scope="module")
def verifier(home):
    return home.start(TERMS, timeout_s=20.0, memory_bytes=256 << 20)


def test_V1_recorded_outputs_go_through_the_tasks_own_scorer(verifier, capfd):
    issued = verifier.draw(1, 40)
    full = verifier.score(issued.batch_id, answers(issued.inputs))
    assert (full.mean, full.items, full.failed) == (1.0, 40, 0)
    half = verifier.score(issued.batch_id, b"".join(answers(issued.inputs).splitlines(True)[:20]))
    assert (half.mean, half.failed) == (0.5, 20)
    assert capfd.readouterr() == ("", "")


def test_T6_a_task_whose_verifier_is_gone_ends_without_touching_the_host(tmp_path: Path) -> None:
    """Where its process ends by itself, Inspect removes its trace file, whatever that is: it was /dev/null once."""
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    environment = inspecting._environment(str(scratch))
    trace = Path(environment["INSPECT_TRACE_FILE"])
    assert trace.parent == scratch
    (tmp_path / "quiz.py").write_text(TASK.replace("ODD", "pass"))
    ours, theirs = socket.socketpair()
    ours.close()
    told = [str(theirs.fileno()), str(tmp_path), "quiz.py", "quiz", str(Path(inspecting.__file__).parents[2])]
    line = [sys.executable, "-I", "-c", inspecting._BOOT, *told, *inspecting._installed()]
    with theirs:
        done = subprocess.run(line, env=environment, pass_fds=(theirs.fileno(),), timeout=120, check=False)
    assert done.returncode == 0
    assert trace.read_bytes() == b""  # it was set up, and no exit handler ran
    assert not trace.with_suffix(".log.gz").exists()


@pytest.mark.slow
def test_E4_a_batch_finds_nothing_of_the_one_before(verifier):
    issued = verifier.draw(1, 36)
    for _ in range(3):  # the scorer counts its calls
        assert verifier.score(issued.batch_id, answers(issued.inputs)).mean == 1.0


@pytest.mark.slow
def test_T6_what_leaves_inspects_own_denominator_is_the_worst_score_here(verifier):
    """Errored, timed out, not a number, unscored: Inspect's mean over the rest would be 1."""
    odd = ("raise", "late", "memory", "nan", "infinite", "dict", "list", "none", "seven")
    issued = verifier.draw(1, 36)
    lines = answers(issued.inputs).splitlines(True)
    for name in odd:
        broken = answers(issued.inputs, lambda _, name=name: name).splitlines(True)
        found = verifier.score(issued.batch_id, b"".join(lines[:9] + broken[9:]))
        assert (found.mean, found.failed) == (0.25, 27), name


CHEAT = """
import sys; sys.path.insert(0, sys.argv[1])
from inspect_ai import eval, task_with
from inspect_ai.dataset import MemoryDataset, Sample
from inspect_ai.solver import solver
from inspect_ai.model import ModelOutput
import quiz
@solver
def cheat():
    async def solve(state, generate):
        state.output = ModelOutput.from_content(model="m", content="right" if state.sample_id == "1" else "raise")
        return state
    return solve
data = MemoryDataset([Sample(id=str(k), input="q", target="right") for k in range(4)])
log = eval(task_with(quiz.quiz(), dataset=data, solver=cheat()), model=None, display="none", fail_on_error=False,
           log_dir=sys.argv[2], ctl_server=False)[0]
print(log.status, log.results.scores[0].metrics["accuracy"].value)
"""


@pytest.mark.slow
def test_T6_positive_control_inspect_itself_lets_an_errored_sample_out_of_the_mean(home, tmp_path):
    command = [sys.executable, "-c", CHEAT, str(home.evaluator), str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stdout.split()[-2:] == ["success", "1.0"]


@pytest.mark.slow
def test_T6_a_batch_that_fails_as_a_whole_is_a_fault_and_the_next_one_is_judged(home):
    verifier = home.start(TERMS, timeout_s=12.0, memory_bytes=256 << 20)
    issued = verifier.draw(1, 3)
    for odd, name in {"exit": "scorer-failed", "kill": "scorer-failed", "spin": "scorer-timeout"}.items():
        with pytest.raises(Fault) as caught:
            verifier.score(issued.batch_id, answers(issued.inputs, lambda _, odd=odd: odd))
        assert caught.value.name == name
        assert MARK not in str(caught.value)
    assert verifier.score(issued.batch_id, answers(issued.inputs)).mean == 1.0
    verifier.close()
    assert os.geteuid() != 0 or not list(Path("/dev/shm").glob("festina-inspect-*"))


@pytest.mark.slow
def test_V2_the_controls_judge_a_task_like_a_function(make):
    found = make().start(TERMS).controls(1, 50)
    assert (found.ok, found.oracle) == (True, 1.0), found.note
    assert not make("return Score(value=0.5)").start(TERMS).controls(1, 50).ok


@pytest.mark.slow
@pytest.mark.parametrize(
    ("task", "what"),
    [
        (TASK.replace("scorer=exact()", "scorer=[exact(), exact()]"), "2 scorers"),
        (TASK.replace(", scorer=exact()", ""), "not a task with a scorer"),
        (TASK.replace("return Task(", "return dict("), "cannot be loaded"),
        ("import no_such_module\n" + TASK, "cannot be loaded"),
        (TASK.replace("def quiz():", "def quiz(needed):"), "cannot be loaded"),
    ],
)
def test_a_task_that_cannot_judge_is_named_at_the_start(make, task, what):
    with pytest.raises(UsageError) as caught:
        make(task=task).start(TERMS)
    assert caught.value.name == "scorer-broken"
    assert what in caught.value.what


@pytest.mark.slow
def test_a_task_that_asks_a_model_cannot_judge_here_and_the_controls_say_so(make):
    task = TASK.replace("import Score,", "import Score, model_graded_fact,").replace("=exact()", "=model_graded_fact()")
    verifier = make(task=task).start(TERMS)
    with pytest.raises(UsageError) as caught:
        verifier.controls(1, 20)
    assert caught.value.name == "scorer-broken"


@pytest.mark.slow
def test_the_tasks_own_sandbox_dataset_and_epochs_play_no_part(make):
    own = 'scorer=exact(), sandbox="docker", epochs=5, fail_on_error=True, time_limit=1'
    verifier = make(task=TASK.replace("scorer=exact()", own)).start(TERMS)
    issued = verifier.draw(1, 10)
    found = verifier.score(issued.batch_id, answers(issued.inputs))
    assert (found.mean, found.items) == (1.0, 10)
