"""What people state for regulators: fields of documents, and incidents, each signed by that person's own key.  # C-1"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from datetime import UTC, datetime

from festina.errors import UsageError
from festina.ledger import entries as e
from festina.ledger.log import Draft, Ledger, Record
from festina.ledger.signing import LocalKey
from festina.loop import acts
from festina.loop.state import State
from festina.review import desk
from festina.review.binding import stamp
from festina.system.characters import odd_character
from festina.system.home import Home

MAX_TEXT = 20_000  # characters of one statement: more is an attachment, and belongs elsewhere
MAX_FILE = 16 << 20  # bytes of a report as it was sent


class Person:
    """An enrolled person with the key at hand, who signs on one ledger."""

    def __init__(self, ledger: Ledger, state: State, home: Home, name: str) -> None:
        enrolled = state.reviewers.get(name)
        if enrolled is None:
            raise UsageError(
                "not-enrolled", f"'{name}' may not state anything here", fix=f"festina reviewer add {name}"
            )
        self.ledger, self.state, self.name, self.demo = ledger, state, name, enrolled.demo
        self.key: LocalKey = desk.reviewer_key(name, home=home.path)

    def sign(self, make: Callable[[], tuple[e.Body, tuple[bytes, ...]]]) -> Record:
        """Append one entry; ``make`` is asked again when another process appended in between."""

        def draft(_: State) -> list[Draft]:
            body, blobs = make()
            return [Draft(body, blobs=blobs, signer=self.key)]

        return acts.write(self.ledger, self.state, draft)[0]


def state_field(person: Person, document: str, field: str, text: str | None) -> Record:
    """State what a field of a document says; None takes back what this person stated there."""
    raw = None if text is None else checked(text, "statement")

    def make() -> tuple[e.Body, tuple[bytes, ...]]:
        body = e.Stated(
            document=document, field=field, text=None if raw is None else _digest(raw), reviewer=person.name,
            without_person=person.demo,
        )  # fmt: skip
        return body, () if raw is None else (raw,)

    return person.sign(make)


def state_fields(person: Person, document: str, fields: Mapping[str, str]) -> list[Record]:
    """State what several fields say: all of them or none. Raises ``UsageError`` that names the field."""
    words = {name: checked(text, f"statement in '{name}'") for name, text in fields.items()}

    def drafts(_: State) -> list[Draft]:
        return [
            Draft(
                e.Stated(document=document, field=name, text=_digest(raw), reviewer=person.name,
                         without_person=person.demo),
                blobs=(raw,), signer=person.key,
            )
            for name, raw in words.items()
        ]  # fmt: skip

    return acts.write(person.ledger, person.state, drafts) if words else []


def determine(person: Person, generation: int, triggers: tuple[e.Trigger, ...], *, text: str) -> Record:
    """Judge whether a generation's change is material: it is, by ``triggers``, or by none of them it is not."""
    raw = checked(text, "reason")
    known = person.state.generations.get(generation)
    if known is None or generation not in person.state.line or known.parent is None:
        raise UsageError(
            "no-such-generation", f"generation {generation} is no change on the working line", fix="festina status"
        )
    body = e.MaterialityDetermined(
        generation=generation, commit=known.commit, material=bool(triggers), triggers=tuple(sorted(set(triggers))),
        text=_digest(raw), reviewer=person.name, without_person=person.demo,
    )  # fmt: skip
    return person.sign(lambda: (body, (raw,)))


def confirm(person: Person, document: str, generation: int, content: bytes) -> Record:
    """Sign a complete document for the release of a generation; ``content``: its bytes as they stand."""
    if generation not in person.state.line:
        raise UsageError(
            "no-such-generation", f"generation {generation} is not on the working line", fix="festina status"
        )
    body = e.DocumentConfirmed(
        document=document, generation=generation, content=_digest(content), reviewer=person.name,
        without_person=person.demo,
    )  # fmt: skip
    return person.sign(lambda: (body, (content,)))


def open_incident(person: Person, *, aware: datetime, text: str, about: int | None = None) -> tuple[int, Record]:
    """Record an incident; its number and the entry. Raises ``UsageError`` for a time to come or an unknown entry."""
    _past(aware)
    raw = checked(text, "description")
    if about is not None and not 0 <= about < person.ledger.size:
        raise UsageError("no-such-entry", f"there is no entry {about}", fix="festina ledger show")
    numbers: list[int] = []

    def make() -> tuple[e.Body, tuple[bytes, ...]]:
        numbers.append(1 + sum(record.kind == e.IncidentOpened.kind for record in person.ledger.records()))
        body = e.IncidentOpened(
            incident=numbers[-1], aware=stamp(aware), text=_digest(raw), about=about, reviewer=person.name,
            without_person=person.demo,
        )  # fmt: skip
        return body, (raw,)

    record = person.sign(make)
    return numbers[-1], record


def classify(person: Person, incident: int, classes: tuple[str, ...], *, established: bool, text: str) -> Record:
    """Say in which regimes' classes it falls, and why."""
    _known(person, incident)
    raw = checked(text, "reason")

    def make() -> tuple[e.Body, tuple[bytes, ...]]:
        body = e.IncidentClassified(
            incident=incident, classes=tuple(sorted(set(classes))),
            causal="established" if established else "suspected",
            text=_digest(raw), reviewer=person.name, without_person=person.demo,
        )  # fmt: skip
        return body, (raw,)

    return person.sign(make)


def filed(
    person: Person, incident: int, document: str, *, sent: datetime, content: bytes, unknown: int | None = None
) -> Record:
    """Record that these bytes were sent, and when. ``unknown``: mandatory fields that the record leaves open now."""
    opened = _known(person, incident)
    _past(sent)
    if stamp(sent) < opened.aware:
        raise UsageError(
            "sent-before-aware", f"that is before anybody was aware of incident {incident} ({opened.aware})",
            fix="give the time at which it was sent, with --sent",
        )  # fmt: skip
    if not content or len(content) > MAX_FILE:
        raise UsageError(
            "bad-report",
            f"a report has 1 to {MAX_FILE:,} bytes, this one {len(content):,}",
            fix="name the file as sent",
        )

    def make() -> tuple[e.Body, tuple[bytes, ...]]:
        body = e.IncidentFiled(
            incident=incident, document=document, sent=stamp(sent), content=_digest(content), reviewer=person.name,
            without_person=person.demo, unknown=unknown,
        )  # fmt: skip
        return body, (content,)

    return person.sign(make)


def resolve(person: Person, incident: int, *, resolved: datetime, text: str) -> Record:
    """Say that it is over since then, and how. Raises ``UsageError`` for one that is over already."""
    opened = _known(person, incident)
    _past(resolved)
    if stamp(resolved) < opened.aware:
        raise UsageError(
            "resolved-before-aware", f"incident {incident} was known only at {opened.aware}", fix="--at TIME"
        )
    raw = checked(text, "description")

    def make() -> tuple[e.Body, tuple[bytes, ...]]:
        for record in person.ledger.records():
            if record.kind == e.IncidentResolved.kind and _number(record) == incident:
                raise UsageError(
                    "already-resolved", f"incident {incident} was resolved in entry {record.seq}",
                    fix="open a new one if it came back",
                )  # fmt: skip
        body = e.IncidentResolved(
            incident=incident, resolved=stamp(resolved), text=_digest(raw), reviewer=person.name,
            without_person=person.demo,
        )  # fmt: skip
        return body, (raw,)

    return person.sign(make)


def _known(person: Person, incident: int) -> e.IncidentOpened:
    for record in person.ledger.records():
        if record.kind == e.IncidentOpened.kind and _number(record) == incident:
            body = record.body
            assert isinstance(body, e.IncidentOpened)
            return body
    raise UsageError("no-such-incident", f"there is no incident {incident}", fix="festina incident")


def _number(record: Record) -> int:
    number: int = getattr(record.body, "incident", 0)
    return number


def _past(when: datetime) -> None:
    if when > datetime.now(UTC):
        raise UsageError("time-to-come", f"{stamp(when)} has not come yet", fix="give the time at which it happened")


def checked(text: str, what: str) -> bytes:
    """A person's words: plain text that others can read, of a readable size.  # T-5"""
    words = text.strip()
    if not words:
        raise UsageError("nothing-stated", f"the {what} is empty", fix="--text TEXT")
    if len(words) > MAX_TEXT:
        raise UsageError(
            "statement-too-long", f"the {what} has {len(words):,} characters, {MAX_TEXT:,} are taken at most",
            fix="say it shorter, and name the longer text by its digest",
        )  # fmt: skip
    for line in words.split("\n"):
        odd = odd_character(line)
        if odd is not None:
            raise UsageError("statement-unreadable", f"the {what} holds {odd}", fix="write it in plain text")
    return words.encode()


def _digest(raw: bytes) -> str:
    return hashlib.sha256(raw).hexdigest()
