"""What follows a verdict: moves of the working line, what people decide, what is in force and released.  # R, D"""

from __future__ import annotations

from typing import ClassVar, Literal

from festina.ledger.base import Body, Count, Digest, Name, Oid, Role
from festina.ledger.reviewing import Classification


class LineIntent(Body):
    """Intent: the working line's head is about to move by compare-and-swap.  # D-1"""

    kind: ClassVar[str] = "line-intent"
    move: Count
    cause: Literal["start", "accept", "denial", "rollback"]
    generation: Count  # number of the new head
    old_commit: Oid | None
    new_commit: Oid
    proposal: Count | None


class LineMoved(Body):
    """End of the move: the reference now names the new head."""

    kind: ClassVar[str] = "line-moved"
    move: Count
    generation: Count
    commit: Oid


class ReviewerEnrolled(Body):
    """A person's public key may sign decisions. ``demo`` keys count only in demo ledgers.  # R-1"""

    kind: ClassVar[str] = "reviewer-enrolled"
    reviewer: Name
    key: str
    demo: bool


class ReviewRequested(Body):
    """A generation waits for a person. ``binding`` is the hash of patch, evidence, evaluator and ``commit``.  # R-1

    Where the epoch plants catch trials, every request is ``sealed``: ``commit`` is then a salted commitment to what it
    really is (``review-settled`` opens it), because a planted change belongs to no commit.  # R-3, L-5
    """

    kind: ClassVar[str] = "review-requested"
    review: Count
    generation: Count
    commit: Oid
    improver_changed: bool
    patch: Digest  # against the last approved generation
    evidence: Digest  # leaf hash of the verdict entry that accepted it
    evaluator: Digest
    binding: Digest
    expires: str  # RFC 3339
    # 0: of records before there were steps; 1: step by step, and nothing counts before it is settled; 2: besides, long
    # lines count as several, a wrong answer asks for a second reading, an unsigned author for a second person  # R-4
    protocol: Count = 0
    base: Oid | None = None  # what the patch is against: the last commit that a person reviewed  # R-2
    lines: Count = 0  # changed lines of the patch, as its protocol counts them
    files: Count = 0
    sealed: bool = False
    answer: Digest | None = None  # of the question's right choice: nobody reads it by accident  # R-2


class ReviewDecided(Body):
    """A person's reasoned decision, signed by that person's own key.  # R-1"""

    kind: ClassVar[str] = "review-decided"
    role: ClassVar[Role] = "reviewer"
    review: Count
    binding: Digest
    reviewer: Name
    decision: Literal["approve", "deny"]
    reason: Digest  # text in the content store
    without_person: bool  # demo key: approved without a person
    classification: Classification | None = None  # as it stands now that the evidence was seen  # R-2


class InForce(Body):
    """From here on this generation's improver proposes.  # P-5, R-1"""

    kind: ClassVar[str] = "improver-in-force"
    generation: Count
    commit: Oid
    review: Count


class ReleaseIntent(Body):
    """Intent: the released reference is about to move.  # D-1, D-2"""

    kind: ClassVar[str] = "release-intent"
    release: Count
    cause: Literal["release", "rollback"]
    generation: Count
    old_commit: Oid | None
    new_commit: Oid
    review: Count | None  # the approval it rests on; None for a rollback, or where nobody was asked
    grant: Count | None = None  # the signed step to releasing unattended that it rests on instead  # G-7


class Released(Body):
    """The released reference now names this generation."""

    kind: ClassVar[str] = "released"
    release: Count
    generation: Count
    commit: Oid


class Waiver(Body):
    """Somebody accepted a sandbox below the demanded level until a date.  # T-2"""

    kind: ClassVar[str] = "waiver"
    what: Literal["sandbox-level"]
    level: int
    reason: Digest
    expires: str
