"""What the governor looks at, as part of the state: signs of life, changes taken back, escapes, incidents.  # G-4"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from festina.ledger import entries as e
from festina.ledger.log import Record
from festina.loop import abilities as known
from festina.loop import autonomy
from festina.loop.autonomy import Autonomy, speaks
from festina.loop.autonomy import before as before
from festina.loop.rows import OpenTest, misfit
from festina.select.report import interval
from festina.verify.capabilities import doublings

if TYPE_CHECKING:
    from festina.loop.state import State

Said = e.Stated | e.IncidentOpened | e.IncidentClassified | e.IncidentFiled | e.IncidentResolved
ESCAPES = ("tree-would-not-die", "lease-folder")  # something outlived its box, or rewrote who runs under which user
LOST = ("spawner-lost", "warm-box-lost", "box-vanished", "verifier-died", "verifier-crashed")
_SLACK = 1e-9  # of a range, for rounding
LOSSES = 3  # of Festina's own processes since a person looked: one is the host's doing, more a hand's


@dataclass(slots=True)
class Governed:
    """``alive``: when a person last gave a sign of life: any signed act, or the opening of an epoch (RFC 3339)."""

    alive: str = ""
    accepted: list[int] = field(default_factory=list)  # generations of this epoch, in order
    taken_back: set[int] = field(default_factory=set)  # by denial or rollback
    gains: dict[int, float | None] = field(default_factory=dict)  # by generation: doublings, upper bound; None: unknown
    abilities: dict[int, dict[str, tuple[str, e.Characterised]]] = field(default_factory=dict)  # newest, by generation
    odd: set[tuple[int, str]] = field(default_factory=set)  # of these, whose numbers their suite cannot give  # T-6
    skills: known.Skills = field(default_factory=known.Skills)
    safeguards: dict[str, str] = field(default_factory=dict)  # attested until
    escapes: int = 0  # since a person last signed that it may go on
    lost: int = 0  # of Festina's own processes, since then
    incidents: set[int] = field(default_factory=set)  # open ones
    drafts: dict[int, str] = field(default_factory=dict)  # what may be one: by the entry that shows it
    autonomy: Autonomy = field(default_factory=Autonomy)  # G-7

    def new_epoch(self, r: Record, b: e.EpochOpened, *, first: bool) -> None:
        """A person opened it, and its changes are counted anew."""
        self.alive = max(self.alive, r.at)
        self.autonomy.new_epoch(r.seq, r.at, b.autonomy, first=first)
        self.accepted, self.taken_back = [], set()

    def complete(self, generation: int, suite: str) -> bool:
        """Whether this suite ran on the generation with every unit answered, and with numbers that it can give."""
        found = self.abilities.get(generation, {}).get(suite)
        return found is not None and found[1].missing == 0 and (generation, suite) not in self.odd

    def complete_all(self, s: State, generation: int) -> bool:
        """Whether every suite of the epoch did."""
        terms = s.epoch.govern if s.epoch is not None else None
        return terms is not None and all(self.complete(generation, each.name) for each in terms.capabilities)

    def fault(self, b: e.FaultRecorded) -> None:
        """Count what may be a sign that something got out of its box."""
        self.escapes += b.what in ESCAPES
        self.lost += b.what in LOST
        self.escapes += b.what in LOST and self.lost % LOSSES == 0

    def looked(self) -> None:
        """A person has looked, and signed that it may go on."""
        self.escapes = self.lost = 0


def gain(epoch: e.EpochOpened | None, t: OpenTest) -> float | None:
    """Upper bound of what a test's change does to the odds of success, in doublings; None: it cannot be told.  # G-2

    From the incumbent's mean over the test and the upper end of the difference's interval (95 %, at any stopping time).
    """
    if epoch is None or epoch.suite.low is None or epoch.suite.high is None or not t.gains:
        return None
    if t.terms.target != "gain":  # made for the improver's sake: its own test says nothing of the task
        return None if epoch.govern is None or epoch.govern.pace is None else epoch.govern.pace.first
    around = interval(t.gains)
    if around is None:
        return None
    share = (t.incumbent_sum / len(t.gains) - epoch.suite.low) / (epoch.suite.high - epoch.suite.low)
    share = share if epoch.suite.direction == "higher" else 1.0 - share
    items = float(max(1, len(t.gains) * epoch.suite.batch_items))
    return max(0.0, doublings(share + around[1], items) - doublings(share, items))


def means(t: OpenTest) -> tuple[float, float] | None:
    """Of the candidate and of the incumbent over a test, in the suite's own unit.  # W-1"""
    return (t.candidate_sum / len(t.gains), t.incumbent_sum / len(t.gains)) if t.gains else None


def gain_of(s: State, t: OpenTest) -> float | None:
    """``gain`` of an open test."""
    return gain(s.epoch, t)


def _characterised(s: State, r: Record, b: e.Characterised) -> None:
    now = s.side.open
    if now is None or (now.purpose, now.measure, now.generation) != ("characterisation", b.measure, b.generation):
        raise misfit(r, "a finding without a measurement that was charged")  # E-1
    s.govern.abilities.setdefault(b.generation, {})[b.suite] = (r.at, b)
    s.govern.odd.discard((b.generation, b.suite))
    if not _possible(s, b):
        s.govern.odd.add((b.generation, b.suite))
        s.ignored.append((r.seq, r.kind, "numbers that its suite cannot give"))
        return
    s.govern.skills.took(r, b, now.source)


def _possible(s: State, b: e.Characterised) -> bool:
    """Whether a suite of the epoch could come to this: all its units, their items, a mean within its range.

    What nothing measured would be taken for a complete characterisation, and let the loop go on.
    """
    terms = s.epoch.govern if s.epoch is not None else None
    suite = next((each for each in terms.capabilities if each.name == b.suite), None) if terms is not None else None
    if suite is None:
        return False
    width = suite.high - suite.low
    counted = b.units + b.missing == suite.units and b.items == b.units * suite.batch_items
    around = b.units == 0 or suite.low - _SLACK * width <= b.mean <= suite.high + _SLACK * width
    return counted and around and 0.0 <= b.error <= width


def _attested(s: State, r: Record, b: e.Attested) -> None:
    if speaks(s, b.reviewer):
        s.govern.safeguards[b.safeguard] = b.expires


def sign_of_life(s: State, r: Record) -> None:
    """Every signed act of an enrolled person counts; a demo's key speaks for nobody outside a demo.  # G-4"""
    if r.body.role != "reviewer":
        return
    if speaks(s, getattr(r.body, "reviewer", "")):
        s.govern.alive = max(s.govern.alive, r.at)


def _said(s: State, r: Record, b: Said) -> None:
    """A demo's key that calls itself a person, or the other way round, does not fit."""
    who = s.reviewers.get(b.reviewer)
    if who is not None and who.demo != b.without_person:
        raise misfit(r, f"'{b.reviewer}' says of that key what its enrolment does not")


def _opened(s: State, r: Record, b: e.IncidentOpened) -> None:
    _said(s, r, b)
    if b.reviewer in s.reviewers:
        s.govern.incidents.add(b.incident)
    if speaks(s, b.reviewer) and b.about is not None:
        s.govern.drafts.pop(b.about, None)


def _drafted(s: State, r: Record, b: e.IncidentDrafted) -> None:
    if b.about >= r.seq:
        raise misfit(r, "a draft about an entry that comes later")
    s.govern.drafts[b.about] = b.text


def _resolved(s: State, r: Record, b: e.IncidentResolved) -> None:
    _said(s, r, b)
    if speaks(s, b.reviewer):
        s.govern.incidents.discard(b.incident)


HANDLERS: dict[str, Callable[[State, Record, Any], None]] = {
    "characterised": _characterised, "attested": _attested,
    "incident-drafted": _drafted, "incident-opened": _opened, "incident-resolved": _resolved,
    **autonomy.HANDLERS,
    "stated": _said, "incident-classified": _said, "incident-filed": _said, **known.HANDLERS,
}  # fmt: skip
