"""Whether recursion pays: who made the gain, control arms, cross-play.  # W-2, P-5"""

from __future__ import annotations

from festina.report.data import ReportData
from festina.report.markup import Html, el, join
from festina.report.sections import Refs
from festina.select.productivity import author, authorship, shared_out

UNMEASURED = (
    "Whether the improver's own improvement paid was not measured in this record: a rising score alone does not show "
    "it. festina growth --control and --crossplay do."
)


def section(data: ReportData, ref: Refs) -> Html:
    """Empty before the first acceptance."""
    rows = {p.proposal: p for p in data.proposals}
    steps, cited = [], []
    for g in data.line:
        proposal = rows.get(g.proposal) if g.proposal is not None else None
        if proposal is not None and g.estimate is not None and proposal.proposal not in data.for_improver:
            first = proposal.from_generation == data.generations[0].generation
            steps.append((author(proposal.improver, first), g.estimate))
            cited.append(g.verdict_seq)
    if not steps and not data.grown:
        return Html("")
    said = [el("p", f"{r.what.capitalize()}: {r.text}", ref(r.seq)) for r in data.grown]
    return join(
        el("h2", "Does recursion pay?", id="growth"),
        el("p", shared_out(authorship(steps)), ref(*cited)) if steps else None,
        *(said or [el("p", UNMEASURED, cls="note")]),
    )
