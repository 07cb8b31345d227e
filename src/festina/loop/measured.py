"""Measurements that decide no verdict, as part of the state: what they cost, how often tried, what they found.

The fold's functions for ``measure-*``, ``public-compared``, ``attributed`` and ``final-scored``. They charge looks and
trials and hang the findings on their generation; no test, level or move of the line depends on any of them.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from festina.ledger import entries as e
from festina.ledger.log import Record
from festina.ledger.measures import Purpose
from festina.loop.rows import Generation, misfit

if TYPE_CHECKING:
    from festina.loop.state import State

Subject = tuple[Purpose, int | None]


def final_source(digest: str) -> str:
    """The final suite's own account of a source: the hidden suite may use the same generator for other items."""
    return f"final:{digest}"


@dataclass(frozen=True, slots=True)
class FirstDraw:
    """The first intent of a sealed final score: later attempts draw the same items.  # E-3, V-3"""

    leaf: str
    position: int


@dataclass(slots=True)
class Side:
    """The account of these measurements. ``open``: charged and not ended yet, or cut off."""

    count: int = 0
    open: e.MeasureStarted | None = None
    leaf: str = ""  # of the open one's entry: its seeds follow from it  # E-3
    attempts: dict[Subject, int] = field(default_factory=dict)
    test_trials: int = 0  # of tests in this epoch
    attribution_trials: int = 0  # in this epoch
    internals_trials: int = 0  # in this epoch
    comparing: int = 0  # trials of comparisons that the loop made by itself: no effort towards any gain  # W-1, W-2
    looks: dict[str, int] = field(default_factory=dict)  # by vault source, repeated looks included  # V-3
    final_draws: dict[tuple[int, str], FirstDraw] = field(default_factory=dict)  # by generation and source
    finals: dict[int, e.FinalScored] = field(default_factory=dict)  # sealed final scores by generation

    def new_epoch(self) -> None:
        """Another epoch has another budget."""
        self.test_trials = self.attribution_trials = self.internals_trials = 0

    def looks_left(self, suite: e.SuiteTerms) -> int | None:
        """What a suite's budget of looks at its source still allows; None where it has none.  # V-3"""
        if suite.looks is None or suite.source is None:
            return None
        return max(0, suite.looks - self.looks.get(suite.source, 0))

    def tried(self, purpose: Purpose, generation: int | None) -> int:
        return self.attempts.get((purpose, generation), 0)


def looked(s: State, items: int, source: str | None, *, fresh: bool = True) -> None:
    """Count looks at hidden items by their source; ``fresh`` ones of a finite source are used up.  # V-3"""
    s.looks += items
    if source is not None:
        s.side.looks[source] = s.side.looks.get(source, 0) + items
        if fresh:
            s.source_looks[source] = s.source_looks.get(source, 0) + items


def _started(s: State, r: Record, b: e.MeasureStarted) -> None:
    side, subject = s.side, (b.purpose, b.generation)
    if b.measure != side.count or b.attempt != side.attempts.get(subject, 0) + 1:
        raise misfit(r, "a measurement out of order")
    if b.generation is not None and b.generation not in s.generations:
        raise misfit(r, "a measurement of a generation that is not there")
    if b.purpose == "final" and b.generation is not None and b.source is not None:
        position = s.source_looks.get(final_source(b.source), 0)
        side.final_draws.setdefault((b.generation, b.source), FirstDraw(r.leaf, position))
    side.count += 1
    side.open, side.leaf = b, r.leaf
    side.attempts[subject] = b.attempt
    s.trials += b.trials
    s.run_trials += b.trials
    if b.purpose == "crossplay" and s.epoch is not None and s.epoch.crossplay_share > 0.0:
        side.comparing += b.trials
    if b.purpose == "attribution":
        side.attribution_trials += b.trials
    if b.purpose == "internals":
        side.internals_trials += b.trials
    source = b.source if b.source is None or b.purpose != "final" else final_source(b.source)
    looked(s, b.items, source, fresh=b.fresh)


def _ended(s: State, r: Record, b: e.MeasureEnded) -> None:
    if s.side.open is None or (s.side.open.measure, s.side.open.purpose) != (b.measure, b.purpose):
        raise misfit(r, "an end without its intent")  # L-3
    s.side.open = None


def _of(s: State, r: Record, purpose: Purpose, measure: int, number: int) -> Generation:
    """The generation that an open measurement is about."""
    now = s.side.open
    if now is None or (now.purpose, now.measure, now.generation) != (purpose, measure, number):
        raise misfit(r, "a finding without a measurement that was charged")  # E-1
    return s.generations[number]


def _skipped(s: State, r: Record, b: e.MeasureSkipped) -> None:
    generation = s.generations.get(b.generation)
    if generation is None or b.purpose not in ("public", "attribution", "internals"):
        raise misfit(r, "nothing of that kind was due")
    if b.purpose == "public":
        generation.public = b
    elif b.purpose == "attribution":
        generation.attribution = b
    elif generation.internals is None:  # what was compared on request stands
        generation.internals = b


def _compared(s: State, r: Record, b: e.PublicCompared) -> None:
    _of(s, r, "public", b.measure, b.generation).public = b


def _attributed(s: State, r: Record, b: e.Attributed) -> None:
    _of(s, r, "attribution", b.measure, b.generation).attribution = b


def _internals(s: State, r: Record, b: e.InternalsCompared) -> None:
    _of(s, r, "internals", b.measure, b.generation).internals = b


def _final(s: State, r: Record, b: e.FinalScored) -> None:
    s.finals.append(b)
    if b.measure is None:  # a record from before measurements were charged
        s.looked(b.items)
    if b.generation is not None:
        if b.measure is None or b.generation in s.side.finals:
            raise misfit(r, "a generation has one sealed final score")  # V-3
        _of(s, r, "final", b.measure, b.generation)
        s.side.finals[b.generation] = b


def _drilled(s: State, r: Record, b: e.DrillFinished) -> None:
    if any(len(row.words) != len(b.verifiers) + 1 for row in b.judged):
        raise misfit(r, "a drill's attack has not one word of each verifier")  # V-5
    s.drill = (r.at, b)


def _calibrated(s: State, r: Record, b: e.Calibrated) -> None:
    s.calibration = (r.at, b)


def final_allows(s: State, generation: int) -> bool:
    """Whether a generation has the final score that its epoch demands, and one that does not contradict it.  # V-3"""
    score = s.side.finals.get(generation)
    return s.epoch is None or s.epoch.final is None or (score is not None and score.interval[1] >= 0.0)


HANDLERS: dict[str, Callable[[State, Record, Any], None]] = {
    "measure-started": _started, "measure-ended": _ended, "measure-skipped": _skipped,
    "public-compared": _compared, "attributed": _attributed, "final-scored": _final,
    "internals-compared": _internals,
    "drill-finished": _drilled, "calibrated": _calibrated,
}  # fmt: skip
