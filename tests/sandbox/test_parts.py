"""The pure parts of the sandbox: the filter (interpreted here for both machines), the end's name, the harvest."""

from __future__ import annotations

import json
import os
import struct
import subprocess
import sys
import tempfile
from functools import partial
from pathlib import Path

import pytest
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st

from festina.sandbox import cgroup
from festina.sandbox.harvest import harvest
from festina.sandbox.host import probe
from festina.sandbox.job import Ended, Level, Limits
from festina.sandbox.plain import PlainBox, sweep_plain
from festina.sandbox.seccomp import ARCHITECTURES, NEWEST, Action, Part, compile_filter, describe
from festina.sandbox.supervise import classify
from festina.system import scratch

ALLOW, KILL, NOSYS, DENY = 0x7FFF0000, 0x80000000, 0x00050026, 0x00050001


def judge(code: bytes, audit: int, number: int, args: tuple[int, ...] = ()) -> int:
    """A small interpreter of classic BPF: what the kernel would answer."""
    data = struct.pack("=IIQ6Q", number, audit, 0, *(*args, *(0,) * (6 - len(args))))
    at, accumulator = 0, 0
    while True:
        op, yes, no, value = struct.unpack_from("=HBBI", code, 8 * at)
        at += 1
        if op == 0x06:
            return int(value)
        if op == 0x20:
            accumulator = struct.unpack_from("=I", data, value)[0]
            continue
        if op == 0x54:
            accumulator &= value
            continue
        holds = {0x15: accumulator == value, 0x35: accumulator >= value, 0x45: bool(accumulator & value)}[op]
        at += yes if holds else no


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_T2_the_filter_on_both_machines(name: str) -> None:
    arch = ARCHITECTURES[name]
    code = compile_filter(Action.EPERM, arch)
    for call, number in arch.denied.items():
        assert judge(code, arch.audit, number) == DENY, call
    assert judge(code, arch.audit, arch.clone3) == NOSYS
    assert judge(code, arch.audit, NEWEST + 1) == NOSYS
    for family in range(64):
        wanted = ALLOW if family == 1 else DENY
        assert judge(code, arch.audit, arch.socket, (family,)) == wanted
        assert judge(code, arch.audit, arch.socketpair, (family | 1 << 40,)) == wanted
    for flag in (0x20000, 0x02000000, 0x04000000, 0x08000000, 0x10000000, 0x20000000, 0x40000000):
        assert judge(code, arch.audit, arch.clone, (flag | 17,)) == DENY
    assert judge(code, arch.audit, arch.clone, (0x003D0F00,)) == ALLOW  # a thread
    assert judge(code, arch.audit, arch.ioctl, (0, 0x5412)) == DENY
    assert judge(code, arch.audit, arch.ioctl, (0, 0x100005412)) == DENY  # the kernel reads 32 bits
    assert judge(code, arch.audit, arch.ioctl, (0, 0x5413)) == ALLOW
    assert judge(code, arch.audit, arch.personality, (0x0040000,)) == DENY
    for audit in (0x40000003, 0x40000028, 0xC00000B7 if name == "x86_64" else 0xC000003E):
        assert judge(code, audit, 1) == KILL


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_E6_a_loopback_is_for_plain_tcp_alone(name: str) -> None:
    arch = ARCHITECTURES[name]
    for part in (Part.ALL, Part.OUTER_RECORDED, Part.OUTER_SILENT):
        usual, code = (compile_filter(Action.EPERM, arch, part, loopback=on) for on in (False, True))
        for kind in (1, 1 | 0o4000 | 0o2000000):  # a stream, non-blocking and closed on exec
            for protocol in (0, 6):
                assert judge(code, arch.audit, arch.socket, (2, kind, protocol)) == ALLOW
                assert judge(usual, arch.audit, arch.socket, (2, kind, protocol)) == DENY
        for refused in ((2, 2, 0), (2, 3, 1), (2, 1, 262), (2, 1, 132), (2, 5, 0), (10, 1, 0), (40, 1, 0)):
            assert judge(code, arch.audit, arch.socket, refused) == DENY
        assert judge(code, arch.audit, arch.socketpair, (2, 1, 0)) == DENY
        for number in (*arch.denied.values(), arch.clone3, NEWEST + 1):  # nothing else differs
            assert judge(code, arch.audit, number) == judge(usual, arch.audit, number)


@given(st.integers(0, 2**32 - 1), st.integers(0, 2**64 - 1))
def test_T2_every_number_has_an_answer_and_x32_is_killed(number: int, argument: int) -> None:
    for arch in ARCHITECTURES.values():
        answer = judge(compile_filter(Action.NOTIFY, arch), arch.audit, number, (argument,))
        assert answer in (ALLOW, KILL, NOSYS, Action.NOTIFY.value)
        if number > NEWEST:
            assert answer == (KILL if arch.has_x32 and number >= 0x40000000 else NOSYS)
        elif number in arch.denied.values():
            assert answer == Action.NOTIFY.value


def test_T2_what_the_outer_filter_leaves_out_the_inner_one_holds() -> None:
    for arch in ARCHITECTURES.values():
        outer = {
            Part.OUTER_RECORDED: {"mount", "umount2", "pivot_root"},
            Part.OUTER_SILENT: {
                "mount",
                "umount2",
                "pivot_root",
                "unshare",
                "setns",
                "chroot",
                "sethostname",
                "seccomp",
            },
        }
        for part, expected in outer.items():
            code = compile_filter(Action.EPERM, arch, part)
            assert {n for n, number in arch.denied.items() if judge(code, arch.audit, number) == ALLOW} == expected
            assert judge(code, arch.audit, arch.socket, (40,)) == DENY
            assert judge(code, 0x40000003, 1) == KILL
        inner = compile_filter(Action.EPERM, arch, Part.INNER_MOUNTS)
        killed = {name for name, number in arch.denied.items() if judge(inner, arch.audit, number) == KILL}
        assert killed == {"mount", "umount2", "pivot_root"}
        assert judge(inner, arch.audit, 1) == ALLOW
        silent = compile_filter(Action.EPERM, arch, Part.OUTER_SILENT)
        assert judge(silent, arch.audit, arch.socket, (16,)) == ALLOW
        assert judge(silent, arch.audit, arch.clone, (0x10000000,)) == ALLOW  # the inner one, ALL, denies it


def test_T2_without_namespaces_the_filter_holds_what_they_would() -> None:
    for arch in ARCHITECTURES.values():
        code = compile_filter(Action.EPERM, arch, Part.NO_NAMESPACES)
        usual = compile_filter(Action.EPERM, arch)

        def both(number: int, *args: int) -> tuple[int, int]:
            return judge(code, arch.audit, number, args), judge(usual, arch.audit, number, args)  # noqa: B023

        for number in arch.denied.values():
            assert both(number) == (DENY, DENY)
        for number in (*arch.outside.values(), arch.socket):
            assert both(number, 1) == (DENY, ALLOW)
        for number in arch.pretended:
            assert both(number) == (0x00050000, ALLOW)
        for number in arch.attributes:
            assert both(number) == (0x00050000 | 95, ALLOW)
        for number in arch.own_only:
            assert both(number, 0) == (ALLOW, ALLOW)
            assert both(number, 77) == (DENY, ALLOW)
        assert both(arch.setpriority, 0, 0) == (ALLOW, ALLOW)
        assert both(arch.setpriority, 0, 77) == (DENY, ALLOW)
        assert both(arch.setpriority, 2, 0) == (DENY, ALLOW)  # every process of this user
        assert both(arch.socketpair, 1, 1 | 0o2000000) == (ALLOW, ALLOW)
        assert both(arch.socketpair, 1, 2) == (DENY, ALLOW)  # datagrams could be sent elsewhere
        assert both(arch.socketpair, 2, 1) == (DENY, DENY)
        assert both(arch.prlimit, 0, 7, 4096) == (ALLOW, ALLOW)
        assert both(arch.prlimit, 77, 7, 4096) == (DENY, ALLOW)
        for command, wanted in ((8, DENY), (1024, DENY), (1026, DENY), (6, ALLOW), (3, ALLOW)):
            assert both(arch.fcntl, 0, command) == (wanted, ALLOW)
        assert both(arch.ioctl, 0, 0x8901) == (DENY, ALLOW)
        assert both(arch.prctl, 22) == (DENY, DENY)
        assert both(arch.prctl, 1) == (ALLOW, ALLOW)


def test_T2_the_limit_on_core_dumps_stays() -> None:
    for arch in ARCHITECTURES.values():
        for part in (Part.ALL, Part.OUTER_RECORDED, Part.OUTER_SILENT, Part.NO_NAMESPACES):
            code = compile_filter(Action.EPERM, arch, part)

            def answer(number: int, *args: int) -> int:
                return judge(code, arch.audit, number, args)  # noqa: B023

            assert answer(arch.setrlimit, 4, 4096) == 0x00050000
            assert answer(arch.setrlimit, 7, 4096) == ALLOW
            assert answer(arch.prlimit, 0, 4, 4096) == 0x00050000
            assert answer(arch.prlimit, 0, 4, 1 << 32) == 0x00050000  # a pointer whose lower half is zero
            assert answer(arch.prlimit, 0, 4, 0) == ALLOW  # asking
            assert answer(arch.prlimit, 0, 7, 4096) == ALLOW


def test_E2_denied_calls_have_names() -> None:
    arch = ARCHITECTURES["x86_64"]
    assert describe(arch, 41, (40, 0)) == "socket(AF_VSOCK)"
    assert describe(arch, 101, (16, 1)) == "ptrace"
    assert describe(arch, 16, (0, 0x5412)) == "ioctl(TIOCSTI)"
    assert describe(arch, 56, (0x10000000, 0)) == "clone(new namespaces)"


def test_E2_precedence_of_ends() -> None:
    killed, exit_3, folded_9, sigsys = 9, 3 << 8, 137 << 8, 159 << 8
    assert classify(killed, Ended.TIMEOUT_WALL, folded=True).ended is Ended.TIMEOUT_WALL
    assert classify(0, Ended.OOM, folded=True).ended is Ended.OOM  # a child was killed, the parent hid it
    assert classify(folded_9, None, folded=True) == classify(killed, None, folded=False)
    assert classify(sigsys, None, folded=True).ended is Ended.FORBIDDEN
    assert classify(152 << 8, None, folded=True).ended is Ended.TIMEOUT_CPU
    assert classify(exit_3, None, folded=True).exit_code == 3
    assert classify(0, None, folded=True).ended is Ended.OK
    assert classify(killed, None, folded=True).ended is Ended.SANDBOX_ERROR  # the launcher itself was killed
    assert classify(None, None, folded=True).ended is Ended.SANDBOX_ERROR


def test_T3_harvest_reads_only_what_is_below(tmp_path: Path) -> None:
    out = tmp_path / "out"
    (out / "a").mkdir(parents=True)
    (out / "a" / "f").write_bytes(b"12")
    (tmp_path / "secret").write_bytes(b"label")
    (out / "up").symlink_to("..")
    (out / "hard").hardlink_to(tmp_path / "secret")
    os.mkfifo(out / "pipe")
    (out / os.fsdecode(b"\xff")).write_bytes(b"x")
    pinned = os.open(out, os.O_RDONLY | os.O_DIRECTORY)
    try:
        found = harvest(pinned, None, Limits())
        assert found.files == {"a/f": b"12"}
        names = ("up/secret", "hard", "pipe", "a", "gone", "../secret", "/etc/passwd", "a//f/..", "a/f")
        assert harvest(pinned, names, Limits()).files == {"a/f": b"12"}
        assert harvest(pinned, ("a/f",), Limits(output_bytes=1)).over
        assert harvest(pinned, ("a/f", "a/f", "a/f"), Limits(output_files=1)).over
        with (out / "sparse").open("wb") as file:
            file.truncate(1 << 40)
        assert harvest(pinned, None, Limits()).over
    finally:
        os.close(pinned)


def test_E1_version_2_groups_are_read_and_limited(tmp_path: Path) -> None:
    """The files of version 2 as a kernel would show them; this checks the names and the arithmetic only."""
    group = cgroup.Group(2, tmp_path, tmp_path, tmp_path, (tmp_path,))
    files = {"memory.max": "", "memory.swap.max": "", "memory.oom.group": "", "pids.max": "", "cgroup.procs": ""}
    files |= {"cpu.stat": "usage_usec 1500000\nuser_usec 1\n", "memory.peak": "4096\n"}
    files |= {"memory.events": "low 0\noom 2\noom_kill 1\n", "pids.events": "max 3\n"}
    for name, text in files.items():
        (tmp_path / name).write_text(text)
    group.limit(1 << 20, 7)
    group.watch()
    assert (tmp_path / "memory.max").read_text() == "1048576"
    assert (tmp_path / "pids.max").read_text() == "7"
    assert group.usage() == cgroup.Usage(1.5, 4096, 1, 3, True)
    for name in files:
        (tmp_path / name).unlink()
    assert group.destroy()
    assert not tmp_path.exists()


def test_an_engine_is_told_from_its_successor() -> None:
    assert scratch.alive(f"box-{scratch.stamp()}-3")
    assert not scratch.alive(f"box-{os.getpid()}-1-3")
    assert not scratch.alive("box-x-y-z")


def test_a_killed_process_s_folders_are_found_by_their_names(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    program = (
        "import os, sys, tempfile; from festina.system.scratch import prefix; "
        "open(tempfile.mkdtemp(prefix=prefix('view'), dir=sys.argv[1]) + '/tree', 'w'); os.kill(os.getpid(), 9)"
    )
    subprocess.run([sys.executable, "-c", program, str(tmp_path)], check=False)
    mine = Path(tempfile.mkdtemp(prefix=scratch.prefix("view")))
    (left,) = set(tmp_path.iterdir()) - {mine}
    assert sweep_plain() == [str(left)]
    assert list(tmp_path.iterdir()) == [mine]


@pytest.mark.skipif(probe().level < Level.L2, reason="no box on this host: see `festina doctor`")
def test_doctor_attack_names_what_is_open_and_exits_with_3(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from festina.cli.doctor import command
    from festina.sandbox import escapes, host

    few = [item for item in escapes.ATTEMPTS if item.name in ("read", "kill", "udp", "kernel_version", "sleep")]
    monkeypatch.setattr(escapes, "try_out", partial(escapes.try_out, attempts=few))
    good = CliRunner().invoke(command, ["--attack", "--level", "L2"])
    assert good.exit_code == 0, good.output
    assert "L2: 4 of 5 blocked, 1 open that it does not promise to stop" in good.output
    assert "4 of 5 attempts work where nothing stops them" in good.output
    assert CliRunner().invoke(command, ["--level", "L2"]).exit_code == 2

    class Liar(PlainBox):
        level = Level.L2

    monkeypatch.setattr(host, "boxes", lambda state: {"L2": lambda uid, _: Liar(state, uid=uid)})
    bad = CliRunner().invoke(command, ["--attack", "--json"])
    assert bad.exit_code == 3
    found = json.loads(bad.stdout)
    assert {row["attempt"] for row in found["open"]} == {"read", "kill", "udp"}
    assert found["left"] == []


def test_doctor_says_it_in_words_and_in_json() -> None:
    from festina.cli.doctor import command

    text = CliRunner().invoke(command, [])
    assert text.exit_code == 0
    assert text.output.startswith(("L0:", "L1:", "L2:", "L3:"))
    assert "Not covered" in text.output
    found = json.loads(CliRunner().invoke(command, ["--json"]).output)
    assert found["level"] in ("L0", "L1", "L2", "L3")
    assert all({"name", "works", "without_it", "remedy"} <= set(item) for item in found["mechanisms"])
