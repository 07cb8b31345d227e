"""The fold from ledger entries to ``ReportData``: it reads, it never decides.

Covers every kind of entry; an unknown kind counts in ``size`` and is otherwise left alone. It is more
forgiving than the loop's own fold, which refuses entries out of order: a report on a damaged or crashed
ledger must still be written, so what does not fit becomes a finding.  # L-3
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from typing import Any

from festina.ledger import entries as e
from festina.ledger.base import Entered
from festina.ledger.collecting import uncollected
from festina.report import judged, measured, moved, predicted, reviewed
from festina.report.data import (
    ControlRow,
    Entry,
    EpochRow,
    PlantRow,
    Remark,
    ReportData,
    RunRow,
)
from festina.report.paths import own_words
from festina.report.rows import Blob, Rows
from festina.report.twins import Twins


def fold(records: Iterable[Entered], blob: Blob, *, root: str = "", paths: bool = True) -> ReportData:
    """Read all ``records`` from the first on. ``blob`` gives the bytes of a digest (raises IntegrityError).

    ``paths``: whether each test's evidence is kept unit by unit, which only plots need and a fifth of the time goes to.
    """
    return read(records, blob, paths=paths).data(root)


def read(
    records: Iterable[Entered], blob: Blob, *, paths: bool = True, beside: Sequence[Callable[[Any], None]] = ()
) -> Reading:
    """The same with the loop's own state beside it (``people``).

    ``beside``: what else takes each record, in the same pass, since reading and checking a long record takes long.
    """
    reading = Reading(blob, paths=paths)
    takers = (reading.take, *beside)
    with uncollected(records):
        for record in records:
            for take in takers:
                take(record)
    return reading


class Reading(Rows):
    """The rows, filled by ``take`` alone."""

    def take(self, record: Entered) -> None:
        kind, body = record.kind, record.body
        self.dates.see(record.seq, record.at, person=body.role == "reviewer")
        self.entries.append(Entry(record.seq, kind, record.at, body.role))
        self.steps.take(body)
        self.tries.take(record.seq, body)
        self.called.take(body)
        self.evidence = self.people.evidence(body)
        self.people.take(record)
        self.gates.take(record)
        self.abilities.take(record)
        self.outside.take(record)
        if (handler := _HANDLERS.get(kind)) is not None:
            handler(self, record, body)

    def _looked(self) -> int:
        """The newest generation on the line that a person approved; -1 for none."""
        return max((n for n in self.line if self.generations[n].approved_seq is not None), default=-1)

    def data(self, root: str) -> ReportData:
        genesis = self.genesis
        left_open = [
            Remark(seq, "begun and not ended", f"{what} {number} was begun and its end is not recorded")
            for (what, number), seq in self.open.items()
        ]
        dated = [Remark(seq, *what.split(": ", 1)) for seq, what in self.dates.findings]
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
            remarks=(*self.remarks, *reviewed.rungs(self.people.state)),
            findings=tuple(sorted([*self.findings, *dated, *left_open], key=lambda f: f.seq)),
            certified=self.steps.total([self.generations[n] for n in self.line], self.twins.open_alarm),
            overfit=self.overfit,
            attributions=tuple(self.attributions.values()), unattributed=tuple(self.unattributed.values()),
            reviewers=self.people.sentences(), grown=tuple(self.grown), models=tuple(self.called.sentences()),
            for_improver=tuple(sorted(self.steps.improvers)), predictions=predicted.read(self),
            probed=self.abilities.probed(g.name for terms in self.terms for g in terms.guards), inside=self.inside,
            growth=self.people.levels(), calibrated=self.people.calibrated(),
            trials=self.trials + self.tries.runs, looks=self.looks, tried=self.tries.row(),
            in_force=self.in_force, released=self.released,
            outside=self.outside.rows(
                self.proposals.values(), self.terms[-1].debt_generations if self.terms else None, self.blob
            ),
            entries=tuple(self.entries), gates=self.gates.rows(),
            abilities=self.abilities.rows(self.line, self._looked()),
        )  # fmt: skip


# -- one function a kind ------------------------------------------------------------------------------


def _genesis(s: Rows, r: Entered, b: e.Genesis) -> None:
    s.genesis = b


def _epoch(s: Rows, r: Entered, b: e.EpochOpened) -> None:
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


def _run_started(s: Rows, r: Entered, b: e.RunStarted) -> None:
    s.runs.append(
        RunRow(
            r.seq, b.run, b.improver, b.frozen_improver, b.sandbox_level, b.sandbox_missing, b.sandbox_policy,
            b.separated_uids, r.at, None, None, "", None,
        )
    )  # fmt: skip


def _run_ended(s: Rows, r: Entered, b: e.RunEnded) -> None:
    for i in range(len(s.runs) - 1, -1, -1):
        if s.runs[i].run == b.run and s.runs[i].ended is None:
            s.runs[i] = replace(s.runs[i], ended_seq=r.seq, ended=b.reason, detail=b.detail, wall_s=b.wall_s)
            return
    s.finding(r.seq, f"run {b.run} ended without having been begun")


def _controls(s: Rows, r: Entered, b: e.ControlsChecked) -> None:
    s.controls.append(ControlRow(r.seq, b.constant, b.random, b.oracle, b.incumbent, b.ok, b.note))


def _fault(s: Rows, r: Entered, b: e.FaultRecorded) -> None:
    s.remarks.append(Remark(r.seq, "fault of Festina's own", f"{b.what}; charged to no candidate"))  # T-6


def _plant(s: Rows, r: Entered, b: e.PlantRevealed) -> None:
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


def _control_started(s: Rows, r: Entered, b: e.ControlStarted) -> None:
    s.begin("control", b.control, r.seq)
    s.trials += b.trials
    s.looks += b.items


def _control_ended(s: Rows, r: Entered, b: e.ControlEnded) -> None:
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


def _control_resolved(s: Rows, r: Entered, b: e.ControlResolved) -> None:
    if s.twins.resolve(r.seq, b):
        s.remarks.append(Remark(r.seq, "control resolved", f"{b.reviewer} signed that the cause was found"))


_HANDLERS: dict[str, Callable[[Rows, Entered, Any], None]] = {
    "genesis": _genesis, "epoch-opened": _epoch, "run-started": _run_started, "run-ended": _run_ended,
    "controls-checked": _controls, "control-started": _control_started, "control-ended": _control_ended,
    "control-resolved": _control_resolved, "fault": _fault, "plant-revealed": _plant,
    **reviewed.HANDLERS,
    **measured.HANDLERS,
    **judged.HANDLERS, **moved.HANDLERS,
}  # fmt: skip
