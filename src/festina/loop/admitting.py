"""Whether a person may make this step of a review now, and what decisions come to: pure, for people and for the fold.

The same function answers a person before anything is signed and the fold when it is read again: what was refused at
the desk has no effect in a forged record either.  # R-1, R-2, R-4, R-5
"""

from __future__ import annotations

from datetime import timedelta
from statistics import median
from typing import TYPE_CHECKING

from festina.errors import UsageError
from festina.ledger import entries as e
from festina.ledger.reviewing import Outcome
from festina.loop.clocks import free, hurried
from festina.loop.rows import Generation, Review
from festina.review.calibration import Calibration, calibrated, nobody
from festina.review.desk import own
from festina.review.seats import Seat, begun_since, floor_s, left_s, seconds_between

if TYPE_CHECKING:
    from festina.loop.state import State

Step = e.ReviewOpened | e.ReviewHanded | e.ReviewClassified | e.ReviewDecided | e.ReviewWithdrawn
HOUR, DAY = timedelta(hours=1), timedelta(days=1)
HANDED_IN = ("person:", "planted:", "outside:")  # authors of what somebody brought: words, until they are signed
WHILE_NOBODY = 0.5  # share of planted requests while no person's approvals count: the way back to authority  # R-3


def refusal(s: State, body: Step, at: str) -> UsageError | None:
    """Why this step has no effect at ``at``; None where it has."""
    review = s.reviews.get(body.review)
    if review is None:
        return UsageError("no-such-review", f"there is no review {body.review}", fix="festina review")
    if review.terms.binding != body.binding:
        return UsageError("binding-differs", f"review {body.review} is about something else", fix="look at it again")
    found = _closed(s, review, at) or _may(s, review, body.reviewer)
    if found is not None:
        return found
    if not review.terms.protocol:
        old = "this review was asked for before there were steps: decide about it"
        return None if isinstance(body, e.ReviewDecided) else UsageError("no-steps", old, fix="festina review approve")
    seat = review.seats.get(body.reviewer)
    if isinstance(body, e.ReviewOpened | e.ReviewHanded):
        return _opens(s, review, seat, body.reviewer, at)
    if seat is None:
        return UsageError("open-first", "the diff was not shown yet", fix=f"festina review show {body.review}")
    if isinstance(body, e.ReviewClassified):
        return _classifies(s, review, seat, body, at)
    if isinstance(body, e.ReviewDecided):
        return _decides(seat, body) or _again(s, review, seat, body, at)
    return _withdraws(s, review, seat, body, at)


def _closed(s: State, review: Review, at: str) -> UsageError | None:
    number, terms = review.terms.review, review.terms
    if not review.undecided:
        when = f" at {review.decision_at}" if review.decision_at else ""
        name = "already-settled" if terms.protocol else "already-decided"
        return UsageError(name, f"review {number} was decided{when}", fix="festina review")
    if at > terms.expires:
        return UsageError("review-expired", f"this review expired at {terms.expires}", fix="run the loop to ask again")
    if terms.protocol and terms.generation not in s.line:
        return UsageError("not-on-the-line", "the working line no longer holds that generation", fix="festina review")
    return None


def _may(s: State, review: Review, name: str) -> UsageError | None:
    who = s.reviewers.get(name)
    if who is None:
        return UsageError("not-enrolled", f"'{name}' may not decide here", fix=f"festina reviewer add {name}")
    if who.demo and not (s.genesis and s.genesis.demo):
        what = f"'{name}' is a demo key: it speaks for no person"
        return UsageError("demo-key", what, fix="festina reviewer add NAME")
    if own(authors(s, review), name):
        return UsageError(
            "own-change", f"{name} proposed this change and cannot decide about it", fix="ask somebody else"
        )
    return None


def _opens(s: State, review: Review, seat: Seat | None, name: str, at: str) -> UsageError | None:
    if seat is not None:
        return UsageError("already-open", f"{name} has seen this diff already", fix="go on with it")
    rules, person = review.rules, s.persons[name]
    assert rules is not None  # the fold has seen to it
    if free(s, name):
        return None
    for word, most, window in (("hour", rules.per_hour, HOUR), ("day", rules.per_day, DAY)):
        if begun_since(person, at, window) >= most:
            return UsageError(
                "hourly-cap" if word == "hour" else "daily-cap",
                f"{name} has begun {most} reviews within one {word}, and nobody reads more with care",
                fix="go on later, or ask somebody else", where=f"festina.toml: policy.review.per_{word}",
            )  # fmt: skip
    return _out_of_order(s, review, name, at)


def _out_of_order(s: State, review: Review, name: str, at: str) -> UsageError | None:
    """Why this person sees ``review`` later or not at all: another one of theirs shows some of the same lines."""
    if not review.terms.sealed or review.terms.protocol < 2:
        return None
    mine = {g.number for g in steps_of(s, review)}
    for other in s.reviews.values():
        seat = other.seats.get(name)
        if seat is None or not other.terms.sealed or not other.fits or other.terms.generation not in s.line:
            continue
        if not mine & {g.number for g in steps_of(s, other)}:
            continue
        number = other.terms.review
        if number < review.terms.review and other.undecided and not cooled(s, other, seat, at):
            what = f"review {number} shows some of the same lines, and {name} has not finished it"
            return UsageError("finish-first", what, fix=f"festina review {number} --as {name}; then this one")
        if number > review.terms.review and (other.undecided or other.closed):
            what = f"review {number}, which {name} has seen, is newer and holds all of it"
            return UsageError("seen-newer", what, fix=f"go on with review {number}; the next one is asked for after it")
    return None


def reading_left_s(s: State, review: Review, seat: Seat, at: str) -> float:
    """Seconds of the reading floor that this person has not sat through yet.  # R-4"""
    if review.rules is None or free(s, seat.reviewer):
        return 0.0
    return left_s(seat, s.persons[seat.reviewer], review.terms.lines, review.rules.lines_per_hour, at)


def _classifies(s: State, review: Review, seat: Seat, b: e.ReviewClassified, at: str) -> UsageError | None:
    if seat.classified is not None:
        return UsageError("already-classified", "a first judgement is never replaced", fix="decide now")
    if not review.fits and b.classification != "scope":
        assert review.rules is not None
        return UsageError(
            "too-large", f"{review.terms.lines} changed lines are more than one review may show "
            f"({review.rules.max_lines})", fix="decide about an earlier generation first; or classify it as 'scope'",
            where="festina.toml: policy.review.max_lines",
        )  # R-4  # fmt: skip
    left = reading_left_s(s, review, seat, at)
    if left > 0:
        return UsageError(
            "too-soon", f"{review.terms.lines} changed lines take longer to read: {_words(left)} still",
            fix="read on; the clock runs since the diff was shown, one diff at a time",
            where="festina.toml: policy.review.lines_per_hour",
        )  # R-4  # fmt: skip
    return None


def _words(seconds: float) -> str:
    whole = int(seconds) + 1
    return f"{whole // 60} min {whole % 60:02d} s" if whole >= 60 else f"{whole} s"


def _decides(seat: Seat, b: e.ReviewDecided) -> UsageError | None:
    if seat.classified is None:
        how = f"festina review {b.review} --as {b.reviewer}"
        return UsageError("classify-first", "no decision before a first judgement", fix=how)
    if seat.decision is not None:
        return UsageError("already-decided", f"{b.reviewer} has decided at {seat.decided_at}", fix="festina review")
    if b.decision == "approve" and b.classification != "sound":
        return UsageError("approve-needs-sound", "what is not sound is not approved", fix="say 'sound', or deny")
    if b.decision == "deny" and b.classification in (None, "sound"):
        return UsageError(
            "deny-needs-a-class", "a denial says what is wrong", fix="scope, integrity, capability or unsure"
        )
    return None


def again_s(s: State, review: Review, seat: Seat, at: str) -> float:
    """Seconds until who answered the question wrongly may approve: the reading time once more.  # R-2"""
    if seat.right is not False or review.rules is None or free(s, seat.reviewer):
        return 0.0
    floor = floor_s(review.terms.lines, review.rules.lines_per_hour)
    return max(0.0, floor - seconds_between(seat.classified_at, at))


def _again(s: State, review: Review, seat: Seat, b: e.ReviewDecided, at: str) -> UsageError | None:
    left = again_s(s, review, seat, at) if b.decision == "approve" else 0.0  # a denial is safe at any time
    if left <= 0:
        return None
    return UsageError(
        "read-again", f"the question about the diff was answered wrongly: an approval is possible in {_words(left)}",
        fix="read the change once more; what is right stands above the evidence",
    )  # fmt: skip


def _withdraws(s: State, review: Review, seat: Seat, b: e.ReviewWithdrawn, at: str) -> UsageError | None:
    if seat.decision is None or seat.decided_seq != b.decided:
        return UsageError("nothing-to-withdraw", f"{b.reviewer} has no decision here", fix="festina review")
    if cooled(s, review, seat, at):
        return UsageError("cooled-off", "the time to take it back is over", fix="festina rollback undoes a release")
    return None


# -- what decisions come to -------------------------------------------------------------------------------


def cooled(s: State, review: Review, seat: Seat, at: str) -> bool:
    """Whether this decision can no longer be taken back."""
    wait = 0.0 if review.rules is None or free(s, seat.reviewer) else review.rules.cooling_off_s
    return seat.decision is not None and seconds_between(seat.decided_at, at) >= wait


def decided(review: Review) -> list[Seat]:
    """Who has decided, in the order of deciding."""
    return sorted((seat for seat in review.seats.values() if seat.decision), key=lambda seat: seat.decided_seq)


def needed(s: State, review: Review) -> int:
    """How many must decide.  # R-1, R-5"""
    seats = decided(review)
    if review.rules is None or (seats and all(free(s, x.reviewer) for x in seats)):
        return 1
    denied = any(seat.decision is not None and seat.decision.decision == "deny" for seat in seats)
    return review.rules.people if denied else asked(s, review)


def asked(s: State, review: Review) -> int:
    """How many must decide as long as nobody denies; it tells nothing of what was said, and so may be shown.  # R-5"""
    if review.rules is None or (s.reviewers and all(free(s, name) for name in s.reviewers)):
        return 1
    return max(review.rules.people, 2 if unsigned(s, review) else 1)


def unsigned(s: State, review: Review) -> bool:
    """Whether it holds a change that somebody brought and no person signed, an outside loop's among them: then nobody
    knows that one decides about another's, and nobody approves it alone.  # R-1
    """
    if review.terms.protocol < 2 or review.terms.generation not in s.generations:
        return False
    made = [s.proposals[g.proposal] for g in steps_of(s, review) if g.proposal is not None]
    return any(p.author.startswith(HANDED_IN) and not p.signed for p in made)


def complete(s: State, review: Review, at: str) -> bool:
    """Whether enough have decided, and nobody can take it back any more.  # R-1, R-5"""
    seats = decided(review)
    if any(hurried(s, review, seat, at) for seat in seats):
        return False  # the next entry of the engine's says so
    return len(seats) >= needed(s, review) and all(cooled(s, review, seat, at) for seat in seats)


def due(s: State, at: str) -> list[int]:
    """Reviews that can be settled at ``at``."""
    return [
        number
        for number, review in s.reviews.items()
        if review.terms.protocol and review.undecided and review.seats and complete(s, review, at)
    ]


def result(s: State, review: Review, planted: bool) -> Outcome:
    """What the decisions of a complete review come to: one denial is enough.  # R-5"""
    seats = decided(review)
    if planted:
        return "catch"
    if any(seat.decision is not None and seat.decision.decision == "deny" for seat in seats):
        return "deny"
    return "approve" if all(record(s, seat.reviewer).authority or free(s, seat.reviewer) for seat in seats) else "void"


def record(s: State, name: str) -> Calibration:
    """One person's calibration under the rules in force."""
    asked = s.epoch.review.authority if s.epoch is not None and s.epoch.review is not None else 0.0
    return calibrated(s.persons[name], demo=s.reviewers[name].demo, needed=asked)


def catch_rate(s: State) -> float:
    """The share of requests that is planted now: more while nobody's approvals count.  # R-3"""
    rules = s.epoch.review if s.epoch is not None else None
    if rules is None or rules.catch_rate <= 0.0 or (s.genesis is not None and s.genesis.demo):
        return 0.0
    return max(rules.catch_rate, WHILE_NOBODY) if nobody_counts(s) else rules.catch_rate


def nobody_counts(s: State) -> bool:
    """Whether no person's approvals count for now, though there are people.  # R-3"""
    return nobody([record(s, name) for name in s.reviewers])


# -- what a review is about -------------------------------------------------------------------------------


def base_of(s: State, review: Review) -> Generation:
    """What a review's patch is shown against: the last state that a person reviewed before it.  # R-2"""
    number = review.terms.generation
    parents = []
    parent = s.generations[number].parent
    while parent is not None:
        parents.append(s.generations[parent])
        parent = s.generations[parent].parent
    if review.terms.base is not None:
        return next(g for g in parents if g.commit == review.terms.base)
    before = [g for g in parents if g.approved is None or s.reviews[g.approved].decision_seq < review.seq]
    approved = [g for g in before if g.approved is not None]
    return approved[0] if approved else parents[-1]


def steps_of(s: State, review: Review) -> list[Generation]:
    """The generations that its patch holds, oldest first."""
    base, found = base_of(s, review), [s.generations[review.terms.generation]]
    while found[-1].parent is not None and found[-1].parent != base.number:
        found.append(s.generations[found[-1].parent])
    return found[::-1]


def authors(s: State, review: Review) -> list[str]:
    return [g.author for g in steps_of(s, review)]


def aim(s: State, review: Review) -> float:
    """The gain whose chance a reviewer is asked for, in the suite's own unit: what the suite looks for."""
    suite = s.epoch.suite if s.epoch is not None else None
    if suite is not None and suite.detect > 0:
        return suite.detect
    earlier = [
        g.verdict.estimate
        for n, g in s.generations.items()
        if n < review.terms.generation and g.verdict is not None and g.verdict.estimate is not None
    ]
    return median(earlier) if earlier else 0.0


def came_true(s: State, review: Review) -> bool | None:
    """Whether the newest step's measured gain reached it; None where nothing was measured."""
    verdict = s.generations[review.terms.generation].verdict
    return None if verdict is None or verdict.estimate is None else verdict.estimate >= aim(s, review)
