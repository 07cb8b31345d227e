"""``festina internals``: whether an accepted change moved the inside of the model more than retraining does."""

from __future__ import annotations

import json
from pathlib import Path

import click

from festina.cli.common import INTERRUPTED, opened, parse_duration, system_option


@click.command()
@system_option
@click.argument("generation", type=click.IntRange(0), required=False)
@click.option("--retrainings", type=click.IntRange(2, 999), help="Of the version before; default from festina.toml.")
@click.option("--budget", default="1h", show_default=True, help="Time at most: 90s, 5m, 8h.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object and nothing else.")
def command(root: Path, generation: int | None, retrainings: int | None, budget: str, as_json: bool) -> int:
    """Whether a change moved the inside of a model more than retraining does (default: the newest accepted).

    Trains the version before again and again, the changed one once, and compares answers on public items, activations
    and weights, as far as the system lays them open. Shown to people only, never to an improver; it decides nothing.
    """
    from festina.loop import internals, internals_words
    from festina.loop.bench import Replan
    from festina.loop.engine import Options, measuring

    with opened(root) as here:
        genesis, epoch = here.state.genesis, here.state.epoch
    weak = "a comparison where confinement is weak" if epoch is not None and epoch.min_level < 2 else ""
    options = Options(demo=bool(genesis and genesis.demo), weak_sandbox=weak, wall_s=parse_duration(budget))
    try:
        with measuring(root, options) as bench:
            body = internals.on_request(bench, generation, retrainings)
            shown = internals_words.card(body, bench.ledger.get_blob)
    except Replan:
        click.echo("Stopped before the end; what ran was charged.", err=True)
        return INTERRUPTED
    click.echo(json.dumps(shown, indent=2) if as_json else "\n".join(internals_words.lines(body)))
    return 0
