"""What the governor decides about a state at a moment: the reading that it is given, and its answer.  # G-2, G-4"""

from __future__ import annotations

from datetime import datetime

from festina.govern.governor import FREE, Decision, Policy, Reading, decide
from festina.loop.state import State

__all__ = ["decided", "policy_of", "reading_of"]


def decided(s: State, now: datetime) -> Decision:
    """The decision in force. Records from before there was a governor are not held back by it."""
    return FREE if s.epoch is None or s.epoch.govern is None else decide(reading_of(s, now), policy_of(s))


def policy_of(s: State) -> Policy:
    terms = s.epoch.govern if s.epoch is not None else None
    if terms is None or s.epoch is None:
        return Policy()
    room = s.epoch.review.max_waiting if s.epoch.review is not None else 0
    return Policy(lease_s=terms.lease_s, reverts=terms.reverts, max_waiting=room)


def reading_of(s: State, now: datetime) -> Reading:
    g = s.govern
    return Reading(
        lease_left_s=_left(s, now), waiting=len(s.waiting), escapes=g.escapes, incidents=len(g.incidents),
        reverted=tuple(number in g.taken_back for number in g.accepted),
    )  # fmt: skip


def _left(s: State, now: datetime) -> float | None:
    """What is left of the lease; None where a sign of life lies in the future: then no clock can be trusted."""
    terms = s.epoch.govern if s.epoch is not None else None
    if terms is None or terms.lease_s is None:
        return None
    try:
        age = (now - datetime.fromisoformat(s.govern.alive)).total_seconds()
    except (ValueError, TypeError):
        return None
    return terms.lease_s - age if age > -_CLOCKS_S else None


_CLOCKS_S = 120.0  # two machines' clocks may differ by so much
