"""Incidents as people recorded them, and what each regime's clock says about them.

A fold over the ledger: opened, classified (the newest classification counts), filed, resolved. What does not fit is a
finding, never an exception: a second opening, a filing before anybody was aware, a resolution of nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Literal
from zoneinfo import ZoneInfo

from festina.errors import IntegrityError
from festina.ledger import entries as e
from festina.report.data import Remark
from festina.report.law.calendar import due, moment, span

if TYPE_CHECKING:
    from festina.ledger.base import Entered
    from festina.report.law.packs import Clock, DocumentType, Pack

Blob = Callable[[str], bytes]
State = Literal["late", "due", "filed", "waiting"]
LATE_NOTICE = timedelta(days=1)  # recorded so long after somebody was aware: worth a word


@dataclass(frozen=True, slots=True)
class Filing:
    seq: int
    document: str
    sent: str
    content: str
    reviewer: str
    unknown: int | None = None  # mandatory fields that were open when it was recorded


@dataclass(frozen=True, slots=True)
class Incident:
    """One incident, as its newest entries say it. ``text`` and ``why`` are a person's words."""

    number: int
    seq: int
    at: str
    aware: str
    text: str
    about: int | None
    reviewer: str
    without_person: bool
    classes: tuple[str, ...] = ()
    causal: str = ""
    why: str = ""
    classified_seq: int | None = None
    filings: tuple[Filing, ...] = ()
    resolved: str = ""
    resolved_seq: int | None = None
    resolved_without_person: bool = False
    classified_by: str = ""  # whose words ``classes``, ``causal`` and ``why`` are
    resolved_by: str = ""

    @property
    def opened_by(self) -> str:
        return named(self.reviewer, self.without_person)


@dataclass(frozen=True, slots=True)
class Statement:
    """A field's words by one person; the newest of each person counts."""

    seq: int
    at: str
    document: str
    field: str
    text: str
    reviewer: str
    without_person: bool


@dataclass(frozen=True, slots=True)
class Judgement:
    """One person's word on whether a generation's change is material: by these triggers, or by none."""

    seq: int
    generation: int
    triggers: tuple[str, ...]
    text: str
    by: str

    @property
    def sentence(self) -> str:
        judged = f"material ({', '.join(self.triggers)})" if self.triggers else "not material"
        return f"generation {self.generation} is {judged}: {self.text}"


@dataclass(slots=True)
class People:
    """What people stated, folded from the ledger."""

    incidents: dict[int, Incident] = field(default_factory=dict)
    statements: dict[tuple[str, str, str], Statement] = field(default_factory=dict)  # document, field, person
    findings: list[Remark] = field(default_factory=list)
    material: dict[tuple[int, str], Judgement] = field(default_factory=dict)  # generation, person

    def of(self, document: str, name: str) -> list[Statement]:
        """What stands in a field now, oldest first."""
        found = [s for (d, f, _), s in self.statements.items() if (d, f) == (document, name)]
        return sorted(found, key=lambda s: s.seq)


@dataclass(frozen=True, slots=True)
class Row:
    """One deadline on the board. ``due`` is None where its clock has not started."""

    incident: int
    regime: str
    document: str
    title: str
    to: tuple[str, ...]
    rule: str  # "2 days after awareness"
    due: datetime | None
    state: State
    zone: str
    sent: datetime | None = None  # when it was first sent, where it was
    note: str = ""  # doubts about the law itself
    unknown: int | None = None  # fields that had to be filled and were not, when it was last sent; None: not counted


def named(reviewer: str, without_person: bool) -> str:
    """Whose statement it is, as documents name them."""
    return f"{reviewer} (no person)" if without_person else reviewer


def reader(people: People, blob: Blob) -> Callable[[Entered], None]:
    """What takes one record after the other into ``people``."""
    return lambda record: take(people, record, blob)


def fold(records: Iterable[Entered], blob: Blob) -> People:
    """Read all ``records`` from the first on."""
    people = People()
    for record in records:
        take(people, record, blob)
    return people


KINDS = {
    body.kind
    for body in (
        e.Stated, e.IncidentOpened, e.IncidentClassified, e.IncidentFiled, e.IncidentResolved, e.MaterialityDetermined,
    )
}  # fmt: skip


def take(people: People, record: Entered, blob: Blob) -> None:
    if record.kind not in KINDS:
        return  # a long record is mostly of other kinds, and taking each apart takes longest
    body = record.body
    if isinstance(body, e.Stated):
        key = (body.document, body.field, body.reviewer)
        if body.text is None:
            people.statements.pop(key, None)
            return
        people.statements[key] = Statement(
            record.seq, record.at, body.document, body.field, _text(blob, body.text), body.reviewer, body.without_person
        )
    elif isinstance(body, e.MaterialityDetermined):
        by = named(body.reviewer, body.without_person)
        judged = Judgement(record.seq, body.generation, body.triggers, _text(blob, body.text), by)
        people.material[body.generation, body.reviewer] = judged
    elif isinstance(body, e.IncidentOpened):
        if body.incident in people.incidents:
            people.findings.append(Remark(record.seq, "opened twice", f"incident {body.incident} stood already"))
            return
        _opened(people, record, body, blob)
    elif isinstance(body, e.IncidentClassified | e.IncidentFiled | e.IncidentResolved):
        known = people.incidents.get(body.incident)
        if known is None:
            people.findings.append(Remark(record.seq, "no such incident", f"{record.kind} of incident {body.incident}"))
            return
        people.incidents[body.incident] = _further(people, known, record, body, blob)


def _opened(people: People, record: Entered, body: e.IncidentOpened, blob: Blob) -> None:
    people.incidents[body.incident] = Incident(
        body.incident, record.seq, record.at, body.aware, _text(blob, body.text), body.about, body.reviewer,
        body.without_person,
    )  # fmt: skip
    if body.aware > record.at:
        people.findings.append(Remark(
            record.seq, "aware in the future",
            f"incident {body.incident}: aware at {body.aware}, recorded at {record.at}",
        ))  # fmt: skip
    elif moment(record.at) - moment(body.aware) > LATE_NOTICE:
        people.findings.append(Remark(
            record.seq, "recorded late", f"incident {body.incident}: aware at {body.aware}, recorded at {record.at}"
        ))  # fmt: skip


def _further(people: People, known: Incident, record: Entered, body: e.Body, blob: Blob) -> Incident:
    if isinstance(body, e.IncidentClassified):
        return replace(
            known, classes=body.classes, causal=body.causal, why=_text(blob, body.text), classified_seq=record.seq,
            classified_by=named(body.reviewer, body.without_person),
        )
    if isinstance(body, e.IncidentFiled):
        if body.sent < known.aware or body.sent > record.at:
            people.findings.append(Remark(
                record.seq, "a filing out of time",
                f"incident {known.number}: sent at {body.sent}, aware at {known.aware}, recorded at {record.at}",
            ))  # fmt: skip
        filing = Filing(record.seq, body.document, body.sent, body.content, body.reviewer, body.unknown)
        return replace(known, filings=(*known.filings, filing))
    assert isinstance(body, e.IncidentResolved)
    if body.resolved < known.aware:
        people.findings.append(Remark(record.seq, "resolved before it was known", f"incident {known.number}"))
    return replace(
        known, resolved=body.resolved, resolved_seq=record.seq, resolved_without_person=body.without_person,
        resolved_by=named(body.reviewer, body.without_person),
    )


def _text(blob: Blob, digest: str) -> str:
    try:
        return blob(digest).decode("utf-8", errors="replace")
    except IntegrityError:
        return "(these words are no longer in the record)"


def causal_words(causal: str) -> str:
    return {"suspected": "a causal link is suspected", "established": "a causal link is established"}.get(causal, "")


def board(packs: Iterable[Pack], incidents: Iterable[Incident], now: datetime) -> list[Row]:
    """Every deadline of every incident under every enabled regime, the earliest first, what is filed last."""
    found = [
        row
        for incident in incidents
        for pack in packs
        if pack.regime.enabled
        for document in pack.document
        if document.incident
        for row in _rows(pack, document, incident, now)
    ]
    order = {"late": 0, "due": 1, "waiting": 2, "filed": 3}
    return sorted(found, key=lambda r: (order[r.state], r.due.timestamp() if r.due else 0.0, r.document, r.incident))


def _rows(pack: Pack, document: DocumentType, incident: Incident, now: datetime) -> Iterable[Row]:
    """The rows of one document: of several classes that apply, the earliest deadline counts."""
    clocks = [c for c in document.clock if c.of_class is None or c.of_class in incident.classes]
    ours = {c.id for c in pack.incident_class}
    if not clocks or not ours & set(incident.classes):
        return
    sent = [f for f in incident.filings if f.document == document.id]
    best: tuple[datetime | None, Clock] | None = None
    for clock in clocks:
        at = _due(pack, document, clock, incident)
        if best is None or (at is not None and (best[0] is None or at < best[0])):
            best = (at, clock)
    assert best is not None
    at, clock = best
    if clock.until == "resolved" and incident.resolved:
        return
    period = span(clock.due).words() if clock.due else ""
    start = {"aware": "awareness", "resolved": "resolution"}.get(clock.after or "", "the report before it")
    repeated = " and again after each" if clock.every else ""
    state: State = (
        "filed" if sent and clock.every is None else "waiting" if at is None else "late" if at < now else "due"
    )
    yield Row(
        incident.number, pack.regime.id, document.id, document.title, document.to,
        f"{period} after {start}{repeated}", at, state, pack.regime.zone,
        min((moment(f.sent) for f in sent), default=None), "; ".join(_doubts(pack, incident, now)),
        sent[-1].unknown if sent else None,
    )  # fmt: skip


def _doubts(pack: Pack, incident: Incident, now: datetime) -> list[str]:
    """A law may not have been in force when somebody became aware; its clock is shown, and says so."""
    from festina.report.law.packs import doubts

    found = list(doubts(pack, now.date()))
    if moment(incident.aware).date() < pack.regime.in_force <= now.date():
        found.append(f"not in force before {pack.regime.in_force.isoformat()}, after awareness")
    return found


def _due(pack: Pack, document: DocumentType, clock: Clock, incident: Incident) -> datetime | None:
    zone, holidays = ZoneInfo(pack.regime.zone), pack.regime.holidays
    started = _started(clock.after or "", incident)
    if clock.due is None or started is None:
        return None
    own = [moment(f.sent) for f in incident.filings if f.document == document.id]
    if clock.every is not None and own:  # counted from the newest of them
        return due(max(own), span(clock.every), zone, holidays)
    return due(started, span(clock.due), zone, holidays)


def _started(event: str, incident: Incident) -> datetime | None:
    if event == "aware":
        return moment(incident.aware)
    if event == "resolved":
        return moment(incident.resolved) if incident.resolved else None
    if event.startswith("filed:"):
        sent = [moment(f.sent) for f in incident.filings if f.document == event.removeprefix("filed:")]
        return min(sent) if sent else None
    return None
