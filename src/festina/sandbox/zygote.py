"""The warm process inside the outer box: it imports what the system declared and forks one trial at a time.

Run as a script, by path, by the interpreter that trials use; it imports nothing of the package but what lies beside it.
It holds no secret, is single-threaded, and runs no code of a candidate: it clones a child (``_Trial``) straight into
new user, process, mount, network, IPC and host-name namespaces. That child is the PID 1 of exactly one trial. It
confines itself as far as can be without knowing the job, and waits for it, if it has not come yet; most of what a trial
would wait for is then done. It goes on with the job's trees and limits, hands the engine what it needs (its ``/out``,
the listener for denied calls) and forks the candidate as PID 2.
When PID 1 ends, the kernel kills all else in its namespace before anyone can learn of the end.  # E-1, E-4

Order in the child, each step needing what the next gives up: own view (mounts), control group, no new privileges;
the job; its trees, limits, Landlock, no capabilities, filter, descriptors; only then the candidate's first
instruction. Any failure is reported and ends the child: a candidate never runs half confined.  # T-6

The candidate's program is run by ``becoming.py``. Generators of random numbers in ``random``, ``numpy`` and ``torch``
are seeded anew; others that a preloaded module made at import are the same in every trial.

Protocol: one SEQPACKET message for a child with descriptors [connection, doors to control groups...]; over the
connection one message for its job with descriptors [paper, stdout, stderr, trees...]; the paper is JSON in an
anonymous file. Replies go to the connection, from the child and from the zygote. A connection that closes before the
job came ends the child.
"""

from __future__ import annotations

import os
import sys

_program = __import__("becoming")  # beside this file; first, since it notes what a fresh interpreter has loaded

import _socket  # noqa: E402
import ctypes  # noqa: E402
import gc  # noqa: E402
import importlib  # noqa: E402
import json  # noqa: E402
import mmap  # noqa: E402
import resource  # noqa: E402
import select  # noqa: E402
import signal  # noqa: E402
from collections.abc import Callable  # noqa: E402
from typing import Any, NoReturn  # noqa: E402

_CLONE, _SECCOMP = {"x86_64": (56, 317), "aarch64": (220, 277)}.get(os.uname().machine, (0, 0))
_MOVE_MOUNT = 429
_NEWNS, _NEWCGROUP, _NEWUTS, _NEWIPC, _NEWUSER, _NEWPID, _NEWNET = (
    0x20000, 0x02000000, 0x04000000, 0x08000000, 0x10000000, 0x20000000, 0x40000000,
)  # fmt: skip
_PIDFD = 0x1000
_RDONLY, _NOSUID, _NODEV, _NOEXEC, _REMOUNT, _BIND, _REC, _PRIVATE = 1, 2, 4, 8, 32, 4096, 16384, 1 << 18
_PDEATHSIG, _DUMPABLE, _CAPBSET_DROP, _NO_NEW_PRIVS, _CAP_AMBIENT = 1, 4, 24, 38, 47
_NEW_LISTENER = 8
_MOST_FDS = 60
_EMPTY = "/.festina/empty"
_SMALL = "size=64k,nr_inodes=64,mode=755"  # of a trial's temporary file systems until its job says more
_python = ctypes.PyDLL(None, use_errno=True)  # keeps the interpreter's lock: clone must come back with it held
_libc = ctypes.CDLL(None, use_errno=True)


def _check(result: int, what: str) -> int:
    if result < 0:
        code = ctypes.get_errno()
        raise OSError(code, f"{what}: {os.strerror(code)}")
    return result


def _mount(source: str, target: str, kind: str | None, flags: int, data: str | None = None) -> None:
    words = [None if text is None else text.encode() for text in (source, target, kind, data)]
    _check(_libc.mount(words[0], words[1], words[2], ctypes.c_ulong(flags), words[3]), f"mount on {target}")


def _clone(flags: int) -> tuple[int, int]:
    """A new process in new namespaces, by one call: (pid, pidfd), and (0, -1) in the child."""
    handle = ctypes.c_int(-1)
    zero, number, how = ctypes.c_long(0), ctypes.c_long(_CLONE), ctypes.c_ulong(flags | _PIDFD | signal.SIGCHLD)
    pid = _check(_python.syscall(number, how, zero, ctypes.byref(handle), zero, zero), "clone")
    return (0, -1) if pid == 0 else (pid, handle.value)


def _write(path: str, data: bytes) -> None:
    fd = os.open(path, os.O_WRONLY | os.O_CLOEXEC)
    try:
        os.write(fd, data)
    finally:
        os.close(fd)


def _send(connection: _socket.socket, message: dict[str, Any] | bytes, fds: list[int] | None = None) -> None:
    packed = b"".join(fd.to_bytes(4, sys.byteorder) for fd in fds or [])
    ancillary = [(_socket.SOL_SOCKET, _socket.SCM_RIGHTS, packed)] if fds else []
    data = message if isinstance(message, bytes) else json.dumps(message).encode()
    connection.sendmsg([data], ancillary, _socket.MSG_NOSIGNAL)


def _receive(connection: _socket.socket) -> list[int]:
    """The descriptors of the next message; none when the other side let go."""
    size = _socket.CMSG_SPACE(4 * _MOST_FDS)
    message, ancillary, _flags, _ = connection.recvmsg(64, size, _socket.MSG_CMSG_CLOEXEC)
    data = b"".join(part for _, _, part in ancillary) if message else b""
    return [int.from_bytes(data[at : at + 4], sys.byteorder) for at in range(0, len(data) - 3, 4)]


def _close_all_but(*kept: int) -> None:
    low = 3
    for fd in sorted(kept):
        os.closerange(low, fd)
        low = fd + 1
    os.closerange(low, 4096)


def _own_inodes(target: str) -> bool:
    """Cover ``target`` with an overlay of itself: locks, leases and watches on its files are this trial's own."""
    try:
        _mount("overlay", target, "overlay", _RDONLY | _NOSUID | _NODEV, f"lowerdir={target}:{_EMPTY},userxattr")
    except OSError:
        return False  # an old kernel, or a file system on which no layer may lie: the engine is told
    return True


class _Header(ctypes.Structure):
    _fields_ = [("version", ctypes.c_uint32), ("pid", ctypes.c_int)]


class _Program(ctypes.Structure):
    _fields_ = [("len", ctypes.c_ushort), ("filter", ctypes.c_void_p)]


class _Policy:
    """What every trial gets, worked out once: each page that a trial does not touch need not be copied for it."""

    def __init__(self, words: dict[str, Any]) -> None:
        self.identity = f"{words['id']} {words['id']} 1".encode()
        self.kept: list[str] = words["kept"]
        self.runtime: list[str] = words["runtime"]
        self.masked: list[str] = words["masked"]
        self.covered: str = words["covered"]
        self.flags = ctypes.c_ulong(_NEW_LISTENER if words["notify"] else 0)
        self._codes = [bytes.fromhex(words[name]) for name in ("inner", "filter")]
        self._buffers = [ctypes.create_string_buffer(code, len(code)) for code in self._codes]
        programs = [_Program(len(b) // 8, ctypes.addressof(b)) for b in self._buffers]
        self.inner = ctypes.pointer(programs[0]) if self._codes[0] else None
        self.filter = ctypes.pointer(programs[1])
        self.landlock: Any = importlib.import_module("landlock") if words["landlock"] else None  # beside this file
        if self.landlock is not None:
            rule, access = self.landlock.Rule, self.landlock.Access
            everything = access.READ | access.RUN | access.WRITE
            rules = [rule("/", access.READ | access.RUN), rule("/dev", access.READ | access.WRITE | access.DEVICE)]
            rules += [rule(path, everything) for path in ("/tmp", "/out", "/dev/shm")]
            self.rules = self.landlock.prepare(rules, version=words["landlock"])


def _filter(program: ctypes._Pointer[_Program], flags: ctypes.c_ulong) -> int:
    return _check(_libc.syscall(ctypes.c_long(_SECCOMP), ctypes.c_long(1), flags, program), "seccomp")


# The quick way from PID 1 to the candidate: one address space, where a second copy of a large process would be made.
#
# clone(VM | VFORK) suspends PID 1 until the candidate ends or executes something else; the candidate goes on in the
# same memory on a stack of its own. What PID 1 does after that is this code and nothing else, since its memory is the
# candidate's by then: wait for the candidate and exit as it did. It holds no descriptor and no right that the candidate
# lacks, so taking it over gives nothing. Made with GNU as from:
#
#   push rbx; push r12; sub rsp,24; mov r12,rdi; xor edx,edx; xor r10d,r10d; xor r8d,r8d; mov edi,0x4111; mov eax,56
#   syscall; test rax,rax; jz child; js back; mov ebx,eax
#   again: mov edi,-1; lea rsi,[rsp+8]; xor edx,edx; xor r10d,r10d; mov eax,61; syscall; cmp eax,-4; je again
#   test eax,eax; js lost; cmp eax,ebx; jne again; mov edi,[rsp+8]; mov eax,edi; and eax,0x7f; jz exited
#   lea edi,[rax+128]; jmp out;  lost: mov edi,125; jmp out;  exited: shr edi,8; and edi,0xff
#   out: mov eax,231; syscall;  back: add rsp,24; pop r12; pop rbx; ret;  child: xor ebp,ebp; call r12; ud2
_BRIDGE = bytes.fromhex(
    "5341544883ec184989fc31d24531d24531c0bf11410000b8380000000f054885c07459784f89c3bfffffffff488d74240831"
    "d24531d2b83d0000000f0583f8fc74e585c0781739d875dd8b7c240889f883e07f740f8db880000000eb10bf7d000000eb09"
    "c1ef0881e7ff000000b8e70000000f054883c418415c5bc331ed41ffd40f0b"
)
_STACK = 64 << 20  # reserved, not used: at most what the limit on stacks allows a main thread


class _Bridge:
    """Made once by the zygote; ``cross`` is called by PID 1 and does not come back."""

    def __init__(self) -> None:
        size = resource.getrlimit(resource.RLIMIT_STACK)[0]
        size = _STACK if size == resource.RLIM_INFINITY else min(size, _STACK)
        self.code = mmap.mmap(-1, mmap.PAGESIZE, prot=mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC)
        self.code.write(_BRIDGE)
        self.stack = mmap.mmap(-1, size, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS | 0x4000)  # no reservation
        place = ctypes.addressof(ctypes.c_char.from_buffer(self.code))
        bottom = ctypes.addressof(ctypes.c_char.from_buffer(self.stack))
        long = ctypes.c_long
        _check(_libc.mprotect(ctypes.c_void_p(place), long(mmap.PAGESIZE), 5), "bridge")
        _check(_libc.mprotect(ctypes.c_void_p(bottom), long(mmap.PAGESIZE), 0), "guard page")
        self.job: dict[str, Any] = {}
        self.land = ctypes.PYFUNCTYPE(None)(self._land)
        self.call = ctypes.PYFUNCTYPE(long, ctypes.c_void_p, ctypes.c_void_p)(place)
        self.top = bottom + size

    def _land(self) -> None:
        for hook in _hooks:
            hook()
        _program.become(self.job)

    def cross(self, job: dict[str, Any]) -> NoReturn:
        self.job = job
        self.call(ctypes.cast(self.land, ctypes.c_void_p), self.top)
        os._exit(125)


def _bridge(policy: dict[str, Any]) -> _Bridge | None:
    """None where the quick way is not known to hold: then the candidate is an ordinary fork.

    glibc keeps the thread's number in memory that is shared here, so it must be the candidate's, which is 2 in its
    namespace as the zygote is in its own. From 3.14 on Python watches the bounds of its stack. Where memory is
    counted process by process, PID 1 would count twice.
    """
    fits = os.uname().machine == "x86_64" and sys.version_info < (3, 14) and os.getpid() == 2
    return _Bridge() if fits and policy["one_memory"] else None


# The trial's PID 1


class _Trial:
    """The side of the child: confine, wait for the job, report, start the candidate, wait for it."""

    def __init__(
        self, policy: _Policy, doors: list[int], connection: _socket.socket, bridge: _Bridge | None
    ) -> None:  # fmt: skip
        self.policy = policy
        self.bridge = bridge
        self.doors = doors
        self.connection = connection
        self.rules = -1  # Landlock's, until they are on
        self.shared = 0  # trees whose locks and watches meet those of other trials
        self.job: dict[str, Any] = {}
        self.trees: list[int] = []

    def run(self) -> NoReturn:
        try:
            self.prepare()
            fds = self.wait()
            if not fds:
                os._exit(0)  # it is not wanted any more
            self.confine(*fds[1:3])
        except OSError as error:
            _send(self.connection, {"error": str(error)})
            os._exit(125)
        del self.connection  # its descriptor is closed already
        if self.bridge is not None and not self.job["fresh"]:
            self.bridge.cross(self.job)
        candidate = os.fork()
        if candidate == 0:
            _program.become(self.job)
        os.closerange(0, 3)
        while True:
            pid, status = os.waitpid(-1, 0)
            if pid == candidate:
                code = os.waitstatus_to_exitcode(status)
                os._exit(code if code >= 0 else 128 - code)

    def prepare(self) -> None:
        """All that is the same for every job."""
        _check(_libc.prctl(_DUMPABLE, 1, 0, 0, 0), "dumpable")
        _close_all_but(self.connection.fileno(), *self.doors)  # what the zygote holds for other trials
        _write("/proc/self/setgroups", b"deny")
        _write("/proc/self/uid_map", self.policy.identity)
        _write("/proc/self/gid_map", self.policy.identity)
        os.setsid()
        self.view()
        for door in self.doors:
            os.write(door, b"0")
            os.close(door)
        _check(_libc.unshare(_NEWCGROUP), "control group namespace")
        _check(_libc.prctl(_NO_NEW_PRIVS, 1, 0, 0, 0), "no_new_privs")
        if self.policy.landlock is not None:
            self.rules = self.policy.landlock.make(self.policy.rules)
        _check(_libc.prctl(_CAP_AMBIENT, 4, 0, 0, 0), "ambient capabilities")
        for number in range(64):
            if _libc.prctl(_CAPBSET_DROP, number, 0, 0, 0) < 0:
                break  # past the last capability that this kernel knows

    def wait(self) -> list[int]:
        """The job, read here and not by the zygote: later trials inherit what the zygote has read."""
        fds = _receive(self.connection)
        if fds:
            self.job = json.loads(os.pread(fds[0], os.fstat(fds[0]).st_size, 0))
            self.trees = fds[3:]
        return fds

    def confine(self, stdout: int, stderr: int) -> None:
        job = self.job
        for target, size in job["sizes"].items():
            _mount("none", target, None, _REMOUNT | _NOSUID | _NODEV, size)
        self.show()
        _mount("none", "/", None, _REMOUNT | _BIND | _RDONLY | _NOSUID | _NODEV)
        for name, value in job["rlimits"].items():
            hard = resource.getrlimit(int(name))[1]
            cap = value if hard == resource.RLIM_INFINITY else min(value, hard)
            resource.setrlimit(int(name), (cap, cap))
        out = os.open("/out", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        os.dup2(stdout, 1)
        os.dup2(stderr, 2)
        self.give_up()
        os.chdir("/")
        job["fresh"] = _program.shadowed(job)
        if self.policy.inner is not None:
            _filter(self.policy.inner, ctypes.c_ulong(0))
        listener = _filter(self.policy.filter, self.policy.flags)
        told = b'{"ready": true, "shared": %d}' % self.shared
        _send(self.connection, told, [out, listener] if self.policy.flags else [out])
        self.connection.close()
        os.closerange(3, 4096)

    def view(self) -> None:
        """This trial's own temporary file systems, processes and trees over the outer box's read-only runtime."""
        _mount("none", "/", None, _REC | _PRIVATE)
        self.shared += sum(not _own_inodes(target) for target in self.policy.runtime)
        plain = _NOSUID | _NODEV
        kept = [(path, os.open(path, os.O_PATH | os.O_CLOEXEC)) for path in self.policy.kept]
        _mount("tmpfs", "/tmp", "tmpfs", plain, _SMALL)
        for path, handle in kept:
            os.makedirs(path)
            _mount(f"/proc/self/fd/{handle}", path, None, _BIND)
        _mount("tmpfs", "/out", "tmpfs", plain, _SMALL)
        _mount("tmpfs", "/dev/shm", "tmpfs", plain, _SMALL)
        _mount("devpts", "/dev/pts", "devpts", _NOSUID | _NOEXEC, "newinstance,ptmxmode=0666,mode=620")
        _mount("proc", "/proc", "proc", plain | _NOEXEC)
        for path in self.policy.masked:
            _mount("/dev/null", path, None, _BIND)
        _write("/proc/sys/user/max_user_namespaces", b"0")  # no further view can be built, whatever the filter does

    def show(self) -> None:
        """The job's trees: mounts that came as descriptors, or (engine without root) parts of a folder that is then
        covered up."""
        handles = iter(self.trees)
        for target, folder, source in zip(*(self.job[key] for key in ("targets", "folders", "sources")), strict=True):
            if folder:
                os.makedirs(target, mode=0o755, exist_ok=True)
            else:
                os.makedirs(os.path.dirname(target), mode=0o755, exist_ok=True)
                os.close(os.open(target, os.O_CREAT | os.O_RDONLY | os.O_CLOEXEC, 0o444))
            if source:
                _mount(source, target, None, _BIND)
            else:
                words = (ctypes.c_int(next(handles)), b"", ctypes.c_int(-100), target.encode(), 4)
                _check(_libc.syscall(ctypes.c_long(_MOVE_MOUNT), *words), f"show {target}")
            if source and target != "/in":  # inputs are this trial's alone; a mount that was handed over is, too
                self.shared += not (folder and _own_inodes(target))
        if self.policy.covered:
            _mount("tmpfs", self.policy.covered, "tmpfs", _NOSUID | _NODEV | _RDONLY, "size=4k,mode=555")

    def give_up(self) -> None:
        """Landlock and capabilities: no mount is made or changed from here on."""
        if self.policy.landlock is not None:
            self.policy.landlock.restrict(self.rules)
        none = (ctypes.c_uint32 * 6)()
        _check(_libc.capset(ctypes.byref(_Header(0x20080522, 0)), ctypes.byref(none)), "capset")
        _check(_libc.prctl(_DUMPABLE, 0, 0, 0, 0), "dumpable")


# The zygote


_hooks: list[Callable[[], object]] = []  # of preloaded modules, for processes that were forked from theirs
_NOT_NEEDED = frozenset({"random", "threading", "logging", "concurrent.futures.thread"})  # seeded anew; one thread


def _note_hooks() -> None:
    """Hear of what modules want to do after a fork: the trial's processes are not made by ``os.fork``."""
    register = os.register_at_fork

    def noted(**hooks: Any) -> None:  # noqa: ANN401  # the signature of what it stands in for
        register(**hooks)
        hook = hooks.get("after_in_child")
        if hook is not None and getattr(hook, "__module__", None) not in _NOT_NEEDED:
            _hooks.append(hook)

    os.register_at_fork = noted


def _preload(names: list[str], control: _socket.socket) -> bool:
    """Import what was declared, and touch what children would load lazily. Imports only: no thread may start."""
    for name in names:
        _send(control, {"importing": name})
        try:
            importlib.import_module(name)
            for lazy in {"numpy": ("numpy.random", "numpy.linalg", "numpy.fft")}.get(name, ()):
                importlib.import_module(lazy)
        except BaseException as error:  # noqa: BLE001  # whatever an import raises is reported, never swallowed
            _send(control, {"failed": name, "why": f"{type(error).__name__}: {error}"[:500]})
            return False
        threads = len(os.listdir("/proc/self/task"))
        if threads != 1:
            _send(control, {"failed": name, "why": f"its import started {threads - 1} threads: it cannot be forked"})
            return False
    if "numpy.random" in sys.modules:
        sys.modules["numpy.random"].default_rng(0).random(1)
    return True


def _view_of(pid: int) -> int:
    """A trial's mount namespace: whoever lets go of it last waits for all processors. The engine does so aside."""
    try:
        return os.open(f"/proc/{pid}/ns/mnt", os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return -1  # it has ended already


class _Zygote:
    def __init__(self, control: _socket.socket, words: dict[str, Any]) -> None:
        self.control = control
        self.policy = _Policy(words)
        self.bridge = _bridge(words)
        self.trials: dict[int, tuple[int, _socket.socket]] = {}  # by pidfd
        self.poll = select.poll()
        self.poll.register(control.fileno(), select.POLLIN)

    def serve(self) -> None:
        while True:
            for fd, _event in self.poll.poll():
                if fd != self.control.fileno():
                    self.bury(fd)
                elif not self.start():
                    return

    def start(self) -> bool:
        fds = _receive(self.control)
        if not fds:
            return False  # the engine let go
        connection = _socket.socket(fileno=fds[0])
        try:
            pid, handle = _clone(_NEWUSER | _NEWPID | _NEWNS | _NEWNET | _NEWIPC | _NEWUTS)
        except OSError as error:
            _send(connection, {"error": str(error)})
            connection.close()
        else:
            if pid == 0:
                _Trial(self.policy, fds[1:], connection, self.bridge).run()
            view = _view_of(pid)
            try:
                _send(connection, {"pid": pid}, [handle, view] if view >= 0 else [handle])
            except OSError:
                pass  # the engine gave the trial up: it is killed when its end is seen
            if view >= 0:
                os.close(view)
            self.trials[handle] = (pid, connection)
            self.poll.register(handle, select.POLLIN)
        for fd in fds[1:]:
            os.close(fd)
        _program.reseed()  # for the next trial, while this one runs
        return True

    def bury(self, handle: int) -> None:
        pid, connection = self.trials.pop(handle)
        self.poll.unregister(handle)
        os.close(handle)
        _, status, usage = os.wait4(pid, 0)
        try:
            _send(connection, {"gone": status, "cpu": usage.ru_utime + usage.ru_stime, "rss": usage.ru_maxrss * 1024})
        except OSError:
            pass  # the engine is not interested any more
        connection.close()


def main() -> None:
    control = _socket.socket(fileno=int(sys.argv[1]))
    with os.fdopen(int(sys.argv[2]), "rb") as file:
        policy = json.loads(file.read())
    if policy["landlock"]:
        importlib.import_module("landlock")  # beside this file, as long as that is searched
    sys.path.remove(os.path.dirname(os.path.abspath(__file__)))
    sys.argv[:] = [""]
    os.chdir("/")
    register = os.register_at_fork
    _note_hooks()
    if not _preload(policy["preload"], control):
        return
    os.register_at_fork = register
    zygote = _Zygote(control, policy)
    _program.reseed()
    gc.collect()
    gc.freeze()
    _send(control, {"ready": True})
    zygote.serve()


if __name__ == "__main__":
    main()
