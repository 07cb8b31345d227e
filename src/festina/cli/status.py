"""``festina status``: where the run stands, and what to do next."""

from __future__ import annotations

import json
import time
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from festina.cli.assurance import (
    block_lines,
    block_summary,
    plant_lines,
    plant_summary,
    sameness_lines,
    sameness_summary,
    verifier_lines,
)
from festina.cli.common import Opened, opened, system_option
from festina.cli.outside import outside_lines, outside_summary
from festina.cli.say import say
from festina.cli.searched import search_lines, search_summary, search_table

if TYPE_CHECKING:
    from rich.console import RenderableType

    from festina.govern.governor import Decision
    from festina.loop.rows import Generation
    from festina.loop.state import State

_RAISES = {
    "self-reported": "scores are what the run printed about itself; a [suite.hidden] with a scorer and items in the "
    "vault would put them out of its reach (docs/manifest.md)",
    "scored": "scored outside the candidate, on items it could see; items in the vault would hide them "
    "(festina vault add)",
    "hidden": "scored outside the candidate, on items that nobody could see",
}


@click.command()
@click.option("--live", is_flag=True, help="Keep watching until Ctrl-C.")
@click.option("--tries", is_flag=True, help="List every tree that the improver tried on public evidence.")
@click.option("--gates", is_flag=True, help="What each gate cost in time and trials, and what it caught.")
@system_option
@click.option("--json", "as_json", is_flag=True, help="One JSON object and nothing else.")
def command(root: Path, live: bool, tries: bool, gates: bool, as_json: bool) -> None:
    """Where the run stands, and what to do next."""
    with opened(root) as here:
        if gates:
            _tell_gates(here, as_json)
            return
        if as_json:
            row = {"halted": _halts(here), "governor": _governor(here)}
            row |= summary(here.state, running=here.home.engine_running()) | {"outside": outside_summary(here)}
            click.echo(json.dumps(row, indent=2))
            return
        from rich.console import Console
        from rich.live import Live

        console = Console()
        if tries:
            console.print(search_table(here.state) or "Nothing is tried before it is proposed (improver.archive).")
            return
        if not live:
            for line in _halts(here):
                console.print(line, style="bold red", markup=False)
            console.print(page(here.state, running=here.home.engine_running()))
            for line in outside_lines(here):
                console.print(line, markup=False, highlight=False)
            for reason in _governor(here)["reasons"]:
                console.print(f"{reason['effect'].upper()}: {reason['sentence']}", style="bold", markup=False)
            return
        with Live(page(here.state, running=here.home.engine_running()), console=console, auto_refresh=False) as view:
            try:
                while True:
                    time.sleep(0.5)
                    _catch_up(here)
                    view.update(page(here.state, running=here.home.engine_running()), refresh=True)
            except KeyboardInterrupt:
                return


def _tell_gates(here: Opened, as_json: bool) -> None:
    """Each gate that was used, with its price beside its catch.  # G-7"""
    from dataclasses import asdict

    from festina.report.gates import gates

    rows = gates(here.ledger.records())
    if as_json:
        click.echo(json.dumps([asdict(row) | {"cost": row.cost} for row in rows], indent=2))
        return
    for row in rows:
        say(f"{row.name}: {row.words}; it took {row.cost}.", err=False)
    say("What a gate deterred leaves no trace: a small catch is no proof that it is not needed.", err=False)


def _halts(here: Opened) -> list[str]:
    """Who stopped everything, one sentence each; empty where nothing is halted.  # G-5"""
    from festina.loop.holds import standing

    return [f"HALTED: {each.sentence()}" for each in standing(here.home, here.state)]


def _governor(here: Opened) -> dict[str, Any]:
    """How fast the loop may go now, and what would let it go faster.  # G-2, G-6"""
    now = _decided(here.state)
    rows = [{"rule": r.rule, "effect": r.effect, "rate": r.rate, "sentence": r.sentence()} for r in now.reasons]
    return {"rate": now.rate, "reasons": rows}


def _decided(s: State) -> Decision:
    from datetime import UTC, datetime

    from festina.loop.governing import decided

    return decided(s, datetime.now(UTC))


def _catch_up(here: Opened) -> None:
    for record in here.ledger.refresh():
        here.state.apply(record)


def summary(s: State, *, running: bool) -> dict[str, Any]:
    """The state as plain data: what a script would ask for."""
    from festina.cli.growth import summary as growth
    from festina.loop import debt, outlook, reviews
    from festina.select.words import promise

    epoch = s.epoch
    owed = debt.of(s) if epoch is not None else None
    return {
        "system": s.genesis.system if s.genesis else None,
        "demo": bool(s.genesis and s.genesis.demo),
        "entries": s.size,
        "running": running,
        "last_end": s.last_end.reason if s.last_end else None,
        "assurance": epoch.suite.assurance if epoch else None,
        "sandbox_level": s.run.sandbox_level if s.run else None,
        "head": s.head.number if s.line else None,
        "in_force": s.in_force if s.line else None,
        "released": s.released,
        "autonomy": _autonomy(s),
        "line": [_generation(s, n) for n in s.line],
        "proposals": outcomes(s),
        "search": search_summary(s),
        "testing": _testing(s),
        "error_budget": {
            "alpha": s.alpha_epochs,
            "promise": promise(s.error, s.alpha_epochs) if s.epoch else None,
            "left": s.alpha_left,
        },
        "certified_gain": _certified(s),
        "trials": s.trials,
        "hidden_items_issued": s.looks,
        "block": block_summary(s),
        "overfitting": overfitting(s),
        "growth": growth(s, outlook.read(s, scores=False)),  # scoring all earlier forecasts takes long
        "unreviewed": asdict(owed) if owed is not None else {"generations": 0, "lines": 0},
        "waiting_reviews": [r.terms.review for r in s.waiting],
        "waits_for_people": reviews.waits(s),
        "reviewers": [each.sentence for each in reviews.calibration(s)],
        "faults": s.faults,
        "drill": {"at": s.drill[0], **s.drill[1].model_dump(mode="json")} if s.drill is not None else None,
        "calibration": calibration(s),
        "control": sameness_summary(s),
        "planted": plant_summary(s),
        "verifiers": verifier_lines(s),
        "models": models(s),
        "abilities": abilities(s),
        "soaks_and_outcomes": afterwards(s),
        "next": advice(s, running=running),
    }


def _autonomy(s: State) -> dict[str, Any]:
    """Where the loop stands on the ladder.  # G-7"""
    from datetime import UTC, datetime

    from festina.cli.autonomy import standing

    return standing(s, datetime.now(UTC))


def _rung_lines(s: State) -> list[str]:
    """How far it goes by itself, where that is not what a loop usually does."""
    from festina.cli.autonomy import lines

    row = _autonomy(s)
    usual = row["rung"] == "release-by-approval" and not row["moves"] and row["allowed"] == row["rung"]
    return [] if usual else lines(row)


def _generation(s: State, number: int) -> dict[str, Any]:
    g = s.generations[number]
    return {
        "generation": number,
        "commit": g.commit,
        "author": g.author,
        "sentence": g.verdict.sentence if g.verdict else "the starting point",
        "approved": g.approved is not None,
        "without_person": g.without_person,
        "hunk_by_hunk": _hunks(g),
        "doubtful": g.doubtful,
    }


def _hunks(g: Generation) -> str | None:
    """Which hunk caused what, in one sentence; where each is stands in `festina review show` and the report.  # V-8"""
    from festina.ledger.entries import Attributed
    from festina.loop.attributed import summary

    if g.attribution is None:
        return None
    return summary(g.attribution) if isinstance(g.attribution, Attributed) else f"not measured: {g.attribution.reason}"


def _certified(s: State) -> dict[str, Any] | None:
    from festina.loop.certifying import total_gain

    found = total_gain(s)
    if found is None:
        return None
    return {
        "at_least": found.at_least,
        "confidence": 0.95,
        "sum_of_estimates": found.estimates,
        "steps": found.steps,
        "sentence": found.sentence(),
    }


def _testing(s: State) -> list[dict[str, Any]]:
    from festina.select import gate

    return [
        {
            "proposal": t.proposal,
            "pairs": len(t.gains),
            "pairs_at_most": t.terms.units_max,
            "difference": sum(t.gains) / len(t.gains) if t.gains else None,
            "evidence": gate.log_evidence(t.progress),
            "failed_trials": t.failed,
        }
        for t in s.open.values()
    ]


def outcomes(s: State) -> dict[str, int]:
    """How many proposals came to which end."""
    counts: dict[str, int] = {}
    for p in s.proposals.values():
        if p.plant is not None:
            continue  # V-7: counted apart
        word = p.word or "under way"
        counts[word] = counts.get(word, 0) + 1
    return counts


def overfitting(s: State) -> dict[str, Any] | None:
    """Public against hidden gain over the working line, or why it cannot be told; None before any acceptance.  # V-6"""
    from festina.ledger.entries import PublicCompared
    from festina.select import overfit

    known = [g.public for n in s.line if (g := s.generations[n]).public is not None]
    compared = [each for each in known if isinstance(each, PublicCompared)]
    if compared:
        last = compared[-1]
        spreads = {"public": last.line_public, "hidden": last.line_hidden, "gap": last.line_gap}
        told = overfit.over_the_run(*spreads.values(), generations=last.generations)
        return {**spreads, "overfitted": overfit.overfitted(last.line_gap), "sentence": told}
    if known and not isinstance(known[-1], PublicCompared):
        return {"sentence": f"Fitting to public items: {known[-1].reason}."}
    return None


def calibration(s: State) -> dict[str, Any] | None:
    """The last forecast beside what has really happened; None where there is none.  # W-4"""
    if s.calibration is None:
        return None
    at, last = s.calibration
    real = [p.trials for p in s.proposals.values() if p.plant is None and (p.word, p.reason) == ("rejected", "futile")]
    mean = sum(real) / len(real) if real else None
    told = f"Calibrated {at[:10]}, {last.sentence()}"
    told += f"; the {len(real)} given up so far took {mean:,.0f} on average." if mean is not None else "."
    return {"at": at, **last.model_dump(mode="json"), "given_up": len(real), "real_runs": mean, "sentence": told}


def abilities(s: State) -> list[str]:
    """What the newest measured generation can do, a sentence for each suite; what is new; how broad.  # G-1"""
    from festina.loop.abilities import lines, view

    measured = [n for n in s.line if n in s.govern.abilities]
    found = lines(view(s), measured[-1]) if measured else []
    return [f"What generation {measured[-1]} can do: {line}" for line in found]


def afterwards(s: State) -> list[str]:
    """What stood its soak, until when, and how the work of releases turned out later.  # D-3, D-4"""
    from datetime import UTC, datetime

    from festina.loop import outcomes, soaks

    now = datetime.now(UTC)
    return soaks.lines(s, now) + outcomes.lines(s, now)


def models(s: State) -> dict[str, Any] | None:
    """What models were asked and what that cost; None where none was.  # E-5"""
    from dataclasses import asdict

    c = s.called
    if not c.count:
        return None
    return {
        "total": asdict(c.total), "last_run": asdict(c.account.spent),
        "by_model": {name: asdict(cost) for name, cost in c.by_model.items()}, "ends": c.ends, "repairs": c.repairs,
    }  # fmt: skip


def advice(s: State, *, running: bool) -> str:
    """The next command to type, and why."""
    if s.halts.standing:
        return "festina unhalt --as NAME --reason TEXT   # everything is halted; a person must sign that it may go on"
    if s.twins is not None and s.twins.alarm is not None:
        return "festina review control   # a broken comparison waits for a person"
    if s.waiting:
        return f"festina review   # {len(s.waiting)} waiting for a person"
    for reason in _decided(s).reasons:
        if reason.effect != "slow":
            return f"{reason.ends}   # {reason.waits_for[0].lower()}{reason.waits_for[1:]}"
    approved = [n for n in s.line if s.generations[n].approved is not None]
    if approved and s.released != approved[-1]:
        return f"festina release  # generation {approved[-1]} is approved and not released"
    return "festina status --live" if running else "festina run      # goes on from here"


def page(s: State, *, running: bool) -> RenderableType:
    """The state for a terminal."""
    from rich.console import Group
    from rich.text import Text

    from festina.cli.run import progress
    from festina.loop import reviews
    from festina.loop.growth import sentences
    from festina.loop.outlook_words import alarms
    from festina.select.words import promise

    if s.epoch is None or not s.line:
        return Text("The ledger is open; nothing has been tried yet. Next: festina run")
    parts: list[RenderableType] = [_headline(s, running), _line_table(s)]
    counts = ", ".join(f"{count} {word}" for word, count in sorted(outcomes(s).items()))
    parts.append(Text(f"Proposals: {counts or 'none yet'}"))
    parts += [Text(line) for line in search_lines(s)]
    if s.open:
        parts.append(Text(f"Testing {progress(s)} needed."))
    said = promise(s.error, s.alpha_epochs)
    parts.append(Text(f"{said[0].upper()}{said[1:]}; {100 * s.alpha_left / s.alpha_epochs:.0f} % of that is left."))
    certified = _certified(s)
    if certified is not None:
        parts.append(Text(certified["sentence"]))
    parts += [Text(line) for line in sentences(s)]
    parts += [Text(line, style="bold red") for line in alarms(s)]
    parts += [Text(line, style="bold red" if ": NEW: " in line else "") for line in (*abilities(s), *afterwards(s))]
    gap = overfitting(s)
    if gap is not None:
        parts.append(Text(gap["sentence"], style="bold red" if gap.get("overfitted") else ""))
    parts.append(Text(f"{s.trials} sandboxed trials charged, {s.looks} hidden items issued."))
    parts += [Text(line) for line in block_lines(s)]
    parts.append(Text(f"Assurance: {s.epoch.suite.assurance} - {_RAISES[s.epoch.suite.assurance]}."))
    parts += [Text(line, style="bold red" if line.isupper() else "") for line in sameness_lines(s)]
    if s.drill is not None:
        at, last = s.drill
        parts.append(Text(f"Last drill, {at[:10]}: {last.sentence()}.", style="bold red" if last.holes else ""))
    forecast = calibration(s)
    if forecast is not None:
        parts.append(Text(forecast["sentence"]))
    parts += [Text(line) for line in (*plant_lines(s), *verifier_lines(s))]
    parts += [Text(line) for line in s.called.sentences()]
    parts += [Text(line) for line in _rung_lines(s)]
    if waits := reviews.waits(s):
        parts.append(Text(f"{waits[0].upper()}{waits[1:]}.", style="bold"))
    if s.faults:
        parts.append(Text(f"{s.faults} failures of the engine or its host: festina ledger show --kind fault"))
    parts.append(Text(f"Next: {advice(s, running=running)}", style="bold"))
    return Group(*parts)


_ENDED = {
    "finished": "the last run finished", "budget": "the last run spent its budget",
    "exhausted": "the last run had nothing left to test", "interrupted": "the last run was interrupted",
    "waiting": "the last run waits for a person", "fault": "the last run broke off",
    "halted": "the last run was halted",
    "control": "the last run stopped itself: a comparison is broken", "crashed": "the last run was killed",
}  # fmt: skip


def _headline(s: State, running: bool) -> RenderableType:
    from rich.text import Text

    assert s.genesis is not None
    if running:
        now = "running"
    elif s.run is not None:
        now = "not running: the last run was killed, and `festina run` goes on from there"
    else:
        now = f"not running ({_ENDED.get(s.last_end.reason, s.last_end.reason)})" if s.last_end else "not running"
    demo = " [demo: approvals may be without a person]" if s.genesis.demo else ""
    return Text(f"{s.genesis.system}: {now}{demo}", style="bold")


def _line_table(s: State) -> RenderableType:
    from rich.console import Group
    from rich.table import Table
    from rich.text import Text

    from festina.select.words import promise

    told: dict[str, list[int]] = {}
    table = Table(show_edge=False, pad_edge=False, expand=False)
    for column in ("generation", "commit", "by", "approved", "what was shown"):
        table.add_column(column, overflow="fold")
    for number in s.line:
        g = s.generations[number]
        marks = [word for word, yes in (("in force", number == s.in_force), ("released", number == s.released)) if yes]
        approved = "" if g.parent is None else "no"
        if g.approved is not None:
            approved = "demo key" if g.without_person else "yes"
        if g.doubtful:
            marks.append("IN DOUBT" if s.twins is not None and s.twins.alarm is not None else "was in doubt")
        label = f"{number} ({', '.join(marks)})" if marks else str(number)
        shown = g.verdict.sentence if g.verdict else "starting point"
        shown = shown.replace(f"; {promise(s.error, s.alpha_epochs)}", "")  # it stands below, once for all rows
        claim, _, limits = shown.partition(". ")
        told[limits] = [*told.get(limits, []), number]
        table.add_row(label, g.commit[:10], g.author, approved, claim)
    rows: list[RenderableType] = [table]
    for limits, numbers in told.items():
        if limits:
            rows.append(Text(f"Of generation{'s' if len(numbers) > 1 else ''} {runs_of(numbers)}: {limits}"))
    return Group(*rows)


def runs_of(numbers: list[int]) -> str:
    """Rising numbers, for a person: ``1 to 4, 6``."""
    runs: list[list[int]] = []
    for number in numbers:
        if runs and number == runs[-1][-1] + 1:
            runs[-1].append(number)
        else:
            runs.append([number])
    return ", ".join(f"{run[0]} to {run[-1]}" if len(run) > 1 else str(run[0]) for run in runs)
