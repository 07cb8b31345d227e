"""Halts between the home's markers and the ledger: stop, refuse to start, record, go on.  # G-5, D-5

A halt stands when its marker lies in the home or its entry in the ledger, and no signed ``Resumed`` names it. The
effect comes first; whoever next opens the ledger with the engine's key records what is not recorded yet.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import datetime

from festina.errors import FestinaError, Halted
from festina.govern.stopping import HOW_ON, Stopped, leave, stop_all
from festina.ledger import entries as e
from festina.ledger.log import Draft, Ledger
from festina.ledger.signing import LocalKey
from festina.loop import acts
from festina.loop.state import State, fold
from festina.notify.outbox import Outbox
from festina.notify.settings import read
from festina.system import halts
from festina.system.halts import Halt
from festina.system.home import Home

__all__ = ["Halting", "guarded", "halt", "outbox", "record", "recorded", "require_free", "standing", "tell"]


@dataclass(frozen=True, slots=True)
class Halting:
    """What a halt did. ``left``: pids that would not die; ``recorded``: whether the ledger has it already."""

    halt: Halt
    processes: int
    took_s: float
    left: tuple[int, ...]
    recorded: bool


def halt(home: Home, *, by: str, reason: str = "") -> Halting:
    """Stop everything of this system, then record it. Never raises for what comes after the effect."""
    done = stop_all(home.path, by=by, reason=reason)
    return Halting(done.halt, done.processes, done.took_s, done.left, recorded(home, done))


def recorded(home: Home, done: Stopped) -> bool:
    """Enter a halt that has been carried out; False where that cannot be done now: its marker stands all the same."""
    try:
        return home.ledger.exists() and _record_now(home, done)
    except (FestinaError, OSError):  # no key, a full disk, a damaged ledger
        return False


def _record_now(home: Home, done: Stopped) -> bool:
    with Ledger.open(home.ledger, signers={"engine": LocalKey.load(home.key("engine"), "engine")}) as ledger:
        state = fold(ledger.records())
        before = ledger.size
        record(ledger, state, home, done)
        tell(ledger, home, before)
        return done.halt.id in state.halts.standing


def outbox(home: Home, system: str) -> Outbox | None:
    """Where notifications go; None where nobody is to be told. Raises ``UsageError`` for settings that are none."""
    settings = read(home.path)
    return Outbox(home.path, system, settings) if settings is not None and settings.channels() else None


def tell(ledger: Ledger, home: Home, since: int) -> None:
    """Put out notifications of what a command recorded from entry ``since`` on. Fails nobody."""
    with suppress(FestinaError, OSError):
        box = outbox(home, ledger.genesis.system)
        if box is not None:
            box.catch_up(ledger, since)


def standing(home: Home, state: State) -> list[Halt]:
    """The halts in force, oldest first: of the ledger, and of markers that it does not have yet."""
    markers = halts.found(home.path, state.halts.ended)
    known = {each.id for each in markers}
    rest = [Halt(b.halt, b.by, b.since, b.reason) for b in state.halts.standing.values() if b.halt not in known]
    return sorted((*markers, *rest), key=lambda each: (each.at, each.id))


def record(ledger: Ledger, state: State, home: Home, done: Stopped | None = None, *, alone: bool = False) -> None:
    """Enter every halt that the ledger does not have yet, and the end of the run that it cut off.

    ``alone``: the caller holds the engine's lock, so that no run can be alive.
    """

    def make(now: State) -> list[Draft]:
        new = [each for each in standing(home, now) if each.id not in now.halts.standing]
        drafts = [Draft(_entry(each, done)) for each in new]
        if drafts and now.run is not None and (alone or not home.engine_running()):
            lasted = max(0.0, _seconds(now.run_at, new[0].at))
            end = e.RunEnded(run=now.run.run, reason="halted", detail=new[0].sentence()[:300], wall_s=round(lasted, 3))
            drafts.insert(0, Draft(end))
        return drafts

    acts.write(ledger, state, make)


def _entry(each: Halt, done: Stopped | None) -> e.Halted:
    mine = done if done is not None and done.halt.id == each.id else None
    return e.Halted(
        halt=each.id, by=each.by, since=each.at, reason=each.reason,
        processes=None if mine is None else mine.processes, took_s=None if mine is None else round(mine.took_s, 4),
        left=0 if mine is None else len(mine.left),
    )  # fmt: skip


def _seconds(since: str, until: str) -> float:
    try:
        return (datetime.fromisoformat(until) - datetime.fromisoformat(since)).total_seconds()
    except (ValueError, TypeError):
        return 0.0


def require_free(ledger: Ledger, state: State, home: Home, *, alone: bool = False) -> None:
    """Raise ``Halted`` where a halt stands, after recording it; tidy up the markers of those that were ended."""
    halts.clear(home.path, state.halts.ended)
    held = standing(home, state)
    if held:
        record(ledger, state, home, alone=alone)
        raise refusal(held)


def refusal(held: list[Halt]) -> Halted:
    """The error of whoever wants to start while ``held`` stand."""
    more = f" (and {len(held) - 1} more halts)" if len(held) > 1 else ""
    return Halted("halted", f"{held[0].sentence()}{more}", fix=HOW_ON)


@contextmanager
def guarded(home: Home | None) -> Iterator[None]:
    """For commands beside the loop that run code of this system: none starts under a halt, and a halt ends them."""
    if home is None or not home.path.is_dir():
        yield
        return
    with halts.at_work(home.path):
        ended = frozenset[str]()
        if halts.found(home.path) and home.ledger.exists():
            with Ledger.open(home.ledger, readonly=True) as ledger:
                ended = fold(ledger.records()).halts.ended
        held = halts.found(home.path, ended)
        if held:
            raise refusal(held)
        with halts.watched(home.path, ended, leave):
            yield
