"""Attacks on the steps of a review: skipped, hurried, taken for somebody else, replayed, counted early.  # R-1, R-5

Each writes its entries with real keys into a copy of the staged ledger, whose one change was asked for in steps, and
looks at what the loop's own fold makes of them: a step that is recorded without effect was refused.
"""

from __future__ import annotations

import base64
import hashlib
import shutil
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

from festina.drill.own.staged import REASON, Case, Staged
from festina.errors import UsageError
from festina.ledger import entries as e
from festina.ledger.log import Draft
from festina.ledger.signing import LocalKey
from festina.ledger.statement import commitment
from festina.loop import reviews
from festina.loop.rows import Review
from festina.loop.state import State, fold
from festina.release.releaser import Claim, check
from festina.review import away
from festina.review.binding import binding, stamp
from festina.review.catch import real_origin
from festina.review.seats import moment

LONG = timedelta(days=2)  # past any floor of reading time and any cooling-off, and before the request expires
SALT = b"\7" * 32
TEXT = REASON.encode()
DIGEST = hashlib.sha256(TEXT).hexdigest()
PLANTED = "catch:operator:presumed:train.py:1"


@dataclass
class _Steps:
    """A copy of the staged ledger with the change asked for in steps, ``count`` times. ``at`` is the clock."""

    staged: Staged
    origin: str = ""  # of a sealed request; empty: not sealed
    count: int = 1
    state: State = field(default_factory=State)

    def __post_init__(self) -> None:
        s = self.staged
        names = len(list(s.path.parent.glob("steps-*.db")))
        self.path = s.path.with_name(f"steps-{names}.db")
        shutil.copyfile(s.path, self.path)
        commit = commitment(SALT, self.origin) if self.origin else s.good
        bound = binding(patch=s.terms.patch, evidence=s.terms.evidence, evaluator=s.terms.evaluator, commit=commit)
        rules = s.own.epoch.review
        asked = s.terms.model_copy(
            update={"protocol": 1, "base": s.own.commit, "lines": rules.max_lines if rules else 1, "files": 1,
                    "sealed": bool(self.origin), "commit": commit, "binding": bound}
        )  # fmt: skip
        self.first = s.terms.review + 1
        self.put(*(Draft(asked.model_copy(update={"review": self.first + n})) for n in range(self.count)))
        self.at = moment(self.state.last_at)

    def put(self, *drafts: Draft, at: str | None = None) -> None:
        with self.staged.open(self.path) as ledger:
            ledger.append([Draft(d.body, blobs=d.blobs, signer=d.signer, at=at) for d in drafts])
            self.state = fold(ledger.records())

    def review(self, number: int = 0) -> Review:
        return self.state.reviews[self.first + number]

    def step(
        self, kind: type[Any], number: int = 0, by: str = "ann", key: LocalKey | None = None, **more: object
    ) -> None:
        """One signed step; raises what the fold made of it where it has no effect."""
        parts = {"review": self.first + number, "binding": self.review(number).terms.binding, "reviewer": by}
        self._put(Draft(kind(**parts, **more), blobs=(TEXT,), signer=key or self.staged.reviewer))

    def _put(self, draft: Draft) -> None:
        ignored = len(self.state.ignored)
        self.put(draft, at=stamp(self.at))
        if len(self.state.ignored) > ignored:
            raise UsageError(self.state.ignored[-1][2], "it was recorded, and it did not count")

    def open(self, number: int = 0, by: str = "ann", key: LocalKey | None = None) -> None:
        used = self.staged.own.commit
        self.step(e.ReviewOpened, number, by, key, in_use=used, without_person=False)

    def judge(self, number: int = 0) -> None:
        self.step(
            e.ReviewClassified, number, classification="sound", cite=DIGEST, answer=0, predicted=0.5,
            without_person=False,
        )  # fmt: skip

    def decide(self, number: int = 0) -> None:
        self.step(e.ReviewDecided, number, **_APPROVE)

    def wait(self) -> None:
        self.at += LONG

    def settle(self, origin: str = "", outcome: str = "approve") -> None:
        review = self.review()
        votes = tuple(seat.decided_seq for seat in review.seats.values() if seat.decision)
        salt = SALT.hex() if self.origin else ""
        said = origin or self.origin or real_origin(self.staged.good)
        body: Any = e.ReviewSettled
        self.put(Draft(body(
            review=self.first, outcome=outcome, votes=votes, origin=said, salt=salt, answer=0
        )), at=stamp(self.at))  # fmt: skip


_APPROVE: dict[str, Any] = {"decision": "approve", "reason": DIGEST, "without_person": False, "classification": "sound"}


def _through(steps: _Steps) -> _Steps:
    """Every step, each in its time, up to the decision."""
    steps.open()
    steps.wait()
    steps.judge()
    steps.decide()
    steps.wait()
    return steps


def _honest(s: Staged) -> None:
    _through(_Steps(s))


def _skip(s: Staged) -> None:
    steps = _Steps(s)
    steps.open()
    steps.wait()
    steps.decide()


def _hurry(s: Staged) -> None:
    steps = _Steps(s)
    steps.open()
    steps.judge()


def _bulk(s: Staged, *, patient: bool) -> None:
    """Two diffs opened together; the second judged when only one of them could have been read."""
    steps = _Steps(s, count=2)
    for number in (0, 1):
        steps.open(number)
    for number in (0, 1):
        if patient or number == 0:
            steps.wait()
        steps.judge(number)


def _oneself(s: Staged, *, by: str) -> None:
    """The author is bob: enrolled, with a key of bob's own."""
    path = s.path.with_name(f"{by}-own.pem")
    key = LocalKey.load(path, "reviewer") if path.exists() else LocalKey.create(path, "reviewer")
    steps = _Steps(s)
    public = base64.b64encode(key.public).decode()
    steps.put(Draft(e.ReviewerEnrolled(reviewer=by, key=public, demo=False)))
    steps.at = moment(steps.state.last_at)
    steps.open(by=by, key=key)


def _replay(s: Staged, *, again: bool) -> None:
    """A decision that was signed elsewhere, taken back, and brought in once more."""
    steps = _Steps(s)
    steps.open()
    steps.wait()
    steps.judge()
    body = e.ReviewDecided(review=steps.first, binding=steps.review().terms.binding, reviewer="ann", **_APPROVE)
    brought = Draft(away.signed(body, s.reviewer), blobs=(TEXT,))
    steps._put(brought)
    rules = s.own.epoch.review
    if again and (rules is None or rules.cooling_off_s > 0):
        steps.step(e.ReviewWithdrawn, decided=steps.review().seats["ann"].decided_seq, reason=DIGEST)
    if again:
        steps._put(brought)


def _nobody_decided(s: Staged) -> None:
    steps = _Steps(s)
    steps.open()
    steps.wait()
    steps.settle()


def _counted(s: Staged) -> None:
    _through(_Steps(s)).settle()


def _relabelled(s: Staged, *, origin: str, outcome: str) -> None:
    """A real change called planted after somebody decided about it, so that the decision is not counted."""
    _through(_Steps(s, origin=real_origin(s.good))).settle(origin, outcome)


def _planted_released(s: Staged, *, origin: str) -> None:
    """Release on the approval of a request whose seal opens to ``origin``."""
    steps = _through(_Steps(s, origin=origin))
    steps.settle(outcome="approve" if origin.startswith("real:") else "catch")
    review, vote = steps.review(), steps.review().votes[0]
    with s.open(steps.path) as ledger:
        check(s.own.repo, ledger, Claim(
            generation=1, commit=s.good, tree=s.own.repo.tree_of(s.good), provisional=False, verdict_seq=s.verdict_seq,
            verdict_leaf=s.terms.evidence, approval_seq=review.settled.votes[0] if review.settled else 0,
            approved_binding=vote.decision.binding, evaluator=s.terms.evaluator, patch=s.terms.patch,
            expires=s.terms.expires, sealed=review.terms.commit, salt=SALT.hex(),
        ))  # fmt: skip


def _peek(s: Staged, *, judged: bool) -> None:
    """The evidence before a first judgement."""
    steps = _Steps(s)
    steps.open()
    if judged:
        steps.wait()
        steps.judge()
    with s.open(steps.path) as ledger:
        reviews.evidence_page(reviews.Place(s.own.repo, s.own.home, ledger, steps.state), steps.first, "ann")


def _unless_alone(make: Callable[[Staged], None]) -> Callable[[Staged], None]:
    """Where a review needs several people, one person's decision settles nothing: that is refused, too."""

    def act(s: Staged) -> None:
        rules = s.own.epoch.review
        if rules is None or rules.people == 1:
            make(s)

    return act


CASES = (
    Case("skipped-judgement", "decide without a first judgement", _skip, ("classify-first",), _honest),
    Case("hurried-judgement", "judge a change in the moment in which it is shown", _hurry, ("too-soon",), _honest),
    Case("in-bulk", "judge two changes in the time that it takes to read one", lambda s: _bulk(s, patient=False),
         ("too-soon",), lambda s: _bulk(s, patient=True)),
    Case("evidence-first", "look at the evidence before a first judgement", lambda s: _peek(s, judged=False),
         ("classify-first",), lambda s: _peek(s, judged=True)),
    Case("own-change-in-steps", "begin the review of one's own change", lambda s: _oneself(s, by="bob"),
         ("own-change",), lambda s: _oneself(s, by="eve")),
    Case("replayed-statement", "bring a decision again that was taken back", lambda s: _replay(s, again=True),
         ("replayed",), lambda s: _replay(s, again=False)),
    Case("counted-without-decision", "make an approval count that nobody gave", _nobody_decided,
         ("entry-does-not-fit",), _unless_alone(_counted)),
    Case("called-planted", "call a real change planted after a person decided about it",
         lambda s: _relabelled(s, origin=PLANTED, outcome="catch"), ("entry-does-not-fit",),
         _unless_alone(lambda s: _relabelled(s, origin="", outcome="approve"))),
    Case("planted-released", "release on the approval of a planted change",
         lambda s: _planted_released(s, origin=PLANTED), ("approval-for-something-else", "entry-does-not-fit"),
         _unless_alone(lambda s: _planted_released(s, origin=real_origin(s.good)))),
)  # fmt: skip
