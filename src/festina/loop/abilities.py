"""What the system can do, as part of the state: scales with locked anchors, leaks, new abilities, breadth.  # G-1, W-1

The fold locks every scale again from the scores that the verifier signed, and refuses one that says otherwise; where a
version stands, which anchors count and whether an ability is new are computed from the same entries by whoever asks.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

from festina.ledger import entries as e
from festina.ledger.log import Record
from festina.loop.rows import misfit
from festina.select.normal import TWO_SIDED_2
from festina.verify.capabilities import ability, share
from festina.watch.ability import MAX_ANCHORS, Placed, Scale, lock, place
from festina.watch.domains import ALPHA, Breadth, breadth, evidence, new_ability

if TYPE_CHECKING:
    from festina.loop.state import State

__all__ = [
    "HANDLERS", "Run", "Skills", "Standing", "View", "breadth_of", "lines", "locking", "new_abilities", "rows",
    "standing", "suites_lost", "terms_of", "view",
]  # fmt: skip

_NEAR = 1e-9  # two machines' exponentials may differ in the last place
Word = Literal["good", "weakened", "lost", "no scale"]


@dataclass(frozen=True, slots=True)
class Run:
    """One characterisation of a suite. ``source``: the items that it was charged for."""

    seq: int
    at: str
    body: e.Characterised
    source: str | None

    def on(self, scale: e.AnchorsLocked) -> bool:
        """Whether it asked that scale's units."""
        return bool(self.body.scores) and self.source == scale.source and self.items == scale.items

    @property
    def items(self) -> int:
        """A unit."""
        return self.body.items // self.body.units if self.body.units else 0


@dataclass(slots=True)
class Skills:
    """All of them, oldest first, and the scales. Filled by the handlers alone."""

    runs: dict[str, list[Run]] = field(default_factory=dict)  # by suite
    scales: dict[str, e.AnchorsLocked] = field(default_factory=dict)  # the one in force, by suite
    leaked: dict[tuple[str, str], dict[int, int]] = field(default_factory=dict)  # (suite, source): generation by place
    memo: dict[tuple[object, ...], Any] = field(default_factory=dict, compare=False)  # what follows and was computed

    def took(self, r: Record, body: e.Characterised, source: str | None) -> None:
        self.runs.setdefault(body.suite, []).append(Run(r.seq, r.at, body, source))


@dataclass(frozen=True, slots=True)
class Standing:
    """Where a generation stands in one suite, and how much of the scale is left to say so.

    ``level``, ``error``: doublings, of the odds of the suite's mean (``scale`` "no scale") or on the locked scale.
    """

    suite: str
    generation: int
    level: float | None
    error: float
    scale: Word
    anchors: int = 0
    used: int = 0
    leaked: tuple[int, ...] = ()
    drifted: tuple[tuple[int, str], ...] = ()
    exhausted: bool = False
    headroom: str = "enough"

    @property
    def told(self) -> bool:
        return self.level is not None and self.headroom == "enough" and self.scale != "lost"

    def sentence(self) -> str:
        """One sentence, the same in every view."""
        if self.scale == "no scale":
            room = "" if self.headroom == "enough" else f"; the suite is {self.headroom}: cannot tell more"
            return f"{self.level or 0.0:+.1f} doublings of even odds (+- {TWO_SIDED_2 * self.error:.1f}){room}"
        if self.told and self.level is not None:
            said = f"{self.level:+.1f} doublings on the locked scale (+- {TWO_SIDED_2 * self.error:.1f})"
        elif self.scale == "lost":
            said = "cannot tell: the scale is lost"
        elif self.headroom == "of no one ability":
            said = "cannot tell: the answers fit no one ability on the scale"
        else:
            said = f"cannot tell: the suite is {self.headroom}"
        return f"{said}; {self.used} of {self.anchors} anchors count{self._lost()}"

    def _lost(self) -> str:
        moved = [f"{at} ({way})" for at, way in self.drifted]
        rows = (("leaked", [str(at) for at in self.leaked]), ("no longer what they were", moved))
        said = "".join(
            f"; {what}: unit {', '.join(each[:10])}{' ...' if len(each) > 10 else ''}" for what, each in rows if each
        )
        return said + ("; all were shown as often as allowed" if self.exhausted else "")


@dataclass(frozen=True, slots=True)
class View:
    """What has to be known to say where versions stand: from the loop's state, or from a report's own reading.

    ``looks``: items shown, by source. ``looked``: the newest generation that a person approved, -1 for none. ``since``:
    the entry that opened the epoch.
    """

    suites: tuple[e.CapabilityTerms, ...]
    skills: Skills
    looks: Mapping[str, int]
    line: Sequence[int]
    looked: int = -1
    since: int = 0

    def newest(self, suite: str, generation: int) -> Run | None:
        mine = [run for run in self.skills.runs.get(suite, []) if run.body.generation == generation]
        return mine[-1] if mine else None

    def complete(self, generation: int) -> bool:
        """Whether every suite ran on it with every unit answered."""
        found = [self.newest(each.name, generation) for each in self.suites]
        return bool(found) and all(run is not None and not run.body.missing for run in found)


def terms_of(s: State) -> tuple[e.CapabilityTerms, ...]:
    return s.epoch.govern.capabilities if s.epoch is not None and s.epoch.govern is not None else ()


def view(s: State) -> View:
    looked = max([n for n in s.line if s.generations[n].approved is not None], default=-1)
    return View(terms_of(s), s.govern.skills, s.side.looks, s.line, looked, s.epoch_seq)


def locking(v: View, terms: e.CapabilityTerms, run: Run) -> e.AnchorsLocked | None:
    """The scale that this run begins; None where one is in force for its items, or where the scores cannot tell."""
    now = v.skills.scales.get(terms.name)
    if run.body.missing or run.source is None or (now is not None and run.on(now)):
        return None
    before = None if now is None else _placed_before(v, terms, run, now)
    linked = before is not None and before.told
    at, error = (before.level or 0.0, before.error) if before is not None and linked else (0.0, 0.0)
    made = lock(_shares(terms, run.body)[:MAX_ANCHORS], terms.batch_items, terms.floor, at, error)
    if made is None:
        return None
    return e.AnchorsLocked(
        suite=terms.name, measure=run.body.measure, generation=run.body.generation, source=run.source,
        items=made.items, floor=made.floor, linked=linked, at=at, at_error=error, difficulties=made.difficulties,
        errors=made.errors,
    )  # fmt: skip


def _placed_before(v: View, terms: e.CapabilityTerms, run: Run, now: e.AnchorsLocked) -> Standing | None:
    """Where the same generation stood on the scale before."""
    earlier = [
        each for each in v.skills.runs.get(terms.name, [])
        if each.body.generation == run.body.generation and each.on(now)
    ]  # fmt: skip
    return _standing(v, terms, earlier[-1]) if earlier else None


def standing(v: View, terms: e.CapabilityTerms, generation: int) -> Standing | None:
    """By the newest characterisation of that generation; None without one."""
    run = v.newest(terms.name, generation)
    return None if run is None else _standing(v, terms, run)


def _standing(v: View, terms: e.CapabilityTerms, run: Run) -> Standing:
    skills, body = v.skills, run.body
    scale = skills.scales.get(terms.name)
    if scale is None or not run.on(scale):
        level, error = ability(terms, body.mean, body.error, body.items)
        part = share(terms, body.mean)
        room = "too easy" if part >= 1.0 - 1.0 / max(1, body.items) else "too hard" if part <= terms.floor else "enough"
        return Standing(terms.name, body.generation, level, error, "no scale", headroom=room)
    anchors = sum(b is not None for b in scale.difficulties)
    leaked = skills.leaked.get((terms.name, scale.source), {})
    placed, gone = _walk(skills, terms, scale, run, leaked)
    looks = v.looks.get(scale.source, 0)
    exhausted = terms.shows is not None and looks > terms.shows * terms.units * terms.batch_items
    lost = exhausted or 2 * placed.used < anchors
    word: Word = "lost" if lost else "weakened" if placed.used < anchors else "good"
    return Standing(
        terms.name, body.generation, placed.level, placed.error, word, anchors, placed.used, tuple(sorted(leaked)),
        tuple(sorted(gone.items())), exhausted, placed.headroom,
    )  # fmt: skip


def _walk(
    skills: Skills, terms: e.CapabilityTerms, locked: e.AnchorsLocked, to: Run, leaked: Mapping[int, int]
) -> tuple[Placed, Mapping[int, str]]:
    """The ability in one run, without anchors that drifted in it or before. Each run is placed once for its leaks."""
    scale = Scale(locked.items, locked.floor, locked.difficulties, locked.errors, locked.at_error * math.log(2.0))
    found, gone = Placed(None, math.inf, 0), dict[int, str]()
    for looks, run in enumerate((r for r in skills.runs[terms.name] if r.on(locked)), 1):
        key = ("placed", terms, locked.measure, run.seq, len(leaked))  # leaks are only ever added
        if key not in skills.memo:
            found = place(scale, _shares(terms, run.body)[:MAX_ANCHORS], looks, {*leaked, *gone})
            skills.memo[key] = (found, gone | dict(found.drifted))
        found, gone = skills.memo[key]
        if run.seq == to.seq:
            break
    return found, gone


def _shares(terms: e.CapabilityTerms, body: e.Characterised) -> list[float | None]:
    return [None if score is None else share(terms, score) for score in body.scores]


def new_abilities(v: View) -> tuple[tuple[str, int], ...]:
    """(suite, generation on the line) of abilities that an epoch's first characterisation did not show.  # G-1

    Answered by a person's approval of that generation or a later one, and by the opening of an epoch.
    """
    found = []
    for terms in v.suites:
        runs = [r for r in v.skills.runs.get(terms.name, []) if r.body.scores and not r.body.missing]
        at = new_ability([_evidence(v.skills, terms, r) for r in runs]) if terms.floor > 0.0 else None
        if at is None:
            continue
        run = runs[at]
        if run.seq > v.since and run.body.generation in v.line and run.body.generation > v.looked:
            found.append((terms.name, run.body.generation))
    return tuple(found)


def _evidence(skills: Skills, terms: e.CapabilityTerms, run: Run) -> float:
    key = ("evidence", terms, run.seq)
    if key not in skills.memo:
        skills.memo[key] = evidence(_shares(terms, run.body), terms.floor)
    return float(skills.memo[key])


def said_new(suite: str, generation: int) -> str:
    return f"Generation {generation} shows an ability in {suite} that it lacked before (false once in {1 / ALPHA:.0f})"


def breadth_of(v: View, generation: int) -> tuple[int, Breadth] | None:
    """(generation compared with, which domains moved since): the newest one before it that was measured whole."""
    if not v.complete(generation):
        return None
    earlier = [n for n in v.line if n < generation and v.complete(n)]
    if not earlier:
        return None
    domains = {}
    for terms in v.suites:
        before, after = (v.newest(terms.name, n) for n in (earlier[-1], generation))
        if before is not None and after is not None and before.body.scores and after.body.scores:
            scale = v.skills.scales.get(terms.name)
            same = scale is not None and before.on(scale) and after.on(scale)
            domains[terms.name] = (_shares(terms, before.body), _shares(terms, after.body), same)
    return (earlier[-1], breadth(domains)) if domains else None


def rows(v: View, generation: int) -> list[tuple[Standing, e.Characterised]]:
    """Every suite's standing of a generation, with what was measured."""
    found = []
    for terms in v.suites:
        at, run = standing(v, terms, generation), v.newest(terms.name, generation)
        if at is not None and run is not None:
            found.append((at, run.body))
    return found


def lines(v: View, generation: int) -> list[str]:
    """What a generation can do, in words: each suite, what is new, how broad the change was."""
    found = []
    for at, body in rows(v, generation):
        if not body.items:  # its mean of nothing would read as the best of an inclination
            found.append(f"{body.suite}: not measured; none of {body.missing} units gave an answer")
            continue
        missing = f"; NOT COMPLETE: {body.missing} units gave no answer" if body.missing else ""
        found.append(
            f"{body.suite}: {body.mean:.3f} (standard error {body.error:.3f}) on {body.items:,} items, "
            f"{at.sentence()}{missing}"
        )
    found += [f"NEW: {said_new(suite, number)}" for suite, number in new_abilities(v)]
    broad = breadth_of(v, generation)
    if broad is not None:
        found.append(f"Breadth of the change since generation {broad[0]}: {broad[1].sentence()}")
    return found


def _locked(s: State, r: Record, b: e.AnchorsLocked) -> None:
    terms = {each.name: each for each in terms_of(s)}.get(b.suite)
    run = next((x for x in reversed(s.govern.skills.runs.get(b.suite, [])) if x.body.measure == b.measure), None)
    made = None if terms is None or run is None else locking(view(s), terms, run)
    if made is None or not _same(made, b):
        raise misfit(r, "a scale that does not follow from the scores that it names")
    s.govern.skills.scales[b.suite] = b


def _same(made: e.AnchorsLocked, said: e.AnchorsLocked) -> bool:
    numbers = ("at", "at_error", "floor")
    rest = {"difficulties", "errors", *numbers}
    near = all(_near(getattr(made, name), getattr(said, name)) for name in numbers)
    rows_ = all(
        len(a) == len(b) and all(_near(x, y) for x, y in zip(a, b, strict=True))
        for a, b in ((made.difficulties, said.difficulties), (made.errors, said.errors))
    )
    return near and rows_ and made.model_dump(exclude=rest) == said.model_dump(exclude=rest)


def _near(a: float | None, b: float | None) -> bool:
    return a == b if a is None or b is None else math.isclose(a, b, rel_tol=_NEAR, abs_tol=_NEAR)


def _leaked(s: State, r: Record, b: e.AnchorsLeaked) -> None:
    if b.generation not in s.generations or b.suite not in s.govern.skills.runs:
        raise misfit(r, "leaked anchors of a suite that never ran, or in a generation that is not there")
    known = s.govern.skills.leaked.setdefault((b.suite, b.source), {})
    for at in b.places:
        known.setdefault(at, b.generation)


def suites_lost(v: View, generation: int) -> Mapping[str, str]:
    """Suites whose scale no longer tells how capable this generation is, with the reason.  # G-2"""
    found = {}
    for at, _ in rows(v, generation):
        if at.scale == "lost":
            found[at.suite] = "its scale is lost"
        elif at.scale != "no scale" and at.headroom in ("too easy", "of no one ability"):
            found[at.suite] = at.headroom
    return found


HANDLERS: dict[str, Callable[[State, Record, Any], None]] = {"anchors-locked": _locked, "anchors-leaked": _leaked}
