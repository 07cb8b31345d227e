"""Reminders of deadlines through the notifier: each stage of each deadline once, whatever was restarted meanwhile."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

    from festina.ledger.log import Ledger
    from festina.notify.messages import Message
    from festina.notify.settings import Settings
    from festina.report.law.reminders import Reminder

__all__ = ["remind"]


def remind(ledger: Ledger, home: Path, settings: Settings, now: datetime) -> list[Reminder]:
    """Put out what is due now and was not put out before; returns that. ``HOME/outbox/reminded`` lists what was."""
    from festina.notify.outbox import post
    from festina.report.law import incidents
    from festina.report.law.packs import load
    from festina.report.law.reminders import due_now

    packs = load()
    people = incidents.fold(ledger.records(), ledger.get_blob)
    rows = incidents.board(packs, people.incidents.values(), now)
    known = home / "outbox" / "reminded"
    told = set(known.read_text().split()) if known.exists() else set()
    new = [each for each in due_now(rows, packs, settings.reminders.before, now) if each.id not in told]
    for each in new:
        entry = people.incidents[each.row.incident].seq
        post(home, settings, _message(each, ledger.genesis.system, home.name, entry, now))
        with known.open("a") as file:  # after it: one that comes twice is better than one that never comes
            file.write(each.id + "\n")
    return new


def _message(each: Reminder, system: str, home: str, entry: int, now: datetime) -> Message:
    from festina.notify.messages import Message

    at = now.astimezone(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
    command = f"festina report document {each.row.document} --incident {each.row.incident}"
    return Message(f"{home}-{each.id}", "deadline", system, at, entry, each.title, each.what, command)
