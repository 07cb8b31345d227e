"""The report's reading of measurements that decide no verdict: charges, public gains, attributions, final scores."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from festina.errors import IntegrityError
from festina.ledger import entries as e
from festina.loop import attributed, internals_words
from festina.report.data import AttributionRow, FinalRow, HunkRow, OverfitRow, Remark

if TYPE_CHECKING:
    from festina.ledger.base import Entered
    from festina.report.rows import Rows


def _measure_started(s: Rows, r: Entered, b: e.MeasureStarted) -> None:
    s.begin(f"{b.purpose} measurement", b.measure, r.seq)
    s.trials += b.trials
    s.looks += b.items


def _measure_ended(s: Rows, r: Entered, b: e.MeasureEnded) -> None:
    s.end(f"{b.purpose} measurement", b.measure, r.seq)


def _skipped(s: Rows, r: Entered, b: e.MeasureSkipped) -> None:
    row = s.test_of(b.generation)
    if b.purpose == "public" and row is not None:
        s.tests[row.test] = replace(row, public_note=b.reason, public_seq=r.seq)
    if b.purpose == "attribution" and row is not None:
        s.unattributed[b.generation] = Remark(r.seq, f"generation {b.generation}", b.reason)
    if b.purpose == "internals":
        text = f"Generation {b.generation}: {internals_words.skipped(b)}"
        s.remarks.append(Remark(r.seq, "inside the model", text))  # V-9


def _compared(s: Rows, r: Entered, b: e.PublicCompared) -> None:
    row = s.test_of(b.generation)
    if row is None:
        s.finding(r.seq, f"public scores of generation {b.generation}, which no test accepted")
        return
    s.tests[row.test] = replace(row, public=b.public, gap=b.gap, public_note=b.sentence, public_seq=r.seq)
    s.overfit = OverfitRow(r.seq, b.generations, b.line_public, b.line_hidden, b.line_gap)


def _internals(s: Rows, r: Entered, b: e.InternalsCompared) -> None:
    s.inside += bool(b.distances)
    s.remarks.append(Remark(r.seq, "inside the model", b.sentence))  # V-9


def _attributed(s: Rows, r: Entered, b: e.Attributed) -> None:
    try:
        places = attributed.places(b, s.blob)
    except IntegrityError as error:
        s.finding(r.seq, f"the details of an attribution cannot be read: {error.name}")
        return
    hunks = tuple(
        HunkRow(place, h.added, h.removed, h.share or h.leave_out, h.alone, h.guards, h.verdict, words)
        for place, h, words in zip(places, b.hunks, attributed.sentences(b), strict=True)
    )
    s.unattributed.pop(b.generation, None)
    s.attributions[b.generation] = AttributionRow(
        r.seq, b.generation, b.proposal, b.method, b.units, b.broken, b.total, b.residue, b.guards,
        attributed.summary(b), hunks,
    )  # fmt: skip


def _final(s: Rows, r: Entered, b: e.FinalScored) -> None:
    if b.measure is None:  # a record from before measurements were charged
        s.looks += b.items
    s.finals.append(
        FinalRow(
            r.seq, b.label, b.tree_a, b.tree_b, s.generation_of.get(b.tree_a), s.generation_of.get(b.tree_b),
            b.units, b.items,
            b.mean_a, b.mean_b, b.estimate, b.interval,
        )
    )  # fmt: skip


def _drilled(s: Rows, r: Entered, b: e.DrillFinished) -> None:
    s.drill = b
    s.remarks.append(Remark(r.seq, "drill", f"{b.sentence()}; silence of a drill is no proof"))


def _calibrated(s: Rows, r: Entered, b: e.Calibrated) -> None:
    s.remarks.append(Remark(r.seq, "calibration", f"{b.sentence()}; a forecast, no evidence"))


def _planned(s: Rows, r: Entered, b: e.CrossplayPlanned) -> None:
    s.begin("cross-play", b.crossplay, r.seq)


def _played(s: Rows, r: Entered, b: e.CrossplayEnded) -> None:
    s.end("cross-play", b.crossplay, r.seq)
    s.grown.append(Remark(r.seq, "cross-play", b.sentence))


def _arm_started(s: Rows, r: Entered, b: e.ArmStarted) -> None:
    s.begin("control arm", b.arm, r.seq)


def _arm_ended(s: Rows, r: Entered, b: e.ArmEnded) -> None:
    s.end("control arm", b.arm, r.seq)
    told = f"{b.sentence} The arm's own record: {b.origin}, {b.size:,} entries."
    s.grown.append(Remark(r.seq, "control arm", told))


HANDLERS: dict[str, Callable[[Rows, Entered, Any], None]] = {
    "measure-started": _measure_started, "measure-ended": _measure_ended, "measure-skipped": _skipped,
    "public-compared": _compared, "attributed": _attributed, "internals-compared": _internals, "final-scored": _final,
    "drill-finished": _drilled, "calibrated": _calibrated, "crossplay-planned": _planned,
    "crossplay-ended": _played, "arm-started": _arm_started, "arm-ended": _arm_ended,
}  # fmt: skip
