"""What the record can say in a field of a document: one function a fact, from the report's data to cited sentences.

A fact is ``None`` where the record says nothing: then the field is unknown until a person states something. A fact
never says more than its entries do, and no text of a proposer or a candidate stands in it.  # C-1, T-5
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from festina.report.data import ReportData
from festina.report.law.incidents import Incident, causal_words
from festina.report.numerals import between, count, num, percent, short, signed
from festina.report.words import ASSURANCE


@dataclass(frozen=True, slots=True)
class Said:
    """One sentence from the record, and the entries that it rests on; ``by``: whose statement it is, if a person's."""

    text: str
    seqs: tuple[int, ...]
    by: str = ""


Fact = Callable[[ReportData], list[Said]]


def system(data: ReportData) -> list[Said]:
    return [Said(f"{data.system} ({data.origin})", (0,))] if data.size else []


def record(data: ReportData) -> list[Said]:
    if not (data.root and data.size):
        return []
    return [Said(f"record of {data.size:,} entries, root {data.root}", (0, data.size - 1))]


def updated(data: ReportData) -> list[Said]:
    return [Said(f"{data.last_at}, by the recording machine's clock", (data.size - 1,))] if data.size else []


def versions(data: ReportData) -> list[Said]:
    return [
        Said(f"generation {g.generation}, commit {g.commit}", _some(g.moved_seq)) for g in data.line
    ]  # fmt: skip


def changelog(data: ReportData) -> list[Said]:
    said = []
    for g in data.generations:
        if g.verdict_seq is None:
            continue
        left = f"; later taken from the line ({g.left})" if g.left else ""
        improver = "; it changes the improver itself" if g.improver_changed else ""
        said.append(Said(
            f"generation {g.generation} by {g.author}, {count(g.changed_lines, 'changed line')}: "
            f"{g.sentence.rstrip('.')}{improver}{left}", _some(g.verdict_seq, g.moved_seq, g.left_seq),
        ))  # fmt: skip
    return said


def released(data: ReportData) -> list[Said]:
    at = {entry.seq: entry.at for entry in data.entries}
    return [
        Said(f"generation {g.generation}, commit {g.commit}, released {at[g.released_seq]}", (g.released_seq,))
        for g in data.generations
        if g.released_now and g.released_seq is not None
    ]


def authenticity(data: ReportData) -> list[Said]:
    now = [g for g in data.generations if g.released_now] or list(data.line[-1:])
    return [Said(f"git commit {g.commit} (generation {g.generation})", _some(g.released_seq, g.moved_seq)) for g in now]


def approvals(data: ReportData) -> list[Said]:
    return [
        Said(
            f"generation {g.generation}: {'a demonstration key, no person' if g.without_person else g.approved_by}",
            (g.approved_seq,),
        )
        for g in data.generations
        if g.approved_seq is not None
    ]


def suites(data: ReportData) -> list[Said]:
    if data.epoch is None:
        return []
    terms = data.epoch.suite
    modes = {"fresh": "new items for every look", "sealed": "blocks used once", "ledger": "shared items with a price"}
    mode = modes.get(terms.mode, terms.mode)
    said = [
        f"goal: suite '{terms.name}', unit {terms.unit}, {mode}; {ASSURANCE[terms.assurance]}",
        *(f"safety property '{g.name}', tested not to fall by more than {num(g.max_loss)}" for g in data.epoch.guards),
    ]
    return [Said(text, (data.epoch.seq,)) for text in said]


def scoring(data: ReportData) -> list[Said]:
    if data.epoch is None:
        return []
    terms = data.epoch.suite
    return [Said(
        f"scorer {terms.scorer}, {terms.direction} is better, range {num(terms.low)} to {num(terms.high)}; scorers and "
        f"rules are pinned, digest {short(data.epoch.evaluator)}", (data.epoch.seq,),
    )]  # fmt: skip


def rules(data: ReportData) -> list[Said]:
    if data.epoch is None:
        return []
    promise = (
        "the chance that any accepted change is no improvement, or breaks a safety property, is at most"
        if data.epoch.error == "familywise"
        else "the expected share of accepted changes that are no improvement is at most"
    )
    return [Said(
        f"candidate and incumbent run side by side on the same hidden items; over the whole run {promise} "
        f"{percent(data.epoch.alpha_total or data.epoch.alpha)}; margin {num(data.epoch.suite.margin)}",
        (data.epoch.seq,),
    )]  # fmt: skip


def results(data: ReportData) -> list[Said]:
    said = []
    for test in data.judged:
        numbers = (
            f", difference {signed(test.estimate)} ({between(test.interval)})" if test.estimate is not None else ""
        )
        said.append(Said(
            f"proposal {test.proposal}: {test.verdict}{numbers}, {count(test.units, 'unit')}, "
            f"{count(test.items, 'hidden item')}, {count(test.failed, 'failed run')}", _some(test.verdict_seq),
        ))  # fmt: skip
    return said


def overall(data: ReportData) -> list[Said]:
    final = data.overall()
    if final is None:
        return []
    return [Said(
        f"{final.label}: {num(final.mean_a)} against {num(final.mean_b)}, difference {signed(final.estimate)} "
        f"({between(final.interval)}) on {count(final.items, 'item')} that no test had used", (final.seq,),
    )]  # fmt: skip


def guards(data: ReportData) -> list[Said]:
    if data.epoch is None or not data.epoch.guards:
        return []
    names = ", ".join(g.name for g in data.epoch.guards)
    accepted = [g.verdict_seq for g in data.line if g.verdict_seq is not None]
    return [Said(
        f"{names}: shown to hold within their margins against the anchor, {count(len(accepted), 'accepted change')}",
        (data.epoch.seq, *accepted),
    )]  # fmt: skip


def capabilities(data: ReportData) -> list[Said]:
    certified = [] if data.certified is None else [
        Said(data.certified.sentence(), _some(*(g.verdict_seq for g in data.line)))
    ]  # fmt: skip
    return [*overall(data), *certified, *(Said(row.text.rstrip("."), (row.seq,)) for row in data.abilities)]


def sandbox(data: ReportData) -> list[Said]:
    if data.run is None:
        return []
    missing = f"; missing: {', '.join(data.run.missing)}" if data.run.missing else ""
    users = "each with a user of its own" if data.run.separated_uids else "under one user: the separation is nominal"
    return [Said(
        f"candidates and proposers run confined at level L{data.run.level}, {users}{missing}; no network but the "
        "metered model gateway", (data.run.seq,),
    )]  # fmt: skip


def process(data: ReportData) -> list[Said]:
    if data.epoch is None:
        return []
    ends = ", ".join(f"{n:,} {outcome}" for outcome, n in data.outcomes().items())
    return [
        Said(
            f"autonomy '{data.epoch.autonomy}'; evidence decides acceptance, people decide release", (data.epoch.seq,)
        ),
        *([Said(f"{count(len(data.proposals), 'proposal')}: {ends}", _last(data))] if ends else []),
    ]


def mitigations(data: ReportData) -> list[Said]:
    said = [
        Said(f"control of the scorer {'held' if c.ok else 'FAILED'}: constant {num(c.constant)}, random "
             f"{num(c.random)}, oracle {num(c.oracle)}", (c.seq,))
        for c in data.controls[-1:]
    ]  # fmt: skip
    judged = [p for p in data.plants if p.judged]
    if judged:
        caught = sum(not p.missed for p in judged)
        said.append(Said(f"{caught} of {len(judged)} planted defects were caught", tuple(p.seq for p in judged)))
    return said + sandbox(data)


def recursion(data: ReportData) -> list[Said]:
    return [Said(row.text, (row.seq,)) for row in data.grown]


def findings(data: ReportData) -> list[Said]:
    return [Said(f"{row.what}: {row.text}", (row.seq,)) for row in data.findings]


def near_misses(data: ReportData) -> list[Said]:
    """What nearly was an incident, for a person to look through.

    Attempts on the guards, denied system calls, broken controls, missed plants, catch trials that a person approved,
    open holes of the last drill.
    """
    said = [
        Said(
            f"proposal {p.proposal} by {p.author} tried to change what guards the loop; "
            f"{'it was ACCEPTED' if p.outcome == 'accepted' else 'it was not accepted'}",
            (p.last_seq,),
        )
        for p in data.proposals
        if p.guard_change
    ]
    said += [
        Said(
            f"{count(t.denied, 'system call')} of proposal {t.proposal}'s candidate denied by the sandbox", t.batch_seqs
        )
        for t in data.tests
        if t.denied
    ]
    if data.twins is not None:
        said += [Said("the incumbent, compared with itself, came out different", (seq,)) for seq in data.twins.alarms]
    said += [Said(f"a planted defect ('{p.defect}') was accepted", (p.seq,)) for p in data.plants if p.missed]
    said += [
        Said(f"a person approved a planted bad change, which was then held back ({row.text})", (row.seq,))
        for row in data.remarks if row.what == "catch trial" and " missed it" in row.text.rpartition(": ")[2]
    ]  # fmt: skip
    if data.drill is not None and data.drill.holes:
        at = [entry.seq for entry in data.entries if entry.kind == data.drill.kind]
        said.append(Said(f"attacks on this system got through: {data.drill.sentence()}", _some(*at[-1:])))
    said += [
        Said(f"the outside loop {row.name}: {each.kind}: {each.words}", (each.seq,))
        for row in data.outside for each in row.found if each.grave
    ]  # fmt: skip
    refused = Counter(p.reason for p in data.proposals if p.outcome == "refused" and not p.guard_change)
    by_reason = {p.reason: p.last_seq for p in data.proposals if p.outcome == "refused"}
    said += [
        Said(f"{count(n, 'proposal')} refused: {reason}", (by_reason[reason],)) for reason, n in sorted(refused.items())
    ]
    return said


def materiality(data: ReportData) -> list[Said]:
    """Changes in force that a person still has to judge against the five triggers of an update."""
    changed = [g for g in data.line if g.verdict_seq is not None]
    return [Said(
        f"{count(len(changed), 'accepted change')} since the start, {sum(g.improver_changed for g in changed)} of the "
        "improver itself; whether they are material is a person's judgement", _some(*(g.verdict_seq for g in changed)),
    )] if changed else []  # fmt: skip


def limits(data: ReportData) -> list[Said]:
    if not data.size:
        return []
    said = [
        Said("the record shows what was recorded, by whom, in which order and unchanged; not that it was true", (0,))
    ]
    if data.demo:
        said.append(Said("a demonstration: nothing in it was approved by a person", (0,)))
    if data.epoch is not None:
        said.append(Said(f"assurance of the verdicts: {ASSURANCE[data.epoch.suite.assurance]}", (data.epoch.seq,)))
    if data.overfit is not None:
        gap = data.overfit.gap
        said.append(Said(f"public gain above hidden gain: {signed(gap[0])} ({between((gap[1], gap[2]))})",
                         (data.overfit.seq,)))  # fmt: skip
    return said


FACTS: dict[str, Fact] = {
    "system": system, "record": record, "updated": updated, "versions": versions, "changelog": changelog,
    "released": released, "authenticity": authenticity, "approvals": approvals, "suites": suites, "scoring": scoring,
    "rules": rules, "results": results, "overall": overall, "guards": guards, "capabilities": capabilities,
    "sandbox": sandbox, "process": process, "mitigations": mitigations, "recursion": recursion, "findings": findings,
    "near-misses": near_misses, "materiality": materiality, "limits": limits,
}  # fmt: skip


def _when(incident: Incident) -> list[Said]:
    known = Said(f"known since {incident.aware}", (incident.seq,), incident.opened_by)
    if not incident.resolved:
        return [known, Said("nobody stated that it is over", (incident.seq,))]
    return [known, Said(f"over since {incident.resolved}", _some(incident.resolved_seq), incident.resolved_by)]


def _what(incident: Incident) -> list[Said]:
    return [Said(incident.text, (incident.seq,), incident.opened_by)]


def _classes(incident: Incident) -> list[Said]:
    if incident.classified_seq is None:
        return []
    said = f"{', '.join(incident.classes) or 'in no class'}: {incident.why}"
    return [Said(said, (incident.classified_seq,), incident.classified_by)]


def _causal(incident: Incident) -> list[Said]:
    if incident.classified_seq is None:
        return []
    return [Said(causal_words(incident.causal), (incident.classified_seq,), incident.classified_by)]


def _reporter(incident: Incident) -> list[Said]:
    return [Said(incident.opened_by, (incident.seq,), incident.opened_by)]


def _nothing(incident: Incident) -> list[Said]:
    """``unknown``: filled by the document itself, from its own empty fields."""
    del incident
    return []


INCIDENT_FACTS: dict[str, Callable[[Incident], list[Said]]] = {
    "incident.when": _when, "incident.what": _what, "incident.classes": _classes, "incident.causal": _causal,
    "incident.reporter": _reporter, "unknown": _nothing,
}  # fmt: skip


def _some(*seqs: int | None) -> tuple[int, ...]:
    return tuple(seq for seq in seqs if seq is not None)


def _last(data: ReportData) -> tuple[int, ...]:
    return tuple(p.last_seq for p in data.proposals[-1:])


def cited(said: Iterable[Said]) -> tuple[int, ...]:
    """All entries that sentences rest on, in order, each once."""
    return tuple(sorted({seq for row in said for seq in row.seqs}))
