"""How far a record covers each measure, and why.  # C-1

"Satisfied" says that the evidence a measure asks for is complete in the record, and nothing more: whether it is
adequate is for people to say. A measure whose evidence is never the whole answer stays "partial".
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from festina.report.law import facts
from festina.report.law.documents import build
from festina.report.oscal.checks import CHECKS, Case
from festina.report.oscal.code import Code, Measure, asked

State = Literal["satisfied", "partial", "open", "contradicted", "human-owned", "not-applicable"]
Source = Literal["record", "people", "check"]
STATES: dict[State, str] = {
    "satisfied": "the evidence that the measure asks for is complete",
    "partial": "some of the evidence is there, or it can only be a part of the answer",
    "open": "nothing in the record shows it yet",
    "contradicted": "the record speaks against it",
    "human-owned": "only the organisation can do it; what its people stated is listed",
    "not-applicable": "it does not apply to what Festina governs",
}


@dataclass(frozen=True, slots=True)
class Row:
    """One piece of evidence. ``held``: it is there, it is missing (False) or there is nothing to judge yet (None)."""

    source: Source
    name: str
    held: bool | None
    failed: bool  # it is there, and speaks against the measure
    text: str
    seqs: tuple[int, ...]
    said: tuple[str, ...] = ()  # the sentences themselves, where they are few


@dataclass(frozen=True, slots=True)
class Covered:
    measure: Measure
    chapter: str
    state: State
    why: str
    rows: tuple[Row, ...]


SHOWN = 20  # sentences of one fact


def cover(code: Code, case: Case) -> tuple[Covered, ...]:
    """Every measure, in the Code's order."""
    return tuple(_covered(code, measure, case) for measure in code.measure)


def counts(covered: tuple[Covered, ...]) -> dict[State, int]:
    """How many measures stand where; states without any are left out."""
    found: dict[State, int] = {state: sum(c.state == state for c in covered) for state in STATES}
    return {state: n for state, n in found.items() if n}


def _covered(code: Code, measure: Measure, case: Case) -> Covered:
    rows = (*_facts(measure, case), *_kinds(measure, case), *_checks(measure, case), *_fields(measure, case))
    state = _state(measure, rows)
    return Covered(measure, code.chapter_of(measure).title, state, _why(measure, state, rows), rows)


def _state(measure: Measure, rows: tuple[Row, ...]) -> State:
    if measure.kind == "none":
        return "not-applicable"
    if measure.kind == "people":
        return "human-owned"
    if any(row.failed for row in rows):
        return "contradicted"
    there = sum(row.held is True for row in rows)
    if there == len(rows) and measure.best is not None:
        return measure.best
    return "partial" if there or any(row.source == "people" and row.seqs for row in rows) else "open"


def _why(measure: Measure, state: State, rows: tuple[Row, ...]) -> str:
    if state == "not-applicable":
        return measure.why
    against = [row.text for row in rows if row.failed]
    lacking = [row.text for row in rows if row.held is not True and not row.failed]
    said = [f"against it: {'; '.join(against)}"] if against else []
    said += [f"missing: {'; '.join(lacking)}"] if lacking else []
    said += [f"stays with people: {measure.rest}"] if measure.rest else []
    return ". ".join(said) or STATES[state]


def _facts(measure: Measure, case: Case) -> list[Row]:
    rows = []
    for name in measure.facts:
        said = facts.FACTS[name](case.data)
        more = f"; and {len(said) - SHOWN:,} more" if len(said) > SHOWN else ""
        text = f"the record says: {said[0].text}" if said else f"the record says nothing of '{name}'"
        if len(said) > 1:
            text = f"the record says {len(said):,} things of '{name}'"
        rows.append(Row("record", name, bool(said), False, text + more, facts.cited(said),
                        tuple(row.text for row in said[:SHOWN])))  # fmt: skip
    return rows


def _kinds(measure: Measure, case: Case) -> list[Row]:
    rows = []
    for kind in measure.kinds:
        seqs = tuple(entry.seq for entry in case.data.entries if entry.kind == kind)
        text = f"{len(seqs):,} entries of kind '{kind}'" if seqs else f"no entry of kind '{kind}'"
        rows.append(Row("record", kind, bool(seqs), False, text, seqs))
    return rows


def _checks(measure: Measure, case: Case) -> list[Row]:
    rows = []
    for name in measure.checks:
        answer = CHECKS[name](case)
        rows.append(Row("check", name, answer.held, answer.held is False, answer.text, answer.seqs))
    return rows


def _fields(measure: Measure, case: Case) -> list[Row]:
    rows = []
    for pack, kind, wanted in asked(case.packs, measure):
        made = build(pack, kind, case.data, case.people, lambda seq: "")
        cells = [cell for cell in made.cells if cell.name in wanted]
        filled = [cell for cell in cells if not cell.empty and not cell.contradiction]
        empty = [cell.label for cell in cells if cell.empty]
        text = f"{kind.id}: {len(filled)} of {len(cells)} fields filled"
        text += f", empty: {', '.join(empty[:3])}{' and more' if len(empty) > 3 else ''}" if empty else ""
        seqs = sorted({seq for cell in filled for line in cell.lines for seq in line.entries})
        rows.append(Row("people", kind.id, len(filled) == len(cells), False, text, tuple(seqs)))
    return rows
