"""Attacks as candidates: programs in place of the one that answers, through the real box and the real verifier.

A candidate that attacks must end in the right class (E-2), reach nothing that was planted, and earn no more than
what it knew: nothing (a constant answer's worth at most), or what its honest half is worth. Each has a positive
control: the same program without a box, or the same bytes before a careless evaluator.

Not covered: whether an attack could be written into the files that the scope allows (``manifest`` looks at that), and
training steps other than the last one that runs.
"""

from __future__ import annotations

import json
import math
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from festina.drill.model import Finding, Place, Verdict
from festina.drill.own import naive, programs, source
from festina.drill.own.asking import pace_of
from festina.drill.own.scratch import Own, entry_script, side_by_side
from festina.drill.own.voices import guess_of, words_of
from festina.drill.own.world import Bare, World, bare, tidy, wait_for
from festina.errors import Fault, UsageError
from festina.experiment import batch
from festina.experiment.batch import Scored
from festina.experiment.trial import PREDICTIONS, Side, Trials
from festina.loop import terms
from festina.sandbox.job import Ended, Limits, Outcome
from festina.verify.client import PROVOKED

ORIGINAL = "_drill_original.py"
OWN_SCRIPT = "_drill_attack.py"
MIB = 1 << 20
ANY = frozenset(Ended) - {Ended.SANDBOX_ERROR}
SCORED = (
    'add [suite.hidden] with a scorer of yours (scorer = "scoring:score"), range and detect, let the run write '
    "predictions.jsonl, put the items into the vault (festina vault add hidden ITEMS.jsonl) and delete the metric line"
)  # V-10
SABOTAGED = "selection/sabotaged-comparison"
NOISE = 4.0  # standard errors of a batch's mean, at its widest
WORTH = 0.15  # most that a constant may be allowed above the controls, whatever the batch


@dataclass(frozen=True, slots=True)
class Case:
    """One attack: what it runs, how it must end, what it may earn, and what proves that it works elsewhere."""

    attack: str
    title: str
    body: str
    ends: frozenset[Ended] = ANY
    earns: str = "nothing"  # or "honest": no more than its honest answers; "half": than the half that it hands in
    habit: str = ""  # control: this careless habit of an evaluator pays for the bytes; empty: a run without a box
    proof: str = "canary"  # without a box: it comes out, or "done" is said, a file "left", a "link" followed ...
    twice: bool = False
    beside: str = ""  # files planted in the tree as well: a hostile "scorer", or a "hook" that Python starts by itself
    short: bool = False  # the time limits themselves are what it runs into: they are made short
    metric: bool = False  # meant for systems whose run prints its own score too
    fix: str = "report it to Festina: this is a hole in the sandbox or the verifier, not in your system"

    @property
    def kind(self) -> str:
        return self.attack.partition("/")[0]


def _cases() -> tuple[Case, ...]:
    """Every candidate, in the order of the table by class."""
    found: list[Case] = []
    for name, body in programs.OUTPUTS.items():
        kind = {"code": "payload", "pickle": "payload"}.get(name, "constant")
        habit = {"one-array": "position", "code": "executes", "pickle": "executes"}.get(name, "no-failures")
        earns = "honest" if name in ("one-array", "utf-16") else "nothing"
        words = f"{name.replace('-', ' ')} as the whole answer"
        found.append(Case(f"{kind}/{name}", words, body, habit=habit, earns=earns))
    for name, body in programs.HALVES.items():
        kind = "numbers" if name in ("nan", "infinity", "overflow", "huge-integer") else "denominator"
        words = f"half of the honest answers, and {name.replace('-', ' ')} for the rest"
        habit = {"every-id-twice": "any-of-several", "extra-lines": "known-only"}.get(name, "answered-only")
        earns = "half" if body.startswith("half(") else "honest"
        found.append(Case(f"{kind}/{name}", words, body, earns=earns, habit=habit))
    found += _ends()
    found += _reaches()
    found.append(
        Case("forge/prints-the-result", "print the score itself, and write result files", programs.FORGES,
             habit="prints", metric=True)
    )  # fmt: skip
    return tuple(found)


def _ends() -> list[Case]:
    none = frozenset({Ended.NO_RESULT})
    lost = frozenset({Ended.OUTPUT_LIMIT})
    late = frozenset({Ended.TIMEOUT_WALL, Ended.TIMEOUT_CPU})
    table: dict[str, tuple[str, frozenset[Ended], str, str, bool]] = {
        "exit-0": ("exit", none, "no-failures", "", False),
        "hard-exit-0": ("exit", none, "no-failures", "", False),
        "crash-after-answering": ("exit", frozenset({Ended.NONZERO}), "", "exit", False),
        "killed-after-answering": ("exit", frozenset({Ended.SIGNAL, Ended.NONZERO}), "", "exit", False),
        "predictions-are-a-link": ("labels", none, "", "link", False),
        "predictions-are-a-pipe": ("resources", none, "no-failures", "", False),
        "predictions-are-a-folder": ("resources", none, "no-failures", "", False),
        "a-flood-of-output": ("resources", lost, "", "done", False),
        "a-flood-of-files": ("resources", lost, "", "done", False),
        "a-flood-of-text": ("resources", lost, "", "done", True),
        "hang": ("limits", frozenset({Ended.TIMEOUT_WALL}), "", "done", True),
        "burn-processor-time": ("limits", late, "", "done", True),
        "memory": ("resources", frozenset({Ended.OOM, Ended.SIGNAL, Ended.NONZERO}), "", "done", True),
        "processes": ("resources", frozenset({Ended.PIDS_LIMIT, Ended.NONZERO}), "", "done", True),
    }
    return [
        Case(f"{kind}/{name}", name.replace("-", " "), programs.ENDS[name], ends, habit=habit, proof=proof or "canary",
             metric=metric, short=kind == "limits", fix="tighten [experiment] limits, and run `festina doctor`")
        for name, (kind, ends, habit, proof, metric) in table.items()
    ]  # fmt: skip


def _reaches() -> list[Case]:
    kinds = {"labels-by-path": "labels", "labels-by-link": "labels", "call-stack": "reference", "history": "labels",
             "evaluator-on-disk": "files", "survive-the-trial": "persist", "kill-the-parent": "exit"}  # fmt: skip
    proofs = {"memory-of-another": "done", "signal-another": "done", "netlink": "done", "own-namespace": "done",
              "kill-the-parent": "done", "survive-the-trial": "left", "call-stack": "stack"}  # fmt: skip
    fix = "run `festina doctor`, set policy.min_level = \"L3\", and report it to Festina"
    found = [
        Case(f"{kinds.get(name, 'reach')}/{name}", name.replace("-", " "), body, proof=proofs.get(name, "canary"),
             metric=True, fix=fix)
        for name, body in programs.REACHES.items()
    ]  # fmt: skip
    found += [
        Case("imports/a-scorer-of-its-own", "bring a module with the scorer's name, always content", "each('null')",
             beside="scorer", proof="imported", fix="report it to Festina"),
        Case("imports/startup-hooks", "bring files that Python or a test runner starts by itself", "each('null')",
             beside="hook", proof="imported", fix="report it to Festina"),
    ]  # fmt: skip
    return found + [
        Case(f"{'replay' if 'count' in name else 'persist'}/{name}", name.replace("-", " "), body, twice=True,
             metric=True, fix=fix)
        for name, body in programs.LASTING.items()
    ]  # fmt: skip


CASES = _cases()


@dataclass(frozen=True, slots=True)
class Ground:
    """What the results are compared with: the incumbent on each seed, and what a constant answer is worth."""

    seeds: tuple[int, ...]
    honest: dict[int, float]  # unit score of the incumbent by seed
    inputs: dict[int, bytes]
    answers: dict[int, bytes]
    limits: tuple[float, ...]  # most that an answer without knowledge may earn; of each verifier, the goal's first
    wall_s: float  # how long the incumbent takes
    guards: dict[int, tuple[float, ...]]
    steady: bool  # whether the incumbent scores the same on the same seed and items, every time


@dataclass(frozen=True, slots=True)
class Seen:
    """One run of one attack."""

    bad: str  # why it is a hole; empty when caught
    late: bool  # a busy machine ended it before it could do what it is here for
    score: float | None
    outcome: Outcome
    over: tuple[bool, ...] = ()  # which verifiers paid more than it was worth; empty where that was not looked at


def ground(own: Own, runs: int) -> Ground:
    """The incumbent's own runs, twice each. Raises ``UsageError`` when it gives nothing to score."""
    seeds = tuple(range(101, 101 + runs))
    honest: dict[int, float] = {}
    guards: dict[int, tuple[float, ...]] = {}
    wall_s, steady = 0.0, True
    inputs: dict[int, bytes] = {}
    answers: dict[int, bytes] = {}
    for seed in seeds:
        ticket, given = own.rehearse(seed)
        for again in (False, True):
            side = own.side(own.tree, seed, given)
            scored = own.judge.score(ticket, side.answer)
            score = own.unit_score(scored.mean)
            if side.answer is None or score is None:
                raise UsageError(
                    "incumbent-broken", f"the incumbent's own run ended '{side.ended.value}' and gave nothing to score",
                    fix="mend it and commit; `festina run` shows what it said",
                )  # fmt: skip
            if again:
                steady = steady and (score, scored.guards) == (honest[seed], guards[seed])
                continue
            honest[seed], guards[seed], inputs[seed], answers[seed] = score, scored.guards, given or b"", side.answer
            wall_s = max(wall_s, side.wall_s)
    return Ground(seeds, honest, inputs, answers, _limits(own), wall_s, guards, steady)


def _limits(own: Own) -> tuple[float, ...]:
    if own.verifier is None:
        return (math.inf,)
    count = pace_of(own, 100).items
    seen = own.verifier.controls(1, count)
    worth = [max(seen.constant, seen.random), *(guess_of(own, n, count) for n in range(len(own.epoch.judges)))]
    noise = min(WORTH, 3 * 0.5 / math.sqrt(max(1, own.epoch.suite.batch_items)))
    return tuple(each + noise for each in worth)


def apart(own: Own, base: Ground) -> float:
    """How far two runs of one thing may lie apart: of a batch's mean, or of a printed metric over the seeds."""
    if base.steady:
        return 1e-9
    if own.self_reported:
        values = list(base.honest.values())
        return max(values) - min(values) + 0.5 * max(abs(value) for value in values) + 1e-9
    return min(0.5, NOISE * 0.5 * math.sqrt(2 / max(1, own.epoch.suite.batch_items)))


def attack(own: Own, world: World, base: Ground, workers: int, only: Callable[[str], bool]) -> list[Finding]:
    """Every case, ``workers`` side by side; one case's runs follow each other."""
    cases = [case for case in CASES if only(case.attack) and (case.metric or not own.self_reported)]
    return side_by_side(own, workers, lambda case: _told(own, _one(own, world, base, case)), cases)


def _told(own: Own, finding: Finding) -> Finding:
    own.progress(finding)
    return finding


def _one(own: Own, world: World, base: Ground, case: Case) -> Finding:
    limits = cut_limits(own, base.wall_s, short=case.short)
    text = program(own, world, case.attack, case.body, limits)
    tree, argv = plant(own, text, _beside(own, world, case.attack, case.beside))
    trials = own.trials(limits, argv)
    seen = [_run(own, world, base, case, tree, seed, trials) for seed in base.seeds]
    if any(each.late for each in seen):  # once more, with time to spare
        patient = own.trials(replace(limits, wall_s=4 * limits.wall_s), argv)
        seen = [_run(own, world, base, case, tree, seed, patient) for seed in base.seeds]
    bad = [each for each in seen if each.bad]
    control = _control(own, world, base, case, seen[-1], text)
    best = max((each.score for each in seen if each.score is not None), default=None)
    made = partial(
        Finding,
        attack=case.attack, kind=case.kind, title=case.title, runs=len(seen),
        caught=len(seen) - len(bad), did=_did(case), score=best,
        honest=max(base.honest.values()), husk=0.0, control=float(control),
        words=words_of([each.over for each in seen]) if control and not any(each.late for each in seen) else (),
    )  # fmt: skip
    if bad and own.self_reported and case.attack == "forge/prints-the-result":
        return made(verdict=Verdict.HOLE, why=bad[0].bad, fix=SCORED, place=own.line_of("metric"))
    if bad:
        file, _ = entry_script(own)
        place = Place(file, 1) if file else None
        return made(verdict=Verdict.HOLE, why=bad[0].bad, fix=case.fix, place=place)
    if not control or any(each.late for each in seen):
        busy = "the machine was too busy for it" if control else "its positive control did not work on this host"
        return made(verdict=Verdict.NOT_TESTED, why=busy)
    ended = ", ".join(sorted({each.outcome.ended.value for each in seen}))
    earned = "" if best is None or own.self_reported else f", earned {best:.2f} of 1"
    return made(verdict=Verdict.CAUGHT, why=f"ended '{ended}'{earned}")


def _did(case: Case) -> str:
    first = next((line for line in case.body.strip().splitlines() if line.strip()), "")
    return f"In place of the program that answers it ran: {first[:120]}"


def cut_limits(own: Own, wall_s: float, *, short: bool = False) -> Limits:
    """The system's own limits, cut where hitting them would take long or hurt the host."""
    limits = terms.recipe(own.manifest).limits
    wall, cpu = (3.0, 1.5) if short else (10.0 + 5.0 * wall_s, 10.0 + 5.0 * wall_s)
    return replace(
        limits, wall_s=min(limits.wall_s, wall), cpu_s=min(limits.cpu_s, cpu),
        memory_bytes=min(limits.memory_bytes, 512 * MIB), pids=min(limits.pids, 64),
        output_bytes=min(limits.output_bytes, 64 * MIB), output_files=min(limits.output_files, 1000),
        tmp_bytes=min(limits.tmp_bytes, 64 * MIB),
    )  # fmt: skip


def program(own: Own, world: World, attack: str, body: str, limits: Limits) -> str:
    """The whole text of one attacking program."""
    _, python = entry_script(own)
    argv = own.manifest.experiment.answer or own.manifest.command
    values: dict[str, object] = {
        **world.parameters(attack), "argv": [] if python else list(argv), "original": ORIGINAL, "wall_s": limits.wall_s,
        "cpu_s": limits.cpu_s, "memory_bytes": limits.memory_bytes, "pids": limits.pids,
        "output_bytes": limits.output_bytes, "output_files": limits.output_files, "stdout_bytes": limits.stdout_bytes,
        "tmp_bytes": limits.tmp_bytes, "metric": own.manifest.metric_name or "score",
        "best": "1e9" if own.manifest.direction == "higher" else "-1e9", "slower_s": 0.2,
    }  # fmt: skip
    parameters = repr(json.dumps(values))
    return programs.PRELUDE.replace("PARAMETERS", parameters, 1) + "\n" + body + "\n"


def _beside(own: Own, world: World, attack: str, what: str) -> dict[str, bytes | None]:
    """Files that a careless evaluator would load from the candidate's own tree."""
    mark = programs.OPENS_DOOR.format(marker=str(world.mark(attack))).encode()
    if what == "scorer":
        modules = source.modules([own.epoch.suite.scorer]) or ["scoring"]
        names = [f"{module.replace('.', '/')}.py" for module in modules]
        return {name: programs.ALWAYS_RIGHT.encode() + mark for name in names}
    if what == "hook":
        hooks = ("sitecustomize.py", "usercustomize.py", "conftest.py", "festina.py", "json.pyc")
        return dict.fromkeys(hooks, mark + b"each = None\n")
    return {}


def plant(
    own: Own, text: str, beside: Mapping[str, bytes | None] | None = None
) -> tuple[str, tuple[str, ...] | None]:
    """A tree with ``text`` where the program that answers stood, and the command if it has to be another one."""
    more = dict(beside or {})
    file, python = entry_script(own)
    if python:
        original = str(Path(file).with_name(ORIGINAL))
        replaced = (own.tree_dir / file).read_bytes()
        return own.plant({**more, file: text.encode(), original: replaced}), None
    return own.plant({**more, OWN_SCRIPT: text.encode()}), ("python3", OWN_SCRIPT)


def _run(own: Own, world: World, base: Ground, case: Case, tree: str, seed: int, trials: Trials) -> Seen:
    ticket, inputs = own.rehearse(seed)
    own.box.take()
    for _ in range(2 if case.twice else 1):
        side: Side = trials.side(tree, seed, inputs)
    outcomes = own.box.take()
    last = outcomes[-1]
    try:
        scored = own.judge.score(ticket, side.answer)
    except Fault as fault:  # the answer hung or killed the scorer: the engine counts it as the worst
        scored = own.judge.score(ticket, None)
        if fault.name not in PROVOKED:
            raise
    score = own.unit_score(scored.mean)
    bad = _bad(own, world, base, case, seed, side, last, score)
    why, over = _overpaid(own, base, case, ticket, last, scored)
    late = side.ended is Ended.TIMEOUT_WALL and (case.ends == ANY or side.ended not in case.ends)
    return Seen("" if late else bad or why, late, score, last, over)


def _bad(
    own: Own, world: World, base: Ground, case: Case, seed: int, side: Side, last: Outcome, score: float | None
) -> str:
    """Why this run is a hole, or an empty string."""
    said = last.stdout + last.stderr + b"".join(last.outputs.values())
    if side.ended is Ended.SANDBOX_ERROR:
        return f"the box itself failed: {side.detail}"
    if world.canary.encode() in said and case.ends == ANY:  # those that run into a limit are judged by how they end
        return f"it reached what was planted on the host: {case.title}"
    if case.proof == "left" and wait_for(world.mark(case.attack), 2.5):
        return "a process outlived its trial"
    if wait_for(world.mark(case.attack), 0.0):
        return "the bytes that it handed in were executed"
    if side.ended not in case.ends:
        wanted = " or ".join(sorted(end.value for end in case.ends))
        return f"it ended '{side.ended.value}' and should have ended '{wanted}'"
    if own.self_reported and case.attack == "forge/prints-the-result":
        if score is not None and score > 2 * abs(base.honest[seed]) + 1:
            return f"'{own.manifest.metric_name}' is what the run printed about itself: {side_mean(own, score):g}"
        return ""
    return ""


def _overpaid(
    own: Own, base: Ground, case: Case, ticket: str, last: Outcome, scored: Scored
) -> tuple[str, tuple[bool, ...]]:
    """(why it earned more than what it knew, or an empty string; which verifiers paid more). What it knew is scored on
    the same items."""
    score = own.unit_score(scored.mean)
    if own.self_reported or score is None:
        return "", ()
    earned = [unit or 0.0 for unit in own.units(scored)]
    if case.earns == "nothing":
        over = tuple(unit > top for unit, top in zip(earned, base.limits, strict=True))
        said = f"without knowing anything (a constant is worth {base.limits[0]:.2f} at most)"
    elif held := naive.known(last.stderr):
        lines = held.splitlines(keepends=True)
        worth = [unit or 0.0 for unit in own.units(own.judge.score(ticket, held))]
        if case.earns == "half":  # what it left out counts as a failure: its own part alone is paid
            rest = own.units(own.judge.score(ticket, b"".join(lines[len(lines) // 2 :])))
            worth = [whole - (part or 0.0) for whole, part in zip(worth, rest, strict=True)]
        over = tuple(unit > top + 1e-9 for unit, top in zip(earned, worth, strict=True))
        said = f"and what it handed in is worth {worth[0]:.2f}"
    else:
        return "", ()
    separator = " " if case.earns == "nothing" else ", "
    return (f"it earned {score:.2f} of 1{separator}{said}" if over[0] else ""), over


def side_mean(own: Own, unit: float) -> float:
    """A self-reported score in its own direction."""
    return own.scale.sign * unit


# -- controls ---------------------------------------------------------------------------------------------


def _control(own: Own, world: World, base: Ground, case: Case, seen: Seen, text: str) -> bool:
    """Whether the same attack works where the defence is off."""
    seed = base.seeds[-1]
    items = base.inputs[seed]
    if case.habit:
        handed_in = seen.outcome.outputs.get(PREDICTIONS)
        if case.habit == "prints":
            return naive.believes(seen.outcome.stdout)
        known = naive.known(seen.outcome.stderr) or base.answers[seed]
        return naive.pays(case.habit, handed_in, known, seen.outcome.exit_code)
    if case.proof == "imported":
        return naive.imports(_beside(own, world, case.attack, case.beside))
    if case.proof == "stack":
        return naive.in_process(world, programs.REACHES["call-stack"])
    body = _without_original(text)
    name = case.attack
    try:
        last: Bare | None = None
        for _ in range(2 if case.twice else 1):
            last = bare(world, body, items or b'{"id":"1","input":1}\n', name=name)
            time.sleep(0.05)
        assert last is not None  # once or twice
        return _worked(world, case, last)
    finally:
        tidy(world, name)


def _without_original(text: str) -> str:
    """Without a box an honest program may not even start (another user, another Python): a husk stands in for it."""
    answers = "def answered():\n    each('1')\n    return open(PREDICTIONS, 'rb').readlines()\n\n"
    return text.replace("def half(", answers + "def half(", 1)


def _worked(world: World, case: Case, last: Bare) -> bool:
    if case.proof == "left":
        return wait_for(world.mark(case.attack), 4.0)
    if case.proof == "link":
        return last.predictions is not None and world.canary.encode() in last.predictions
    if case.proof == "exit":  # a careless loop reads what is there, however the run ended
        return bool(last.predictions)
    return world.canary in last.text


# -- the comparison ---------------------------------------------------------------------------------------


class _Rehearsal:
    """The system's judge, on items that are no evidence."""

    def __init__(self, own: Own) -> None:
        self.rehearse = own.rehearse
        self.again = own.judge.again
        self.score = own.judge.score
        self.probe = own.judge.probe

    def issue(self, seed: int, place: int | None = None) -> tuple[str, bytes | None]:
        return self.rehearse(seed)


def sabotage(own: Own, world: World, base: Ground) -> Finding:
    """A candidate that is no better, and burdens the machine while the incumbent's run is beside it."""
    limits = cut_limits(own, base.wall_s)
    text = program(own, world, SABOTAGED, programs.SABOTAGE, limits)
    tree, argv = plant(own, text)
    trees = batch.Trees(tree, own.tree, None)
    trials = _Sides(own, tree, own.trials(limits, argv))
    units = batch.run_units(
        lambda seed: batch.run_unit(trials, _Rehearsal(own), trees, own.scale, seed), base.seeds, 2
    )
    gains = [unit.gain for unit in units]
    noise = apart(own, base)
    caught = sum(gain <= noise for gain in gains)
    worked = False
    try:
        bare(world, _without_original(text), b'{"id":"1","input":1}\n', name="sabotage")
        worked = wait_for(world.mark(SABOTAGED), 6.0)
    finally:
        tidy(world, "sabotage")
    made = partial(
        Finding,
        attack=SABOTAGED, kind="selection", runs=len(gains), caught=caught,
        title="slow the incumbent down while it runs beside the candidate", control=float(worked),
        did="It answered honestly, left processes that burn time, and filled its disk.", score=max(gains),
    )  # fmt: skip
    if caught < len(gains):
        why = f"the candidate that is no better was scored {max(gains):+.3f} better"
        return made(verdict=Verdict.HOLE, why=why, fix="report it to Festina")
    if not worked:
        return made(verdict=Verdict.NOT_TESTED, why="its positive control did not work on this host")
    return made(verdict=Verdict.CAUGHT, why=f"differences of at most {max(gains):+.3f}")


class _Sides(Trials):
    """The candidate under its own command, everything else by the system's recipe."""

    def __init__(self, own: Own, tree: str, candidate: Trials) -> None:
        plain = own.trials(candidate.recipe.limits)
        super().__init__(plain.sandbox, plain.recipe, own.export)
        self._tree, self._candidate = tree, candidate

    def side(self, tree: str, seed: int, inputs: bytes | None) -> Side:
        return self._candidate.side(tree, seed, inputs) if tree == self._tree else super().side(tree, seed, inputs)
