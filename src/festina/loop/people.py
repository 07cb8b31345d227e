"""What people say, as the fold sees it: enrolments, reviews asked for, decisions.  # R-1, L-1"""

from __future__ import annotations

from typing import TYPE_CHECKING

from festina.ledger import entries as e
from festina.ledger.log import Record
from festina.loop.rows import Review, misfit

if TYPE_CHECKING:
    from festina.loop.state import State

__all__ = ["decided", "enrolled", "requested"]


def enrolled(s: State, r: Record, b: e.ReviewerEnrolled) -> None:
    if b.reviewer in s.reviewers and s.reviewers[b.reviewer].key != b.key:
        raise misfit(r, "an enrolment is never replaced")
    s.reviewers[b.reviewer] = b


def requested(s: State, r: Record, b: e.ReviewRequested) -> None:
    generation = s.generations.get(b.generation)
    if b.review in s.reviews or generation is None or generation.commit != b.commit:
        raise misfit(r, "a review with a used number, or of a generation that is not there")
    if generation.verdict_leaf != b.evidence:
        raise misfit(r, "a review of other evidence than the generation's verdict")
    s.reviews[b.review] = Review(b, r.seq)


def decided(s: State, r: Record, b: e.ReviewDecided) -> None:
    review, who = s.reviews.get(b.review), s.reviewers.get(b.reviewer)
    if review is None or review.terms.binding != b.binding or review.decision is not None:
        return  # for something else than what waits: recorded, without effect  # R-1
    if who is None or (who.demo and not (s.genesis and s.genesis.demo and b.without_person)):
        return  # not somebody who may decide here: a person's key alone can never stop a ledger
    if max(r.at, s.last_at) > review.terms.expires:
        return  # expired
    review.decision, review.decision_at, review.decision_seq = b, r.at, r.seq
    if b.decision == "approve":
        generation = s.generations[review.terms.generation]
        generation.approved = b.review
        generation.without_person = b.without_person
