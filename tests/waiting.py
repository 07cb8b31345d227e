"""Waiting for what must happen, for as long as a busy machine takes, and not a fixed time that is long enough here."""

from __future__ import annotations

import time
from collections.abc import Callable


def until(happened: Callable[[], object], seconds: float = 60.0) -> None:
    """Come back as soon as ``happened``; an assertion fails when it has not after ``seconds``."""
    ends = time.monotonic() + seconds
    while not happened():
        assert time.monotonic() < ends, f"it did not happen within {seconds:g} s"
        time.sleep(0.02)
