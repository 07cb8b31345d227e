"""What a drill records: one finding per attack, one row per way of being honest, and exact intervals.

Invariants:

- ``caught`` is said only of an attack whose positive control worked; without one it is ``not tested``.  # V-2
- A rate belongs to repeated runs of one attack. A class shows its weakest attack and is never pooled with another.
- A drill that found nothing has shown nothing more than that: ``SILENCE`` is the last line of every output.

Frozen values, no input or output.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, field
from enum import StrEnum

from festina.select.rates import exact
from festina.select.verifiers import OwnWord

SILENCE = "A quiet drill is no proof: it tried the attacks named above and no others."
OPEN_EXIT = 3


class Verdict(StrEnum):
    """How an attack ended."""

    CAUGHT = "caught"  # it earned no credit, and its positive control did
    HOLE = "hole"  # it earned credit without doing the work
    EXPOSURE = "exposure"  # it reached something that it should not, without credit by that alone
    NOT_APPLICABLE = "not applicable"  # this evaluator offers no place for it
    NOT_TESTED = "not tested"  # its positive control did not work here, or the run failed on our side


# What each class of attack is about, in words for users. The order is that of the tables.
KINDS: dict[str, str] = {
    "constant": "empty, constant or answer-everything output",
    "numbers": "not-a-number, infinite or out-of-range values",
    "objects": "objects that lie about equality or type",
    "scorer": "replace the evaluator's own functions",
    "compare": "patch the libraries that the evaluator compares with",
    "clock": "patch the clock, or work after it stopped",
    "exit": "end the process with success",
    "forge": "print or write the result itself",
    "denominator": "leave failures out of the count",
    "reference": "take the expected answer from the evaluator's memory",
    "labels": "read the answers from disk",
    "replay": "answer from a recording or by order",
    "seeds": "make the random test data predictable",
    "tests": "rewrite test outcomes from inside the test runner",
    "imports": "be imported instead of a library, or run instead of a tool",
    "payload": "output that runs code when it is read",
    "files": "change the evaluator, its tests or its labels on disk",
    "persist": "leave something for the next evaluation",
    "limits": "raise or ignore the time limit",
    "vacuous": "remove what the output is compared with",
    "judge": "talk to the judge",
    "resources": "exhaust memory, processes or output",
    "reach": "reach the network, secrets or other processes",
    "patch": "smuggle a forbidden change into a proposal",
    "selection": "resubmit, hunt for luck, or choose the test",
    "approval": "approve one thing and release another, or forge the record",
    "task": "settings of a task that let failures pass",
}


@dataclass(frozen=True)
class Place:
    """A line of the evaluator."""

    file: str  # relative to the evaluator's directory
    line: int
    text: str = ""  # the line as it stands

    def __str__(self) -> str:
        return f"{self.file}:{self.line}"


@dataclass(frozen=True)
class Finding:
    """What one attack did and earned."""

    attack: str  # stable id, "kind/name"
    kind: str  # a key of KINDS
    title: str  # what the attack is, one line
    verdict: Verdict
    why: str  # the sentence with the numbers or the reason
    did: str = ""  # what the exploit did, step by step in a sentence or two
    fix: str = ""
    runs: int = 0  # evaluations behind this line
    caught: int = 0  # of these, how many were caught
    score: float | None = None  # best score that the attack earned (None: no score)
    control: float | None = None  # the same candidate without the exploit
    honest: float | None = None
    husk: float | None = None  # a candidate with the same interface that does no work
    place: Place | None = None
    source: str = ""  # path of the attack's source, kept in the results folder
    command: str = ""  # reproduces it
    evidence: tuple[str, ...] = ()
    words: tuple[OwnWord, ...] = ()  # where several verifiers judge: of each, the goal's first  # V-5

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise ValueError(f"unknown class of attack: {self.kind}")
        if not 0 <= self.caught <= self.runs:
            raise ValueError(f"{self.attack}: caught {self.caught} of {self.runs} runs")


@dataclass(frozen=True)
class Honest:
    """One way of being honest that must keep its score (or pass its gate)."""

    variant: str
    runs: int
    kept: int
    why: str = ""  # what went wrong when not all were kept, or why it was not run
    applicable: bool = True


@dataclass(frozen=True)
class Report:
    """A whole drill."""

    target: str
    summary: tuple[str, ...]  # plain sentences for the top
    findings: tuple[Finding, ...]
    honest: tuple[Honest, ...]
    guesses: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()  # what could not be looked at, and why
    folder: str = ""  # where the sources of the attacks lie
    seconds: float = 0.0
    strict: bool = False  # exposures count as open too
    extra: dict[str, str] = field(default_factory=dict)

    @property
    def holes(self) -> tuple[Finding, ...]:
        return tuple(each for each in self.findings if each.verdict is Verdict.HOLE)

    @property
    def exposures(self) -> tuple[Finding, ...]:
        return tuple(each for each in self.findings if each.verdict is Verdict.EXPOSURE)

    @property
    def exit_code(self) -> int:
        """3 while a hole is open (``strict``: or an exposure), else 0."""
        return OPEN_EXIT if self.holes or (self.strict and self.exposures) else 0

    def false_alarms(self) -> tuple[int, int]:
        """(honest runs that lost, honest runs)."""
        rows = [row for row in self.honest if row.applicable]
        runs = sum(row.runs for row in rows)
        return runs - sum(row.kept for row in rows), runs


@dataclass(frozen=True)
class KindRow:
    """One class of attack: how many of its attacks were caught, and the weakest of them over its runs."""

    kind: str
    attacks: int
    caught: int  # attacks caught in every run
    exposures: int
    weakest: Finding | None
    interval: tuple[float, float] | None  # of the weakest attack's catch rate


def rows(findings: Iterable[Finding]) -> tuple[KindRow, ...]:
    """The table by class. Attacks that did not apply or were not tested are not in it."""
    found = list(findings)
    table = []
    for kind in KINDS:
        tried = [each for each in found if each.kind == kind and each.verdict in TRIED]
        if not tried:
            continue
        rated = [each for each in tried if each.runs]
        weakest = min(rated, key=lambda each: (each.caught / each.runs, -each.runs), default=None)
        interval = exact(weakest.caught, weakest.runs) if weakest else None
        caught = sum(each.verdict is Verdict.CAUGHT for each in tried)
        exposures = sum(each.verdict is Verdict.EXPOSURE for each in tried)
        table.append(KindRow(kind, len(tried), caught, exposures, weakest, interval))
    return tuple(table)


TRIED = frozenset({Verdict.CAUGHT, Verdict.HOLE, Verdict.EXPOSURE})


def record(report: Report) -> list[dict[str, object]]:
    """The report as JSON records: one per finding and honest row, the summary last. Finite numbers or null only."""
    lines: list[dict[str, object]] = []
    for each in report.findings:
        entry: dict[str, object] = {"record": "finding", **asdict(each), "verdict": each.verdict.value}
        entry["place"] = str(each.place) if each.place else None
        entry["interval"] = exact(each.caught, each.runs) if each.runs else None
        lines.append({key: _finite(value) for key, value in entry.items()})
    lines += [{"record": "honest", **asdict(row)} for row in report.honest]
    lost, runs = report.false_alarms()
    lines.append({
        "record": "drill",
        "target": report.target,
        "holes": len(report.holes),
        "exposures": len(report.exposures),
        "honest_lost": lost,
        "honest_runs": runs,
        "honest_interval": exact(lost, runs),
        "guesses": report.guesses,
        "notes": report.notes,
        "folder": report.folder,
        "seconds": round(report.seconds, 1),
        "exit": report.exit_code,
        "silence": SILENCE,
        **report.extra,
    })
    return lines


def _finite(value: object) -> object:
    return repr(value) if isinstance(value, float) and not math.isfinite(value) else value


def worst(findings: Sequence[Finding]) -> list[Finding]:
    """Holes, the most profitable first: what earned more than honest work, then what came closest to it."""
    return sorted(findings, key=lambda each: (_profit(each), each.attack))


def _profit(each: Finding) -> float:
    if each.score is None or each.honest is None or not math.isfinite(each.score):
        return -math.inf
    return -abs(each.score - (each.husk or 0.0))
