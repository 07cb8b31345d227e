"""The Code's measures as data: what each asks, and what in a record can answer it.  # C-3"""

from __future__ import annotations

from datetime import date
from functools import lru_cache
from importlib import resources
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from festina.errors import UsageError
from festina.report.law.packs import DocumentType, Pack, find
from festina.report.reading import read_toml

Kind = Literal["evidence", "people", "none"]
Token = Annotated[str, Field(pattern=r"^[a-z][a-z0-9._-]{0,39}$")]  # an OSCAL token, too
Words = Annotated[str, Field(min_length=1, max_length=400)]
FILE = "code.toml"


class _Model(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Chapter(_Model):
    id: Token
    title: Words
    checked: Literal["primary", "secondary", "memory"]  # how its text was read


class Measure(_Model):
    """``asks`` is a paraphrase; ``best`` the most that complete evidence can come to; ``rest`` stays with people."""

    id: Token
    group: Words
    title: Words
    asks: Words
    kind: Kind
    best: Literal["satisfied", "partial"] | None = None
    why: Words
    rest: str = ""
    facts: tuple[str, ...] = ()
    fields: tuple[str, ...] = ()
    kinds: tuple[str, ...] = ()
    checks: tuple[str, ...] = ()
    commands: tuple[str, ...] = ()


class Head(_Model):
    id: Token
    title: Words
    published: date
    version: Words
    as_of: date
    source: Words


class Code(_Model):
    code: Head
    chapter: tuple[Chapter, ...]
    measure: tuple[Measure, ...]

    def chapter_of(self, measure: Measure) -> Chapter:
        return next(c for c in self.chapter if c.id == measure.id.split("-", 1)[0])


@lru_cache(maxsize=1)
def load() -> Code:
    """The measures that Festina ships."""
    return parse(resources.files("festina.report.oscal").joinpath(FILE).read_bytes())


def parse(raw: bytes) -> Code:
    """Measures from a file's bytes. Raises ``UsageError`` that names what is wrong."""
    from festina.report.oscal.checks import CHECKS

    try:
        code = read_toml(Code, raw)
    except ValueError as error:
        raise _wrong(str(error)) from None
    known = {chapter.id for chapter in code.chapter}
    seen: set[str] = set()
    for measure in code.measure:
        if measure.id in seen or measure.id.split("-", 1)[0] not in known:
            raise _wrong(f"measure {measure.id}: it stands twice, or in no chapter")
        seen.add(measure.id)
        if (measure.kind == "evidence") != (measure.best is not None):
            raise _wrong(f"measure {measure.id}: 'best' belongs to measures of kind 'evidence', and to all of them")
        _evidence(measure, frozenset(CHECKS))
    return code


def _evidence(measure: Measure, checks: frozenset[str]) -> None:
    """Raise unless everything that is named as evidence exists."""
    from festina.ledger.entries import KINDS
    from festina.report.law.facts import FACTS

    named = {"fact": (measure.facts, FACTS.keys()), "kind of entry": (measure.kinds, KINDS.keys()),
             "check": (measure.checks, checks)}  # fmt: skip
    for what, (names, known) in named.items():
        for name in names:
            if name not in known:
                raise _wrong(f"measure {measure.id}: there is no {what} '{name}'")
    if measure.kind == "evidence" and not (measure.facts or measure.fields or measure.kinds or measure.checks):
        raise _wrong(f"measure {measure.id}: nothing could show it")


def asked(packs: tuple[Pack, ...], measure: Measure) -> list[tuple[Pack, DocumentType, tuple[str, ...]]]:
    """The documents and mandatory fields in which a measure's statements stand. Raises ``UsageError``."""
    found = []
    for entry in measure.fields:
        name, _, listed = entry.partition(":")
        pack, kind = find(packs, name)
        mandatory = tuple(field.name for field in kind.fields if not field.optional)
        wanted = tuple(listed.split(",")) if listed else mandatory
        if not set(wanted) <= {field.name for field in kind.fields}:
            raise _wrong(f"measure {measure.id}: {name} has not all of the fields {listed}")
        found.append((pack, kind, wanted))
    return found


def _wrong(what: str) -> UsageError:
    return UsageError("bad-measures", what, fix="mend that file", where=FILE)
