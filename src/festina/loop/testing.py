"""The steps of a test: register it before data, run its batches, beside those of other open tests.  # L-4, E-3

A round runs one batch of each open test. Their units share the workers in turn, so that no core waits for the slowest
unit of a small batch while another test has work; each test has seeds, items and a batch entry of its own. A failure of
Festina's own in one test's batch leaves the others' results standing.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Sequence
from dataclasses import dataclass

from festina.errors import Fault
from festina.experiment import batch as units
from festina.ledger import entries as e
from festina.ledger.canonical import canonical
from festina.ledger.log import Draft
from festina.ledger.seeds import unit_seed
from festina.loop import blocks, improving, trained
from festina.loop import next as plan
from festina.loop.bench import Bench
from festina.loop.crash import crash_point
from festina.loop.faults import record_fault
from festina.loop.rows import OpenTest
from festina.loop.state import in_force
from festina.propose.meter import Cost
from festina.select import planning
from festina.select.pairing import mean
from festina.verify.verdicts import known, plan_of, units_max_of

BATCH_S = 4.0  # what a crash can cost, and how long a person waits for news
MAX_BATCH = 64  # units: keeps an entry's numbers far below what an envelope holds


def open_test(b: Bench, action: plan.OpenTest) -> None:
    """Register candidate, level and stopping rule before any data.  # L-4, S-7"""
    s, epoch, p = b.state, b.state.epoch, b.state.proposals[action.proposal]
    assert epoch is not None
    assert p.tree is not None
    assert s.budget is not None
    level, _ = s.budget.open()
    noise = known(s.noise, p.target)
    block, first = blocks.place(s) if blocks.shared(epoch) else (0, 0)
    draft = e.TestOpened(
        test=s.tests, proposal=p.number, tree=p.tree, base_commit=p.base_commit, anchor_tree=epoch.anchor_tree,
        level=level, block=block, first_item=first, units_max=units_max_of(epoch, p.target), units_min_accept=0,
        target=p.target, against=None if p.target == "gain" else in_force(s),
        noise_tests=noise.tests, noise_squares=noise.squares,
    )  # fmt: skip
    rule = plan_of(epoch, draft)
    draft = draft.model_copy(update={"units_min_accept": planning.units_min_accept(rule)})
    b.append(Draft(draft, subjects=(("candidate", p.tree),)))
    crash_point("test-opened")


@dataclass(frozen=True, slots=True)
class _Batch:
    """What one test runs in a round."""

    test: OpenTest
    trees: units.Trees
    seeds: list[int]
    places: dict[int, int]  # in a shared block, by seed

    @property
    def improver(self) -> bool:
        return self.test.terms.target == "productivity"

    @property
    def trials(self) -> int:
        """Sandboxed runs of one unit."""
        return cost(self.trees, self.improver)


def run_batch(b: Bench, action: plan.RunBatch) -> None:
    """Charge, draw seeds, run paired trials, record.  # E-1, E-3, L-3"""
    batches, dear = _planned(b, [b.state.open[number] for number in action.tests])
    if not batches and dear:
        b.model_spent.set()  # it is why no test of this round can go on
        return
    for batch in batches:
        trained.train(b, [tree for _, tree in batch.trees.roles], batch.test.terms.tree)
    b.append(*(_intent(b, batch) for batch in batches))
    crash_point("batch-started")
    began = time.monotonic()
    done = units.run_groups([_work(b, batch) for batch in batches], b.workers)
    wall_s = time.monotonic() - began
    crash_point("batch-unrecorded")
    kept = [(batch, results) for batch, results in zip(batches, done, strict=True) if not isinstance(results, Fault)]
    if len(kept) == len(batches) and not any(batch.improver for batch, _ in kept):
        total = sum(len(batch.seeds) for batch in batches)
        b.unit_s = wall_s * min(b.workers, total) / total
    if kept:
        b.append(
            *(_ended(b, batch, results, wall_s) for batch, results in kept),
            still=lambda now: all(batch.test.number in now.open for batch, _ in kept),
        )
    failed = [(batch, fault) for batch, fault in zip(batches, done, strict=True) if isinstance(fault, Fault)]
    if failed and not b.cut_off:  # a killed trial is no fault; one round is one fault, whoever met it first
        record_fault(b, failed[0][1], failed[0][0].test.number)


def _planned(b: Bench, tests: Sequence[OpenTest]) -> tuple[list[_Batch], bool]:
    """A batch for each test that this round can pay for; and whether models were too dear for any.

    A batch is begun only where models can be paid to its end, those that improvers ask in it included: what was paid
    stays.  # E-5
    """
    run, epoch = b.state.run, b.state.epoch
    assert run is not None
    assert epoch is not None
    shared, size = blocks.shared(epoch), round_size(b.workers, len(tests), b.unit_s, b.wall_s - b.elapsed_s)
    left = b.state.looks_left if shared else b.items_left
    room = MAX_BATCH * len(tests) if left is None else left // epoch.suite.batch_items
    trials = run.trials - b.state.run_trials
    batches, aside, dear = [], Cost(), False
    for test in tests:
        improver = test.terms.target == "productivity"
        trees = improving.trees(b, test) if improver else _trees(b, test)
        most = max(1, b.workers) if improver else size  # an improver's run takes long, and a crash costs a batch
        each = cost(trees, improver)
        ahead = len(trained.missing(b, [tree for _, tree in trees.roles]))  # trainings come before the first unit
        trials = max(trials - ahead, min(trials, each))
        count = min(most, test.terms.units_max - len(test.gains), trials // each, room)
        if count < 1:
            continue  # the next decision ends the run or the test
        one = b.trials.most(len(trees.roles)) + (improving.most(b) if improver else Cost())
        paid = b.trials.gateway.book.room(one, aside) if b.trials.gateway is not None else None
        if paid == 0:
            dear = True
            continue
        count = count if paid is None else min(count, paid)
        aside += one * count
        room, trials = room - count, trials - count * each
        seeds = [unit_seed(test.leaf, test.batches, i) for i in range(count)]
        first = test.terms.first_item + len(test.gains) * epoch.suite.batch_items
        places = {seed: first + i * epoch.suite.batch_items for i, seed in enumerate(seeds)} if shared else {}
        batches.append(_Batch(test, trees, seeds, places))
    return batches, dear


def _trees(b: Bench, test: OpenTest) -> units.Trees:
    assert b.state.epoch is not None
    anchor = test.terms.anchor_tree if b.state.epoch.guards else None
    return units.Trees(test.terms.tree, b.repo.tree_of(test.terms.base_commit), anchor)


def cost(trees: units.Trees, improver: bool) -> int:
    """Sandboxed runs of one unit, improvers' included.  # E-1"""
    return len(trees.roles) + (improving.IMPROVER_RUNS if improver else 0)


def round_size(workers: int, tests: int, unit_s: float, left_s: float) -> int:
    """Units of each test. Together they take a few seconds and fit the time left; the first round (``unit_s`` 0) finds
    out how long one takes. Tests side by side have two units for each worker at least: few wait for the slowest."""
    least = workers if tests == 1 else -(-2 * workers // tests)
    if unit_s == 0.0:
        return least
    return max(least, min(MAX_BATCH, int(min(BATCH_S, left_s) * workers / unit_s / tests)))


def _intent(b: Bench, batch: _Batch) -> Draft:
    test, epoch = batch.test, b.state.epoch
    assert epoch is not None
    count = len(batch.seeds)
    looks = count * epoch.suite.batch_items if epoch.suite.source is not None else 0  # V-3
    return Draft(
        e.BatchStarted(
            test=test.number, batch=test.batches, attempt=test.attempt + 1, units=count,
            trials=count * batch.trials, items=looks,
            seeds=hashlib.sha256(canonical(batch.seeds)).hexdigest(),
        )
    )  # fmt: skip


def _work(b: Bench, batch: _Batch) -> units.Group[units.Unit]:
    if batch.improver:
        return improving.problems(b, batch.test, batch.trees), batch.seeds

    def one(seed: int) -> units.Unit:
        place = batch.places.get(seed)
        return units.run_unit(b.trials, b.judge, batch.trees, b.scale, seed, lambda: b.cut_off, place)

    return one, batch.seeds


def _attempts(results: Sequence[units.Unit], who: int) -> int:
    return sum(bool(unit.made[who]["guard_change"]) for unit in results if unit.made)


def _ended(b: Bench, batch: _Batch, results: Sequence[units.Unit], wall_s: float) -> Draft:
    details = canonical({"units": [unit.record() for unit in results], "wall_s": round(wall_s, 3)})
    sides = [unit.candidate_side for unit in results]
    return Draft(
        e.BatchEnded(
            test=batch.test.number, batch=batch.test.batches, gain=tuple(u.gain for u in results),
            guards=tuple(zip(*(u.guards for u in results), strict=True)),
            judges=tuple(zip(*(u.judges for u in results), strict=True)),
            tampering=(_attempts(results, 0), _attempts(results, 1)),
            candidate_mean=mean([u.candidate.mean for u in results]),
            incumbent_mean=mean([u.incumbent.mean for u in results]),
            failed=sum(side.ended.value != "ok" for side in sides),
            denied=sum(bool(side.denied) for side in sides),
            details=hashlib.sha256(details).hexdigest(),
        ),
        blobs=(details,),
        signer=b.signing([unit.shown for unit in results]),
    )  # fmt: skip
