"""The report's reading of what follows a verdict: moves of the line, who proposes next, what is released."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from festina.ledger import entries as e
from festina.ledger.base import Entered
from festina.report.data import (
    GenerationRow,
    Remark,
)
from festina.report.rows import Rows


def _line_intent(s: Rows, r: Entered, b: e.LineIntent) -> None:
    s.begin("move", b.move, r.seq)
    if b.cause in ("rollback", "denial"):
        while s.line and s.line[-1] != b.generation:
            dropped = s.line.pop()
            s.generations[dropped] = replace(s.generations[dropped], left=b.cause, left_seq=r.seq)
        return
    proposal = s.proposals.get(b.proposal) if b.proposal is not None else None
    test = s.accepted_by(b.proposal)
    s.generation_of[b.new_commit] = b.generation
    if test is not None:
        s.generation_of[test.tree] = b.generation
    s.generations[b.generation] = GenerationRow(
        generation=b.generation, commit=b.new_commit, intent_seq=r.seq, moved_seq=None,
        author=proposal.author if proposal else "", proposal=b.proposal,
        verdict_seq=test.verdict_seq if test else None, sentence=test.sentence if test else "",
        estimate=test.estimate if test else None, interval=test.interval if test else None,
        assurance=test.assurance if test else "", provisional=test.provisional if test else False,
        improver_changed=proposal.improver_changed if proposal else False,
        changed_lines=proposal.changed_lines if proposal else 0, approved_by="", approved_seq=None,
        approved_with=None, without_person=False, left="", left_seq=None,
        doubtful=None, in_force_seq=None, released_seq=None,
        released_now=False,
    )  # fmt: skip
    s.line.append(b.generation)


def _line_moved(s: Rows, r: Entered, b: e.LineMoved) -> None:
    s.end("move", b.move, r.seq)
    row = s.generations.get(b.generation)
    if row is not None and row.moved_seq is None:
        s.generations[b.generation] = replace(row, moved_seq=r.seq)


def _in_force(s: Rows, r: Entered, b: e.InForce) -> None:
    s.in_force = b.generation
    row = s.generations.get(b.generation)
    if row is not None:
        s.generations[b.generation] = replace(row, in_force_seq=r.seq)


def _release_intent(s: Rows, r: Entered, b: e.ReleaseIntent) -> None:
    s.begin("release", b.release, r.seq)
    if b.grant is not None and b.generation in s.generations:
        s.generations[b.generation] = replace(s.generations[b.generation], granted_seq=b.grant)
        text = f"generation {b.generation} was released without asking, under the step signed in entry {b.grant}"
        s.remarks.append(Remark(r.seq, "released unattended", text))  # G-7


def _released(s: Rows, r: Entered, b: e.Released) -> None:
    s.end("release", b.release, r.seq)
    for number, row in s.generations.items():
        s.generations[number] = replace(row, released_now=number == b.generation)
    s.released = b.generation
    if b.generation in s.generations:
        s.generations[b.generation] = replace(s.generations[b.generation], released_seq=r.seq)


def _waiver(s: Rows, r: Entered, b: e.Waiver) -> None:
    s.remarks.append(Remark(r.seq, "waiver", f"sandbox level L{b.level} was accepted until {b.expires}"))


def _drafted(s: Rows, r: Entered, b: e.IncidentDrafted) -> None:
    s.remarks.append(Remark(r.seq, "what may be an incident", f"{b.text} (entry {b.about})"))  # D-4


HANDLERS: dict[str, Callable[[Rows, Entered, Any], None]] = {
    "line-intent": _line_intent, "line-moved": _line_moved, "improver-in-force": _in_force,
    "release-intent": _release_intent, "released": _released, "waiver": _waiver,
    "incident-drafted": _drafted,
}  # fmt: skip
