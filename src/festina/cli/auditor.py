"""``festina auditor``: another organisation reads the record, annotates it, signs an opinion, and nothing else."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, get_args

import click

from festina.cli.common import opened, put, system_option
from festina.cli.say import Wordy
from festina.errors import IntegrityError, UsageError
from festina.ledger.auditing import Opinion

if TYPE_CHECKING:
    from collections.abc import Callable

MAX_FILE = 200_000  # bytes of what an auditor hands over
FILE = click.Path(path_type=Path, dir_okay=False)


@click.group(cls=Wordy)
def group() -> None:
    """Another organisation reads the record, annotates it, signs an opinion, and nothing else.

    An auditor needs a copy of the record or a bundle and a key of its own; that key signs no entry, so it can approve,
    release, state or stop nothing here. docs/auditors.md has the whole of it.
    """


@group.command()
@system_option
@click.argument("name")
@click.option("--organisation", required=True, help="Whom the auditor belongs to.")
@click.option("--key", required=True, help="The auditor's public key (festina auditor init), in hex or base64.")
def add(root: Path, name: str, organisation: str, key: str) -> None:
    """Let the auditor NAME's key sign notes and opinions about this record."""
    from festina.ledger.signing import parse_public
    from festina.loop import audited

    with opened(root, write=True) as here:
        audited.enrol(here.ledger, here.state, name, organisation, parse_public(key))
    click.echo(f"'{name}' may annotate this record and sign opinions on it, and nothing else.", err=True)


@group.command()
@system_option
@click.argument("file", type=click.Path(path_type=Path, dir_okay=False, exists=True))
def take(root: Path, file: Path) -> None:
    """Enter what an auditor signed (a FILE that `note` or `sign` wrote)."""
    from festina.loop import audited

    row = _handed(file)
    with opened(root, write=True) as here:
        record = audited.take(here.ledger, here.state, row["auditor"], row["note"], row["text"])
    click.echo(f"entry {record.seq}: by {row['auditor']}", err=True)


@group.command("list")
@system_option
def list_(root: Path) -> None:
    """Auditors, and what each signed."""
    from festina.propose.text import visible

    with opened(root) as here:
        outside = here.state.outside
        if not outside.auditors:
            click.echo("No auditor may sign here yet. How to: docs/auditors.md")
        for name, each in outside.auditors.items():
            click.echo(f"{name}, {visible(each.organisation)}")
        for seq, body in outside.audits:
            what = f"opinion: {body.opinion}" if body.opinion else "note"
            about = f"entry {body.entry}" if body.entry is not None else f"the first {body.size} entries"
            words = here.ledger.get_blob(body.text).decode("utf-8", "replace")
            click.echo(f"entry {seq}: {body.auditor}, {what} on {about}: {visible(words)}")


@group.command()
@click.argument("file", type=FILE)
def init(file: Path) -> None:
    """Make an auditor's own key in FILE and print its public half, to be enrolled."""
    from festina.ledger.signing import LocalKey

    click.echo(LocalKey.create(file, "auditor").public.hex())


def _signing(function: Callable[..., None]) -> Callable[..., None]:
    """What ``note`` and ``sign`` share."""
    for option in (
        click.option("-o", "--out", type=FILE, default=Path("-"), help="Where to write it; default: standard output."),
        click.option("--text", required=True, help="Your words: they are signed."),
        click.option("--key-file", required=True, type=FILE, help="Your private key."),
        click.option("--as", "name", required=True, help="Your name, as enrolled."),
        click.argument("record", type=click.Path(path_type=Path, exists=True)),
    ):
        function = option(function)
    return function


@group.command()
@_signing
@click.option("--entry", type=click.IntRange(min=0), required=True, help="The entry that it is about.")
def note(record: Path, name: str, key_file: Path, text: str, out: Path, entry: int) -> None:
    """Annotate an entry of RECORD: a ledger's file, a plain copy, or a bundle's folder."""
    _sign(record, name, key_file, text, out, entry, None)


@group.command()
@_signing
@click.option("--opinion", type=click.Choice(get_args(Opinion)), required=True, help="As auditors of accounts name it.")
def sign(record: Path, name: str, key_file: Path, text: str, out: Path, opinion: Opinion) -> None:
    """Sign an opinion on RECORD as it is. It is checked first: what does not hold is not signed."""
    _sign(record, name, key_file, text, out, None, opinion)


def _sign(
    record: Path, name: str, key_file: Path, text: str, out: Path, entry: int | None, opinion: Opinion | None
) -> None:
    from festina.ledger.audit import verify
    from festina.ledger.audits import Said, digest_of
    from festina.ledger.audits import sign as signed
    from festina.ledger.signing import LocalKey
    from festina.loop.stating import checked

    words = checked(text, "text").decode()
    place = record / "record" if (record / "record").is_dir() else record
    found = verify(place)
    if not found.ok:
        raise IntegrityError(
            "does-not-hold", f"the record does not hold, so nothing is signed: {found.first_bad}", where=str(place)
        )
    if entry is not None and entry >= found.entries:
        raise UsageError("no-such-entry", f"there is no entry {entry}", fix="festina ledger show")
    said = Said(found.origin, found.entries, bytes.fromhex(found.root), entry, opinion, digest_of(words))
    row = {"auditor": name, "note": signed(said, name, LocalKey.load(key_file, "auditor")), "text": words}
    put(json.dumps(row, sort_keys=True) + "\n", out)


def _handed(file: Path) -> dict[str, str]:
    """An auditor's file: hostile until its signature is checked.  # T-5"""
    with file.open("rb") as source:
        data = source.read(MAX_FILE + 1)
    try:
        row = json.loads(data.decode("utf-8")) if len(data) <= MAX_FILE else None
    except (ValueError, RecursionError):
        row = None
    if not isinstance(row, dict) or set(row) != {"auditor", "note", "text"} or {type(v) for v in row.values()} != {str}:
        raise UsageError("bad-audit", "this is no auditor's file", fix="as `festina auditor note` or `sign` wrote it")
    return row
