"""How far an accepted change moved the inside of the model, beside what retraining alone moves.  # V-9

The version before is trained once as the reference and ``retrainings`` times more; the candidate once; each under a
seed of its own that follows from the entry that charges them. All are the system's own ``run`` and ``answer`` in the
box that every candidate runs in, on public items: no hidden item is looked at, nothing here reaches a view of an
improver (P-4), and no test, level or acceptance depends on it. Files of models are hostile bytes and read strictly.

What a retraining leaves unreadable counts as failed. A candidate whose model cannot be read gets no p-value, and the
finding says so.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from festina.errors import Fault, UsageError
from festina.experiment.batch import run_units
from festina.ledger import entries as e
from festina.ledger.canonical import canonical
from festina.ledger.log import Draft
from festina.ledger.measures import Distance
from festina.ledger.seeds import unit_seed
from festina.loop import next as plan
from festina.loop.bench import Bench, Replan
from festina.loop.charging import TRIES, affordable, charge, found, skip
from festina.loop.comparing import scores
from festina.loop.rows import Generation
from festina.propose.text import visible
from festina.sandbox.job import Ended
from festina.select.conformal import LEAST, SHOWN, compared, median
from festina.system.manifest import Internals, Manifest, parse_manifest

if TYPE_CHECKING:
    from festina.verify.internals import Model, Moved

LISTED = 20  # tensors named, those that moved most first
NAME_CHARS = 100
RUNS_BESIDE = 2  # the reference, and the candidate
ORDER = ("behaviour", "worst behaviour", "representations", "weights")


@dataclass(frozen=True, slots=True)
class Trained:
    """One training: its model, or why there is none."""

    seed: int
    model: Model | None
    problem: str
    record: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Finding:
    """What followed from all trainings. ``names``: distances that all of them have, in the order of every row."""

    names: tuple[str, ...]
    rows: tuple[tuple[float, ...], ...]  # the candidate's first; empty where it cannot be compared
    failed: int
    problem: str
    moved: tuple[Moved, ...] = ()
    unlike: int = 0


def compare(b: Bench, action: plan.CompareInternals) -> None:
    """Compare the newest generation within the share that the epoch leaves for it, or record why not."""
    epoch, side, number = b.state.epoch, b.state.side, action.generation
    assert epoch is not None
    g = b.state.generations[number]
    if g.verdict is None or side.tried("internals", number) >= TRIES:
        skip(b, "internals", number, f"it was cut off or failed {TRIES} times")
        return
    manifest = parse_manifest(b.ledger.get_blob(epoch.manifest))
    allowed = min(int(epoch.internals_share * side.test_trials) - side.internals_trials, affordable(b))
    count = epoch.internals_retrainings + RUNS_BESIDE
    if manifest.internals is None or allowed < count:
        left = max(0, allowed)
        skip(b, "internals", number, f"it takes {count:,} runs, and {left:,} are left for it: festina internals")
        return
    _measure(b, g, g.verdict, manifest.internals, epoch.internals_retrainings, _missing(manifest, manifest.internals))


def on_request(b: Bench, number: int | None, retrainings: int | None = None) -> e.InternalsCompared:
    """Compare an accepted generation on the line (default: the newest). ``UsageError`` where nothing is laid open."""
    epoch = b.state.epoch
    assert epoch is not None
    manifest = parse_manifest(b.ledger.get_blob(epoch.manifest))
    table = manifest.internals
    if table is None:
        raise UsageError(
            "no-internals", "this epoch's manifest does not say where the model's weights lie",
            fix='[internals] weights = "FILE.safetensors" in festina.toml, then festina run --new-epoch "why"',
        )  # fmt: skip
    number = b.state.line[-1] if number is None else number
    g = b.state.generations.get(number)
    if g is None or number not in b.state.line or g.verdict is None:
        raise UsageError("not-accepted", f"generation {number} is no accepted one on the line", fix="festina status")
    return _measure(b, g, g.verdict, table, retrainings or table.retrainings, _missing(manifest, table))


def _missing(manifest: Manifest, table: Internals) -> tuple[str, ...]:
    lacking = []
    if manifest.suite.public is None:
        lacking.append("behaviour: there is no public suite")
    if table.activations is None:
        lacking.append("representations: the system leaves no activations ([internals] activations)")
    return tuple(lacking)


def _measure(
    b: Bench, g: Generation, verdict: e.Verdict, table: Internals, retrainings: int, missing: tuple[str, ...]
) -> e.InternalsCompared:
    count = retrainings + RUNS_BESIDE
    measure = charge(b, "internals", trials=count, units=count, generation=g.number)
    leaf, base = b.state.side.leaf, b.repo.tree_of(verdict.base_commit)
    seeds = [unit_seed(leaf, 0, i) for i in range(count)]
    trees = dict(zip(seeds, (verdict.tree, *(base for _ in seeds[1:])), strict=True))
    runs = run_units(lambda seed: _train(b, trees[seed], seed, table), seeds, b.workers)
    if b.cut_off:
        raise Replan
    made = found_of(runs)
    return _entry(b, g, verdict, base, measure, made, missing, _details(made, runs))


def _train(b: Bench, tree: str, seed: int, table: Internals) -> Trained:
    """Train once and read what it left. Raises ``Fault`` for the sandbox's own failure alone."""
    from festina.verify import tensors
    from festina.verify.internals import Model

    if b.cut_off:
        raise Fault("cut-off", "the comparison was cut off")
    inputs = b.public_items[0] if b.public_items is not None else None
    more = (table.activations,) if table.activations is not None else ()
    side, files = b.trials.laid_open(tree, seed, inputs, more, anew=True)
    if side.ended is Ended.SANDBOX_ERROR:
        raise Fault("sandbox-error", f"a trial could not be run: {side.detail}", fix="festina doctor")
    if side.answer is None:
        return Trained(seed, None, f"it ended {side.ended.value}", side.record())
    try:
        weights = tensors.read(files.get(table.weights, b""))
        activations = tensors.read(files[table.activations]) if table.activations is not None else None
    except (ValueError, KeyError, MemoryError) as error:
        return Trained(seed, None, f"its files cannot be read ({type(error).__name__})", side.record())
    each = scores(b, side.answer) if b.public_items is not None and b.verifier is not None else None
    return Trained(seed, Model(weights, each, activations), "", side.record())


def found_of(runs: Sequence[Trained]) -> Finding:
    """From the candidate's training and the others: distances to the first of the others that can be read."""
    from festina.verify.internals import distances, moved, unlike

    mine, models = runs[0].model, [run.model for run in runs[1:] if run.model is not None]
    failed = len(runs) - 1 - len(models)
    if mine is None:
        return Finding((), (), failed, f"the candidate's model cannot be compared: {runs[0].problem}")
    if len(models) < 2:
        return Finding((), (), failed, "too few retrainings of the version before could be read")
    reference, others = models[0], [mine, *models[1:]]
    rows = [distances(each, reference) for each in others]
    names = tuple(name for name in ORDER if all(name in row for row in rows))
    if not names:
        return Finding((), (), failed, "no layer, matrix or answer of one has its like in the other")
    most = sorted(moved(mine, reference), key=lambda m: -m.size)[:LISTED]
    table = tuple(tuple(row[name] for name in names) for row in rows)
    return Finding(names, table, failed, "", tuple(most), unlike(mine, reference))


def _details(made: Finding, runs: Sequence[Trained]) -> bytes:
    return canonical(
        {
            "names": list(made.names),
            "rows": [list(row) for row in made.rows],
            "failed": made.failed,
            "problem": made.problem,
            "tensors": [
                [visible(m.name, lines=False, limit=NAME_CHARS), m.size, m.direction] for m in made.moved  # T-5
            ],
            "unlike": made.unlike,
            "runs": [{"seed": run.seed, "problem": run.problem, "side": run.record} for run in runs],
        }
    )


def _entry(
    b: Bench, g: Generation, verdict: e.Verdict, base: str, measure: int, made: Finding, missing: tuple[str, ...],
    details: bytes,
) -> e.InternalsCompared:  # fmt: skip
    told = numbers(g.number, made.names, made.rows, made.problem)
    body = e.InternalsCompared(
        measure=measure, generation=g.number, proposal=verdict.proposal, tree=verdict.tree, base_tree=base,
        failed=made.failed, missing=missing, details=hashlib.sha256(details).hexdigest(), **told,
    )  # fmt: skip
    found(b, "internals", measure, Draft(body, blobs=(details,), signer=b.verifier_signer))
    return body


def numbers(
    generation: int, names: Sequence[str], rows: Sequence[Sequence[float]], problem: str
) -> dict[str, Any]:
    """What the entry says of its distances: by the engine that writes it and by whoever checks it.  # S-4"""
    if not rows:
        what = f"Whether the inside of generation {generation} moved more than by retraining is not told"
        sentence = f"{what}: {problem}."
        return {"retrainings": 0, "distances": (), "score": None, "largest": None, "p": None, "sentence": sentence}
    made, nulls = compared(rows), rows[1:]
    columns = list(zip(*nulls, strict=True))
    found_ = tuple(
        Distance(name=name, candidate=rows[0][i], median=median(columns[i]), largest=max(columns[i]))
        for i, name in enumerate(names)
    )
    return {
        "retrainings": len(nulls), "distances": found_, "score": made.score, "largest": made.of_nulls, "p": made.p,
        "sentence": _sentence(generation, len(nulls), made.p, names[made.where]),
    }  # fmt: skip


def _sentence(generation: int, nulls: int, p: float, where: str) -> str:
    rough = "" if nulls >= LEAST else f" So few retrainings cannot show it: that takes {LEAST}."
    if p <= SHOWN or (nulls < LEAST and p == 1 / (nulls + 1)):
        word = (
            f"Inside, generation {generation} is further from the version before than any of {nulls} retrainings of "
            f"that is (p {p:.2g}), most in {where}: different, which is not to say worse."
        )
    else:
        word = (
            f"Inside, generation {generation} differs from the version before no more than retraining alone explains "
            f"(p {p:.2g}, {nulls} retrainings); what was not compared may differ all the same."
        )
    return word + rough
