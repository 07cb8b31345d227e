"""``festina doctor``: how strongly this host can confine a candidate, what is missing and what to do about it."""

from __future__ import annotations

import json
import shutil
import tempfile
from pathlib import Path

import click

from festina.cli.say import say
from festina.system.scratch import prefix

__all__ = ["command"]

_KINDS = ["L0", "L1", "L2", "L3", "warm", "gateway"]
_REJECTED = 3  # as for everything that the gate refuses


@click.command("doctor")
@click.option("--attack", is_flag=True, help="Try to break out of every box that this host offers, for real.")
@click.option("--level", type=click.Choice(_KINDS), help="With --attack: only this.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object instead of text.")
@click.pass_context
def command(ctx: click.Context, attack: bool, level: str | None, as_json: bool) -> None:
    """Try every confinement mechanism of this host and say which level of sandbox it gives.

    With --attack some 200 attempts to get out are carried out in each kind of box, and first where nothing stops
    them, as a control. It takes a minute or two and leaves nothing behind. Exit status 3: something is open that
    the level promises to stop.
    """
    if level is not None and not attack:
        raise click.UsageError("--level belongs to --attack")
    if attack:
        ctx.exit(_attack(level, as_json=as_json))
    _tell(as_json=as_json)


def _attack(level: str | None, *, as_json: bool) -> int:
    from festina.errors import UsageError
    from festina.sandbox.escapes import try_out
    from festina.sandbox.escapes.table import as_data, lines
    from festina.sandbox.host import boxes, probe

    found = probe()
    with tempfile.TemporaryDirectory(prefix=prefix("doctor")) as folder:
        offered = boxes(Path(folder))
        if level is not None and level not in offered:
            raise UsageError(
                "level-not-here",
                f"this host offers {', '.join(offered)} and not {level}",
                fix="`festina doctor` says what is missing",
            )
        chosen = {name: make for name, make in offered.items() if level in (None, name) and (level or name != "L0")}
        report = try_out(chosen, tell=say)
    if as_json:
        click.echo(json.dumps({"level": found.level.name, "facts": found.facts, **as_data(report)}, indent=2))
    else:
        say(found.sentence(), err=False)
        for line in lines(report):
            say(line, err=False)
        say(f"\n{report.wall_s:.0f} s. A blocked list is no proof: other ways exist than those tried here.", err=False)
    return _REJECTED if report.open_ways() else 0


def _tell(*, as_json: bool) -> None:
    from festina.cli.common import tell_traps
    from festina.propose.presets import presets
    from festina.sandbox.host import probe, try_gateway, try_warm  # loaded only here: they start processes

    found = probe()
    findings = (*found.findings, try_warm(found), try_gateway(found))
    agents = {name: shutil.which(preset.program) for name, preset in presets().items()}
    if as_json:
        click.echo(
            json.dumps(
                {
                    "level": found.level.name,
                    "sentence": found.sentence(),
                    "facts": found.facts,
                    "missing": found.missing,
                    "agents": agents,
                    "mechanisms": [
                        {
                            "name": item.name,
                            "works": item.works,
                            "without_it": item.cost,
                            "remedy": item.remedy,
                            "note": item.note,
                        }
                        for item in findings
                    ],
                },
                indent=2,
            )
        )
        return
    say(found.sentence() + "\n", err=False)
    width = max(len(item.name) for item in findings)
    for item in findings:
        say(f"  {item.name:<{width}}  {'yes' if item.works else 'no '}  {item.note}".rstrip(), err=False)
        if not item.works:
            say(f"  {'':<{width}}       without it: {item.cost}", err=False)
            say(f"  {'':<{width}}       what to do: {item.remedy}", err=False)
    click.echo()
    here = [f"{name} ({path})" for name, path in agents.items() if path]
    say(f"Coding agents that can propose, by improver.preset: {', '.join(here) or 'none on PATH'}"
        f" (of {', '.join(agents)}).", err=False)  # fmt: skip
    say(
        "Not covered at any level: kernel bugs, timing and cache side channels. "
        "`festina doctor --attack` tries to break out for real.",
        err=False,
    )
    tell_traps(Path.cwd())
