"""Which reminders of deadlines are due now: pure, from the board and a time.

A deadline has stages: each period before it, its day in the authority's time zone, and the moment after it. Of the
stages that have come only the newest is told, once; one that was passed before anybody could be told is left out.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from zoneinfo import ZoneInfo

from festina.report.law.calendar import Span, ahead, day_of
from festina.report.law.incidents import Row
from festina.report.law.packs import Pack

__all__ = ["Reminder", "due_now"]

_UNITS = {"h": "H", "d": "D", "bd": "BD"}


@dataclass(frozen=True, slots=True)
class Reminder:
    """One stage of one deadline. ``id`` is the same for the same stage of the same deadline, whenever it is found."""

    id: str
    row: Row
    title: str
    what: str


def due_now(rows: Iterable[Row], packs: Iterable[Pack], before: Sequence[str], now: datetime) -> list[Reminder]:
    """The newest stage that has come of every deadline that nobody has met yet, earliest deadline first."""
    holidays = {pack.regime.id: pack.regime.holidays for pack in packs}
    found = []
    for row in rows:
        if row.due is None or row.state not in ("due", "late"):
            continue
        zone = ZoneInfo(row.zone)
        periods = {text: _span(text) for text in before}
        stages = [(ahead(row.due, p, zone, holidays[row.regime]), t, f"in {p.words()}") for t, p in periods.items()]
        stages += [(day_of(row.due, zone), "day", "today"), (row.due, "late", "late")]
        come = [stage for stage in sorted(stages, key=lambda s: s[0]) if stage[0] <= now]
        if come:
            found.append(_reminder(row, row.due, come[-1][1], come[-1][2], zone))
    return found


def _span(text: str) -> Span:
    count = text.rstrip("hbd")
    return Span(int(count), _UNITS[text[len(count) :]])


def _reminder(row: Row, due: datetime, stage: str, words: str, zone: ZoneInfo) -> Reminder:
    local = due.astimezone(zone).strftime("%Y-%m-%d %H:%M %Z")
    state = "is LATE" if stage == "late" else f"is due {words}" if stage == "day" else f"is due within {words[3:]}"
    what = f"'{row.title}' to {', '.join(row.to)}: by {local} ({row.rule})."
    if row.note:
        what += f" Note: {row.note}."
    stamp = due.astimezone(UTC).strftime("%Y%m%dT%H%M%S")
    return Reminder(
        f"due-{row.incident}-{row.document}-{stamp}-{stage}", row,
        f"The report {row.document} about incident {row.incident} {state}", what,
    )  # fmt: skip
