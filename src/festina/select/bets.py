"""Bets on one running difference: the two kinds of evidence that the rule rests on.

A bet answers one question, "is the payoff ``x`` positive on average?", and turns every observation into
a factor on its stakes. Stakes start at a sum of 1. If the answer is no, the expected factor is at most 1
whatever has been seen before, so the sum reaches ``1/a`` at any time, ever, with probability at most
``a`` (Ville). Every factor depends on earlier payoffs alone.

* :class:`Bounded`: no means "the mean of ``x``, given the past, is not positive"; ``x`` has a known
  worst value. Nothing else is assumed of its law.
* :class:`Symmetric`: no means "``x``, given the past, is symmetric about some point that is not
  positive". For metrics without a declared range and for few seeds, where no test of a mean can work.

What this does not cover: whether the payoffs are what they claim to be. See ``gate``.

Invariants: only ``+ - * /``, ``min``, ``max``, ``sqrt`` and comparisons touch the stakes, in a fixed
order. IEEE 754 rounds each of them in one way, so a replay gives the same bits on every machine; ``log``
and ``exp`` would not.  # S-5
"""

from __future__ import annotations

from bisect import insort
from dataclasses import dataclass
from math import sqrt
from typing import NamedTuple

SLOPES = (0.6, 2.0)  # symmetric bets: chosen among five sets in the same way
CLIP = 20.0  # in units of the typical size of earlier payoffs
SCALE_SAMPLES = 101  # the typical size is settled after so many payoffs: bounded memory, still predictable


class Tuning(NamedTuple):
    """How a bounded bet sets its stakes. Numbers that decide what a test costs, never whether it holds.

    The mean square of payoffs is estimated as ``(prior_squares + loss_weight * squares of losses + win_weight * squares
    of wins) / (prior_units + n)``. With ``win_weight`` 0 a win never makes the next stake smaller, so the best
    sequence is the one with the largest payoff each time: ``planning.units_min_accept`` rests on that.
    """

    prior_units: float
    prior_squares: float
    patience: float  # how fast the fear of a loss of size 1 fades while no loss is seen: 1/(1 + patience * n)
    share: float  # of the most that could be staked; nearer to 1 one total loss ruins the bet
    loss_weight: float
    win_weight: float


class Bounded(NamedTuple):
    """Bet that ``x`` has a positive mean, ``x >= -worst``.

    ``effects`` are the mean payoffs that the parts of the bet are aimed at; their stakes are mixed. A part
    aimed at ``d`` puts at risk ``1 / (s + v/d)`` of itself per unit of ``x``, where ``v`` estimates the
    mean square of payoffs and ``s`` the typical size of a loss. For payoffs -1, 0, 1 this is the best stake there
    is; for almost constant payoffs it goes to the limit.

    A tuple and not a dataclass because it is made anew at every unit: that is a third of the time.
    """

    effects: tuple[float, ...]
    limit: float  # largest share at risk per unit of x: tuning.share / worst
    tuning: Tuning
    stakes: tuple[float, ...]
    wealth: float = 1.0
    units: int = 0
    losses: float = 0.0  # sum of losses
    squares: float = 0.0  # sum of squared losses
    wins: float = 0.0  # sum of squared wins, where they count

    def after(self, x: float) -> Bounded:
        """The bet after one more payoff."""
        effects, limit, tuning, stakes, _, n, losses, squares, wins = self
        prior_units, prior_squares, patience, _, loss_weight, win_weight = tuning
        size = 1.0 / (1.0 + patience * n)
        if losses > 0.0:
            typical_loss = squares / losses
            if typical_loss > size:
                size = typical_loss
        spread = (prior_squares + loss_weight * squares + win_weight * wins) / (prior_units + n)
        wealth = 0.0
        staked = []
        for stake, effect in zip(stakes, effects):  # noqa: B905 -- strict= costs a tenth of the whole step
            risk = 1.0 / (size + spread / effect)
            if risk > limit:
                risk = limit
            stake *= 1.0 + risk * x  # noqa: PLW2901 -- a name more costs time
            staked.append(stake)
            wealth += stake  # left to right; ``sum`` rounds differently from Python 3.12 on
        if x < 0.0:
            losses -= x
            squares += x * x
        elif win_weight:
            wins += x * x
        return tuple.__new__(Bounded, (effects, limit, tuning, tuple(staked), wealth, n + 1, losses, squares, wins))

    def best_factor(self, best: float) -> float:
        """No payoff up to ``best`` multiplies the wealth by more than this."""
        return 1.0 + self.limit * best


@dataclass(frozen=True, slots=True)
class Symmetric:
    """Bet that ``x`` lies to the right of 0, against symmetry about a point that is not to the right.

    The factor is ``1 + f(slope * z)`` with the odd and increasing ``f(u) = u / sqrt(1 + u*u)`` and ``z =
    x / typical size of earlier payoffs``: under symmetry about a point at or left of 0 its mean is at
    most 1. The typical size is the median of earlier non-zero ``|x|``: one wild value does not blind the
    bet. Before there is one, only the sign of ``x`` counts. A payoff of exactly 0 changes nothing.
    """

    stakes: tuple[float, ...]
    wealth: float = 1.0
    units: int = 0
    sizes: tuple[float, ...] = ()  # sorted non-zero |x|, the first SCALE_SAMPLES of them

    def after(self, x: float) -> Symmetric:
        """The bet after one more payoff."""
        if x == 0.0:
            return Symmetric(self.stakes, self.wealth, self.units + 1, self.sizes)
        z = standardise(x, typical(self.sizes))
        stakes = [w * symmetric_factor(slope * z) for w, slope in zip(self.stakes, SLOPES, strict=True)]
        return Symmetric(tuple(stakes), _total(stakes), self.units + 1, remember(self.sizes, abs(x)))

    def best_factor(self, best: float) -> float:
        """No payoff multiplies the wealth by more than this (``best`` does not matter: there is no range)."""
        return 2.0


Bet = Bounded | Symmetric


def bounded(effects: tuple[float, ...], weights: tuple[float, ...], worst: float, tuning: Tuning) -> Bounded:
    """A fresh bounded bet; ``weights`` sum to 1, ``worst`` > 0 is the largest possible loss."""
    return Bounded(effects, tuning.share / worst, tuning, weights)


def symmetric() -> Symmetric:
    """A fresh symmetric bet."""
    return Symmetric((0.5, 0.5))


def symmetric_factor(u: float) -> float:
    """``1 + u/sqrt(1 + u*u)``: between 0 and 2, mean at most 1 where ``u`` is symmetric about a point <= 0."""
    return 1.0 + u / sqrt(1.0 + u * u)


def typical(sizes: tuple[float, ...]) -> float:
    """The median of ``sizes`` (sorted, the lower middle one); 0 where there is none."""
    return sizes[(len(sizes) - 1) // 2] if sizes else 0.0


def standardise(x: float, scale: float) -> float:
    """``x`` in units of ``scale``, clipped; its sign alone where there is no scale."""
    if scale == 0.0:
        return float((x > 0.0) - (x < 0.0))
    return max(-CLIP, min(CLIP, x / scale))


def remember(sizes: tuple[float, ...], size: float) -> tuple[float, ...]:
    """``sizes`` with one more positive size, until SCALE_SAMPLES are held."""
    if len(sizes) >= SCALE_SAMPLES or size <= 0.0:
        return sizes
    longer = list(sizes)
    insort(longer, size)
    return tuple(longer)


def _total(stakes: list[float]) -> float:
    """Left to right, one rounding a step: the built-in ``sum`` rounds differently from Python 3.12 on."""
    total = 0.0
    for stake in stakes:
        total += stake
    return total
