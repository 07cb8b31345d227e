"""``festina notify``: whom the loop tells what waits, by webhook and mail; try it; send what is left."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import click

from festina.cli.common import system_option

if TYPE_CHECKING:
    from festina.notify.settings import Settings


@click.command()
@system_option
@click.option("--test", is_flag=True, help="Send one message over every channel now, and say how that went.")
@click.option("--send", is_flag=True, help="Try now what could not be sent yet.")
@click.option("--remind", is_flag=True, help="Remind of deadlines, each stage once: for a timer, say hourly.")
def command(root: Path, test: bool, send: bool, remind: bool) -> int:
    """Who is told when something waits for a person, goes wrong, is halted or has ended.

    Without an option: the channels, what is still to be sent, and what was sent last. docs/notify.md has a file to
    begin with. The loop never waits for a channel, and no channel can stop it.
    """
    from festina.errors import UsageError
    from festina.notify.settings import FILE, read
    from festina.system import home as homes
    from festina.system.repo import Repo

    home = homes.require(Repo.discover(root)).path
    click.echo(f"Settings: {home / FILE}", err=True)
    settings = read(home)
    if settings is None or not settings.channels():
        raise UsageError(
            "nobody-is-told", f"{home / FILE} names no channel", fix="docs/notify.md has a file to begin with"
        )
    if test:
        return _test(home, settings)
    if remind:
        return _remind(home, settings)
    if send:
        return _send(home)
    _show(home, settings)
    return 0


def _test(home: Path, settings: Settings) -> int:
    from festina.notify.deliver import deliver
    from festina.notify.messages import Message

    now = datetime.now(UTC).isoformat(timespec="seconds")
    message = Message(
        f"{home.name}-test-{int(time.time())}", "ended", home.name, now, -1, "A test of the notifications",
        "Nothing has happened: somebody ran `festina notify --test`.", "festina status",
    )  # fmt: skip
    failed = 0
    for name, channel in settings.channels().items():
        trouble = deliver(channel, message, home)
        failed += bool(trouble)
        click.echo(f"{name}: {trouble or 'taken'}")
    return 1 if failed else 0


def _remind(home: Path, settings: Settings) -> int:
    from festina.cli.reminding import remind
    from festina.ledger.log import Ledger
    from festina.notify.outbox import start_courier

    with Ledger.open(home / "ledger.db", readonly=True) as ledger:
        found = remind(ledger, home, settings, datetime.now(UTC))
    for each in found:
        click.echo(each.title)
    if not found:
        click.echo("Nothing to remind of.", err=True)
    start_courier(home)
    return 0


def _send(home: Path) -> int:
    from dataclasses import replace

    from festina.notify.courier import send_due
    from festina.notify.outbox import busy, letters

    if busy(home):
        click.echo("Another process is sending.", err=True)
        return 0
    for letter in letters(home):
        replace(letter, due=0.0).save(home)
    click.echo(f"{send_due(home, time.time())} sent, {len(letters(home))} left.", err=True)
    return 1 if letters(home) else 0


def _show(home: Path, settings: Settings) -> None:
    from festina.notify.outbox import letters, logged
    from festina.notify.settings import Mail

    for name, channel in settings.channels().items():
        where = f"{channel.host}:{channel.port}" if isinstance(channel, Mail) else channel.url or "a secret address"
        click.echo(f"{name}: {where}, told of {', '.join(channel.events)}")
    for letter in letters(home):
        trouble = f"; last time: {letter.trouble}" if letter.trouble else ""
        click.echo(f"to be sent over {letter.channel}: {letter.message.title}, tried {letter.tries} times{trouble}")
    for row in logged(home)[-5:]:
        click.echo(f"{row.get('channel')}: {row.get('id')} {row.get('result')} after {row.get('tries')} tries")
