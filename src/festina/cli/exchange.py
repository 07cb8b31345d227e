"""``festina report coverage|oscal|provenance|bom``: the record in the forms that other tools read."""

from __future__ import annotations

import base64
from pathlib import Path
from typing import TYPE_CHECKING

import click

from festina.cli.common import put
from festina.cli.say import say
from festina.errors import UsageError

if TYPE_CHECKING:
    from festina.cli.documents import Source
    from festina.ledger.signing import Signer
    from festina.report.attest.trace import Trace
    from festina.report.oscal.coverage import Covered

FILE = click.Path(path_type=Path, dir_okay=False)
MARK = {"satisfied": "yes", "partial": "partly", "open": "open", "contradicted": "NO", "human-owned": "people",
        "not-applicable": "n/a"}  # fmt: skip


@click.command()
@click.option("--state", type=click.Choice(list(MARK)), help="Only the measures that stand so.")
@click.option("--measure", "only", metavar="ID", help="One measure with all its evidence, such as ss-m4.2.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object instead.")
@click.pass_obj
def coverage(source: Source, state: str | None, only: str | None, as_json: bool) -> None:
    """How far the record covers each measure of the EU Code of Practice, and what is missing."""
    from dataclasses import asdict

    from festina.report.oscal.code import load
    from festina.report.oscal.coverage import STATES, counts

    covered = _covered(source)
    if only is not None and only not in {c.measure.id for c in covered}:
        raise UsageError("no-such-measure", f"there is no measure '{only[:60]}'", fix="festina report coverage")
    shown = [c for c in covered if (state is None or c.state == state) and (only is None or c.measure.id == only)]
    if as_json:
        from festina.ledger.canonical import canonical
        from festina.report.export import plain

        head = load().code.model_dump(mode="json")
        rows = [plain(asdict(c) | {"measure": c.measure.model_dump(mode="json")}) for c in shown]
        click.echo(canonical({"code": head, "counts": plain(counts(covered)), "measures": rows}).decode())
        return
    group = None
    for row in shown:
        if row.measure.group != group:
            group = row.measure.group
            say(f"{row.chapter}: {group}" if row.chapter != group.partition(":")[0] else group, err=False)
        say(f"  {MARK[row.state]:8} {row.measure.id:9} {row.measure.title}", err=False)
        if only is not None:
            _whole(row)
        elif row.state != "satisfied":
            say(f"  {'':18} {_short(row.why)}", err=False)
    said = ", ".join(f"{n} {name}" for name, n in counts(covered).items())
    say(f"{len(covered)} measures: {said}.")
    say(f"Satisfied: {STATES['satisfied']}. Whether it is adequate is for people to say.")
    if only is None:
        say("All evidence of one: festina report coverage --measure ID")


def _covered(source: Source) -> tuple[Covered, ...]:
    from festina.cli.documents import Desk
    from festina.report.oscal.code import load
    from festina.report.oscal.coverage import cover

    with source.open() as ledger:
        desk = Desk(ledger)
        return cover(load(), desk.whole.case)


def _whole(row: Covered) -> None:
    lines = [f"asks: {row.measure.asks}", f"what Festina does: {row.measure.why}"]
    for piece in row.rows:
        mark = "against" if piece.failed else {True: "there", False: "missing", None: "nothing yet"}[piece.held]
        seqs = ", ".join(map(str, piece.seqs[:6])) + (" …" if len(piece.seqs) > 6 else "")
        lines.append(f"{mark}: {piece.text}" + (f" [{seqs}]" if seqs else ""))
    lines += [f"stays with people: {row.measure.rest}"] if row.measure.rest else []
    lines += [f"see: {command}" for command in row.measure.commands]
    for line in lines:
        say(f"  {'':8} {line}", err=False)


def _short(text: str, limit: int = 150) -> str:
    return text if len(text) <= limit else text[: limit - 1].rsplit(" ", 1)[0] + " …"


@click.command()
@click.argument("folder", type=click.Path(path_type=Path, file_okay=False))
@click.pass_obj
def oscal(source: Source, folder: Path) -> None:
    """Write the assessment results in OSCAL, and what they refer to, to FOLDER.

    OSCAL is NIST's format for controls and how they are met; audit tools read it. The catalog holds the measures of the
    EU Code of Practice, the results what this record shows of each, with the signed entries themselves.
    """
    from festina.cli.documents import Desk
    from festina.report.oscal.code import load
    from festina.report.oscal.coverage import counts, cover
    from festina.report.oscal.writing import written

    with source.open() as ledger:
        desk = Desk(ledger)
        covered = cover(load(), desk.whole.case)
        files = written(load(), covered, desk.data, ledger.record)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for name, text in files.items():
            (folder / name).write_text(text, encoding="utf-8")
    except OSError as error:
        raise UsageError(
            "unwritable", f"it cannot be written: {error.strerror}", fix="name another folder", where=str(folder)
        ) from None
    said = ", ".join(f"{n} {name}" for name, n in counts(covered).items())
    click.echo(f"{len(covered)} measures: {said}.", err=True)
    for name in files:
        click.echo(folder / name)


@click.command()
@click.argument("generation", type=int, required=False)
@click.option("--file", "paths", multiple=True, metavar="PATH", help="A file of the release, by digest; repeatable.")
@click.option("--statement", "bare", is_flag=True, help="Only the statement, without a signature.")
@click.option("--key-out", type=FILE, help="Write the engine's public key (PEM) there, for other tools.")
@click.option("--check", "given", type=click.Path(exists=True, dir_okay=False, path_type=Path),
              help="Check an earlier provenance against the record instead.")  # fmt: skip
@click.option("-o", "--out", type=FILE, default=Path("-"), help="Where to write it; default: standard output.")
@click.pass_obj
def provenance(
    source: Source, generation: int | None, paths: tuple[str, ...], bare: bool, key_out: Path | None,
    given: Path | None, out: Path,
) -> None:  # fmt: skip
    """How the released GENERATION came about, as a signed attestation (in-toto, SLSA provenance v1).

    Without a generation the version that was released last. Other tools for such attestations can check it with the
    engine's key.
    """
    from festina.report.attest import provenance as slsa
    from festina.report.attest.trace import release

    with source.open() as ledger:
        trace = release(ledger.records(), generation)
    if given is not None:
        if paths or bare or out != Path("-"):
            raise click.UsageError("--check writes nothing, and takes the files that the attestation names")
        paths = slsa.named(given.read_bytes())
    files = _files(source, trace, paths)
    if key_out is not None:
        put(slsa.pem(base64.b64decode(trace.genesis.engine_key)), key_out)
    if given is not None:
        slsa.check(given.read_bytes(), trace, files)
        click.echo(f"holds: signed by the engine, and what the record says of generation {trace.generation}")
        return
    from festina.report.numerals import count

    payload = slsa.statement(trace, files)
    if not bare:
        signer = _engine(source)
        slsa.require_engine(trace, signer)
        payload = slsa.signed(payload, signer)
    put(payload.decode("utf-8"), out)
    changes = count(len(trace.steps), "accepted change")
    click.echo(f"generation {trace.generation}, commit {trace.commit[:12]}: {changes} since the start", err=True)
    if trace.without_person:
        click.echo("Approved by a key that is no person; the attestation says so.", err=True)


@click.command()
@click.argument("generation", type=int, required=False)
@click.option("--file", "paths", multiple=True, metavar="PATH", help="A file of the release, by digest; repeatable.")
@click.option("--model", is_flag=True, help="What is released is a machine-learning model: with a model card.")
@click.option("-o", "--out", type=FILE, default=Path("-"), help="Where to write it; default: standard output.")
@click.pass_obj
def bom(source: Source, generation: int | None, paths: tuple[str, ...], model: bool, out: Path) -> None:
    """A bill of materials of the released GENERATION, in CycloneDX (JSON).

    What it came from, commit by commit, and, for a model, what it was measured to do.
    """
    from festina.cli.documents import Desk
    from festina.report.attest.bom import bom as made
    from festina.report.attest.trace import chosen

    with source.open() as ledger:
        desk = Desk(ledger)
        trace, data = chosen(desk.whole.releases.traces, generation), desk.data
    put(made(trace, data, _files(source, trace, paths), model=model).decode("utf-8"), out)


def _engine(source: Source) -> Signer:
    from festina.ledger.signing import LocalKey
    from festina.system import home
    from festina.system.repo import Repo

    if source.ledger is not None:
        raise UsageError("no-key", "a ledger file comes without the engine's key", fix="--statement")
    return LocalKey.load(home.require(Repo.discover(source.root)).key("engine"), "engine")


def _files(source: Source, trace: Trace, paths: tuple[str, ...]) -> dict[str, str]:
    """Digests of files of the released commit, from the system's repository."""
    from hashlib import sha256

    from festina.errors import IntegrityError
    from festina.system.repo import Repo

    if source.ledger is not None:
        if paths:
            raise UsageError("no-repository", "a ledger file comes without the released files", fix="leave --file out")
        return {}
    repo = Repo.discover(source.root)
    if repo.tree_of(trace.commit) != trace.tree:
        raise IntegrityError("tree-differs", "the released commit holds another tree than the record says",
                             where=trace.commit)  # fmt: skip
    return {path: sha256(repo.read_file(trace.tree, path)).hexdigest() for path in paths}
