"""``festina review`` and ``festina reviewer``: people decide, with the patch and the numbers before them."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from festina.cli.common import Opened, opened, system_option

if TYPE_CHECKING:
    from festina.loop.rows import Generation


@click.group(invoke_without_command=True)
@system_option
@click.pass_context
def group(ctx: click.Context, root: Path) -> None:
    """What waits for a person; approve or deny it.

    Without a subcommand it lists what waits. Nothing is approved by default, in bulk, or by waiting.
    """
    ctx.obj = root
    if ctx.invoked_subcommand is None:
        with opened(root) as here:
            waiting = here.state.waiting
            if not waiting:
                click.echo("Nothing waits for a person.")
            for review in waiting:
                click.echo(_headline(here, review.terms.review))
            if waiting:
                click.echo(f"Look at one: festina review show {waiting[0].terms.review}")


@group.command()
@click.argument("number", type=int)
@click.pass_obj
def show(root: Path, number: int) -> None:
    """Show one review: the patch first, then the evidence."""
    with opened(root) as here:
        click.echo(sheet(here, number))
        click.echo(f"Decide: festina review approve {number} --as NAME --reason TEXT   (or: deny)")


@group.command()
@click.argument("number", type=int)
@click.option("--as", "reviewer", required=True, help="Your enrolled name.")
@click.option("--reason", required=True, help="Why: it is signed with the decision.")
@click.pass_obj
def approve(root: Path, number: int, reviewer: str, reason: str) -> None:
    """Approve exactly what `show` shows; signed with your key."""
    _decide(root, number, reviewer, reason, approve=True)


@group.command()
@click.argument("number", type=int)
@click.option("--as", "reviewer", required=True, help="Your enrolled name.")
@click.option("--reason", required=True, help="Why: it is signed with the decision.")
@click.pass_obj
def deny(root: Path, number: int, reviewer: str, reason: str) -> None:
    """Deny it: the working line goes back to before it."""
    _decide(root, number, reviewer, reason, approve=False)


@group.command()
@click.option("--as", "reviewer", help="Your enrolled name, to let the run go on.")
@click.option("--reason", default="", help="What the cause was and what was done: it is signed.")
@click.pass_obj
def control(root: Path, reviewer: str | None, reason: str) -> None:
    """What the incumbent compared with itself says; sign that a broken comparison was mended.

    Without --as it only shows. A signature starts the comparison anew; the other way on is a new epoch
    (festina run --new-epoch).
    """
    from festina.cli.assurance import sameness_lines
    from festina.loop import acts

    if reviewer is None:
        with opened(root) as here:
            click.echo("\n".join(sameness_lines(here.state)))
        return
    with opened(root, write=True) as here:
        acts.resolve_control(here.ledger, here.state, here.home, reviewer, reason)
    click.echo("Signed: the run may go on. Next: festina run", err=True)


def _decide(root: Path, number: int, reviewer: str, reason: str, *, approve: bool) -> None:
    from festina.loop import acts

    with opened(root, write=True) as here:
        acts.decide(here.ledger, here.state, here.repo, here.home, number, reviewer, approve=approve, reason=reason)
    word = "Approved" if approve else "Denied"
    follow = "festina release, or festina run to go on with it" if approve else "festina run takes the line back"
    click.echo(f"{word}. Next: {follow}", err=True)


def _headline(here: Opened, number: int) -> str:
    review = here.state.reviews[number]
    generation = here.state.generations[review.terms.generation]
    part = ", changes the improver itself" if review.terms.improver_changed else ""
    return (
        f"review {number}: generation {generation.number} by {generation.author}, "
        f"{generation.changed_lines} changed lines{part}; expires {review.terms.expires[:10]}"
    )


def sheet(here: Opened, number: int) -> str:
    """Everything a person needs to decide, hostile text made visible.  # T-5"""
    from festina.cli.assurance import plant_lines, sameness_lines, verifier_lines
    from festina.errors import UsageError
    from festina.loop import acts
    from festina.propose.text import visible
    from festina.review import desk

    review = here.state.reviews.get(number)
    if review is None:
        raise UsageError("no-such-review", f"there is no review {number}", fix="festina review")
    generation = here.state.generations[review.terms.generation]
    base = acts.base_of(here.state, review)
    patch = desk.shown(here.repo, review.terms, base.commit).decode(errors="replace")
    lines = [
        _headline(here, number),
        f"--- the change, against generation {base.number} ---",
        "\n".join(visible(line) for line in patch.splitlines()),
        "--- the evidence ---",
    ]
    step: int | None = generation.number
    shown: list[str] = []
    while step is not None and step != base.number:
        g = here.state.generations[step]
        shown += reversed(_evidence(here, g))
        step = g.parent
    lines += reversed(shown)
    if generation.verdict is not None:
        lines.append(f"assurance: {generation.verdict.assurance}; bound to {review.terms.binding[:16]}")
        lines += [*sameness_lines(here.state), *plant_lines(here.state), *verifier_lines(here.state)]
    return "\n".join(lines)


def _evidence(here: Opened, g: Generation) -> list[str]:
    """What is known of one generation: its verdict, and how its public gain compares.  # S-4, V-6"""
    from festina.ledger.entries import PublicCompared

    lines = [f"generation {g.number}: {g.verdict.sentence}"] if g.verdict is not None else []
    if isinstance(g.public, PublicCompared):
        lines.append(f"  public against hidden: {g.public.sentence}")
    elif g.public is not None:
        lines.append(f"  public against hidden: {g.public.reason}")
    return lines + _hunks(here, g)


def _hunks(here: Opened, g: Generation) -> list[str]:
    """Which hunk caused what, where it was measured.  # V-8"""
    from festina.ledger.entries import Attributed
    from festina.loop import attributed

    if isinstance(g.attribution, Attributed):
        found = attributed.lines(g.attribution, here.ledger.get_blob)
        return ["  hunk by hunk: " + found[0], *(f"    {line}" for line in found[1:])]
    return [f"  hunk by hunk: not measured, {g.attribution.reason}"] if g.attribution is not None else []


def ask(here: Opened, number: int) -> tuple[bool, str] | None:
    """Show the sheet on a terminal and ask for a reasoned decision; None when nobody answers."""
    click.echo(sheet(here, number))
    if not sys.stdin.isatty():
        return None
    answer = click.prompt("Type 'approve' or 'deny'", type=click.Choice(["approve", "deny"]))
    reason = click.prompt("Why")
    return answer == "approve", reason


@click.group()
@system_option
@click.pass_context
def reviewer(ctx: click.Context, root: Path) -> None:
    """People who may decide: add, list."""
    ctx.obj = root


@reviewer.command()
@click.argument("name")
@click.pass_obj
def add(root: Path, name: str) -> None:
    """Make a key for NAME (kept with the person, not with the engine) and enrol it."""
    from festina.loop import acts
    from festina.review.desk import keys_directory

    with opened(root, write=True) as here:
        acts.enrol(here.ledger, here.state, here.home, name)
    click.echo(f"{name} may decide on this system. The private key is in {keys_directory()}: keep it from the engine.")


@reviewer.command("list")
@click.pass_obj
def listed(root: Path) -> None:
    """Who may decide."""
    with opened(root) as here:
        for name, body in here.state.reviewers.items():
            click.echo(f"{name}{'  (demo key: speaks for no person)' if body.demo else ''}")
