"""Reviewing away from the engine's home: one file out, signed statements back in.  # T-1, R-1

The file that goes out is a page of the review at the person's stage: the change alone, or after a first judgement was
brought in also the evidence. Writing it starts the clock of reading time, because it is the engine that says when.
"""

from __future__ import annotations

from datetime import UTC, datetime

from festina.errors import UsageError
from festina.ledger import entries as e
from festina.ledger.log import Draft
from festina.loop import acts, admitting, reviews
from festina.loop.reviews import Here
from festina.loop.state import State
from festina.review import away, desk
from festina.review.binding import stamp

__all__ = ["export", "sign", "take_in"]


def export(here: Here, number: int, reviewer: str, *, now: datetime | None = None) -> bytes:
    """The review as a file for one person, who needs nothing else to look at it and sign. Needs the engine's key."""
    review = here.state.reviews.get(number)
    if review is not None and review.terms.protocol and reviewer not in review.seats:
        body = e.ReviewHanded(
            review=number, binding=review.terms.binding, reviewer=reviewer, in_use=reviews.in_use(here.state)
        )
        _record(here, Draft(body), body, now)
    page = reviews.blind_page(here, number, reviewer, now=now)
    review = here.state.reviews[number]
    shown: dict[str, object] = {
        "patch": reviews.patch_of(here, review).decode("utf-8", "surrogateescape"), "in_use": page.in_use,
        "reviewed_name": page.reviewed_name, "in_use_name": page.in_use_name,
        "question": {"text": page.question.text, "choices": page.question.choices}, "prediction": page.prediction,
        "left_s": page.row.left_s,
        "marks": {file.path: file.marks for file in page.files if file.marks},
    }  # fmt: skip
    seat = review.seats.get(reviewer)
    if seat is not None and seat.classified is not None:
        found = reviews.evidence_page(here, number, reviewer, now=now)
        shown["answered"] = found.answered
        shown["evidence"] = [{"title": s.title, "lines": s.lines} for s in found.sections]
    if seat is not None and seat.decision is not None:
        shown["decided"] = seat.decided_seq
    return away.packed(review.terms, reviewer, shown)


def sign(
    data: bytes, *, classification: e.Classification, cite: str = "", answer: str = "", predicted: float | None = None,
    approve: bool | None = None, reason: str = "",
) -> bytes:  # fmt: skip
    """Sign the next step of the review in a file: a first judgement, or with ``approve`` the decision."""
    terms, reviewer, whole = away.unpacked(data)
    key = desk.reviewer_key(reviewer)
    who = e.ReviewerEnrolled(reviewer=reviewer, key="", demo=False)
    body: away.Signable
    if approve is None:
        if predicted is None:
            raise UsageError("bad-prediction", "a first judgement needs a probability", fix="--predict 0.5")
        choices = tuple(map(str, whole["question"]["choices"]))
        body, text = desk.classification(
            terms, reviewer=who, classification=classification, cite=cite, answer=reviews.choice(choices, answer),
            predicted=predicted,
        )  # fmt: skip
    else:
        if "evidence" not in whole:
            raise UsageError("classify-first", "this file holds no evidence yet",
                             fix="sign a first judgement, have it brought in, and ask for the file again")  # fmt: skip
        draft = desk.decision(
            terms, authors=(), reviewer=who, key=key, approve=approve, reason=reason, classification=classification
        )
        assert isinstance(draft.body, e.ReviewDecided)  # desk makes no other
        body, text = draft.body, draft.blobs[0]
    return away.written(away.signed(body, key), text)


def take_in(here: Here, data: bytes, *, now: datetime | None = None) -> e.ReviewBrought:
    """Record a signed step that somebody brought, if it may be made now. Needs the engine's key."""
    brought, text = away.read(data)
    body = away.checked(brought, desk.public_keys(here.state.reviewers))
    if brought.sig in here.state.brought:
        raise UsageError("replayed", "this statement was brought in before", fix="sign a new one")
    if away.names(body) != desk.digest(text):
        what = "the text beside the statement is not the one that was signed"
        raise UsageError("bad-statement", what, fix="sign it again")
    _record(here, Draft(brought, blobs=(text,)), body, now)
    return brought


def _record(here: Here, draft: Draft, step: admitting.Step, now: datetime | None) -> None:
    def make(state: State) -> list[Draft]:
        at = max(stamp(now or datetime.now(UTC)), state.last_at)
        refused = admitting.refusal(state, step, at)
        if refused is not None:
            raise refused
        return [Draft(draft.body, blobs=draft.blobs, at=at if now is not None else None)]

    acts.write(here.ledger, here.state, make)
