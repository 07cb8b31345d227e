"""One person's way through one review, and what is known of a person: values, filled by the loop's fold alone.

A stage follows from what the ledger holds, never from a session: whoever opens the page on another machine stands at
the same stage.  # R-2
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Literal

from festina.ledger import entries as e
from festina.ledger.reviewing import Outcome

Stage = Literal["unopened", "reading", "classified", "decided", "settled", "closed"]
RESTORED_BY = 2  # catch trials that a suspended person must see through in a row before approvals count again


@dataclass(slots=True)
class Seat:
    """What one person did in one review."""

    reviewer: str
    opened_at: str
    in_use: str
    since: str = ""  # from when the reading time of the first judgement ran  # R-4
    classified: e.ReviewClassified | None = None
    classified_at: str = ""
    classified_seq: int = -1
    right: bool | None = None  # whether the question was answered rightly; None where the request does not say  # R-2
    decision: e.ReviewDecided | None = None
    decided_at: str = ""
    decided_seq: int = -1
    withdrawn: int = 0

    @property
    def stage(self) -> Literal["reading", "classified", "decided"]:
        return "decided" if self.decision else "classified" if self.classified else "reading"


@dataclass(frozen=True, slots=True)
class Vote:
    """A decision that counted, with what came before it."""

    review: int
    classified: e.ReviewClassified | None
    decision: e.ReviewDecided
    outcome: Outcome
    right: bool | None  # whether the question about the diff was answered rightly
    came_true: bool | None  # whether the predicted event happened; None where nothing was measured
    catch: str = ""  # what was planted; empty for a real change

    @property
    def approved(self) -> bool:
        return self.decision.decision == "approve"


@dataclass(slots=True)
class Person:
    """A reviewer's record. ``opened`` are the moments at which a diff was first shown, oldest first."""

    name: str
    opened: list[str] = field(default_factory=list)
    read_until: str = ""  # when the last first classification was made: one person reads one thing at a time  # R-4
    votes: list[Vote] = field(default_factory=list)
    missed_last: str = ""  # of the newest miss, what was planted; empty before any
    seen_since: int = 0  # catch trials seen through since the newest miss

    @property
    def suspended(self) -> bool:
        """Whether a missed catch trial still stands against this person.  # R-3"""
        return bool(self.missed_last) and self.seen_since < RESTORED_BY


def moment(text: str) -> datetime:
    """An entry's time."""
    return datetime.fromisoformat(text)


def seconds_between(earlier: str, later: str) -> float:
    return (moment(later) - moment(earlier)).total_seconds()


def floor_s(lines: int, lines_per_hour: float) -> float:
    """How long nobody reads ``lines`` changed lines faster than.  # R-4

    500 lines an hour is where inspections stop finding defects (SmartBear and Cisco, 2,500 reviews).
    """
    return lines * 3600.0 / lines_per_hour


def left_s(seat: Seat, person: Person, lines: int, lines_per_hour: float, now: str) -> float:
    """Seconds of the reading floor that are left, at ``now``.

    They run from the diff's opening or from the end of what was read before, whichever is later: several diffs
    that are open at once are not read at once.
    """
    since = max(seat.opened_at, person.read_until)
    return max(0.0, floor_s(lines, lines_per_hour) - seconds_between(since, now))


def begun_since(person: Person, now: str, window: timedelta) -> int:
    """How many diffs were first shown to this person within the window that ends now."""
    return sum(moment(now) - moment(at) < window for at in person.opened)
