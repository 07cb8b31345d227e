"""The report's reading of how predictions came true: from the recorded proposals and verdicts alone.  # P-6, L-1"""

from __future__ import annotations

from festina.report.rows import Rows
from festina.select.predictions import Judged, Record, counts, records
from festina.select.productivity import author


def read(s: Rows) -> tuple[Record, ...]:
    """Of the newest epoch: under other rules a gain is another quantity. Planted changes predict nothing."""
    if not s.epochs or not s.line:
        return ()
    rows = [
        Judged(p.verdict_seq, author(p.improver, p.from_generation == s.line[0]), p.predicted, p.estimate,
               p.outcome == "accepted")
        for p in s.proposals.values()
        if p.verdict_seq is not None and p.verdict_seq > s.epochs[-1].seq and p.estimate is not None
        and p.proposal not in s.plants and p.proposal not in s.steps.improvers and counts(p.outcome, p.reason)
    ]  # fmt: skip
    return records(rows)
