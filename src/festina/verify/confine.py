"""How the verifier's process sets itself apart from candidates and from the engine.  # T-1

In this order: an own process namespace (root), so that nothing that a scorer starts outlives the verifier; an own
view of the files (only as root, and only where the interpreter or the evaluator
lies below a folder that the new uid may not enter), no network and no IPC (root), the own uid and no
groups, no new privileges, no core dumps, not dumpable (so nobody but root reads its memory, its environment or
its descriptors, not even a process of the same uid), and death together with the engine.

Without root there is one uid for everything: separation is then nominal and ``notes`` says so; memory is still
closed to processes of that uid, except to one that may ptrace as root.
Does not cover: kernel bugs, the host's root, and what the scorers (trusted, pinned code) do themselves.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import resource
import signal
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from festina.errors import Fault

__all__ = [
    "DEFAULT_UID", "Separation", "die_with_parent", "enclose", "enclosed", "harden", "outer_pid",
    "separate",
]  # fmt: skip

DEFAULT_UID = 60_812  # beside the sandbox's own, in a range (60706-61183) that distributions leave unused

_PR_SET_PDEATHSIG, _PR_SET_DUMPABLE, _PR_SET_NO_NEW_PRIVS = 1, 4, 38
_CLONE_NEWNS, _CLONE_NEWIPC, _CLONE_NEWNET, _CLONE_NEWPID = 0x0002_0000, 0x0800_0000, 0x4000_0000, 0x2000_0000
_MS_RDONLY, _MS_NOSUID, _MS_NODEV, _MS_REMOUNT = 1, 2, 4, 32
_MS_BIND, _MS_REC, _MS_PRIVATE = 0x1000, 0x4000, 0x4_0000
_SCRATCH = "/dev/shm"  # the verifier's own, as root: what scorers leave there is gone with it
_libc = ctypes.CDLL(None, use_errno=True)


@dataclass(frozen=True, slots=True)
class Separation:
    """What was reached. ``separated`` is true when the uid is the verifier's own."""

    separated: bool
    notes: tuple[str, ...]


def _check(result: int, what: str) -> None:
    if result != 0:
        code = ctypes.get_errno()
        raise OSError(code, f"{what}: {os.strerror(code)}")


def _prctl(option: int, value: int) -> None:
    _check(_libc.prctl(option, ctypes.c_ulong(value), 0, 0, 0), f"prctl {option}")


def _mount(source: str, target: str, kind: str, flags: int, data: str) -> None:
    arguments = [text.encode() if text else None for text in (source, target, kind)]
    result = _libc.mount(*arguments, ctypes.c_ulong(flags), data.encode() if data else None)
    _check(result, f"mount {target}")


def enclose(uid: int) -> None:
    """As root: go on inside a process namespace of our own.

    Two processes without rights wait outside it and as its first: the one that was started, which ends as we end, and
    one that takes the namespace with it when we end. When any of the three dies, the kernel ends everything in it.
    Call it before anything is read.
    """
    if os.geteuid() != 0 or _libc.unshare(ctypes.c_int(_CLONE_NEWPID)) != 0:
        return
    engine, outside = _outer_parent(), outer_pid()
    first = os.fork()
    if first != 0:
        status = _wait_for(first, uid, engine)
        if status > 128:  # as the shell says: ended by a signal
            os.kill(os.getpid(), status - 128)
        os._exit(status)
    first_outside = outer_pid()
    worker = os.fork()
    if worker != 0:
        os._exit(_wait_for(worker, uid, outside))
    die_with_parent(first_outside)


def _wait_for(child: int, uid: int, parent: int) -> int:
    """Give up all rights and wait; how ``child`` ended, as a shell would say it."""
    os.closerange(0, 256)
    os.setgroups([])
    os.setresgid(uid, uid, uid)
    os.setresuid(uid, uid, uid)
    harden()
    die_with_parent(parent)
    while True:
        pid, status = os.wait()  # orphans, too
        if pid == child:
            return 128 + os.WTERMSIG(status) if os.WIFSIGNALED(status) else os.WEXITSTATUS(status)


def enclosed() -> bool:
    """Whether this process has a process namespace of its own, below the one that /proc shows."""
    return outer_pid() != os.getpid()


def outer_pid() -> int:
    """This process's number where the engine sees it."""
    return int(os.readlink("/proc/self"))


def _outer_parent() -> int:
    with open("/proc/self/stat", encoding="utf-8", errors="replace") as file:
        return int(file.read().rpartition(")")[2].split()[1])


def separate(uid: int, reach: Sequence[Path]) -> Separation:
    """Give up root for ``uid`` such that everything under ``reach`` stays readable. Call it single-threaded."""
    if os.geteuid() != 0:
        return Separation(False, ("the verifier runs as the engine's own user: the separation is nominal",))
    notes: list[str] = []
    namespaces = _unshare(notes)
    if namespaces and not any(path.is_relative_to(_SCRATCH) for path in reach):
        with contextlib.suppress(OSError):
            _mount("none", _SCRATCH, "tmpfs", _MS_NOSUID | _MS_NODEV, "mode=1777,size=64m")
    blocked = {path: top for path in reach if (top := _blocked_at(path, uid)) is not None}
    if blocked and not namespaces:
        notes.append(f"uid {uid} cannot enter {min(blocked.values())}: the verifier keeps the engine's own user")
        return Separation(False, tuple(notes))
    if blocked:
        try:
            _show([each for path in sorted(blocked) for each in _enterable(path, uid)], set(blocked.values()))
        except OSError as error:
            raise Fault("verifier-start", f"cannot lay out the verifier's view of files ({error.strerror})") from None
    try:
        os.setgroups([])
        os.setresgid(uid, uid, uid)
        os.setresuid(uid, uid, uid)
    except OSError as error:  # a user namespace that knows no such uid
        notes.append(f"cannot become uid {uid} ({error.strerror}): the verifier keeps the engine's own user")
        return Separation(False, tuple(notes))
    return Separation(True, tuple(notes))


def _unshare(notes: list[str]) -> bool:
    """Own mounts, IPC and an empty network where the host lets us; True when mounts are our own."""
    for flags, lacking in (
        (_CLONE_NEWNS | _CLONE_NEWIPC | _CLONE_NEWNET, ""),
        (_CLONE_NEWNS, "scorers keep the host's network"),
        (0, "scorers keep the host's network and view of files"),
    ):
        if flags == 0 or _libc.unshare(ctypes.c_int(flags)) == 0:
            if lacking:
                notes.append(lacking)
            if flags:
                try:
                    _mount("", "/", "", _MS_REC | _MS_PRIVATE, "")
                except OSError:
                    return False
            return bool(flags)
    return False


def _blocked_at(path: Path, uid: int) -> Path | None:
    """The highest folder on the way to ``path`` that a plain ``uid`` may not enter."""
    return next((folder for folder in [*reversed(path.parents), path] if _closed(folder, uid)), None)


def _closed(folder: Path, uid: int) -> bool:
    with contextlib.suppress(OSError):
        status = folder.stat()
        return not status.st_mode & (0o100 if status.st_uid == uid else 0o001)
    return False


def _enterable(path: Path, uid: int) -> list[Path]:
    """``path``, or its entries where ``uid`` could not enter it even when it is bound to another place."""
    return sorted(path.iterdir()) if _closed(path, uid) else [path]


def _show(paths: Sequence[Path], tops: Collection[Path]) -> None:
    """Lay an empty folder over each of ``tops`` and bind ``paths`` back, read-only, at their old places."""
    with _pinned(paths) as pinned:
        for top in tops:
            if not any(top != other and top.is_relative_to(other) for other in tops):
                _mount("none", str(top), "tmpfs", _MS_NOSUID | _MS_NODEV, "mode=755,size=4m")
        for path, descriptor, folder in pinned:
            path.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
            path.mkdir(mode=0o755, exist_ok=True) if folder else path.touch(0o644)
            _mount(f"/proc/self/fd/{descriptor}", str(path), "", _MS_BIND | _MS_REC, "")
            flags = _MS_REMOUNT | _MS_BIND | _MS_RDONLY | _MS_NOSUID | _MS_NODEV
            with contextlib.suppress(OSError):  # a locked mount flag: it stays as the host has it
                _mount("", str(path), "", flags, "")


@contextlib.contextmanager
def _pinned(paths: Sequence[Path]) -> Iterator[list[tuple[Path, int, bool]]]:
    """Open what is to be shown before it is hidden, and close it at the end: (place, descriptor, is a folder)."""
    opened: list[tuple[Path, int, bool]] = []
    try:
        for path in paths:
            if path.exists() and not any(path.is_relative_to(other) for other, _, _ in opened):
                opened.append((path, os.open(path, os.O_PATH | os.O_CLOEXEC), path.is_dir()))
        yield opened
    finally:
        for _, descriptor, _ in opened:
            os.close(descriptor)


def harden(memory_bytes: int | None = None) -> None:
    """No core file, no new privileges, memory closed to everybody but root, and no more of it than ``memory_bytes``."""
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    if memory_bytes is not None:  # private writable memory: what a scorer that goes astray would take from the host
        resource.setrlimit(resource.RLIMIT_DATA, (memory_bytes, memory_bytes))
    _prctl(_PR_SET_NO_NEW_PRIVS, 1)
    _prctl(_PR_SET_DUMPABLE, 0)


def die_with_parent(parent: int | None) -> None:
    """SIGKILL when the starting thread of ``parent`` dies; None: of whoever it is, in a namespace of our own.

    Call it after the change of uid, which clears it.
    """
    _prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if parent is not None and _outer_parent() != parent:
        os.kill(os.getpid(), signal.SIGKILL)
