"""What luck may do to one generation: laws of a gain over its mean, and of a measurement's error.  # W-3

A gain that is large by luck and a leap look the same once; what tells them apart is how this run's earlier gains were
spread. ``Luck``: laws on positive numbers with mean 1, with tails from light (many successes) to so heavy that one
gain outweighs the rest. ``NOISES``: laws of a measurement's error, over its standard error, as mixtures of normal ones.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from festina.watch.posterior import Array

NODES, NODE_WEIGHTS = np.polynomial.hermite_e.hermegauss(9)
NODE_WEIGHTS = NODE_WEIGHTS / NODE_WEIGHTS.sum()
NEAR = 0.15  # of the mean: below it the laws' poles say nothing about their tails


@dataclass(frozen=True, slots=True)
class Luck:
    """A law on positive numbers with mean 1. ``family``: erlang (k successes), weibull, lomax, lognormal (its sigma),
    student (absolute values of t with 2, 3 or 4 degrees of freedom)."""

    family: str
    shape: float
    weight: float  # before any gain was seen

    def beyond(self, at: Array) -> Array:
        """Chance of more than ``at``."""
        x = np.maximum(at, 0.0)
        if self.family == "erlang":
            rate, terms = self.shape * x, np.ones_like(x)
            total = np.ones_like(x)
            for i in range(1, int(self.shape)):
                terms = terms * rate / i
                total = total + terms
            return np.asarray(np.exp(-rate) * total)
        if self.family == "weibull":
            return np.asarray(np.exp(-((x * math.gamma(1.0 + 1.0 / self.shape)) ** self.shape)))
        if self.family == "lognormal":
            return np.asarray(0.5 * _erfc((np.log(np.maximum(x, 1e-12)) / self.shape + self.shape / 2.0) / 2.0**0.5))
        if self.family == "student":
            return _student_tail(x * _student_mean(self.shape), self.shape)
        return np.asarray((1.0 + x / (self.shape - 1.0)) ** -self.shape)

    def density(self, at: Array) -> Array:
        x = np.maximum(at, NEAR)
        if self.family == "erlang":
            k = self.shape
            found = np.exp(k * np.log(k) + (k - 1.0) * np.log(x) - k * x - math.lgamma(k))
        elif self.family == "weibull":
            scaled = x * math.gamma(1.0 + 1.0 / self.shape)
            found = self.shape / x * scaled**self.shape * np.exp(-(scaled**self.shape))
        elif self.family == "lognormal":
            z = np.log(x) / self.shape + self.shape / 2.0
            found = np.exp(-0.5 * z * z) / (x * self.shape * math.sqrt(2.0 * math.pi))
        elif self.family == "student":
            mean, nu = _student_mean(self.shape), self.shape
            found = 2.0 * mean * _student_peak(nu) * (1.0 + (x * mean) ** 2 / nu) ** (-(nu + 1.0) / 2.0)
        else:
            found = self.shape / (self.shape - 1.0) * (1.0 + x / (self.shape - 1.0)) ** (-self.shape - 1.0)
        return np.where(at > 0.0, found, 0.0)


def _student_peak(nu: float) -> float:
    return math.gamma((nu + 1.0) / 2.0) / (math.sqrt(nu * math.pi) * math.gamma(nu / 2.0))


def _student_mean(nu: float) -> float:
    """Of absolute values."""
    return 2.0 * nu / (nu - 1.0) * _student_peak(nu)


def _student_tail(x: Array, nu: float) -> Array:
    """Chance that an absolute value is beyond ``x``: closed forms, for 2, 3 and 4 degrees of freedom."""
    if nu == 2.0:
        root = np.sqrt(2.0 + x * x)
        return np.asarray(2.0 / (root * (root + x)))
    if nu == 3.0:
        y = x / math.sqrt(3.0)
        return np.asarray(np.maximum(2.0 / math.pi * (np.arctan2(1.0, y) - y / (1.0 + y * y)), 0.0))
    square = 1.0 + x * x / 4.0
    return np.asarray(np.maximum(1.0 - 0.75 * x / np.sqrt(square) * (1.0 - x * x / square / 12.0), 0.0))


def _erfc(z: Array) -> Array:
    """Complementary error function, for arrays, to 1.2e-7 of its value (Numerical Recipes' Chebyshev fit)."""
    t = 1.0 / (1.0 + 0.5 * np.abs(z))
    terms = (
        -1.26551223, 1.00002368, 0.37409196, 0.09678418, -0.18628806, 0.27886807, -1.13520398, 1.48851587, -0.82215223,
        0.17087277,
    )  # fmt: skip
    power = np.zeros_like(t)
    for term in reversed(terms):
        power = power * t + term
    found = t * np.exp(-z * z + power)
    return np.asarray(np.where(z >= 0.0, found, 2.0 - found))


# -- what earlier gains say of it ----------------------------------------------------------------------------

FIRST = (
    Luck("erlang", 16, 0.08), Luck("erlang", 8, 0.12), Luck("erlang", 4, 0.12), Luck("erlang", 2, 0.13),
    Luck("erlang", 1, 0.1), Luck("weibull", 0.75, 0.15), Luck("weibull", 0.5, 0.08), Luck("lomax", 4.0, 0.08),
    Luck("lomax", 2.5, 0.08), Luck("lomax", 1.8, 0.06),
)  # fmt: skip
LAWS = (
    Luck("erlang", 16, 0.08), Luck("erlang", 8, 0.1), Luck("erlang", 4, 0.1), Luck("erlang", 2, 0.1),
    Luck("erlang", 1, 0.08), Luck("weibull", 0.75, 0.08), Luck("weibull", 0.5, 0.04), Luck("lognormal", 0.5, 0.08),
    Luck("lognormal", 0.8, 0.08), Luck("lognormal", 1.2, 0.05), Luck("student", 4, 0.05), Luck("student", 3, 0.05),
    Luck("student", 2, 0.05), Luck("lomax", 2.5, 0.03), Luck("lomax", 1.8, 0.03),
)  # fmt: skip
FIRST_DOUBT = 0.1  # weight of the first laws as before any gain was seen: tails show themselves late


def first_chance(gain: float, error: float, means: Array, past: tuple[Array, Array, Array]) -> float:
    """Of a measured gain at least as large, if it is luck: by versions 1 and 2 of the rule.

    ``means``: draws of what was foreseen. ``past``: gains, errors and fitted means of earlier generations.
    """
    gains, errors, fitted = past
    before = np.array([law.weight for law in FIRST])
    weights = before.copy()
    if len(gains):
        low = max(1.0, float((gains / fitted).mean()))  # a robust fit lies low where luck is skewed
        fitted, means = fitted * low, means * low
        ratios = (gains[:, None] - errors[:, None] * NODES) / fitted[:, None]
        for i, law in enumerate(FIRST):
            seen = (law.density(ratios) @ NODE_WEIGHTS) / fitted
            weights[i] *= float(np.exp(np.log(np.maximum(seen * fitted, 1e-6)).sum()))
        doubt = FIRST_DOUBT
        weights = (1.0 - doubt) * weights / weights.sum() + doubt * before if weights.sum() > 0.0 else before
    at = (gain - error * NODES)[None, :] / means[:, None]
    tails = np.array([float((law.beyond(at) @ NODE_WEIGHTS).mean()) for law in FIRST])
    return float(weights @ tails)


@dataclass(frozen=True, slots=True)
class Noise:
    """A law of a measurement's error over its standard error: a mixture of normal ones."""

    weight: float  # before any gain was seen
    sizes: tuple[float, ...]  # standard deviations
    shares: tuple[float, ...]

    @property
    def nodes(self) -> tuple[Array, Array]:
        """Points and their weights."""
        points = np.concatenate([size * NODES for size in self.sizes])
        return points, np.concatenate([share * NODE_WEIGHTS for share in self.shares])

    def below(self, at: float) -> float:
        """Chance of less than ``at``."""
        tails = (0.5 * math.erfc(-at / size / math.sqrt(2.0)) for size in self.sizes)
        return sum(share * tail for share, tail in zip(self.shares, tails, strict=True))


NOISES = (
    Noise(0.9, (1.0,), (1.0,)),
    Noise(0.05, (0.8, 1.26, 1.96, 3.4, 6.98, 17.3), (0.4, 0.35, 0.18, 0.06, 0.009, 0.001)),  # t, 3 degrees of freedom
    Noise(0.05, (1.0, 8.0), (0.95, 0.05)),  # one in twenty is an outlier
)
SCALES = np.exp(np.linspace(-0.6, 1.2, 7))  # of the true mean over the fitted one: a robust fit lies low
SCALE_SD = 0.25  # natural log
LEAST_SEEN = 1e-5  # likelihood of one gain, at least: one bad fit is not everything
RECENT = 300  # generations that are looked at


@dataclass(frozen=True, slots=True)
class Learnt:
    """Weights (sum 1) of laws of luck x noises x scales of the mean."""

    weights: Array

    @property
    def scale(self) -> float:
        """Of the true mean over the fitted one, on average."""
        return float(self.weights.sum((0, 1)) @ SCALES)

    def scales(self) -> tuple[Array, Array]:
        """Of the true mean over the fitted one: points between those that were tried, too, and their weights."""
        fine = np.linspace(np.log(SCALES[0]), np.log(SCALES[-1]), 4 * len(SCALES) - 3)
        dense = np.interp(fine, np.log(SCALES), self.weights.sum((0, 1)))
        return np.exp(fine), dense / dense.sum()

    def chance(self, gain: float, error: float, means: Array) -> float:
        """Of a measured gain at least as large, if it is luck. ``means``: draws of what was foreseen."""
        total = 0.0
        for n, noise in enumerate(NOISES):
            points, shares = noise.nodes
            at = (gain - error * points)[None, :] / means[:, None]
            for k, scale in enumerate(SCALES):
                rows = self.weights[:, n, k]
                for law in np.flatnonzero(rows > 1e-9):
                    total += float(rows[law] * (LAWS[law].beyond(at / scale) @ shares).mean())
        return total

    def fallen(self, gain: float, error: float) -> float:
        """Chance of a measured gain as low, if capability stands still."""
        weights = self.weights.sum((0, 2))
        return sum(float(w) * noise.below(gain / error) for w, noise in zip(weights, NOISES, strict=True))


def learnt(gains: Array, errors: Array, fitted: Array) -> Learnt:
    """What luck and noise are like, by gains, their errors, and the means that a fit gave them."""
    gains, errors, fitted = (each[-RECENT:] for each in (gains, errors, fitted))
    scales = np.exp(-0.5 * (np.log(SCALES) / SCALE_SD) ** 2)
    priors = np.array([law.weight for law in LAWS]), np.array([noise.weight for noise in NOISES]), scales / scales.sum()
    logs = np.log(np.einsum("i,j,k->ijk", *priors))
    for n, noise in enumerate(NOISES):
        points, shares = noise.nodes
        ratios = (gains[:, None] - errors[:, None] * points) / fitted[:, None]
        for k, scale in enumerate(SCALES):
            for i, law in enumerate(LAWS):
                seen = law.density(ratios / scale) @ shares / scale
                logs[i, n, k] += float(np.log(np.maximum(seen, LEAST_SEEN)).sum())
    weights = np.exp(logs - logs.max())
    return Learnt(weights / weights.sum())
