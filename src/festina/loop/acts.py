"""What people do to a ledger while an engine may be running: enrol, decide, release, roll back.

Each act opens the ledger, folds it, and appends on exactly that state; when another process appended in between,
it looks again and tries again. Effects come after their intent, and the next engine finishes what was cut off.
"""

from __future__ import annotations

import base64
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from festina.errors import Busy, Halted, IntegrityError, UsageError
from festina.ledger import entries as e
from festina.ledger.log import Draft, Ledger, Record
from festina.loop import admitting, clocks, finals, governing, material, outside, requesting, sameness, soaks
from festina.loop.rows import Generation
from festina.loop.state import State
from festina.release import refs
from festina.release.releaser import Claim, check
from festina.review import desk
from festina.review.binding import stamp
from festina.review.seats import moment
from festina.system import halts
from festina.system.home import Home
from festina.system.repo import Repo

if TYPE_CHECKING:
    from collections.abc import Sequence

TRIES = 50  # a busy engine appends a few times a second


def write(ledger: Ledger, state: State, make: Callable[[State], Sequence[Draft]]) -> list[Record]:
    """Append what ``make`` says for the state as it is; look again when somebody else was faster."""
    for _ in range(TRIES):
        drafts = make(state)
        if not drafts:
            return []  # somebody else has done it
        try:
            records = ledger.append(drafts, expected_size=state.size)
        except Busy:
            for record in ledger.refresh():
                state.apply(record)
            continue
        for record in records:
            state.apply(record)
        return records
    raise UsageError("ledger-busy", "the ledger kept moving", fix="try again")


def enrol(ledger: Ledger, state: State, home: Home, name: str, *, demo: bool = False) -> e.ReviewerEnrolled:
    """Let a person's key (made if there is none) decide on this ledger."""
    key = desk.reviewer_key(name, create=True, home=home.path)
    public = base64.b64encode(key.public).decode()
    known = state.reviewers.get(name)
    if known is not None:
        if known.key != public:
            raise UsageError(
                "reviewer-known-by-another-key", f"'{name}' is enrolled with another key",
                fix="choose another name; an enrolment is never replaced",
            )  # fmt: skip
        return known
    body = e.ReviewerEnrolled(reviewer=name, key=public, demo=demo)
    write(ledger, state, lambda _: [Draft(body)])
    return body


def settle_reviews(ledger: Ledger, state: State, repo: Repo, now: datetime | None = None) -> tuple[int, ...]:
    """Make decisions count that nobody can take back any more, and open what was sealed. Needs the engine's key."""
    done: list[int] = []
    place = requesting.Place(repo, ledger, state)
    _receive(ledger, state, now)
    while (number := requesting.settle_due(place, now)) is not None:

        def make(at: State, number: int = number) -> list[Draft]:
            return [requesting.settlement(place, number, now)] if requesting.still_due(at, number, now) else []

        if write(ledger, state, make):
            done.append(number)
    return tuple(done)


def _receive(ledger: Ledger, state: State, now: datetime | None) -> None:
    """Bound what people's clocks said where they are ahead of this one: their steps count as made now.  # R-4"""

    def make(s: State) -> list[Draft]:
        found = clocks.ahead(s, stamp(now or datetime.now(UTC)))
        at = stamp(now) if now is not None else None
        return [Draft(e.ReviewsReceived(reviews=found), at=at)] if found else []

    write(ledger, state, make)


def may_release(ledger: Ledger, state: State, repo: Repo, number: int | None) -> Generation:
    """The generation that a release is about (by default the newest approved), proven to be approved.  # D-2

    Finishes what a crash left half done. Whether its final score allows it is ``finals.require``'s business.
    """
    settle_reviews(ledger, state, repo)
    _may_leave(state)
    approved = [n for n in state.line if state.generations[n].approved is not None]
    if number is None:
        if not approved:
            _cooling_off(state)
            raise UsageError("nothing-approved", "no generation has been approved", fix="festina review")
        number = approved[-1]
    generation = state.generations.get(number)
    if generation is None or number not in state.line:
        raise UsageError("no-such-generation", f"generation {number} is not on the working line", fix="festina status")
    settle_line(ledger, state, repo)
    settle_release(ledger, state, repo)  # what a crash left half done
    _nothing_denied_below(state, number)
    _not_in_doubt(state, generation)
    _steps_passed(state, generation)
    _characterised(state, generation)
    material.require(state, number)  # C-1
    claim = _claim(state, generation)
    check(repo, ledger, claim)
    outside.require(ledger, state, max((claim.verdict_seq, claim.approval_seq, *claim.votes)))  # L-2
    return generation


def _may_leave(state: State) -> None:
    """On the lower rungs of autonomy nothing leaves the loop by its own hand.  # G-7"""
    mine = state.govern.autonomy
    if not mine.releases:
        raise UsageError(
            "autonomy", f"at '{mine.rung}' nothing is released from here: a person takes the patch",
            fix="merge refs/festina/generations/N by hand; or festina autonomy raise --as NAME --reason TEXT",
        )  # fmt: skip


def _steps_passed(state: State, generation: Generation) -> None:
    """What the policy wants watched first was watched, and nothing took this content back.  # D-3, D-4"""
    for step in state.epoch.release_steps if state.epoch is not None else ():
        if state.watches.passed(generation.commit, step) is None:
            raise UsageError(
                "step-not-passed", f"generation {generation.number} has not passed its {step} step",
                fix=f"festina watch {generation.number} --step {step} --new URL --old URL",
                where="policy.release_steps",
            )  # fmt: skip


def _characterised(state: State, generation: Generation) -> None:
    """Where tiers are declared, this very version was measured whole, lately, and reaches none unsafe.  # G-1, D-2"""
    why = governing.unmeasured(state, generation.number, datetime.now(UTC))
    if why:
        raise UsageError(
            "not-characterised", f"generation {generation.number}: {why}",
            fix=f"festina characterise {generation.number}; "
            "for a tier: festina attest SAFEGUARD --as NAME --reason WHY",
            where="festina.toml: capability",
        )  # fmt: skip


def _cooling_off(state: State) -> None:
    """An approval that can still be taken back releases nothing.  # R-1"""
    for review in state.waiting:
        wait = review.rules.cooling_off_s if review.rules is not None else 0.0
        late = max((seat.decided_at for seat in admitting.decided(review)), default="")
        if late and len(admitting.decided(review)) >= admitting.needed(state, review):
            until = stamp(moment(late) + timedelta(seconds=wait))
            raise UsageError(
                "cooling-off", f"the decision about review {review.terms.review} can be taken back until {until}",
                fix="release after that", where="festina.toml: policy.review.cooling_off",
            )  # fmt: skip


def release(ledger: Ledger, state: State, repo: Repo, number: int | None) -> Generation:
    """Release an approved generation: by default the newest.  # D-2, V-3"""
    generation = may_release(ledger, state, repo, number)
    finals.require(state, generation)
    soaks.require(state, generation)

    def make(now: State) -> list[Draft]:
        if now.halts.standing:
            raise Halted("halted", now.halts.sentence(), fix="festina unhalt --as NAME --reason TEXT")  # G-5
        if now.release is not None or generation.number not in now.line:
            raise UsageError("release-in-the-way", "the line or the release is just being moved", fix="try again")
        _nothing_denied_below(now, generation.number)
        _not_in_doubt(now, now.generations[generation.number])
        material.require(now, generation.number)
        if now.generations[generation.number].approved is None:  # whoever approved it missed a catch trial
            what = f"the approval of generation {generation.number} was just taken back"
            raise UsageError("not-approved", what, fix="festina review")
        body = e.ReleaseIntent(
            release=now.releases, cause="release", generation=generation.number, old_commit=now.released_at,
            new_commit=generation.commit, review=generation.approved,
        )  # fmt: skip
        return [Draft(body)]

    write(ledger, state, make)
    settle_release(ledger, state, repo)
    return generation


def settle_release(ledger: Ledger, state: State, repo: Repo) -> None:
    """Carry out the release whose intent is recorded."""
    intent, genesis = state.release, state.genesis
    if intent is None or genesis is None:
        return
    refs.settle(repo, refs.released_ref(genesis.demo), intent.old_commit, intent.new_commit)
    body = e.Released(release=intent.release, generation=intent.generation, commit=intent.new_commit)
    same = intent.release
    write(ledger, state, lambda now: [Draft(body)] if now.release and now.release.release == same else [])


def rollback(ledger: Ledger, state: State, repo: Repo, number: int | None) -> Generation:
    """Back to an earlier generation: the released reference and the working line, now.  # D-5"""
    settle_line(ledger, state, repo)
    settle_release(ledger, state, repo)  # what a crash left half done
    if state.released not in (None, *state.line) and number not in state.line:
        return _take_back_beside_the_line(ledger, state, repo, number)
    if number is None:
        earlier = state.line[:-1]
        if not earlier:
            raise UsageError("nothing-to-go-back-to", "the working line has only its start", fix="festina status")
        number = earlier[-1]
    if number not in state.line:
        raise UsageError("no-such-generation", f"generation {number} is not on the working line", fix="festina status")
    target = state.generations[number]
    take_release_back(ledger, state, repo, number)
    if state.head.number != number:
        write(ledger, state, lambda now: [_line_back(now, target)])
        settle_line(ledger, state, repo)
    return target


def take_release_back(ledger: Ledger, state: State, repo: Repo, number: int) -> None:
    """If something newer than generation ``number`` is released, release the newest approved one up to it instead."""
    if state.released is None or state.released not in state.line or state.released <= number:
        return
    fit = [n for n in state.line if n <= number and state.generations[n].fit]
    _release_back(ledger, state, repo, state.generations[fit[-1]])


def take_back_in_use(ledger: Ledger, state: State, repo: Repo) -> None:
    """Release what ``to_go_back_to`` says, if anything lies before the one in use."""
    target = to_go_back_to(state)
    if target is not None:
        _release_back(ledger, state, repo, target)


def to_go_back_to(state: State) -> Generation | None:
    """The newest approved version before the one in use, or the start; also where a new epoch began since.

    Nothing that an alarm spoke against is put in use again by the next one, unless nothing else lies there: then it
    is the oldest, from which everything came. None: what is in use is the start, or nothing before it may be.  # D-4
    """
    fit = [g for g in _before_the_one_in_use(state) if g.fit]
    calm = [g for g in fit if not state.watches.alarmed(g.number)]
    return next(iter(calm or fit[-1:]), None)


def _before_the_one_in_use(state: State) -> list[Generation]:
    """What it was built on, the newest first."""
    found = [state.generations[state.released]] if state.released is not None else []
    while found and found[-1].parent is not None:
        found.append(state.generations[found[-1].parent])
    return found[1:]


def _take_back_beside_the_line(ledger: Ledger, state: State, repo: Repo, number: int | None) -> Generation:
    """New rules began a new line while an older version stayed in use: the release goes back, the line stays.  # D-5"""
    earlier = _before_the_one_in_use(state)
    if number is not None and number not in [g.number for g in earlier]:
        raise UsageError(
            "no-such-generation", f"generation {state.released} is in use, and {number} does not lie before it",
            fix="festina status",
        )  # fmt: skip
    target = next((g for g in earlier if g.fit and (number is None or g.number <= number)), None)
    if target is None:
        raise UsageError(
            "nothing-to-go-back-to", f"nothing approved lies before generation {state.released}", fix="festina status"
        )
    _release_back(ledger, state, repo, target)
    return target


def _release_back(ledger: Ledger, state: State, repo: Repo, target: Generation) -> None:
    seen = state.released

    def back(now: State) -> list[Draft]:
        body = e.ReleaseIntent(
            release=now.releases, cause="rollback", generation=target.number, old_commit=now.released_at,
            new_commit=target.commit, review=None,
        )  # fmt: skip
        return [Draft(body)] if now.release is None and now.released == seen else []  # a person may have been faster

    write(ledger, state, back)
    settle_release(ledger, state, repo)


def _nothing_denied_below(state: State, number: int) -> None:
    """A denial that the line has not yet followed blocks everything built on what was denied.  # R-1"""
    if any(review.terms.generation <= number for review in state.denials):
        raise UsageError(
            "denied-below", f"generation {number} builds on a generation that a person denied",
            fix="festina run takes the line back first",
        )  # fmt: skip


def _not_in_doubt(state: State, generation: Generation) -> None:
    """What was accepted under a control that broke is not released before somebody found the cause.  # V-2"""
    if sameness.in_doubt(state, generation):
        raise UsageError(
            "in-doubt", f"generation {generation.number} was accepted by comparisons that turned out to be broken",
            fix="festina review control",
        )  # fmt: skip


def resolve_control(ledger: Ledger, state: State, home: Home, reviewer: str, reason: str) -> None:
    """Sign that the cause of a broken control was found, so that the run may go on.  # V-2"""
    t, enrolled = state.twins, state.reviewers.get(reviewer)
    if t is None or t.alarm is None:
        raise UsageError("no-broken-control", "no control is broken", fix="festina status")
    if enrolled is None:
        raise UsageError("not-enrolled", f"'{reviewer}' may not decide here", fix=f"festina reviewer add {reviewer}")
    draft = desk.control_resolved(
        t.alarm, reviewer=enrolled, key=desk.reviewer_key(reviewer, home=home.path), reason=reason
    )
    alarm = t.alarm
    write(ledger, state, lambda now: [draft] if now.twins is not None and now.twins.alarm == alarm else [])


def attest(
    ledger: Ledger, state: State, home: Home, reviewer: str, *, safeguard: str, expires: str, reason: str
) -> None:
    """Sign that a safeguard is in place until a date.  # G-1"""
    enrolled = state.reviewers.get(reviewer)
    if enrolled is None:
        raise UsageError("not-enrolled", f"'{reviewer}' may not decide here", fix=f"festina reviewer add {reviewer}")
    asked = state.epoch.govern.capabilities if state.epoch is not None and state.epoch.govern is not None else ()
    names = {name for suite in asked for tier in suite.tiers for name in tier.safeguards}
    if safeguard not in names:
        raise UsageError(
            "no-such-safeguard", f"no tier asks for '{safeguard[:80]}'",
            fix=f"one of: {', '.join(sorted(names)) or 'none is asked for'}",
        )  # fmt: skip
    key = desk.reviewer_key(reviewer, home=home.path)
    draft = desk.attested(safeguard, expires, reviewer=enrolled, key=key, reason=reason)
    write(ledger, state, lambda _: [draft])


def renew(ledger: Ledger, state: State, home: Home, reviewer: str) -> None:
    """Sign a sign of life.  # G-4"""
    enrolled = state.reviewers.get(reviewer)
    if enrolled is None:
        raise UsageError("not-enrolled", f"'{reviewer}' may not decide here", fix=f"festina reviewer add {reviewer}")
    key = desk.reviewer_key(reviewer, home=home.path)
    draft = Draft(e.Renewed(reviewer=reviewer, without_person=enrolled.demo), signer=key)
    write(ledger, state, lambda _: [draft])


def resume(ledger: Ledger, state: State, home: Home, reviewer: str, reason: str) -> list[e.Halted]:
    """Sign that everything that stopped this system is over; returns the halts that this ended.  # G-5"""
    enrolled = state.reviewers.get(reviewer)
    if not state.halts.standing:
        raise UsageError("not-halted", "nothing is halted here", fix="festina status")
    if enrolled is None:
        raise UsageError("not-enrolled", f"'{reviewer}' may not decide here", fix=f"festina reviewer add {reviewer}")
    if enrolled.demo and not (state.genesis and state.genesis.demo):
        raise UsageError("demo-key", f"the key of '{reviewer}' speaks for no person", fix="festina reviewer add NAME")
    over = list(state.halts.standing.values())
    key = desk.reviewer_key(reviewer, home=home.path)
    draft = desk.resumed([each.halt for each in over], reviewer=enrolled, key=key, reason=reason)
    write(ledger, state, lambda now: [draft] if over[0].halt in now.halts.standing else [])
    halts.clear(home.path, state.halts.ended)
    return over


def _line_back(now: State, target: Generation) -> Draft:
    assert now.epoch is not None
    if now.move is not None:
        raise UsageError("line-moving", "the working line is just being moved", fix="try again in a second")
    body = e.LineIntent(
        move=now.moves, cause="rollback", generation=target.number,
        old_commit=now.line_at.get(now.epoch.min_level < 2), new_commit=target.commit, proposal=None,
    )  # fmt: skip
    return Draft(body)


def settle_line(ledger: Ledger, state: State, repo: Repo) -> None:
    """Carry out the line move whose intent is recorded, unless a running engine already has."""
    move, epoch = state.move, state.epoch
    if move is None or epoch is None:
        return
    refs.settle_line(repo, epoch.min_level, move.generation, move.old_commit, move.new_commit)
    body = e.LineMoved(move=move.move, generation=move.generation, commit=move.new_commit)
    same = move.move
    write(ledger, state, lambda now: [Draft(body)] if now.move and now.move.move == same else [])


def _claim(state: State, generation: Generation) -> Claim:
    verdict = generation.verdict
    if verdict is None or generation.approved is None or generation.proposal is None:
        raise UsageError(
            "not-approved", f"generation {generation.number} has no approval", fix="festina review",
        )  # R-1  # fmt: skip
    review = state.reviews[generation.approved]
    seq = state.proposals[generation.proposal].verdict_seq
    if review.decision is None or seq is None:
        raise IntegrityError("no-proof", f"generation {generation.number} has an approval without its decision")
    return Claim(
        generation=generation.number, commit=generation.commit, tree=verdict.tree, provisional=verdict.provisional,
        verdict_seq=seq, verdict_leaf=generation.verdict_leaf, approval_seq=review.decision_seq,
        approved_binding=review.decision.binding, evaluator=review.terms.evaluator, patch=review.terms.patch,
        expires=review.terms.expires, sealed=review.terms.commit if review.terms.sealed else "",
        salt=review.settled.salt if review.settled is not None else "",
        votes=review.settled.votes if review.settled is not None else (),
    )  # fmt: skip
