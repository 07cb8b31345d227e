"""Run the incumbent and small changes of it, under shared seeds, within a budget of runs and seconds that is kept.

A *round* is one seed: the incumbent, one small change of it (in turn), and in every third round (in each, where there
is no change to run) the incumbent once more under the same seed. So stopping after any round leaves something of all:
how results vary between seeds, from run to run of one seed, between items, and how much of it a pair shares. Rounds
run side by side, as units do in a loop, and the time of a run is what it costs there: box and scoring included.

A change that shows no difference in its first two rounds makes place for another, if there is one, and counts only if
it shows one later: it would say that pairing removes all noise. So does one that only fails. One that changes far more
than chance does is dropped, since it is not small. Not covered: whether a proposal of somebody else shares as
much with the incumbent.
"""

from __future__ import annotations

import hashlib
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from statistics import fmean, stdev
from typing import Literal

from festina.calibrate.questions import Read
from festina.calibrate.subject import Subject
from festina.calibrate.types import Measured, Run
from festina.errors import Fault, UsageError
from festina.experiment.trial import Side
from festina.loop.engine import stopped_by_signals
from festina.loop.plain import require_ok
from festina.sandbox.job import Ended

INCUMBENT = "incumbent"
AGAIN_EVERY = 3  # rounds
LEAST_RUNS = 8  # fewer say nothing: three rounds
SAME_ROUNDS = 2  # without a difference, and a change is taken to change nothing
CHANGES = 3  # run in turn
FIRST_TRIES = 3  # one run may fail by chance, three in a row say that the system does not work
FAR = 5.0  # standard deviations between seeds

Stopped = Literal["", "time", "interrupted"]


@dataclass(frozen=True, slots=True)
class Wish:
    """What the measurement may cost."""

    runs: int
    seconds: float
    workers: int


@dataclass(frozen=True, slots=True)
class Found:
    """What was measured and what it took. ``made`` runs include those of changes that were dropped; of ``asked`` items
    of the version in use ``unscored`` had no valid score."""

    measured: Measured
    made: int
    planned: int
    stopped: Stopped
    wall_s: float
    level: int
    asked: int
    unscored: int


Tell = Callable[[int, int, float], None]  # runs done, runs planned, seconds left


def measure(subject: Subject, wish: Wish, plan: Callable[[int, float], None], tell: Tell) -> Found:
    """Measure within ``wish``. ``plan`` hears once how many runs will be made and how long that takes.

    Raises ``UsageError`` when the incumbent does not run, gives no score, or takes too long for the budget; ``Fault``
    when the sandbox or the scorer fails. Ctrl-C ends it with what there is; ``KeyboardInterrupt`` where that is too
    little.
    """
    session = _Session(subject, wish, tell)
    with session.clock(), stopped_by_signals(session.interrupted, session.subject.box.kill_all):
        session.first()
        session.settle(plan)
        with ThreadPoolExecutor(wish.workers, thread_name_prefix="calibrate") as pool:
            for future in [pool.submit(session.work) for _ in range(wish.workers)]:
                future.result()
    if session.interrupted.is_set() and len(session.runs) < LEAST_RUNS:
        raise KeyboardInterrupt
    return session.found()


def calibration_seed(tree: str, index: int) -> int:
    """The seed with this index, in [0, 2**63): a domain of its own, so that no trial ever has it."""
    digest = hashlib.sha256(f"festina-calibration-seed:{tree}:{index}".encode()).digest()
    return int.from_bytes(digest[:8], "big") >> 1


class _Session:
    """One measurement under way. Its worker threads share it; ``_lock`` guards everything that they write."""

    def __init__(self, subject: Subject, wish: Wish, tell: Tell) -> None:
        self.subject = subject
        self.wish = wish
        self.interrupted = threading.Event()
        self.expired = threading.Event()
        self.failed = threading.Event()
        self.runs: list[Run] = []
        self._tell = tell
        self._lock = threading.Lock()
        self._began = time.monotonic()
        self._next = 0  # round
        self._promised = 0  # runs
        self._alone = 0  # rounds whose incumbent has been run already
        self._planned = wish.runs
        self._changes = list(subject.neighbours)
        self._same: dict[str, int] = {}  # rounds in which a change made no difference
        self._counts: set[str] = set()  # changes that made one
        self._retired: set[str] = set()
        self._asked = self._unscored = 0
        self._late = False

    # -- budget

    @property
    def elapsed_s(self) -> float:
        return time.monotonic() - self._began

    @property
    def cut(self) -> bool:
        return self.interrupted.is_set() or self.expired.is_set() or self.failed.is_set()

    @contextmanager
    def clock(self) -> Iterator[None]:
        """At the end of the time, kill what runs."""

        def expire() -> None:
            self.expired.set()
            self.subject.box.kill_all()

        timer = threading.Timer(self.wish.seconds, expire)
        timer.daemon = True
        timer.start()
        try:
            yield
        finally:
            timer.cancel()

    def settle(self, plan: Callable[[int, float], None]) -> None:
        """How many runs there will be, now that one has shown how long it takes."""
        each_s, workers = self._each_s(), self.wish.workers
        possible = 1 + int((self.wish.seconds - self.elapsed_s) * workers / each_s)
        if possible < LEAST_RUNS:
            raise _too_long(each_s, self.wish)
        self._planned = min(self.wish.runs, possible)
        plan(self._planned, (self._planned - 1) * each_s / workers)

    def _each_s(self) -> float:
        return max(1e-3, sum(run.wall_s for run in self.runs) / max(1, len(self.runs)))

    # -- runs

    def first(self) -> None:
        """The incumbent alone, until it gave a score once: whatever is wrong with the system shows here."""
        side = self._once_alone()
        while self.runs[-1].failed and self._alone < FIRST_TRIES:
            side = self._once_alone()
        require_ok(side, self.subject.manifest.command)
        if self.runs[-1].failed:
            name = self.subject.manifest.metric_name
            raise UsageError(
                "no-metric", f"the command printed no finite number for '{name}'",
                fix=f"print it on a line of its own: {name}: 0.123",
            )  # fmt: skip
        self._nothing_scored()

    def _once_alone(self) -> Side:
        side = self._one(INCUMBENT, self.subject.tree, self._alone, 0)
        if side is None and self.interrupted.is_set():
            raise KeyboardInterrupt
        if side is None:
            raise _too_long(None, self.wish)
        self._alone += 1
        self._promised = self._alone
        return side

    def work(self) -> None:
        """Rounds until the runs or the time are spent."""
        well = False
        try:
            while not self._late and (steps := self._take()) is not None:
                for name, tree, index, repeat in steps:
                    if self._due_s() < self._each_s():
                        self._late = True
                        break
                    self._one(name, tree, index, repeat)
                self._judge(steps)
            well = True
        finally:
            if not well:
                self.failed.set()
                self.subject.box.kill_all()

    def _due_s(self) -> float:
        return self.wish.seconds - self.elapsed_s

    def _take(self) -> list[tuple[str, str, int, int]] | None:
        """The next round's runs: (name, tree, seed, repeat)."""
        with self._lock:
            left = self._planned - self._promised
            if self.cut or left <= 0:
                return None
            index, self._next = self._next, self._next + 1
            steps = [] if index < self._alone else [(INCUMBENT, self.subject.tree, index, 0)]
            turn = self._changes[:CHANGES]
            if turn:
                name, tree, _ = turn[index % len(turn)]
                steps.append((name, tree, index, 0))
            if index % AGAIN_EVERY == 0 or not turn:
                steps.append((INCUMBENT, self.subject.tree, index, 1))
            if index % 2:
                steps.reverse()  # no side of a pair always comes first
            steps = steps[:left]
            self._promised += len(steps)
            return steps

    def _one(self, name: str, tree: str, index: int, repeat: int) -> Side | None:
        """One run; None when it was cut off."""
        if self.cut:
            return None
        seed = calibration_seed(self.subject.tree, index)
        asked = self.subject.questions.ask(seed)
        began = time.monotonic()
        side = self.subject.trials.side(tree, seed, asked.inputs)
        if self.cut:
            return None
        if side.ended is Ended.SANDBOX_ERROR:
            raise Fault("sandbox-error", f"a trial could not be run: {side.detail}", fix="festina doctor")
        read, failed = Read(), side.ended.value
        if side.ended is Ended.OK:
            read = self.subject.questions.read(asked, side.answer)
            failed = "" if read.answers or read.metric is not None else "no_score"
        guards = tuple(zip(self.subject.manifest.guard, read.guards, strict=True)) if read.guards else ()
        before_s = side.trained_s if self.subject.trials.artifacts is not None else 0.0  # it is no part of other runs
        wall_s = max(1e-3, time.monotonic() - began - before_s)
        run = Run(name, index, repeat, wall_s, side.cpu_s, read.answers, read.metric, guards, failed, side.trained_s)
        with self._lock:
            self.runs.append(run)
            if name == INCUMBENT:
                self._asked += len(read.answers)
                self._unscored += read.unscored
            done, planned = len(self.runs), self._planned
        left = max(0, planned - done) * self._each_s() / self.wish.workers
        self._tell(done, planned, min(left, max(0.0, self._due_s())))
        return side

    def _judge(self, steps: list[tuple[str, str, int, int]]) -> None:
        """Retire a change that only fails, changes nothing, or is not small."""
        name = next((name for name, *_ in steps if name != INCUMBENT), None)
        if name is None:
            return
        index = steps[0][2]
        with self._lock:
            mine = {run.tree: run for run in self.runs if run.seed == index and run.repeat == 0}
            here, there = mine.get(name), mine.get(INCUMBENT)
            if here is None or there is None or there.failed:
                return
            if here.failed or _given(here) == _given(there):
                self._same[name] = self._same.get(name, 0) + 1
            else:
                self._counts.add(name)
            spare = len(self._changes) > CHANGES or any(other in self._counts for other, *_ in self._changes)
            idle = spare and self._same.get(name, 0) >= SAME_ROUNDS and name not in self._counts
            if idle or self._far(name):
                self._retired.add(name)
                self._changes = [change for change in self._changes if change[0] != name]

    def _far(self, name: str) -> bool:
        """Whether a change moves the score by much more than the seed does. Told from two pairs on."""
        well = [run for run in self.runs if not run.failed and run.repeat == 0]
        own = {run.seed: score(run) for run in well if run.tree == INCUMBENT}
        moved = [score(run) - own[run.seed] for run in well if run.tree == name and run.seed in own]
        return len(own) > 2 and len(moved) > 1 and 0.0 < FAR * stdev(own.values()) < abs(fmean(moved))

    def _nothing_scored(self) -> None:
        if self._asked and self._unscored == self._asked:
            raise UsageError(
                "nothing-scored", f"none of the {self._asked} answers got a score: they are missing or unreadable, or "
                "the scorer raises, or gives something outside the declared range",
                fix="write one line {\"id\": ..., \"output\": ...} an item to $FESTINA_OUT/predictions.jsonl, and let "
                "the scorer return a number within range", where="festina.toml: suite.hidden",
            )  # fmt: skip

    def found(self) -> Found:
        manifest, subject = self.subject.manifest, self.subject
        hidden = manifest.suite.hidden
        scale = hidden.range if hidden is not None else None
        kept = [run for run in self.runs if run.tree == INCUMBENT or run.tree in self._counts - self._retired]
        runs = sorted(kept, key=lambda run: (run.seed, run.tree != INCUMBENT, run.tree, run.repeat))
        measured = Measured(
            name=manifest.metric_name or (hidden.scorer if hidden is not None else "score"),
            kind="symmetric" if scale is None or hidden is None else hidden.test, direction=manifest.direction,
            scale=None if scale is None else (float(scale[0]), float(scale[1])), items_from=subject.origin,
            runs=tuple(runs),
        )  # fmt: skip
        late = self.expired.is_set() or self._late
        stopped: Stopped = "interrupted" if self.interrupted.is_set() else "time" if late else ""
        return Found(
            measured=measured, made=len(self.runs), planned=self._planned, stopped=stopped, wall_s=self.elapsed_s,
            level=int(subject.box.level), asked=self._asked, unscored=self._unscored,
        )  # fmt: skip


def score(run: Run) -> float:
    """A run's score in the suite's own unit."""
    return fmean(answer.score for answer in run.answers) if run.answers else run.metric or 0.0


def _given(run: Run) -> tuple[object, ...]:
    return run.answers, run.metric, run.guards


def _too_long(each_s: float | None, wish: Wish) -> UsageError:
    if each_s is None:
        what = f"one run takes longer than the {wish.seconds:.0f} s that all of them may take"
        fix = "--seconds 3600, or a shorter run to calibrate with (less data, fewer steps)"
    else:
        possible = 1 + int(wish.seconds * wish.workers / each_s)
        what = (
            f"one run takes {each_s:.0f} s, so {wish.seconds:.0f} s allow {possible} of them on {wish.workers} "
            f"workers, and fewer than {LEAST_RUNS} say nothing"
        )
        fix = f"--seconds {round(1.2 * 20 * each_s / wish.workers):d} allows some 20 runs"
    return UsageError("run-too-long", what, fix=fix)
