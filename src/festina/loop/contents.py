"""What lies beside an entry in the content store, against the entry: differences made again from scores.  # V-1

A batch's details hold every side's scores; its differences, means and counts follow from them, and so do a control's, a
final score's, the public comparison's and an attribution's numbers. The scores themselves follow from answers, which
are not stored: of those the record has the digests (L-6).

Means and Student intervals that people read are compared to a relative 1e-12, since ``sum`` rounds differently from
Python 3.12 on; whatever decides is compared bit for bit.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from math import isclose
from typing import Any

from festina.ledger import entries as e
from festina.ledger.canonical import canonical, parse_strict
from festina.ledger.record import Record
from festina.ledger.seeds import control_seed, unit_seed
from festina.loop import effects, internals
from festina.select import overfit
from festina.select.overfit import Spread
from festina.select.pairing import OURS, Differences, mean, product_means, unit_differences
from festina.select.report import estimate, interval
from festina.select.student import spread
from festina.verify import soaking
from festina.verify.account import Account, Mismatch
from festina.verify.verdicts import scale_of, width_of

DETAILS_BYTES = 64 << 20
NEAR = 1e-12
DRILL_NAMED = 20  # holes that the entry of a drill names
Wrong = dict[str, tuple[object, object]]


@dataclass(frozen=True, slots=True)
class _Scores:
    mean: float | None
    guards: tuple[float, ...]
    judges: tuple[float, ...]


@dataclass(slots=True)
class Contents:
    """Checks entries against their content. ``blob`` gives content by digest."""

    account: Account
    blob: Callable[[str], bytes]
    trained: Mapping[str, e.TrainingEnded] = field(default_factory=dict)  # by tree, as recorded so far  # S-7
    missing: int = 0  # entries that were recorded without their details
    brief: int = 0  # units of records that did not keep the guards' scores
    public: dict[int, tuple[Spread, list[float]]] = field(default_factory=dict)  # by generation: hidden, public

    def check(self, record: Record) -> list[Mismatch]:
        """What the entry says otherwise. Call it before the account has taken the entry."""
        if record.kind not in _CHECKS:
            return []
        body: Any = record.body
        if body.details not in record.entry.content:
            self.missing += 1
            return []
        try:
            details = _read(record.kind, self.blob(body.details))
            wrong = _CHECKS[record.kind](self, body, details)
            if record.kind in _SIDED:
                gains = record.kind == "batch-ended" and self.account.test(body.test).terms.target == "gain"
                wrong |= _artifacts(self, details["units"], gains)
        except (KeyError, TypeError, ValueError, IndexError, AttributeError) as error:
            wrong = {"details": (f"not details of a {record.kind} entry ({type(error).__name__})", "readable ones")}
        return [Mismatch(record.seq, record.kind, name, *map(str, pair)) for name, pair in wrong.items()]


def _read(kind: str, data: bytes) -> Any:  # noqa: ANN401 - JSON
    if kind == "drill-finished":  # JSON lines
        if len(data) > DETAILS_BYTES:
            raise ValueError("too long")
        return [parse_strict(line, max_bytes=DETAILS_BYTES, max_depth=16) for line in data.splitlines()]
    return parse_strict(data, max_bytes=DETAILS_BYTES, max_depth=16)


def _exactly(pairs: Mapping[str, tuple[object, object]]) -> Wrong:
    return {name: pair for name, pair in pairs.items() if repr(pair[0]) != repr(pair[1])}


def _nearly(pairs: Mapping[str, tuple[Any, Any]]) -> Wrong:
    return {name: pair for name, pair in pairs.items() if not _near(*pair)}


def _near(one: Any, other: Any) -> bool:  # noqa: ANN401 - a number, none, or a row of them
    if one is None or other is None:
        return one is other
    if isinstance(one, Sequence):
        return len(one) == len(other) and all(map(_near, one, other))
    return isclose(one, other, rel_tol=NEAR, abs_tol=NEAR)


def _batch(c: Contents, b: e.BatchEnded, details: Any) -> Wrong:  # noqa: ANN401 - JSON
    units = details["units"]
    test = c.account.test(b.test)
    made = [_unit(c, unit) for unit in units]
    sides = [dict(_sides(unit)) for unit in units]
    head = "head" if test.terms.target == "productivity" else "incumbent"
    if any("anchor" not in each and c.account.anchor_apart(each[head]["tree"], test.terms.target) for each in sides):
        raise ValueError("guards without the anchor's side")  # V-4
    seeds = [unit_seed(test.leaf, b.batch, i) for i in range(len(units))]
    candidates = [each["candidate"] for each in sides]
    tried = [[made_["guard_change"] for made_ in unit.get("made", ())] for unit in units]
    return _exactly(
        {
            "seeds": ([unit["seed"] for unit in units], seeds),
            "gain": (b.gain, tuple(d.gain for d in made)),
            "guards": (b.guards, _columns(b.guards, [d.guards for d in made])),
            "judges": (b.judges, _columns(b.judges, [d.judges for d in made])),
            "failed": (b.failed, sum(side["ended"] != "ok" for side in candidates)),
            "denied": (b.denied, sum(bool(side["denied"]) for side in candidates)),
            "tampering": (b.tampering, tuple(sum(row[k] for row in tried if row) for k in (0, 1))),
        }
    ) | _nearly(
        {
            "candidate_mean": (b.candidate_mean, mean([unit["candidate"] for unit in units])),
            "incumbent_mean": (b.incumbent_mean, mean([unit["incumbent"] for unit in units])),
        }
    )


def _artifacts(c: Contents, units: Any, all_recorded: bool) -> Wrong:  # noqa: ANN401 - JSON
    """Each side was answered by the recorded artifact of its tree, and by none where trees are trained anew.  # S-7

    ``all_recorded``: such a test begins once its trees' trainings stand in the record. A control may come before, and
    what an improver makes in a test of its own is trained for that one problem.
    """
    once, told, wanted = c.account.rules().suite.train == "once", set(), set()
    for tree, artifact in {(side["tree"], side.get("artifact")) for unit in units for _, side in _sides(unit)}:
        made = c.trained.get(tree) if once else None
        if once and made is None and not all_recorded:
            continue
        told.add(f"{tree} by {artifact}")
        wanted.add(f"{tree} by {made.artifact if made is not None else 'a recorded one' if once else None}")
    return _exactly({"artifacts": (sorted(told), sorted(wanted))})


def _columns(recorded: tuple[tuple[float, ...], ...], rows: list[tuple[float, ...]]) -> tuple[tuple[float, ...], ...]:
    """Streams from units; what an old record did not keep is taken as recorded."""
    return recorded if any(len(row) != len(recorded) for row in rows) else tuple(zip(*rows, strict=True))


def _sides(unit: Any) -> list[tuple[str, Any]]:  # noqa: ANN401 - JSON
    return [(side["role"], side) for side in unit["sides"]]


def _unit(c: Contents, unit: Any) -> Differences:  # noqa: ANN401 - JSON
    epoch, sides = c.account.rules(), dict(_sides(unit))
    scale = scale_of(epoch)
    if any("score" not in side for side in sides.values()):
        c.brief += bool(scale.guards or scale.judges)
        scale = type(scale)(scale.sign, scale.width, ())
        scores = {role: _Scores(unit[role], (), ()) for role in ("candidate", "incumbent")}
    else:
        scores = {role: _Scores(s["score"], tuple(s["guards"]), tuple(s["judges"])) for role, s in sides.items()}
    if any(repr(scores[role].mean) != repr(unit[role]) for role in ("candidate", "incumbent")):
        raise ValueError("two scores for one side")
    late = any(side["ended"] == "timeout_wall" for role, side in sides.items() if role not in OURS)
    late = late or any(each.get("late", False) for each in unit.get("made", ())[1:])  # the improver in force  # S-6
    refused = [each["word"] == "refused" for each in unit.get("made", ())]
    conduct = float(refused[1]) - float(refused[0]) if refused else 0.0
    return unit_differences(scores, scale, late=late, conduct=conduct)


def _controlled(c: Contents, b: e.ControlEnded, details: Any) -> Wrong:  # noqa: ANN401 - JSON
    control = c.account.control
    assert control is not None  # the entry was checked against the account before
    units = details["units"]
    rows = [_twin(c, unit) for unit in units]
    seeds = [control_seed(control.leaf, i) for i in range(len(units))]
    recorded = (b.gain, b.order, *b.guards)
    return _exactly(
        {
            "seeds": ([unit["seed"] for unit in units], seeds),
            "differences": (recorded, _columns(recorded, rows)),
        }
    )


def _twin(c: Contents, unit: Any) -> tuple[float, ...]:  # noqa: ANN401 - JSON
    """As ``against_itself.differences``, from the record."""
    made, sides = _unit(c, unit), _sides(unit)
    if any(side["ended"] == "timeout_wall" for _, side in sides) or None in (unit["candidate"], unit["incumbent"]):
        return (0.0,) * (2 + len(made.guards) + len(made.judges))
    first = 1.0 if sides[0][0] == "candidate" else -1.0
    return (made.gain, first * made.gain, *made.guards, *made.judges)


def _finals(c: Contents, b: e.FinalScored, details: Any) -> Wrong:  # noqa: ANN401 - JSON
    units, width = details["units"], width_of(c.account.rules().suite)
    gains = [unit["gain"] for unit in units]
    around = interval(gains)
    assert around is not None  # an empty list fails as details that are none
    return _exactly(
        {"units": (b.units, len(gains)), "interval": (b.interval, (around[0] * width, around[1] * width))}
    ) | _nearly(
        {
            "estimate": (b.estimate, estimate(gains) * width),
            "mean_a": (b.mean_a, mean([unit["candidate"] for unit in units]) or 0.0),
            "mean_b": (b.mean_b, mean([unit["incumbent"] for unit in units]) or 0.0),
        }
    )


def _soaked(c: Contents, b: e.Soaked, details: Any) -> Wrong:  # noqa: ANN401 - JSON
    terms = {each.name: each for each in c.account.rules().soaks}[b.suite]
    rows = [(unit["gain"], unit["candidate"], unit["incumbent"]) for unit in details["units"]]
    now = soaking.asking(c.account.soaks, b.tree, b.suite) if b.asked else soaking.Asking()
    made = soaking.numbers(terms, rows, now)
    exact = {name: (getattr(b, name), made[name]) for name in ("interval", "answer", "asked", "failed")}
    near = {name: (getattr(b, name), made[name]) for name in ("mean", "base_mean", "estimate")}
    return _exactly({"units": (b.units, len(rows)), **exact}) | _nearly(near)


def _problem(c: Contents, b: e.CrossplayProblem, details: Any) -> Wrong:  # noqa: ANN401 - JSON
    """A product's score is its mean; the start's where it gave none. The start is run once where it is the product."""
    units = details["units"]
    scores = [{role: side["score"] for role, side in _sides(unit)} for unit in units]
    start = mean([each.get("anchor", each["incumbent"]) for each in scores])
    left, right = (mean([each[role] for each in scores]) for role in ("candidate", "incumbent"))
    made = product_means(scores, scale_of(c.account.rules()).sign) if b.worst else None
    if made is not None:
        start, left, right = made["anchor"], made["candidate"], made["incumbent"]
    seeds = [unit_seed(c.account.measure_leaf, 0, i) for i in range(len(units))]
    return _exactly(
        {
            "seeds": ([unit["seed"] for unit in units], seeds), "start": (b.start, start),
            "left": (b.left.score, start if left is None else left),
            "right": (b.right.score, start if right is None else right),
        }
    )  # fmt: skip


def _public(c: Contents, b: e.PublicCompared, details: Any) -> Wrong:  # noqa: ANN401 - JSON
    account, width = c.account, width_of(c.account.rules().suite)
    verdict = account.line.verdicts[account.line.proposals[b.generation]]
    assert verdict.interval is not None
    diffs = [float(x) for x in details["diffs"]]
    middle = verdict.estimate if verdict.estimate is not None else sum(verdict.interval) / 2.0
    hidden = (middle, *verdict.interval)
    earlier = [c.public[n] for n in account.line.numbers if n != b.generation and n in c.public]
    rows = [(hidden, diffs), *earlier]
    c.public[b.generation] = rows[0]
    public = spread(diffs, width)
    line_public = spread([sum(column) for column in zip(*(row for _, row in rows), strict=True)], width)
    line_hidden = overfit.summed([each for each, _ in rows])
    gap = overfit.minus(public, hidden)
    return _nearly(
        {
            "public": (b.public, public), "hidden": (b.hidden, hidden), "gap": (b.gap, gap),
            "line_public": (b.line_public, line_public), "line_hidden": (b.line_hidden, line_hidden),
            "line_gap": (b.line_gap, overfit.minus(line_public, line_hidden)),
        }
    ) | _exactly(
        {
            "items": (b.items, len(diffs)), "generations": (b.generations, len(rows)),
            "sentence": (b.sentence, overfit.sentence(b.public, b.hidden, b.gap, items=len(diffs))),
        }
    )  # fmt: skip


@dataclass(frozen=True, slots=True)
class _Cell:
    goal: float | None
    guards: tuple[float, ...]
    ran: bool


def _attributed(c: Contents, b: e.Attributed, details: Any) -> Wrong:  # noqa: ANN401 - JSON
    epoch, leaf = c.account.rules(), c.account.measure_leaf
    units = [{int(mask, 2): _cell(row) for mask, row in unit.items()} for unit in details["units"]]
    form = effects.shape(b.method, len(details["parts"]), len(units), leaf)
    made = effects.found(form, epoch, units)
    said = [(h.leave_out, h.alone, h.share, h.guards) for h in b.hunks]
    return _nearly(
        {
            "total": (b.total, made.total), "residue": (b.residue, made.residue),
            "hunks": (said, [(row.leave_out, row.alone, row.share, row.guards) for row in made.rows]),
        }
    ) | _exactly(
        {
            "units": (b.units, len(units)), "broken": (b.broken, made.broken),
            "words": ([h.verdict for h in b.hunks], [row.word for row in made.rows]),
        }
    )  # fmt: skip


def _cell(row: Any) -> _Cell:  # noqa: ANN401 - JSON
    goal, guards, side = row
    return _Cell(goal, tuple(guards), side["answer"] is not None)


def _internals(c: Contents, b: e.InternalsCompared, details: Any) -> Wrong:  # noqa: ANN401 - JSON
    rows = [[float(x) for x in row] for row in details["rows"]]
    made = internals.numbers(b.generation, details["names"], rows, details["problem"])
    seeds = [unit_seed(c.account.measure_leaf, 0, i) for i in range(len(details["runs"]))]
    trees = [run["side"]["tree"] for run in details["runs"]]
    return _exactly(
        {
            **{name: (getattr(b, name), value) for name, value in made.items()},
            "failed": (b.failed, details["failed"]),
            "seeds": ([run["seed"] for run in details["runs"]], seeds),
            "trees": (trees, [b.tree, *(b.base_tree for _ in trees[1:])]),
        }
    )


def seeds_digest(leaf: str, batch: int, units: int) -> str:
    """What an intent says about its units' seeds.  # E-3"""
    return hashlib.sha256(canonical([unit_seed(leaf, batch, i) for i in range(units)])).hexdigest()


def _drill(_: Contents, b: e.DrillFinished, rows: Any) -> Wrong:  # noqa: ANN401 - JSON
    """A drill's counts are those of its report.  # V-7, V-5"""
    findings = [row for row in rows if row["record"] == "finding"]
    honest = [row for row in rows if row["record"] == "honest" and row["applicable"]]
    verdicts = [row["verdict"] for row in findings]
    holes, exposures, caught = (verdicts.count(word) for word in ("hole", "exposure", "caught"))
    runs = sum(row["runs"] for row in honest)
    opened = [row["attack"][:100] for row in findings if row["verdict"] == "hole"]
    judged = [(row["attack"][:100], tuple(row["words"])) for row in findings if row.get("words")]
    return _exactly(
        {
            "attacks": (b.attacks, holes + exposures + caught),
            "caught": (b.caught, caught),
            "holes": (b.holes, holes),
            "exposures": (b.exposures, exposures),
            "untested": (b.untested, verdicts.count("not tested")),
            "honest_runs": (b.honest_runs, runs),
            "honest_lost": (b.honest_lost, runs - sum(row["kept"] for row in honest)),
            "open": (b.open, tuple(opened[:DRILL_NAMED])),
            "judged": ([(row.attack, row.words) for row in b.judged], judged),
        }
    )


_SIDED = frozenset({"batch-ended", "control-ended", "final-scored", "crossplay-problem", "soaked"})  # with sides
_CHECKS: dict[str, Callable[[Contents, Any, Any], Wrong]] = {
    "batch-ended": _batch, "control-ended": _controlled, "final-scored": _finals, "public-compared": _public,
    "attributed": _attributed, "crossplay-problem": _problem, "internals-compared": _internals,
    "drill-finished": _drill, "soaked": _soaked,
}  # fmt: skip
