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

# How the stake of a bounded bet is set. Chosen after trying about sixty settings on simulated laws, in throwaway runs
# that are not kept: less caution overbet coin-like payoffs, more caution underbet near-constant ones. What the chosen
# values cost is measured by benchmarks/selection.py, on laws of the same families. Validity does not depend on them.
PRIOR_UNITS = 4.0
PRIOR_SQUARES = 0.6
PATIENCE = 0.05  # how fast the fear of a loss of size 1 fades while no loss is seen: 1/(1 + 0.05 n)
STAKE_LIMIT = 0.95  # share of the most that could be staked; nearer to 1 one total loss ruins the bet

SLOPES = (0.6, 2.0)  # symmetric bets: chosen among five sets in the same way
CLIP = 20.0  # in units of the typical size of earlier payoffs
SCALE_SAMPLES = 101  # the typical size is settled after so many payoffs: bounded memory, still predictable


@dataclass(frozen=True, slots=True)
class Bounded:
    """Bet that ``x`` has a positive mean, ``x >= -worst``.

    ``effects`` are the mean payoffs that the parts of the bet are aimed at; their stakes are mixed. A part
    aimed at ``d`` puts at risk ``1 / (s + v/d)`` of itself per unit of ``x``, where ``v`` estimates the
    mean square of payoffs by twice the losing side and ``s`` the typical size of a loss. For payoffs -1, 0,
    1 this is the best stake there is; for almost constant payoffs it goes to the limit.

    Only losses enter ``v`` and ``s``: a large win never makes the next stake smaller. So the best sequence
    is the one with the largest payoff each time, and ``planning.units_min_accept`` is exact.
    """

    effects: tuple[float, ...]
    limit: float  # largest share at risk per unit of x: STAKE_LIMIT / worst
    stakes: tuple[float, ...]
    wealth: float = 1.0
    units: int = 0
    losses: float = 0.0  # sum of losses
    squares: float = 0.0  # sum of squared losses

    def after(self, x: float) -> Bounded:
        """The bet after one more payoff."""
        n = self.units
        size = 1.0 / (1.0 + PATIENCE * n)
        if self.losses > 0.0:
            size = max(size, self.squares / self.losses)
        spread = (PRIOR_SQUARES + 2.0 * self.squares) / (PRIOR_UNITS + n)
        limit = self.limit
        stakes = []
        for stake, effect in zip(self.stakes, self.effects):  # noqa: B905 -- strict= costs a tenth of the whole step
            risk = 1.0 / (size + spread / effect)
            stakes.append(stake * (1.0 + (risk if risk < limit else limit) * x))
        losses, squares = self.losses, self.squares
        if x < 0.0:
            losses -= x
            squares += x * x
        return Bounded(self.effects, limit, tuple(stakes), _total(stakes), n + 1, losses, squares)

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


def bounded(effects: tuple[float, ...], weights: tuple[float, ...], worst: float) -> Bounded:
    """A fresh bounded bet; ``weights`` sum to 1, ``worst`` > 0 is the largest possible loss."""
    return Bounded(effects, STAKE_LIMIT / worst, weights)


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
