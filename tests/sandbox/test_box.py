"""What a box promises to its callers. Real boxes, real processes.  # E-1, E-2, E-4, T-2, T-3"""

from __future__ import annotations

import contextlib
import dataclasses
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from festina.errors import UsageError
from festina.sandbox.box import BubblewrapBox
from festina.sandbox.host import choose, probe, shows_layers, sweep
from festina.sandbox.job import Bind, Ended, Job, Level, Limits, Sandbox
from festina.sandbox.launch import shared
from festina.sandbox.plain import PlainBox
from festina.sandbox.warm import WarmBox
from festina.system.scratch import stamp
from tests.sandbox.groups import groups_of
from tests.waiting import until

PYTHON = "/usr/bin/python3"
SRC = Path(__file__).parents[2] / "src"
needs_box = pytest.mark.skipif(probe().level < Level.L2, reason="no box on this host: see `festina doctor`")
SMALL = Limits(wall_s=20, cpu_s=10, memory_bytes=256 << 20, pids=32, output_bytes=4 << 20, tmp_bytes=8 << 20)


@pytest.fixture(scope="module")
def state() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="festina-test-") as name:
        yield Path(name)


SLOW = [pytest.param(name, marks=pytest.mark.slow) for name in ("unrecorded", "warm-L2", "warm-unrecorded")]


@pytest.fixture(scope="module", params=["L0", "L2", "L3", "warm", *SLOW])
def any_box(request: pytest.FixtureRequest, state: Path) -> Iterator[Sandbox]:
    """Every kind of box that this host can give, weaker forms of it included."""
    found = probe()
    kind = request.param.removeprefix("warm-") if request.param != "warm" else "L3"
    if kind == "L0":
        yield PlainBox(state)
        return
    if found.mechanisms is None or (kind == "L3" and found.level < Level.L3):
        pytest.skip(f"this host offers {found.level.name}")
    change = {"L2": {"groups": None}, "L3": {}, "unrecorded": {"notify": False}}[kind]
    box = BubblewrapBox(state, dataclasses.replace(found.mechanisms, **change))
    if not request.param.startswith("warm"):
        yield box
        return
    if os.geteuid() != 0:
        pytest.skip("the warm box needs root")
    warm = WarmBox(box, ("json",), python=PYTHON)
    yield warm
    warm.close()


def py(code: str, *words: str, **job: object) -> Job:
    return Job((PYTHON, "-I", "-c", code, *words), **job)  # type: ignore[arg-type]


def test_E2_ok_with_its_outputs_as_bytes(any_box: Sandbox) -> None:
    code = "import os; e = os.environ; data = open(e['FESTINA_IN'] + '/d/q', 'rb').read()\n"
    code += "open(e['FESTINA_OUT'] + '/r', 'wb').write(data[::-1])"
    outcome = any_box.run(py(code, inputs={"d/q": b"\xff\x00abc"}, outputs=("r",)), SMALL)
    assert (outcome.ended, outcome.exit_code, outcome.signal) == (Ended.OK, 0, None), outcome
    assert outcome.outputs == {"r": b"cba\x00\xff"}
    assert outcome.level == any_box.level
    assert outcome.policy_hash == any_box.policy_hash
    assert len(outcome.policy_hash) == 64
    assert 0 < outcome.cpu_s < 5
    assert outcome.wall_s > 0
    assert outcome.peak_memory_bytes is not None


ENDS = {
    "nonzero": ("import sys; sys.exit(3)", Ended.NONZERO, 3, None),
    "signal": ("import os; os.kill(os.getpid(), 15)", Ended.SIGNAL, None, 15),
    "segfault": ("import os; os.kill(os.getpid(), 11)", Ended.SIGNAL, None, 11),
    "no_result": ("pass", Ended.NO_RESULT, 0, None),
    "nonzero_without_result": ("import sys; sys.exit(1)", Ended.NONZERO, 1, None),
}


@pytest.mark.parametrize("name", ENDS)
def test_E2_exactly_one_class(name: str, any_box: Sandbox) -> None:
    code, ended, exit_code, signal_number = ENDS[name]
    outcome = any_box.run(py(code, outputs=("r",)), SMALL)
    assert (outcome.ended, outcome.exit_code, outcome.signal) == (ended, exit_code, signal_number)


def test_E2_a_command_that_is_not_there(any_box: Sandbox) -> None:
    outcome = any_box.run(Job(("no-such-program",)), SMALL)
    assert (outcome.ended, outcome.exit_code) == (Ended.NONZERO, 127)
    assert b"no-such-program" in outcome.stderr


def test_E1_time_is_up_for_the_whole_tree(any_box: Sandbox) -> None:
    limits = dataclasses.replace(SMALL, wall_s=0.8)
    started = time.monotonic()
    outcome = any_box.run(py("import os, time; os.fork(); os.fork(); time.sleep(60)"), limits)
    assert outcome.ended is Ended.TIMEOUT_WALL
    assert time.monotonic() - started < 30  # of 60: a busy host takes its time


HUNGRY = {
    "memory": ("import os, time\nfor _ in range(6):\n    if os.fork() == 0:\n        x = bytearray(60 << 20)\n        "
               "time.sleep(15)\ntime.sleep(15)", Ended.OOM),
    "processes": ("import os\nwhile True:\n    try: os.fork()\n    except OSError: pass", Ended.PIDS_LIMIT),
    "cpu": ("import os\nfor _ in range(4):\n    if os.fork() == 0:\n        while True: pass\nos.wait()",
            Ended.TIMEOUT_CPU),
    "flood": ("import os\nwhile True: os.write(1, bytes(65536))", Ended.OUTPUT_LIMIT),
}  # fmt: skip


@pytest.mark.parametrize("name", HUNGRY)
def test_E1_limits_hold_at_every_level(name: str, any_box: Sandbox) -> None:
    code, ended = HUNGRY[name]
    limits = dataclasses.replace(SMALL, cpu_s=1.0 if name == "cpu" else 15.0)
    outcome = any_box.run(py(code), limits)
    assert outcome.ended is ended, outcome


def test_T1_the_environment_is_fixed(any_box: Sandbox, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("API_KEY", "engine-secret")
    outcome = any_box.run(py("import os; print(sorted(os.environ))", env={"FESTINA_SEED": "7"}), SMALL)
    assert b"API_KEY" not in outcome.stdout
    for name in ("FESTINA_SEED", "HOME", "PYTHONHASHSEED", "OMP_NUM_THREADS", "TZ"):
        assert name.encode() in outcome.stdout


def test_T1_the_loader_cannot_be_redirected_before_the_gate(any_box: Sandbox) -> None:
    for name in ("LD_PRELOAD", "ENV", "BASH_ENV", "GLIBC_TUNABLES"):
        with pytest.raises(UsageError, match="cannot be set"):
            any_box.run(py("pass", env={name: "/system/evil.so"}), SMALL)


def test_shown_folders_work_copies_and_the_working_directory(any_box: Sandbox, tmp_path: Path) -> None:
    tree, work = tmp_path / "tree", tmp_path / "work"
    (tree / "sub").mkdir(parents=True)
    (tree / "sub" / "f").write_text("shown")
    shutil.copytree(tree, work)
    (work / "sub").chmod(0o555)
    job = Job(
        ("/bin/sh", "-c", "cat sub/f && echo changed > /out/work/sub/f || echo changed > $FESTINA_OUT/work/sub/f"),
        cwd="/system",
        binds=(Bind(tree, "/system"),),
        work=work,
        outputs=("work/sub/f",),
    )
    outcome = any_box.run(job, SMALL)
    (work / "sub").chmod(0o755)
    assert outcome.outputs == {"work/sub/f": b"changed\n"}, outcome
    assert outcome.stdout == b"shown"
    assert (work / "sub" / "f").read_text() == "shown"
    assert (tree / "sub" / "f").read_text() == "shown"


def test_layers_are_shown_as_one_folder_where_the_box_can(any_box: Sandbox, tmp_path: Path) -> None:
    if not shows_layers(any_box):
        assert os.geteuid() != 0 or isinstance(any_box, PlainBox)
        pytest.skip("this box shows no layers")
    top, low = tmp_path / "top", tmp_path / "low"
    for place in (top, low):
        place.mkdir()
        (place / "both").write_text(place.name)
        (place / place.name).write_text("1")
    (low / "gone").write_text("1")
    os.mknod(top / "gone", 0o20000, 0)
    code = "import os; print(sorted(os.listdir('.')), open('both').read())\nopen('x', 'w')"
    outcome = any_box.run(py(code, cwd="/system", binds=(Bind(top, "/system", below=(low,)),)), SMALL)
    assert outcome.stdout == b"['both', 'low', 'top'] top\n"
    assert b"Read-only file system" in outcome.stderr or b"Permission denied" in outcome.stderr
    assert not (top / "x").exists()
    assert str(low).encode() not in any_box.run(py("print(open('/proc/self/mountinfo').read())"), SMALL).stdout


def test_E1_memory_limits_of_any_size_follow_one_another(any_box: Sandbox) -> None:
    for size in (64 << 20, 4 << 30, 256 << 20):
        limits = dataclasses.replace(SMALL, memory_bytes=size)
        assert any_box.run(py("x = bytearray(16 << 20)"), limits).ended is Ended.OK


def test_E1_one_process_is_enough_where_one_is_allowed(any_box: Sandbox, tmp_path: Path) -> None:
    limits = dataclasses.replace(SMALL, pids=1)
    (tmp_path / "work").mkdir()
    assert any_box.run(py("print(1)", work=tmp_path / "work"), limits).ended is Ended.OK
    outcome = any_box.run(py("import os, time; [os.fork() for _ in range(4)]; time.sleep(2)"), limits)
    assert outcome.ended in (Ended.PIDS_LIMIT, Ended.NONZERO)  # L2 and L0 refuse the fork, and see only what lives


def test_everything_plain_is_harvested_where_no_names_are_given(any_box: Sandbox) -> None:
    code = "import os; o = os.environ['FESTINA_OUT']; os.makedirs(o + '/a/b'); open(o + '/a/b/c', 'w').write('1')\n"
    code += "open(o + '/z', 'w').write('2'); os.symlink('z', o + '/link'); os.mkfifo(o + '/fifo')"
    outcome = any_box.run(py(code, outputs=None), SMALL)
    assert outcome.ended is Ended.OK
    assert outcome.outputs == {"a/b/c": b"1", "z": b"2"}
    assert "link" in outcome.detail


def test_E1_kill_all_ends_what_runs_and_nothing_else(any_box: Sandbox) -> None:
    with ThreadPoolExecutor(3) as pool:
        runs = [pool.submit(any_box.run, py("import time; time.sleep(60)"), SMALL) for _ in range(3)]
        time.sleep(1.0)
        while not all(run.done() for run in runs):  # on a busy host one may begin only now
            any_box.kill_all()
            time.sleep(0.1)
        outcomes = [run.result() for run in runs]
    assert {outcome.ended for outcome in outcomes} == {Ended.SANDBOX_ERROR}  # T-6: nobody's failure
    assert any_box.run(py("pass"), SMALL).ended is Ended.OK


def _fds() -> int:
    return len(os.listdir("/proc/self/fd"))


def test_E1_many_threads_share_a_box_and_leave_nothing(any_box: Sandbox) -> None:
    any_box.run(py("pass"), SMALL)
    before = _fds()
    code = "import os, sys; open(os.environ['FESTINA_OUT'] + '/r', 'w').write(sys.argv[1]); os.fork()"
    with ThreadPoolExecutor(6) as pool:
        jobs = [py(code, str(i), outputs=("r",)) for i in range(18)]
        outcomes = list(pool.map(lambda job: any_box.run(job, SMALL), jobs))
    assert [outcome.outputs for outcome in outcomes] == [{"r": str(i).encode()} for i in range(18)]
    until(lambda: _fds() <= before + 1)  # a warm box lets go of some aside
    if isinstance(any_box, WarmBox):
        any_box.close()
    children = Path(f"/proc/{shared().pid}/task/{shared().pid}/children").read_text().split()
    assert children == []
    assert len(os.listdir(f"/proc/{shared().pid}/fd")) < 12


def test_E4_nothing_of_a_run_is_left_on_the_host(any_box: Sandbox, state: Path) -> None:
    any_box.run(py("import os; open(os.environ['TMPDIR'] + '/left', 'w')", inputs={"a": b"1"}), SMALL)
    if isinstance(any_box, WarmBox):
        any_box.close()  # its own group goes with it
    assert list(state.glob("box-*")) == []
    assert list(Path(tempfile.gettempdir()).glob(f"festina-{stamp()}-*")) == []
    assert groups_of(os.getpid()) == []


def test_T6_a_dead_helper_is_a_fault_of_ours_and_the_next_run_goes(any_box: Sandbox) -> None:
    with ThreadPoolExecutor(1) as pool:
        running = pool.submit(any_box.run, py("import time; time.sleep(60)", outputs=None), SMALL)
        time.sleep(0.8)
        os.kill(shared().pid, signal.SIGKILL)
        outcome = running.result()
    assert outcome.ended is Ended.SANDBOX_ERROR
    assert outcome.outputs == {}  # T-3: nobody can say that all is dead
    assert any_box.run(py("pass"), SMALL).ended is Ended.OK


def test_a_caller_s_mistakes_are_named(any_box: Sandbox, state: Path, tmp_path: Path) -> None:
    bad = [
        Job(()),
        Job(("true",), cwd="relative"),
        Job(("true",), inputs={"../x": b""}),
        Job(("true",), inputs={"/x": b""}),
        Job(("true",), binds=(Bind(tmp_path, "/usr"),)),
        Job(("true",), binds=(Bind(tmp_path, "/out/x"),)),
        Job(("true",), binds=(Bind(tmp_path, "/a/../etc"),)),
        Job(("true",), binds=(Bind(Path("/"), "/host"),)),
        Job(("true",), work=state.parent),
    ]
    for job in bad:
        with pytest.raises(UsageError):
            any_box.run(job, SMALL)


@needs_box
def test_T2_what_is_below_the_demanded_level_is_refused(state: Path) -> None:
    with pytest.raises(UsageError) as caught:
        choose(Level.L4, state)
    assert caught.value.name == "sandbox-too-weak"
    assert caught.value.fix
    assert choose(Level.L2, state).level >= Level.L2


def test_T2_state_in_view_of_the_boxes_is_refused() -> None:
    place = Path(sys.prefix) / "festina-state-test"
    try:
        with pytest.raises(UsageError) as caught:
            choose(Level.L2, place)
        assert caught.value.name in ("state-in-view", "sandbox-too-weak")
    finally:
        shutil.rmtree(place, ignore_errors=True)


def test_T2_policy_hash_tells_weaker_policies_apart(state: Path) -> None:
    mechanisms = probe().mechanisms
    if mechanisms is None:
        pytest.skip("no box on this host")
    hashes = {
        BubblewrapBox(state, dataclasses.replace(mechanisms, **change)).policy_hash
        for change in ({}, {"notify": False}, {"disable_userns": False}, {"groups": None})
    }
    assert len(hashes) == 4 if mechanisms.groups else 3
    assert BubblewrapBox(state, mechanisms).policy_hash in hashes


def test_E1_an_interrupt_in_the_main_thread_kills_the_run(tmp_path: Path) -> None:
    mark = f"interrupted-{os.getpid()}"
    script = f"""
import signal, sys
from pathlib import Path
from festina.sandbox import Job, Level, Limits, choose
signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background job starts with it ignored
box = choose(Level.L0, Path({str(tmp_path / "s")!r}))
print("ready", flush=True)
try:
    box.run(Job(({PYTHON!r}, "-c", "import time; time.sleep(60)", {mark!r})), Limits())
except KeyboardInterrupt:
    print("interrupted", flush=True)
"""
    env = {**os.environ, "PYTHONPATH": str(SRC)}
    engine = subprocess.Popen([sys.executable, "-c", script], env=env, stdout=subprocess.PIPE, text=True)
    assert engine.stdout is not None
    assert engine.stdout.readline() == "ready\n"
    until(lambda: _alive(mark) - {engine.pid})
    time.sleep(0.3)
    engine.send_signal(signal.SIGINT)
    out, _ = engine.communicate(timeout=60)
    assert out == "interrupted\n"
    assert _alive(mark) == set()


def _alive(mark: str) -> set[int]:
    found = set()
    for entry in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            if mark.encode() in (entry / "cmdline").read_bytes():
                found.add(int(entry.name))
    return found


def test_E1_sweep_removes_what_dead_engines_left_and_spares_the_living(tmp_path: Path) -> None:
    dead, living = tmp_path / "box-999999-1-0", tmp_path / f"box-{stamp()}-99"
    for folder in (dead, living):
        (folder / "in").mkdir(parents=True)
    left = tempfile.mkdtemp(prefix="festina-999999-1-")
    env = {"FESTINA_OUT": f"{left}/out"}
    survivor = subprocess.Popen(["/bin/sleep", "60"], env=env, start_new_session=True)
    groups = []
    home = probe().mechanisms.groups if probe().mechanisms else None  # type: ignore[union-attr]
    if home is not None:
        groups = [base / "festina-999999-1-0" for base in {home.memory, home.pids, home.cpu}]
        for group in groups:
            group.mkdir()
    removed = sweep(tmp_path)
    assert survivor.wait(60) == -signal.SIGKILL
    assert {str(dead), left, *map(str, groups)} <= set(removed)
    assert living.exists()
    assert not dead.exists()
    assert not any(group.exists() for group in groups)


UNPRIVILEGED = """
import sys
from pathlib import Path
from festina.sandbox import Job, Level, Limits, choose, probe
box = choose(Level.L2, Path(sys.argv[1]))
code = '''
import socket, os
open("/out/r", "w").write("1")
for f in (2, 16, 40):
    try: socket.socket(f); print("WORKED")
    except OSError: pass
if os.path.exists(os.sys.argv[1]) or os.path.exists("/home"): print("WORKED")
'''
out = box.run(Job(("/usr/bin/python3", "-I", "-c", code, sys.argv[2]), inputs={"a": b"1"}, outputs=("r",)), Limits())
assert out.outputs == {"r": b"1"} and out.stdout == b"" and out.ended == "ok", out
big = "import os, time\\nfor _ in range(6):\\n    if os.fork() == 0:\\n        x = bytearray(60 << 20); time.sleep(9)"
big += "\\ntime.sleep(9)"
oom = box.run(Job(("/usr/bin/python3", "-c", big)), Limits(memory_bytes=200 << 20))
assert oom.ended == "oom", oom
fill = "for i in range(10**6): open(f'/out/{i}', 'w')"
full = box.run(Job(("/usr/bin/python3", "-c", fill)), Limits())
assert full.ended == "output_limit", full
print(box.level.name, len(out.missing), out.denied)
"""


@needs_box
@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user here")
def test_T2_a_plain_user_gets_a_box_too() -> None:
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
                *(PYTHON, "-c", UNPRIVILEGED, str(folder / "state"), str(folder)),
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
    assert done.stdout.startswith(("L2", "L3"))
    assert "socket(AF_VSOCK)" in done.stdout


def test_a_thread_that_started_a_box_may_come_and_go(any_box: Sandbox) -> None:
    """Parent-death signals follow the forking thread: the helper process forks, not the caller's thread."""
    results = []
    for _ in range(2):
        thread = threading.Thread(target=lambda: results.append(any_box.run(py("print(1)"), SMALL)))
        thread.start()
        thread.join()
    assert [result.stdout for result in results] == [b"1\n", b"1\n"]
