"""The acceptance rule for one candidate: evidence in, verdict out.  # S-2, S-5

A test holds up to ``2 + 2K + 2J`` bets (``bets``) on the same units of evidence, for K guards and J judges:

=============  ==========================================  ================  =====================
bet            question                                    decides at        then
=============  ==========================================  ================  =====================
gain           is it better than the margin?               1/level           latched
guard k        does it lose less than max_loss k?          1/level           latched
futility       is it less than the detectable effect?      1/beta            ``futile``
violation k    does it lose more than max_loss k?          K/beta            ``guard``
judge j        better than its margin, says verifier j?    1/level           latched
doubt j        less than its effect, says verifier j?      J/beta            ``judge``
=============  ==========================================  ================  =====================

* ``accept``: gain, every guard and every judge (a further verifier that decides) are latched. All at the same
  threshold: the null is "not better, or guard 1 is violated, or verifier 1 sees no gain, or ...", so the level is
  not split among them (intersection-union).  # V-4, V-5
* ``guard``: evidence that a guard is violated. It spends no alpha: it can only end in a rejection.
* ``judge``: evidence that a further verifier sees less than it set out to detect. It can only end in a rejection.
* ``futile``: evidence that the gain is below what the plan set out to detect.
* ``cap``: the units are used up, or the units left cannot lead to acceptance even if each were as good as a
  unit can be. What is missing is told by ``unproven``; it may be a guard. Neither is a pass.

Errors. A bad candidate (mean gain at most ``margin``, or some guard's mean at most ``-max_loss``, given
the past, at every unit) is accepted with probability at most ``level``. A candidate with a mean gain of at
least ``detect`` is called futile with probability at most ``beta``; one that keeps all guards is turned away
by ``guard`` with probability at most ``beta``. Both hold at every stopping time, so anyone may stop or go on
at any time, for any reason.

One unit is one independent draw: an item, a cluster or a seed; what shares a process enters as its mean.
# E-3 is the caller's. So is the range: ``kind="bounded"`` needs differences in [-1, 1].

Guards default to the bounded kind also beside a symmetric gain. Symmetry says nothing about rare disasters
(+0.02 with probability 0.98, -0.98 else), which is what guards are there for. ``guard_kind="symmetric"`` is
possible and weaker; a bounded guard with a small ``max_loss`` and few seeds is refused by
``planning.check_reachable``.

S-3. A test that ends with ``cap`` may go on with the evidence it has (``extend``) as long as its level is
still reserved. Once it is closed its refund is gone to others and it can never go on (S-8): the same tree is
then refused as a duplicate by the screen (P-3), and another tree is a new test at a new level on fresh units.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from math import isfinite, log
from typing import Literal, NamedTuple

from festina.errors import Fault, UsageError
from festina.select.bets import Bet, symmetric
from festina.select.noise import UNKNOWN, Noise
from festina.select.rules import RULE, RULES

Kind = Literal["bounded", "symmetric"]
Decision = Literal["continue", "accept", "futile", "guard", "judge", "cap"]
FAR = 64

@dataclass(frozen=True, slots=True)
class Plan:
    """What one test sets out to show, fixed before its first unit.  # L-4, S-7

    Differences, ``margin``, ``detect`` and ``guards`` are in units of the declared range for the bounded kind
    (0.05 is a twentieth of the range) and in the metric's own unit for the symmetric kind, where ``detect``
    may equal ``margin``: nothing is known of the metric then, and only a worse candidate is futile.
    """

    kind: Kind
    level: float  # error level of this test, from the budget; in (0, 1)
    margin: float  # accept only what is better than this
    detect: float  # and do not spend on less than this; the test gives up on smaller gains
    beta: float  # chance of giving up on a gain of at least ``detect``
    guards: tuple[float, ...]  # largest loss of each guard, > 0
    units_max: int
    guard_kind: Kind = "bounded"
    judges: tuple[tuple[float, float], ...] = ()  # (margin, detect) of each further verifier that decides  # V-5
    rule: int = RULE  # version of the bets' numbers: ``rules.RULES``
    noise: Noise = UNKNOWN  # what closed tests have shown of the goal's differences, where the rule learns

    def __post_init__(self) -> None:
        numbers = (self.level, self.margin, self.detect, self.beta, *self.guards)
        if not all(isfinite(value) for value in numbers):
            raise UsageError("plan-not-finite", "a test's plan holds a number that is not finite")
        if not 0.0 < self.level < 1.0 or not 0.0 < self.beta < 1.0:
            raise UsageError("plan-levels", "level and beta lie between 0 and 1", where="policy")
        if self.margin < 0.0 or self.detect < self.margin or (self.kind == "bounded" and self.detect == self.margin):
            raise UsageError("plan-effects", "0 <= margin < detect is needed", fix="raise detect above margin")
        if self.kind == "bounded" and self.detect >= 1.0:
            raise UsageError("plan-effects", "detect must be below 1, the whole declared range", fix="lower detect")
        if any(loss <= 0.0 for loss in self.guards):
            raise UsageError("plan-guards", "a guard's max_loss must be above 0", fix="allow a small loss, e.g. 0.02")
        if self.guard_kind == "bounded" and any(loss >= 1.0 for loss in self.guards):
            raise UsageError("plan-guards", "a guard's max_loss must be below 1, the whole declared range")
        if any(not 0.0 <= margin < detect < 1.0 for margin, detect in self.judges):
            raise UsageError("plan-effects", "a further verifier needs 0 <= margin < detect < 1 (of its range)")
        if self.rule not in RULES:
            raise UsageError("rule-unknown", f"version {self.rule} of the rule is unknown", fix="use a newer Festina")
        if self.units_max < 1:
            raise UsageError("plan-units", "a test needs at least one unit", fix="raise max_units")


class Evidence(NamedTuple):
    """One unit: paired differences, positive is better. ``guards`` are against the anchor.  # E-3, V-4"""

    gain: float
    guards: tuple[float, ...] = ()
    judges: tuple[float, ...] = ()


class TestState(NamedTuple):
    """Everything that the rule remembers of one test; two equal histories give equal states, bit for bit."""

    plan: Plan
    units: int
    gain: Bet
    futility: Bet
    guards: tuple[Bet, ...]
    violations: tuple[Bet, ...]
    outcome: Decision
    judges: tuple[Bet, ...] = ()
    doubts: tuple[Bet, ...] = ()


def start(plan: Plan) -> TestState:
    """The state before any unit."""
    gain, futility = gain_bets(plan)
    pairs = [guard_bets(plan, loss) for loss in plan.guards]
    further = [judge_bets(plan, *aim) for aim in plan.judges]
    return TestState(
        plan, 0, gain, futility, tuple(a for a, _ in pairs), tuple(b for _, b in pairs), "continue",
        tuple(a for a, _ in further), tuple(b for _, b in further),
    )  # fmt: skip


def gain_bets(plan: Plan) -> tuple[Bet, Bet]:
    """Fresh bets on "better than margin" and on "less than detect"."""
    if plan.kind == "symmetric":
        return symmetric(), symmetric()
    return judge_bets(plan, plan.margin, plan.detect, plan.noise if RULES[plan.rule].learns else UNKNOWN)


def judge_bets(plan: Plan, margin: float, detect: float, noise: Noise = UNKNOWN) -> tuple[Bet, Bet]:
    """Fresh bets on "better than margin" and on "less than detect", for differences in [-1, 1]."""
    rule, effect = RULES[plan.rule], detect - margin
    return rule.gain.bet(effect, 1.0 + margin, noise, margin), rule.futility.bet(effect, 1.0 - detect, noise, detect)


def guard_bets(plan: Plan, loss: float) -> tuple[Bet, Bet]:
    """Fresh bets on "loses less than ``loss``" and on "loses more"."""
    if plan.guard_kind == "symmetric":
        return symmetric(), symmetric()
    rule = RULES[plan.rule]
    return rule.guard.bet(loss, 1.0 - loss), rule.violation.bet(loss, 1.0 + loss)


def observe(state: TestState, evidence: Evidence) -> TestState:
    """The state after one more unit.

    Raises Fault when the test is decided or the evidence is not what the plan declares: both are bugs of
    the caller, never the candidate's doing (an invalid score is the worst score long before).  # T-6
    """
    plan, _, gain, futility, guards, violations, outcome, judges, doubts = state
    if outcome != "continue":
        raise Fault("test-decided", f"a unit was offered to a test that has ended with {outcome!r}")
    _check(plan, evidence)
    proven = 1.0 / plan.level
    value = evidence.gain
    if gain.wealth < proven:
        gain = gain.after(value - plan.margin)
        futility = futility.after(plan.detect - value)
    if guards:
        aims = [(-loss, -loss) for loss in plan.guards]
        guards, violations = _move(guards, violations, aims, evidence.guards, proven)
    if judges:
        judges, doubts = _move(judges, doubts, plan.judges, evidence.judges, proven)
    after = TestState(plan, state.units + 1, gain, futility, guards, violations, "continue", judges, doubts)
    outcome = _decide(after)
    return after if outcome == "continue" else after._replace(outcome=outcome)


def _move(
    shows: tuple[Bet, ...], doubts: tuple[Bet, ...], aims: Iterable[tuple[float, float]], values: tuple[float, ...],
    proven: float,
) -> tuple[tuple[Bet, ...], tuple[Bet, ...]]:  # fmt: skip
    """One more value for each pair of bets on "above" and on "below", but for those that are latched."""
    showing, doubting = [], []
    for show, doubt, (above, below), value in zip(shows, doubts, aims, values):  # noqa: B905 -- checked by ``_check``
        if show.wealth < proven:
            showing.append(show.after(value - above))
            doubting.append(doubt.after(below - value))
        else:
            showing.append(show)
            doubting.append(doubt)
    return tuple(showing), tuple(doubting)


def observe_all(state: TestState, units: Iterable[Evidence]) -> TestState:
    """Fold units in the given order up to the decision; what comes after it is not looked at.

    A batch may hold more units than the decision needed: they stay in the record and in the interval
    (``report.interval``), and the verdict is the one at the moment of decision.  # S-2
    """
    for unit in units:
        if state.outcome != "continue":
            break
        state = observe(state, unit)
    return state


def decision(state: TestState) -> Decision:
    """What the test has come to."""
    return state.outcome


def unproven(state: TestState) -> tuple[str, ...]:
    """What acceptance still lacks: ``"gain"``, ``"guard K"`` and ``"judge J"`` (from 0, in the plan's order)."""
    proven = 1.0 / state.plan.level
    missing = ["gain"] if state.gain.wealth < proven else []
    missing += [f"guard {k}" for k, bet in enumerate(state.guards) if bet.wealth < proven]
    return (*missing, *(f"judge {j}" for j, bet in enumerate(state.judges) if bet.wealth < proven))


def violated(state: TestState) -> tuple[int, ...]:
    """Guards with evidence of violation, in the plan's order."""
    count = len(state.violations)
    return tuple(k for k, bet in enumerate(state.violations) if bet.wealth >= count / state.plan.beta)


def unconvinced(state: TestState) -> tuple[int, ...]:
    """Judges with evidence that they see less than they set out to detect, in the plan's order."""
    count, proven = len(state.doubts), 1.0 / state.plan.level
    return tuple(
        j
        for j, (judge, doubt) in enumerate(zip(state.judges, state.doubts, strict=True))
        if judge.wealth < proven and doubt.wealth >= count / state.plan.beta
    )


def extend(state: TestState, units_max: int) -> TestState:
    """Go on with a test that ended with ``cap`` and is not closed, with all its evidence.  # S-2, S-3

    The caller keeps the level reserved: after ``Budget.close`` this must not be called (S-8).
    """
    if state.outcome not in ("continue", "cap") or units_max <= state.plan.units_max:
        raise Fault("test-not-extendable", "only an open or capped test can be given more units")
    plan = replace(state.plan, units_max=units_max)
    longer = state._replace(plan=plan)
    return longer._replace(outcome=_decide(longer))


def log_evidence(state: TestState) -> float:
    """Natural log of the evidence for "better than the margin"; accepted at ``log_threshold``.

    Rounded to 9 decimals: for people and entries, the decision never uses a logarithm. Never below -700.
    """
    return _log(state.gain.wealth)


def guard_evidence(state: TestState) -> tuple[float, ...]:
    """The same for each guard: evidence that it loses less than its ``max_loss``."""
    return tuple(_log(bet.wealth) for bet in state.guards)


def judge_evidence(state: TestState) -> tuple[float, ...]:
    """The same for each judge: evidence that it sees a gain beyond its margin."""
    return tuple(_log(bet.wealth) for bet in state.judges)


def log_threshold(plan: Plan) -> float:
    """What ``log_evidence`` and every ``guard_evidence`` must reach for acceptance."""
    return _log(1.0 / plan.level)


def refund_share(state: TestState) -> float:
    """Share of the level that goes back to the budget when the test closes without acceptance.  # S-8

    The smallest of all evidences and 1: whichever part of "better, and every guard holds" is false, a bad
    candidate had at most this chance left (times the level) to be accepted.
    """
    return min(1.0, state.gain.wealth, *(bet.wealth for bet in (*state.guards, *state.judges)))


def _decide(state: TestState) -> Decision:
    plan, units, gain, futility, guards, violations, _, judges, _ = state
    proven = 1.0 / plan.level
    missing = [(gain, 1.0 - plan.margin)] if gain.wealth < proven else []
    for bet, loss in zip(guards, plan.guards):  # noqa: B905 -- made from the plan; this runs at every unit
        if bet.wealth < proven:
            missing.append((bet, 1.0 + loss))
    if judges:
        further = zip(judges, plan.judges, strict=True)
        missing += [(bet, 1.0 - margin) for bet, (margin, _) in further if bet.wealth < proven]
    if not missing:
        return "accept"
    if violations:
        refuted = len(violations) / plan.beta
        for bet in violations:
            if bet.wealth >= refuted:
                return "guard"
    if gain.wealth < proven and futility.wealth >= 1.0 / plan.beta:
        return "futile"
    if judges and unconvinced(state):
        return "judge"
    left = plan.units_max - units
    for bet, best in missing:
        if not _within(bet, best, proven, left):
            return "cap"
    return "continue"


def _within(bet: Bet, best: float, proven: float, left: int) -> bool:
    """Whether ``left`` more units could still take the wealth to the threshold."""
    wealth, factor = bet.wealth, bet.best_factor(best)
    if left > FAR:  # nearly always: it could in 64 units, with room to spare for the rounding of this shortcut
        far = factor * factor
        far *= far
        far *= far
        far *= far
        far *= far
        far *= far
        if wealth * far >= proven:
            return True
    for _ in range(left):
        wealth *= factor
        if wealth >= proven:
            return True
    return False


def _check(plan: Plan, evidence: Evidence) -> None:
    gain, guards, judges = evidence
    bound = 1.0 if plan.kind == "bounded" else 1e300
    if not -bound <= gain <= bound:
        raise Fault("evidence-out-of-range", f"a gain of {gain} lies outside the declared range")
    if len(guards) != len(plan.guards):
        raise Fault("evidence-guards", f"{len(guards)} guard values for {len(plan.guards)} guards")
    if len(judges) != len(plan.judges):
        raise Fault("evidence-judges", f"{len(judges)} values for {len(plan.judges)} further verifiers")
    bound = 1.0 if plan.guard_kind == "bounded" else 1e300
    for value in guards:
        if not -bound <= value <= bound:
            raise Fault("evidence-out-of-range", f"a guard difference of {value} lies outside the declared range")
    for value in judges:
        if not -1.0 <= value <= 1.0:
            raise Fault("evidence-out-of-range", f"a verifier's difference of {value} lies outside its declared range")


def _log(value: float) -> float:
    return round(log(value), 9) if value > 1e-304 else -700.0
