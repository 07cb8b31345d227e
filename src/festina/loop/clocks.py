"""People's clocks: what a step says of its own time is bounded by the engine's entries around it.  # R-4, G-4

A person signs with the time of their own machine. It is never earlier than the engine's last entry before it, and once
the engine has written again never later than that: the entry is a receipt of all that stands before it. The engine's
clock (``State.last_at``) is moved by no one else's words. A first judgement that was earlier than its reading time,
seen so, has no effect, and neither has the decision that rests on it.
Not covered: who writes the ledger's file with a false clock while no engine writes for as long as they claim to read.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from festina.ledger.entries import KINDS
from festina.ledger.log import Record
from festina.review.seats import Seat, floor_s, seconds_between

if TYPE_CHECKING:
    from festina.loop.rows import Review
    from festina.loop.state import State

__all__ = ["ahead", "hurried", "received"]


def received(s: State, record: Record) -> None:
    """An entry of the engine's, before it is folded in: it bounds the times of all before it."""
    if KINDS[record.kind].role == "reviewer":
        return
    s.last_at = max(s.last_at, record.at)  # a clock that jumps back moves nothing back
    s.govern.alive = min(s.govern.alive, s.last_at)
    for number, name in s.unreceived:
        _bound(s, s.reviews[number], name)
    s.unreceived.clear()


def _bound(s: State, review: Review, name: str) -> None:
    seat, person, until = review.seats[name], s.persons[name], s.last_at
    early = hurried(s, review, seat, until)
    person.opened = [min(at, until) for at in person.opened]
    person.read_until = min(person.read_until, until)
    seat.opened_at, seat.since = min(seat.opened_at, until), min(seat.since, until)
    seat.classified_at, seat.decided_at = min(seat.classified_at, until), min(seat.decided_at, until)
    if early and seat.classified is not None:
        s.ignored.append((seat.classified_seq, "review-classified", "too-soon"))
        if seat.decision is not None:
            s.ignored.append((seat.decided_seq, "review-decided", "classify-first"))
        seat.classified, seat.decision, seat.decided_seq = None, None, -1


def hurried(s: State, review: Review, seat: Seat, at: str) -> bool:
    """Whether the first judgement came before the reading time was over, by an engine's clock that shows ``at``."""
    if seat.classified is None or review.rules is None or free(s, seat.reviewer):
        return False
    floor = floor_s(review.terms.lines, review.rules.lines_per_hour)
    return seat.classified_at > at and seconds_between(min(seat.since, at), at) < floor


def ahead(s: State, at: str) -> tuple[int, ...]:
    """Reviews with a step that no entry of the engine's follows, and that says a later time than ``at``."""
    return tuple(sorted({n for n, name in s.unreceived if _latest(s.reviews[n].seats[name]) > at}))


def _latest(seat: Seat) -> str:
    return max(seat.opened_at, seat.classified_at, seat.decided_at)


def free(s: State, name: str) -> bool:
    """A demo key in a demo: floors, caps and cooling-off are for people."""
    return bool(s.genesis and s.genesis.demo and name in s.reviewers and s.reviewers[name].demo)
