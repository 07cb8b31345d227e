"""What a calibration measures and what it is planned against.

Values only: ``measure`` fills them, ``forecast`` reads them.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

Unit = Literal["item", "cluster", "seed"]


@dataclass(frozen=True, slots=True)
class Answer:
    """One scored item of one run. ``score`` is in the suite's own unit: which way is better is not applied."""

    item: str
    cluster: str | None
    score: float


@dataclass(frozen=True, slots=True)
class Run:
    """One process of one tree under one seed."""

    tree: str  # "incumbent", or the name of a neighbour: a small change made for the measurement
    seed: int  # index of the seed: equal indices are equal seeds
    repeat: int  # 0, 1, ...: the same tree under the same seed again
    wall_s: float
    cpu_s: float | None  # None where nobody could measure it
    answers: tuple[Answer, ...] = ()  # of a scored suite
    metric: float | None = None  # of a command that prints its own score
    guards: tuple[tuple[str, float], ...] = ()  # mean score of each guard
    failed: str = ""  # how it ended when it was not well: the class of the trial
    train_s: float = 0.0  # wall seconds of a training before it: within ``wall_s``, or before it where trained once


@dataclass(frozen=True, slots=True)
class Measured:
    """The incumbent as it was measured, and where the items came from."""

    name: str
    kind: Literal["bounded", "symmetric"]
    direction: Literal["lower", "higher"]
    scale: tuple[float, float] | None  # declared range; None for a bare command
    items_from: str  # "public", "dedicated", "fresh" or "none": never an open block
    runs: tuple[Run, ...]


@dataclass(frozen=True, slots=True)
class Setting:
    """What the loop would be run with; every number that the forecast depends on and the user may change."""

    alpha: float
    spread: float
    beta: float
    margin: float  # in the metric's own unit
    detect: float | None  # None: not declared
    units_max: int | None  # cap of one test; None: chosen
    items_per_run: int  # items that one candidate process answers; 1 for a bare command
    mode: Literal["fresh", "sealed", "ledger", "printed"]
    guards: tuple[tuple[str, float, float], ...] = ()  # (name, max_loss, width of its range)
    trials: int | None = None  # budget
    hours: float | None = None  # budget
    workers: int = 1
    unit: Unit = "seed"
    once: bool = False  # a candidate is trained once, before its test
    improving: float = 0.1  # share of proposals assumed to be real gains of about ``detect``
    harmful: float = 0.1
    notes: tuple[str, ...] = field(default=())  # what had to be assumed, for people
