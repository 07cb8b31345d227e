"""From the scores of a unit's sides to its paired differences: what the rule takes as evidence.  # E-3, V-1, S-5

Positive is better, whatever the direction of a metric; 1 is the width of the declared range (or the metric's own unit
where there is none). The engine records them, and the verifier computes them anew from the scores that it made.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

LARGEST = 1e100  # of a score in size: what lies beyond is none, and squares and quotients of the others stay numbers


@dataclass(frozen=True, slots=True)
class Scale:
    """How score differences become evidence: sign and width of the declared range (1 where there is none)."""

    sign: float
    width: float
    guards: tuple[tuple[float, float], ...]  # (sign, width) of each guard
    judges: tuple[tuple[float, float], ...] = ()  # and of each further verifier
    anchored: bool = False  # in a test for the improver the task is compared with the anchor, too  # V-4


class Score(Protocol):
    """One side's score in the suite's own unit, its guards' and its further verifiers'.

    ``mean`` is None only where no range is declared and the run gave no score: there is no worst number then.
    """

    @property
    def mean(self) -> float | None: ...
    @property
    def guards(self) -> tuple[float, ...]: ...
    @property
    def judges(self) -> tuple[float, ...]: ...


@dataclass(frozen=True, slots=True)
class Differences:
    """One unit: candidate minus incumbent, and for the guards candidate minus anchor."""

    gain: float
    guards: tuple[float, ...]
    judges: tuple[float, ...]


def differences(candidate: Score, incumbent: Score, anchor: Score, scale: Scale, *, late: bool) -> Differences:
    """``late``: a comparison side ran out of wall time, which never counts in the candidate's favour: a slow machine,
    or a candidate that made it slow, is no gain.  # V-1, T-6
    """
    gain = _gain(candidate.mean, incumbent.mean, scale)
    guards = tuple(
        sign * (candidate.guards[k] - anchor.guards[k]) / width for k, (sign, width) in enumerate(scale.guards)
    )
    judges = tuple(
        sign * (candidate.judges[j] - incumbent.judges[j]) / width for j, (sign, width) in enumerate(scale.judges)
    )
    if late:
        gain = min(gain, 0.0)
        guards = tuple(min(guard, 0.0) for guard in guards)
        judges = tuple(min(judge, 0.0) for judge in judges)
    return Differences(gain, guards, judges)


OURS = ("candidate", "carrier")  # roles of a unit that the candidate answers for


def unit_differences(sides: Mapping[str, Score], scale: Scale, *, late: bool, conduct: float = 0.0) -> Differences:
    """The same from a unit's sides by role, of either kind of test.

    In a test for the improver *candidate* and *incumbent* are what the two improvers made of one problem, *carrier* is
    the candidate itself and *head* the version in use. The declared guards are the carrier's; behind them stand the
    task itself (carrier minus head; where the scale is ``anchored``, carrier minus anchor, too), and ``conduct``
    (refusals of the improver in force minus the candidate's).  # S-6
    """
    incumbent = sides["incumbent"]
    if "carrier" not in sides:
        return differences(sides["candidate"], incumbent, sides.get("anchor", incumbent), scale, late=late)
    made = differences(sides["candidate"], incumbent, incumbent, Scale(scale.sign, scale.width, ()), late=late)
    head, alone = sides["head"], Scale(scale.sign, scale.width, scale.guards)
    task = differences(sides["carrier"], head, sides.get("anchor", head), alone, late=late)
    if scale.anchored:
        anchor, plain = sides.get("anchor", head), Scale(scale.sign, scale.width, ())
        since = differences(sides["carrier"], anchor, anchor, plain, late=late)
        return Differences(made.gain, (*task.guards, task.gain, since.gain, conduct), ())
    return Differences(made.gain, (*task.guards, task.gain, conduct), ())


def _gain(candidate: float | None, incumbent: float | None, scale: Scale) -> float:
    """The oriented difference. Without a score the candidate counts as all of the incumbent's size worse, and an
    incumbent without a score is never a reason to prefer the candidate.  # V-1, T-6
    """
    if incumbent is None:
        return 0.0 if candidate is not None else -1.0
    if candidate is None:
        return -max(abs(incumbent), 1.0) / scale.width
    return scale.sign * (candidate - incumbent) / scale.width


def product_means(units: Sequence[Mapping[str, float | None]], sign: float) -> dict[str, float] | None:
    """Each side's mean score over a problem's units, by role; None where the start gave no score at all.  # W-2

    The start is run once where it is also the right product. Without a declared range a run that gives nothing has no
    worst score: it counts as worse than the start by all of the start's size, as it does in a test.  # V-1
    """
    starts = [scores.get("anchor", scores["incumbent"]) for scores in units]
    base = mean(starts)
    if base is None:
        return None
    found = {"anchor": base}
    for role in ("candidate", "incumbent"):
        values = [
            _worst(base if start is None else start, sign) if scores[role] is None else scores[role]
            for scores, start in zip(units, starts, strict=True)
        ]
        found[role] = mean(values) or 0.0
    return found


def _worst(other: float, sign: float) -> float:
    return other - sign * max(abs(other), 1.0)


def mean(values: Sequence[float | None]) -> float | None:
    """Of the scores that there are; for people. Left to right: ``sum`` rounds differently from Python 3.12 on."""
    total, count = 0.0, 0
    for value in values:
        if value is not None:
            total, count = total + value, count + 1
    return total / count if count else None
