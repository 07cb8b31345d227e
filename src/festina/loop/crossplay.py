"""Cross-play: two generations' improvers on fresh improvement problems from one start.  # W-2, E-3

Each problem: both improvers run side by side in boxes, from the same tree, with the same seed, budget and an empty
history; what each hands in is screened like any proposal; the two products and the start then answer the same fresh
items. A product that is no change (nothing came, refused, out of scope) is the start itself. Old improvers can always
be run: they are trees in git.

The plan is recorded first; every problem is charged before it runs and recorded when it is done, so that a killed
cross-play goes on where it was. Nothing of it is shown to an improver, and no verdict depends on it. The products stay
in the record as patches; they are never candidates.
"""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Literal

from festina.errors import Fault, UsageError
from festina.experiment import batch as units
from festina.ledger import entries as e
from festina.ledger.canonical import canonical
from festina.ledger.log import Draft
from festina.ledger.seeds import proposal_seed, unit_seed
from festina.loop.actions import PlayProblem
from festina.loop.bench import Bench, Replan
from festina.loop.charging import charge, found
from festina.loop.corners import Wanted as Wanted
from festina.loop.crash import crash_point
from festina.loop.growth import Crossplay, played
from festina.loop.terms import asking
from festina.propose.own import OwnImprover
from festina.propose.types import NoProposal, Proposal, View
from festina.select.pairing import Scale, product_means
from festina.select.productivity import LEAST_PROBLEMS
from festina.system.manifest import parse_manifest
from festina.system.scope import Refused, screen_files
from festina.system.scope import screen as screen_patch

_screening = threading.Lock()  # a repository's temporary objects are one thread's at a time
Word = Literal["proposed", "nothing", "no-op", "refused"]
Told = Callable[[e.CrossplayProblem], None]


@dataclass(frozen=True, slots=True)
class Made:
    """One improver's answer to one problem."""

    word: Word
    reason: str
    guard_change: bool
    patch: bytes | None
    tree: str
    wall_s: float
    cpu_s: float

    @property
    def late(self) -> bool:
        """Whether it ran out of wall time: others on the machine may have brought that about."""
        return self.word == "nothing" and self.reason.endswith("timeout_wall")


def crossplay(b: Bench, wanted: Wanted, told: Told = lambda _: None) -> e.CrossplayEnded:
    """Play all problems, or those that a cut-off cross-play with the same plan still lacks. ``Replan``: cut off."""
    play = _resumed(b, wanted) or _planned(b, wanted)
    while len(play.problems) < play.plan.problems:
        if b.cut_off:
            raise Replan
        told(_problem(b, play))
    body = played(b.state, play)
    b.append(Draft(body), still=lambda _: play.ended is None)
    return body


def play_one(b: Bench, action: PlayProblem) -> None:
    """One problem of a cross-play that the loop makes by itself; its end, where that was the last.  # W-2"""
    wanted = action.wanted
    play = _resumed(b, wanted) or _planned(b, wanted)
    if len(play.problems) < play.plan.problems:
        _problem(b, play)
    if len(play.problems) >= play.plan.problems and play.ended is None:
        b.append(Draft(played(b.state, play)), still=lambda _: play.ended is None)


def check(b: Bench, wanted: Wanted) -> None:
    """Raise ``UsageError`` for what cannot be played."""
    epoch, known = b.state.epoch, b.state.generations
    assert epoch is not None
    if parse_manifest(b.ledger.get_blob(epoch.manifest)).improver.use != "own":
        raise UsageError(
            "no-own-improver", "the improver of this system is no part of it, so all generations have the same",
            fix="cross-play is for improver.use = \"own\"; festina growth --control compares whole runs",
        )  # fmt: skip
    missing = [n for n in (wanted.left, wanted.right, wanted.start) if n not in known or not known[n].commit]
    if missing:
        raise UsageError("no-such-generation", f"there is no generation {missing[0]}", fix="festina status")
    if wanted.left == wanted.right:
        raise UsageError(
            "same-improver", f"both improvers would be generation {wanted.left}'s",
            fix="name another with --left N; without it the last approved generation plays (festina review)",
        )  # fmt: skip
    if wanted.problems < LEAST_PROBLEMS:
        raise UsageError("too-few-problems", f"{wanted.problems} problems give no interval", fix="--problems 24")
    items = wanted.problems * wanted.units * epoch.suite.batch_items
    if b.items_left is not None and b.items_left < items:
        raise UsageError(
            "items-short", f"{items} hidden items are needed and {b.items_left} are left",
            fix="fewer --problems, or add items",
        )  # fmt: skip


def _resumed(b: Bench, wanted: Wanted) -> Crossplay | None:
    """The open cross-play of these improvers. Another size is refused: whoever has seen its first problems could stop
    where he likes.  # L-4
    """
    for play in reversed(b.state.growth.going):
        plan = play.plan
        if (plan.left, plan.right, plan.start) != (wanted.left, wanted.right, wanted.start):
            continue
        if (plan.problems, plan.units) != (wanted.problems, wanted.units):
            raise UsageError(
                "crossplay-open", f"one of these improvers was begun with --problems {plan.problems} --units "
                f"{plan.units}, and {len(play.problems)} are played: it ends as it was planned",
                fix=f"festina growth --crossplay --left {plan.left} --right {plan.right} --start {plan.start} "
                f"--problems {plan.problems} --units {plan.units}",
            )  # fmt: skip
        return play
    return None


def _planned(b: Bench, wanted: Wanted) -> Crossplay:
    commits = [b.state.generations[n].commit for n in (wanted.left, wanted.right, wanted.start)]
    body = e.CrossplayPlanned(
        crossplay=len(b.state.growth.crossplays), left=wanted.left, right=wanted.right, start=wanted.start,
        left_commit=commits[0], right_commit=commits[1], start_commit=commits[2], problems=wanted.problems,
        units=wanted.units, wall_s=b.propose_budget.wall_s, cpu_s=b.propose_budget.cpu_s,
    )  # fmt: skip
    b.append(Draft(body))
    return b.state.growth.crossplays[-1]


def _problem(b: Bench, play: Crossplay) -> e.CrossplayProblem:
    """Charge one problem, play it, record it."""
    plan, epoch, number = play.plan, b.state.epoch, len(play.problems)
    assert epoch is not None
    count = plan.units
    measure = charge(
        b, "crossplay", trials=2 + 3 * count, units=count, items=count * epoch.suite.batch_items,
        source=epoch.suite.source,
    )  # fmt: skip
    leaf = b.state.side.leaf
    crash_point("growth-problem")
    start = b.repo.tree_of(plan.start_commit)
    improvers = [b.repo.tree_of(commit) for commit in (plan.left_commit, plan.right_commit)]
    left, right = side_by_side(b, own_improver(b), start, improvers, proposal_seed(play.leaf, number))
    if b.cut_off:
        raise Replan
    results = _scored(b, units.Trees(left.tree, right.tree, start), [unit_seed(leaf, 0, i) for i in range(count)])
    details = canonical({"units": [unit.record() for unit in results]})
    scores = product_means(
        [{role: scored.mean for role, scored in unit.scores} for unit in results], b.scale.sign
    )
    if scores is None:
        raise Fault("start-broken", "the start of a cross-play gave nothing to score", fix="see that it runs")
    body = e.CrossplayProblem(
        crossplay=plan.crossplay, problem=number, measure=measure, left=product(left, scores["candidate"]),
        right=product(right, scores["incumbent"]), start=scores["anchor"], details=hashlib.sha256(details).hexdigest(),
        worst=True,
    )  # fmt: skip
    blobs = (details, *(made.patch for made in (left, right) if made.patch is not None))
    found(b, "crossplay", measure, Draft(body, blobs=blobs, signer=b.signing([unit.shown for unit in results])))
    return body


def own_improver(b: Bench) -> OwnImprover:
    """What runs the improver of any tree. It is asked for one problem at a time, and no archive stands before it."""
    assert b.state.epoch is not None
    manifest = parse_manifest(b.ledger.get_blob(b.state.epoch.manifest))
    return OwnImprover(b.proposer_box, manifest.improver.run or (), models=asking(manifest, b.trials.gateway))


def side_by_side(
    b: Bench, own: OwnImprover, start: str, improvers: Sequence[str], seed: int, *, at_once: int = 2
) -> list[Made]:
    """What the improvers in these trees make of the tree ``start``.

    Neither ledger nor state is touched: several problems may be played at once, each in a thread of its own.
    """
    with ThreadPoolExecutor(at_once, thread_name_prefix="improver") as pool:
        runs = [pool.submit(own.propose, _view(b, start, tree, seed), b.propose_budget) for tree in improvers]
        made = [run.result() for run in runs]
    with _screening:
        return [_screened(b, start, each) for each in made]


def _view(b: Bench, start: str, tree: str, seed: int) -> View:
    """Nothing of the line's history: an improver that remembers would not face the same problem.  # P-4"""
    return View(
        tree=b.tree_dir(start), improver_tree=b.tree_dir(tree), history=(), seed=seed,
        allow=b.scope.allow, max_changed_lines=b.scope.max_changed_lines,
    )  # fmt: skip


def _screened(b: Bench, start: str, made: Proposal | NoProposal) -> Made:
    """The product as a tree, if it is within the scope; else the start.  # P-1, P-2"""
    if isinstance(made, NoProposal):
        if made.spent:  # a budget's end says nothing about an improver  # E-5
            b.model_spent.set()
            raise Fault("model-budget", made.reason)
        return Made("nothing", made.reason[:300], False, None, start, made.wall_s, made.cpu_s)
    patch = made.patch
    try:
        if patch is not None:
            seen = screen_patch(b.repo, start, patch, b.scope)
        else:
            seen = screen_files(b.repo, start, made.files or {}, b.scope)
            patch = b.repo.diff(start, seen.tree)
    except Refused as refused:
        return Made("refused", refused.reason, refused.guard_change, patch, start, made.wall_s, made.cpu_s)
    return Made("no-op" if seen.no_op else "proposed", "", False, patch, seen.tree, made.wall_s, made.cpu_s)


def _scored(b: Bench, trees: units.Trees, seeds: Sequence[int]) -> list[units.Unit]:
    scale = Scale(b.scale.sign, b.scale.width, ())
    return units.run_units(
        lambda seed: units.run_unit(b.trials, b.judge, trees, scale, seed, lambda: b.cut_off), seeds, b.workers
    )


def product(made: Made, score: float) -> e.Product:
    """A product as it is recorded."""
    return e.Product(
        word=made.word, reason=made.reason, guard_change=made.guard_change,
        patch=hashlib.sha256(made.patch).hexdigest() if made.patch is not None else None, tree=made.tree, score=score,
        wall_s=made.wall_s, cpu_s=made.cpu_s,
    )  # fmt: skip
