"""``festina attribute``: which hunk of an accepted change caused what."""

from __future__ import annotations

import json
from pathlib import Path

import click

from festina.cli.common import INTERRUPTED, opened, system_option


@click.command()
@system_option
@click.argument("proposal", type=int, required=False)
@click.option("--shapley", is_flag=True, help="Share the whole effect out fairly: more runs, no blind spot for pairs.")
@click.option("--trials", type=click.IntRange(1), default=400, show_default=True, help="Sandboxed runs at most.")
@click.option("--budget", default="1h", show_default=True, help="Time at most: 90s, 5m, 8h.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object and nothing else.")
def command(root: Path, proposal: int | None, shapley: bool, trials: int, budget: str, as_json: bool) -> int:
    """Which hunk of an accepted change caused what (default: the newest accepted).

    Runs the change without each hunk, and each hunk alone, on items that no proposer will see, and says which help,
    which do harm and which can go. Shown to people only, never to an improver.
    """
    from festina.cli.common import parse_duration
    from festina.loop import attributed
    from festina.loop.attributing import on_request
    from festina.loop.bench import Replan
    from festina.loop.engine import Options, measuring

    with opened(root) as here:
        genesis, epoch = here.state.genesis, here.state.epoch
    weak = "an attribution where confinement is weak" if epoch is not None and epoch.min_level < 2 else ""
    options = Options(demo=bool(genesis and genesis.demo), weak_sandbox=weak, wall_s=parse_duration(budget))
    try:
        with measuring(root, options) as bench:
            body = on_request(bench, proposal, shapley=shapley, trials=trials)
            if as_json:
                click.echo(json.dumps(attributed.record(body, bench.ledger.get_blob), indent=2))
            else:
                click.echo("\n".join(attributed.lines(body, bench.ledger.get_blob)))
    except Replan:
        click.echo("Stopped before the end; what ran was charged.", err=True)
        return INTERRUPTED
    return 0
