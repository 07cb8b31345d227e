"""The engine's side of one warm process: a long-lived bubblewrap box with ``zygote.py`` in it.

The box has namespaces, a uid and a control group of its own, the same read-only runtime as a cold box, and no secret.
It has no system-call filter: there can be one listener in a chain of filters, and the trials need it; what runs in
it is Festina's own script and the modules that the operator named. It ends with the engine, whatever ends that.  # E-1

Not covered: a kernel bug that a trial uses reaches the outer box's namespaces first and the host's only then, but the
uid is the same; names of mount points that the engine asked for stay visible to later trials as empty folders.
"""

from __future__ import annotations

import array
import json
import os
import select
import socket
import time
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from festina.errors import Fault, UsageError
from festina.sandbox import kernel, landlock
from festina.sandbox.cgroup import Home
from festina.sandbox.job import Limits
from festina.sandbox.launch import Request, shared
from festina.sandbox.place import lease_uid
from festina.sandbox.runtime import Runtime, environment
from festina.sandbox.spares import Forked, Spares
from festina.sandbox.spawner import EXTRA, STAGE
from festina.sandbox.supervise import Watch
from festina.system.scratch import stamp

__all__ = ["INNER_ID", "SCRIPTS", "SHOWN", "Outer", "Plan"]

INNER_ID = "1000"
SHOWN = "/.shown"
_PLACE = "/.festina"
SCRIPTS = (
    Path(__file__).with_name("zygote.py"),
    Path(__file__).with_name("becoming.py"),
    Path(landlock.__file__),
)
_NAMESPACES = ("user", "ipc", "pid", "net", "uts", "cgroup")
_PRELOAD_S = 300.0  # a torch with CUDA takes 9 s on a loaded machine; what hangs is not waited for forever
_BYTES = 8 << 30  # of the zygote itself; a trial's memory is its own group's
_PIDS = 512  # trials on the way into their own groups
_TMP = str(1 << 20)


@dataclass(frozen=True, slots=True)
class Plan:
    """All that makes an outer box what it is."""

    bwrap: str
    private: bool  # as in ``Mechanisms``
    root: bool  # whether the engine is
    uid: int | None  # as root: the one to use; None: one that no other run has
    runtime: Runtime
    python: str
    preload: tuple[str, ...]
    groups: Home | None
    policy: dict[str, Any]  # for the zygote; see ``zygote.py``
    state: Path

    @property
    def shown(self) -> Path | None:
        """Without root: the folder with everything that trials can be shown."""
        return None if self.root else self.state

    def leftovers(self) -> tuple[str, ...]:
        """Patterns of what trials of this engine would leave if it were killed."""
        homes = set(self.groups.bases) if self.groups is not None else set()
        return (f"{self.state}/box-{stamp()}-*", *(f"{home}/festina-{stamp()}-*" for home in sorted(homes)))

    def arguments(self) -> list[str]:
        """bwrap's constant arguments before and after the binds. The root stays writable for mount points of trials,
        each of which makes it read-only for itself."""
        words = [f"--unshare-{name}" for name in _NAMESPACES]
        words += ["--uid", INNER_ID, "--gid", INNER_ID, "--hostname", "box", "--die-with-parent", "--new-session"]
        words += ["--proc", "/proc", "--dev", "/dev"]
        words += ["--size", _TMP, "--tmpfs", "/dev/shm", "--remount-ro", "/dev"]
        return [*words, "--dir", f"{_PLACE}/empty", "--dir", "/in", "--dir", "/out", "--chdir", "/"]


@dataclass(slots=True)
class Outer:
    """A running outer box. ``open`` makes one; ``users`` and ``retired`` are the owner's book-keeping."""

    plan: Plan
    stack: ExitStack
    users: int = 0
    started: int = 0
    retired: bool = False
    watch: Watch = field(default_factory=lambda: Watch(Limits()))
    control: socket.socket = field(init=False)
    spares: Spares = field(init=False)
    _said: int = -1

    def __post_init__(self) -> None:
        self.spares = Spares(self.fork, self.plan.groups)

    @classmethod
    def open(cls, plan: Plan) -> Outer:
        with ExitStack() as stack:
            outer = cls(plan, stack)
            outer._launch()
            outer._await_ready()
            outer.stack = stack.pop_all()
        return outer

    def _launch(self) -> None:
        plan, stack = self.plan, self.stack
        doors: tuple[str, ...] = ()
        groups: tuple[str, ...] = ()
        if plan.groups is not None:
            group = plan.groups.create(memory_bytes=_BYTES, pids=_PIDS)
            stack.callback(group.destroy)
            doors, groups = group.entrances, tuple(map(str, group.paths))
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.control = stack.enter_context(ours)
        nothing = os.open(os.devnull, os.O_RDWR | os.O_CLOEXEC)
        self._said = os.memfd_create("festina", os.MFD_CLOEXEC)
        stack.callback(os.close, self._said)
        info, info_w = os.pipe2(os.O_CLOEXEC)
        stack.callback(os.close, info)
        sources, words = self._binds()
        paper = kernel.sealed_file(b"".join(os.fsencode(word) + b"\0" for word in words))
        policy = kernel.sealed_file(json.dumps({**plan.policy, "preload": plan.preload}).encode())
        command = (plan.bwrap, "--args", str(EXTRA), "--", plan.python, f"{_PLACE}/zygote.py")
        request = Request(
            argv=(*command, str(EXTRA + 2), str(EXTRA + 3)),
            env=environment(plan.runtime.path, {}),
            uid=stack.enter_context(lease_uid()) if plan.root and plan.uid is None else plan.uid,
            rlimits={},
            stage=tuple((source,) for source in sources) if plan.root else (),
            private=plan.private,
            cgroup=doors,
            cleanup=(*groups, *plan.leftovers()),
        )
        extra = (paper, info_w, theirs.fileno(), policy)
        try:
            self.watch.launched = shared().launch(request, (nothing, nothing, self._said), extra)
        finally:
            theirs.close()
            for fd in (nothing, info_w, paper, policy):
                os.close(fd)
        stack.callback(self.watch.bury)
        told = b""
        while b"}" not in told and (chunk := os.read(info, 4096)):
            told += chunk
        if b"}" in told:
            self.watch.launched.tell(f"init {json.loads(told)['child-pid']}")

    def _binds(self) -> tuple[list[str], list[str]]:
        """The sources in order, and bwrap's arguments; as root sources are staged under a number."""
        plan = self.plan
        pairs = [*plan.runtime.binds, *((str(path), f"{_PLACE}/{path.name}") for path in SCRIPTS)]
        pairs += [(str(plan.shown), SHOWN)] if plan.shown is not None else []
        words = ["--info-fd", str(EXTRA + 1), "--size", _TMP, "--tmpfs", "/tmp"]
        for index, (source, target) in enumerate(pairs):
            words += ["--ro-bind", f"{STAGE}/{index}" if plan.root else source, target]
        for link, target in plan.runtime.links:
            words += ["--symlink", link, target]
        return [source for source, _ in pairs], words + plan.arguments()

    def _await_ready(self) -> None:
        """Until everything is imported. What cannot be is the operator's to mend, never a candidate's fault.  # T-6"""
        module = ""
        self.control.settimeout(_PRELOAD_S)
        deadline = time.monotonic() + _PRELOAD_S
        while time.monotonic() < deadline:
            try:
                message = self.control.recv(4096)
            except TimeoutError:
                break
            if not message:
                raise self._failure(module, self._stderr() or "the process ended")
            said = json.loads(message)
            if "ready" in said:
                self.control.settimeout(None)
                return
            if "failed" in said:
                raise self._failure(said["failed"], said["why"])
            module = said["importing"]
        raise self._failure(module, f"it took longer than {_PRELOAD_S:.0f} s")

    def _failure(self, module: str, why: str) -> UsageError | Fault:
        if not module:
            return Fault(
                "warm-box-did-not-start", f"the warm box could not be built: {why}", fix="run `festina doctor`"
            )
        return UsageError(
            "preload-failed",
            f"importing {module!r} in the warm box failed: {why}",
            fix=f"make `{os.path.basename(self.plan.python)} -c 'import {module}'` work, or take it out of the list",
            where="festina.toml: experiment.preload",
        )

    def _stderr(self) -> str:
        return os.pread(self._said, 1 << 16, 0).decode(errors="replace").strip()[-500:]

    def alive(self) -> bool:
        launched = self.watch.launched
        if launched is None or self.watch.gone:
            return False
        while select.select([launched.connection], [], [], 0)[0]:
            if not launched.hear():
                self.watch.lost = True
            if self.watch.gone:
                return False
        return True

    def fork(self, doors: tuple[str, ...]) -> Forked:
        """Ask for the first process of one trial. ``doors``: the entrances of its control group."""
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        handles = array.array("i", [theirs.fileno()])
        try:
            for door in doors:
                handles.append(os.open(door, os.O_WRONLY | os.O_CLOEXEC))
            self.control.sendmsg([b"run"], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, handles)], socket.MSG_NOSIGNAL)
        except OSError as error:
            ours.close()
            raise Fault("warm-box-lost", f"the warm box is gone: {error.strerror}", fix="run again") from error
        finally:
            theirs.close()
            for fd in handles[1:]:
                os.close(fd)
        return Forked(ours)

    def close(self) -> None:
        self.spares.close()
        self.stack.close()
