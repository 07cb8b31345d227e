"""The report as one self-contained HTML page: no scripts, nothing fetched, everything escaped.  # T-5, C-2

The same data give the same bytes.
"""

from __future__ import annotations

from festina.report import abilities, attribution, compare, gates, growth, outside, reviewed, sections, shell, tries
from festina.report.data import ReportData
from festina.report.markup import Html


def page(data: ReportData, control: ReportData | None = None, *, plots: bool = True) -> str:
    """The whole page. ``plots`` needs matplotlib (ImportError without it); ``control`` adds the comparison."""
    ref = sections.Refs(data.size)
    drawn = _drawn(data, control) if plots else {}
    figure = drawn.get
    body = [
        sections.head(data, ref),
        sections.line(data, ref, figure),
        sections.tests(data, ref, figure),
        attribution.overfitting(data, ref),
        attribution.attribution(data, ref, figure),
        sections.budget(data, ref, figure),
        sections.proposals(data, ref, figure),
        tries.section(data.tried, ref),
        growth.section(data, ref, figure),
        outside.section(data.outside, ref),
        reviewed.section(data, figure),
        abilities.section(data.abilities, ref),
        gates.section(data.gates, ref),
        compare.section(data, control, ref, figure) if control is not None else None,
        sections.rules(data, ref),
        sections.remarks(data, ref),
        sections.limits(data),
    ]
    body.append(sections.entries(data, ref))
    root = f", root {data.root}" if data.root else ""
    foot = f"Festina {data.version} · a reading of {data.size:,} ledger entries{root} · same ledger, same page"
    return shell.page(f"Festina: {data.system}", body, foot)


def _drawn(data: ReportData, control: ReportData | None) -> dict[str, Html | None]:
    from festina.report import figures

    return {
        "progress": figures.progress(data),
        "evidence": figures.evidence(data),
        "budget": figures.budget(data),
        "outcomes": figures.outcomes(data),
        "attribution": figures.attribution(data),
        "growth": figures.growth(data),
        "reviewers": figures.reviewers(data),
        "arms": figures.arms(compare.shown(data, control)) if control else None,
    }
