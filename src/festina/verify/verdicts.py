"""A verdict's entry from what was recorded before it: one composition, for the engine and for whoever checks it.  # S-4

``compose`` is pure: the epoch's terms, the open test with its evidence, the error budget, and what circumstances decide
(verdict, reason, whether the box was weak). Everything else of the entry follows. The engine calls it to write a
verdict; whoever checks one calls it on books of its own.  # S-5
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, Protocol

from festina.errors import IntegrityError
from festina.ledger import entries as e
from festina.select import gate
from festina.select.budget import AnyBudget, Promise, budget_of
from festina.select.noise import UNKNOWN, Noise
from festina.select.pairing import Scale
from festina.select.report import estimate, interval
from festina.select.rules import RULES
from festina.select.words import Finding, Reason, sentence

# Guards of a test for the improver, after the declared ones: the candidate itself beside the version in use, and
# beside the anchor, so that what each of many such steps may lose does not add up; and its improver's refusals.  # S-6
TASK, ANCHORED, CONDUCT = "task", "task since the anchor", "conduct"
Word = Literal["accept", "reject", "inconclusive"]


class Tested(Protocol):
    """An open test with the evidence that there is."""

    @property
    def terms(self) -> e.TestOpened: ...
    @property
    def progress(self) -> gate.TestState: ...
    @property
    def gains(self) -> Sequence[float]: ...
    @property
    def items(self) -> int: ...
    @property
    def tampering(self) -> tuple[int, int]: ...


def plan_of(epoch: e.EpochOpened, test: e.TestOpened) -> gate.Plan:
    """The test's stopping rule, with margins and sizes scaled to the declared range.  # S-7"""
    suite = epoch.suite
    width = width_of(suite)
    if test.target == "productivity":
        terms = _productivity(epoch)
        extra = losses_of(terms, width)
        return gate.Plan(
            kind="bounded", level=test.level, margin=0.0, detect=terms.detect / width, beta=epoch.beta,
            guards=tuple(g.max_loss / (g.high - g.low) for g in epoch.guards) + extra, units_max=test.units_max,
            rule=epoch.rule,
        )  # fmt: skip  # S-6
    return gate.Plan(
        kind=suite.assumed, level=test.level, margin=suite.margin / width, detect=suite.detect / width,
        beta=epoch.beta, guards=tuple(g.max_loss / (g.high - g.low) for g in epoch.guards),
        judges=_judges(epoch), units_max=test.units_max, rule=epoch.rule,
        noise=Noise(test.noise_tests, test.noise_squares),
    )  # fmt: skip


def first_plan(epoch: e.EpochOpened) -> gate.Plan:
    """The plan of the epoch's first test: what its length can be foreseen from before any.  # S-7"""
    suite = epoch.suite
    width = width_of(suite)
    budget = budget_of(suite.mode, epoch.alpha, epoch.spread, epoch.error)
    return gate.Plan(
        kind=suite.assumed, level=budget.next_level(), margin=suite.margin / width, detect=suite.detect / width,
        beta=epoch.beta, guards=tuple(g.max_loss / (g.high - g.low) for g in epoch.guards),
        judges=_judges(epoch), units_max=suite.max_units, rule=epoch.rule,
    )  # fmt: skip


def _judges(epoch: e.EpochOpened) -> tuple[tuple[float, float], ...]:
    """Margin and detectable effect of each further verifier that decides.  # V-5"""
    each = [(j.margin, j.detect, j.high - j.low) for j in epoch.judges if j.role == "decide"]
    return tuple((margin / width, detect / width) for margin, detect, width in each)


def losses_of(terms: e.ProductivityTerms, width: float) -> tuple[float, ...]:
    """What a test for the improver may lose, after the declared guards, in shares of the range.  # V-4, S-6"""
    task = terms.max_loss / width
    return (task, task, terms.conduct) if terms.anchored else (task, terms.conduct)


def anchor_needed(epoch: e.EpochOpened, target: e.Target) -> bool:
    """Whether a test's guards are compared with the anchor.  # V-4"""
    return bool(epoch.guards) or (target == "productivity" and _productivity(epoch).anchored)


def _productivity(epoch: e.EpochOpened) -> e.ProductivityTerms:
    if epoch.productivity is None:
        raise IntegrityError("entry-does-not-fit", "a test for the improver in an epoch that has no terms for it")
    return epoch.productivity


def units_max_of(epoch: e.EpochOpened, target: e.Target) -> int:
    """Units of one test at most."""
    return epoch.suite.max_units if target == "gain" else _productivity(epoch).max_units


def guards_of(epoch: e.EpochOpened, target: e.Target) -> tuple[str, ...]:
    """Names of a test's guards, in the order of its evidence.  # V-4, S-6"""
    names = tuple(guard.name for guard in epoch.guards)
    if target == "gain":
        return names
    return (*names, TASK, ANCHORED, CONDUCT) if _productivity(epoch).anchored else (*names, TASK, CONDUCT)


def alpha_with(alpha: float, before: e.EpochOpened | None, tested: bool, epoch: e.EpochOpened) -> float:
    """Alpha summed over a ledger's epochs, with one more. An epoch without a test has used none of its own: its
    rules were refused before anything began. Sentences of rules 1 and 2 counted it.  # S-1"""
    return alpha + epoch.alpha - (0.0 if before is None or tested or epoch.rule < 3 else before.alpha)


def known(noise: Noise, target: e.Target) -> Noise:
    """What a test that opens now knows of the noise: tests for the improver are about other differences."""
    return noise if target == "gain" else UNKNOWN


def learn(noise: Noise, epoch: e.EpochOpened, test: Tested) -> Noise:
    """What tests that open from now on know of the noise, with one more closed test.

    Nothing where candidates share items: a test must not know what earlier ones saw on them.
    """
    suite = epoch.suite
    fresh = suite.mode == "fresh" and suite.assumed == "bounded"
    return noise.after(test.gains) if RULES[epoch.rule].learns and fresh and test.terms.target == "gain" else noise


def compose(
    test: Tested, epoch: e.EpochOpened, budget: AnyBudget, alpha: float, error: Promise, *, word: Word, reason: Reason,
    provisional: bool, again: bool = False,
) -> e.Verdict:  # fmt: skip
    """The entry. ``alpha``: summed over the ledger's epochs; ``provisional``: below the demanded box (T-2); ``again``:
    the line moved, and the change is tested anew (S-8)."""
    terms, progress = test.terms, test.progress
    accepted = word == "accept"
    refund = 0.0 if accepted else gate.refund_share(progress)
    after = budget.close(terms.level, accepted, refund)
    finding = finding_of(test, epoch, alpha, error, word=word, reason=reason, provisional=provisional, again=again)
    return e.Verdict(
        test=terms.test, proposal=terms.proposal, tree=terms.tree, base_commit=terms.base_commit, verdict=word,
        reason=reason, sentence=sentence(finding), units=len(test.gains), items=test.items, estimate=finding.estimate,
        interval=finding.interval, log_evidence=gate.log_evidence(progress),
        log_threshold=gate.log_threshold(progress.plan), guard_evidence=gate.guard_evidence(progress),
        judge_evidence=gate.judge_evidence(progress), alpha_spent=budget.cost(terms.level, accepted, refund),
        alpha_left=after.alpha - after.spent, public_gain=None, assurance=epoch.suite.assurance,
        provisional=provisional, again=again,
    )  # fmt: skip


def finding_of(
    test: Tested, epoch: e.EpochOpened, alpha: float, error: Promise, *, word: Word, reason: Reason, provisional: bool,
    again: bool = False,
) -> Finding:  # fmt: skip
    """The numbers behind the sentence, in the suite's own unit, positive is better."""
    suite, progress = epoch.suite, test.progress
    width = width_of(suite)
    names, improver = guards_of(epoch, test.terms.target), test.terms.target == "productivity"
    shown = progress.plan.margin if word == "accept" else None
    around = interval(test.gains, progress.plan.kind, shown=shown) if test.gains else None
    judges = [judge.name for judge in epoch.judges if judge.role == "decide" and not improver]
    broken = [names[k] for k in gate.violated(progress)] or ([CONDUCT] if tampered(test) else [])
    lacking = [what.split() for what in gate.unproven(progress) if what != "gain"]
    doubted = gate.unconvinced(progress) or [int(k) for what, k in lacking if what == "judge"]
    return Finding(
        reason=reason,
        estimate=estimate(test.gains, progress.plan.kind) * width if test.gains else None,
        interval=(around[0] * width, around[1] * width) if around is not None else None,
        count=len(test.gains) * (suite.batch_items if suite.unit == "item" and not improver else 1),
        unit="problem" if improver else suite.unit, asked=_productivity(epoch).detect if improver else suite.detect,
        alpha=alpha, error=error, margin=0.0 if improver else suite.margin, direction=suite.direction,
        metric=suite.scorer.removeprefix("stdout:") if suite.scorer.startswith("stdout:") else "",
        assurance=suite.assurance, guards=tuple(names),
        broken=tuple(broken),
        unproven=tuple(names[int(k)] for what, k in lacking if what == "guard"),
        verifiers=tuple(judges), unconvinced=tuple(judges[j] for j in doubted),
        provisional=provisional, again=again,
        exact=epoch.wording > 1 and len(set(test.gains)) == 1,
        even_luck=progress.plan.kind == "symmetric" and epoch.rule > 1,  # sentences of version 1 did not say so
        kept=suite.train == "once",
    )  # fmt: skip


def tampered(test: Tested) -> bool:
    """The candidate's improver tried to touch what judges it more often than the improver in force.  # S-6, T-4"""
    return test.tampering[0] > test.tampering[1]


def width_of(suite: e.SuiteTerms) -> float:
    """Of the declared range; 1 where there is none."""
    return 1.0 if suite.low is None or suite.high is None else suite.high - suite.low


def scale_of(epoch: e.EpochOpened) -> Scale:
    """Sign and width of the goal, of each guard and of each further verifier."""
    return Scale(
        _sign(epoch.suite.direction),
        width_of(epoch.suite),
        tuple((_sign(g.direction), g.high - g.low) for g in epoch.guards),
        tuple((_sign(v.direction), v.high - v.low) for v in epoch.judges),
        anchored=epoch.productivity is not None and epoch.productivity.anchored,
    )


def _sign(direction: str) -> float:
    return 1.0 if direction == "higher" else -1.0
