"""The steps of a try: have a child made or take a known tree, run it on public evidence, record.  # P-7, E-1, L-3

The improver works as it does for a proposal, in the same box under the same limits; what it is shown as its tree is the
parent's, and its history is that of the lineage. The child is screened twice: the improver's own change (P-1), and the
whole difference against the incumbent, which is what would be handed in (P-2). Tries go on in threads; everything that
decides and everything that writes stays in the engine's one thread. A killed engine makes its tries again.
"""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, field, replace
from statistics import fmean
from typing import Any

from festina.errors import Fault
from festina.ledger import entries as e
from festina.ledger.canonical import canonical, parse_strict
from festina.ledger.log import Draft
from festina.ledger.searching import PARTS, Result
from festina.ledger.seeds import scratch_seed
from festina.loop import next as plan
from festina.loop import searching
from festina.loop.bench import Bench
from festina.loop.crash import crash_point
from festina.loop.faults import record_fault
from festina.loop.history import lineage_history, tried_rows
from festina.loop.state import State
from festina.propose.archive import Archive, Make
from festina.propose.types import Budget, NoProposal, Proposal, View
from festina.sandbox.job import Ended
from festina.system.scope import Refused, Screened, screen, screen_files
from festina.verify.client import PROVOKED

WORDS_BYTES = 64 << 10
_git = threading.Lock()  # the tries of one engine make their trees one after the other


@dataclass(frozen=True, slots=True)
class Ran:
    """One run of a tree on public evidence."""

    score: float | None
    guards: tuple[float, ...]
    wall_s: float
    cpu_s: float
    parts: tuple[float, ...] = ()  # its public scores by group of items
    trained_s: float = 0.0  # wall time in which an artifact was made that is kept


@dataclass(frozen=True, slots=True)
class Came:
    """What came of a try, with the bytes that its entry names."""

    result: Result
    reason: str = ""
    author: str = "engine"
    tree: str | None = None
    patch: bytes | None = None
    plan: bytes | None = None
    exhausted: bool = False
    spent: bool = False
    guard_change: bool = False
    changed_lines: int = 0
    wall_s: float = 0.0
    cpu_s: float = 0.0
    runs: tuple[Ran, ...] = field(default=())


def begin(b: Bench, action: plan.Try) -> None:
    """Charge the try and set it going."""
    s, step = b.state, action.step
    assert s.run is not None
    generation = s.generations[s.line[0] if s.run.frozen_improver else s.in_force]
    making = isinstance(step.what, Make)
    node = s.search.nodes.get(step.node)
    tree = None if making else node.tree if node is not None else searching.head_tree(s)
    first, count = (0, step.what.count) if isinstance(step.what, Make) else (step.what.first, step.what.count)
    if step.attempt > searching.ATTEMPTS:
        b.append(Draft(_entry(step.number, Came("cut-off", f"it was cut off {searching.ATTEMPTS} times"))))
        return
    body = e.TryStarted(
        number=step.number, attempt=step.attempt, node=step.node,
        parent=step.what.parent if isinstance(step.what, Make) else None, tree=tree, improver=b.improver.author,
        from_generation=generation.number, from_commit=generation.commit, base_commit=s.head.commit, seed=step.seed,
        first=first, runs=count,
    )  # fmt: skip
    work = _child(b, body) if tree is None else _again(b, body, tree)
    b.append(Draft(body))
    crash_point("try-started")
    if b.tryers is None:
        b.tryers = ThreadPoolExecutor(b.tries_at_once, thread_name_prefix="try")
    b.tries[step.number] = b.tryers.submit(work)


def take(b: Bench, _: plan.TakeTries) -> None:
    """Record what has ended; wait for one where nothing has."""
    wait(b.tries.values(), return_when=FIRST_COMPLETED)
    crash_point("try-unrecorded")
    for number in [number for number, future in b.tries.items() if future.done()]:
        future = b.tries.pop(number)
        try:
            came = future.result()
        except Fault as fault:
            if not b.cut_off:
                record_fault(b, fault)
                b.append(Draft(_entry(number, Came("cut-off", f"a failure of the engine or its host: {fault.name}"))))
            continue  # a killed run is no fault: the next engine makes it again
        intent = b.state.search.open.get(number)
        if came.patch is not None and came.tree in b.state.search.by_tree:  # another try was faster
            came = replace(came, result="duplicate", tree=None, patch=None, runs=())
        if intent is not None and not b.cut_off:  # what was killed says nothing
            b.append(Draft(_entry(number, came), blobs=_blobs(came)), still=_still(number))


def _still(number: int) -> Callable[[State], bool]:
    return lambda now: number in now.search.open


def abandon(b: Bench) -> None:
    """The run is over: end what is under way. The next run makes it again."""
    while any(not future.done() for future in b.tries.values()):
        b.kill_boxes()
        wait(b.tries.values(), timeout=0.1)
    b.tries.clear()
    if b.tryers is not None:
        b.tryers.shutdown()


def _again(b: Bench, body: e.TryStarted, tree: str) -> Callable[[], Came]:
    def work() -> Came:
        return Came("scored", tree=tree, runs=_runs(b, body, tree))

    return work


def _child(b: Bench, body: e.TryStarted) -> Callable[[], Came]:
    """The part that takes time, and touches neither ledger nor state."""
    s = b.state
    assert body.parent is not None
    parent, base_tree = s.search.nodes[body.parent].tree, searching.head_tree(s)
    generation = s.generations[body.from_generation]
    known = searching.archive(s)
    assert known is not None
    shown = {"tree": s.search.nodes[body.parent], "incumbent": s.search.nodes[known.head]}
    means = {name: fmean(x for x in node.scores if x is not None) for name, node in shown.items() if any(node.scores)}
    view = View(
        tree=b.tree_dir(parent), improver_tree=b.tree_dir(b.repo.tree_of(generation.commit)),
        history=lineage_history(b, b.improver.author, body.parent), seed=body.seed, allow=b.scope.allow,
        max_changed_lines=b.scope.max_changed_lines, public_scores=means, tried=tried_rows(b, known, body.parent),
    )  # fmt: skip
    left = max(1.0, b.wall_s - b.elapsed_s)  # E-5
    budget = replace(b.propose_budget, wall_s=min(b.propose_budget.wall_s, left))
    taken = frozenset(s.search.by_tree)

    def work() -> Came:
        return _made(b, body, view, budget, parent, base_tree, taken)

    return work


def _made(
    b: Bench, body: e.TryStarted, view: View, budget: Budget, parent: str, base_tree: str, taken: frozenset[str]
) -> Came:
    made = b.improver.propose(view, budget)
    cost: dict[str, Any] = {"author": made.author, "wall_s": made.wall_s, "cpu_s": made.cpu_s}
    if isinstance(made, NoProposal):
        return Came("nothing", made.reason[:300], exhausted=made.exhausted, spent=made.spent, **cost)
    if made.target != "gain":  # S-6: no public item says whether an improver improves better
        return Came("refused", "a change for productivity cannot be tried in public", **cost)
    cost["plan"] = canonical({"rationale": made.rationale, "weakness": made.weakness, "predicted": made.predicted})
    try:
        with _git:
            child, whole = _screened(b, made, parent, base_tree)
            patch = b.repo.diff(parent, child.tree)
    except Refused as refused:
        return Came("refused", refused.reason, guard_change=refused.guard_change, **cost)
    if child.no_op:
        return Came("no-op", **cost)
    if child.tree in taken:
        return Came("duplicate", **cost)
    runs = _runs(b, body, child.tree)
    return Came("scored", tree=child.tree, patch=patch, changed_lines=whole.changed_lines, runs=runs, **cost)


def _screened(b: Bench, made: Proposal, parent: str, base_tree: str) -> tuple[Screened, Screened]:
    """The child, judged as a change of its parent and as a change of the incumbent.  # P-1, P-2"""
    if made.patch is not None:
        child = screen(b.repo, parent, made.patch, b.scope)
    else:
        child = screen_files(b.repo, parent, made.files or {}, b.scope)
    whole = child if parent == base_tree else screen(
        b.repo, base_tree, b.repo.diff(base_tree, child.tree), b.scope, binary=True
    )
    return child, whole


def _runs(b: Bench, body: e.TryStarted, tree: str) -> tuple[Ran, ...]:
    """The tree on the archive's seeds. A run that fails ends the rest: it costs one short run."""
    found: list[Ran] = []
    for at in range(body.first, body.first + body.runs):
        if b.cut_off:
            raise Fault("cut-off", "the try was cut off")
        ran = _run(b, tree, scratch_seed(b.state.search.leaf, at))
        found.append(ran if at == 0 else replace(ran, parts=()))
        if found[-1].score is None:
            found += [Ran(None, (), 0.0, 0.0)] * (body.first + body.runs - at - 1)
            break
    return tuple(found)


def _run(b: Bench, tree: str, seed: int) -> Ran:
    """One run on public items, or of a program that prints its metric."""
    side = b.trials.side(tree, seed, b.public_items[0] if b.public_items is not None else None)
    if side.ended is Ended.SANDBOX_ERROR:
        raise Fault("sandbox-error", f"a trial could not be run: {side.detail}", fix="festina doctor")
    cost = side.wall_s, side.cpu_s
    if side.answer is None:
        return Ran(None, (), *cost)
    if b.public_items is None or b.verifier is None:
        return Ran(b.judge.score("", side.answer).mean, (), *cost)
    kept_s = side.trained_s if b.trials.artifacts is not None else 0.0
    try:
        scored = b.verifier.public(b.public_items[1], side.answer)
    except Fault as fault:
        if fault.name not in PROVOKED:
            raise
        return Ran(None, (), *cost)  # T-6: an answer that breaks the scorer is a failed run, and decides nothing
    return Ran(scored.mean, scored.guards[: len(b.scale.guards)], *cost, parts_of(scored.each), kept_s)


def parts_of(each: Sequence[float]) -> tuple[float, ...]:
    """Means of groups of items that are as good as equally large, to nine digits; each item by itself where few."""
    return tuple(round(fmean(each[n::PARTS]), 9) for n in range(min(PARTS, len(each))))


def _blobs(came: Came) -> tuple[bytes, ...]:
    return tuple(data for data in (came.patch, came.plan) if data is not None)


def _entry(number: int, came: Came) -> e.TryEnded:
    counted = [ran.guards for ran in came.runs if ran.score is not None]
    guards = tuple(sum(column) / len(column) for column in zip(*counted, strict=True)) if counted else ()
    return e.TryEnded(
        number=number, result=came.result, reason=came.reason, author=came.author, tree=came.tree,
        patch=_digest(came.patch), plan=_digest(came.plan), guards=guards,
        scores=tuple(ran.score for ran in came.runs),
        exhausted=came.exhausted, spent=came.spent, guard_change=came.guard_change, changed_lines=came.changed_lines,
        wall_s=came.wall_s, cpu_s=came.cpu_s, run_cpu_s=sum(ran.cpu_s for ran in came.runs),
        run_wall_s=sum(ran.wall_s for ran in came.runs), trained_s=sum(ran.trained_s for ran in came.runs),
        parts=came.runs[0].parts if came.runs else (),
    )  # fmt: skip


def _digest(data: bytes | None) -> str | None:
    return hashlib.sha256(data).hexdigest() if data is not None else None


# -- handing in -----------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class HandedIn(Proposal):
    """A proposal whose patch the engine wrote itself: it may name binary objects, which no other patch may.  # P-1"""


class HandIn:
    """A node of the archive as the proposal of whoever made it: the whole difference, as one change.  # P-5"""

    def __init__(self, b: Bench, base_tree: str) -> None:
        number, known = searching.best(b.state), searching.archive(b.state)
        self.author = b.improver.author
        self._made: Proposal | NoProposal = NoProposal(self.author, "nothing that was tried beats the incumbent now")
        if number is not None and known is not None:  # the line may have moved since it was asked for
            self._made = self._proposal(b, base_tree, known, number)

    @staticmethod
    def _proposal(b: Bench, base_tree: str, known: Archive, number: int) -> Proposal:
        node = b.state.search.nodes[number]
        path = [b.state.search.nodes[each] for each in known.lineage(number) if each != known.head]
        words = [_said(b, each.plan) for each in path if each.parent is not None]
        steps = "; ".join(text for text, _ in words[-8:] if text)
        return HandedIn(
            node.author, patch=b.repo.diff(base_tree, node.tree), weakness=words[-1][1] if words else "",
            rationale=f"The best of {len(b.state.search.nodes)} trees tried on public evidence, "
            f"{len(words)} changes in a row: {steps}"[:4000],
            predicted=round(known.lead(number), 9) if known.nodes[known.head].works else None,
        )  # fmt: skip

    def propose(self, view: View, budget: Budget) -> Proposal | NoProposal:
        return self._made


def _said(b: Bench, digest: str | None) -> tuple[str, str]:
    """(rationale, weakness) of one change."""
    if digest is None:
        return "", ""
    found = parse_strict(b.ledger.get_blob(digest), max_bytes=WORDS_BYTES, max_depth=4)
    said = found if isinstance(found, dict) else {}
    return str(said.get("rationale", ""))[:500], str(said.get("weakness", ""))


Tries = dict[int, "Future[Came]"]
