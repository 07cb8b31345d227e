"""Soak runs: what a system that does not serve has to stand before it is released in full, and again when that is old.

Each ``[suite.soak.NAME]`` runs on the generation and on what is in use (before the first release: on the start of the
line), paired, on the items that lie in the vault as ``soak.NAME``. It has to be shown to hold; what cannot be told
does not pass. One answer for a content, suite and source while it is valid: asking again gives the recorded one.
Asking about the same content with other items, or when the evidence has run out, counts: each time costs more, so that
nobody asks until chance says yes (``verify.soaking``).  # D-2, D-3

What is in use and turns out worse is taken back as by a watch: draft of an incident, release, halt.  # D-4

Not covered: that the same items serve every release; whoever sees them improve should bring new ones.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from festina.errors import Rejected, UsageError
from festina.ledger import entries as e
from festina.ledger.log import Draft, Record
from festina.ledger.soaking import SoakAnswer
from festina.loop.rows import Generation, misfit
from festina.verify.soaking import Asking, after, answer_of, asking

if TYPE_CHECKING:
    from festina.ledger.log import Ledger
    from festina.loop.bench import Bench
    from festina.loop.state import State
    from festina.system.home import Home
    from festina.system.repo import Repo

_CLOCKS = timedelta(minutes=2)  # two machines' clocks may differ by so much


@dataclass(frozen=True, slots=True)
class Soak:
    """One soak run: when, of which items, in which entry."""

    at: str
    source: str | None
    body: e.Soaked
    seq: int = -1


@dataclass(slots=True)
class Soaks:
    """The newest run by generation and suite, every run by its items, too, and how often each content was asked about.

    Filled by the handler alone.
    """

    rows: dict[tuple[int, str], Soak] = field(default_factory=dict)
    asked: dict[tuple[int, str, str | None], Soak] = field(default_factory=dict)
    times: dict[tuple[str, str], Asking] = field(default_factory=dict)  # by tree and suite
    counted: bool = False  # entries say which time it is; from then on all have to


def terms_of(s: State) -> tuple[e.SoakTerms, ...]:
    return s.epoch.soaks if s.epoch is not None else ()


def until(terms: e.SoakTerms, soak: Soak) -> datetime:
    """When its evidence runs out."""
    return datetime.fromisoformat(soak.at) + timedelta(seconds=terms.valid_s)


def valid(terms: e.SoakTerms, soak: Soak, now: datetime) -> bool:
    """A clock that jumped back proves nothing."""
    return datetime.fromisoformat(soak.at) - _CLOCKS <= now <= until(terms, soak)


def due(s: State, generation: Generation, now: datetime | None = None) -> tuple[e.SoakTerms, ...]:
    """Soak suites without a valid answer for this generation."""
    at = now or datetime.now(UTC)
    known = {each.name: s.watches.soaks.rows.get((generation.number, each.name)) for each in terms_of(s)}
    return tuple(each for each in terms_of(s) if (row := known[each.name]) is None or not valid(each, row, at))


def lacking(s: State, generation: Generation, now: datetime) -> str:
    """Why the generation has not passed its soak; empty where it has."""
    for terms in terms_of(s):
        row = s.watches.soaks.rows.get((generation.number, terms.name))
        if row is None:
            return f"soak suite '{terms.name}' has not run"
        if not valid(terms, row, now):
            return f"the evidence of soak suite '{terms.name}' ran out at {until(terms, row).isoformat()[:16]}"
        if answer(terms, row) != "holds":
            return sentence(terms, row)
    return ""


def answer(terms: e.SoakTerms, soak: Soak) -> SoakAnswer:
    """What a run's numbers say under the terms in force, which may be others than those that it ran under."""
    return answer_of(terms, soak.body.interval)


def require(s: State, generation: Generation, now: datetime | None = None) -> None:
    """Raise unless every soak suite was shown to hold for this generation, lately.  # D-2, D-3"""
    why = lacking(s, generation, now or datetime.now(UTC))
    if not why:
        return
    told = [(terms, s.watches.soaks.rows.get((generation.number, terms.name))) for terms in terms_of(s)]
    if any(row is not None and answer(terms, row) != "holds" for terms, row in told):
        raise Rejected(
            "soak-not-passed", why,
            fix="leave it; or ask with new or more items: festina vault add soak.NAME NEW --replace, festina soak",
        )  # fmt: skip
    raise UsageError("soak-missing", why, fix=f"festina soak {generation.number}")


def sentence(terms: e.SoakTerms, soak: Soak) -> str:
    """A soak run in words."""
    b = soak.body
    low, high = b.interval
    words = {
        "holds": f"holds within {terms.max_loss:g}", "worse": f"worse by more than {terms.max_loss:g}",
        "cannot tell": f"not shown to hold within {terms.max_loss:g}",
    }  # fmt: skip
    return (
        f"Soak '{b.suite}', generation {b.generation}: {b.mean:.3f} beside {b.base_mean:.3f}, difference "
        f"{b.estimate:+.3f} ({low:+.3f} to {high:+.3f}) on {b.items:,} items{_asking(b)}: "
        f"{words[answer(terms, soak)]}; good until {until(terms, soak).isoformat()[:16]}"
    )


def _asking(b: e.Soaked) -> str:
    return f", asked {b.asked} times" if b.asked > 1 else ""


def against(s: State) -> str:
    """What a soak says against the version in use, in words; empty where none found it worse.  # D-4

    Narrower terms take nothing back by themselves, and what may be released under wider ones is not taken back by them.
    """
    for terms in terms_of(s):
        row = s.watches.soaks.rows.get((s.released, terms.name)) if s.released is not None else None
        if row is not None and speaks(terms, row):
            return sentence(terms, row)
    return ""


def speaks(terms: e.SoakTerms, soak: Soak) -> bool:
    """Whether it was worse by the terms that it ran under and is by those in force."""
    return soak.body.answer == answer(terms, soak) == "worse"


def take_back(ledger: Ledger, state: State, repo: Repo, home: Home) -> str:
    """Take back what is in use where a soak found it worse; why, or nothing. Safe to do again.  # D-4, D-5"""
    from festina.loop import takeback

    why = against(state)
    if why and state.released is not None:
        takeback.take_back(ledger, state, repo, home, state.released, by="soak", reason=why)
    return why


def lines(s: State, now: datetime) -> list[str]:
    """For people: the soak evidence of the newest generation that has some, and what ran out."""
    from festina.loop import takeback

    numbers = [number for number, _ in s.watches.soaks.rows]
    if not terms_of(s) or not numbers:
        return []
    known = s.released if s.released in numbers else max(numbers)
    assert known is not None
    found = []
    for terms in terms_of(s):
        row = s.watches.soaks.rows.get((known, terms.name))
        if row is not None:
            late = "" if valid(terms, row, now) else f" RAN OUT: festina soak {known}"
            found.append(sentence(terms, row) + "." + late)
    if against(s):
        back = "festina soak takes it back" if takeback.possible(s) else "nothing lies before it to go back to"
        found.append(f"Generation {s.released} is in use all the same: {back}.")
    return found


def run(b: Bench, number: int) -> list[e.Soaked]:
    """Run what is due, in order, and what has other items now: another question. Everything is charged first."""
    missing = due(b.state, b.state.generations[number])
    return [_suite(b, terms, number) for terms in terms_of(b.state) if terms in missing or _new_items(b, terms, number)]


def _new_items(b: Bench, terms: e.SoakTerms, number: int) -> bool:
    from festina.verify.vault import Vault

    known, now = b.state.watches.soaks, Vault(b.home.vault).describe(f"soak.{terms.name}").digest
    before = known.asked.get((number, terms.name, now))  # also where other items came between
    return before is None or not valid(terms, before, datetime.now(UTC))


def _suite(b: Bench, terms: e.SoakTerms, number: int) -> e.Soaked:
    from festina.experiment import batch as units
    from festina.ledger.canonical import canonical
    from festina.ledger.seeds import unit_seed
    from festina.loop.bench import Replan
    from festina.loop.charging import charge, enough, found, measuring_verifier
    from festina.loop.finals import Placed
    from festina.select.pairing import Scale
    from festina.verify.soaking import numbers, suite_of
    from festina.verify.vault import Vault

    name, items = f"soak.{terms.name}", terms.units * terms.batch_items
    source = Vault(b.home.vault).describe(name)
    enough(source, name, items, error="soak-items", words=f"'{name}'", where=f"suite.{name}")
    tree, base = _sides(b, number)
    measure = charge(
        b, "soak", trials=2 * terms.units, units=terms.units, items=items, source=source.digest, fresh=False,
        generation=number,
    )  # fmt: skip
    leaf = b.state.side.leaf
    seeds = [unit_seed(leaf, 0, i) for i in range(terms.units)]
    places = {seed: i * terms.batch_items for i, seed in enumerate(seeds)}
    scale = Scale(1.0 if terms.direction == "higher" else -1.0, terms.high - terms.low, ())
    with measuring_verifier(b, suite_of(terms, source.digest)) as verifier:
        judge = Placed(verifier, terms.batch_items, places)
        trees = units.Trees(tree, base, None)
        results = units.run_units(
            lambda seed: units.run_unit(b.trials, judge, trees, scale, seed, lambda: b.cut_off), seeds, b.workers
        )
    if b.cut_off:
        raise Replan
    details = canonical({"units": [unit.record() for unit in results]})
    rows = [(unit.gain, unit.candidate.mean, unit.incumbent.mean) for unit in results]
    now = asking(b.state.watches.soaks.times, tree, terms.name)
    body = e.Soaked(
        measure=measure, suite=terms.name, generation=number, tree=tree, base=base, units=len(results), items=items,
        details=hashlib.sha256(details).hexdigest(), **numbers(terms, rows, now),
    )  # fmt: skip
    finding = Draft(body, blobs=(details,), signer=b.signing([unit.shown for unit in results]))
    found(b, "soak", measure, finding, *_draft(b.state, terms, body))
    return body


def _draft(state: State, terms: e.SoakTerms, body: e.Soaked) -> list[Draft]:
    """The draft of an incident, in one piece with the finding, where what is in use turned out worse.  # D-4"""
    if body.answer != "worse" or state.released != body.generation:
        return []
    from festina.loop import takeback

    said = sentence(terms, Soak(datetime.now(UTC).isoformat(), None, body)).rpartition("; ")[0]
    done = "taken back" if takeback.possible(state) else "nothing to go back to"
    return [Draft(e.IncidentDrafted(about=state.size, text=f"{said}; {done}"[:300]))]


def _sides(b: Bench, number: int) -> tuple[str, str]:
    """(its tree, that of what is in use beside it: the newest other release, or the start)."""
    state, epoch = b.state, b.state.epoch
    assert epoch is not None
    tree = b.repo.tree_of(state.generations[number].commit)
    others = [n for n in state.released_history if n != number]
    base = b.repo.tree_of(state.generations[others[-1]].commit) if others else epoch.start_tree
    if base == tree:
        raise UsageError("soak-same", f"generation {number} is what it would be compared with", fix="festina status")
    return tree, base


def _soaked(s: State, r: Record, b: e.Soaked) -> None:
    now, terms = s.side.open, {each.name: each for each in terms_of(s)}.get(b.suite)
    if now is None or (now.purpose, now.measure, now.generation) != ("soak", b.measure, b.generation):
        raise misfit(r, "a finding without a measurement that was charged")  # E-1
    if terms is None or b.answer != answer_of(terms, b.interval):
        raise misfit(r, "a soak whose answer its numbers do not give")
    _counts(s, r, b)
    known = s.watches.soaks.rows.get((b.generation, b.suite))
    if known is not None and known.source == now.source and valid(terms, known, datetime.fromisoformat(r.at)):
        raise misfit(r, "a second answer where the first one is still good")
    s.watches.soaks.times[b.tree, b.suite] = after(b, s.watches.soaks.times)
    before = s.watches.soaks.asked.get((b.generation, b.suite, now.source))
    if before is not None and valid(terms, before, datetime.fromisoformat(r.at)):
        s.ignored.append((r.seq, r.kind, "these items gave an answer that is still good"))
        return
    row = Soak(r.at, now.source, b, r.seq)
    s.watches.soaks.asked[b.generation, b.suite, now.source] = row
    s.watches.soaks.rows[b.generation, b.suite] = row


def _counts(s: State, r: Record, b: e.Soaked) -> None:
    """It says which time it is; only records from before that was counted say nothing."""
    soaks = s.watches.soaks
    if not b.asked and not b.failed and not soaks.counted:
        return
    if (b.asked, b.failed) != asking(soaks.times, b.tree, b.suite):
        raise misfit(r, "a soak that is not asked for as often as it says")
    soaks.counted = True


HANDLERS: dict[str, Callable[[State, Record, Any], None]] = {"soaked": _soaked}
