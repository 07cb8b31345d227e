"""How wide the intervals are that people see, beside two others that also hold at every moment."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from math import log

import numpy as np

from acceptance.frame import Array, Column, Goal, Job, Row, Size, Table, Tables, stream
from acceptance.laws import Graded, Law, catastrophe, ternary
from festina.select import interval

UNITS = (50, 100, 200, 300)
LAWS: tuple[tuple[str, Law], ...] = (
    ("batch means, sd 0.03", Graded(0.06, 0.03)),
    ("batch means, sd 0.1", Graded(0.06, 0.1)),
    ("right or wrong items", ternary(0.05)),
    ("rare disaster", catastrophe(0.0)),
)


def widths(index: int, repeats: int) -> list[Row]:
    """Mean half-widths at 95 %: ours / a mixture of fixed stakes / the predictable plug-in."""
    name, law = LAWS[index]
    row: Row = {"law": name, "repeats": repeats}
    for units in UNITS:
        draws = law.draw(stream("intervals", name, units), repeats, units)
        bounds = [interval([float(v) for v in d]) or (-1.0, 1.0) for d in draws]
        means = (
            np.mean([(high - low) / 2 for low, high in bounds]),
            *(np.mean([_half_width(d, rule) for d in draws]) for rule in (_mixture, _plug_in)),
        )
        row[str(units)] = " / ".join(f"{mean:.3f}".removeprefix("0") for mean in means)
    return [row]


def _mixture(d: Array, mean: float) -> float:
    shares = np.array([0.06, 0.17, 0.45, 0.95])
    return float(np.exp(np.log1p(shares[:, None] * ((1 + d) / (1 + mean) - 1)[None, :]).sum(1)).mean())


def _plug_in(d: Array, mean: float) -> float:
    """Waudby-Smith and Ramdas (arXiv 2010.09686), predictable plug-in with cap 3/4, on differences in [-1, 1]."""
    n = np.arange(1, len(d) + 1)
    centre = np.cumsum(d) / (n + 1)
    squares = np.cumsum((d - np.concatenate([[0.0], centre[:-1]])) ** 2)
    variance = np.concatenate([[1.0], (1.0 + squares[:-1]) / n[1:]])
    stake = np.minimum(np.sqrt(2 * log(40) / (variance * n * np.log(1 + n))), 0.75 / (1 + mean))
    return float(np.exp(np.log1p(stake * (d - mean)).sum()))


def _half_width(d: Array, wealth: Callable[[Array, float], float]) -> float:
    bounds = []
    for x in (d, -d):
        low, high = -1.0, float(x.mean())
        for _ in range(30):
            middle = 0.5 * (low + high)
            low, high = (middle, high) if middle > -1 and wealth(x, middle) >= 40 else (low, middle)
        bounds.append(low)
    return (-bounds[1] - bounds[0]) / 2


TABLES = (
    Table(
        "intervals",
        "Intervals for people",
        "Mean half-width at 95 %, valid at every moment: Festina's / a mixture of fixed stakes / the predictable "
        "plug-in of Waudby-Smith and Ramdas. Intervals decide nothing.",
        (Column("law", "law of a unit"), *(Column(str(units), f"{units} units") for units in UNITS)),
    ),
)


def jobs(size: Size) -> list[Job]:
    return [Job("intervals", partial(widths, index, max(2, size.tests // 50)), 10) for index in range(len(LAWS))]


def goals(tables: Tables) -> list[Goal]:
    return []
