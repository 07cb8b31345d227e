"""A suite's report as data and as lines of text. No colour, no width beyond 100 columns, no printing."""

from __future__ import annotations

from collections.abc import Iterator

from festina.sandbox.escapes.attempt import Control
from festina.sandbox.escapes.suite import Report, Result, Seen, groups

__all__ = ["as_data", "lines"]

_WORDS = {Seen.BLOCKED: "blocked", Seen.BROKEN: "broken", Seen.NOT_TRIED: "-"}


def _cell(result: Result) -> str:
    if result.seen is Seen.OPEN:
        return "OPEN" if result.promised else "open"
    return _WORDS[result.seen]


def _control(result: Result) -> str:
    if result.seen is Seen.OPEN:
        return "works" if result.attempt.control is Control.L0 else "works*"
    return "none" if result.seen is Seen.NOT_TRIED else "FAILS"


def lines(report: Report) -> Iterator[str]:
    """The table, the counts, then everything that needs words."""
    names = list(report.results)
    by_name = {name: {row.attempt.name: row for row in rows} for name, rows in report.results.items()}
    head = f"{'attempt':<30}" + "".join(f"{name:<9}" for name in names) + "control"
    for group, rows in groups(report.controls.values()).items():
        yield ""
        yield f"{group}"
        yield f"  {head}"
        for control in rows:
            name = control.attempt.name
            cells = "".join(f"{_cell(by_name[box][name]):<9}" for box in names)
            yield f"  {name:<30}{cells}{_control(control)}"
    yield ""
    yield from _counts(report)
    yield from _open(report)
    yield from _doubts(report)


def _counts(report: Report) -> Iterator[str]:
    for name, rows in report.results.items():
        tried = [row for row in rows if row.seen is not Seen.NOT_TRIED]
        blocked = sum(row.seen is Seen.BLOCKED for row in tried)
        broken_promise = sum(row.seen is Seen.OPEN and row.promised for row in tried)
        known = sum(row.seen is Seen.OPEN and not row.promised for row in tried)
        words = [f"{name}: {blocked} of {len(tried)} blocked"]
        words += [f"{broken_promise} OPEN against its promise"] if broken_promise else []
        words += [f"{known} open that it does not promise to stop"] if known else []
        yield ", ".join(words)
    controls = report.controls.values()
    worked = sum(row.seen is Seen.OPEN for row in controls)
    without = sum(row.seen is Seen.NOT_TRIED for row in controls)
    yield (
        f"control: {worked} of {len(controls)} attempts work where nothing stops them (*: as a plain process, since L0 "
        f"itself has a measure); {without} have no control here"
    )


def _open(report: Report) -> Iterator[str]:
    for name, rows in report.results.items():
        for promised, title in ((True, "OPEN, against the promise of"), (False, "open, as said of")):
            found = [row for row in rows if row.seen is Seen.OPEN and row.promised is promised]
            if found:
                yield ""
                yield f"{title} {name}:"
            for row in found:
                yield f"  {row.attempt.name}: {row.attempt.aim}: {row.note}"
                yield f"      what to do: {_remedy(row)}"


def _remedy(row: Result) -> str:
    if row.promised:
        return "do not trust this box on this host; report it with the output of `festina doctor --json`"
    return row.attempt.why


def _doubts(report: Report) -> Iterator[str]:
    silent = report.silent_controls()
    if silent:
        yield ""
        yield "These fail even where nothing should stop them, so that they are blocked in a box shows nothing here:"
        for row in silent:
            yield f"  {row.attempt.name}: {row.note}"
    broken = report.broken()
    if broken:
        yield ""
        yield "These broke for a reason of their own and show nothing:"
        alike: dict[tuple[str, str], list[str]] = {}
        for name, row in broken:
            alike.setdefault((name, row.note), []).append(row.attempt.name)
        for (name, note), attempts in alike.items():
            more = f" and {len(attempts) - 3} more" if len(attempts) > 3 else ""
            yield f"  at {name}: {', '.join(attempts[:3])}{more}: {note}"
    unrecorded = [(name, row) for name, rows in report.results.items() for row in rows if row.recorded is False]
    if unrecorded:
        yield ""
        yield "Refused but missing from the record of denied calls:"
        for name, row in unrecorded:
            yield f"  {row.attempt.name} at {name}"
    if report.left:
        yield ""
        yield f"Left behind by the suite itself: {'; '.join(report.left)}"


def as_data(report: Report) -> dict[str, object]:
    """The same for machines."""

    def row(result: Result) -> dict[str, object]:
        return {
            "level": result.level.name,
            "seen": str(result.seen),
            "promised": result.promised,
            "note": result.note,
            "recorded": result.recorded,
        }

    attempts = []
    for name, control in report.controls.items():
        attempt = control.attempt
        boxes = {box: next(r for r in rows if r.attempt.name == name) for box, rows in report.results.items()}
        attempts.append(
            {
                "name": name,
                "group": str(attempt.group),
                "aim": attempt.aim,
                "blocked_from": attempt.blocked_from.name if attempt.blocked_from is not None else None,
                "why": attempt.why,
                "control": {"where": str(attempt.control), "works": control.seen is Seen.OPEN, "note": control.note},
                "boxes": {box: row(result) for box, result in boxes.items()},
            }
        )
    return {
        "open": [
            {"box": box, "attempt": result.attempt.name, "note": result.note} for box, result in report.open_ways()
        ],
        "attempts": attempts,
        "left": list(report.left),
        "wall_s": round(report.wall_s, 1),
    }
