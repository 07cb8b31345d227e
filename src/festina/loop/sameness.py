"""The incumbent against itself, as the fold sees it: an intent, an end, an alarm, a person's word.  # V-2, L-1

One test over the whole epoch (``select.sameness``). When it breaks, everything accepted since the newest entry at
which nothing spoke against sameness is in doubt; nothing is proposed, tested or released on it until a new epoch is
opened or a person signs that the cause was found. After that word the test starts anew.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from festina.ledger import entries as e
from festina.ledger.log import Record
from festina.loop.rows import Generation, Twins, misfit
from festina.select import sameness
from festina.select.gate import Kind

if TYPE_CHECKING:
    from festina.loop.state import State

__all__ = ["TRIES", "begin", "ended", "fresh", "in_doubt", "resolved", "started"]

TRIES = 3  # a control that faults each time is given up, charged and counted, and another one is owed


def begin(epoch: e.EpochOpened, seq: int) -> Twins:
    """The control of a new epoch."""
    return Twins(fresh(epoch), seq)


def fresh(epoch: e.EpochOpened) -> sameness.Sameness:
    kind: Kind = epoch.suite.assumed
    return sameness.begin(kind, len(epoch.guards) + len(epoch.judges), epoch.control_level)


def in_doubt(s: State, generation: Generation) -> bool:
    """Whether a broken control that nobody has resolved covers this generation."""
    return generation.doubtful and s.twins is not None and s.twins.alarm is not None


def started(s: State, r: Record, b: e.ControlStarted) -> None:
    t = _twins(s, r)
    if t.attempt >= TRIES and (b.control, b.attempt) == (t.count + 1, 1):  # another one: that one cannot be finished
        t.count, t.attempt, t.given_up = t.count + 1, 0, t.given_up + 1
    if b.control != t.count or b.attempt != t.attempt + 1 or b.units < 1 or t.alarm is not None:
        raise misfit(r, "a control out of order")
    if t.attempt > 0 and (b.tree, b.units) != (t.tree, t.units):
        raise misfit(r, "a control was begun again as another one")  # E-3: a crash draws nothing anew
    if b.attempt == 1:
        t.leaf, t.tree = r.leaf, b.tree
    t.attempt, t.units = b.attempt, b.units
    s.looked(b.items)
    s.trials += b.trials
    s.run_trials += b.trials


def ended(s: State, r: Record, b: e.ControlEnded) -> None:
    t = _twins(s, r)
    if b.control != t.count or t.attempt == 0:
        raise misfit(r, "a control's result without its intent")  # L-3
    streams = (b.gain, b.order, *b.guards)
    if len(streams) != len(t.test.kinds) or any(len(stream) != t.units for stream in streams):
        raise misfit(r, "results are missing of units that were begun")  # V-1
    for kind, stream in zip(t.test.kinds, streams, strict=True):
        if kind == "bounded" and any(not -1.0 <= x <= 1.0 for x in stream):
            raise misfit(r, "a difference lies outside the declared range")
    for unit in zip(*streams, strict=True):
        t.test = sameness.see(t.test, unit)
    t.total += t.units
    t.count += 1
    t.attempt = t.units = 0
    if t.test.broken:
        t.alarm = r.seq
        t.alarms.append(r.seq)
        _cast_doubt(s, t.sound_seq)
    elif t.test.evidence <= 1.0:
        t.sound_seq = r.seq


def _cast_doubt(s: State, since: int) -> None:
    for number in s.line:
        generation = s.generations[number]
        proposed = s.proposals.get(generation.proposal) if generation.proposal is not None else None
        if proposed is not None and proposed.verdict_seq is not None and proposed.verdict_seq > since:
            generation.doubtful = True


def resolved(s: State, r: Record, b: e.ControlResolved) -> None:
    t, who = s.twins, s.reviewers.get(b.reviewer)
    if t is None or s.epoch is None or t.alarm is None or t.alarm != b.alarm:
        return  # about something else than what stands: recorded, without effect
    if who is None or (who.demo and not (s.genesis and s.genesis.demo and b.without_person)):
        return  # not somebody who may decide here: a person's key alone can never stop a ledger
    t.alarm = None
    t.resolved.append(b)
    t.test, t.sound_seq, t.judged = fresh(s.epoch), r.seq, 0


def _twins(s: State, r: Record) -> Twins:
    if s.twins is None:
        raise misfit(r, "a control without an epoch")
    return s.twins
