"""``festina init``: the guesses of ``festina run -- COMMAND`` as a festina.toml of three lines."""

from __future__ import annotations

from pathlib import Path

import click

from festina.cli.common import system_option


@click.command(context_settings={"allow_interspersed_args": False})
@system_option
@click.option("--metric", help="NAME:higher or NAME:lower, as the command prints it.")
@click.option("--allow", multiple=True, help="Files that a proposal may change (globs).")
@click.argument("command_line", nargs=-1, required=True, type=click.UNPROCESSED)
def command(root: Path, metric: str | None, allow: tuple[str, ...], command_line: tuple[str, ...]) -> None:
    """Write a festina.toml of three lines: run, metric, allow.

    COMMAND is tried once in a box: festina init -- python train.py
    """
    from festina.errors import UsageError
    from festina.loop.plain import plain, told
    from festina.system.repo import Repo

    path = Repo.discover(root).root / "festina.toml"
    if path.exists():
        raise UsageError("manifest-exists", f"{path} is there already", fix="edit it; docs/manifest.md has every field")
    found = plain(root, command_line, metric=metric, allow=allow)
    path.write_bytes(found.data)  # byte for byte what a run without a manifest began with: its ledger goes on
    click.echo(told(found), err=True)
    click.echo(f"Wrote {path}. Next: git add festina.toml && git commit -m 'Add festina.toml' && festina run", err=True)
