"""How long the version in use usually takes, and from where on an answer is too slow beside it.  # D-4

An answer is slow when it takes ``times`` as long as 19 in 20 of the newest answers of the version in use, and at least
``FLOOR_S``, below which nobody notices. Both versions are held to the same limit, drawn from what was known before the
request came: while the new one is no slower, it goes beyond it no more often, and where both grow slower together the
limit grows with them. Not covered: a version that is slower by less.
"""

from __future__ import annotations

import threading
from collections import deque
from dataclasses import dataclass, field

FLOOR_S = 0.1  # J. Nielsen, Usability Engineering, 1993: what comes sooner feels immediate
LEAST = 50  # answers before there is a limit
NEWEST = 200  # answers that it is drawn from
EVERY = 10  # answers after which it is drawn anew
SHARE = 0.95


@dataclass
class Usual:
    """``limit_s`` None: not enough is known yet. Thread-safe."""

    times: float
    limit_s: float | None = None
    _took: deque[float] = field(default_factory=lambda: deque(maxlen=NEWEST))
    _count: int = 0
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def took(self, seconds: float) -> None:
        """One answer of the version in use, also a slow one: the limit grows with them."""
        with self._lock:
            self._took.append(seconds)
            self._count += 1
            if self._count >= LEAST and self._count % EVERY == 0:
                known = sorted(self._took)
                self.limit_s = max(FLOOR_S, self.times * known[int(SHARE * (len(known) - 1))])
