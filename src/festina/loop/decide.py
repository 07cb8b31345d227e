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
from festina.verify.verdicts import compose


def decide(b: Bench, action: plan.Decide) -> None:
    """Record the verdict; for an acceptance make the commit and record the intent to move the line."""
    test = b.state.open[action.test]
    proposed = b.state.proposals[test.proposal]
    at = stamp(datetime.now(UTC))
    verdict = _verdict(b, test, action)
    drafts = [Draft(verdict, subjects=(("candidate", test.terms.tree),), signer=b.verifier_signer, at=at)]
    moves = action.verdict == "accept" and not planting.is_planted(b, proposed)  # V-7: a plant moves no line
    moves = moves and b.state.govern.autonomy.merges  # G-7
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
    sides = (test.terms.tree, b.repo.tree_of(test.terms.base_commit))
    kept = [s.trained.done[tree].level for tree in sides if tree in s.trained.done]  # perhaps by a weaker run  # S-7
    weak = min(int(b.sandbox.level), s.epoch.min_level, *kept) < 2  # T-2
    return compose(
        test, s.epoch, s.budget, s.alpha_epochs, s.error, word=action.verdict, reason=action.reason,
        provisional=weak, again=action.reason == "line-moved",
    )  # fmt: skip
