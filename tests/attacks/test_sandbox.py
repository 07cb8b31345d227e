"""Attacks on the sandbox, carried out for real.  # T-2, E-1, E-4, E-6

The escape suite (``festina.sandbox.escapes``) runs each attempt first where it must succeed and then in the boxes
of this host. What follows it here are attacks that need a box of a special make, and the classes of a run's end.
"""

from __future__ import annotations

import contextlib
import ctypes
import dataclasses
import errno
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import textwrap
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from festina.sandbox.box import BubblewrapBox
from festina.sandbox.escapes import ATTEMPTS, Report, Seen, try_out
from festina.sandbox.escapes.world import remove_ipc
from festina.sandbox.host import boxes, probe
from festina.sandbox.job import Bind, Ended, Job, Level, Limits, Outcome
from festina.sandbox.place import CANDIDATE_UID
from festina.sandbox.plain import PlainBox
from festina.sandbox.warm import WarmBox
from tests.sandbox.groups import groups_of
from tests.waiting import until

PYTHON = "/usr/bin/python3"
pytestmark = [
    pytest.mark.skipif(probe().level < Level.L2, reason="no box on this host: see `festina doctor`"),
    pytest.mark.skipif(not os.path.exists(PYTHON), reason="the attacks need a Python that every uid can reach"),
]
Box = BubblewrapBox | WarmBox
PRELUDE = """
import ctypes, os, sys, socket, struct, signal, time, errno
libc = ctypes.CDLL(None, use_errno=True)
def call(*a):
    r = libc.syscall(*[ctypes.c_long(x) if isinstance(x, int) else x for x in a])
    if r < 0: raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
    return r
PID, PORT, NAME, DIR, PARENT = int(sys.argv[1]), int(sys.argv[2]), sys.argv[3], sys.argv[4], int(sys.argv[5])
"""
QUICK = Limits(wall_s=20, cpu_s=10, memory_bytes=256 << 20, pids=32, output_bytes=4 << 20, tmp_bytes=8 << 20)


@dataclass(frozen=True)
class World:
    """The host as an attacker would like to find it."""

    victim: int
    port: int
    name: str
    folder: str
    accepted: list[str]


@pytest.fixture(scope="module")
def world() -> Iterator[World]:
    folder = Path(tempfile.mkdtemp(prefix="attacked-"))
    folder.chmod(0o777)
    (folder / "secret").write_text("label=7")
    (folder / "secret").chmod(0o644)
    accepted: list[str] = []
    name = f"attacked-{os.getpid()}"
    tcp, udp = socket.socket(), socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    tcp.bind(("127.0.0.1", 0))
    port = tcp.getsockname()[1]
    udp.bind(("127.0.0.1", port))
    abstract, path = socket.socket(socket.AF_UNIX), socket.socket(socket.AF_UNIX)
    abstract.bind(f"\0{name}")
    path.bind(str(folder / "sock"))
    (folder / "sock").chmod(0o777)
    listeners = {"tcp": tcp, "abstract": abstract, "path": path}
    for kind, listener in listeners.items():
        listener.listen(16)
        listener.settimeout(0.2)
        threading.Thread(target=_accept, args=(listener, kind, accepted), daemon=True).start()
    drop = {"user": CANDIDATE_UID, "group": CANDIDATE_UID, "extra_groups": []} if os.geteuid() == 0 else {}
    victim = subprocess.Popen(
        [PYTHON, "-c", "import ctypes,time;ctypes.CDLL(None).prctl(4,1,0,0,0);print(flush=True);time.sleep(600)"],
        env={"LABELS": "secret-in-environ"},
        stdout=subprocess.PIPE,
        **drop,
    )
    assert victim.stdout is not None
    assert victim.stdout.readline() == b"\n"
    yield World(victim.pid, port, name, str(folder), accepted)
    victim.kill()
    victim.wait()
    victim.stdout.close()
    for listener in (*listeners.values(), udp):
        listener.close()
    shutil.rmtree(folder)


def _accept(listener: socket.socket, kind: str, accepted: list[str]) -> None:
    while listener.fileno() >= 0:
        with contextlib.suppress(OSError):
            connection, _ = listener.accept()
            accepted.append(kind)
            connection.close()


@pytest.fixture(scope="module")
def state() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="festina-test-") as name:
        yield Path(name)


@pytest.fixture(scope="module", params=["cold", "warm"])
def box(request: pytest.FixtureRequest, state: Path) -> Iterator[BubblewrapBox | WarmBox]:
    """Every attack meets both kinds of box."""
    mechanisms = probe().mechanisms
    assert mechanisms is not None
    cold = BubblewrapBox(state, mechanisms)
    if request.param == "cold":
        yield cold
        return
    if os.geteuid() != 0:
        pytest.skip("the warm box needs root")
    warm = WarmBox(cold, ("json",), python=PYTHON)
    yield warm
    warm.close()


@pytest.fixture(scope="module")
def plain(state: Path) -> PlainBox:
    return PlainBox(state)


def attack(sandbox: Box | PlainBox, world: World, code: str, limits: Limits = QUICK, **job: object) -> Outcome:
    words = (str(world.victim), str(world.port), world.name, world.folder, str(os.getpid()))
    script = PRELUDE + textwrap.dedent(code)
    outcome = sandbox.run(Job((PYTHON, "-I", "-c", script, *words), **job), limits)  # type: ignore[arg-type]
    assert outcome.box == {BubblewrapBox: "cold", WarmBox: "warm", PlainBox: "plain"}[type(sandbox)]
    return outcome


# One or two of each kind; the rest, and every level that this host has, in the slow test below.
FAST = (
    "tcp_by_another_name",
    "tcp", "tcp_fastopen", "udp", "unix_path", "unix_pair_reconnected", "unix_abstract", "vsock", "netlink_route",
    "every_family", "environ", "environ_scan", "memory_file", "ptrace", "process_vm_readv", "pidfd_getfd",
    "root_of_another", "kill", "owner_of_output", "limits_of_another", "engine_command_line", "descriptors", "read",
    "size", "write", "append", "chmod", "git_hook", "shown_folder", "write_system", "write_own_program",
    "host_configuration", "symlink_as_result", "names_leave_out", "user_namespace", "clone_namespace",
    "clone3_namespace", "mount_in_namespace", "chroot", "id_map", "io_uring", "keyring_user", "adjtimex", "int80",
    "int80_socket", "own_filter", "own_filter_by_prctl", "kernel_settings", "cgroup_files", "raise_limits",
    "setuid_program", "memory_in_grandchild", "double_fork", "adopting_orphan", "shared_memory_file", "sysv_memory",
    "posix_queue", "flock", "open_file_lock", "inotify", "watch_quota", "machine_id", "mount_paths",
)  # fmt: skip


def judge(report: Report) -> None:
    """Nothing open against a promise, nothing broken, no control silent, nothing left behind."""
    assert [(box, row.attempt.name, row.note) for box, row in report.open_ways()] == []
    assert [(box, row.attempt.name, row.note) for box, row in report.broken()] == []
    assert [(row.attempt.name, row.note) for row in report.silent_controls()] == []
    assert report.left == ()
    for rows in report.results.values():
        assert [row.attempt.name for row in rows if row.recorded is False] == []  # E-2: a denied call is evidence


def test_T2_what_works_at_L0_fails_in_the_strongest_boxes(tmp_path: Path) -> None:
    offered = boxes(tmp_path)
    chosen = {name: offered[name] for name in [next(iter(offered)), *sorted({"warm", "gateway"} & offered.keys())]}
    report = try_out(chosen, attempts=[attempt for attempt in ATTEMPTS if attempt.name in FAST])
    assert len(report.controls) == len(FAST)
    assert sum(row.seen is Seen.OPEN for row in report.controls.values()) > len(FAST) * 2 / 3
    judge(report)


@pytest.mark.slow
def test_T2_every_attempt_at_every_level(tmp_path: Path) -> None:
    offered = {name: make for name, make in boxes(tmp_path).items() if name != "L0"}
    judge(try_out(offered))


def test_T2_the_suite_sees_an_open_box(tmp_path: Path) -> None:
    """The suite's own control: a box that confines nothing and claims to is found out."""

    class Liar(PlainBox):
        level = Level.L3

    names = ("tcp", "environ", "kill", "write", "user_namespace", "memory", "sysv_memory")
    report = try_out(
        {"liar": lambda uid, _: Liar(tmp_path, uid=uid)}, attempts=[item for item in ATTEMPTS if item.name in names]
    )
    assert {row.attempt.name for _, row in report.open_ways()} == set(names) - {"memory"}


def test_T2_kill_pid_1_of_the_box(world: World, box: Box) -> None:
    outcome = attack(box, world, "os.kill(1, 9); time.sleep(.2); os.kill(1, 0); print('still here')")
    assert outcome.stdout == b"still here\n"


@pytest.mark.parametrize("code", ["call(0x40000000 + 39)", "libc.mount(b'x', b'/tmp', b'tmpfs', 0, None)"])
def test_E2_calls_that_no_candidate_has_a_use_for_are_killed(code: str, world: World, box: Box) -> None:
    outcome = attack(box, world, code + "; print('WORKED')")
    assert outcome.ended is Ended.FORBIDDEN
    assert b"WORKED" not in outcome.stdout


def test_T2_pid_1_of_the_box_gives_nothing_when_it_is_taken_over(world: World, box: Box) -> None:
    """Its memory can be written (same uid), so it must be under the same filter as everything else."""
    outcome = attack(
        box,
        world,
        """
        print(open('/proc/1/status').read())
        open('/proc/1/mem', 'r+b'); print('writable')
        for fd in os.listdir('/proc/1/fd'): print(fd, os.readlink('/proc/1/fd/' + fd))""",
    )
    text = outcome.stdout.decode()
    assert "Seccomp:\t2" in text
    assert "CapEff:\t0000000000000000" in text
    assert "CapBnd:\t0000000000000000" in text
    assert "memfd" not in text
    assert "socket" not in text


# Write machine code over PID 1's place of return and wake it: vsock socket; on success write(1, "WORKED").
TAKEOVER = """
    words = open('/proc/1/syscall').read().split()
    pc = int(words[-1], 16)
    code = bytes.fromhex('b829000000bf28000000be0100000031d20f0585c07818b801000000bf01000000'
                         '488d3510000000ba060000000f05b8e700000031ff0f05') + b'WORKED'
    with open('/proc/1/mem', 'r+b', buffering=0) as f: f.seek(pc); f.write(code)
    print('taken', flush=True)
    if os.fork() == 0:
        if os.fork() == 0: time.sleep(.2); os._exit(0)
        os._exit(0)
    time.sleep(1)"""


@pytest.mark.skipif(os.uname().machine != "x86_64", reason="the attack is written in x86-64 machine code")
def test_T2_whoever_takes_over_pid_1_is_under_the_same_filter(state: Path, world: World, box: Box) -> None:
    """PID 1 has the job's uid, so its memory can be written: it must be able to do no more than the job."""
    cold = box.cold if isinstance(box, WarmBox) else box
    weak = BubblewrapBox(state, dataclasses.replace(cold.mechanisms, notify=False))
    weak.filters = cold.filters._replace(outer=b"")  # the control: a box without a socket rule
    control = attack(weak, world, TAKEOVER)
    assert b"WORKED" in control.stdout, control
    outcome = attack(box, world, TAKEOVER)
    assert b"taken" in outcome.stdout or isinstance(box, WarmBox)
    assert b"WORKED" not in outcome.stdout


def test_T1_only_three_descriptors_are_open(world: World, box: Box) -> None:
    outcome = attack(box, world, "print(sorted(map(int, os.listdir('/proc/self/fd')))[:-1])")
    assert outcome.stdout == b"[0, 1, 2]\n"


def test_T1_no_host_path_in_the_box_s_command_lines(state: Path, world: World, box: Box) -> None:
    outcome = attack(
        box,
        world,
        "print(open('/proc/1/cmdline').read(), open('/proc/1/environ').read())",
        inputs={"a": b"1"},
        binds=(Bind(Path(world.folder), "/shown"),),
    )
    for part in (str(state), "--ro-bind", "FESTINA_HOME"):
        assert part not in outcome.stdout.decode()


def test_T2_a_shown_folder_cannot_be_changed(world: World, box: Box, plain: PlainBox) -> None:
    code = """
        root = '/shown' if os.path.isdir('/shown') else DIR
        open(root + '/secret', 'a'); print('WORKED')"""
    outcome = attack(box, world, code, binds=(Bind(Path(world.folder), "/shown"),))
    assert b"WORKED" not in outcome.stdout
    assert Path(world.folder, "secret").read_text() == "label=7"


LIMITED = {
    "fork_bomb": ("\nwhile True:\n    try: os.fork()\n    except OSError: pass", Ended.PIDS_LIMIT),
    "thread_bomb": (
        "\nimport threading\nwhile True: threading.Thread(target=time.sleep, args=(9,)).start()",
        Ended.PIDS_LIMIT,
    ),
    "memory_bomb": ("\nx = []\nwhile True: x.append(bytearray(8 << 20))", Ended.OOM),
    "memory_bomb_in_grandchild": (
        """
        if os.fork() == 0:
            if os.fork() == 0:
                x = []
                while True: x.append(bytearray(8 << 20))
            os.wait(); os._exit(0)
        os.wait(); sys.exit(0)""",
        Ended.OOM,
    ),
    "memory_bomb_exempt_from_the_killer": (
        """
        try: open('/proc/self/oom_score_adj', 'w').write('-999')
        except OSError: pass
        x = []
        while True: x.append(bytearray(8 << 20))""",
        Ended.OOM,
    ),
    "memory_over_many_children": (
        """
        for _ in range(8):
            if os.fork() == 0:
                x = bytearray(60 << 20); time.sleep(15)
        time.sleep(15)""",
        Ended.OOM,
    ),
    "out_fill": ("\nf = open('/out/x', 'wb')\nwhile True: f.write(bytes(1 << 20)); f.flush()", Ended.OUTPUT_LIMIT),
    "out_inodes": ("\nfor i in range(10**6): open(f'/out/{i}', 'w')", Ended.OUTPUT_LIMIT),
    "sparse_giant": ("\nopen('/out/x', 'wb').truncate(7 << 20)", Ended.OUTPUT_LIMIT),
    "stdout_flood": ("\nwhile True: os.write(1, bytes(1 << 16))", Ended.OUTPUT_LIMIT),
    "stderr_flood": ("\nwhile True: os.write(2, bytes(1 << 16))", Ended.OUTPUT_LIMIT),
    "infinite_loop": ("\nwhile True: pass", Ended.TIMEOUT_CPU),
    "cpu_in_many_children": (
        "\nfor _ in range(6):\n    if os.fork() == 0:\n        while True: pass\ntime.sleep(30)",
        Ended.TIMEOUT_CPU,
    ),
    "sleep_forever": ("\ntime.sleep(1000)", Ended.TIMEOUT_WALL),
    "stops_itself": ("\nos.kill(os.getpid(), signal.SIGSTOP)", Ended.TIMEOUT_WALL),
    "ignores_every_signal": (
        "\nfor n in (*range(1, 9), *range(10, 19)): signal.signal(n, signal.SIG_IGN)\ntime.sleep(1000)",
        Ended.TIMEOUT_WALL,
    ),
    "denied_call_flood": (
        "\nwhile True:\n    try: socket.socket()\n    except OSError: pass",
        Ended.TIMEOUT_CPU,
    ),
}


SAME_MACHINERY = {"sleep_forever", "ignores_every_signal", "infinite_loop", "stderr_flood", "out_fill", "thread_bomb"}


@pytest.mark.parametrize("name", LIMITED)
def test_E1_the_whole_tree_dies_at_the_limit(
    name: str, world: World, box: Box, request: pytest.FixtureRequest
) -> None:
    if isinstance(box, WarmBox) and name in SAME_MACHINERY and request.config.option.markexpr == "not slow":
        pytest.skip("the same clocks and counters as in a cold box; run with the slow tests")
    code, expected = LIMITED[name]
    wall = 1.5 if expected is Ended.TIMEOUT_WALL else 25
    limits = Limits(
        wall_s=wall,
        cpu_s=1.0,
        memory_bytes=192 << 20,
        pids=24,
        stdout_bytes=1 << 20,
        output_bytes=4 << 20,
        output_files=200,
        tmp_bytes=8 << 20,
    )
    if expected is not Ended.TIMEOUT_CPU:
        limits = Limits(
            wall_s=wall,
            cpu_s=20,
            memory_bytes=192 << 20,
            pids=24,
            stdout_bytes=1 << 20,
            output_bytes=4 << 20,
            output_files=200,
            tmp_bytes=8 << 20,
        )
    outcome = attack(box, world, code, limits, outputs=None)
    assert outcome.ended is expected, outcome.detail
    assert len(outcome.stdout) <= limits.stdout_bytes
    assert sum(map(len, outcome.outputs.values())) <= limits.output_bytes


def test_E1_a_full_tmp_is_an_error_inside_and_bounded_outside(world: World, box: Box) -> None:
    code = """
        n = 0
        try:
            with open('/tmp/x', 'wb', buffering=0) as f:
                while True: n += f.write(bytes(1 << 20))
        except OSError as e: print(e.errno == errno.ENOSPC, n)
        os.unlink('/tmp/x')
        try:
            for i in range(10**6): os.mkdir(f'/tmp/{i}')
        except OSError as e: print(e.errno == errno.ENOSPC, i)"""
    outcome = attack(box, world, code)
    lines = outcome.stdout.decode().split("\n")
    assert lines[0].startswith("True")
    assert int(lines[0].split()[1]) <= QUICK.tmp_bytes
    if os.geteuid() == 0:
        assert lines[1].startswith("True")
        assert int(lines[1].split()[1]) <= 1 << 16


BAD_OUTPUTS = {
    "symlink": "os.symlink('/etc/passwd', '/out/x')",
    "symlink_to_own": "open('/out/y', 'w').write('1'); os.symlink('y', '/out/x')",
    "symlinked_folder": "os.symlink('/usr', '/out/d')",
    "hardlink": "open('/out/y', 'w').write('1'); os.link('/out/y', '/out/x')",
    "fifo": "os.mkfifo('/out/x')",
    "socket": "s = socket.socket(socket.AF_UNIX); s.bind('/out/x')",
    "folder": "os.mkdir('/out/x')",
    "missing": "pass",
    "magic_link": "os.symlink('/proc/self/fd/0', '/out/x')",
}


@pytest.mark.parametrize("name", BAD_OUTPUTS)
def test_T3_only_plain_files_cross(name: str, world: World, box: Box) -> None:
    declared = "d/bin/env" if name == "symlinked_folder" else "x"
    outcome = attack(box, world, BAD_OUTPUTS[name], outputs=(declared,))
    assert outcome.ended is Ended.NO_RESULT
    assert declared not in outcome.outputs
    everything = attack(box, world, BAD_OUTPUTS[name], outputs=None)
    assert "x" not in everything.outputs
    assert not any(data.startswith(b"root:") for data in everything.outputs.values())


@pytest.mark.parametrize("name", ["../../etc/passwd", "/etc/passwd", "a/../../x", "", "x\0y"])
def test_T3_output_names_cannot_leave_out(name: str, world: World, box: Box) -> None:
    outcome = attack(box, world, "open('/out/x', 'w').write('1')", outputs=(name,))
    assert outcome.ended is Ended.NO_RESULT
    assert outcome.outputs == {}


SURVIVORS = {
    "double_fork": "os.fork() and os._exit(0); os.setsid(); os.fork() and os._exit(0)",
    "setsid": "os.fork() and os._exit(0); os.setsid()",
    "ignoring": "os.fork() and os._exit(0); [signal.signal(n, signal.SIG_IGN) for n in (1, 2, 15)]",
}


def _alive(mark: str) -> list[int]:
    found = []
    for entry in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            if mark.encode() in (entry / "cmdline").read_bytes():
                found.append(int(entry.name))
    return [pid for pid in found if pid != os.getpid()]


@pytest.mark.parametrize("name", SURVIVORS)
def test_E1_no_process_survives_a_run(name: str, world: World, box: Box, plain: PlainBox) -> None:
    mark = f"survivor-{os.getpid()}-{name}"
    code = SURVIVORS[name] + f"; os.execv({PYTHON!r}, ['python3', '-c', 'import time; time.sleep(60)', {mark!r}])"
    control = subprocess.Popen([PYTHON, "-c", "import os, signal\n" + code], start_new_session=True)
    control.wait()
    until(lambda: _alive(mark))
    time.sleep(0.4)  # it may not be alone
    left = _alive(mark)
    assert left, "the attack must work without a sandbox"
    for pid in left:
        os.kill(pid, signal.SIGKILL)
    for sandbox in (box, plain):
        outcome = attack(sandbox, world, code)
        assert outcome.ended is Ended.OK
        assert _alive(mark) == []


ENGINE = """
import sys, threading
from pathlib import Path
from festina.sandbox.job import Job, Level, Limits
from festina.sandbox.host import choose
box = choose(Level.L2, Path(sys.argv[1]))
code = "import os, time; os.fork(); os.fork(); time.sleep(120)"
job = Job(("/usr/bin/python3", "-c", code, sys.argv[2]), inputs={"a": b"1"})
for _ in range(4):
    threading.Thread(target=box.run, args=(job, Limits(wall_s=100))).start()
print("started", flush=True)
"""


def test_E1_a_killed_engine_leaves_nothing(tmp_path: Path) -> None:
    mark = f"orphan-{os.getpid()}"
    env = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2] / "src")}
    engine = subprocess.Popen(
        [sys.executable, "-c", ENGINE, str(tmp_path / "s"), mark], env=env, stdout=subprocess.PIPE
    )
    # four Pythons and two bwraps in each of four boxes
    until(lambda: len([pid for pid in _alive(mark) if pid != engine.pid]) >= 16 + 8, 90.0)
    engine.send_signal(signal.SIGKILL)
    engine.wait()
    until(lambda: _alive(mark) == [], 40.0)  # of 120; a busy host takes its time
    assert engine.stdout is not None
    engine.stdout.close()

    def left() -> list[Path]:
        return [*(tmp_path / "s").glob("box-*"), *groups_of(engine.pid)]

    until(lambda: left() == [])


FORGETFUL = """
import sys
from pathlib import Path
import festina.sandbox.place as place
from festina.sandbox.job import Job, Level, Limits
from festina.sandbox.host import choose
box = choose(Level.L2, Path(sys.argv[1]))
place.remove = lambda path: print(path, flush=True) or sys.stdin.read()  # the run is over, its folder not yet removed
box.run(Job(("/usr/bin/python3", "-c", "pass"), inputs={"a": b"1"}), Limits(wall_s=100))
"""


def test_E1_an_engine_killed_after_a_run_and_before_it_tidied_up_leaves_nothing(tmp_path: Path) -> None:
    env = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2] / "src")}
    engine = subprocess.Popen(
        [sys.executable, "-c", FORGETFUL, str(tmp_path / "s")],
        env=env,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert engine.stdin is not None
    assert engine.stdout is not None
    with engine.stdin, engine.stdout:
        place = Path(engine.stdout.readline().strip())
        assert place.is_dir()
        engine.kill()
        engine.wait()
    until(lambda: not place.exists() and groups_of(engine.pid) == [])


@pytest.mark.skipif(not hasattr(ctypes.CDLL(None), "mq_open"), reason="the C library has no message queues here")
def test_a_message_queue_that_an_attempt_left_is_removed() -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    nonce = f"{os.getpid():07x}festina"
    assert libc.mq_open(b"/" + nonce.encode(), os.O_CREAT | os.O_RDWR, 0o600, None) >= 0
    remove_ipc(nonce)
    assert libc.mq_open(b"/" + nonce.encode(), os.O_RDWR) == -1
    assert ctypes.get_errno() == errno.ENOENT
