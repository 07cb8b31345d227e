"""Carry out every attempt against any sandbox and say what got through.

``try_out(sandboxes)`` first runs each attempt where it must succeed (the control), then in every box given.
The verdict of an attempt comes from its oracle on the host's side (``oracles.py``). A program that breaks for a
reason of its own counts as broken, never as blocked; an attempt whose control fails is named.

Not covered: kernel bugs, timing and cache side channels; ways that are not in the list.
"""

from __future__ import annotations

import os
import secrets
import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, replace
from enum import StrEnum
from pathlib import Path

from festina.errors import FestinaError, UsageError
from festina.sandbox.doorway import LACK
from festina.sandbox.escapes import afterlife, channels, files, interfaces, limits, network, processes
from festina.sandbox.escapes.attempt import Attempt, Control, Evidence, Group, Shape
from festina.sandbox.escapes.bare import Bare
from festina.sandbox.escapes.programs import program
from festina.sandbox.escapes.world import Ground, World, leftovers
from festina.sandbox.job import Bind, Ended, Job, Level, Limits, Outcome, Sandbox
from festina.sandbox.place import can_separate, lease_uid
from festina.sandbox.plain import PlainBox
from festina.sandbox.warm import WarmBox
from festina.system.scratch import prefix

__all__ = ["ATTEMPTS", "Report", "Result", "Seen", "attempt_once", "find_python", "try_out", "world_here"]

ATTEMPTS: tuple[Attempt, ...] = tuple(
    attempt
    for module in (network, processes, files, interfaces, limits, afterlife, channels)
    for attempt in module.ATTEMPTS
)
_STEPS = (0.1, 0.3, 0.5)  # seconds for each bit of a channel; a slower one where the machine is busy
_LEAD_S = 0.9  # from the start of a pair until its first bit: two boxes and two Pythons start in it
_QUOTAS = ("watch_quota", "pipe_quota")  # these use up what other attempts need, so they run by themselves


class Seen(StrEnum):
    """How one attempt fared at one level."""

    BLOCKED = "blocked"
    OPEN = "open"
    BROKEN = "broken"  # the attempt itself failed for a reason that is no refusal: it shows nothing
    NOT_TRIED = "not tried"


@dataclass(frozen=True, slots=True)
class Result:
    """``note``: how it got through, or how it was refused. ``promised``: the level says that it stops this."""

    attempt: Attempt
    level: Level
    seen: Seen
    note: str
    promised: bool
    recorded: bool | None = None  # whether the denied call stands in the record; None where it need not  # E-2


@dataclass(frozen=True, slots=True)
class Report:
    """``controls``: the attempt's name -> its result where it must succeed. ``left``: what the suite left behind."""

    controls: dict[str, Result]
    results: dict[str, tuple[Result, ...]]  # by the name of the box
    left: tuple[str, ...]
    wall_s: float

    def open_ways(self) -> list[tuple[str, Result]]:
        """What a level promises to stop and did not."""
        every = [(name, result) for name, results in self.results.items() for result in results]
        return [(name, result) for name, result in every if result.promised and result.seen is Seen.OPEN]

    def silent_controls(self) -> list[Result]:
        """Attempts that failed where they must succeed: that they are blocked elsewhere shows nothing."""
        return [result for result in self.controls.values() if result.seen in (Seen.BLOCKED, Seen.BROKEN)]

    def broken(self) -> list[tuple[str, Result]]:
        every = [(name, result) for name, results in self.results.items() for result in results]
        return [(name, result) for name, result in every if result.seen is Seen.BROKEN]


def find_python(plain: Sandbox) -> str:
    """A Python that the candidates' uid can start outside of any view, for the attempts and their controls."""
    own = Path(sys.base_prefix) / "bin" / f"python{sys.version_info[0]}.{sys.version_info[1]}"
    for path in dict.fromkeys(["/usr/bin/python3", str(own), shutil.which("python3") or ""]):
        if path and os.path.exists(path):
            outcome = plain.run(Job((path, "-I", "-S", "-c", "import ctypes, fcntl, mmap")), Limits(wall_s=20))
            if outcome.ended is Ended.OK:
                return path
    raise UsageError(
        "no-python-for-attacks",
        "no Python on this host can be started by the user id that candidates get",
        fix="install python3 from the system's packages",
    )


@contextmanager
def world_here(state: Path) -> Iterator[World]:
    """The host's side for one suite. As root victims and controls share one uid, which no one else has meanwhile."""
    with lease_uid() if can_separate() else nullcontext(None) as uid:
        world = World(find_python(PlainBox(state, uid=uid)), uid)
        try:
            yield world
        finally:
            world.close()


def attempt_once(world: World, sandbox: Sandbox, attempt: Attempt, *, step: float = _STEPS[0]) -> Result:
    """One attempt in one box."""
    promised = _promised(attempt, sandbox)
    if attempt.machine and attempt.machine != os.uname().machine:
        return Result(attempt, sandbox.level, Seen.NOT_TRIED, f"written for {attempt.machine}", promised)
    ground = Ground(world, attempt)
    try:
        token = _token(attempt)
        outcomes = _runs(world, sandbox, ground, token, step)
        evidence = Evidence(ground, token, outcomes, attempt)
        note = attempt.oracle(evidence)
        seen = Seen.OPEN if note else _unless_broken(evidence)
    finally:
        ground.close()
    recorded = None
    named = " ".join(sandbox.missing)
    open_here = LACK in named and attempt.denied == "socket(AF_INET)"  # plain TCP is no denied call there
    if attempt.denied and sandbox.level >= Level.L2 and "recorded" not in named and not open_here:
        recorded = any(attempt.denied in outcome.denied for outcome in outcomes)
    return Result(attempt, sandbox.level, seen, note or _refusal(evidence), promised, recorded)


def _promised(attempt: Attempt, sandbox: Sandbox) -> bool:
    named = bool(attempt.unless) and any(attempt.unless in words for words in sandbox.missing)
    return attempt.blocked_from is not None and sandbox.level >= attempt.blocked_from and not named


def _token(attempt: Attempt) -> str:
    if attempt.shape is Shape.PAIR:
        return f"={1 + secrets.randbelow(254):02x}="  # neither all zeros nor all ones: silence is no message
    return secrets.token_hex(4)


def _runs(world: World, sandbox: Sandbox, ground: Ground, token: str, step: float) -> tuple[Outcome, ...]:
    attempt = ground.attempt
    facts = {**ground.facts(), "step": step, "start": time.time() + _LEAD_S * step / _STEPS[0]}
    outputs = attempt.outputs
    if outputs is not None:
        outputs = tuple(name.replace("{DIR}", str(ground.place)) for name in outputs)
    binds = (Bind(ground.shown, "/shown"),) if attempt.shown else ()

    def turn(number: int) -> Outcome:
        told = {**facts, "turn": number, "token": token if number == 1 else ""}
        job = Job(program(world.python, attempt.code, told), env=attempt.env, outputs=outputs, binds=binds)
        return sandbox.run(job, attempt.limits)

    if attempt.shape is Shape.ONCE:
        return (turn(1),)
    if attempt.shape is Shape.TWICE:
        return (turn(1), turn(2))
    with ThreadPoolExecutor(2) as pool:
        sent, heard = pool.submit(turn, 1), pool.submit(turn, 2)
        return (sent.result(), heard.result())


def _unless_broken(evidence: Evidence) -> Seen:
    for outcome in evidence.outcomes:
        if outcome.ended is Ended.SANDBOX_ERROR or _lines(outcome, b"BROKEN"):
            return Seen.BROKEN
    return Seen.BLOCKED


def _refusal(evidence: Evidence) -> str:
    for outcome in evidence.outcomes:
        for word in (b"REFUSED", b"BROKEN"):
            if lines := _lines(outcome, word):
                rest = outcome.stdout[outcome.stdout.index(lines[0]) :].decode(errors="replace").split()
                return " ".join(rest[1:])[-160:]
    ended = evidence.last.ended
    if ended is Ended.NONZERO and evidence.last.stderr:
        return evidence.last.stderr.decode(errors="replace").strip().splitlines()[-1][:160]
    return "" if ended is Ended.OK else str(ended)


def _lines(outcome: Outcome, word: bytes) -> list[bytes]:
    return [line for line in outcome.stdout.splitlines() if line.startswith(word)]


_Box = Callable[[Attempt], Result]


def _controls(world: World, state: Path, attempts: Sequence[Attempt]) -> tuple[dict[str, Result], float]:
    """Every control, and the speed at which channels carried on this machine."""
    plain, bare = PlainBox(state, uid=world.uid), Bare(world.uid)
    needed: list[float] = [_STEPS[0]]

    def control(attempt: Attempt) -> Result:
        if attempt.control is Control.NONE:
            return Result(attempt, Level.L0, Seen.NOT_TRIED, attempt.no_control, False)
        sandbox: Sandbox = plain if attempt.control is Control.L0 else bare
        for step in _STEPS if attempt.shape is Shape.PAIR and not attempt.no_control else _STEPS[:1]:
            result = attempt_once(world, sandbox, attempt, step=step)
            if result.seen is Seen.OPEN:
                needed.append(step)
                break
        if result.seen is Seen.BLOCKED and attempt.no_control:
            return replace(result, seen=Seen.NOT_TRIED, note=attempt.no_control)
        return result

    found = _each(control, attempts)
    return {result.attempt.name: result for result in found}, max(needed)


def _each(action: _Box, attempts: Sequence[Attempt]) -> list[Result]:
    """All attempts, several at a time where they cannot disturb each other; in the order given."""
    together = [item for item in attempts if item.name not in _QUOTAS]
    waiting = [item for item in together if item.shape is Shape.PAIR]
    short = [item for item in together if item.shape is not Shape.PAIR]
    found: dict[str, Result] = {}
    for group, workers in ((short, min(12, 3 * (os.cpu_count() or 1))), (waiting, 4)):
        with ThreadPoolExecutor(workers) as pool:
            for result in pool.map(action, group):
                found[result.attempt.name] = result
    for attempt in attempts:
        if attempt.name in _QUOTAS:
            found[attempt.name] = action(attempt)
    return [found[attempt.name] for attempt in attempts]


# A named box, made for a uid: attempts on other processes run under the victim's own, the worst case; all others
# under whatever the box gives by itself (None). The second argument is the Python that attempts are started with.
Make = Callable[[int | None, str], Sandbox]


def try_out(
    boxes: Mapping[str, Make],
    *,
    attempts: Sequence[Attempt] = ATTEMPTS,
    tell: Callable[[str], None] = lambda _: None,
) -> Report:
    """All attempts: their controls first, then each named box."""
    started = time.monotonic()
    with tempfile.TemporaryDirectory(prefix=prefix("escapes")) as folder:
        with world_here(Path(folder)) as world:
            tell("controls: every attempt where nothing stops it")
            controls, step = _controls(world, Path(folder), attempts)
            results = {}
            for name, make in boxes.items():
                tell(f"{name}: {len(attempts)} attempts")
                with _tries(world, make, step) as tries:
                    results[name] = tuple(_each(tries, attempts))
        return Report(controls, results, tuple(leftovers(world.tag)), time.monotonic() - started)


@contextmanager
def _tries(world: World, make: Make, step: float) -> Iterator[_Box]:
    usual, worst = make(None, world.python), make(world.uid, world.python)

    def one(attempt: Attempt) -> Result:
        sandbox = worst if attempt.victim else usual
        if sandbox.level < attempt.tried_from:
            return Result(attempt, sandbox.level, Seen.NOT_TRIED, attempt.no_control, False)
        try:
            return attempt_once(world, sandbox, attempt, step=step)
        except FestinaError as error:
            return Result(attempt, sandbox.level, Seen.BROKEN, error.what, False)

    try:
        yield one
    finally:
        for sandbox in (usual, worst):
            if isinstance(sandbox, WarmBox):
                sandbox.close()


def groups(results: Iterable[Result]) -> dict[Group, list[Result]]:
    """Results by group, in the order of the groups."""
    found: dict[Group, list[Result]] = {group: [] for group in Group}
    for result in results:
        found[result.attempt.group].append(result)
    return {group: rows for group, rows in found.items() if rows}
