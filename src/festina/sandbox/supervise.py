"""Watch one run from outside: clocks, counters, pipes; kill the whole tree at a limit; name how it ended.

Every number here is measured by the engine or the kernel, none is reported by the job. Precedence of the
end, fixed: the supervisor's own kill reason, then a limit found in the counters once all is dead (memory,
processes, CPU, files, in this order), then a signal, then the exit status.  # E-2
Limits are polled every ``TICK_S``; a job can be over a polled limit (CPU, files, and without a control
group memory) for that long, never longer.
"""

from __future__ import annotations

import math
import os
import resource
import select
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from festina.errors import Fault
from festina.sandbox.cgroup import Group
from festina.sandbox.job import Ended, Limits
from festina.sandbox.kernel import answer_notification, receive_notification
from festina.sandbox.launch import Launched
from festina.sandbox.seccomp import OWN_FILTER, Arch, describe

__all__ = ["End", "GroupMeter", "Meter", "Space", "Stream", "TreeMeter", "Tripwire", "Watch", "classify", "rlimits"]

TICK_S = 0.04
_DEATH_S = 40.0  # a killed tree that is not gone by then is Festina's (or the kernel's) failure
_NOTES = 256  # denied calls answered one by one; after that the listener is closed and they fail with ENOSYS
_PAGE = os.sysconf("SC_PAGE_SIZE")
_HERTZ = os.sysconf("SC_CLK_TCK")
_SIGSYS, _SIGXCPU, _SIGXFSZ = 31, 24, 25


@dataclass(frozen=True, slots=True)
class End:
    """The class of a run's end with what it is read from."""

    ended: Ended
    exit_code: int | None
    signal: int | None


def classify(status: int | None, own: Ended | None, *, folded: bool) -> End:
    """Exactly one class.  # E-2

    ``own`` is the first limit that was passed, whether it led to the kill or was found in the counters when
    all was over. ``status`` is as from ``wait``; ``folded``: a launcher reported a signal as exit status 128 + n. (A
    program that exits with 128 + n by itself reads as killed by that signal; neither is ever ``ok``.)
    """
    code = os.waitstatus_to_exitcode(status) if status is not None else None
    signal = None
    if own is None and (code is None or (folded and code < 0)):
        return End(Ended.SANDBOX_ERROR, None, None if code is None else -code)  # the launcher itself was killed
    if code is not None and (code < 0 or (folded and 128 < code <= 192)):
        signal, code = (-code, None) if code < 0 else (code - 128, None)
    if own is not None:
        return End(own, code, signal)
    if signal is not None:
        by_limit = {_SIGSYS: Ended.FORBIDDEN, _SIGXCPU: Ended.TIMEOUT_CPU, _SIGXFSZ: Ended.OUTPUT_LIMIT}
        return End(by_limit.get(signal, Ended.SIGNAL), None, signal)
    return End(Ended.OK if code == 0 else Ended.NONZERO, code, None)


def rlimits(limits: Limits, *, per_process_memory: bool, gpu: bool = False) -> dict[int, int]:
    """Limits of single processes: a floor under the tree-wide ones, and all there is where no group exists."""
    found = {
        resource.RLIMIT_CORE: 1,  # no dump, and no helper of the host that would be given one: see seccomp._core
        resource.RLIMIT_NOFILE: 1024,
        resource.RLIMIT_FSIZE: max(limits.output_bytes, limits.tmp_bytes) + (1 << 20),  # above the tmpfs caps
        resource.RLIMIT_CPU: math.ceil(limits.cpu_s) + 2,  # the supervisor's own clock comes first
        resource.RLIMIT_MEMLOCK: 1 << 20,
    }
    if gpu:
        found[resource.RLIMIT_MEMLOCK] = limits.memory_bytes  # drivers pin host memory
    elif per_process_memory:
        found[resource.RLIMIT_DATA] = limits.memory_bytes
    return found


class Polled(Protocol):
    """Says at each poll whether a limit was passed."""

    def over(self) -> Ended | None: ...


class Meter(Polled, Protocol):
    """Counts what a whole tree uses."""

    def cpu_s(self) -> float: ...

    def peak_bytes(self) -> int | None: ...


@dataclass(slots=True)
class GroupMeter:
    """Kernel counters of the run's control group: nothing escapes them."""

    group: Group
    limits: Limits
    _base: float = 0.0

    def begin(self) -> None:
        self._base = self.group.usage().cpu_s

    def over(self) -> Ended | None:
        usage = self.group.usage()
        if usage.oom_kills:
            return Ended.OOM if usage.met_limit else Ended.SANDBOX_ERROR  # T-6
        if usage.pids_hits:
            return Ended.PIDS_LIMIT
        return Ended.TIMEOUT_CPU if usage.cpu_s - self._base > self.limits.cpu_s else None

    def host_ran_out(self) -> bool:
        """Whether the kernel killed something here that was below its own limit."""
        usage = self.group.usage()
        return usage.oom_kills > 0 and not usage.met_limit

    def cpu_s(self) -> float:
        return max(0.0, self.group.usage().cpu_s - self._base)

    def peak_bytes(self) -> int | None:
        return self.group.usage().peak_bytes


@dataclass(slots=True)
class TreeMeter:
    """No control group: add up the living tree below ``root`` at each poll. A sampled estimate, said so in the level.

    Weak where a job's children live shorter than a poll and are never waited for: their CPU time is missed
    (the wall clock still ends the run).
    """

    root: int
    limits: Limits
    spare: int = 0  # processes of the box's own below root
    _cpu: float = 0.0
    _peak: int = 0

    def over(self) -> Ended | None:
        cpu, memory, tasks = 0.0, 0, 0
        pids = [self.root, *_descendants(self.root)]
        for pid in pids:
            try:
                fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
                resident, shared = Path(f"/proc/{pid}/statm").read_text().split()[1:3]
            except (OSError, ValueError):
                continue
            cpu += sum(map(int, fields[11:15])) / _HERTZ  # utime stime cutime cstime
            tasks += int(fields[17])
            memory += (int(resident) - int(shared)) * _PAGE
        if memory > self.limits.memory_bytes:
            memory = sum(map(_private_bytes, pids))  # forked pages were counted once for each sharer: look closely
        self._cpu = max(self._cpu, cpu)
        self._peak = max(self._peak, memory)
        if memory > self.limits.memory_bytes:
            return Ended.OOM
        if tasks > self.limits.pids + self.spare:
            return Ended.PIDS_LIMIT
        return Ended.TIMEOUT_CPU if self._cpu > self.limits.cpu_s else None

    def cpu_s(self) -> float:
        return self._cpu

    def peak_bytes(self) -> int | None:
        return self._peak or None


def _descendants(root: int) -> list[int]:
    found: list[int] = []
    queue = [root]
    while queue and len(found) < 4096:
        pid = queue.pop()
        try:
            below = [int(word) for word in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
            threads = os.listdir(f"/proc/{pid}/task") if pid != root else []
        except (OSError, ValueError):
            continue
        for thread in threads:
            if int(thread) != pid:
                try:
                    below += [int(word) for word in Path(f"/proc/{pid}/task/{thread}/children").read_text().split()]
                except OSError:
                    continue
        found += below
        queue += below
    return found


def _private_bytes(pid: int) -> int:
    try:
        for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
            if line.startswith("Pss_Anon:"):
                return int(line.split()[1]) * 1024
    except (OSError, ValueError):
        pass
    return 0


@dataclass(frozen=True, slots=True)
class Space:
    """Use of the box's own ``/out``, read through the pinned descriptor."""

    pinned: int
    limits: Limits

    def over(self) -> Ended | None:
        found = os.statvfs(self.pinned)
        used = (found.f_blocks - found.f_bfree) * found.f_frsize
        files = found.f_files - found.f_ffree - 1
        return Ended.OUTPUT_LIMIT if used > self.limits.output_bytes or files > self.limits.output_files else None


@dataclass(slots=True)
class Stream:
    """One pipe from the job: the first ``cap`` bytes are kept, more is an offence, all of it is drained."""

    fd: int
    cap: int
    data: bytearray = field(default_factory=bytearray)
    over: bool = False
    open: bool = True

    def take(self) -> None:
        try:
            chunk = os.read(self.fd, 1 << 16)
        except BlockingIOError:
            return
        self.open = bool(chunk)
        room = self.cap - len(self.data)
        self.over = self.over or len(chunk) > room
        self.data += chunk[:room]


class Tripwire(threading.Thread):
    """Answers denied system calls of one run and keeps their names.  # E-2

    A thread of its own: a job that kills a caller between the poll and the receive would otherwise
    hold up the supervisor's clocks. While the box is being built, its builder's calls may proceed;
    ``arm`` ends that before the job's first instruction, for good.
    """

    def __init__(self, listener: int, arch: Arch) -> None:
        super().__init__(name="festina-tripwire", daemon=True)
        self.listener = listener
        self._arch = arch
        self._armed = False
        self._late = 0
        self.denied: dict[str, int] = {}

    def arm(self, builder: int = 0) -> None:
        """``builder``: the box's PID 1. It puts the inner filter on itself while the gate's shell runs already, so that
        this one call of its may come late; whoever took it over by then would filter PID 1 alone."""
        self._late = builder
        self._armed = True

    def names(self) -> tuple[str, ...]:
        return tuple(sorted(self.denied))

    def run(self) -> None:
        count = 0
        poll = select.poll()
        poll.register(self.listener, select.POLLIN)
        try:
            while count < _NOTES:
                if poll.poll()[0][1] & (select.POLLHUP | select.POLLERR | select.POLLNVAL):
                    return
                note = receive_notification(self.listener)
                if note is None:
                    continue
                name = describe(self._arch, note.number, note.args)
                late = self._armed and note.pid == self._late and name == OWN_FILTER
                if late:
                    self._late = 0
                elif self._armed:
                    count += 1
                    self.denied[name] = self.denied.get(name, 0) + 1
                answer_notification(self.listener, note, proceed=late or not self._armed)
        finally:
            os.close(self.listener)


class Watch:
    """The supervisor of one run. ``stop`` may be called from any thread."""

    def __init__(self, limits: Limits) -> None:
        self.limits = limits
        self.own: Ended | None = None
        self.stopped = False
        self.lost = False
        self.wall_s = 0.0
        self.launched: Launched | None = None

    def stop(self) -> None:
        """End the run now; it counts as nobody's failure."""
        self.stopped = True
        if self.launched is not None:
            self.launched.kill()

    @property
    def gone(self) -> bool:
        return self.lost or (self.launched is not None and "gone" in self.launched.said)

    def follow(
        self, streams: list[Stream], meters: Sequence[Polled], sleeping: Tripwire | None = None
    ) -> None:
        """From the job's first instruction until the last process of the tree is dead.

        ``sleeping``: a tripwire whose thread is to be started at the first denied call, if there is one.
        """
        launched = self._launched()
        started = time.monotonic()
        by_fd = {stream.fd: stream for stream in streams}
        poll = select.poll()
        for fd in (launched.connection.fileno(), *by_fd):
            poll.register(fd, select.POLLIN)
        if sleeping is not None:
            poll.register(sleeping.listener, select.POLLIN)
        next_tick = started + TICK_S / 4
        killed_at = math.inf
        while not self.gone:
            now = time.monotonic()
            until = min(next_tick, started + self.limits.wall_s) if self.own is None else now + TICK_S
            for fd, event in poll.poll(max(0.0, until - now) * 1000 + 0.5):
                if sleeping is not None and fd == sleeping.listener:
                    poll.unregister(fd)
                    if event & select.POLLIN:
                        sleeping.start()
                elif fd in by_fd:
                    by_fd[fd].take()
                    if not by_fd[fd].open:
                        poll.unregister(fd)
                else:
                    self.lost = not launched.hear()
            now = time.monotonic()
            if self.own is None and not self.gone:
                self.own = self._offence(now - started, streams, meters if now >= next_tick else [])
                if self.own is not None:
                    killed_at = now
                    launched.kill()
                next_tick = now + TICK_S if now >= next_tick else next_tick
            elif now - killed_at > _DEATH_S:
                raise Fault("tree-would-not-die", "a killed run is still alive", fix="look for stuck processes")
        self.wall_s = time.monotonic() - started
        _drain(streams)

    def _offence(self, elapsed: float, streams: list[Stream], meters: Sequence[Polled]) -> Ended | None:
        if self.stopped:
            return Ended.SANDBOX_ERROR
        if elapsed >= self.limits.wall_s:
            return Ended.TIMEOUT_WALL
        if any(stream.over for stream in streams):
            return Ended.OUTPUT_LIMIT
        for meter in meters:
            if found := meter.over():
                return found
        return None

    def bury(self) -> None:
        """Whatever happened: kill and wait until the spawner has reaped the whole tree."""
        if self.launched is None:
            return
        deadline = time.monotonic() + _DEATH_S
        self.launched.connection.settimeout(1.0)
        while not self.gone and "error" not in self.launched.said and time.monotonic() < deadline:
            self.launched.kill()
            try:
                self.lost = not self.launched.hear()
            except TimeoutError:
                continue
        self.launched.connection.close()

    def _launched(self) -> Launched:
        if self.launched is None:
            raise RuntimeError("follow() before the launch")
        return self.launched


def _drain(streams: list[Stream]) -> None:
    """Everything that could write is dead, so the pipes end; the bound is for a pipe that someone else holds."""
    deadline = time.monotonic() + 5.0
    for stream in streams:
        while stream.open and time.monotonic() < deadline:
            if not select.select([stream.fd], [], [], 0.5)[0]:
                break
            stream.take()
