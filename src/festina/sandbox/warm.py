"""The warm box: trials forked from a process that has imported what the system declares.

The same promises as the cold box (``box.py``), for jobs that call Python: a view, processes, network and IPC of their
own, the same system-call filter with a record of denied calls, a control group, results read after death through a
descriptor of ``/out`` that was pinned before the candidate began. The isolation is put up by the trial's own first
process (``zygote.py``), inside an outer bubblewrap box (``outer.py``).  # T-2, T-3, E-1, E-2, E-4

A job that a warm process cannot carry out runs in the cold box, and its outcome says so with the reason. The
warm process is replaced after ``_TRIALS`` trials, after any denied call, and when it died.

Not covered, beyond what the cold box does not cover: trials share the address layout of their common ancestor, so
that an address learnt in one helps in another; the outer box and all its trials have one uid on the host, and what
the kernel counts by uid in every namespace (pipe buffers, watch lists) they share while they run side by side; a
candidate can tell from ``sys.modules`` that it runs in a warm process. As root a trial's trees are handed over as
mounts that are attached nowhere else; as a plain user the outer box sees Festina's scratch folder, and each trial
covers it up.
"""

from __future__ import annotations

import contextlib
import functools
import hashlib
import json
import os
import resource
import select
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

from festina.errors import Fault, UsageError
from festina.sandbox import kernel, landlock
from festina.sandbox.box import SHARED_FILES, SHOWN_NAMES, BubblewrapBox
from festina.sandbox.cgroup import Group
from festina.sandbox.finish import Finished, Stamp, conclude
from festina.sandbox.job import Ended, Job, Limits, Outcome
from festina.sandbox.outer import INNER_ID, SCRIPTS, SHOWN, Outer, Plan
from festina.sandbox.place import check_job, fill, scratch
from festina.sandbox.pycall import PythonCall, interpreter, read_call
from festina.sandbox.runtime import FIXED_ENV, environment, masked
from festina.sandbox.seccomp import Action, Part, compile_filter
from festina.sandbox.spares import Forked, Spare
from festina.sandbox.supervise import GroupMeter, Space, Stream, TreeMeter, Tripwire, Watch, rlimits

__all__ = ["WarmBox"]

_TRIALS = 1000
_READY_S = 30.0
_SHM_BYTES = 64 << 20
_SHARED_UID = "trials of one warm process share one uid: what the kernel counts by user can carry a signal"
_ROOM = 64  # pages of slack in /out, as in the cold box
_TMP_FILES = 1 << 16


class WarmBox:
    """L3 with a control group, L2 without. Safe to share between threads; ``close`` it when done."""

    def __init__(self, cold: BubblewrapBox, preload: tuple[str, ...], *, python: str = "python3") -> None:
        self.cold = cold
        self.state = cold.state
        self.level = cold.level
        self.missing = tuple(dict.fromkeys((*cold.missing, _SHARED_UID, SHOWN_NAMES)))
        self.layers = cold.layers
        mechanisms = cold.mechanisms
        found = interpreter(python, cold.runtime.path)
        if found is None:
            raise UsageError("not-python", f"{python!r} is no Python interpreter", fix="name the one that trials use")
        self.python = found
        notify = mechanisms.notify
        policy = {
            "id": INNER_ID,
            "notify": notify,
            "filter": compile_filter(Action.NOTIFY, part=Part.OUTER_RECORDED).hex()
            if notify
            else compile_filter(Action.EPERM).hex(),
            "inner": compile_filter(Action.EPERM, part=Part.INNER_MOUNTS).hex() if notify else "",
            "landlock": landlock.abi(),
            "one_memory": mechanisms.groups is not None,
            "masked": masked(cold.runtime),
            "runtime": [target for _, target in cold.runtime.binds],
            "covered": "" if cold.root else SHOWN,
            "kept": [target for _, target in cold.runtime.binds if target.startswith("/tmp/")],
        }
        self.plan = Plan(
            mechanisms.bwrap, mechanisms.private, cold.root, cold.uid, cold.runtime, found, preload,
            mechanisms.groups, policy, self.state,
        )  # fmt: skip
        self.policy_hash = self._hash()
        self.stamp = Stamp(self.level, self.missing, self.policy_hash, "warm")
        self._live: set[Watch] = set()
        self._lock = threading.Lock()
        self._outer: Outer | None = None
        self._aside = ThreadPoolExecutor(1, "festina-aside")

    def _hash(self) -> str:
        policy = {
            "zygote": self.plan.policy,
            "scripts": [hashlib.sha256(script.read_bytes()).hexdigest() for script in SCRIPTS],
            "arguments": self.plan.arguments(),
            "env": FIXED_ENV,
            "preload": self.plan.preload,
            "level": int(self.level),
            "missing": self.missing,
            "cold": self.cold.policy_hash,
        }
        return hashlib.sha256(json.dumps(policy, sort_keys=True).encode()).hexdigest()

    def start(self) -> None:
        """Import everything and rehearse one trial. Raises ``UsageError`` naming the module that cannot be imported."""
        outcome = self.run(Job((self.python, "-c", "print(1)")), Limits())
        if outcome.ended is not Ended.OK or outcome.stdout != b"1\n" or outcome.box != "warm":
            raise Fault(
                "warm-box-does-not-work", f"a trial that prints a number ended {outcome.ended}: {outcome.detail}",
                fix="run `festina doctor`; without experiment.preload trials run in cold boxes",
            )  # fmt: skip

    def run(self, job: Job, limits: Limits) -> Outcome:
        check_job(job, self.state)
        call = self._call(job)
        if isinstance(call, str):
            return replace(self.cold.run(job, limits), box=f"cold: {call}")
        environment(self.cold.runtime.path, job.env)  # refuses what no job may set
        watch = Watch(limits)
        with self._lock:
            self._live.add(watch)
        outer = None
        try:
            outer = self._take()
            with ExitStack() as stack:
                outcome = _Run(self, outer, job, call, watch, stack).go()
            if outcome.denied or watch.lost:
                outer.retired = True
            return outcome
        except Fault:
            if outer is not None:
                outer.retired = True
            raise
        finally:
            if outer is not None:
                self._release(outer)
            with self._lock:
                self._live.discard(watch)

    def _call(self, job: Job) -> PythonCall | str:
        if job.gpu:
            return "it asks for a GPU"
        if job.door is not None:
            return "it asks for the model gateway"
        if job.work is not None:
            return "it asks for a writable copy of a folder"
        shown = self.plan.shown
        if shown is not None and not all(bind.source.resolve().is_relative_to(shown) for bind in job.binds):
            return "a shown folder lies outside Festina's own, and the engine is not root"
        return _read_call(job.argv, tuple(sorted(job.env.items())), self.python, self.cold.runtime.path)

    def kill_all(self) -> None:
        """End every run of this box now, from any thread; each returns ``sandbox_error``, nobody's failure."""
        with self._lock:
            live = list(self._live)
        for watch in live:
            watch.stop()
        self.cold.kill_all()

    def let_go(self, forked: Forked) -> None:
        """Close a trial's view by another thread: the kernel makes the last owner wait."""
        view, forked.view = forked.view, -1
        if view >= 0:
            self._aside.submit(os.close, view)

    def close(self) -> None:
        """End the warm process. Runs under way end as ``sandbox_error``; a later run starts a new one."""
        self.kill_all()
        with self._lock:
            outer, self._outer = self._outer, None
        if outer is not None:
            outer.retired = True
            if not outer.users:
                outer.close()
        self._aside.submit(int).result()  # what is being ended aside has ended then

    def _take(self) -> Outer:
        """The warm process in use, or a new one."""
        with self._lock:
            outer = self._outer
            if outer is not None and (outer.retired or outer.started >= _TRIALS or not outer.alive()):
                outer.retired = True
                if not outer.users:
                    outer.close()
                outer = None
            if outer is None:
                self._outer = outer = Outer.open(self.plan)
            outer.users += 1
            return outer

    def _release(self, outer: Outer) -> None:
        with self._lock:
            outer.users -= 1
            if outer.retired and not outer.users:
                if self._outer is outer:
                    self._outer = None
                outer.close()
            elif not outer.users:
                self._aside.submit(outer.spares.trim, 1)


@functools.lru_cache(maxsize=64)
def _read_call(argv: tuple[str, ...], env: tuple[tuple[str, str], ...], python: str, path: str) -> PythonCall | str:
    return read_call(argv, dict(env), python, path)


class _Run:
    """One trial in the warm box; lives as long as the call. ``stack`` undoes everything, newest first."""

    def __init__(self, box: WarmBox, outer: Outer, job: Job, call: PythonCall, watch: Watch, stack: ExitStack) -> None:
        self.box, self.outer, self.job, self.call = box, outer, job, call
        self.watch, self.limits, self.stack = watch, watch.limits, stack
        self.group: Group | None = None
        self.begun = 0.0  # seconds of processor time in the group before the job
        self.tripwire: Tripwire | None = None
        self.shared = 0  # shown trees whose files have the same inodes elsewhere

    def go(self) -> Outcome:
        limits = self.limits
        trees, targets = self._trees()
        spare = self.outer.spares.take(limits)
        self.group = spare.group
        self.begun = spare.group.usage().cpu_s if spare.group is not None else 0.0  # its making is not the job's
        out, err, forked = self._begin(spare, trees, targets)
        streams = [Stream(out, limits.stdout_bytes), Stream(err, limits.stdout_bytes)]
        if not self._await_ready(forked):
            return conclude(Finished(self.job, self.watch, streams, self._stamp(forked), self.tripwire))
        space = Space(forked.out, limits)
        meter = self._meter(forked)
        if not self.outer.retired:
            self.outer.spares.provide(limits, self.outer.users)
        self.watch.follow(streams, [meter, space], self.tripwire)
        if not self.watch.lost and not forked.dead():
            self.watch.lost = True  # the zygote says gone and the kernel does not: believe the kernel  # T-3
        return conclude(Finished(self.job, self.watch, streams, self._stamp(forked), self.tripwire, meter, space))

    def _stamp(self, forked: Forked) -> Stamp:
        """What the box says of itself, and whether some tree could not be given inodes of this trial's own."""
        if not forked.said.get("shared") and not self.shared:
            return self.box.stamp
        return replace(self.box.stamp, missing=(*self.box.missing, SHARED_FILES))

    def _begin(self, spare: Spare, trees: list[list[str]], targets: list[str]) -> tuple[int, int, Forked]:
        """Send the job to the process that waits for one. (stdout, stderr, the trial)."""
        forked = spare.forked
        if spare.group is not None:
            self.stack.callback(spare.group.destroy)
        self.watch.launched = forked
        self.stack.callback(forked.close)
        self.stack.callback(self.box.let_go, forked)
        self.stack.callback(self._close_listener, forked)
        self.stack.callback(self.watch.bury)
        with ExitStack() as passed:
            handles = []
            for layers, target in zip(trees, targets, strict=True) if self.outer.plan.shown is None else ():
                handles.append(self._handed(layers, target))
                passed.callback(os.close, handles[-1])
            (out, out_w), (err, err_w) = os.pipe2(os.O_CLOEXEC), os.pipe2(os.O_CLOEXEC)
            for fd in (out, err):
                self.stack.callback(os.close, fd)
            for fd in (out_w, err_w):
                passed.callback(os.close, fd)
            paper = self._paper() | {
                "targets": targets,
                "folders": [os.path.isdir(tree[0]) for tree in trees],
                "sources": [self._inside(tree[0]) for tree in trees],
            }
            self.outer.started += 1
            forked.send(paper, (out_w, err_w, *handles))
        return out, err, forked

    def _trees(self) -> tuple[list[list[str]], list[str]]:
        """Host folders, each with the layers below it, and where they are shown."""
        pairs = [([str(p.resolve()) for p in (bind.source, *bind.below)], bind.target) for bind in self.job.binds]
        if self.job.inputs:
            place = self.stack.enter_context(scratch(self.box.state))
            fill(place / "in", self.job.inputs)
            pairs.append(([str(place / "in")], "/in"))
        return [source for source, _ in pairs], [target for _, target in pairs]

    def _handed(self, layers: list[str], target: str) -> int:
        """As root: a tree as a mount of this trial's own, with inodes of its own where others see the same files."""
        if len(layers) > 1:
            return kernel.overlay(layers)
        if target != "/in" and self.box.plan.private and os.path.isdir(layers[0]):
            empty = self.box.state / "empty"
            empty.mkdir(exist_ok=True)
            with contextlib.suppress(OSError):  # a file system on which no layer may lie: said below
                return kernel.overlay([*layers, str(empty)])
        self.shared += target != "/in"
        return kernel.detached(layers[0])

    def _inside(self, tree: str) -> str:
        """Where the zygote finds ``tree``; empty: it is handed over as a mount of its own."""
        shown = self.outer.plan.shown
        return f"{SHOWN}/{Path(tree).relative_to(shown)}" if shown is not None else ""

    def _paper(self) -> dict[str, object]:
        limits, call = self.limits, self.call
        caps = rlimits(limits, per_process_memory=self.group is None)
        if self.group is None:
            caps[resource.RLIMIT_NPROC] = limits.pids + 2  # PID 1, and one over, so that passing the limit is seen
        out = limits.output_bytes + _ROOM * os.sysconf("SC_PAGE_SIZE")
        return {
            "argv": self.job.argv,
            "kind": call.kind,
            "words": call.words,
            "isolated": call.isolated,
            "unbuffered": call.unbuffered,
            "cwd": self.job.cwd,
            "env": {**self.job.env, "PWD": self.job.cwd, "OLDPWD": "/"},  # as the shell at a cold box's gate does
            "rlimits": caps,
            "sizes": {
                "/tmp": f"size={limits.tmp_bytes},nr_inodes={_TMP_FILES},mode=755",
                "/out": f"size={out},nr_inodes={limits.output_files + 16},mode=755",
                "/dev/shm": f"size={min(limits.tmp_bytes, _SHM_BYTES)},mode=755",
            },
        }

    def _await_ready(self, forked: Forked) -> bool:
        """Until the trial is confined. False when it was stopped or starved meanwhile; anything else is a Fault."""
        deadline = time.monotonic() + _READY_S
        poll = select.poll()
        poll.register(forked.connection.fileno(), select.POLLIN)
        while time.monotonic() < deadline and "error" not in forked.said and not self.watch.gone:
            if poll.poll(1000):
                self.watch.lost = not forked.hear()
            if forked.listener >= 0 and self.tripwire is None:
                self.tripwire = Tripwire(forked.listener, self.box.cold.arch)
                self.tripwire.arm()
            if forked.out >= 0 and forked.handle >= 0:
                return not self.watch.stopped
        if self.watch.stopped:
            return False
        if self.group is not None and (used := self.group.usage()).oom_kills and used.met_limit:
            self.watch.own = Ended.OOM  # the job's memory limit does not even hold its box
            return False
        why = forked.said.get("error") or ("the warm process died" if self.watch.lost else "it was not ready in time")
        raise Fault("box-did-not-start", f"the trial could not be confined: {why}", fix="run `festina doctor`")

    def _close_listener(self, forked: Forked) -> None:
        if (self.tripwire is None or self.tripwire.ident is None) and forked.listener >= 0:
            with contextlib.suppress(OSError):
                os.close(forked.listener)

    def _meter(self, forked: Forked) -> GroupMeter | TreeMeter:
        if self.group is None:
            return TreeMeter(forked.pid(), self.limits, spare=1)
        return GroupMeter(self.group, self.limits, self.begun)
