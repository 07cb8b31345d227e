"""The numbers of the rule, by version: where the bets aim and how they stake.  # S-5, L-4

An epoch records the version it began with and keeps it, so that every verdict can be recomputed for ever. A version is
data: all of them run through the same code. Validity rests on the theorem whatever these numbers are (``bets``,
``docs/proof.md``); they decide how many units a test needs. How they were chosen, on which simulated laws, and what
they cost on others: ``docs/experiments.md``.

Invariant: bets that lead to acceptance (gain, guard) have ``win_weight`` 0; ``planning.units_min_accept`` needs it.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from festina.select.bets import Bounded, Tuning, bounded
from festina.select.noise import UNKNOWN, Noise


@dataclass(frozen=True, slots=True)
class Aim:
    """One kind of bet: its parts' aims as multiples of what the plan wants to detect, and how the stake is spread."""

    aims: tuple[float, ...]
    weights: tuple[float, ...]
    tuning: Tuning

    def bet(self, effect: float, worst: float, noise: Noise = UNKNOWN, aim: float = 0.0) -> Bounded:
        """A fresh bet on payoffs with a mean of about ``effect``, none below ``-worst``.

        ``noise``: what is known of differences; payoffs are measured from ``aim``.
        """
        units, squares = noise.prior(self.tuning.prior_units, self.tuning.prior_squares, aim)
        tuning = self.tuning._replace(prior_units=units, prior_squares=squares)
        return bounded(tuple(effect * q for q in self.aims), self.weights, worst, tuning)


@dataclass(frozen=True, slots=True)
class Rule:
    """One version. With version 2 the sentence of an acceptance without a declared range says what that assumes.

    ``learns``: on fresh items the goal's bets begin with the noise that the epoch's closed tests have shown.
    """

    gain: Aim
    futility: Aim
    guard: Aim
    violation: Aim
    learns: bool = False


LOSSES = Tuning(4.0, 0.6, 0.05, 0.95, 2.0, 0.0)  # spread from losses alone, counted twice
SQUARES = Tuning(4.0, 0.5, 0.1, 0.97, 1.0, 1.0)  # spread from all payoffs: for bets that lead to no acceptance

_FIRST = Rule(
    Aim((1.0, 2.0, 4.0), (0.5, 0.3, 0.2), LOSSES),
    Aim((1.0, 2.5), (0.7, 0.3), LOSSES),
    Aim((0.5, 1.0, 2.0), (0.2, 0.5, 0.3), LOSSES),
    Aim((1.0, 4.0), (0.5, 0.5), LOSSES),
)
_SECOND = replace(_FIRST, futility=Aim((1.0, 4.0), (0.85, 0.15), SQUARES))  # a null costs a tenth less
RULES = {1: _FIRST, 2: _SECOND, 3: replace(_SECOND, learns=True)}  # and a fifteenth less
RULE = 3  # what new epochs begin with
