"""What can be computed from a record about a measure: each check holds, fails, or has nothing to judge yet.

No clock is read: "late" is as of the record's last entry, so that the same record gives the same answer.  # C-2
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from festina.ledger import entries as e
from festina.ledger.base import Entered
from festina.loop.material import UPDATE
from festina.report.data import GenerationRow, ReportData
from festina.report.law.documents import build
from festina.report.law.incidents import Incident, People, board
from festina.report.law.packs import Pack, find
from festina.report.numerals import count


@dataclass(frozen=True, slots=True)
class Case:
    """All that a check may look at.

    ``granted``: generations that were released under a signed step, unasked.  # G-7
    ``used``: by generation, the entry that first released it. ``confirmed``: updates of the Model Report that people
    confirmed, as entry and the generation that they are for.
    """

    data: ReportData
    people: People
    packs: tuple[Pack, ...]
    granted: frozenset[int] = frozenset()
    used: Mapping[int, int] = field(default_factory=dict)
    confirmed: tuple[tuple[int, int], ...] = ()


@dataclass(slots=True)
class Gathered:
    """What a case needs beside the report's data. Filled by ``take`` alone, in the record's order."""

    granted: set[int] = field(default_factory=set)
    used: dict[int, int] = field(default_factory=dict)
    confirmed: list[tuple[int, int]] = field(default_factory=list)
    update: str = UPDATE

    def take(self, record: Entered) -> None:
        if record.kind not in _GATHERED:
            return  # a long record is mostly of other kinds, and taking each apart takes longest
        body = record.body
        if isinstance(body, e.EpochOpened):
            self.update = body.documents.update if body.documents is not None else UPDATE
        elif isinstance(body, e.ReleaseIntent) and body.grant is not None:
            self.granted.add(body.generation)
        elif isinstance(body, e.Released):
            self.used.setdefault(body.generation, record.seq)
        elif isinstance(body, e.DocumentConfirmed) and body.document == self.update:
            self.confirmed.append((record.seq, body.generation))

    def case(self, data: ReportData, people: People, packs: tuple[Pack, ...]) -> Case:
        """The case of the record that ``data`` and ``people`` were folded from, too."""
        return Case(data, people, packs, frozenset(self.granted), self.used, tuple(self.confirmed))


_GATHERED = frozenset({e.EpochOpened.kind, e.ReleaseIntent.kind, e.Released.kind, e.DocumentConfirmed.kind})


@dataclass(frozen=True, slots=True)
class Answer:
    """``held`` is None where the record holds nothing to judge yet."""

    held: bool | None
    text: str
    seqs: tuple[int, ...] = ()


Check = Callable[[Case], Answer]


def no_findings(case: Case) -> Answer:
    """Nothing in the record contradicts itself: ends with their intents, numbers that follow."""
    cut = "begun and not ended"  # what a budget's end, a halt or a roll back leaves behind contradicts nothing
    found = [*(row for row in case.data.findings if row.what != cut), *case.people.findings]
    if not case.data.size:
        return Answer(None, "the record is empty")
    if not found:
        return Answer(True, "nothing in the record contradicts itself", (0, case.data.size - 1))
    first = "; ".join(f"{row.what}: {row.text}" for row in found[:3])
    return Answer(False, f"{count(len(found), 'finding')}: {first}", tuple(row.seq for row in found))


def plans_before_results(case: Case) -> Answer:
    judged = case.data.judged
    if not judged:
        return Answer(None, "no test was judged yet")
    late = [t for t in judged if t.batch_seqs and t.opened_seq > t.batch_seqs[0]]
    seqs = tuple(t.opened_seq for t in (late or judged))
    if late:
        return Answer(False, f"{count(len(late), 'test')} with results from before their plan", seqs)
    return Answer(True, f"each of {count(len(judged), 'judged test')} was planned before its first result", seqs)


def released_only_approved(case: Case) -> Answer:
    released = [g for g in case.data.generations if g.released_seq is not None and g.generation]
    if not released:
        return Answer(None, "nothing was released yet")
    asked = [g for g in released if g.generation not in case.granted]
    without = [g for g in asked if g.approved_seq is None or g.approved_seq > (g.released_seq or 0)]
    if without:
        return Answer(False, f"released without an earlier approval: generation {_listed(without)}", _released(without))
    keys = [g for g in asked if g.without_person]
    if keys:
        return Answer(False, f"approved by a key that is no person: generation {_listed(keys)}", _released(keys))
    step = f", {len(released) - len(asked)} by a signed step to releasing unasked" if len(asked) < len(released) else ""
    return Answer(True, f"a person approved each of {count(len(released), 'release')} first{step}", _released(released))


def _listed(rows: list[GenerationRow]) -> str:
    return ", ".join(str(g.generation) for g in rows[:5]) + (" and more" if len(rows) > 5 else "")


def _released(rows: list[GenerationRow]) -> tuple[int, ...]:
    return tuple(seq for g in rows for seq in (g.approved_seq, g.released_seq) if seq is not None)


def released_only_judged(case: Case) -> Answer:
    """A person judged each change in use against the triggers of Measure 7.6, and what is material has its update."""
    first = {g.generation: seq for g in case.data.generations if g.generation and (seq := _came(case, g)) is not None}
    used = [g for g in case.data.generations if g.generation in first]
    if not used:
        return Answer(None, "nothing was released yet")
    judged = {generation for generation, _ in case.people.material}
    unjudged = [g for g in used if g.generation not in judged]
    if unjudged:
        return Answer(None, f"nobody judged whether generation {_listed(unjudged)} is material", _released(unjudged))
    words = [j for j in case.people.material.values() if j.generation in first]
    late = [j for j in words if j.triggers and not any(
        j.seq < seq < first[j.generation] and of >= j.generation for seq, of in case.confirmed
    )]  # fmt: skip
    seqs = tuple(sorted(j.seq for j in late or words))
    if late:
        numbers = ", ".join(sorted({str(j.generation) for j in late}))
        return Answer(False, f"material, and released before its update was confirmed: generation {numbers}", seqs)
    said = count(sum(bool(j.triggers) for j in words), "material change")
    return Answer(True, f"a person judged each of {count(len(used), 'change')} that came into use: {said}", seqs)


def _came(case: Case, g: GenerationRow) -> int | None:
    """The entry that first brought a generation's change into use: its own release, or a later one's on its line."""
    return min((seq for number, seq in case.used.items() if number >= g.generation
                and (g.left_seq is None or g.left_seq > seq)), default=None)  # fmt: skip


def controls_held(case: Case) -> Answer:
    controls = case.data.controls
    if not controls:
        return Answer(None, "no control of the scorers was run yet")
    broken = [c for c in controls if not c.ok]
    if broken or (case.data.twins is not None and case.data.twins.open_alarm is not None):
        return Answer(False, "a control of the scorers failed", tuple(c.seq for c in broken or controls[-1:]))
    return Answer(
        True, f"constant, random and known answers scored as they should, {count(len(controls), 'time')}",
        tuple(c.seq for c in controls),
    )  # fmt: skip


def planted_defects_caught(case: Case) -> Answer:
    judged = [p for p in case.data.plants if p.judged]
    if not judged:
        return Answer(None, "no planted defect was judged yet")
    missed = [p for p in judged if p.missed]
    text = f"{len(judged) - len(missed)} of {count(len(judged), 'planted defect')} caught"
    return Answer(not missed, text, tuple(p.seq for p in (missed or judged)))


def drill_without_holes(case: Case) -> Answer:
    drill = case.data.drill
    if drill is None:
        return Answer(None, "no drill was run yet")
    seqs = tuple(entry.seq for entry in case.data.entries if entry.kind == "drill-finished")[-1:]
    return Answer(drill.holes == 0 and drill.attacks > 0, drill.sentence(), seqs)


def confined(case: Case) -> Answer:
    """The box of the newest run: at least level 2, with users of their own."""
    run = case.data.run
    if run is None:
        return Answer(None, "nothing ran yet")
    held = run.level >= 2 and run.separated_uids
    users = "users of their own" if run.separated_uids else "one user for all"
    return Answer(held, f"the newest run was confined at level L{run.level}, with {users}", (run.seq,))


def guards_never_changed(case: Case) -> Answer:
    """No accepted proposal changed what guards the loop."""
    if not case.data.proposals:
        return Answer(None, "nothing was proposed yet")
    tried = [p for p in case.data.proposals if p.guard_change]
    through = [p for p in tried if p.outcome == "accepted"]
    if through:
        return Answer(False, f"{count(len(through), 'accepted change')} of what guards the loop",
                      tuple(p.last_seq for p in through))  # fmt: skip
    said = f"{count(len(tried), 'attempt')} to change what guards the loop, none accepted"
    return Answer(True, said, tuple(p.last_seq for p in tried) or (case.data.proposals[-1].last_seq,))


def incident_reports_complete(case: Case) -> Answer:
    """Each incident in a class of the Code has an initial report without an empty mandatory field."""
    found = _under_the_code(case)
    if not found:
        return Answer(None, "no incident was recorded in a class of the Code")
    pack, kind = find(case.packs, INITIAL)
    drafts = [
        i for i in found if build(pack, kind, case.data, case.people, lambda seq: "", i).state == "draft"
    ]  # fmt: skip
    if drafts:
        numbers = ", ".join(str(i.number) for i in drafts)
        return Answer(False, f"the initial report is still a draft for incident {numbers}", _seqs(drafts))
    return Answer(True, f"the initial report is complete for {count(len(found), 'incident')}", _seqs(found))


INITIAL = "eu.serious-incident-initial"


def filed_in_time(case: Case) -> Answer:
    """Every deadline of the Code's pack that had passed when the record ended was met."""
    from festina.report.law.calendar import moment

    found = _under_the_code(case)
    if not found:
        return Answer(None, "no incident was recorded in a class of the Code")
    pack, _ = find(case.packs, INITIAL)
    now = moment(case.data.last_at)
    rows = board([pack], found, now)
    late = [
        r
        for r in rows
        if r.state == "late" or (r.state == "filed" and r.sent is not None and r.due is not None and r.sent > r.due)
    ]
    if late:
        words = ", ".join(f"{r.document} of incident {r.incident}" for r in late[:3])
        return Answer(False, f"late: {words}", _seqs([i for i in found if i.number in {r.incident for r in late}]))
    if not any(r.state == "filed" for r in rows):
        return Answer(None, "nothing was filed yet, and nothing was late when the record ended", _seqs(found))
    return Answer(True, "everything that was due when the record ended was filed in time", _seqs(found))


def _under_the_code(case: Case) -> list[Incident]:
    pack, _ = find(case.packs, INITIAL)
    classes = {c.id for c in pack.incident_class}
    return [i for i in case.people.incidents.values() if classes & set(i.classes)]


def _seqs(found: list[Incident]) -> tuple[int, ...]:
    own = [(i.seq, i.classified_seq, *(f.seq for f in i.filings)) for i in found]
    return tuple(seq for row in own for seq in row if seq is not None)


CHECKS: dict[str, Check] = {
    "no-findings": no_findings, "plans-before-results": plans_before_results,
    "released-only-approved": released_only_approved, "released-only-judged": released_only_judged,
    "controls-held": controls_held,
    "planted-defects-caught": planted_defects_caught, "drill-without-holes": drill_without_holes,
    "confined": confined, "guards-never-changed": guards_never_changed,
    "incident-reports-complete": incident_reports_complete, "filed-in-time": filed_in_time,
}  # fmt: skip
