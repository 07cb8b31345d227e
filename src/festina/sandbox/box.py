"""The box: bubblewrap, one system-call filter over everything in it, a control group where there is one.

Order of a run, each step needing the one before: limits, group, identity and filter are put on the
launcher (``spawner.py``); it becomes ``bwrap``, which builds the view; a shell in the finished box reports
ready and waits; the engine pins the box's ``/out`` by a descriptor, arms the tripwire, opens the gate. At
the end the spawner sees the box's PID 1 exit, which proves that its whole PID namespace is dead; only then
``/out`` is read through the pinned descriptor. Nothing is mounted outside the box's own namespaces, so a
killed engine leaves no mount.  # E-1, E-4

As root every run has a uid that no account and no other run has (``lease_uid``; from the range 60706-61183
that systemd's uid table leaves unused): ``bwrap`` itself is started after the switch, and what
that uid could not reach on the host is bind-mounted for it in the launcher's private mount namespace.
Started by another user, the separation is by namespace only.  # T-1

As root shared folders are shown through an overlay of each run's own, so that locks and watches do not meet.

Not covered: kernel bugs, timing side channels; without root, locks and watches (inotify) on shared read-only files
and names of host paths in ``/proc/self/mountinfo``. ``/tmp``, ``/out`` and ``/dev/shm`` live in memory and count
toward it.
"""

from __future__ import annotations

import hashlib
import json
import os
import select
import socket
import threading
import time
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import NamedTuple

from festina.errors import Fault, UsageError
from festina.sandbox import doorway, gpu, kernel
from festina.sandbox.cgroup import Group, Home
from festina.sandbox.finish import Finished, Stamp, conclude
from festina.sandbox.job import Ended, Job, Level, Limits, Outcome
from festina.sandbox.launch import Launched, Request, shared
from festina.sandbox.place import (
    CANDIDATE_UID,
    PROPOSER_UID,
    can_layer,
    can_separate,
    check_job,
    check_uid,
    fill,
    lease_uid,
    prepare_state,
    scratch,
)
from festina.sandbox.runtime import FIXED_ENV, environment, masked, runtime
from festina.sandbox.seccomp import Action, Part, compile_filter, here
from festina.sandbox.spawner import EXTRA, STAGE
from festina.sandbox.supervise import GroupMeter, Space, Stream, TreeMeter, Tripwire, Watch, rlimits

__all__ = ["CANDIDATE_UID", "PROPOSER_UID", "SHARED_FILES", "SHOWN_NAMES", "BubblewrapBox", "Mechanisms"]

SHOWN_NAMES = "names of shown folders of the host stand in the list of mounts"
SHARED_FILES = "locks and watches on shared files can carry a signal to a run beside this one"
_INNER_ID = "1000"  # the same number in every box, so that nothing depends on who started the engine
_READY_S = 30.0
_SHM_BYTES = 64 << 20
_ROOM = 64  # pages of slack in /out, so that passing the cap is seen as such and not only as a full disk
_NAMESPACES = ("user", "ipc", "pid", "net", "uts", "cgroup")
_TMP_FILES = 1 << 16
_BUILDERS = 16  # processes that building a box may take beyond the job's own number, before the gate opens


@dataclass(frozen=True, slots=True)
class Mechanisms:
    """What the probe found to work here."""

    bwrap: str
    notify: bool
    disable_userns: bool
    groups: Home | None
    private: bool  # shared files get inodes of each run's own: locks and watches on them do not meet
    process_flag: str  # the shell's letter for RLIMIT_NPROC: u or p; empty where it has none


class Filters(NamedTuple):
    """The two system-call filters of a box."""

    outer: bytes
    inner: bytes


def _filters(*, notify: bool, loopback: bool) -> Filters:
    if notify:
        recorded = compile_filter(Action.NOTIFY, part=Part.OUTER_RECORDED, loopback=loopback)
        return Filters(recorded, compile_filter(Action.EPERM, part=Part.INNER_MOUNTS))
    silent = compile_filter(Action.EPERM, part=Part.OUTER_SILENT, loopback=loopback)
    return Filters(silent, compile_filter(Action.EPERM, loopback=loopback))


class BubblewrapBox:
    """L3 with a control group, L2 without. Safe to share between threads; ``kill_all`` ends what runs."""

    def __init__(self, state: Path, mechanisms: Mechanisms, *, uid: int | None = None) -> None:
        """``uid``: one for all runs of this box, as root; without it each run has its own."""
        self.state = prepare_state(state)
        self.mechanisms = mechanisms
        self.root = can_separate()
        self.uid = check_uid(uid) if self.root and uid is not None else None
        machine = here()
        if machine is None:
            raise UsageError("no-such-machine", "there is no system-call table for this machine", fix="use x86_64")
        self.arch = machine
        self.runtime = runtime(self.state)
        self.filters = _filters(notify=mechanisms.notify, loopback=False)
        self.door_filters = _filters(notify=mechanisms.notify, loopback=True)
        self.level = Level.L3 if mechanisms.groups else Level.L2
        self.missing = self._lacks()
        self.policy_hash = self._hash(self.filters)
        self.layers = self.root and can_layer(self.state)
        self.stamp = Stamp(self.level, self.missing, self.policy_hash, "cold")
        with_door = self._hash(self.door_filters, doorway.STEP)
        self.door_stamp = Stamp(self.level, (*self.missing, doorway.LACK), with_door, "cold")
        self._live: set[Watch] = set()
        self._lock = threading.Lock()

    def run(self, job: Job, limits: Limits) -> Outcome:
        check_job(job, self.state)
        env = environment(self.runtime.path, job.env)
        watch = Watch(limits)
        with self._lock:
            self._live.add(watch)
        try:
            with ExitStack() as stack:
                return _Run(self, job, limits, env, watch, stack).go()
        finally:
            with self._lock:
                self._live.discard(watch)

    def kill_all(self) -> None:
        """End every run of this box now, from any thread; each returns ``sandbox_error``, nobody's failure."""
        with self._lock:
            live = list(self._live)
        for watch in live:
            watch.stop()

    def _lacks(self) -> tuple[str, ...]:
        found = []
        if self.mechanisms.groups is None:
            found.append("no control group: memory and CPU of the whole tree are sampled, not capped")
        if not self.mechanisms.notify:
            found.append("no seccomp listener: denied system calls are refused but not recorded")
        if not self.mechanisms.disable_userns:
            found.append("nested user namespaces are refused by the system-call filter alone")
        if not self.mechanisms.private:
            found += [SHARED_FILES, SHOWN_NAMES]
        if not self.root:
            found.append("not root: candidates, verifier and engine share one uid; the separation is by namespace")
        return tuple(found)

    def _hash(self, filters: Filters, *more: str) -> str:
        policy = {
            "outer": filters.outer.hex(),
            "inner": filters.inner.hex(),
            "door": more,
            "arguments": self.frame(Limits()),
            "env": FIXED_ENV,
            "level": int(self.level),
            "missing": self.missing,
        }
        return hashlib.sha256(json.dumps(policy, sort_keys=True).encode()).hexdigest()

    def frame(self, limits: Limits) -> list[list[str]]:
        """The constant arguments of bwrap: before, between and after the binds of a job."""
        first = [f"--unshare-{name}" for name in _NAMESPACES]
        first += ["--disable-userns"] if self.mechanisms.disable_userns else []
        first += ["--uid", _INNER_ID, "--gid", _INNER_ID, "--hostname", "box", "--die-with-parent", "--new-session"]
        first += ["--size", str(limits.tmp_bytes), "--tmpfs", "/tmp"]
        then = ["--proc", "/proc", "--dev", "/dev"]
        for path in masked(self.runtime):
            then += ["--dev-bind", "/dev/null", path]  # a read-only bind would refuse to open a device
        then += ["--size", str(min(limits.tmp_bytes, _SHM_BYTES)), "--tmpfs", "/dev/shm"]
        then += ["--size", str(limits.output_bytes + _ROOM * os.sysconf("SC_PAGE_SIZE")), "--tmpfs", "/out"]
        return [first, then, ["--remount-ro", "/", "--chdir", "/"]]


class _Run:
    """One run of a ``BubblewrapBox``; lives as long as the call. ``stack`` undoes everything, newest first."""

    def __init__(
        self, box: BubblewrapBox, job: Job, limits: Limits, env: dict[str, str], watch: Watch, stack: ExitStack
    ) -> None:
        self.box, self.job, self.limits, self.env, self.watch, self.stack = box, job, limits, env, watch, stack
        self.group: Group | None = None
        self.sources: list[tuple[str, ...]] = []  # each with the layers below it
        self.scratch: Path | None = None
        self.tripwire: Tripwire | None = None
        self.passed: list[int] = []  # descriptors that the launcher gets; closed here once it has them
        self.info = b""
        self.uid = box.uid
        self.devices = gpu.require() if job.gpu else ()
        self.filters = box.filters if job.door is None else box.door_filters

    def go(self) -> Outcome:
        box, limits = self.box, self.limits
        if self.job.door is not None:
            self.stack.callback(self.job.door.close)
        if box.root and self.uid is None:
            self.uid = self.stack.enter_context(lease_uid())
        if box.mechanisms.groups is not None:
            try:
                self.group = box.mechanisms.groups.create(
                    memory_bytes=limits.memory_bytes, pids=limits.pids + _BUILDERS, cpus=limits.cpus
                )
            except OSError as error:
                raise Fault("control-group", f"no control group: {error}", fix="run `festina doctor`") from error
            self.stack.callback(self.group.destroy)
        if self.job.inputs:
            self.scratch = self.stack.enter_context(scratch(box.state))
            fill(self.scratch / "in", self.job.inputs)
        gate, out, err, info = self._launch()
        ready = self._await_ready(out, err, info)
        init = json.loads(self.info)["child-pid"] if ready else 0
        streams = [Stream(out, limits.stdout_bytes), Stream(err, limits.stdout_bytes)]
        if not ready:
            return conclude(Finished(self.job, self.watch, streams, self._stamp(), self.tripwire))
        pinned = self._pin(init, "out", limits.output_files + 16)
        self._pin(init, "tmp", _TMP_FILES)
        meter = self._meter(init)
        self._launched().tell(f"init {init}")
        if self.tripwire is not None:
            _await_filters(init, 2)
            self.tripwire.arm(builder=init)
        if self.job.door is not None:
            self.job.door.open(doorway.take(gate))
        if not self.watch.stopped:
            try:
                os.write(gate, b"\n")
            except BrokenPipeError:  # the box died before the job's first instruction: not the job's doing  # T-6
                self.watch.own = Ended.SANDBOX_ERROR
        space = Space(pinned, limits)
        self.watch.follow(streams, [meter, space])
        return conclude(Finished(self.job, self.watch, streams, self._stamp(), self.tripwire, meter, space))

    def _stamp(self) -> Stamp:
        """What the box says of itself, and whether a shown folder could not be given inodes of its own."""
        stamp = self.box.stamp if self.job.door is None else self.box.door_stamp
        if not self._launched().said.get("shared"):
            return stamp
        return replace(stamp, missing=(*stamp.missing, SHARED_FILES))

    def _launched(self) -> Launched:
        if self.watch.launched is None:
            raise RuntimeError("nothing was launched")
        return self.watch.launched

    def _launch(self) -> tuple[int, int, int, int]:
        """Start the launcher; returns the gate's writing end and the reading ends of stdout, stderr and info."""
        box = self.box
        arguments = self._arguments()
        self.stack.callback(self._close_passed)
        gate = self._pipe(0) if self.job.door is None else self._pair()
        out, err, info = self._pipe(1), self._pipe(1), self._pipe(1)
        self.passed.insert(3, kernel.sealed_file(b"".join(os.fsencode(word) + b"\0" for word in arguments)))
        self.passed.append(kernel.sealed_file(self.filters.inner))
        groups = tuple(map(str, self.group.paths)) if self.group else ()
        command = (box.mechanisms.bwrap, "--args", str(EXTRA), "--", "/bin/sh", "-c", self._script(), "sh")
        request = Request(
            argv=(*command, self.job.cwd, *self.job.argv),
            env=self.env,
            uid=self.uid,
            rlimits=rlimits(self.limits, per_process_memory=self.group is None, gpu=self.job.gpu),
            groups=gpu.groups_for(self.devices) if box.root else (),
            stage=tuple(self.sources) if box.root else (),
            private=box.mechanisms.private,
            cgroup=self.group.entrances if self.group else (),
            filter=self.filters.outer,
            notify=box.mechanisms.notify,
            cleanup=(*groups, *([str(self.scratch)] if self.scratch else [])),
        )
        stdin, stdout, stderr, *extra = self.passed
        self.watch.launched = shared().launch(request, (stdin, stdout, stderr), tuple(extra))
        self.stack.callback(self._close_listener)
        self.stack.callback(self.watch.bury)
        self._close_passed()
        return gate, out, err, info

    def _pipe(self, passed_end: int) -> int:
        ends = os.pipe2(os.O_CLOEXEC)
        self.passed.append(ends[passed_end])
        self.stack.callback(os.close, ends[1 - passed_end])
        return ends[1 - passed_end]

    def _pair(self) -> int:
        """The gate's standard input where a descriptor has to come back through it."""
        ours, theirs = socket.socketpair()
        self.passed.append(theirs.detach())
        kept = ours.detach()
        self.stack.callback(os.close, kept)
        return kept

    def _close_passed(self) -> None:
        while self.passed:
            os.close(self.passed.pop())

    def _close_listener(self) -> None:
        if self.tripwire is None and self._launched().listener >= 0:
            os.close(self._launched().listener)

    def _bind(self, source: str | Path, target: str, below: tuple[Path, ...] = ()) -> list[str]:
        """As root sources are staged under a number, so that the unprivileged bwrap can reach them."""
        self.sources.append((str(source), *(str(layer.resolve()) for layer in below)))
        shown = str(source) if not self.box.root else f"{STAGE}/{len(self.sources) - 1}"
        return ["--ro-bind", shown, target]

    def _arguments(self) -> list[str]:
        """All of bwrap's options; they reach it through a descriptor, so none is readable in the box."""
        first, then, last = self.box.frame(self.limits)
        words = ["--info-fd", str(EXTRA + 1), "--seccomp", str(EXTRA + 2), *first]
        for source, target in self.box.runtime.binds:
            words += self._bind(source, target)
        for link, target in self.box.runtime.links:
            words += ["--symlink", link, target]
        words += then
        for device in self.devices:
            words += ["--dev-bind", device.source, device.target]
        for path in gpu.SYSTEM if self.devices else ():
            words += ["--ro-bind", path, path] if os.path.exists(path) else []
        words += ["--remount-ro", "/dev"]
        words += self._bind(self.scratch / "in", "/in") if self.scratch else ["--dir", "/in"]
        for bind in self.job.binds:
            words += self._bind(bind.source.resolve(), bind.target, bind.below)
        if self.job.work is not None:
            words += self._bind(self.job.work.resolve(), "/.work")
        return words + last

    def _script(self) -> str:
        """The trusted shell at the gate: nothing of the job has run when it reads the go-ahead."""
        steps = []
        if self.job.work is not None:
            steps.append("cp -R /.work /out/work && chmod -R u+rwX /out/work || exit 120")
        if self.group is None and self.box.mechanisms.process_flag:
            # PID 1 and one over, so that passing the limit is seen
            steps.append(f"ulimit -{self.box.mechanisms.process_flag} {self.limits.pids + 2} || exit 120")
        if self.job.door is not None:
            steps.append(f"{doorway.STEP} || exit 120")
        return "; ".join(
            [*steps, 'cd "$1" || exit 120', "shift; echo; read go || exit 121", "exec </dev/null", 'exec "$@"']
        )

    def _await_ready(self, out: int, err: int, info: int) -> bool:
        """Until the box is built. False when the run was stopped meanwhile; a box that cannot be built is a Fault."""
        launched = self._launched()
        said = bytearray()
        ready = False
        deadline = time.monotonic() + _READY_S
        poll = select.poll()
        for fd in (out, err, info, launched.connection.fileno()):
            poll.register(fd, select.POLLIN)
        while time.monotonic() < deadline and "error" not in launched.said and not self.watch.gone:
            for fd, _event in poll.poll(1000):
                if fd == out:
                    ready = os.read(out, 1) == b"\n"  # one byte: what follows belongs to the job
                    poll.unregister(out)
                elif fd == launched.connection.fileno():
                    self.watch.lost = not launched.hear()
                    if launched.listener >= 0 and self.tripwire is None:
                        self._trip(launched.listener)
                else:
                    chunk = os.read(fd, 4096)
                    if not chunk:
                        poll.unregister(fd)
                    elif fd == info:
                        self.info += chunk
                    else:
                        said += chunk
            if ready and b"}" in self.info:
                return not self.watch.stopped
        if self.watch.stopped:
            return False
        why = str(launched.said.get("error") or said.decode(errors="replace").strip() or "it was not ready in time")
        raise Fault("box-did-not-start", f"the box could not be built: {why}", fix="run `festina doctor`")

    def _trip(self, listener: int) -> None:
        self.tripwire = Tripwire(listener, self.box.arch)
        self.tripwire.start()

    def _pin(self, init: int, name: str, files: int) -> int:
        """Hold the box's own file system by a descriptor, and cap its number of files.

        Through the gate's shell and not PID 1, whose /proc entry is closed to an engine that is not root.
        """
        try:
            gate = int(Path(f"/proc/{init}/task/{init}/children").read_text().split()[0])
            pinned = os.open(f"/proc/{gate}/root/{name}", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        except (OSError, ValueError, IndexError) as error:
            raise Fault("box-vanished", f"the box's /{name} cannot be opened: {error}", fix="run again") from error
        self.stack.callback(os.close, pinned)
        kernel.cap_inodes(pinned, files)  # refused without root: then the poll of /out sees an excess
        return pinned

    def _meter(self, init: int) -> GroupMeter | TreeMeter:
        if self.group is None:
            return TreeMeter(init, self.limits, spare=1)
        self.group.limit_pids(self.limits.pids + 2)  # bwrap outside and PID 1 inside
        meter = GroupMeter(self.group, self.limits)
        meter.begin()
        return meter


def _await_filters(init: int, count: int) -> None:
    """Until bwrap's PID 1 has put the inner filter on itself, which it does at its own time, beside the gate's shell.

    Once the tripwire is armed that call would be denied, and the box would die of it. Kernels before 5.9 do not show
    the number of filters; there nothing is waited for.
    """
    deadline = time.monotonic() + _READY_S
    while time.monotonic() < deadline:
        try:
            text = Path(f"/proc/{init}/status").read_text()
        except OSError:
            return  # it is gone: whoever follows the run sees that
        found = text.partition("Seccomp_filters:")[2].split(maxsplit=1)
        if not found or int(found[0]) >= count:
            return
        time.sleep(0.0005)
