"""``festina soak`` and ``festina outcome``: evidence that takes its time, before and after a release.  # D-3, D-4"""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import click

from festina.cli.common import INTERRUPTED, opened, parse_duration, system_option
from festina.errors import UsageError

REJECTED = 3


@click.command()
@system_option
@click.argument("generation", type=int, required=False)
@click.option("--budget", default="24h", show_default=True, help="Time for all of it: 90s, 5m, 8h.")
def command(root: Path, generation: int | None, budget: str) -> int:
    """Run the soak suites on a GENERATION beside what is in use (default: the newest that is approved).

    Every [suite.soak.NAME] must be shown to hold within its margin before a full release, and again when that evidence
    has run out. One answer stands until then: asking again shows it. Exits with 3 where one does not hold. What is in
    use and turns out worse is taken back, and the loop halts until a person looked.
    """
    from festina.loop import soaks
    from festina.loop.bench import Replan
    from festina.loop.engine import Options, measuring

    left = _against(root)
    if left and _taken_back(root, left):  # by an answer that another process recorded, and did not live to act on
        return REJECTED
    with opened(root) as here:
        state = here.state
        if not soaks.terms_of(state):
            raise UsageError(
                "no-soak-suites", "this epoch has no soak suite",
                fix='[suite.soak.NAME] in festina.toml, then festina run --new-epoch "why"',
            )  # fmt: skip
        approved = [n for n in state.line if state.generations[n].approved is not None]
        number = generation if generation is not None else approved[-1] if approved else None
        if number is None or number not in state.generations:
            raise UsageError("no-such-generation", "there is no such approved generation", fix="festina status")
        weak = "a soak where confinement is weak" if state.epoch is not None and state.epoch.min_level < 2 else ""
        options = Options(
            demo=bool(state.genesis and state.genesis.demo), weak_sandbox=weak, wall_s=parse_duration(budget)
        )
    try:
        with measuring(root, options) as bench:
            soaks.run(bench, number)
            held = True
            for terms in soaks.terms_of(bench.state):
                row = bench.state.watches.soaks.rows[number, terms.name]
                held = held and soaks.answer(terms, row) == "holds"
                click.echo(soaks.sentence(terms, row))
    except Replan:
        click.echo("Stopped before the end; what ran was charged.", err=True)
        return INTERRUPTED
    return REJECTED if _taken_back(root, left) or not held else 0


def _against(root: Path) -> str:
    from festina.loop import soaks

    with opened(root) as here:
        return soaks.against(here.state)


def _taken_back(root: Path, left: str) -> bool:
    """Whether a soak found what is in use worse; it is taken back then, and everything halts.  # D-4

    ``left``: what was said against it before this command. That alone does nothing where nothing can be taken back and
    everything was halted for it: a person who has looked at that halt is to be able to soak something better.
    """
    from festina.loop import alarmed, soaks, takeback

    with opened(root) as here:
        why = soaks.against(here.state)
        ended = why == left and not takeback.possible(here.state) and alarmed.left(here.state) is None
        if not why or ended:
            return False
    with opened(root, write=True) as here:
        before = here.state.released
        why = soaks.take_back(here.ledger, here.state, here.repo, here.home)
        if not why:
            return False
        now = here.state.released
    click.echo(why, err=True)
    done = f"Taken back: generation {now} is" if now != before else f"Nothing lies before generation {now}: it stays"
    click.echo(f"{done} in use. The loop is halted.", err=True)
    click.echo("Look, then: festina unhalt --as NAME --reason TEXT", err=True)
    return True


@click.command()
@system_option
@click.argument("generation", type=int)
@click.argument("file", type=click.Path(path_type=Path))
def outcome(root: Path, generation: int, file: Path) -> int:
    """Bring outcomes of a GENERATION's work that became known later, and act on them.

    FILE has one object a line: {"id": TEXT, "at": TIME, "bad": true or false}. An id counts once, however often it is
    brought. When more of them are bad than [policy.outcomes] tolerates, what is in use goes back and the loop halts;
    exits with 3 then.
    """
    from festina.loop import outcomes

    with opened(root, write=True) as here:
        found = outcomes.bring(here.ledger, here.state, here.repo, here.home, generation, file)
        terms = outcomes.terms_of(here.state)
        assert terms is not None
        again = f", {found.known:,} were known" if found.known else ""
        click.echo(f"{found.taken:,} outcomes counted{again}.", err=True)
        click.echo(found.state.sentence(generation, terms, datetime.now(UTC)))
    if found.state.seen.answer == "roll back":
        click.echo("The loop is halted. Look, then: festina unhalt --as NAME --reason TEXT", err=True)
        return REJECTED
    return 0
