"""The sealed final suite: scored once for each generation that wants to be released, before it is.  # V-3

Its items lie in the vault under ``final``; the gate never draws from them and no view holds them. The generation is
compared with the last released one (before the first release: with the start of the line), paired as in a test. The
score decides one thing only: a generation whose whole interval is below zero contradicts its verdict and stays where it
is. A generation has one score; asking again gives the one that is recorded.

The intent that charges runs and looks comes first, and the draw follows from the *first* intent for this generation:
after a crash the same items are scored again, and counted again. Which source they came from stands in the intent, so
that a suite can be refreshed between releases without a new epoch.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping

from festina.errors import Rejected, UsageError
from festina.experiment import batch as units
from festina.ledger import entries as e
from festina.ledger.canonical import canonical
from festina.ledger.log import Draft
from festina.ledger.seeds import unit_seed
from festina.loop.bench import Bench, Replan
from festina.loop.charging import charge, found, measuring_verifier
from festina.loop.judges import HiddenJudge
from festina.loop.measured import final_source
from festina.loop.rows import Generation
from festina.loop.state import State
from festina.select.pairing import Scale, mean
from festina.select.report import estimate, interval
from festina.select.told import size
from festina.verify.client import Verifier
from festina.verify.types import Source
from festina.verify.vault import Vault


class Placed(HiddenJudge):
    """Draws every unit's items at a place that was fixed before."""

    def __init__(self, verifier: Verifier, items: int, places: Mapping[int, int]) -> None:
        super().__init__(verifier, items, 0)
        self._places = places

    def issue(self, seed: int, place: int | None = None) -> tuple[str, bytes | None]:
        return self.again(seed, self._places[seed] if place is None else place)


def due(state: State, generation: Generation) -> bool:
    """Whether a release of this generation still needs its final score."""
    return state.epoch is not None and state.epoch.final is not None and generation.number not in state.side.finals


def require(state: State, generation: Generation) -> None:
    """Raise unless the generation has a final score that does not contradict its verdict, where one is demanded."""
    if state.epoch is None or state.epoch.final is None:
        return
    score = state.side.finals.get(generation.number)
    if score is None:
        raise UsageError(
            "final-not-scored", f"generation {generation.number} has no score on the sealed final suite",
            fix=f"festina release {generation.number} makes it first",
        )  # fmt: skip
    if score.interval[1] < 0.0:
        raise Rejected("final-contradicts", sentence(score), fix="leave it; look for what the gate's own suite misses")


def sentence(score: e.FinalScored) -> str:
    """A final score in words."""
    found_ = (score.estimate, *score.interval)
    if score.interval[0] > 0.0:
        word = f"it is better by {size(found_)}"
    elif score.interval[1] < 0.0:
        word = f"it is worse by {size((-found_[0], -found_[2], -found_[1]))}, which contradicts the verdict"
    else:
        word = f"it is not shown to differ: {size(found_)}"
    return f"On {score.items:,} items of the sealed final suite, {score.label.partition(': ')[2]}: {word}."


def score_final(b: Bench, number: int) -> e.FinalScored:
    """Score a generation, or give the score that it has. Raises ``UsageError`` where the suite is spent.  # V-3"""
    state, epoch = b.state, b.state.epoch
    assert epoch is not None
    terms = epoch.final
    if terms is None:
        raise UsageError("no-final-suite", "this epoch has no sealed final suite", fix="[suite.final] in festina.toml")
    known = state.side.finals.get(number)
    if known is not None:
        return known
    source = Vault(b.home.vault).describe("final")
    key = (number, source.digest)
    again = key in state.side.final_draws
    if not again:
        _afford(state, terms, source)
    measure = charge(
        b, "final", trials=2 * terms.max_units, units=terms.max_units, items=terms.max_units * terms.batch_items,
        source=source.digest, fresh=not again, generation=number,
    )  # fmt: skip
    return _measure(b, terms, source, number, measure)


def _afford(state: State, terms: e.SuiteTerms, source: Source) -> None:
    need = terms.max_units * terms.batch_items
    account = final_source(source.digest)
    used, gone = state.side.looks.get(account, 0), state.source_looks.get(account, 0)
    if terms.looks is not None and used + need > terms.looks:
        what = f"{used} of its {terms.looks} looks are used and a release takes {need}"
    elif (count := source.positions(terms.unit, terms.batch_items)) is not None and gone + need > count:
        what = f"{gone} of its {count} items are used and a release takes {need}"
    else:
        return
    raise UsageError(
        "final-spent", f"the sealed final suite is retired: {what}",
        fix="festina vault add final NEW --replace: items that no release has used",
    )


def _measure(b: Bench, terms: e.SuiteTerms, source: Source, number: int, measure: int) -> e.FinalScored:
    draw = b.state.side.final_draws[(number, source.digest)]
    seeds = [unit_seed(draw.leaf, 0, i) for i in range(terms.max_units)]
    places = {seed: draw.position + i * terms.batch_items for i, seed in enumerate(seeds)}
    tree, base, label = _sides(b, number)
    scale = Scale(b.scale.sign, b.scale.width, ())
    with measuring_verifier(b, terms.model_copy(update={"source": source.digest})) as verifier:
        judge = Placed(verifier, terms.batch_items, places)
        results = units.run_units(
            lambda seed: units.run_unit(
                b.trials, judge, units.Trees(tree, base, None), scale, seed, lambda: b.cut_off
            ),
            seeds,
            b.workers,
        )
    if b.cut_off:
        raise Replan
    gains = [unit.gain for unit in results]
    around = interval(gains)
    assert around is not None  # a final suite has units
    details = canonical({"units": [unit.record() for unit in results]})
    body = e.FinalScored(
        label=f"sealed final suite: {label}", tree_a=tree, tree_b=base, units=len(gains),
        items=len(gains) * terms.batch_items, mean_a=mean([u.candidate.mean for u in results]) or 0.0,
        mean_b=mean([u.incumbent.mean for u in results]) or 0.0, estimate=estimate(gains) * scale.width,
        interval=(around[0] * scale.width, around[1] * scale.width), details=hashlib.sha256(details).hexdigest(),
        generation=number, measure=measure,
    )  # fmt: skip
    found(b, "final", measure, Draft(body, blobs=(details,), signer=b.signing([unit.shown for unit in results])))
    return body


def _sides(b: Bench, number: int) -> tuple[str, str, str]:
    """(its tree, what it is compared with, in words): the last release, or the start of the line."""
    state, epoch = b.state, b.state.epoch
    assert epoch is not None
    tree = b.repo.tree_of(state.generations[number].commit)
    if state.released is not None and state.released != number:
        other = state.generations[state.released].commit
        return tree, b.repo.tree_of(other), f"generation {number} against the released generation {state.released}"
    return tree, epoch.start_tree, f"generation {number} against the start"
