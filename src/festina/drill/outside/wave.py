"""All attacks on one evaluator, side by side, within the time that the caller has.

Invariants: an attack that fails on our side or for which no time is left is ``not tested``, by name, and the others go
on; where time is limited, one attack of each class runs before the second of any.
"""

from __future__ import annotations

import math
import time
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial

from festina.drill.model import Finding, Verdict
from festina.drill.outside import catalog
from festina.drill.outside.assault import Assault
from festina.drill.outside.bake import baked
from festina.drill.outside.catalog import Attack
from festina.drill.outside.mutants import mutants
from festina.drill.outside.side import workers
from festina.errors import Fault, UsageError

LATE = "the time given with --seconds was over before it began"


def asked(attack: Attack, only: Sequence[str]) -> bool:
    return any(attack.kind == name or attack.id == name or attack.id.startswith(name + "/") for name in only)


@dataclass
class Wave:
    """All attacks on one honest candidate. ``until``: by the monotonic clock, after which no attack begins."""

    assault: Assault
    only: Sequence[str]
    say: Callable[[str], None]
    until: float = math.inf
    built: Callable[[Attack], bool] = lambda _: True  # whether an attack is built on this study's candidate
    lenient: bool = False  # other candidates know other attacks
    done: int = 0

    def attacks(self) -> list[Finding]:
        study = self.assault.study
        if study.honest is None:
            return self._mutants()
        wanted = [a for a in catalog.everything() if not self.only or asked(a, self.only)]
        if self.only and not wanted and not self.lenient:
            known = sorted({a.kind for a in catalog.everything()} | {"constant"})
            if not any(name == "constant" or name.startswith("constant/") for name in self.only):
                raise UsageError(
                    "drill-unknown-class",
                    f"no attack is called {', '.join(self.only)}",
                    fix=f"give one of: {', '.join(known)}, or the id of an attack",
                )
        if any(a.id == "limits/alarm" for a in wanted) and not any(a.id == "limits/hang" for a in wanted):
            wanted += [a for a in catalog.everything() if a.id == "limits/hang"]
        wanted = [a for a in wanted if self.built(a)]
        if math.isfinite(self.until):
            wanted = _by_turns(wanted)
            self.assault.hang = max(5.0, (self.until - time.monotonic()) / 3)
        first = [a for a in wanted if a.id == "limits/hang"]  # it takes longest, and says whether there is a limit
        last = [a for a in wanted if a.id == "limits/alarm"]  # needs to know that limit
        rest = [a for a in wanted if a not in (*first, *last)]
        with workers(study.bench.workers) as pool:
            started = [pool.submit(self._one, each, len(wanted)) for each in first]
            shared = {(a.base, a.control): a for a in rest if not study.facts.lacks(a.needs) and a.mode != "effect"}
            for control in [pool.submit(self._control, attack) for attack in shared.values()]:
                control.result()
            started += [pool.submit(self._one, each, len(wanted)) for each in rest]
            findings = [each.result() for each in started]
        return findings + [self._one(each, len(wanted)) for each in last]

    def _control(self, attack: Attack) -> None:
        """Controls first, so that two attacks do not both evaluate the same one; a failure is told by the attack."""
        if time.monotonic() < self.until:
            with suppress(Fault, OSError):
                self.assault.control(attack)

    def _mutants(self) -> list[Finding]:
        """Attacks on an evaluator whose candidates are not Python."""
        study = self.assault.study
        forged = baked(study.known())["FORGED"]
        every = list(mutants(study.raw, study.bench.given.file.name, forged, study.bench.base))
        wanted = [each for each in every if not self.only or asked(each.attack, self.only)]
        if wanted:
            self._control(wanted[0].attack)
        with workers(study.bench.workers) as pool:
            jobs = [(each.attack, partial(self.assault.mutant, each)) for each in wanted]
            started = [pool.submit(self._tried, attack, carry_out, len(wanted)) for attack, carry_out in jobs]
            return [each.result() for each in started]

    def _one(self, attack: Attack, of: int) -> Finding:
        return self._tried(attack, partial(self.assault.attack, attack), of)

    def _tried(self, attack: Attack, carry_out: Callable[[], Finding], of: int) -> Finding:
        if time.monotonic() >= self.until and not self.assault.study.facts.lacks(attack.needs):
            finding = self.assault.untested(attack, LATE)
        else:
            try:
                finding = carry_out()
            except Fault as error:
                finding = self.assault.untested(attack, f"our side failed: {error.what}")
            except OSError as error:
                finding = self.assault.untested(attack, f"our side failed: {error.strerror or error}")
        self.done += 1
        if finding.verdict is Verdict.HOLE:
            self.say(f"  hole: {attack.id}: {finding.why}")
        elif self.done % 20 == 0:
            self.say(f"  {self.done} of {of} attacks")
        return finding


def _by_turns(attacks: Sequence[Attack]) -> list[Attack]:
    """One of each class, then the second of each, and so on."""
    seen: Counter[str] = Counter()
    turns = []
    for attack in attacks:
        turns.append(seen[attack.kind])
        seen[attack.kind] += 1
    return [attack for _, attack in sorted(zip(turns, attacks, strict=True), key=lambda each: each[0])]
