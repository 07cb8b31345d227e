"""Things to be done at a moment unless they are called off: one thread for all of them.

A socket's own timeout is about each read; whoever sends one byte at a time never meets it. So the end of a whole answer
needs somebody else who watches the clock.
"""

from __future__ import annotations

import heapq
import itertools
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field


@dataclass
class Deadlines:
    """``at`` runs an action after so many seconds, unless its block has ended by then. Actions are short."""

    _due: list[tuple[float, int]] = field(default_factory=list)  # a heap
    _actions: dict[int, Callable[[], None]] = field(default_factory=dict)
    _numbers: Iterator[int] = field(default_factory=itertools.count)
    _changed: threading.Condition = field(default_factory=threading.Condition)
    _thread: threading.Thread | None = None
    _closed: bool = False

    @contextmanager
    def at(self, seconds: float, action: Callable[[], None]) -> Iterator[None]:
        """Within the block, ``action`` runs once when ``seconds`` are over."""
        number = next(self._numbers)
        with self._changed:
            self._actions[number] = action
            heapq.heappush(self._due, (time.monotonic() + seconds, number))
            if self._thread is None and not self._closed:
                self._thread = threading.Thread(target=self._run, daemon=True, name="deadlines")
                self._thread.start()
            self._changed.notify()
        try:
            yield
        finally:
            with self._changed:
                self._actions.pop(number, None)

    def close(self) -> None:
        """Nothing is done any more."""
        with self._changed:
            self._closed = True
            self._actions.clear()
            self._changed.notify()

    def _run(self) -> None:
        while True:
            with self._changed:
                while not self._closed and (not self._due or self._due[0][0] > time.monotonic()):
                    self._changed.wait(self._due[0][0] - time.monotonic() if self._due else None)
                if self._closed:
                    return
                action = self._actions.pop(heapq.heappop(self._due)[1], None)
            if action is not None:
                action()
