"""Acceptance rules that others use or propose, many runs at once, on the same streams of paired differences.

``rule.decide(d, truth)`` judges one proposal in every run: ``d`` holds a run's differences to its incumbent in a row
(positive is better, in shares of the declared range), most of which a rule never looks at; ``used`` says how many it
did. ``truth`` is the true mean; no rule looks at it: it goes into ``gain``, the run's true level so far. ``told`` is
the number that the rule shows to whoever asks; boosting learns from it (``attack``).

Written from the papers and, where it says so, from the code as it is published; nothing of theirs is copied. Rules that
run the code of somebody's package are in ``packages``. Pairing on the same items is a favour to all of them: most
compare with a score that was remembered.

Does not cover: what else those systems do (their search, prompts, archives beyond what decides acceptance).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np

from acceptance.frame import ALPHA, Array, Flags
from acceptance.runs import Counts, learn, levels_of
from festina.select import Plan
from festina.select.budget import FdrBudget
from festina.select.vector import Ends, Noises, gate

NORMAL = NormalDist()


@dataclass
class Verdict:
    """One proposal, judged in every run; arrays of one entry a run."""

    accepted: Flags
    used: Counts  # paired evaluations looked at
    told: Array  # what is shown of the score; without a score 1 for accepted and 0 for not


class Rule:
    """A rule with the state of all its runs."""

    name = ""
    source = ""

    def __init__(self, runs: int) -> None:
        self.runs = runs
        self.gain = np.zeros(runs)  # true level of what the rule would ship, over generation 0

    def decide(self, d: Array, truth: Array) -> Verdict:
        verdict = self.judge(d)
        self.gain = self.gain + np.where(verdict.accepted, truth, 0.0)
        return verdict

    def judge(self, d: Array) -> Verdict:
        raise NotImplementedError

    def _fixed(self, accepted: Flags, used: int, told: Array) -> Verdict:
        return Verdict(accepted, np.full(self.runs, used), told)


class KeepIfBetter(Rule):
    """Accept what scored better. autoresearch, OpenEvolve's tracked best (``packages``), most loops."""

    source = "karpathy/autoresearch, program.md (keep when the metric improved): re-implemented"

    def __init__(self, runs: int, units: int) -> None:
        super().__init__(runs)
        self.units, self.name = units, f"keep if better, {units} evaluation{'s' if units > 1 else ''}"

    def judge(self, d: Array) -> Verdict:
        mean = d[:, : self.units].mean(1)
        return self._fixed(mean > 0, self.units, mean)


class StandardErrors(Rule):
    """Accept when the mean is above so many standard errors: Ladder's step at 1, a t-test at its quantile."""

    def __init__(self, runs: int, units: int, times: float, name: str, source: str) -> None:
        super().__init__(runs)
        self.units, self.times, self.name, self.source = units, times, name, source

    def judge(self, d: Array) -> Verdict:
        mean, error = mean_and_error(d[:, : self.units])
        return self._fixed(mean > self.times * error, self.units, mean)


class Ladder(StandardErrors):
    """The parameter-free Ladder as a gate: one standard error above the best so far, else the old score is shown."""

    def __init__(self, runs: int, units: int) -> None:
        source = "Blum and Hardt, arXiv 1502.04585, algorithm 2: re-implemented (its use as a gate is ours)"
        super().__init__(runs, units, 1.0, f"Ladder, 1 standard error, {units}", source)

    def judge(self, d: Array) -> Verdict:
        verdict = super().judge(d)
        verdict.told = np.where(verdict.accepted, verdict.told, 0.0)
        return verdict


def t_test(runs: int, units: int, level: float = ALPHA) -> StandardErrors:
    """Student's one-sided t at a fixed size and level."""
    name = f"t-test at {level:g}, {units}"
    return StandardErrors(runs, units, t_quantile(level, units - 1), name, "textbook: re-implemented")


def bonferroni(runs: int, units: int, proposals: int, name: str = "") -> StandardErrors:
    """The same with alpha shared among a number of proposals that must be known before."""
    rule = t_test(runs, units, ALPHA / proposals)
    rule.name = name or f"Bonferroni t, {units}, number of proposals known before"
    return rule


class Thresholdout(Rule):
    """The reusable holdout: the training mean, unless the holdout disagrees by more than a noisy threshold."""

    source = "Dwork et al., Science 349 (2015), constants of its experiment: re-implemented (its use as a gate is ours)"
    THRESHOLD, SIGMA = 0.04, 0.01

    def __init__(self, runs: int, units: int, seed: int = 0) -> None:
        super().__init__(runs)
        self.units, self.rng = units, np.random.default_rng((seed, units))
        self.name = f"Thresholdout T=.04 sigma=.01, {units}"
        self.noise = self._laplace(2.0)

    def judge(self, d: Array) -> Verdict:
        """Columns: the holdout first, then as many training items."""
        hold, train = d[:, : self.units].mean(1), d[:, self.units : 2 * self.units].mean(1)
        far = np.abs(hold - train) > self.THRESHOLD + self.noise + self._laplace(4.0)
        told = np.where(far, hold + self._laplace(1.0), train)
        self.noise = np.where(far, self._laplace(2.0), self.noise)  # the threshold is drawn anew once it was used
        return self._fixed(told > 0, 2 * self.units, told)

    def _laplace(self, times: float) -> Array:
        return self.rng.laplace(0.0, times * self.SIGMA, self.runs)


class Racing(Rule):
    """Look every so often, at a t-test that knows nothing of the looks before: ahead wins, behind drops out."""

    source = "irace's repeated paired t-tests (Lopez-Ibanez et al. 2016), first look after 50: re-implemented"
    LEVEL = 0.05

    def __init__(self, runs: int, most: int, every: int = 50) -> None:
        super().__init__(runs)
        self.looks, self.every = most // every, every
        self.name = f"racing, t-test every {every} up to {most}"

    def judge(self, d: Array) -> Verdict:
        cut = d[:, : self.looks * self.every].reshape(self.runs, self.looks, self.every)
        n = self.every * np.arange(1, self.looks + 1)
        mean = cut.sum(2).cumsum(1) / n
        variance = np.maximum(((cut * cut).sum(2).cumsum(1) - n * mean * mean) / (n - 1), 0.0)
        bar = np.array([t_quantile(self.LEVEL, int(k) - 1) for k in n]) * np.sqrt(variance / n)
        ahead, behind = mean > bar, mean < -bar
        over = ahead | behind
        at = np.where(over.any(1), over.argmax(1), self.looks - 1)
        rows = np.arange(self.runs)
        return Verdict(ahead[rows, at], n[at], mean[rows, at])


class SGM(Rule):
    """Statistical Goedel Machine: screen, and confirm what looks good at a level that only confirmations use up.

    As in its published code, the screen's evaluations are part of the confirmation, differences are bounded by 1 and
    the error budget is shared harmonically among a number of rounds that must be known before.
    """

    source = "arXiv 2510.10232 and its published code (Hoeffding; empirical Bernstein with R=1): re-implemented"
    TRIGGER = 0.004  # 0.4 points, the default of its CIFAR loop

    def __init__(self, runs: int, rounds: int, bound: str, screen: int, confirm: int, name: str = "") -> None:
        super().__init__(runs)
        self.bound, self.screen, self.confirm = bound, screen, confirm
        self.total, self.confirmed = sum(1.0 / k for k in range(1, rounds + 1)), np.zeros(runs, dtype=int)
        self.name = name or f"SGM, {bound}, {screen} then {confirm}"

    def judge(self, d: Array) -> Verdict:
        screened = d[:, : self.screen].mean(1) >= self.TRIGGER
        self.confirmed = self.confirmed + screened
        level = ALPHA / (np.maximum(self.confirmed, 1) * self.total)
        mean, error = mean_and_error(d[:, : self.confirm])
        n = self.confirm
        if self.bound == "Hoeffding":
            radius = np.sqrt(2.0 * np.log(1.0 / level) / n)
        else:
            radius = error * np.sqrt(2.0 * np.log(3.0 / level)) + 3.0 * np.log(3.0 / level) / n
        used = np.where(screened, self.confirm, self.screen)
        return Verdict(screened & (mean > radius), used, np.where(screened, mean, 0.0))


class Leeway(Rule):
    """Darwin Goedel Machine, ``keep_better``: into the archive comes what is at most 0.1 under the *first* agent.

    A child's score is its parent's plus what the edit gained on the same items. The level reported is that of the
    archive's member with the best score.
    """

    name = "DGM archive, leeway .1, 100"
    source = "jennyzzt/dgm, DGM_outer.py (update_archive; parents by score and children): re-implemented"
    LEEWAY, FIRST = 0.1, 0.5  # the first agent's score: only enters how parents are drawn

    def __init__(self, runs: int, units: int = 100, seed: int = 0) -> None:
        super().__init__(runs)
        self.units, self.rng = units, np.random.default_rng((seed, 5))
        self.score, self.true, self.children = (np.zeros((runs, 1)) for _ in range(3))
        self.member = np.ones((runs, 1), dtype=bool)

    def decide(self, d: Array, truth: Array) -> Verdict:
        rows, change = np.arange(self.runs), d[:, : self.units].mean(1)
        weight = self.member / (1.0 + np.exp(-10.0 * (self.FIRST + self.score - 0.5))) / (1.0 + self.children)
        drawn = weight.cumsum(1) > (self.rng.random(self.runs) * weight.sum(1))[:, None]
        parent = drawn.argmax(1)
        self.children[rows, parent] += 1
        score = self.score[rows, parent] + change
        accepted = score >= -self.LEEWAY
        for name, column in (("score", score), ("true", self.true[rows, parent] + truth), ("children", 0 * score)):
            setattr(self, name, np.concatenate([getattr(self, name), column[:, None]], axis=1))
        self.member = np.concatenate([self.member, accepted[:, None]], axis=1)
        best = np.where(self.member, self.score, -np.inf).argmax(1)
        self.gain = self.true[rows, best]
        return self._fixed(accepted, self.units, change)


class PerDecision(Rule):
    """A betting e-process for each decision at 0.05, nothing for the run, no giving up: what PACE's abstract says.

    The bets are this project's.
    """

    name = "e-process for each decision at .05 (as PACE)"
    source = "arXiv 2606.08106, per decision and not per run: re-implemented with this project's bets"

    def __init__(self, runs: int, plan: Plan) -> None:
        super().__init__(runs)
        self.plan = plan

    def judge(self, d: Array) -> Verdict:
        ends = gate(self.plan, np.full(len(d), ALPHA), d, futility=False)
        return _verdict(ends)


class Festina(Rule):
    """This project's rule with its budget for the whole run, on fresh items."""

    name = "Festina"
    source = "this project"

    def __init__(self, runs: int, plan: Plan) -> None:
        super().__init__(runs)
        self.plan, self.levels = plan, levels_of("fresh", runs)

    def judge(self, d: Array) -> Verdict:
        opened = self.levels.open()
        ends = gate(self.plan, opened, d, noise=self.levels.noise)
        verdict = _verdict(ends)
        learn(self.levels, ends, d)
        self.levels.close(opened, verdict.accepted, ends.refund, np.ones(self.runs, dtype=np.int64))
        return verdict


class FestinaFdr(Rule):
    """The same with ``error = "fdr"``: alpha bounds the average share of wrong ones among what is accepted."""

    name = 'Festina, error = "fdr"'
    source = "this project"

    def __init__(self, runs: int, plan: Plan) -> None:
        super().__init__(runs)
        self.plan, self.budgets = plan, [FdrBudget(ALPHA) for _ in range(runs)]
        self.noise = Noises(np.zeros(runs), np.zeros(runs))

    def judge(self, d: Array) -> Verdict:
        opened = [budget.open() for budget in self.budgets]
        ends = gate(self.plan, np.array([level for level, _ in opened]), d, noise=self.noise)
        self.noise = self.noise.after(ends.units, d)
        verdict = _verdict(ends)
        self.budgets = [
            budget.close(level, bool(accepted), float(refund))
            for (level, budget), accepted, refund in zip(opened, verdict.accepted, ends.refund, strict=True)
        ]
        return verdict


def _verdict(ends: Ends) -> Verdict:
    accepted = ends.outcome == "accept"
    return Verdict(accepted, ends.units, accepted.astype(float))


def mean_and_error(d: Array) -> tuple[Array, Array]:
    """Mean and its standard error, row by row."""
    n = d.shape[1]
    mean = d.mean(1)
    return mean, np.sqrt(np.maximum((d * d).mean(1) - mean * mean, 0.0) / (n - 1)) + 1e-300


def t_quantile(level: float, freedom: int) -> float:
    """Student's upper quantile from the normal one (Cornish and Fisher, two terms; good from 20 degrees on)."""
    z = NORMAL.inv_cdf(1.0 - level)
    return z + (z**3 + z) / (4 * freedom) + (5 * z**5 + 16 * z**3 + 3 * z) / (96 * freedom**2)


def bonferroni_size(power: float, detect: float, sd: float, proposals: int) -> int:
    """The fixed size at which Bonferroni's t finds a gain of ``detect`` with this power."""
    z = NORMAL.inv_cdf(1.0 - ALPHA / proposals) + NORMAL.inv_cdf(power)
    return math.ceil((z * sd / detect) ** 2) + 3
