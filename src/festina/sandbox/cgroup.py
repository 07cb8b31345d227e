"""Control groups behind one interface: version 1, version 2, or none.

A *home* says where groups may be made; a ``Group`` is one run's. Groups are made below the engine's own
group, so that limits set around the engine go on holding. Version 2 needs a delegated subtree: the
engine moves itself into a leaf of it first, because a group with processes cannot have limited children.
Names carry the engine's pid and start time, so that ``sweep`` can tell a dead engine's groups.
"""

from __future__ import annotations

import contextlib
import errno
import itertools
import os
import signal
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from festina.system.scratch import alive, stamp

__all__ = ["Group", "Home", "Usage", "find_home", "sweep"]

_PREFIX = "festina"
_LEAF = "festina-engine"
_ROOT = Path("/sys/fs/cgroup")
_BOTH = {"memory", "pids"}
_counter = itertools.count()


@dataclass(frozen=True, slots=True)
class Usage:
    """What a whole tree has used so far."""

    cpu_s: float
    peak_bytes: int | None
    oom_kills: int
    pids_hits: int
    met_limit: bool  # its own memory limit was met; a kill without that was for want of the host's memory


@dataclass(frozen=True, slots=True)
class Home:
    """Where groups of one engine are made: one directory per controller in version 1, a single one in 2."""

    version: int
    memory: Path
    pids: Path
    cpu: Path
    quota: Path | None = None  # where the rate of processor time can be capped

    @property
    def bases(self) -> tuple[Path, ...]:
        found = (self.memory, self.pids, self.cpu, *(() if self.quota is None else (self.quota,)))
        return tuple(dict.fromkeys(found))

    def create(self, *, memory_bytes: int, pids: int, cpus: float | None = None) -> Group:
        """A group for one run. ``cpus``: processors' worth of time at most, so that no run slows its neighbours."""
        name = f"{_PREFIX}-{stamp()}-{next(_counter)}"
        paths = tuple(base / name for base in self.bases)
        quota = self.quota / name if self.quota is not None else None
        group = Group(self.version, self.memory / name, self.pids / name, self.cpu / name, paths, quota)
        try:
            for path in paths:
                path.mkdir()
            group.limit(memory_bytes, pids, cpus)
            group.watch()
        except OSError:
            group.destroy()
            raise
        return group


@dataclass(slots=True)
class Group:
    """One run's group. ``entrances`` are the files into which a process writes 0 to enter."""

    version: int
    memory: Path
    pids: Path
    cpu: Path
    paths: tuple[Path, ...]
    quota: Path | None = None
    _fds: dict[str, int] = field(default_factory=dict)
    _memory_bytes: int = 0
    _caps: tuple[int, int, float | None] | None = None  # in force
    _cpus: float | None = None

    @property
    def entrances(self) -> tuple[str, ...]:
        # A lone thread that moves itself through version 1's `tasks` skips a lock that waits for every processor.
        name = "tasks" if self.version == 1 else "cgroup.procs"
        return tuple(str(path / name) for path in self.paths)

    def limit(self, memory_bytes: int, pids: int, cpus: float | None = None) -> None:
        """May be called again, with other limits."""
        if self._caps == (memory_bytes, pids, cpus):
            return
        # Swap would let a tree outgrow its memory cap unseen; hosts without swap accounting lack the second file.
        if self.version == 1:
            names = ["memory.limit_in_bytes", "memory.memsw.limit_in_bytes"]  # the first must not exceed the second
            for name in reversed(names) if self._caps and memory_bytes > self._memory_bytes else names:
                with contextlib.suppress(*((FileNotFoundError, PermissionError) if "memsw" in name else ())):
                    _write(self.memory / name, memory_bytes)
        else:
            _write(self.memory / "memory.max", memory_bytes)
            with contextlib.suppress(FileNotFoundError, PermissionError):
                _write(self.memory / "memory.swap.max", 0)
            _write(self.memory / "memory.oom.group", 1)
        self._memory_bytes = memory_bytes
        self.limit_pids(pids)
        if self.quota is not None and cpus != self._cpus:
            _cap_rate(self.quota, self.version, cpus)
            self._cpus = cpus
        self._caps = (memory_bytes, pids, cpus)

    def limit_pids(self, pids: int) -> None:
        _write(self.pids / "pids.max", pids)

    def watch(self) -> None:
        """Open the counters once; a poll is then one ``pread`` each."""
        names = {
            "cpu": self.cpu / ("cpuacct.usage" if self.version == 1 else "cpu.stat"),
            "oom": self.memory / ("memory.oom_control" if self.version == 1 else "memory.events"),
            "pids": self.pids / "pids.events",
        }
        peak = self.memory / ("memory.max_usage_in_bytes" if self.version == 1 else "memory.peak")
        if peak.exists():  # memory.peak came with Linux 5.19
            names["peak"] = peak
        for name, path in names.items():
            self._fds[name] = os.open(path, os.O_RDONLY | os.O_CLOEXEC)

    def usage(self) -> Usage:
        text = {name: os.pread(fd, 4096, 0).decode() for name, fd in self._fds.items()}
        cpu = float(text["cpu"]) / 1e9 if self.version == 1 else _field(text["cpu"], "usage_usec") / 1e6
        peak = int(text["peak"]) if "peak" in text else None
        if self.version == 1:  # not every kernel keeps failcnt, so the peak says it; memory is charged in batches
            met = peak is None or peak >= self._memory_bytes - (1 << 20)
        else:
            met = _field(text["oom"], "oom") > 0
        return Usage(cpu, peak, _field(text["oom"], "oom_kill"), _field(text["pids"], "max"), met)

    def destroy(self, patience_s: float = 2.0) -> bool:
        """Remove the group; False when something in it would not die in time."""
        for fd in self._fds.values():
            os.close(fd)
        self._fds.clear()
        results = [_remove(path, patience_s) for path in self.paths]  # each is tried, whatever the others gave
        return all(results)


def find_home() -> tuple[Home | None, str]:
    """Where this process may make groups, or why it may not. Tries for real."""
    try:
        lines = Path("/proc/self/cgroup").read_text().splitlines()
    except OSError as error:
        return None, f"/proc/self/cgroup: {error.strerror}"
    own = {name: path for _, names, path in (line.split(":", 2) for line in lines) for name in names.split(",")}
    reasons = []
    for home in _candidates(own):
        try:
            if home.version == 2:
                _prepare_v2(home)
            home.create(memory_bytes=64 << 20, pids=8).destroy()
        except OSError as error:
            reasons.append(f"version {home.version}: {error.strerror or error}")
        else:
            return home, ""
    return None, "; ".join(reasons) or "no memory and pids controllers found"


def _candidates(own: dict[str, str]) -> Iterator[Home]:
    mounts = {name: _ROOT / name for name in ("memory", "pids", "cpuacct")}
    if all(name in own for name in mounts):
        rate = _below(_ROOT / "cpu", own["cpu"]) if "cpu" in own else None
        memory, pids, used = (_below(mounts[name], own[name]) for name in mounts)
        yield Home(1, memory, pids, used, rate if rate is not None and rate.is_dir() else None)
    if "" in own:
        base = _below(_ROOT, own[""])
        if base.name == _LEAF:  # an earlier engine in this process tree has moved us already
            base = base.parent
        if _words(base / "cgroup.controllers") >= _BOTH:
            yield Home(2, base, base, base, quota=base if "cpu" in _words(base / "cgroup.controllers") else None)
        # Others share our group (a login session): as root, beside it; what limits the slice still holds.
        if base != _ROOT and _words(base.parent / "cgroup.subtree_control") >= _BOTH:
            shared = _words(base.parent / "cgroup.subtree_control")
            yield Home(2, base.parent, base.parent, base.parent, base.parent if "cpu" in shared else None)


def _words(path: Path) -> set[str]:
    try:
        return set(path.read_text().split())
    except OSError:
        return set()


def _below(mount: Path, path: str) -> Path:
    inner = mount / path.lstrip("/")
    return inner if inner.is_dir() else mount  # a container sees its own group as the mount's root


def _prepare_v2(home: Home) -> None:
    enabled = home.memory / "cgroup.subtree_control"
    if _words(enabled) >= (_BOTH | {"cpu"} if home.quota is not None else _BOTH):
        return
    leaf = home.memory / _LEAF
    leaf.mkdir(exist_ok=True)
    _write(leaf / "cgroup.procs", os.getpid())
    _write(enabled, "+memory +pids +cpu" if home.quota is not None else "+memory +pids")


def _cap_rate(path: Path, version: int, cpus: float | None) -> None:
    """``cpus`` None: no cap."""
    period = 100_000  # microseconds, the kernel's own default
    quota = max(1000, int(cpus * period)) if cpus is not None else None
    if version == 1:
        _write(path / "cpu.cfs_period_us", period)
        _write(path / "cpu.cfs_quota_us", -1 if quota is None else quota)
    else:
        _write(path / "cpu.max", f"{'max' if quota is None else quota} {period}")


def sweep(home: Home) -> list[str]:
    """Kill and remove groups of dead engines; returns what was removed."""
    removed = []
    for base in home.bases:
        for path in base.glob(f"{_PREFIX}-[0-9]*"):
            if not alive(path.name):
                for pid in _members(path):
                    with contextlib.suppress(ProcessLookupError):
                        os.kill(pid, signal.SIGKILL)
                if _remove(path, 2.0):
                    removed.append(str(path))
    return removed


def _members(path: Path) -> list[int]:
    try:
        return [int(word) for word in (path / "cgroup.procs").read_text().split()]
    except OSError:
        return []


def _remove(path: Path, patience_s: float) -> bool:
    deadline = time.monotonic() + patience_s
    while True:
        try:
            path.rmdir()
        except FileNotFoundError:
            return True
        except OSError as error:
            if error.errno != errno.EBUSY or time.monotonic() > deadline:
                return False
            time.sleep(0.002)
        else:
            return True


def _write(path: Path, value: object) -> None:
    fd = os.open(path, os.O_WRONLY | os.O_CLOEXEC)
    try:
        os.write(fd, str(value).encode())
    finally:
        os.close(fd)


def _field(text: str, name: str) -> int:
    for line in text.splitlines():
        key, _, value = line.partition(" ")
        if key == name:
            return int(value)
    return 0
