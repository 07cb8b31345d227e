"""What an approval is bound to: the patch, the evidence, the evaluator and the commit.  # R-1

Anything else has another hash, and for another hash there is no approval. The order of the parts is fixed here and
nowhere else; the result stands in the request, in the decision and is recomputed at release.

Where requests are sealed, a salted commitment stands for the commit, so that a planted request looks like a real
one; what it opens to is checked when the decision begins to count, and again at release.  # R-3, L-5
"""

from __future__ import annotations

import hashlib
from datetime import UTC, datetime, timedelta

from festina.ledger.canonical import canonical
from festina.ledger.entries import ReviewSettled
from festina.ledger.statement import commitment
from festina.review.catch import real_origin

APPROVAL_DAYS = 30  # a decision about something older than this must be asked for again


def binding(*, patch: str, evidence: str, evaluator: str, commit: str) -> str:
    """sha256 hex over the four digests, canonically serialised."""
    parts = {"patch": patch, "evidence": evidence, "evaluator": evaluator, "commit": commit}
    return hashlib.sha256(b"festina-binding-1\n" + canonical(parts)).hexdigest()


def sealed_commit(settled: ReviewSettled | None, commit: str) -> str:
    """What a sealed request wrote for this commit, by the salt that its settlement shows; empty before that."""
    return "" if settled is None or not settled.salt else commitment(bytes.fromhex(settled.salt), real_origin(commit))


def stamp(moment: datetime) -> str:
    """RFC 3339 in UTC with milliseconds, the only form of time in the ledger."""
    return moment.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def expiry(now: datetime) -> str:
    """When a review requested now stops being valid."""
    return stamp(now + timedelta(days=APPROVAL_DAYS))
