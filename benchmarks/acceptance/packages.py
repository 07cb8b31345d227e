"""Rules whose deciding code is somebody's package, run as it is: ``pip install -e '.[bench]'``.

* :class:`OpenEvolve`: its ``ProgramDatabase`` takes every child with its score, samples the parents and keeps the best.
  Not driven: its models and prompts, its evaluator, processes in parallel. Our programs are names, so its maps of
  features (length, edit distance) are filled with something of no meaning; the fitness that decides is the real one.
* :class:`LordPlus`, :class:`ELond`: online-fdr's spending rules. Its ``BettingEProcess`` is not used: a stake that is a
  function is given the *current* score, which no bet may know.
"""

from __future__ import annotations

import copy
import math
import random

import numpy as np

from acceptance.frame import ALPHA, Array
from acceptance.peers import Rule, Verdict, mean_and_error
from festina.select import Plan
from festina.select.vector import gate


class OpenEvolve(Rule):
    """Accepted is what becomes the tracked best program; a child's score is its parent's plus the edit's gain."""

    source = "openevolve 0.4, ProgramDatabase.add, sample_from_island, get_best_program: from its package"

    def __init__(self, runs: int, units: int = 100, *, islands: bool = True, seed: int = 0) -> None:
        """``islands``: parents come from where the package draws them; else the tracked best is every parent."""
        super().__init__(runs)
        self.islands, where = islands, "parents from its islands" if islands else "its best as the parent"
        self.name = f"OpenEvolve's database, {where}, {units}"
        from openevolve.config import DatabaseConfig
        from openevolve.database import Program, ProgramDatabase

        self.units, self.asked, self.program = units, 0, Program
        self.random = [random.Random(seed * 1000 + run) for run in range(runs)]
        self.databases = [ProgramDatabase(DatabaseConfig(log_prompts=False, random_seed=None)) for _ in range(runs)]
        self.true: list[dict[str, float]] = [{"0": 0.0} for _ in range(runs)]  # by code
        for database in self.databases:
            database.add(Program(id="0", code="0", metrics={"combined_score": 0.5}))

    def decide(self, d: Array, truth: Array) -> Verdict:
        change, accepted = d[:, : self.units].mean(1), np.zeros(self.runs, dtype=bool)
        self.asked += 1
        for run, database in enumerate(self.databases):
            accepted[run] = self._child(run, float(change[run]), float(truth[run]))
            self.gain[run] = self.true[run][database.get_best_program().code]
        return self._fixed(accepted, self.units, change)

    def _child(self, run: int, change: float, truth: float) -> bool:
        database, true = self.databases[run], self.true[run]
        island = self.asked % database.config.num_islands
        random.seed(self.random[run].random())  # the package draws from the module's own generator
        best = database.get_best_program()
        parent = database.sample_from_island(island, num_inspirations=0)[0] if self.islands else best
        name, code = str(self.asked), f"{parent.code} {self.asked}"  # a migrant has an id of its own, and the same code
        true[code] = true[parent.code] + truth
        score = parent.metrics["combined_score"] + change
        database.add(
            self.program(id=name, code=code, parent_id=parent.id, metrics={"combined_score": score}),
            iteration=self.asked, target_island=island,
        )  # fmt: skip
        database.increment_island_generation(island)
        if database.should_migrate():
            database.migrate_programs()
        return bool(database.get_best_program().id == name)


class LordPlus(Rule):
    """LORD++ on the p-values of a t-test: FDR, and only if the p-values are what they say, given the past."""

    source = "online-fdr 1.0, LordPlusPlus: from its package"

    def __init__(self, runs: int, units: int = 500) -> None:
        super().__init__(runs)
        from online_fdr.p_values.investing.lord.plus_plus import LordPlusPlus

        self.units, self.name = units, f"LORD++ on t-tests, {units}"
        self.rules = [LordPlusPlus(ALPHA, ALPHA / 2) for _ in range(runs)]

    def judge(self, d: Array) -> Verdict:
        mean, error = mean_and_error(d[:, : self.units])
        values = p_values(mean / error, self.units - 1)
        accepted = np.array([rule.test_one(float(p)) for rule, p in zip(self.rules, values, strict=True)])
        return self._fixed(accepted, self.units, mean)


class ELond(Rule):
    """e-LOND: the package says the level, this project's bets and giving up supply the e-value."""

    name = "e-LOND on this project's bets"
    source = "online-fdr 1.0, ELond: from its package"

    def __init__(self, runs: int, plan: Plan) -> None:
        super().__init__(runs)
        from online_fdr.e_values import ELond as Rule_

        self.plan, self.rules = plan, [Rule_(ALPHA) for _ in range(runs)]

    def judge(self, d: Array) -> Verdict:
        thresholds = [copy.deepcopy(rule).test_one_detail(0.0).rejection_threshold for rule in self.rules]
        ends = gate(self.plan, 1.0 / np.array(thresholds), d)
        reached = ends.outcome == "accept"
        values = np.where(reached, np.array(thresholds), 0.0)  # below it the size decides nothing
        accepted = np.array([rule.test_one(float(e)) for rule, e in zip(self.rules, values, strict=True)])
        return Verdict(accepted, ends.units, accepted.astype(float))


def p_values(t: Array, freedom: int) -> Array:
    """One-sided, from Student's t by way of a normal quantile (Wallace 1959); good from 30 degrees on."""
    z = np.sign(t) * np.sqrt(freedom * np.log1p(t * t / freedom)) * (8 * freedom + 1) / (8 * freedom + 3)
    return np.array([0.5 * math.erfc(value / math.sqrt(2.0)) for value in z])
