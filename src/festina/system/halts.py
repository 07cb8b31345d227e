"""Halt markers and the register of who works for a home: what `festina halt` needs without the engine's help.  # G-5

A halt is a file of its own in ``HOME/halts``, named by a random id, so that two at once cannot overwrite each other
and one that comes while an older one is being ended stays. A process that runs code for a home first enters its pid
and start time in ``HOME/running`` and then looks for halts; `festina halt` first writes the halt and then reads the
register: whichever comes second sees the other. A file that cannot be read counts as a halt.

Not covered: who deletes files in the home. Once the ledger has the halt, deleting its file changes nothing.
"""

from __future__ import annotations

import itertools
import json
import os
import pwd
import re
import threading
from collections.abc import Callable, Iterator, Set
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple

from festina.errors import UsageError
from festina.system.characters import odd_character

__all__ = [
    "Halt", "Worker", "at_work", "clear", "file_halt", "forget", "found", "new_halt", "secure", "started",
    "user", "watched", "workers",
]  # fmt: skip

LOOK_S = 0.05  # how often a working process looks for a halt: one listing of a folder
MAX_TEXT = 300  # characters of a reason or a name
_NAME = re.compile(r"[0-9a-f]{16}\.json")
_counter = itertools.count()


@dataclass(frozen=True, slots=True)
class Halt:
    """Somebody stopped everything. ``at``: RFC 3339, by this machine's clock; ``by``: as the system names the user."""

    id: str
    by: str
    at: str
    reason: str

    def sentence(self) -> str:
        """Who, when and why; safe to show anywhere."""
        return f"halted by {self.by or 'somebody'} at {self.at}" + (f" because: {self.reason}" if self.reason else "")


class Worker(NamedTuple):
    """A process that runs code for a home; pid and start time together are never used again."""

    pid: int
    started: int


def user() -> str:
    """Who runs this process, as the operating system names it."""
    try:
        return pwd.getpwuid(os.getuid()).pw_name
    except KeyError:
        return f"user {os.getuid()}"


def started(pid: int) -> int | None:
    """When a living process began, in clock ticks since boot; None where there is none, or a zombie."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except (OSError, ValueError):
        return None
    return None if fields[0] in "ZX" else int(fields[19])


def clean(text: str) -> str:
    """Any text as a short line that is safe to show: a halt never fails for its words."""
    plain = " ".join("".join(c if _harmless(c) else f"<U+{ord(c):04X}>" for c in text).split())
    return plain if len(plain) <= MAX_TEXT else plain[: MAX_TEXT - 3] + "..."


def _harmless(character: str) -> bool:
    return character in "\n\r" or (character.isprintable() and odd_character(character) is None)


# -- the marker


def file_halt(home: Path, *, by: str, reason: str, marker: str = "") -> Halt:
    """Write the marker. It stands for every process from here on; ``secure`` makes it outlive a power cut.

    ``marker``: the id of one that stands without its words.
    """
    halt = new_halt(by=by, reason=reason)
    halt = replace(halt, id=marker) if marker else halt
    folder = home / "halts"
    folder.mkdir(mode=0o700, exist_ok=True)
    scratch = folder / f".{halt.id}"
    try:
        scratch.write_text(json.dumps(asdict(halt)))
    except OSError:
        scratch.touch()  # on a full disk: an empty marker stands like any other
    scratch.rename(folder / f"{halt.id}.json")
    return halt


def new_halt(*, by: str, reason: str) -> Halt:
    """A halt of this moment, not written yet."""
    now = datetime.now(UTC).isoformat(timespec="milliseconds")
    return Halt(os.urandom(8).hex(), clean(by), now, clean(reason))


def secure(home: Path, halt: Halt) -> None:
    """Make the marker durable: itself, its folder and the home."""
    for path in (home / "halts" / f"{halt.id}.json", home / "halts", home):
        handle = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


def found(home: Path, ended: Set[str] = frozenset()) -> list[Halt]:
    """The markers that stand, oldest first; ``ended``: ids that a signed resume has ended.

    Raises ``UsageError`` where nobody can tell: nothing may go on under it.
    """
    try:
        names = [name for name in os.listdir(home / "halts") if _NAME.fullmatch(name)]
    except FileNotFoundError:
        return []
    except (PermissionError, NotADirectoryError) as error:
        raise UsageError(
            "halts-unreadable", f"whether there is a halt cannot be seen: {home / 'halts'}: {error.strerror}",
            fix="make it a folder again that this user may read and write",
        ) from error  # fmt: skip
    halts = [_read(home / "halts" / name) for name in names if name.removesuffix(".json") not in ended]
    return sorted((halt for halt in halts if halt is not None), key=lambda halt: (halt.at, halt.id))


def _read(path: Path) -> Halt | None:
    try:
        row = json.loads(path.read_text())
        halt = Halt(**{name: str(row[name]) for name in ("id", "by", "at", "reason")})
    except FileNotFoundError:
        return None  # ended while we looked
    except (OSError, ValueError, KeyError, TypeError):
        halt = Halt("", "", "", "")
    if halt.id != path.stem:
        return Halt(path.stem, "somebody", "an unknown time", f"the marker halts/{path.name} cannot be read")
    return Halt(halt.id, clean(halt.by), clean(halt.at), clean(halt.reason))


def clear(home: Path, ended: Set[str]) -> None:
    """Remove the markers of halts that a signed resume has ended."""
    for name in ended:
        with suppress(FileNotFoundError):
            (home / "halts" / f"{name}.json").unlink()


# -- the register


@contextmanager
def at_work(home: Path) -> Iterator[None]:
    """Be in the register while running code for this home. Look for halts after entering, not before."""
    folder = home / "running"
    folder.mkdir(mode=0o700, exist_ok=True)
    path = folder / f"{os.getpid()}-{started(os.getpid())}-{next(_counter)}"
    path.touch(mode=0o600)
    try:
        yield
    finally:
        path.unlink(missing_ok=True)


def workers(home: Path) -> tuple[list[Worker], list[Worker]]:
    """Who is in the register: those that live, and those that died without leaving it."""
    living: set[Worker] = set()
    dead: set[Worker] = set()
    with suppress(FileNotFoundError, PermissionError):
        for name in os.listdir(home / "running"):
            words = name.split("-")
            if len(words) == 3 and all(word.isdecimal() for word in words):
                worker = Worker(int(words[0]), int(words[1]))
                (living if started(worker.pid) == worker.started else dead).add(worker)
    return sorted(living), sorted(dead)


def forget(home: Path, dead: list[Worker]) -> None:
    """Take dead processes out of the register."""
    for worker in dead:
        for path in (home / "running").glob(f"{worker.pid}-{worker.started}-*"):
            path.unlink(missing_ok=True)


@contextmanager
def watched(home: Path, ended: Set[str], stop: Callable[[Halt], None]) -> Iterator[None]:
    """Call ``stop``, in a thread of its own, once a marker stands that no signed resume has ended (``ended``).

    For halts by somebody who may write the home and may not signal this process, or whose command died half way.
    """
    over = threading.Event()

    def look() -> None:
        while not over.wait(LOOK_S):
            try:
                halts = found(home, ended)
            except UsageError as error:
                halts = [Halt("", "somebody", "an unknown time", error.what)]
            except OSError:
                continue  # no handle is free, or the disk fails for a moment: looking goes on
            if halts and not over.is_set():
                stop(halts[0])
                return

    thread = threading.Thread(target=look, name="festina-halt", daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
