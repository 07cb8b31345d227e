"""Running a watch: count, decide, take back, stop.  # D-3, D-4

The effect comes first: the split sends the new version nothing more, then the released reference goes back, then
everything is recorded and the loop is halted until a person looked.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Literal

from festina.errors import UsageError
from festina.ledger import entries as e
from festina.ledger.log import Draft, Ledger
from festina.ledger.watching import MOST_CLASSES
from festina.loop import acts, autonomy, takeback
from festina.loop.state import State
from festina.loop.watches import Watch, null_at, null_of
from festina.select import monitor
from festina.select.monitor import Monitor
from festina.system.home import Home
from festina.system.repo import Repo
from festina.watch.split import Seen, Split

ALPHA = 0.01  # chance of ever taking back a version that is good enough
BATCH_S = 2.0  # an entry at most so often, while nothing decides
BATCH_EVENTS = 5_000
MAX_ENTRY = 20_000
DIED = "its process had ended"
Reason = Literal["passed", "rolled-back", "starved", "stopped"]


@dataclass
class Counter:
    """What came since the last entry; thread-safe through the split's own lock."""

    step: Literal["shadow", "canary", "full"]
    monitor: Monitor = field(default_factory=lambda: monitor.start(0.5, ALPHA))  # the plan's, once it is recorded
    decided: threading.Event = field(default_factory=threading.Event)
    decided_at: float = 0.0
    stop: Callable[[], None] = lambda: None
    new: int = 0
    new_failed: int = 0
    old: int = 0
    old_failed: int = 0
    total: int = 0
    events: list[str] = field(default_factory=list)
    classes: dict[str, tuple[int, int]] = field(default_factory=dict)  # failures of the new version, and beside it
    full: list[e.WatchCounted] = field(default_factory=list)  # entries that hold no further event, not yet recorded
    over: bool = False  # the watch ends: what comes now belongs to none

    def take(self, seen: Seen) -> None:
        """Count one request; at the event that decides, the effect comes at once.  # D-5"""
        if self.over or self.decided.is_set():
            return
        if seen.new_failed is not None:
            self.new, self.total = self.new + 1, self.total + 1
            self.new_failed += seen.new_failed
        if seen.old_failed is not None:
            self.old += 1
            self.old_failed += seen.old_failed
        if seen.kind and True in (seen.new_failed, seen.old_failed):
            self._class(seen)
        event = seen.event(self.step)
        if event is None:
            return
        self.events.append("1" if event else "0")
        self.monitor = monitor.observe(self.monitor, event)
        if self.monitor.answer == "roll back":
            self.decided_at = time.monotonic()
            self.stop()
            self.decided.set()
        if len(self.events) >= MAX_ENTRY:  # the ledger was busy for long, and requests go on
            self.full.append(self._cut())

    def _class(self, seen: Seen) -> None:
        """Count the failure's class; beyond so many different ones, they are all "others"."""
        name = seen.kind if seen.kind in self.classes or len(self.classes) < MOST_CLASSES - 1 else "others"
        new, beside = self.classes.get(name, (0, 0))
        mine = seen.new_failed is True
        self.classes[name] = (new + mine, beside + (not mine))

    def drain(self, watch: int) -> list[e.WatchCounted]:
        """Entries of what came, in order, and begin anew. Call it under the split's lock."""
        rows, self.full = [*self.full, *([self._cut()] if self.new or self.old else [])], []
        return [row.model_copy(update={"watch": watch}) for row in rows]

    def _cut(self) -> e.WatchCounted:
        body = e.WatchCounted(
            watch=0, requests=self.new, failures=self.new_failed, beside=self.old, beside_failures=self.old_failed,
            events="".join(self.events),
            classes=tuple(e.Classed(name=name, new=n, beside=b) for name, (n, b) in sorted(self.classes.items())),
        )  # fmt: skip
        self.classes = {}
        self.new = self.new_failed = self.old = self.old_failed = 0
        self.events = []
        return body


@dataclass(frozen=True, slots=True)
class Plan:
    """What to watch. ``share``: of the requests; ``tolerate``: how many times as often the new version may fail, at the
    full step the share of requests that may fail."""

    generation: int
    step: Literal["shadow", "canary", "full"]
    share: float
    tolerate: float
    least: int
    alpha: float = ALPHA
    score: float | None = None  # an answer below it failed
    slower: float | None = None  # and one that took so many times as long as the version beside it usually does
    judged: Literal["status", "service", "judge"] = "status"


def begin(ledger: Ledger, state: State, plan: Plan) -> Watch:
    """Record the plan. Raises ``UsageError`` where the generation may not be at that step."""
    generation = state.generations.get(plan.generation)
    if generation is None or plan.generation not in (*state.line, state.released):
        raise UsageError(
            "no-such-generation", f"generation {plan.generation} is not on the working line", fix="festina status"
        )
    alone = autonomy.covers(state, generation, datetime.now(UTC), watched=False) == ""  # G-7
    if not generation.fit and not alone:
        raise UsageError("not-approved", f"nobody approved generation {plan.generation}", fix="festina review")
    if plan.step == "full" and state.released != plan.generation:
        raise UsageError("not-released", f"generation {plan.generation} is not released", fix="festina release")
    if state.watches.open is not None:
        raise UsageError(
            "watch-open", f"watch {state.watches.open.started.watch} is going on", fix="festina watch --close"
        )
    _able(plan)
    against = None if plan.step == "full" else state.released if state.released is not None else state.line[0]
    if against == plan.generation:
        raise UsageError("same-version", f"generation {plan.generation} is the one in use", fix="--step full")

    def make(now: State) -> list[Draft]:
        if now.watches.open is not None:
            raise UsageError("watch-open", "another watch has just begun", fix="festina watch --close")
        body = e.WatchStarted(
            watch=len(now.watches.rows), step=plan.step, generation=plan.generation, commit=generation.commit,
            against=against, share=plan.share, tolerate=plan.tolerate, null=0.5, alpha=plan.alpha, least=plan.least,
            score=plan.score, slower=plan.slower, judged=plan.judged,
        )  # fmt: skip
        return [Draft(body.model_copy(update={"null": null_of(body)}))]

    record = acts.write(ledger, state, make)[0]
    assert isinstance(record.body, e.WatchStarted)
    return state.watches.rows[record.body.watch]


def _able(plan: Plan) -> None:
    """Refuse a watch that could never take anything back, or only what fails at every turn.  # D-4"""
    null = null_at(plan.step, plan.share, plan.tolerate)
    fewest = monitor.fewest(null, plan.alpha, full=plan.step == "full")
    if fewest > plan.least:
        more = "far more often than tolerated" if plan.step == "full" else "at every request"
        raise UsageError(
            "watch-too-small",
            f"within {plan.least:,} requests even a version that fails {more} would not be taken back",
            fix=f"--requests {fewest:,} or more".replace(",", "") + ", or a smaller --tolerate",
        )  # fmt: skip


def go(
    ledger: Ledger, state: State, repo: Repo, home: Home, watch: Watch, split: Split, counter: Counter, *,
    seconds: float, until: Callable[[], bool] = lambda: False, say: Callable[[str], None] = lambda _: None,
) -> Watch:  # fmt: skip
    """Watch until it is decided, enough came, time is up, or ``until`` says so. The split already serves.

    ``say`` gets a sentence for a person when the evidence first calls for a look.
    """
    number, ends = watch.started.watch, time.monotonic() + seconds
    told, alerted = time.monotonic(), False
    while not counter.decided.is_set():
        enough = counter.total >= watch.started.least
        if enough or until() or time.monotonic() >= ends:
            break
        counter.decided.wait(0.05)
        if time.monotonic() - told >= BATCH_S or len(counter.events) >= BATCH_EVENTS:
            told = time.monotonic()
            _flush(ledger, state, split, counter, number)
            row = state.watches.rows[number]
            if row.monitor.answer == "alert" and not alerted:
                alerted = True
                say(row.sentence())
    with split.lock:  # an event after the last entry would decide what the record does not show
        counter.over = True
    _flush(ledger, state, split, counter, number)
    if counter.decided.is_set():
        return _take_back(ledger, state, repo, home, number, split, counter)
    passed = counter.total >= watch.started.least
    reason: Reason = "passed" if passed else "stopped" if until() else "starved"
    close(ledger, state, number, reason, f"{counter.total} requests, {watch.started.least} asked for")
    return state.watches.rows[number]


def _flush(ledger: Ledger, state: State, split: Split, counter: Counter, number: int) -> None:
    with split.lock:
        bodies = counter.drain(number)
    for body in bodies:
        _enter(ledger, state, body)


def _enter(ledger: Ledger, state: State, body: e.WatchCounted) -> None:
    acts.write(ledger, state, lambda _: [Draft(body)])


def _take_back(
    ledger: Ledger, state: State, repo: Repo, home: Home, number: int, split: Split, counter: Counter
) -> Watch:
    """The split has retired it already; the release goes back, the loop halts, and the end is recorded.  # D-4, D-5"""
    watch = state.watches.rows[number]
    took = max(0.0, split.last_new - counter.decided_at)
    detail = f"evidence {counter.monitor.peak:.0f}, needed {1 / watch.started.alpha:.0f}"
    worse(ledger, state, repo, home, number, detail, took)
    return state.watches.rows[number]


def worse(
    ledger: Ledger, state: State, repo: Repo, home: Home, number: int, detail: str, took: float | None = None
) -> None:
    """What a watch that decided brings about. Every step may have been done by a process that died after it."""
    watch = state.watches.rows[number]
    why = watch.sentence("taken back by the monitor")
    takeback.take_back(ledger, state, repo, home, watch.started.generation, by="monitor", reason=why)
    close(ledger, state, number, "rolled-back", detail, took)


def close(ledger: Ledger, state: State, number: int, reason: Reason, detail: str, took: float | None = None) -> None:
    """Record the end of a watch; also of one whose process died."""

    def make(now: State) -> list[Draft]:
        if now.watches.rows[number].ended is not None:
            return []
        body = e.WatchEnded(
            watch=number, reason=reason, detail=detail[:300], took_s=None if took is None else round(took, 4)
        )
        if reason != "rolled-back":
            return [Draft(body)]
        said = now.watches.rows[number].sentence("taken back by the monitor")[:300]
        return [Draft(body), Draft(e.IncidentDrafted(about=now.size, text=said))]

    acts.write(ledger, state, make)
