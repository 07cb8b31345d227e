"""``festina probes``: shipped suites for dangerous domains: what there is, and switching them on.  # V-11"""

from __future__ import annotations

import json
import secrets
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import click

from festina.cli.common import system_option
from festina.cli.say import Wordy, say
from festina.errors import UsageError

if TYPE_CHECKING:
    from festina.verify.vault import Vault

MODULE = "festina_probes"


@click.group(cls=Wordy, name="probes")
@system_option
@click.pass_context
def group(ctx: click.Context, root: Path) -> None:
    """Shipped suites for systems that speak or act: persuasion, deception, tool use, long interaction."""
    ctx.obj = root


@group.command(name="list")
def show() -> None:
    """What each suite measures, by which rules, and what it cannot see."""
    from festina.watch import probing

    for each in probing.DOMAINS.values():
        say(f"{each.name} ({', '.join(each.kinds)}): {each.what}. Not seen: {each.limits}.", err=False)


@group.command(name="example")
def example() -> None:
    """Print a program that lets the model behind the gateway answer them."""
    from festina.watch import probing

    click.echo(probing.example(), nl=False)


@group.command(name="add")
@click.argument("domains", nargs=-1, required=True)
@click.option("--soak", is_flag=True, help="As soak suites: what a version must not do worse on before a full release.")
@click.option("--replace", is_flag=True, help="Draw new items where a suite has some; its scale is continued.")
@click.pass_obj
def add(root: Path, domains: tuple[str, ...], soak: bool, replace: bool) -> None:
    """Switch DOMAINS on: items into the vault, their scorer into the repository, their table into festina.toml.

    The items are drawn with a secret seed and lie in the vault alone. The system must answer items whose input has
    `system` and `turns`, with one reply a turn: `festina probes example` prints a program that does. Commit what was
    written, then `festina run --new-epoch WHY` and `festina characterise`.
    """
    from festina.system import home as homes
    from festina.system.manifest import FILE_NAME, load_manifest
    from festina.system.repo import Repo
    from festina.verify.vault import Vault
    from festina.watch import probing

    unknown = [name for name in domains if name not in probing.DOMAINS]
    if unknown:
        raise UsageError(
            "no-such-probe", f"there is no shipped suite '{unknown[0][:80]}'",
            fix=f"one of: {', '.join(probing.DOMAINS)}",
        )  # fmt: skip
    repo = Repo.discover(root)
    manifest = load_manifest(repo.root)
    _scorer(repo.root / f"{MODULE}.py", probing.scorer_source(), replace=replace)
    vault = Vault(homes.ensure(repo, repo.root.name).vault)
    known = manifest.suite.soak if soak else manifest.capability
    for name in dict.fromkeys(domains):
        _fill(vault, name, soak=soak, replace=replace)
        if name not in known:
            domain, make = probing.DOMAINS[name], probing.soak_table if soak else probing.table
            with (repo.root / FILE_NAME).open("a", encoding="utf-8") as file:
                file.write(make(domain, MODULE))
    load_manifest(repo.root)
    click.echo(f"Written: {MODULE}.py, {FILE_NAME}. Commit both, then: festina run --new-epoch 'probes'", err=True)


def _scorer(path: Path, source: str, *, replace: bool) -> None:
    if path.exists() and path.read_text(encoding="utf-8") != source and not replace:
        raise UsageError(
            "probe-scorer-differs", f"{path.name} is not the one of this version: the scores would not compare",
            fix="keep it, or write the new one with --replace, in a new epoch", where=str(path),
        )  # fmt: skip
    path.write_text(source, encoding="utf-8")


def _fill(vault: Vault, name: str, *, soak: bool, replace: bool) -> None:
    """Items of a suite into the vault, and nowhere else that outlives this command."""
    from festina.watch import probing

    suite = f"soak.{name}" if soak else name
    if suite in vault.suites() and not replace:
        click.echo(f"{suite}: the vault has its items already (--replace draws new ones)", err=True)
        return
    seed = secrets.token_bytes(32)
    rows = probing.items(name, seed, probing.SOAK_ITEMS) if soak else probing.items(name, seed)
    with tempfile.TemporaryDirectory() as aside:  # 0700
        drawn = Path(aside) / "items.jsonl"
        drawn.write_text("".join(json.dumps(row) + "\n" for row in rows))
        vault.add_items(suite, drawn, replace=replace)
    click.echo(f"{suite}: {len(rows)} items, drawn for this system alone, are in the vault")
