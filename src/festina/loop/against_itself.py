"""The step that runs the incumbent against itself, through the path that every candidate goes.  # V-2, L-3

Two processes of one tree answer the same items under one seed; which side goes first follows from the seed. A unit
in which a side ran out of wall time counts as no difference: candidates are treated more strictly there on purpose
(``experiment.batch``), and that asymmetry is not the judge's.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Sequence

from festina.experiment import batch as units
from festina.ledger import entries as e
from festina.ledger.canonical import canonical
from festina.ledger.log import Draft
from festina.ledger.seeds import control_seed
from festina.loop import next as plan
from festina.loop.bench import Bench
from festina.loop.crash import crash_point
from festina.loop.sameness import TRIES
from festina.sandbox.job import Ended

SIDES = 2


def run_control(b: Bench, action: plan.RunControl) -> None:
    """Charge, run the pairs, record the differences. A crash in between repeats the same pairs."""
    t, epoch, run = b.state.twins, b.state.epoch, b.state.run
    assert t is not None  # next_action has seen to it
    assert epoch is not None
    assert run is not None
    again = 0 < t.attempt < TRIES
    number = t.count + (t.attempt >= TRIES)
    tree = t.tree if again else b.repo.tree_of(b.state.head.commit)
    count = t.units if again else action.units
    looks = count * epoch.suite.batch_items if epoch.suite.source is not None else 0  # V-3
    body = e.ControlStarted(
        control=number, attempt=t.attempt + 1 if again else 1, tree=tree, units=count, trials=SIDES * count, items=looks
    )
    b.append(Draft(body))
    crash_point("control-started")
    began = time.monotonic()
    trees = units.Trees(tree, tree, None)  # guards are compared side with side, too
    seeds = [control_seed(t.leaf, i) for i in range(count)]
    places = _places(b, seeds, t.total)
    results = units.run_units(
        lambda seed: units.run_unit(b.trials, b.judge, trees, b.scale, seed, lambda: b.cut_off, places.get(seed)),
        seeds,
        b.workers,
    )
    crash_point("control-unrecorded")
    rows = [differences(unit) for unit in results]
    wall_s = round(time.monotonic() - began, 3)
    details = canonical({"units": [unit.record() for unit in results], "wall_s": wall_s})
    ended = e.ControlEnded(
        control=number, gain=tuple(row[0] for row in rows), order=tuple(row[1] for row in rows),
        guards=tuple(tuple(row[k] for row in rows) for k in range(2, len(t.test.kinds))),
        details=hashlib.sha256(details).hexdigest(),
    )  # fmt: skip
    b.append(
        Draft(ended, blobs=(details,), signer=b.signing([unit.shown for unit in results])),
        still=lambda now: now.twins is not None and now.twins.count == number and now.twins.attempt > 0,
    )


def differences(unit: units.Unit) -> tuple[float, ...]:
    """The goal by role and by order of running, each guard and verifier; 0 where a side gave nothing."""
    late = any(side.ended is Ended.TIMEOUT_WALL for _, side in unit.sides)
    blank = unit.candidate.mean is None or unit.incumbent.mean is None  # a metric without a range has no worst score
    if late or blank:
        return (0.0,) * (2 + len(unit.guards) + len(unit.judges))
    first = 1.0 if unit.sides[0][0] == "candidate" else -1.0
    return (unit.gain, first * unit.gain, *unit.guards, *unit.judges)


def _places(b: Bench, seeds: Sequence[int], before: int) -> dict[int, int]:
    """Where candidates share a block, the control goes over it again and again: no proposer hears of it."""
    block, epoch = b.state.block, b.state.epoch
    if block is None or epoch is None:
        return {}
    suite = epoch.suite
    return {seed: block[1] + (before + i) % suite.max_units * suite.batch_items for i, seed in enumerate(seeds)}
