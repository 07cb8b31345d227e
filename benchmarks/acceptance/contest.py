"""Whole runs beside other rules, on the same draws: what each accepts, what of it is wrong, and what it looks at.

Of 200 proposals 80 % change nothing, 10 % are gains and 10 % are losses of the same sizes, in one order that is the
same in all runs. Proposals do not react to verdicts here (``attack`` has those that do).

Two rows have sizes chosen *after* Festina's row, so that they find a gain of ``detect`` as often as it does:
Bonferroni's t and SGM, the latter with the cheapest of a few screens. The streams are the same; the sizes come from
other draws.

Does not cover: rules that share items between proposals; what the systems behind these rules do besides accepting.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np

from acceptance import peers
from acceptance.frame import BETA, Array, Column, Goal, Job, Row, Size, Table, Tables, stream, upper_limit
from acceptance.laws import Graded, Law, catastrophe, ternary
from acceptance.packages import ELond, LordPlus, OpenEvolve
from acceptance.peers import Rule
from festina.select import Plan

PROPOSALS = 200
TOGETHER = 8  # proposals drawn at once
LONGER = 1.5  # streams go on beyond Festina's cap, for rules that need more


@dataclass(frozen=True)
class Scenario:
    """One mixture of proposals. ``null`` is the true mean of those that change nothing."""

    name: str
    law: Callable[[float], Law]
    sizes: tuple[float, ...]
    detect: float
    cap: int
    sd: float
    look: int  # evaluations of the rules with a fixed size
    null: float = 0.0
    all_rules: bool = True

    @property
    def plan(self) -> Plan:
        return Plan("bounded", 0.5, 0.0, self.detect, BETA, (), self.cap)

    @property
    def units(self) -> int:
        return int(LONGER * self.cap)

    def truth(self) -> Array:
        """The true mean of each proposal."""
        tenth = PROPOSALS // 10
        sizes = [self.sizes[i % len(self.sizes)] for i in range(tenth)]
        means = [*sizes, *(-s for s in sizes), *([self.null] * (PROPOSALS - 2 * tenth))]
        return stream("contest order").permutation(np.array(means))


def graded(mean: float, sd: float) -> Law:
    return Graded(mean, sd)


ITEMS, BATCHES = (0.01, 0.02, 0.05, 0.1), (0.03, 0.05, 0.1, 0.15)
SCENARIOS = (
    Scenario("right or wrong items", ternary, ITEMS, 0.05, 4000, 0.447, 500),
    Scenario("graded items, sd .2", partial(graded, sd=0.2), ITEMS, 0.02, 4000, 0.2, 500),
    Scenario("each needless change costs .005", ternary, ITEMS, 0.05, 4000, 0.447, 500, null=-0.005),
    Scenario("batch means, sd .1", partial(graded, sd=0.1), BATCHES, 0.05, 480, 0.1, 50, all_rules=False),
    Scenario("2 % of the units crash", catastrophe, (0.05, 0.1), 0.05, 600, 0.14, 50, all_rules=False),
)


def entrants(scenario: Scenario, runs: int, power: float, seed: int) -> list[Rule]:
    """All rules but Festina's; ``power`` is what Festina's had at ``detect``."""
    n, plan, most = scenario.look, scenario.plan, scenario.cap
    same = max(0.5, min(power, 0.995))
    fixed = min(peers.bonferroni_size(same, scenario.detect, scenario.sd, PROPOSALS), scenario.units)
    found: list[Rule] = [
        peers.KeepIfBetter(runs, 1),
        peers.KeepIfBetter(runs, n // 5),
        peers.KeepIfBetter(runs, n),
        peers.bonferroni(runs, fixed, PROPOSALS, f"Bonferroni t, same power: {fixed}"),
        peers.PerDecision(runs, plan),
    ]
    if not scenario.all_rules:
        return [*found, peers.Racing(runs, most, n // 5), peers.Ladder(runs, n), peers.FestinaFdr(runs, plan)]
    screen, confirm = sgm_sizes(scenario, same)
    return [
        *found,
        OpenEvolve(runs, n // 5, seed=seed),
        OpenEvolve(runs, n // 5, islands=False, seed=seed),
        peers.Leeway(runs, n // 5, seed),
        peers.t_test(runs, n),
        peers.Racing(runs, most),
        peers.Ladder(runs, n),
        peers.Thresholdout(runs, n, seed),
        peers.SGM(runs, PROPOSALS, "Hoeffding", n // 5, most),
        peers.SGM(runs, PROPOSALS, "Bernstein", n // 5, most),
        peers.SGM(runs, PROPOSALS, "Bernstein", screen, confirm, f"SGM, Bernstein, same power: {screen}, {confirm}"),
        LordPlus(runs, n),
        ELond(runs, plan),
        peers.FestinaFdr(runs, plan),
    ]


def sgm_sizes(scenario: Scenario, power: float, draws: int = 1500) -> tuple[int, int]:
    """Screen and confirmation with which SGM (Bernstein) finds ``detect`` this often, at the least cost on nulls."""
    sizes = np.arange(scenario.look, scenario.units + 1, 100)
    good, null = (
        scenario.law(mean).draw(stream("sgm sizes", scenario.name, int(mean > 0)), draws, scenario.units)
        for mean in (scenario.detect, scenario.null)
    )
    least, best = np.inf, (scenario.look, scenario.units)
    for screen in (scenario.look // 5, 2 * scenario.look // 5, 4 * scenario.look // 5, 8 * scenario.look // 5):
        passes = float((null[:, :screen].mean(1) >= peers.SGM.TRIGGER).mean())
        for confirm in (int(n) for n in sizes if n >= screen):
            rule = peers.SGM(draws, PROPOSALS, "Bernstein", screen, confirm)
            rule.confirmed = rule.confirmed + max(1, int(passes * PROPOSALS / 2))  # the middle of the run
            cost = screen + passes * (confirm - screen)
            if cost < least and rule.judge(good).accepted.mean() >= power:
                least, best = cost, (screen, confirm)
    return best


class Score:
    """What a rule did in all runs."""

    def __init__(self, rule: Rule) -> None:
        self.rule = rule
        self.false, self.harmful, self.accepted, self.used = (np.zeros(rule.runs, dtype=np.int64) for _ in range(4))
        self.found: dict[float, list[float]] = {}

    def judge(self, draws: Sequence[Array], truths: Sequence[float]) -> None:
        """Some proposals in a row."""
        runs = self.rule.runs
        if isinstance(self.rule, peers.PerDecision):  # nothing is carried over, and many at once are faster
            verdict = self.rule.judge(np.concatenate(draws))
            for i, truth in enumerate(truths):
                part = slice(i * runs, (i + 1) * runs)
                accepted = verdict.accepted[part]
                self.rule.gain = self.rule.gain + truth * accepted
                self._note(peers.Verdict(accepted, verdict.used[part], verdict.told[part]), truth)
            return
        for d, truth in zip(draws, truths, strict=True):
            self._note(self.rule.decide(d, np.full(runs, truth)), truth)

    def _note(self, verdict: peers.Verdict, truth: float) -> None:
        self.used += verdict.used
        self.accepted += verdict.accepted
        if truth <= 0:
            self.false += verdict.accepted
            self.harmful += verdict.accepted if truth <= -0.01 else 0
        else:
            self.found.setdefault(truth, []).append(float(verdict.accepted.mean()))

    def power(self, size: float) -> float:
        return float(np.mean(self.found[size]))

    def row(self, scenario: Scenario) -> Row:
        runs, wrong = self.rule.runs, int((self.false > 0).sum())
        return {
            "stream": scenario.name, "rule": self.rule.name, "source": self.rule.source, "runs": runs,
            "wrong": wrong / runs, "upper99": upper_limit(wrong, runs), "false": float(self.false.mean()),
            "share": float((self.false / np.maximum(self.accepted, 1)).mean()),
            "harmful": float(self.harmful.mean()), "units": float(self.used.mean()),
            "gain": float(self.rule.gain.mean()), "reachable": float(scenario.truth().clip(0).sum()),
            "found": {f"{size:g}": self.power(size) for size in sorted(self.found)},
            "power": self.power(scenario.detect),
        }  # fmt: skip


def play(scenario: Scenario, rules: Sequence[Rule], runs: int) -> list[Score]:
    """The same draws for all rules."""
    scores = [Score(rule) for rule in rules]
    truths = [float(mean) for mean in scenario.truth()]
    for start in range(0, PROPOSALS, TOGETHER):
        some = range(start, min(start + TOGETHER, PROPOSALS))
        draws = [scenario.law(truths[t]).draw(stream("contest", scenario.name, t), runs, scenario.units) for t in some]
        for score in scores:
            score.judge(draws, [truths[t] for t in some])
    return scores


def rows(scenario: Scenario, runs: int, seed: int = 1) -> list[Row]:
    """One row for each rule, Festina's first."""
    ours = play(scenario, [peers.Festina(runs, scenario.plan)], runs)
    others = play(scenario, entrants(scenario, runs, ours[0].power(scenario.detect), seed), runs)
    return [score.row(scenario) for score in (*ours, *others)]


TABLES = (
    Table(
        "contest",
        "Beside other rules, on the same draws",
        "200 proposals: 80 % change nothing, 10 % are gains, 10 % losses of the same sizes in equal parts (.01, "
        ".02, .05, .1; a row's own are in the JSON). *Runs with a wrong acceptance* is what alpha = 0.05 is about; "
        "the *share* of wrong ones among the accepted, on average over runs, is what rules for FDR bound; "
        "*harmful* are accepted losses of .01 and more. *Found* is the share of gains of `detect` that were "
        "accepted. The gain that could be had is all positive sizes together.",
        (
            Column("stream", "stream"),
            Column("rule", "rule"),
            Column("wrong", "runs with a wrong acceptance", ".3f"),
            Column("false", "wrong a run", ".2f"),
            Column("share", "share of wrong ones", ".3f"),
            Column("harmful", "harmful a run", ".2f"),
            Column("power", "found", ".2f"),
            Column("units", "evaluations a run", ",.0f"),
            Column("gain", "true final gain", ".2f"),
            Column("reachable", "of", ".2f"),
        ),
    ),
)


def jobs(size: Size) -> list[Job]:
    """Below the full size the streams of long tests are left out, but for the first."""
    few = {"tiny": SCENARIOS[3:4], "quick": SCENARIOS[3:], "medium": (SCENARIOS[0], *SCENARIOS[3:])}
    chosen = few.get(size.name, SCENARIOS)
    runs = min(size.streams, 200)
    return [Job("contest", partial(rows, scenario, runs), scenario.cap / 30) for scenario in chosen]


def goals(tables: Tables) -> list[Goal]:
    """A quarter of the evaluations of others at the same power; a fiftieth of the wrong acceptances of PACE."""
    first = [row for row in tables["contest"] if row["stream"] == SCENARIOS[0].name]
    if not first:
        return []
    ours, alone = first[0], next(row for row in first if row["rule"] == peers.PerDecision.name)
    same = [row for row in first if "same power" in str(row["rule"])]
    return [
        *(
            Goal(f"evaluations over those of {row['rule']}", _number(ours["units"]) / _number(row["units"]), 0.25, True)
            for row in same
        ),
        Goal(
            f"wrong acceptances over those of the {alone['rule']}",
            _number(ours["false"]) / _number(alone["false"]), 0.02, at_most=True,
        ),
    ]  # fmt: skip


def _number(value: object) -> float:
    assert isinstance(value, int | float)
    return float(value)
