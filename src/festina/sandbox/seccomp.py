"""The system-call policy of every box, as a classic BPF program built here, without a library.

What it does: one filter is put on the launcher before it becomes ``bwrap``, so that the box's PID 1 is
under it too. (A filter given to ``bwrap --seccomp`` covers only the command. PID 1 has the same uid and
its memory can be written through ``/proc/1/mem``, so such a filter can be walked around; measured.)
Denied calls end in ``USER_NOTIF``: the supervisor answers EPERM and keeps the name as evidence.  # E-2
Where the kernel has no listener to give, ``compile_filter(Action.EPERM)`` refuses without a record.

Invariants, in this order: foreign architecture and x32 -> killed; numbers newer than ``NEWEST`` -> ENOSYS
(unknown calls fail closed); clone3 -> ENOSYS (its flags lie behind a pointer; C libraries fall back to
clone, which can be judged); sockets only of ``AF_UNIX`` (a network namespace does not stop vsock);
namespace flags, tracing, other processes' memory, keys, BPF, perf, io_uring, mounts, modules, clocks and
typing into terminals -> denied; everything else is allowed.

Not covered: kernel bugs behind allowed calls, locks on shared read-only files as a slow covert channel.
"""

from __future__ import annotations

import platform
import struct
from dataclasses import dataclass
from enum import Enum

__all__ = ["ARCHITECTURES", "Action", "Arch", "compile_filter", "describe", "here"]

NEWEST = 462  # mseal, Linux 6.10: the newest call this table was written for; the same number on both machines
AF_UNIX = 1
NAMESPACE_FLAGS = 0x7E020000  # CLONE_NEWNS|NEWCGROUP|NEWUTS|NEWIPC|NEWUSER|NEWPID|NEWNET, linux/sched.h
TIOCSTI, TIOCLINUX = 0x5412, 0x541C  # type into, and paste into, a terminal: asm-generic/ioctls.h
X32_BIT = 0x40000000
EPERM, ENOSYS = 1, 38

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
    personality: int
    seccomp: int
    has_x32: bool
    clone3: int = 435


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
            "process_vm_writev": 311, "kcmp": 312, "finit_module": 313, "kexec_file_load": 320, "bpf": 321,
            "userfaultfd": 323, **_COMMON,
        },
        socket=41, socketpair=53, clone=56, ioctl=16, personality=135, seccomp=317, has_x32=True,
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
            "process_vm_writev": 271, "kcmp": 272, "finit_module": 273, "bpf": 280, "userfaultfd": 282,
            "kexec_file_load": 294, **_COMMON,
        },
        socket=198, socketpair=199, clone=220, ioctl=29, personality=92, seccomp=277, has_x32=False,
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


def _program(arch: Arch, action: Action) -> list[_Op | str]:
    ops: list[_Op | str] = [_Op(_LOAD, _ARCH), _Op(_JEQ, arch.audit, "", "kill"), _Op(_LOAD, _NR)]
    if arch.has_x32:
        ops.append(_Op(_JGE, X32_BIT, "kill"))
    ops += [_Op(_JGE, NEWEST + 1, "nosys"), _Op(_JEQ, arch.clone3, "nosys")]
    ops += [_Op(_JEQ, number, "deny") for number in arch.denied.values()]
    ops += [_Op(_JEQ, arch.socket, "family"), _Op(_JEQ, arch.socketpair, "family"), _Op(_JEQ, arch.clone, "flags")]
    ops += [_Op(_JEQ, arch.ioctl, "request"), _Op(_JEQ, arch.personality, "persona", "allow")]
    ops += ["family", _Op(_LOAD, _arg(0)), _Op(_JEQ, AF_UNIX, "allow", "deny")]
    ops += ["flags", _Op(_LOAD, _arg(0)), _Op(_JSET, NAMESPACE_FLAGS, "deny", "allow")]
    ops += ["request", _Op(_LOAD, _arg(1)), _Op(_JEQ, TIOCSTI, "deny"), _Op(_JEQ, TIOCLINUX, "deny", "allow")]
    ops += ["persona", _Op(_LOAD, _arg(0)), _Op(_JEQ, 0, "allow"), _Op(_JEQ, 0xFFFFFFFF, "allow", "deny")]
    ops += ["deny", _Op(_RET, action.value), "nosys", _Op(_RET, _ERRNO | ENOSYS)]
    return [*ops, "kill", _Op(_RET, _KILL), "allow", _Op(_RET, _ALLOW)]


def compile_filter(action: Action, arch: Arch | None = None, *, setup: bool = False) -> bytes:
    """The filter as an array of ``struct sock_filter``, for this machine unless ``arch`` is given.

    ``setup`` leaves out what ``bwrap`` itself calls while it builds the box (mounts, namespaces, netlink):
    the form for the launcher where no listener is to be had; the whole filter then goes to the command.
    """
    arch = arch or here()
    if arch is None:
        raise ValueError(f"no system-call table for {platform.machine()}")
    ops = _program(arch, action)
    if setup:
        needed = {arch.denied[name] for name in ("mount", "umount2", "pivot_root", "unshare", "setns", "chroot",
                  "sethostname")} | {arch.clone}  # fmt: skip
        ops = [op for op in ops if isinstance(op, str) or op.code != _JEQ or op.value not in needed or not op.yes]
        families = ops.index("family")
        ops.insert(families + 2, _Op(_JEQ, 16, "allow"))  # AF_NETLINK: bwrap brings the loopback device up
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
        return "ioctl(TIOCSTI)" if args[1] & 0xFFFFFFFF == TIOCSTI else "ioctl(TIOCLINUX)"
    if number == arch.personality:
        return f"personality({first:#x})"
    return next((name for name, value in arch.denied.items() if value == number), f"call {number}")
