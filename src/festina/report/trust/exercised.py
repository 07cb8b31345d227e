"""Grounds about what has to work when it is needed, and so is exercised: the way back, and the stop.  # D-5, G-5"""

from __future__ import annotations

from festina.report.law.calendar import moment
from festina.report.numerals import count
from festina.report.trust.grounds import EXERCISE_DAYS, HALT_SECONDS, Case
from festina.report.trust.model import Ground

_SPARE = "Exercise festina rollback with a generation to spare: what is taken back leaves the line for good."
_HALT = "Exercise festina halt while a run is going on, then festina unhalt."


def way_back(case: Case) -> Ground:
    if not case.seen.rollbacks:
        return Ground(
            "the way back",
            "cannot tell yet",
            "no roll back was ever made here",
            next=_SPARE,
        )
    begun, ended = case.seen.rollbacks[-1]
    took = (moment(ended.at) - moment(begun.at)).total_seconds()
    said, seqs = f"rolled back on {ended.at[:10]}, in {took:.1f} s", (begun.seq, ended.seq)
    if case.stale(ended.at, EXERCISE_DAYS):
        said = f"{said}; too long ago"
        return Ground("the way back", "cannot tell yet", said, seqs, ended.at, next=_SPARE)
    return Ground("the way back", "yes", said, seqs, ended.at, case.until(ended.at, EXERCISE_DAYS))


def halting(case: Case) -> Ground:
    measured = [(at, body) for at, body in case.seen.halts if body.took_s is not None]
    if not measured:
        return Ground(
            "the stop",
            "cannot tell yet",
            "it was never used here",
            next=_HALT,
        )
    at, body = measured[-1]
    assert body.took_s is not None
    said = f"the last halt took {body.took_s:.2f} s and ended {count(body.processes or 0, 'process', 'processes')}"
    if body.left or body.took_s > HALT_SECONDS:
        left = f"; {count(body.left, 'process', 'processes')} would not end" if body.left else ""
        return Ground(
            "the stop",
            "no",
            said + left,
            (at.seq,),
            at.at,
            next="Run festina doctor, and find out why the stop took so long.",
        )
    if not body.processes:
        return Ground(
            "the stop",
            "cannot tell yet",
            "it was used while nothing ran",
            (at.seq,),
            at.at,
            next=_HALT,
        )
    if case.stale(at.at, EXERCISE_DAYS):
        return Ground(
            "the stop",
            "cannot tell yet",
            f"{said}; too long ago",
            (at.seq,),
            at.at,
            next=_HALT,
        )
    return Ground("the stop", "yes", said, (at.seq,), at.at, case.until(at.at, EXERCISE_DAYS))
