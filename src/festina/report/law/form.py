"""A form to fill in: what people may state in a document, as one TOML file.

Each field stands with what it asks and what the record says of it already, as comments. A filled form comes back as
``{field: words}``; what is left empty, and what stands already as somebody's statement, is not stated again.
"""

from __future__ import annotations

import json
import tomllib
from dataclasses import dataclass

from festina.errors import UsageError
from festina.report.law.documents import Cell, Document, heading, mark
from festina.report.markup import one_line

SHOWN = 6  # sentences of the record in a comment
MAX_FORM = 4 << 20  # bytes


@dataclass(frozen=True, slots=True)
class Filled:
    """A form as it came back."""

    document: str
    incident: int | None
    fields: dict[str, str]


def write(document: Document) -> str:
    """The form of a document as it stands."""
    incident = f" --incident {document.incident}" if document.incident is not None else ""
    lines = [
        f"# {one_line(document.title)}: {one_line(heading(document))}",
        "# Write between the quotation marks what is so, and leave empty what you do not know; several lines stand in",
        '# """three quotation marks""". Then sign it with your key:',
        f"#   festina report state {document.id}{incident} --form THIS-FILE --as NAME", "",
        f"document = {json.dumps(document.id)}",
    ]  # fmt: skip
    lines += [f"incident = {document.incident}"] if document.incident is not None else []
    lines += ["", "[fields]"]
    group = ""
    for cell in document.cells:
        if cell.group and cell.group != group:
            lines += ["", f"# -- {one_line(cell.group)}"]
        group = cell.group
        lines += ["", *_field(cell)]
    return "\n".join(lines) + "\n"


def _field(cell: Cell) -> list[str]:
    wanted = "may be left out" if cell.optional else "filled" if not cell.empty else "has to be filled"
    lines = [f"# {one_line(cell.label)} ({wanted})"]
    lines += ["# people state different things here: one of them takes theirs back"] if cell.contradiction else []
    lines += [f"#   {one_line(line.text)} {one_line(mark(line))}" for line in cell.lines[:SHOWN]]
    lines += [f"#   and {len(cell.lines) - SHOWN} more"] if len(cell.lines) > SHOWN else []
    return [*lines, f'{cell.name} = ""']


def read(raw: bytes, where: str) -> Filled:
    """A form that came back. Raises ``UsageError`` that names the mistake."""
    if len(raw) > MAX_FORM:
        raise _wrong(f"it is larger than {MAX_FORM:,} bytes", where)
    try:
        found = tomllib.loads(raw.decode("utf-8"))
    except UnicodeDecodeError:
        raise _wrong("it is not text in UTF-8", where) from None
    except tomllib.TOMLDecodeError as error:
        raise _wrong(str(error), where) from None
    document, incident, fields = found.pop("document", None), found.pop("incident", None), found.pop("fields", None)
    if found:
        raise _wrong(f"a form has no '{one_line(next(iter(found)))[:80]}'", where)
    if not isinstance(document, str) or not isinstance(fields, dict):
        raise _wrong("a form has 'document', [fields] and, about an incident, its number", where)
    if incident is not None and type(incident) is not int:
        raise _wrong("'incident' is a number", where)
    for name, words in fields.items():
        if not isinstance(words, str):
            raise _wrong(f"{name}: what is stated stands in quotation marks", where)
    return Filled(document, incident, {name: words.strip() for name, words in fields.items() if words.strip()})


def new(filled: Filled, document: Document) -> dict[str, str]:
    """What the form states that nobody has stated yet. Raises ``UsageError`` for fields that there are not."""
    cells = {cell.name: cell for cell in document.cells}
    for name in filled.fields:
        if name not in cells:
            what = f"'{document.id}' has no field '{one_line(name)[:80]}'"
            raise UsageError("no-such-field", what, fix=f"festina report form {document.id}")
    return {
        name: words
        for name, words in filled.fields.items()
        if words not in [line.text.strip() for line in cells[name].lines if line.source == "person"]
    }


def _wrong(what: str, where: str) -> UsageError:
    return UsageError("bad-form", what, fix="festina report form NAME -o FILE writes one", where=where)
