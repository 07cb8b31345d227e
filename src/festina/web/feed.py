"""The ledger as the pages see it: opened once, folded once, then only what is new.  # L-1

A page never reads the whole ledger: the two folds (the loop's own state, and the report's reading) are kept in memory
and take new entries in as they come. They are caches: a restart makes them again from the ledger alone. ``mark`` names
what they are a fold of (schema, size, root), and pages are cached by it.

An entry that does not fit, or a ledger that was changed behind us, stops the feed: what was read before stays readable
under a banner that says what happened. Use from one thread, as the ledger does.
"""

from __future__ import annotations

import asyncio
from collections import deque
from contextlib import closing
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from festina.errors import Busy, FestinaError
from festina.ledger.entries import SCHEMA
from festina.ledger.log import Ledger, Record
from festina.loop.state import State
from festina.report.fold import Reading
from festina.system.halts import Halt
from festina.web.foresight import Foresight

if TYPE_CHECKING:
    from festina.system.home import Home
    from festina.system.repo import Repo

POLL_S = 0.2  # how often the ledger is asked for new entries; a page is at most this and one rendering behind
NEWS = 60  # lines kept of what happened last
NEWS_READ = 3000  # entries from which they come: a start need not word the whole record


@dataclass(frozen=True, slots=True)
class News:
    """One line about an entry, in the words of the terminal.  # S-4"""

    seq: int
    at: str
    text: str
    about: int | None  # the proposal of whose evidence it tells, or ``WHOLE``, if of any  # R-2


# kinds that tell of evidence or of an author's claim, and so stay closed to a reviewer who has not spoken yet  # R-2
TELLING = frozenset(
    {"batch-ended", "verdict", "public-compared", "attributed", "internals-compared", "measure-ended", "final-scored",
     "measure-skipped", "proposal-received", "try-ended", "arm-ended", "crossplay-ended", "growth-alarm"}
)  # fmt: skip
WHOLE = -1  # stands for a proposal where an entry tells of the line as a whole: closed while any change is


def tells_of(record: Record, reading: Reading) -> int | None:
    """The proposal of whose evidence an entry tells, or ``WHOLE``; None where it tells of none."""
    if record.kind not in TELLING:
        return None
    body: Any = record.body
    number: int | None = getattr(body, "proposal", None)
    if number is None and (test := reading.tests.get(getattr(body, "test", -1))) is not None:
        number = test.proposal
    generation = reading.generations.get(getattr(body, "generation", None) or -1)
    if number is None and generation is not None:
        number = generation.proposal
    return WHOLE if number is None else number


class Feed:
    """Folds that follow one ledger."""

    def __init__(self, ledger: Ledger, repo: Repo, home: Home) -> None:
        self.ledger, self.repo, self.home = ledger, repo, home
        self.state = State()
        self.reading = Reading(ledger.get_blob, self.state)
        self.foresight = Foresight()
        self.news: deque[News] = deque(maxlen=NEWS)
        self.broken: FestinaError | None = None
        self.halts: tuple[Halt, ...] = ()
        self.running = False
        self.version = 0  # rises whenever a page may look different
        self._changed = asyncio.Condition()
        self._take()
        self._look()

    @property
    def mark(self) -> tuple[object, ...]:
        """What a page is a reading of: schema, size and root of the ledger, and what stands beside it."""
        beside = self.running, self.halts, self.broken, self.foresight.mark
        return SCHEMA, self.ledger.size, self.ledger.root(), *beside

    def _take(self) -> None:
        """Fold in what the ledger has and the folds have not. A step signed here is in the state already."""
        from festina.cli.words import told

        try:
            with closing(self.ledger.records(len(self.reading.entries))) as records:
                for record in records:
                    if record.seq == self.state.size:
                        self.state.apply(record)
                    self.reading.take(record)
                    line = told(record, self.state) if record.seq >= self.ledger.size - NEWS_READ else None
                    if line is not None:
                        self.news.append(News(record.seq, record.at, line, tells_of(record, self.reading)))
        except FestinaError as error:
            self.broken = error

    def _look(self) -> None:
        """What stands beside the ledger: a live engine, and halts that it does not have yet.  # G-5"""
        from festina.loop import holds

        self.running = self.home.engine_running()
        try:
            self.halts = tuple(holds.standing(self.home, self.state))
        except FestinaError as error:
            self.halts = (Halt("", "somebody", "an unknown time", error.what),)

    def poll(self) -> bool:
        """Take in what is new; whether anything a page shows has changed."""
        before = (len(self.reading.entries), self.running, self.halts, self.broken)
        if self.broken is None:
            try:
                self.ledger.refresh()
            except Busy:
                pass  # somebody writes: the next look finds it
            except FestinaError as error:
                self.broken = error
            else:
                self._take()
        self._look()
        worked_out = self.foresight.poll()
        return worked_out or before != (len(self.reading.entries), self.running, self.halts, self.broken)

    async def follow(self) -> None:
        """Poll for ever and wake everyone who waits."""
        while True:
            await asyncio.sleep(POLL_S)
            if self.poll():
                await self.tell()

    async def tell(self) -> None:
        """Wake everyone who waits for a change."""
        async with self._changed:
            self.version += 1
            self._changed.notify_all()

    async def wait(self, version: int, at_most_s: float) -> int:
        """Until something newer than ``version`` is there, or the time is over; the version then."""
        try:
            async with asyncio.timeout(at_most_s), self._changed:
                await self._changed.wait_for(lambda: self.version > version)
        except TimeoutError:
            pass
        return self.version
