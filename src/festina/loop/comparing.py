"""After an acceptance: how much of the gain is public only.  # V-6

Both trees answer all public items ``REPEATS`` times, paired by seed. The unit of the interval is the public item, not
the run: on a fixed set of items any number of runs says nothing about other items. The finding decides nothing.
"""

from __future__ import annotations

import hashlib
from typing import Any

from festina.errors import Fault, UsageError
from festina.experiment.batch import run_units
from festina.experiment.trial import Side
from festina.ledger import entries as e
from festina.ledger.canonical import canonical, parse_strict
from festina.ledger.log import Draft
from festina.ledger.seeds import unit_seed
from festina.loop import next as plan
from festina.loop.bench import Bench, Replan
from festina.loop.charging import TRIES, affordable, charge, found, skip
from festina.loop.crash import crash_point
from festina.loop.rows import Generation
from festina.sandbox.job import Ended
from festina.select import overfit
from festina.select.overfit import Spread
from festina.select.student import spread
from festina.verify.client import PROVOKED

REPEATS = 4  # the items are the units: more runs on the same ones tell little
LEAST_ITEMS = 8
MOST_ITEMS = 20_000  # every item's score comes in one frame
NO_PUBLIC = "no public suite with the goal's scorer, so it cannot be told"
DETAILS_BYTES = 16 << 20

Run = tuple[tuple[float, ...], dict[str, Any]]  # difference on every item, and the record of both sides


def compare_public(b: Bench, action: plan.ComparePublic) -> None:
    """Measure the public gain of the newest generation, or say why not."""
    generation = b.state.generations[action.generation]
    repeats = min(REPEATS, affordable(b) // 2)
    if generation.target == "productivity":  # its verdict is about its improver  # S-6
        skip(b, "public", action.generation, "it was accepted for its improver, not for the task")
    elif b.public_items is None or b.verifier is None:
        skip(b, "public", action.generation, NO_PUBLIC)
    elif not LEAST_ITEMS <= b.public_items[0].count(b"\n") <= MOST_ITEMS:
        skip(b, "public", action.generation, f"it takes {LEAST_ITEMS} to {MOST_ITEMS:,} public items")
    elif b.state.side.tried("public", action.generation) >= TRIES:
        skip(b, "public", action.generation, f"it was cut off or failed {TRIES} times")
    elif repeats < 1 or generation.verdict is None or generation.verdict.interval is None:
        skip(b, "public", action.generation, "the run's trials are spent")
    else:
        try:
            _measure(b, generation, generation.verdict, repeats)
        except UsageError as error:  # the owner's items or scorer: no reason to stop the run
            skip(b, "public", action.generation, f"the public items cannot be scored ({error.name})")


def _measure(b: Bench, generation: Generation, verdict: e.Verdict, repeats: int) -> None:
    measure = charge(b, "public", trials=2 * repeats, units=repeats, generation=generation.number)
    leaf = b.state.side.leaf
    trees = (verdict.tree, b.repo.tree_of(verdict.base_commit))
    seeds = [unit_seed(leaf, 0, i) for i in range(repeats)]
    runs = run_units(lambda seed: _pair(b, trees, seed), seeds, b.workers)
    if b.cut_off:
        raise Replan
    diffs = [sum(column) / repeats for column in zip(*(run[0] for run in runs), strict=True)]
    details = canonical({"diffs": diffs, "runs": [run[1] for run in runs]})
    body = _finding(b, generation, verdict, measure, repeats, diffs, details)
    crash_point("public-unrecorded")
    found(b, "public", measure, Draft(body, blobs=(details,), signer=b.verifier_signer))


def _pair(b: Bench, trees: tuple[str, str], seed: int) -> Run:
    """One paired run over all public items: candidate minus incumbent on each, in units of the range."""
    assert b.public_items is not None
    inputs, _ = b.public_items
    order = (0, 1) if seed % 2 == 0 else (1, 0)
    sides: dict[int, Side] = {}
    for k in order:
        if b.cut_off:
            raise Fault("cut-off", "the comparison was cut off")
        sides[k] = b.trials.side(trees[k], seed, inputs)
        if sides[k].ended is Ended.SANDBOX_ERROR:
            raise Fault("sandbox-error", f"a trial could not be run: {sides[k].detail}", fix="festina doctor")
    each = [scores(b, sides[k].answer) for k in (0, 1)]
    diffs = tuple(b.scale.sign * (x - y) / b.scale.width for x, y in zip(*each, strict=True))
    return diffs, {"seed": seed, "candidate": sides[0].record(), "incumbent": sides[1].record()}


def scores(b: Bench, answer: bytes | None) -> tuple[float, ...]:
    """One score a public item; of no answer, the worst.  # V-1"""
    assert b.verifier is not None
    assert b.public_items is not None
    items = b.public_items[1]
    try:
        return b.verifier.public(items, answer).each
    except Fault as fault:
        if fault.name not in PROVOKED:
            raise
        return b.verifier.public(items, None).each  # V-1, T-6


def _finding(
    b: Bench, generation: Generation, verdict: e.Verdict, measure: int, repeats: int, diffs: list[float],
    details: bytes,
) -> e.PublicCompared:  # fmt: skip
    earlier = _earlier(b, generation.number)
    public = spread(diffs, b.scale.width)
    hidden = _hidden(verdict)
    rows = [(hidden, diffs), *earlier]
    line_public = spread([sum(column) for column in zip(*(row for _, row in rows), strict=True)], b.scale.width)
    line_hidden = overfit.summed([each for each, _ in rows])
    gap, line_gap = overfit.minus(public, hidden), overfit.minus(line_public, line_hidden)
    return e.PublicCompared(
        measure=measure, generation=generation.number, proposal=verdict.proposal, items=len(diffs), repeats=repeats,
        public=public, hidden=hidden, gap=gap, generations=len(rows), line_public=line_public,
        line_hidden=line_hidden, line_gap=line_gap,
        sentence=overfit.sentence(public, hidden, gap, items=len(diffs)),
        details=hashlib.sha256(details).hexdigest(),
    )  # fmt: skip


def _earlier(b: Bench, number: int) -> list[tuple[Spread, list[float]]]:
    """(hidden gain, public difference of every item) of the compared generations below ``number`` on the line.

    A line starts anew with each epoch, so all of them answered the same public items.
    """
    rows = []
    for each in b.state.line:
        generation = b.state.generations[each]
        if each != number and isinstance(generation.public, e.PublicCompared) and generation.verdict is not None:
            blob = parse_strict(b.ledger.get_blob(generation.public.details), max_bytes=DETAILS_BYTES, max_depth=8)
            assert isinstance(blob, dict)
            rows.append((generation.public.hidden, [float(x) for x in blob["diffs"]]))
    return rows


def _hidden(verdict: e.Verdict) -> Spread:
    assert verdict.interval is not None
    middle = verdict.estimate if verdict.estimate is not None else sum(verdict.interval) / 2.0
    return middle, *verdict.interval
