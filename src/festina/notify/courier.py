"""The process that empties a home's outbox: ``python -m festina.notify.courier HOME``.

One at a time. A channel that fails is tried again after 1, 2, 4, ... seconds, at most every quarter of an hour, for
three days; each channel has a thread of its own, so that a slow one holds up no other. It leaves when there is nothing
to send, or when ``LIFE_S`` went by; a running engine, or the next command, starts another.
"""

from __future__ import annotations

import fcntl
import os
import sys
import threading
import time
from pathlib import Path

from festina.errors import UsageError
from festina.notify.deliver import deliver
from festina.notify.outbox import Letter, letters, note
from festina.notify.settings import Channel, read

__all__ = ["send_due", "serve"]

LIFE_S = 600.0
MOST_S = 900.0
GIVE_UP_S = 3 * 86400.0
LOOK_S = 0.5


def send_due(home: Path, now: float) -> int:
    """Try every letter that is due, channel beside channel; how many were delivered."""
    try:
        settings = read(home)
    except UsageError:
        return 0  # being edited: everything stays
    channels = settings.channels() if settings is not None else {}
    due: dict[str, list[Letter]] = {}
    for letter in letters(home):
        if letter.due <= now:
            due.setdefault(letter.channel, []).append(letter)
    done: list[Letter] = []
    threads = [
        threading.Thread(target=_round, args=(home, channels.get(name), waiting, done))
        for name, waiting in due.items()
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return len(done)


def _round(home: Path, channel: Channel | None, waiting: list[Letter], done: list[Letter]) -> None:
    for letter in waiting:
        if channel is None:
            with _LOG:
                note(home, letter, "given up: there is no such channel any more")
            continue
        trouble = deliver(channel, letter.message, home)
        tried = letter.later(time.time() + min(MOST_S, 2.0**letter.tries), trouble)
        with _LOG:
            if not trouble:
                note(home, tried, "delivered")
                done.append(letter)
            elif time.time() - letter.first > GIVE_UP_S:
                note(home, tried, f"given up: {trouble}")
            else:
                tried.save(home)
        if trouble:
            return  # the others of this channel wait for it


_LOG = threading.Lock()


def serve(home: Path, life_s: float = LIFE_S) -> None:
    """Send until nothing is left or the time is up."""
    end = time.monotonic() + life_s
    while letters(home) and time.monotonic() < end:
        handle = os.open(home / "outbox" / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return  # another is at it
        else:
            while letters(home) and time.monotonic() < end:
                send_due(home, time.time())
                time.sleep(LOOK_S)
        finally:
            os.close(handle)  # what was put out just now is seen by the outer loop


if __name__ == "__main__":
    serve(Path(sys.argv[1]))
