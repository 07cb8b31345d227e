"""The outlook of the line for the growth page, without anybody waiting for it.  # W-1, W-4

Scoring all earlier forecasts anew takes half a minute for 600 generations, and no page may take that. What is small is
worked out at once; the rest in a process of its own, one at a time, while the page shows what is known and says what
is missing. A reading is of the recorded gains alone, and a longer line reuses the scores of the shorter one.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from typing import IO

from festina.loop import outlook
from festina.watch.apart import answered, question
from festina.watch.readings import LEAST, Gain, Reading

SMALL = 8  # measured generations up to which a page works it out itself: some 30 ms


class Foresight:
    """The newest reading, and the process that works out the next one, if any. Use from one thread."""

    def __init__(self) -> None:
        self.reading: Reading | None = None
        self.failed: tuple[Gain, ...] = ()  # what could not be worked out: it is not tried again and again
        self._asked: tuple[Gain, ...] = ()
        self._process: subprocess.Popen[bytes] | None = None
        self._answer: IO[bytes] | None = None

    @property
    def mark(self) -> tuple[int, bool, bool]:
        """Changes whenever a page made of it would."""
        known = len(self.reading.gains) if self.reading is not None else 0
        return known, self.working, bool(self.failed)

    @property
    def working(self) -> bool:
        return self._process is not None

    def of(self, made: tuple[Gain, ...]) -> Reading | None:
        """The newest reading there is, perhaps of an earlier state of the line; work on the right one is begun."""
        if len(made) < LEAST or (self.reading is not None and self.reading.gains == made):
            return self.reading if len(made) >= LEAST else None
        if len(made) <= SMALL:
            from festina.watch.outlook import outlook as read

            self.reading = read(made, before=self.reading)
            outlook.remember(self.reading)
        elif not self.working and made != self.failed:
            self._begin(made)
        return self.reading

    def _begin(self, made: tuple[Gain, ...]) -> None:
        asked, self._answer = tempfile.TemporaryFile(), tempfile.TemporaryFile()  # noqa: SIM115 - the answer is read later
        with asked:
            asked.write(question(made, self.reading).encode())
            asked.seek(0)
            self._process = subprocess.Popen(
                [sys.executable, "-P", "-m", "festina.watch.apart"], cwd="/", stdin=asked, stdout=self._answer,
                stderr=subprocess.DEVNULL,
            )  # fmt: skip
        self._asked = made

    def poll(self) -> bool:
        """Whether the process has ended since: its answer, if it gave one, is the reading now."""
        if self._process is None or self._answer is None or self._process.poll() is None:
            return False
        self._answer.seek(0)
        try:
            self.reading = answered(self._answer.read().decode())
            outlook.remember(self.reading)  # the governor's word rests on it, too: no page makes it anew
        except ValueError:  # it was killed, or has no numpy
            self.failed = self._asked
        self._answer.close()
        self._process, self._answer = None, None
        return True

    def close(self) -> None:
        """End what is under way."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self.poll()
