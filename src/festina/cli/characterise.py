"""``festina characterise`` and ``festina attest``: what the system can do, and what stands against it.  # G-1, G-2"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import click

from festina.cli.common import INTERRUPTED, opened, parse_duration, system_option
from festina.errors import UsageError

if TYPE_CHECKING:
    from festina.loop.state import State


@click.command()
@system_option
@click.argument("generation", type=click.IntRange(0), required=False)
@click.option("--budget", default="1h", show_default=True, help="Time for all of it: 90s, 5m, 8h.")
def command(root: Path, generation: int | None, budget: str) -> int:
    """Measure what the system can do, as a whole.

    Runs every [capability.NAME] suite on GENERATION (default: the newest), on items of its own in the vault. It
    decides no verdict: it says how far capability came, whether a tier was reached, whether something can be done now
    that could not be done before, and which domains moved; and it lets a loop go on that waits for it.
    """
    from festina.loop import abilities
    from festina.loop.bench import Replan
    from festina.loop.characterising import characterise
    from festina.loop.engine import Options, measuring

    with opened(root) as here:
        genesis, epoch = here.state.genesis, here.state.epoch
    weak = "a characterisation where confinement is weak" if epoch is not None and epoch.min_level < 2 else ""
    options = Options(demo=bool(genesis and genesis.demo), weak_sandbox=weak, wall_s=parse_duration(budget))
    try:
        with measuring(root, options) as bench:
            number = _known(bench.state, generation)
            whole = not any(body.missing for body in characterise(bench, number))
            for line in abilities.lines(abilities.view(bench.state), number):
                click.echo(line)
    except Replan:
        click.echo("Stopped before the end; what ran was charged.", err=True)
        return INTERRUPTED
    return 0 if whole else 1


def _known(s: State, generation: int | None) -> int:
    if generation is None:
        return s.head.number
    if generation not in s.generations or not s.generations[generation].commit:
        raise UsageError("no-such-generation", f"there is no generation {generation}", fix="festina status")
    return generation


@click.command()
@system_option
@click.argument("safeguard")
@click.option("--as", "reviewer", required=True, help="Your enrolled name.")
@click.option("--for", "lasts", default="30d", show_default=True, help="How long the statement is good for: 8h, 30d.")
@click.option("--reason", required=True, help="What it rests on: it is signed.")
def attest(root: Path, safeguard: str, reviewer: str, lasts: str, reason: str) -> None:
    """State that SAFEGUARD is in place; signed with a reviewer's key.

    The tiers of [capability.NAME] say which safeguards they ask for. Where one is missing, reaching the tier halts
    everything; so does a statement that has run out.
    """
    from festina.loop import acts

    until = (datetime.now(UTC) + timedelta(seconds=parse_duration(lasts))).isoformat(timespec="seconds")
    with opened(root, write=True) as here:
        acts.attest(
            here.ledger, here.state, here.home, reviewer, safeguard=safeguard, expires=until, reason=reason
        )
    click.echo(f"Signed: {safeguard} is in place until {until}.", err=True)
