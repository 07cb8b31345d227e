"""``festina init``: the guesses of ``festina run -- COMMAND`` as a festina.toml, or another tool's task as a system."""

from __future__ import annotations

import os
from pathlib import Path

import click

from festina.cli.common import system_option
from festina.cli.say import say


@click.command(context_settings={"allow_interspersed_args": False})
@system_option
@click.option("--metric", help="NAME:higher or NAME:lower, as the command prints it.")
@click.option("--allow", multiple=True, help="Files that a proposal may change (globs).")
@click.option(
    "--from", "tool", type=click.Choice(["openevolve", "autoresearch", "inspect"]),
    help="Take over this tool's task; then DIR stands in the command's place.",
)
@click.option("--to", "target", type=click.Path(path_type=Path), help="With --from: the new folder; else DIR-festina.")
@click.argument("command_line", metavar="COMMAND... | DIR", nargs=-1, required=True, type=click.UNPROCESSED)
def command(
    root: Path, metric: str | None, allow: tuple[str, ...], tool: str | None, target: Path | None,
    command_line: tuple[str, ...],
) -> None:  # fmt: skip
    """Write a short festina.toml: what to run, its metric, and what may change.

    COMMAND is tried once in a box: festina init -- python train.py. With --from a copy of another tool's task
    becomes a system: festina init --from openevolve examples/sorting
    """
    if tool is not None:
        _take_over(tool, root, target, metric, allow, command_line)
        return
    if target is not None:
        raise click.UsageError("--to needs --from.")
    from festina.errors import UsageError
    from festina.loop.plain import plain, told
    from festina.system.repo import Repo

    path = Repo.discover(root).root / "festina.toml"
    if path.exists():
        raise UsageError("manifest-exists", f"{path} is there already", fix="edit it; docs/manifest.md has every field")
    found = plain(root, command_line, metric=metric, allow=allow, tell=say)
    path.write_bytes(found.data)  # byte for byte what a run without a manifest began with: its ledger goes on
    say(told(found, os.cpu_count() or 1))
    say("A system that speaks or acts can be probed for what it should not do: festina probes list")
    say(f"Wrote {path}. Next:")
    click.echo("  git add festina.toml && git commit -m 'Add festina.toml' && festina run", err=True)


def _take_over(
    tool: str, root: Path, target: Path | None, metric: str | None, allow: tuple[str, ...], words: tuple[str, ...]
) -> None:
    from festina.loop.importing import bring

    if len(words) != 1:
        raise click.UsageError(f"one folder is needed, after the options: festina init --from {tool} [--to NEW] DIR")
    folder = root / words[0]
    new = root / target if target is not None else folder.resolve().with_name(folder.resolve().name + "-festina")
    made = bring(tool, folder, new, metric=metric, allow=allow)
    click.echo(f"{folder} is a system now, in {made.root}:\n{made.told}", err=True)
    click.echo(f"Next: cd {made.root} && festina calibrate && festina run", err=True)
