"""The loud part: carry out each attack beside its control and decide what it earned.

An attack runs once; when it seems to have worked it is repeated, and it is a hole when at least half of its runs
worked.
"""

from __future__ import annotations

import math
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

from festina.drill.model import Finding, Verdict
from festina.drill.outside import build
from festina.drill.outside.bake import baked, takeover
from festina.drill.outside.bench import Outcome
from festina.drill.outside.catalog import Attack
from festina.drill.outside.judge import apart, constant, credit, part
from festina.drill.outside.locate import locate
from festina.drill.outside.mutants import Mutant, empty
from festina.drill.outside.study import Study
from festina.drill.render import number

HANG = 30.0  # seconds; a limit that stands in the evaluator's source may make it longer
MANY_RUNS = 6  # of an attack that earns a part of the way or whose control moves, and of that control
UNSURE = 2.0  # standard errors, from which on "caught" would say too much
_LUCKY = "not told apart from what the same candidate earns without the exploit: scores move from run to run"
# What any answer of the right form may earn in part, without an exploit.
_WORDS = frozenset({"constant", "numbers", "judge", "resources", "reach"})
_HANG = ("limits/hang", "denominator/hang", "denominator/script-hang")


@dataclass
class Assault:
    """Attacks on one studied evaluator."""

    study: Study
    folder: Path  # where the sources of attacks are kept
    runs: int
    port: int = 0
    heard: Callable[[], bool] = lambda: False  # did anyone connect?
    hang: float = 0.0  # at most so long is waited for a hanging candidate; 0: as long as the evaluator may need
    fresh: bool = False  # the loop restores the evaluator before each evaluation
    controls: dict[str, Outcome] = field(default_factory=dict)
    again: dict[str, list[Outcome]] = field(default_factory=dict)  # controls that were evaluated several times
    own_controls: dict[str, str] = field(default_factory=dict)  # of whole files, by attack

    def constants(self, attack: Attack) -> dict[str, object]:
        """What is baked into this attack's candidate; large tables only where they are used."""
        facts = self.study.facts
        plain = baked(self.study.known(self.port))
        plain |= dict(attack.baked)
        if attack.kind == "replay":
            plain |= {"TABLE": facts.table(), "ORDER": facts.order(), "TURNS": facts.turns()}
        if attack.kind == "seeds":
            plain["FROZEN"] = facts.table(frozen=True)
        if attack.kind == "payload":
            plain["TAKEOVER"] = takeover(plain, self.study.reading.direction == "lower")
        if attack.kind == "limits":
            plain["LATE"] = facts.limited * 1.5 + 0.5
        return plain

    def source(self, attack: Attack, section: str, base: str) -> str:
        assert self.study.honest is not None
        if base == "spoken":
            return build.spoken(self.study.honest, section)
        return build.compose(self.study.honest, base, section, self.constants(attack))

    def attack(self, attack: Attack) -> Finding:
        """Carry out one attack as often as it takes to be sure."""
        why = self.study.facts.lacks(attack.needs)
        if self.fresh and attack.mode in ("pair", "after"):
            why = why or "the loop restores the evaluator before each evaluation (--fresh)"
        if why:
            return self._finding(attack, Verdict.NOT_APPLICABLE, why)
        source = self.source(attack, attack.section, attack.base)
        path = self.folder / f"{attack.id.replace('/', '-')}.py"
        path.write_text(source, encoding="utf-8", errors="surrogateescape")
        if attack.mode == "effect":
            return self._effect(attack, source, path)
        return self._credit(attack, source, path)

    def untested(self, attack: Attack, why: str) -> Finding:
        """It was not carried out to its end; nothing is said about the evaluator."""
        return self._finding(attack, Verdict.NOT_TESTED, why)

    def mutant(self, mutant: Mutant) -> Finding:
        """Carry out an attack that is a whole file."""
        path = self.folder / f"{mutant.attack.id.replace('/', '-')}{Path(self.study.bench.given.file.name).suffix}"
        if mutant.control:
            self.own_controls[mutant.attack.id] = mutant.control
        path.write_text(mutant.text, encoding="utf-8", errors="surrogateescape")
        return self._credit(mutant.attack, mutant.text, path)

    def control(self, attack: Attack) -> Outcome:
        """The same candidate without the exploit, evaluated once for all attacks that share it."""
        key = self._key(attack)
        if key not in self.controls:
            self.controls[key] = self.study.bench.evaluate(self._control_source(attack))
        return self.controls[key]

    def _key(self, attack: Attack) -> str:
        if self.study.honest is None:
            return f"husk:{attack.id if attack.id in self.own_controls else ''}"
        return f"{attack.base}:{attack.control}" + (":late" if attack.control == "limits/slow" else "")

    def _control_source(self, attack: Attack) -> str:
        if attack.id in self.own_controls:
            return self.own_controls[attack.id]
        if self.study.honest is None:
            return empty(self.study.raw, self.study.bench.given.file.name)
        return self.source(attack, attack.control, attack.base)

    def repeated(self, attack: Attack, times: int) -> list[float | None]:
        """Signed scores of the control, evaluated so often; all attacks that share it share them."""
        found = self.again.setdefault(self._key(attack), [self.control(attack)])
        while len(found) < times:
            found.append(self.study.bench.evaluate(self._control_source(attack)))
        return [self.study.bench.signed(each) for each in found[:times]]

    def _credit(self, attack: Attack, source: str, path: Path) -> Finding:
        bench, scale = self.study.bench, self.study.scale
        control = bench.signed(self.control(attack))

        def judge(score: float | None) -> str:
            if attack.mode == "constant":
                return constant(score, scale) and credit(score, None, scale)
            return credit(score, control, scale)

        worked: list[tuple[str, Outcome]] = []
        done = 0
        last: Outcome | None = None
        while done < (self.runs if worked or not done else 1):
            done += 1
            for outcome in self._outcomes(attack, source):
                last = outcome if last is None or not worked else last
                reason = judge(bench.signed(outcome))
                if reason:
                    worked.append((reason, outcome))
                    break
        caught = done - len(worked)
        failed = not worked or len(worked) * 2 < done
        if failed and attack.kind == "payload" and last and last.taken_over():
            why = (
                "code from the candidate's output ran in the evaluator's own process, which decides the score; "
                f"this exploit earned {number(last.score)}, one written for this evaluator earns what it likes"
            )
            return self._finding(
                attack, Verdict.HOLE, why, runs=done, caught=0, score=last.score, source=str(path), best=last
            )
        luck = None if failed else self._luck(attack, source, worked)
        if luck is not None:
            runs = done if luck is Verdict.CAUGHT else 0
            score = worked[0][1].score
            return self._finding(attack, luck, _LUCKY, runs=runs, caught=runs, score=score, source=str(path))
        if failed:
            shown = last.score if last else None
            if not worked and last is not None and (finding := self._partly(attack, source, path, last)):
                return finding
            return self._finding(
                attack,
                Verdict.CAUGHT,
                f"earned {number(shown)}",
                runs=done,
                caught=caught,
                score=shown,
                source=str(path),
            )
        reason, best = worked[0]
        return self._finding(
            attack,
            Verdict.HOLE,
            self._sentence(attack, reason, best, done, caught),
            runs=done,
            caught=caught,
            score=best.score,
            source=str(path),
            best=best,
        )

    def _luck(self, attack: Attack, source: str, worked: list[tuple[str, Outcome]]) -> Verdict | None:
        """Where scores move from run to run, only many runs of attack and control tell an exploit from luck: ``None``
        when they do, else what can be said."""
        bench, scale = self.study.bench, self.study.scale
        if attack.mode == "constant":
            if self.study.facts.has("recurring"):
                return None
            again = [each for _ in range(MANY_RUNS - 1) for each in self._outcomes(attack, source)]
            return None if all(constant(bench.signed(each), scale) for each in again) else Verdict.CAUGHT
        taken = any(each.taken_over() for _, each in worked)
        if taken or attack.mode != "credit" or not {reason for reason, _ in worked} <= {"half", "more"}:
            return None
        if len(set(self.repeated(attack, self.runs))) == 1:
            return None
        runs = [each for _, each in worked]
        runs += [each for _ in range(MANY_RUNS - len(runs)) for each in self._outcomes(attack, source)]
        scores = [bench.signed(each) for each in runs]
        controls = self.repeated(attack, MANY_RUNS)
        if part(scores, controls, scale, None):
            return None
        ground = scale.ground
        got, without = (
            [x if x is not None and math.isfinite(x) else ground for x in side] for side in (scores, controls)
        )
        return Verdict.NOT_TESTED if apart(got, without) > UNSURE else Verdict.CAUGHT

    def _partly(self, attack: Attack, source: str, path: Path, first: Outcome) -> Finding | None:
        """A hole that pays a part of the way, shown by repeated runs of the attack and of its control."""
        bench, scale = self.study.bench, self.study.scale
        if attack.kind in _WORDS or attack.mode != "credit":
            return None
        if not part([bench.signed(first)], [bench.signed(self.control(attack))], scale, None):
            return None
        times = max(self.runs, MANY_RUNS)
        runs = [first, *(each for _ in range(times - 1) for each in self._outcomes(attack, source))]
        controls = self.repeated(attack, times)
        known = self.study.facts.has("called") and self.study.facts.has("varied")
        blunt = bench.evaluate(self.source(attack, "constant/first", "blank")) if known else None
        least = bench.signed(blunt) if blunt is not None else None
        if not part([bench.signed(each) for each in runs], controls, scale, least):
            return None
        best = max(runs, key=lambda each: bench.signed(each) or 0.0)
        why = (
            f"earned {number(best.score)}, part of the way to honest work's {number(self.study.mean)}; without the "
            f"exploit the same candidate earns {number(self.control(attack).score)} (worked in {times} of {times} runs)"
        )
        return self._finding(attack, Verdict.HOLE, why, runs=times, score=best.score, source=str(path), best=best)

    def _outcomes(self, attack: Attack, source: str) -> Iterator[Outcome]:
        """The attack's evaluation; for a pair also what a candidate without work then earns in the same place."""
        bench = self.study.bench
        limit = min(bench.timeout, 12.0) if attack.id in _HANG else 0.0
        if attack.mode not in ("pair", "after"):
            yield bench.evaluate(source, timeout=limit)
            return
        made = bench.fresh()
        try:
            if attack.mode == "after":
                bench.evaluate(self.study.raw, made=made, keep=True)
                yield bench.evaluate(source, made=made, keep=True)
                return
            yield bench.evaluate(source, made=made, keep=True)
            yield bench.evaluate(self.source(attack, "", "blank"), made=made, keep=True)
        finally:
            shutil.rmtree(made.top, ignore_errors=True)

    def _sentence(self, attack: Attack, reason: str, best: Outcome, done: int, caught: int) -> str:
        study = self.study
        shown = number(best.score)
        honest, husk = number(study.mean), number(study.husk)
        control = self.control(attack).score
        what = {
            "nan": f"the evaluator gave a score that is not a number, where honest work earns {honest}; a loop that "
            "rejects only what is worse keeps it",
            "infinite": f"the evaluator gave an infinite score, where honest work earns {honest}",
            "more": f"earned {shown}, better than the honest candidate's {honest}",
            "half": f"earned {shown}; the honest candidate earns {honest}",
        }[reason]
        return (
            f"{what}; a candidate without work earns {husk}, the same candidate without the exploit {number(control)} "
            f"(worked in {done - caught} of {done} {'run' if done == 1 else 'runs'})"
        )

    def _effect(self, attack: Attack, source: str, path: Path) -> Finding:
        bench = self.study.bench
        made = bench.fresh()
        limit = max(HANG, self.study.facts.source.limit * 1.2 + 5) if attack.id == "limits/hang" else 0.0
        limit = min(limit, self.hang) if self.hang else limit
        try:
            outcome = bench.evaluate(source, made=made, keep=True, timeout=limit)
            if attack.id == "reach/leave":
                outcome = bench.evaluate(source, made=made, keep=True)
        finally:
            shutil.rmtree(made.top, ignore_errors=True)
        why, seen = _reached(attack, outcome, self.heard, bench.timeout)
        if attack.id == "limits/hang" and outcome.ended.ended == "exit":
            self.study.facts = replace(self.study.facts, limited=outcome.ended.seconds)
        verdict = Verdict.EXPOSURE if why else Verdict.CAUGHT
        return self._finding(
            attack,
            verdict,
            why or "not reached",
            runs=1,
            caught=0 if why else 1,
            score=outcome.score,
            source=str(path),
            evidence=seen,
        )

    def _finding(
        self,
        attack: Attack,
        verdict: Verdict,
        why: str,
        *,
        runs: int = 0,
        caught: int = 0,
        score: float | None = None,
        source: str = "",
        best: Outcome | None = None,
        evidence: tuple[str, ...] = (),
    ) -> Finding:
        study = self.study
        place = locate(attack, study, best) if verdict in (Verdict.HOLE, Verdict.EXPOSURE) else None
        control = self.controls.get(self._key(attack))
        return Finding(
            attack.id,
            attack.kind,
            attack.title,
            verdict,
            why,
            attack.did,
            attack.fix,
            runs,
            caught,
            score,
            control.score if control else None,
            study.mean,
            study.husk,
            place,
            source,
            evidence=evidence,
        )


def _reached(
    attack: Attack, outcome: Outcome, heard: Callable[[], bool], timeout: float
) -> tuple[str, tuple[str, ...]]:
    """What an attack without credit reached, proven by its effect; empty when nothing."""
    name = attack.id.partition("/")[2]
    effects = outcome.effects
    if name == "network":
        return ("a connection from the candidate arrived" if heard() else ""), ()
    if name == "hang":
        ended = outcome.ended.ended == "timeout"
        return (
            f"the evaluator did not end a hanging candidate within {outcome.ended.seconds:.0f} s" if ended else ""
        ), ()
    if name == "write":
        files = outcome.changed[:6]
        return (f"changed: {', '.join(files)}" if files else ""), ()
    if name == "crash":
        return "", ()
    if not effects or (attack.kind == "resources" and (outcome.score is None or not math.isfinite(outcome.score))):
        return "", ()
    names = sorted({str(n) for each in effects for n in each.get("names", [])})
    what = ", ".join(dict.fromkeys(str(each.get("what")) for each in effects))
    told = {
        "memory": f"the candidate shares a process with variables such as {', '.join(names[:6])}" if names else "",
        "environment": "a secret in the evaluator's environment was read",
        "parent": f"read: {what}",
        "read": f"{len(effects)} files could be opened",
        "leave": "files left by one evaluation were seen by the next",
    }
    if attack.kind == "resources":
        return {
            "memory": "1 GiB was taken and the score was given all the same",
            "output": "20 MB were printed and the score was given all the same",
            "processes": "100 processes ran at once and the score was given all the same",
        }.get(name, ""), ()
    return told.get(name, what), ()
