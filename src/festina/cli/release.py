"""``festina release`` and ``festina rollback``: what is used outside the loop, and the way back."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import click

from festina.cli.common import INTERRUPTED, Opened, opened, system_option

WALL_S = 24 * 3600.0  # of a final score: as long as it takes, but not for ever


@click.command()
@system_option
@click.argument("generation", type=int, required=False)
def command(root: Path, generation: int | None) -> int:
    """Release an approved generation (default: the newest approved).

    What is released already stays so, and nothing is recorded twice.
    Checks first that the record proves the verdict and the approval for exactly this content; where the manifest has a
    [suite.final], scores the generation on it, once, and refuses what that score contradicts; where it has a
    [suite.soak.NAME], runs that beside what is in use, and refuses what is not shown to hold.
    """
    from festina.ledger.entries import PublicCompared
    from festina.loop import acts, finals, holds, soaks
    from festina.release.refs import released_ref

    with opened(root, write=True) as here:
        holds.require_free(here.ledger, here.state, here.home)  # G-5
        acts.settle_reviews(here.ledger, here.state, here.repo)
        _ask_witnesses(here)
        chosen = acts.may_release(here.ledger, here.state, here.repo, generation)
        demo = bool(here.state.genesis and here.state.genesis.demo)
        there = here.repo.ref(released_ref(demo)) == chosen.commit
        stands = there and here.state.released == chosen.number
        scored = not finals.due(here.state, chosen)
        weak = here.state.epoch is not None and here.state.epoch.min_level < 2
        soaked = not soaks.due(here.state, chosen)
        if stands and scored and soaked:
            finals.require(here.state, chosen)
            soaks.require(here.state, chosen)
            click.echo(
                f"Generation {chosen.number} is released already ({chosen.commit[:12]}): nothing to do.", err=True
            )
            return 0
    if not scored and not _score(root, chosen.number, demo=demo, weak=weak):
        return INTERRUPTED
    if not soaked and not _soak(root, chosen.number, demo=demo, weak=weak):
        return INTERRUPTED
    with opened(root, write=True) as here, holds.guarded(here.home):
        done = acts.release(here.ledger, here.state, here.repo, chosen.number)
        score = here.state.side.finals.get(done.number)
        assert here.state.genesis is not None
        demo = here.state.genesis.demo
        stood = soaks.lines(here.state, datetime.now(UTC))
    for line in stood:
        click.echo(line, err=True)
    if score is not None:
        click.echo(finals.sentence(score), err=True)
    if isinstance(done.public, PublicCompared):  # V-6
        click.echo(done.public.sentence, err=True)
    click.echo(f"Generation {done.number} is released: {released_ref(demo)} is {done.commit[:12]}.", err=True)
    if here.repo.tree_of(done.commit) in here.state.trained.done:
        click.echo(f"Its trained model: festina artifact {done.number} --out FOLDER", err=True)
    if demo:
        click.echo("It was approved without a person: it cannot leave the demo.", err=True)
    else:
        click.echo(f"Take it over: git merge {released_ref(demo)}", err=True)
    return 0


def _ask_witnesses(here: Opened) -> None:
    """Where a release waits for witnesses: show them the record as it is now.  # L-2"""
    terms = here.state.epoch.witness if here.state.epoch is not None else None
    if terms is None or not terms.release:
        return
    from festina.cli.witness import told
    from festina.loop import witnessing

    told(witnessing.ask(here.ledger, here.state))


def _score(root: Path, number: int, *, demo: bool, weak: bool) -> bool:
    """Score a generation on the sealed final suite; False when it was stopped.  # V-3"""
    from festina.loop.bench import Replan
    from festina.loop.engine import Options, measuring
    from festina.loop.finals import score_final

    click.echo("Scoring on the sealed final suite, once for this generation ...", err=True)
    reason = "a final score where confinement is weak" if weak else ""
    try:
        with measuring(root, Options(demo=demo, weak_sandbox=reason, wall_s=WALL_S)) as bench:
            score_final(bench, number)
    except Replan:
        click.echo("Stopped before the end; what ran was charged.", err=True)
        return False
    return True


def _soak(root: Path, number: int, *, demo: bool, weak: bool) -> bool:
    """Run the soak suites; False when it was stopped.  # D-3"""
    from festina.loop import soaks
    from festina.loop.bench import Replan
    from festina.loop.engine import Options, measuring

    click.echo("Running the soak suites beside what is in use ...", err=True)
    reason = "a soak where confinement is weak" if weak else ""
    try:
        with measuring(root, Options(demo=demo, weak_sandbox=reason, wall_s=WALL_S)) as bench:
            soaks.run(bench, number)
    except Replan:
        click.echo("Stopped before the end; what ran was charged.", err=True)
        return False
    return True


@click.command()
@system_option
@click.argument("generation", type=int, required=False)
def rollback(root: Path, generation: int | None) -> None:
    """Go back to an earlier generation, now (default: the one before the head).

    Nobody is asked, so that it works in an emergency. What was accepted after that generation leaves the working line
    for good; its content stays under refs/festina/generations. Where newer rules began a new line while an older
    version stayed in use, what is in use goes back, and the line stays.
    """
    from festina.loop import acts

    with opened(root, write=True) as here:
        before = tuple(here.state.line)
        target = acts.rollback(here.ledger, here.state, here.repo, generation)
        gone = [number for number in before if number not in here.state.line]
        on_line = target.number in here.state.line
    if not on_line:
        click.echo(f"Generation {target.number} is released again ({target.commit[:12]}).", err=True)
        click.echo("The working line began under newer rules, and stays as it is.", err=True)
        return
    click.echo(f"Generation {target.number} is the head of the working line again ({target.commit[:12]}).", err=True)
    if gone:
        places = ", ".join(f"refs/festina/generations/{number}" for number in gone)
        click.echo(f"Taken back for good; the content stays at {places}.", err=True)
