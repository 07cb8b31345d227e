"""Loops that are not ours, in the report: what was told, whose word it is, what was run or judged here.  # G-7, V-10

The words are those of ``loop.foreign.words``; here they get the numbers of the entries that they rest on. Names and
words of the outside loop are a stranger's and are only ever shown escaped.  # T-5
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from festina.errors import IntegrityError
from festina.ledger import entries as e
from festina.loop.foreign.folding import AUTHOR, Loop, Reading, Story, tell
from festina.loop.foreign.words import Judged, check_words, lines, pace, stages
from festina.propose.history import GRAVE
from festina.propose.history.types import shown
from festina.report.markup import Html, el, join
from festina.system.policy import Policy

if TYPE_CHECKING:
    from festina.ledger.base import Entered
    from festina.report.data import ProposalRow

LISTED = 50
_OUTCOMES = {"open": "under way"}


@dataclass(frozen=True, slots=True)
class StageMark:
    """``mark``: observed, attested or unobserved; ``words``: on what it rests."""

    name: str
    mark: str
    words: str


@dataclass(frozen=True, slots=True)
class Found:
    """One finding; ``generation`` and ``words`` quote a stranger."""

    seq: int
    kind: str
    generation: str
    words: str

    @property
    def grave(self) -> bool:
        return self.kind in GRAVE or self.kind == "not-reproduced"


@dataclass(frozen=True, slots=True)
class OutsideRow:
    """One outside loop. ``read``: entries of its readings; ``unread``: why its rows cannot be shown, or empty."""

    name: str
    tool: str
    read: tuple[int, ...]
    at: str
    lines: tuple[str, ...]
    stages: tuple[StageMark, ...]
    found: tuple[Found, ...]
    checks: tuple[tuple[int, str, str], ...]  # entry, generation, words
    judged: tuple[tuple[int, str], ...]  # the last entry of each of our proposals, and what became of it
    ahead: int
    allowed: int
    unread: str = ""


_READ = frozenset({  # all that ``Outsides.take`` looks at
    e.Genesis, e.ReviewerEnrolled, e.HistoryRead, e.HistoryChecked, e.HistoryAttested,
})  # fmt: skip


@dataclass(slots=True)
class Outsides:
    """Filled by ``take`` alone."""

    loops: dict[str, Loop] = field(default_factory=dict)
    demo: bool = False
    people: dict[str, bool] = field(default_factory=dict)  # who may sign, and whether with a demo's key

    def take(self, record: Entered) -> None:
        body = record.body
        if type(body) not in _READ:
            return
        if isinstance(body, e.Genesis):
            self.demo = body.demo
        elif isinstance(body, e.ReviewerEnrolled):
            self.people[body.reviewer] = body.demo
        elif isinstance(body, e.HistoryRead):
            self.loops.setdefault(body.loop, Loop(body.loop)).readings.append(Reading(record.seq, record.at, body))
        elif isinstance(body, e.HistoryChecked) and body.loop in self.loops:
            self.loops[body.loop].checks[body.generation] = (record.seq, body)
        elif isinstance(body, e.HistoryAttested) and body.loop in self.loops and body.reviewer in self.people:
            nobody = body.without_person or self.people[body.reviewer]
            for stage in body.stages:
                self.loops[body.loop].attested[stage] = (body.reading, record.at, body.reviewer, nobody)

    def rows(
        self, proposals: Iterable[ProposalRow], debt: int | None, blob: Callable[[str], bytes]
    ) -> tuple[OutsideRow, ...]:
        """``debt``: generations that the policy in force allows."""
        known = list(proposals)
        most = Policy().debt.generations if debt is None else debt
        last = {p.proposal: p.last_seq for p in known}
        return tuple(_row(loop, _judged(loop.name, known), last, most, blob) for loop in self.loops.values())


def _judged(loop: str, proposals: Iterable[ProposalRow]) -> dict[str, tuple[int, str]]:
    start = f"{AUTHOR}{loop}:"
    return {
        p.author.removeprefix(start): (p.proposal, _OUTCOMES.get(p.outcome, p.outcome))
        for p in proposals if p.author.startswith(start)
    }  # fmt: skip


def _row(
    loop: Loop, judged: Judged, last: Mapping[int, int], most: int, blob: Callable[[str], bytes]
) -> OutsideRow:  # fmt: skip
    try:
        story, unread = tell(loop, blob), ""
    except IntegrityError as error:
        story, unread = Story(loop, {}, (), {}), f"what was read is not in this copy ({error.name})"
    names = {row.digest: row.key for told in story.rows.values() for row in told}
    found = [Found(seq, each.kind, each.key, each.words) for seq, each in story.findings]
    found += [
        Found(seq, "not-reproduced", names.get(body.generation, ""), _checked(body))
        for seq, body in loop.checks.values() if body.word == "not-reproduced"
    ]  # fmt: skip
    return OutsideRow(
        loop.name, loop.last.body.tool, tuple(reading.seq for reading in loop.readings), loop.last.at,
        tuple(lines(story, judged, most)), tuple(StageMark(s.name, s.mark, s.words) for s in stages(story, judged)),
        tuple(sorted(found, key=lambda each: (not each.grave, each.seq))),
        tuple((seq, names.get(body.generation, ""), _checked(body)) for seq, body in loop.checks.values()),
        tuple((last[number], word) for number, word in judged.values()), pace(story, judged), most, unread,
    )  # fmt: skip


def _checked(body: e.HistoryChecked) -> str:
    return f"{check_words(body)}; {body.assurance}"


def section(rows: Iterable[OutsideRow], ref: Callable[..., Html]) -> Html:
    """Empty where no outside loop was ever read."""
    made = [_loop(row, ref) for row in rows]
    if not made:
        return Html("")
    return join(
        el("h2", "Loops run by others", id="outside"),
        el("p", "What such a loop tells is recorded as told. Only what was run or judged in this record is evidence."),
        *made,
    )  # fmt: skip


def _loop(row: OutsideRow, ref: Callable[..., Html]) -> Html:
    head, *rest = row.lines
    grave = [each for each in row.found if each.grave]
    return join(
        el("p", head, ref(row.read[0], row.read[-1])),
        el("p", row.unread) if row.unread else None,
        el("ul", *(el("li", line.strip()) for line in rest)),
        el("details", el("summary", f"{len(row.checks)} run again here"),
           el("ul", *(el("li", f"{shown(name, 80)}: {words}", ref(seq)) for seq, name, words in row.checks[:LISTED])),
           ) if row.checks else None,
        el("details", el("summary", f"{len(row.found)} findings, {len(grave)} of which may hide something{_cut(row)}"),
           el("ul", *(el("li", f"{each.kind}: {each.words}", ref(each.seq)) for each in row.found[:LISTED])),
           ) if row.found else None,
    )  # fmt: skip


def _cut(row: OutsideRow) -> str:
    return f" (the first {LISTED})" if len(row.found) > LISTED else ""

