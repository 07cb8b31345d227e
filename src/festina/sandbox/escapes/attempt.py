"""What an attempt is: a small program, how its success is seen from outside, and from which level on it must fail.

``Evidence`` holds what the host can see after the runs; an oracle reads it and says whether the way is open.
Where nothing but the program's own word can be had, the oracle is ``said`` and the table marks it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Protocol

from festina.sandbox.job import Ended, Level, Limits, Outcome

__all__ = ["QUICK", "Attempt", "Control", "Evidence", "Group", "Host", "Oracle", "Shape"]

QUICK = Limits(
    wall_s=20, cpu_s=10, memory_bytes=256 << 20, pids=32, output_bytes=4 << 20, output_files=200, tmp_bytes=8 << 20
)


class Group(StrEnum):
    """Rows of the table that belong together."""

    NETWORK = "network and sockets"
    PROCESSES = "other processes"
    FILES = "files of the host"
    RESULTS = "results"
    NAMESPACES = "namespaces and mounts"
    KERNEL = "kernel interfaces"
    LIMITS = "limits and privileges"
    BOMBS = "exhaustion"
    SURVIVORS = "outliving the run"
    PERSISTENCE = "reaching the next run"
    CHANNELS = "signals between runs side by side"
    FACTS = "facts about the host"


class Control(StrEnum):
    """Where the same attempt must succeed, so that its failure elsewhere means something."""

    L0 = "L0"  # in the box of level L0, which confines nothing
    BARE = "bare"  # as a plain process: L0 itself has a measure against it
    NONE = "none"  # nowhere: it would do harm


class Shape(StrEnum):
    """How often and how the program runs."""

    ONCE = "once"
    TWICE = "twice"  # one after the other: turn 1 leaves something, turn 2 looks for it
    PAIR = "pair"  # side by side: one sends a token, the other one listens


class Host(Protocol):
    """What an oracle may ask the host about one attempt."""

    def secret(self, kind: str) -> str: ...

    def knocked(self, kind: str) -> bool: ...

    def planted(self) -> str: ...

    def changed(self) -> str: ...

    def victim_harmed(self) -> str: ...

    def survivors(self) -> int: ...


@dataclass(frozen=True, slots=True)
class Evidence:
    """All that is known of one attempt at one level."""

    host: Host
    token: str  # told to the first turn or the sender alone
    outcomes: tuple[Outcome, ...]
    attempt: Attempt

    @property
    def last(self) -> Outcome:
        return self.outcomes[-1]


# How it succeeded, for a person; empty where it did not.
Oracle = Callable[[Evidence], str]


@dataclass(frozen=True, slots=True)
class Attempt:
    """One way out. ``code`` is Python; names of the prelude (``programs.py``) are defined in it."""

    name: str
    group: Group
    aim: str
    code: str
    oracle: Oracle
    blocked_from: Level | None = Level.L1  # the weakest level that promises to stop it; None: no level does
    unless: str = ""  # words of a lack that a box names itself: such a box does not promise it
    why: str = ""  # why weaker levels leave it open, and what to do
    control: Control = Control.L0
    no_control: str = ""  # why a control that fails is no surprise; with NONE, why it is not even tried
    shape: Shape = Shape.ONCE
    victim: bool = False
    limits: Limits = QUICK
    outputs: tuple[str, ...] | None = ()
    tried_from: Level = Level.L0  # below it the attempt would hurt the host or the suite itself
    machine: str = ""  # only there, where it is written in that machine's code
    denied: str = ""  # what the record of denied calls must hold where there is one  # E-2
    env: Mapping[str, str] = field(default_factory=dict)
    shown: bool = False  # a folder of the host is shown read-only at /shown
    ends: tuple[Ended, ...] = ()  # for exhaustion: how it must end

    def __post_init__(self) -> None:
        if self.control is Control.NONE and not self.no_control:
            raise ValueError(f"{self.name}: say why there is no control")
        if self.blocked_from != Level.L1 and not self.why:
            raise ValueError(f"{self.name}: say why weaker levels leave it open")
