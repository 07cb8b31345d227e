"""The run page as values: where it stands, what it waits for and why, what it may still spend, what is alarming.

Pure functions of the folds. The same values are the page's ``.json``; the template only lays them out.
"""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from festina.cli.assurance import sameness_lines
from festina.cli.status import advice, outcomes, overfitting
from festina.loop import debt, outlook, reviews
from festina.loop.certifying import total_gain
from festina.loop.foreign.words import brief
from festina.loop.rows import Generation, OpenTest, Proposed
from festina.loop.state import State
from festina.report.markup import Html
from festina.report.paths import evidence_path
from festina.report.words import ASSURANCE, LEVELS
from festina.select import gate
from festina.select.words import promise
from festina.watch.readings import LEAST
from festina.web import plots, released_view
from festina.web.feed import WHOLE, Feed

LINE_SHOWN = 12  # newest generations on the run page; the lineage page has them all
NEWS_SHOWN = 25
STEPS_DRAWN = 120

ENDS = {
    "finished": "Every proposal was judged.",
    "exhausted": "The improver had no more proposals.",
    "budget": "The budget is spent.",
    "waiting": "It waits for a person.",
    "interrupted": "It was stopped, and goes on from here when it is started again.",
    "fault": "Something of Festina or of its host failed.",
    "crashed": "The engine was cut off; the next run goes on from here.",
    "control": "The comparison itself is broken.",
}  # G-6


def view(feed: Feed, hidden: frozenset[int] = frozenset()) -> dict[str, Any]:
    """Everything on the run page. ``hidden``: proposals of whose evidence this viewer may not read yet.  # R-2"""
    s = feed.state
    return {
        "system": s.genesis.system if s.genesis else "",
        "entries": feed.ledger.size,
        "last_at": s.last_at,
        "running": feed.running,
        "state": state_word(feed),
        "now": now(s, feed.running),
        "why": why(s, feed.running),
        "next": advice(s, running=feed.running) if _read_already(feed) else "festina status",
        "after": released_view.view(s) if _read_already(feed) else None,
        "alarms": [*(f"Everything is {h.sentence()}." for h in feed.halts), *alarms(s)],
        "notes": notes(s),
        "tests": [test_of(s, t) for t in s.open.values() if t.proposal not in hidden],
        "closed_tests": [t.proposal for t in s.open.values() if t.proposal in hidden],
        "budgets": budgets(s),
        "outcomes": outcomes(s),
        "certified": None if WHOLE in hidden else certified(s),
        "line": [generation(s, s.generations[n], hidden) for n in s.line[-LINE_SHOWN:][::-1]],
        "line_length": len(s.line),
        "news": [asdict(n) for n in feed.news if n.about not in hidden][-NEWS_SHOWN:][::-1],
    }


def _read_already(feed: Feed) -> bool:
    """Whether the governor's word is at hand: where capability has a pace, it reads the line's growth for it.  # G-2

    What that takes long is worked out beside the pages, which say what is missing until then.
    """
    epoch = feed.state.epoch
    if epoch is None or epoch.govern is None or epoch.govern.pace is None:
        return True
    made = outlook.gains(feed.state)
    reading = feed.foresight.of(made)
    return len(made) < LEAST or (reading is not None and reading.gains == made)


def state_word(feed: Feed) -> str:
    """One word for the badge on every page."""
    s = feed.state
    if feed.halts:
        return "halted"
    if s.twins is not None and s.twins.alarm is not None:
        return "alarm"
    if feed.running:
        return "running"
    return "waits for you" if s.waiting else "stopped"


def now(s: State, running: bool) -> str:
    """What it does at this moment, in a sentence."""
    if not running:
        if s.run is not None:
            return "Not running: the engine ended without a word."
        end = s.last_end
        return f"Not running. {ENDS.get(end.reason, end.reason)}" if end is not None else "Nothing was run yet."
    if s.open:
        tested = ", ".join(str(t.proposal) for t in s.open.values())
        return f"Testing proposal {tested} side by side with the version in use."
    if s.side.open is not None:
        return f"Measuring after an acceptance ({s.side.open.purpose}); it decides nothing about the verdict."
    return _proposing(s.proposals.get(s.current) if s.current is not None else None)


def _proposing(p: Proposed | None) -> str:
    if p is None:
        return "Between two steps."
    words = {
        "requested": f"Waiting for the improver of generation {p.from_generation} to hand in proposal {p.number}.",
        "received": f"Looking at what proposal {p.number} would change.",
        "screened": f"Proposal {p.number} passed the first look; its test is being prepared.",
    }
    return words.get(p.stage, "Between two steps.")


def why(s: State, running: bool) -> list[str]:
    """What it waits for, and why."""
    found = []
    if s.waiting:
        names = ", ".join(map(str, sorted({r.terms.generation for r in s.waiting})))
        found.append(
            f"Generation {names} waits for a person: nothing leaves the loop, and no changed improver proposes, before "
            "somebody who did not write it has approved exactly it."
        )
    if held := reviews.waits(s):
        found.append(f"The loop {held}.")
    if s.epoch is not None and s.line:
        owed = debt.of(s)
        if owed.over:
            found.append(f"{owed.sentence} That is all that the rules allow: it goes on when somebody has.")  # G-3
    if not running and s.last_end is not None and s.last_end.detail:
        found.append(f"The run said at its end: {s.last_end.detail}")
    return found


def alarms(s: State) -> list[str]:
    """What must not be overlooked."""
    found = []
    if s.twins is not None and s.twins.alarm is not None:
        found.append(" ".join(sameness_lines(s)))
    if s.controls is not None and not s.controls.ok:
        found.append(f"A control of the scorer failed ({s.controls.note}): what it covers is void.")
    gap = overfitting(s)
    if gap is not None and gap.get("overfitted"):
        found.append(gap["sentence"])
    missed = [p for p in s.plants if p.missed]
    if missed:
        found.append(
            f"{len(missed)} of {len(s.plants)} known-bad changes that were planted passed every test: the tests have a "
            "blind spot."
        )  # V-7
    if s.drill is not None and s.drill[1].holes:
        found.append(f"The last drill found open holes: {s.drill[1].sentence()}.")
    if s.run_faults:
        found.append(f"{s.run_faults} failures of Festina or its host in this run; none is charged to a candidate.")
    return found


def notes(s: State) -> list[str]:
    """What to keep in mind when reading the page."""
    found = []
    if s.genesis is not None and s.genesis.demo:
        found.append("A demonstration: approvals may have been given without a person.")
    if s.epoch is not None and s.epoch.suite.assurance != "hidden":
        found.append(f"Scores are {s.epoch.suite.assurance}: {ASSURANCE[s.epoch.suite.assurance]}.")  # V-10
    if s.run is not None and s.run.sandbox_level < 2:
        level = s.run.sandbox_level
        found.append(f"The sandbox is at level L{level} ({LEVELS[level]}): verdicts are provisional.")  # T-2
    return found + [brief(loop) for loop in s.foreign.loops.values()]  # G-7


def test_of(s: State, t: OpenTest) -> dict[str, Any]:
    """An open test: how far it is towards what acceptance needs."""
    needed = gate.log_threshold(t.progress.plan)
    have = gate.log_evidence(t.progress)
    return {
        "proposal": t.proposal,
        "pairs": len(t.gains),
        "pairs_at_most": t.terms.units_max,
        "difference": sum(t.gains) / len(t.gains) if t.gains else None,
        "share": min(1.0, max(0.0, have / needed)) if needed > 0 else 0.0,
        "failed_trials": t.failed,
    }


def budgets(s: State) -> list[dict[str, Any]]:
    """Each limit with what is used of it; a share of one or more means that it holds the loop back."""
    found: list[dict[str, Any]] = []
    if s.epoch is None:
        return found
    if s.alpha_epochs > 0:
        spent = s.alpha_epochs - s.alpha_left
        words = f"{promise(s.error, s.alpha_epochs)}"
        found.append(_budget("error budget", spent, s.alpha_epochs, words, percent=True))
    if s.run is not None:
        found.append(_budget("runs in the sandbox", s.run_trials, s.run.trials, "of this run"))
        found.append(_budget("proposals", s.run_proposals, s.run.proposals, "of this run"))
    if s.line:
        owed, said = debt.of(s), "accepted since a person last looked"
        said += debt.WRONG if owed.wrong else ""
        found.append(_budget("unreviewed generations", owed.generations, owed.most_generations, said))
        found.append(_budget("unreviewed lines", owed.lines, owed.most_lines, said))
        if owed.unexplained is not None:
            most = 1.0 if owed.most_unexplained is None else owed.most_unexplained
            found.append(_budget("unexplained gain", owed.unexplained, most, UNEXPLAINED, percent=True))
    left = s.looks_left
    if left is not None and s.epoch.suite.looks is not None:
        looks = s.epoch.suite.looks
        found.append(_budget("looks at hidden items", looks - left, looks, "of these items"))
    return found


UNEXPLAINED = "of the gain since then: no part of a change has an effect of its own that explains it"


def _budget(name: str, used: float, limit: float, words: str, *, percent: bool = False) -> dict[str, Any]:
    share = min(1.0, used / limit) if limit > 0 else 1.0
    return {"name": name, "used": used, "limit": limit, "share": share, "words": words, "percent": percent}


def certified(s: State) -> str | None:
    """What is certified of the whole line, in a sentence."""
    found = total_gain(s) if s.line else None
    return found.sentence() if found is not None else None


CLOSED = "its evidence is closed to you until you have judged the change"


def generation(s: State, g: Generation, hidden: frozenset[int] = frozenset()) -> dict[str, Any]:
    """One generation for a row."""
    closed = g.proposal in hidden
    verdict = None if closed else g.verdict
    return {
        "generation": g.number,
        "commit": g.commit,
        "proposal": g.proposal,
        "author": g.author,
        "sentence": verdict.sentence if verdict is not None else CLOSED if closed else "the starting point",
        "estimate": verdict.estimate if verdict is not None else None,
        "interval": list(verdict.interval) if verdict is not None and verdict.interval is not None else None,
        "changed_lines": g.changed_lines,
        "improver_changed": g.improver_changed,
        "approved": g.approved is not None,
        "without_person": g.without_person,
        "in_force": g.number == s.in_force,
        "released": g.number == s.released,
        "doubtful": g.doubtful,
        "denied": g.denied,
        "on_line": g.number in s.line,
    }


def pictures(feed: Feed, found: dict[str, Any], hidden: frozenset[int] = frozenset()) -> dict[str, Any]:
    """The plots and bars of the page."""
    s = feed.state
    rows = [
        (g.number, g.verdict.estimate, g.verdict.interval)
        for g in (s.generations[n] for n in s.line[-STEPS_DRAWN:])
        if g.verdict is not None and g.verdict.estimate is not None and g.proposal not in hidden
    ]
    paths = [_path(feed, t) for t in s.open.values() if t.proposal not in hidden]
    return {
        "steps": plots.steps(rows),
        "paths": paths,
        "meters": [plots.meter(b["share"], f"{b['name']}: {b['share']:.0%} used") for b in found["budgets"]],
    }


def _path(feed: Feed, t: OpenTest) -> Html | None:
    """The evidence of an open test so far, pair by pair."""
    epoch = feed.state.epoch
    if epoch is None:
        return None
    needed = gate.log_threshold(t.progress.plan)
    return plots.evidence(evidence_path(epoch, t.terms, feed.reading.units.get(t.number, [])), needed, accepted=None)
