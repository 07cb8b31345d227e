"""A review, step by step: what a person is shown at each stage, and how a step becomes an entry.  # R-1, R-2, R-4

Pages come from the ledger's fold alone; nobody's session decides what may be seen. Each step is signed with the
reviewer's own key, which never lies in the engine's home (T-1), and looks again when somebody else was faster.

``here`` is an opened system: repository, home, ledger and its folded state. Every refusal is a ``UsageError`` that
says what to do; ``admitting`` holds the rules.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Literal, Protocol

from festina.errors import IntegrityError, UsageError
from festina.ledger import entries as e
from festina.ledger.log import Draft, Ledger
from festina.ledger.signing import LocalKey
from festina.loop import acts, admitting, clocks, requesting
from festina.loop.rows import Review
from festina.loop.showing import diffs, evidence
from festina.loop.state import State
from festina.propose.text import visible
from festina.review import catch, desk
from festina.review.binding import stamp
from festina.review.calibration import Calibration
from festina.review.pages import Asked, BlindPage, EvidencePage, Outcome, Row, VoteRow
from festina.review.questions import question
from festina.review.seats import Seat, Stage
from festina.system.home import Home
from festina.system.repo import Repo

__all__ = [
    "RESULTS", "Here", "Place", "at_once", "blind_page", "calibration", "came_of", "choice", "classify", "decide",
    "evidence_page", "in_use", "left_s", "open_review", "outcome", "patch_of", "queue", "row", "settle", "stage",
    "waits", "withdraw",
]  # fmt: skip


class Here(requesting.Here, Protocol):
    """An opened system."""

    @property
    def home(self) -> Home: ...


@dataclass(frozen=True, slots=True)
class Place:
    """The same, put together."""

    repo: Repo
    home: Home
    ledger: Ledger
    state: State


# -- readings -----------------------------------------------------------------------------------------------


def queue(here: Here, reviewer: str | None = None, *, now: datetime | None = None) -> tuple[Row, ...]:
    """What waits, oldest first."""
    return tuple(row(here.state, review, reviewer, now=now) for review in here.state.waiting)


def stage(state: State, number: int, reviewer: str | None) -> Stage:
    """Where this person stands in this review."""
    review = _review(state, number)
    if review.settled is not None or (review.decision is not None and not review.terms.protocol):
        return "settled"
    if not review.undecided or review.terms.generation not in state.line or state.last_at > review.terms.expires:
        return "closed"
    seat = review.seats.get(reviewer) if reviewer is not None else None
    return "unopened" if seat is None else seat.stage


def row(state: State, review: Review, reviewer: str | None, *, now: datetime | None = None) -> Row:
    """One line of the queue."""
    terms, at = review.terms, _at(state, now)
    left = left_s(state, terms.review, reviewer, now=now) if reviewer is not None else 0.0
    lines = terms.lines if terms.protocol else sum(g.changed_lines for g in admitting.steps_of(state, review))
    return Row(
        terms.review, terms.generation, lines, terms.files, terms.improver_changed, review.asked, terms.expires,
        stage(state, terms.review, reviewer), left, _blocked(state, review, reviewer, at),
        len(admitting.decided(review)), admitting.asked(state, review),
    )  # fmt: skip


def left_s(state: State, number: int, reviewer: str, *, now: datetime | None = None) -> float:
    """Seconds of reading before this person's next step: of the first judgement, or of an approval.  # R-2, R-4"""
    review, at = _review(state, number), _at(state, now)
    seat = review.seats.get(reviewer)
    if seat is None:
        return 0.0
    reading = seat.classified is None
    return (admitting.reading_left_s if reading else admitting.again_s)(state, review, seat, at)


def _blocked(state: State, review: Review, reviewer: str | None, at: str) -> str:
    """Why this person cannot go on, as the next step would say."""
    if reviewer is None or not review.terms.protocol:
        return ""
    seat = review.seats.get(reviewer)
    if seat is not None and seat.classified is not None:
        return ""
    number, bound, empty = review.terms.review, review.terms.binding, "0" * 64
    step: admitting.Step = (
        e.ReviewOpened(
            review=number, binding=bound, reviewer=reviewer, in_use=in_use(state), without_person=False
        )
        if seat is None
        else e.ReviewClassified(
            review=number, binding=bound, reviewer=reviewer, classification="sound", cite=empty, answer=0,
            predicted=0.0, without_person=False,
        )
    )  # fmt: skip
    found = admitting.refusal(state, step, at)
    return "" if found is None or found.name == "too-soon" else found.what


def calibration(state: State) -> tuple[Calibration, ...]:
    """How well each enrolled person reviews.  # R-3"""
    return tuple(admitting.record(state, name) for name in state.reviewers)


def waits(state: State) -> str:
    """What the loop waits for people for; empty where it does not.  # R-4"""
    rules, waiting = (state.epoch.review if state.epoch is not None else None), len(state.waiting)
    if rules is None or waiting < rules.max_waiting:
        return ""
    return f"waits for reviewers: {waiting} changes lie before people, and no new one is begun before they are fewer"


# -- the steps -------------------------------------------------------------------------------------------------


def open_review(here: Here, number: int, reviewer: str, *, now: datetime | None = None) -> BlindPage:
    """The change without claims, recorded as shown to this person: reading time runs from here.  # R-2, R-4"""
    review = _review(here.state, number)
    if review.terms.protocol and reviewer not in review.seats and review.undecided:
        who, key = _who(here, reviewer)
        body = e.ReviewOpened(
            review=number, binding=review.terms.binding, reviewer=reviewer, in_use=in_use(here.state),
            without_person=who.demo,
        )  # fmt: skip
        _sign(here, body, key, (), now)
    return blind_page(here, number, reviewer, now=now)


def blind_page(here: Here, number: int, reviewer: str, *, now: datetime | None = None) -> BlindPage:
    """The same page again. Raises ``open-first`` where it was never opened for this person."""
    review = _review(here.state, number)
    if review.terms.protocol and reviewer not in review.seats:
        raise UsageError("open-first", f"{reviewer} has not begun review {number}", fix=f"festina review {number}")
    patch = patch_of(here, review)
    found = diffs(here, review, patch, review.seats[reviewer].in_use if review.terms.protocol else None)
    asked = question(patch, review.terms.binding)
    return BlindPage(
        row(here.state, review, reviewer, now=now), found.patch, found.in_use, found.reviewed_name, found.in_use_name,
        found.files, Asked(asked.text, asked.choices), prediction(here.state, review), review.terms.binding,
    )  # fmt: skip


def prediction(state: State, review: Review) -> str:
    """What a reviewer gives a probability for."""
    suite = state.epoch.suite if state.epoch is not None else None
    unit = "hidden items" if suite is not None and suite.assurance == "hidden" else "the system's own score"
    return f"How likely is it that its last step gained at least {admitting.aim(state, review):g} on {unit}?"


def classify(
    here: Here, number: int, reviewer: str, *, confirm: str, classification: e.Classification, cite: str, answer: str,
    predicted: float, now: datetime | None = None,
) -> None:  # fmt: skip
    """A person's first judgement, before any evidence. Never replaced.  # R-2"""
    review = _confirmed(here, number, confirm)
    who, key = _who(here, reviewer)
    asked = question(patch_of(here, review), review.terms.binding)
    body, text = desk.classification(
        review.terms, reviewer=who, classification=classification, cite=cite, answer=choice(asked.choices, answer),
        predicted=predicted,
    )  # fmt: skip
    _sign(here, body, key, (text,), now)


def choice(choices: tuple[str, ...], answer: str) -> int:
    """The number of the chosen answer: as it is worded, or counted from 1."""
    if answer in choices:
        return choices.index(answer)
    if answer.isdecimal() and len(answer) <= 3 and 1 <= int(answer) <= len(choices):
        return int(answer) - 1
    raise UsageError("bad-answer", f"{visible(answer[:80], lines=False)!r} is none of the choices",
                     fix=f"a number from 1 to {len(choices)}")  # fmt: skip


def evidence_page(here: Here, number: int, reviewer: str, *, now: datetime | None = None) -> EvidencePage:
    """What was measured, and the proposer's words last; only after the first classification.  # R-2"""
    review = _review(here.state, number)
    seat = review.seats.get(reviewer)
    if review.terms.protocol and review.settled is None and (seat is None or seat.classified is None):
        raise UsageError(
            "classify-first", "evidence is shown after your first judgement, so that it cannot sway it",
            fix=f"festina review {number} --as {reviewer}",
        )  # fmt: skip
    again = admitting.again_s(here.state, review, seat, _at(here.state, now)) if seat is not None else 0.0
    return EvidencePage(
        row(here.state, review, reviewer, now=now), evidence(here, review), review.terms.binding,
        _answered(here, review, seat, again), again,
    )  # fmt: skip


def _answered(here: Here, review: Review, seat: Seat | None, again: float) -> str:
    """What the person's answer to the question was worth, and what follows.  # R-2"""
    if seat is None or seat.right is None:
        return ""
    if seat.right:
        return "Your answer to the question about the diff was right."
    asked = question(patch_of(here, review), review.terms.binding)
    wait = "; an approval is possible after its reading time once more" if again > 0 else ""
    right = asked.choices[asked.right]
    return f"Your answer to the question about the diff was WRONG; right is: {right}. Read the change again{wait}."


def decide(
    here: Here, number: int, reviewer: str, *, confirm: str, approve: bool, classification: e.Classification,
    reason: str, now: datetime | None = None,
) -> None:  # fmt: skip
    """A reasoned decision, signed over patch, evidence and evaluator.  # R-1"""
    review = _confirmed(here, number, confirm)
    who, key = _who(here, reviewer)
    draft = desk.decision(
        review.terms, authors=admitting.authors(here.state, review), reviewer=who, key=key, approve=approve,
        reason=reason, now=now, classification=classification if review.terms.protocol else None,
    )  # fmt: skip
    _sign(here, draft.body, key, draft.blobs, now)


def withdraw(here: Here, number: int, reviewer: str, *, reason: str, now: datetime | None = None) -> None:
    """Take a decision back that does not count yet.  # R-1"""
    review = _review(here.state, number)
    who, key = _who(here, reviewer)
    seat = review.seats.get(reviewer)
    body, text = desk.withdrawal(review.terms, reviewer=who, decided=seat.decided_seq if seat else -1, reason=reason)
    _sign(here, body, key, (text,), now)


def settle(here: Here, *, now: datetime | None = None) -> tuple[int, ...]:
    """Make decisions count that nobody can take back any more. Needs the engine's key."""
    return acts.settle_reviews(here.ledger, here.state, here.repo, now)


def at_once(here: Here, number: int, reviewer: str, *, approve: bool, reason: str) -> None:
    """All steps in one go, for a demo's key: it speaks for no person, and what it approves cannot leave the demo."""
    if not clocks.free(here.state, reviewer):
        raise UsageError("not-a-demo", f"'{reviewer}' is a person: people go step by step", fix="festina review")
    page = open_review(here, number, reviewer)
    if here.state.reviews[number].terms.protocol:
        classify(
            here, number, reviewer, confirm=page.confirm, classification="sound" if approve else "unsure",
            cite="demo: nobody read it", answer="1", predicted=0.5,
        )  # fmt: skip
    decide(
        here, number, reviewer, confirm=page.confirm, approve=approve, reason=reason,
        classification="sound" if approve else "unsure",
    )  # fmt: skip
    settle(here)


RESULTS: dict[str, Literal["approved", "denied", "catch", "set aside"]] = {
    "approve": "approved", "deny": "denied", "catch": "catch", "void": "set aside"
}  # fmt: skip


def outcome(here: Here, number: int) -> Outcome:
    """What came of it: what each said, and whether it was a catch trial. Not before it is settled.  # R-3, R-5"""
    review = _review(here.state, number)
    settled = review.settled
    if settled is None:
        raise UsageError("not-settled", f"review {number} is not settled yet", fix="festina review")
    asked = question(patch_of(here, review), review.terms.binding)
    planted = catch.catch_of(settled.origin)
    votes = tuple(
        VoteRow(
            v.decision.reviewer, v.classified.classification if v.classified else None, v.decision.classification,
            v.approved, visible(here.ledger.get_blob(v.decision.reason).decode(errors="replace")), v.right,
            v.classified.predicted if v.classified else None,
        )
        for v in review.votes
    )  # fmt: skip
    word = RESULTS[settled.outcome]
    return Outcome(number, word, catch.words(planted) if planted else "", votes, asked.choices[settled.answer])


def came_of(state: State, settled: e.ReviewSettled) -> str:
    """What a settled review came to, in one line for the log; the reviews' own page says more."""
    review = state.reviews[settled.review]
    names = ", ".join(vote.decision.reviewer for vote in review.votes)
    number = review.terms.generation
    if settled.outcome == "catch":
        told = [f"{v.decision.reviewer} {'missed it' if v.approved else 'saw through it'}" for v in review.votes]
        return f"Review {settled.review} was a catch trial: {', '.join(told)}; the real change is asked for next"
    words = {
        "approve": f"Generation {number} was approved by {names}", "deny": f"Generation {number} was denied by {names}",
        "void": f"Review {settled.review} is set aside: an approval by {names} does not count for now",
    }  # fmt: skip
    return words[settled.outcome]


# -- what they share -----------------------------------------------------------------------------------------


def _at(state: State, now: datetime | None) -> str:
    return max(stamp(now or datetime.now(UTC)), state.last_at)


def in_use(state: State) -> str:
    """The commit that is used outside the loop: the released one, or the start.  # R-2"""
    return state.generations[state.released if state.released is not None else state.line[0]].commit


def _review(state: State, number: int) -> Review:
    review = state.reviews.get(number)
    if review is None:
        raise UsageError("no-such-review", f"there is no review {number}", fix="festina review")
    return review


def _confirmed(here: Here, number: int, confirm: str) -> Review:
    """The review, if it is still about what the person was shown.  # R-1"""
    review = _review(here.state, number)
    if confirm != review.terms.binding:
        raise IntegrityError("binding-differs", f"review {number} is about something else than what was shown",
                             fix="look at it again")  # fmt: skip
    return review


def _who(here: Here, reviewer: str) -> tuple[e.ReviewerEnrolled, LocalKey]:
    enrolled = here.state.reviewers.get(reviewer)
    if enrolled is None:
        raise UsageError("not-enrolled", f"'{reviewer}' may not decide here", fix=f"festina reviewer add {reviewer}")
    return enrolled, desk.reviewer_key(reviewer, home=here.home.path)


def patch_of(here: Here, review: Review) -> bytes:
    """The patch that was asked about, from the content store, checked against the request.  # R-1"""
    patch = here.ledger.get_blob(review.terms.patch)
    if hashlib.sha256(patch).hexdigest() != review.terms.patch:  # the store checks it, too
        raise IntegrityError("review-patch-differs", "the ledger no longer holds what this review was requested for")
    return patch


def _sign(here: Here, body: e.Body, key: LocalKey, blobs: tuple[bytes, ...], now: datetime | None) -> None:
    """Record one step, on exactly the state in which it may be made."""

    def make(state: State) -> list[Draft]:
        assert isinstance(body, admitting.Step)
        refused = admitting.refusal(state, body, _at(state, now))
        if refused is not None:
            raise refused
        return [Draft(body, blobs=blobs, signer=key, at=stamp(now) if now is not None else None)]

    acts.write(here.ledger, here.state, make)
