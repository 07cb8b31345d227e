"""What is still to be sent: one small file for each message and channel in ``HOME/outbox``.

Writing one is all that the loop ever does; a courier, a process of its own, does the rest. ``cursor`` is the number of
entries that were looked at, so that what was recorded while no engine ran, or just before one died, is told by the
next. ``log.jsonl`` says what was delivered and what was given up. Losing any of these files loses messages, never
evidence.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from festina.ledger.log import Ledger
from festina.ledger.record import Record
from festina.notify.messages import Message, notice
from festina.notify.settings import Settings
from festina.system.home import held

__all__ = ["Letter", "Outbox", "letters", "logged", "note", "post", "start_courier"]

LOOK_S = 20.0  # how often a working engine looks whether a courier is needed again
KEPT = 2_000  # lines of the log
_started: list[subprocess.Popen[bytes]] = []  # couriers of this process: they outlive it


@dataclass(frozen=True, slots=True)
class Letter:
    """One message for one channel. ``due`` and ``first`` are seconds since the epoch."""

    message: Message
    channel: str
    first: float
    due: float = 0.0
    tries: int = 0
    trouble: str = ""  # of the last try

    @property
    def name(self) -> str:
        return f"{self.message.id}.{self.channel}.json"

    def save(self, home: Path) -> None:
        """Appears whole or not at all."""
        path = home / "outbox" / self.name
        scratch = path.with_name(f".{self.name}.{os.getpid()}")
        scratch.write_text(json.dumps(asdict(self)))
        scratch.rename(path)

    def remove(self, home: Path) -> None:
        (home / "outbox" / self.name).unlink(missing_ok=True)

    def later(self, due: float, trouble: str) -> Letter:
        return replace(self, due=due, tries=self.tries + 1, trouble=trouble[:300])


def letters(home: Path) -> list[Letter]:
    """Everything that is still to be sent, oldest first. A file that cannot be read is put aside."""
    found = []
    for path in sorted((home / "outbox").glob("[!.]*.json")):
        try:
            row = json.loads(path.read_text())
            found.append(Letter(**{**row, "message": Message(**row["message"])}))
        except FileNotFoundError:
            continue
        except (OSError, ValueError, TypeError, KeyError):
            with suppress(OSError):
                path.rename(path.with_suffix(".broken"))
    return sorted(found, key=lambda each: (each.first, each.message.entry))


def post(home: Path, settings: Settings, message: Message) -> int:
    """Put a message out for each channel that wants it, unless it is there or was sent; how many were put out."""
    (home / "outbox").mkdir(mode=0o700, exist_ok=True)
    sent = {(row.get("id"), row.get("channel")) for row in logged(home)}
    count = 0
    for name, channel in settings.channels().items():
        letter = Letter(message, name, time.time())
        wanted = message.event in channel.events and (message.id, name) not in sent
        if wanted and not (home / "outbox" / letter.name).exists():
            letter.save(home)
            count += 1
    return count


def logged(home: Path) -> list[dict[str, Any]]:
    """What happened to letters that are no longer here, oldest first."""
    rows = []
    with suppress(FileNotFoundError):
        for line in (home / "outbox" / "log.jsonl").read_text().splitlines():
            with suppress(ValueError):
                rows.append(dict(json.loads(line)))
    return rows


def note(home: Path, letter: Letter, result: str) -> None:
    """Log the end of a letter, and take it out of the box. In this order: twice is better than never."""
    path = home / "outbox" / "log.jsonl"
    row = {"id": letter.message.id, "channel": letter.channel, "at": time.time(), "tries": letter.tries}
    row |= {"result": result}
    rows = logged(home)
    if len(rows) >= 2 * KEPT:
        path.write_text("".join(json.dumps(each) + "\n" for each in rows[-KEPT:]))
    with path.open("a") as file:
        file.write(json.dumps(row) + "\n")
    letter.remove(home)


def start_courier(home: Path) -> bool:
    """Start the process that sends, unless one is at it or there is nothing to send."""
    if not any((home / "outbox").glob("[!.]*.json")) or busy(home):
        return False
    _started[:] = [each for each in _started if each.poll() is None]  # bury the dead
    command = subprocess.Popen(
        [sys.executable, "-m", "festina.notify.courier", str(home)], cwd="/", stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True,
    )  # fmt: skip
    _started.append(command)
    return True


def busy(home: Path) -> bool:
    """Whether a courier is at work."""
    return held(home / "outbox" / "lock")


class Outbox:
    """A running engine's side. Nothing here raises: a full disk costs messages, not the run."""

    def __init__(self, home: Path, system: str, settings: Settings) -> None:
        self._home, self._system, self._settings = home, system, settings
        self._looked = 0.0

    def catch_up(self, ledger: Ledger, default: int) -> None:
        """Tell what was recorded since the cursor; ``default``: where to begin when there is none yet."""
        for record in ledger.records(self.cursor(default)):
            self._tell(record)
        self._move(ledger.size)
        self._send()

    def cursor(self, default: int) -> int:
        try:
            return int((self._home / "outbox" / "cursor").read_text())
        except (OSError, ValueError):
            return default

    def see(self, record: Record) -> None:
        """An entry was just recorded."""
        if self._tell(record):
            self._move(record.seq + 1)
            self._send()
        elif time.monotonic() - self._looked > LOOK_S:
            self._send()

    def _tell(self, record: Record) -> bool:
        message = notice(record, self._system, self._home.name)
        if message is None:
            return False
        with suppress(OSError):
            post(self._home, self._settings, message)
        return True

    def _move(self, size: int) -> None:
        with suppress(OSError):
            (self._home / "outbox").mkdir(mode=0o700, exist_ok=True)
            scratch = self._home / "outbox" / ".cursor"
            scratch.write_text(str(size))
            scratch.rename(self._home / "outbox" / "cursor")

    def _send(self) -> None:
        self._looked = time.monotonic()
        with suppress(OSError):
            start_courier(self._home)
