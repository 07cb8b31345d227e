"""Writing a verdict, and with an acceptance the intent to move the line, in one transaction.  # S-4, D-1

The numbers come from the ledger's own evidence; the sentence is the one that log, terminal and report show.
"""

from __future__ import annotations

from datetime import UTC, datetime

from festina.ledger import entries as e
from festina.ledger.log import Draft
from festina.loop import next as plan
from festina.loop import planting
from festina.loop.bench import Bench
from festina.loop.crash import crash_point
from festina.loop.rows import OpenTest, Proposed
from festina.review.binding import stamp
from festina.select import gate
from festina.select.report import estimate, interval
from festina.select.words import Finding, sentence


def decide(b: Bench, action: plan.Decide) -> None:
    """Record the verdict; for an acceptance make the commit and record the intent to move the line."""
    test = b.state.test
    assert test is not None  # next_action has seen to it
    proposed = b.state.proposals[test.proposal]
    at = stamp(datetime.now(UTC))
    verdict = _verdict(b, test, action)
    drafts = [Draft(verdict, subjects=(("candidate", test.terms.tree),), signer=b.verifier_signer, at=at)]
    moves = action.verdict == "accept" and not planting.is_planted(b, proposed)  # V-7: a plant moves no line
    if moves:
        drafts.append(_move(b, test, proposed, verdict.sentence, at))
    crash_point("verdict-unrecorded")
    b.append(*drafts)
    if moves:
        crash_point("accepted")


def _move(b: Bench, test: OpenTest, proposed: Proposed, sentence_: str, at: str) -> Draft:
    """The commit of the new generation exists before its intent; without the intent it is garbage that git collects."""
    number = max(b.state.generations) + 1
    message = f"Generation {number}: proposal {proposed.number} by {proposed.author}\n\n{sentence_}\n"
    parent = b.state.head.commit
    commit = b.repo.commit(test.terms.tree, [parent], message, at=at)
    assert b.state.epoch is not None
    old = b.state.line_at.get(b.state.epoch.min_level < 2)
    body = e.LineIntent(
        move=b.state.moves, cause="accept", generation=number, old_commit=old, new_commit=commit,
        proposal=proposed.number,
    )  # fmt: skip
    return Draft(body, at=at)


def _verdict(b: Bench, test: OpenTest, action: plan.Decide) -> e.Verdict:
    s = b.state
    assert s.epoch is not None
    assert s.budget is not None
    suite = s.epoch.suite
    accepted = action.verdict == "accept"
    level = test.terms.level
    refund = 0.0 if accepted else gate.refund_share(test.progress)
    after = s.budget.close(level, accepted, refund)
    finding = _finding(b, test, action)
    return e.Verdict(
        test=test.number, proposal=test.proposal, tree=test.terms.tree, base_commit=test.terms.base_commit,
        verdict=action.verdict, reason=action.reason, sentence=sentence(finding), units=len(test.gains),
        items=test.items, estimate=finding.estimate, interval=finding.interval,
        log_evidence=gate.log_evidence(test.progress), log_threshold=gate.log_threshold(test.progress.plan),
        guard_evidence=gate.guard_evidence(test.progress),
        judge_evidence=gate.judge_evidence(test.progress), alpha_spent=s.budget.cost(level, accepted, refund),
        alpha_left=after.alpha - after.spent, public_gain=None,
        assurance=suite.assurance, provisional=finding.provisional,
    )  # fmt: skip


def _finding(b: Bench, test: OpenTest, action: plan.Decide) -> Finding:
    """The numbers behind the sentence, in the suite's own unit, positive is better."""
    epoch = b.state.epoch
    assert epoch is not None
    suite, width, kind = epoch.suite, b.scale.width, test.progress.plan.kind
    names = [guard.name for guard in epoch.guards]
    shown = test.progress.plan.margin if action.verdict == "accept" else None
    around = interval(test.gains, kind, shown=shown) if test.gains else None
    judges = [judge.name for judge in epoch.judges if judge.role == "decide"]
    lacking = [what.split() for what in gate.unproven(test.progress) if what != "gain"]
    doubted = gate.unconvinced(test.progress) or [int(k) for what, k in lacking if what == "judge"]
    return Finding(
        reason=action.reason,
        estimate=estimate(test.gains, kind) * width if test.gains else None,
        interval=(around[0] * width, around[1] * width) if around is not None else None,
        count=len(test.gains) * (suite.batch_items if suite.unit == "item" else 1),
        unit=suite.unit, asked=suite.detect, alpha=b.state.alpha_epochs, error=b.state.error,
        margin=suite.margin, direction=suite.direction,
        metric=suite.scorer.removeprefix("stdout:") if suite.scorer.startswith("stdout:") else "",
        assurance=suite.assurance, guards=tuple(names),
        broken=tuple(names[k] for k in gate.violated(test.progress)),
        unproven=tuple(names[int(k)] for what, k in lacking if what == "guard"),
        verifiers=tuple(judges), unconvinced=tuple(judges[j] for j in doubted),
        provisional=min(int(b.sandbox.level), epoch.min_level) < 2,  # T-2
    )  # fmt: skip
