"""One function an action: an intent entry, the effect, a result entry.  # L-3

No step decides anything: ``next.next_action`` has. Each step may be cut off at any instant; the next engine
folds the ledger and is told by ``next_action`` to finish or to repeat it.
"""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any, Literal

from festina.errors import Fault, IntegrityError, UsageError
from festina.experiment.batch import Scored
from festina.ledger import entries as e
from festina.ledger.log import Draft
from festina.ledger.seeds import unit_seed
from festina.loop import acts, crossplay, internals, planting, proposing, requesting, testing, trying, unattended
from festina.loop import next as plan
from festina.loop.against_itself import run_control
from festina.loop.attributing import attribute
from festina.loop.bench import Bench, Replan
from festina.loop.characterising import characterise
from festina.loop.charging import charge, found
from festina.loop.comparing import compare_public
from festina.loop.crash import crash_point
from festina.loop.decide import decide
from festina.loop.state import State
from festina.propose.text import visible
from festina.release import refs
from festina.review.binding import binding, sealed_commit
from festina.sandbox.job import Ended
from festina.system.scope import Refused, screen

# -- the line -----------------------------------------------------------------------------------------


def start_line(b: Bench, _: plan.StartLine) -> None:
    epoch = _epoch(b.state)
    number = max(b.state.generations, default=-1) + 1
    old = b.state.line_at.get(epoch.min_level < 2)
    b.append(
        Draft(
            e.LineIntent(
                move=b.state.moves, cause="start", generation=number, old_commit=old,
                new_commit=epoch.start_commit, proposal=None,
            )
        )
    )  # fmt: skip
    crash_point("start-intent")


def finish_move(b: Bench, _: plan.FinishMove) -> None:
    """Complete a recorded move; the reference moves by compare-and-swap.  # D-1"""
    move = b.state.move
    assert move is not None  # next_action has seen to it
    refs.settle_line(b.repo, _epoch(b.state).min_level, move.generation, move.old_commit, move.new_commit)
    crash_point("line-moved-unrecorded")
    b.append(Draft(e.LineMoved(move=move.move, generation=move.generation, commit=move.new_commit)))


def finish_release(b: Bench, _: plan.FinishRelease) -> None:
    intent, genesis = b.state.release, b.state.genesis
    assert intent is not None
    assert genesis is not None
    refs.settle(b.repo, refs.released_ref(genesis.demo), intent.old_commit, intent.new_commit)
    b.append(Draft(e.Released(release=intent.release, generation=intent.generation, commit=intent.new_commit)))


def take_back(b: Bench, action: plan.TakeBack) -> None:
    """A person said no: back to before the denied generation.  # R-1, S-8"""
    denied = b.state.generations[b.state.reviews[action.review].terms.generation]
    assert denied.parent is not None
    target = b.state.generations[denied.parent]
    acts.take_release_back(b.ledger, b.state, b.repo, target.number)
    b.append(
        Draft(
            e.LineIntent(
                move=b.state.moves, cause="denial", generation=target.number,
                old_commit=b.state.line_at.get(_epoch(b.state).min_level < 2),
                new_commit=target.commit, proposal=denied.proposal,
            )
        )
    )  # fmt: skip


# -- people -------------------------------------------------------------------------------------------


def await_word(b: Bench, _: plan.AwaitWord) -> None:
    """Wait for the next whole slot since the last test opened. A run's end or an interruption ends it, too."""
    opened, every = datetime.fromisoformat(b.state.word_from), _epoch(b.state).suite.word_every_s
    passed = max(0.0, (datetime.now(UTC) - opened).total_seconds())
    wait = (passed // every + 1) * every - passed if every > 0 else 0.0
    end = b.elapsed_s + wait
    while b.elapsed_s < min(end, b.wall_s) and not b.interrupted.wait(min(0.05, wait)):
        pass
    if b.elapsed_s >= end:
        b.word_due = b.state.word_from


def await_pace(b: Bench, action: plan.AwaitPace) -> None:
    """Rest: at half the rate as long as the work since the last rest took.  # G-2"""
    end = b.elapsed_s + (1.0 / action.rate - 1.0) * (b.elapsed_s - b.rested_at)
    while b.elapsed_s < min(end, b.wall_s) and not b.interrupted.wait(0.05):
        if b.sync():
            return  # somebody did something: decide anew
    b.rested, b.rested_at = b.state.run_proposals, b.elapsed_s


def characterise_head(b: Bench, action: plan.Characterise) -> None:
    characterise(b, action.generation)


def halt_loop(b: Bench, action: plan.HaltLoop) -> None:
    """A halt that nobody typed: the record has it, and only a signed resume ends it.  # G-1, G-5"""
    since = datetime.now(UTC).isoformat(timespec="milliseconds")
    body = e.Halted(
        halt=secrets.token_hex(8), by="the governor", since=since, reason=action.reason[:300], processes=0
    )
    b.kill_boxes()
    b.append(Draft(body))


def await_review(b: Bench, _: plan.AwaitReview) -> None:
    b.interrupted.wait(0.05)


def put_in_force(b: Bench, action: plan.PutInForce) -> None:
    """The approved generation proposes from now on, if the approval is for exactly this.  # P-5, R-1"""
    review = b.state.reviews[action.review]
    terms, generation = review.terms, b.state.generations[review.terms.generation]
    parts = {"patch": terms.patch, "evidence": generation.verdict_leaf, "evaluator": terms.evaluator}
    bound = sealed_commit(review.settled, generation.commit) if terms.sealed else generation.commit
    if review.decision is None or binding(**parts, commit=bound) != review.decision.binding:
        raise IntegrityError(
            "approval-for-something-else", f"the approval of generation {terms.generation} is bound to other content",
            fix="ask for a new review", where=f"entry {review.decision_seq}",
        )  # fmt: skip
    b.append(Draft(e.InForce(generation=generation.number, commit=generation.commit, review=action.review)))


# -- screening ---------------------------------------------------------------------------------------


def screen_proposal(b: Bench, action: plan.Screen) -> None:
    """Judge the change by what it does to the tree.  # P-1, P-2, P-3"""
    p = b.state.proposals[action.proposal]
    assert p.patch is not None
    row: dict[str, Any] = {
        "proposal": p.number, "reason": "", "detail": None, "guard_change": False, "base_commit": p.base_commit,
        "tree": None, "changed_files": 0, "changed_lines": 0, "improver_changed": False,
    }  # fmt: skip
    if p.from_generation not in b.state.line and not p.improver.startswith("person:"):  # taken back meanwhile  # P-5
        b.append(Draft(e.Screened(result="stale", **(row | {"reason": "its improver is no longer on the line"}))))
        return
    head = b.state.head.commit  # also where it was made for another head: if it applies to this one  # S-8
    base_tree = b.repo.tree_of(head)
    try:
        seen = screen(b.repo, base_tree, b.ledger.get_blob(p.patch), b.scope, binary=p.binary)
    except Refused as refused:
        if b.cut_off:
            raise Replan from None  # a git that was interrupted says nothing about the patch
        if refused.reason == "apply" and p.base_commit != head:
            b.append(Draft(e.Screened(result="stale", **(row | {"reason": "the working line moved"}))))
            return
        text = refused.report().encode()
        row |= {
            "reason": refused.reason, "detail": hashlib.sha256(text).hexdigest(), "guard_change": refused.guard_change,
        }  # fmt: skip
        b.append(Draft(e.Screened(result="refused", **row), blobs=(text,)))
        return
    row |= {
        "base_commit": head, "tree": seen.tree, "changed_files": seen.changed_files,
        "changed_lines": seen.changed_lines, "improver_changed": seen.improver_changed,
    }  # fmt: skip
    if seen.no_op:
        b.append(Draft(e.Screened(result="no-op", **row)))
    elif p.target == "productivity" and not (seen.improver_changed and _epoch(b.state).productivity):  # S-6
        b.append(Draft(e.Screened(result="refused", **(row | {"reason": "target"}))))
    elif _too_much(b, base_tree, seen.tree):
        b.append(Draft(e.Screened(result="refused", **(row | {"reason": "split"}))))
    elif (earlier := b.state.tried.get((head, seen.tree), p.number)) != p.number:  # S-3: the evidence seen stands
        b.append(Draft(e.Screened(result="duplicate", **(row | {"reason": f"same as proposal {earlier}"}))))
    else:
        b.append(Draft(e.Screened(result="passed", **row)))


def _too_much(b: Bench, old: str, new: str) -> bool:
    """Whether no review could show this change.  # R-4"""
    rules = _epoch(b.state).review
    return rules is not None and requesting.amount(b.repo, old, new) > rules.max_lines


# -- controls ---------------------------------------------------------------------------------------


def check_controls(b: Bench, _: plan.CheckControls) -> None:
    """Constant and random must fail, the oracle must pass, then the incumbent must answer.  # V-2"""
    run, epoch = b.state.run, _epoch(b.state)
    assert run is not None
    seed = unit_seed(run.run, b.state.size, 0)
    shown: list[object] = []
    body = e.ControlsChecked(run=run.run, constant=None, random=None, oracle=None, incumbent=None, ok=True, note="")
    if b.verifier is not None and epoch.suite.assurance != "self-reported":
        seen = b.verifier.controls(seed, max(epoch.suite.batch_items, 50))
        scores = {"constant": seen.constant, "random": seen.random, "oracle": seen.oracle}
        body = body.model_copy(update={**scores, "ok": seen.ok, "note": seen.note[:300]})
        shown.append([seen.constant, seen.random, seen.oracle, seen.receipt])
        body = _further_controls(b, body, seed, shown)
    if not body.ok:  # no run of a system is worth paying for
        b.append(Draft(body, signer=b.verifier_signer))
        return
    source = epoch.suite.source
    guarded = bool(epoch.guards) or (epoch.productivity is not None and epoch.productivity.anchored)
    apart = guarded and epoch.anchor_tree != b.repo.tree_of(b.state.head.commit)
    measure = charge(
        b, "rehearsal", trials=1 + apart, units=1, items=epoch.suite.batch_items if source else 0, source=source,
        fresh=False,
    )  # fmt: skip
    scored = _baseline(b, seed, apart)
    body = body.model_copy(update={"incumbent": scored.mean})
    found(b, "rehearsal", measure, Draft(body, signer=b.signing([shown, scored.shown])))


def _further_controls(b: Bench, body: e.ControlsChecked, seed: int, shown: list[object]) -> e.ControlsChecked:
    """Every further verifier must tell answers apart, too. The first that does not is named.  # V-2, V-5"""
    epoch = _epoch(b.state)
    assert b.verifier is not None
    for j, judge in enumerate(epoch.judges):
        if not body.ok:
            break
        seen = b.verifier.controls(seed, max(epoch.suite.batch_items, 50), further=len(epoch.guards) + j)
        shown.append([seen.constant, seen.random, seen.oracle, seen.receipt])
        if not seen.ok:
            body = body.model_copy(update={"ok": False, "note": f"verifier {judge.name}: {seen.note}"[:300]})
    return body


def _baseline(b: Bench, seed: int, apart: bool) -> Scored:
    """The incumbent's own run must end well and be scored: against a broken one any comparison is about nothing.  # V-2

    The same holds for the anchor where it is another tree (``apart``): no guard can be hurt beside one that is broken.
    Raises ``UsageError`` with what the run said, made harmless for the terminal.
    """
    ticket, inputs = b.judge.rehearse(seed)
    scored = _alone(
        b, b.repo.tree_of(b.state.head.commit), seed, (ticket, inputs), "incumbent",
        "mend it and commit; in the box there is no network, and only $FESTINA_OUT and /tmp can be written",
    )  # fmt: skip
    if apart:  # V-4
        _alone(
            b, _epoch(b.state).anchor_tree, seed, (ticket, inputs), "anchor",
            "guards are compared with the version they began at, and it does not run under these rules; to compare "
            'with this one from now on: festina run --new-epoch "why" --move-anchor',
        )  # fmt: skip
    return scored


def _alone(
    b: Bench, tree: str, seed: int, asked: tuple[str, bytes | None], role: Literal["incumbent", "anchor"], fix: str
) -> Scored:
    """One tree's own run, scored."""
    side = b.trials.side(tree, seed, asked[1])
    if side.ended is Ended.SANDBOX_ERROR:
        raise Fault("sandbox-error", f"a trial could not be run: {side.detail}", fix="festina doctor")
    scored = b.judge.score(asked[0], side.answer, role)
    if side.answer is None or scored.mean is None:
        said = visible(side.stderr.decode(errors="replace")).strip()
        why = f" ({side.detail})" if side.detail else ""
        raise UsageError(
            f"{role}-broken", f"the {role}'s own run ended '{side.ended.value}'{why} and gave nothing to score"
            + (f"; it said:\n{said}" if said else ""),
            fix=fix, where=" ".join(b.trials.recipe.run),
        )  # fmt: skip
    return scored


def _epoch(s: State) -> e.EpochOpened:
    assert s.epoch is not None  # an engine opens one before the first step
    return s.epoch


STEPS: dict[type, Callable[[Bench, Any], None]] = {
    plan.StartLine: start_line, plan.FinishMove: finish_move, plan.FinishRelease: finish_release,
    plan.PlayProblem: crossplay.play_one,
    plan.ScoreFinal: unattended.score_alone, plan.ReleaseAlone: unattended.release_alone,
    plan.TakeBack: take_back, plan.AskReview: requesting.ask_review,
    plan.SettleReview: requesting.settle_review, plan.AwaitReview: await_review,
    plan.PutInForce: put_in_force, plan.Propose: proposing.propose, plan.TakeProposal: proposing.take_proposal,
    plan.Screen: screen_proposal, plan.Try: trying.begin, plan.TakeTries: trying.take,
    plan.OpenTest: testing.open_test, plan.RunBatch: testing.run_batch, plan.Decide: decide,
    plan.CheckControls: check_controls,
    plan.RunControl: run_control, plan.RevealPlant: planting.reveal, plan.AwaitWord: await_word,
    plan.AwaitPace: await_pace, plan.HaltLoop: halt_loop,
    plan.Characterise: characterise_head,
    plan.ComparePublic: compare_public, plan.Attribute: attribute, plan.CompareInternals: internals.compare,
}  # fmt: skip
