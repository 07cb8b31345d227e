"""L0: no box at all. Resource limits, a session of its own, another uid where the engine is root.

Never chosen silently: made by name, or by ``choose`` for a caller who asks for L0.

What a job can still do here, and every report says so: use the network, read every file that its uid can
read, see other processes, keep files in places that its uid can write, and as a plain user signal or trace
the engine itself. What survives a run is hunted down by a keeper process (subreaper), best effort.

The fixed layout is imitated: ``/in``, ``/out`` and bind targets are folders under a temporary one, and words
of the command, the working directory and environment values that start with such a path are rewritten.
A program that has box paths built in does not work at this level. As root bound folders are copied, since
the box's uid may not reach the originals; otherwise they are used in place, writable by whoever owns them.
"""

from __future__ import annotations

import hashlib
import os
import resource
import shutil
import stat
import sys
import tempfile
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path

from festina.errors import Fault, UsageError
from festina.sandbox import gpu
from festina.sandbox.harvest import Harvest, after_harvest, harvest
from festina.sandbox.job import Ended, Job, Level, Limits, Outcome
from festina.sandbox.launch import Launched, Request, shared
from festina.sandbox.place import can_separate, check_job, check_uid, fill, lease_uid, prepare_state, remove
from festina.sandbox.runtime import FIXED_ENV, environment
from festina.sandbox.seccomp import here
from festina.sandbox.supervise import Stream, TreeMeter, Tripwire, Watch, classify, rlimits
from festina.system.scratch import alive, prefix

__all__ = ["PlainBox", "Walls", "sweep_plain"]

_MISSING = (
    "no file, process or network confinement",
    "memory, processes, CPU and disk use of the tree are sampled, not capped",
    "no system-call filter",
    "survivors are hunted, not made impossible",
)


_CROWD = 512
_DEPTH = 64  # of folders in a run's own; results lie higher
_SLACK = 1 << 20  # bytes: a copied work folder and block sizes are not counted to the byte


@dataclass(frozen=True, slots=True)
class Walls:
    """What is put on a run before its first instruction. ``ruleset``: a Landlock descriptor, or -1."""

    filter: bytes = b""
    notify: bool = False
    ruleset: int = -1


@dataclass(slots=True)
class Folder:
    """Use of a run's own folders, added up at each poll: between two polls it can be exceeded."""

    place: Path
    limits: Limits

    def over(self) -> Ended | None:
        for name, most in (("out", self.limits.output_bytes), ("tmp", self.limits.tmp_bytes)):
            used = files = 0
            waiting = [(str(self.place / name), 0)]
            while waiting:
                folder, depth = waiting.pop()
                found = _listed(folder)
                if found is None or depth > _DEPTH:  # what cannot be counted is too much
                    return Ended.OUTPUT_LIMIT
                waiting += [(os.path.join(folder, each), depth + 1) for each, s in found if stat.S_ISDIR(s.st_mode)]
                files += sum(not stat.S_ISDIR(s.st_mode) for _, s in found)
                used += sum(s.st_blocks * 512 for _, s in found if stat.S_ISREG(s.st_mode))
                if used > most + _SLACK or (name == "out" and files > self.limits.output_files):
                    return Ended.OUTPUT_LIMIT
        return None


def _listed(folder: str) -> list[tuple[str, os.stat_result]] | None:
    """What lies in a folder; nothing when it is gone meanwhile, ``None`` when it is closed or its path is too long."""
    found = []
    try:
        with os.scandir(folder) as entries:
            for entry in entries:
                with suppress(FileNotFoundError):
                    found.append((entry.name, entry.stat(follow_symlinks=False)))
    except FileNotFoundError:
        return []
    except OSError:
        return None
    return found


class PlainBox:
    """L0. Safe to share between threads."""

    level = Level.L0
    box = "plain"

    def __init__(self, state: Path, *, uid: int | None = None) -> None:
        """``uid``: one for all runs, as root; without it each run has its own."""
        self._state = prepare_state(state)
        self._root = can_separate()
        self._uid = check_uid(uid) if self._root and uid is not None else None
        self._path = os.pathsep.join(
            dict.fromkeys([f"{sys.prefix}/bin", f"{sys.base_prefix}/bin", "/usr/local/bin", "/usr/bin", "/bin"])
        )
        self.missing: tuple[str, ...] = (
            _MISSING if self._root else (*_MISSING, "not root: jobs run as the engine's own user")
        )
        self.policy_hash = hashlib.sha256(repr((int(self.level), self.missing, sorted(FIXED_ENV))).encode()).hexdigest()
        self._live: set[Watch] = set()
        self._lock = threading.Lock()

    def kill_all(self) -> None:
        """End every run now, from any thread."""
        with self._lock:
            live = list(self._live)
        for watch in live:
            watch.stop()

    def run(self, job: Job, limits: Limits) -> Outcome:
        check_job(job, self._state)
        if job.door is not None:
            raise UsageError(
                "gateway-needs-a-box", f"at {self.level.name} a run has no network of its own, so there is no gateway",
                fix="use a host that offers L2 (`festina doctor`), or a system that asks no model",
            )  # E-6  # fmt: skip
        watch = Watch(limits)
        with self._lock:
            self._live.add(watch)
        try:
            with ExitStack() as stack:
                return self._run(job, limits, watch, stack)
        finally:
            with self._lock:
                self._live.discard(watch)

    def _run(self, job: Job, limits: Limits, watch: Watch, stack: ExitStack) -> Outcome:
        place = stack.enter_context(_folder())
        uid = stack.enter_context(lease_uid()) if self._root and self._uid is None else self._uid
        paths = self._lay_out(job, place, uid)
        devices = gpu.require() if job.gpu else ()
        walls = self._walls(place, paths, devices)
        request = Request(
            argv=tuple(_rewrite(word, paths) for word in job.argv),
            env=self._env(job, place, paths),
            uid=uid,
            rlimits=self._rlimits(limits, gpu=job.gpu),
            groups=gpu.groups_for(devices) if uid is not None else (),
            filter=walls.filter,
            notify=walls.notify,
            landlock=walls.ruleset >= 0,
            keep=True,
            cwd=_rewrite(job.cwd, paths),
            cleanup=(str(place),),
        )
        pinned = os.open(place / "out", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        stack.callback(os.close, pinned)
        out, out_w = os.pipe2(os.O_CLOEXEC)
        err, err_w = os.pipe2(os.O_CLOEXEC)
        stack.callback(os.close, out)
        stack.callback(os.close, err)
        nothing = os.open(os.devnull, os.O_RDONLY | os.O_CLOEXEC)
        try:
            extra = (walls.ruleset,) if walls.ruleset >= 0 else ()
            watch.launched = launched = shared().launch(request, (nothing, out_w, err_w), extra)
        finally:
            for fd in (out_w, err_w, nothing, *([walls.ruleset] if walls.ruleset >= 0 else [])):
                os.close(fd)
        stack.callback(watch.bury)
        tripwire = _begin(launched, notify=walls.notify)
        streams = [Stream(out, limits.stdout_bytes), Stream(err, limits.stdout_bytes)]
        meter = TreeMeter(launched.said.get("pid", 0), limits, spare=1)
        if watch.stopped:
            watch.stop()
        watch.follow(streams, [meter, Folder(place, limits)])
        if "error" in launched.said:
            raise Fault("plain-did-not-start", f"the run could not be started: {launched.said['error']}")
        outcome = self._outcome(job, watch, streams, meter, pinned)
        if tripwire is None:
            return outcome
        tripwire.join(0.5)
        return replace(outcome, denied=tripwire.names())

    def _walls(self, place: Path, paths: dict[str, str], devices: tuple[gpu.Device, ...]) -> Walls:
        """What confines a run beyond its limits: nothing at this level."""
        del place, paths, devices
        return Walls()

    def _outcome(self, job: Job, watch: Watch, streams: list[Stream], meter: TreeMeter, pinned: int) -> Outcome:
        said = watch.launched.said if watch.launched is not None else {}
        own = watch.own
        if own is None:
            if watch.stopped or watch.lost:
                own = Ended.SANDBOX_ERROR
            elif any(stream.over for stream in streams):
                own = Ended.OUTPUT_LIMIT
            elif said.get("cpu", 0.0) > watch.limits.cpu_s:
                own = Ended.TIMEOUT_CPU
        end = classify(said.get("exit"), own, folded=False)
        found = Harvest({}, ()) if watch.lost else harvest(pinned, job.outputs, watch.limits)
        ended, notes = after_harvest(end.ended, found, job.outputs)
        return Outcome(
            ended=ended,
            exit_code=end.exit_code,
            signal=end.signal,
            wall_s=watch.wall_s,
            cpu_s=max(meter.cpu_s(), said.get("cpu", 0.0)),
            peak_memory_bytes=max(meter.peak_bytes() or 0, said.get("rss", 0)) or None,
            outputs=found.files,
            unread=frozenset(name for name, _ in found.refused),
            stdout=bytes(streams[0].data),
            stderr=bytes(streams[1].data),
            denied=(),
            level=self.level,
            missing=self.missing,
            policy_hash=self.policy_hash,
            detail="; ".join((["stopped by the engine"] if watch.stopped else []) + notes),
            box=self.box,
        )

    def _rlimits(self, limits: Limits, *, gpu: bool) -> dict[int, int]:
        found = rlimits(limits, per_process_memory=True, gpu=gpu)
        if self._root:
            # Counted by uid on the whole host: a loose bound that keeps a fork
            # bomb finite until the poll sees it. Without root it would count the engine's own processes.
            found[resource.RLIMIT_NPROC] = limits.pids + _CROWD
        return found

    def _env(self, job: Job, place: Path, paths: dict[str, str]) -> dict[str, str]:
        own = {"HOME": str(place / "tmp"), "TMPDIR": str(place / "tmp")}
        own |= {"FESTINA_IN": str(place / "in"), "FESTINA_OUT": str(place / "out")}
        extra = {name: _rewrite(value, paths) for name, value in job.env.items()}
        return environment(self._path, extra, {**FIXED_ENV, **own})

    def _lay_out(self, job: Job, place: Path, uid: int | None) -> dict[str, str]:
        """Make the folders; returns box path -> host path."""
        paths = {"/in": str(place / "in"), "/out": str(place / "out")}
        fill(place / "in", job.inputs)
        for name in ("out", "tmp"):
            (place / name).mkdir(mode=0o755)
        if job.work is not None:
            shutil.copytree(job.work, place / "out" / "work", symlinks=True)
        for index, bind in enumerate(job.binds):
            paths[bind.target] = str(bind.source.resolve())
            if uid is not None:
                copy = place / f"bind{index}"
                _copy(bind.source.resolve(), copy)
                paths[bind.target] = str(copy)
        if uid is not None:
            for top in ("out", "tmp"):
                _give(place / top, uid)
        return paths


def _begin(launched: Launched, *, notify: bool) -> Tripwire | None:
    """Until the run has begun, and with it the record of denied calls where there is one."""
    awaited = {"pid", "listener"} if notify else {"pid"}
    while not awaited <= launched.said.keys() and not {"error", "gone", "exit"} & launched.said.keys():
        if not launched.hear():
            break
    machine = here()
    if launched.listener < 0 or machine is None:
        return None
    tripwire = Tripwire(launched.listener, machine)
    tripwire.arm()
    tripwire.start()
    return tripwire


@contextmanager
def _folder() -> Iterator[Path]:
    """A run's folder in the host's temporary directory, where another uid can reach it."""
    place = Path(tempfile.mkdtemp(prefix=prefix("plain")))
    place.chmod(0o755)
    try:
        yield place
    finally:
        remove(place)


def _copy(source: Path, target: Path) -> None:
    if source.is_dir():
        shutil.copytree(source, target, symlinks=True)
    else:
        shutil.copyfile(source, target)
    for path in (target, *target.rglob("*")):
        if not path.is_symlink():
            path.chmod(0o755 if path.is_dir() or os.access(path, os.X_OK) else 0o644)


def _give(top: Path, uid: int) -> None:
    for path in (top, *top.rglob("*")):
        os.chown(path, uid, uid, follow_symlinks=False)
        if path.is_dir() and not path.is_symlink():
            path.chmod(0o755)


def _rewrite(word: str, paths: dict[str, str]) -> str:
    """The longest box path that ``word`` starts with, replaced by where it lies on the host."""
    for target in sorted(paths, key=len, reverse=True):
        if word == target or word.startswith(target.rstrip("/") + "/"):
            return paths[target] + word[len(target) :]
    return word


def sweep_plain() -> list[str]:
    """Remove folders of dead engines, and kill processes that still carry such a folder in their environment."""
    removed = []
    for place in Path(tempfile.gettempdir()).glob("festina-[0-9]*-[0-9]*-*"):
        if alive(place.name) or place.is_symlink() or place.stat().st_uid != os.geteuid():
            continue
        marker = f"FESTINA_OUT={place}/out".encode()
        for entry in Path("/proc").glob("[0-9]*"):
            try:
                if marker in (entry / "environ").read_bytes().split(b"\0"):
                    os.kill(int(entry.name), 9)
            except OSError:
                continue  # not ours to read, or gone already
        remove(place)
        removed.append(str(place))
    return removed
