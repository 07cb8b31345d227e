"""Entry types of what is foreseen of a run's growth, and of what was not.  # W-3, W-4"""

from __future__ import annotations

from typing import ClassVar, Literal

from festina.ledger.base import Body, Count, Number


class GrowthAlarm(Body):
    """The newest generation gained, or lost, what nothing before it explains; or the pace is shown to rise.

    Made from the entries before it alone, so that ``ledger verify`` makes it again. Gains are in doublings of the odds
    of a paired comparison (or of the score, where no range is declared).
    """

    kind: ClassVar[str] = "growth-alarm"
    alarm: Literal["jump", "drop", "acceleration"]
    generation: Count
    size: Number  # of a jump, in generations of the pace before
    chance: Number  # of as much by luck; of an acceleration, 1 over its evidence
    gain: Number
    error: Number
    measured: Count  # generations that it was judged by, this one included
    rule: Count = 1  # version of the thresholds: ``watch/alarm.py``
