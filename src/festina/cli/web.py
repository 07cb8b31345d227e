"""``festina web``: the run, its lineage, reviews and record as pages on this machine."""

from __future__ import annotations

import tempfile
import webbrowser
from pathlib import Path

import click

from festina.cli.common import system_option
from festina.system.scratch import prefix


@click.command()
@system_option
@click.option("--port", default=0, show_default="a free one", type=click.IntRange(0, 65535), help="Port on loopback.")
@click.option("--open/--no-open", "show", default=True, show_default=True, help="Open it in the browser.")
@click.option("--as", "reviewer", default="", help="Your enrolled name: then the pages take your decisions.")
def command(root: Path, port: int, show: bool, reviewer: str) -> None:
    """Serve the run as pages: progress, lineage, reviews, the record.

    Only this machine can reach them, and only with the address that is printed; it changes with every start. They load
    nothing from elsewhere and work offline. Ctrl-C ends it; a run goes on without it.
    """
    from festina.web.serve import require_extra, serve

    require_extra()
    with tempfile.TemporaryDirectory(prefix=prefix("web")) as private:

        def started(address: str) -> None:
            click.echo(address)
            click.echo("Keep this address to yourself: whoever has it reads what you read. Ctrl-C ends it.", err=True)
            if show:
                webbrowser.open(doorway(Path(private), address).as_uri())

        serve(root, port=port, reviewer=reviewer, started=started)


def doorway(private: Path, address: str) -> Path:
    """A page that leads to the address, in a folder of this user's alone.  # T-5

    Other users of the machine can read the command line of a browser, and the address holds this start's token.
    """
    path = private / "festina.html"
    path.touch(mode=0o600)
    path.write_text(
        '<!doctype html><meta charset="utf-8"><meta name="referrer" content="no-referrer"><title>Festina</title>'
        f'<meta http-equiv="refresh" content="0;url={address}"><p><a href="{address}">To the pages</a></p>\n'
    )
    return path
