"""The system-call policy of every box, as a classic BPF program built here, without a library.

Two filters. The *outer* one is put on the launcher before it becomes ``bwrap``: only there can a listener be
had, and so the box's PID 1 is under it by construction. (PID 1 has the job's uid and its memory can be
written through ``/proc/1/mem``; an attack in the tests takes it over and gains nothing.) Its denied calls end
in ``USER_NOTIF``: the supervisor lets the builder's own pass while the box is built, then answers EPERM and
keeps the name as evidence.  # E-2
The *inner* one is given to ``bwrap``, which puts it on when the view is built: classic ``mount``, ``umount2``
and ``pivot_root`` kill the caller, since no candidate has a use for them. They are not in the outer one because
``bwrap`` makes some forty of these calls, and a round trip for each would double the cost of a box.
Where the kernel has no listener to give, the outer filter answers EPERM without a record and leaves out all
that ``bwrap`` needs; the inner one then holds the whole list.

Invariants, in this order: foreign architecture and x32 -> killed; numbers newer than ``NEWEST`` -> ENOSYS
(unknown calls fail closed); clone3 -> ENOSYS (its flags lie behind a pointer; C libraries fall back to
clone, which can be judged); sockets only of ``AF_UNIX`` (a network namespace does not stop vsock;  # E-6), and
plain TCP for a box with a door; namespace flags, tracing, other processes' memory, keys, BPF, perf, io_uring, mounts,
modules, clocks,
typing into terminals and filters of one's own (which could hide denied calls from the record) -> denied;
everything else is allowed. At L1, where there are no namespaces, the filter also holds what they would keep apart.

Not covered: kernel bugs behind allowed calls; locks on shared files (the box gives each run inodes of its own).
"""

from __future__ import annotations

import platform
import struct
from dataclasses import dataclass, field
from enum import Enum

__all__ = ["ARCHITECTURES", "OWN_FILTER", "Action", "Arch", "Part", "compile_filter", "describe", "here"]

NEWEST = 462  # mseal, Linux 6.10: the newest call this table was written for; the same number on both machines
AF_UNIX, AF_INET = 1, 2
NAMESPACE_FLAGS = 0x7E020000  # CLONE_NEWNS|NEWCGROUP|NEWUTS|NEWIPC|NEWUSER|NEWPID|NEWNET, linux/sched.h
PR_SET_SECCOMP = 22  # linux/prctl.h
OWN_FILTER = "prctl(PR_SET_SECCOMP)"
TIOCSTI, TIOCLINUX = 0x5412, 0x541C  # type into, and paste into, a terminal: asm-generic/ioctls.h
X32_BIT = 0x40000000
EPERM, ENOSYS, EOPNOTSUPP = 1, 38, 95

_FAMILIES = {
    1: "AF_UNIX", 2: "AF_INET", 10: "AF_INET6", 15: "AF_KEY", 16: "AF_NETLINK", 17: "AF_PACKET",
    29: "AF_CAN", 31: "AF_BLUETOOTH", 38: "AF_ALG", 40: "AF_VSOCK", 44: "AF_XDP",
}  # fmt: skip
# Numbers from 424 on are the same everywhere (asm-generic/unistd.h).
_COMMON = {
    "io_uring_setup": 425, "io_uring_enter": 426, "io_uring_register": 427, "open_tree": 428,
    "move_mount": 429, "fsopen": 430, "fsconfig": 431, "fsmount": 432, "fspick": 433, "pidfd_getfd": 438,
    "process_madvise": 440, "mount_setattr": 442, "quotactl_fd": 443, "memfd_secret": 447,
}  # fmt: skip


class Action(Enum):
    """What a denied call meets."""

    NOTIFY = 0x7FC00000  # SECCOMP_RET_USER_NOTIF: the supervisor answers and records
    EPERM = 0x00050000 | EPERM  # SECCOMP_RET_ERRNO


class Part(Enum):
    """Which of the denied calls a filter holds."""

    ALL = "all"
    OUTER_RECORDED = "outer, recorded"  # all but the classic mount calls
    OUTER_SILENT = "outer, not recorded"  # all but what bwrap needs to build a box
    INNER_MOUNTS = "inner"  # the classic mount calls only, and they kill
    NO_NAMESPACES = "all, and what namespaces would keep apart"


@dataclass(frozen=True, slots=True)
class Arch:
    """One machine: its audit number, denied calls and the calls that are judged by an argument."""

    name: str
    audit: int
    denied: dict[str, int]
    socket: int
    socketpair: int
    clone: int
    ioctl: int
    prctl: int
    setrlimit: int
    prlimit: int
    personality: int
    seccomp: int
    has_x32: bool
    clone3: int = 435
    # For level L1, where nothing but this filter and Landlock stands between a job and what namespaces would hide.
    outside: dict[str, int] = field(default_factory=dict)  # denied there
    pretended: tuple[int, ...] = ()  # said to work and not done: modes, owners and times of files
    attributes: tuple[int, ...] = ()  # not supported: attributes of files
    own_only: tuple[int, ...] = ()  # the first argument must be 0, oneself
    setpriority: int = 0
    fcntl: int = 0


ARCHITECTURES = {
    "x86_64": Arch(
        "x86_64",
        0xC000003E,
        {
            "ptrace": 101, "syslog": 103, "uselib": 134, "sysfs": 139, "vhangup": 153, "modify_ldt": 154,
            "pivot_root": 155, "_sysctl": 156, "adjtimex": 159, "chroot": 161, "acct": 163,
            "settimeofday": 164, "mount": 165, "umount2": 166, "swapon": 167, "swapoff": 168, "reboot": 169,
            "sethostname": 170, "setdomainname": 171, "iopl": 172, "ioperm": 173, "init_module": 175,
            "delete_module": 176, "quotactl": 179, "nfsservctl": 180, "lookup_dcookie": 212,
            "clock_settime": 227, "kexec_load": 246, "add_key": 248, "request_key": 249, "keyctl": 250,
            "unshare": 272, "perf_event_open": 298, "fanotify_init": 300, "name_to_handle_at": 303,
            "open_by_handle_at": 304, "clock_adjtime": 305, "setns": 308, "process_vm_readv": 310,
            "process_vm_writev": 311, "kcmp": 312, "seccomp": 317, "finit_module": 313, "kexec_file_load": 320,
            "bpf": 321, "userfaultfd": 323, **_COMMON,
        },
        socket=41, socketpair=53, clone=56, ioctl=16, prctl=157, setrlimit=160, prlimit=302,
        personality=135, seccomp=317, has_x32=True,
        outside={
            "shmget": 29, "shmat": 30, "connect": 42, "bind": 49, "semget": 64, "msgget": 68, "mq_open": 240,
            "ioprio_set": 251, "inotify_init": 253, "inotify_init1": 294,
        },
        pretended=(90, 91, 92, 93, 94, 132, 235, 260, 261, 268, 280, 452),
        attributes=(188, 189, 190, 197, 198, 199),
        own_only=(142, 144, 203, 314), setpriority=141, fcntl=72,
    ),
    "aarch64": Arch(
        "aarch64",
        0xC00000B7,
        {
            "lookup_dcookie": 18, "umount2": 39, "mount": 40, "pivot_root": 41, "nfsservctl": 42,
            "chroot": 51, "vhangup": 58, "quotactl": 60, "acct": 89, "unshare": 97, "kexec_load": 104,
            "init_module": 105, "delete_module": 106, "clock_settime": 112, "syslog": 116, "ptrace": 117,
            "reboot": 142, "sethostname": 161, "setdomainname": 162, "settimeofday": 170, "adjtimex": 171,
            "add_key": 217, "request_key": 218, "keyctl": 219, "swapon": 224, "swapoff": 225,
            "perf_event_open": 241, "fanotify_init": 262, "name_to_handle_at": 264,
            "open_by_handle_at": 265, "clock_adjtime": 266, "setns": 268, "process_vm_readv": 270,
            "process_vm_writev": 271, "seccomp": 277, "kcmp": 272, "finit_module": 273, "bpf": 280, "userfaultfd": 282,
            "kexec_file_load": 294, **_COMMON,
        },
        socket=198, socketpair=199, clone=220, ioctl=29, prctl=167, setrlimit=164, prlimit=261,
        personality=92, seccomp=277, has_x32=False,
        outside={
            "inotify_init1": 26, "ioprio_set": 30, "mq_open": 180, "msgget": 186, "semget": 190, "shmget": 194,
            "shmat": 196, "bind": 200, "connect": 203,
        },
        pretended=(52, 53, 54, 55, 88, 452),
        attributes=(5, 6, 7, 14, 15, 16),
        own_only=(118, 119, 122, 274), setpriority=140, fcntl=25,
    ),
}  # fmt: skip


def here() -> Arch | None:
    """The table for this machine, or None where none was written: such a host gets no box at all."""
    return ARCHITECTURES.get(platform.machine())


_LOAD, _JEQ, _JGE, _JSET, _RET = 0x20, 0x15, 0x35, 0x45, 0x06  # BPF opcodes, linux/filter.h
_NR, _ARCH = 0, 4  # offsets into struct seccomp_data
_ALLOW, _KILL, _ERRNO = 0x7FFF0000, 0x80000000, 0x00050000


def _arg(index: int) -> int:
    # Low half only: the kernel reads all the arguments judged here as 32 bits (both machines are little-endian).
    return 16 + 8 * index


@dataclass(frozen=True, slots=True)
class _Op:
    code: int
    value: int
    yes: str = ""  # label to go to when the comparison holds; empty: next instruction
    no: str = ""


_MOUNTS = ("mount", "umount2", "pivot_root")
_BUILDING = (*_MOUNTS, "unshare", "setns", "chroot", "sethostname", "seccomp")
_AF_NETLINK = 16  # bwrap brings the loopback device up through it


def _head(arch: Arch) -> list[_Op | str]:
    ops: list[_Op | str] = [_Op(_LOAD, _ARCH), _Op(_JEQ, arch.audit, "", "kill"), _Op(_LOAD, _NR)]
    return [*ops, _Op(_JGE, X32_BIT, "kill")] if arch.has_x32 else ops


def _program(arch: Arch, action: Action, part: Part, *, loopback: bool) -> list[_Op | str]:
    tail: list[_Op | str] = ["kill", _Op(_RET, _KILL), "allow", _Op(_RET, _ALLOW)]
    if part is Part.INNER_MOUNTS:
        mounts = [_Op(_JEQ, arch.denied[name], "kill") for name in _MOUNTS]
        return [*_head(arch), *mounts[:-1], _Op(_JEQ, mounts[-1].value, "kill", "allow"), *tail]
    left_out = {Part.OUTER_RECORDED: _MOUNTS, Part.OUTER_SILENT: _BUILDING}.get(part, ())
    ops = [*_head(arch), _Op(_JGE, NEWEST + 1, "nosys"), _Op(_JEQ, arch.clone3, "nosys")]
    ops += [_Op(_JEQ, number, "deny") for name, number in arch.denied.items() if name not in left_out]
    made = "deny" if part is Part.NO_NAMESPACES else "tcp" if loopback else "family"
    ops += [_Op(_JEQ, arch.socket, made)]
    ops += [_Op(_JEQ, arch.socketpair, "family")]
    if part is not Part.OUTER_SILENT:
        ops += [_Op(_JEQ, arch.clone, "flags"), _Op(_JEQ, arch.prctl, "option")]
    alone = part is Part.NO_NAMESPACES
    ops += [_Op(_JEQ, arch.setrlimit, "limit"), _Op(_JEQ, arch.prlimit, "limits")]
    ops += _outside(arch) if alone else []
    ops += [_Op(_JEQ, arch.ioctl, "request"), _Op(_JEQ, arch.personality, "persona", "allow")]
    ops += _core("oneself" if alone else "allow")  # before "oneself": jumps lead forward only
    ops += _tcp() if loopback else []
    ops += ["family", _Op(_LOAD, _arg(0))]
    if part is Part.OUTER_SILENT:
        ops.append(_Op(_JEQ, _AF_NETLINK, "allow"))
    ops.append(_Op(_JEQ, AF_UNIX, "" if alone else "allow", "deny"))
    ops += _pair_and_owners(arch) if alone else []
    ops += ["flags", _Op(_LOAD, _arg(0)), _Op(_JSET, NAMESPACE_FLAGS, "deny", "allow")]
    ops += ["request", _Op(_LOAD, _arg(1)), *([_Op(_JEQ, owner, "deny") for owner in _IOCTL_OWNERS] if alone else [])]
    ops += [_Op(_JEQ, TIOCSTI, "deny"), _Op(_JEQ, TIOCLINUX, "deny", "allow")]
    ops += ["option", _Op(_LOAD, _arg(0)), _Op(_JEQ, PR_SET_SECCOMP, "deny", "allow")]
    ops += ["persona", _Op(_LOAD, _arg(0)), _Op(_JEQ, 0, "allow"), _Op(_JEQ, 0xFFFFFFFF, "allow", "deny")]
    ops += ["pretend", _Op(_RET, _ERRNO)]
    ops += ["unsupported", _Op(_RET, _ERRNO | EOPNOTSUPP)] if alone else []
    return [*ops, "deny", _Op(_RET, action.value), "nosys", _Op(_RET, _ERRNO | ENOSYS), *tail]


# Becoming the one whom the kernel signals for a descriptor, leases and notices of folders: they reach other processes.
_FCNTL_DENIED = (8, 15, 1024, 1026)  # F_SETOWN, F_SETOWN_EX, F_SETLEASE, F_NOTIFY
_IOCTL_OWNERS = (0x8901, 0x8902)  # FIOSETOWN, SIOCSPGRP
_AND, _STREAM, _IPPROTO_TCP = 0x54, 1, 6
_RLIMIT_CORE = 4


def _core(fine: str) -> list[_Op | str]:
    """The limit on core dumps is 1 and stays so: at 1 the kernel starts no helper of the host for a crash, at 0 it
    does (core(5): a pattern that begins with a pipe ignores the size). A new value is said to work and not taken."""
    ops: list[_Op | str] = ["limit", _Op(_LOAD, _arg(0)), _Op(_JEQ, _RLIMIT_CORE, "pretend", "allow")]
    ops += ["limits", _Op(_LOAD, _arg(1)), _Op(_JEQ, _RLIMIT_CORE, "", fine)]
    # Asking is free: a null pointer where the new value would be, in both of its halves.
    ops += [_Op(_LOAD, _arg(2)), _Op(_JEQ, 0, "", "pretend"), _Op(_LOAD, _arg(2) + 4), _Op(_JEQ, 0, fine, "pretend")]
    return ops


def _tcp() -> list[_Op | str]:
    """Plain TCP over IPv4, and what every box has. Multipath TCP, SCTP, UDP and raw sockets stay closed.  # E-6"""
    ops: list[_Op | str] = ["tcp", _Op(_LOAD, _arg(0)), _Op(_JEQ, AF_INET, "", "family")]
    ops += [_Op(_LOAD, _arg(1)), _Op(_AND, 0xF), _Op(_JEQ, _STREAM, "", "deny")]
    return [*ops, _Op(_LOAD, _arg(2)), _Op(_JEQ, 0, "allow"), _Op(_JEQ, _IPPROTO_TCP, "allow", "deny")]


def _outside(arch: Arch) -> list[_Op | str]:
    """By number: what is denied, pretended or judged by an argument where there are no namespaces."""
    ops: list[_Op | str] = [_Op(_JEQ, number, "deny") for number in arch.outside.values()]
    ops += [_Op(_JEQ, number, "pretend") for number in arch.pretended]
    ops += [_Op(_JEQ, number, "unsupported") for number in arch.attributes]
    ops += [_Op(_JEQ, number, "oneself") for number in arch.own_only]
    return [*ops, _Op(_JEQ, arch.setpriority, "priority"), _Op(_JEQ, arch.fcntl, "control")]


def _pair_and_owners(arch: Arch) -> list[_Op | str]:
    """A pair of stream sockets cannot be turned towards anything else; one of datagrams can."""
    ops: list[_Op | str] = [_Op(_LOAD, _arg(1)), _Op(_AND, 0xF), _Op(_JEQ, _STREAM, "allow", "deny")]
    ops += ["priority", _Op(_LOAD, _arg(1)), _Op(_JEQ, 0, "", "deny")]  # of whom; then of what kind, by the same rule
    ops += ["oneself", _Op(_LOAD, _arg(0)), _Op(_JEQ, 0, "allow", "deny")]
    ops += ["control", _Op(_LOAD, _arg(1))]
    return [*ops, *(_Op(_JEQ, number, "deny") for number in _FCNTL_DENIED), _Op(_JEQ, 0, "allow", "allow")]


def compile_filter(
    action: Action, arch: Arch | None = None, part: Part = Part.ALL, *, loopback: bool = False
) -> bytes:
    """The filter as an array of ``struct sock_filter``, for this machine unless ``arch`` is given.

    ``loopback``: TCP may be used, for a box whose own network holds nothing but the model gateway.
    """
    arch = arch or here()
    if arch is None:
        raise ValueError(f"no system-call table for {platform.machine()}")
    ops = _program(arch, action, part, loopback=loopback)
    labels: dict[str, int] = {}
    plain: list[_Op] = []
    for op in ops:
        if isinstance(op, str):
            labels[op] = len(plain)
        else:
            plain.append(op)
    out = bytearray()
    for at, op in enumerate(plain):
        jumps = [labels[name] - at - 1 if name else 0 for name in (op.yes, op.no)]
        if any(not 0 <= jump <= 255 for jump in jumps):
            raise ValueError("the filter has outgrown BPF's short jumps")
        out += struct.pack("=HBBI", op.code, jumps[0], jumps[1], op.value)
    return bytes(out)


def describe(arch: Arch, number: int, args: tuple[int, ...]) -> str:
    """A denied call in words for the trial record, e.g. ``socket(AF_INET)``.  # E-2"""
    first = args[0] & 0xFFFFFFFF
    if number in (arch.socket, arch.socketpair):
        name = "socket" if number == arch.socket else "socketpair"
        return f"{name}({_FAMILIES.get(first, first)})"
    if number == arch.clone:
        return "clone(new namespaces)"
    if number == arch.ioctl:
        asked = args[1] & 0xFFFFFFFF
        return {TIOCSTI: "ioctl(TIOCSTI)", TIOCLINUX: "ioctl(TIOCLINUX)"}.get(asked, f"ioctl({asked:#x})")
    if number == arch.prctl:
        return OWN_FILTER
    if number == arch.personality:
        return f"personality({first:#x})"
    if number in (*arch.own_only, arch.prlimit, arch.setpriority):
        return "priority or limits of another process"
    if number == arch.fcntl:
        return f"fcntl({args[1] & 0xFFFFFFFF})"
    named = {**arch.denied, **arch.outside}
    return next((name for name, value in named.items() if value == number), f"call {number}")
