"""``festina reviewer``: people who may decide, and how well each of them reviews."""

from __future__ import annotations

from pathlib import Path

import click

from festina.cli.common import opened, system_option
from festina.cli.say import Wordy, say


@click.group(cls=Wordy)
@system_option
@click.pass_context
def group(ctx: click.Context, root: Path) -> None:
    """People who may decide: add, list."""
    ctx.obj = root


@group.command()
@click.argument("name")
@click.pass_obj
def add(root: Path, name: str) -> None:
    """Make a key for NAME (kept with the person, not with the engine) and enrol it."""
    from festina.loop import acts
    from festina.review.desk import keys_directory

    with opened(root, write=True) as here:
        acts.enrol(here.ledger, here.state, here.home, name)
    click.echo(f"{name} may decide on this system. The private key is in {keys_directory()}: keep it from the engine.")


@group.command("list")
@click.pass_obj
def listed(root: Path) -> None:
    """Who may decide, and how well each of them reviews: catch trials, false alarms, questions, predictions."""
    from festina.loop import reviews

    with opened(root) as here:
        known = reviews.calibration(here.state)
    for each in known:
        say(each.sentence, err=False)
    if not known:
        click.echo("Nobody may decide here yet. Next: festina reviewer add NAME", err=True)
