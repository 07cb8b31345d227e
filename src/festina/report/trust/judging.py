"""The judgement: four stages, the next rung, what was never probed, the warning time, what gates cost.  # W-5, G-7"""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise
from statistics import median

from festina.govern.ladder import LADDER
from festina.report.law.calendar import moment
from festina.report.trust import stages
from festina.report.trust.ability import characterised, safeguarded
from festina.report.trust.grounds import Case, settled
from festina.report.trust.model import Gate, Ground, Stage, Trust
from festina.system.goals import unprobed

EYE_RATE = 0.50  # of the catch trials that a person sees through, to be shown with 95 %: 6 of 6, or 9 of 10


def judge(case: Case) -> Trust:
    """Everything that the page says, as of ``case.now``."""
    made = (stages.proposal(case), stages.experimentation(case), stages.selection(case), stages.deployment(case))
    found = tuple(_settled(case, stage) for stage in made)
    autonomy = case.rung or (case.data.epoch.autonomy if case.data.epoch else LADDER[0])
    at = next((place for place, name in enumerate(LADDER) if name == autonomy), 0)
    rung = LADDER[at + 1] if at + 1 < len(LADDER) else ""
    return Trust(
        system=case.data.system,
        at=case.now.isoformat(timespec="seconds").replace("+00:00", "Z"),
        size=case.data.size,
        root=case.data.root,
        demo=case.data.demo,
        autonomy=autonomy,
        rung=rung,
        stages=(*found, _settled(case, _rung(case, found, autonomy, rung))) if rung else found,
        never_probed=never_probed(case),
        warning=warning(case),
        gates=gates(case),
        since=_since(case),
    )


def _since(case: Case) -> int:
    version = next((g for g in case.data.generations if g.released_now), case.data.line[-1] if case.data.line else None)
    return version.moved_seq or 0 if version is not None else 0


def _settled(case: Case, stage: Stage) -> Stage:
    return replace(stage, grounds=tuple(settled(case, ground) for ground in stage.grounds))


def _rung(case: Case, found: tuple[Stage, ...], autonomy: str, rung: str) -> Stage:
    """The next rung asks for all four stages, for people whose eye was measured, and for attested safeguards."""
    grounds = [
        Ground(
            f"stage {stage.name}",
            stage.answer,
            f"{len(stage.grounds) - len(stage.open)} of {len(stage.grounds)} hold",
            next="" if stage.answer == "yes" else f"see {stage.name}",
        )
        for stage in found
    ]
    grounds += [_people(case), characterised(case)]
    if rung == LADDER[-1]:
        grounds.append(safeguarded(case))
    return Stage(
        "next rung",
        f"May it go from '{autonomy}' to '{rung}'?",
        tuple(grounds),
    )


def _people(case: Case) -> Ground:
    """Whoever may decide was shown to find more planted bad changes than they miss.  # R-3"""
    real = [each for each in case.eyes if not each.demo]
    if not real:
        return Ground(
            "people", "no", "no person may decide here", next="Enrol a person with festina reviewer add NAME."
        )
    seqs = tuple(at.seq for at, body in case.seen.decisions if not body.without_person)
    at = case.at(seqs[-1]) if seqs else ""
    said = "; ".join(each.sentence for each in real)
    if any(each.high < EYE_RATE for each in real):
        return Ground(
            "people", "no", said, seqs, at, next="Let other people review, or let them look longer (docs/review.md)."
        )
    if any(each.low < EYE_RATE for each in real):
        return Ground(
            "people",
            "cannot tell yet",
            said,
            seqs,
            at,
            next="Go on reviewing: catch trials come up among the requests until a hit rate can be told.",
        )
    return Ground("people", "yes", said, seqs, at)


def never_probed(case: Case) -> tuple[str, ...]:
    """What no evidence here is about; unknown is never shown as safe.  # V-11"""
    said = [
        f"abilities and propensities beyond {', '.join(case.abilities)}: no suite for any of them has run"
        if case.abilities
        else "abilities and propensities: no suite for any of them has run"
    ]
    if unknown := unprobed(case.data.probed):
        said.append(f"domains that are never a goal: {', '.join(unknown)}")
    if case.data.epoch is not None and not case.data.epoch.guards:
        said.append("safety properties: no guard is declared")
    if not case.people.incidents:
        said.append("incidents: none is recorded; that none happened is not shown")
    if case.seen.drill is None:
        said.append("attacks on this system: no drill")
    if not any(p.judged for p in case.data.plants):
        said.append("the verifier's own miss rate: no planted defect was judged")
    if case.seen.calibrated is None:
        said.append("noise of the version in use before money was spent: no calibration")
    if not case.data.grown:
        said.append("whether recursion pays: no control arm and no cross-play")
    if not any(row.judges for row in case.data.epochs):
        said.append("a second verifier of the goal: none is declared")
    return tuple(said)


def warning(case: Case) -> tuple[str, ...]:
    """The time there would be to notice and stop, against the time that stopping takes."""
    moved = [g for g in case.data.line if g.moved_seq is not None and g.verdict_seq is not None]
    times = [moment(case.at(g.moved_seq)).timestamp() for g in moved]
    gaps = [later - earlier for earlier, later in pairwise(times)]
    said = []
    if gaps:
        said.append(f"between accepted changes: {_span(median(gaps))} in the middle, {_span(min(gaps))} at least")
    else:
        said.append("between accepted changes: cannot tell yet, fewer than two were accepted")
    waits = [
        (moment(at.at) - moment(case.seen.asked[body.review].at)).total_seconds()
        for at, body in case.seen.decisions
        if body.review in case.seen.asked
    ]
    said.append(
        f"until a person decided: {_span(median(waits))} in the middle, {_span(max(waits))} at most"
        if waits
        else "until a person decided: cannot tell yet, nobody decided anything"
    )
    halts = [body.took_s for _, body in case.seen.halts if body.took_s is not None and body.processes]
    said.append(f"a halt took {max(halts):.2f} s at most" if halts else "a halt: never measured here")
    last = max((at for at, _ in case.abilities.values()), default="")
    none = "none was made, so how long it takes is not known"
    said.append(f"characterisation of what it can do: {f'last ended {last[:16]}Z' if last else none}")
    return tuple(said)


def _span(seconds: float) -> str:
    if seconds < 120:
        return f"{seconds:.0f} s"
    if seconds < 7200:
        return f"{seconds / 60:.0f} min"
    return f"{seconds / 3600:.1f} h" if seconds < 172_800 else f"{seconds / 86_400:.1f} days"


def gates(case: Case) -> tuple[Gate, ...]:
    """What each gate cost beside what it caught.  # G-7"""
    return tuple(Gate(row.name, row.cost, row.words, row.seqs) for row in case.data.gates)
