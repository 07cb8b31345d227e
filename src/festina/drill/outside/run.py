"""A whole stand-alone drill, from TARGET and honest files to a report.

Order: study, attacks (each beside its control), honest variants, positive controls; then the report is written to the
results folder, where ``--show`` finds it again. Raises ``UsageError`` and ``NotScored``.
"""

from __future__ import annotations

import json
import shlex
import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from festina.drill import render
from festina.drill.model import KINDS, Finding, Honest, Report, Verdict, record, worst
from festina.drill.outside import build, catalog
from festina.drill.outside.assault import Assault
from festina.drill.outside.bake import baked
from festina.drill.outside.bench import Bench
from festina.drill.outside.catalog import Attack
from festina.drill.outside.control import works
from festina.drill.outside.judge import constant, suffers
from festina.drill.outside.lint import lint
from festina.drill.outside.locate import locate
from festina.drill.outside.mutants import mutants
from festina.drill.outside.study import Listener, Study, study, together, workers
from festina.drill.outside.target import Target, parse
from festina.errors import UsageError


@dataclass(frozen=True)
class Options:
    """What the command line asked for."""

    target: str
    honest: tuple[Path, ...]
    where: Path
    root: Path | None = None
    metric: str | None = None
    result: str = ""
    runs: int = 3
    timeout: float | None = None
    only: tuple[str, ...] = ()
    out: Path | None = None
    python: str = ""
    strict: bool = False
    fresh: bool = False
    controls: bool = True


def drill(options: Options, say: Callable[[str], None]) -> Report:
    """Run everything. ``say`` is told about progress."""
    start = time.monotonic()
    target = parse(options.target, options.where, options.root)
    folder = options.out or Path(tempfile.mkdtemp(prefix="festina-drill-"))
    (folder / "attacks").mkdir(parents=True, exist_ok=True)
    work = Path(tempfile.mkdtemp(prefix="festina-drill-work-"))
    try:
        report = _drill(options, target, folder, work, say)
    finally:
        shutil.rmtree(work, ignore_errors=True)
    report = replace(report, seconds=time.monotonic() - start)
    save(report, folder)
    return report


def _drill(options: Options, target: Target, folder: Path, work: Path, say: Callable[[str], None]) -> Report:
    raw, bench = _bench(options, target, work)
    say(
        f"The drill copies {target.root} and runs the copy with honest candidates and with exploits: they try to "
        "change files, start processes and reach this machine's loopback. Home and temp folders are the drill's own."
    )
    found = study(bench, raw, metric=options.metric, runs=options.runs, timeout=options.timeout, say=say)
    say(found.reading.sentence())
    listener = Listener(bench.token)
    try:
        assault = Assault(
            found, folder / "attacks", options.runs, listener.port, lambda: listener.count > 0, options.fresh
        )
        findings = [*_workless(found, options), *_attacks(assault, options, say)]
    finally:
        listener.close()
    if options.controls:
        findings = _proven(found, findings, options, say)
    honest = _honest(options, found, say)
    command = _command(options)
    findings = [
        replace(each, command=f"{command} --only {each.attack}") if each.verdict is Verdict.HOLE else each
        for each in findings
    ]
    findings = [
        *worst([each for each in findings if each.verdict is Verdict.HOLE]),
        *(each for each in findings if each.verdict is not Verdict.HOLE),
    ]
    return _report(options, found, findings, honest, folder)


def _bench(options: Options, target: Target, work: Path) -> tuple[str, Bench]:
    path = options.honest[0]
    try:
        raw = path.read_text(encoding="utf-8", errors="surrogateescape")
    except OSError as error:
        raise UsageError("drill-no-honest-file", f"cannot read {path}: {error.strerror}") from error
    resolved = path.resolve()
    inside = resolved.relative_to(target.root).as_posix() if resolved.is_relative_to(target.root) else ""
    bench = Bench(
        target,
        work,
        path.name,
        result=options.result,
        inside=inside,
        timeout=options.timeout or 120.0,
        python=options.python or sys.executable,
    )
    return raw, bench


def _workless(found: Study, options: Options) -> list[Finding]:
    """Empty and constant outputs, judged from what the quiet part measured."""
    rows: list[Finding] = []
    scale = found.scale
    for name, outcome in (found.constants or {}).items():
        score = found.bench.signed(outcome)
        why = constant(score, scale)
        slug = "constant/" + {"husk": "nothing", "blank": "blank"}.get(name, name.replace(" ", "-"))
        attack = Attack(
            slug, f"empty or constant output passes: {name}", "", (), "any", site="compare", mode="constant"
        )
        if options.only and not _asked(attack, options.only):
            continue
        shown = render.number(outcome.score)
        text = f"earned {shown}; the honest candidate earns {render.number(found.mean)}"
        rows.append(
            Finding(
                slug,
                "constant",
                attack.title,
                Verdict.HOLE if why else Verdict.CAUGHT,
                text,
                "Kept the candidate's interface and did no work.",
                attack.fix,
                1,
                0 if why else 1,
                outcome.score,
                None,
                found.mean,
                found.husk,
                locate(attack, found, None) if why else None,
            )
        )
    return rows


def _proven(study: Study, findings: list[Finding], options: Options, say: Callable[[str], None]) -> list[Finding]:
    """``caught`` only where the same attack works on an undefended evaluator.  # V-2"""
    by_id = {attack.id: attack for attack in catalog.everything()}
    if not study.facts.python:
        by_id = {m.attack.id: m.attack for m in mutants(study.raw, study.bench.name, "")}
    caught = [by_id[each.attack] for each in findings if each.verdict is Verdict.CAUGHT and each.attack in by_id]
    failed = {name: why for name, why in works(caught, options.python or sys.executable, say).items() if why}
    return [
        replace(each, verdict=Verdict.NOT_TESTED, why=failed[each.attack], runs=0, caught=0)
        if each.verdict is Verdict.CAUGHT and each.attack in failed
        else each
        for each in findings
    ]


def _asked(attack: Attack, only: Sequence[str]) -> bool:
    return any(attack.kind == name or attack.id == name or attack.id.startswith(name + "/") for name in only)


def _attacks(assault: Assault, options: Options, say: Callable[[str], None]) -> list[Finding]:
    if assault.study.honest is None:
        return _mutants(assault, options, say)
    wanted = [a for a in catalog.everything() if not options.only or _asked(a, options.only)]
    if options.only and not wanted:
        known = sorted({a.kind for a in catalog.everything()} | {"constant"})
        if not any(name == "constant" or name.startswith("constant/") for name in options.only):
            raise UsageError(
                "drill-unknown-class",
                f"no attack is called {', '.join(options.only)}",
                fix=f"give one of: {', '.join(known)}, or the id of an attack",
            )
    early = [a for a in wanted if a.id == "limits/hang"]
    late = [a for a in wanted if a.id != "limits/hang"]
    if any(a.id == "limits/alarm" for a in late) and not early:
        early = [a for a in catalog.everything() if a.id == "limits/hang"]
    done = 0
    findings: list[Finding] = []

    def one(attack: Attack) -> Finding:
        nonlocal done
        finding = assault.attack(attack)
        done += 1
        if finding.verdict is Verdict.HOLE:
            say(f"  hole: {attack.id}: {finding.why}")
        elif done % 20 == 0:
            say(f"  {done} of {len(wanted)} attacks")
        return finding

    findings += [one(each) for each in early]
    for attack in late:  # controls first, so that two attacks do not both evaluate the same one
        if not assault.study.facts.lacks(attack.needs) and attack.mode != "effect":
            assault.control(attack)
    with workers() as pool:
        findings += [each.result() for each in [pool.submit(one, attack) for attack in late]]
    return findings


def _mutants(assault: Assault, options: Options, say: Callable[[str], None]) -> list[Finding]:
    """Attacks on an evaluator whose candidates are not Python."""
    study = assault.study
    forged = baked(study.known())["FORGED"]
    findings = []
    for mutant in mutants(study.raw, study.bench.name, forged):
        if options.only and not _asked(mutant.attack, options.only):
            continue
        finding = assault.mutant(mutant)
        if finding.verdict is Verdict.HOLE:
            say(f"  hole: {finding.attack}: {finding.why}")
        findings.append(finding)
    return findings


def _honest(options: Options, found: Study, say: Callable[[str], None]) -> tuple[Honest, ...]:
    """Every honest file as given, and variants that change nothing that matters."""
    bench, scale = found.bench, found.scale
    given = [bench.signed(each) for each in found.outcomes]
    rows = [Honest("as given", len(given), len(given) - suffers(given, scale))]
    if options.only:
        return tuple(rows)
    say("honest variants")
    for path in options.honest[1:]:
        text = path.read_text(encoding="utf-8", errors="surrogateescape")
        done = together([partial(bench.evaluate, text)] * options.runs)
        lost = sum(each.score is None for each in done)
        rows.append(Honest(f"{path.name} gets a score", len(done), len(done) - lost, _last_words(done)))
    if found.honest is None:
        return tuple(rows)
    variants: list[tuple[str, str | None, str]] = [
        ("with a comment added", build.commented(found.honest), ""),
        ("chatty on standard error", build.chatty(found.honest, "stderr"), ""),
        (
            "chatty on standard output",
            build.chatty(found.honest, "stdout") if _free_stdout(found) else None,
            "its standard output is where it answers",
        ),
        ("local variables renamed", build.renamed(found.honest), "no local variable can be renamed safely"),
        (
            "slower by 0.1 s when loaded",
            build.slower(found.honest, 0.1) if not found.facts.timing else None,
            "the score depends on time",
        ),
    ]
    sources = [source for _, source, _ in variants if source is not None]
    outcomes = iter(together([partial(bench.evaluate, s) for s in sources]))
    for name, source, reason in variants:
        if source is None:
            rows.append(Honest(name, 0, 0, reason, applicable=False))
            continue
        outcome = next(outcomes)
        lost = suffers([bench.signed(outcome)], scale)
        rows.append(Honest(name, 1, 1 - lost, f"earned {render.number(outcome.score)}"))
    return tuple(rows)


def _last_words(done: Sequence[object]) -> str:
    for each in done:
        ended = getattr(each, "ended", None)
        if ended is not None and getattr(each, "score", 1) is None:
            lines = str(ended.stderr).strip().splitlines()
            return lines[-1][:200] if lines else ended.ended
    return ""


def _free_stdout(found: Study) -> bool:
    """Is the candidate's standard output something other than its answer?"""
    return found.facts.has("shared") and not found.facts.has("script")


def _command(options: Options) -> str:
    words = ["festina", "drill", options.target, *(w for path in options.honest for w in ("--honest", str(path)))]
    for name, value in (("--metric", options.metric), ("--result", options.result), ("--root", options.root)):
        words += [name, str(value)] if value else []
    return shlex.join(words)


def _by_user_alone(attack: str) -> bool:
    return attack.startswith("files/") or attack in ("imports/shadow", "imports/bytecode", "forge/survivor")


def _report(
    options: Options, found: Study, findings: Sequence[Finding], honest: Sequence[Honest], folder: Path
) -> Report:
    holes = sum(each.verdict is Verdict.HOLE for each in findings)
    exposed = sum(each.verdict is Verdict.EXPOSURE for each in findings)
    caught = sum(each.verdict is Verdict.CAUGHT for each in findings)
    tried = holes + exposed + caught
    first = (
        f"{holes} of {tried} attacks earned credit without doing the work."
        if holes
        else f"None of {tried} attacks earned credit without doing the work."
    )
    weak = dict.fromkeys(each.kind for each in findings if each.verdict is Verdict.HOLE)
    if weak:
        first += (
            f" They use {len(weak)} {'weakness' if len(weak) == 1 else 'weaknesses'}: "
            + "; ".join(KINDS[kind] for kind in weak)
            + "."
        )
    summary: tuple[str, ...] = (
        first,
        f"{exposed} things are within reach of a candidate that should not be; {caught} attacks were caught.",
        f"Honest work earns {render.number(found.mean)} (noise {render.number(found.scale.noise)}), a candidate that "
        f"does no work {render.number(found.husk)}.",
    )
    if shared := sum(each.verdict is Verdict.HOLE and _by_user_alone(each.attack) for each in findings):
        summary += (
            f"{shared} of the holes {'needs' if shared == 1 else 'need'} no more than the evaluator's own user: a "
            "candidate that runs as that user can change files for the next evaluation or outlive this one. A process "
            "of its own does not stop that; another user or a sandbox does.",
        )
    notes = ["Behaving well only while being evaluated is out of reach of a drill: it sees evaluations only."]
    if found.bench.target.form == "inspect":
        file = found.bench.target.file
        notes += lint((found.bench.base / file).read_text(encoding="utf-8", errors="replace"), file)
    if found.facts.blind:
        notes.append("Nothing that a candidate reported came out of its sandbox; attacks were run blind.")
    if found.honest is None:
        notes.append("The candidate is not Python: only attacks on its text and on the files around it were run.")
    return Report(
        options.target,
        summary,
        tuple(findings),
        tuple(honest),
        (found.reading.sentence(), f"copied: {found.bench.target.root}", _placed(found)),
        tuple(notes),
        str(folder),
        strict=options.strict,
        extra={"evaluations": str(found.bench.evaluations)},
    )


def _placed(found: Study) -> str:
    where = found.bench.inside or f"a folder of its own, as {found.bench.name}"
    return f"candidates lie in: {where}"


def save(report: Report, folder: Path) -> None:
    """``report.txt`` and ``report.json`` (one record a line), for people and for ``--show``."""
    (folder / "report.txt").write_text(render.text(report), encoding="utf-8")
    lines = [json.dumps(entry, ensure_ascii=False, allow_nan=False) for entry in record(report)]
    (folder / "report.json").write_text("\n".join(lines) + "\n", encoding="utf-8")
