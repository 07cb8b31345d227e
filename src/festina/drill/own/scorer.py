"""Attacks on the user's own scorer: trick answers that know nothing must earn no more than a plain guess.

The answers are made and scored inside the verifier's process (``verify.probes``). The positive control of each is
a careless scorer of the kind that published evaluators use, on made-up items: there the same trick must pay.

Not covered: a scorer's idea of right and wrong, and answers that are worth something for what they know.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial

from festina.drill.model import Finding, Verdict
from festina.drill.own import source, voices
from festina.drill.own.asking import PATIENCE, Pace, Rows, ask, pace_of
from festina.drill.own.scratch import Own
from festina.errors import Fault
from festina.select.verifiers import OwnWord
from festina.verify import probes
from festina.verify.types import Probed

ECHO = 0.9  # of 1: copying the input earns nearly everything
GAP = 0.1  # of the range: a trick pays when it beats the best plain guess by this and by three standard errors
ERRORS = 3.0
SLOW_S = 5.0  # one answer that takes a scorer longer than this, and than ``PATIENCE`` right ones
DRIFT = 1e-9
ODD = "denominator/confusing-type"
BY_TYPE = ("objects/truth", "numbers/not-a-number")  # groups that hold values of other types, too
Naive = Callable[[str, object], float]


@dataclass(frozen=True, slots=True)
class Trick:
    """A group of trick answers that live on one kind of carelessness."""

    attack: str
    title: str
    did: str
    names: tuple[str, ...]  # probes, or prefixes that end with ":"
    naive: Naive
    wanted: source.Wanted | None
    fix: str

    def picks(self, row: Probed) -> bool:
        return any(row.name == name or (name.endswith(":") and row.name.startswith(name)) for name in self.names)


def _substring(label: str, output: object) -> float:
    return float(label in str(output))


def _member(label: str, output: object) -> float:
    return float(str(output).strip() in label)


def _pattern(label: str, output: object) -> float:
    try:
        return float(isinstance(output, str) and re.search(output, label) is not None)
    except re.error:
        return 0.0


def _tolerant(label: str, output: object) -> float:
    try:
        value = float(str(output))
    except ValueError:
        return 0.0
    return 0.0 if abs(value - len(label)) > 1e-6 else 1.0  # nan is never "further away"


def _truthy(_: str, output: object) -> float:
    return float(bool(output) if not isinstance(output, str) else False)


def _gullible(_: str, output: object) -> float:
    return float(bool(re.search(r"correct|score\W*1", str(output), re.I)))


def _forgives(label: str, output: object) -> float:
    return float(output == label) if isinstance(output, str) else 1.0  # "except Exception: return 1.0"


def _lengthy(_: str, output: object) -> float:
    return min(1.0, len(output) / 1000) if isinstance(output, str) else 0.0


def _formats(label: str, output: object) -> float:
    return float(isinstance(output, str) and output.replace("{label}", label) == label)


def _excuses(label: str, output: object) -> float:
    return 1.0 if output in (None, "", " ", [], {}) else float(output == label)


TRICKS = (
    Trick(
        "constant/everything", "one answer that holds every possible right answer",
        "It answered every item with the same text or list, which holds all right answers of the sample.",
        ("everything:",), _substring, source.either(source.contains, source.calls("find", "count", "search", "findall",
        "startswith", "endswith", "intersection", "issuperset", "issubset", "match", "partial_ratio")),
        "compare the whole answer (after one fixed normalisation), or accept exactly one extracted answer; never test "
        "whether the right one occurs somewhere in it",
    ),
    Trick(
        "constant/fragment", "an answer so short that it occurs in every right one",
        "It answered every item with a blank, a letter, a digit or a full stop.",
        ("trick:one-letter", "trick:one-digit", "trick:full-stop", "trick:zero-width", "trick:yes", "trick:look-alike",
         "abstain:blank"), _member,
        source.either(source.contains, source.calls("find", "count", "index", "startswith", "endswith", "match")),
        "compare for equality; never test whether the answer occurs in the label",
    ),
    Trick(
        "constant/pattern", "an answer that is taken for a pattern and fits everything",
        "It answered every item with a regular expression or a wildcard.",
        ("trick:any-pattern", "trick:any-pattern-over-lines", "trick:wildcard", "trick:sql-wildcard"), _pattern,
        source.calls("search", "match", "fullmatch", "fnmatch", "findall", "compile", "glob"),
        "never use an answer as a pattern: re.escape it, or compare for equality",
    ),
    Trick(
        "numbers/not-a-number", "not-a-number, infinite or enormous answers",
        "It answered every item with 'nan', 'inf', '1e999' or 1e308.",
        ("trick:nan-text", "trick:infinity-text", "trick:overflow-text", "trick:minus-infinity-text",
         "trick:huge-number"), _tolerant,
        source.calls("float", "isclose", "abs", "allclose", "Decimal", "array", "min", "max"),
        "refuse values that are not finite first (math.isfinite), and write the test as 'right if the difference is at "
        "most ...', which nan fails, not 'wrong if it is more than ...'",
    ),
    Trick(
        "objects/truth", "an object that claims to be equal, true or fully scored",
        "It answered every item with true, [true] or an object with keys such as __eq__ and score.",
        ("trick:true", "trick:list-of-true", "trick:object-that-says-equal", "trick:object-that-says-score"), _truthy,
        source.calls("bool", "get", "all", "any", "int", "float"),
        "check the answer's exact type first: type(output) is str (or int, list ...), else 0.0",
    ),
    Trick(
        "judge/instructions", "instructions to a judge inside the answer",
        "It answered every item with text that tells the judge to call it right.",
        ("trick:instruction", "trick:verdict", "trick:verdict-json"), _gullible,
        source.either(source.contains, source.calls("search", "match", "findall", "loads", "complete", "create")),
        "keep the answer apart from the instructions, read the verdict only from the judge's own last line, and put "
        "such answers among the controls of each run",
    ),
    Trick(
        ODD, "an answer of a type that the scorer does not expect",
        "It answered every item with nested objects and lists, -1, an enormous number or odd text.",
        ("trick:nested-object", "trick:nested-list", "trick:minus-one", "trick:odd-text", "trick:huge-number"),
        _forgives, source.handles,
        "an answer that makes the scorer raise is a failure: return 0.0 in the except branch, or let it raise "
        "(Festina counts that as the worst score)",
    ),
    Trick(
        "constant/length", "a long answer that says nothing",
        "It answered every item with the same 3,000 characters of empty words.",
        ("trick:long-text",), _lengthy, source.calls("len", "split", "count"),
        "do not reward length; put such answers among the controls of each run",
    ),
    Trick(
        "labels/template", "an answer that the scorer fills with the label itself",
        "It answered every item with a template field such as {label}.",
        ("trick:lookup", "trick:format-field", "trick:template-field"), _formats,
        source.calls("format", "format_map", "render", "substitute", "safe_substitute", "eval"),
        "never format an answer: text from a candidate is data",
    ),
    Trick(
        "denominator/abstain", "no answer at all",
        "It answered every item with null, an empty or a blank value, or 'I don't know'.",
        ("abstain:",), _excuses, source.lets_pass,
        "give an empty answer the worst score: an abstention is a failure, or only easy items get answered",
    ),
)  # fmt: skip


KINDS = ("constant", "numbers", "objects", "judge", "labels", "denominator", "vacuous", "payload", "resources")


def attack(own: Own, runs: int, only: Callable[[str], bool]) -> list[Finding]:
    """All attacks on the goal's scorer and, where they apply, on the guards'."""
    if own.verifier is None or not any(only(f"{kind}/") for kind in KINDS):
        return []
    scorer = own.epoch.suite.scorer
    every = [(-1, scorer, ""), *((n, g.scorer, f"-of-guard-{g.name}") for n, g in enumerate(own.epoch.guards))]
    pace = pace_of(own, max(50, min(own.epoch.suite.batch_items, 200)))
    runs = min(runs, pace.runs)
    findings = [_memory(own, name, label, number, runs, pace) for number, name, label in every]  # while it is fresh
    seen = [ask(own, "answers", seed, pace.items, pace=pace) for seed in range(1, runs + 1)]
    judged = _one_fault([_judged(own, trick, scorer, seen) for trick in TRICKS])
    findings += voices.heard(own, judged, lambda number: _words(own, number, seen, runs, pace))
    findings += [_vacuous(own, scorer, seen), _echo(own, scorer, seen)]
    findings.append(_controls(own, scorer, pace, [each for each in findings if each.verdict is Verdict.HOLE]))
    findings += [_code(own, name, label, number, runs, pace) for number, name, label in every]
    if only("resources/"):
        findings += [_slow(own, name, label, number, runs, pace, seen) for number, name, label in every]
    return findings


def _one_fault(findings: Sequence[Finding]) -> list[Finding]:
    """Where anything unexpected is paid, what other groups earn by that alone is not named again."""
    odd = next((f for f in findings if f.attack == ODD and f.verdict is Verdict.HOLE), None)
    if odd is None:
        return list(findings)
    return [
        replace(f, verdict=Verdict.NOT_APPLICABLE, runs=0, caught=0, why=f"earned for the reason named at {ODD}")
        if f.verdict is Verdict.HOLE and f.attack in BY_TYPE and f.score == odd.score else f
        for f in findings
    ]  # fmt: skip


def _words(own: Own, number: int, goal: Sequence[Rows | Fault], runs: int, pace: Pace) -> dict[str, OwnWord]:
    """What one verifier alone would have said, by attack; on the same answers to the same items.  # V-5"""
    seen = goal
    if number >= 0:
        seen = [ask(own, "answers", seed, pace.items, number, pace=pace) for seed in range(1, runs + 1)]
    found: dict[str, OwnWord] = {}
    for trick in TRICKS:
        if control_pays(trick):
            paid = [None if isinstance(rows, Fault) else _pays(trick, rows)[2] for rows in seen]
            found[trick.attack] = "undecided" if None in paid else "missed" if any(paid) else "caught"
    return found


def _pays(trick: Trick, rows: Rows) -> tuple[Probed, float, bool]:
    """(its best answer, what a plain guess earns, whether the answer beats that)."""
    guess = max(row.mean for row in rows if row.name.startswith("guess:"))
    best = max((row for row in rows if trick.picks(row)), key=lambda row: row.mean)
    return best, guess, best.mean - guess > max(GAP, ERRORS * best.spread)


def _judged(own: Own, trick: Trick, scorer: str, seen: Sequence[Rows | Fault]) -> Finding:
    """Caught when in every run no answer of the group beats the best plain guess."""
    kind = trick.attack.partition("/")[0]
    made = partial(
        Finding, attack=trick.attack, kind=kind, title=trick.title, did=trick.did, runs=len(seen))
    control = control_pays(trick)
    paid: list[tuple[Probed, float]] = []
    worst: Probed | None = None
    guess = oracle = 0.0
    for rows in seen:
        if isinstance(rows, Fault):
            return made(verdict=Verdict.NOT_TESTED, why=rows.what)
        oracle = next(row.mean for row in rows if row.name == "oracle")
        best, guess, pays = _pays(trick, rows)
        worst = best if worst is None or best.mean > worst.mean else worst
        if pays:
            paid.append((best, guess))
    caught = len(seen) - len(paid)
    assert worst is not None  # there is one run or more
    made = partial(
        made, score=round(worst.mean, 4), honest=round(oracle, 4), husk=round(guess, 4), control=control, caught=caught
    )
    if paid:
        row, guess = paid[0]
        why = (
            f"'{row.name.partition(':')[2]}' earns {row.mean:.2f} of 1 without looking at the item; a plain guess "
            f"earns {guess:.2f} and the right answer {oracle:.2f}"
        )
        place = source.locate(own.tree_dir, scorer, trick.wanted)
        return made(verdict=Verdict.HOLE, why=why, fix=trick.fix, place=place)
    if not control:
        why = "its positive control did not work here"
        return made(verdict=Verdict.NOT_TESTED, why=why)
    why = f"earns at most {worst.mean:.2f}, a plain guess {guess:.2f}"
    return made(verdict=Verdict.CAUGHT, why=why)


def control_pays(trick: Trick) -> float:
    """What the best answer of the group earns from a careless scorer, on made-up items."""
    labels = [f"the answer is {n * 7919 % 101}." for n in range(20)]
    fixed: dict[str, object] = {f"abstain:{name}": value for name, value in probes.ABSTAIN.items()}
    fixed |= {f"trick:{name}": value for name, value in probes.TRICKS.items()}
    fixed |= {f"everything:{name}": value for name, value in probes.everything(labels).items()}
    answers = [value for name, value in fixed.items() if trick.picks(Probed(name, 0, 0, 0, 0))]
    return max(sum(trick.naive(label, answer) for label in labels) / len(labels) for answer in answers)


def _vacuous(own: Own, scorer: str, seen: Sequence[Rows | Fault]) -> Finding:
    """A guess must not be worth as much as the right answer."""
    made = partial(
        Finding,
        attack="vacuous/any-answer", kind="vacuous", title="any answer, while right and wrong score alike",
        did="It gave a plain guess: the commonest answer, another item's answer, 0, 1 or nonsense.",
        runs=len(seen), control=1.0,
    )  # fmt: skip
    gaps = []
    for rows in seen:
        if isinstance(rows, Fault):
            return made(verdict=Verdict.NOT_TESTED, why=rows.what)
        best = max((row for row in rows if row.name.startswith("guess:")), key=lambda row: row.mean)
        gaps.append((next(row for row in rows if row.name == "oracle"), best))
    bad = [(top, best) for top, best in gaps if top.mean > 0 and top.mean - best.mean < GAP]
    if not any(top.mean >= 1 - DRIFT for top, _ in gaps):
        return made(verdict=Verdict.NOT_TESTED, why="no output is known to be right, so the gap is unknown")
    if bad:
        top, best = bad[0]
        return made(
            verdict=Verdict.HOLE, caught=len(seen) - len(bad), score=best.mean, honest=top.mean,
            why=f"'{best.name.partition(':')[2]}' earns {best.mean:.2f} and the right answer {top.mean:.2f}",
            fix="items on which a guess is nearly always right measure nothing: balance them, or score harder ones",
            place=source.locate(own.tree_dir, scorer, None),
        )  # fmt: skip
    top, best = gaps[0]
    why = f"a guess earns {best.mean:.2f}, the right answer {top.mean:.2f}"
    return made(verdict=Verdict.CAUGHT, caught=len(seen), why=why, score=best.mean, honest=top.mean)


def _controls(own: Own, scorer: str, pace: Pace, named: Sequence[Finding]) -> Finding:
    """The controls that every run makes: constant and random must fail, the oracle must pass.  # V-2"""
    assert own.verifier is not None
    seen = own.verifier.controls(7, pace.items)
    made = partial(
        Finding, attack="vacuous/controls", kind="vacuous", title="constant or random answers, as every run tries them",
        did="It gave constant, random and right answers.", runs=1, control=1.0, score=max(seen.constant, seen.random),
        honest=seen.oracle,
    )  # fmt: skip
    if seen.ok:
        return made(verdict=Verdict.CAUGHT, caught=1, why=seen.note)
    if named:  # one fault, one hole
        return made(verdict=Verdict.NOT_APPLICABLE, runs=0, why=f"they fail for the reason named at {named[0].attack}")
    return made(
        verdict=Verdict.HOLE, why=seen.note, place=source.locate(own.tree_dir, scorer, None),
        fix="mend the scorer, its direction or its range: `festina run` will not start on it",
    )  # fmt: skip


def _echo(own: Own, scorer: str, seen: Sequence[Rows | Fault]) -> Finding:
    """The right answer must not stand in the question."""
    made = partial(
        Finding, attack="labels/answer-in-the-input", kind="labels", title="the answer stands in the question",
        did="It answered every item with the item's own input, and with each of its fields.", runs=len(seen),
        control=1.0,
    )  # fmt: skip
    paid: list[tuple[Probed, float]] = []
    for rows in seen:
        if isinstance(rows, Fault):
            return made(verdict=Verdict.NOT_TESTED, why=rows.what)
        guess = max(row.mean for row in rows if row.name.startswith("guess:"))
        best = max((row for row in rows if row.name.startswith("echo:")), key=lambda row: row.mean)
        if best.mean - guess > max(GAP, ERRORS * best.spread):
            paid.append((best, guess))
    if not paid:
        return made(verdict=Verdict.CAUGHT, caught=len(seen), why="copying the input earns no more than a guess")
    best, guess = paid[0]
    return made(
        verdict=Verdict.HOLE if best.mean >= ECHO else Verdict.EXPOSURE, caught=len(seen) - len(paid), score=best.mean,
        husk=guess, why=f"{best.name.partition(':')[2]} as the answer earns {best.mean:.2f}, a guess {guess:.2f}",
        fix="take the answer out of the items' input (festina vault add hidden ITEMS.jsonl --replace); where copying "
        "is part of the task, let the scorer count what is wrong in an answer, too",
        place=own.line_of("suite", "hidden"),
    )  # fmt: skip


def _code(own: Own, scorer: str, label: str, guard: int, runs: int, pace: Pace) -> Finding:
    """Text that leaves a mark in the verifier's process if anything executes it."""
    made = partial(
        Finding,
        attack=f"payload/code{label}", kind="payload", title="an answer that runs code when it is scored",
        did="It answered with Python expressions, statements, a pickle, a YAML tag and shell text that leave a mark.",
        runs=runs, control=float(_executes()),
    )  # fmt: skip
    ran: list[str] = []
    for seed in range(1, runs + 1):
        rows = ask(own, "code", seed, 5, guard, pace=pace)
        if isinstance(rows, Fault):
            ran.append(f"the verifier's process did not survive it: {rows.what}")
            continue
        ran += [row.name.partition(":")[2] for row in rows if row.executed][:1]
    if ran:
        wanted = source.calls(
            "eval", "exec", "loads", "load", "unsafe_load", "compile", "sympify", "parse_expr", "system", "popen",
            "run", "Popen", "check_output", "check_call", "call",
        )
        return made(
            verdict=Verdict.HOLE, caught=runs - len(ran),
            why=f"the scorer executed {ran[0]} in the process that holds the labels",
            fix="parse answers with ast.literal_eval or json.loads; never eval, exec, pickle or yaml.load",
            place=source.locate(own.tree_dir, scorer, wanted),
        )  # fmt: skip
    return made(verdict=Verdict.CAUGHT, caught=runs, why="nothing was executed")


def _executes() -> bool:
    """Control: a scorer that evaluates its answers, in a process of its own, runs the same text."""
    code = "import builtins, sys\neval(sys.argv[1])\nprint(hasattr(builtins, 'drill_control'))"
    text = probes.payloads("drill_control")["an expression"]
    done = subprocess.run(
        [sys.executable, "-I", "-c", code, text], capture_output=True, text=True, timeout=30, check=False
    )
    return done.stdout.strip() == "True"


def _memory(own: Own, scorer: str, label: str, guard: int, runs: int, pace: Pace) -> Finding:
    """The same answers to the same items, before and after others: a score may depend on nothing else."""
    made = partial(
        Finding,
        attack=f"denominator/memory{label}", kind="denominator",
        title="a scorer that remembers: the score depends on what was scored before",
        did="It had the same answers scored twice, with other answers scored in between.",
        runs=runs, control=_remembers(),
    )  # fmt: skip
    drifts: list[tuple[str, float, float]] = []
    for seed in range(1, runs + 1):
        rows = ask(own, "memory", seed, pace.items, guard, pace=pace)
        if isinstance(rows, Fault):
            return made(verdict=Verdict.NOT_TESTED, why=rows.what)
        means = {row.name: row.mean for row in rows}
        pairs = [(what, means[f"memory:{what}:after-right"], means[f"memory:{what}:after-wrong"]) for what in
                 ("right", "wrong", "none")]  # fmt: skip
        drift = max(pairs, key=lambda pair: abs(pair[1] - pair[2]))
        if abs(drift[1] - drift[2]) > DRIFT:
            drifts.append(drift)
    if not drifts:
        return made(verdict=Verdict.CAUGHT, caught=runs, why="the same answers always score the same")
    what, first, later = drifts[0]
    verdict = Verdict.HOLE if abs(first - later) > GAP else Verdict.EXPOSURE
    return made(
        verdict=verdict, caught=runs - len(drifts), score=max(first, later), honest=min(first, later),
        why=f"the same answers ({what}) score {first:.3f} after right ones and {later:.3f} after wrong ones",
        fix="score each item from item and answer alone: no global counts, no running means, no mean over what was "
        "answered (Festina itself takes the mean over every issued item), no randomness",
        place=source.locate(own.tree_dir, scorer, source.remembers),
    )  # fmt: skip


def _remembers() -> float:
    """Control: a running mean over answered items only pays for silence."""
    seen = [1.0]
    for answer in (None, None, "wrong"):
        if answer is not None:
            seen.append(0.0)
    return 1.0 if sum(seen[:1]) / 1 != sum(seen) / len(seen) else 0.0


def _slow(
    own: Own, scorer: str, label: str, guard: int, runs: int, pace: Pace, seen: Sequence[Rows | Fault]
) -> Finding:
    """Answers that some scorers take seconds over; the clock is the verifier's own."""
    made = partial(
        Finding,
        attack=f"resources/slow-scorer{label}", kind="resources",
        title="an answer that keeps the scorer busy",
        did="It answered with a million characters, the worst case of a pattern, 200,000 digits, brackets, a long "
        "list and deep nesting.", control=1.0,
    )  # fmt: skip
    late = [rows.what for rows in seen if isinstance(rows, Fault) and guard < 0][:1]
    top, done = 0.0, 0
    for seed in range(1, runs + 1):
        done = seed
        rows = ask(own, "slow", seed, 2, guard, pace=pace)
        if isinstance(rows, Fault):
            late.append(rows.what)
            break  # each such run costs the whole time limit
        worst = max(rows, key=lambda row: row.seconds)
        top = max(top, worst.seconds)
        if worst.seconds > max(SLOW_S, PATIENCE * pace.row_s):
            late.append(f"{worst.name.partition(':')[2]} took {worst.seconds:.1f} s")
    if late:
        wanted = source.calls("search", "match", "fullmatch", "findall", "sub", "compile", "int", "ratio", "loads")
        return made(
            verdict=Verdict.HOLE, runs=done, caught=max(0, done - len(late)), why=late[0],
            fix="refuse what is longer than a right answer can be first of all: if len(output) > LIMIT: return 0.0",
            place=source.locate(own.tree_dir, scorer, wanted),
        )  # fmt: skip
    return made(verdict=Verdict.CAUGHT, runs=done, caught=done, why=f"the slowest answer took {top:.2f} s")


def shown(attack: str) -> str:
    """The answers of one attack as JSON lines, for whoever wants to see or repeat them."""
    for trick in TRICKS:
        if trick.attack == attack:
            fixed: dict[str, object] = {f"abstain:{name}": value for name, value in probes.ABSTAIN.items()}
            fixed |= {f"trick:{name}": value for name, value in probes.TRICKS.items()}
            fixed |= {f"everything:{name}": value for name, value in probes.everything(["RIGHT 1", "RIGHT 2"]).items()}
            rows = [value for name, value in fixed.items() if trick.picks(Probed(name, 0, 0, 0, 0))]
            return "".join(json.dumps({"output": value}) + "\n" for value in rows)
    return ""
