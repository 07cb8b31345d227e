"""``festina report form|state``: what people state in documents, one field or a whole form at once."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

import click

from festina.cli.common import opened, put
from festina.errors import UsageError

if TYPE_CHECKING:
    from festina.cli.common import Opened
    from festina.cli.documents import Source
    from festina.report.law.documents import Document
    from festina.report.law.packs import DocumentType

FILE = click.Path(path_type=Path, dir_okay=False)
THERE = click.Path(exists=True, dir_okay=False, path_type=Path)


@click.command()
@click.argument("name")
@click.option("--incident", type=int, help="Of which incident, for reports about one.")
@click.option("-o", "--out", type=FILE, default=Path("-"), help="Where to write it; default: standard output.")
@click.pass_obj
def form(source: Source, name: str, incident: int | None, out: Path) -> None:
    """Write a form with every field of document NAME, to fill in and sign.

    Each field stands with what the record says of it already. Sign the filled form: festina report state NAME --form.
    """
    from festina.cli.documents import Desk
    from festina.report.law.form import write

    with source.open() as ledger:
        made = Desk(ledger).made(name, incident)
    put(write(made), out)
    about = f" --incident {incident}" if incident is not None else ""
    where = "FILE" if str(out) == "-" else out
    click.echo(f"{len(made.missing)} fields have to be filled. Write between the quotation marks, then:", err=True)
    click.echo(f"festina report state {name}{about} --form {where} --as NAME", err=True)


@click.command()
@click.argument("name")
@click.argument("field", required=False)
@click.option("--incident", type=int, help="Of which incident, for reports about one.")
@click.option("--as", "reviewer", required=True, help="Your enrolled name: the statement is signed with your key.")
@click.option("--text", help="What is so.")
@click.option("--file", type=THERE, help="A file with what is so.")
@click.option("--form", "filled", type=THERE, help="A filled form, for all its fields at once.")
@click.option("--retract", is_flag=True, help="Take back what you stated there.")
@click.pass_obj
def state(
    source: Source, name: str, field: str | None, incident: int | None, reviewer: str, text: str | None,
    file: Path | None, filled: Path | None, retract: bool,
) -> None:  # fmt: skip
    """State what FIELD of document NAME says, signed with your key; or all that a filled form says.

    NAME may be safety-case: then FIELD is one of its nodes.
    """
    from festina.report.case.model import DOCUMENT
    from festina.report.law.packs import find, load

    if sum((text is not None, file is not None, filled is not None, retract)) != 1:
        raise UsageError("nothing-stated", "give one of --text, --file, --form and --retract", fix="--text WORDS")
    if (field is None) != (filled is not None):
        fix = "FIELD --text WORDS, or --form FILE"
        raise UsageError("which-field", "one field is stated, or a whole --form", fix=fix)
    kind = None if name == DOCUMENT else find(load(), name)[1]
    if file is not None:
        try:
            text = file.read_text(encoding="utf-8")
        except UnicodeDecodeError:
            raise UsageError("not-text", "it is not text in UTF-8", fix="--file FILE", where=str(file)) from None
    with opened(source.root, write=True) as here:
        if filled is not None:
            _whole(here, kind, incident, reviewer, filled)
        else:
            assert field is not None
            _one(here, kind, incident, reviewer, field, text)


def _one(
    here: Opened, kind: DocumentType | None, incident: int | None, reviewer: str, field: str, text: str | None
) -> None:
    from festina.cli.documents import incident_of
    from festina.loop import stating
    from festina.report.case.model import DOCUMENT
    from festina.report.law.documents import key
    from festina.report.law.incidents import fold

    _known_field(kind, field)
    written = DOCUMENT
    if kind is not None:
        people = fold(here.ledger.records(), here.ledger.get_blob)
        written = key(kind, incident_of(people, kind, incident))
    person = stating.Person(here.ledger, here.state, here.home, reviewer)
    record = stating.state_field(person, written, field, text)
    click.echo(f"entry {record.seq}: {'taken back' if text is None else 'stated'} by {reviewer}", err=True)
    if kind is not None:
        _left(_made(here, kind, incident))


def _whole(here: Opened, kind: DocumentType | None, incident: int | None, reviewer: str, path: Path) -> None:
    from festina.cli.documents import incident_of
    from festina.loop import stating
    from festina.report.law import form
    from festina.report.law.documents import key
    from festina.report.law.incidents import fold

    filled = form.read(path.read_bytes(), str(path))
    if kind is None or filled.document != kind.id or filled.incident != incident:
        about = f" about incident {filled.incident}" if filled.incident is not None else ""
        raise UsageError("other-form", f"this is a form of {filled.document[:80]}{about}", fix="name that document",
                         where=str(path))  # fmt: skip
    fields = form.new(filled, _made(here, kind, incident))
    people = fold(here.ledger.records(), here.ledger.get_blob)
    person = stating.Person(here.ledger, here.state, here.home, reviewer)
    records = stating.state_fields(person, key(kind, incident_of(people, kind, incident)), fields)
    for name, record in zip(fields, records, strict=True):
        click.echo(f"entry {record.seq}: {name} stated by {reviewer}", err=True)
    if not records:
        click.echo("The form says nothing that is not stated already.", err=True)
    _left(_made(here, kind, incident))


def _made(here: Opened, kind: DocumentType, incident: int | None) -> Document:
    from festina.cli.documents import Desk

    return Desk(here.ledger).made(kind.id, incident)


def _left(document: Document) -> None:
    """What the document still lacks, and what comes next."""
    from festina.report.law.documents import heading

    about = f" --incident {document.incident}" if document.incident is not None else ""
    click.echo(heading(document), err=True)
    if document.missing:
        more = f" and {len(document.missing) - 1} more" if len(document.missing) > 1 else ""
        click.echo(f"Still unknown: {document.missing[0]}{more}", err=True)
    else:
        click.echo(f"Next: festina report document {document.id}{about} --format pdf -o FILE", err=True)


def _known_field(kind: DocumentType | None, field: str) -> None:
    """Raise unless the document has that field; any node's name will do for a safety case, which may be one's own."""
    if kind is None:
        if re.fullmatch(r"[a-z0-9][a-z0-9-]{0,39}", field) is None:
            raise UsageError("no-such-node", f"'{field[:60]}' is no node of a case", fix="festina report case")
        return
    known = [entry.name for entry in kind.fields]
    if field not in known:
        raise UsageError("no-such-field", f"'{kind.id}' has no field '{field}'", fix=f"one of: {', '.join(known)}")
