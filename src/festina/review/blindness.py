"""What one person said in a review stays closed to others until it is settled, wherever the record is read.  # R-5

``closed`` answers for one entry; ``Asked`` keeps, without folding anything else, which reviews still wait. A review
that was never settled opens when it has expired by the engine's clock. Not covered: who reads the ledger's file itself,
or a copy of it, reads all of it; that is what makes it checkable.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from festina.errors import IntegrityError
from festina.ledger import entries as e
from festina.ledger.canonical import parse_strict
from festina.ledger.record import Record

SPOKEN = frozenset({"review-opened", "review-classified", "review-decided", "review-withdrawn", "review-brought"})
WHY = "closed until the review is settled: nobody hears before deciding what another said"


def review_of(body: e.Body) -> int | None:
    """The review that a person's step is about; None where it cannot be told."""
    if isinstance(body, e.ReviewBrought):
        try:
            said = parse_strict(body.statement.encode(), max_bytes=4_000, max_depth=4)
        except IntegrityError:
            return None
        step = said.get("body") if isinstance(said, dict) else None
        number = step.get("review") if isinstance(step, dict) else None
        return number if isinstance(number, int) else None
    found = getattr(body, "review", None)
    return found if isinstance(found, int) else None


def closed(body: e.Body, waits: Callable[[int], bool]) -> bool:
    """Whether an entry tells what somebody said in a review that still ``waits``."""
    if body.kind not in SPOKEN:
        return False
    number = review_of(body)
    return number is None or waits(number)


@dataclass(slots=True)
class Asked:
    """The reviews in steps that are asked for and not settled, with the time at which each expires."""

    expires: dict[int, str] = field(default_factory=dict)
    at: str = ""  # the engine's clock

    def take(self, record: Record) -> None:
        """One more entry, in order."""
        if e.KINDS[record.kind].role != "reviewer":
            self.at = max(self.at, record.at)
        if record.kind == "review-requested":
            body = record.body
            assert isinstance(body, e.ReviewRequested)
            if body.protocol:
                self.expires[body.review] = body.expires
        elif record.kind == "review-settled":
            body = record.body
            assert isinstance(body, e.ReviewSettled)
            self.expires.pop(body.review, None)

    def waits(self, number: int) -> bool:
        return number in self.expires and self.at <= self.expires[number]

    def closed(self, record: Record) -> bool:
        return record.kind in SPOKEN and closed(record.body, self.waits)
