"""A batch of units: candidate, incumbent and anchor side by side, on the same items and seed.  # E-3

One unit is one process a side; its mean over the items is one observation. The sides of a unit run one after
the other in an order that the seed decides, on the same worker, so that whatever disturbs the machine disturbs
them alike. Units run in parallel. A failed candidate side scores worst, and so does a failed comparison side, except
that a comparison side that ran out of wall time never counts in the candidate's favour: a candidate can burden the
machine while the unit beside it runs.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar

from festina.errors import Fault
from festina.experiment.trial import Side, Trials
from festina.sandbox.job import Ended
from festina.select.pairing import OURS, Scale, unit_differences
from festina.verify.client import PROVOKED
from festina.verify.receipts import LATE

T = TypeVar("T")
Group = tuple[Callable[[int], T], Sequence[int]]  # what to do with each seed, and the seeds


@dataclass(frozen=True, slots=True)
class Scored:
    """One side's score in the suite's own unit, its guards' scores, and how many items failed.

    ``mean`` is None only where no range is declared and the run gave no score: there is no worst number then.
    """

    mean: float | None
    guards: tuple[float, ...]
    failed: int
    judges: tuple[float, ...] = ()  # of the further verifiers  # V-5
    shown: list[object] | None = None  # the verifier's receipt, which it wants to see before it signs  # T-1


class Judge(Protocol):
    """Issues items and scores answers; holds everything that no candidate may see."""

    def issue(self, seed: int, place: int | None = None) -> tuple[str, bytes | None]:
        """(ticket, inputs). ``inputs`` is None where nothing is asked (self-reported metrics).

        ``place`` is the position of the first item in the source; None: items that nobody was given before.
        """
        ...

    def rehearse(self, seed: int) -> tuple[str, bytes | None]:
        """The same for a run that is no evidence: uses up no item of a finite suite."""
        ...

    def again(self, seed: int, first: int) -> tuple[str, bytes | None]:
        """The same on items of a finite suite that were issued before, from position ``first`` on."""
        ...

    def score(self, ticket: str, answer: bytes | None, role: str = "") -> Scored:
        """``role``: whose answer it is; a score counts as evidence for that role only.  # T-1"""
        ...

    def probe(self, ticket: str) -> None:
        """Raises ``Fault`` where the scorer fails on right answers, too."""
        ...


@dataclass(frozen=True, slots=True)
class Unit:
    """One observation: oriented differences, raw means, and the trial records behind them."""

    gain: float
    guards: tuple[float, ...]
    candidate: Scored
    incumbent: Scored
    sides: tuple[tuple[str, Side], ...]
    seed: int
    judges: tuple[float, ...] = ()  # as ``gain``, in the eyes of each further verifier
    scores: tuple[tuple[str, Scored], ...] = ()  # by role, as ``sides``
    made: tuple[dict[str, Any], ...] = ()  # in a test for the improver: what both improvers did  # S-6

    def record(self) -> dict[str, Any]:
        """What the entry's differences are made of, so that anybody can make them again."""
        scores = dict(self.scores)
        made = {"made": list(self.made)} if self.made else {}
        return {
            **made,
            "seed": self.seed,
            "gain": self.gain,
            "guards": list(self.guards),
            "judges": list(self.judges),
            "candidate": self.candidate.mean,
            "incumbent": self.incumbent.mean,
            "sides": [{"role": role, **side.record(), **_scores(scores[role])} for role, side in self.sides],
        }

    @property
    def shown(self) -> list[object]:
        """The receipts of its scores.  # T-1"""
        return [scored.shown for _, scored in self.scores]

    @property
    def candidate_side(self) -> Side:
        return dict(self.sides)["candidate"]


def _scores(scored: Scored) -> dict[str, Any]:
    return {"score": scored.mean, "guards": list(scored.guards), "judges": list(scored.judges)}


@dataclass(frozen=True, slots=True)
class Trees:
    """Who is compared: all are git tree ids. ``anchor`` matters only where there are guards."""

    candidate: str
    incumbent: str
    anchor: str | None
    carrier: str | None = None  # in a test for the improver the candidate; the first two are products then  # S-6
    head: str = ""  # and the version in use

    @property
    def roles(self) -> tuple[tuple[str, str], ...]:
        """The runs that a unit needs; an anchor that is the incumbent is not run twice."""
        roles: tuple[tuple[str, str], ...] = (("candidate", self.candidate), ("incumbent", self.incumbent))
        if self.carrier is not None:
            roles += (("carrier", self.carrier), ("head", self.head))
        if self.anchor is not None and self.anchor != (self.incumbent if self.carrier is None else self.head):
            roles += (("anchor", self.anchor),)
        return roles


def run_unit(
    trials: Trials, judge: Judge, trees: Trees, scale: Scale, seed: int, stop: Callable[[], bool] = lambda: False,
    place: int | None = None, conduct: float = 0.0, late: bool = False,
) -> Unit:  # fmt: skip
    """One unit under ``seed``. Raises ``Fault`` when the sandbox itself failed, or ``stop`` says so.  # T-6

    ``late``: what was to make the incumbent ran out of wall time, and another tree stands in for it.  # S-6
    """
    ticket, inputs = judge.issue(seed, place)
    turn = seed % len(trees.roles)
    order = trees.roles[turn:] + trees.roles[:turn]
    sides: dict[str, Side] = {}
    scores: dict[str, Scored] = {}
    for role, tree in order:
        if stop():
            raise Fault("cut-off", "the batch was cut off")
        side = trials.side(tree, seed, inputs)
        if side.ended is Ended.SANDBOX_ERROR:
            raise Fault("sandbox-error", f"a trial could not be run: {side.detail}", fix="festina doctor")
        sides[role] = side
        scores[role] = _score(judge, ticket, side, role, late=late and role == "incumbent")
    candidate, incumbent = scores["candidate"], scores["incumbent"]
    late = late or any(sides[role].ended is Ended.TIMEOUT_WALL for role in sides if role not in OURS)
    found = unit_differences(scores, scale, late=late, conduct=conduct)
    return Unit(
        gain=found.gain,
        guards=found.guards,
        candidate=candidate,
        incumbent=incumbent,
        sides=tuple(sides.items()),
        seed=seed,
        judges=found.judges,
        scores=tuple(scores.items()),
    )


def _score(judge: Judge, ticket: str, side: Side, role: str, *, late: bool) -> Scored:
    """Score one side. An answer that hangs or kills the scorer buys its candidate the worst score, not another roll.

    It is charged to the candidate only when the scorer is well on right answers at that moment; and what may have
    been an accident (a process that the host killed) is repeated once, on the very same bytes.  # V-1, T-6
    """
    late = late or side.ended is Ended.TIMEOUT_WALL
    known = f"{role}{LATE}" if late else role
    try:
        return judge.score(ticket, side.answer, known)
    except Fault as fault:
        if role not in OURS or fault.name not in PROVOKED:
            raise
        hung = fault.name == "scorer-timeout"
    judge.probe(ticket)
    if not hung:
        try:
            return judge.score(ticket, side.answer, known)
        except Fault as fault:
            if fault.name not in PROVOKED:
                raise
    return judge.score(ticket, None, known)


def run_groups(groups: Sequence[Group[T]], workers: int) -> list[list[T] | Fault]:
    """Each group's units in the order of its seeds, or the fault that ended it; the groups take turns.

    A fault stops what has not begun of its own group alone. Anything else that a unit raises ends all of them.
    """
    if len(groups) == 1:
        one, seeds = groups[0]
        try:
            return [run_units(one, seeds, workers)]
        except Fault as fault:
            return [fault]
    longest = max((len(seeds) for _, seeds in groups), default=0)
    futures: list[list[Future[T]]] = [[] for _ in groups]
    with ThreadPoolExecutor(max(1, workers), thread_name_prefix="unit") as pool:
        for i in range(longest):
            for mine, (one, seeds) in zip(futures, groups, strict=True):
                if i < len(seeds):
                    mine.append(pool.submit(one, seeds[i]))
        try:
            return [_gathered(mine) for mine in futures]
        finally:
            _cancel([each for mine in futures for each in mine])


def _gathered(futures: Sequence[Future[T]]) -> list[T] | Fault:
    try:
        return [future.result() for future in futures]
    except Fault as fault:
        _cancel(futures)
        return fault


def _cancel(futures: Sequence[Future[T]]) -> None:
    for future in futures:
        future.cancel()


def run_units(one: Callable[[int], T], seeds: Sequence[int], workers: int) -> list[T]:
    """All units, in the order of ``seeds``. The first fault stops those that have not begun."""
    if workers <= 1:
        return [one(seed) for seed in seeds]
    with ThreadPoolExecutor(workers, thread_name_prefix="unit") as pool:
        futures = [pool.submit(one, seed) for seed in seeds]
        try:
            return [future.result() for future in futures]
        finally:
            _cancel(futures)
