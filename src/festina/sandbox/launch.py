"""The engine's side of the spawner: one helper process per engine, started at first use.

``Spawner.launch`` may be called from any thread. A ``Launched`` is one run; closing its connection,
by intent or by crash, makes the spawner kill that run's whole tree.
"""

from __future__ import annotations

import array
import atexit
import json
import os
import select
import socket
import subprocess
import sys
import threading
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from festina.errors import Fault
from festina.sandbox.kernel import sealed_file
from festina.sandbox.seccomp import here
from festina.system.scratch import stamp

__all__ = ["Launched", "Request", "Spawner", "shared"]

_START_S = 20.0


@dataclass(frozen=True, slots=True)
class Request:
    """What the spawner's child becomes. ``extra`` descriptors get numbers 10, 11, ... in it."""

    argv: tuple[str, ...]
    env: dict[str, str]
    uid: int | None
    rlimits: dict[int, int]
    groups: tuple[int, ...] = ()  # supplementary, with ``uid``: for devices
    stage: tuple[tuple[str, ...], ...] = ()  # each source with the layers below it
    private: bool = False  # staged files get inodes of this run's own where that can be had
    cgroup: tuple[str, ...] = ()
    filter: bytes = b""
    notify: bool = False
    landlock: bool = False  # the first extra descriptor is a Landlock ruleset to put on
    keep: bool = False
    cwd: str = ""
    cleanup: tuple[str, ...] = ()  # removed by the spawner if the engine dies during the run

    def encode(self) -> bytes:
        machine = here()
        return json.dumps(
            {
                "argv": self.argv,
                "env": self.env,
                "uid": self.uid,
                "rlimits": self.rlimits,
                "groups": self.groups,
                "stage": self.stage,
                "private": self.private,
                "cgroup": self.cgroup,
                "filter": self.filter.hex(),
                "notify": self.notify,
                "seccomp": machine.seccomp if machine else 0,
                "landlock": self.landlock,
                "keep": self.keep,
                "cwd": self.cwd,
                "cleanup": self.cleanup,
            }
        ).encode("utf-8", "surrogateescape")


@dataclass(slots=True)
class Launched:
    """One run that the spawner was asked for. ``said`` gathers what was reported so far."""

    connection: socket.socket
    said: dict[str, Any] = field(default_factory=dict)
    listener: int = -1

    def hear(self) -> bool:
        """Take one report; False when the spawner is gone."""
        size = socket.CMSG_SPACE(array.array("i").itemsize)
        try:
            message, ancillary, _, _ = self.connection.recvmsg(4096, size, socket.MSG_CMSG_CLOEXEC)
        except ConnectionResetError:  # it closed with something of ours unread; what it said before is still here
            try:
                message, ancillary, _, _ = self.connection.recvmsg(4096, size, socket.MSG_CMSG_CLOEXEC)
            except ConnectionError:
                return False
        except ConnectionError:
            return False
        for _level, _kind, data in ancillary:
            handles = array.array("i")
            handles.frombytes(data[: handles.itemsize])
            self.listener = handles[0]
        if not message:
            return False
        self.said.update(json.loads(message))
        return True

    def tell(self, text: str) -> None:
        try:
            self.connection.send(text.encode(), socket.MSG_NOSIGNAL)
        except OSError:
            pass  # the spawner is gone, and the run with it: the reader of the connection sees that

    def kill(self) -> None:
        self.tell("kill")


class Spawner:
    """The helper process. Dies with the engine and takes every run along.  # E-1"""

    def __init__(self) -> None:
        self._owner = os.getpid()
        self._lock = threading.Lock()
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        script = str(Path(__file__).with_name("spawner.py"))
        command = [sys.executable, "-I", "-S", "-E", script, str(theirs.fileno()), str(self._owner), stamp()]
        with theirs:
            self._process = subprocess.Popen(
                command,
                pass_fds=[theirs.fileno()],
                start_new_session=True,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                cwd="/",
                env={"LC_ALL": "C.UTF-8"},
            )
        self._control = ours
        if not select.select([ours], [], [], _START_S)[0] or ours.recv(16) != b"ready":
            self.close()
            raise Fault(
                "spawner-did-not-start", "the sandbox helper did not start", fix="see its message above and try again"
            )

    @property
    def pid(self) -> int:
        return self._process.pid

    def usable(self) -> bool:
        return self._owner == os.getpid() and self._process.poll() is None

    def launch(self, request: Request, stdio: tuple[int, int, int], extra: tuple[int, ...] = ()) -> Launched:
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        paper = sealed_file(request.encode())
        fds = array.array("i", [paper, theirs.fileno(), *stdio, *extra])
        try:
            with self._lock:
                self._control.sendmsg([b"run"], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, fds)], socket.MSG_NOSIGNAL)
        except OSError as error:
            ours.close()
            raise Fault("spawner-lost", f"the sandbox helper is gone: {error.strerror}", fix="run again") from error
        finally:
            theirs.close()
            os.close(paper)
        return Launched(ours)

    def close(self) -> None:
        if self._owner != os.getpid():
            return
        self._control.close()  # its end of file makes the helper kill every run and leave
        try:
            self._process.wait(15)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()


_shared: Spawner | None = None
_shared_lock = threading.Lock()


def shared() -> Spawner:
    """This process's spawner; a new one when it died or when this process is a fork of its owner."""
    global _shared
    with _shared_lock:
        if _shared is None or not _shared.usable():
            _shared = Spawner()
            atexit.register(_shared.close)
        return _shared
