"""``festina witness``: have others keep the newest checkpoint of the record, and be such a witness for others.

Exit codes: 0 ok, 1 a witness did not cosign, 2 usage, 6 a witness holds another history than this ledger's.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from festina.cli.common import INTEGRITY, opened, put, system_option
from festina.cli.say import Wordy
from festina.errors import UsageError

if TYPE_CHECKING:
    from festina.loop.witnessing import Asked

FOLDER = click.Path(path_type=Path, file_okay=False)
FILE = click.Path(path_type=Path, dir_okay=False)
MAX_FILE = 200_000  # bytes of a request or an answer


@click.group(cls=Wordy)
def group() -> None:
    """Have others keep the newest checkpoint of the record, and be such a witness for others.

    A witness keeps the newest checkpoint that it saw and cosigns the next one only when it continues that one: whoever
    rewrites or cuts a record can show it to no witness. docs/witnesses.md has the whole of it.
    """


def told(rows: list[Asked]) -> bool:
    """Say what each witness did; whether all cosigned. What comes from a witness is shown as plain text.  # T-5"""
    from festina.propose.text import visible

    for row in rows:
        click.echo(f"{row.name}: {visible(row.trouble)[:300] if row.trouble else 'cosigned'}", err=True)
    return not any(row.trouble for row in rows)


# -- the record's side -----------------------------------------------------------------------------------


@group.command()
@system_option
def key(root: Path) -> None:
    """Print this record's verifier key: what a witness has to know (festina witness trust)."""
    from festina.ledger.checkpoint import vkey

    with opened(root) as here:
        click.echo(vkey(here.ledger.origin, here.ledger.engine_key))


@group.command()
@system_option
def ask(root: Path) -> int:
    """Have every witness with an address cosign the newest checkpoint, and record what they signed."""
    from festina.loop import witnessing

    with opened(root, write=True) as here:
        return 0 if told(witnessing.ask(here.ledger, here.state)) else 1


@group.command()
@system_option
def compare(root: Path) -> int:
    """Ask every witness what it holds as newest, and compare: two that were shown different histories are found."""
    from festina.loop import witnessing
    from festina.propose.text import visible

    with opened(root) as here:
        rows = witnessing.compare(here.ledger, here.state)
    for row in rows:
        click.echo(f"{row.name}: {visible(row.trouble)[:300] if row.trouble else 'a beginning of this record'}")
    return INTEGRITY if any(row.fork for row in rows) else 1 if any(row.trouble for row in rows) else 0


@group.command()
@system_option
@click.option("--old", type=click.IntRange(min=0), default=0, show_default=True, help="Entries that the witness has.")
@click.option("-o", "--out", type=FILE, default=Path("-"), help="Where to write it; default: standard output.")
def request(root: Path, old: int, out: Path) -> None:
    """Write a request for a witness without a network; it answers with `festina witness sign`."""
    from festina.loop import witnessing
    from festina.witness.protocol import render

    with opened(root, write=True) as here:
        made = witnessing.request(here.ledger, here.ledger.cover(), old)
        if made is None:
            raise UsageError(
                "witness-ahead", f"the witness has {old} entries, and this record has {here.ledger.covered}",
                fix="festina ledger verify; is this an older copy?",
            )  # fmt: skip
    put(render(made).decode(), out)
    if str(out) != "-":
        click.echo(f"Next, at the witness: festina witness sign FOLDER {out} -o ANSWER; then here: "
                   f"festina witness take {out} ANSWER", err=True)  # fmt: skip


@group.command()
@system_option
@click.argument("asked", type=click.Path(path_type=Path, dir_okay=False, exists=True))
@click.argument("answer", type=click.Path(path_type=Path, dir_okay=False, exists=True))
def take(root: Path, asked: Path, answer: Path) -> None:
    """Record a witness's ANSWER to the request in the file ASKED."""
    from festina.loop import witnessing
    from festina.witness.protocol import parse

    note = parse(_read(asked)).note + _text(_read(answer))
    with opened(root, write=True) as here:
        for each in witnessing.take(here.ledger, here.state, note):
            click.echo(f"{each.name}: cosigned", err=True)


# -- a witness's side ------------------------------------------------------------------------------------


@group.command()
@click.argument("folder", type=FOLDER)
@click.option("--name", required=True, help="Its name for everybody, such as audit.example.org/w1; no blank, no +.")
def init(folder: Path, name: str) -> None:
    """Make a witness in FOLDER, with a key of its own, and print its verifier key for [policy.witness]."""
    from festina.witness.keeper import Keeper

    click.echo(Keeper.create(folder, name).key.text)


@group.command()
@click.argument("folder", type=FOLDER)
@click.argument("key")
def trust(folder: Path, key: str) -> None:
    """Cosign for the record with this verifier KEY (festina witness key, at its place) from now on."""
    from festina.witness.keeper import Keeper

    click.echo(Keeper(folder).trust(key))


@group.command()
@click.argument("folder", type=FOLDER)
@click.option("--host", default="127.0.0.1", show_default=True, help="Which address of this machine to listen on.")
@click.option("--port", type=click.IntRange(0, 65535), default=8477, show_default=True, help="0: any free one.")
def serve(folder: Path, host: str, port: int) -> None:
    """Answer over HTTP (C2SP tlog-witness) until stopped."""
    from festina.witness.keeper import Keeper
    from festina.witness.server import Server

    keeper = Keeper(folder)
    with Server(keeper, host, port) as server:
        click.echo(keeper.key.text)
        click.echo(f"http://{host}:{server.server_address[1]}")
        server.serve_forever()


@group.command()
@click.argument("folder", type=FOLDER)
@click.argument("asked", type=click.Path(path_type=Path, dir_okay=False, exists=True))
@click.option("-o", "--out", type=FILE, default=Path("-"), help="Where to write the answer; default: standard output.")
def sign(folder: Path, asked: Path, out: Path) -> int:
    """Answer the request in the file ASKED, without a network."""
    from festina.witness.keeper import Keeper
    from festina.witness.protocol import SIZE_TYPE

    answer = Keeper(folder).add(_read(asked))
    if answer.status != 200:
        more = f"this witness has {answer.body.strip()} entries" if answer.type == SIZE_TYPE else answer.body.strip()
        click.echo(f"not cosigned ({answer.status}): {more}", err=True)
        if answer.status == 404:
            click.echo(f"To take it on: festina witness trust {folder} KEY (there: festina witness key)", err=True)
        return INTEGRITY if answer.status in (409, 422) else 1
    put(answer.body, out)
    return 0


@group.command()
@click.argument("folder", type=FOLDER)
def logs(folder: Path) -> int:
    """The records that the witness in FOLDER knows, how far it cosigned each, and forks that it was shown."""
    from festina.witness.keeper import Keeper

    keeper, forks = Keeper(folder), 0
    click.echo(keeper.key.text)
    for each in keeper.logs():
        click.echo(f"{each.origin}: {each.size} entries" if each.note else f"{each.origin}: nothing cosigned yet")
        for note in each.forks:
            forks += 1
            click.echo(f"FORK: the same key signed this, too, and another history of {each.origin}:\n{note}")
    return INTEGRITY if forks else 0


def _read(path: Path) -> bytes:
    with path.open("rb") as file:
        data = file.read(MAX_FILE + 1)
    if len(data) > MAX_FILE:
        raise UsageError("too-long", f"over {MAX_FILE:,} bytes", fix="give the file that was written", where=str(path))
    return data


def _text(data: bytes) -> str:
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError:
        raise UsageError("not-text", "it is not text in UTF-8", fix="give the answer as written") from None
