"""The process that starts boxes: run as a script, by path, with no import of the package.

Why a process of its own: parent-death signals follow the thread that forked, forking a small
single-threaded process is cheap and safe, and it outlives a killed engine just long enough to kill
every box and take away its control groups.  # E-1

Invariants: it is the child subreaper, so no process of a box can leave the tree; it watches its
engine through a pidfd; a run ends when its connection closes; a run is reported ``gone`` only after the
launcher was reaped and a pidfd says that the box's PID 1 has exited, which the kernel lets happen only
when its whole PID namespace is dead.
Protocol: one SEQPACKET message per request, with descriptors [request, connection, stdin, stdout,
stderr, extra...]; the request is JSON in an anonymous file. Replies go to the connection.
"""

from __future__ import annotations

import array
import ctypes
import fcntl
import json
import os
import resource
import select
import signal
import socket
import sys
import time
from typing import Any, NoReturn

EXTRA = 10  # extra descriptors are numbered from here in the child
STAGE = "/mnt"  # covered by a private tmpfs in the launcher's own mount namespace; holds the sources of binds
_MS_BIND, _MS_REC, _MS_PRIVATE, _NEWNS = 4096, 16384, 1 << 18, 0x20000
_PDEATHSIG, _SUBREAPER, _NO_NEW_PRIVS, _DUMPABLE = 1, 36, 38, 4
_NEW_LISTENER = 8
_RESTRICT_SELF = 446  # landlock_restrict_self, the same number on every machine
_libc = ctypes.CDLL(None, use_errno=True)


def _check(result: int, what: str) -> int:
    if result < 0:
        code = ctypes.get_errno()
        raise OSError(code, f"{what}: {os.strerror(code)}")
    return result


def _mount(source: str, target: str, kind: str | None, flags: int, data: str | None = None) -> None:
    encoded = [None if text is None else text.encode() for text in (source, target, kind, data)]
    _check(_libc.mount(encoded[0], encoded[1], encoded[2], ctypes.c_ulong(flags), encoded[3]), f"mount on {target}")


def _stage(sources: list[list[str]], *, private: bool) -> int:
    """Show each source as STAGE/<n> to this process alone, so that an unprivileged bwrap can reach it.

    A source is a path with the layers below it, if any. All are opened before anything is covered up.
    ``private``: through an overlay, whose inodes are this mount's own, so that locks, leases and watches on a file do
    not meet those of another run or of the host. Returns for how many sources that could not be had.
    """
    _check(_libc.unshare(_NEWNS), "unshare")
    _mount("none", "/", None, _MS_REC | _MS_PRIVATE)
    handles = [[os.open(path, os.O_PATH | os.O_CLOEXEC) for path in source] for source in sources]
    _mount("tmpfs", STAGE, "tmpfs", 0, "size=256k,mode=755")
    os.mkdir(f"{STAGE}/empty")
    shared = 0
    for index, (source, handle) in enumerate(zip(sources, handles, strict=True)):
        target = f"{STAGE}/{index}"
        if os.path.isdir(source[0]):
            os.mkdir(target)
        else:
            os.close(os.open(target, os.O_CREAT | os.O_WRONLY, 0o644))
        if len(handle) > 1:
            _overlay(handle, target)
        elif not private or not _overlaid(source[0], handle[0], target):
            _mount(f"/proc/self/fd/{handle[0]}", target, None, _MS_BIND)
            shared += 1
    return shared


def _overlay(handles: list[int], target: str) -> None:
    """Without an upper layer it is read-only, and wants two lower ones: an empty folder may be the second."""
    lower = [f"/proc/self/fd/{handle}" for handle in handles] + ([f"{STAGE}/empty"] if len(handles) == 1 else [])
    _mount("overlay", target, "overlay", 0, f"lowerdir={':'.join(lower)}")


def _overlaid(source: str, handle: int, target: str) -> bool:
    """Show ``source`` at ``target`` through an overlay; a single file through one of its folder."""
    single = not os.path.isdir(source)
    folder = os.open(os.path.dirname(source), os.O_PATH | os.O_CLOEXEC) if single else handle
    place = f"{target}.d" if single else target
    if single:
        os.mkdir(place)
    try:
        _overlay([folder], place)
        if single:
            _mount(f"{place}/{os.path.basename(source)}", target, None, _MS_BIND)
    except OSError:
        return False  # such as a file system on which no further layer may lie: the caller is told
    finally:
        if single:
            os.close(folder)
    return True


def _confine(job: dict[str, Any]) -> None:
    """Control group, limits, identity, no way back. In this order: each step needs what the next gives up."""
    for path in job["cgroup"]:
        with open(path, "wb", buffering=0) as file:
            file.write(b"0")
    with open("/proc/self/oom_score_adj", "wb", buffering=0) as file:
        file.write(b"500")  # where memory runs out, a box goes before its engine
    for name, value in job["rlimits"].items():
        hard = resource.getrlimit(int(name))[1]
        cap = value if hard == resource.RLIM_INFINITY else min(value, hard)
        resource.setrlimit(int(name), (cap, cap))
    if job["uid"] is not None:
        os.setgroups(job["groups"])
        os.setresgid(job["uid"], job["uid"], job["uid"])
        os.setresuid(job["uid"], job["uid"], job["uid"])
    _check(_libc.prctl(_NO_NEW_PRIVS, 1, 0, 0, 0), "no_new_privs")


def _arrange(fds: list[int], connection: socket.socket) -> socket.socket:
    """stdin, stdout, stderr to 0, 1, 2; the rest from EXTRA on; the connection closes on exec; nothing else stays."""
    high = [fcntl.fcntl(fd, fcntl.F_DUPFD_CLOEXEC, 300) for fd in fds]
    held = socket.socket(fileno=fcntl.fcntl(connection.fileno(), fcntl.F_DUPFD_CLOEXEC, 300))
    for index, fd in enumerate(high):
        os.dup2(fd, index if index < 3 else EXTRA + index - 3)
    kept = {0, 1, 2, held.fileno(), *range(EXTRA, EXTRA + len(fds) - 3)}
    for name in os.listdir("/proc/self/fd"):
        if int(name) not in kept:
            try:
                os.close(int(name))
            except OSError:
                pass  # the listing's own descriptor
    return held


class _Filter(ctypes.Structure):
    _fields_ = [("len", ctypes.c_ushort), ("filter", ctypes.c_void_p)]


def _install(job: dict[str, Any], connection: socket.socket) -> None:
    """Put the filter on; hand the listener to the engine before any further call needs it."""
    code = bytes.fromhex(job["filter"])
    buffer = ctypes.create_string_buffer(code, len(code))
    program = _Filter(len(code) // 8, ctypes.addressof(buffer))
    flags = _NEW_LISTENER if job["notify"] else 0
    listener = _libc.syscall(
        ctypes.c_long(job["seccomp"]), ctypes.c_long(1), ctypes.c_ulong(flags), ctypes.byref(program)
    )
    _check(listener, "seccomp")
    if job["notify"]:
        _send(connection, {"listener": True}, [listener])
        os.close(listener)


def _send(connection: socket.socket, message: dict[str, Any], fds: list[int] | None = None) -> None:
    ancillary = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", fds))] if fds else []
    connection.sendmsg([json.dumps(message).encode()], ancillary, socket.MSG_NOSIGNAL)


def _tree() -> list[int]:
    """Every living descendant of this process, children first."""
    found: list[int] = []
    queue = [os.getpid()]
    while queue:
        pid = queue.pop()
        try:
            with open(f"/proc/{pid}/task/{pid}/children", "rb") as file:
                below = [int(word) for word in file.read().split()]
        except (OSError, ValueError):
            continue
        found += below
        queue += below
    return found


def _kill(pid: int) -> None:
    try:
        os.kill(pid, signal.SIGKILL)
    except ProcessLookupError:
        pass


def _purge(deadline: float) -> None:
    """Kill and reap everything below this process; new children of the dying become ours and die too."""
    while time.monotonic() < deadline:
        for pid in _tree():
            _kill(pid)
        try:
            while os.waitpid(-1, os.WNOHANG)[0]:
                pass
        except ChildProcessError:
            return
        time.sleep(0.002)


def _leave(_number: int, _frame: object) -> None:
    _purge(time.monotonic() + 20)
    os._exit(0)


def _keep(job: dict[str, Any], connection: socket.socket, fds: list[int]) -> NoReturn:
    """L0: stay as the parent of one unconfined run, so that what it leaves behind can be found and killed."""
    _check(_libc.prctl(_SUBREAPER, 1, 0, 0, 0), "subreaper")
    signal.signal(signal.SIGTERM, _leave)
    _check(_libc.prctl(_PDEATHSIG, signal.SIGTERM, 0, 0, 0), "parent-death signal")
    me = os.getpid()
    child = os.fork()
    if child == 0:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        _launch(job, connection, fds, me)
    for fd in fds:
        os.close(fd)
    status, usage = 0, resource.getrusage(resource.RUSAGE_CHILDREN)
    while True:
        pid, status, usage = os.wait4(-1, 0)
        if pid == child:
            break
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    _purge(time.monotonic() + 20)
    _send(connection, {"exit": status, "cpu": used.ru_utime + used.ru_stime, "rss": usage.ru_maxrss * 1024})
    os._exit(0)


def _launch(job: dict[str, Any], connection: socket.socket, fds: list[int], parent: int) -> NoReturn:
    """The child's side: become the program or report why not."""
    held = connection
    try:
        os.setsid()
        if job["stage"]:
            shared = _stage(job["stage"], private=job["private"])
            if job["private"] and shared:
                _send(connection, {"shared": shared})
        held = _arrange(fds, connection)
        if job["cwd"]:
            os.chdir(job["cwd"])
        _confine(job)
        _check(_libc.prctl(_PDEATHSIG, signal.SIGKILL, 0, 0, 0), "parent-death signal")
        if os.getppid() != parent:
            os._exit(125)
        if job["landlock"]:
            _check(_libc.syscall(ctypes.c_long(_RESTRICT_SELF), ctypes.c_long(EXTRA), ctypes.c_ulong(0)), "landlock")
            os.close(EXTRA)
        if job["filter"]:
            _install(job, held)
        signal.set_wakeup_fd(-1)
        for number in (signal.SIGPIPE, signal.SIGXFSZ, signal.SIGCHLD, signal.SIGTERM):
            signal.signal(number, signal.SIG_DFL)
    except OSError as error:
        _send(held, {"error": str(error)})
        os._exit(125)
    try:
        os.execvpe(job["argv"][0], job["argv"], job["env"])
    except OSError as error:
        os.write(2, f"{job['argv'][0]}: {error.strerror}\n".encode())
        os._exit(127)


class _Run:
    """One box or one L0 keeper that is alive."""

    def __init__(self, pid: int, connection: socket.socket, job: dict[str, Any]) -> None:
        self.pid = pid
        self.connection = connection
        self.keeper: bool = job["keep"]
        self.cleanup: list[str] = job["cleanup"]
        self.init = 0  # the box's PID 1, once the engine has said so
        self.status: int | None = None
        self.cpu = 0.0
        self.rss = 0
        self.init_fd = -1  # stays readable once PID 1 and with it the whole namespace is dead, whoever reaps it
        self.init_gone = False
        self.heard = True  # the engine holds the other end

    def kill(self) -> None:
        if self.keeper:
            try:
                os.kill(self.pid, signal.SIGTERM)
            except ProcessLookupError:
                pass
            return
        self.kill_init()
        if self.status is None:
            _kill(self.pid)

    def kill_init(self) -> None:
        if self.init_fd >= 0 and not self.init_gone:
            try:
                signal.pidfd_send_signal(self.init_fd, signal.SIGKILL)
            except ProcessLookupError:
                pass

    def finished(self) -> bool:
        return self.status is not None and (self.init == 0 or self.init_gone)


class _Spawner:
    def __init__(self, control: socket.socket, engine: int) -> None:
        self.control = control
        self.engine = engine
        self.runs: dict[int, _Run] = {}  # by descriptor of the connection
        self.inits: dict[int, _Run] = {}  # by descriptor of the box's PID 1
        self.ended: list[str] = []  # what runs that are over may still have lying about: their engine removes it
        self.poll = select.poll()
        self.stopping = False
        self.wake, wake = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        signal.set_wakeup_fd(wake, warn_on_full_buffer=False)
        for fd in (self.wake, engine, control.fileno()):
            self.poll.register(fd, select.POLLIN)

    def start(self) -> None:
        message, ancillary, flags, _ = self.control.recvmsg(64, socket.CMSG_SPACE(64 * 4), socket.MSG_CMSG_CLOEXEC)
        if not message:
            self.stopping = True
            return
        fds = array.array("i")
        for _level, _kind, data in ancillary:
            fds.frombytes(data[: len(data) - len(data) % fds.itemsize])
        if flags & socket.MSG_CTRUNC or len(fds) < 5:
            for fd in fds:
                os.close(fd)
            return
        with os.fdopen(fds[0], "rb") as file:
            job = json.loads(file.read())
        connection = socket.socket(fileno=fds[1])
        rest = list(fds[2:])
        try:
            pid = self.fork(job, connection, rest)
        except OSError as error:
            _send(connection, {"error": f"fork: {error}"})
            connection.close()
        else:
            _send(connection, {"pid": pid})
            self.runs[connection.fileno()] = _Run(pid, connection, job)
            self.poll.register(connection.fileno(), select.POLLIN)
        finally:
            for fd in rest:
                os.close(fd)

    def fork(self, job: dict[str, Any], connection: socket.socket, fds: list[int]) -> int:
        parent = os.getpid()
        pid = os.fork()
        if pid:
            return pid
        for run in self.runs.values():
            run.connection.close()
            if run.init_fd >= 0:
                os.close(run.init_fd)
        if job["keep"]:
            signal.set_wakeup_fd(-1)
            for fd in (self.wake, self.engine, self.control.detach()):
                os.close(fd)
            _keep(job, connection, fds)
        _launch(job, connection, fds, parent)

    def hear(self, run: _Run) -> None:
        """``init PID`` names the box's PID 1; ``kill`` and a closed connection end the run."""
        try:
            message = run.connection.recv(64, socket.MSG_DONTWAIT)
        except BlockingIOError:
            return
        except OSError:
            message = b""
        word, _, number = message.partition(b" ")
        if word == b"init":
            run.init = int(number)
            try:
                run.init_fd = os.pidfd_open(run.init)  # the job has not begun: the number cannot be another's yet
            except ProcessLookupError:
                run.init_gone = True  # it ended before its name came here
                return
            self.inits[run.init_fd] = run
            self.poll.register(run.init_fd, select.POLLIN)
            return
        if not message and run.heard:
            run.heard = False
            self.poll.unregister(run.connection.fileno())
        run.kill()

    def reap(self) -> None:
        while True:
            try:
                pid, status, usage = os.wait4(-1, os.WNOHANG)
            except ChildProcessError:
                break
            if not pid:
                break
            for run in self.runs.values():
                if pid in (run.pid, run.init):
                    run.cpu += usage.ru_utime + usage.ru_stime
                    run.rss = max(run.rss, usage.ru_maxrss * 1024)
                if pid == run.pid:
                    run.status = status
                    run.kill_init()
        for run in list(self.runs.values()):
            if run.status is not None and run.init == 0 and not run.keeper:
                self.hear(run)  # a quick job: the name of its PID 1 may still wait to be read
            if run.finished():
                self.report(run)
        self.adopt()

    def bereave(self, fd: int) -> None:
        """A box's PID 1 is dead, and with it all of its namespace. (bwrap may have reaped it; then nobody tells us.)"""
        if not select.select([fd], [], [], 0)[0]:
            return  # an event of an earlier descriptor with the same number
        run = self.inits.pop(fd)
        self.poll.unregister(fd)
        run.init_gone = True
        self.reap()

    def adopt(self) -> None:
        """Whatever became our child without being known is left over from a dead launcher or keeper: kill it."""
        known = {pid for run in self.runs.values() for pid in (run.pid, run.init)}
        with open(f"/proc/self/task/{os.getpid()}/children", "rb") as file:
            for word in file.read().split():
                if int(word) not in known:
                    _kill(int(word))

    def report(self, run: _Run) -> None:
        try:
            _send(run.connection, {"gone": run.status, "cpu": run.cpu, "rss": run.rss})
        except OSError:
            pass
        try:
            self.poll.unregister(run.connection.fileno())
        except KeyError:
            pass
        del self.runs[run.connection.fileno()]
        self.ended += run.cleanup
        if len(self.ended) > 1000:
            self.ended = [path for pattern in self.ended for path in _there(pattern)]
        run.connection.close()
        if run.init_fd >= 0:
            os.close(run.init_fd)

    def serve(self) -> None:
        while not self.stopping:
            for fd, _event in self.poll.poll():
                if fd == self.wake:
                    os.read(self.wake, 4096)
                    self.reap()
                elif fd == self.engine:
                    self.stopping = True
                elif fd == self.control.fileno():
                    self.start()
                elif fd in self.inits:
                    self.bereave(fd)
                elif fd in self.runs:
                    self.hear(self.runs[fd])
                    self.reap()
        self.bury()

    def bury(self) -> None:
        """The engine is gone: nothing of any run may stay, its control groups and scratch folders included.  # E-1"""
        patterns = self.ended + [path for run in self.runs.values() for path in run.cleanup]
        for run in self.runs.values():
            run.kill()
        _purge(time.monotonic() + 10)
        for path in (path for pattern in patterns for path in _there(pattern)):
            _remove(path)


def _there(pattern: str) -> list[str]:
    import glob  # only here: the spawner starts faster without it

    return glob.glob(pattern) if "*" in pattern else [pattern] * os.path.lexists(pattern)


def _remove(path: str) -> None:
    import shutil  # only here, as above

    if not path.startswith("/sys/"):
        return shutil.rmtree(path, ignore_errors=True)
    for _ in range(100):  # a control group goes when the last of its dead does
        try:
            return os.rmdir(path)
        except FileNotFoundError:
            return None
        except OSError:
            time.sleep(0.01)
    return None


def main() -> None:
    os.umask(0o022)
    control = socket.socket(fileno=int(sys.argv[1]))
    engine = os.pidfd_open(int(sys.argv[2]))
    if os.getppid() != int(sys.argv[2]):
        return
    _check(_libc.prctl(_SUBREAPER, 1, 0, 0, 0), "subreaper")
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)  # the engine decides when a run ends; its death is noticed by pidfd
    control.send(b"ready")
    _Spawner(control, engine).serve()


if __name__ == "__main__":
    main()
