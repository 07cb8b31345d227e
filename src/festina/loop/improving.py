"""One unit of a test for the improver: a fresh improvement problem for two improvers.  # S-6

The candidate's improver and the one in force get the version in use, the same seed and budget, and no history, one
after the other in an order that the seed decides. Where the one in force runs out of wall time, the start stands in for
its product and nothing counts in the candidate's favour: one that makes the machine slow gains nothing by it. Their
products answer the same fresh items, and so do the candidate itself and the version in use, whose difference is the
guard *task*; a second one sets the candidate beside the anchor, so that small losses of many such steps do not add up.
Refusals count: one more than the improver in force has is a loss of the guard *conduct*, and more
attempts on what judges them end the test at once (``next``).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from festina.errors import Fault
from festina.experiment import batch as units
from festina.ledger.seeds import problem_seed
from festina.loop.bench import Bench
from festina.loop.crossplay import Made, own_improver, side_by_side
from festina.loop.rows import OpenTest
from festina.propose.meter import Cost
from festina.verify.verdicts import anchor_needed

IMPROVER_RUNS = 2  # of one unit, beside its sides


def trees(b: Bench, test: OpenTest) -> units.Trees:
    """The sides of every unit, with the start in the place of products that are not made yet."""
    assert b.state.epoch is not None
    head, needed = b.repo.tree_of(test.terms.base_commit), anchor_needed(b.state.epoch, "productivity")
    anchor = test.terms.anchor_tree if needed else None  # V-4
    return units.Trees(head, head, anchor, carrier=test.terms.tree, head=head)


def most(b: Bench) -> Cost:
    """What the improvers of one unit may cost of models, beside its sides.  # E-5"""
    return own_improver(b).models.most() * IMPROVER_RUNS


def problems(b: Bench, test: OpenTest, planned: units.Trees) -> Callable[[int], units.Unit]:
    """What plays one problem, by its seed: both improvers, then all sides on one draw of items.

    It raises ``Fault`` where a box failed or the run was cut off. Called in threads; what it needs of the ledger is
    read here.
    """
    assert test.terms.against is not None  # the fold has seen to it
    force = b.repo.tree_of(b.state.generations[test.terms.against].commit)
    own, scale = own_improver(b), b.scale

    def one(seed: int) -> units.Unit:
        improvers = (test.terms.tree, force) if seed % 2 == 0 else (force, test.terms.tree)  # E-3: one after the other
        made = side_by_side(b, own, planned.head, improvers, problem_seed(seed), at_once=1)
        ours, theirs = made if seed % 2 == 0 else reversed(made)
        if b.cut_off:
            raise Fault("cut-off", "the batch was cut off")
        conduct = float(theirs.word == "refused") - float(ours.word == "refused")
        sides = replace(planned, candidate=ours.tree, incumbent=theirs.tree)
        late = theirs.late  # never in the candidate's favour: it may have made the machine slow  # V-1
        unit = units.run_unit(b.trials, b.judge, sides, scale, seed, lambda: b.cut_off, conduct=conduct, late=late)
        return replace(unit, made=(_told(ours), _told(theirs)))

    return one


def _told(made: Made) -> dict[str, Any]:
    """An improver's run for the record; none of its own words.  # T-5"""
    return {
        "word": made.word, "late": made.late, "guard_change": made.guard_change, "tree": made.tree,
        "wall_s": round(made.wall_s, 3), "cpu_s": round(made.cpu_s, 3),
    }  # fmt: skip
