"""How entries change the verifier's books: the fold, one function a kind.  # S-4, T-1"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from festina.errors import IntegrityError
from festina.ledger import entries as e
from festina.ledger.base import Entered
from festina.ledger.statement import commitment
from festina.select import gate
from festina.select import sameness as twins
from festina.select.budget import Budget, FdrBudget, InformationLedger, without
from festina.select.noise import UNKNOWN
from festina.select.sameness import Sameness
from festina.verify import denials, soaking
from festina.verify.books import Control, Open
from festina.verify.follows import control_of
from festina.verify.verdicts import alpha_with, learn, plan_of

if TYPE_CHECKING:
    from festina.verify.account import Account


def _genesis(a: Account, r: Entered, b: e.Genesis) -> None:
    a.genesis = b


def _epoch(a: Account, r: Entered, b: e.EpochOpened) -> None:
    for t in a.open.values():  # new rules end what was tested under the old ones  # S-1
        if isinstance(a.budget, InformationLedger):
            a.budget = a.budget.close(t.terms.level, False)
            a.shared.keep(a.epoch, a.budget)
    a.open.clear()
    a.alpha, a.tested = alpha_with(a.alpha, a.epoch, a.tested, b), False
    a.epoch, a.undo = b, None
    a.error = "fdr" if b.error == "fdr" else a.error
    a.budget, a.noise = a.shared.begin(b), UNKNOWN
    a.control = Control(_fresh(b))
    a.line.numbers = []
    a.line.trees[b.start_commit] = b.start_tree


def _fresh(epoch: e.EpochOpened) -> Sameness:
    streams = len(epoch.guards) + len(epoch.judges)
    return twins.begin(epoch.suite.assumed, streams, epoch.control_level)


def _run(a: Account, r: Entered, b: e.RunStarted) -> None:
    a.level, a.at_once, a.shared.run_at = b.sandbox_level, b.at_once, r.at


def _requested(a: Account, r: Entered, b: e.ProposalRequested | e.TryStarted) -> None:
    if b.attempt == 1 and a.epoch is not None:
        a.budget = a.shared.asked(a.epoch, a.budget, r.at)


def _received(a: Account, r: Entered, b: e.ProposalReceived) -> None:
    a.targets[b.proposal] = b.target
    if "origin" in r.commitments:
        a.origins[b.proposal] = (r.seq, r.commitments["origin"])


def _screened(a: Account, r: Entered, b: e.Screened) -> None:
    if b.tree is not None:
        a.trees[b.proposal] = b.tree


def _opened(a: Account, r: Entered, b: e.TestOpened) -> None:
    epoch, before = a.rules(), a.budget
    assert before is not None
    level, after = before.open()
    if not isinstance(after, Budget | FdrBudget):
        after = replace(after, reserved=(b.level,))
    elif level != b.level:
        raise IntegrityError("entry-does-not-fit", f"the level is not the one that the budget gives ({level})")
    a.budget, a.undo, a.tested = after, None, True
    a.open[b.test] = Open(b, r.leaf, gate.start(plan_of(epoch, b)), before)
    if epoch.suite.mode != "fresh":
        a.shared.opened(epoch, b, r.at)


def _batch_started(a: Account, r: Entered, b: e.BatchStarted) -> None:
    t = a.test(b.test)
    t.attempt, t.units, t.seeds = b.attempt, b.units, b.seeds
    t.items += b.items
    a.shared.looked(a.rules(), b.items)


def _batch_ended(a: Account, r: Entered, b: e.BatchEnded) -> None:
    t, epoch = a.test(b.test), a.rules()
    judges = epoch.judges if t.terms.target == "gain" else ()
    deciding = [x for x, terms in zip(b.judges, judges, strict=True) if terms.role == "decide"]
    t.tampering = (t.tampering[0] + b.tampering[0], t.tampering[1] + b.tampering[1])
    t.progress = gate.observe_all(
        t.progress,
        (
            gate.Evidence(gain, tuple(g[i] for g in b.guards), tuple(j[i] for j in deciding))
            for i, gain in enumerate(b.gain)
        ),
    )
    t.gains.extend(b.gain)
    t.batches, t.attempt = t.batches + 1, 0
    if a.control is not None:
        a.control.judged += len(b.gain)


def _verdict(a: Account, r: Entered, b: e.Verdict) -> None:
    t, budget = a.test(b.test), a.budget
    assert budget is not None
    accepted = b.verdict == "accept"
    a.undo = (b.proposal, without(budget, t.before, t.terms.level))
    a.budget = budget.close(t.terms.level, accepted, 0.0 if accepted else gate.refund_share(t.progress))
    a.noise = learn(a.noise, a.rules(), t)
    a.shared.keep(a.epoch, a.budget)
    a.verdicts += 1
    a.told += b.reason in ("budget", "fault")
    del a.open[b.test]
    if accepted:
        a.line.verdicts[b.proposal] = b


def _line_intent(a: Account, r: Entered, b: e.LineIntent) -> None:
    a.line.intent = b
    if b.cause == "accept" and b.proposal is not None and b.proposal in a.line.verdicts:
        a.line.trees[b.new_commit] = a.line.verdicts[b.proposal].tree
        a.line.proposals[b.generation] = b.proposal


def _line_moved(a: Account, r: Entered, b: e.LineMoved) -> None:
    line = a.line
    line.commits[b.generation] = b.commit
    if line.intent is not None and line.intent.cause in ("denial", "rollback"):
        a.budget = a.shared.retire(a.budget)
        while line.numbers and line.numbers[-1] != b.generation:
            line.numbers.pop()
        return
    line.numbers.append(b.generation)


def _plant(a: Account, r: Entered, b: e.PlantRevealed) -> None:
    """Outside the error budget, to the last bit; but only what was sealed as planted before it was judged.  # V-7"""
    sealed = commitment(bytes.fromhex(b.salt), b.origin)
    if a.origins.get(b.proposal) != (b.received, sealed) or not b.origin.startswith("planted:"):
        raise IntegrityError("entry-does-not-fit", "a reveal of something that was not sealed as planted")
    if b.proposal in a.line.proposals.values():
        raise IntegrityError("entry-does-not-fit", "the line moved to a planted defect")
    if a.undo is not None and a.undo[0] == b.proposal:
        a.budget, a.undo = a.undo[1], None
        a.shared.keep(a.epoch, a.budget)
    a.line.verdicts.pop(b.proposal, None)


def _fault(a: Account, r: Entered, b: e.FaultRecorded) -> None:
    for number, t in a.open.items():
        named = b.test == number or (b.test is None and a.at_once == 1)
        t.faults += named and t.attempt > 0


def _control_started(a: Account, r: Entered, b: e.ControlStarted) -> None:
    c = control_of(a)
    if b.attempt == 1:
        c.leaf, c.tree = r.leaf, b.tree
    c.count, c.attempt, c.units = b.control, b.attempt, b.units
    a.shared.looked(a.rules(), b.items)


def _control_ended(a: Account, r: Entered, b: e.ControlEnded) -> None:
    c = control_of(a)
    for unit in zip(b.gain, b.order, *b.guards, strict=True):
        c.test = twins.see(c.test, unit)
    c.count, c.attempt = c.count + 1, 0
    if c.test.broken and c.alarm is None:
        c.alarm = r.seq


def _resolved(a: Account, r: Entered, b: e.ControlResolved) -> None:
    c, who = control_of(a), a.reviewers.get(b.reviewer)
    demo = a.genesis is not None and a.genesis.demo and b.without_person
    if c.alarm == b.alarm and who is not None and (not who.demo or demo):
        c.alarm, c.test = None, _fresh(a.rules())


def _enrolled(a: Account, r: Entered, b: e.ReviewerEnrolled) -> None:
    a.reviewers[b.reviewer] = b


def _measure(a: Account, r: Entered, b: e.MeasureStarted) -> None:
    a.measure, a.measure_leaf = b, r.leaf
    if b.purpose == "final":
        a.draws.setdefault((b.generation, b.source), r.leaf)
    if b.fresh and b.source is not None and b.purpose != "final":
        a.shared.used(b.source, b.items)


def _measured(a: Account, r: Entered, b: e.MeasureEnded) -> None:
    a.measure = None


def _final(a: Account, r: Entered, b: e.FinalScored) -> None:
    if b.measure is None and a.epoch is not None:
        a.shared.looked(a.epoch, b.items)


def _soaked(a: Account, r: Entered, b: e.Soaked) -> None:
    a.soaks[b.tree, b.suite] = soaking.after(b, a.soaks)


def _nothing(a: Account, r: Entered, b: e.Body) -> None:
    """What is checked by itself, and on which nothing later depends."""


TAKES: dict[str, Callable[[Account, Entered, Any], None]] = {
    "genesis": _genesis, "epoch-opened": _epoch, "run-started": _run, "proposal-requested": _requested,
    "try-started": _requested, "proposal-received": _received, "screened": _screened, "test-opened": _opened,
    "batch-started": _batch_started, "batch-ended": _batch_ended,
    "verdict": _verdict, "line-intent": _line_intent, "line-moved": _line_moved, "plant-revealed": _plant,
    "fault": _fault, "control-started": _control_started, "control-ended": _control_ended,
    "control-resolved": _resolved, "reviewer-enrolled": _enrolled, **denials.TAKES,
    "measure-started": _measure, "measure-ended": _measured,
    "final-scored": _final, "characterised": _nothing, "soaked": _soaked,
}  # fmt: skip
