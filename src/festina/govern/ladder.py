"""The ladder of autonomy: what each rung lets the loop do by itself, and what takes the highest one away.  # G-7

Pure. *observe*: what others hand in is tested and gets a verdict; nothing is proposed, merged or released. *propose
only*: the loop proposes, tests and builds on what it accepted, inside the sandbox; no improver is put in force and
nothing is released, a person takes the patch. *release by approval*: people decide what leaves the loop, and which
improver proposes. *unattended*: a tested version may be released without asking, while a person's signed step, every
safeguard, a fresh characterisation and a sign of life stand behind it.

Up goes one rung at a time, by a person's signature. Down goes by itself from the highest rung alone: below it a person
stands in every way out already, and what an alarm calls for there is the governor's to hold. What is not known counts
as gone.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final

from festina.ledger.governing import Rung

LADDER: Final[tuple[Rung, ...]] = ("observe", "propose-only", "release-by-approval", "unattended")
USUAL: Final[Rung] = "release-by-approval"  # where a loop begins, whatever the manifest allows beyond it
TOP: Final[Rung] = "unattended"

__all__ = ["LADDER", "MEANS", "TOP", "USUAL", "Standing", "above", "at_most", "gone", "steps_up"]

MEANS: Final[dict[Rung, str]] = {
    "observe": "tests what others hand in, and merges nothing",
    "propose-only": "proposes and tests; a person takes the patch, and nothing is released from here",
    "release-by-approval": "people approve what leaves the loop",
    "unattended": "may release what was tested without asking, but never a changed improver",
}


@dataclass(frozen=True, slots=True)
class Standing:
    """What the highest rung stands on, at a moment. ``None``: not known, or not there, which takes it away."""

    granted_s: float | None  # left of the signed step
    lease_s: float | None  # left of a person's sign of life
    characterised_s: float | None  # age of the newest complete characterisation of a version on the line
    valid_s: float | None  # a characterisation is worth nothing after
    safeguards: int  # that the tiers ask for
    lacking: tuple[str, ...] = ()  # of them, without a standing statement
    alarms: tuple[str, ...] = ()  # of the watch over growth, not answered
    incidents: int = 0
    halts: int = 0
    escapes: int = 0
    broken: bool = False  # the version in use, compared with itself, came out different


def above(rung: Rung) -> Rung | None:
    """The next rung; None on the highest."""
    at = LADDER.index(rung) + 1
    return LADDER[at] if at < len(LADDER) else None


def at_most(rung: Rung, most: Rung) -> Rung:
    """The lower of the two."""
    return min(rung, most, key=LADDER.index)


def steps_up(before: Rung, after: Rung) -> int:
    """How many rungs up; negative: down."""
    return LADDER.index(after) - LADDER.index(before)


def gone(standing: Standing) -> tuple[str, ...]:
    """Why the highest rung cannot stand, in words; empty where it can. Worse is never fewer.  # G-7"""
    s = standing
    checks = (
        (bool(s.halts), "everything was halted"),
        (bool(s.escapes), "something may have got out of its box"),
        (s.incidents > 0, "an incident is open"),
        (bool(s.alarms), "growth raised an alarm"),
        (s.broken, "the version in use, compared with itself, came out different"),
        (not s.safeguards, "no tier names the safeguards that it needs"),
        (bool(s.lacking), f"not attested, or run out: {', '.join(s.lacking)}"),
        (not _fresh(s.characterised_s, s.valid_s), "what it can do was not measured whole, or too long ago"),
        (not _left(s.lease_s), "no person has given a sign of life in time"),
        (not _left(s.granted_s), "the signed step has run out"),
    )
    return tuple(why for found, why in checks if found)


def _left(seconds: float | None) -> bool:
    return seconds is not None and math.isfinite(seconds) and seconds > 0.0


def _fresh(age: float | None, valid: float | None) -> bool:
    return age is not None and valid is not None and math.isfinite(age) and math.isfinite(valid) and 0.0 <= age <= valid
