"""The fold from ledger entries to ``ReportData``: it reads, it never decides.

Covers every kind of entry; an unknown kind counts in ``size`` and is otherwise left alone. It is more
forgiving than the loop's own fold, which refuses entries out of order: a report on a damaged or crashed
ledger must still be written, so what does not fit becomes a finding.  # L-3
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from math import inf, log
from typing import Any, Protocol

from festina.errors import FestinaError, IntegrityError
from festina.ledger import entries as e
from festina.ledger.canonical import parse_strict
from festina.loop.called import Called
from festina.report import measured, reviewed
from festina.report.certified import Steps
from festina.report.data import (
    AttributionRow,
    ControlRow,
    Entry,
    EpochRow,
    FinalRow,
    GenerationRow,
    Outcome,
    OverfitRow,
    PlantRow,
    ProposalRow,
    Remark,
    ReportData,
    RunRow,
    TestRow,
)
from festina.report.paths import evidence_path, own_words
from festina.report.tries import Tries
from festina.report.twins import Twins

PLAN_BYTES = 64 << 10
SAME = 1e-6  # relative difference at which a recomputed number counts as the recorded one

Blob = Callable[[str], bytes]


class Record(Protocol):
    """What a report needs of ``festina.ledger.log.Record``."""

    @property
    def seq(self) -> int: ...
    @property
    def kind(self) -> str: ...
    @property
    def at(self) -> str: ...
    @property
    def leaf(self) -> str: ...
    @property
    def commitments(self) -> Mapping[str, str]: ...
    @property
    def body(self) -> e.Body: ...


def fold(records: Iterable[Record], blob: Blob, *, root: str = "") -> ReportData:
    """Read all ``records`` from the first on. ``blob`` gives the bytes of a digest (raises IntegrityError)."""
    reading = Reading(blob)
    for record in records:
        reading.take(record)
    return reading.data(root)


class Reading:
    """Rows under construction, by number. Filled by ``take`` alone."""

    def __init__(self, blob: Blob) -> None:
        self.blob = blob
        self.genesis: e.Genesis | None = None
        self.entries: list[Entry] = []
        self.epochs: list[EpochRow] = []
        self.terms: list[e.EpochOpened] = []
        self.runs: list[RunRow] = []
        self.controls: list[ControlRow] = []
        self.twins = Twins()
        self.steps, self.tries = Steps(), Tries()
        self.proposals: dict[int, ProposalRow] = {}
        self.plants: dict[int, PlantRow] = {}
        self.tests: dict[int, TestRow] = {}
        self.plans: dict[int, e.TestOpened] = {}
        self.units: dict[int, list[tuple[float, tuple[float, ...], tuple[float, ...]]]] = {}
        self.generations: dict[int, GenerationRow] = {}
        self.line: list[int] = []
        self.generation_of: dict[str, int] = {}  # commit or tree -> generation
        self.people = reviewed.People()
        self.finals: list[FinalRow] = []
        self.drill: e.DrillFinished | None = None
        self.remarks: list[Remark] = []
        self.findings: list[Remark] = []
        self.open: dict[tuple[str, int], int] = {}  # intents without an end yet: (what, number) -> entry  # L-3
        self.overfit: OverfitRow | None = None
        self.charged: dict[int, int] = {}  # trials by test
        self.attributions: dict[int, AttributionRow] = {}
        self.unattributed: dict[int, Remark] = {}
        self.grown: list[Remark] = []  # findings of control arms and cross-play
        self.called, self.trials, self.looks, self.in_force = Called(), 0, 0, 0
        self.released: int | None = None

    def take(self, record: Record) -> None:
        self.entries.append(Entry(record.seq, record.kind, record.at, type(record.body).role))
        self.steps.take(record.body)
        self.tries.take(record.seq, record.body)
        self.called.take(record.body)
        self.people.take(record)
        if (handler := _HANDLERS.get(record.kind)) is not None:
            handler(self, record, record.body)

    def data(self, root: str) -> ReportData:
        genesis = self.genesis
        left_open = [
            Remark(seq, "begun and not ended", f"{what} {number} was begun and its end is not recorded")
            for (what, number), seq in self.open.items()
        ]
        return ReportData(
            origin=genesis.origin if genesis else "",
            system=genesis.system if genesis else "",
            version=genesis.version if genesis else "",
            demo=genesis.demo if genesis else False,
            size=len(self.entries),
            root=root,
            first_at=self.entries[0].at if self.entries else "",
            last_at=self.entries[-1].at if self.entries else "",
            epochs=tuple(self.epochs), runs=tuple(self.runs), controls=tuple(self.controls), twins=self.twins.row(),
            plants=tuple(self.plants.values()),
            proposals=tuple(p for p in self.proposals.values() if p.proposal not in self.plants),
            tests=tuple(t for t in self.tests.values() if t.proposal not in self.plants),
            generations=tuple(self.generations[number] for number in sorted(self.generations)),
            finals=tuple(self.finals), drill=self.drill,
            remarks=tuple(self.remarks),
            findings=tuple(sorted([*self.findings, *left_open], key=lambda f: f.seq)),
            certified=self.steps.total([self.generations[n] for n in self.line], self.twins.open_alarm),
            overfit=self.overfit,
            attributions=tuple(self.attributions.values()), unattributed=tuple(self.unattributed.values()),
            reviewers=self.people.sentences(), grown=tuple(self.grown), models=tuple(self.called.sentences()),
            for_improver=tuple(sorted(self.steps.improvers)),
            trials=self.trials + self.tries.runs, looks=self.looks, tried=self.tries.row(),
            in_force=self.in_force, released=self.released,
            entries=tuple(self.entries),
        )  # fmt: skip

    def finding(self, seq: int, text: str) -> None:
        self.findings.append(Remark(seq, "does not fit", text))

    def begin(self, what: str, number: int, seq: int) -> None:
        self.open[(what, number)] = seq

    def end(self, what: str, number: int, seq: int) -> None:
        if self.open.pop((what, number), None) is None:
            self.finding(seq, f"{what} {number} ended without having been begun")  # L-3

    def test_of(self, generation: int) -> TestRow | None:
        """The test that accepted a generation."""
        row = self.generations.get(generation)
        if row is None or row.proposal is None:
            return None
        return next((t for t in self.tests.values() if t.proposal == row.proposal and t.verdict == "accept"), None)

    def words_of_plan(self, digest: str | None, seq: int) -> tuple[str, str]:
        """(rationale, weakness) from the content store; empty where the plan cannot be read.  # P-6, T-5"""
        if digest is None:
            return "", ""
        try:
            plan = parse_strict(self.blob(digest), max_bytes=PLAN_BYTES, max_depth=4)
        except IntegrityError as error:
            self.finding(seq, f"the proposal's plan cannot be read: {error.name}")
            return "", ""
        if not isinstance(plan, dict):
            return "", ""
        return _text_of(plan.get("rationale")), _text_of(plan.get("weakness"))


def _text_of(value: object) -> str:
    return value if isinstance(value, str) else ""


# -- one function a kind ------------------------------------------------------------------------------


def _genesis(s: Reading, r: Record, b: e.Genesis) -> None:
    s.genesis = b


def _epoch(s: Reading, r: Record, b: e.EpochOpened) -> None:
    s.terms.append(b)
    s.twins = Twins.of(r.seq, b)
    s.generation_of.setdefault(b.start_tree, 0)
    s.epochs.append(
        EpochRow(
            r.seq, b.epoch, b.reason, b.alpha, b.suite, b.guards, b.evaluator, b.start_commit, b.start_tree,
            b.autonomy, b.min_level, b.judges, (b.goal_family, *(j.family for j in b.judges)), b.proposer_family,
            b.error, s.steps.alpha,
        )
    )  # fmt: skip


def _run_started(s: Reading, r: Record, b: e.RunStarted) -> None:
    s.runs.append(
        RunRow(
            r.seq, b.run, b.improver, b.frozen_improver, b.sandbox_level, b.sandbox_missing, b.sandbox_policy,
            b.separated_uids, r.at, None, None, "", None,
        )
    )  # fmt: skip


def _run_ended(s: Reading, r: Record, b: e.RunEnded) -> None:
    for i in range(len(s.runs) - 1, -1, -1):
        if s.runs[i].run == b.run and s.runs[i].ended is None:
            s.runs[i] = replace(s.runs[i], ended_seq=r.seq, ended=b.reason, detail=b.detail, wall_s=b.wall_s)
            return
    s.finding(r.seq, f"run {b.run} ended without having been begun")


def _controls(s: Reading, r: Record, b: e.ControlsChecked) -> None:
    s.controls.append(ControlRow(r.seq, b.constant, b.random, b.oracle, b.incumbent, b.ok, b.note))


def _requested(s: Reading, r: Record, b: e.ProposalRequested) -> None:
    if b.proposal in s.proposals:  # asked again after a crash: the first request was charged and is kept
        s.finding(
            r.seq, f"proposal {b.proposal} was asked for again (attempt {b.attempt}); the attempt before never ended"
        )
    s.begin("proposal", b.proposal, r.seq)
    s.proposals[b.proposal] = ProposalRow(
        b.proposal, r.seq, None, None, None, b.improver, b.from_generation, b.improver, "open", "", None, None,
        0, 0, False, False, "", "", 0.0, 0.0,
    )  # fmt: skip


def _received(s: Reading, r: Record, b: e.ProposalReceived) -> None:
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


def _screened(s: Reading, r: Record, b: e.Screened) -> None:
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


def _test_opened(s: Reading, r: Record, b: e.TestOpened) -> None:
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


def _batch_started(s: Reading, r: Record, b: e.BatchStarted) -> None:
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


def _batch_ended(s: Reading, r: Record, b: e.BatchEnded) -> None:
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


def _verdict(s: Reading, r: Record, b: e.Verdict) -> None:
    row, plan = s.tests.get(b.test), s.plans.get(b.test)
    if row is None or plan is None:
        s.finding(r.seq, f"a verdict on test {b.test}, which was never opened")
        return
    path = _path(s, r, plan)
    if path and abs(path[-1] - b.log_evidence) > SAME * max(1.0, abs(b.log_evidence)):
        s.finding(
            r.seq, f"test {b.test}: the recorded differences give another evidence than the verdict states"
        )  # S-4
    s.tests[b.test] = replace(
        row, verdict_seq=r.seq, verdict=b.verdict, reason=b.reason, sentence=b.sentence, estimate=b.estimate,
        interval=b.interval, log_evidence=b.log_evidence, log_threshold=b.log_threshold, path=path,
        alpha_spent=b.alpha_spent, alpha_left=b.alpha_left, assurance=b.assurance,
        provisional=b.provisional,
    )  # fmt: skip
    outcomes: dict[str, Outcome] = {"accept": "accepted", "reject": "rejected", "inconclusive": "inconclusive"}
    proposal = s.proposals.get(b.proposal)
    if proposal is not None:
        s.proposals[b.proposal] = replace(
            proposal, verdict_seq=r.seq, outcome="open" if b.again else outcomes[b.verdict], reason=b.reason,
            estimate=b.estimate,
        )


def _path(s: Reading, r: Record, plan: e.TestOpened) -> tuple[float, ...]:
    try:
        return evidence_path(s.terms[-1], plan, s.units[plan.test]) if s.terms else ()
    except FestinaError as error:  # the rule refuses these units: the record does not follow it
        s.finding(r.seq, f"test {plan.test}: the rule does not accept the recorded units ({error.name})")
        return ()


def _line_intent(s: Reading, r: Record, b: e.LineIntent) -> None:
    s.begin("move", b.move, r.seq)
    if b.cause in ("rollback", "denial"):
        while s.line and s.line[-1] != b.generation:
            dropped = s.line.pop()
            s.generations[dropped] = replace(s.generations[dropped], left=b.cause, left_seq=r.seq)
        return
    proposal = s.proposals.get(b.proposal) if b.proposal is not None else None
    test = next((t for t in s.tests.values() if t.proposal == b.proposal and t.verdict == "accept"), None)
    s.generation_of[b.new_commit] = b.generation
    if test is not None:
        s.generation_of[test.tree] = b.generation
    s.generations[b.generation] = GenerationRow(
        generation=b.generation, commit=b.new_commit, intent_seq=r.seq, moved_seq=None,
        author=proposal.author if proposal else "", proposal=b.proposal,
        verdict_seq=test.verdict_seq if test else None, sentence=test.sentence if test else "",
        estimate=test.estimate if test else None, interval=test.interval if test else None,
        assurance=test.assurance if test else "", provisional=test.provisional if test else False,
        improver_changed=proposal.improver_changed if proposal else False,
        changed_lines=proposal.changed_lines if proposal else 0, approved_by="", approved_seq=None,
        approved_with=None, without_person=False, left="", left_seq=None,
        doubtful=None, in_force_seq=None, released_seq=None,
        released_now=False,
    )  # fmt: skip
    s.line.append(b.generation)


def _line_moved(s: Reading, r: Record, b: e.LineMoved) -> None:
    s.end("move", b.move, r.seq)
    row = s.generations.get(b.generation)
    if row is not None and row.moved_seq is None:
        s.generations[b.generation] = replace(row, moved_seq=r.seq)


def _in_force(s: Reading, r: Record, b: e.InForce) -> None:
    s.in_force = b.generation
    row = s.generations.get(b.generation)
    if row is not None:
        s.generations[b.generation] = replace(row, in_force_seq=r.seq)


def _release_intent(s: Reading, r: Record, b: e.ReleaseIntent) -> None:
    s.begin("release", b.release, r.seq)


def _released(s: Reading, r: Record, b: e.Released) -> None:
    s.end("release", b.release, r.seq)
    for number, row in s.generations.items():
        s.generations[number] = replace(row, released_now=number == b.generation)
    s.released = b.generation
    if b.generation in s.generations:
        s.generations[b.generation] = replace(s.generations[b.generation], released_seq=r.seq)


def _waiver(s: Reading, r: Record, b: e.Waiver) -> None:
    s.remarks.append(Remark(r.seq, "waiver", f"sandbox level L{b.level} was accepted until {b.expires}"))


def _fault(s: Reading, r: Record, b: e.FaultRecorded) -> None:
    s.remarks.append(Remark(r.seq, "fault of Festina's own", f"{b.what}; charged to no candidate"))  # T-6


def _plant(s: Reading, r: Record, b: e.PlantRevealed) -> None:
    row = s.proposals.get(b.proposal)
    if row is None or row.received_seq != b.received:
        s.finding(r.seq, f"a planted defect was revealed that does not fit proposal {b.proposal}")
        return
    tests = [t for t in s.tests.values() if t.proposal == b.proposal]
    used = sum(s.charged.get(t.test, 0) for t in tests)
    words = tuple(w for t in tests if t.verdict for w in own_words(s.terms[-1], s.plans[t.test], s.units[t.test]))
    s.trials += b.trials
    s.plants[b.proposal] = PlantRow(
        r.seq, b.proposal, b.defect, b.basis, row.outcome, row.reason, len(s.runs), used + b.trials, words
    )


def _control_started(s: Reading, r: Record, b: e.ControlStarted) -> None:
    s.begin("control", b.control, r.seq)
    s.trials += b.trials
    s.looks += b.items


def _control_ended(s: Reading, r: Record, b: e.ControlEnded) -> None:
    s.end("control", b.control, r.seq)
    since = s.twins.sound_seq
    problem = s.twins.see(r.seq, b)
    if problem:
        s.finding(r.seq, problem)
    if s.twins.open_alarm != r.seq:
        return
    s.remarks.append(Remark(r.seq, "control broken", "the incumbent, compared with itself, came out different"))
    for number in s.line:
        row = s.generations[number]
        if row.verdict_seq is not None and row.verdict_seq > since:
            s.generations[number] = replace(row, doubtful=r.seq)


def _control_resolved(s: Reading, r: Record, b: e.ControlResolved) -> None:
    if s.twins.resolve(r.seq, b):
        s.remarks.append(Remark(r.seq, "control resolved", f"{b.reviewer} signed that the cause was found"))


_HANDLERS: dict[str, Callable[[Reading, Record, Any], None]] = {
    "genesis": _genesis, "epoch-opened": _epoch, "run-started": _run_started, "run-ended": _run_ended,
    "controls-checked": _controls, "proposal-requested": _requested, "proposal-received": _received,
    "screened": _screened, "test-opened": _test_opened, "batch-started": _batch_started,
    "batch-ended": _batch_ended, "verdict": _verdict, "line-intent": _line_intent, "line-moved": _line_moved,
    **reviewed.HANDLERS, "improver-in-force": _in_force, "release-intent": _release_intent, "released": _released,
    "control-started": _control_started, "control-ended": _control_ended, "control-resolved": _control_resolved,
    **measured.HANDLERS, "waiver": _waiver, "fault": _fault, "plant-revealed": _plant,
}  # fmt: skip
