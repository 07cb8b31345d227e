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
from dataclasses import dataclass
from typing import TYPE_CHECKING

from festina.errors import Busy, FestinaError
from festina.ledger.entries import SCHEMA
from festina.ledger.log import Ledger, Record
from festina.loop.state import State
from festina.report.fold import Reading

if TYPE_CHECKING:
    from festina.system.home import Home
    from festina.system.repo import Repo

POLL_S = 0.2  # how often the ledger is asked for new entries; a page is at most this and one rendering behind
NEWS = 60  # lines kept of what happened last


@dataclass(frozen=True, slots=True)
class News:
    """One line about an entry, in the words of the terminal.  # S-4"""

    seq: int
    at: str
    text: str


class Feed:
    """Folds that follow one ledger."""

    def __init__(self, ledger: Ledger, repo: Repo, home: Home) -> None:
        self.ledger, self.repo, self.home = ledger, repo, home
        self.state = State()
        self.reading = Reading(ledger.get_blob)
        self.news: deque[News] = deque(maxlen=NEWS)
        self.broken: FestinaError | None = None
        self.running = False
        self.version = 0  # rises whenever a page may look different
        self._changed = asyncio.Condition()
        self._take(ledger.records())
        self.running = home.engine_running()

    @property
    def mark(self) -> tuple[int, int, bytes, bool]:
        """What a page is a reading of: schema, size and root of the ledger, and whether an engine runs."""
        return SCHEMA, self.ledger.size, self.ledger.root(), self.running

    def _take(self, records: object) -> None:
        from festina.cli.words import told

        try:
            for record in records:  # type: ignore[attr-defined]
                assert isinstance(record, Record)
                self.state.apply(record)
                self.reading.take(record)
                line = told(record, self.state)
                if line is not None:
                    self.news.append(News(record.seq, record.at, line))
        except FestinaError as error:
            self.broken = error

    def poll(self) -> bool:
        """Take in what is new; whether anything a page shows has changed."""
        before = (self.ledger.size, self.running, self.broken)
        if self.broken is None:
            try:
                self._take(self.ledger.refresh())
            except Busy:
                pass  # somebody writes: the next look finds it
            except FestinaError as error:
                self.broken = error
        self.running = self.home.engine_running()
        return before != (self.ledger.size, self.running, self.broken)

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
