"""The quiet part of a drill: honest runs, candidates without work, constants, and what the evaluator is like.

Raises ``UsageError`` when no honest candidate gets a score: an evaluator that does not run cannot be drilled.
"""

from __future__ import annotations

import json
import math
import os
import socket
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from festina.drill.outside import build, mutants, scoring
from festina.drill.outside.bake import Known, baked
from festina.drill.outside.bench import Bench, Outcome
from festina.drill.outside.judge import Scale, constant
from festina.drill.outside.recon import Event, Facts, read_source
from festina.drill.outside.side import fitting, together
from festina.errors import FestinaError

AGAIN = 5  # further runs of a constant that earned as much as honest work
# Constant outputs, as Python and as what a program prints.
VALUES = (
    "None",
    "0",
    "1",
    "True",
    "False",
    "''",
    "' '",
    "[]",
    "{}",
    "()",
    "0.0",
    "0.5",
    "1.0",
    "'0'",
    "'1'",
    "'A'",
    "'yes'",
)
WORDS = ("", "0", "1", "[]", "{}", "null", "true", "yes", "A", "PASS", "NaN")


class Listener:
    """Somebody to connect to: counts connections that carry the drill's token."""

    def __init__(self, token: str) -> None:
        self._token = token.encode()
        self.count = 0
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.port = self._socket.getsockname()[1]
        self._thread = threading.Thread(target=self._listen, daemon=True)
        self._thread.start()

    def _listen(self) -> None:
        while True:
            try:
                link, _ = self._socket.accept()
                with link:
                    link.settimeout(2)
                    if link.recv(64) == self._token:
                        self.count += 1
            except TimeoutError:
                continue
            except OSError:
                return

    def close(self) -> None:
        self._socket.shutdown(socket.SHUT_RDWR)  # wakes whoever waits in accept, which closing alone does not
        self._thread.join(3)
        self._socket.close()


class NotScored(FestinaError):
    """The evaluator gave an honest candidate no score."""

    exit_code = 1


@dataclass
class Study:
    """What the quiet part found."""

    bench: Bench
    honest: build.Honest | None  # None: the candidate is not Python
    raw: str
    outcomes: list[Outcome]  # honest runs as given
    facts: Facts
    scale: Scale
    text: str
    husk: float | None = None  # as the evaluator printed it
    blank: float | None = None
    constants: dict[str, Outcome] | None = None
    limit: float = 60.0

    @property
    def reading(self) -> scoring.Reading:
        assert self.bench.reading is not None
        return self.bench.reading

    @property
    def mean(self) -> float:
        """The honest score as the evaluator prints it."""
        return self.scale.mean * self.reading.sign

    def known(self, port: int = 0) -> Known:
        numbers = {k: v for k, v in self.outcomes[0].numbers.items() if math.isfinite(v)}
        return Known(
            self.bench.target,
            self.reading,
            self.facts,
            self.mean,
            self.text,
            numbers,
            port,
            self.bench.token,
            f"@ROOT@/{self.bench.target.cwd}/{self.bench.result}" if self.bench.result else "",
            build.kept(self.honest) if self.honest is not None else (),
        )


def first(bench: Bench, raw: str, metric: str | None) -> tuple[Outcome, str]:
    """The first honest run: decides how the score is read and where candidates lie."""
    for inside in _places(bench):
        bench.inside = inside
        made = bench.fresh()
        outcome = bench.evaluate(raw, made=made)
        text = bench.text(made, outcome.ended)
        if bench.target.form == "command":
            if outcome.ended.ended == "exit" and (outcome.ended.status == 0 or scoring.named(text)):
                bench.reading = scoring.choose(text, metric)
        elif outcome.numbers:
            name = scoring.choose(json.dumps(dict(outcome.numbers)), metric)
            bench.reading = replace(name, source="json")
        if bench.reading is not None:
            bench.honest_status = outcome.ended.status
            score, numbers = bench._score(made, outcome.ended)
            if score is not None and math.isfinite(score) and not _failed(bench, score):
                return replace(outcome, score=score, numbers=numbers), text
            bench.reading = None
    tail = (outcome.ended.stderr.strip() or outcome.ended.stdout.strip())[-1500:]
    how = {"timeout": f"did not end within {bench.timeout:.0f} s (--timeout)", "memory": "took too much memory"}.get(
        outcome.ended.ended, f"ended with exit status {outcome.ended.status}"
    )
    raise NotScored(
        "drill-no-honest-score",
        f"the evaluator gave the honest candidate no score; it {how}" + (f". It said:\n{tail}" if tail else ""),
        fix="check that the evaluator runs by itself and prints 'name: number', a JSON object, or exits with 0 for "
        "a pass; or say where the score is: --metric NAME:higher, --result FILE, --root FOLDER",
    )


def _failed(bench: Bench, score: float) -> bool:
    return bench.reading is not None and bench.reading.source in ("exit", "verdict") and score == 0


def _places(bench: Bench) -> list[str]:
    """A folder of its own first; then where the honest file lies, when that is inside the evaluator's folder."""
    if bench.fixed:
        return [bench.inside]
    return [""] if not bench.inside else ["", bench.inside]


def study(
    bench: Bench, raw: str, *, metric: str | None, runs: int, timeout: float | None, say: Callable[[str], None]
) -> Study:
    """All of the quiet part."""
    outcome, text = first(bench, raw, metric)
    bench.timeout = timeout or min(120.0, max(8.0, 5 * outcome.ended.seconds + 3))
    say(f"honest candidate: {outcome.score:g} in {outcome.ended.seconds:.1f} s")
    outcomes = [outcome, *_again(bench, raw, outcome, runs, say)]
    honest = _python(raw, bench.given.file.name)
    scale = Scale(_scores(bench, outcomes), None)
    facts = _facts(bench, honest)
    found = Study(bench, honest, raw, outcomes, facts, scale, text, limit=bench.timeout)
    if honest is not None:
        say("looking at how the evaluator treats a candidate")
        found.facts = replace(facts, runs=_watch(found, honest, "recon"))
        if found.facts.has("called") and found.facts.has("fresh") and found.facts.has("inputs"):
            found.facts = replace(found.facts, frozen=_watch(found, honest, "recon-frozen"))
        found.facts = replace(found.facts, more=_more(found))
        _without_work(found, honest)
        _timing(found, honest)
    else:
        empty = mutants.empty(raw, bench.given.file.name)
        outcome = _settle(bench, bench.evaluate(empty))
        found.constants = {"husk": outcome}
        found.husk = outcome.score
        found.scale = Scale(found.scale.honest, bench.signed(outcome))
    return found


def _again(bench: Bench, raw: str, one: Outcome, runs: int, say: Callable[[str], None]) -> list[Outcome]:
    """Further honest runs, side by side where that does not cost them their score (a fixed port, a fixed file)."""
    bench.workers = fitting(one.ended)
    rest = together([partial(bench.evaluate, raw)] * max(2, runs - 1), bench.workers)
    lost = [at for at, each in enumerate(rest) if each.score is None]
    if lost and bench.workers > 1:
        say("evaluations disturb each other when they run side by side: one at a time from here on")
        bench.workers = 1
        for at in lost:
            rest[at] = bench.evaluate(raw)
    return rest


def brief(bench: Bench, raw: str) -> Study:
    """As much as a positive control needs: one honest run, two that watch, one candidate without work."""
    outcome, text = first(bench, raw, None)
    honest = _python(raw, bench.given.file.name)
    facts = _facts(bench, honest)
    found = Study(bench, honest, raw, [outcome], facts, Scale(_scores(bench, [outcome]), None), text)
    if honest is None:
        husk = bench.evaluate(mutants.empty(raw, bench.given.file.name))
        found.scale = Scale(found.scale.honest, bench.signed(_settle(bench, husk)))
        found.husk = husk.score
        return found
    found.facts = replace(facts, runs=_watch(found, honest, "recon"))
    if found.facts.has("called") and found.facts.has("fresh") and found.facts.has("inputs"):
        found.facts = replace(found.facts, frozen=_watch(found, honest, "recon-frozen"))
    found.facts = replace(found.facts, more=_more(found), timing=True)
    husk = _settle(bench, bench.evaluate(build.husk(honest)))
    found.scale = Scale(found.scale.honest, bench.signed(husk))
    return found


def _facts(bench: Bench, honest: build.Honest | None) -> Facts:
    return Facts(
        honest is not None,
        bench.target.form == "command" and not bench.result and bench.reading is not None,
        bool(bench.result),
        read_source(bench.base, _starts(bench)),
        data=_data(bench),
        tests=any(p.name.startswith("test") or p.stem.endswith("_test") for p in bench.base.rglob("*.py")),
    )


def _settle(bench: Bench, husk: Outcome) -> Outcome:
    """A last line that says "passed" is only words where a candidate without work ends with a failed exit status."""
    if bench.reading is not None and bench.reading.source == "verdict" and husk.ended.status != 0:
        bench.reading = replace(bench.reading, source="exit", why="a candidate without work exits with a failure")
        return replace(husk, score=0.0)
    return husk


def _python(raw: str, name: str) -> build.Honest | None:
    if not name.endswith(".py"):
        return None
    try:
        return build.Honest.parse(raw)
    except (SyntaxError, ValueError):
        return None


def _scores(bench: Bench, outcomes: Sequence[Outcome]) -> tuple[float, ...]:
    found = [value for each in outcomes if (value := bench.signed(each)) is not None and math.isfinite(value)]
    return tuple(found)


def _starts(bench: Bench) -> list[str]:
    if bench.target.file:
        return [bench.target.file]
    words = " ".join(bench.target.argv).replace("{root}/", "").replace("::", " ").split()
    found = [word for word in words if (bench.base / bench.target.cwd / word).is_file()]
    names = [(Path(bench.target.cwd) / word).as_posix() for word in found]
    return [os.path.normpath(name) for name in names]


def _data(bench: Bench) -> bool:
    code = {".py", ".sh", ".md", ".toml", ".cfg", ".ini", ".lock", ".rst"}
    return any(
        path.is_file() and path.suffix not in code and not bench.own(path.relative_to(bench.base).as_posix())
        for path in bench.base.rglob("*")
    )


def _watch(found: Study, honest: build.Honest, section: str) -> tuple[tuple[Event, ...], ...]:
    source = build.compose(honest, "honest", section, baked(found.known()))
    return tuple(each.events for each in together([partial(found.bench.evaluate, source)] * 2, found.bench.workers))


def _more(found: Study) -> dict[str, bool]:
    keeps = found.honest is not None and bool(build.kept(found.honest))
    return {"claims": _claims(found), "inspect": found.bench.target.form == "inspect", "keeps": keeps}


def _claims(found: Study) -> bool:
    """Does the candidate itself print the number that is read as the score?"""
    printed = found.facts.printed()
    reading = found.reading
    if not printed or reading.source in ("exit", "verdict"):
        return False
    value = scoring.read(printed, 0, reading)
    return value is not None and math.isfinite(value)


def _without_work(found: Study, honest: build.Honest) -> None:
    """Husk, blank and constants; the best of those that stay below honest work is the floor."""
    bench = found.bench
    plain = baked(found.known())
    _settle(bench, bench.evaluate(build.husk(honest)))
    jobs: list[tuple[str, str]] = [("husk", build.husk(honest)), ("blank", build.compose(honest, "blank", "", plain))]
    if found.facts.has("called"):
        jobs += [
            (f"return {value}", build.compose(honest, "husk", "constant/value", {**plain, "VALUE": value}))
            for value in (VALUES if bench.target.form != "inspect" else ("''", "'0'", "'A'", "'yes'"))
        ]
    if found.facts.has("script"):
        jobs += [
            (f"print {word!r}", build.compose(honest, "husk", "constant/script", {**plain, "WORD": word}))
            for word in WORDS
        ]
    done = together([partial(bench.evaluate, source) for _, source in jobs], bench.workers)
    found.constants = {name: outcome for (name, _), outcome in zip(jobs, done, strict=True)}
    _not_by_luck(found, jobs)
    found.husk, found.blank = done[0].score, done[1].score
    signed = [bench.signed(each) for each in done]
    bar = min(found.scale.honest) - max(found.scale.noise, 0.02 * abs(found.scale.mean))
    husks = [value for value in signed[:2] if value is not None and math.isfinite(value)]
    below = [value for value in signed[2:] if value is not None and math.isfinite(value) and value < bar]
    floor = max([*husks, *below], default=None)
    found.scale = Scale(found.scale.honest, floor)


def _not_by_luck(found: Study, jobs: Sequence[tuple[str, str]]) -> None:
    """Where inputs are drawn afresh, a constant that earned as much as honest work must do so again and again; of one
    that does not, the worst run is kept."""
    bench = found.bench
    assert found.constants is not None
    for name, source in jobs:
        if found.facts.has("recurring") or not constant(bench.signed(found.constants[name]), found.scale):
            continue
        again = together([partial(bench.evaluate, source)] * AGAIN, bench.workers)
        worst = [each for each in again if not constant(bench.signed(each), found.scale)]
        if worst:
            found.constants[name] = min(worst, key=lambda each: bench.signed(each) or 0.0)


def _timing(found: Study, honest: build.Honest) -> None:
    """Does slowness cost score, and does the evaluator end a candidate that hangs?"""
    if not found.facts.has("called"):
        return
    constants = baked(found.known())
    source = build.compose(honest, "honest", "clock/slow", constants)
    outcome = found.bench.evaluate(source)
    score = found.bench.signed(outcome)
    moved = score is None or score < min(found.scale.honest) - max(found.scale.noise, 0.02 * abs(found.scale.mean))
    ended = outcome.ended.ended == "exit"
    found.facts = replace(found.facts, timing=bool(ended and moved and score is not None))
    if found.facts.timing:  # neighbours would be measured along
        found.bench.workers = max(1, min(found.bench.workers, len(os.sched_getaffinity(0)) // 2))
