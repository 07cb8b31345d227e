"""What an approval is bound to: the hash of patch, evidence and evaluator.  # R-1

Another patch, another verdict or another scorer gives another binding, and an approval of the old one is worth
nothing. The binding is recomputed at every use, never trusted because it stands somewhere.
"""

from __future__ import annotations

import hashlib
from datetime import UTC, datetime, timedelta

from festina.ledger.canonical import canonical

APPROVAL_DAYS = 30  # a decision about something older than this must be asked for again


def binding(*, patch: str, evidence: str, evaluator: str, commit: str) -> str:
    """sha256 hex over the four digests, canonically serialised."""
    parts = {"patch": patch, "evidence": evidence, "evaluator": evaluator, "commit": commit}
    return hashlib.sha256(b"festina-binding-1\n" + canonical(parts)).hexdigest()


def stamp(moment: datetime) -> str:
    """RFC 3339 in UTC with milliseconds, the only form of time in the ledger."""
    return moment.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def expiry(now: datetime) -> str:
    """When a review requested now stops being valid."""
    return stamp(now + timedelta(days=APPROVAL_DAYS))
