"""``festina report documents|document|bundle|duties``: what regulators ask for, made from the record."""

from __future__ import annotations

import json
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import click

from festina.cli.common import own_ledger, put, put_bytes
from festina.cli.say import say
from festina.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from festina.ledger.log import Ledger
    from festina.ledger.signing import LocalKey
    from festina.report.law.documents import Document
    from festina.report.law.incidents import Incident, People
    from festina.report.law.packs import DocumentType, Pack

FILE = click.Path(path_type=Path, dir_okay=False)


@dataclass(frozen=True)
class Source:
    """Where to read from: a system's own ledger, or a ledger file."""

    root: Path
    ledger: Path | None

    def path(self) -> Path:
        """The ledger's file."""
        return self.ledger or own_ledger(self.root)

    @contextmanager
    def open(self) -> Iterator[Ledger]:
        from festina.ledger.log import Ledger

        with Ledger.open(self.path(), readonly=True) as ledger:
            yield ledger


@click.command()
@click.option("--json", "as_json", is_flag=True, help="One JSON object a document and nothing else.")
@click.pass_obj
def documents(source: Source, as_json: bool) -> None:
    """Which documents the law packs know, and how far the record fills them."""
    with source.open() as ledger:
        desk = Desk(ledger)
        if as_json:
            for row in _listed(desk):
                click.echo(json.dumps(row))
            return
        for pack in desk.packs:
            state = "" if pack.regime.enabled else " (off by default)"
            say(f"{pack.regime.title}{state}, checked {pack.regime.as_of.isoformat()}{_dates(pack)}", err=False)
            for kind in pack.document:
                if kind.incident:
                    say(f"  {kind.id:32} {kind.title}: one for each incident (--incident N)", err=False)
                    continue
                made = desk.made(kind.id, None)
                filled = sum(not cell.empty for cell in made.cells)
                far = f"{made.state}, {filled} of {len(made.cells)} fields filled"
                say(f"  {kind.id:32} {kind.title}: {far}", err=False)


def _listed(desk: Desk) -> Iterator[dict[str, object]]:
    """Each document as it stands; those about incidents once for each incident."""
    for pack in desk.packs:
        for kind in pack.document:
            row: dict[str, object] = {
                "id": kind.id, "title": kind.title, "regime": pack.regime.id, "enabled": pack.regime.enabled,
                "to": kind.to, "in_force": pack.regime.in_force.isoformat(), "checked": pack.regime.as_of.isoformat(),
            }  # fmt: skip
            for number in sorted(desk.people.incidents) if kind.incident else (None,):
                made = desk.made(kind.id, number)
                yield row | {
                    "incident": number, "state": made.state, "fields": len(made.cells),
                    "filled": sum(not cell.empty for cell in made.cells), "missing": made.missing,
                    "contradictions": made.contradictions,
                }  # fmt: skip


@click.command()
@click.argument("name")
@click.option("--incident", type=int, help="Of which incident, for reports about one.")
@click.option("--to", "recipient", help="The copy of one recipient, without what only others get.")
@click.option(
    "--format",
    "form",
    type=click.Choice(["md", "html", "json", "pdf"]),
    default="md",
    show_default=True,
    help="Markdown, a page, one JSON object, or PDF (festina[pdf]).",
)
@click.option("-o", "--out", type=FILE, default=Path("-"), help="Where to write it; default: standard output.")
@click.pass_obj
def document(source: Source, name: str, incident: int | None, recipient: str | None, form: str, out: Path) -> None:
    """Write document NAME: every field cited from the record, stated by a person, or unknown."""
    from festina.report.law.documents import FORMS, heading
    from festina.report.law.packs import find, load

    with source.open() as ledger:
        made = Desk(ledger).made(name, incident, recipient)
    if form == "pdf":
        from festina.report.law.pdf import as_pdf

        put_bytes(as_pdf(made), out)
    else:
        put(FORMS[form](made), out)
    click.echo(heading(made), err=True)
    dates = _dates(find(load(), name)[0])
    if dates:
        click.echo(f"The law pack{dates}.", err=True)
    if made.missing:
        about = f" --incident {incident}" if incident is not None else ""
        click.echo(f"Fill it: festina report form {name}{about} -o FILE (one field: festina report state)", err=True)


@click.command()
@click.argument("target", type=click.Path(path_type=Path))
@click.option("--public", is_flag=True, help="Leave out the openings of sealed fields.")
@click.option(
    "--withhold", multiple=True, metavar="DIGEST=GROUND", help="Leave a content out, and say why; repeatable."
)
@click.option("--key-file", type=FILE, help="The engine's private key, where it does not lie in the system's home.")
@click.option("--unsigned", is_flag=True, help="Let nobody vouch for the files: the digest has to be told by hand.")
@click.pass_obj
def bundle(
    source: Source, target: Path, public: bool, withhold: tuple[str, ...], key_file: Path | None, unsigned: bool
) -> None:
    """Write record, documents and a verifier to the new folder TARGET, for somebody without Festina.

    The list of its files is signed with the engine's key, so that no document can be changed unseen.
    """
    from festina.report.bundle.make import make

    grounds: dict[str, str] = {}
    for row in withhold:
        digest, sign, ground = row.partition("=")
        if len(digest) != 64 or not sign or not ground.strip():
            raise UsageError("bad-withhold", f"'{row[:80]}' is no DIGEST=GROUND", fix="the sha256 in hex, =, and why")
        grounds[digest] = ground
    signer = None if unsigned else _engine(source, key_file)
    made = make(source.path(), target, signer=signer, public=public, withhold=grounds)
    how_far = f"of its documents {made.complete} complete, {made.drafts} drafts"
    click.echo(f"{made.files:,} files in {target}; {how_far}", err=True)
    click.echo(f"Check it anywhere: python3 {target}/verify.py --key ENGINE-KEY", err=True)
    click.echo(made.digest)


def _engine(source: Source, key_file: Path | None) -> LocalKey:
    """The key that signed the record. Raises ``UsageError`` where it is not at hand."""
    from festina.ledger.signing import LocalKey

    path = key_file or source.path().parent / "keys" / "engine.pem"
    if key_file is None and not path.is_file():
        raise UsageError(
            "no-engine-key", "the engine's key of this record is not here, so that nobody can vouch for the bundle",
            fix="--key-file FILE, or --unsigned and tell the digest by hand", where=str(path),
        )  # fmt: skip
    return LocalKey.load(path, "engine")


@click.command()
@click.option("--compute", type=float, help="Training compute of the whole model, in FLOP, e.g. 3e24.")
@click.option("--modifies/--own", default=False, show_default=True, help="Is it a change of somebody else's model?")
@click.option("--changes", type=float, help="Compute of your changes, in FLOP.")
@click.option("--original", type=float, help="Training compute of the model that you changed, in FLOP.")
@click.option("--general/--narrow", default=None, help="Does it do many different tasks?")
@click.option("--revenue", type=float, help="Yearly revenue of your group, in USD.")
@click.option("--market", "markets", multiple=True, type=click.Choice(["eu", "us-ca", "us-ny"]), help="Default: all.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object a duty and nothing else.")
def duties(
    compute: float | None, modifies: bool, changes: float | None, original: float | None, general: bool | None,
    revenue: float | None, markets: tuple[str, ...], as_json: bool,
) -> None:  # fmt: skip
    """Which duties apply, with the arithmetic and its sources. No legal advice."""
    from math import isfinite

    from festina.report.law.duties import MARKETS, Facts
    from festina.report.law.duties import duties as found

    given = {"--compute": compute, "--changes": changes, "--original": original, "--revenue": revenue}
    for name, value in given.items():
        if value is not None and not (isfinite(value) and value >= 0):
            raise click.BadParameter(f"{name} is a number from 0 on")
    if original == 0:
        raise click.BadParameter("--original is a number above 0: somebody trained that model")
    if (changes is not None or original is not None) and not modifies:
        raise UsageError(
            "not-a-change", "--changes and --original are about somebody else's model", fix="add --modifies"
        )
    facts = Facts(compute, changes, original, modifies, general, revenue, markets or MARKETS)
    if as_json:
        for duty in found(facts):
            click.echo(json.dumps(asdict(duty)))
        return
    for duty in found(facts):
        click.echo(f"{duty.answer:15} {duty.name}")
        say(f"{'':15} {duty.why} ({duty.source})", err=False)
        if duty.documents and duty.answer != "does not apply":
            say(f"{'':15} documents: {', '.join(duty.documents)}", err=False)
    click.echo("This is arithmetic on what you said, no legal advice.", err=True)
    click.echo("What the record fills of these documents: festina report documents", err=True)


def _dates(pack: Pack) -> str:
    """Doubts about a pack as of today, in brackets."""
    from datetime import UTC, datetime

    from festina.report.law.packs import doubts

    found = doubts(pack, datetime.now(UTC).date())
    return f" ({'; '.join(found)})" if found else ""


class Desk:
    """The record and the packs, read once."""

    def __init__(self, ledger: Ledger) -> None:
        from festina.report.whole import whole

        self.ledger, self.whole = ledger, whole(ledger)
        self.packs, self.data, self.people = self.whole.packs, self.whole.data, self.whole.people

    def made(self, name: str, incident: int | None, to: str | None = None) -> Document:
        from festina.report.law.documents import build
        from festina.report.law.packs import find

        pack, kind = find(self.packs, name)
        if to is not None and to not in kind.to:
            raise UsageError(
                "no-such-recipient", f"'{name}' does not go to '{to}'", fix=f"one of: {', '.join(kind.to)}"
            )
        about = incident_of(self.people, kind, incident)
        return build(pack, kind, self.data, self.people, self.ledger.leaf, about, to)


def incident_of(people: People, kind: DocumentType, number: int | None) -> Incident | None:
    """The incident that a document is about. Raises ``UsageError`` where one is missing, or one too many."""
    if not kind.incident:
        if number is not None:
            raise UsageError("not-about-incidents", f"'{kind.id}' is about no incident", fix="leave --incident out")
        return None
    if number is None:
        raise UsageError(
            "which-incident", f"'{kind.id}' is about one incident", fix="--incident N; see: festina incident"
        )
    if number not in people.incidents:
        raise UsageError("no-such-incident", f"there is no incident {number}", fix="festina incident")
    return people.incidents[number]
