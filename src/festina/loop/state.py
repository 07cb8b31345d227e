"""The state of a run: a fold over the ledger's entries, and nothing else.  # L-1

``State.apply`` takes one record after the other; the same records give the same state on every machine.
Nothing here reads a clock, a disk or git. Entries that do not fit the state before them (a verdict for a
test that is not open, a second end of one move) raise ``IntegrityError``: order is state.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

from festina.errors import IntegrityError
from festina.ledger import entries as e
from festina.ledger.collecting import uncollected
from festina.ledger.log import Record
from festina.loop import blocks, called, governed, growth, halting, lines, measured, people, plants, sameness, searching
from festina.loop import outside as others
from festina.loop import trained as training
from festina.loop import verifiers as judges
from festina.loop import watches as watched
from festina.loop.foreign import folding as foreign
from festina.loop.rows import Generation, OpenTest, Plant, Proposed, Review, Twins
from festina.loop.rows import misfit as _misfit
from festina.propose.types import Word
from festina.review.seats import Person
from festina.select import gate
from festina.select.budget import AnyBudget, InformationLedger, Promise, without
from festina.select.certified import Shares, Step
from festina.select.noise import UNKNOWN, Noise
from festina.verify.verdicts import alpha_with, known, learn, plan_of, units_max_of


@dataclass(slots=True)
class State:
    """Everything that the loop decides from. Filled by ``apply`` alone."""

    genesis: e.Genesis | None = None
    epoch: e.EpochOpened | None = None
    epoch_seq: int = 0
    alpha_epochs: float = 0.0  # summed alpha of all epochs with tests, and of this one  # S-1
    tested: bool = False  # whether a test was opened in this epoch
    error: Promise = "familywise"  # what that sum bounds: the weaker promise as soon as one epoch has it
    budget: AnyBudget | None = None
    noise: Noise = UNKNOWN  # what this epoch's closed tests have shown of differences
    block: tuple[int, int] | None = None  # (number, first item) of the block that tests share
    ledgers: dict[str, tuple[int, InformationLedger]] = field(default_factory=dict)  # by source: what was told
    word_from: str = ""  # when the last test on shared items opened, until its word is told  # P-4
    late: list[float] = field(default_factory=list)  # seconds that the words of this epoch took that missed their slot
    generations: dict[int, Generation] = field(default_factory=dict)
    line: list[int] = field(default_factory=list)
    in_force: int = 0
    released: int | None = None
    released_at: str | None = None  # where the released reference was put
    released_history: list[int] = field(default_factory=list)
    move: e.LineIntent | None = None
    moves: int = 0
    line_at: dict[bool, str] = field(default_factory=dict)  # where each line reference was put; key: provisional
    release: e.ReleaseIntent | None = None
    releases: int = 0
    proposals: dict[int, Proposed] = field(default_factory=dict)
    current: int | None = None  # the proposal that is under way and not yet tested
    open: dict[int, OpenTest] = field(default_factory=dict)  # by test number, in the order of opening
    again: list[int] = field(default_factory=list)  # proposals whose test the moving line ended: they are next  # S-8
    closed: tuple[int, ...] = ()  # proposals that the newest end closed, until something else begins
    tests: int = 0
    shares: Shares = field(default_factory=Shares)  # of the epoch's tests in what is certified of the line
    undo: tuple[int, AnyBudget] | None = None  # the last verdict's proposal, and the budget as before its test  # V-7
    plants: list[Plant] = field(default_factory=list)
    tried: dict[tuple[str, str], int] = field(default_factory=dict)  # (base commit, tree) -> proposal
    reviews: dict[int, Review] = field(default_factory=dict)
    reviewers: dict[str, e.ReviewerEnrolled] = field(default_factory=dict)
    persons: dict[str, Person] = field(default_factory=dict)  # what is known of how they review  # R-3
    ignored: list[tuple[int, str, str]] = field(default_factory=list)  # people's steps without effect: entry, kind, why
    brought: set[str] = field(default_factory=set)  # signatures of steps that were signed elsewhere
    run: e.RunStarted | None = None
    runs: int = 0
    run_at: str = ""
    run_trials: int = 0
    run_proposals: int = 0
    run_controls: bool | None = None
    run_exhausted: bool = False
    run_spent: bool = False  # its budget for models allows no other call  # E-5
    run_barren: int = 0  # proposing runs in a row that gave nothing
    controls: e.ControlsChecked | None = None
    twins: Twins | None = None  # the incumbent against itself  # V-2
    trials: int = 0
    looks: int = 0  # hidden items issued, ever  # V-3
    source_looks: dict[str, int] = field(default_factory=dict)  # by vault source: finite suites go on from here
    faults: int = 0
    run_faults: int = 0
    finals: list[e.FinalScored] = field(default_factory=list)
    side: measured.Side = field(default_factory=measured.Side)  # measurements that decide no verdict
    called: called.Called = field(default_factory=called.Called)  # models  # E-5
    search: searching.Searched = field(default_factory=searching.Searched)  # what improvers tried in public  # P-7
    trained: training.Trained = field(default_factory=training.Trained)  # artifacts that are kept  # S-7
    growth: growth.Grown = field(default_factory=growth.Grown)  # control arms and cross-play  # W-2
    govern: governed.Governed = field(default_factory=governed.Governed)  # G-2, G-4
    outside: others.Outside = field(default_factory=others.Outside)  # L-2
    halts: halting.Halts = field(default_factory=halting.Halts)  # G-5
    watches: watched.Watches = field(default_factory=watched.Watches)  # D-4
    foreign: foreign.Foreign = field(default_factory=foreign.Foreign)  # loops that are not ours  # G-7
    waivers: list[e.Waiver] = field(default_factory=list)
    last_end: e.RunEnded | None = None
    drill: tuple[str, e.DrillFinished] | None = None  # the last one, and when it ended
    calibration: tuple[str, e.Calibrated] | None = None  # the last one, and when
    last_at: str = ""  # the engine's clock: the latest of its own entries
    unreceived: list[tuple[int, str]] = field(default_factory=list)  # steps of people since then  # R-4
    size: int = 0

    # -- readings -------------------------------------------------------------------------------------

    @property
    def head(self) -> Generation:
        """The incumbent: head of the working line."""
        return self.generations[self.line[-1]]

    @property
    def waiting(self) -> list[Review]:
        """Reviews on the line that are undecided, unexpired, and not overtaken by a newer approval."""
        approved = max((n for n in self.line if self.generations[n].approved is not None), default=-1)
        return [
            r
            for r in self.reviews.values()
            if r.undecided
            and r.terms.generation > approved
            and r.terms.generation in self.line
            and r.terms.expires >= self.last_at
        ]

    @property
    def denials(self) -> list[Review]:
        """Denials of generations that are still on the line: the line goes back before anything else.  # R-1"""
        return [
            r
            for r in self.reviews.values()
            if r.decision is not None and r.decision.decision == "deny" and r.terms.generation in self.line
        ]

    @property
    def needs_review(self) -> bool:
        """Whether the head has no review that is open or decided and unexpired, or nothing that waits can be read."""
        head = self.head
        if head.parent is None or (head.number == self.released and head.approved is not None):
            return False  # what was released without asking is looked at, too  # G-3, G-7
        of_head = [
            r
            for r in self.reviews.values()
            if r.terms.generation == head.number and r.terms.expires >= self.last_at and not r.closed
        ]
        if not of_head:
            return True
        too_large = head.approved is None and not any(r.fits for r in of_head)
        return too_large and not any(r.fits for r in self.waiting)

    def source_left(self, count: int | None) -> int | None:
        """Hidden items not yet issued of a source that holds ``count``; None where it never ends."""
        source = self.epoch.suite.source if self.epoch is not None else None
        left = None if count is None or source is None else max(0, count - self.source_looks.get(source, 0))
        looks = self.looks_left
        return looks if left is None else left if looks is None else min(left, looks)

    @property
    def looks_left(self) -> int | None:
        """Looks at hidden items that the suite's budget still allows; None where it has none.  # V-3"""
        return self.side.looks_left(self.epoch.suite) if self.epoch is not None else None

    @property
    def debt(self) -> tuple[int, int]:
        """(generations, changed lines) on the working line since a person last approved.  # G-3"""
        generations = lines = 0
        for number in reversed(self.line):
            generation = self.generations[number]
            if generation.approved is not None or generation.parent is None:
                break
            generations += 1
            lines += generation.changed_lines
        return generations, lines

    @property
    def alpha_left(self) -> float:
        """What of this epoch's error budget is neither spent nor reserved."""
        return 0.0 if self.budget is None else self.budget.left

    def looked(self, items: int) -> None:
        """Count looks at the goal's hidden items. For the fold alone.  # V-3"""
        if self.epoch is not None:  # a shared block is used up as a whole, when its first test opens
            measured.looked(self, items, self.epoch.suite.source, fresh=not blocks.shared(self.epoch))

    # -- fold -----------------------------------------------------------------------------------------

    def apply(self, record: Record) -> None:
        """Fold one entry in. Raises ``IntegrityError`` where it does not fit what came before."""
        if record.seq != self.size:
            raise IntegrityError("entry-out-of-order", f"entry {record.seq} came where {self.size} was due")
        people.received(self, record)
        governed.before(self, record)  # G-7
        handler = _HANDLERS.get(record.kind)
        if handler is not None:
            handler(self, record, record.body)
        governed.sign_of_life(self, record)
        self.size = record.seq + 1


def in_force(state: State) -> int:
    """The generation whose improver proposes: in a control arm always that of the start.  # P-5, W-2"""
    return state.line[0] if state.run is not None and state.run.frozen_improver else state.in_force


def fold(records: Iterable[Record]) -> State:
    """The state after all ``records``, from the first on."""
    state = State()
    with uncollected(records):
        for record in records:
            state.apply(record)
    return state


# -- one function a kind ------------------------------------------------------------------------------


def _genesis(s: State, r: Record, b: e.Genesis) -> None:
    if s.genesis is not None:
        raise _misfit(r, "a second genesis")
    s.genesis = b


def _epoch(s: State, r: Record, b: e.EpochOpened) -> None:
    if s.move is not None or s.release is not None:
        raise _misfit(r, "an epoch opened while a reference was being moved")
    blocks.close_open(s)
    tested = [t.proposal for t in s.open.values()] + s.again
    for number in tested:  # new rules end what was tested under the old ones  # S-1
        _close(s, s.proposals[number], "inconclusive", "new-epoch")
    waiting = [s.current] if s.current is not None else []
    for number in waiting:  # not tested yet: it was made for the old rules
        _close(s, s.proposals[number], "failed", "new-epoch")
    s.closed = (*tested, *waiting)
    s.open, s.again = {}, []
    before, s.epoch, s.epoch_seq = s.epoch, b, r.seq
    s.side.new_epoch()
    s.search.new_epoch(r.leaf)
    s.trained.new_epoch(r.leaf)
    s.growth.new_epoch()
    s.govern.new_epoch(r, b, first=before is None)
    s.alpha_epochs, s.tested = alpha_with(s.alpha_epochs, before, s.tested, b), False
    s.error = "fdr" if b.error == "fdr" else s.error  # any error at all bounds the share, but not the other way round
    s.budget, s.noise = blocks.start(s, b), UNKNOWN
    s.twins = sameness.begin(b, r.seq)
    s.undo, s.shares = None, Shares()
    s.line = []  # a new epoch starts a new line at its own start commit


def _run_started(s: State, r: Record, b: e.RunStarted) -> None:
    if s.halts.standing:
        raise _misfit(r, "a run began while a halt stood")  # G-5
    s.run = b
    s.runs += 1
    s.run_at = r.at
    s.run_trials = s.run_proposals = s.run_faults = 0
    s.run_controls = None
    s.run_exhausted = s.run_spent = False
    s.run_barren = 0
    s.called.take(b)
    s.side.open = None  # cut off by whatever ended the run before
    s.search.new_run()


def _run_ended(s: State, r: Record, b: e.RunEnded) -> None:
    s.run = None
    s.last_end = b
    s.called.take(b)


def _controls(s: State, r: Record, b: e.ControlsChecked) -> None:
    s.controls, s.run_controls = b, b.ok


def _requested(s: State, r: Record, b: e.ProposalRequested) -> None:
    generation = s.generations.get(b.from_generation)
    known = s.proposals.get(b.proposal)
    if generation is None or generation.commit != b.from_commit or b.base_commit != s.head.commit:
        raise _misfit(r, "it names a proposing generation or a base that the line does not have")
    if generation.parent is not None and generation.approved is None:
        raise _misfit(r, "an improver that nobody approved was run")  # P-5
    if known is not None and (known.stage != "requested" or b.attempt != known.attempt + 1):
        raise _misfit(r, "a proposal was asked for again out of order")
    s.proposals[b.proposal] = Proposed(
        b.proposal, b.improver, b.from_generation, b.base_commit, b.attempt, b.seed,
        run=known.run if known is not None else s.runs, leaf=known.leaf if known is not None else r.leaf,
        barren_before=s.run_barren,
    )  # fmt: skip
    s.current, s.closed = b.proposal, ()
    if b.attempt == 1:
        s.run_proposals += 1
        blocks.asked(s, r.at)
        if not b.improver.startswith(("person:", "planted")):
            s.search.handed_in()


def _received(s: State, r: Record, b: e.ProposalReceived) -> None:
    p = _current(s, r, b.proposal, "requested")
    p.author, p.patch, p.plan, p.predicted = b.author, b.patch, b.plan, b.predicted
    p.binary, p.target, p.signed = b.binary, b.target, people.signed(s, b)
    p.received_seq, p.origin = r.seq, r.commitments.get("origin", "")
    p.wall_s, p.cpu_s = b.wall_s, b.cpu_s
    p.stage = "received"
    s.called.take(b)
    if b.patch is None:
        s.run_barren += 1
        _close(s, p, "failed", b.reason)
        s.run_exhausted = b.exhausted
        s.run_spent = s.run_spent or b.spent


def _screened(s: State, r: Record, b: e.Screened) -> None:
    if b.proposal in s.again and s.current is None:
        s.again.remove(b.proposal)
        s.current = b.proposal
    p = _current(s, r, b.proposal, "received")
    if b.result == "passed" and b.base_commit != p.base_commit:  # made for another head, judged on this one  # S-8
        if b.base_commit != s.head.commit:
            raise _misfit(r, "it was screened on something else than the head of the line")
        p.base_commit = b.base_commit
    p.tree, p.changed_lines, p.improver_changed = b.tree, b.changed_lines, b.improver_changed
    p.guard_change = b.guard_change
    p.stage = "screened"
    if b.result == "passed":
        s.run_barren = 0
    elif not p.improver.startswith(("person:", "planted:")):
        s.run_barren += 1  # the same again, or out of scope again: asking for ever would not help
    words: dict[str, Word] = {"refused": "refused", "no-op": "no-op", "duplicate": "duplicate", "stale": "failed"}
    if b.result == "stale" and p.moved:
        _close(s, p, "inconclusive", "line-moved")
    elif b.result != "passed":
        _close(s, p, words[b.result], b.reason)


def _test_opened(s: State, r: Record, b: e.TestOpened) -> None:
    p = _current(s, r, b.proposal, "screened")
    if s.epoch is None or s.budget is None or s.run is None or len(s.open) >= s.run.at_once:
        raise _misfit(r, "a test opened without an epoch, or beside more tests than the run allows")
    most, noise = units_max_of(s.epoch, p.target), known(s.noise, p.target)
    terms = (p.tree, p.base_commit, s.epoch.anchor_tree, most, p.target, *noise)
    if (b.tree, b.base_commit, b.anchor_tree, b.units_max, b.target, b.noise_tests, b.noise_squares) != terms:
        raise _misfit(r, "its plan is not the one that proposal and epoch give")  # L-4
    if b.target == "productivity" and b.against != in_force(s):
        raise _misfit(r, "it is not compared with the improver in force")  # S-6
    before = s.budget
    level, budget = before.open()
    if abs(level - b.level) > 1e-12 * max(level, b.level):
        raise _misfit(r, f"its level {b.level} is not the one that the budget gives ({level})")
    if (shared := blocks.shared(s.epoch)) and (b.block, b.first_item) != blocks.place(s):
        raise _misfit(r, "its block is not the one in use")  # V-3
    s.budget = budget
    s.tests = max(s.tests, b.test + 1)
    test = s.open[b.test] = OpenTest(b.test, b.proposal, r.seq, r.leaf, b, gate.start(plan_of(s.epoch, b)), before)
    if b.target == "gain":  # what a test for the improver shows is no gain at the task  # S-6
        test.share, s.shares = s.shares.open()
    test.first_item = b.first_item if shared else s.source_looks.get(s.epoch.suite.source or "", 0)
    if shared:
        blocks.opened(s, b.block, b.first_item, r.at)
    s.tried[(b.base_commit, b.tree)] = b.proposal
    p.stage = "testing"
    s.current, s.undo, s.closed = None, None, ()
    s.tested = True


def _batch_started(s: State, r: Record, b: e.BatchStarted) -> None:
    t = _test(s, r, b.test)
    if b.batch != t.batches or b.attempt != t.attempt + 1:
        raise _misfit(r, "a batch out of order")
    s.closed = ()
    t.attempt, t.units = b.attempt, b.units
    t.items += b.items
    s.proposals[t.proposal].trials += b.trials
    s.looked(b.items)
    s.trials += b.trials
    s.run_trials += b.trials
    s.side.test_trials += b.trials


def _batch_ended(s: State, r: Record, b: e.BatchEnded) -> None:
    t = _test(s, r, b.test)
    if b.batch != t.batches or t.attempt == 0:
        raise _misfit(r, "a result without its intent")  # L-3
    if len(b.gain) != t.units or any(len(g) != t.units for g in b.guards) or len(b.guards) != len(t.progress.guards):
        raise _misfit(r, "results are missing of units that were begun")  # V-1
    if t.progress.plan.kind == "bounded" and any(not -1.0 <= x <= 1.0 for x in b.gain):
        raise _misfit(r, "a difference lies outside the declared range")
    if any(not -1.0 <= x <= 1.0 for guard in b.guards for x in guard):
        raise _misfit(r, "a guard's difference lies outside the declared range")
    deciding = judges.deciding(s, r, b)
    evidence = (
        gate.Evidence(gain, tuple(g[i] for g in b.guards), tuple(j[i] for j in deciding))
        for i, gain in enumerate(b.gain)
    )
    t.progress = gate.observe_all(t.progress, evidence)  # stops at the decision, and so does the generator
    t.gains.extend(b.gain)
    t.judged.extend(zip(*b.judges, strict=True))
    t.candidate_sum += (b.candidate_mean or 0.0) * len(b.gain)
    t.incumbent_sum += (b.incumbent_mean or 0.0) * len(b.gain)
    t.tampering = (t.tampering[0] + b.tampering[0], t.tampering[1] + b.tampering[1])
    t.failed += b.failed
    t.denied += b.denied
    t.batches += 1
    t.attempt = 0
    if s.twins is not None:
        s.twins.judged += len(b.gain)


def _verdict(s: State, r: Record, b: e.Verdict) -> None:
    t = _test(s, r, b.test)
    if s.epoch is None or s.budget is None or b.proposal != t.proposal or b.tree != t.terms.tree:
        raise _misfit(r, "the verdict names another proposal or tree than the test")
    accepted = b.verdict == "accept"
    if accepted and gate.decision(t.progress) != "accept":
        raise _misfit(r, "accepted without the evidence that the rule asks for")  # S-1
    if accepted and t.terms.base_commit != s.head.commit:
        raise _misfit(r, "accepted against something else than the head of the line")  # S-8
    refund = 0.0 if accepted else gate.refund_share(t.progress)
    s.undo = (b.proposal, without(s.budget, t.before, t.terms.level))
    s.budget = s.budget.close(t.terms.level, accepted, refund)
    s.noise = learn(s.noise, s.epoch, t)
    blocks.keep(s)
    del s.open[b.test]
    p = s.proposals[b.proposal]
    p.words = judges.words(s, t)
    p.verdict_seq, p.estimate = r.seq, b.estimate
    if b.again:
        if b.reason != "line-moved":
            raise _misfit(r, "a proposal that was judged is to be tested again")  # S-3
        p.stage, p.moved = "received", True
        s.again.append(p.number)
        return
    words: dict[str, Word] = {"accept": "accepted", "reject": "rejected", "inconclusive": "inconclusive"}
    _close(s, p, words[b.verdict], b.reason)
    if s.run is not None and s.run.at_once > 1:
        s.run_exhausted, s.run_barren = False, 0  # an improver that was ahead of its verdicts has heard of one
    if accepted and s.govern.autonomy.merges:  # else a verdict, and nothing moves  # G-7
        number, task = max(s.generations) + 1, t.terms.target == "gain"
        s.shares = s.shares.accepted() if task else s.shares
        s.govern.gains[number] = governed.gain(s.epoch, t)
        s.generations[number] = Generation(
            number, "", s.head.number, b.proposal, p.author, b, r.leaf, p.improver_changed, p.changed_lines,
            retired=(t.first_item, min(t.items, len(t.gains) * s.epoch.suite.batch_items) if s.epoch else 0),
            step=Step(tuple(t.gains), t.share) if task else None, trials=s.trials - s.side.comparing,
            target=t.terms.target, means=governed.means(t),
        )  # fmt: skip


def _waiver(s: State, r: Record, b: e.Waiver) -> None:
    s.waivers.append(b)


def _fault(s: State, r: Record, b: e.FaultRecorded) -> None:
    s.faults += 1
    s.run_faults += 1
    s.govern.fault(b)
    named = b.test is not None or s.run is None or s.run.at_once > 1
    number = b.test if named else next(iter(s.open), None)
    test = s.open.get(number) if number is not None else None
    if test is not None and test.attempt > 0:  # while its batch was under way: not any fault of the run  # T-6
        test.faults += 1


def _current(s: State, r: Record, number: int, stage: str) -> Proposed:
    p = s.proposals.get(number)
    if p is None or p.stage != stage or s.current != number:
        raise _misfit(r, f"proposal {number} is not at the stage '{stage}'")
    return p


def _test(s: State, r: Record, number: int) -> OpenTest:
    if number not in s.open:
        raise _misfit(r, f"test {number} is not open")
    return s.open[number]


def _close(s: State, p: Proposed, word: Word, reason: str) -> None:
    p.stage, p.word, p.reason = "closed", word, reason
    if s.current == p.number:
        s.current = None
    s.closed = (p.number,)


_HANDLERS: dict[str, Callable[[State, Record, Any], None]] = {
    "genesis": _genesis, "epoch-opened": _epoch, "run-started": _run_started, "run-ended": _run_ended,
    "controls-checked": _controls, "proposal-requested": _requested, "proposal-received": _received,
    "screened": _screened, "test-opened": _test_opened, "batch-started": _batch_started,
    "batch-ended": _batch_ended, "verdict": _verdict, "line-intent": lines.line_intent, "line-moved": lines.line_moved,
    **people.HANDLERS,
    "improver-in-force": lines.in_force, "release-intent": lines.release_intent, "released": lines.released,
    "waiver": _waiver, "fault": _fault, **measured.HANDLERS, **called.HANDLERS, **searching.HANDLERS,
    **growth.HANDLERS, **watched.HANDLERS, **halting.HANDLERS, **governed.HANDLERS,
    **others.HANDLERS, **foreign.HANDLERS, **training.HANDLERS,
    "control-started": sameness.started, "control-ended": sameness.ended, "control-resolved": sameness.resolved,
    "plant-revealed": plants.revealed,
}  # fmt: skip
