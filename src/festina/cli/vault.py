"""``festina vault``: fill the vault with hidden items, and show what it holds without showing any item.  # T-1"""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import click

from festina.cli.common import system_option
from festina.cli.say import Wordy

if TYPE_CHECKING:
    from festina.verify.types import Source

__all__ = ["group"]


@click.group(cls=Wordy, name="vault")
@system_option
@click.pass_context
def group(ctx: click.Context, root: Path) -> None:
    """Hidden items and their labels: where candidates and proposers cannot look."""
    ctx.obj = root


def _directory(root: Path) -> Path:
    """The system's vault; its home is made if there is none yet."""
    from festina.system import home as homes
    from festina.system.repo import Repo

    repo = Repo.discover(root)
    return homes.ensure(repo, repo.root.name).vault


@group.command(name="add")
@click.argument("suite")
@click.argument("items", required=False, type=click.Path(path_type=Path))
@click.option("--generator", type=click.Path(path_type=Path), help="Python file with generate(seed, n), not items.")
@click.option("--replace", is_flag=True, help="Replace the items that the suite has; this opens a new epoch.")
@click.pass_obj
def add(root: Path, suite: str, items: Path | None, generator: Path | None, replace: bool) -> None:
    """Give SUITE its hidden ITEMS: JSON lines with id, input, label and optionally oracle."""
    from festina.errors import UsageError
    from festina.verify.vault import Vault

    vault = Vault(_directory(root))
    if items is not None and generator is None:
        source = vault.add_items(suite, items, replace=replace)
    elif generator is not None and items is None:
        source = vault.add_generator(suite, generator, replace=replace)
    else:
        raise UsageError("vault-add", "name either a file of items or a generator", fix="festina vault add --help")
    click.echo(_words(suite, source))


@group.command(name="show")
@click.option("--json", "as_json", is_flag=True, help="One JSON object a suite and nothing else.")
@click.pass_obj
def show(root: Path, as_json: bool) -> None:
    """List the suites: kind, number of items and digest; never an item."""
    from festina.verify.vault import Vault

    vault = Vault(_directory(root))
    for suite in vault.suites():
        source = vault.describe(suite)
        record = {"suite": suite, "kind": source.kind, "count": source.count, "digest": source.digest}
        click.echo(json.dumps(record) if as_json else _words(suite, source))
    if not vault.suites() and not as_json:
        click.echo("The vault is empty: festina vault add SUITE ITEMS.jsonl", err=True)


def _words(suite: str, source: Source) -> str:
    what = "a generator" if source.count is None else f"{source.count} items"
    return f"{suite}: {what}, sha256 {source.digest[:16]}"
