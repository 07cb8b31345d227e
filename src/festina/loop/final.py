"""Scores on items that the gate never used: the honest number at the end of a run.  # V-3

The comparison of two trees is paired like a test, but decides nothing: no verdict hangs on it, and it spends no
error budget. Runs and looks are charged before the first run. The seeds follow from the entry that charges it, so
they exist only after every candidate was decided.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path

from festina.experiment import batch as units
from festina.ledger import entries as e
from festina.ledger.canonical import canonical
from festina.ledger.log import Draft
from festina.ledger.seeds import unit_seed
from festina.loop.bench import Bench
from festina.loop.charging import charge, found
from festina.select.pairing import Scale, mean
from festina.select.report import estimate, interval


def compare(
    b: Bench, label: str, tree_a: str, tree_b: str, count: int, *, where: Callable[[str], Path] | None = None
) -> e.FinalScored:
    """Run both trees on ``count`` units of fresh items and record the paired difference a minus b.

    ``where`` maps a tree id to its files, for trees that are not in this repository (a control arm's).
    The interval covers the mean difference with 95 %, in the suite's own unit.
    """
    epoch = b.state.epoch
    assert epoch is not None
    trials = b.trials if where is None else b.trials.showing(where)
    trees = units.Trees(tree_a, tree_b, None)
    scale = Scale(b.scale.sign, b.scale.width, ())
    items = count * epoch.suite.batch_items
    measure = charge(b, "comparison", trials=2 * count, units=count, items=items, source=epoch.suite.source)
    leaf = b.state.side.leaf
    seeds = [unit_seed(leaf, b.state.size, i) for i in range(count)]
    results = units.run_units(lambda seed: units.run_unit(trials, b.judge, trees, scale, seed), seeds, b.workers)
    gains = [unit.gain for unit in results]
    around = interval(gains)
    assert around is not None  # count is positive
    low, high = around
    details = canonical({"units": [unit.record() for unit in results]})
    body = e.FinalScored(
        label=label, tree_a=tree_a, tree_b=tree_b, units=count, items=items,
        mean_a=mean([u.candidate.mean for u in results]) or 0.0,
        mean_b=mean([u.incumbent.mean for u in results]) or 0.0,
        estimate=estimate(gains) * b.scale.width,
        interval=(low * b.scale.width, high * b.scale.width),
        details=hashlib.sha256(details).hexdigest(), measure=measure,
    )  # fmt: skip
    found(b, "comparison", measure, Draft(body, blobs=(details,), signer=b.signing([unit.shown for unit in results])))
    return body

