"""The report's reading of proposals on their way to a verdict, and of the tests that judge them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from math import inf, log
from typing import Any

from festina.errors import FestinaError
from festina.ledger import entries as e
from festina.ledger.base import Entered
from festina.report.data import (
    Outcome,
    ProposalRow,
    TestRow,
)
from festina.report.paths import evidence_path
from festina.report.rows import Rows

SAME = 1e-6  # relative difference at which a recomputed number counts as the recorded one


def _requested(s: Rows, r: Entered, b: e.ProposalRequested) -> None:
    if b.proposal in s.proposals:  # asked again after a crash: the first request was charged and is kept
        s.finding(
            r.seq, f"proposal {b.proposal} was asked for again (attempt {b.attempt}); the attempt before never ended"
        )
    s.begin("proposal", b.proposal, r.seq)
    s.proposals[b.proposal] = ProposalRow(
        b.proposal, r.seq, None, None, None, b.improver, b.from_generation, b.improver, "open", "", None, None,
        0, 0, False, False, "", "", 0.0, 0.0,
    )  # fmt: skip


def _received(s: Rows, r: Entered, b: e.ProposalReceived) -> None:
    row = s.proposals.get(b.proposal)
    if row is None:
        s.finding(r.seq, f"proposal {b.proposal} came without having been asked for")
        return
    s.end("proposal", b.proposal, r.seq)
    rationale, weakness = s.words_of_plan(b.plan, r.seq)
    came = b.patch is not None
    s.proposals[b.proposal] = replace(
        row, received_seq=r.seq, author=b.author, predicted=b.predicted, rationale=rationale, weakness=weakness,
        wall_s=b.wall_s, cpu_s=b.cpu_s, outcome=row.outcome if came else "failed", reason=b.reason,
    )  # fmt: skip


def _screened(s: Rows, r: Entered, b: e.Screened) -> None:
    row = s.proposals.get(b.proposal)
    if row is None:
        s.finding(r.seq, f"proposal {b.proposal} was screened without having been asked for")
        return
    outcome: Outcome = "open" if b.result == "passed" else b.result
    if b.result == "stale" and row.verdict_seq is not None:  # its test was ended by the line, and it fits no more
        outcome = "inconclusive"
    s.proposals[b.proposal] = replace(
        row, screened_seq=r.seq, outcome=outcome, reason=b.reason, guard_change=b.guard_change,
        changed_files=b.changed_files, changed_lines=b.changed_lines, improver_changed=b.improver_changed,
        from_generation=s.steps.makers.get(b.tree or "", row.from_generation),
    )  # fmt: skip


def _test_opened(s: Rows, r: Entered, b: e.TestOpened) -> None:
    s.plans[b.test] = b
    s.units[b.test] = []
    epoch = s.terms[-1] if s.terms else None
    s.tests[b.test] = TestRow(
        test=b.test, proposal=b.proposal, epoch=epoch.epoch if epoch else 0,
        base_generation=s.generation_of.get(b.base_commit), opened_seq=r.seq, batch_seqs=(), verdict_seq=None,
        tree=b.tree, level=b.level, units_max=b.units_max, units=0, items=0, failed=0, denied=0,
        candidate_mean=None, incumbent_mean=None, path=(), verdict=None, reason="", sentence="", estimate=None,
        interval=None, log_evidence=None, log_threshold=-log(b.level) if b.level > 0 else inf,
        alpha_spent=None, alpha_left=None,
        public=None, gap=None, public_note="", public_seq=None,
        assurance=epoch.suite.assurance if epoch else "", provisional=False,
    )  # fmt: skip


def _batch_started(s: Rows, r: Entered, b: e.BatchStarted) -> None:
    if ("batch of test", b.test) in s.open:
        s.finding(
            r.seq,
            f"a batch of test {b.test} was begun again (attempt {b.attempt}); the attempt before never ended, and "
            "both are charged",
        )
    s.begin("batch of test", b.test, r.seq)
    s.trials += b.trials
    s.charged[b.test] = s.charged.get(b.test, 0) + b.trials
    s.looks += b.items
    row = s.tests.get(b.test)
    if row is not None:
        s.tests[b.test] = replace(row, items=row.items + b.items)


def _batch_ended(s: Rows, r: Entered, b: e.BatchEnded) -> None:
    s.end("batch of test", b.test, r.seq)
    row = s.tests.get(b.test)
    if row is None:
        s.finding(r.seq, f"a batch of test {b.test} ended, and that test was never opened")
        return
    new = len(b.gain)
    if any(len(guard) != new for guard in b.guards):
        s.finding(r.seq, f"a batch of test {b.test} has guard results for another number of units than gains")
    none = [()] * new
    guards, judges = (zip(*rows, strict=False) if rows else none for rows in (b.guards, b.judges))
    s.units[b.test] += list(zip(b.gain, guards, judges, strict=False))
    s.tests[b.test] = replace(
        row, units=row.units + new, failed=row.failed + b.failed, denied=row.denied + b.denied,
        batch_seqs=(*row.batch_seqs, r.seq),
        candidate_mean=_mean(row.candidate_mean, row.units, b.candidate_mean, new),
        incumbent_mean=_mean(row.incumbent_mean, row.units, b.incumbent_mean, new),
    )  # fmt: skip


def _mean(old: float | None, old_count: int, new: float | None, new_count: int) -> float | None:
    """Mean over both batches, weighted by units; a batch without one leaves the other as it is."""
    if old is None or new is None or old_count + new_count == 0:
        return new if old is None else old
    return (old * old_count + new * new_count) / (old_count + new_count)


def _verdict(s: Rows, r: Entered, b: e.Verdict) -> None:
    row, plan = s.tests.get(b.test), s.plans.get(b.test)
    if row is None or plan is None:
        s.finding(r.seq, f"a verdict on test {b.test}, which was never opened")
        return
    spared = s.beside or (not s.paths and s.evidence is not None)
    path = () if spared else _path(s, r, plan)
    found = path[-1] if path else s.evidence if spared and s.units[plan.test] else None
    if found is not None and abs(found - b.log_evidence) > SAME * max(1.0, abs(b.log_evidence)):
        s.finding(
            r.seq, f"test {b.test}: the recorded differences give another evidence than the verdict states"
        )  # S-4
    s.tests[b.test] = replace(
        row, verdict_seq=r.seq, verdict=b.verdict, reason=b.reason, sentence=b.sentence, estimate=b.estimate,
        interval=b.interval, log_evidence=b.log_evidence, log_threshold=b.log_threshold, path=path,
        alpha_spent=b.alpha_spent, alpha_left=b.alpha_left, assurance=b.assurance,
        provisional=b.provisional,
    )  # fmt: skip
    if b.verdict == "accept":
        s.accepting.setdefault(row.proposal, row.test)
    outcomes: dict[str, Outcome] = {"accept": "accepted", "reject": "rejected", "inconclusive": "inconclusive"}
    proposal = s.proposals.get(b.proposal)
    if proposal is not None:
        s.proposals[b.proposal] = replace(
            proposal,
            verdict_seq=r.seq,
            outcome="open" if b.again else outcomes[b.verdict],
            reason=b.reason,
            estimate=b.estimate,
        )


def _path(s: Rows, r: Entered, plan: e.TestOpened) -> tuple[float, ...]:
    try:
        return evidence_path(s.terms[-1], plan, s.units[plan.test]) if s.terms else ()
    except FestinaError as error:  # the rule refuses these units: the record does not follow it
        s.finding(r.seq, f"test {plan.test}: the rule does not accept the recorded units ({error.name})")
        return ()


HANDLERS: dict[str, Callable[[Rows, Entered, Any], None]] = {
    "proposal-requested": _requested, "proposal-received": _received, "screened": _screened,
    "test-opened": _test_opened, "batch-started": _batch_started, "batch-ended": _batch_ended, "verdict": _verdict,
}  # fmt: skip
