"""The warm process inside the outer box: it imports what the system declared and forks one trial at a time.

Run as a script, by path, by the interpreter that trials use; it imports nothing of the package but ``landlock``.
It holds no secret, is single-threaded, and runs no code of a candidate: it clones a child (``_Trial``) straight into
new user, process, mount, network, IPC and host-name namespaces. That child is the trial's PID 1. It confines itself,
hands the engine what it needs (its ``/out``, the listener for denied calls) and forks the candidate as PID 2.
When PID 1 ends, the kernel kills all else in its namespace before anyone can learn of the end.  # E-1, E-4

Order in the child, each step needing what the next gives up: view (mounts), control group, limits, Landlock, no
capabilities, no new privileges, filter, descriptors; only then the candidate's first instruction. Any failure is
reported and ends the child: a candidate never runs half confined.  # T-6

What the candidate's program sees differs from a fresh interpreter in this: the preloaded modules are in
``sys.modules`` already; address layout and hash seed are the same in every trial; ``sys.flags`` are the zygote's;
at the end functions of ``atexit`` run, ``__main__`` is cleared and open files are flushed, but other modules are
not torn down. Where the program's folder holds a module with the name of a loaded one, a fresh interpreter is
started instead.
Generators of random numbers in ``random``, ``numpy`` and ``torch`` are seeded anew; others that a preloaded module made
at import are the same in every trial.

Protocol: one SEQPACKET message per trial with descriptors [connection, paper, stdout, stderr, doors to control
groups, trees...]; the paper is JSON in an anonymous file. Replies go to the connection.
"""

from __future__ import annotations

import os
import sys

_PLAIN = frozenset(sys.modules)  # what a fresh interpreter has loaded: such names are never a tree's own

import _socket  # noqa: E402
import atexit  # noqa: E402
import ctypes  # noqa: E402
import gc  # noqa: E402
import importlib  # noqa: E402
import json  # noqa: E402
import resource  # noqa: E402
import runpy  # noqa: E402
import select  # noqa: E402
import signal  # noqa: E402
import types  # noqa: E402
from importlib.machinery import BuiltinImporter, SourceFileLoader  # noqa: E402
from pkgutil import get_importer  # noqa: E402
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


def _write(path: str, text: str) -> None:
    fd = os.open(path, os.O_WRONLY | os.O_CLOEXEC)
    try:
        os.write(fd, text.encode())
    finally:
        os.close(fd)


def _send(connection: _socket.socket, message: dict[str, Any], fds: list[int] | None = None) -> None:
    packed = b"".join(fd.to_bytes(4, sys.byteorder) for fd in fds or [])
    ancillary = [(_socket.SOL_SOCKET, _socket.SCM_RIGHTS, packed)] if fds else []
    connection.sendmsg([json.dumps(message).encode()], ancillary, _socket.MSG_NOSIGNAL)


class _Header(ctypes.Structure):
    _fields_ = [("version", ctypes.c_uint32), ("pid", ctypes.c_int)]


class _Program(ctypes.Structure):
    _fields_ = [("len", ctypes.c_ushort), ("filter", ctypes.c_void_p)]


def _filter(code: bytes, flags: int) -> int:
    buffer = ctypes.create_string_buffer(code, len(code))
    program = _Program(len(code) // 8, ctypes.addressof(buffer))
    return _check(
        _libc.syscall(ctypes.c_long(_SECCOMP), ctypes.c_long(1), ctypes.c_ulong(flags), ctypes.byref(program)),
        "seccomp",
    )


# The trial's PID 1


class _Trial:
    """The side of the child: confine, report, start the candidate, wait for it."""

    def __init__(self, policy: dict[str, Any], job: dict[str, Any], fds: list[int], connection: _socket.socket) -> None:
        self.policy = policy
        self.job = job
        self.stdout, self.stderr, *rest = fds
        self.doors, self.trees = rest[: job["doors"]], rest[job["doors"] :]
        self.connection = connection

    def run(self) -> NoReturn:
        try:
            self.confine()
        except OSError as error:
            _send(self.connection, {"error": str(error)})
            os._exit(125)
        del self.connection  # its descriptor is closed already
        candidate = os.fork()
        if candidate == 0:
            _libc.prctl(_DUMPABLE, 1, 0, 0, 0)
            _become(self.job)
        os.closerange(0, 3)
        while True:
            pid, status = os.waitpid(-1, 0)
            if pid == candidate:
                code = os.waitstatus_to_exitcode(status)
                os._exit(code if code >= 0 else 128 - code)

    def confine(self) -> None:
        job = self.job
        _check(_libc.prctl(_DUMPABLE, 1, 0, 0, 0), "dumpable")
        identity = self.policy["id"]
        _write("/proc/self/setgroups", "deny")
        _write("/proc/self/uid_map", f"{identity} {identity} 1")
        _write("/proc/self/gid_map", f"{identity} {identity} 1")
        os.setsid()
        self.view()
        for door in self.doors:
            os.write(door, b"0")
        _check(_libc.unshare(_NEWCGROUP), "control group namespace")
        for name, value in job["rlimits"].items():
            hard = resource.getrlimit(int(name))[1]
            cap = value if hard == resource.RLIM_INFINITY else min(value, hard)
            resource.setrlimit(int(name), (cap, cap))
        out = os.open("/out", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        os.dup2(self.stdout, 1)
        os.dup2(self.stderr, 2)
        self.give_up()
        os.chdir("/")
        flags = _NEW_LISTENER if self.policy["notify"] else 0
        listener = []
        if self.policy["inner"]:
            _filter(bytes.fromhex(self.policy["inner"]), 0)
        found = _filter(bytes.fromhex(self.policy["filter"]), flags)
        listener = [found] if flags else []
        _send(self.connection, {"ready": True}, [out, *listener])
        self.connection.close()
        os.closerange(3, 4096)

    def view(self) -> None:
        """This trial's own temporary file systems, processes and trees over the outer box's read-only runtime."""
        sizes = self.job["sizes"]
        _mount("none", "/", None, _REC | _PRIVATE)
        plain = _NOSUID | _NODEV
        kept = [(path, os.open(path, os.O_PATH | os.O_CLOEXEC)) for path in self.policy["kept"]]
        _mount("tmpfs", "/tmp", "tmpfs", plain, sizes["/tmp"])
        for path, handle in kept:
            os.makedirs(path)
            _mount(f"/proc/self/fd/{handle}", path, None, _BIND)
        _mount("tmpfs", "/out", "tmpfs", plain, sizes["/out"])
        _mount("tmpfs", "/dev/shm", "tmpfs", plain, sizes["/dev/shm"])
        _mount("devpts", "/dev/pts", "devpts", _NOSUID | _NOEXEC, "newinstance,ptmxmode=0666,mode=620")
        _mount("proc", "/proc", "proc", plain | _NOEXEC)
        _write("/proc/sys/user/max_user_namespaces", "0")  # no further view can be built, whatever the filter does
        self.show()
        _mount("none", "/", None, _REMOUNT | _BIND | _RDONLY | plain)

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
        if self.policy["covered"]:
            _mount("tmpfs", self.policy["covered"], "tmpfs", _NOSUID | _NODEV | _RDONLY, "size=4k,mode=555")

    def give_up(self) -> None:
        """Landlock, capabilities, the way to new privileges."""
        if self.policy["landlock"]:
            landlock = sys.modules["landlock"]
            read, run, write, device = (landlock.Access[name] for name in ("READ", "RUN", "WRITE", "DEVICE"))
            rules = [landlock.Rule("/", read | run), landlock.Rule("/dev", device | read)]
            rules += [landlock.Rule(path, write | read | run) for path in ("/tmp", "/out", "/dev/shm")]
            rules += [landlock.Rule(f"/dev/{name}", write | read) for name in ("null", "zero", "full", "tty", "pts")]
            made = landlock.ruleset(rules, version=self.policy["landlock"])
            _check(_libc.prctl(_NO_NEW_PRIVS, 1, 0, 0, 0), "no_new_privs")
            landlock.restrict(made)
        _check(_libc.prctl(_CAP_AMBIENT, 4, 0, 0, 0), "ambient capabilities")
        for number in range(64):
            if _libc.prctl(_CAPBSET_DROP, number, 0, 0, 0) < 0:
                break  # past the last capability that this kernel knows
        none = (ctypes.c_uint32 * 6)()
        _check(_libc.capset(ctypes.byref(_Header(0x20080522, 0)), ctypes.byref(none)), "capset")
        _check(_libc.prctl(_NO_NEW_PRIVS, 1, 0, 0, 0), "no_new_privs")
        _check(_libc.prctl(_DUMPABLE, 0, 0, 0, 0), "dumpable")


# The candidate's program


def _become(job: dict[str, Any]) -> NoReturn:
    """Be what ``python ARGUMENTS`` would be. Nothing of the zygote's is open or trusted here any more."""
    try:
        os.chdir(job["cwd"])
    except OSError:
        os._exit(120)
    os.environ.update({**job["env"], "PWD": job["cwd"], "OLDPWD": "/"})  # as the shell at a cold box's gate does
    _reseed()
    kind, words, isolated = job["kind"], job["words"], job["isolated"]
    sys.orig_argv[:] = job["argv"]
    if job["unbuffered"]:
        sys.stdout.reconfigure(write_through=True)  # type: ignore[union-attr]
    place = {"-c": "", "-m": os.getcwd()}.get(kind) if kind != "script" else os.path.dirname(os.path.realpath(words[0]))
    if not isolated and _shadowed(place or "."):
        os.execve(sys.executable, [job["argv"][0], *job["argv"][1:]], dict(os.environ))
    code = 1
    try:
        if not isolated:
            sys.path.insert(0, place if place is not None else "")
        _run(kind, words)
        code = 0
    except SystemExit as end:
        code = _status(end)
    except BaseException as error:  # noqa: BLE001  # the candidate's own: shown as the interpreter would
        _show(error)
    _finish(code)


def _run(kind: str, words: list[str]) -> None:
    main = types.ModuleType("__main__")
    sys.modules["__main__"] = main
    space = main.__dict__
    space["__builtins__"] = sys.modules["builtins"]
    space["__annotations__"] = {}
    if kind == "-c":
        sys.argv[:] = ["-c", *words[1:]]
        space["__loader__"] = BuiltinImporter
        exec(compile(words[0], "<string>", "exec", dont_inherit=True), space)  # noqa: S102  # the candidate, confined
    elif kind == "-m":
        sys.argv[:] = ["-m", *words[1:]]
        runpy._run_module_as_main(words[0])  # type: ignore[attr-defined]
    elif get_importer(words[0]) is not None:  # a folder or archive with a __main__ in it
        sys.argv[:] = words
        sys.path[0] = words[0]
        runpy._run_module_as_main("__main__", alter_argv=False)  # type: ignore[attr-defined]
    else:
        sys.argv[:] = words
        path = os.path.abspath(words[0])
        try:
            with open(path, "rb") as file:
                source = file.read()
        except OSError as error:
            why = f"[Errno {error.errno}] {error.strerror}"
            sys.stderr.write(f"{sys.orig_argv[0]}: can't open file {path!r}: {why}\n")
            raise SystemExit(2) from None
        space |= {"__file__": path, "__cached__": None, "__loader__": SourceFileLoader("__main__", path)}
        exec(compile(source, path, "exec", dont_inherit=True), space)  # noqa: S102  # the candidate, confined


def _shadowed(place: str) -> bool:
    """Whether the program's folder holds a module that a fresh interpreter would take before a loaded one."""
    try:
        names = {name.partition(".")[0] for name in os.listdir(place)}
    except OSError:
        return False
    return any(name in sys.modules and name not in _PLAIN for name in names)


def _reseed() -> None:
    """Copies of one process would draw the same numbers; fresh processes do not.  # E-3"""
    if "numpy.random" in sys.modules:
        sys.modules["numpy.random"].seed()
    if "torch" in sys.modules:
        sys.modules["torch"].default_generator.seed()


def _status(end: SystemExit) -> int:
    if end.code is None:
        return 0
    if isinstance(end.code, int):
        return end.code & 0xFF
    sys.stderr.write(f"{end.code}\n")
    return 1


def _show(error: BaseException) -> None:
    """Without the zygote's own frames on top."""
    trace = error.__traceback__
    while trace is not None and trace.tb_frame.f_code.co_filename == __file__:
        trace = trace.tb_next
    sys.excepthook(type(error), error.with_traceback(trace), trace)


def _finish(code: int) -> NoReturn:
    """What an interpreter does at its end and a result may depend on."""
    import io

    try:
        if "threading" in sys.modules:
            sys.modules["threading"]._shutdown()  # waits for threads that are not daemons
        atexit._run_exitfuncs()
        for names in ({}, sys.modules["__main__"].__dict__):  # before and after its names are gone
            names.clear()
            gc.collect()
            for thing in gc.get_objects():  # the candidate's alone: what is older is frozen
                if isinstance(thing, io.BufferedWriter | io.BufferedRandom | io.TextIOWrapper) and not thing.closed:
                    thing.flush()
        sys.stdout.flush()
        sys.stderr.flush()
    except BaseException as error:  # noqa: BLE001  # still the candidate's own
        _show(error)
        code = code or 120
    os._exit(code)


# The zygote


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


class _Zygote:
    def __init__(self, control: _socket.socket, policy: dict[str, Any]) -> None:
        self.control = control
        self.policy = policy
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
        message, ancillary, _flags, _ = self.control.recvmsg(
            64, _socket.CMSG_SPACE(4 * _MOST_FDS), _socket.MSG_CMSG_CLOEXEC
        )
        if not message:
            return False  # the engine let go
        data = b"".join(part for _, _, part in ancillary)
        fds = [int.from_bytes(data[at : at + 4], sys.byteorder) for at in range(0, len(data) - 3, 4)]
        connection = _socket.socket(fileno=fds[0])
        try:
            pid, handle = _clone(_NEWUSER | _NEWPID | _NEWNS | _NEWNET | _NEWIPC | _NEWUTS)
        except OSError as error:
            _send(connection, {"error": str(error)})
            connection.close()
        else:
            if pid == 0:
                with os.fdopen(fds[1], "rb") as paper:
                    job = json.loads(paper.read())
                _Trial(self.policy, job, fds[2:], connection).run()
            try:
                _send(connection, {"pid": pid}, [handle])
            except OSError:
                pass  # the engine gave the trial up: it is killed when its end is seen
            self.trials[handle] = (pid, connection)
            self.poll.register(handle, select.POLLIN)
        for fd in fds[1:]:
            os.close(fd)
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
        importlib.import_module("landlock")  # beside this file
    sys.path.remove(os.path.dirname(os.path.abspath(__file__)))
    sys.argv[:] = [""]
    os.chdir("/")
    if not _preload(policy["preload"], control):
        return
    gc.collect()
    gc.freeze()
    _send(control, {"ready": True})
    _Zygote(control, policy).serve()


if __name__ == "__main__":
    main()
