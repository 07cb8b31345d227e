"""``festina autonomy``: where the loop stands on the ladder, why, and the signed steps along it.  # G-7"""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from festina.cli.common import opened, own_ledger, parse_duration, system_option
from festina.cli.say import Wordy, say
from festina.errors import UsageError

if TYPE_CHECKING:
    from festina.loop.state import State
    from festina.report.trust.model import Stage


@click.group(cls=Wordy, invoke_without_command=True)
@system_option
@click.option("--json", "as_json", is_flag=True, help="One JSON object and nothing else.")
@click.pass_context
def group(ctx: click.Context, root: Path, as_json: bool) -> None:
    """How far the loop goes by itself: observe, propose-only, release-by-approval, unattended.

    It goes up one rung at a time and only by a person's signature. It falls from the highest by itself, on an alarm, an
    incident, a halt, or when a safeguard, a sign of life, a characterisation or the signature runs out.
    """
    ctx.obj = root
    if ctx.invoked_subcommand is None:
        with opened(root) as here:
            row = standing(here.state, datetime.now(UTC))
        if as_json:
            click.echo(_json(row))
        else:
            say("\n".join(lines(row)), err=False)


@group.command("raise")
@click.option("--as", "reviewer", required=True, help="Your enrolled name.")
@click.option("--reason", required=True, help="What it rests on: it is signed.")
@click.option("--for", "lasts", default="30d", show_default=True, help="How long the highest rung may stand: 8h, 30d.")
@click.pass_obj
def up(root: Path, reviewer: str, reason: str, lasts: str) -> None:
    """Sign a step up, by one rung.

    What `festina trust` says of the next rung goes into the entry with the evidence that it rests on. A "no" lets
    nothing up; the highest rung needs a "yes". Where reviews take several people, so does that step.
    """
    from festina.govern.ladder import above
    from festina.loop import unattended

    with opened(root) as here:
        here_now = here.state.govern.autonomy.rung
    rung = above(here_now)
    if rung is None:
        raise UsageError("highest-rung", f"'{here_now}' is the highest rung", fix="festina autonomy")
    stage = _stage(root)
    evidence = (stage.answer, tuple(sorted({seq for ground in stage.grounds for seq in ground.seqs})))
    with opened(root, write=True) as here:
        done = unattended.step(
            here.ledger, here.state, here.home, reviewer, rung=rung, reason=reason, evidence=evidence,
            lasts_s=parse_duration(lasts),
        )  # fmt: skip
        row = standing(here.state, datetime.now(UTC))
    click.echo("Signed." if done else "Signed; it waits for other people's signatures.", err=True)
    say("\n".join(lines(row)), err=False)


@group.command("lower")
@click.argument("rung", type=click.Choice(["observe", "propose-only", "release-by-approval"]))
@click.option("--as", "reviewer", required=True, help="Your enrolled name.")
@click.option("--reason", required=True, help="Why: it is signed.")
@click.pass_obj
def down(root: Path, rung: Any, reviewer: str, reason: str) -> None:  # noqa: ANN401 - one of three words
    """Sign a step down to RUNG; one person is enough, and nothing is asked for."""
    from festina.govern.ladder import steps_up
    from festina.loop import unattended

    with opened(root, write=True) as here:
        if steps_up(here.state.govern.autonomy.rung, rung) > 0:
            raise UsageError("not-lower", f"'{rung}' is higher than '{here.state.govern.autonomy.rung}'",
                             fix="festina autonomy raise --as NAME --reason TEXT")  # fmt: skip
        unattended.step(
            here.ledger, here.state, here.home, reviewer, rung=rung, reason=reason, evidence=("cannot tell yet", ()),
            lasts_s=0.0,
        )
        row = standing(here.state, datetime.now(UTC))
    say("\n".join(lines(row)), err=False)


def _stage(root: Path) -> Stage:
    """What festina trust says of the next rung."""
    from festina.cli.trust import assess

    judged, sound = assess(own_ledger(root))
    if not sound:
        raise UsageError("record-broken", "the record does not hold, so nothing can rest on it",
                         fix="festina ledger verify")  # fmt: skip
    return judged.stages[-1]


def standing(s: State, now: datetime) -> dict[str, Any]:
    """Where the loop stands, what it may do there, and how it came there; as plain data."""
    from festina.govern.ladder import MEANS, above
    from festina.loop import autonomy

    mine, rung = s.govern.autonomy, autonomy.rung_at(s, now)
    return {
        "rung": rung, "means": MEANS[rung], "next": above(rung),
        "allowed": s.epoch.autonomy if s.epoch is not None else None,
        "until": mine.grant.expires if mine.grant is not None and rung == mine.rung else None,
        "fell": list(autonomy.against(s, now)), "waiting": sorted(mine.waiting),
        "moves": [{"entry": m.seq, "at": m.at, "from": m.before, "to": m.rung, "why": m.why} for m in mine.moves],
        "release": autonomy.covers(s, s.head, now) if s.line and mine.rung == "unattended" else None,
    }  # fmt: skip


def lines(row: dict[str, Any]) -> list[str]:
    """The same in sentences."""
    until = f", until {row['until'][:16]}Z at most" if row["until"] else ""
    found = [f"Autonomy: {row['rung']} ({row['means']}){until}."]
    found += [f"It fell from the highest rung: {why}." for why in row["fell"][:1]]
    found += [f"  {m['at'][:16]}Z  {m['from']} -> {m['to']}: {m['why']} (entry {m['entry']})" for m in row["moves"]]
    if row["release"]:
        found.append(f"The newest version is not released without asking: {row['release']}.")
    if row["waiting"]:
        found.append(f"A step up waits for more signatures; so far: {', '.join(row['waiting'])}.")
    if row["next"] is not None and row["allowed"] is not None:
        found.append(_next(row))
    return found


def _next(row: dict[str, Any]) -> str:
    from festina.govern.ladder import steps_up

    if steps_up(row["allowed"], row["next"]) > 0:
        return f"festina.toml allows '{row['allowed']}' at most (policy.autonomy)."
    return f"Next rung: {row['next']}. festina trust says whether it may; festina autonomy raise --as NAME signs it."


def _json(row: dict[str, Any]) -> str:
    import json

    return json.dumps(row, indent=2)
