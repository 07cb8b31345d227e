"""What people say, as the fold sees it: enrolments, reviews asked for, their steps, and what came of them.  # R, L-1

Steps that do not fit (too early, out of order, of somebody who may not) are recorded without effect and kept in
``State.ignored``: a person's key alone can never stop a ledger. Entries of the engine that do not fit stop it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from festina.errors import UsageError
from festina.ledger import entries as e
from festina.ledger.log import Record
from festina.ledger.statement import commitment
from festina.loop import admitting
from festina.loop.clocks import received
from festina.loop.rows import Generation, Review, misfit
from festina.review import authorship, away, desk
from festina.review.catch import catch_of, real_origin
from festina.review.questions import answer_digest
from festina.review.seats import Person, Seat, Vote

if TYPE_CHECKING:
    from festina.loop.state import State

__all__ = ["HANDLERS", "received", "signed"]


def _enrolled(s: State, r: Record, b: e.ReviewerEnrolled) -> None:
    if b.reviewer in s.reviewers and s.reviewers[b.reviewer].key != b.key:
        raise misfit(r, "an enrolment is never replaced")
    s.reviewers[b.reviewer] = b
    s.persons.setdefault(b.reviewer, Person(b.reviewer))


def _requested(s: State, r: Record, b: e.ReviewRequested) -> None:
    generation = s.generations.get(b.generation)
    if b.review in s.reviews or generation is None or (generation.commit != b.commit and not b.sealed):
        raise misfit(r, "a review with a used number, or of a generation that is not there")
    if generation.verdict_leaf != b.evidence:
        raise misfit(r, "a review of other evidence than the generation's verdict")
    if b.protocol and (s.epoch is None or s.epoch.review is None or b.base is None):
        raise misfit(r, "a review in steps where the epoch has none")
    s.reviews[b.review] = Review(b, r.seq, r.at, s.epoch.review if s.epoch is not None and b.protocol else None)


def signed(s: State, b: e.ProposalReceived) -> bool:
    """Whether an enrolled person's own signature says who made this change.  # R-1"""
    if not b.sig or b.patch is None:
        return False  # no key is read for what claims none
    return authorship.signed(b.author, b.patch, b.sig, desk.public_keys(s.reviewers))


# -- steps ----------------------------------------------------------------------------------------------


def _step(s: State, r: Record, body: admitting.Step) -> None:
    """One step of a person, if it may be made now."""
    at = max(r.at, s.last_at)
    refused = admitting.refusal(s, body, at)
    if refused is not None:
        s.ignored.append((r.seq, r.kind, refused.name))
        return
    review = s.reviews[body.review]
    if isinstance(body, e.ReviewOpened | e.ReviewHanded):
        review.seats[body.reviewer] = Seat(body.reviewer, at, body.in_use)
        s.persons[body.reviewer].opened.append(at)
        s.unreceived.append((body.review, body.reviewer))
        return
    if not review.terms.protocol:
        assert isinstance(body, e.ReviewDecided)  # refused otherwise
        _counts(s, review, body, r.at, r.seq)
        return
    seat, person = review.seats[body.reviewer], s.persons[body.reviewer]
    s.unreceived.append((body.review, body.reviewer))
    if isinstance(body, e.ReviewClassified):
        seat.since = max(seat.opened_at, person.read_until)
        seat.classified, seat.classified_at, seat.classified_seq = body, at, r.seq
        terms = review.terms
        seat.right = None if terms.answer is None else answer_digest(terms.binding, body.answer) == terms.answer
        person.read_until = at
    elif isinstance(body, e.ReviewDecided):
        seat.decision, seat.decided_at, seat.decided_seq = body, at, r.seq
    else:
        seat.decision, seat.withdrawn = None, seat.withdrawn + 1


def _brought(s: State, r: Record, b: e.ReviewBrought) -> None:
    """A step that was signed elsewhere counts like one that was signed here.  # T-1"""
    try:
        body = away.checked(b, desk.public_keys(s.reviewers))
    except UsageError as error:
        s.ignored.append((r.seq, b.step, error.name))
        return
    if b.sig in s.brought:  # a decision that was taken back does not come again by itself
        s.ignored.append((r.seq, b.step, "replayed"))
        return
    s.brought.add(b.sig)
    _step(s, r, body)


# -- what counts ------------------------------------------------------------------------------------------


def _counts(s: State, review: Review, decision: e.ReviewDecided, at: str, seq: int) -> None:
    review.decision, review.decision_at, review.decision_seq = decision, at, seq
    if decision.decision == "approve":
        generation = s.generations[review.terms.generation]
        generation.approved = review.terms.review
        generation.without_person = decision.without_person


def _settled(s: State, r: Record, b: e.ReviewSettled) -> None:
    """Decisions begin to count, or turn out to be about a planted change.  # R-1, R-3"""
    review = s.reviews.get(b.review)
    if review is None or not review.terms.protocol or not review.undecided or review.rules is None:
        raise misfit(r, "a settlement of a review that is not open")
    seats = sorted((seat for seat in review.seats.values() if seat.decision), key=lambda seat: seat.decided_seq)
    if tuple(seat.decided_seq for seat in seats) != b.votes or not admitting.complete(s, review, max(r.at, s.last_at)):
        raise misfit(r, "it counts other decisions than those that were made, or too early")
    generation = s.generations[review.terms.generation]
    if review.terms.sealed and commitment(bytes.fromhex(b.salt), b.origin) != review.terms.commit:
        raise misfit(r, "it does not open what was sealed before anybody saw it")  # L-5
    planted = catch_of(b.origin)
    if planted is None and b.origin != real_origin(generation.commit):
        raise misfit(r, "it names another commit than the generation's")
    says = admitting.result(s, review, planted is not None)
    if (planted is not None and not review.terms.sealed) or says != b.outcome:
        raise misfit(r, "it says something else than the decisions that it counts")
    review.settled, review.settled_seq = b, r.seq
    review.votes = tuple(_vote(s, review, seat, b, planted) for seat in seats)
    for vote in review.votes:
        s.persons[vote.decision.reviewer].votes.append(vote)
    if b.outcome in ("catch", "void"):
        review.closed = True
    else:
        last = seats[-1]
        assert last.decision is not None
        deciding = next((x for x in seats if x.decision and x.decision.decision == "deny"), last)
        assert deciding.decision is not None
        _counts(s, review, deciding.decision, r.at, deciding.decided_seq)
    for vote in review.votes if planted is not None else ():
        _tried(s, vote)


def _vote(s: State, review: Review, seat: Seat, b: e.ReviewSettled, planted: str | None) -> Vote:
    assert seat.decision is not None
    first = seat.classified
    came = admitting.came_true(s, review) if planted is None else None
    right = None if first is None else first.answer == b.answer  # as everybody can make it again from the patch
    return Vote(review.terms.review, first, seat.decision, b.outcome, right, came, planted or "")


def _tried(s: State, vote: Vote) -> None:
    """A catch trial that was missed puts everything back to review that rests on this person's word.  # R-3"""
    person = s.persons[vote.decision.reviewer]
    if not vote.approved:
        person.seen_since += 1
        return
    person.missed_last, person.seen_since = vote.catch, 0
    for number in s.line:
        generation = s.generations[number]
        if generation.approved is None or (s.released is not None and number <= s.released):
            continue
        review = s.reviews[generation.approved]
        if any(v.decision.reviewer == person.name for v in review.votes):
            generation.approved, review.decision, review.closed = None, None, True
    while not _may_propose(s.generations[s.in_force]):
        parent = s.generations[s.in_force].parent
        assert parent is not None
        s.in_force = parent


def _may_propose(generation: Generation) -> bool:
    return generation.parent is None or generation.approved is not None


HANDLERS: dict[str, Callable[[State, Record, Any], None]] = {
    "reviewer-enrolled": _enrolled, "review-requested": _requested, "review-opened": _step, "review-handed": _step,
    "review-classified": _step, "review-decided": _step, "review-withdrawn": _step, "review-brought": _brought,
    "review-settled": _settled,
}  # fmt: skip
