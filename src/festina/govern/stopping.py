"""End every process that works for a home, within a second and without anybody's help.  # G-5, D-5

Whole process trees are found in one reading of ``/proc``, held by pidfds (a number that is used again cannot be hit by
mistake) and killed, parents first, until nothing is left: a process that was stopped or hangs dies like any other. An
engine is given ``GRACE_S`` to notice the halt and say so by itself, and each sandbox helper ``TIDY_S`` after that
to take away control groups and scratch folders; then it is killed, too.

Not covered: processes that this user may not signal, and those of another PID namespace or machine. Both end by the
marker, which every engine looks for; a process that the kernel will not let die is named in the result.
"""

from __future__ import annotations

import os
import select
import signal
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import NoReturn

from festina.errors import UsageError
from festina.system.halts import Halt, Worker, file_halt, forget, new_halt, secure, started, workers

__all__ = ["Stopped", "hurrying", "leave", "stop_all", "sweep_helpers"]

HALTED = 7  # exit status
HOW_ON = "festina unhalt --as NAME --reason TEXT"
GRACE_S = 0.1
TIDY_S = 0.2
DEADLINE_S = 5.0  # nothing that is killed takes so long but by the kernel's doing
_ROUND_S = 0.01


@dataclass(frozen=True, slots=True)
class Stopped:
    """What a halt did. ``left``: pids that were not dead, or not ours to signal, at the deadline."""

    halt: Halt
    processes: int
    took_s: float
    left: tuple[int, ...] = ()


@dataclass(slots=True)
class _Held:
    """One process, held so that its number can mean nothing else."""

    pid: int
    handle: int
    refused: bool = False

    def dead(self) -> bool:
        poll = select.poll()
        poll.register(self.handle, select.POLLIN)
        return bool(poll.poll(0))

    def kill(self) -> None:
        urge(self.pid)  # dying takes processor time, too
        try:
            signal.pidfd_send_signal(self.handle, signal.SIGKILL)
        except ProcessLookupError:
            pass
        except PermissionError:
            self.refused = True


@dataclass(slots=True)
class _Hunt:
    """All processes below some roots, as they are found."""

    held: dict[tuple[int, int], _Held] = field(default_factory=dict)  # by pid and start
    helpers: set[int] = field(default_factory=set)

    def take(self, pid: int) -> None:
        begun = started(pid)
        if begun is None or (pid, begun) in self.held or pid == os.getpid():
            return
        try:
            handle = os.pidfd_open(pid)
        except OSError:
            return  # gone meanwhile
        if started(pid) != begun:
            os.close(handle)
            return
        self.held[pid, begun] = _Held(pid, handle)
        if _helper(pid) is not None:
            self.helpers.add(pid)

    def living(self) -> list[_Held]:
        return [each for each in self.held.values() if not each.dead()]

    def grow(self) -> None:
        """Take in whatever lives below a living one."""
        below = _children()
        queue = [each.pid for each in self.living()]
        while queue:
            for child in below.get(queue.pop(), ()):
                self.take(child)
                queue.append(child)

    def close(self) -> None:
        for each in self.held.values():
            os.close(each.handle)


def stop_all(home: Path, *, by: str, reason: str, marker: str = "") -> Stopped:
    """File the halt, kill everything that works for ``home``, then make the halt durable. In this order.  # D-5

    ``marker`` is the id of one that was written already: it is filled in, and no second halt is filed.

    Where it cannot be filed, everything is killed all the same. ``UsageError`` says so then: it can be started again.
    """
    begun = time.monotonic()
    unfiled = ""
    try:
        halt = file_halt(home, by=by, reason=reason, marker=marker)
    except OSError as error:
        halt, unfiled = new_halt(by=by, reason=reason), str(error.strerror)
    living, dead = workers(home)
    hunt = _Hunt()
    try:
        with hurrying():
            killed, left = _end(hunt, living, _orphaned(dead), begun)
    finally:
        hunt.close()
    took = time.monotonic() - begun
    if unfiled:
        raise UsageError(
            "halt-not-filed",
            f"{killed} processes were killed, {len(left)} of them live on, and NOTHING keeps the system from starting "
            f"again: the halt could not be written to {home / 'halts'} ({unfiled})",
            fix="festina halt again, as a user who may write there",
        )
    secure(home, halt)
    return Stopped(halt, killed, took, left)


@contextmanager
def hurrying() -> Iterator[None]:
    """Go before others on a busy machine, where the system lets this thread."""
    before = os.sched_getscheduler(0), os.sched_getparam(0)
    urge(0)
    try:
        yield
    finally:
        os.sched_setscheduler(0, *before)


def urge(pid: int) -> None:
    """Let a process (0: this thread) go before all ordinary ones; their priorities weigh within a session only."""
    with suppress(OSError):
        os.sched_setscheduler(pid, os.SCHED_RR, os.sched_param(1))


def leave(halt: Halt) -> NoReturn:
    """End this process for a halt that it found by itself, with what it started; its sandbox helper ends its boxes."""
    with suppress(OSError):
        os.write(2, f"\nfestina: {halt.sentence()} [halted]\n  what to do: {HOW_ON}\n".encode())
    hunt = _Hunt()
    for pid in _children().get(os.getpid(), ()):
        hunt.take(pid)
    for each in hunt.held.values():
        if each.pid not in hunt.helpers:
            each.kill()
    os._exit(HALTED)


def sweep_helpers(home: Path) -> None:
    """End what the sandbox helpers of this home's dead engines still hold, and take those engines out of the register.

    A helper ends by itself when its engine dies, unless something stopped it.  # E-1
    """
    _, dead = workers(home)
    if not dead:
        return
    hunt = _Hunt()
    try:
        _end(hunt, [], _orphaned(dead), time.monotonic())
    finally:
        hunt.close()
    forget(home, dead)


def _end(hunt: _Hunt, engines: list[Worker], helpers: Iterable[int], begun: float) -> tuple[int, tuple[int, ...]]:
    for pid in (*(engine.pid for engine in engines), *helpers):
        hunt.take(pid)
    hunt.grow()
    first = [each for each in hunt.held.values() if each.pid in {engine.pid for engine in engines}]
    while time.monotonic() - begun < GRACE_S and any(not each.dead() for each in first):
        time.sleep(_ROUND_S)
    for each in first:
        each.kill()
    while time.monotonic() - begun < DEADLINE_S:
        hunt.grow()
        living = hunt.living()
        if not living or all(each.refused for each in living):
            break
        tidy = time.monotonic() - begun < GRACE_S + TIDY_S
        for each in living:
            if not (tidy and each.pid in hunt.helpers):
                each.kill()
        time.sleep(_ROUND_S)
    return len(hunt.held), tuple(sorted(each.pid for each in hunt.living()))


def _children() -> dict[int, list[int]]:
    """Every process by its parent, in one reading."""
    below: dict[int, list[int]] = {}
    for name in os.listdir("/proc"):
        if name.isdecimal():
            with suppress(OSError, ValueError, IndexError):
                with open(f"/proc/{name}/stat", "rb") as file:
                    parent = int(file.read().rpartition(b")")[2].split()[1])
                below.setdefault(parent, []).append(int(name))
    return below


def _helper(pid: int) -> str | None:
    """Whose sandbox helper a process is (pid and start of its engine), or None."""
    try:
        with open(f"/proc/{pid}/cmdline", "rb") as file:
            words = file.read().split(b"\0")
    except OSError:
        return None
    scripts = [at for at, word in enumerate(words) if word.endswith(b"/festina/sandbox/spawner.py")]
    found = words[scripts[0] + 3 : scripts[0] + 4] if scripts else []
    return found[0].decode(errors="replace") if found else None


def _orphaned(dead: list[Worker]) -> list[int]:
    """The helpers that dead engines left behind."""
    if not dead:
        return []
    stamps = {f"{worker.pid}-{worker.started}" for worker in dead}
    return [int(name) for name in os.listdir("/proc") if name.isdecimal() and _helper(int(name)) in stamps]
