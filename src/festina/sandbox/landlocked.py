"""L1: Landlock, the system-call filter and resource limits around a fresh process; no namespaces.

For hosts where no namespace can be made: a container with the default profile, Ubuntu 24.04's restriction, CI
without user namespaces. Its verdicts are provisional.  # T-2

What it keeps: no file of the host but the system's programs and libraries, read-only; no sockets at all (Landlock
does not cover unix sockets by path, so the filter denies every family); no view of, signal to, or trace of other
processes where Landlock is new enough; no shared memory of System V, no queues, no watches; modes, owners, times
and attributes of files cannot be changed (the calls say they worked, or that they are not supported); results
are taken as everywhere else, after every process of the run was hunted down.

What it lacks, and every report says so: memory, disk and CPU of the tree are sampled; file sizes, link targets and
the host's name can be learned; locks on shared files can carry a signal to a run beside this one; programs that need
``/dev/shm`` (locks of ``multiprocessing``), ``/proc/self`` or a literal ``/tmp`` do not work.
"""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

from festina.errors import UsageError
from festina.sandbox import gpu, landlock
from festina.sandbox.job import Job, Level
from festina.sandbox.landlock import Access, Rule
from festina.sandbox.plain import PlainBox, Walls
from festina.sandbox.runtime import FIXED_ENV, programs
from festina.sandbox.seccomp import Action, Part, compile_filter, here

__all__ = ["LandlockBox"]

_MISSING = (
    "no namespaces: sizes of files, targets of links and the host's name can be learned",
    "memory, processes, CPU and disk use of the tree are sampled, not capped",
    "survivors are hunted, not made impossible",
    "locks on shared files can carry a signal to a run beside this one",
    "no sockets, no /dev/shm, no /proc/self, and no change of modes, owners or times of files: some programs need them",
)
_ETC = ("ld.so.cache", "ld.so.conf", "ld.so.conf.d", "alternatives", "localtime")
_DEVICES = ("null", "zero", "full", "random", "urandom")
_FACTS = ("/proc/cpuinfo", "/proc/meminfo", "/proc/stat", "/proc/sys/vm/overcommit_memory", "/sys/devices/system/cpu")
_NAMES = {"USER": "box", "LOGNAME": "box"}  # there is no made-up /etc/passwd to look the user up in


class LandlockBox(PlainBox):
    """L1. Safe to share between threads."""

    level = Level.L1
    box = "landlock"

    def __init__(self, state: Path, *, uid: int | None = None, notify: bool = True) -> None:
        super().__init__(state, uid=uid)
        version = landlock.abi()
        if version < 1 or here() is None:
            raise UsageError("no-landlock", "this kernel has no Landlock", fix="Linux 5.13 or newer, with lsm=landlock")
        self._notify = notify
        shared = () if self._root else ("not root: jobs run as the engine's own user; the separation is by Landlock",)
        self._filter = compile_filter(Action.NOTIFY if notify else Action.EPERM, part=Part.NO_NAMESPACES)
        self._seen = tuple(host for host, _ in programs(self._state).binds)
        self.missing = (
            *_MISSING,
            *landlock.lacks(version),
            *([] if notify else ["no seccomp listener: denied system calls are refused but not recorded"]),
            *shared,
        )
        policy = (int(self.level), version, self.missing, self._filter.hex(), self._seen, sorted(FIXED_ENV))
        self.policy_hash = hashlib.sha256(repr(policy).encode()).hexdigest()

    def _walls(self, place: Path, paths: dict[str, str], devices: tuple[gpu.Device, ...]) -> Walls:
        look, use = Access.READ, Access.READ | Access.RUN
        rules = [Rule(path, use) for path in self._seen]
        rules += [Rule(f"/etc/{name}", look) for name in _ETC if os.path.exists(f"/etc/{name}")]
        rules += [Rule(f"/dev/{name}", look | Access.WRITE) for name in _DEVICES]
        rules += [Rule(path, look) for path in _FACTS if os.path.exists(path)]
        rules += [Rule(str(place / name), use | Access.WRITE) for name in ("out", "tmp")]
        rules += [Rule(path, use) for target, path in paths.items() if target != "/out"]
        rules += [Rule(device.source, look | Access.WRITE | Access.DEVICE) for device in devices]
        seen = (*gpu.SYSTEM, "/proc/driver/nvidia") if devices else ()
        rules += [Rule(path, look) for path in seen if os.path.exists(path)]
        return Walls(self._filter, self._notify, landlock.ruleset(rules))

    def _env(self, job: Job, place: Path, paths: dict[str, str]) -> dict[str, str]:
        return {**_NAMES, **super()._env(job, place, paths)}
