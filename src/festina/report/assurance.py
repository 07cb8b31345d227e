"""What a report says about the controls that ran along with the tests.

Not covered here: the controls of the scorer before a run (``sections``).
"""

from __future__ import annotations

from collections.abc import Callable

from festina.report.data import ReportData, TwinsRow
from festina.report.markup import Html, el, join
from festina.report.numerals import count, percent
from festina.report.verifiers import lines, of
from festina.select.catches import Caught, rates

Ref = Callable[..., Html]


def sections(data: ReportData, ref: Ref) -> list[Html]:
    """All of it, in the order of a page."""
    return [twins(data.twins, ref), plants(data, ref), verifiers(data, ref), models(data)]


def models(data: ReportData) -> Html:
    """What models were asked, and what it cost.  # E-5"""
    return join(el("h3", "Models"), el("p", " ".join(data.models))) if data.models else Html("")


def twins(row: TwinsRow | None, ref: Ref) -> Html:
    """The incumbent against itself, in a paragraph.  # V-2"""
    if row is None:
        return Html("")
    if not row.units:
        why = "it was turned off" if row.share == 0.0 else f"{percent(row.share)} of the units are set aside for it"
        return el("p", f"The incumbent was not run against itself: {why}.", cls="note")
    said = (
        f"The incumbent was run against itself on {count(row.units, 'unit')}, as one test over the whole epoch whose "
        f"chance of ever raising a false alarm is at most {percent(row.level)}. "
    )
    if row.open_alarm is not None:
        verdict = "It broke: something tells the two sides of a comparison apart."
    elif row.alarms:
        verdict = f"It broke {count(len(row.alarms), 'time')}, resolved by {', '.join(row.resolved_by)}."
    else:
        verdict = "No side was favoured as far as it can tell; a small effect may need more units than were run."
    return el("p", said, verdict, ref(*(row.alarms or row.seqs)))


def plants(data: ReportData, ref: Ref) -> Html:
    """What was planted on purpose and what of it was caught.  # V-7"""
    if not data.plants:
        return el("p", "No known-bad change was planted, so the verifier's miss rate was not measured.", cls="note")
    counted, run = rates(data.plants), rates([p for p in data.plants if p.run == len(data.runs)])
    used = sum(p.trials for p in data.plants)
    share = percent(used / data.trials) if data.trials else "0 %"
    heads = ("planted", "caught", "catch rate, 95 %", "why it is bad")
    head = el("tr", *(el("th", name, scope="col") for name in heads))
    rows = [_plant_row("all", counted.all, "", ref(*(p.seq for p in data.plants)))]
    rows += [_plant_row("in the newest run", run.all, "", Html(""))] if len(data.runs) > 1 else []
    for kind, row in counted.kinds.items():
        why = sorted({p.basis for p in data.plants if p.defect == kind})
        rows.append(_plant_row(kind, row, ", ".join(_BASIS[b] for b in why), Html("")))
    return join(
        el("h3", "Known-bad changes, planted on purpose"),
        el(
            "p",
            "They went through the same screen, test and verdict as every proposal, and nobody could tell them apart "
            f"before their verdict. They took {count(used, 'trial')}, {share} of all, count for nothing else, "
            "and are never released. A rate is about the kinds that were planted, not about every mistake there is.",
            cls="note",
        ),
        el("div", el("table", el("thead", head), el("tbody", *rows)), cls="wide"),
    )  # fmt: skip


_BASIS = {
    "construction": "by construction",
    "public": "shown on public items",
    "presumed": "presumed, not shown",
}


def _plant_row(name: str, row: Caught, why: str, cited: Html) -> Html:
    low, high = row.interval
    rate = f"{percent(low)} to {percent(high)}" if row.judged else "–"
    caught = f"{row.caught:,} of {row.judged:,}"
    return el("tr", el("td", name, cited), el("td", caught), el("td", rate), el("td", why))


def verifiers(data: ReportData, ref: Ref) -> Html:
    """How the misses of several verifiers go together.  # V-5"""
    epoch = data.epoch
    if epoch is None or not epoch.judges:
        return Html("")
    names = ("the goal's scorer", *(f"{j.name}{' (watching)' if j.role == 'watch' else ''}" for j in epoch.judges))
    said = lines(names, epoch.families, epoch.proposer_family, [p.words for p in data.plants if p.words],
                 of(data.drill, epoch.judges))
    first, *rest = said
    listed = el("ul", *(el("li", line.strip()) for line in rest))
    return join(el("h3", "Several verifiers"), el("p", first, ref(epoch.seq)), listed)
