"""What to do next: a pure function of the state and a few facts about the world.

The order of the checks is the rule of the loop: first finish what a crash left half done, then obey people
and budgets, then go on with the work that is under way, and only then start something new.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

from festina.govern.governor import FREE, Decision
from festina.loop import alarmed, blocks, corners, debt, measured, searching
from festina.loop.actions import Action as Action
from festina.loop.actions import AskReview as AskReview
from festina.loop.actions import Attribute as Attribute
from festina.loop.actions import AwaitPace as AwaitPace
from festina.loop.actions import AwaitReview as AwaitReview
from festina.loop.actions import AwaitWord as AwaitWord
from festina.loop.actions import Characterise as Characterise
from festina.loop.actions import CheckControls as CheckControls
from festina.loop.actions import CompareInternals as CompareInternals
from festina.loop.actions import ComparePublic as ComparePublic
from festina.loop.actions import Decide as Decide
from festina.loop.actions import EndReason as EndReason
from festina.loop.actions import Finish as Finish
from festina.loop.actions import FinishMove as FinishMove
from festina.loop.actions import FinishRelease as FinishRelease
from festina.loop.actions import HaltLoop as HaltLoop
from festina.loop.actions import OpenTest as OpenTest
from festina.loop.actions import PlayProblem as PlayProblem
from festina.loop.actions import Propose as Propose
from festina.loop.actions import PutInForce as PutInForce
from festina.loop.actions import ReleaseAlone as ReleaseAlone
from festina.loop.actions import RevealPlant as RevealPlant
from festina.loop.actions import RunBatch as RunBatch
from festina.loop.actions import RunControl as RunControl
from festina.loop.actions import ScoreFinal as ScoreFinal
from festina.loop.actions import Screen as Screen
from festina.loop.actions import SettleReview as SettleReview
from festina.loop.actions import StartLine as StartLine
from festina.loop.actions import TakeBack as TakeBack
from festina.loop.actions import TakeProposal as TakeProposal
from festina.loop.actions import TakeTries as TakeTries
from festina.loop.actions import Try as Try
from festina.loop.governed import gain_of
from festina.loop.rows import OpenTest as Open
from festina.loop.sameness import TRIES as CONTROL_TRIES
from festina.loop.state import State
from festina.select import gate, sameness
from festina.verify.verdicts import tampered

LOOKS_SPENT = (
    "the hidden suite's budget of looks is spent: festina vault add hidden NEW --replace, then "
    "festina run --new-epoch 'why'"
)
OBSERVED = "everything that was handed in has its verdict; at 'observe' nothing else is begun: festina autonomy"
UNREVIEWED = "nobody has reviewed the last generations"  # G-3
QUEUE_FULL = "changes wait for reviewers"
FAULTS_PER_RUN = 6  # an engine that keeps failing stops and says so, instead of burning the budget
FAULTS_PER_TEST = 3  # a candidate whose trials cannot be run keeps nobody else waiting, and is never accepted
TWINS_PER_BATCH = 16  # units of the incumbent against itself at a time: a crash repeats no more
SIDES = 3  # trials of one unit at most: candidate, incumbent, anchor
IMPROVER_SIDES = 7  # of one unit of a test for the improver: two improvers, two products, candidate, head, anchor
CHARACTERISATIONS = 2  # of one generation: a suite that fails half-way is tried once more
BARREN_PER_RUN = 5  # an improver that hands in nothing so often in a row will not do better by being asked again


@dataclass(frozen=True, slots=True)
class Facts:
    """What the shell knows and the ledger cannot: elapsed time and requests to stop."""

    elapsed_s: float
    interrupted: bool = False
    model_spent: bool = False  # the run's budget for models allows no other trial  # E-5
    items_left: int | None = None  # hidden items not yet issued; None: they never end
    plant_due: int | None = None  # a closed proposal that was planted and is not revealed yet  # V-7
    asked: Literal["", "working", "done"] = ""  # of the improver, beside the tests
    word_due: bool = True  # the slot for the last word has come  # P-4
    tries: tuple[int, ...] = ()  # tries under way in this process
    tries_done: bool = False  # whether one of them has ended
    tries_at_once: int = 1
    queued: bool = False  # a change that somebody handed in comes next
    review_due: int | None = None  # a review whose decisions count from now on  # R-1
    governed: Decision = FREE  # G-2
    rested: bool = False  # as long as its rate asks for
    release_due: int | None = None  # a version to be released without asking  # G-7
    review_wait_left_s: float = 0.0  # how long the operator wants to wait for a person before proposing on


def next_action(state: State, facts: Facts) -> Action:
    """The one next step. Pure: same state and facts, same action."""
    if state.halts.standing:
        return Finish("halted", state.halts.sentence())  # G-5: nothing is finished first, not even a half
    return (
        _halves(state, facts) or _people(state) or _stops(state, facts) or _governed(state, facts)
        or _control(state, facts) or _test(state, facts) or _work(state, facts)
    )  # fmt: skip


def _halves(s: State, facts: Facts) -> Action | None:
    """Effects with an intent and no end come first; so does what a planted defect left in the counts.  # L-3"""
    if facts.plant_due is not None:
        return RevealPlant(facts.plant_due)
    if s.move is not None:
        return FinishMove()
    if s.release is not None:
        return FinishRelease()
    if s.epoch is not None and not s.line:
        return StartLine()
    if facts.review_due is not None:
        return SettleReview(facts.review_due)
    return None


def _people(s: State) -> Action | None:
    if s.denials:
        return TakeBack(s.denials[0].terms.review) if not s.open else None  # open tests are closed first
    if not s.govern.autonomy.releases:
        return None  # an improver that is put in force has left the loop, too  # G-7
    demo = s.genesis is not None and s.genesis.demo
    for number, review in s.reviews.items():
        generation = s.generations[review.terms.generation]
        if generation.approved != number or generation.number not in s.line or generation.number <= s.in_force:
            continue
        if generation.doubtful and s.twins is not None and s.twins.alarm is not None:
            continue  # V-2
        if demo or (generation.verdict is not None and not generation.verdict.provisional):  # T-2
            return PutInForce(number)
    return None


def _stops(s: State, facts: Facts) -> Action | None:
    if facts.interrupted:
        return Finish("interrupted", "stopped by the operator")
    run = s.run
    if run is None:
        return Finish("fault", "no run is open")
    if s.run_faults >= FAULTS_PER_RUN:
        return Finish("fault", f"{s.run_faults} failures of the engine or its host in this run")
    if facts.elapsed_s >= run.wall_s:
        return Finish("budget", "the run's time is spent")
    if facts.model_spent:
        return Finish("budget", "the run's budget for models allows no other trial")  # E-5
    if s.run_controls is None:
        return _retired(s) or CheckControls()
    if not s.run_controls:
        return Finish("fault", "the scorer's controls failed, so that no score means anything")
    return None


def _governed(s: State, facts: Facts) -> Action | None:
    """What stops everything, open tests too: a halt is written down, a pause ends by itself.  # G-1, G-4, G-6"""
    if (left := alarmed.left(s)) is not None:
        return HaltLoop(left.reason)  # D-4: whoever raised it halts everything, if it lives
    if (reason := facts.governed.first("halt")) is not None:
        return HaltLoop(reason.sentence())
    if (reason := facts.governed.first("pause")) is not None:
        return Finish("waiting", reason.sentence())
    return None


def _characterise(s: State) -> Characterise | None:
    """The head's characterisation, where it is not complete, was not tried too often and can be paid for.  # G-2"""
    run, terms = s.run, s.epoch.govern if s.epoch is not None else None
    if run is None or terms is None or not s.line:
        return None
    missing = [each for each in terms.capabilities if not s.govern.complete(s.head.number, each.name)]
    cost = sum(each.units for each in terms.capabilities)
    tries = CHARACTERISATIONS * len(terms.capabilities)
    if not terms.capabilities or run.trials - s.run_trials < cost:
        return None
    stale = not missing  # complete, and run out: all of it once more
    if s.side.tried("characterisation", s.head.number) >= tries * (2 if stale else 1):
        return None
    return Characterise(s.head.number)


def _commit(s: State, facts: Facts, test: Open) -> Action:
    """Accept, if capability may move that far now; else characterise first, or wait.  # G-2"""
    gain, room = gain_of(s, test), facts.governed.room
    if (gain is not None and gain <= room) or room == math.inf:
        return Decide(test.number, "accept", "shown")
    first = None if s.govern.complete_all(s, s.head.number) and room >= 0.0 else _characterise(s)
    size = "by nobody knows how much" if gain is None else f"by up to {gain:.1f} doublings"
    waits = f"proposal {test.proposal} would move capability {size}, and {max(0.0, room):.1f} are left of the step"
    return first or Finish("waiting", f"{waits}: festina characterise, or a larger policy.pace.step in a new epoch")


def _unattended(s: State, facts: Facts) -> Action | None:
    """Measured whole, scored on what no test used, then released, where a signed step lets nobody be asked.  # G-7"""
    if (number := facts.release_due) is None:
        return None
    if not s.govern.complete_all(s, number):
        return _characterise(s)
    if s.epoch is not None and s.epoch.final is not None and number not in s.side.finals:
        return ScoreFinal(number) if s.side.tried("final", number) < CHARACTERISATIONS else None
    return ReleaseAlone(number) if measured.final_allows(s, number) else None


def _paced(s: State, facts: Facts) -> Action | None:
    """What keeps anything new from being begun.  # G-2"""
    if (reason := facts.governed.first("hold")) is not None:
        if facts.governed.characterise and (measured := _characterise(s)) is not None:
            return measured
        return AwaitReview() if facts.review_wait_left_s > 0 else Finish("waiting", reason.sentence())
    return AwaitPace(facts.governed.rate) if facts.governed.rate < 1.0 and not facts.rested else None


def _retired(s: State) -> Action | None:
    """A suite whose budget of looks is spent shows nothing any more, not even to the incumbent.  # V-3"""
    left, epoch = s.looks_left, s.epoch
    if left is None or epoch is None or left >= epoch.suite.batch_items:
        return None
    for number in s.open:
        return Decide(number, "inconclusive", "budget")
    return AskReview() if s.needs_review else Finish("budget", LOOKS_SPENT)


def _control(s: State, facts: Facts) -> Action | None:
    """The incumbent against itself: what is owed of it, and what a broken one means.  # V-2"""
    t, run, epoch = s.twins, s.run, s.epoch
    if t is None or run is None or epoch is None:
        return None
    if t.alarm is not None:
        for number in s.open:
            return Decide(number, "inconclusive", "control")
        return Finish("control", "the incumbent, compared with itself, came out different: festina review control")
    room = (run.trials - s.run_trials) // 2
    left = s.looks_left if blocks.shared(epoch) else facts.items_left
    if left is not None:
        room = min(room, left // epoch.suite.batch_items)
    again = 0 < t.attempt < CONTROL_TRIES
    units = t.units if again else sameness.due(epoch.control_share, t.judged, t.test.units)
    if again and units > room:
        return None  # what was cut off cannot be paid for again: the budget's end comes next
    units = min(units, room, TWINS_PER_BATCH)
    return RunControl(units) if units > 0 else None


def _test(s: State, facts: Facts) -> Action | None:
    """Go on with the open tests, and fill up what the run may have open at once.  # S-2, S-8"""
    run = s.run
    if not s.open or run is None:
        return None
    for test in s.open.values():
        if (ending := _ending(s, facts, test)) is not None:
            return ending
    if len(s.open) < run.at_once:
        more = _work(s, facts)
        later = isinstance(more, TakeProposal) and facts.asked == "working"
        later = later or (isinstance(more, TakeTries) and not facts.tries_done)
        if not later and not isinstance(more, Finish | AwaitReview | AwaitPace | AwaitWord):
            return more
    needed = max(IMPROVER_SIDES if t.terms.target == "productivity" else SIDES for t in s.open.values())
    if run.trials - s.run_trials < needed:
        return Finish("budget", "the run's trials are spent; the open test goes on with the next run")  # E-5
    return RunBatch(tuple(s.open))


def _ending(s: State, facts: Facts, test: Open) -> Action | None:
    """The verdict that an open test has come to."""
    if test.terms.base_commit != s.head.commit or s.denials:
        return Decide(test.number, "inconclusive", "line-moved")
    if test.faults >= FAULTS_PER_TEST:
        return Decide(test.number, "inconclusive", "fault")
    if tampered(test):
        return Decide(test.number, "reject", "guard")  # S-6, T-4: before anything that it may have gained
    outcome = gate.decision(test.progress)
    if outcome == "accept":
        return _commit(s, facts, test)
    if outcome == "cap":
        return Decide(test.number, "inconclusive", "cap")
    if outcome != "continue":
        return Decide(test.number, "reject", outcome)
    if _items_spent(s, facts):
        return Decide(test.number, "inconclusive", "budget")
    return None


def _items_spent(s: State, facts: Facts) -> bool:
    """Whether a finite hidden suite has no room for another unit, or for another block.  # V-3"""
    if s.epoch is not None and blocks.shared(s.epoch):
        return not blocks.room(s, facts.items_left)
    return s.epoch is not None and facts.items_left is not None and facts.items_left < s.epoch.suite.batch_items


def _work(s: State, facts: Facts) -> Action:
    run, epoch = s.run, s.epoch
    assert run is not None  # _stops has seen to it
    assert epoch is not None
    if s.head.parent is not None and s.run_controls and s.head.public is None:
        return ComparePublic(s.head.number)  # before a person looks at it
    if s.head.parent is not None and s.run_controls and s.head.attribution is None and epoch.attribution_share > 0.0:
        return Attribute(s.head.number)
    if s.head.parent is not None and s.run_controls and s.head.internals is None and epoch.internals_share > 0.0:
        return CompareInternals(s.head.number)
    if (alone := _unattended(s, facts)) is not None:
        return alone
    if s.needs_review:
        return AskReview()
    if not s.govern.autonomy.merges and not facts.queued and s.current is None and not s.again:
        return Finish("finished", OBSERVED)  # G-7
    if _items_spent(s, facts):
        spent = "the hidden items are spent: festina vault add hidden NEW --replace, then festina run --new-epoch 'why'"
        return Finish("budget", spent if s.looks_left is None else LOOKS_SPENT)
    if blocks.told_all(s):
        return Finish("budget", "the hidden block has told all it may (suite.hidden.bits): add new items")
    if debt.of(s).over:
        if facts.review_wait_left_s > 0:
            return AwaitReview()
        return Finish("waiting", f"{UNREVIEWED}: `festina review`")  # G-3
    if epoch.review is not None and s.current is None and not s.again and len(s.waiting) >= epoch.review.max_waiting:
        if facts.review_wait_left_s > 0:
            return AwaitReview()
        return Finish("waiting", f"{len(s.waiting)} {QUEUE_FULL}: `festina review`")
    if s.current is not None:
        proposed = s.proposals[s.current]
        if proposed.stage == "requested" and facts.asked:
            return TakeProposal(proposed.number)
        if proposed.stage == "requested":
            return Propose(proposed.number, proposed.attempt + 1)
        if proposed.stage == "received":
            return Screen(proposed.number)
        return OpenTest(proposed.number)
    if s.again:
        return Screen(s.again[0])
    if s.waiting and facts.review_wait_left_s > 0:
        return AwaitReview()
    if (held := _paced(s, facts)) is not None:
        return held
    if not s.open and (wanted := corners.play(s, facts.items_left)) is not None:
        return PlayProblem(wanted)
    if s.run_spent and epoch.archive is None:
        return Finish("budget", "the run's budget for models allows no other call")  # E-5
    if s.run_exhausted:
        return Finish("exhausted", "the improver has nothing new to offer")
    if s.run_barren >= BARREN_PER_RUN:
        return Finish("exhausted", f"the improver handed in nothing new to test {s.run_barren} times in a row")
    if s.run_proposals >= run.proposals:
        return Finish("finished", "every proposal of this run was judged")
    if run.trials - s.run_trials < SIDES:
        return Finish("budget", "the run's trials are spent")
    if s.word_from and not facts.word_due:
        return AwaitWord()  # before any try, too: what is tried next would tell the word  # P-4
    if epoch.archive is not None and not facts.queued and (first := _search(s, facts)) is not None:
        return first
    return Propose(max(s.proposals, default=-1) + 1, 1)


def _search(s: State, facts: Facts) -> Action | None:
    """What comes before the improver hands in: tries on public evidence, until enough were made.  # P-7"""
    if facts.tries_done:
        return TakeTries()
    run = s.run
    assert run is not None
    room = searching.room(s, facts.elapsed_s, facts.tries_at_once)
    if searching.due(s, room):
        return None
    if run.trials - s.run_trials < SIDES + searching.terms(s).seeds:
        return TakeTries() if facts.tries else Finish("budget", "the run's trials are spent")  # E-5
    if len(facts.tries) < facts.tries_at_once:
        step = searching.next_step(s, facts.tries, room)
        if step is not None:
            return Try(step)
    if facts.tries:
        return TakeTries()
    if searching.last(s, room):
        return None  # nothing else can be tried: what there is
    if s.run_spent:
        return Finish("budget", "the run's budget for models allows no other call")  # E-5
    if searching.spent(s):
        return Finish("budget", "the improver's scratch runs are spent (improver.archive.trials)")
    return Finish("exhausted", "the improver's tries came to nothing that public evidence shows to be better")
