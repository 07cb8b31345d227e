"""``festina web``: the run, its lineage, reviews and record as pages on this machine."""

from __future__ import annotations

from pathlib import Path

import click

from festina.cli.common import system_option


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

    def started(address: str) -> None:
        click.echo(address)
        click.echo("Keep this address to yourself: whoever has it reads what you read. Ctrl-C ends it.", err=True)
        if show:
            import webbrowser

            webbrowser.open(address)

    require_extra()
    serve(root, port=port, reviewer=reviewer, started=started)
