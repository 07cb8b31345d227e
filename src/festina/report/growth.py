"""Whether recursion pays: who made the gain, control arms, cross-play; how predictions came true.  # W-2, P-5, P-6"""

from __future__ import annotations

from collections.abc import Sequence
from math import sqrt

from festina.report.data import Level, ReportData
from festina.report.markup import Html, el, join
from festina.report.numerals import num, signed
from festina.report.sections import Figure, Refs, plot, row, table
from festina.select.normal import TWO_SIDED
from festina.select.predictions import NOTE, Record
from festina.select.productivity import author, authorship, shared_out
from festina.watch.readings import Gain

UNMEASURED = (
    "Whether the improver's own improvement paid was not measured in this record: a rising score alone does not show "
    "it. festina growth --control and --crossplay do."
)

GROWN = (
    "Doublings of the odds of a better score since the start (without a declared range: of the score itself), with "
    "95 % limits; from the gains that decided the acceptances, which flatters."
)


def section(data: ReportData, ref: Refs, figure: Figure) -> Html:
    """Empty before the first acceptance."""
    rows = {p.proposal: p for p in data.proposals}
    steps, cited = [], []
    for g in data.line:
        proposal = rows.get(g.proposal) if g.proposal is not None else None
        if proposal is not None and g.estimate is not None and proposal.proposal not in data.for_improver:
            first = proposal.from_generation == data.generations[0].generation
            steps.append((author(proposal.improver, first), g.estimate))
            cited.append(g.verdict_seq)
    if not steps and not data.grown and not data.predictions:
        return Html("")
    said = [el("p", f"{r.what.capitalize()}: {r.text}", ref(r.seq)) for r in data.grown]
    return join(
        el("h2", "Does recursion pay?", id="growth"),
        el("p", shared_out(authorship(steps)), ref(*cited)) if steps else None,
        *(said or [el("p", UNMEASURED, cls="note")]),
        plot(figure("growth"), GROWN),
        *_predictions(data.predictions, ref),
    )


def levels(made: Sequence[Gain]) -> tuple[Level, ...]:
    """Gains of the line added up; empty before any. Their errors add in squares."""
    if not made:
        return ()
    rows, level, variance = [Level(0, 0.0, 0.0, 0.0)], 0.0, 0.0
    for g in made:
        level, variance = level + g.doublings, variance + g.error**2
        half = TWO_SIDED * sqrt(variance)
        rows.append(Level(g.generation, level, level - half, level + half))
    return tuple(rows)


def _predictions(found: tuple[Record, ...], ref: Refs) -> tuple[Html, ...]:
    if not found:
        return ()
    heads = (
        "author", "predictions", "error", "error of earlier results' median", "difference (95 %)", "answer", "accepted",
    )  # fmt: skip
    rows = [
        row(
            each.author, join(f"{each.predictions:,}", ref(*each.entries)), num(each.error, 4), num(each.reference, 4),
            _difference(each), each.answer, f"{each.held:,} of {each.hopeful:,}", numeric=(1, 2, 3, 4, 6),
        )
        for each in found
    ]  # fmt: skip
    return (
        el("h3", "Do predictions come true?", id="predictions"),
        el("p", *(f"{each.sentence} " for each in found)),
        table(heads, rows, numeric=(1, 2, 3, 4, 6)),
        el("p", NOTE, cls="note"),
    )


def _difference(each: Record) -> str:
    if each.difference is None:
        return "–"
    middle, low, high = each.difference
    return f"{signed(middle, 4)} ({signed(low, 4)} to {signed(high, 4)})"
