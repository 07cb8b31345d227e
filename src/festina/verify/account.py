"""The verifier's own books: a fold over a ledger's entries that knows every number of every verdict.  # S-4, S-5, T-1

``check`` says which numbers of an entry do not follow from the entries before it; ``take`` folds it in. Both need
nothing but entries: no database, no clock, no engine. The loop keeps other books (``loop.state``) for other purposes;
that the two agree is checked at every signature, because the verifier's process signs no verdict that its own books
do not give (``signing``). They share the rule itself (``select``) and the composition of the entry (``verdicts``).

What does not follow from entries, and is taken as the engine said it: how many items a finite suite still held (the
reason ``budget``), that a trial could not be run (``fault``), and everything outside verdicts, levels and evidence.

Levels on shared items use ``exp`` and ``log``, which machines may round differently: they are compared to a relative
1e-12, everything else bit for bit.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple, Protocol

from festina.errors import IntegrityError
from festina.ledger import entries as e
from festina.ledger.statement import commitment
from festina.select import gate, planning
from festina.select import sameness as twins
from festina.select.budget import AnyBudget, Budget, FdrBudget, InformationLedger, Promise, without
from festina.select.noise import UNKNOWN, Noise
from festina.select.sameness import Sameness
from festina.verify import blocks, denials
from festina.verify.verdicts import alpha_with, anchor_needed, compose, known, learn, plan_of, tampered, units_max_of

LEVEL_ROUNDING = 1e-12  # of a level that took an exponential
DECIDED = {
    "accept": ("accept", "shown"), "futile": ("reject", "futile"), "guard": ("reject", "guard"),
    "judge": ("reject", "judge"), "cap": ("inconclusive", "cap"),
}  # fmt: skip


class Mismatch(NamedTuple):
    """A number that is not what the entries before it give."""

    seq: int
    kind: str
    field: str
    recorded: str
    recomputed: str


class Entered(Protocol):
    """An entry as the books read it."""

    @property
    def seq(self) -> int: ...
    @property
    def kind(self) -> str: ...
    @property
    def at(self) -> str: ...
    @property
    def body(self) -> Any: ...  # noqa: ANN401 - one of some thirty types
    @property
    def leaf(self) -> str: ...
    @property
    def commitments(self) -> Mapping[str, str]: ...


@dataclass(slots=True)
class Open:
    """A test without a verdict."""

    terms: e.TestOpened
    leaf: str
    progress: gate.TestState
    before: AnyBudget
    gains: list[float] = field(default_factory=list)
    tampering: tuple[int, int] = (0, 0)
    items: int = 0
    batches: int = 0
    attempt: int = 0  # of the batch in flight; 0: none
    units: int = 0
    seeds: str = ""  # digest of the seeds that the intent in flight named
    faults: int = 0


@dataclass(slots=True)
class Line:
    """The working line, as far as verdicts depend on it."""

    numbers: list[int] = field(default_factory=list)
    commits: dict[int, str] = field(default_factory=dict)
    trees: dict[str, str] = field(default_factory=dict)  # by commit
    verdicts: dict[int, e.Verdict] = field(default_factory=dict)  # accepted, by proposal
    proposals: dict[int, int] = field(default_factory=dict)  # by generation
    intent: e.LineIntent | None = None
    asked: denials.Asked = field(default_factory=denials.Asked)  # of people

    @property
    def head(self) -> str:
        return self.commits[self.numbers[-1]] if self.numbers else ""

    @property
    def denial(self) -> bool:
        return any(number in self.asked.denied for number in self.numbers)


@dataclass(slots=True)
class Control:
    """The incumbent against itself in this epoch.  # V-2"""

    test: Sameness
    count: int = 0
    attempt: int = 0
    units: int = 0
    leaf: str = ""
    tree: str = ""
    alarm: int | None = None
    judged: int = 0


@dataclass(slots=True)
class Account:
    """The books after the entries taken so far."""

    genesis: e.Genesis | None = None
    epoch: e.EpochOpened | None = None
    alpha: float = 0.0  # summed over epochs
    tested: bool = False  # whether a test was opened in this epoch
    error: Promise = "familywise"
    budget: AnyBudget | None = None
    noise: Noise = UNKNOWN  # what this epoch's closed tests have shown of differences
    shared: blocks.Shared = field(default_factory=blocks.Shared)
    open: dict[int, Open] = field(default_factory=dict)  # by test
    trees: dict[int, str] = field(default_factory=dict)  # screened, by proposal
    targets: dict[int, str] = field(default_factory=dict)  # declared, by proposal  # S-6
    origins: dict[int, tuple[int, str]] = field(default_factory=dict)  # (entry, what it sealed), by proposal  # V-7
    undo: tuple[int, AnyBudget] | None = None
    line: Line = field(default_factory=Line)
    control: Control | None = None
    measure: e.MeasureStarted | None = None  # charged and not ended
    measure_leaf: str = ""
    draws: dict[tuple[int | None, str | None], str] = field(default_factory=dict)  # leaf of a final score's intent
    level: int = 0  # of the run's sandbox
    at_once: int = 1  # tests that the run may have open
    reviewers: dict[str, e.ReviewerEnrolled] = field(default_factory=dict)
    plans: dict[gate.Plan, int] = field(default_factory=dict)  # fewest units that could accept
    verdicts: int = 0
    told: int = 0  # verdicts whose reason is the engine's word

    def check(self, seq: int, kind: str, body: Any) -> list[Mismatch]:  # noqa: ANN401 - one of some thirty types
        """What of this entry does not follow. Raises ``IntegrityError`` for an entry that fits nothing before it."""
        found = _CHECKS[kind](self, body) if kind in _CHECKS else {}
        return [Mismatch(seq, kind, name, *map(str, pair)) for name, pair in found.items()]

    def take(self, record: Entered) -> None:
        """Fold an entry in, as it was recorded."""
        if record.kind in _TAKES:
            _TAKES[record.kind](self, record, record.body)

    def see(self, record: Entered) -> list[Mismatch]:
        """Check and take."""
        if record.kind not in _TAKES:
            return []
        found = self.check(record.seq, record.kind, record.body)
        self.take(record)
        return found

    def test(self, number: int) -> Open:
        if number not in self.open:
            raise IntegrityError("entry-does-not-fit", f"test {number} is not open")
        return self.open[number]

    def rules(self) -> e.EpochOpened:
        if self.epoch is None:
            raise IntegrityError("entry-does-not-fit", "no epoch is open")
        return self.epoch

    def anchor_apart(self, incumbent_tree: str, target: e.Target) -> bool:
        """Whether guards need a side of their own: the anchor is another tree than the incumbent.  # V-4"""
        epoch = self.rules()
        return anchor_needed(epoch, target) and epoch.anchor_tree != incumbent_tree

    def least_units(self, plan: gate.Plan) -> int:
        """The fewest units that could accept, computed once a level."""
        if plan not in self.plans:
            self.plans.clear()
            self.plans[plan] = planning.units_min_accept(plan)
        return self.plans[plan]


Wrong = dict[str, tuple[object, object]]  # by field: recorded, recomputed


def _differ(body: Any, wanted: Mapping[str, object]) -> Wrong:  # noqa: ANN401 - one of some thirty types
    """Fields that are not bit for bit what they should be (``repr`` tells -0.0 from 0.0)."""
    pairs = {name: (getattr(body, name), value) for name, value in wanted.items()}
    return {name: pair for name, pair in pairs.items() if repr(pair[0]) != repr(pair[1])}


# -- checks -------------------------------------------------------------------------------------------


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
    c = _control(a)
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


def _control(a: Account) -> Control:
    if a.control is None:
        raise IntegrityError("entry-does-not-fit", "a control without an epoch")
    return a.control


# -- fold ---------------------------------------------------------------------------------------------


def _genesis(a: Account, r: Entered, b: e.Genesis) -> None:
    a.genesis = b


def _epoch(a: Account, r: Entered, b: e.EpochOpened) -> None:
    for t in a.open.values():  # new rules end what was tested under the old ones  # S-1
        if isinstance(a.budget, InformationLedger):
            a.budget = a.budget.close(t.terms.level, False)
            a.shared.keep(a.epoch, a.budget)
    a.open.clear()
    a.alpha, a.tested = alpha_with(a.alpha, a.epoch, a.tested, b), False
    a.epoch, a.undo = b, None
    a.error = "fdr" if b.error == "fdr" else a.error
    a.budget, a.noise = a.shared.begin(b), UNKNOWN
    a.control = Control(_fresh(b))
    a.line.numbers = []
    a.line.trees[b.start_commit] = b.start_tree


def _fresh(epoch: e.EpochOpened) -> Sameness:
    streams = len(epoch.guards) + len(epoch.judges)
    return twins.begin(epoch.suite.assumed, streams, epoch.control_level)


def _run(a: Account, r: Entered, b: e.RunStarted) -> None:
    a.level, a.at_once, a.shared.run_at = b.sandbox_level, b.at_once, r.at


def _requested(a: Account, r: Entered, b: e.ProposalRequested | e.TryStarted) -> None:
    if b.attempt == 1 and a.epoch is not None:
        a.budget = a.shared.asked(a.epoch, a.budget, r.at)


def _received(a: Account, r: Entered, b: e.ProposalReceived) -> None:
    a.targets[b.proposal] = b.target
    if "origin" in r.commitments:
        a.origins[b.proposal] = (r.seq, r.commitments["origin"])


def _screened(a: Account, r: Entered, b: e.Screened) -> None:
    if b.tree is not None:
        a.trees[b.proposal] = b.tree


def _opened(a: Account, r: Entered, b: e.TestOpened) -> None:
    epoch, before = a.rules(), a.budget
    assert before is not None
    level, after = before.open()
    if not isinstance(after, Budget | FdrBudget):
        after = replace(after, reserved=(b.level,))
    elif level != b.level:
        raise IntegrityError("entry-does-not-fit", f"the level is not the one that the budget gives ({level})")
    a.budget, a.undo, a.tested = after, None, True
    a.open[b.test] = Open(b, r.leaf, gate.start(plan_of(epoch, b)), before)
    if epoch.suite.mode != "fresh":
        a.shared.opened(epoch, b, r.at)


def _batch_started(a: Account, r: Entered, b: e.BatchStarted) -> None:
    t = a.test(b.test)
    t.attempt, t.units, t.seeds = b.attempt, b.units, b.seeds
    t.items += b.items
    a.shared.looked(a.rules(), b.items)


def _batch_ended(a: Account, r: Entered, b: e.BatchEnded) -> None:
    t, epoch = a.test(b.test), a.rules()
    judges = epoch.judges if t.terms.target == "gain" else ()
    deciding = [x for x, terms in zip(b.judges, judges, strict=True) if terms.role == "decide"]
    t.tampering = (t.tampering[0] + b.tampering[0], t.tampering[1] + b.tampering[1])
    t.progress = gate.observe_all(
        t.progress,
        (
            gate.Evidence(gain, tuple(g[i] for g in b.guards), tuple(j[i] for j in deciding))
            for i, gain in enumerate(b.gain)
        ),
    )
    t.gains.extend(b.gain)
    t.batches, t.attempt = t.batches + 1, 0
    if a.control is not None:
        a.control.judged += len(b.gain)


def _verdict(a: Account, r: Entered, b: e.Verdict) -> None:
    t, budget = a.test(b.test), a.budget
    assert budget is not None
    accepted = b.verdict == "accept"
    a.undo = (b.proposal, without(budget, t.before, t.terms.level))
    a.budget = budget.close(t.terms.level, accepted, 0.0 if accepted else gate.refund_share(t.progress))
    a.noise = learn(a.noise, a.rules(), t)
    a.shared.keep(a.epoch, a.budget)
    a.verdicts += 1
    a.told += b.reason in ("budget", "fault")
    del a.open[b.test]
    if accepted:
        a.line.verdicts[b.proposal] = b


def _line_intent(a: Account, r: Entered, b: e.LineIntent) -> None:
    a.line.intent = b
    if b.cause == "accept" and b.proposal is not None and b.proposal in a.line.verdicts:
        a.line.trees[b.new_commit] = a.line.verdicts[b.proposal].tree
        a.line.proposals[b.generation] = b.proposal


def _line_moved(a: Account, r: Entered, b: e.LineMoved) -> None:
    line = a.line
    line.commits[b.generation] = b.commit
    if line.intent is not None and line.intent.cause in ("denial", "rollback"):
        a.budget = a.shared.retire(a.budget)
        while line.numbers and line.numbers[-1] != b.generation:
            line.numbers.pop()
        return
    line.numbers.append(b.generation)


def _plant(a: Account, r: Entered, b: e.PlantRevealed) -> None:
    """Outside the error budget, to the last bit; but only what was sealed as planted before it was judged.  # V-7"""
    sealed = commitment(bytes.fromhex(b.salt), b.origin)
    if a.origins.get(b.proposal) != (b.received, sealed) or not b.origin.startswith("planted:"):
        raise IntegrityError("entry-does-not-fit", "a reveal of something that was not sealed as planted")
    if b.proposal in a.line.proposals.values():
        raise IntegrityError("entry-does-not-fit", "the line moved to a planted defect")
    if a.undo is not None and a.undo[0] == b.proposal:
        a.budget, a.undo = a.undo[1], None
        a.shared.keep(a.epoch, a.budget)
    a.line.verdicts.pop(b.proposal, None)


def _fault(a: Account, r: Entered, b: e.FaultRecorded) -> None:
    for number, t in a.open.items():
        named = b.test == number or (b.test is None and a.at_once == 1)
        t.faults += named and t.attempt > 0


def _control_started(a: Account, r: Entered, b: e.ControlStarted) -> None:
    c = _control(a)
    if b.attempt == 1:
        c.leaf, c.tree = r.leaf, b.tree
    c.count, c.attempt, c.units = b.control, b.attempt, b.units
    a.shared.looked(a.rules(), b.items)


def _control_ended(a: Account, r: Entered, b: e.ControlEnded) -> None:
    c = _control(a)
    for unit in zip(b.gain, b.order, *b.guards, strict=True):
        c.test = twins.see(c.test, unit)
    c.count, c.attempt = c.count + 1, 0
    if c.test.broken and c.alarm is None:
        c.alarm = r.seq


def _resolved(a: Account, r: Entered, b: e.ControlResolved) -> None:
    c, who = _control(a), a.reviewers.get(b.reviewer)
    demo = a.genesis is not None and a.genesis.demo and b.without_person
    if c.alarm == b.alarm and who is not None and (not who.demo or demo):
        c.alarm, c.test = None, _fresh(a.rules())


def _enrolled(a: Account, r: Entered, b: e.ReviewerEnrolled) -> None:
    a.reviewers[b.reviewer] = b


def _measure(a: Account, r: Entered, b: e.MeasureStarted) -> None:
    a.measure, a.measure_leaf = b, r.leaf
    if b.purpose == "final":
        a.draws.setdefault((b.generation, b.source), r.leaf)
    if b.fresh and b.source is not None and b.purpose != "final":
        a.shared.used(b.source, b.items)


def _measured(a: Account, r: Entered, b: e.MeasureEnded) -> None:
    a.measure = None


def _final(a: Account, r: Entered, b: e.FinalScored) -> None:
    if b.measure is None and a.epoch is not None:
        a.shared.looked(a.epoch, b.items)


_CHECKS: dict[str, Callable[[Account, Any], Wrong]] = {
    "test-opened": _opened_follows, "batch-ended": _batch_follows, "verdict": _verdict_follows,
    "control-ended": _control_follows,
}  # fmt: skip
_TAKES: dict[str, Callable[[Account, Entered, Any], None]] = {
    "genesis": _genesis, "epoch-opened": _epoch, "run-started": _run, "proposal-requested": _requested,
    "try-started": _requested, "proposal-received": _received, "screened": _screened, "test-opened": _opened,
    "batch-started": _batch_started, "batch-ended": _batch_ended,
    "verdict": _verdict, "line-intent": _line_intent, "line-moved": _line_moved, "plant-revealed": _plant,
    "fault": _fault, "control-started": _control_started, "control-ended": _control_ended,
    "control-resolved": _resolved, "reviewer-enrolled": _enrolled, **denials.TAKES,
    "measure-started": _measure, "measure-ended": _measured,
    "final-scored": _final,
}  # fmt: skip
TAKEN = frozenset(_TAKES)
