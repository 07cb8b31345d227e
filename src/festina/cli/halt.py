"""``festina halt`` and ``festina unhalt``: stop everything now; go on when a person has signed that it may.  # G-5"""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

import click

from festina.cli.common import duration, opened, system_option

if TYPE_CHECKING:
    from festina.system.home import Home


@click.command()
@system_option
@click.option("--reason", default="", help="Why: shown to whoever wants to go on.")
def command(root: Path, reason: str) -> int:
    """Stop everything of this system, now.

    Ends every process within a second (the run, trials, improvers, scorers, also what hangs or was stopped), whoever
    started it and without asking any of them; needs no key. Nothing starts again before festina unhalt. What was under
    way is not lost: the next run goes on with it, as after a power cut.
    """
    from festina import entry
    from festina.govern.stopping import hurrying, stop_all  # little is loaded before the effect
    from festina.system.halts import user

    done = entry.carried_out()
    home = _home(root)
    if done is None:
        with hurrying():
            done = stop_all(home.path, by=user(), reason=reason)
    os.sched_setscheduler(0, os.SCHED_OTHER, os.sched_param(0))  # the rest has time
    click.echo(f"Halted: {done.processes} processes ended in {done.took_s:.2f} s.", err=True)
    for pid in done.left:
        click.echo(f"NOT ENDED: process {pid} (not yours to end, or the kernel holds it)", err=True)
    from festina.loop import holds

    if not holds.recorded(home, done):
        click.echo("The record does not have it yet; the next command with the engine's key enters it.", err=True)
    click.echo("Nothing runs here again until a person signs: festina unhalt --as NAME --reason TEXT", err=True)
    return 1 if done.left else 0


def _home(root: Path) -> Home:
    from festina.errors import UsageError
    from festina.system import home as homes
    from festina.system.repo import Repo

    home = homes.find(Repo.discover(root))
    if home is None:
        raise UsageError(
            "no-ledger", f"nothing has been run on {root.resolve()} yet, or its record lies elsewhere",
            fix="if it lies elsewhere, set FESTINA_HOME",
        )  # fmt: skip
    return home


@click.command()
@system_option
@click.option("--as", "reviewer", required=True, help="Your enrolled name.")
@click.option("--reason", required=True, help="Why it may go on: it is signed.")
def unhalt(root: Path, reviewer: str, reason: str) -> None:
    """End a halt: signed with a reviewer's key, and nothing else ends it."""
    from festina.loop import acts, holds

    with opened(root, write=True) as here:
        before = here.ledger.size
        holds.record(here.ledger, here.state, here.home)
        for each in acts.resume(here.ledger, here.state, here.home, reviewer, reason):
            click.echo(f"Over: halted by {each.by or 'somebody'} at {each.since}.", err=True)
        holds.tell(here.ledger, here.home, before)
    click.echo("Signed: the run may go on. Next: festina run", err=True)


@click.command()
@system_option
@click.option("--as", "reviewer", required=True, help="Your enrolled name.")
def renew(root: Path, reviewer: str) -> None:
    """Give a sign of life: signed with a reviewer's key.

    Where festina.toml says `lease = "24h"` in [policy], the loop pauses when no person has signed anything for so long.
    Any decision about a review counts as well.
    """
    from festina.loop import acts

    with opened(root, write=True) as here:
        acts.renew(here.ledger, here.state, here.home, reviewer)
        terms = here.state.epoch.govern if here.state.epoch is not None else None
    lease = terms.lease_s if terms is not None else None
    until = f" It is good for {duration(lease)}." if lease is not None else " No lease is asked for here."
    click.echo(f"Signed.{until}", err=True)
