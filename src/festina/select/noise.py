"""What an epoch's earlier tests have shown of the noise: the next test need not learn it from nothing.

A bet stakes more where differences vary less, and it needs some tens of units to see how much they vary. Tests of one
epoch compare runs of the same kind, so the mean square of their differences is a good first guess. It counts as at most
``MOST`` units, so that a test whose noise is another one soon goes by its own.

Validity: the guess is fixed when a test opens and depends on closed tests alone. Where every unit is drawn anew given
the past, a stake may depend on all of the past (A3 and Lemma 1 of ``docs/proof.md``). Where candidates share items it
must not, since earlier tests have seen the very items to come: nothing is learnt there (``verify.verdicts.learn``).

Only ``+ - * /`` and comparisons, left to right.  # S-5
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

LEAST = 10  # units of a test that says something about noise
EACH, MOST = 4.0, 16.0  # units that one earlier test counts as, and all of them together
GUESS = 0.125  # of the mean square before any test: rule 2 begins with it; it counts as one test


class Noise(NamedTuple):
    """Closed tests of this epoch that had units enough, and the sum of their mean squares."""

    tests: int = 0
    squares: float = 0.0

    def after(self, diffs: Sequence[float]) -> Noise:
        """With one more closed test; ``diffs`` are its differences in shares of the declared range."""
        if len(diffs) < LEAST:
            return self
        total = 0.0
        for value in diffs:
            total += value * value
        return Noise(self.tests + 1, self.squares + total / len(diffs))

    def prior(self, units: float, squares: float, aim: float) -> tuple[float, float]:
        """A bet's prior (units, sum of squares): as it stands, or with what was learnt.

        ``aim``: the payoff is the difference minus this or this minus the difference.
        """
        if self.tests == 0:
            return units, squares
        more = min(MOST, EACH * self.tests)
        mean = (GUESS + self.squares) / (1.0 + self.tests)
        return units + more, (units + more) * (mean + aim * aim)


UNKNOWN = Noise()
