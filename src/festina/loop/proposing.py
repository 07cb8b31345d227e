"""The steps of a proposal: ask the improver, and record what it handed in.  # P-4, P-5

With several tests at once the improver works while they run: it is asked, and its answer is taken when it is there.
Where the line has moved meanwhile, the screen applies the change to the new head, or closes it. A killed engine asks
again.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, replace

from festina.ledger import entries as e
from festina.ledger.canonical import canonical
from festina.ledger.log import Draft
from festina.ledger.seeds import proposal_seed
from festina.loop import next as plan
from festina.loop import planting, trying
from festina.loop.bench import Bench
from festina.loop.crash import crash_point
from festina.loop.history import history
from festina.loop.state import in_force
from festina.propose.types import Improver, NoProposal, Proposal, View
from festina.system.patchtext import read_patch
from festina.system.repo import ApplyFailed

PATIENCE_S = 0.5  # an improver that is quick fills its place before the next round of tests


@dataclass(frozen=True, slots=True)
class Made:
    """What came of one request, and what its sealed origin says."""

    proposal: Proposal | NoProposal
    origin: str


@dataclass(frozen=True, slots=True)
class Asked:
    """A request under way beside the tests."""

    number: int
    base_tree: str
    made: Future[Made]


@dataclass(frozen=True, slots=True)
class Kept:
    """What the improver made in a slot that was planted: handed in later, where it still fits."""

    slot: int
    base_tree: str
    author: str
    proposal: Proposal


def propose(b: Bench, action: plan.Propose) -> None:
    """Run the improver in force (or take the next change that a person queued).  # P-4, P-5"""
    s = b.state
    assert s.run is not None
    source = next_improver(b, action.number)
    generation = s.generations[in_force(s)]
    seed = proposal_seed(b.ledger.record(0).leaf, action.number)
    b.append(
        Draft(
            e.ProposalRequested(
                proposal=action.number, attempt=action.attempt, improver=source.author,
                from_generation=generation.number, from_commit=generation.commit, base_commit=s.head.commit, seed=seed,
            )
        )
    )  # fmt: skip
    crash_point("proposal-requested")
    base_tree = b.repo.tree_of(s.head.commit)
    view = View(
        tree=b.tree_dir(base_tree),
        improver_tree=b.tree_dir(b.repo.tree_of(generation.commit)),
        history=history(b, source.author),
        seed=seed,
        allow=b.scope.allow,
        max_changed_lines=b.scope.max_changed_lines,
        proposal=action.number,
    )
    searched = b.state.epoch is not None and b.state.epoch.archive is not None and source is b.improver  # P-7
    by = trying.HandIn(b, base_tree) if searched else source
    work = _work(b, by, view, action.number, base_tree, plants=source is b.improver)
    if s.run.at_once == 1:
        _record(b, action.number, work(), base_tree)
        return
    pool = ThreadPoolExecutor(1, thread_name_prefix="improver")
    b.asked = Asked(action.number, base_tree, pool.submit(work))
    pool.shutdown(wait=False)
    wait([b.asked.made], timeout=PATIENCE_S)


def _work(
    b: Bench, source: Improver, view: View, number: int, base_tree: str, *, plants: bool
) -> Callable[[], Made]:
    """The part that takes time, and touches neither ledger nor state."""
    slot = planting.slot(b, number) if plants else None  # V-7
    left = max(1.0, b.wall_s - b.elapsed_s)  # never over the run's time  # E-5
    budget = replace(b.propose_budget, wall_s=min(b.propose_budget.wall_s, left))

    kept = _kept(b, source, base_tree) if slot is None and plants else None

    def work() -> Made:
        if slot is not None and slot.asks:
            planted, made = planting.worn(b, slot, base_tree, lambda: source.propose(view, budget))
            if planted.proposal is None:
                return Made(made, planted.origin)
            if isinstance(made, Proposal):
                b.kept = Kept(number, base_tree, source.author, made)
            return Made(planted.proposal, planted.origin)
        planted = planting.fill(b, slot, base_tree) if slot is not None else planting.Planted(planting.IMPROVER, None)
        if planted.proposal is not None:
            return Made(planted.proposal, planted.origin)
        return Made(kept or source.propose(view, budget), planted.origin)

    return work


def _kept(b: Bench, source: Improver, base_tree: str) -> Proposal | None:
    """What this improver made in a planted slot, once that is revealed and while it fits.  # E-5, V-7"""
    kept = b.kept
    if kept is None or (kept.base_tree, kept.author) != (base_tree, source.author):
        return None
    if b.state.proposals[kept.slot].plant is None:
        return None  # a slot without calls before the reveal would tell which one was planted
    b.kept = None
    return kept.proposal


def take_proposal(b: Bench, action: plan.TakeProposal) -> None:
    """Record what was handed in; wait for it where it is not there yet."""
    asked = b.asked
    assert asked is not None  # the engine has seen to it
    try:
        made = asked.made.result()
    finally:
        b.asked = None
    _record(b, asked.number, made, asked.base_tree)


def abandon(b: Bench) -> None:
    """The run is over: end what the improver is doing. The next run asks again."""
    while b.asked is not None and not b.asked.made.done():
        b.proposer_box.kill_all()  # again and again: it may just have started another one
        wait([b.asked.made], timeout=0.1)
    b.asked = None


def _record(b: Bench, number: int, made: Made, base_tree: str) -> None:
    draft = _received(b, number, made.proposal, base_tree)
    assert b.state.epoch is not None
    if b.state.epoch.plant_rate > 0:  # every slot alike  # L-5
        draft = replace(draft, sealed={"origin": made.origin})
    b.append(draft, still=lambda now: now.current == number)
    crash_point("proposal-received")


def next_improver(b: Bench, number: int) -> Improver:
    """What was handed in comes first; planted changes take every second turn. Each is tried once in a ledger."""
    again = b.state.proposals.get(number)
    if again is not None:  # a crash cut it off: the same source once more
        return next((source for source in b.queue if source.author == again.improver), b.improver)
    tried = {p.improver for p in b.state.proposals.values()}
    waiting = [source for source in b.queue if source.author not in tried]
    people = [source for source in waiting if source.author.startswith(("person:", "outside:"))]
    if people:
        return people[0]
    return waiting[0] if waiting and number % 2 == 0 else b.improver


def queued(b: Bench) -> bool:
    """Whether the next proposal is one that somebody handed in."""
    return bool(b.queue) and next_improver(b, max(b.state.proposals, default=-1) + 1) is not b.improver


def _received(b: Bench, number: int, made: Proposal | NoProposal, base_tree: str) -> Draft:
    if isinstance(made, NoProposal):
        return Draft(
            e.ProposalReceived(
                proposal=number, author=made.author, patch=None, plan=None, predicted=None, exhausted=made.exhausted,
                reason=made.reason[:300], wall_s=made.wall_s, cpu_s=made.cpu_s, spent=made.spent,
            )
        )  # fmt: skip
    if made.patch is not None:
        patch, binary = made.patch, isinstance(made, trying.HandedIn) and read_patch(made.patch).binary
    else:
        patch, binary = _as_patch(b, base_tree, made.files or {})
    words = canonical({"rationale": made.rationale, "weakness": made.weakness, "predicted": made.predicted})
    return Draft(
        e.ProposalReceived(
            proposal=number, author=made.author, patch=hashlib.sha256(patch).hexdigest(),
            plan=hashlib.sha256(words).hexdigest(), predicted=made.predicted, exhausted=False, reason="",
            wall_s=made.wall_s, cpu_s=made.cpu_s, repairs=made.repairs, binary=binary, target=made.target,
            sig=made.sig,
        ),
        blobs=(patch, words),
    )  # fmt: skip


def _as_patch(b: Bench, base_tree: str, files: Mapping[str, bytes | None]) -> tuple[bytes, bool]:
    """The patch that changed files amount to, and whether it is binary: then it names the objects that it holds, and
    only because it is written here may the screen let git read it. Paths that no tree can hold are left to the screen
    to refuse.
    """
    try:
        tree = b.repo.write_files(base_tree, files)
    except ApplyFailed:
        named = b"".join(
            b"diff --git a/%b b/%b\nnew file mode 100644\n--- /dev/null\n+++ b/%b\n@@ -0,0 +1 @@\n+?\n" % ((name,) * 3)
            for name in (path.encode(errors="replace") for path in files)
        )
        return named, False
    patch = b.repo.diff(base_tree, tree)
    b.repo.discard(tree)
    return patch, read_patch(patch).binary
