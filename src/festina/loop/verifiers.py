"""Further verifiers of the goal, as the fold sees them: whose differences decide, and what each found alone.  # V-5"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from festina.ledger import entries as e
from festina.ledger.log import Record
from festina.loop.rows import OpenTest, misfit
from festina.select import verifiers
from festina.select.gate import Plan
from festina.select.verifiers import OwnWord

if TYPE_CHECKING:
    from festina.loop.state import State

__all__ = ["deciding", "own_words", "words"]


def deciding(s: State, r: Record, b: e.BatchEnded) -> tuple[tuple[float, ...], ...]:
    """The streams of the verifiers that decide; checks those of all."""
    assert s.epoch is not None  # a test is open
    if s.open[b.test].terms.target == "productivity":  # the goal's own scorer decides alone  # S-6
        return ()
    if len(b.judges) != len(s.epoch.judges) or any(len(stream) != len(b.gain) for stream in b.judges):
        raise misfit(r, "a further verifier's results are missing of units that were begun")  # V-1
    if any(not -1.0 <= x <= 1.0 for stream in b.judges for x in stream):
        raise misfit(r, "a further verifier's difference lies outside its declared range")
    return tuple(x for x, terms in zip(b.judges, s.epoch.judges, strict=True) if terms.role == "decide")


def words(s: State, t: OpenTest) -> tuple[OwnWord, ...]:
    """What the goal's verifier and each further one would have said on their own; empty without further ones."""
    if s.epoch is None or t.terms.target == "productivity":
        return ()
    return own_words(s.epoch, t.progress.plan, t.gains, t.judged)


def own_words(
    epoch: e.EpochOpened, plan: Plan, gains: Sequence[float], judged: Sequence[Sequence[float]]
) -> tuple[OwnWord, ...]:
    """The same from recorded differences: ``judged`` by unit, in the order of the epoch's verifiers."""
    if not epoch.judges:
        return ()
    aims = [(plan.margin, plan.detect)]
    aims += [(j.margin / (j.high - j.low), j.detect / (j.high - j.low)) for j in epoch.judges]
    streams = [gains, *([row[k] for row in judged] for k in range(len(epoch.judges)))]
    return tuple(
        verifiers.own_word(plan.level, plan.beta, plan.units_max, margin, detect, stream, plan.rule)
        for (margin, detect), stream in zip(aims, streams, strict=True)
    )
