"""Trials' first processes that are made before their jobs come: confined, in a control group of their own, waiting.

New namespaces, mounts and above all the way into a control group are mostly waiting for the kernel, so they are done
while another trial runs. A ``Spare`` serves exactly one trial. It was cloned from the warm process, which runs no code
of a candidate, it holds nothing of another trial, and it ends with the warm process it came from.  # E-4
Limits are the job's: the group is given them before the job is sent.
"""

from __future__ import annotations

import array
import contextlib
import json
import os
import select
import signal
import socket
import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from festina.errors import Fault
from festina.sandbox.cgroup import Group, Home
from festina.sandbox.job import Limits
from festina.sandbox.kernel import sealed_file
from festina.sandbox.launch import Launched
from festina.sandbox.supervise import Watch

__all__ = ["Forked", "Spare", "Spares"]

Fork = Callable[[tuple[str, ...]], "Forked"]  # asks a warm process for a trial; its argument: entrances of a group
_MOST = 16  # one waits for each trial that runs, up to this many: each is a process with a few pages of its own


@dataclass(slots=True)
class Forked(Launched):
    """One trial of a zygote. ``pid`` is as the host sees it."""

    handle: int = -1  # readable once the trial's PID 1, and with it its whole namespace, is dead
    out: int = -1
    view: int = -1  # the trial's mount namespace, to be let go of in no hurry

    def hear(self) -> bool:
        size = socket.CMSG_SPACE(2 * array.array("i").itemsize)
        try:
            message, ancillary, _, _ = self.connection.recvmsg(4096, size, socket.MSG_CMSG_CLOEXEC)
        except ConnectionError:
            return False
        fds = array.array("i")
        for _level, _kind, data in ancillary:
            fds.frombytes(data[: len(data) - len(data) % fds.itemsize])
        if not message:
            return False
        said = json.loads(message)
        self.said.update(said)
        if "pid" in said and fds:
            self.handle = fds[0]
            self.view = fds[1] if len(fds) > 1 else -1
        elif "ready" in said and fds:
            self.out = fds[0]
            self.listener = fds[1] if len(fds) > 1 else -1
        return True

    def listen(self) -> bool:
        """Take what has been reported so far; False when the trial can come to nothing."""
        while select.select([self.connection], [], [], 0)[0]:
            if not self.hear():
                return False
        return not {"error", "gone"} & self.said.keys()

    def send(self, paper: dict[str, Any], fds: tuple[int, ...]) -> None:
        """The job. ``fds``: stdout, stderr, trees."""
        written = sealed_file(json.dumps(paper).encode("utf-8", "surrogateescape"))
        handles = array.array("i", [written, *fds])
        try:
            self.connection.sendmsg([b"job"], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, handles)], socket.MSG_NOSIGNAL)
        except ConnectionError:
            pass  # it ended meanwhile: whoever waits for it to be ready hears of that
        finally:
            os.close(written)

    def kill(self) -> None:
        if self.handle >= 0:
            try:
                signal.pidfd_send_signal(self.handle, signal.SIGKILL)
            except ProcessLookupError:
                pass

    def pid(self) -> int:
        for line in Path(f"/proc/self/fdinfo/{self.handle}").read_text().splitlines():
            if line.startswith("Pid:"):
                return int(line.split()[1])
        raise Fault("box-vanished", "the trial's first process is not there", fix="run again")

    def dead(self) -> bool:
        return self.handle >= 0 and bool(select.select([self.handle], [], [], 0)[0])

    def close(self) -> None:
        """Of its own descriptors; ``listener`` is closed by the tripwire once there is one."""
        for fd in (self.handle, self.out, self.view):
            if fd >= 0:
                os.close(fd)
        self.handle = self.out = self.view = -1


@dataclass(slots=True)
class Spare:
    """One trial to be."""

    forked: Forked
    group: Group | None

    @classmethod
    def make(cls, fork: Fork, groups: Home | None, limits: Limits) -> Spare:
        """Ask for one; it is not waited for. Raises ``Fault`` where there is no group or no warm process."""
        try:
            group = groups.create(**_caps(limits)) if groups is not None else None
        except OSError as error:
            raise Fault("control-group", f"no control group: {error}", fix="run `festina doctor`") from error
        with contextlib.ExitStack() as undo:
            if group is not None:
                undo.callback(group.destroy)
            made = cls(fork(group.entrances if group is not None else ()), group)
            undo.pop_all()
        return made

    def usable(self) -> bool:
        """Whether it still lives, as far as has been heard."""
        return not self.forked.dead() and self.forked.listen()

    def limit(self, limits: Limits) -> None:
        """Give its group the limits of the job that is about to be sent."""
        if self.group is not None:
            try:
                self.group.limit(**_caps(limits))
            except OSError as error:
                raise Fault("control-group", f"no limits: {error}", fix="run `festina doctor`") from error

    def discard(self) -> None:
        """End it without a job."""
        watch = Watch(Limits())
        watch.launched = self.forked
        watch.bury()
        self.forked.close()
        if self.group is not None:
            self.group.destroy()


def _caps(limits: Limits) -> dict[str, Any]:
    return {"memory_bytes": limits.memory_bytes, "pids": limits.pids + 1, "cpus": limits.cpus}


class Spares:
    """Those of one warm process. Safe to share between threads."""

    def __init__(self, fork: Fork, groups: Home | None) -> None:
        self.fork = fork
        self.groups = groups
        self._waiting: list[Spare] = []
        self._making = 0
        self._lock = threading.Lock()

    def take(self, limits: Limits) -> Spare:
        """One for a job under ``limits``: the one that waited longest, else a new one."""
        while True:
            with self._lock:
                spare = self._waiting.pop(0) if self._waiting else None
            if spare is None:
                return Spare.make(self.fork, self.groups, limits)
            if spare.usable():
                try:
                    spare.limit(limits)
                except Fault:
                    spare.discard()
                    raise
                return spare
            spare.discard()  # such as when the host ran out of memory meanwhile

    def provide(self, limits: Limits, wanted: int) -> None:
        """See that so many wait. Where one cannot be made, the next trial finds out."""
        with self._lock:
            missing = max(0, min(wanted, _MOST) - len(self._waiting) - self._making)
            self._making += missing
        for _ in range(missing):
            made = None
            with contextlib.suppress(Fault):
                made = Spare.make(self.fork, self.groups, limits)
            with self._lock:
                self._making -= 1
                if made is not None:
                    self._waiting.append(made)

    def trim(self, kept: int) -> None:
        """End all but the newest ``kept``."""
        with self._lock:
            cut = max(0, len(self._waiting) - kept)
            ended, self._waiting = self._waiting[:cut], self._waiting[cut:]
        for spare in ended:
            spare.discard()

    def close(self) -> None:
        """End them all. The owner sees that nobody takes or provides any more."""
        self.trim(0)
