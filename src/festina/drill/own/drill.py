"""The whole drill of a system of one's own: scratch copy, every attack and honest variant, one record.

Order: settings, proposals, approvals, the pure rule, the scorer, then the candidates, which take most of the time.
The result goes to the user's ledger as one ``drill-finished`` entry, signed by the engine's key, through the ledger's
own locking: a running engine sees it as it sees a reviewer's entry.

Not covered: whatever the pages of the single parts name; above all, attacks that nobody has written down.
"""

from __future__ import annotations

import hashlib
import json
import os
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from festina.drill import render
from festina.drill.model import KINDS, Finding, Honest, Report, Verdict, record
from festina.drill.own import approvals, candidates, honest, patches, programs, proposals, scorer, selection, settings
from festina.drill.own.scratch import Own, scratch
from festina.drill.own.world import planted
from festina.errors import UsageError
from festina.ledger import entries as e
from festina.ledger.log import Draft, Ledger
from festina.ledger.signing import LocalKey
from festina.loop import acts
from festina.loop.state import State, fold
from festina.select.verifiers import GOAL, drilled
from festina.system import home as homes
from festina.system.repo import Repo

MOST_NAMED = 20
Tell = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Options:
    """What the caller decides. ``only``: classes of attack (keys of ``KINDS``) or single attacks; empty: all."""

    runs: int = 3
    only: tuple[str, ...] = ()
    honest: tuple[Path, ...] = ()  # patches that must pass the screen
    out: Path | None = None  # where report and sources go; default: a new temporary folder
    workers: int = 0  # 0: one for each core
    strict: bool = False  # exposures count as open, too


def run_own(root: Path, options: Options, tell: Tell = lambda _: None) -> Report:
    """Drill the system at ``root``. Raises ``UsageError`` where ``festina run`` could not start either."""
    unknown = [each for each in options.only if each.partition("/")[0] not in KINDS]
    if unknown:
        raise UsageError("unknown-class", f"there is no class of attack '{unknown[0]}'", fix=", ".join(KINDS))
    began = time.monotonic()
    with scratch(root) as own:
        name = own.manifest.system.name
        tell(f"drilling {name} on a scratch copy, level {own.box.level.name}")
        findings, kept = _everything(own, options, tell)
        folder = options.out or Path(tempfile.mkdtemp(prefix="festina-drill-results-"))
        findings = _kept(own, findings, folder)
        report = _report(own, name, findings, kept, time.monotonic() - began, strict=options.strict)
        seq = _record(own, report)
    where = f"recorded in the ledger as entry {seq}" if seq is not None else "no ledger yet, so nothing was recorded"
    report = replace(report, folder=str(folder), notes=(*report.notes, where))
    (folder / "report.json").write_text("".join(json.dumps(row) + "\n" for row in record(report)), encoding="utf-8")
    (folder / "report.txt").write_text(render.text(report, verbose=True), encoding="utf-8")
    return report


def _everything(own: Own, options: Options, tell: Tell) -> tuple[list[Finding], list[Honest]]:
    def only(attack: str) -> bool:
        """Whether an attack, or a whole class where ``attack`` ends with a slash, is asked for."""
        kind, _, name = attack.partition("/")
        asked = [each.partition("/") for each in options.only]
        return not asked or any(kind == k and (not n or not name or name == n) for k, _, n in asked)

    workers = options.workers or os.cpu_count() or 1
    parts: list[tuple[str, Callable[[], list[Finding]]]] = [
        ("settings", lambda: settings.attack(own)),
        ("proposals", lambda: proposals.attack(own, only)),
        ("approvals and record", lambda: approvals.attack(own, only)),
        ("the rule", lambda: selection.attack(own) if only("selection/") else []),
        ("the scorer", lambda: scorer.attack(own, options.runs, only)),
    ]
    findings: list[Finding] = []
    for title, part in parts:
        tell(f"{title} ...")
        for finding in part():
            if only(finding.attack):
                findings.append(finding)
                _open(finding, tell)
    own.progress = lambda finding: _open(finding, tell)
    if not any(only(case.attack) for case in candidates.CASES):  # another part alone is asked for
        return findings, proposals.honest(own, options.honest) if options.honest or only("patch/") else []
    with planted() as world:
        tell("candidates ...")
        base = candidates.ground(own, options.runs)
        findings += candidates.attack(own, world, base, workers, only)
        if own.verifier is not None and only("selection/"):
            findings.append(candidates.sabotage(own, world, base))
        tell("honest candidates ...")
        kept = honest.attack(own, world, base, workers, brief=bool(options.only))
    return findings, [*kept, *proposals.honest(own, options.honest)]


def _open(finding: Finding, tell: Tell) -> None:
    if finding.verdict in (Verdict.HOLE, Verdict.EXPOSURE):
        tell(f"{finding.verdict.value}: {finding.title}")


def _report(
    own: Own, name: str, findings: Sequence[Finding], kept: Sequence[Honest], seconds: float, *, strict: bool
) -> Report:
    holes = sum(f.verdict is Verdict.HOLE for f in findings)
    caught = sum(f.verdict is Verdict.CAUGHT for f in findings)
    tried = caught + sum(f.verdict in (Verdict.HOLE, Verdict.EXPOSURE) for f in findings)
    alarms = sum(row.runs - row.kept for row in kept if row.applicable)
    summary: tuple[str, ...] = (
        f"{name}: {tried} attacks worked without the defence and were tried against it; {caught} were caught, "
        f"{holes} {'is an open hole' if holes == 1 else 'are open holes'}.",
        f"{sum(row.runs for row in kept if row.applicable)} honest runs; {alarms} were refused or lost their score.",
    )
    names = (GOAL, *(judge.name for judge in own.epoch.judges))
    summary += tuple(drilled(names, [(f.attack, f.words) for f in findings if f.words]))
    return Report(
        target=str(own.root), summary=summary, findings=tuple(findings), honest=tuple(kept),
        notes=_notes(own), seconds=seconds, strict=strict, extra={"level": own.box.level.name, "looks": str(own.looks)},
    )  # fmt: skip


def _notes(own: Own) -> tuple[str, ...]:
    notes = [f"box level {own.box.level.name}; everything ran on a scratch copy of commit {own.commit[:10]}"]
    notes += [f"missing at this level: {what}" for what in own.box.missing]
    if own.verifier is None:
        notes.append("the run prints its own score: there is no scorer and no hidden item to attack")
    elif own.finite:
        notes.append(
            f"{own.looks} looks at hidden items of a finite file, by the drill's own programs alone: nothing of them "
            "reached a proposer, and no item was used up"
        )
    else:
        notes.append(f"{own.looks} items drawn fresh with a key of the drill's own; a run draws with another")
    if os.geteuid() != 0:
        notes.append("not root: candidates and verifier are one user, so their separation is nominal")
    return tuple(notes)


def _kept(own: Own, findings: Sequence[Finding], folder: Path) -> list[Finding]:
    """Every finding with the file of its source; holes with the command that shows them."""
    (folder / "attacks").mkdir(parents=True, exist_ok=True)
    kept: list[Finding] = []
    holes = 0
    for finding in findings:
        path = folder / "attacks" / f"{finding.attack.replace('/', '-')}.txt"
        path.write_text(source_of(own, finding), encoding="utf-8", errors="backslashreplace")
        command = ""
        if finding.verdict is Verdict.HOLE:
            holes += 1
            command = f"festina drill --show {holes} --out {folder}"
        kept.append(replace(finding, source=str(path), command=command))
    return kept


def source_of(own: Own, finding: Finding) -> str:
    """What an attack hands in, as text: a program, a patch, answers, or a sentence where nothing was handed in."""
    body = next((case.body for case in candidates.CASES if case.attack == finding.attack), "")
    if body:
        return f"{programs.PRELUDE}\n{body}\n"
    if finding.kind == "patch":
        every = patches.hostile(proposals.targets(own))
        number = int(finding.attack.partition("/")[2].partition("-")[0])
        return every[number - 1].patch.decode("utf-8", "backslashreplace")
    return scorer.shown(finding.attack) or f"{finding.title}\n{finding.did}\n{finding.why}\n"


def _record(own: Own, report: Report) -> int | None:
    """The one entry in the user's ledger, or None where there is no ledger."""
    home = homes.find(Repo.discover(own.root))
    if home is None or not home.ledger.exists() or not home.key("engine").exists():
        return None
    details = "".join(json.dumps(row, sort_keys=True) + "\n" for row in record(report)).encode()
    lost, runs = report.false_alarms()
    body = e.DrillFinished(
        commit=own.commit, attacks=sum(f.verdict in _TRIED for f in report.findings),
        caught=sum(f.verdict is Verdict.CAUGHT for f in report.findings), holes=len(report.holes),
        exposures=len(report.exposures),
        untested=sum(f.verdict is Verdict.NOT_TESTED for f in report.findings), honest_runs=runs, honest_lost=lost,
        open=tuple(f.attack[:100] for f in report.holes[:MOST_NAMED]), looks=own.looks, level=int(own.box.level),
        wall_s=round(report.seconds, 1), details=hashlib.sha256(details).hexdigest(),
        verifiers=tuple(judge.name for judge in own.epoch.judges),
        judged=tuple(e.DrillWords(attack=f.attack[:100], words=f.words) for f in report.findings if f.words),
    )  # fmt: skip
    with Ledger.open(home.ledger, signers={"engine": LocalKey.load(home.key("engine"), "engine")}) as ledger:
        state = fold(ledger.records())
        shown = _in_use(Repo.discover(own.root), state, body)
        written = acts.write(ledger, state, lambda now: [Draft(body, blobs=(details,)), *_drafts(now, body, shown)])
        return written[0].seq


def _in_use(repo: Repo, state: State, body: e.DrillFinished) -> bool:
    """Whether the content that was attacked is what is in use outside the loop."""
    if state.released is None:
        return False
    return repo.tree_of(body.commit) == repo.tree_of(state.generations[state.released].commit)


def _drafts(now: State, body: e.DrillFinished, in_use: bool) -> list[Draft]:
    """A hole in what is in use may be an incident: its draft, in one piece with the finding.  # D-4"""
    if not (in_use and body.holes):
        return []
    text = f"attacks got through in generation {now.released}, which is in use: {body.sentence()}"
    return [Draft(e.IncidentDrafted(about=now.size, text=text[:300]))]


_TRIED = frozenset({Verdict.CAUGHT, Verdict.HOLE, Verdict.EXPOSURE})
