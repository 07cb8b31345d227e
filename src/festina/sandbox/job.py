"""The values that cross the sandbox seam: what to run, under which limits, and how it ended.

Inside every box the layout is fixed: read-only binds where the job asks for them, ``/in`` read-only
with the job's input files, ``/out`` writable and size-capped (``$FESTINA_OUT``), ``/tmp`` writable and
size-capped (``$HOME``, ``$TMPDIR``). Beside them only a small ``/dev/shm`` is writable, and nothing outlives the
run.  # E-4
"""

from __future__ import annotations

import socket
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import IntEnum, StrEnum
from pathlib import Path
from typing import Protocol

GATEWAY = ("127.0.0.1", 4180)  # where a box with a door finds the model gateway


class Level(IntEnum):
    """How strongly a box confines what runs in it.  # T-2"""

    L0 = 0  # resource limits and, as root, another uid; no view or network confinement
    L1 = 1  # Landlock and seccomp, no namespaces
    L2 = 2  # namespaces and seccomp, no control group: tree-wide memory is not capped
    L3 = 3  # namespaces, seccomp and control groups
    L4 = 4  # L3 inside a virtual machine of its own (not built)


class Ended(StrEnum):
    """How a trial ended: exactly one of these.  # E-2"""

    OK = "ok"  # exit status 0 and every declared output there
    NONZERO = "nonzero"  # exit status other than 0
    SIGNAL = "signal"  # died by a signal that Festina did not send
    OOM = "oom"  # the tree hit its memory limit
    TIMEOUT_WALL = "timeout_wall"
    TIMEOUT_CPU = "timeout_cpu"
    OUTPUT_LIMIT = "output_limit"  # stdout, stderr or files over their caps
    PIDS_LIMIT = "pids_limit"
    FORBIDDEN = "forbidden"  # killed for a system call that no candidate has a use for
    NO_RESULT = "no_result"  # exit status 0 but a declared output is missing or not a plain file
    SANDBOX_ERROR = "sandbox_error"  # Festina's own failure: never charged to the candidate  # T-6


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """Caps for the whole process tree of one trial, enforced from outside.  # E-1"""

    wall_s: float = 60.0
    cpu_s: float = 60.0
    memory_bytes: int = 1 << 30
    cpus: float | None = None  # processors' worth of time; kept where control groups can cap the rate
    pids: int = 64
    stdout_bytes: int = 1 << 20  # stdout and stderr, each
    output_bytes: int = 64 << 20  # everything under /out
    output_files: int = 1000
    tmp_bytes: int = 256 << 20


@dataclass(frozen=True, slots=True)
class Bind:
    """A host directory or file shown read-only inside the box at ``target`` (absolute).

    ``below``: directories that show through where ``source`` has nothing and marks nothing as deleted (an overlay's
    lower layers, topmost first). Only where ``shows_layers`` says that the box can.
    """

    source: Path
    target: str
    below: tuple[Path, ...] = ()


class Door(Protocol):
    """The host's side of the model gateway, for one run.  # E-6

    ``listener`` accepts on ``GATEWAY`` of the box's own empty network: what connects is the job, and is hostile.
    """

    def open(self, listener: socket.socket) -> None:
        """The job is about to begin: answer from now on, in threads of one's own. The listener is the door's now."""
        ...

    def close(self) -> None:
        """The job is dead or was never begun: answer nobody any more, and return when all of it is settled."""
        ...


@dataclass(frozen=True, slots=True)
class Job:
    """One run. ``argv[0]`` is looked up on the box's PATH; ``cwd`` is a path inside the box.

    ``outputs`` names the files under ``/out`` to harvest (relative, ``/``-separated); ``None`` harvests
    every regular file under ``/out``. ``work`` is a host directory copied to the writable ``/out/work``
    before the start (for programs that edit files in place).
    ``gpu``: the nodes of this machine's GPUs are shown too; ``UsageError`` where it has none.
    ``door``: the box's network is a loopback of its own with one listener on it, the door's; everything else is as in
    a box without a network. ``UsageError`` below L2.
    ``env`` is added to the fixed environment; nothing of the caller's environment is passed on.
    """

    argv: tuple[str, ...]
    cwd: str = "/"
    env: Mapping[str, str] = field(default_factory=dict)
    binds: tuple[Bind, ...] = ()
    inputs: Mapping[str, bytes] = field(default_factory=dict)
    outputs: tuple[str, ...] | None = ()
    work: Path | None = None
    gpu: bool = False
    door: Door | None = None


@dataclass(frozen=True, slots=True)
class Outcome:
    """How one run ended and the bytes it left, read after every process of it was dead.  # T-3"""

    ended: Ended
    exit_code: int | None  # None when it died by a signal or never ran
    signal: int | None
    wall_s: float
    cpu_s: float  # of the whole tree where a control group measured it, else of the waited children
    peak_memory_bytes: int | None
    outputs: Mapping[str, bytes]
    stdout: bytes  # capped; more than the cap is OUTPUT_LIMIT
    stderr: bytes
    denied: tuple[str, ...]  # denied system calls that were seen, e.g. "socket(AF_INET)"
    level: Level
    missing: tuple[str, ...]  # what the level lacks here, in words
    policy_hash: str  # sha256 hex over the confinement policy in force
    detail: str = ""  # one line for a person
    box: str = "cold"  # which box ran it: cold, warm or plain; after a colon why not the warm one that was asked for
    unread: frozenset[str] = frozenset()  # names under ``/out`` that were there and not read: links, pipes, odd names


class Sandbox(Protocol):
    """Runs one job to its end. Never raises for what the job does; raises ``Fault`` for its own failure."""

    @property
    def level(self) -> Level: ...

    @property
    def missing(self) -> tuple[str, ...]:
        """What the level lacks here, in words."""
        ...

    @property
    def policy_hash(self) -> str: ...

    def run(self, job: Job, limits: Limits) -> Outcome: ...

    def kill_all(self) -> None:
        """End every run that is under way, from any thread; each ends as ``sandbox_error``."""
        ...
