"""How well predictions come true: an author's predicted gains beside what the gate measured.  # P-6

A predicted gain is one number, so its score is the absolute error, which is the CRPS of such a forecast: in the suite's
own unit, and less is better. The reference predicts, at each verdict, the median of all gains that were measured before
it (0 before the first), as anybody could who knows earlier results and nothing of the change. Both are scored on the
same changes, in the order of their verdicts.

Not covered: what was never judged, for nobody knows what it would have come to; and the noise of the measurement, which
makes the errors of author and reference larger alike.
"""

from __future__ import annotations

from bisect import insort
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean

from festina.select.pairing import LARGEST
from festina.select.student import Spread, spread
from festina.select.words import number

NOTE = (
    "Mean absolute errors of predicted gains under the present rules, in the suite's unit; less is better. The median "
    "of earlier results is what anybody could predict who knows nothing of the change. No verdict depends on a "
    "prediction, and no proposer is shown this."
)  # the same words in every view  # S-4
LEAST = 5  # predictions, before which nothing is said of whether they beat the reference


@dataclass(frozen=True, slots=True)
class Judged:
    """One judged change, gains oriented so that positive is better. ``seq``: the entry of its verdict."""

    seq: int
    author: str
    predicted: float | None
    came: float  # the estimate that its verdict states
    accepted: bool


@dataclass(frozen=True, slots=True)
class Record:
    """How one author's predictions came true. ``error``, ``reference``: mean absolute errors.

    ``difference``: error less reference, with a 95 % interval; None with fewer than two. ``bias``: mean of predicted
    less measured. ``hopeful``: predictions of a gain, and ``held`` of them were accepted. ``judged``: changes in all,
    also those without a prediction, and ``accepted`` of them were.
    """

    author: str
    predictions: int
    error: float
    reference: float
    difference: Spread | None
    bias: float
    hopeful: int
    held: int
    judged: int
    accepted: int
    entries: tuple[int, int]  # first and last verdict that it rests on

    @property
    def answer(self) -> str:
        if self.predictions < LEAST or self.difference is None:
            return "too few to tell"
        _, low, high = self.difference
        return "better" if high < 0.0 else "worse" if low > 0.0 else "cannot tell"

    @property
    def sentence(self) -> str:
        """The same words in every view.  # S-4"""
        size = max(self.error, self.reference, abs(self.bias)) / 20
        off, reference = number(self.error, size), number(self.reference, size)
        word = {
            "better": "its predictions are better", "worse": "its predictions are worse",
            "cannot tell": "which is better cannot be told", "too few to tell": f"fewer than {LEAST} say little",
        }[self.answer]  # fmt: skip
        lead = "too much" if self.bias > 0 else "too little"
        were = "was" if self.held == 1 else "were"
        return (
            f"Predicted gains of {self.author}, {self.predictions} of {self.judged} judged changes: off by {off} on "
            f"average ({number(abs(self.bias), size)} {lead} in the mean); the median of earlier results is off by "
            f"{reference}: {word}. Of {self.hopeful} that it said would gain, {self.held} {were} accepted."
        )


def counts(word: str | None, reason: str) -> bool:
    """Whether a change was judged to the end: what a moved line, a fault or new rules cut short says little."""
    return word in ("accepted", "rejected") or (word == "inconclusive" and reason == "cap")


def records(judged: Sequence[Judged]) -> tuple[Record, ...]:
    """One record for each author that predicted anything, by name. Numbers beyond ``LARGEST`` are left out."""
    judged = [each for each in judged if all(abs(x) <= LARGEST for x in (each.predicted or 0.0, each.came))]
    seen: list[float] = []  # sorted, so that a long record takes no square of its length
    scored: dict[str, list[tuple[Judged, float, float]]] = {}
    for each in sorted(judged, key=lambda each: each.seq):
        reference = abs(_middle(seen) - each.came)
        if each.predicted is not None:
            scored.setdefault(each.author, []).append((each, abs(each.predicted - each.came), reference))
        insort(seen, each.came)
    return tuple(_record(author, scored[author], judged) for author in sorted(scored))


def _middle(ordered: Sequence[float]) -> float:
    """The median of sorted values; 0 of none."""
    if not ordered:
        return 0.0
    half = len(ordered) // 2
    return ordered[half] if len(ordered) % 2 else (ordered[half - 1] + ordered[half]) / 2.0


def _record(author: str, rows: Sequence[tuple[Judged, float, float]], judged: Sequence[Judged]) -> Record:
    mine = [each for each in judged if each.author == author]
    hopeful = [each for each, _, _ in rows if (each.predicted or 0.0) > 0.0]
    return Record(
        author, len(rows), fmean(error for _, error, _ in rows), fmean(reference for _, _, reference in rows),
        spread([error - reference for _, error, reference in rows]) if len(rows) > 1 else None,
        fmean((each.predicted or 0.0) - each.came for each, _, _ in rows),
        len(hopeful), sum(each.accepted for each in hopeful), len(mine), sum(each.accepted for each in mine),
        (rows[0][0].seq, rows[-1][0].seq),
    )  # fmt: skip
