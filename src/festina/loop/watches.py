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
from festina.ledger.watching import Step
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
    alarm: int | None = None  # entry whose events decided that it is taken back
    classes: tuple[tuple[str, int, int], ...] = ()  # failures by class: of the new version, and beside it

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
        kinds = [f"{name} {new:,}" for name, new, _ in self.classes if new]
        said += f" ({', '.join(kinds[:4])})" if kinds else ""
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

    def alarmed(self, generation: int) -> bool:
        """Whether a watch, its outcomes or its newest soak ever spoke against this version loudly enough."""
        later = self.outcomes.rows.get(generation)
        return (
            any(w.started.generation == generation and w.monitor.answer == "roll back" for w in self.rows.values())
            or (later is not None and later.seen.answer == "roll back")
            or any(each.body.answer == "worse" for (n, _), each in self.soaks.rows.items() if n == generation)
        )

    def passed(self, commit: str, step: str) -> Watch | None:
        """The newest watch of this content at this step, where it passed and nothing took it back since."""
        mine = [w for w in self.rows.values() if w.started.commit == commit and w.ended is not None]
        if any(w.ended is not None and w.ended.reason == "rolled-back" for w in mine):
            return None
        ends = [w for w in mine if w.started.step == step and w.ended is not None and w.ended.reason == "passed"]
        found = [w for w in ends if able(w.started)]
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
    return null_at(b.step, b.share, b.tolerate)


def null_at(step: Step, share: float, tolerate: float) -> float:
    """The chance that an event speaks against a version that is good enough."""
    if step == "shadow":
        return monitor.shadow_null(tolerate)
    return monitor.canary_null(share, tolerate) if step == "canary" else tolerate


def able(b: e.WatchStarted) -> bool:
    """Whether a watch of this size could have taken back a version that is far worse than tolerated.  # D-4"""
    return monitor.fewest(b.null, b.alpha, full=b.step == "full") <= b.least


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
        classes=_added(watch.classes, b.classes),
        alarm=r.seq if watch.alarm is None and seen.answer == "roll back" else watch.alarm,
    )  # fmt: skip


def _added(
    known: tuple[tuple[str, int, int], ...], more: tuple[e.Classed, ...]
) -> tuple[tuple[str, int, int], ...]:
    found = {name: (new, beside) for name, new, beside in known}
    for each in more:
        new, beside = found.get(each.name, (0, 0))
        found[each.name] = (new + each.new, beside + each.beside)
    return tuple((name, new, beside) for name, (new, beside) in sorted(found.items()))


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
