"""What each hunk of a change does, from the scores of its combinations: pure, for the engine and for a recount.  # V-8

``shape`` says which combinations every unit scores; it follows from the entry that charged the runs. ``found`` turns
the scores into effects with intervals and words.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from festina.ledger import entries as e
from festina.ledger.measures import Method
from festina.select import attribution
from festina.select.attribution import Ablation, Word
from festina.select.student import Spread, spread
from festina.verify.verdicts import width_of


class Cell(Protocol):
    """One combination's part of a unit."""

    @property
    def goal(self) -> float | None: ...
    @property
    def guards(self) -> tuple[float, ...]: ...
    @property
    def ran(self) -> bool: ...


@dataclass(frozen=True, slots=True)
class Shape:
    """Combinations by unit; ``orders`` of sampled permutations."""

    method: Method
    count: int  # parts
    sets: tuple[tuple[int, ...], ...]
    orders: tuple[tuple[int, ...], ...]


@dataclass(frozen=True, slots=True)
class Row:
    """One part."""

    leave_out: Spread | None
    alone: Spread | None
    share: Spread | None
    guards: tuple[Spread, ...]
    word: Word


@dataclass(frozen=True, slots=True)
class Effects:
    rows: tuple[Row, ...]
    total: Spread
    residue: Spread | None
    broken: int


@dataclass(frozen=True, slots=True)
class _Stream:
    """The effects of one scorer."""

    leave_out: tuple[Spread | None, ...]
    alone: tuple[Spread | None, ...]
    shares: tuple[Spread, ...]
    total: Spread
    residue: Spread | None


def shape(method: Method, count: int, units: int, leaf: str) -> Shape:
    """``leaf``: of the entry that charged the runs; permutations follow from it."""
    if method != "shapley-sampled":
        sets = attribution.every(count) if method == "shapley" else attribution.ablation(count)
        return Shape(method, count, (sets,) * units, ())
    orders = []
    for i in range(units):
        order = list(range(count))
        random.Random(f"festina-permutation:{leaf}:{i}").shuffle(order)
        orders.append(tuple(order))
    return Shape(method, count, tuple(attribution.chains(order) for order in orders), tuple(orders))


def found(form: Shape, epoch: e.EpochOpened, units: Sequence[Mapping[int, Cell]]) -> Effects:
    """Effects of every part, in the suite's own unit."""
    wanted = {mask for each in form.sets for mask in each}
    broken = {mask for mask in wanted if not any(unit[mask].ran for unit in units if mask in unit)}

    def stream(of: Callable[[Cell], float | None], width: float) -> _Stream:
        rows = [_values(form, i, {m: of(cell) for m, cell in unit.items()}, broken) for i, unit in enumerate(units)]
        return _stream(form, rows, width)

    goal = stream(lambda cell: cell.goal, width_of(epoch.suite))
    guards = [stream(_guard(k), g.high - g.low) for k, g in enumerate(epoch.guards)]
    rows = []
    for i in range(form.count):
        main = goal.shares[i] if goal.shares else goal.leave_out[i]
        beside = tuple(x for g in guards if (x := g.shares[i] if g.shares else g.leave_out[i]) is not None)
        still = all(each[1] == each[2] == 0.0 for each in (main, *beside) if each is not None)
        word = attribution.judged(main, beside, detect=epoch.suite.detect, untouched=still)
        share = goal.shares[i] if goal.shares else None
        rows.append(Row(goal.leave_out[i], goal.alone[i], share, beside, word))
    return Effects(tuple(rows), goal.total, goal.residue, len(broken))


def _stream(form: Shape, units: Sequence[dict[int, float]], width: float) -> _Stream:
    n = form.count
    if form.method == "shapley-sampled":
        shares = attribution.by_permutations(n, units, form.orders, scale=width)
        whole = Ablation((None,) * n, (None,) * n, _total(n, units, width), None)
    else:
        whole = attribution.by_ablation(n, units, scale=width)
        shares = attribution.by_shapley(n, units, scale=width) if form.method == "shapley" else ()
    return _Stream(whole.leave_out, whole.alone, shares, whole.total, whole.residue)


def _total(parts: int, units: Sequence[dict[int, float]], width: float) -> Spread:
    return spread([unit[attribution.full(parts)] - unit[0] for unit in units], width)


def _guard(k: int) -> Callable[[Cell], float]:
    return lambda cell: cell.guards[k]


def _values(form: Shape, unit: int, scores: Mapping[int, float | None], broken: set[int]) -> dict[int, float]:
    """The scores of one unit. An ablation leaves out what never ran; a Shapley value takes the worst for it."""
    worst = min((value for value in scores.values() if value is not None), default=0.0)
    kept = [mask for mask in form.sets[unit] if form.method != "ablation" or mask not in broken]
    return {mask: worst if (value := scores.get(mask)) is None else value for mask in kept}
