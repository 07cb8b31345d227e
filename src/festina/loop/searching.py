"""The improver's own search as part of the state: what was tried on public evidence, and what to do next.  # P-7

The fold's functions for ``try-started`` and ``try-ended``, and the pure readings that ``next`` decides from. No test,
level or move of the line depends on any of it; a line that moves leaves the archive standing, since trees and their
public scores stay what they are, and makes another node the one to beat.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from festina.ledger import entries as e
from festina.ledger.log import Record
from festina.ledger.seeds import try_seed
from festina.loop import blocks
from festina.loop.rows import Proposed, misfit
from festina.propose.archive import Archive, Make, Node, Run, Terms, luck
from festina.verify.verdicts import anchor_needed, first_plan, width_of

if TYPE_CHECKING:
    from festina.loop.state import State

RUNS_A_UNIT = 2
LEAST_SHARE = 0.01  # of a run, for a side that only answers
ATTEMPTS = 2  # of one try that is cut off
BARREN = 12  # tries in a row that give no new tree: an improver that has nothing, or is broken


@dataclass(slots=True)
class Tried:
    """One node's way into the archive."""

    number: int
    parent: int | None
    tree: str
    author: str = ""
    from_generation: int = 0
    patch: str | None = None  # child minus parent
    plan: str | None = None
    scores: list[float | None] = field(default_factory=list)
    guards: tuple[float, ...] = ()  # means over its first runs
    barren: int = 0  # tries below it of which no new tree came
    dry: bool = False
    changed_lines: int = 0
    parts: tuple[float, ...] = ()  # public scores by group of items, where they were scored
    luck: float | None = None  # of its gain over its parent


@dataclass(slots=True)
class Searched:
    """The account of an epoch's archive. ``open``: charged and not ended, or cut off."""

    leaf: str = ""  # of the epoch's entry: seeds follow from it
    count: int = 0  # tries begun in this ledger
    nodes: dict[int, Tried] = field(default_factory=dict)
    by_tree: dict[str, int] = field(default_factory=dict)
    open: dict[int, e.TryStarted] = field(default_factory=dict)
    next_node: int = 0
    since: int = 0  # new trees asked for since the last hand-in
    idle: int = 0  # the same since a hand-in or the start of this engine run
    barren: int = 0  # tries in a row that gave no new tree
    runs: int = 0  # scratch runs charged, ever
    run_runs: int = 0  # by this engine run
    results: dict[str, int] = field(default_factory=dict)
    timed: tuple[int, float] = (0, 0.0)  # runs of this epoch that ended, and their wall time together
    trained: tuple[int, float] = (0, 0.0)  # trainings within these whose artifact is kept, and their wall time  # S-7

    def new_epoch(self, leaf: str) -> None:
        """Other rules: nothing that was tried under the old ones compares."""
        self.leaf, self.nodes, self.by_tree, self.open = leaf, {}, {}, {}
        self.since = self.idle = 0
        self.timed = self.trained = (0, 0.0)

    @property
    def answering(self) -> float:
        """What answering takes of a run that trains first; 1 where every run trains."""
        (runs, wall_s), (trainings, trained_s) = self.timed, self.trained
        if not trainings or wall_s <= 0.0:
            return 1.0
        answer_s = max(0.0, wall_s - trained_s) / runs
        return max(LEAST_SHARE, answer_s / (answer_s + trained_s / trainings))

    def new_run(self) -> None:
        self.run_runs = self.idle = self.barren = 0

    def handed_in(self) -> None:
        self.since = self.idle = 0


@dataclass(frozen=True, slots=True)
class Step:
    """The next try: what it does, its number, and how often it was begun."""

    number: int
    attempt: int
    node: int
    seed: int
    what: Run | Make


def head_tree(s: State) -> str:
    """The incumbent's tree."""
    assert s.epoch is not None
    return s.epoch.start_tree if s.head.verdict is None else s.head.verdict.tree


def archive(s: State) -> Archive | None:
    """The nodes as the pure choice sees them; None before the incumbent is one."""
    q, epoch = s.search, s.epoch
    assert epoch is not None
    head = q.by_tree.get(head_tree(s))
    if head is None:
        return None
    sign = 1.0 if epoch.suite.direction == "higher" else -1.0
    handed: dict[str, list[Proposed]] = {}
    kept = standing(s)
    for p in s.proposals.values():
        if p.tree is not None and p.plant is None:
            handed.setdefault(p.tree, []).append(p)
    nodes: dict[int, Node] = {}
    for t in q.nodes.values():
        mine = handed.get(t.tree, [])
        if blocks.shared(epoch):  # one word for all that was not accepted  # P-4
            refused = any(p.word not in (None, "accepted") for p in mine)
        else:
            refused = any(p.word in ("rejected", "refused") or p.reason == "cap" for p in mine)
        tested = any(p.word is None or p.base_commit == s.head.commit for p in mine)
        scores = tuple(None if x is None else sign * x for x in t.scores)
        nodes[t.number] = Node(
            t.number, t.parent, t.tree, scores, sound=t.number in kept and _sound(s, t), dry=t.dry, barren=t.barren,
            refused=refused, tested=refused or tested, luck=t.luck,
        )  # fmt: skip
    return Archive(
        nodes, head, running=tuple(b.node for b in q.open.values() if b.parent is None),
        making=tuple(b.parent for b in q.open.values() if b.parent is not None),
    )  # fmt: skip


def standing(s: State) -> set[int]:
    """Nodes that improvers made whom nobody has taken back, on nothing but such nodes.  # P-5, R-1"""
    found: set[int] = set()
    for t in s.search.nodes.values():  # parents before children
        if t.parent is None or (t.from_generation in s.line and t.parent in found):
            found.add(t.number)
    return found


@dataclass(frozen=True, slots=True)
class Room:
    """Runs that this engine run may still make and may make at all, by its trials and by its time."""

    left: int
    whole: float


def room(s: State, elapsed_s: float, at_once: int) -> Room:
    """From how long runs took so far, ``at_once`` side by side; times of runs in public alone.  # E-5, P-4"""
    run = s.run
    if run is None:
        return Room(0, math.inf)
    runs, wall_s = s.search.timed
    rate = at_once * runs / wall_s if wall_s > 0.0 else math.inf
    by_time = rate * max(0.0, run.wall_s - elapsed_s)
    left = run.trials - s.run_trials
    return Room(left if by_time >= left else int(by_time), min(run.trials, rate * run.wall_s))


def terms(s: State, whole: float = math.inf) -> Terms:
    """The plan is that of the epoch's first test: with the next one's level, when an improver is asked would tell of
    earlier tests.  # P-4
    """
    epoch = s.epoch
    assert epoch is not None
    assert epoch.archive is not None
    table, sides = epoch.archive, RUNS_A_UNIT + anchor_needed(epoch, "gain")
    return Terms(
        table.tries, table.seeds, epoch.suite.detect, first_plan(epoch), width_of(epoch.suite),
        sides * s.search.answering, whole,
    )  # fmt: skip


def best(s: State) -> int | None:
    """The node that would be handed in now."""
    found = archive(s)
    return None if found is None else found.ready(terms(s))


def due(s: State, room: Room) -> bool:
    """Whether what leads is to be handed in now."""
    found = archive(s) if s.search.since >= terms(s).tries else None
    return found is not None and found.due(terms(s, room.whole), s.search.since, room.left)


def last(s: State, room: Room) -> bool:
    """Whether what leads is handed in where nothing else can be tried."""
    found = archive(s)
    return found is not None and found.last(terms(s, room.whole), room.left) is not None


def exhausted(s: State, found: Archive) -> bool:
    """Whether the search came to nothing for so long that it will not by going on."""
    return s.search.barren >= BARREN or found.over(terms(s), s.search.idle)


def next_step(s: State, flight: tuple[int, ...], room: Room) -> Step | None:
    """The next try beside those in ``flight``; None: nothing new until one of them ends, or nothing at all."""
    q, epoch = s.search, s.epoch
    assert epoch is not None
    for number, body in q.open.items():
        if number not in flight:  # cut off: the same again
            return _again(body)
    if spent(s):
        return None
    found = archive(s)
    seed = try_seed(q.leaf, q.count)
    if found is None:
        return None if q.open else Step(q.count, 1, q.next_node, seed, Run(q.next_node, 0, min(2, terms(s).seeds)))
    what = found.next_try(terms(s), seed)
    if isinstance(what, Make) and (s.run_spent or exhausted(s, found)):
        return None  # no more new trees; what leads is still run on all its seeds
    wide = terms(s, room.whole)
    if what is None or (isinstance(what, Make) and q.open and found.enough(wide, q.since, room.left)):
        return None  # enough was tried, and what is under way decides what is handed in
    return Step(q.count, 1, q.next_node if isinstance(what, Make) else what.node, seed, what)


def _again(b: e.TryStarted) -> Step:
    what = Run(b.node, b.first, b.runs) if b.parent is None else Make(b.parent, b.runs)
    return Step(b.number, b.attempt + 1, b.node, b.seed, what)


def spent(s: State) -> bool:
    """Whether the improver's own budget of runs is used up.  # E-5"""
    cap = s.epoch.archive.trials if s.epoch is not None and s.epoch.archive is not None else None
    return cap is not None and s.search.run_runs + terms(s).seeds > cap


def _sound(s: State, t: Tried) -> bool:
    """Whether no guard is publicly hurt against the archive's first tree."""
    first = next(iter(s.search.nodes.values()), None)
    assert s.epoch is not None
    if first is None or not t.guards or not first.guards:
        return True
    for terms_, mine, base in zip(s.epoch.guards, t.guards, first.guards, strict=True):
        sign = 1.0 if terms_.direction == "higher" else -1.0
        if sign * (mine - base) < -terms_.max_loss:
            return False
    return True


# -- fold -----------------------------------------------------------------------------------------------


def _started(s: State, r: Record, b: e.TryStarted) -> None:
    q = s.search
    again = q.open.get(b.number)
    if s.epoch is None or s.epoch.archive is None:
        raise misfit(r, "a try where the epoch has no archive")
    due = (q.count, 1) if again is None else (b.number, again.attempt + 1)
    if (b.number, b.attempt) != due:
        raise misfit(r, "a try out of order")
    generation = s.generations.get(b.from_generation)
    if generation is None or (generation.parent is not None and generation.approved is None):
        raise misfit(r, "an improver that nobody approved was run")  # P-5
    if b.parent is not None and (b.parent not in q.nodes or b.node in q.nodes):
        raise misfit(r, "a child of nothing, or in another's place")
    node = q.nodes.get(b.node)
    if b.parent is None and node is not None and (node.tree, len(node.scores)) != (b.tree, b.first):
        raise misfit(r, "runs of another tree, or that were made before")
    if b.parent is None and node is None and b.tree != head_tree(s):
        raise misfit(r, "a tree without a parent that is not the incumbent's")
    if again is None:
        q.count += 1
        q.next_node = max(q.next_node, b.node + 1)
        blocks.asked(s, r.at)
        if b.parent is not None:
            q.since, q.idle = q.since + 1, q.idle + 1
    q.open[b.number] = b
    q.runs, q.run_runs = q.runs + b.runs, q.run_runs + b.runs
    s.trials += b.runs
    s.run_trials += b.runs


def _ended(s: State, r: Record, b: e.TryEnded) -> None:
    q = s.search
    intent = q.open.pop(b.number, None)
    if intent is None:
        raise misfit(r, "a result without its intent")  # L-3
    if b.parts and (b.result != "scored" or not _between(b.scores[:1], b.parts)):
        raise misfit(r, "a public score that is no mean of its parts")
    s.run_spent = s.run_spent or b.spent
    q.timed = q.timed[0] + len(b.scores), q.timed[1] + b.run_wall_s
    if b.trained_s > 0.0:
        q.trained = q.trained[0] + 1, q.trained[1] + b.trained_s
    q.results[b.result] = q.results.get(b.result, 0) + 1
    if intent.parent is not None:
        _child(s, r, intent, b)
    elif b.result == "scored":
        if intent.tree is None or len(b.scores) != intent.runs:
            raise misfit(r, "results are missing of runs that were begun")
        if intent.node not in q.nodes:
            q.nodes[intent.node] = Tried(intent.node, None, intent.tree, author="start", guards=b.guards, parts=b.parts)
            q.by_tree[intent.tree] = intent.node
        q.nodes[intent.node].scores += b.scores


def _between(first: tuple[float | None, ...], parts: tuple[float, ...]) -> bool:
    return all(x is not None and min(parts) - 1e-6 <= x <= max(parts) + 1e-6 for x in first)


def _child(s: State, r: Record, intent: e.TryStarted, b: e.TryEnded) -> None:
    q = s.search
    assert intent.parent is not None
    parent = q.nodes[intent.parent]
    if b.result != "scored":
        q.since = max(0, q.since - 1)
        if b.result != "cut-off":
            parent.barren += 1
            q.barren += 1
        parent.dry = parent.dry or b.exhausted
        return
    if b.tree is None or b.tree in q.by_tree or len(b.scores) != intent.runs:
        raise misfit(r, "a child without a tree of its own, or without its results")
    q.barren = 0
    q.by_tree[b.tree] = intent.node
    q.nodes[intent.node] = Tried(
        intent.node, intent.parent, b.tree, b.author, intent.from_generation, b.patch, b.plan, list(b.scores), b.guards,
        changed_lines=b.changed_lines, parts=b.parts, luck=luck(b.parts, parent.parts),
    )  # fmt: skip


HANDLERS: dict[str, Callable[[State, Record, Any], None]] = {"try-started": _started, "try-ended": _ended}
