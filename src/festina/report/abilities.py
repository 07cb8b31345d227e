"""What each version can do, in the report: suites on their locked scales, what is new, soaks, outcomes.  # G-1, D-3

A reading of its own of the same entries; the words are those of ``loop.abilities``, ``soaks`` and ``outcomes``. A scale
is taken as it is recorded: that it follows from the scores is the loop's fold and ``ledger verify`` to check.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from festina.ledger import entries as e
from festina.ledger.base import Entered
from festina.loop import abilities, soaks
from festina.loop.outcomes import Known
from festina.report.data import AbilityRow
from festina.report.markup import Html, el, join
from festina.select import monitor

_READ = frozenset({  # all that ``Abilities.take`` looks at
    e.EpochOpened, e.MeasureStarted, e.Characterised, e.AnchorsLocked, e.AnchorsLeaked, e.Soaked, e.OutcomesCounted,
})  # fmt: skip


@dataclass(slots=True)
class Abilities:
    """Under construction, in the record's order."""

    suites: tuple[e.CapabilityTerms, ...] = ()
    soaks: Mapping[str, e.SoakTerms] = field(default_factory=dict)
    outcomes: e.OutcomeTerms | None = None
    skills: abilities.Skills = field(default_factory=abilities.Skills)
    looks: dict[str, int] = field(default_factory=dict)
    source: str | None = None  # of the measurement under way
    since: int = 0
    soaked: list[AbilityRow] = field(default_factory=list)
    soaking: set[str] = field(default_factory=set)  # suites that gave an answer
    later: dict[int, tuple[int, Known]] = field(default_factory=dict)
    at: str = ""

    def take(self, r: Entered) -> None:
        body, self.at = r.body, max(self.at, r.at)
        if type(body) not in _READ:
            return
        if isinstance(body, e.EpochOpened):
            self.suites = body.govern.capabilities if body.govern is not None else ()
            self.soaks, self.outcomes, self.since = {each.name: each for each in body.soaks}, body.outcomes, r.seq
        elif isinstance(body, e.MeasureStarted):
            self.source = body.source
            if body.source is not None:
                self.looks[body.source] = self.looks.get(body.source, 0) + body.items
        elif isinstance(body, e.Characterised):
            self.skills.runs.setdefault(body.suite, []).append(abilities.Run(r.seq, r.at, body, self.source))
        elif isinstance(body, e.AnchorsLocked):
            self.skills.scales[body.suite] = body
        elif isinstance(body, e.AnchorsLeaked):
            known = self.skills.leaked.setdefault((body.suite, body.source), {})
            for at in body.places:
                known.setdefault(at, body.generation)
        elif isinstance(body, e.Soaked) and body.suite in self.soaks:
            text = soaks.sentence(self.soaks[body.suite], soaks.Soak(r.at, self.source, body))
            self.soaking.add(body.suite)
            self.soaked.append(AbilityRow(r.seq, f"{text}.", body.answer != "holds"))
        elif isinstance(body, e.OutcomesCounted) and self.outcomes is not None:
            self._counted(r.seq, body, self.outcomes)

    def probed(self, guards: Iterable[str]) -> tuple[str, ...]:
        """Names of what was asked and answered: guards, which every test asks, and suites.  # V-11"""
        ran = {name for name, runs in self.skills.runs.items() if any(run.body.items for run in runs)}
        return tuple(sorted({*guards, *ran, *self.soaking}))

    def _counted(self, seq: int, body: e.OutcomesCounted, terms: e.OutcomeTerms) -> None:
        _, known = self.later.get(body.generation, (seq, Known(monitor.start(terms.tolerate, terms.alpha))))
        seen = known.seen
        for bit in body.events:
            seen = monitor.observe(seen, bit == "1")
        self.later[body.generation] = (seq, Known(seen, (*known.batches, body)))

    def rows(self, line: Sequence[int], looked: int) -> tuple[AbilityRow, ...]:
        """All that is to be said, the newest measured version last. ``looked``: the newest that a person approved."""
        view = abilities.View(self.suites, self.skills, self.looks, line, looked, self.since)
        seqs = {n: max(run.seq for run in runs) for n in line if (runs := self._runs(n))}
        found = [
            AbilityRow(seq, f"Generation {n}, {text}.", text.startswith("NEW: "))
            for n, seq in seqs.items()
            for text in abilities.lines(view, n)
            if not text.startswith("NEW: ") or n == max(seqs)
        ]
        found += self.soaked
        if self.outcomes is not None:
            now = datetime.fromisoformat(self.at)
            for n, (seq, known) in self.later.items():
                text = known.sentence(n, self.outcomes, now)
                found.append(AbilityRow(seq, f"{text}.", known.seen.answer == "roll back"))
        return tuple(found)

    def _runs(self, number: int) -> list[abilities.Run]:
        return [run for runs in self.skills.runs.values() for run in runs if run.body.generation == number]


def section(rows: Sequence[AbilityRow], ref: Callable[[int], Html]) -> Html:
    """Empty where nothing was measured."""
    if not rows:
        return Html("")
    said = [(el("span", row.text, cls="poor") if row.alert else row.text, ref(row.seq)) for row in rows]
    return join(
        el("h2", "What can it do, and does it last?", id="abilities"), el("ul", *(el("li", *each) for each in said))
    )
