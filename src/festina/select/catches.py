"""How many planted defects were caught, by kind, with exact intervals. Pure.  # V-7, S-5

A planted defect that the loop never came to a decision about (a new epoch, a moved line, a spent budget) is neither
caught nor missed. "Not enough evidence within the trials allowed" is a catch: it was not accepted.
Not covered: defects of other kinds than those planted, and whether those *presumed* bad really are.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Protocol

from festina.select.rates import exact


class Planted(Protocol):
    """What is counted of a planted defect."""

    @property
    def defect(self) -> str: ...
    @property
    def basis(self) -> str: ...
    @property
    def missed(self) -> bool: ...
    @property
    def judged(self) -> bool: ...


@dataclass(frozen=True, slots=True)
class Caught:
    """``caught`` of ``judged``; ``presumed`` of the judged are only presumed to be bad."""

    caught: int
    judged: int
    presumed: int

    @property
    def interval(self) -> tuple[float, float]:
        """Of the catch rate, exact, 95 %."""
        return exact(self.caught, self.judged)


@dataclass(frozen=True, slots=True)
class Catches:
    all: Caught
    kinds: Mapping[str, Caught]  # in alphabetical order


def rates(plants: Iterable[Planted]) -> Catches:
    """All planted defects together and by kind."""
    rows = list(plants)
    kinds = {kind: _count([p for p in rows if p.defect == kind]) for kind in sorted({p.defect for p in rows})}
    return Catches(_count(rows), kinds)


def _count(rows: list[Planted]) -> Caught:
    judged = [p for p in rows if p.judged]
    return Caught(sum(not p.missed for p in judged), len(judged), sum(p.basis == "presumed" for p in judged))
