"""The real rule, played on differences drawn from what was measured.

A :class:`Stage` holds a pool of possible differences of a unit (mean 0) and of each guard; ``play`` draws from it, adds
a gain and lets ``festina.select`` decide. Draws follow from fixed seeds: same measurements, same forecast.

Not covered: a candidate that is noisier than the changes that were measured.
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from dataclasses import dataclass, replace
from math import ceil
from typing import Literal, TypeVar

import numpy as np
from numpy.typing import NDArray

from festina.calibrate.noise import Noise, Part, Variance
from festina.select.gate import Plan
from festina.select.vector import Noises, gate

Array = NDArray[np.float64]
Which = Literal["value", "low", "high"]  # how much noise is assumed: as estimated, or an end of its interval
Name = TypeVar("Name", bound=Hashable)

POOL = 8192  # differences of a unit
DRAWS = 500_000  # of units for one case, about
TESTS = (64, 400)  # fewest and most for one case
SHAPE = 5.0  # values that a normal shape weighs as much as: few distinct ones say little of theirs
MOST_FLIPS = 400  # items of a run whose flips are counted one by one


@dataclass(frozen=True, slots=True)
class Flips:
    """Items that are right or wrong: a share of the answers changes, and a gain turns more of them right than wrong."""

    items: int
    share: float
    step: float  # between wrong and right, in units of the range

    def means(self, gain: float) -> Array:
        """Means over the items, as often as their chances say; no fewer answers change than the gain needs."""
        lean = gain / self.step
        share = min(1.0, max(self.share, abs(lean)))
        one = np.array([0.5 * (share - lean), 1.0 - share, 0.5 * (share + lean)])
        law = np.array([1.0])
        for _ in range(self.items):
            law = np.convolve(law, one)
        places = (np.random.default_rng((3, 5)).permutation(POOL) + 0.5) / POOL
        net = np.searchsorted(np.cumsum(law), places) - self.items
        return np.asarray(np.clip(net, -self.items, self.items) * (self.step / self.items), dtype=np.float64)


@dataclass(frozen=True, slots=True)
class Stage:
    """What a unit may bring when nothing has become better, in the gate's own units."""

    pool: Array
    guards: tuple[Array, ...]
    bounded: bool
    flips: Flips | None = None  # what items add to ``pool`` where they are right or wrong; else they are in it

    def at(self, gain: float) -> Array:
        """Differences of a unit with this true gain. Nothing leaves the range, and the gain is kept nevertheless."""
        pool = self.pool + gain if self.flips is None else self.pool + self.flips.means(gain)
        if not self.bounded:
            return pool
        shift = gain - float(pool.mean())
        for _ in range(8):
            found = np.clip(pool + shift, -1.0, 1.0)
            shift += gain - float(found.mean())
        return np.clip(pool + shift, -1.0, 1.0)

    def scaled(self, factor: float) -> Stage:
        """In a range so many times narrower; 0: without noise."""
        flips = replace(self.flips, step=self.flips.step * factor) if self.flips and factor else None
        return replace(self, pool=self.pool * factor, flips=flips)


@dataclass(frozen=True, slots=True)
class Case:
    """A candidate with this gain, tested at this level after so many tests whose noise is carried over."""

    on: Stage
    gain: float
    level: float
    earlier: int = 0  # tests of this stage that the ledger has closed; what they taught is ``select.noise``'s


@dataclass(frozen=True, slots=True)
class Result:
    """How the tests of one case end."""

    accepted: float  # share
    counts: tuple[int, ...]  # units of each test
    wins: int  # accepted tests
    cap: int

    def spent(self, first: int, batch: int) -> float:
        """Mean units that are run when units come in batches: ``first`` of them, then ``batch`` at a time."""
        total = 0
        for units in self.counts:
            more = max(0, units - first)
            total += min(first + ceil(more / batch) * batch, max(self.cap, units))
        return total / len(self.counts)


def stage(
    noise: Noise, groups: float, widths: tuple[tuple[str, float], ...], *, bounded: bool, which: Which = "value"
) -> Stage:
    """The stage of a unit whose runs answer ``groups`` items (clusters); ``widths``: name and range of each guard."""
    assert noise.process is not None  # the caller has asked
    rng = np.random.default_rng((1, 4, 9))
    pool = _drawn(noise.process, which, POOL, rng)
    count = max(1, round(groups))
    size = 0.0 if noise.items is None else getattr(noise.items.variance, which)
    flips = None
    if bounded and noise.step is not None and noise.cluster_items == 1.0 and count <= MOST_FLIPS:
        flips = Flips(count, size / noise.step**2, noise.step)
    elif noise.items is not None and size > 0.0:
        pool = pool + _means(np.array(noise.items.shape), count, size, rng)
    if not bounded:
        pool = pool * rng.choice([-1.0, 1.0], POOL)  # neither side is favoured when nothing has changed
    pool = _failing(pool - pool.mean(), noise, bounded, rng)
    if bounded:
        pool = pool - pool.mean()
    known = dict(noise.guards)
    still = Part(Variance(0.0, 0.0, 0.0), ())
    guards = tuple(
        np.clip(_drawn(known.get(name, still), which, POOL, rng) / width, -1.0, 1.0) for name, width in widths
    )
    return Stage(pool, guards, bounded, flips)


def play(plan: Plan, cases: Mapping[Name, Case], *, tests: int = 0) -> dict[Name, Result]:
    """Play all cases by one plan, whose own level is not looked at; all meet the same draws. Guards hold.

    Earlier tests (``Case.earlier``) are taken to have shown the noise of a change that does nothing.
    """
    cap = plan.units_max
    count = tests or max(TESTS[0], min(TESTS[1], DRAWS // cap))
    rng = np.random.default_rng((2, 7))
    drawn = rng.integers(POOL, size=(count, cap))
    guards = [rng.integers(POOL, size=(count, cap)) for _ in plan.guards]
    gains = np.concatenate([case.on.at(case.gain)[drawn] for case in cases.values()])
    held = [np.concatenate([case.on.guards[k][each] for case in cases.values()]) for k, each in enumerate(guards)]
    levels = np.repeat([case.level for case in cases.values()], count)
    earlier = np.repeat([float(case.earlier) for case in cases.values()], count)
    shown = np.repeat([float(np.square(case.on.at(0.0)).mean()) for case in cases.values()], count)
    ends = gate(plan, levels, gains, held, noise=Noises(earlier, earlier * shown))
    found = {}
    for i, name in enumerate(cases):
        rows = slice(i * count, (i + 1) * count)
        wins = int((ends.outcome[rows] == "accept").sum())
        found[name] = Result(wins / count, tuple(int(n) for n in ends.units[rows]), wins, cap)
    return found


def _drawn(part: Part, which: Which, size: int, rng: np.random.Generator) -> Array:
    """Values with the part's shape and the variance that ``which`` names."""
    wanted = float(getattr(part.variance, which)) ** 0.5
    shape = np.array(part.shape)
    spread = float(np.sqrt((shape**2).mean())) if len(shape) else 0.0
    if wanted == 0.0 or spread == 0.0:
        return np.zeros(size)
    drawn: Array = rng.choice(shape / spread, size)
    if len(set(part.shape)) == len(shape):
        normal = SHAPE / (SHAPE + len(shape))
        drawn = np.sqrt(1.0 - normal) * drawn + np.sqrt(normal) * rng.standard_normal(size)
    result: Array = wanted * drawn
    return result


def _means(shape: Array, count: int, variance: float, rng: np.random.Generator) -> Array:
    """Means over ``count`` items."""
    shape = shape - shape.mean()
    spread = float(np.sqrt((shape**2).mean()))
    if spread == 0.0:
        return np.zeros(POOL)
    total = np.zeros(POOL)
    for _ in range(min(count, 256)):  # a mean over more is normal for every purpose here
        total += rng.choice(shape, POOL)
    scale: float = min(count, 256) ** -0.5 / spread * (variance / count) ** 0.5
    return total * scale


def _failing(pool: Array, noise: Noise, bounded: bool, rng: np.random.Generator) -> Array:
    """With the share of failed runs that was seen, a side scores worst (``experiment.batch``)."""
    share = noise.failed / (noise.failed + noise.runs)
    if share == 0.0:
        return pool
    candidate, incumbent = rng.random(POOL) < share, rng.random(POOL) < share
    lost = noise.position if bounded else max(abs(noise.position), 1.0)
    won = noise.position if bounded else 0.0
    pool = np.where(incumbent & ~candidate, won, pool)
    return np.where(candidate & ~incumbent, -lost, np.where(candidate & incumbent, 0.0, pool))
