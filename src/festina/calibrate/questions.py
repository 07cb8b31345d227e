"""What a run is asked and what its answer is worth: three sources, none of them an item that a test will use.  # V-3

``Listed`` deals items from a file that is no secret (the public suite, or a set made for this), ``Drawn`` fresh ones
of the vault's generator with a key that is thrown away afterwards, so that no run can ever draw the same, and
``Printed`` asks nothing and reads the metric that the run prints. One seed always gives the same questions.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from festina.calibrate.types import Answer
from festina.errors import Fault
from festina.ledger.canonical import canonical
from festina.propose.guess import parse_metric
from festina.verify.client import PROVOKED, Verifier
from festina.verify.parse import Item
from festina.verify.types import UnitScore


@dataclass(frozen=True, slots=True)
class Asked:
    """One seed's questions. ``inputs`` is what the run finds, None where nothing is asked."""

    inputs: bytes | None
    ticket: str = ""
    items: tuple[Item, ...] = ()


@dataclass(frozen=True, slots=True)
class Read:
    """What an answer is worth. ``unscored``: items without a valid score, which count as the worst one.  # V-1"""

    answers: tuple[Answer, ...] = ()
    metric: float | None = None
    guards: tuple[float, ...] = ()
    unscored: int = 0


class Questions(Protocol):
    """Where a run's questions come from."""

    def ask(self, seed: int) -> Asked: ...

    def read(self, asked: Asked, answer: bytes | None) -> Read: ...


class Printed:
    """The run prints its own score."""

    def __init__(self, metric: str) -> None:
        self._metric = metric

    def ask(self, seed: int) -> Asked:
        return Asked(None)

    def read(self, asked: Asked, answer: bytes | None) -> Read:
        return Read(metric=parse_metric(answer, self._metric) if answer is not None else None)


class Listed:
    """``count`` items of a list for each seed, or one whole cluster."""

    def __init__(self, verifier: Verifier, items: Sequence[Item], count: int, *, clusters: bool) -> None:
        self._verifier = verifier
        self._items = list(items)
        self._count = count
        groups: dict[str, list[Item]] = {}
        for item in items:
            groups.setdefault(item.cluster, []).append(item)
        self._clusters = list(groups.values()) if clusters else []

    def ask(self, seed: int) -> Asked:
        rng = random.Random(seed)
        pool = rng.choice(self._clusters) if self._clusters else self._items
        chosen = tuple(rng.sample(pool, min(self._count, len(pool))))
        return Asked(b"".join(item.line(item.id) for item in chosen), items=chosen)

    def read(self, asked: Asked, answer: bytes | None) -> Read:
        rows = b"".join(
            b'{"id":%b,"input":%b,"label":%b}\n' % (canonical(item.id), item.input, item.label) for item in asked.items
        )
        try:
            scored = self._verifier.public(rows, answer)
        except Fault as fault:
            if fault.name not in PROVOKED:
                raise
            scored = self._verifier.public(rows, None)  # V-1, T-6
        return _read(scored, [(item.id, item.cluster or None) for item in asked.items])


class Drawn:
    """``count`` fresh items of the generator for each seed; one draw is one cluster where that is the unit."""

    def __init__(self, verifier: Verifier, count: int, *, clusters: bool) -> None:
        self._verifier = verifier
        self._count = count
        self._clusters = clusters

    def ask(self, seed: int) -> Asked:
        issued = self._verifier.draw(seed, self._count)
        return Asked(issued.inputs, issued.batch_id)

    def read(self, asked: Asked, answer: bytes | None) -> Read:
        try:
            scored = self._verifier.score(asked.ticket, answer)
        except Fault as fault:
            if fault.name not in PROVOKED:
                raise
            scored = self._verifier.score(asked.ticket, None)  # V-1, T-6
        name = asked.ticket.partition(".")[0]
        return _read(scored, [(f"{name}.{i}", name if self._clusters else None) for i in range(len(scored.each))])


def _read(scored: UnitScore, items: Sequence[tuple[str, str | None]]) -> Read:
    answers = tuple(
        Answer(item, cluster, score) for (item, cluster), score in zip(items, scored.each, strict=True)
    )  # fmt: skip
    return Read(answers, None, scored.guards, scored.failed)
