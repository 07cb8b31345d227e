"""Attacks on the sandbox, carried out for real.  # T-2, E-1, E-4, E-6

Each attack prints WORKED when it succeeds. It runs twice: at L0, the positive control, where it must work
(so that its failure elsewhere means something), and in the strongest box of this host, where it must not.
The attacker at L0 has the same uid as the victim process, the worst case.
"""

from __future__ import annotations

import contextlib
import dataclasses
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
from festina.sandbox.host import probe
from festina.sandbox.job import Bind, Ended, Job, Level, Limits, Outcome
from festina.sandbox.place import CANDIDATE_UID
from festina.sandbox.plain import PlainBox
from festina.sandbox.warm import WarmBox

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
        [PYTHON, "-c", "import ctypes,time;ctypes.CDLL(None).prctl(4,1,0,0,0);time.sleep(600)"],
        env={"LABELS": "secret-in-environ"},
        **drop,
    )
    time.sleep(0.3)
    yield World(victim.pid, port, name, str(folder), accepted)
    victim.kill()
    victim.wait()
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


def attack(
    sandbox: Box | PlainBox, world: World, code: str, limits: Limits = QUICK, **job: object
) -> Outcome:
    words = (str(world.victim), str(world.port), world.name, world.folder, str(os.getpid()))
    script = PRELUDE + textwrap.dedent(code)
    outcome = sandbox.run(Job((PYTHON, "-I", "-c", script, *words), **job), limits)  # type: ignore[arg-type]
    assert outcome.box == {BubblewrapBox: "cold", WarmBox: "warm", PlainBox: "plain"}[type(sandbox)]
    return outcome


# name -> code. All of these must work at L0.
WORKS_WITHOUT = {
    "tcp": "s = socket.create_connection(('127.0.0.1', PORT), 3); print('WORKED')",
    "udp": "s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); s.sendto(b'x', ('127.0.0.1', PORT)); print('WORKED')",
    "unix_path": "s = socket.socket(socket.AF_UNIX); s.connect(DIR + '/sock'); print('WORKED')",
    "unix_abstract": "s = socket.socket(socket.AF_UNIX); s.connect('\\0' + NAME); print('WORKED')",
    "netlink": "s = socket.socket(16, socket.SOCK_RAW, 0); s.bind((0, 0)); print('WORKED')",
    "vsock": "s = socket.socket(40, socket.SOCK_STREAM); print('WORKED')",
    "host_file": "assert open(DIR + '/secret').read() == 'label=7'; print('WORKED')",
    "host_file_by_magic_link": "assert open(f'/proc/{PID}/root{DIR}/secret').read() == 'label=7'; print('WORKED')",
    "environ_of_another": "assert b'secret-in' in open(f'/proc/{PID}/environ', 'rb').read(); print('WORKED')",
    "environ_scan": """
        for p in os.listdir('/proc'):
            try:
                if p.isdigit() and b'secret-in-environ' in open(f'/proc/{p}/environ', 'rb').read(): print('WORKED')
            except OSError: pass""",
    "memory_of_another": """
        line = next(l for l in open(f'/proc/{PID}/maps') if 'rw-p' in l)
        f = open(f'/proc/{PID}/mem', 'rb'); f.seek(int(line.split('-')[0], 16)); f.read(16); print('WORKED')""",
    "ptrace": "call(101, 16, PID, 0, 0); os.waitpid(PID, 0x40000000); call(101, 17, PID, 0, 0); print('WORKED')",
    "process_vm_readv": """
        base = int(next(l for l in open(f'/proc/{PID}/maps') if 'rw-p' in l).split('-')[0], 16)
        buf = ctypes.create_string_buffer(16)
        class V(ctypes.Structure): _fields_ = [('b', ctypes.c_void_p), ('n', ctypes.c_size_t)]
        a, b = V(ctypes.addressof(buf), 16), V(base, 16)
        call(310, PID, ctypes.byref(a), 1, ctypes.byref(b), 1, 0); print('WORKED')""",
    "signal_another": "os.kill(PID, 0); print('WORKED')",
    "see_processes": "assert os.path.exists(f'/proc/{PARENT}/cmdline'); print('WORKED')",
    "pidfd_getfd": "p = os.pidfd_open(PID); call(438, p, 0, 0); print('WORKED')",
    "write_beside": "open(DIR + '/planted', 'w').write('x'); os.unlink(DIR + '/planted'); print('WORKED')",
    "user_namespace": "call(272, 0x10000000); print('WORKED')",
    "mount_in_namespace": """
        call(272, 0x10000000 | 0x20000)
        assert libc.mount(b'x', b'/tmp', b'tmpfs', 0, None) == 0; print('WORKED')""",
    "clone_with_namespace": """
        r = call(56, 0x10000000 | 17, 0, 0, 0, 0)
        if r == 0: os._exit(0)
        os.waitpid(r, 0); print('WORKED')""",
    "io_uring": "b = ctypes.create_string_buffer(120); call(425, 4, b); print('WORKED')",
    "keyring": "call(248, b'user', b'k', b'v', 1, -4); print('WORKED')",
    "int80": """
        import mmap
        m = mmap.mmap(-1, 4096, prot=7); m.write(bytes.fromhex('b814000000cd80c3'))
        f = ctypes.CFUNCTYPE(ctypes.c_int)(ctypes.addressof(ctypes.c_char.from_buffer(m)))
        if f() == os.getpid(): print('WORKED')""",
    "persist_tmp": """
        import glob
        print('WORKED' if os.path.exists('/tmp/' + NAME + '.left') else 'first')
        open('/tmp/' + NAME + '.left', 'w')""",
    "persist_shm_file": """
        print('WORKED' if os.path.exists('/dev/shm/' + NAME) else 'first'); open('/dev/shm/' + NAME, 'w')""",
    "persist_sysv": """
        ident = libc.shmget(0x5eed, 4096, 0o600)
        print('WORKED' if ident >= 0 else 'first'); libc.shmget(0x5eed, 4096, 0o1600)""",
    "setuid_program_seen": "assert os.stat('/etc/shadow'); print('WORKED')",
    "host_configuration": "assert os.path.exists('/etc/fstab') or os.path.exists('/etc/hostname'); print('WORKED')",
}
TWICE = {"persist_tmp", "persist_shm_file", "persist_sysv"}
DENIED = {
    "tcp": "socket(AF_INET)", "udp": "socket(AF_INET)", "netlink": "socket(AF_NETLINK)", "vsock": "socket(AF_VSOCK)",
    "ptrace": "ptrace", "user_namespace": "unshare", "mount_in_namespace": "unshare",
    "clone_with_namespace": "clone(new namespaces)", "io_uring": "io_uring_setup", "keyring": "add_key",
}  # fmt: skip


@pytest.mark.parametrize("name", WORKS_WITHOUT)
def test_T2_an_attack_that_works_at_L0_fails_in_the_box(
    name: str, world: World, box: Box, plain: PlainBox
) -> None:
    for _ in range(2 if name in TWICE else 1):
        control = attack(plain, world, WORKS_WITHOUT[name])
    assert b"WORKED" in control.stdout, control.stderr.decode()
    seen = len(world.accepted)
    for _ in range(2 if name in TWICE else 1):
        outcome = attack(box, world, WORKS_WITHOUT[name])
    assert b"WORKED" not in outcome.stdout
    assert world.accepted[seen:] == []
    if name in DENIED and probe().mechanisms.notify:  # type: ignore[union-attr]
        assert DENIED[name] in outcome.denied  # E-2: a denied call is evidence


@pytest.fixture(scope="module", autouse=True)
def _tidy(world: World) -> Iterator[None]:
    yield
    for path in (f"/tmp/{world.name}.left", f"/dev/shm/{world.name}"):
        Path(path).unlink(missing_ok=True)
    subprocess.run(["ipcrm", "-M", "0x5eed"], capture_output=True, check=False)


# Refused by the kernel at L0 too on some hosts, so there is no control; they must never work in a box.
NEVER = {
    "raw_socket": "socket.socket(socket.AF_INET, socket.SOCK_RAW, 1); print('WORKED')",
    "packet_socket": "socket.socket(17, socket.SOCK_RAW, 3); print('WORKED')",
    "alg_socket": "socket.socket(38, socket.SOCK_SEQPACKET, 0); print('WORKED')",
    "inet6": "socket.socket(socket.AF_INET6); print('WORKED')",
    "bpf": "b = ctypes.create_string_buffer(128); call(321, 0, b, 128); print('WORKED')",
    "perf": """
        b = ctypes.create_string_buffer(struct.pack('IIQ', 1, 128, 0).ljust(128, b'\\0'))
        call(298, b, 0, -1, -1, 0); print('WORKED')""",
    "keyctl": "call(250, 0, -3, 0, 0, 0); print('WORKED')",
    "clone3": "b = ctypes.create_string_buffer(88); call(435, b, 88); print('WORKED')",
    "setns": "call(308, os.open('/proc/self/ns/net', os.O_RDONLY), 0); print('WORKED')",
    "new_mount_api": "call(430, b'tmpfs', 0); print('WORKED')",
    "open_by_handle": "b = ctypes.create_string_buffer(64); call(304, 3, b, 0); print('WORKED')",
    "chroot": "os.chroot('/tmp'); print('WORKED')",
    "mknod": "os.mknod('/tmp/sda', 0o60666, os.makedev(8, 0)); print('WORKED')",
    "tiocsti": """
        import fcntl, pty
        master, slave = pty.openpty(); fcntl.ioctl(slave, 0x5412, b'x'); print('WORKED')""",
    "personality": "call(135, 0x0040000); print('WORKED')",
    "modules": "call(175, b'', 0, b''); print('WORKED')",
    "reboot": "call(169, 0xfee1dead, 672274793, 0, 0); print('WORKED')",
    "clock": "time.clock_settime(time.CLOCK_REALTIME, 0); print('WORKED')",
    "rlimit_raise": """
        import resource
        resource.setrlimit(resource.RLIMIT_NOFILE, (1 << 16, 1 << 16)); print('WORKED')""",
    "core_limit_raise": "import resource; resource.setrlimit(resource.RLIMIT_CORE, (-1, -1)); print('WORKED')",
    "realtime": "os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(10)); print('WORKED')",
    "nice": "os.setpriority(os.PRIO_PROCESS, 0, -5); print('WORKED')",
    "syslog": "call(103, 10, 0, 0); print('WORKED')",
    "become_root": "os.setuid(0); print('WORKED')",
    "cgroup_files": "print('WORKED') if os.path.exists('/sys/fs/cgroup') else 0",
    "sysctl": "open('/proc/sys/kernel/core_pattern', 'w').write('x'); print('WORKED')",
    "sysrq": "open('/proc/sysrq-trigger', 'w').write('h'); print('WORKED')",
    "kernel_memory": "os.open('/proc/kcore', os.O_RDONLY); print('WORKED')",
    "host_devices": "print('WORKED') if any(os.path.exists('/dev/' + p) for p in ('vda', 'sda', 'kvm', 'mem')) else 0",
    "root_home": "print('WORKED') if os.path.exists('/root/.bashrc') or os.path.exists('/home') else 0",
    "engine_visible": "print('WORKED') if os.path.exists(f'/proc/{PARENT}') else 0",
    "write_root": "open('/x', 'w'); print('WORKED')",
    "write_dev": "open('/dev/x', 'w'); print('WORKED')",
    "write_in": "open('/in/x', 'w'); print('WORKED')",
    "write_etc": "open('/etc/passwd', 'a'); print('WORKED')",
    "write_python": "open(os.__file__, 'a'); print('WORKED')",
    "remount": "assert libc.mount(None, b'/', None, 32, None) == 0; print('WORKED')",
    "umount": "assert libc.umount2(b'/in', 2) == 0; print('WORKED')",
    "kill_pid_1": """
        os.kill(1, 9); time.sleep(.2); os.kill(1, 0)
        print('still here')""",
}


@pytest.mark.parametrize("name", NEVER)
def test_T2_never_in_a_box(name: str, world: World, box: Box) -> None:
    outcome = attack(box, world, NEVER[name])
    assert b"WORKED" not in outcome.stdout
    assert outcome.ended is not Ended.SANDBOX_ERROR


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
    """PID 1 of a cold box can be written (same uid), so it must be able to do no more than the job. In a warm box it
    is under the same filter and cannot be written either."""
    cold = box.cold if isinstance(box, WarmBox) else box
    weak = BubblewrapBox(state, dataclasses.replace(cold.mechanisms, notify=False))
    weak.outer, weak.inner = b"", cold.inner  # the control: a box without a socket rule
    control = attack(weak, world, TAKEOVER)
    assert b"WORKED" in control.stdout, control
    outcome = attack(box, world, TAKEOVER)
    assert (b"taken" in outcome.stdout) is not isinstance(box, WarmBox)
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


@pytest.mark.parametrize("name", LIMITED)
def test_E1_the_whole_tree_dies_at_the_limit(name: str, world: World, box: Box) -> None:
    code, expected = LIMITED[name]
    wall = 1.5 if expected is Ended.TIMEOUT_WALL else 25
    limits = Limits(wall, 1.0, 192 << 20, 24, 1 << 20, 4 << 20, 200, 8 << 20)
    if expected is not Ended.TIMEOUT_CPU:
        limits = Limits(wall, 20, 192 << 20, 24, 1 << 20, 4 << 20, 200, 8 << 20)
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
    time.sleep(0.4)
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
    deadline = time.monotonic() + 40
    while len([pid for pid in _alive(mark) if pid != engine.pid]) < 16 + 8 and time.monotonic() < deadline:
        time.sleep(0.1)
    assert len(_alive(mark)) >= 16 + 8  # four Pythons and two bwraps in each of four boxes
    engine.send_signal(signal.SIGKILL)
    engine.wait()
    killed = time.monotonic()
    while _alive(mark) and time.monotonic() - killed < 10:
        time.sleep(0.05)
    took = time.monotonic() - killed
    assert _alive(mark) == []
    assert took < 3
    assert engine.stdout is not None
    engine.stdout.close()

    def left() -> list[Path]:
        groups = Path("/sys/fs/cgroup").glob(f"**/festina-{engine.pid}-*")
        return [*(tmp_path / "s").glob("box-*"), *groups]

    while left() and time.monotonic() - killed < 10:
        time.sleep(0.05)
    assert left() == []
