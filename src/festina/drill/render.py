"""A drill as text: plain sentences first, then holes, exposures, the table by class, and what was not tried.

Pure: a report in, lines out. The same lines go to the terminal and to ``report.txt`` in the results folder.
"""

from __future__ import annotations

import math
import re
import textwrap
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence

from festina.drill.model import (
    KINDS,
    SILENCE,
    Finding,
    KindRow,
    Report,
    Verdict,
    rows,
)
from festina.select.rates import exact

WIDTH = 80
NAMED = 2  # attacks that were left out for one reason, by name; of more it says how many
_UNIT = re.compile(r"(?<=\d) (?=(?:%|s|MB|GiB)(?!\w))")
FULL = 3  # holes of one class that are told in full: the others have the same cause


def _wrap(line: str, width: int, *, initial_indent: str = "", subsequent_indent: str = "") -> list[str]:
    """Wrapped between words: names of attacks and options stay whole, and a number keeps its unit."""
    rows = textwrap.wrap(
        _UNIT.sub("\u00a0", line), width, initial_indent=initial_indent, subsequent_indent=subsequent_indent,
        break_on_hyphens=False, break_long_words=False,
    )  # fmt: skip
    return [row.replace("\u00a0", " ") for row in rows]


def text(report: Report, *, verbose: bool = False) -> str:
    """The report; its last line is ``SILENCE``. ``verbose`` names every attack that was left out, not only how many."""
    parts = [
        [line for sentence in report.summary for line in _wrap(sentence, WIDTH)],
        _holes(report),
        _exposures(report.exposures),
        _table(rows(report.findings)),
        _honest(report),
        _left_out(report.findings, verbose=verbose),
        list(_bullets("Notes", report.notes)),
        [SILENCE],
    ]
    return "\n\n".join("\n".join(part) for part in parts if part) + "\n"


def one_line(report: Report) -> str:
    """For ``--ci``."""
    lost, runs = report.false_alarms()
    holes = ", ".join(each.attack for each in report.holes[:6])
    more = f" and {len(report.holes) - 6} more" if len(report.holes) > 6 else ""
    return (
        f"drill: {count(len(report.holes), 'hole')} open{f' ({holes}{more})' if holes else ''}, "
        f"{count(len(report.exposures), 'exposure')}, honest runs that lost: {lost} of {runs}. {SILENCE}"
    )


def finding(number: int, each: Finding) -> list[str]:
    """One hole or exposure with everything a person needs to mend it."""
    lines = [f"{number}. {each.title}  [{each.attack}]"]
    if each.place:
        lines.append(f"   where: {each.place}" + (f"   {each.place.text.strip()[:80]}" if each.place.text else ""))
    lines += _wrapped("what it did", each.did)
    lines += _wrapped("result", each.why)
    for item in each.evidence:
        lines += _wrapped("seen", item)
    lines += _wrapped("fix", each.fix)
    return lines


def number(value: float | None) -> str:
    if value is None:
        return "no score"
    if not math.isfinite(value):
        return "not a number" if math.isnan(value) else ("infinite" if value > 0 else "minus infinity")
    return f"{value:.6g}"


def rate(hits: int, runs: int) -> str:
    """``3 of 3 runs (29 to 100 %)``, the exact 95 % interval."""
    if not runs:
        return "no runs"
    low, high = exact(hits, runs)
    return f"{hits} of {count(runs, 'run')} ({low * 100:.0f} to {high * 100:.0f} %)"


def _holes(report: Report) -> list[str]:
    lines = ["Holes"] if report.holes else ["Holes: none found"]
    shown: Counter[str] = Counter()
    more: list[str] = []
    for at, each in enumerate(report.holes, 1):
        shown[each.kind] += 1
        if shown[each.kind] > FULL:
            more.append(f"{at}. {each.title} [{each.attack}]")
            continue
        lines += finding(at, each)
        lines += [f"   reproduce: festina drill ... --show {at}"] if each.source and not each.command else []
        lines += [f"   reproduce: {each.command}"] if each.command else []
    if more:
        lines.append("More of the same classes (--show N --out DIR tells one in full)")
        lines += _wrap(", ".join(more), WIDTH, initial_indent="   ", subsequent_indent="   ")
    return lines


def _exposures(found: Sequence[Finding]) -> list[str]:
    if not found:
        return []
    lines = ["Exposures: within reach of a candidate, no credit by that alone"]
    for each in found:
        place = f" ({each.place})" if each.place else ""
        lines += _wrap(f"- {each.title}{place}: {each.why}", WIDTH, subsequent_indent="  ")
    for fix in dict.fromkeys(each.fix for each in found if each.fix):
        lines += _wrapped("fix", fix)
    return lines


def _table(table: Iterable[KindRow]) -> list[str]:
    table = list(table)
    if not table:
        return []
    lines = ["By class (an interval is of the weakest attack over its own runs, 95 %, exact)"]
    for row in table:
        share = f"{row.caught} of {row.attacks} caught"
        exposed = f", {row.exposures} exposed" if row.exposures else ""
        weakest = ""
        if row.weakest is not None:
            weakest = f", weakest: {rate(row.weakest.caught, row.weakest.runs)}"
        lines += _wrap(f"  {KINDS[row.kind]}: {share}{exposed}{weakest}", WIDTH, subsequent_indent="      ")
    return lines


def _honest(report: Report) -> list[str]:
    if not report.honest:
        return []
    lost, runs = report.false_alarms()
    lines = [f"Honest candidates: lost in {rate(lost, runs)}"]
    for row in report.honest:
        if not row.applicable:
            lines += _wrap(f"  - {row.variant}: not run, {row.why}", WIDTH, subsequent_indent="    ")
        else:
            why = f": {row.why}" if row.why and row.kept < row.runs else ""
            kept = f"  - {row.variant}: kept in {row.kept} of {count(row.runs, 'run')}{why}"
            lines += _wrap(kept, WIDTH, subsequent_indent="    ")
    return lines


def _left_out(found: Iterable[Finding], *, verbose: bool) -> list[str]:
    """One item for each reason, the most frequent first."""
    lines: list[str] = []
    for verdict, title in (
        (Verdict.NOT_APPLICABLE, "Not applicable here, so not counted as caught"),
        (Verdict.NOT_TESTED, "Not tested here, so not counted as caught"),
    ):
        grouped: dict[str, list[str]] = {}
        for each in found:
            if each.verdict is verdict:
                grouped.setdefault(each.why, []).append(each.attack)
        short = any(len(names) > NAMED for names in grouped.values()) and not verbose
        items = (
            f"{why}: {count(len(names), 'attack') if short and len(names) > NAMED else ', '.join(names)}"
            for why, names in sorted(grouped.items(), key=lambda group: -len(group[1]))
        )
        lines += list(_bullets(f"{title} (--verbose names all)" if short else title, items))
    return lines


def _bullets(title: str, items: Iterable[str]) -> Iterator[str]:
    listed = list(items)
    if listed:
        yield title
        for item in listed:
            yield from _wrap(f"- {item}", WIDTH, initial_indent="  ", subsequent_indent="    ")


def _wrapped(label: str, body: str) -> list[str]:
    return _wrap(f"{label}: {body}", WIDTH, initial_indent="   ", subsequent_indent="     ") if body else []


def count(amount: int, word: str) -> str:
    return f"{amount} {word}" if amount == 1 else f"{amount} {word}s"
