"""What does not fit in an outside loop's history: pure, so that whoever has the record can find it again.

``examine`` sees the rows of one reading, those told before it, and when the last reading was. What a reader found in
the files themselves (a hash that does not fit, a line that is no JSON) is not found here.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta

from festina.propose.history.types import Finding, Told, shown
from festina.review.seats import moment

CLOCKS = timedelta(minutes=2)  # two machines' clocks may differ by so much


@dataclass(frozen=True, slots=True)
class Before:
    """What earlier readings told, by name; ``at`` is when the last of them was recorded, empty before the first."""

    rows: Mapping[str, tuple[Told, ...]]
    at: str = ""


def examine(rows: Sequence[Told], before: Before, now: str, direction: str) -> tuple[list[Told], list[Finding]]:
    """The rows that are new, and everything that does not fit.  ``now``: RFC 3339; ``direction``: of ``metric``."""
    known = {row.digest for told in before.rows.values() for row in told}
    fresh = [row for row in rows if row.digest not in known]
    found = [*within(fresh, before, now, direction), *_gone(rows, before)]
    return fresh, list(dict.fromkeys(found))


def within(fresh: Sequence[Told], before: Before, now: str, direction: str) -> list[Finding]:
    """What can be found from new rows and those told before alone, so that it can be found again from the record."""
    return [
        *_contradictions(fresh, before),
        *_times(fresh, before, now),
        *_scoreless(fresh),
        *_parents(fresh, before),
        *_same_content(fresh, before),
        *_kept_worse(fresh, before, direction),
    ]


def _say(row: Told) -> str:
    return f"{shown(row.key)} ({shown(row.source, 120)})" if row.source else shown(row.key)


def _contradictions(fresh: Sequence[Told], before: Before) -> Iterable[Finding]:
    """Two scores, decisions or contents under one name."""
    first: dict[str, Told] = {key: told[-1] for key, told in before.rows.items()}
    for row in fresh:
        old = first.setdefault(row.key, row)
        for what, a, b in (
            ("score", old.score, row.score), ("content", old.content, row.content), ("commit", old.commit, row.commit),
        ):  # fmt: skip
            if a != b:
                yield Finding("contradiction", row.key, f"{_say(row)}: {what} {_value(b)}, and {_value(a)} before")
        if {old.status, row.status} == {"accepted", "rejected"}:
            yield Finding("contradiction", row.key, f"{_say(row)}: {row.status}, and {old.status} before")


def _value(value: object) -> str:
    return "none" if value in (None, "") else repr(value) if isinstance(value, float) else shown(str(value), 64)


def _times(fresh: Sequence[Told], before: Before, now: str) -> Iterable[Finding]:
    limit, since = moment(now) + CLOCKS, moment(before.at) - CLOCKS if before.at else None
    for row in fresh:
        if not row.at:
            continue
        at = moment(row.at)
        if at > limit:
            yield Finding("clock-skew", row.key, f"{_say(row)} is dated {row.at}, and it is {now} here")
        if since is not None and at < since and row.key not in before.rows:
            yield Finding("back-dated", row.key, f"{_say(row)} is dated {row.at}, and the reading of {before.at} did "
                          "not have it")  # fmt: skip
    new, newest = {row.digest for row in fresh}, ""
    for row in sorted(_numbered(fresh, before), key=lambda row: row.number or 0):
        if row.at and newest and row.digest in new and moment(newest) - moment(row.at) > CLOCKS:
            yield Finding("back-dated", row.key, f"{_say(row)} is dated {row.at}, and one numbered before it {newest}")
        newest = max(newest, row.at)


def _numbered(fresh: Sequence[Told], before: Before) -> list[Told]:
    """The newest claim about each generation that has a number."""
    newest = {key: told[-1] for key, told in before.rows.items()} | {row.key: row for row in fresh}
    return [row for row in newest.values() if row.number is not None]


def _scoreless(fresh: Sequence[Told]) -> Iterable[Finding]:
    for row in fresh:
        if row.status == "accepted" and row.score is None and row.source != "git":
            yield Finding("no-score", row.key, f"{_say(row)} was kept, and no score of it is told")


def _parents(fresh: Sequence[Told], before: Before) -> Iterable[Finding]:
    names = {row.key for row in fresh} | set(before.rows)
    orphans = [row for row in fresh if row.parent and row.parent not in names and row.source != "git"]
    if orphans:
        said = ", ".join(_say(row) for row in orphans[:5])
        yield Finding("no-parent", "", f"{len(orphans):,} come from generations of which nothing is told: {said}")


def _same_content(fresh: Sequence[Told], before: Before) -> Iterable[Finding]:
    """One program under two names with two scores: noise, or one of the scores is not its own."""
    scores: dict[str, dict[str, Told]] = {}
    for row in (*(row for told in before.rows.values() for row in told), *fresh):
        if row.content and row.score is not None:
            scores.setdefault(row.content, {}).setdefault(row.key, row)
    now = {row.key for row in fresh}
    for digest, told in scores.items():
        if len({row.score for row in told.values()}) > 1 and now & set(told):
            names = ", ".join(f"{shown(row.key)}: {row.score!r}" for row in list(told.values())[:5])
            yield Finding("same-content", "", f"one program ({digest[:12]}), several scores: {names}")


def _kept_worse(fresh: Sequence[Told], before: Before, direction: str) -> Iterable[Finding]:
    """Kept, although a generation kept before it has a better score: the loop's own rule was not followed."""
    sign = {"higher": 1.0, "lower": -1.0}.get(direction)
    if sign is None:
        return
    new = {row.digest for row in fresh}
    best: Told | None = None
    best_score = 0.0
    for row in sorted(_numbered(fresh, before), key=lambda row: row.number or 0):
        if row.status != "accepted" or row.score is None:
            continue
        if best is not None and sign * row.score < sign * best_score and row.digest in new:
            yield Finding("kept-worse", row.key, f"{_say(row)} was kept with {row.score!r}, after {best_score!r} of "
                          f"{shown(best.key)}")  # fmt: skip
        if best is None or sign * row.score > sign * best_score:
            best, best_score = row, row.score


def _gone(rows: Sequence[Told], before: Before) -> Iterable[Finding]:
    """Told before, and no longer there: a losing evaluation that somebody deleted looks like this."""
    names = {row.key for row in rows}
    for key, told in before.rows.items():
        if key not in names:
            last = told[-1]
            scored = "" if last.score is None else f" with {last.score!r}"
            yield Finding("withdrawn", key, f"{_say(last)} was told before ({last.status}{scored}) and is gone")
