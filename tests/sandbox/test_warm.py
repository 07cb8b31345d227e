"""The warm box: faithful to a fresh interpreter, honest about what it sends elsewhere, and ours when it breaks."""

from __future__ import annotations

import contextlib
import importlib.util
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from festina.errors import Fault, UsageError
from festina.sandbox.box import BubblewrapBox
from festina.sandbox.host import probe
from festina.sandbox.job import Bind, Ended, Job, Level, Limits
from festina.sandbox.launch import shared
from festina.sandbox.pycall import PythonCall, read_call
from festina.sandbox.warm import WarmBox
from tests.sandbox.groups import groups_of
from tests.waiting import until

PYTHON = "/usr/bin/python3"
SRC = Path(__file__).parents[2] / "src"
SMALL = Limits(wall_s=20, cpu_s=10, memory_bytes=256 << 20, pids=32, output_bytes=4 << 20, tmp_bytes=8 << 20)
needs_box = pytest.mark.skipif(probe().level < Level.L2, reason="no box on this host: see `festina doctor`")


@pytest.fixture(scope="module")
def state() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="festina-test-") as name:
        yield Path(name)


@pytest.fixture(scope="module")
def cold(state: Path) -> BubblewrapBox:
    found = probe()
    if found.mechanisms is None:
        pytest.skip("no box on this host: see `festina doctor`")
    return BubblewrapBox(state, found.mechanisms)


@pytest.fixture(scope="module")
def warm(cold: BubblewrapBox) -> Iterator[WarmBox]:
    box = WarmBox(cold, ("decimal", "random"), python=PYTHON)
    box.start()
    yield box
    box.close()


# Programs that must come out the same from a warm process and from a fresh interpreter.
SAME = {
    "names": "import sys; print(__name__, sys.argv, sorted(k for k in globals()), sys.path[0])",
    "exit_text": "import sys; sys.exit('stopped')",
    "exit_big": "import sys; sys.exit(259)",
    "exit_none": "import sys; sys.exit(None)",
    "os_exit": "import os; print('lost'); os._exit(3)",
    "unflushed_file": "f = open('/out/r', 'w'); f.write('kept'); f.other = 1 if False else None",
    "unflushed_in_a_cycle": "f = open('/out/r', 'wb'); f2 = [f]; f2.append(f2); f.write(b'kept')",
    "atexit": "import atexit; atexit.register(lambda: open('/out/r', 'w').write('late'))",
    "threads": "import threading, time\ndef f(): time.sleep(.1); open('/out/r', 'w').write('1')\n"
    "threading.Thread(target=f).start()",
    "child_falls_through": "import os\nif os.fork(): os.wait()\nprint('both', flush=True)",
    "traceback": "def f():\n    raise ValueError('bad')\nf()",
    "syntax": "def f(:\n",
    "hook": "import sys; sys.excepthook = lambda *a: print('hooked', a[0].__name__); 1 / 0",
    "interrupt": "import os, signal; os.kill(os.getpid(), signal.SIGINT); print('still here')",
    "hash": "print(hash('text'), {*'abcdef'})",
    "environment": "import os; print(sorted(os.environ.items()))",
    "stdin": "import sys; print(repr(sys.stdin.read()))",
    "finaliser": "class A:\n    def __del__(self): print('gone')\na = A()",
    "stdlib_path": "import sys; print(sys.path[1:], sys.prefix, sys.flags.dont_write_bytecode)",
    "encoding": "import sys; print(sys.stdout.encoding, sys.stdout.errors, 'ö')",
    "pickle": "import pickle\nclass A: pass\nprint(type(pickle.loads(pickle.dumps(A()))) is A)",
    "dataclass": "import dataclasses\n@dataclasses.dataclass\nclass A:\n    x: int = 1\nprint(A())",
    "abort": "import os; print('lost'); os.abort()",
    "kill_group": "import os; os.killpg(0, 9)",
    "own_signal": "import signal; signal.raise_signal(signal.SIGTERM)",
    "recursion": "def f(n): return n and 1 + f(n - 1)\nprint(f(900))\nf(10**6)",
    "deep_stack": "import sys; sys.setrecursionlimit(10**6)\ndef f(n): return n and 1 + max(f(n - 1), 0)\n"
    "print(f(20000))",
    "stack_overflow": "import sys; sys.setrecursionlimit(10**9)\ndef f(n): return sorted([n], key=f)\nf(1)",
    "becomes_another": "import os; os.execv('/bin/sh', ['sh', '-c', 'echo $$ $PPID; exit 5'])",
    "subprocess": "import subprocess; print(subprocess.run(['sh', '-c', 'exit 4']).returncode)",
    "pool": "import multiprocessing\nif __name__ == '__main__':\n"
    "    with multiprocessing.get_context('fork').Pool(2) as p: print(p.map(abs, [-1, -2, 3]))",
    "process_ids": "import os; print(os.getppid() != os.getpid(), os.getpid() == os.getsid(0) or os.getpgid(0) > 0)",
    "thread_ids": "import threading; print(threading.get_native_id() == __import__('os').getpid())",
    "main_module": "import sys, __main__; print(sys.modules['__main__'] is __main__, __main__.__dict__ is globals())",
}


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """A folder that the box's uid can enter."""
    place = tmp_path / "tree"
    place.mkdir(mode=0o755)
    return place


@needs_box
@pytest.mark.parametrize("name", SAME)
def test_a_warm_program_ends_as_a_fresh_one(name: str, warm: WarmBox, tree: Path) -> None:
    (tree / "prog.py").write_text(SAME[name])
    shown = (Bind(tree, "/system"),)
    for argv in ((PYTHON, "-c", SAME[name], "a", "b"), (PYTHON, "prog.py", "a"), (PYTHON, "-m", "prog", "a")):
        job = Job(argv, cwd="/system", binds=shown, outputs=None, env={"FESTINA_SEED": "3"})
        fresh, got = warm.cold.run(job, SMALL), warm.run(job, SMALL)
        assert got.box == "warm"
        seen = [(o.ended, o.exit_code, o.signal, o.outputs, o.stdout, _frames(o.stderr)) for o in (fresh, got)]
        assert seen[0] == seen[1]


def _frames(stderr: bytes) -> list[bytes]:
    """A traceback without the frames of ``runpy``, which stand in a warm one at other lines; recursion ends a few
    calls earlier."""
    lines = stderr.splitlines()
    return [
        line
        for at, line in enumerate(lines)
        if not any(word in line for word in (b"runpy", b"^^^^", b"line repeated"))
        and not (at and b"runpy" in lines[at - 1])
    ]


@needs_box
def test_the_interpreter_s_forms(warm: WarmBox, tree: Path) -> None:
    (tree / "pkg").mkdir()
    (tree / "pkg" / "__main__.py").write_text("import sys, side; print(side.x, sys.argv[0])")
    (tree / "pkg" / "side.py").write_text("x = 5")
    (tree / "pkg" / "helper.py").write_text("import side; print('helped', side.x)")
    shown = (Bind(tree, "/system"),)
    for words in (("pkg",), ("pkg/helper.py",), ("-u", "pkg/helper.py"), ("-m", "pkg.nothing"), ("missing.py",)):
        job = Job((PYTHON, *words), cwd="/system", binds=shown)
        fresh, got = warm.cold.run(job, SMALL), warm.run(job, SMALL)
        assert got.box == "warm"
        assert (got.ended, got.exit_code, got.stdout, got.stderr) == (
            fresh.ended, fresh.exit_code, fresh.stdout, fresh.stderr,
        )  # fmt: skip


@needs_box
def test_a_module_of_the_tree_is_taken_before_a_loaded_one(warm: WarmBox, tree: Path) -> None:
    (tree / "decimal.py").write_text("here = True")
    (tree / "prog.py").write_text("import decimal; print(hasattr(decimal, 'here'))")
    job = Job((PYTHON, "prog.py"), cwd="/system", binds=(Bind(tree, "/system"),))
    outcome = warm.run(job, SMALL)
    assert (outcome.stdout, outcome.box) == (b"True\n", "warm")


@needs_box
def test_E3_copies_do_not_draw_the_same_numbers(warm: WarmBox, cold: BubblewrapBox) -> None:
    job = Job((PYTHON, "-c", "import random; print(random.random())"))
    assert len({warm.run(job, SMALL).stdout for _ in range(4)}) == 4
    numpy = pytest.importorskip("numpy")
    assert numpy
    box = WarmBox(cold, ("numpy",), python=sys.executable)
    try:
        job = Job(
            (sys.executable, "-c", "import numpy; print(numpy.random.rand(), numpy.random.default_rng().random())")
        )
        outcomes = [box.run(job, SMALL) for _ in range(4)]
    finally:
        box.close()
    assert {outcome.box for outcome in outcomes} == {"warm"}
    assert len({word for outcome in outcomes for word in outcome.stdout.split()}) == 8


@needs_box
def test_P4_no_box_shows_the_prose_that_every_python_carries(warm: WarmBox, cold: BubblewrapBox) -> None:
    look = (
        "import os, sys\n"
        "roots = {*sys.path, *('/usr/lib/' + name for name in os.listdir('/usr/lib') if name.startswith('python3'))}\n"
        "for root in roots:\n"
        "    for place, _, names in os.walk(os.path.join(root, 'pydoc_data')):\n"
        "        for name in names:\n"
        "            if name.startswith('topics'): print(len(open(os.path.join(place, name), 'rb').read()))\n"
    )
    outside = subprocess.run([PYTHON, "-c", look], capture_output=True, text=True, check=True).stdout.split()
    assert max(map(int, outside)) > 100_000  # positive control: it is there
    for box in (warm, cold):
        found = box.run(Job((PYTHON, "-c", look)), SMALL).stdout.split()
        assert len(found) == len(outside)
        assert set(found) == {b"0"}


@pytest.mark.slow
@needs_box
def test_E4_training_in_a_warm_box_is_training_in_a_fresh_one(cold: BubblewrapBox, tree: Path) -> None:
    if importlib.util.find_spec("torch") is None:
        pytest.skip("festina[torch] is not installed")
    (tree / "train.py").write_text(
        "import os, torch, hashlib\n"
        "print(torch.get_num_threads(), len(os.listdir('/proc/self/task')))\n"
        "drawn = torch.rand(1).item()\n"
        "torch.manual_seed(int(os.environ['FESTINA_SEED']))\n"
        "model = torch.nn.Sequential(torch.nn.Linear(64, 64), torch.nn.Tanh(), torch.nn.Linear(64, 64))\n"
        "steps = torch.optim.AdamW(model.parameters(), foreach=True)\n"
        "for _ in range(20):\n"
        "    steps.zero_grad(); model(torch.randn(128, 64)).square().mean().backward(); steps.step()\n"
        "print(hashlib.sha256(b''.join(p.detach().numpy().tobytes() for p in model.parameters())).hexdigest())\n"
        "open('/out/drawn', 'w').write(str(drawn))\n"
    )
    shown, seed = (Bind(tree, "/system"),), {"FESTINA_SEED": "3"}
    job = Job((sys.executable, "train.py"), cwd="/system", binds=shown, env=seed, outputs=None)
    box = WarmBox(cold, ("torch", "torch._dynamo"), python=sys.executable)
    limits = Limits(wall_s=120, cpu_s=60, memory_bytes=2 << 30)
    try:
        warm, fresh = [box.run(job, limits) for _ in range(2)], cold.run(job, limits)
    finally:
        box.close()
    assert [each.box for each in warm] == ["warm", "warm"], warm[0].stderr
    assert {each.stdout for each in warm} == {fresh.stdout}
    assert fresh.stdout.startswith(b"1 1\n")
    assert len({each.outputs["drawn"] for each in (*warm, fresh)}) == 3  # unseeded numbers differ
    assert max(each.cpu_s for each in warm) < fresh.cpu_s  # no import


ELSEWHERE = {
    "not Python": Job(("/bin/sh", "-c", "echo 1")),
    "other flags": Job((PYTHON, "-O", "-c", "print(1)")),
    "is read when": Job((PYTHON, "-c", "print(1)"), env={"PYTHONPATH": "/system"}),
    "OMP_NUM_THREADS": Job((PYTHON, "-c", "print(1)"), env={"OMP_NUM_THREADS": "2"}),
    "another Python": Job((sys.executable, "-c", "print(1)")),
    "writable copy": Job((PYTHON, "-c", "print(1)"), work=SRC / "festina" / "review"),
}


@needs_box
@pytest.mark.parametrize("reason", ELSEWHERE)
def test_T2_what_goes_to_the_cold_box_says_so(reason: str, warm: WarmBox) -> None:
    outcome = warm.run(ELSEWHERE[reason], SMALL)
    assert outcome.stdout == b"1\n"
    assert outcome.box.startswith("cold: ")
    assert reason in outcome.box
    assert outcome.policy_hash == warm.cold.policy_hash != warm.policy_hash


words = st.sampled_from(["-c", "-m", "-I", "-u", "-Iu", "-O", "-X", "--", "-", "prog.py", "print(1)", "", "-E", "-cx"])


@given(st.lists(words, max_size=5))
def test_a_call_is_understood_or_refused_never_guessed(rest: list[str]) -> None:
    call = read_call((PYTHON, *rest), {}, PYTHON, "/usr/bin")
    if isinstance(call, str):
        return
    flags = rest[: len(rest) - len(call.words) - (call.kind != "script")]
    assert all(set(flag[1:]) <= set("IEsBuP") and len(flag) > 1 for flag in flags)
    assert [*flags, *([call.kind] if call.kind != "script" else []), *call.words] == rest
    assert call.kind != "script" or not call.words[0].startswith("-")
    assert call.isolated == any("I" in flag or "P" in flag for flag in flags)


def test_one_folder_s_pythons_are_one_interpreter(tmp_path: Path) -> None:
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "python").symlink_to(PYTHON)
        (tmp_path / name / "python3").symlink_to(PYTHON)
    path = str(tmp_path / "a")
    assert isinstance(read_call(("python", "x.py"), {}, f"{path}/python3", path), PythonCall)
    assert isinstance(read_call(("python", "x.py"), {}, f"{tmp_path}/b/python3", path), str)  # another environment


@needs_box
@pytest.mark.parametrize("module", ["no_such_module_here", "antigravity.x", "this.is.not"])
def test_T6_a_preload_that_fails_is_the_operator_s(module: str, cold: BubblewrapBox) -> None:
    children = Path(f"/proc/{shared().pid}/task/{shared().pid}/children")
    before = children.read_text()
    box = WarmBox(cold, ("json", module), python=PYTHON)
    with pytest.raises(UsageError) as caught:
        box.start()
    assert caught.value.name == "preload-failed"
    assert module in caught.value.what
    assert "ModuleNotFoundError" in caught.value.what
    assert caught.value.where == "festina.toml: experiment.preload"
    assert children.read_text() == before


HOSTILE_IMPORTS = {
    "os._exit(3)": "the process ended",
    "raise SystemExit": "SystemExit",
    "import threading, time; threading.Thread(target=time.sleep, args=(60,), daemon=True).start()": "threads",
    "os.kill(os.getpid(), 11)": "the process ended",
}


@needs_box
@pytest.mark.parametrize("code", HOSTILE_IMPORTS)
def test_T6_a_preload_that_dies_or_starts_threads_is_named(
    code: str, cold: BubblewrapBox, monkeypatch: pytest.MonkeyPatch, tree: Path
) -> None:
    (tree / "strange.py").write_text("import os\n" + code)
    real = cold.runtime
    changed = type(real)((*real.binds, (str(tree), "/usr/lib/python3/dist-packages")), real.links, real.path)
    monkeypatch.setattr(cold, "runtime", changed)
    box = WarmBox(cold, ("strange",), python=PYTHON)
    with pytest.raises(UsageError, match="strange") as caught:
        box.start()
    assert HOSTILE_IMPORTS[code] in caught.value.what


def _zygote(box: WarmBox) -> int:
    """The host's number of the warm process."""
    outer = box._outer
    assert outer is not None
    assert outer.alive()
    assert outer.watch.launched is not None
    queue, found = [outer.watch.launched.said["pid"]], 0
    while queue:
        found = queue.pop(0)
        queue += map(int, Path(f"/proc/{found}/task/{found}/children").read_text().split())
    return found


@needs_box
def test_T6_a_warm_process_that_dies_in_a_trial_is_ours_and_the_next_trial_goes(cold: BubblewrapBox) -> None:
    box = WarmBox(cold, (), python=PYTHON)
    box.start()
    zygote = _zygote(box)
    with ThreadPoolExecutor(1) as pool:
        running = pool.submit(box.run, Job((PYTHON, "-c", "import time; time.sleep(60)"), outputs=None), SMALL)
        time.sleep(1.5)
        os.kill(zygote, signal.SIGKILL)
        outcome = running.result(timeout=60)
    assert (outcome.ended, outcome.outputs) == (Ended.SANDBOX_ERROR, {})
    assert box.run(Job((PYTHON, "-c", "pass")), SMALL).ended is Ended.OK
    os.kill(_zygote(box), signal.SIGKILL)  # between two trials
    time.sleep(0.3)
    assert box.run(Job((PYTHON, "-c", "pass")), SMALL).ended is Ended.OK
    box.close()


@needs_box
def test_T6_a_warm_process_that_hangs_is_a_fault(cold: BubblewrapBox, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("festina.sandbox.warm._READY_S", 1.0)
    box = WarmBox(cold, (), python=PYTHON)
    box.start()
    os.kill(_zygote(box), signal.SIGSTOP)
    monkeypatch.setattr("festina.sandbox.supervise._DEATH_S", 1.0)
    with pytest.raises(Fault, match="not ready in time"):
        box.run(Job((PYTHON, "-c", "pass")), SMALL)
    assert box.run(Job((PYTHON, "-c", "pass")), SMALL).ended is Ended.OK
    box.close()


@needs_box
def test_the_warm_process_is_replaced(cold: BubblewrapBox, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("festina.sandbox.warm._TRIALS", 3)
    box = WarmBox(cold, (), python=PYTHON)
    quiet, denied = (Job((PYTHON, "-c", code)) for code in ("pass", "import socket; socket.socket()"))
    seen = []
    for job in (quiet, quiet, quiet, quiet, denied, quiet):
        box.run(job, SMALL)
        seen.append(box._outer)
    box.close()
    assert seen[0] is seen[1] is seen[2] is not seen[3]
    if probe().mechanisms.notify:  # type: ignore[union-attr]
        assert seen[4] is not seen[5]


ENGINE = """
import sys, threading
from pathlib import Path
from festina.sandbox.box import BubblewrapBox
from festina.sandbox.host import probe
from festina.sandbox.job import Job, Limits
from festina.sandbox.warm import WarmBox
box = WarmBox(BubblewrapBox(Path(sys.argv[1]), probe().mechanisms), (), python="/usr/bin/python3")
box.start()
code = "import os, time; os.fork(); os.fork(); os.setsid(); open('/tmp/x', 'w'); time.sleep(120)"
job = Job(("python3", "-c", code), inputs={"a": b"1"})
for _ in range(3):
    threading.Thread(target=box.run, args=(job, Limits(wall_s=100))).start()
print("started", flush=True)
"""


@needs_box
def test_E1_a_killed_engine_leaves_nothing_of_a_warm_box(tmp_path: Path) -> None:
    env = {**os.environ, "PYTHONPATH": str(SRC), "PATH": "/usr/bin:/bin"}
    state = tmp_path / "s"
    engine = subprocess.Popen([sys.executable, "-c", ENGINE, str(state)], env=env, stdout=subprocess.PIPE)
    assert engine.stdout is not None
    assert engine.stdout.readline() == b"started\n"
    until(lambda: len(_below(engine.pid)) >= 3 * 5)
    alive = _below(engine.pid)  # PID 1 and four processes in each trial, beside helper, bwrap and zygote
    engine.send_signal(signal.SIGKILL)
    engine.wait()
    engine.stdout.close()
    killed = time.monotonic()

    def left() -> list[object]:
        living = (pid for pid in alive if _started(pid) == alive[pid])
        return [*living, *state.glob("box-*"), *groups_of(engine.pid)]

    while left() and time.monotonic() - killed < 30:  # a busy host; the order is given at once
        time.sleep(0.05)
    assert left() == []


def _started(pid: int) -> str | None:
    with contextlib.suppress(OSError, IndexError):
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[19]
    return None


def _below(root: int) -> dict[int, str | None]:
    found: dict[int, str | None] = {}
    queue = [root]
    while queue:
        pid = queue.pop()
        for task in Path(f"/proc/{pid}/task").glob("*"):
            with contextlib.suppress(OSError):
                below = [int(word) for word in (task / "children").read_text().split()]
                found |= {child: _started(child) for child in below}
                queue += below
    return found


PLAIN = """
import sys
from pathlib import Path
from festina.sandbox.box import BubblewrapBox
from festina.sandbox.host import probe
from festina.sandbox.job import Bind, Job, Limits
from festina.sandbox.warm import WarmBox
state = Path(sys.argv[1])
(state / "trees" / "t").mkdir(parents=True)
(state / "trees" / "t" / "f").write_text("shown")
(state / "trees" / "other").write_text("secret")
box = WarmBox(BubblewrapBox(state, probe().mechanisms), (), python="/usr/bin/python3")
box.start()
code = '''
import os, socket
print(open("f").read(), open("/in/a").read())
for f in (2, 16, 40):
    try: socket.socket(f); print("WORKED")
    except OSError: pass
for root, _, files in os.walk("/.shown"): print("WORKED", root, files)
open("/out/r", "w").write("1")
'''
job = Job(("python3", "-c", code), cwd="/system", binds=(Bind(state / "trees" / "t", "/system"),), inputs={"a": b"2"},
          outputs=("r",))
out = box.run(job, Limits())
print(out.ended, out.box, out.stdout, out.outputs, out.stderr)
"""


@needs_box
@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user here")
def test_T2_a_plain_user_gets_a_warm_box_too() -> None:
    folder = Path(tempfile.mkdtemp(prefix="festina-plain-"))
    try:
        shutil.copytree(SRC / "festina", folder / "src" / "festina", ignore=shutil.ignore_patterns("__pycache__"))
        for path in (folder, *folder.rglob("*")):
            path.chmod(0o755 if path.is_dir() else 0o644)
        (folder / "state").mkdir()
        os.chown(folder / "state", 1000, 1000)
        done = subprocess.run(
            [
                *("setpriv", "--reuid", "1000", "--regid", "1000", "--clear-groups"),
                *(PYTHON, "-c", PLAIN, str(folder / "state")),
            ],
            env={"PYTHONPATH": str(folder / "src"), "PATH": "/usr/bin:/bin", "PYTHONDONTWRITEBYTECODE": "1"},
            capture_output=True,
            text=True,
            cwd="/",
            timeout=120,
        )
    finally:
        shutil.rmtree(folder)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("ok warm b'shown 2\\nWORKED /.shown []\\n' {'r': b'1'}"), done.stdout
