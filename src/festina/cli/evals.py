"""``festina report evals``: every test as a log that Inspect reads."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from festina.errors import UsageError

if TYPE_CHECKING:
    from festina.cli.documents import Source


@click.command()
@click.argument("folder", type=click.Path(path_type=Path, file_okay=False))
@click.pass_obj
def evals(source: Source, folder: Path) -> None:
    """Write every test into FOLDER as a log that Inspect's tools read (.eval).

    A sample is one unit of evidence with both sides' scores; items and answers are not in the record and so in no log.
    Look at them with: inspect view --log-dir FOLDER
    """
    from festina.report.evals import logs

    try:
        folder.mkdir(parents=True)
    except FileExistsError:
        raise UsageError(
            "folder-exists", "nothing is ever overwritten", fix="name a new folder", where=str(folder)
        ) from None  # fmt: skip
    with source.open() as ledger:
        count = 0
        for name, data in logs(ledger.records(), ledger.get_blob):
            (folder / name).write_bytes(data)
            count += 1
    click.echo(f"{count} logs in {folder}", err=True)
