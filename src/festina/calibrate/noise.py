"""How much scores differ when nothing has become better, by where it comes from.

All inside is in units of the declared range (1 where there is none), oriented: higher is better. A unit of evidence is
one run of each side under one seed on the same items, and its difference is ``process + mean of the items' parts``:

* the *process* part is what one pair of runs has of its own (seed, threads, luck), whatever the number of items;
* the *items'* part shrinks with the number of items, or of clusters where items come in clusters.

Differences are taken from small changes of the incumbent under its own seeds (``neighbours``); without them from runs
of the incumbent under other seeds (``seeds``: no gain from pairing is assumed, which is cautious), and where there is
one seed only, from reruns of it (``reruns``: the least noise there can be).

Not covered: what no run showed. A disaster that comes once in fifty runs is not seen by ten.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise, permutations
from math import fsum, hypot, inf, sqrt
from typing import Literal

from festina.calibrate.spans import freedom_of, variance_span
from festina.calibrate.types import Measured, Run
from festina.errors import UsageError

TELLING = 10.0  # ratio of variances that three changes of equal noise, six pairs each, show in one of twenty cases
ROUNDING = 1e-9  # of the scores' size: differences below are none
FEW_SCORES = 8  # of which two different ones say nothing of how items are scored

Source = Literal["neighbours", "seeds", "reruns", "none"]
Groups = Mapping[str, tuple[float, int]]  # by item or cluster: sum of its scores, number of its items


@dataclass(frozen=True, slots=True)
class Variance:
    """An estimate with its 95 % interval."""

    value: float
    low: float
    high: float

    def times(self, factor: float) -> Variance:
        return Variance(self.value * factor, self.low * factor, self.high * factor)

    def beyond(self, dust: float) -> Variance:
        """Nothing at all where all of it is rounding."""
        return self if self.high > dust else Variance(0.0, 0.0, 0.0)

    def plus(self, other: Variance | None) -> Variance:
        """The sum. Distances to the ends add up like errors (Graybill and Wang's modified large-sample interval)."""
        if other is None:
            return self
        value = self.value + other.value
        low = value - hypot(self.value - self.low, other.value - other.low)
        return Variance(value, max(0.0, low), value + hypot(self.high - self.value, other.high - other.value))

    def minus(self, other: Variance | None) -> Variance:
        """The difference, never below 0, in the same way."""
        if other is None:
            return self
        value = self.value - other.value
        low = value - hypot(self.value - self.low, other.high - other.value)
        high = value + hypot(self.high - self.value, other.value - other.low)
        return Variance(max(0.0, value), max(0.0, low), max(0.0, high))


@dataclass(frozen=True, slots=True)
class Part:
    """A source of noise: its variance, and centred values that have its shape (of any scale)."""

    variance: Variance
    shape: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class Noise:
    """What was found. None: it cannot be told from these runs."""

    source: Source
    process: Part | None  # of a pair of runs
    items: Part | None  # of a pair of runs that answer one item (one cluster); divide by their number
    seeds: Variance | None  # of one run's score, when the seed changes
    reruns: Variance | None  # of one run's score, when nothing changes
    between_items: Variance | None  # of scores within a run, item by item
    cluster_effect: Variance | None  # how many times less an item of a cluster tells than one alone
    one_run: Part | None  # of one run's score: what a loop that keeps the best score sees
    guards: tuple[tuple[str, Part], ...]
    cluster_items: float  # items of a cluster; 1 where there are none
    step: float | None  # right or wrong: how far apart the only two scores of an item are; None: graded
    seen: tuple[float, float] | None  # lowest and highest score of an item or a run, in the suite's own unit
    position: float  # of the mean score between worst (0) and best (1); symmetric: the mean score itself
    score: float  # mean of the incumbent's runs, in the suite's own unit
    runs: int  # that ended well
    failed: int
    broken: tuple[str, ...]  # neighbours that never ended well
    wall_s: float  # of a run
    train_s: float  # of a training: within a run, or before all of a candidate's where it is trained once
    pairs: int  # that ``process`` rests on

    def unit(self, groups: float) -> Variance | None:
        """Variance of a unit whose runs answer so many items (or clusters)."""
        if self.process is None:
            return None
        return self.process.variance.plus(self.items.variance.times(1.0 / groups) if self.items else None)


@dataclass(frozen=True, slots=True)
class _Row:
    """A run, or the difference of two, as oriented numbers."""

    family: str
    seed: int
    mean: float
    size: int  # items or clusters behind the mean
    groups: Groups  # of a difference: empty where the two runs answered different ones


def analyse(measured: Measured) -> Noise:
    """Take the measured runs apart. Raises ``UsageError`` where no run of the incumbent gave a score."""
    own = [run for run in measured.runs if run.tree == "incumbent"]
    good = [run for run in own if not run.failed]
    if not good:
        raise UsageError(
            "nothing-to-forecast", f"none of the {len(own)} runs of the version in use gave a score",
            fix="mend it first: a version that fails cannot be compared with anything",
        )  # fmt: skip
    clustered = _clustered(good)
    others: dict[str, list[Run]] = defaultdict(list)
    for run in measured.runs:
        if run.tree != "incumbent":
            others[run.tree].append(run)
    alive = {name: runs for name, runs in others.items() if any(not run.failed for run in runs)}
    singles = [_row(run, measured, clustered) for run in good]
    source, rows = _pairs(measured, good, alive, clustered)
    counted = own + [run for runs in alive.values() for run in runs]
    items = _within([row for row in singles if len(row.groups) > 1])
    alone = _within([_row(run, measured, False) for run in good]) if clustered else items
    process, item_part, pairs = _parts(source, rows, singles)
    per_run = _seed_part([row for row, run in zip(singles, good, strict=True) if run.repeat == 0], items)
    answered = [answer.score for run in good for answer in run.answers]
    scores = answered or [_score(run) for run in good]
    sizes = [count for row in singles for _, count in row.groups.values()]
    width = _width(measured)
    mean = fsum(_score(run) for run in good) / len(good)
    trained = [run.train_s for run in measured.runs if run.train_s > 0.0]
    dust = (ROUNDING * max(abs(score) for score in scores) / width) ** 2
    per_run, reruns = _beyond(per_run, dust), _rerun_part(good, measured)
    return Noise(
        source=source, process=_beyond(process, dust), items=_beyond(item_part, dust),
        seeds=per_run.variance if per_run else None, reruns=reruns.beyond(dust) if reruns else None,
        between_items=alone.variance if alone else None,
        cluster_effect=_cluster_effect(items, alone, sizes) if clustered else None,
        one_run=per_run, guards=_guards(good, alive), step=_step(measured, answered),
        cluster_items=fsum(sizes) / len(sizes) if clustered and sizes else 1.0,
        seen=(min(scores), max(scores)), position=_position(mean, measured, width), score=mean,
        runs=sum(not run.failed for run in counted), failed=sum(bool(run.failed) for run in counted),
        broken=tuple(sorted(set(others) - set(alive))),
        wall_s=fsum(run.wall_s for run in measured.runs) / len(measured.runs), pairs=pairs,
        train_s=fsum(trained) / len(trained) if trained else 0.0,
    )  # fmt: skip


def _beyond(part: Part | None, dust: float) -> Part | None:
    return None if part is None else Part(part.variance.beyond(dust), part.shape)


# ---- runs and differences -----------------------------------------------------------------------------------


def _width(measured: Measured) -> float:
    return 1.0 if measured.scale is None or measured.kind == "symmetric" else measured.scale[1] - measured.scale[0]


def _step(measured: Measured, scores: Sequence[float]) -> float | None:
    """The distance of the two scores that an item can have, where it seems to have no more than two."""
    if len(set(scores)) != 2 or len(scores) <= FEW_SCORES or measured.kind == "symmetric":
        return None
    return (max(scores) - min(scores)) / _width(measured)


def _score(run: Run) -> float:
    if run.answers:
        return fsum(answer.score for answer in run.answers) / len(run.answers)
    return run.metric if run.metric is not None else 0.0


def _position(mean: float, measured: Measured, width: float) -> float:
    if measured.scale is None or measured.kind == "symmetric":
        return mean
    share = (mean - measured.scale[0]) / width
    return share if measured.direction == "higher" else 1.0 - share


def _clustered(runs: Sequence[Run]) -> bool:
    answers = [answer for run in runs for answer in run.answers]
    named = {answer.cluster for answer in answers}
    return bool(answers) and None not in named and len(named) < len({answer.item for answer in answers})


def _row(run: Run, measured: Measured, clustered: bool) -> _Row:
    factor = (1.0 if measured.direction == "higher" else -1.0) / _width(measured)
    groups: dict[str, tuple[float, int]] = {}
    for answer in run.answers:
        name = answer.cluster if clustered and answer.cluster is not None else answer.item
        total, count = groups.get(name, (0.0, 0))
        groups[name] = (total + factor * answer.score, count + 1)
    return _Row(run.tree, run.seed, factor * _score(run), len(groups), groups)


def _minus(one: _Row, other: _Row, family: str) -> _Row:
    """The difference of two runs; item by item where both answered the same ones."""
    groups = {}
    if one.groups.keys() == other.groups.keys():
        groups = {name: (total - other.groups[name][0], count) for name, (total, count) in one.groups.items()}
    return _Row(family, one.seed, one.mean - other.mean, one.size, groups)


def _pairs(
    measured: Measured, good: Sequence[Run], alive: Mapping[str, Sequence[Run]], clustered: bool
) -> tuple[Source, list[_Row]]:
    """Differences that stand for a unit's, and where they come from."""
    rows = {(run.seed, run.repeat): _row(run, measured, clustered) for run in good}
    firsts = {seed: row for (seed, repeat), row in sorted(rows.items(), reverse=True)}  # the lowest repeat of each seed
    near = [
        _minus(_row(run, measured, clustered), rows.get((run.seed, run.repeat)) or firsts[run.seed], name)
        for name, runs in sorted(alive.items()) for run in runs if not run.failed and run.seed in firsts
    ]  # fmt: skip
    if near := _telling(near):
        return "neighbours", near
    if len(firsts) > 1:
        return "seeds", [_minus(one, other, "") for one, other in permutations(firsts.values(), 2)]
    again = [row for key, row in rows.items() if row is not firsts[key[0]]]
    if again:
        return "reruns", [
            d for row in again for first in [firsts[row.seed]] for d in (_minus(row, first, ""), _minus(first, row, ""))
        ]
    return "none", []


def _telling(rows: Sequence[_Row]) -> list[_Row]:
    """Without the changes that touch next to nothing of what chance decides: a real proposal does more than they."""
    families = {name: family for name, family in _families(rows).items() if len(family) > 1}
    widths = {}
    for name, family in families.items():
        mean = fsum(row.mean for row in family) / len(family)
        widths[name] = fsum((row.mean - mean) ** 2 for row in family) / (len(family) - 1.0)
    most = max(widths.values(), default=0.0)
    return [row for name, family in families.items() if widths[name] * TELLING >= most for row in family]


# ---- parts of the variance ----------------------------------------------------------------------------------


def _within(rows: Sequence[_Row]) -> Part | None:
    """The part that items (or clusters) have in a mean over one of them; None where no row holds two."""
    shape: list[float] = []
    squares, weight = 0.0, 0
    names: set[str] = set()
    for row in rows:
        n = len(row.groups)
        if n < 2:
            continue
        names.update(row.groups)
        size = fsum(count for _, count in row.groups.values()) / n
        total = fsum(value for value, _ in row.groups.values()) / (size * n)
        grow = sqrt(n / (n - 1.0))
        parts = [grow * (value - total * count) / size for value, count in row.groups.values()]
        shape += parts
        squares += fsum(part * part for part in parts)
        weight += n
    if not weight:
        return None
    value = squares / weight
    return Part(Variance(value, *variance_span(value, freedom_of(shape, len(names) - 1))), tuple(shape))


def _parts(source: Source, rows: Sequence[_Row], singles: Sequence[_Row]) -> tuple[Part | None, Part | None, int]:
    """Process part and items' part of a unit's difference, and the number of pairs behind the former."""
    if source == "none":
        return None, None, 0
    own, share = _within(rows), _item_share(rows, _within(rows))
    alone = _within(singles)
    if own is None and alone is not None and not all(row.groups for row in rows):
        # Other items under other seeds: nothing is known of what a pair on the same ones would share.
        own, share = Part(alone.variance.times(2.0), alone.shape), _item_share(singles, alone)
        share = None if share is None else share.times(2.0)
    families = _families(rows)
    centred = source == "neighbours"
    shape: list[float] = []
    for family in families.values():
        mean = fsum(row.mean for row in family) / len(family) if centred else 0.0
        grow = sqrt(len(family) / (len(family) - 1.0)) if centred else 1.0
        shape += [grow * (row.mean - mean) for row in family]
    raw = fsum(value * value for value in shape) / len(shape)
    freedom = _freedom(source, rows, len(families))
    variance = Variance(raw, *variance_span(raw, freedom_of(shape, freedom))).minus(share)
    pairs = len(rows) if centred else len({row.seed for row in rows}) if source == "seeds" else len(rows) // 2
    return Part(variance, tuple(shape)), own, pairs


def _families(rows: Iterable[_Row]) -> dict[str, list[_Row]]:
    families: dict[str, list[_Row]] = defaultdict(list)
    for row in rows:
        families[row.family].append(row)
    return families


def _freedom(source: Source, rows: Sequence[_Row], families: int) -> float:
    """Independent values behind the process part. Changes tried under one seed share a run: they correlate by half."""
    seeds = len({row.seed for row in rows})
    if source == "seeds":
        return seeds - 1.0
    if source == "reruns":
        return len(rows) / 2.0
    return (len(rows) - families) / (1.0 + (len(rows) / seeds - 1.0) / 4.0)


def _item_share(rows: Sequence[_Row], items: Part | None) -> Variance | None:
    """How much of the variance of rows' means comes from their items.

    Of what lasts of an item from row to row only the share that is not common to the rows' items, of the rest all: for
    other items in each row all of it, for the same items in each row the part that does not last.
    """
    if items is None:
        return None
    size = fsum(row.size for row in rows) / len(rows)
    passing = min(1.0, _passing(rows) / items.variance.value) if items.variance.value else 0.0
    common = [
        len(one.groups.keys() & other.groups.keys()) / max(1, len(one.groups))
        for family in _families(rows).values() for one, other in pairwise(family)
    ]  # fmt: skip
    overlap = fsum(common) / len(common) if common else 0.0
    return items.variance.times(((1.0 - passing) * (1.0 - overlap) + passing) / size)


def _passing(rows: Sequence[_Row]) -> float:
    """The part of an item's variance that does not last from row to row; all of it where no item is seen twice."""
    by_item: dict[tuple[str, str], list[float]] = defaultdict(list)
    for row in rows:
        for name, (total, count) in row.groups.items():
            by_item[row.family, name].append(total / count - row.mean)
    squares, freedom = 0.0, 0
    for values in by_item.values():
        mean = fsum(values) / len(values)
        squares += fsum((value - mean) ** 2 for value in values)
        freedom += len(values) - 1
    return squares / freedom if freedom else inf


def _seed_part(rows: Sequence[_Row], items: Part | None) -> Part | None:
    """Of one run's score when the seed changes; None with one seed."""
    firsts = list({row.seed: row for row in rows}.values())
    if len(firsts) < 2:
        return None
    mean = fsum(row.mean for row in firsts) / len(firsts)
    grow = sqrt(len(firsts) / (len(firsts) - 1.0))
    shape = [grow * (row.mean - mean) for row in firsts]
    raw = fsum(value * value for value in shape) / len(shape)
    variance = Variance(raw, *variance_span(raw, freedom_of(shape, len(firsts) - 1.0)))
    return Part(variance.minus(_item_share(firsts, items)), tuple(shape))


def _rerun_part(good: Sequence[Run], measured: Measured) -> Variance | None:
    """Of one run's score when nothing changes; None where no seed was run twice."""
    by_seed: dict[int, list[float]] = defaultdict(list)
    for run in good:
        by_seed[run.seed].append(_score(run) / _width(measured))
    squares, freedom = 0.0, 0
    for values in by_seed.values():
        mean = fsum(values) / len(values)
        squares += fsum((value - mean) ** 2 for value in values)
        freedom += len(values) - 1
    if not freedom:
        return None
    return Variance(squares / freedom, *variance_span(squares / freedom, freedom))


def _cluster_effect(clusters: Part | None, alone: Part | None, sizes: Iterable[int]) -> Variance | None:
    """Variance of a cluster's mean over what its items would have if each stood alone."""
    counts = list(sizes)
    if clusters is None or alone is None or alone.variance.value == 0.0:
        return None
    effect = clusters.variance.times(fsum(counts) / len(counts) / alone.variance.value)
    return Variance(max(1.0, effect.value), max(1.0, effect.low), max(1.0, effect.high))


def _guards(good: Sequence[Run], alive: Mapping[str, Sequence[Run]]) -> tuple[tuple[str, Part], ...]:
    """Of a pair's difference in each guard, in the guard's own unit; of whole runs: no more was kept of them."""
    rows = {(run.seed, run.repeat): dict(run.guards) for run in good}
    firsts = {seed: row for (seed, _), row in sorted(rows.items(), reverse=True)}
    found = []
    for name in dict.fromkeys(name for run in good for name, _ in run.guards):
        shape: list[float] = []
        freedom = 0.0
        for runs in alive.values():
            diffs = [
                dict(run.guards)[name] - firsts[run.seed][name]
                for run in runs if not run.failed and run.seed in firsts and name in dict(run.guards)
            ]  # fmt: skip
            if len(diffs) > 1:
                mean, grow = fsum(diffs) / len(diffs), sqrt(len(diffs) / (len(diffs) - 1.0))
                shape += [grow * (value - mean) for value in diffs]
                freedom += len(diffs) - 1.0
        if not shape:
            shape = [one[name] - other[name] for one, other in permutations(firsts.values(), 2)]
            freedom = len(firsts) - 1.0
        if shape:
            raw = fsum(value * value for value in shape) / len(shape)
            found.append((name, Part(Variance(raw, *variance_span(raw, freedom_of(shape, freedom))), tuple(shape))))
    return tuple(found)
