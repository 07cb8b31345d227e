"""Laws of one unit's difference, as a share of the declared range: how to draw it, and its exact law.

A law that draws each unit by itself also says ``points()``: values and weights that integrate its exact law, so that
the information bound needs no samples. Laws whose next unit depends on earlier ones can only be drawn.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from math import lgamma
from typing import Protocol

import numpy as np

from acceptance.frame import Array, Flags
from festina.select.gate import Plan, gain_bets
from festina.select.vector import BoundedBets


class Law(Protocol):
    """Differences in [-1, 1], one row a test."""

    def draw(self, rng: np.random.Generator, tests: int, units: int) -> Array: ...


class Exact(Law, Protocol):
    """Units are drawn independently of each other."""

    def points(self) -> tuple[Array, Array]: ...


@dataclass(frozen=True, slots=True)
class Atoms:
    """Few values with their chances."""

    values: tuple[float, ...]
    chances: tuple[float, ...]

    def draw(self, rng: np.random.Generator, tests: int, units: int) -> Array:
        below = np.cumsum(self.chances)[:-1]
        return np.array(self.values)[np.searchsorted(below, rng.random((tests, units)), side="right")]

    def points(self) -> tuple[Array, Array]:
        return np.array(self.values), np.array(self.chances)


def ternary(mean: float, change: float = 0.2) -> Atoms:
    """Right or wrong items: ``change`` of them differ between the two sides."""
    return Atoms((-1.0, 0.0, 1.0), ((change - mean) / 2, 1.0 - change, (change + mean) / 2))


def catastrophe(mean: float, share: float = 0.02, loss: float = 0.98) -> Atoms:
    """A little better almost always, a disaster seldom."""
    return Atoms((-loss, (mean + share * loss) / (1.0 - share)), (share, 1.0 - share))


def jackpot(mean: float, share: float = 0.02) -> Atoms:
    """A little worse almost always, a triumph seldom."""
    return Atoms((0.98, (mean - share * 0.98) / (1.0 - share)), (share, 1.0 - share))


def all_or_nothing(gain: float) -> Atoms:
    """Wins ``gain`` each time until everything is lost; mean 0. With a gain beyond ``detect`` the bet that gives
    hopeless candidates up never fires: what a proposer would choose who knows the rule."""
    return Atoms((-1.0, gain), (gain / (1.0 + gain), 1.0 / (1.0 + gain)))


@cache
def _legendre() -> tuple[Array, Array]:
    node, weight = np.polynomial.legendre.leggauss(600)
    return node, weight


@dataclass(frozen=True, slots=True)
class Graded:
    """A graded score: 2 B - 1 with B of a Beta law. ``mean`` and ``sd`` are of the difference."""

    mean: float
    sd: float

    def _shape(self) -> tuple[float, float]:
        middle, variance = 0.5 * (1.0 + self.mean), 0.25 * self.sd * self.sd
        total = middle * (1.0 - middle) / variance - 1.0
        return middle * total, (1.0 - middle) * total

    def draw(self, rng: np.random.Generator, tests: int, units: int) -> Array:
        a, b = self._shape()
        return 2.0 * rng.beta(a, b, (tests, units)) - 1.0

    def points(self) -> tuple[Array, Array]:
        """Gauss-Legendre in the angle t of B = sin(t)^2, which tames the ends."""
        a, b = self._shape()
        node, weight = _legendre()
        angle, step = 0.25 * np.pi * (node + 1.0), 0.25 * np.pi * weight
        logs = (2 * a - 1) * np.log(np.sin(angle)) + (2 * b - 1) * np.log(np.cos(angle))
        density = 2.0 * np.exp(logs + lgamma(a + b) - lgamma(a) - lgamma(b))
        return 2.0 * np.sin(angle) ** 2 - 1.0, density * step


@dataclass(frozen=True, slots=True)
class OneCoin:
    """All items of a process share one coin. ``repeat`` > 1 counts each of them as a unit: the mistake."""

    size: float = 0.5
    repeat: int = 1

    def draw(self, rng: np.random.Generator, tests: int, units: int) -> Array:
        coins = np.where(rng.random((tests, -(-units // self.repeat))) < 0.5, self.size, -self.size)
        return np.repeat(coins, self.repeat, axis=1)[:, :units]


@dataclass(frozen=True, slots=True)
class Clusters:
    """Items come in clusters (a document, a repository) whose items share most of their luck.

    The unit is the cluster's mean; ``singly`` counts its items: the mistake.
    """

    items: int = 20
    shared: float = 0.3
    singly: bool = False

    def draw(self, rng: np.random.Generator, tests: int, units: int) -> Array:
        clusters = -(-units // self.items) if self.singly else units
        luck = rng.choice((-self.shared, 0.0, self.shared), (tests, clusters))
        if not self.singly:
            ups = rng.binomial(self.items, 0.5 + 0.5 * luck)  # items of +0.5 and -0.5
            return ups / self.items - 0.5
        each = rng.random((tests, clusters, self.items)) < (0.5 + 0.5 * luck)[:, :, None]
        return np.where(each, 0.5, -0.5).reshape(tests, -1)[:, :units]


@dataclass(frozen=True, slots=True)
class Reseeded:
    """A change of the random seed and of nothing else: two training runs with an effect of their seed, 40 items each.

    ``remembered`` compares with one old score of the incumbent: the mistake.
    """

    remembered: bool = False

    def _scores(self, rng: np.random.Generator, shape: tuple[int, int]) -> Array:
        return rng.binomial(40, np.clip(rng.normal(0.6, 0.05, shape), 0.0, 1.0)) / 40.0

    def draw(self, rng: np.random.Generator, tests: int, units: int) -> Array:
        old = self._scores(rng, (tests, 1 if self.remembered else units))
        return self._scores(rng, (tests, units)) - old


@dataclass(frozen=True, slots=True)
class Changing:
    """Each unit has a law of its own, known before: the spread goes up and down, the mean never above 0."""

    dip: float = 0.0  # every second unit is worse by this on average
    warm: float = 0.0  # the first units are worse by this, fading away

    def draw(self, rng: np.random.Generator, tests: int, units: int) -> Array:
        at = np.arange(units)
        spread = np.where(at // 10 % 2 == 0, 0.05, 0.6)
        mean = -self.dip * (at % 2) - self.warm / (1.0 + at / 20.0)
        room = 1.0 - np.abs(mean)
        return mean + rng.choice((-1.0, 1.0), (tests, units)) * np.minimum(spread, room)


@dataclass(frozen=True, slots=True)
class Adversary:
    """Sees the account after every unit and picks the next law among those with mean 0.

    Behind: units that hardly vary, so that the next stakes are high. Ahead: ``ahead`` is "bold" (a large win or the
    ruin) or "wild" (a fair coin of full size). The stake follows from the past, and so does the law: a fair game.
    """

    detect: float
    ahead: str

    def draw(self, rng: np.random.Generator, tests: int, units: int) -> Array:
        better, _ = gain_bets(Plan("bounded", 0.5, 0.0, self.detect, 0.1, (), units))
        bets = BoundedBets(better, tests)  # type: ignore[arg-type]  # a bounded plan's
        found = np.empty((tests, units))
        gain = 1.2 * self.detect
        for n in range(units):
            u = rng.random(tests)
            bold = np.where(u < gain / (1.0 + gain), -1.0, gain)
            wild = np.where(u < 0.5, -1.0, 1.0)
            calm = np.where(u < 0.5, -0.02, 0.02)
            winning: Flags = bets.wealth >= 1.0
            found[:, n] = np.where(winning, bold if self.ahead == "bold" else wild, calm)
            bets.step(found[:, n])
        return found
