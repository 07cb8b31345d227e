"""What people denied, in the verifier's books: it ends open tests, because the line goes back.  # R-1, S-8

Decisions about reviews in steps count when they are settled, and one about a planted change denies nothing.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from festina.ledger import entries as e

if TYPE_CHECKING:
    from festina.ledger.base import Entered
    from festina.verify.account import Account


@dataclass(slots=True)
class Asked:
    """Generations by review, reviews that count when they are settled, and what was denied."""

    generations: dict[int, int] = field(default_factory=dict)
    staged: set[int] = field(default_factory=set)
    denied: set[int] = field(default_factory=set)  # generations


def _requested(a: Account, _: Entered, b: e.ReviewRequested) -> None:
    a.line.asked.generations[b.review] = b.generation
    if b.protocol:
        a.line.asked.staged.add(b.review)


def _decided(a: Account, _: Entered, b: e.ReviewDecided) -> None:
    asked = a.line.asked
    if b.decision == "deny" and b.review in asked.generations and b.review not in asked.staged:
        asked.denied.add(asked.generations[b.review])


def _settled(a: Account, _: Entered, b: e.ReviewSettled) -> None:
    if b.outcome == "deny":
        a.line.asked.denied.add(a.line.asked.generations[b.review])


TAKES: dict[str, Callable[[Account, Entered, Any], None]] = {
    "review-requested": _requested, "review-decided": _decided, "review-settled": _settled,
}  # fmt: skip
