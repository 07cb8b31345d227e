"""What the controls inside a run say, in plain words: for status, log and review."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from festina.cli.words import count, late_words
from festina.select.catches import Caught, rates

if TYPE_CHECKING:
    from festina.loop.state import State


def sameness_summary(s: State) -> dict[str, Any] | None:
    """The incumbent against itself as plain data; None before there is an epoch.  # V-2"""
    t = s.twins
    if t is None or s.epoch is None:
        return None
    return {
        "share": s.epoch.control_share,
        "units": t.total,
        "false_alarm_level": t.test.level,
        "broken": t.alarm is not None,
        "alarms": list(t.alarms),
        "given_up": t.given_up,
        "in_doubt": [n for n in s.line if s.generations[n].doubtful],
        "resolved_by": [b.reviewer for b in t.resolved],
    }


def sameness_lines(s: State) -> list[str]:
    """One line, or several where the control broke."""
    t, epoch = s.twins, s.epoch
    if t is None or epoch is None:
        return []
    if t.alarm is not None:
        return _broken(s)
    past = f" It broke {count(len(t.alarms), 'time')} before, and was resolved each time." if t.alarms else ""
    if t.given_up:
        past += f" {count(t.given_up, 'such comparison')} could not be finished."
    if epoch.control_share == 0.0:
        return ["The version in use is never compared with itself (policy.control_share = 0)." + past]
    if t.total == 0:
        return ["The version in use was not yet compared with itself; that is due as tests go on." + past]
    return [
        f"The version in use, compared with itself {count(t.total, 'time')}: no side is favoured as far as can be told "
        f"(false alarm: at most {100 * t.test.level:g} % over this epoch).{past}"
    ]


def _broken(s: State) -> list[str]:
    t, epoch = s.twins, s.epoch
    assert t is not None  # the caller has looked
    assert epoch is not None
    stream, sign = t.test.suspect
    others = [f"the guard {g.name}" for g in epoch.guards] + [f"the verifier {j.name}" for j in epoch.judges]
    judge = "the goal's score" if stream < 2 else others[stream - 2]
    if stream == 1:
        side = "the run that came " + ("first" if sign > 0 else "second")
    else:
        side = "the run in the " + ("candidate's" if sign > 0 else "incumbent's") + " place"
    doubtful = [str(n) for n in s.line if s.generations[n].doubtful]
    covered = f"In doubt: generation {', '.join(doubtful)}." if doubtful else "Nothing was accepted under it."
    return [
        "THE COMPARISON IS BROKEN.",
        f"Two runs of the very same version came out different in {judge}: {side} was favoured, over "
        f"{count(t.test.units, 'pair')} of runs. By chance that happens in at most {100 * t.test.level:g} % of epochs.",
        "It means that something tells the two sides of a comparison apart: a scorer that knows who is who, the order "
        "of runs, something that one run leaves to the next. No difference measured since then can be trusted.",
        f"{covered} Nothing more is proposed, tested or released on it.",
        "Find the cause; then mend it and open a new epoch (festina run --new-epoch \"why\"), or sign that it was "
        "found outside the rules: festina review control --as NAME --reason TEXT",
    ]


def plant_summary(s: State) -> dict[str, Any]:
    """The catch rates as plain data.  # V-7"""
    counted = rates(s.plants)
    return {
        "rate": s.epoch.plant_rate if s.epoch else 0.0,
        "trials": sum(plant.trials for plant in s.plants),
        "share_of_trials": sum(plant.trials for plant in s.plants) / s.trials if s.trials else 0.0,
        "all": _row(counted.all),
        "this_run": _row(rates([plant for plant in s.plants if plant.run == s.runs]).all),
        "kinds": {kind: _row(row) for kind, row in counted.kinds.items()},
    }


def _row(row: Caught) -> dict[str, Any]:
    return {"caught": row.caught, "judged": row.judged, "interval": list(row.interval), "presumed": row.presumed}


def plant_lines(s: State) -> list[str]:
    """What was planted and what of it was caught, in plain words."""
    if s.epoch is None:
        return []
    if not s.plants:
        if s.epoch.plant_rate == 0.0:
            return ["No known-bad changes are planted (policy.plant_rate = 0), so the verifier's miss rate is unknown."]
        return ["No known-bad change was planted so far, so the verifier's miss rate is unknown."]
    counted = rates(s.plants)
    share = sum(plant.trials for plant in s.plants) / s.trials if s.trials else 0.0
    run = rates([plant for plant in s.plants if plant.run == s.runs]).all
    now = f" (in this run {run.caught} of {run.judged})" if s.runs > 1 and run.judged else ""
    lines = [f"Planted on purpose: {_caught(counted.all)}{now}; that took {share:.1%} of all trials."]
    kinds = [f"{kind} {row.caught}/{row.judged}" for kind, row in counted.kinds.items() if row.judged]
    presumed = sum(row.presumed for row in counted.kinds.values())
    if kinds:
        note = f" ({presumed} of them are presumed bad, not shown to be)" if presumed else ""
        lines.append(f"  caught by kind: {', '.join(kinds)}{note}")
    return lines


def verifier_lines(s: State) -> list[str]:
    """How the verifiers' misses go together.  # V-5"""
    from festina.report.verifiers import lines, of

    if s.epoch is None:
        return []
    judges = s.epoch.judges
    names = ("the goal's scorer", *(f"{j.name}{' (watching)' if j.role == 'watch' else ''}" for j in judges))
    families = (s.epoch.goal_family, *(j.family for j in judges))
    drill = of(s.drill[1], judges) if s.drill is not None else None
    return lines(names, families, s.epoch.proposer_family, [p.words for p in s.plants if p.words], drill)


def _caught(row: Caught) -> str:
    if not row.judged:
        return "known-bad changes, none of them decided about yet"
    low, high = row.interval
    return (
        f"{row.caught} of {count(row.judged, 'known-bad change')} caught; the catch rate lies between {low:.0%} and "
        f"{high:.0%} (95 %)"
    )


def block_summary(s: State) -> dict[str, Any] | None:
    """The block of hidden items that candidates share; None where every test has items of its own.  # V-3"""
    from festina.select.budget import InformationLedger, SealedBlocks

    budget = s.budget
    if s.epoch is None or not isinstance(budget, InformationLedger | SealedBlocks):
        return None
    if isinstance(budget, SealedBlocks):
        return {"mode": "sealed", "block": budget.block, "tests": budget.index, "late_words": len(s.late)}
    answers = {"accepted": budget.accepts, "not_accepted": budget.refusals}
    bits = {"bits_told": budget.bits, "bits": s.epoch.suite.bits}
    return {"mode": "ledger", "answers": answers, **bits, "late_words": len(s.late)}


def block_lines(s: State) -> list[str]:
    """The same in words."""
    block = block_summary(s)
    if block is None:
        return []
    late = [line for line in [late_words(s)] if line is not None]
    if block["mode"] == "sealed":
        return [f"Block {block['block']} of the hidden items, shared by {block['tests']} tests so far.", *late]
    answers = sum(block["answers"].values())
    told = f"{block['bits_told']:.3g} of {block['bits']:g} bits told in {answers} answers"
    return [f"One block of hidden items for good: {told}; each answer makes the next acceptance harder.", *late]
