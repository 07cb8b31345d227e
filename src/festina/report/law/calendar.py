"""Deadlines: spans as the law writes them, business days, and time zones.

Nothing here reads a clock. A period counts from the moment itself, and its end is not moved to the next working day:
where a law would grant such a day, the date given here is early, never late. Business days are Monday to Friday in the
authority's time zone without its listed holidays; the day of the event does not count.
"""

from __future__ import annotations

import re
from calendar import monthrange
from collections.abc import Collection
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

_SPAN = re.compile(r"P(?:T(?P<h>\d{1,4})H|(?P<n>\d{1,4})(?P<unit>D|W|M|Y|BD))\Z")

# What a person signs may lie anywhere in the calendar, and a period from there outside of it: it counts from here then.
_FIRST, _LAST = datetime(2, 1, 1, tzinfo=UTC), datetime(8000, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Span:
    """A period: hours, calendar days, weeks, months, years or business days."""

    count: int
    unit: str  # H, D, W, M, Y or BD

    def words(self) -> str:
        name = {"H": "hour", "D": "day", "W": "week", "M": "month", "Y": "year", "BD": "business day"}[self.unit]
        return f"{self.count} {name}{'' if self.count == 1 else 's'}"


def span(text: str) -> Span:
    """``PT24H``, ``P5D``, ``P4W``, ``P6M``, ``P2Y``, ``P5BD`` (business days). Raises ``ValueError``."""
    found = _SPAN.match(text)
    if found is None:
        raise ValueError(f"{text!r} is no period: write PT24H, P5D, P4W, P6M, P2Y or P5BD")
    if found["h"] is not None:
        return Span(int(found["h"]), "H")
    if found["unit"] == "Y" and int(found["n"]) > 1000:
        raise ValueError(f"{text!r} ends after the last year of the calendar")
    return Span(int(found["n"]), found["unit"])


def moment(text: str) -> datetime:
    """An RFC 3339 time with its offset, in UTC. Raises ``ValueError`` for a time without one."""
    when = datetime.fromisoformat(text)
    if when.tzinfo is None:
        raise ValueError(f"{text!r} has no time zone: end it with Z, or with an offset such as +01:00")
    try:
        return when.astimezone(UTC)
    except OverflowError:
        raise ValueError(f"{text!r} lies outside the years 1 to 9999") from None


def due(start: datetime, period: Span, zone: ZoneInfo, holidays: Collection[date] = ()) -> datetime:
    """When a period that begins at ``start`` ends, in UTC.

    Hours count on the clock of the world; days, weeks, months and years on the wall clock of ``zone``, so that a day
    over a change to summer time has 23 hours. A month that has no such day ends on its last one.
    """
    start = _within(start)
    if period.unit == "H":
        return start.astimezone(UTC) + timedelta(hours=period.count)
    local = start.astimezone(zone).replace(tzinfo=None)
    return _on_the_wall(_later(local, period, holidays), zone)


def ahead(end: datetime, period: Span, zone: ZoneInfo, holidays: Collection[date] = ()) -> datetime:
    """So long before ``end``, in UTC: to remind of a deadline. Business days are those that are left to work in.

    From that moment's day on, that day included, so many business days lie before the day of the deadline.
    """
    end = _within(end)
    if period.unit == "H":
        return end.astimezone(UTC) - timedelta(hours=period.count)
    local = end.astimezone(zone).replace(tzinfo=None)
    left = period.count
    while left:
        local -= timedelta(days=1)
        left -= period.unit == "D" or (local.weekday() < 5 and local.date() not in holidays)
    return _on_the_wall(local, zone)


def day_of(when: datetime, zone: ZoneInfo) -> datetime:
    """When the day of ``when`` began in that zone, in UTC."""
    when = _within(when)
    return _on_the_wall(when.astimezone(zone).replace(tzinfo=None, hour=0, minute=0, second=0, microsecond=0), zone)


def _within(when: datetime) -> datetime:
    return min(max(when, _FIRST), _LAST)


def _later(local: datetime, period: Span, holidays: Collection[date]) -> datetime:
    if period.unit == "BD":
        left = period.count
        while left:
            local += timedelta(days=1)
            left -= local.weekday() < 5 and local.date() not in holidays
        return local
    if period.unit in "DW":
        return local + timedelta(days=period.count * (7 if period.unit == "W" else 1))
    months = local.month - 1 + period.count * (12 if period.unit == "Y" else 1)
    year, month = local.year + months // 12, months % 12 + 1
    return local.replace(year=year, month=month, day=min(local.day, monthrange(year, month)[1]))


def _on_the_wall(local: datetime, zone: ZoneInfo) -> datetime:
    """A wall-clock time in UTC; of two with the same name the earlier, and one that does not exist moves before it."""
    choices = (local.replace(tzinfo=zone, fold=0), local.replace(tzinfo=zone, fold=1))
    return min(choice.astimezone(UTC) for choice in choices)
