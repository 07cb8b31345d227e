"""Putting a change before people, sometimes with a planted defect in it, and making their decisions count.  # R-1, R-3

A request is about the newest generation, or about the largest earlier one that a review may show (R-4). Where the
epoch plants catch trials every request is sealed; a coin that nobody can predict says whether the patch that it shows
has a defect in one line. The work is the same either way, and the real change is asked for after the trial is over.
"""

from __future__ import annotations

import hashlib
import hmac
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Protocol

from festina.errors import IntegrityError
from festina.ledger import entries as e
from festina.ledger.log import Draft, Ledger
from festina.ledger.seeds import catch_coin
from festina.ledger.statement import commitment
from festina.loop import admitting, fresh
from festina.loop import next as plan
from festina.loop.bench import Bench
from festina.loop.rows import Generation, Review
from festina.loop.state import State
from festina.review.binding import binding, expiry, stamp
from festina.review.catch import Catch, added_lines, catch_of, make, real_origin
from festina.review.questions import answer_digest, headed, question, read_diff
from festina.system.repo import Repo

MOST_FILES = 200
PROTOCOL = 2  # of the requests that are made now; see ``ReviewRequested.protocol``


class Here(Protocol):
    """What acts of people and of the engine need."""

    @property
    def repo(self) -> Repo: ...
    @property
    def ledger(self) -> Ledger: ...
    @property
    def state(self) -> State: ...


@dataclass(frozen=True, slots=True)
class Place:
    """The same, put together."""

    repo: Repo
    ledger: Ledger
    state: State


@dataclass(frozen=True, slots=True)
class Shown:
    """What a request puts before people. ``lines`` as R-4 counts them: a long one counts as several."""

    patch: bytes
    lines: int
    files: int


def ask_review(b: Bench, _: plan.AskReview) -> None:
    """Put a generation before a person, bound to patch, evidence and evaluator.  # R-1"""
    s, epoch = b.state, b.state.epoch
    assert epoch is not None
    base = s.generations[max((n for n in s.line if s.generations[n].approved is not None), default=s.line[0])]
    target, real = _target(b, base, epoch.review)
    number = len(s.reviews)
    coin = _coin(b, target, number) if epoch.review is not None and admitting.catch_rate(s) > 0.0 else None
    shown, origin, salt = real, real_origin(target.commit), b""
    if coin is not None:
        chance, seed, salt = coin
        planted = _planted(b, base, target, real, seed)  # also where it is not used: both take the same time
        if planted is not None and chance < admitting.catch_rate(s):
            shown, origin = planted
    commit = commitment(salt, origin) if coin is not None else target.commit
    patch = headed(shown.patch, number) if epoch.review is not None else shown.patch
    digest = hashlib.sha256(patch).hexdigest()
    terms = e.ReviewRequested(
        review=number, generation=target.number, commit=commit, improver_changed=target.improver_changed,
        patch=digest, evidence=target.verdict_leaf, evaluator=epoch.evaluator,
        binding=binding(patch=digest, evidence=target.verdict_leaf, evaluator=epoch.evaluator, commit=commit),
        expires=expiry(datetime.now(UTC)),
    )  # fmt: skip
    if epoch.review is not None:
        right = answer_digest(terms.binding, question(patch, terms.binding).right)
        steps = {"protocol": PROTOCOL, "base": base.commit, "lines": shown.lines, "files": shown.files, "answer": right}
        terms = terms.model_copy(update=steps | ({"sealed": True} if coin is not None else {}))
    sealed = {"origin": f"{salt.hex()}:{origin}"} if coin is not None else {}
    b.append(Draft(terms, blobs=(patch,), sealed=sealed))


def _shown(b: Bench, base: Generation, tree: str) -> Shown:
    patch = b.repo.diff(b.repo.tree_of(base.commit), tree)
    diff = read_diff(patch)
    return Shown(patch, diff.amount, len(diff.files))


def amount(repo: Repo, old: str, new: str) -> int:
    """How many lines the change from one tree to another counts as in a review.  # R-4"""
    return read_diff(repo.diff(old, new)).amount


def _target(b: Bench, base: Generation, rules: e.ReviewTerms | None) -> tuple[Generation, Shown]:
    """The head; where its patch is more than one review may show, the newest earlier one that fits.  # R-4"""
    s, head = b.state, b.state.head
    shown = _shown(b, base, b.repo.tree_of(head.commit))
    if rules is None or shown.lines <= rules.max_lines or any(r.fits for r in s.waiting):
        return head, shown
    for number in reversed(s.line[s.line.index(base.number) + 1 : -1]):
        earlier = s.generations[number]
        smaller = _shown(b, base, b.repo.tree_of(earlier.commit))
        if smaller.lines <= rules.max_lines:
            return earlier, smaller
    return head, shown


def _coin(b: Bench, target: Generation, number: int) -> tuple[float, int, bytes] | None:
    opening = b.ledger.opening(b.ledger.record(b.state.epoch_seq), "catch_secret")
    return None if opening is None else catch_coin(opening[1], target.verdict_leaf, number)


def _planted(b: Bench, base: Generation, target: Generation, real: Shown, seed: int) -> tuple[Shown, str] | None:
    """The real change with a defect in one of its lines, and what is sealed about it; None where none can be made."""
    tree = b.repo.tree_of(target.commit)
    changed = {change.path for change in b.repo.raw_diff(b.repo.tree_of(base.commit), tree)}
    regular = [x for x in b.repo.ls_tree(tree) if x.path in changed and x.mode in ("100644", "100755")][:MOST_FILES]
    blobs = b.repo.read_blobs([x.oid for x in regular])
    texts = {x.path: blobs[x.oid] for x in regular}
    made: Catch | None = make(texts, fresh.lines(b, target, real.patch), seed)
    if made is None and admitting.nobody_counts(b.state):  # the way back to authority
        made = make(texts, added_lines(real.patch), seed)
    if made is None:
        return None
    altered = b.repo.write_files(tree, {made.path: made.data})
    try:
        shown = _shown(b, base, altered)
    finally:
        b.repo.discard(altered)  # no commit of it exists, and none could be released
    return (shown, made.origin) if shown.lines == real.lines else None


# -- settling -----------------------------------------------------------------------------------------------


def still_due(s: State, number: int, now: datetime | None = None) -> bool:
    """Whether a review can be settled in this state: nobody decided anew, or took a decision back, in between."""
    return number in admitting.due(s, stamp(now or datetime.now(UTC)))


def settle_due(here: Here, now: datetime | None = None) -> int | None:
    """The first review whose decisions count from now on; None where there is none, or this copy cannot open it.

    By this process's own clock alone: a reviewer's that runs ahead, or was set so, makes nothing count sooner.  # R-4
    """
    at = stamp(now or datetime.now(UTC))
    return next((n for n in admitting.due(here.state, at) if opened(here, here.state.reviews[n]) is not None), None)


def opened(here: Here, review: Review) -> tuple[str, str] | None:
    """(salt, origin) of a request; None where this copy has no opening of it."""
    if not review.terms.sealed:
        return "", real_origin(here.state.generations[review.terms.generation].commit)
    found = here.ledger.opening(here.ledger.record(review.seq), "origin")
    if found is None:
        return None
    salt, _, origin = found[1].partition(":")
    if not hmac.compare_digest(commitment(bytes.fromhex(salt), origin), review.terms.commit):
        raise IntegrityError("review-opening-differs", f"what review {review.terms.review} sealed was changed")
    return salt, origin


def settlement(here: Here, number: int, now: datetime | None = None) -> Draft:
    """The entry that makes the decisions about a review count. Raises where the repository says something else."""
    s = here.state
    review = s.reviews[number]
    found = opened(here, review)
    assert found is not None  # settle_due has seen to it
    salt, origin = found
    patch = here.ledger.get_blob(review.terms.patch)
    planted = catch_of(origin) is not None
    if not planted:
        _holds(here, review, patch)
    body = e.ReviewSettled(
        review=number, outcome=admitting.result(s, review, planted), origin=origin, salt=salt,
        votes=tuple(seat.decided_seq for seat in admitting.decided(review)),
        answer=question(patch, review.terms.binding).right,
    )  # fmt: skip
    return Draft(body, at=max(stamp(now or datetime.now(UTC)), s.last_at))  # a clock that jumps back moves nothing back


def _holds(here: Here, review: Review, patch: bytes) -> None:
    """What was reviewed is what the line holds, byte for byte.  # R-1"""
    commit = here.state.generations[review.terms.generation].commit
    base = admitting.base_of(here.state, review).commit
    if headed(here.repo.diff(here.repo.tree_of(base), here.repo.tree_of(commit)), review.terms.review) != patch:
        raise IntegrityError(
            "review-patch-differs", "the repository no longer holds what this review was requested for",
            fix="do not approve; look at the line's references and at `festina ledger verify`",
        )  # fmt: skip


def settle_review(b: Bench, action: plan.SettleReview) -> None:
    """Make decisions count that nobody can take back any more."""
    b.append(settlement(b, action.review))  # decided anew if anybody was faster: it names decisions
