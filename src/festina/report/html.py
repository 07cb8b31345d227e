"""The report as one self-contained HTML page: no scripts, nothing fetched, everything escaped.  # T-5, C-2

The page carries its own content policy, which allows its one style sheet by hash and nothing else: even a
hole in the escaping could not run or load anything. The same data give the same bytes.
"""

from __future__ import annotations

import base64
import hashlib
from importlib import resources

from festina.report import attribution, compare, growth, reviewed, sections, tries
from festina.report.data import ReportData
from festina.report.markup import Html, el, raw


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
        growth.section(data, ref),
        reviewed.section(data),
        compare.section(data, control, ref, figure) if control is not None else None,
        sections.rules(data, ref),
        sections.remarks(data, ref),
        sections.limits(data),
    ]
    body.append(sections.entries(data, ref))
    return f"<!doctype html>\n{_document(data, body)}\n"


def _drawn(data: ReportData, control: ReportData | None) -> dict[str, Html | None]:
    from festina.report import figures

    return {
        "progress": figures.progress(data),
        "evidence": figures.evidence(data),
        "budget": figures.budget(data),
        "outcomes": figures.outcomes(data),
        "attribution": figures.attribution(data),
        "arms": figures.arms(compare.shown(data, control)) if control else None,
    }


def _document(data: ReportData, body: list[Html | None]) -> Html:
    style = resources.files("festina.report").joinpath("page.css").read_text(encoding="utf-8")
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    policy = f"default-src 'none'; style-src 'sha256-{digest}'; base-uri 'none'; form-action 'none'"
    root = f", root {data.root}" if data.root else ""
    foot = el(
        "footer",
        f"Festina {data.version} · a reading of {data.size:,} ledger entries{root} · same ledger, same page",
    )
    header = el(
        "head",
        el("meta", charset="utf-8"),
        el("meta", http_equiv="Content-Security-Policy", content=policy),
        el("meta", name="referrer", content="no-referrer"),
        el("meta", name="viewport", content="width=device-width, initial-scale=1"),
        el("title", f"Festina: {data.system}"),
        raw(f"<style>{style}</style>"),
    )
    return el("html", header, el("body", el("main", *body), foot), lang="en")
