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


@dataclass(frozen=True, slots=True)
class Aim:
    """One kind of bet: its parts' aims as multiples of what the plan wants to detect, and how the stake is spread."""

    aims: tuple[float, ...]
    weights: tuple[float, ...]
    tuning: Tuning

    def bet(self, effect: float, worst: float) -> Bounded:
        """A fresh bet on payoffs with a mean of about ``effect``, none below ``-worst``."""
        return bounded(tuple(effect * q for q in self.aims), self.weights, worst, self.tuning)


@dataclass(frozen=True, slots=True)
class Rule:
    """One version. With version 2 the sentence of an acceptance without a declared range says what that assumes."""

    gain: Aim
    futility: Aim
    guard: Aim
    violation: Aim


LOSSES = Tuning(4.0, 0.6, 0.05, 0.95, 2.0, 0.0)  # spread from losses alone, counted twice
SQUARES = Tuning(4.0, 0.5, 0.1, 0.97, 1.0, 1.0)  # spread from all payoffs: for bets that lead to no acceptance

_FIRST = Rule(
    Aim((1.0, 2.0, 4.0), (0.5, 0.3, 0.2), LOSSES),
    Aim((1.0, 2.5), (0.7, 0.3), LOSSES),
    Aim((0.5, 1.0, 2.0), (0.2, 0.5, 0.3), LOSSES),
    Aim((1.0, 4.0), (0.5, 0.5), LOSSES),
)
RULES = {
    1: _FIRST,
    2: replace(_FIRST, futility=Aim((1.0, 4.0), (0.85, 0.15), SQUARES)),  # a change without effect costs a tenth less
}
RULE = 2  # what new epochs begin with
