"""What each gate cost in time and trials, beside what it caught.  # G-7

A fold over the record alone. Time is from an intent to its end, and what ran side by side counts once; a wait is from
the end of a run that stood still to the next one, or to the record's last entry. Not in it: rests between proposals,
which leave no entry, and what a gate deterred. A small catch is no proof that a gate is not needed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final

from festina.ledger import entries as e
from festina.ledger.base import Entered
from festina.loop.next import QUEUE_FULL, UNREVIEWED
from festina.report.data import GateRow
from festina.report.markup import Html, el, join
from festina.report.numerals import count
from festina.report.twins import Twins

Span = tuple[float, float]

NAMES: Final[dict[str, str]] = {
    "scope": "scope and content of a proposal", "controls": "controls of the scorer",
    "evidence": "evidence of the tests", "plants": "planted defects", "same": "the version in use against itself",
    "public": "public gain beside hidden gain", "final": "the sealed final suite",
    "abilities": "measuring what it can do", "people": "people's reviews", "pace": "the governor's waits and halts",
    "soak": "soak suites before a release", "watch": "watching what serves",
    "outcomes": "what became of releases",
}  # fmt: skip
_OF_PURPOSE = {"rehearsal": "controls", "public": "public", "final": "final", "characterisation": "abilities",
               "soak": "soak"}  # fmt: skip


@dataclass(slots=True)
class _Gate:
    spans: list[Span] = field(default_factory=list)
    still: list[Span] = field(default_factory=list)
    trials: int = 0
    tried: int = 0
    caught: int = 0
    seqs: list[int] = field(default_factory=list)
    last: int | None = None  # the newest entry that it was at work in

    @property
    def cited(self) -> tuple[int, ...]:
        """What it caught; else the last of its work."""
        return tuple(sorted(self.seqs)[-100:]) or ((self.last,) if self.last is not None else ())

    def see(self, seq: int, *, caught: bool) -> None:
        self.tried += 1
        self.caught += caught
        self.last = seq
        if caught:
            self.seqs.append(seq)


@dataclass(slots=True)
class _Sealed:
    """What people said in a review that is not settled: counted for nobody yet."""

    said: dict[str, str] = field(default_factory=dict)  # by person
    spans: list[Span] = field(default_factory=list)


class Gates:
    """Filled by ``take`` alone, in the record's order; ``rows`` at any time."""

    def __init__(self) -> None:
        self.of = {key: _Gate() for key in NAMES}
        self.tests: dict[int, _Test] = {}  # by test
        self.proposal_of: dict[int, int] = {}  # test -> proposal
        self.planted: set[int] = set()
        self.received: dict[int, float] = {}
        self.refused_guards = 0
        self.words: dict[int, str] = {}  # last verdict by test
        self.measure: tuple[e.MeasureStarted, float] | None = None
        self.control: float | None = None
        self.twins = Twins()
        self.asked: dict[int, float] = {}
        self.decisions: dict[int, tuple[int, str]] = {}
        self.sealed: dict[int, _Sealed] = {}  # reviews in steps, until they are settled  # R-5
        self.catches: list[bool] = []
        self.waiting: tuple[str, float] | None = None
        self.halts: dict[str, float] = {}
        self.watches: dict[int, float] = {}
        self.counted: set[int] = set()  # entries with outcomes
        self.alarms = 0
        self.last = 0.0

    def take(self, record: Entered) -> None:
        at = _seconds(record.at, self.last)
        self.last = max(self.last, at)
        handler = _HANDLERS.get(record.kind)
        if handler is not None:
            handler(self, record, record.body, at)

    def rows(self) -> tuple[GateRow, ...]:
        """Every gate that was used, in the order in which a change meets them."""
        gates = {key: _Gate(list(g.spans), list(g.still), g.trials, g.tried, g.caught, list(g.seqs), g.last)
                 for key, g in self.of.items()}  # fmt: skip
        self._tests(gates)
        self._people(gates)
        self._still(gates)
        return tuple(
            GateRow(key, NAMES[key], _total(g.spans), _total(g.still), g.trials, g.tried, g.caught, self._words(key, g),
                    g.cited)
            for key, g in gates.items()
            if g.tried or g.trials or g.still or (key == "pace" and self.alarms)
        )  # fmt: skip

    def _tests(self, gates: dict[str, _Gate]) -> None:
        for number, test in self.tests.items():
            gate = gates["plants" if self.proposal_of.get(number) in self.planted else "evidence"]
            gate.spans += test.spans
            gate.trials += test.trials
            gate.last = max(test.seq, gate.last or 0)
            if test.verdict:
                gate.see(test.seq, caught=test.verdict != "accept")

    def _people(self, gates: dict[str, _Gate]) -> None:
        gate = gates["people"]
        for seq, word in self.decisions.values():
            gate.see(seq, caught=word == "deny")

    def _still(self, gates: dict[str, _Gate]) -> None:
        if self.waiting is not None:
            gates[self.waiting[0]].still.append((self.waiting[1], self.last))
        gates["pace"].still += [(since, self.last) for since in self.halts.values()]

    def _words(self, key: str, g: _Gate) -> str:
        if key == "scope":
            guards = f", {self.refused_guards} of them touched what judges" if self.refused_guards else ""
            return f"{g.caught} of {count(g.tried, 'proposal')} refused{guards}"
        if key == "evidence":
            rejected = sum(self._real(n, "reject") for n in self.tests)
            return f"{g.caught} of {count(g.tried, 'test')} not accepted ({rejected} rejected)"
        if key == "people":
            planted = f"; {sum(self.catches)} of {count(len(self.catches), 'catch trial')} caught"
            return f"{g.caught} of {count(g.tried, 'decision')} denied{planted if self.catches else ''}"
        if key == "pace":
            return f"{count(g.caught, 'halt')}, {count(self.alarms, 'alarm')} of growth"
        noun, word = _SAID[key]
        return f"{g.caught} of {count(g.tried, noun)} {word}"

    def _real(self, number: int, word: str) -> bool:
        return self.tests[number].verdict == word and self.proposal_of.get(number) not in self.planted


_SAID = {
    "controls": ("check", "failed"), "plants": ("planted defect", "caught"),
    "same": ("comparison", "came out different"),
    "public": ("comparison", "showed fitting to what is public"), "final": ("score", "contradicted the verdict"),
    "abilities": ("suite run", "reached a tier, or was not complete"), "watch": ("watch", "took a version back"),
    "soak": ("soak", "did not show that it holds"), "outcomes": ("outcome file", "took a version back"),
}  # fmt: skip


@dataclass(slots=True)
class _Test:
    spans: list[Span] = field(default_factory=list)
    begun: float | None = None
    trials: int = 0
    verdict: str = ""
    seq: int = 0


def gates(records: Iterable[Entered]) -> tuple[GateRow, ...]:
    """Every gate's cost and catch, from all ``records``."""
    found = Gates()
    for record in records:
        found.take(record)
    return found.rows()


def section(rows: tuple[GateRow, ...], ref: Callable[..., Html]) -> Html | None:
    """The same as a table of the report; None where no gate was used yet."""
    if not rows:
        return None
    head = el("tr", *(el("th", name, scope="col") for name in ("gate", "cost", "caught")))
    body = [el("tr", el("td", row.name), el("td", row.cost), el("td", row.words, ref(*row.seqs[-3:]))) for row in rows]
    return join(
        el("h2", "What gates cost, and what they caught", id="gates"),
        el("p", "What a gate deterred leaves no entry; a small catch is no proof that it is not needed.", cls="note"),
        el("div", el("table", el("thead", head), el("tbody", *body)), cls="wide"),
    )


def _seconds(at: str, known: float) -> float:
    try:
        return datetime.fromisoformat(at).timestamp()
    except (ValueError, TypeError):
        return known


def _total(spans: list[Span]) -> float:
    """Of the union: what ran side by side counts once."""
    total, end = 0.0, float("-inf")
    for low, high in sorted(spans):
        total += max(0.0, high - max(low, end))
        end = max(end, high)
    return total


# -- one function a kind ------------------------------------------------------------------------------


def _received(g: Gates, r: Entered, b: e.ProposalReceived, at: float) -> None:
    g.received[b.proposal] = at


def _screened(g: Gates, r: Entered, b: e.Screened, at: float) -> None:
    gate = g.of["scope"]
    gate.spans.append((g.received.get(b.proposal, at), at))
    gate.see(r.seq, caught=b.result == "refused")
    g.refused_guards += b.guard_change


def _opened(g: Gates, r: Entered, b: e.TestOpened, at: float) -> None:
    g.tests[b.test], g.proposal_of[b.test] = _Test(), b.proposal


def _batch(g: Gates, r: Entered, b: e.BatchStarted, at: float) -> None:
    test = g.tests.setdefault(b.test, _Test())
    test.begun, test.trials, test.seq = at, test.trials + b.trials, r.seq


def _batch_ended(g: Gates, r: Entered, b: e.BatchEnded, at: float) -> None:
    test = g.tests.setdefault(b.test, _Test())
    if test.begun is not None:
        test.spans.append((test.begun, at))
        test.begun = None


def _verdict(g: Gates, r: Entered, b: e.Verdict, at: float) -> None:
    test = g.tests.setdefault(b.test, _Test())
    test.verdict, test.seq = "" if b.again else b.verdict, r.seq


def _plant(g: Gates, r: Entered, b: e.PlantRevealed, at: float) -> None:
    g.planted.add(b.proposal)
    g.of["plants"].trials += b.trials


def _control(g: Gates, r: Entered, b: e.ControlStarted, at: float) -> None:
    g.control = at
    g.of["same"].trials += b.trials
    g.of["same"].last = r.seq


def _control_ended(g: Gates, r: Entered, b: e.ControlEnded, at: float) -> None:
    if g.control is not None:
        g.of["same"].spans.append((g.control, at))
    g.control, known = None, len(g.twins.alarms)
    g.twins.see(r.seq, b)
    g.of["same"].see(r.seq, caught=len(g.twins.alarms) > known)


def _resolved(g: Gates, r: Entered, b: e.ControlResolved, at: float) -> None:
    g.twins.resolve(r.seq, b)


def _epoch(g: Gates, r: Entered, b: e.EpochOpened, at: float) -> None:
    g.twins = Twins.of(r.seq, b)


def _checked(g: Gates, r: Entered, b: e.ControlsChecked, at: float) -> None:
    g.of["controls"].see(r.seq, caught=not b.ok)


def _measured(g: Gates, r: Entered, b: e.MeasureStarted, at: float) -> None:
    g.measure = (b, at)
    if b.purpose in _OF_PURPOSE:
        g.of[_OF_PURPOSE[b.purpose]].trials += b.trials
        g.of[_OF_PURPOSE[b.purpose]].last = r.seq


def _measure_ended(g: Gates, r: Entered, b: e.MeasureEnded, at: float) -> None:
    if g.measure is not None and b.purpose in _OF_PURPOSE and g.measure[0].measure == b.measure:
        g.of[_OF_PURPOSE[b.purpose]].spans.append((g.measure[1], at))


def _compared(g: Gates, r: Entered, b: e.PublicCompared, at: float) -> None:
    g.of["public"].see(r.seq, caught=b.line_gap[1] > 0.0)


def _final(g: Gates, r: Entered, b: e.FinalScored, at: float) -> None:
    if b.generation is not None:
        g.of["final"].see(r.seq, caught=b.interval[1] < 0.0)


def _characterised(g: Gates, r: Entered, b: e.Characterised, at: float) -> None:
    g.of["abilities"].see(r.seq, caught=b.missing > 0)


def _asked(g: Gates, r: Entered, b: e.ReviewRequested, at: float) -> None:
    g.asked[b.review] = at
    if b.protocol:
        g.sealed[b.review] = _Sealed()


def _decided(g: Gates, r: Entered, b: e.ReviewDecided, at: float) -> None:
    span, sealed = (g.asked.get(b.review, at), at), g.sealed.get(b.review)
    if sealed is not None:  # nobody hears from a count what another said
        sealed.said[b.reviewer] = b.decision
        sealed.spans.append(span)
        return
    if g.decisions.get(b.review, (0, ""))[1] != "deny":  # of several people one denial decides
        g.decisions[b.review] = (r.seq, b.decision)
    g.of["people"].spans.append(span)


def _withdrawn(g: Gates, r: Entered, b: e.ReviewWithdrawn, at: float) -> None:
    if b.review in g.sealed:
        g.sealed[b.review].said.pop(b.reviewer, None)


def _settled(g: Gates, r: Entered, b: e.ReviewSettled, at: float) -> None:
    sealed = g.sealed.pop(b.review, None)
    if sealed is not None:
        g.of["people"].spans += sealed.spans
    if b.outcome == "catch":
        g.catches += ["deny" in sealed.said.values()] if sealed is not None and sealed.said else []
    elif b.outcome in ("approve", "deny"):
        g.decisions[b.review] = (r.seq, b.outcome)


def _run_ended(g: Gates, r: Entered, b: e.RunEnded, at: float) -> None:
    if b.reason == "waiting":
        people = UNREVIEWED in b.detail or QUEUE_FULL in b.detail
        g.waiting = ("people" if people else "pace", at)
        g.of[g.waiting[0]].last = r.seq


def _run_started(g: Gates, r: Entered, b: e.RunStarted, at: float) -> None:
    if g.waiting is not None:
        g.of[g.waiting[0]].still.append((g.waiting[1], at))
    g.waiting = None


def _halted(g: Gates, r: Entered, b: e.Halted, at: float) -> None:
    if b.by in ("the governor", "monitor", "outcomes"):
        g.halts[b.halt] = at
        g.of["pace"].see(r.seq, caught=True)


def _resumed(g: Gates, r: Entered, b: e.Resumed, at: float) -> None:
    for halt in b.halts:
        if halt in g.halts:
            g.of["pace"].still.append((g.halts.pop(halt), at))


def _alarm(g: Gates, r: Entered, b: e.GrowthAlarm, at: float) -> None:
    g.alarms += 1
    g.of["pace"].seqs.append(r.seq)


def _watching(g: Gates, r: Entered, b: e.WatchStarted, at: float) -> None:
    g.watches[b.watch] = at


def _watched(g: Gates, r: Entered, b: e.WatchEnded, at: float) -> None:
    g.of["watch"].spans.append((g.watches.pop(b.watch, at), at))
    g.of["watch"].see(r.seq, caught=b.reason == "rolled-back")


def _soaked(g: Gates, r: Entered, b: e.Soaked, at: float) -> None:
    g.of["soak"].see(r.seq, caught=b.answer != "holds")


def _outcomes(g: Gates, r: Entered, b: e.OutcomesCounted, at: float) -> None:
    g.counted.add(r.seq)
    g.of["outcomes"].see(r.seq, caught=False)


def _drafted(g: Gates, r: Entered, b: e.IncidentDrafted, at: float) -> None:
    if b.about in g.counted:  # written in one piece with what takes the version back
        g.of["outcomes"].caught += 1
        g.of["outcomes"].seqs.append(b.about)


_HANDLERS: dict[str, Callable[[Gates, Entered, Any, float], None]] = {
    "epoch-opened": _epoch, "proposal-received": _received, "screened": _screened, "test-opened": _opened,
    "batch-started": _batch, "batch-ended": _batch_ended, "verdict": _verdict, "plant-revealed": _plant,
    "control-started": _control, "control-ended": _control_ended, "control-resolved": _resolved,
    "controls-checked": _checked, "measure-started": _measured, "measure-ended": _measure_ended,
    "public-compared": _compared, "final-scored": _final, "characterised": _characterised, "review-requested": _asked,
    "review-decided": _decided, "review-withdrawn": _withdrawn, "review-settled": _settled,
    "run-ended": _run_ended, "run-started": _run_started,
    "halted": _halted, "resumed": _resumed, "growth-alarm": _alarm, "watch-started": _watching,
    "watch-ended": _watched, "soaked": _soaked, "outcomes-counted": _outcomes, "incident-drafted": _drafted,
}  # fmt: skip
