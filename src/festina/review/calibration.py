"""How well each person reviews: catch trials seen through, false alarms, questions, predictions.  # R-3, S-5

A catch trial is seen through when the decision was to deny it. False alarms are denials of real changes: an upper
bound, since a denied change may have deserved it. Pure.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import NormalDist

from festina.review.seats import RESTORED_BY, Person
from festina.select.rates import exact


@dataclass(frozen=True, slots=True)
class Calibration:
    """One person's record. ``low`` and ``high`` bound the hit rate: exact (Clopper-Pearson), 95 %."""

    reviewer: str
    demo: bool
    trials: int
    hits: int
    low: float
    high: float
    real: int
    denied: int
    dprime: float | None
    answered: int
    right: int
    predictions: int
    brier: float | None
    authority: bool
    why: str

    @property
    def sentence(self) -> str:
        """The record in one line, the same everywhere."""
        if self.demo:
            return f"{self.reviewer}: a demo key, speaks for no person"
        caught = (
            f"{self.hits} of {self.trials} catch trials seen through ({self.low:.0%} to {self.high:.0%})"
            if self.trials else "no catch trial yet"
        )  # fmt: skip
        alarms = f", {self.denied} of {self.real} real changes denied" if self.real else ""
        asked = f", {self.right} of {self.answered} questions about the diff right" if self.answered else ""
        guess = f", Brier score {self.brier:.2f} over {self.predictions} predictions" if self.brier is not None else ""
        count = "approvals count" if self.authority else f"approvals do NOT count: {self.why}"
        return f"{self.reviewer}: {caught}{alarms}{asked}{guess}; {count}"


def calibrated(person: Person, *, demo: bool, needed: float) -> Calibration:
    """The record of one person; ``needed`` is what the lower bound of the hit rate must reach."""
    caught = [vote for vote in person.votes if vote.catch]
    real = [vote for vote in person.votes if not vote.catch]
    hits, denied = sum(not vote.approved for vote in caught), sum(not vote.approved for vote in real)
    low, high = exact(hits, len(caught)) if caught else (0.0, 1.0)
    answers = [vote.right for vote in person.votes if vote.right is not None]
    errors = [
        (vote.classified.predicted - vote.came_true) ** 2
        for vote in person.votes
        if vote.classified is not None and vote.came_true is not None
    ]
    why = _why_not(person, low, len(caught), needed)
    sensitivity = dprime(hits, len(caught), denied, len(real))
    return Calibration(
        person.name, demo, len(caught), hits, low, high, len(real), denied, sensitivity, len(answers), sum(answers),
        len(errors), sum(errors) / len(errors) if errors else None, not why, why,
    )  # fmt: skip


def _why_not(person: Person, low: float, trials: int, needed: float) -> str:
    if person.suspended:
        left = RESTORED_BY - person.seen_since
        return f"a catch trial was missed; {left} more to be seen through in a row"
    if low < needed:
        return f"{trials} catch trials show a hit rate of {low:.0%} at least, {needed:.0%} is asked for"
    return ""


def dprime(hits: int, trials: int, alarms: int, real: int) -> float | None:
    """Sensitivity z(hit rate) - z(false-alarm rate), log-linear correction (Hautus 1995). None without both kinds."""
    if trials == 0 or real == 0:
        return None
    z = NormalDist().inv_cdf
    return z((hits + 0.5) / (trials + 1)) - z((alarms + 0.5) / (real + 1))


def nobody(people: Sequence[Calibration]) -> bool:
    """Whether no person's approvals count, though there are people."""
    real = [each for each in people if not each.demo]
    return bool(real) and not any(each.authority for each in real)
