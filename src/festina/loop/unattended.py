"""Stepping along the ladder of autonomy, and releasing without asking where its highest rung stands.  # G-7

A release that nobody is asked about needs what every release needs (the proof of its verdict, its steps, its final
score), a complete characterisation of exactly this version, and the signed step in place of an approval. It never
covers a changed improver or what somebody handed in. The entry carries the moment at which it was decided, so that the
fold judges it by the same clock.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from festina.errors import UsageError
from festina.govern.ladder import LADDER, TOP, above, steps_up
from festina.ledger import entries as e
from festina.ledger.log import Draft, Ledger
from festina.loop import acts, autonomy, material, outside
from festina.loop import next as plan
from festina.loop.bench import Bench, Replan
from festina.loop.finals import score_final
from festina.loop.state import State
from festina.release.releaser import check_alone
from festina.review import desk
from festina.review.binding import stamp
from festina.review.seats import moment
from festina.system.home import Home

__all__ = ["Evidence", "due", "release_alone", "score_alone", "step"]

Evidence = tuple[str, tuple[int, ...]]  # what festina trust said of the rung, and the entries that it rests on


def step(
    ledger: Ledger, state: State, home: Home, reviewer: str, *, rung: e.Rung, reason: str, evidence: Evidence,
    lasts_s: float,
) -> bool:  # fmt: skip
    """Sign a step to ``rung``; False where it waits for other people's signatures. Raises where it may not be made."""
    enrolled, before = state.reviewers.get(reviewer), state.govern.autonomy.rung
    if enrolled is None or not autonomy.speaks(state, reviewer):
        raise UsageError("not-enrolled", f"'{reviewer}' may not decide here", fix=f"festina reviewer add {reviewer}")
    now = datetime.now(UTC)
    ends = stamp(now + timedelta(seconds=lasts_s)) if rung == TOP else None
    trust, cites = evidence
    key = desk.reviewer_key(reviewer, home=home.path)
    draft = desk.autonomy_stepped(
        before, rung, expires=ends, trust=trust, cites=cites[-256:], reviewer=enrolled, key=key, reason=reason
    )

    def make(at: State) -> list[Draft]:
        assert isinstance(draft.body, e.AutonomyStepped)
        why = autonomy.refusal(at, draft.body, now)
        if why:
            raise UsageError("step-refused", f"it cannot go to '{rung}': {why}", fix=_remedy(at, rung))
        return [draft]

    acts.write(ledger, state, make)
    return state.govern.autonomy.rung == rung


def _remedy(state: State, rung: e.Rung) -> str:
    most = state.epoch.autonomy if state.epoch is not None else LADDER[0]
    if steps_up(most, rung) > 0:
        return f'policy.autonomy = "{rung}" in festina.toml, then festina run --new-epoch "why"'
    if steps_up(state.govern.autonomy.rung, rung) > 1:
        return f"festina autonomy raise goes to '{above(state.govern.autonomy.rung)}' first"
    return "festina trust says what is missing, and what would mend it"


def due(b: Bench, now: datetime) -> int | None:
    """The version that is to be released without asking; None where something stands against it, or witnesses lag."""
    number = autonomy.release_due(b.state, now)
    generation = b.state.generations[number] if number is not None else None
    if generation is None or generation.proposal is None or material.problem(b.state, generation.number) is not None:
        return None
    since = rests_on(b.state, generation.proposal)
    return number if since is not None and outside.seen_by_enough(b.ledger, b.state, since) else None  # L-2


def rests_on(s: State, proposal: int) -> int | None:
    """The newest entry that a release without asking rests on: its verdict, or a signature under the step."""
    verdict, grant = s.proposals[proposal].verdict_seq, s.govern.autonomy.grant
    return None if verdict is None or grant is None else max(verdict, *grant.seqs)


def score_alone(b: Bench, action: plan.ScoreFinal) -> None:
    """The final score that a release asks for; a suite that is spent leaves the release to people.  # V-3"""
    score_final(b, action.generation)


def release_alone(b: Bench, action: plan.ReleaseAlone) -> None:
    """Record the intent to release without asking; the next action carries it out.  # D-1, G-7"""
    s, now = b.state, moment(max(stamp(datetime.now(UTC)), b.state.last_at))
    generation, grant = s.generations[action.generation], s.govern.autonomy.grant
    proposal = s.proposals.get(generation.proposal) if generation.proposal is not None else None
    if grant is None or autonomy.covers(s, generation, now) or proposal is None or proposal.verdict_seq is None:
        raise Replan
    assert generation.verdict is not None  # covers has seen to it
    check_alone(
        b.repo, b.ledger, commit=generation.commit, tree=generation.verdict.tree, verdict=proposal.verdict_seq,
        steps=grant.seqs,
    )
    body = e.ReleaseIntent(
        release=s.releases, cause="release", generation=generation.number, old_commit=s.released_at,
        new_commit=generation.commit, review=None, grant=grant.seqs[-1],
    )  # fmt: skip
    b.append(Draft(body, at=stamp(now)))
