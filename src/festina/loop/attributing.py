"""After an acceptance: which hunk of the change caused what.  # V-8

The accepted tree, the tree before it and combinations of the hunks between them answer the same items under the same
seeds, in the box that every candidate runs in. Items are drawn fresh where they never end; a finite suite shows those
that this acceptance used up, again, and those count as looks; a block that stays in use (ledger mode) shows none. Seeds
follow from the entry that charges it all.

The findings are for the reviewer and for reports. No view of an improver holds any of it (P-4), no test, level or
acceptance depends on it. A run spends at most ``policy.attribution.share`` of what tests were charged in this epoch.
One measurement is recorded as a whole: what a kill cuts off is charged and made again, ``TRIES`` times at most.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field

from festina.errors import UsageError
from festina.experiment import ablation
from festina.experiment.ablation import Cell
from festina.experiment.batch import run_units
from festina.ledger import entries as e
from festina.ledger.canonical import canonical
from festina.ledger.log import Draft
from festina.ledger.measures import HunkEffect, Method
from festina.ledger.seeds import unit_seed
from festina.loop import effects
from festina.loop import next as plan
from festina.loop.bench import Bench, Replan
from festina.loop.charging import TRIES, affordable, charge, found, skip
from festina.loop.crash import crash_point
from festina.loop.effects import Shape
from festina.loop.rows import Generation
from festina.propose.text import visible
from festina.select import attribution
from festina.select.attribution import LEAST_UNITS
from festina.system.hunks import Parts, take_apart
from festina.system.repo import ApplyFailed

MOST_UNITS = 32
FIRST_UNITS = 2  # a combination that ran in none of them is not run again
PLACE_CHARS = 200
Unit = dict[int, Cell]  # by combination


@dataclass(slots=True)
class Plan:
    """What one attribution runs."""

    generation: Generation
    verdict: e.Verdict
    parts: Parts
    method: Method
    units: int
    retired: int | None  # position of the items that the acceptance used up; None: fresh ones
    shape: Shape = field(init=False)  # known when the runs are charged

    @property
    def count(self) -> int:
        return len(self.parts.parts)

    @property
    def per_unit(self) -> int:
        """Trees that a unit runs."""
        if self.method == "shapley":
            return 1 << self.count
        return 2 * self.count if self.method == "shapley-sampled" else len(attribution.ablation(self.count))


def attribute(b: Bench, action: plan.Attribute) -> None:
    """Measure the newest generation's hunks within the policy's share, or record why not."""
    epoch, side = b.state.epoch, b.state.side
    assert epoch is not None
    generation = b.state.generations[action.generation]
    if generation.target == "productivity":
        skip(b, "attribution", action.generation, "it was accepted for its improver, not for the task")  # S-6
        return
    if side.tried("attribution", action.generation) >= TRIES:
        skip(b, "attribution", action.generation, f"it was cut off or failed {TRIES} times")
        return
    share = int(epoch.attribution_share * side.test_trials) - side.attribution_trials
    made = prepare(b, generation, "ablation", min(share, affordable(b)))
    if isinstance(made, str):
        skip(b, "attribution", action.generation, made)
        return
    _measure(b, made)


def on_request(b: Bench, proposal: int | None, *, shapley: bool, trials: int) -> e.Attributed:
    """Attribute an accepted proposal (default: the newest on the line) with at most ``trials`` runs.

    Raises ``UsageError`` where there is nothing to tell apart, or too little to tell it with.
    """
    accepted = {g.proposal: g for g in b.state.generations.values() if g.proposal is not None and g.commit}
    if proposal is None:
        proposal = next((b.state.generations[n].proposal for n in reversed(b.state.line)), None)
    generation = accepted.get(proposal) if proposal is not None else None
    if generation is None or generation.number not in b.state.line:
        raise UsageError(
            "not-accepted", "no accepted proposal of that number is on the working line", fix="festina status"
        )
    made = prepare(b, generation, "shapley" if shapley else "ablation", trials)
    if isinstance(made, str):
        raise UsageError("no-attribution", f"proposal {proposal} cannot be attributed: {made}", fix="--trials N")
    return _measure(b, made)


def prepare(b: Bench, generation: Generation, method: Method, allowed: int) -> Plan | str:
    """What to run with ``allowed`` trials, or why it cannot be done."""
    verdict, epoch = generation.verdict, b.state.epoch
    assert epoch is not None
    if verdict is None:
        return "it was not accepted by a test"
    if epoch.suite.mode == "ledger":
        return "the hidden block stays in use, so that none of its items is shown for this"  # V-8
    parts = take_apart(b.repo, b.repo.tree_of(verdict.base_commit), verdict.tree)
    if len(parts.parts) < 2:
        return attribution.SINGLE
    if method == "shapley" and len(parts.parts) > attribution.EXACT_PARTS:
        method = "shapley-sampled"
    made = Plan(generation, verdict, parts, method, 0, None)
    units = min(MOST_UNITS, allowed // made.per_unit)
    if b.state.looks_left is not None:
        units = min(units, b.state.looks_left // epoch.suite.batch_items)  # V-3
    if epoch.suite.source is not None and not _endless(b, epoch):
        first, count = generation.retired
        made.retired, units = first, min(units, count // epoch.suite.batch_items)
    if units < LEAST_UNITS:
        return (
            f"{len(parts.parts)} hunks need {LEAST_UNITS * made.per_unit} runs, and {max(0, allowed)} are left for it"
            if allowed < LEAST_UNITS * made.per_unit
            else "too few looks at hidden items are left to tell hunks apart"
        )
    made.units = units
    return made


def _endless(b: Bench, epoch: e.EpochOpened) -> bool:
    """Whether fresh items never end; else those are shown again that the acceptance used up."""
    source = b.verifier.source if b.verifier is not None else None
    return epoch.suite.mode == "fresh" and source is not None and source.count is None


def _measure(b: Bench, p: Plan) -> e.Attributed:
    epoch = b.state.epoch
    assert epoch is not None
    items = p.units * epoch.suite.batch_items if epoch.suite.source is not None else 0
    measure = charge(
        b, "attribution", trials=p.units * p.per_unit, units=p.units, items=items, source=epoch.suite.source,
        fresh=p.retired is None, generation=p.generation.number,
    )  # fmt: skip
    p.shape = effects.shape(p.method, p.count, p.units, b.state.side.leaf)
    trees = _trees(b, p)
    units = _run(b, p, trees, b.state.side.leaf, epoch.suite.batch_items)
    if b.cut_off:
        raise Replan
    details = canonical(
        {
            "parts": [visible(part.place, lines=False, limit=PLACE_CHARS) for part in p.parts.parts],  # T-5
            "trees": {f"{mask:b}": tree for mask, tree in trees.items()},
            "units": [{f"{mask:b}": [c.goal, list(c.guards), c.record] for mask, c in unit.items()} for unit in units],
        }
    )
    body = _finding(p, epoch, measure, units, hashlib.sha256(details).hexdigest())
    crash_point("attribution-unrecorded")
    found(b, "attribution", measure, Draft(body, blobs=(details,), signer=b.verifier_signer))
    return body


def _trees(b: Bench, p: Plan) -> dict[int, str]:
    """A tree for every combination, exported for the boxes; none of them enters the repository."""
    trees: dict[int, str] = {}
    for mask in dict.fromkeys(mask for each in p.shape.sets for mask in each):
        try:
            trees[mask] = p.parts.combine(b.repo, mask)
        except ApplyFailed:
            continue  # no tree, so it never runs
        b.trials.show(trees[mask])
        b.repo.discard(trees[mask])
    return trees


def _run(b: Bench, p: Plan, trees: dict[int, str], leaf: str, batch_items: int) -> list[Unit]:
    seeds = [unit_seed(leaf, 0, i) for i in range(p.units)]
    number = {seed: i for i, seed in enumerate(seeds)}
    dead: set[int] = set()

    def one(seed: int) -> Unit:
        i = number[seed]
        place = None if p.retired is None else p.retired + i * batch_items
        masks = [mask for mask in p.shape.sets[i] if mask in trees and mask not in dead]
        wanted = list(dict.fromkeys(trees[mask] for mask in masks))
        cells = ablation.measure(b.trials, b.judge, wanted, b.scale, seed, place, lambda: b.cut_off)
        return {mask: cells[trees[mask]] for mask in masks}

    units = run_units(one, seeds[:FIRST_UNITS], b.workers)
    if p.method == "ablation":
        dead |= {mask for mask in trees if not any(unit[mask].ran for unit in units)}
    return units + run_units(one, seeds[FIRST_UNITS:], b.workers)


def _finding(p: Plan, epoch: e.EpochOpened, measure: int, units: Sequence[Unit], details: str) -> e.Attributed:
    found_ = effects.found(p.shape, epoch, units)
    rows = tuple(
        HunkEffect(
            hunks=len(part.pieces), added=part.added, removed=part.removed, leave_out=row.leave_out, alone=row.alone,
            share=row.share, guards=row.guards, verdict=row.word,
        )
        for part, row in zip(p.parts.parts, found_.rows, strict=True)
    )  # fmt: skip
    return e.Attributed(
        measure=measure, generation=p.generation.number, proposal=p.verdict.proposal, method=p.method,
        tree=p.parts.tree, base_tree=p.parts.base, units=len(units), broken=found_.broken, hunks=rows,
        total=found_.total, residue=found_.residue, guards=tuple(g.name for g in epoch.guards), details=details,
    )  # fmt: skip
