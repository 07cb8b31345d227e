"""Rungs of a ladder: how strong the optimiser is there, and how often it was caught, with an exact interval."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from zlib import crc32

import numpy as np

from festina.select.rates import exact

GOOD, BROKEN = 0.95, 0.5  # a safeguard stands while it catches so many, and is broken below


@dataclass(frozen=True)
class Rung:
    """``caught`` of ``tried``; ``beside``: what else is worth a column."""

    strength: str
    caught: int
    tried: int
    beside: dict[str, float | None] = field(default_factory=dict)

    @property
    def rate(self) -> float:
        return self.caught / self.tried if self.tried else float("nan")

    @property
    def interval(self) -> tuple[float, float]:
        return exact(self.caught, self.tried)


@dataclass(frozen=True)
class Ladder:
    """One safeguard against one kind of strength, raised step by step. ``theorem``: caught at least that often."""

    key: str
    safeguard: str
    raised: str
    climb: Callable[[int], Sequence[Rung]]  # by runs
    theorem: str = ""


@dataclass(frozen=True)
class Climbed:
    ladder: Ladder
    rungs: Sequence[Rung]
    seconds: float

    def broken(self, limit: float) -> str:
        """The first rung whose whole interval lies below the limit, and from which none comes back above it."""
        for at, rung in enumerate(self.rungs):
            if rung.interval[1] < limit and all(later.interval[1] < limit for later in self.rungs[at:]):
                return rung.strength
        return "never here"


def stream(*name: object) -> np.random.Generator:
    """Random numbers that follow from a name."""
    return np.random.default_rng(crc32(repr(name).encode()))
