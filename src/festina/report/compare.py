"""A run beside its control arm: the same system and rules, another improver.  # W-2 in its simplest form

Differences between arms are shown with each arm's own interval; no verdict is drawn from them here.
"""

from __future__ import annotations

from dataclasses import dataclass

from festina.report.data import FinalRow, ReportData
from festina.report.markup import Html, el, join
from festina.report.numerals import between, num, signed
from festina.report.sections import Figure, Refs, plot, row, table
from festina.report.words import compared


@dataclass(frozen=True, slots=True)
class Arm:
    """One arm's totals. ``final`` compares the head of its line with generation 0 on held-out items."""

    name: str
    proposals: int
    accepted: int
    trials: int
    looks: int
    final: FinalRow | None


def arm(data: ReportData, name: str) -> Arm:
    accepted = sum(p.outcome == "accepted" for p in data.proposals)
    return Arm(name, len(data.proposals), accepted, data.trials, data.looks, data.overall())


def name_of(data: ReportData, fallback: str) -> str:
    run = data.run
    if run is None:
        return fallback
    return f"{run.improver}, frozen" if run.frozen_improver else run.improver


def mismatches(data: ReportData, control: ReportData) -> list[str]:
    """Why the two arms may not be comparable."""
    a, b = data.epoch, control.epoch
    if a is None or b is None:
        return ["one of the arms has no rules recorded"]
    pairs = (
        ("they started from different trees", a.start_tree, b.start_tree),
        ("they were judged by different scorers or items", a.evaluator, b.evaluator),
        ("they had different suites or margins", a.suite, b.suite),
        ("they had different error levels", (a.alpha, a.error), (b.alpha, b.error)),
    )
    return [why for why, x, y in pairs if x != y]


def section(data: ReportData, control: ReportData, ref: Refs, figure: Figure) -> Html:
    ours, theirs = (
        arm(data, f"this run ({name_of(data, 'run')})"),
        arm(control, f"control ({name_of(control, 'control')})"),
    )
    rows = [
        row(
            a.name, f"{a.proposals:,}", f"{a.accepted:,}", f"{a.trials:,}", f"{a.looks:,}",
            num(a.final.mean_a) if a.final else "–", signed(a.final.estimate) if a.final else "–",
            between(a.final.interval) if a.final else "–", numeric=range(1, 8),
        )
        for a in (ours, theirs)
    ]  # fmt: skip
    heads = (
        "arm",
        "proposals",
        "accepted",
        "trials",
        "hidden items",
        "head, held out",
        "over generation 0",
        "interval",
    )
    warned = mismatches(data, control)
    return join(
        el("h2", "Beside a control arm", id="control"),
        el("p", "Not comparable as they stand: " + "; ".join(warned) + ".", cls="banner") if warned else None,
        table(heads, rows, numeric=range(1, 8)),
        plot(
            figure("arms"),
            "Held-out difference from generation 0, with its interval. Overlapping intervals show no difference "
            "between arms.",
        ),
        _side_by_side(paired(data, control), ref) or el("p", _said(ours, theirs), cls="note"),
        el(
            "p",
            f"The control's numbers come from its own ledger, {control.origin} ({control.size:,} entries).",
            cls="note",
        ),
    )


def _side_by_side(direct: FinalRow | None, ref: Refs) -> Html | None:
    if direct is None:
        return None
    words = compared(direct.estimate, direct.interval)
    return el("p", f"Side by side on {direct.items:,} held-out items, this run is {words}.", ref(direct.seq))


def paired(data: ReportData, control: ReportData) -> FinalRow | None:
    """The newest recorded comparison of the two arms' heads on the same held-out items, if there is one."""
    ours, theirs = _head_tree(data), _head_tree(control)
    fitting = [f for f in data.finals if theirs is not None and (f.tree_a, f.tree_b) == (ours, theirs)]
    return fitting[-1] if fitting else None


def _head_tree(data: ReportData) -> str | None:
    """Tree of the newest generation on the line; None while the line is still at generation 0."""
    head = data.line[-1].proposal if data.line else None
    return next((t.tree for t in data.tests if t.verdict == "accept" and t.proposal == head), None)


def shown(data: ReportData, control: ReportData) -> list[tuple[str, FinalRow]]:
    """Differences for one picture, this run's first."""
    rows = [
        ("this run over generation 0", data.overall()),
        ("control over generation 0", control.overall()),
        ("this run over control", paired(data, control)),
    ]
    return [(name, final) for name, final in rows if final is not None]


def _said(ours: Arm, theirs: Arm) -> str:
    if ours.final is None or theirs.final is None:
        return "At least one arm has no held-out comparison with generation 0, so the arms cannot be compared by score."
    (low, high), (other_low, other_high) = ours.final.interval, theirs.final.interval
    if low > other_high or high < other_low:
        return "The intervals of the two arms do not overlap."
    return "The intervals of the two arms overlap: this record does not show that one arm did better than the other."
