"""Entries in plain words: the sentences of the log, the terminal and the report are the same.  # S-4"""

from __future__ import annotations

from math import ceil, inf
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from festina.ledger import entries as e
    from festina.ledger.log import Record
    from festina.loop.state import State

_REFUSED = {
    "scope": "it touches files outside the scope",
    "protected": "it touches what judges it",
    "apply": "the patch does not apply",
    "split": "it is larger than one review may show: it can be split",
    "target": "its target is productivity, and it changes nothing of the improver or festina.toml has no "
    "[improver.productivity]",
}


def told(record: Record, state: State) -> str | None:
    """One line about an entry that a person would want to see; None for the rest. ``state`` includes the entry."""
    tell = _TELL.get(record.kind)
    return tell(record.body, state) if tell is not None else None


def count(number: int, noun: str) -> str:
    return f"{number} {noun}" + ("" if number == 1 else "s")


def _run_started(b: e.RunStarted, s: State) -> str:
    missing = f"  Missing or weak there: {'; '.join(b.sandbox_missing)}." if b.sandbox_missing else ""
    weak = "  Verdicts are provisional at this level." if b.sandbox_level < 2 else ""
    return f"Code runs confined at level L{b.sandbox_level}.{missing}{weak}{out_of_reach(s)}"


def out_of_reach(s: State) -> str:
    """A warning where the last calibration found that tests here cannot see what they look for.  # S-7, W-4"""
    if s.calibration is None or s.epoch is None or s.calibration[1].manifest != s.epoch.manifest:
        return ""
    smallest, detect = s.calibration[1].smallest, s.epoch.suite.detect
    if smallest is None or not 0.0 < detect < smallest[1]:
        return ""
    return (
        f"\nThe last calibration says that gains under {smallest[0]:.2g} are out of reach within its budget, and "
        f"detect is {detect:g}: most gains of that size will be missed. festina calibrate says what would help."
    )


def _controls(b: e.ControlsChecked, s: State) -> str | None:
    if not b.ok:
        return f"The scorer's controls FAILED: {b.note}"
    if b.oracle is None and b.constant is None:
        return None
    parts = [
        f"{word} {value:.2f}"
        for word, value in (("constant", b.constant), ("random", b.random), ("right", b.oracle))
        if value is not None
    ]
    return f"The scorer tells answers apart: {', '.join(parts)} (0 worst, 1 best)."


def _requested(b: e.ProposalRequested, s: State) -> str:
    if b.improver == "own":
        who = f"the improver of generation {b.from_generation}"
    else:
        kind, _, name = b.improver.partition(":")
        shown = name.replace(":", ", ")
        words = {
            "search": "the built-in search", "model": f"the model {shown}" if shown else "one of several models",
            "person": f"a person ({shown})", "outside": f"the outside loop {shown}", "planted": f"planted ({shown})",
        }  # fmt: skip
        who = words.get(kind, b.improver)
    again = ", again after an interruption" if b.attempt > 1 else ""
    late = f"\n{late_words(s)}" if len(s.late) in (1, 3, 10, 30) and b.attempt == 1 else ""
    return f"Proposal {b.proposal}: by {who}{again}{late}"


def late_words(s: State) -> str | None:
    """A warning where tests outlast the slots in which their words are told.  # P-4"""
    if not s.late or s.epoch is None:
        return None
    slowest = ceil(max(s.late) * 1.5 / 10) * 10
    return (
        f"{count(len(s.late), 'word')} came later than the {s.epoch.suite.word_every_s:g} s that word_every allows. "
        f"How late a word comes tells about the hidden items, so each makes later acceptances on these items harder; "
        f'after a few none is possible. Set word_every = "{slowest}s" or more in [suite.hidden], then '
        'festina run --new-epoch "slots".'
    )


def _received(b: e.ProposalReceived, s: State) -> str | None:
    if b.patch is None:
        return f"Proposal {b.proposal}: no change came of it ({b.reason})"
    return None


def _screened(b: e.Screened, s: State) -> str | None:
    number = b.proposal
    if b.result == "passed":
        part = ", the improver itself among them" if b.improver_changed else ""
        return f"Proposal {number} changes {count(b.changed_lines, 'line')} in {count(b.changed_files, 'file')}{part}"
    if b.result == "refused":
        why = _REFUSED.get(b.reason, b.reason)
        mark = " It is recorded as an attempt on the guards." if b.guard_change else ""
        return f"Proposal {number} REFUSED: {why}.{mark}"
    late = "does not fit the version that is in use now" if s.proposals[number].moved else "came too late"
    words = {"no-op": "changes nothing", "duplicate": f"was tried before ({b.reason})", "stale": late}
    return f"Proposal {number} {words[b.result]}"


def _verdict(b: e.Verdict, s: State) -> str:
    return f"Proposal {b.proposal}: {b.sentence}"


def _control_ended(b: e.ControlEnded, s: State) -> str | None:
    if s.twins is None or s.twins.alarm is None:
        return None
    from festina.cli.assurance import sameness_lines

    return "\n".join(sameness_lines(s))


def _plant(b: e.PlantRevealed, s: State) -> str:
    plant = s.proposals[b.proposal].plant
    assert plant is not None  # the fold has just set it
    if plant.missed:
        word = "MISSED: it passed every test. It moves nothing and counts for nothing but the miss rate"
    elif plant.judged:
        word = "caught"
    else:
        word = "not decided about"
    return f"Proposal {b.proposal} was planted on purpose, a known-bad change ({b.defect}): {word}."


def _moved(b: e.LineMoved, s: State) -> str | None:
    if b.generation == s.line[0]:
        return f"Generation {b.generation} is the starting point ({b.commit[:10]})"
    return f"Generation {b.generation} is the head of the working line ({b.commit[:10]})"


def _in_force(b: e.InForce, s: State) -> str:
    by = "without a person (demo key)" if s.generations[b.generation].without_person else "by a person"
    return f"Generation {b.generation} approved {by}: its improver makes the next proposals"


_WHOSE = {
    "scorer-": "the scorer, also on right answers", "generator-": "the generator in the vault",
    "verifier-": "the verifier's process", "sandbox-": "the sandbox", "control-group": "the host's control groups",
}  # fmt: skip


def _fault(b: e.FaultRecorded, s: State) -> str:
    whose = next((words for start, words in _WHOSE.items() if b.what.startswith(start)), "the engine or its host")
    return (
        f"A failure of {whose} ({b.what}), charged to no candidate. What happened and what to do: "
        "festina ledger show --kind fault"
    )


def _compared(b: e.PublicCompared, s: State) -> str:
    return f"Generation {b.generation}: {b.sentence}"


def _internals(b: e.InternalsCompared, s: State) -> str:
    return b.sentence


def _attributed(b: e.Attributed, s: State) -> str:
    from festina.loop import attributed

    return f"Generation {b.generation}, hunk by hunk: {attributed.summary(b)}"


def _trained(b: e.TrainingEnded, s: State) -> str:
    if b.artifact is None:
        return f"A training ended '{b.ended}': its version scores worst from now on"
    return f"Trained a version ({b.wall_s:.0f} s); the model is kept and answers everything" if b.wall_s else (
        "The model of a version that was trained for a try is kept and answers everything"
    )


def _tried(b: e.TryEnded, s: State) -> str | None:
    """News of a try only where it leads: there are many."""
    if b.guard_change:
        return f"Try {b.number} touched what judges it, and was refused. It is recorded as an attempt on the guards."
    found = leading(b, s)
    better = f"Try {b.number} looks better than the version in use"
    return None if found is None else f"{better}: {found:+.3g} so far, not tested yet"


def ahead(b: e.TryEnded, s: State) -> float:
    """Mean gain of a try's tree over the version in use, seed by seed, without the archive; 0 where it is unknown."""
    from festina.loop import searching

    mine = s.search.by_tree.get(b.tree or "")
    other = s.search.by_tree.get(searching.head_tree(s)) if s.line else None
    if s.epoch is None or mine is None or other is None:
        return 0.0
    scores = zip(s.search.nodes[mine].scores, s.search.nodes[other].scores, strict=False)
    gains = [x - y for x, y in scores if x is not None and y is not None]
    sign = 1.0 if s.epoch.suite.direction == "higher" else -1.0
    return sign * sum(gains) / len(gains) if gains else inf


def leading(b: e.TryEnded, s: State) -> float | None:
    """By how much a new tree leads on public evidence; ``None`` where it does not, or as others do."""
    from festina.loop import searching

    number = s.search.by_tree.get(b.tree or "") if b.result == "scored" else None
    if number is None or b.patch is None or s.epoch is None or s.epoch.archive is None or not s.line:
        return None  # without a patch: further runs of a tree that was told of
    known = searching.archive(s)
    if known is None or known.candidates()[:1] != [number]:
        return None
    lead = known.lead(number)
    if f"{lead:+.3g}" in {f"{known.lead(other):+.3g}" for other in known.candidates()[1:]}:
        return None  # as good as what was told of, within what is shown
    return lead


class Leads:
    """Which leads are news: those above all that were told since the head changed, by a twentieth at least. Luck of a
    few runs fades as they are run again, and the lead falls to another tree every few tries: nobody wants to hear of
    each."""

    def __init__(self) -> None:
        self._head = -1
        self._best = 0.0

    def news(self, body: e.Body, s: State) -> bool:
        from festina.ledger import entries as e

        if not isinstance(body, e.TryEnded) or body.guard_change:
            return True
        told = 1.05 * self._best if self._head == s.head.number else 0.0
        if ahead(body, s) <= told:
            return False  # without a look at the whole archive, which takes longer the more was tried
        lead = leading(body, s)
        if lead is None or lead <= told:
            return False
        self._head, self._best = s.head.number, lead
        return True


def _released(b: e.Released, s: State) -> str:
    alone = s.generations[b.generation].granted is not None if b.generation in s.generations else False
    asked = ", and nobody was asked: a signed step of autonomy covers it" if alone else ""
    return f"Generation {b.generation} is released ({b.commit[:10]}){asked}"


def _stepped(b: e.AutonomyStepped, s: State) -> str:
    now = s.govern.autonomy.rung
    return f"{b.reviewer} signed a step of autonomy from '{b.before}' to '{b.rung}'; it stands at '{now}'"


def _drafted(b: e.IncidentDrafted, s: State) -> str:
    return f"What may be an incident waits for a person (festina incident): {b.text}"


def _played(b: e.CrossplayEnded, s: State) -> str:
    return b.sentence


def gain_sentence(final: e.FinalScored) -> str:
    """What improved and by how much, on items that no gate has used."""
    low, high = final.interval
    clear = "" if low > 0 else " - not clearly better"
    return (
        f"On {final.items} fresh items: {final.mean_b:.3f} before, {final.mean_a:.3f} now; "
        f"difference {final.estimate:+.3f} ({low:+.3f} to {high:+.3f}, 95 %){clear}."
    )


def recursion_sentence(final: e.FinalScored, loop: State) -> str:
    """Whether the improver's own improvement paid, against the arm whose improver was frozen.  # W-2"""
    from festina.loop.growth import by_changed

    low, high = final.interval
    numbers = (
        f"{final.mean_a:.3f} with the improving improver, {final.mean_b:.3f} with generation 0's improver in the same "
        f"time; difference {final.estimate:+.3f} ({low:+.3f} to {high:+.3f}, 95 %)"
    )
    if not by_changed(loop, loop.head.number):
        why = "no changed improver has made an accepted proposal"
        return f"Whether recursion pays cannot be told yet: {why}. {numbers}."
    if low > 0:
        word = "Recursion paid in this run"
    elif high < 0:
        word = "Recursion did not pay in this run"
    else:
        word = "Whether recursion paid cannot be told yet"
    return f"{word}: {numbers}."


def _halted(b: e.Halted, s: State) -> str:
    return f"HALTED by {b.by or 'somebody'} at {b.since}{f' because: {b.reason}' if b.reason else ''}"


def _resumed(b: e.Resumed, s: State) -> str:
    return f"{b.reviewer} signed that the halt is over"


def _settled(b: e.ReviewSettled, s: State) -> str:
    from festina.loop.reviews import came_of

    return came_of(s, b)


def _locked(b: e.AnchorsLocked, s: State) -> str:
    how = "continues from new items" if b.linked else "begins"
    return f"The ability scale of '{b.suite}' {how}: {len(b.difficulties)} anchors, locked at generation {b.generation}"


def _leaked(b: e.AnchorsLeaked, s: State) -> str:
    return f"{len(b.places)} anchors of '{b.suite}' stand word for word in generation {b.generation}, and count no more"


def _soaked(b: e.Soaked, s: State) -> str:
    return f"Soak '{b.suite}' of generation {b.generation}: {b.answer} ({b.interval[0]:+.3f} to {b.interval[1]:+.3f})"


def _outcomes(b: e.OutcomesCounted, s: State) -> str:
    return f"{len(b.events):,} outcomes of generation {b.generation} came in, {b.events.count('1'):,} of them bad"


_TELL: dict[str, Callable[[Any, State], str | None]] = {
    "run-started": _run_started, "controls-checked": _controls, "proposal-requested": _requested,
    "proposal-received": _received, "screened": _screened, "verdict": _verdict, "line-moved": _moved,
    "improver-in-force": _in_force, "fault": _fault, "released": _released, "control-ended": _control_ended,
    "anchors-locked": _locked, "anchors-leaked": _leaked, "soaked": _soaked, "outcomes-counted": _outcomes,
    "autonomy-stepped": _stepped, "incident-drafted": _drafted, "crossplay-ended": _played,
    "training-ended": _trained, "plant-revealed": _plant,
    "review-settled": _settled, "halted": _halted, "resumed": _resumed,
    "try-ended": _tried, "public-compared": _compared, "attributed": _attributed, "internals-compared": _internals,
}  # fmt: skip
