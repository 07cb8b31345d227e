"""What a part of the benchmark is made of: jobs that give rows, tables that show them, and numbers to reach.

A part is a module with ``TABLES``, ``jobs(size)`` and ``goals(tables)``. Jobs are independent of each other, so that
two processes share them; rows stand in the order of the jobs. Every random number comes from ``stream``, whose seed
is a name and a number: the same job gives the same rows on any machine, and rules that are compared see the same draws.
"""

from __future__ import annotations

import math
import zlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

ALPHA, BETA = 0.05, 0.1
CONFIDENCE = 0.99  # of every upper limit

Array = NDArray[np.float64]
Flags = NDArray[np.bool_]
Row = dict[str, object]
Tables = Mapping[str, Sequence[Row]]


@dataclass(frozen=True, slots=True)
class Size:
    """How much is simulated. ``full`` is what claims rest on; the others show that the benchmark works."""

    name: str
    runs: int  # of each validity row
    proposals: int  # in each of them, the longer of the two lengths
    short: int  # and the shorter one
    tests: int  # of each efficiency row
    streams: int  # whole runs of mixed proposals


SIZES = {
    "tiny": Size("tiny", runs=60, proposals=4, short=2, tests=40, streams=2),
    "quick": Size("quick", runs=200, proposals=20, short=10, tests=100, streams=6),
    "medium": Size("medium", runs=2000, proposals=100, short=20, tests=400, streams=40),
    "full": Size("full", runs=2000, proposals=1000, short=200, tests=2000, streams=400),
}


@dataclass(frozen=True, slots=True)
class Job:
    """Rows of one table. ``make`` is picklable; the heaviest start first; ``alone``: nothing runs beside it."""

    table: str
    make: Callable[[], list[Row]]
    weight: float = 1.0
    alone: bool = False


@dataclass(frozen=True, slots=True)
class Column:
    key: str
    heading: str
    form: str = ""  # of numbers, as in format()


@dataclass(frozen=True, slots=True)
class Table:
    """How rows are shown. ``about`` is a paragraph of Markdown."""

    key: str
    title: str
    about: str
    columns: tuple[Column, ...]

    def markdown(self, rows: Sequence[Row]) -> str:
        lines = [
            "| " + " | ".join(column.heading for column in self.columns) + " |",
            "|---" * len(self.columns) + "|",
            *("| " + " | ".join(shown(row.get(c.key), c.form) for c in self.columns) + " |" for row in rows),
        ]
        return "\n".join(lines)


@dataclass(frozen=True, slots=True)
class Goal:
    """A number to reach; ``value`` is at least or at most ``limit``."""

    what: str
    value: float
    limit: float
    at_most: bool = False

    @property
    def reached(self) -> bool:
        return self.value <= self.limit if self.at_most else self.value >= self.limit


def shown(value: object, form: str) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return "yes" if value else "no"
    return format(value, form) if isinstance(value, int | float) and form else str(value)


def stream(*names: str | int) -> np.random.Generator:
    """Random numbers that belong to these names."""
    return np.random.default_rng([n if isinstance(n, int) else zlib.crc32(n.encode()) for n in names])


def upper_limit(hits: int, runs: int, confidence: float = CONFIDENCE) -> float:
    """One-sided Clopper-Pearson upper limit of a rate."""
    if hits == runs:
        return 1.0
    low, high = hits / runs, 1.0
    for _ in range(60):
        p = 0.5 * (low + high)
        low, high = (p, high) if _at_most(hits, runs, p) > 1.0 - confidence else (low, p)
    return high


def _at_most(hits: int, runs: int, p: float) -> float:
    """P(X <= hits) for X binomial; from logarithms, since runs may be many."""
    every = math.lgamma(runs + 1)
    return math.fsum(
        math.exp(every - math.lgamma(k + 1) - math.lgamma(runs - k + 1) + k * math.log(p) + (runs - k) * math.log1p(-p))
        for k in range(hits + 1)
    )


def numbers(rows: Sequence[Row], key: str) -> list[float]:
    """That column, where a row has it."""
    return [float(value) for row in rows if isinstance(value := row.get(key), int | float)]
