"""A whole stand-alone drill, from TARGET and honest files to a report.

Order: study, attacks (each beside its control), honest variants, positive controls; then the report is written to the
results folder, where ``--show`` finds it again. Raises ``UsageError`` and ``NotScored``.
"""

from __future__ import annotations

import json
import math
import shlex
import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from festina.drill import render
from festina.drill.model import KINDS, TRIED, Finding, Honest, Report, Verdict, record, worst
from festina.drill.outside import catalog, variants
from festina.drill.outside.assault import Assault
from festina.drill.outside.bench import Bench
from festina.drill.outside.catalog import Attack
from festina.drill.outside.control import works
from festina.drill.outside.given import Given, given
from festina.drill.outside.judge import constant
from festina.drill.outside.lint import lint
from festina.drill.outside.locate import locate
from festina.drill.outside.mutants import mutants
from festina.drill.outside.shapes import form, turns
from festina.drill.outside.study import Listener, NotScored, Study, study
from festina.drill.outside.target import Target, parse
from festina.drill.outside.wave import Wave, asked
from festina.errors import Fault, UsageError
from festina.system.scratch import prefix

CONTROLS_S = 15.0  # positive controls where none are kept from an earlier drill
FORMS = 4  # of honest candidates that are studied, at most: each costs some twenty evaluations


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
    candidate_path: str = ""  # where a command without {candidate} looks for its candidate
    entry: str = ""  # of a folder: the file that attacks replace
    seconds: float | None = None  # attacks that have not begun by then are not tested


def drill(options: Options, say: Callable[[str], None]) -> Report:
    """Run everything. ``say`` is told about progress."""
    start = time.monotonic()
    honest = [given(path, options.entry if path.is_dir() else "") for path in options.honest]
    if options.entry and not any(each.entry for each in honest):
        raise UsageError("drill-entry", "--entry is about a folder, and no --honest is one")
    target = parse(options.target, options.where, options.root, fixed=True)
    folder = options.out or Path(tempfile.mkdtemp(prefix="festina-drill-"))
    (folder / "attacks").mkdir(parents=True, exist_ok=True)
    with ExitStack() as undo:
        if options.out is None:  # what comes to no report leaves nothing behind
            undo.callback(shutil.rmtree, folder, ignore_errors=True)
        work = Path(tempfile.mkdtemp(prefix=prefix("drill-work")))
        try:
            report = _drill(options, _bench(options, target, honest[0], work), honest, folder, say)
        finally:
            shutil.rmtree(work, ignore_errors=True)
        report = replace(report, seconds=time.monotonic() - start)
        save(report, folder)
        undo.pop_all()
    return report


def _drill(options: Options, bench: Bench, honest: Sequence[Given], folder: Path, say: Callable[[str], None]) -> Report:
    start = time.monotonic()
    until = start + options.seconds if options.seconds else math.inf
    say(
        f"The drill copies {bench.target.root} and runs the copy with honest candidates and with exploits: they try to "
        "change files, start processes and reach this machine's loopback. Home and temp folders are the drill's own."
    )
    found = _studied(options, bench, say)
    say(found.reading.sentence())
    _is_read(found)
    needed = _needed(options, found, time.monotonic() - start)
    if options.seconds and needed > options.seconds:
        spent = f"{time.monotonic() - start:.0f} of the {options.seconds:.0f} s"
        say(
            f"Looking at the evaluator took {spent}; all that was asked for takes about {needed:.0f} s. What does not "
            "begin in time is named."
        )
    studies = [found, *_others(options, bench, honest, until, say)]
    listener = Listener(bench.token)
    try:
        findings = _attacks(options, studies, folder, listener, say, until)
    finally:
        listener.close()
    rows = variants.honest(found, honest[1:], options.runs, say, brief=bool(options.only))
    command = _command(options)
    findings = [
        replace(each, command=f"{command} --only {each.attack}") if each.verdict is Verdict.HOLE else each
        for each in findings
    ]
    findings = [
        *worst([each for each in findings if each.verdict is Verdict.HOLE]),
        *(each for each in findings if each.verdict is not Verdict.HOLE),
    ]
    _some_tested(findings, needed)
    return _report(options, studies, findings, rows, folder)


def _studied(options: Options, bench: Bench, say: Callable[[str], None]) -> Study:
    text = bench.given.text()
    return study(bench, text, metric=options.metric, runs=options.runs, timeout=options.timeout, say=say)


def _others(
    options: Options, bench: Bench, honest: Sequence[Given], until: float, say: Callable[[str], None]
) -> list[Study]:
    """One study for each further form of honest candidate; one that gets no score is a row of its own elsewhere."""
    seen = {form(honest[0].text(), honest[0].file.name)}
    found = []
    for number, each in enumerate(honest[1:], 1):
        kind = form(each.text(), each.file.name)
        if kind in seen or len(seen) >= FORMS or time.monotonic() > until:
            continue
        seen.add(kind)
        say(f"{each.path.name} has another form: attacks are built on it, too")
        try:
            found.append(_studied(options, _beside(options, bench, each, number), say))
        except NotScored:
            say(f"{each.path.name} gets no score")
    return found


def _beside(options: Options, bench: Bench, honest: Given, number: int) -> Bench:
    """The same evaluator for another honest candidate."""
    work = bench.work / f"form-{number}"
    work.mkdir()
    return Bench(
        bench.target, work, honest, python=bench.python, result=bench.result, fixed=bench.fixed, token=bench.token,
        inside=bench.inside if bench.fixed else honest.inside(bench.target.root), timeout=options.timeout or 120.0,
    )  # fmt: skip


def _attacks(
    options: Options, studies: Sequence[Study], folder: Path, listener: Listener, say: Callable[[str], None],
    until: float,
) -> list[Finding]:
    """Every attack on every form of candidate, each beside its positive control; in turns where time is limited."""
    python = [each for each in studies if each.honest is not None]
    limited = math.isfinite(until) and len(python) > 1
    turn = turns(catalog.everything(), [each.facts for each in python]) if limited else {}
    found: dict[str, Finding] = {}
    for number, each in enumerate(studies):
        mine = python.index(each) if each in python else -1
        place = folder / "attacks" if number == 0 else folder / "attacks" / each.bench.given.path.name
        place.mkdir(parents=True, exist_ok=True)
        assault = Assault(each, place, options.runs, listener.port, lambda: listener.count > 0, options.fresh)
        built = partial(_built, turn, mine)
        wave = Wave(assault, options.only, say, until, built=built, lenient=len(studies) > 1)
        part = [*_workless(each, options), *wave.attacks()]
        if options.controls:
            part = _proven(each, part, options, say, until)
        for finding in part:
            told = _named(finding, each) if len(studies) > 1 else finding
            known = found.get(finding.attack)
            if known is None or GRAVITY.index(told.verdict) < GRAVITY.index(known.verdict):
                found[finding.attack] = told
    return list(found.values())


# Of one attack on several forms of candidate the gravest is reported.
GRAVITY = (Verdict.HOLE, Verdict.EXPOSURE, Verdict.NOT_TESTED, Verdict.CAUGHT, Verdict.NOT_APPLICABLE)


def _built(turn: Mapping[str, int], mine: int, attack: Attack) -> bool:
    return mine < 0 or turn.get(attack.id, mine) == mine


def _named(finding: Finding, study: Study) -> Finding:
    return replace(finding, why=f"{finding.why}; built on {study.bench.given.path.name}") if finding.runs else finding


def _needed(options: Options, found: Study, studied_s: float) -> float:
    """About how many seconds the whole drill takes: the attacks that make sense here, half of them with a control of
    their own and a third repeated, then the controls on undefended evaluators."""
    asked_for = [a for a in catalog.everything() if not options.only or asked(a, options.only)]
    fitting = sum(not found.facts.lacks(attack.needs) for attack in asked_for)
    one = found.outcomes[0].ended.seconds
    return studied_s + fitting * (1.5 + options.runs / 3) * (one + 0.5) / found.bench.workers + CONTROLS_S


def _some_tested(findings: Sequence[Finding], needed: float) -> None:
    """A drill in which nothing could be tried is an error and no quiet drill."""
    reasons = {each.verdict: each.why for each in findings}
    if reasons and Verdict.NOT_TESTED in reasons and not reasons.keys() & TRIED:
        why = reasons[Verdict.NOT_TESTED]
        fix = f"--seconds {10 * math.ceil(needed / 10)}, or leave it out" if "--seconds" in why else ""
        raise Fault("drill-nothing-tested", f"no attack could be tried: {why}", fix=fix)


def _bench(options: Options, target: Target, honest: Given, work: Path) -> Bench:
    honest.text()  # readable, before anything is copied
    inside = honest.inside(target.root)
    fixed = target.form == "command" and "{candidate}" not in target.text
    if options.candidate_path:
        if not fixed:
            raise UsageError("drill-candidate-path", "--candidate-path is for a command without {candidate} in it")
        place = (options.where / options.candidate_path).resolve()
        if not place.is_relative_to(target.root) or place == target.root:
            raise UsageError(
                "drill-candidate-path", f"{options.candidate_path} does not lie in {target.root}, which is copied",
                fix="--root FOLDER: a folder that holds the evaluator and that place",
            )  # fmt: skip
        inside = place.relative_to(target.root).as_posix()
    elif fixed and not inside:
        raise UsageError(
            "drill-candidate-path", "the command has no {candidate} in it, and the honest candidate lies elsewhere",
            fix="--candidate-path PATH: the place from which the evaluator reads its candidate",
        )  # fmt: skip
    return Bench(
        target,
        work,
        honest,
        result=options.result,
        inside=inside,
        fixed=fixed,
        timeout=options.timeout or 120.0,
        python=options.python or sys.executable,
    )


def _is_read(found: Study) -> None:
    """Refuse a fixed place that the evaluator does not look at: every attack would seem to earn the honest score."""
    if found.bench.fixed and not any(found.facts.runs) and found.husk == found.outcomes[0].score:
        raise NotScored(
            "drill-candidate-path",
            f"the evaluator gives the same score whatever lies at {found.bench.inside}",
            fix="put {candidate} into the command, or name the place that it reads: --candidate-path PATH",
        )


def _workless(found: Study, options: Options) -> list[Finding]:
    """Empty and constant outputs, judged from what the quiet part measured."""
    rows: list[Finding] = []
    constants = found.constants or {}
    earned = {name: constant(found.bench.signed(outcome), found.scale) for name, outcome in constants.items()}
    ends = bool(earned.get("print ''")) and not earned["husk"]  # then it is its end that pays, whatever is printed
    for name, outcome in constants.items():
        if ends and name.startswith("print ") and name != "print ''":
            continue
        why = earned[name]
        slug = "constant/" + {"husk": "nothing", "blank": "blank"}.get(name, name.replace(" ", "-"))
        attack = Attack(
            slug, f"empty or constant output passes: {name}", "Kept the candidate's interface and did no work.", (),
            "any", site="compare", mode="constant",
        )  # fmt: skip
        if ends and name.startswith("print "):
            attack = Attack(
                "exit/at-once", "a program that ends at once with success", "Ended with status 0.", (), "any",
                site="subprocess", mode="constant",
            )  # fmt: skip
        if options.only and not asked(attack, options.only):
            continue
        shown = render.number(outcome.score)
        rows.append(
            Finding(
                attack.id,
                attack.kind,
                attack.title,
                Verdict.HOLE if why else Verdict.CAUGHT,
                f"earned {shown}; the honest candidate earns {render.number(found.mean)}",
                attack.did,
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


def _proven(
    study: Study, findings: list[Finding], options: Options, say: Callable[[str], None], until: float
) -> list[Finding]:
    """``caught`` only where the same attack works on an undefended evaluator.  # V-2"""
    by_id = {attack.id: attack for attack in catalog.everything()}
    if not study.facts.python:
        by_id = {m.attack.id: m.attack for m in mutants(study.raw, study.bench.given.file.name, "", study.bench.base)}
    caught = [by_id[each.attack] for each in findings if each.verdict is Verdict.CAUGHT and each.attack in by_id]
    known = works(caught, options.python or sys.executable, say, until)
    failed = {name: why for name, why in known.items() if why}
    return [
        replace(each, verdict=Verdict.NOT_TESTED, why=failed[each.attack], runs=0, caught=0)
        if each.verdict is Verdict.CAUGHT and each.attack in failed
        else each
        for each in findings
    ]


def _command(options: Options) -> str:
    words = ["festina", "drill", options.target, *(w for path in options.honest for w in ("--honest", str(path)))]
    for name, value in (
        ("--metric", options.metric), ("--result", options.result), ("--root", options.root),
        ("--candidate-path", options.candidate_path), ("--entry", options.entry), ("--timeout", options.timeout),
        ("--python", options.python),
    ):  # fmt: skip
        words += [name, str(value)] if value else []
    return shlex.join(words)


def _by_user_alone(attack: str) -> bool:
    return attack.startswith("files/") or attack in ("imports/shadow", "imports/bytecode", "forge/survivor")


def _report(
    options: Options, studies: Sequence[Study], findings: Sequence[Finding], honest: Sequence[Honest], folder: Path
) -> Report:
    found = studies[0]
    holes = sum(each.verdict is Verdict.HOLE for each in findings)
    exposed = sum(each.verdict is Verdict.EXPOSURE for each in findings)
    caught = sum(each.verdict is Verdict.CAUGHT for each in findings)
    tried = holes + exposed + caught
    first = f"{holes or 'None'} of {render.count(tried, 'attack')} earned credit without doing the work."
    weak = dict.fromkeys(each.kind for each in findings if each.verdict is Verdict.HOLE)
    if weak:
        first += (
            f" They use {len(weak)} {'weakness' if len(weak) == 1 else 'weaknesses'}: "
            + "; ".join(KINDS[kind] for kind in weak)
            + "."
        )
    summary: tuple[str, ...] = (
        first,
        f"Within reach of a candidate, and should not be: {render.count(exposed, 'thing')}. Caught: "
        f"{render.count(caught, 'attack')}.",
        f"Honest work earns {render.number(found.mean)} (noise {render.number(found.scale.noise)}), a candidate that "
        f"does no work {render.number(found.husk)}.",
    )
    if shared := sum(each.verdict is Verdict.HOLE and _by_user_alone(each.attack) for each in findings):
        summary += (
            f"{shared} of the holes {'needs' if shared == 1 else 'need'} no more than the evaluator's own user: a "
            "candidate that runs as that user can change files for the next evaluation or outlive this one. A process "
            "of its own does not stop that; another user or a sandbox does.",
        )
    if failed := sum(each.verdict is Verdict.NOT_TESTED for each in findings):
        summary += (f"{failed} {'attack was' if failed == 1 else 'attacks were'} not tested; they are named below.",)
    notes = ["Behaving well only while being evaluated is out of reach of a drill: it sees evaluations only."]
    if found.bench.target.form == "inspect":
        file = found.bench.target.file
        notes += lint((found.bench.base / file).read_text(encoding="utf-8", errors="replace"), file)
    if found.facts.blind:
        notes.append("Nothing that a candidate reported came out of its sandbox; attacks were run blind.")
    if len(studies) > 1:
        names = ", ".join(each.bench.given.path.name for each in studies)
        how = ", each on one of them in turn, since time was limited" if options.seconds else ""
        notes.append(f"The attacks were built on {len(studies)} forms of candidate{how}: {names}.")
    if all(each.honest is None for each in studies):
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
        extra={"evaluations": str(sum(each.bench.evaluations for each in studies))},
    )


def _placed(found: Study) -> str:
    where = found.bench.inside or f"a folder of its own, as {found.bench.given.path.name}"
    return f"candidates lie in: {where}"


def save(report: Report, folder: Path) -> None:
    """``report.txt`` and ``report.json`` (one record a line), for people and for ``--show``."""
    (folder / "report.txt").write_text(render.text(report, verbose=True), encoding="utf-8")
    lines = [json.dumps(entry, ensure_ascii=False, allow_nan=False) for entry in record(report)]
    (folder / "report.json").write_text("\n".join(lines) + "\n", encoding="utf-8")
