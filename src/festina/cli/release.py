"""``festina release`` and ``festina rollback``: what is used outside the loop, and the way back."""

from __future__ import annotations

from pathlib import Path

import click

from festina.cli.common import opened, system_option


@click.command()
@system_option
@click.argument("generation", type=int, required=False)
def command(root: Path, generation: int | None) -> None:
    """Release an approved generation (default: the newest approved).

    Checks first that the record proves the verdict and the approval for exactly this content.
    """
    from festina.loop import acts
    from festina.release.refs import released_ref

    with opened(root, write=True) as here:
        done = acts.release(here.ledger, here.state, here.repo, generation)
        assert here.state.genesis is not None
        demo = here.state.genesis.demo
    click.echo(f"Generation {done.number} is released: {released_ref(demo)} is {done.commit[:12]}.", err=True)
    if demo:
        click.echo("It was approved without a person: it cannot leave the demo.", err=True)
    else:
        click.echo(f"Take it over: git merge {released_ref(demo)}", err=True)


@click.command()
@system_option
@click.argument("generation", type=int, required=False)
def rollback(root: Path, generation: int | None) -> None:
    """Go back to an earlier generation, now (default: the one before the head)."""
    from festina.loop import acts

    with opened(root, write=True) as here:
        target = acts.rollback(here.ledger, here.state, here.repo, generation)
    click.echo(f"Generation {target.number} is the head of the working line again ({target.commit[:12]}).", err=True)
