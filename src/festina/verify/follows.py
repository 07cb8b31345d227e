"""Which numbers of an entry do not follow from the entries before it: the checks of the verifier's books.  # S-4, S-5

Levels on shared items use ``exp`` and ``log``, which machines may round differently: they are compared to a relative
1e-12, everything else bit for bit.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from math import isclose
from typing import TYPE_CHECKING, Any

from festina.errors import IntegrityError
from festina.ledger import entries as e
from festina.select.budget import Budget, FdrBudget
from festina.verify.books import Control, Open
from festina.verify.capabilities import summary
from festina.verify.verdicts import compose, known, plan_of, tampered, units_max_of

if TYPE_CHECKING:
    from festina.verify.account import Account

ROUNDING = 1e-12  # of a mean: ``sum`` rounds differently from Python 3.12 on
LEVEL_ROUNDING = 1e-12  # of a level that took an exponential
DECIDED = {
    "accept": ("accept", "shown"), "futile": ("reject", "futile"), "guard": ("reject", "guard"),
    "judge": ("reject", "judge"), "cap": ("inconclusive", "cap"),
}  # fmt: skip

Wrong = dict[str, tuple[object, object]]  # by field: recorded, recomputed


def _differ(body: Any, wanted: Mapping[str, object]) -> Wrong:  # noqa: ANN401 - one of some thirty types
    """Fields that are not bit for bit what they should be (``repr`` tells -0.0 from 0.0)."""
    pairs = {name: (getattr(body, name), value) for name, value in wanted.items()}
    return {name: pair for name, pair in pairs.items() if repr(pair[0]) != repr(pair[1])}


def _opened_follows(a: Account, b: e.TestOpened) -> Wrong:
    epoch, budget = a.rules(), a.budget
    assert budget is not None
    (level, _), exact, noise = budget.open(), isinstance(budget, Budget | FdrBudget), known(a.noise, b.target)
    near = abs(level - b.level) <= LEVEL_ROUNDING * max(level, b.level)
    wanted: dict[str, object] = {
        "units_max": units_max_of(epoch, b.target), "anchor_tree": epoch.anchor_tree,
        "level": level if exact or not near else b.level, "units_min_accept": a.least_units(plan_of(epoch, b)),
        "tree": a.trees.get(b.proposal), "target": a.targets.get(b.proposal, "gain"),
        "noise_tests": noise.tests, "noise_squares": noise.squares,
    }  # fmt: skip
    if epoch.suite.mode != "fresh":
        wanted["block"], wanted["first_item"] = a.shared.place(epoch, budget)
    return _differ(b, wanted)


def _batch_follows(a: Account, b: e.BatchEnded) -> Wrong:
    """Its form: every unit that was begun has a difference in every stream, in the declared range.  # V-1"""
    t, epoch = a.test(b.test), a.rules()
    if t.attempt == 0:
        raise IntegrityError("entry-does-not-fit", f"a result of test {b.test} without its intent")
    streams = (b.gain, *b.guards, *b.judges)
    wrong = _differ(b, {"batch": t.batches})
    judges = len(epoch.judges) if t.terms.target == "gain" else 0
    if (len(b.guards), len(b.judges)) != (len(t.progress.guards), judges):
        wrong["guards"] = (len(b.guards) + len(b.judges), len(t.progress.guards) + judges)
    if any(count > t.units for count in b.tampering) or (t.terms.target == "gain" and any(b.tampering)):
        wrong["tampering"] = (b.tampering, f"at most {t.units} problems, in a test for the improver")
    if any(len(stream) != t.units for stream in streams):
        wrong["units"] = ([len(stream) for stream in streams], t.units)
    bounded = streams if t.progress.plan.kind == "bounded" else streams[1:]
    outside = [x for stream in bounded for x in stream if not -1.0 <= x <= 1.0]
    if outside:
        wrong["range"] = (outside[0], "between -1 and 1")
    return wrong


def _verdict_follows(a: Account, b: e.Verdict) -> Wrong:
    t, epoch, budget = a.test(b.test), a.rules(), a.budget
    assert budget is not None
    accepted = b.verdict == "accept" and t.progress.outcome == "accept"
    made = compose(
        t, epoch, budget, a.alpha, a.error, word=b.verdict if accepted or b.verdict != "accept" else "inconclusive",
        reason=b.reason, provisional=min(a.level, epoch.min_level) < 2, again=b.again and b.reason == "line-moved",
    )  # fmt: skip
    wanted = {name: getattr(made, name) for name in type(made).model_fields}
    if b.public_gain is not None:  # of records before public gains had an entry of their own
        wanted["public_gain"] = b.public_gain
    return _differ(b, wanted) | _grounds(a, t, b)


def _grounds(a: Account, t: Open, b: e.Verdict) -> Wrong:
    """Whether the word and its reason are what evidence, line and control give."""
    alarm = a.control is not None and a.control.alarm is not None
    moved = t.terms.base_commit != a.line.head or a.line.denial
    outcome = t.progress.outcome
    if (b.verdict, b.reason) == DECIDED.get(outcome):
        if not moved and not alarm:
            return {}
        given = "line-moved" if moved else "control"
    elif (b.verdict, b.reason) == DECIDED["guard"] and tampered(t) and not moved:
        return {}  # S-6
    else:
        there = {"line-moved": moved, "control": alarm, "fault": t.faults > 0, "budget": True}
        if b.verdict == "inconclusive" and there.get(b.reason, False):
            return {}
        given = outcome
    return {"reason": (f"{b.verdict}, {b.reason}", given)}


def _control_follows(a: Account, b: e.ControlEnded) -> Wrong:
    c = control_of(a)
    if b.control != c.count or c.attempt == 0:
        raise IntegrityError("entry-does-not-fit", "a control's result without its intent")
    streams = (b.gain, b.order, *b.guards)
    if len(streams) != len(c.test.kinds) or any(len(stream) != c.units for stream in streams):
        return {"units": ([len(stream) for stream in streams], f"{len(c.test.kinds)} streams of {c.units}")}
    wrong: Wrong = {}
    for kind, stream in zip(c.test.kinds, streams, strict=True):
        if kind == "bounded" and any(not -1.0 <= x <= 1.0 for x in stream):
            wrong["range"] = (next(x for x in stream if not -1.0 <= x <= 1.0), "between -1 and 1")
    if any(abs(x) != abs(y) for x, y in zip(b.gain, b.order, strict=True)):
        wrong["order"] = ("other differences than in gain", "the same, by order of running")
    return wrong


def control_of(a: Account) -> Control:
    if a.control is None:
        raise IntegrityError("entry-does-not-fit", "a control without an epoch")
    return a.control


def _characterised_follows(a: Account, b: e.Characterised) -> Wrong:
    """Mean and error are those of the unit scores beside them, where all of them stand there.  # G-1"""
    known = [score for score in b.scores if score is not None]
    if len(known) != b.units or not known:
        return {}  # from before units were recorded, or more of them than an entry keeps
    centre, error = summary(known)
    near = {"mean": (b.mean, centre), "error": (b.error, error)}
    return {name: pair for name, pair in near.items() if not isclose(*pair, rel_tol=ROUNDING, abs_tol=ROUNDING)}


CHECKS: dict[str, Callable[[Account, Any], Wrong]] = {
    "test-opened": _opened_follows, "batch-ended": _batch_follows, "verdict": _verdict_follows,
    "control-ended": _control_follows, "characterised": _characterised_follows,
}  # fmt: skip
