"""The ground about what is in use, as real requests saw it.  # D-4, W-5"""

from __future__ import annotations

from typing import TYPE_CHECKING

from festina.report.numerals import percent
from festina.report.trust.grounds import RUN_DAYS, Case
from festina.report.trust.model import Ground

if TYPE_CHECKING:
    from festina.loop.watches import Watch

REQUESTS, FAILURES = 1_000, 0.05  # that a watch has to see, and the share of failures that it may allow


def watched(case: Case) -> Ground:
    """The content that is released was watched on real requests, and nothing took it back.  # D-4"""
    name = "watch after release"
    now = [g for g in case.data.generations if g.released_now]
    mine = [w for w in case.watches if now and w.started.commit == now[0].commit and w.ended is not None]
    if not mine:
        return Ground(
            name,
            "cannot tell yet",
            "what is released was not watched on real requests",
            next="Watch what is released on real requests: festina watch GENERATION --step full --new URL.",
        )
    since = now[0].released_seq or 0
    last = next((w for w in reversed(mine) if w.started.step == "full" and w.seq > since), mine[-1])
    taken = next((w for w in reversed(mine) if w.ended is not None and w.ended.reason == "rolled-back"), None)
    last = taken or last
    seqs = (last.seq, last.ended_seq or last.seq)
    if taken is not None:
        remedy = "Take it back with festina rollback, and open an incident with festina incident open."
        return Ground(name, "no", taken.sentence(), seqs, taken.ended_at, next=remedy)
    thin = _thin(last, since)
    if thin:
        return Ground(
            name,
            "cannot tell yet",
            f"{last.sentence()}; {thin}",
            seqs,
            last.ended_at,
            next="Watch what is released on real requests: festina watch GENERATION --step full --new URL.",
        )
    assert last.ended is not None
    if last.ended.reason != "passed":
        return Ground(
            name,
            "cannot tell yet",
            last.sentence(),
            seqs,
            last.ended_at,
            next="Run festina watch again, until more requests have come.",
        )
    if case.stale(last.ended_at, RUN_DAYS):
        return Ground(
            name,
            "cannot tell yet",
            f"{last.sentence()}; too long ago",
            seqs,
            last.ended_at,
            next="Run festina watch again.",
        )
    return Ground(name, "yes", last.sentence(), seqs, last.ended_at, case.until(last.ended_at, RUN_DAYS))


def _thin(watch: Watch, since: int) -> str:
    """Why a watch says too little about what is released, or nothing."""
    if watch.started.step != "full" or watch.seq < since:
        return "that was before it was in use"
    if watch.started.tolerate > FAILURES:
        return f"{percent(watch.started.tolerate)} of the requests were allowed to fail"
    if watch.ended is not None and watch.ended.reason == "passed" and watch.requests < REQUESTS:
        return f"{REQUESTS:,} requests are asked for"
    if watch.monitor.answer == "alert":
        return "an alert stood at its end"
    return ""
