"""The watch over what serves, as part of the state.  # D-3, D-4, L-1

The fold makes every decision again: an end that says "rolled back" where the recorded events do not say so, or "passed"
where they do, does not fit.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from festina.ledger import entries as e
from festina.ledger.log import Record
from festina.loop import outcomes, soaks
from festina.loop.rows import misfit
from festina.select import monitor
from festina.select.monitor import Monitor

if TYPE_CHECKING:
    from festina.loop.state import State


@dataclass(frozen=True, slots=True)
class Watch:
    """One watch as the ledger knows it."""

    started: e.WatchStarted
    seq: int
    at: str
    monitor: Monitor
    requests: int = 0
    failures: int = 0
    beside: int = 0
    beside_failures: int = 0
    ended: e.WatchEnded | None = None
    ended_seq: int | None = None
    ended_at: str = ""

    @property
    def seen_enough(self) -> bool:
        return self.requests >= self.started.least

    def sentence(self, end: str = "going on") -> str:
        """What it saw, the same everywhere. ``end``: how it ends where that is not recorded yet."""
        b = self.started
        other = f", {self.beside_failures:,} of {self.beside:,} beside it" if b.against is not None else ""
        said = (
            f"{b.step} step of generation {b.generation}: {self.failures:,} of {self.requests:,} requests failed{other}"
        )
        ends = {"passed": "passed", "rolled-back": "taken back by the monitor", "starved": "too few requests came",
                "stopped": "stopped before its end"}  # fmt: skip
        alert = "; alert: more speaks against it than chance explains" if self.monitor.answer == "alert" else ""
        return f"{said}; {ends[self.ended.reason] if self.ended is not None else end}{alert}"


@dataclass(slots=True)
class Watches:
    """All watches, by number. Filled by the handlers alone."""

    rows: dict[int, Watch] = field(default_factory=dict)
    soaks: soaks.Soaks = field(default_factory=soaks.Soaks)  # what stands before a full release  # D-3
    outcomes: outcomes.Outcomes = field(default_factory=outcomes.Outcomes)  # what becomes of it later  # D-4

    @property
    def open(self) -> Watch | None:
        return next((w for w in self.rows.values() if w.ended is None), None)

    def passed(self, commit: str, step: str) -> Watch | None:
        """The newest watch of this content at this step, where it passed and nothing took it back since."""
        mine = [w for w in self.rows.values() if w.started.commit == commit and w.ended is not None]
        if any(w.ended is not None and w.ended.reason == "rolled-back" for w in mine):
            return None
        found = [w for w in mine if w.started.step == step and w.ended is not None and w.ended.reason == "passed"]
        return found[-1] if found else None


def _started(s: State, r: Record, b: e.WatchStarted) -> None:
    generation = s.generations.get(b.generation)
    if b.watch != len(s.watches.rows) or generation is None or generation.commit != b.commit:
        raise misfit(r, "a watch with a used number, or of content that is not there")
    if s.watches.open is not None:
        raise misfit(r, "a watch beside another one")
    try:
        fresh = monitor.start(b.null, b.alpha)
    except ValueError as error:
        raise misfit(r, str(error)) from None
    if abs(b.null - null_of(b)) > 1e-12:
        raise misfit(r, "its null is not the one that step, share and tolerance give")
    s.watches.rows[b.watch] = Watch(b, r.seq, r.at, fresh)


def null_of(b: e.WatchStarted) -> float:
    if b.step == "shadow":
        return monitor.shadow_null(b.tolerate)
    return monitor.canary_null(b.share, b.tolerate) if b.step == "canary" else b.tolerate


def _counted(s: State, r: Record, b: e.WatchCounted) -> None:
    watch = s.watches.rows.get(b.watch)
    if watch is None or watch.ended is not None:
        raise misfit(r, "events of a watch that is not open")
    if b.failures > b.requests or b.beside_failures > b.beside or len(b.events) > b.requests + b.beside:
        raise misfit(r, "more failures or events than requests")
    seen = watch.monitor
    for bit in b.events:
        seen = monitor.observe(seen, bit == "1")
    s.watches.rows[b.watch] = replace(
        watch, monitor=seen, requests=watch.requests + b.requests, failures=watch.failures + b.failures,
        beside=watch.beside + b.beside, beside_failures=watch.beside_failures + b.beside_failures,
    )  # fmt: skip


def _ended(s: State, r: Record, b: e.WatchEnded) -> None:
    watch = s.watches.rows.get(b.watch)
    if watch is None or watch.ended is not None:
        raise misfit(r, "the end of a watch that is not open")
    if (b.reason == "rolled-back") != (watch.monitor.answer == "roll back"):
        raise misfit(r, "its end is not what its events say")
    if b.reason == "passed" and not watch.seen_enough:
        raise misfit(r, "a step passed with fewer requests than its plan asks for")
    s.watches.rows[b.watch] = replace(watch, ended=b, ended_seq=r.seq, ended_at=r.at)


HANDLERS: dict[str, Callable[[State, Record, Any], None]] = {
    "watch-started": _started, "watch-counted": _counted, "watch-ended": _ended, **soaks.HANDLERS,
    **outcomes.HANDLERS,
}  # fmt: skip
