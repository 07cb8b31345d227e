"""Labelled places at which a test lets the engine die, as a power cut would: SIGKILL, nothing cleaned up.

Set ``FESTINA_CRASH_AT`` to a label. Unset, a crash point is one look at the environment.
"""

from __future__ import annotations

import os
import signal

CRASH_POINTS = (
    "run-started", "start-intent", "proposal-requested", "proposal-received", "test-opened", "batch-started",
    "batch-unrecorded", "verdict-unrecorded", "accepted", "line-moved-unrecorded",
    "control-started", "control-unrecorded", "measure-started", "public-unrecorded",
    "plant-unrevealed", "try-started", "try-unrecorded",
    "attribution-unrecorded",
    "model-asked", "model-unrecorded", "model-answered",
    "growth-arm", "growth-problem",
    "training-started", "training-unrecorded",
)  # fmt: skip


def crash_point(label: str) -> None:
    """Die here when a test asked for it."""
    if os.environ.get("FESTINA_CRASH_AT") == label:
        os.kill(os.getpid(), signal.SIGKILL)
