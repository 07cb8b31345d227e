"""The ground about what is in use, as real requests saw it.  # D-4, W-5"""

from __future__ import annotations

from typing import TYPE_CHECKING

from festina.loop import soaks
from festina.report.numerals import percent
from festina.report.trust.grounds import RUN_DAYS, Case
from festina.report.trust.model import Ground

if TYPE_CHECKING:
    from festina.loop.watches import Watch

SOAK_LOSS = 0.10  # of a suite's range: a soak that allows more says too little
REQUESTS, FAILURES = 1_000, 0.05  # that a watch has to see, and the share of failures that it may allow


def watched(case: Case) -> Ground:
    """The content that is released was watched on real requests, and nothing took it back.  # D-4"""
    name = "watch after release"
    now = [g for g in case.data.generations if g.released_now]
    mine = [w for w in case.watches if now and w.started.commit == now[0].commit and w.ended is not None]
    if not mine and now and case.soaks and not _serves(case):
        return _soaked(case, name)
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


def _serves(case: Case) -> bool:
    """Whether requests came at all, to any version; a watch that was left open says nothing of having had none."""
    return any(w.requests or w.ended is None for w in case.watches)


def _soaked(case: Case, name: str) -> Ground:
    """No requests of it were watched: every soak suite was shown to hold, and that evidence is fresh.  # D-3"""
    ran = [(terms, row) for terms, row in case.soaks if row is not None]
    seqs = tuple(row.seq for _, row in ran)
    said = "; ".join(soaks.sentence(terms, row) for terms, row in ran)
    if len(ran) < len(case.soaks):
        names = ", ".join(terms.name for terms, row in case.soaks if row is None)
        said = f"soak suites that have not run on what is released: {names}"
        return Ground(name, "cannot tell yet", said, seqs, next="Run festina soak.")
    at, until = min(row.at for _, row in ran), min(soaks.until(terms, row) for terms, row in ran)
    if any(soaks.answer(terms, row) == "worse" for terms, row in ran):
        return Ground(name, "no", said, seqs, at, next="Take it back with festina rollback.")
    if any(soaks.answer(terms, row) != "holds" for terms, row in ran):
        remedy = "Give the soak suite more units, or leave the version that does not hold."
        return Ground(name, "cannot tell yet", said, seqs, at, next=remedy)
    if any(not soaks.valid(terms, row, case.now) for terms, row in ran):
        return Ground(name, "cannot tell yet", f"{said}; not valid now", seqs, at, next="Run festina soak again.")
    if any(terms.max_loss > SOAK_LOSS * (terms.high - terms.low) for terms, _ in ran):
        said = f"{said}; more than {percent(SOAK_LOSS)} of a suite's range may be lost"
        remedy = "Narrow max_loss in [suite.soak.NAME], and give it the units that this takes."
        return Ground(name, "cannot tell yet", said, seqs, at, next=remedy)
    return Ground(name, "yes", said, seqs, at, until.isoformat(timespec="seconds").replace("+00:00", "Z"))


def later(case: Case) -> tuple[Ground, ...]:
    """What became of its work, where the rules ask for it.  # D-4"""
    name, now = "what became of its work", [g for g in case.data.generations if g.released_now]
    if case.later is None or not now:
        return ()
    terms, known = case.later
    if known is None or not known.batches:
        how = "Bring what became of its work with festina outcome."
        return (Ground(name, "cannot tell yet", "no outcome of what is released has come in", next=how),)
    said = known.sentence(now[0].generation, terms, case.now)
    seqs, at = (case.data.size - 1,), known.batches[-1].last
    if known.seen.answer == "roll back":
        return (Ground(name, "no", said, seqs, at, next="Take it back with festina rollback."),)
    if known.fresh(terms, case.now) < terms.least:
        how = "Bring more of what became of its work lately with festina outcome."
        return (Ground(name, "cannot tell yet", said, seqs, at, next=how),)
    until = known.until(terms).isoformat(timespec="seconds").replace("+00:00", "Z")
    return (Ground(name, "yes", said, seqs, at, until),)


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
