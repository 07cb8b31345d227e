"""Gates under attack: what is accepted, and what of it is real, when the proposer learns from what the gate lets out.

``boost`` has ten real gains of .08 among 190 worse proposals: a gate is judged by the true level that it ends with.
In ``climb`` and ``duplicates`` nothing is ever better, so that any acceptance is wrong.

Gates: rules of ``peers`` on a holdout of ``n`` items that stays; Festina's rule for fresh items on that same holdout
(a mistake on purpose: it shows that the attacks work on it, too); and Festina as it is used: on fresh items, on sealed
blocks of ``n``, and on one block with its ledger of what was told. "Short slots" gives words after every 50 units,
so that the time of a word says how long the test was: the attacker then learns from that, and the gate pays.

Does not cover: leaks past the gate (people who read scores and propose, timing of the machine; docs/threats.md).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np

from acceptance import peers
from acceptance.attackers import GAIN, GAINS, Attacker, Boost, Climb, Duplicates
from acceptance.frame import ALPHA, BETA, Array, Column, Flags, Goal, Job, Row, Size, Table, Tables, stream, upper_limit
from acceptance.runs import Mode, Sealed, learn, levels_of
from festina.select import Plan
from festina.select.vector import gate

DETECT, CAP = 0.05, 4000
MEMORY = 2_000_000  # runs times items at once
BLOCK, SMALL = 2000, 500  # items of the holdout; of the attacks in which nothing is better
SHORT = 50  # units of a short slot
ACCEPTED = 1e6  # what an attacker makes of "accepted": more than any test that went on for long
KEEP, LADDER, THRESHOLDOUT = "keep if better", "Ladder, 1 standard error", "Thresholdout"
SEALED, FRESH = "Festina, sealed blocks", "Festina, fresh items, scores shown"
MISTAKE = "MISTAKE: Festina for fresh items, on one holdout, scores shown"


class Shared(peers.Rule):
    """Festina's rule on items that candidates share, or on fresh ones."""

    def __init__(self, runs: int, items: int, mode: Mode, shows: str) -> None:
        super().__init__(runs)
        self.plan = Plan("bounded", 0.5, 0.0, DETECT, BETA, (), items)
        self.levels, self.shows, self.slot = levels_of(mode, runs), shows, SHORT if shows == "slots" else items
        self.over = np.zeros(runs, dtype=bool)  # whose block is to be replaced

    def judge(self, d: Array) -> peers.Verdict:
        opened = self.levels.open()
        ends = gate(self.plan, opened, d, noise=self.levels.noise)
        learn(self.levels, ends, d)
        accepted, slots = ends.outcome == "accept", 1 + (ends.units - 1) // self.slot
        self.levels.close(opened, accepted, ends.refund, slots)
        if isinstance(self.levels, Sealed):
            self.over = self.levels.index == 0
        told = d.mean(1) if self.shows == "scores" else np.where(accepted, ACCEPTED, slots.astype(float))
        return peers.Verdict(accepted, ends.units, told)


class Shows(peers.Rule):
    """A rule that shows something else than it would: the score, or the verdict alone."""

    def __init__(self, rule: peers.Rule, scores: bool) -> None:
        super().__init__(rule.runs)
        self.rule, self.scores = rule, scores

    def judge(self, d: Array) -> peers.Verdict:
        verdict = self.rule.judge(d)
        told = d.mean(1) if self.scores else verdict.accepted.astype(float)
        return peers.Verdict(verdict.accepted, verdict.used, told)


@dataclass(frozen=True)
class Gate:
    """A rule on a holdout. ``holds``: a theorem of this project covers it."""

    name: str
    make: Callable[[int, int], peers.Rule]  # (runs, items)
    fresh: bool = False
    train: bool = False  # has as many training items beside its holdout
    holds: bool = False
    once: bool = False  # the main holdout size is enough


def _keep(runs: int, items: int) -> peers.Rule:
    return peers.KeepIfBetter(runs, items)


def _bonferroni(runs: int, items: int) -> peers.Rule:
    return peers.bonferroni(runs, items, Boost.proposals)


def _bits(runs: int, items: int) -> peers.Rule:
    return Shows(_bonferroni(runs, items), scores=False)


def _alone(runs: int, items: int) -> peers.Rule:
    return Shows(peers.PerDecision(runs, Plan("bounded", 0.5, 0.0, DETECT, BETA, (), items)), scores=True)


def _shared(runs: int, items: int, *, mode: Mode, shows: str) -> peers.Rule:
    return Shared(runs, items, mode, shows)


GATES = (
    Gate(KEEP, _keep),
    Gate("t-test at .05", peers.t_test),
    Gate(LADDER, peers.Ladder),
    Gate(THRESHOLDOUT, peers.Thresholdout, train=True),
    Gate("Bonferroni t, scores shown", _bonferroni),
    Gate("Bonferroni t, verdicts only", _bits),
    Gate("e-process at .05 a decision, scores shown", _alone, once=True),
    Gate(MISTAKE, partial(_shared, mode="fresh", shows="scores"), once=True),
    Gate(SEALED, partial(_shared, mode="sealed", shows="words"), holds=True),
    Gate("Festina, sealed, short slots", partial(_shared, mode="sealed", shows="slots"), holds=True, once=True),
    Gate("Festina, ledger", partial(_shared, mode="ledger", shows="words"), holds=True),
    Gate("Festina, ledger, short slots", partial(_shared, mode="ledger", shows="slots"), holds=True, once=True),
    Gate(FRESH, partial(_shared, mode="fresh", shows="scores"), fresh=True, holds=True, once=True),
)
ATTACKS: dict[str, Callable[..., Attacker]] = {"boost": Boost, "climb": Climb, "duplicates": Duplicates}


@dataclass
class Fought:
    """What happened in all runs of one attack on one gate."""

    wrong: Flags
    false: Array
    gain: Array
    seems: Array
    used: Array


def fight(door: Gate, attack: str, runs: int, n: int, seed: int = 1) -> Fought:
    """``n`` is the holdout, or the cap of a test on fresh items."""
    items = 2 * n if door.train else n
    rng = stream("attack", attack, n, seed)
    extra = {"fresh": door.fresh} if attack == "boost" else {}
    attacker, rule = ATTACKS[attack](rng, runs, items, **extra), door.make(runs, n)
    found = Fought(np.zeros(runs, dtype=bool), *(np.zeros(runs) for _ in range(4)))
    for _ in range(attacker.proposals):
        d, truth = attacker.propose()
        verdict = rule.decide(d, np.full(runs, truth))
        if truth <= 0:
            found.wrong |= verdict.accepted
            found.false += verdict.accepted
        found.seems += np.where(verdict.accepted, d[:, :n].mean(1), 0.0)
        found.used += verdict.used
        attacker.learn(verdict.told, verdict.accepted)
        attacker.renew(np.ones(runs, dtype=bool) if door.fresh else getattr(rule, "over", np.zeros(runs, dtype=bool)))
    found.gain = rule.gain
    return found


def row(door: Gate, attack: str, runs: int, n: int) -> list[Row]:
    """One row; runs in batches, for memory."""
    batch = max(1, MEMORY // n)
    parts = [fight(door, attack, min(batch, runs - i), n, i) for i in range(0, runs, batch)]
    wrong = sum(int(part.wrong.sum()) for part in parts)

    def mean(name: str) -> float:
        return float(np.concatenate([getattr(part, name) for part in parts]).mean())

    return [
        {
            "attack": attack, "gate": door.name, "n": None if door.fresh else n, "runs": runs, "wrong": wrong / runs,
            "upper99": upper_limit(wrong, runs) if door.holds else None, "false": mean("false"),
            "gain": mean("gain"), "seems": mean("seems"), "units": mean("used"), "holds": door.holds,
        }
    ]  # fmt: skip


TABLES = (
    Table(
        "attack",
        "Under attack",
        "What a proposer achieves that learns from whatever the gate shows. *Boost*: 190 worse proposals, votes of "
        "probes among them, and ten real gains of .08: a gate is worth its true final gain, of .80 that could be "
        "had; beside it what its own accepted scores add up to. *Climb* builds on what was accepted, *duplicates* "
        "hands in near copies of one draft 200 times; nothing is better there, and any acceptance is wrong. Rules "
        "share one holdout of so many items; Festina has it replaced after an acceptance (sealed), or for ever "
        "(ledger), or draws new items. OpenEvolve's own code is `keep if better` here: with its best as the parent "
        "its database decides the same (`tests/select/test_peers.py`).",
        (
            Column("attack", "attack"),
            Column("gate", "gate"),
            Column("n", "holdout", ",d"),
            Column("runs", "runs", ",d"),
            Column("wrong", "runs with a wrong acceptance", ".3f"),
            Column("upper99", "99 % limit", ".4f"),
            Column("false", "wrong a run", ".2f"),
            Column("gain", "true final gain", "+.2f"),
            Column("seems", "as its scores say", "+.2f"),
            Column("units", "evaluations a run", ",.0f"),
        ),
    ),
)


def jobs(size: Size) -> list[Job]:
    """Full size: validity runs where a theorem is put to the test at the main holdout, a tenth of them elsewhere."""
    found = []
    most = size.runs if size.name != "medium" else size.runs // 50
    for attack in ATTACKS:
        for n in _sizes(attack, size):
            for door in GATES:
                if door.once and attack == "boost" and BLOCK in _sizes(attack, size) and n != BLOCK:
                    continue
                main = attack != "boost" or n == BLOCK
                runs = most if door.holds and main else max(1, min(most, size.runs // 10))
                if "short slots" in door.name and attack == "boost":
                    runs = max(1, runs // 4)  # nothing is accepted there
                units = CAP if door.fresh and n == BLOCK else n
                slow = isinstance(door.make, partial) or door.make is _alone
                weight = (1 + runs / 300) * units / 150 if slow else 1.0
                found.append(Job("attack", partial(row, door, attack, runs, units), weight))
    return found


def _sizes(attack: str, size: Size) -> Sequence[int]:
    if size.name in ("tiny", "quick"):
        return (SMALL // 2,)
    if attack != "boost":
        return (SMALL,)
    return (SMALL, BLOCK, 2 * BLOCK) if size.name == "full" else (BLOCK,)


def goals(tables: Tables) -> list[Goal]:
    """Festina keeps .75 of .80 where the others are left with .15; no theorem is broken."""
    rows = tables["attack"]
    most = max(_number(row["runs"]) for row in rows)
    limits = [_number(row["upper99"]) for row in rows if row["holds"] and row["runs"] == most]
    found = []
    if most >= 1000:  # with fewer runs no limit can be that low
        found.append(Goal("wrong acceptances under attack, 99 % limit, worst row", max(limits), ALPHA, at_most=True))
    gains = {
        str(row["gate"]): _number(row["gain"]) for row in rows if row["attack"] == "boost" and row["n"] in (BLOCK, None)
    }
    if SEALED in gains:
        best = GAIN * GAINS
        found += [Goal(f"boost, {name}: true gain of {best:.2f}", gains[name], 0.75) for name in (SEALED, FRESH)]
        found += [
            Goal(f"boost, {name}: true gain", gains[name], 0.15, at_most=True) for name in (KEEP, LADDER, THRESHOLDOUT)
        ]
    return found


def _number(value: object) -> float:
    assert isinstance(value, int | float)
    return float(value)
