"""What the record holds of loops that are not ours: a fold over its entries.  # L-1

``Foreign`` is filled by the loop's own fold and needs no content; ``tell`` adds the rows, from the content store.
A stage is *observed* where this record holds that Festina itself saw it, *attested* where a person signed for all that
was read, and *unobserved* otherwise. What was proposed and where it ran can never be seen from here.  # G-7
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

from festina.errors import IntegrityError
from festina.ledger import entries as e
from festina.ledger.canonical import parse_strict
from festina.ledger.outside import StageWord
from festina.ledger.record import Record
from festina.loop.rows import misfit
from festina.propose.history.types import GRAVE, Finding, Told, told_of

if TYPE_CHECKING:
    from festina.loop.state import State

Mark = Literal["observed", "attested", "unobserved"]
STAGES: tuple[StageWord, ...] = ("proposal", "experimentation", "selection", "deployment")
AUTHOR = "outside:"  # proposals of our own gate that are an outside loop's generations
DETAILS_BYTES = 128 << 20


@dataclass(frozen=True, slots=True)
class Reading:
    """One reading of the loop's files."""

    seq: int
    at: str
    body: e.HistoryRead


@dataclass(slots=True)
class Loop:
    """One outside loop, as its entries tell of it."""

    name: str
    readings: list[Reading] = field(default_factory=list)
    attested: dict[StageWord, tuple[int, str, str, bool]] = field(default_factory=dict)  # reading, at, who, no person
    checks: dict[str, tuple[int, e.HistoryChecked]] = field(default_factory=dict)  # by claim: entry, newest check

    @property
    def last(self) -> Reading:
        return self.readings[-1]

    @property
    def findings(self) -> dict[str, int]:
        """How often each kind was found, over all readings; a check that did not reproduce is one."""
        found: dict[str, int] = {}
        for reading in self.readings:
            for kind, count in reading.body.findings:
                found[kind] = found.get(kind, 0) + count
        wrong = sum(check.word == "not-reproduced" for _, check in self.checks.values())
        return dict(sorted((found | ({"not-reproduced": wrong} if wrong else {})).items()))

    @property
    def grave(self) -> int:
        """Findings that may hide something."""
        return sum(count for kind, count in self.findings.items() if kind in GRAVE or kind == "not-reproduced")

    def mark(self, stage: StageWord) -> tuple[Mark, str]:
        """The stage's mark and whose word it is, for everything that was read. See ``told`` for what was run here."""
        reading, at, who, nobody = self.attested.get(stage, (-1, "", "", True))
        if reading >= self.last.seq and not nobody:
            return "attested", f"{who}, {at[:10]}"
        return "unobserved", "" if reading < 0 or nobody else f"{who}'s word covers an earlier reading only"


@dataclass(slots=True)
class Foreign:
    """All of them, by name."""

    loops: dict[str, Loop] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Story:
    """One loop with everything that was told: rows by name (the newest claim last), findings in order."""

    loop: Loop
    rows: Mapping[str, tuple[Told, ...]]
    findings: tuple[tuple[int, Finding], ...]  # with the entry of their reading
    held: Mapping[str, int]  # claim -> entry

    @property
    def newest(self) -> list[Told]:
        return [told[-1] for told in self.rows.values()]

    @property
    def kept(self) -> list[Told]:
        """What the loop says it accepted, in its own order."""
        return sorted((row for row in self.newest if row.status == "accepted"), key=_order)

    @property
    def changes(self) -> list[Told]:
        """What was kept after the generation that the loop began with."""
        first = min(self.newest, key=_order, default=None)
        return [row for row in self.kept if row is not first]


def _order(row: Told) -> tuple[bool, int, str]:
    return row.number is None, row.number or 0, row.at


def tell(loop: Loop, blob: Callable[[str], bytes]) -> Story:
    """Read the rows of all readings. Raises ``IntegrityError`` for details that are not what we write."""
    rows: dict[str, tuple[Told, ...]] = {}
    found: list[tuple[int, Finding]] = []
    held: dict[str, int] = {}
    for reading in loop.readings:
        told = details(blob(reading.body.details))
        for row in told[0]:
            rows[row.key] = (*rows.get(row.key, ()), row)
            held.setdefault(row.digest, reading.seq)
        found += [(reading.seq, each) for each in told[1]]
    return Story(loop, rows, tuple(found), held)


def details(data: bytes) -> tuple[list[Told], list[Finding]]:
    """Rows and findings of one reading."""
    try:
        value: Any = parse_strict(data, max_bytes=DETAILS_BYTES, max_depth=12)
        return [told_of(row) for row in value["rows"]], [Finding(*map(str, each)) for each in value["findings"]]
    except (KeyError, TypeError, ValueError) as error:
        raise IntegrityError("bad-history", f"a reading's details are not what is written here: {error}") from None


def _read(s: State, r: Record, b: e.HistoryRead) -> None:
    loop = s.foreign.loops.setdefault(b.loop, Loop(b.loop))
    if loop.readings and (b.tool, b.metric) != (loop.last.body.tool, loop.last.body.metric):
        raise misfit(r, f"the loop '{b.loop}' was read as another tool's, or by another metric, before")
    before = loop.last.body.known if loop.readings else 0
    if not before <= b.known <= before + b.rows:
        raise misfit(r, "it counts generations that no reading told of")
    loop.readings.append(Reading(r.seq, r.at, b))


def _attested(s: State, r: Record, b: e.HistoryAttested) -> None:
    loop = s.foreign.loops.get(b.loop)
    if loop is None or all(reading.seq != b.reading for reading in loop.readings):
        raise misfit(r, "it attests a reading that is not there")
    who = s.reviewers.get(b.reviewer)
    if who is None or (who.demo and not (s.genesis is not None and s.genesis.demo)):
        return
    for stage in b.stages:
        loop.attested[stage] = (b.reading, r.at, b.reviewer, b.without_person or who.demo)


def _checked(s: State, r: Record, b: e.HistoryChecked) -> None:
    loop, now = s.foreign.loops.get(b.loop), s.side.open
    if loop is None or all(reading.seq != b.reading for reading in loop.readings):
        raise misfit(r, "it checks a claim of a reading that is not there")
    if now is None or (now.purpose, now.measure) != ("history", b.measure):
        raise misfit(r, "a check without a measurement that was charged")  # E-1
    loop.checks[b.generation] = (r.seq, b)


HANDLERS: dict[str, Callable[[State, Record, Any], None]] = {
    "history-read": _read, "history-attested": _attested, "history-checked": _checked,
}  # fmt: skip
