"""Law as data: one file a regime, with version, date and sources.  # C-3

A pack says which documents a regime asks for, which fields they have, where a field's content can come from, which
classes an incident may fall in, and by when something is due. Packs of your own stand in a folder that
``FESTINA_LAW`` names; they are read as strictly as ours.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from datetime import date, timedelta
from importlib import resources
from pathlib import Path
from typing import Annotated, Literal
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import BaseModel, ConfigDict, Field, field_validator

from festina.errors import UsageError
from festina.report.law.calendar import span
from festina.report.reading import read_toml

Id = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9._-]{0,79}$")]
FieldName = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9_]{0,79}$")]
Text = Annotated[str, Field(min_length=1, max_length=400)]
MAX_PACK = 256 << 10


class _Model(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Regime(_Model):
    id: Id
    title: Text
    version: Text
    as_of: date  # when the pack was checked against its sources
    in_force: date
    enabled: bool
    zone: str  # of the authority
    holidays: tuple[date, ...] = ()

    @field_validator("zone")
    @classmethod
    def _known(cls, value: str) -> str:
        try:
            ZoneInfo(value)
        except (ZoneInfoNotFoundError, ValueError):
            raise ValueError(f"no time zone '{value}'") from None
        return value


class Source(_Model):
    id: Id
    name: Text
    checked: Literal["primary", "secondary", "memory"]


class IncidentClass(_Model):
    id: Id
    words: Text


class Clock(_Model):
    """By when: a period after an event, or before one. ``class`` limits it to incidents of that class."""

    after: Id | Annotated[str, Field(pattern=r"^filed:[a-z0-9._-]+$")] | None = Field(None, alias="from")
    before: Id | None = None
    due: str | None = None
    every: str | None = None
    until: Id | None = None
    of_class: Id | None = Field(None, alias="class")

    @field_validator("due", "every")
    @classmethod
    def _period(cls, value: str | None) -> str | None:
        if value is not None:
            span(value)
        return value

    def words(self) -> str:
        """The rule for people: "4 weeks after sr notification sent", "before market placement"."""
        if self.due is None:
            return f"before {(self.before or '').replace('-', ' ')}"
        event = (self.after or "").removeprefix("filed:").replace("-", " ")
        named = {"aware": "somebody was aware", "resolved": "it was over"}.get(event, event)
        of = f" ({self.of_class})" if self.of_class else ""
        again = f", again every {span(self.every).words()}" if self.every else ""
        return f"{span(self.due).words()} after {named}{again}{of}"


class FieldOf(_Model):
    name: FieldName
    words: Text | None = None
    group: Text | None = None
    fact: str | None = None  # where the record can say it: a name in ``facts.FACTS``
    optional: bool = False
    only: tuple[Text, ...] = ()  # recipients who get it; empty: all

    def label(self) -> str:
        return self.words or self.name.replace("_", " ")


class DocumentType(_Model):
    id: Id
    title: Text
    source: Id
    section: Text
    to: tuple[Text, ...]
    fields: tuple[FieldOf, ...]
    clock: tuple[Clock, ...] = ()
    retain: str | None = None
    incident: bool = False

    @field_validator("retain")
    @classmethod
    def _period(cls, value: str | None) -> str | None:
        if value is not None:
            span(value)
        return value


class Pack(_Model):
    regime: Regime
    source: tuple[Source, ...]
    incident_class: tuple[IncidentClass, ...] = ()
    document: tuple[DocumentType, ...]

    def source_of(self, document: DocumentType) -> Source:
        return next(source for source in self.source if source.id == document.source)


def doubts(pack: Pack, day: date) -> tuple[str, ...]:
    """What a reader on ``day`` has to know of a pack: law that is not in force yet, a check that has not come."""
    found = []
    if pack.regime.in_force > day:
        found.append(f"not in force before {pack.regime.in_force.isoformat()}")
    if pack.regime.as_of > day + timedelta(days=1):  # somewhere it is tomorrow already
        found.append(f"the pack says it was checked on {pack.regime.as_of.isoformat()}, which has not come")
    return tuple(found)


def load() -> tuple[Pack, ...]:
    """All packs, ours and those in ``FESTINA_LAW``, by id. Raises ``UsageError`` that names file and field."""
    packs: dict[str, tuple[str, Pack]] = {}
    documents: dict[str, str] = {}
    classes: dict[str, str] = {}
    for where, raw in _files():
        pack = parse(raw, where)
        if pack.regime.id in packs:
            raise _wrong(where, f"the regime '{pack.regime.id}' stands in {packs[pack.regime.id][0]}, too")
        packs[pack.regime.id] = (where, pack)
        for document in pack.document:
            if document.id in documents:
                raise _wrong(where, f"the document '{document.id}' stands in {documents[document.id]}, too")
            documents[document.id] = where
        for known in pack.incident_class:
            if known.id in classes:
                raise _wrong(where, f"the incident class '{known.id}' stands in {classes[known.id]}, too")
            classes[known.id] = where
    return tuple(pack for _, (_, pack) in sorted(packs.items()))


def parse(raw: bytes, where: str) -> Pack:
    """One pack from its bytes. Raises ``UsageError``."""
    try:
        pack = read_toml(Pack, raw)
    except ValueError as error:
        raise _wrong(where, str(error)) from None
    _consistent(pack, where)
    return pack


def _consistent(pack: Pack, where: str) -> None:
    """Raise unless every name that the pack uses is one that it, or Festina, knows."""
    sources, classes = {source.id for source in pack.source}, {c.id for c in pack.incident_class}
    if len(sources) != len(pack.source) or len(classes) != len(pack.incident_class):
        raise _wrong(where, "a source or an incident class stands twice")
    for document in pack.document:
        if document.source not in sources:
            raise _wrong(where, f"document {document.id}: no source '{document.source}'")
        _fields(document, where)
        for clock in document.clock:
            if clock.of_class is not None and clock.of_class not in classes:
                raise _wrong(where, f"document {document.id}: no incident class '{clock.of_class}'")
            if (clock.after is None) == (clock.before is None) or (clock.after is not None) != (clock.due is not None):
                raise _wrong(where, f"document {document.id}: a clock has 'from' with 'due', or 'before'")
            _runs(pack, document, clock, where)


def _runs(pack: Pack, document: DocumentType, clock: Clock, where: str) -> None:
    """Raise for a clock that could never run as it says: incidents have events of their own."""
    if not document.incident:
        if clock.of_class is not None or clock.until is not None:
            raise _wrong(where, f"document {document.id}: 'class' and 'until' belong to reports about incidents")
        return
    reports = {f"filed:{other.id}" for other in pack.document if other.incident}
    if clock.after not in {"aware", "resolved", *reports}:
        raise _wrong(where, f"document {document.id}: the clock of an incident starts from 'aware', 'resolved' or "
                            f"'filed:' with a report about incidents, not '{clock.after or clock.before}'")  # fmt: skip
    if clock.until not in (None, "resolved"):
        raise _wrong(where, f"document {document.id}: a clock runs until 'resolved', not '{clock.until}'")


def _fields(document: DocumentType, where: str) -> None:
    from festina.report.law.facts import FACTS, INCIDENT_FACTS

    names = [field.name for field in document.fields]
    if len(set(names)) != len(names):
        raise _wrong(where, f"document {document.id}: a field stands twice")
    known = FACTS.keys() | (INCIDENT_FACTS.keys() if document.incident else set())
    for entry in document.fields:
        if entry.fact is not None and entry.fact not in known:
            raise _wrong(where, f"document {document.id}, field {entry.name}: nothing gives the fact '{entry.fact}'")
        if set(entry.only) - set(document.to):
            raise _wrong(where, f"document {document.id}, field {entry.name}: 'only' names who does not get it")


def find(packs: tuple[Pack, ...], name: str) -> tuple[Pack, DocumentType]:
    """A document type by its id. Raises ``UsageError``."""
    for pack in packs:
        for document in pack.document:
            if document.id == name:
                return pack, document
    raise UsageError("no-such-document", f"no law pack has a document '{name}'", fix="festina report documents")


def _files() -> Iterator[tuple[str, bytes]]:
    for entry in sorted(resources.files("festina.report.law.packs_data").iterdir(), key=lambda item: item.name):
        if entry.name.endswith(".toml"):
            yield entry.name, entry.read_bytes()
    own = os.environ.get("FESTINA_LAW")
    if not own:
        return
    folder = Path(own)
    if not folder.is_dir():
        raise UsageError("no-law-folder", "FESTINA_LAW names no folder", fix="name a folder of .toml files", where=own)
    for path in sorted(folder.glob("*.toml")):
        try:
            if path.stat().st_size > MAX_PACK:
                raise _wrong(str(path), f"it is larger than {MAX_PACK:,} bytes")
            raw = path.read_bytes()
        except OSError as error:
            raise _wrong(str(path), f"it cannot be read: {error.strerror}") from None
        yield str(path), raw


def _wrong(where: str, what: str) -> UsageError:
    return UsageError("bad-law-pack", what, fix="mend that file, or take it out of FESTINA_LAW", where=where)
