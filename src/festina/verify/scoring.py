"""Scorers: pinned Python functions ``f(item, output) -> float``, and what any scorer's answers mean.  # V-1, T-4

Programs and Inspect tasks (``programs``, ``inspecting``) judge a batch at a time in processes of their own; what they
answer means the same.

A scorer comes from the evaluator, the tree pinned at the start of the epoch, and is read as source: compiled
files, native modules and files of the same name elsewhere never stand in for it. The evaluator's folder is
searched last, so a file of the repository cannot replace the standard library or an installed package.

``item`` is ``{"id", "input", "label"}`` (a fresh copy each call), ``output`` whatever JSON the candidate wrote.
A score counts when it is a finite real number (not a truth value) in the declared range, up to rounding of 1e-9
of the range; all else, and whatever the scorer raises, is the worst score for that item.  # T-6
A truth value never answers a number, nor a number a truth value: Python holds ``True == 1`` for true.

Does not cover: a scorer that itself judges wrongly; the controls (V-2) are there for the coarse cases.
"""

from __future__ import annotations

import importlib
import importlib.abc
import importlib.machinery
import json
import math
import numbers
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from hashlib import sha256
from pathlib import Path
from types import CodeType, ModuleType
from typing import TYPE_CHECKING

from festina.errors import UsageError
from festina.verify.parse import Item, Predictions

if TYPE_CHECKING:
    from importlib.machinery import ModuleSpec

__all__ = [
    "Failure", "Mark", "Range", "Row", "Scorer", "broken", "install", "judge", "load", "loaded_digest", "mark", "marks",
    "run", "source_loader",
]  # fmt: skip

ROUNDING = 1e-9  # of the range: a mean of many floats may leave it by this much


@dataclass(frozen=True, slots=True)
class Failure:
    """What a scorer or generator raised: its type and place, never its message, which may quote a label.  # T-1"""

    error: str
    where: str


@dataclass(frozen=True, slots=True)
class Range:
    low: float
    high: float
    direction: str

    def unit(self, score: float) -> float | None:
        """Unit score, or None when ``score`` is out of range."""
        width = self.high - self.low
        part = (score - self.low) / width if self.direction == "higher" else (self.high - score) / width
        if not -ROUNDING <= part <= 1 + ROUNDING:
            return None
        return min(1.0, max(0.0, part))

    def own(self, unit: float) -> float:
        """A unit score in the scorer's own unit."""
        width = self.high - self.low
        return self.low + unit * width if self.direction == "higher" else self.high - unit * width


View = dict[str, object]
# Rows of item and output in one go; a missing id has no score. Raises ``Fault`` where the scorer fails as a whole.
Batch = Callable[[Sequence[View]], Mapping[str, object]]


@dataclass(frozen=True, slots=True)
class Scorer:
    """A function (``call``), or something that judges a whole batch at once (``batch``)."""

    name: str  # as in ``system.scorers``
    call: Callable[[View, object], object] | None
    range: Range
    batch: Batch | None = None
    together: bool = False  # judges item by item, so that several batches may share one call


@dataclass(frozen=True, slots=True)
class Row:
    """One item under the id shown, and its answer; None where nothing readable answers it."""

    item: Item
    shown_id: str
    answer: Callable[[], object] | None
    problem: str = ""  # why there is none, where that is worth a word

    @property
    def unanswered(self) -> Mark:
        return Mark(0.0, False, Failure(self.problem, "")) if self.problem else WORST


@dataclass(frozen=True, slots=True)
class Mark:
    """One item's unit score; ``valid`` is False when it is the worst score by default."""

    unit: float
    valid: bool
    failure: Failure | None = None


Call = Callable[[], object]
WORST = Mark(0.0, False)


def run(call: Call, roots: Sequence[Path]) -> tuple[object, Failure | None]:
    """Run trusted code that may raise anything at all, ``SystemExit`` and ``KeyboardInterrupt`` included.

    This is the verifier's one boundary against what scorers and generators raise.  # T-6
    """
    try:
        return call(), None
    except BaseException as error:  # noqa: BLE001 -- a scorer's error is data here, whatever its class
        return None, _failure(error, roots)


def _failure(error: BaseException, roots: Sequence[Path]) -> Failure:
    kind = next(each for each in type(error).__mro__ if each.__module__ == "builtins")  # a name nobody could choose
    place = ""
    if isinstance(error, SyntaxError) and error.filename:
        place = _place(error.filename, error.lineno or 1, roots)
    trace = error.__traceback__
    while trace is not None:
        place = _place(trace.tb_frame.f_code.co_filename, trace.tb_lineno, roots) or place
        trace = trace.tb_next
    return Failure(kind.__name__, place)


def _place(file: str, line: int, roots: Sequence[Path]) -> str:
    for root in roots:
        if file.startswith(f"{root}/"):
            return f"{file[len(str(root)) + 1 :]}:{line}"[:200]
    return f"generator.py:{line}" if file == "<generator>" else ""


class _Source(importlib.machinery.SourceFileLoader):
    """Reads ``.py`` only: a planted ``.pyc`` is never looked at."""

    def get_code(self, fullname: str) -> CodeType:
        path = self.get_filename(fullname)
        code = self.source_to_code(self.get_data(path), path)
        assert isinstance(code, CodeType)  # compile() of source gives nothing else
        return code


def source_loader(name: str, path: str) -> importlib.machinery.SourceFileLoader:
    """A loader that reads the source at ``path`` and nothing compiled."""
    return _Source(name, path)


class _Pinned(importlib.abc.MetaPathFinder):
    """Serves the scorers' own top-level modules from the evaluator, before anything installed."""

    def __init__(self, evaluator: Path, names: frozenset[str]) -> None:
        self.evaluator, self.names = evaluator, names

    def find_spec(self, fullname: str, path: object = None, target: ModuleType | None = None) -> ModuleSpec | None:
        if path is not None or fullname not in self.names:
            return None
        return importlib.machinery.PathFinder.find_spec(fullname, [str(self.evaluator)])


def install(evaluator: Path, modules: Sequence[str]) -> None:
    """Make the evaluator importable: the scorers' modules by name, their siblings after everything installed."""
    names = frozenset(module.partition(".")[0] for module in modules)
    for name in sorted(names):
        if name in sys.stdlib_module_names or name in sys.modules:
            raise UsageError(
                "scorer-name-taken", f"a scorer's module is called {name}, like one of Python's or Festina's own",
                fix="rename the module", where=f"{name}.py",
            )  # fmt: skip
    root = str(evaluator)
    plain = importlib.machinery.FileFinder.path_hook((_Source, [".py"]))

    def hook(path: str) -> importlib.abc.PathEntryFinder:
        if path != root and not path.startswith(root + "/"):
            raise ImportError(path)
        return plain(path)

    sys.dont_write_bytecode = True
    sys.path_hooks.insert(0, hook)
    sys.path_importer_cache.clear()
    sys.path.append(root)
    sys.meta_path.insert(0, _Pinned(evaluator, names))


def load(name: str, bounds: Range, evaluator: Path) -> Scorer:
    """Import one scorer; raises ``UsageError`` scorer-broken, naming file and line."""
    module, _, function = name.partition(":")
    imported, failure = run(lambda: importlib.import_module(module), (evaluator,))
    if failure is not None:
        raise broken(name, f"cannot be imported ({failure.error})", failure.where or f"{module.replace('.', '/')}.py")
    call = getattr(imported, function, None)
    if not callable(call):
        raise broken(name, "is not a function there", f"{module.replace('.', '/')}.py")
    return Scorer(name, call, bounds)


def broken(name: str, what: str, where: str) -> UsageError:
    return UsageError(
        "scorer-broken", f"scorer {name} {what}",
        fix="mend the scorer and commit it: scorers are read from the pinned commit", where=where,
    )  # fmt: skip


def loaded_digest(evaluator: Path, others: Sequence[str] = ()) -> str:
    """Over the source of every module that came from the evaluator, and of ``others``: a restart must find the same.

    # T-4
    """
    digest = sha256()
    for path in sorted(others):
        if (evaluator / path).is_file():
            digest.update(f"{path}\0{sha256((evaluator / path).read_bytes()).hexdigest()}\n".encode())
    for name in sorted(sys.modules):
        file = getattr(sys.modules[name], "__file__", None)
        if isinstance(file, str) and file.startswith(f"{evaluator}/"):
            digest.update(f"{name}\0{sha256(Path(file).read_bytes()).hexdigest()}\n".encode())
    return digest.hexdigest()


def marks(scorer: Scorer, rows: Sequence[Row], roots: Sequence[Path]) -> list[Mark]:
    """One scorer's judgement of each row, in order. Raises ``Fault`` where a batch scorer fails as a whole."""
    if scorer.batch is None:
        return [
            mark(scorer, row.item, row.shown_id, row.answer(), roots) if row.answer is not None else row.unanswered
            for row in rows
        ]
    views = [(row, _view(row.item, row.shown_id), row.answer()) for row in rows if row.answer is not None]
    asked = [view | {"output": output} for _, view, output in views if not _punned(view["label"], output)]
    scores = scorer.batch(asked) if asked else {}
    known = {str(view["id"]) for view in asked}
    return [_marked(scorer, scores, row.shown_id) if row.shown_id in known else row.unanswered for row in rows]


def _marked(scorer: Scorer, scores: Mapping[str, object], shown_id: str) -> Mark:
    if shown_id not in scores:
        return Mark(0.0, False, Failure("no score for the item", ""))
    score, failure = run(lambda: _number(scores[shown_id]), ())
    return _ranged(scorer, score) if failure is None else Mark(0.0, False, failure)


def mark(scorer: Scorer, item: Item, shown_id: str, output: object, roots: Sequence[Path]) -> Mark:
    """A function's judgement of one output."""
    view, call = _view(item, shown_id), scorer.call
    if _punned(view["label"], output):
        return WORST
    assert call is not None  # batch scorers go through ``marks``
    score, failure = run(lambda: _number(call(view, output)), roots)
    return _ranged(scorer, score) if failure is None else Mark(0.0, False, failure)


def _view(item: Item, shown_id: str) -> View:
    return {"id": shown_id, "input": json.loads(item.input), "label": json.loads(item.label)}


def _ranged(scorer: Scorer, score: object) -> Mark:
    unit = scorer.range.unit(score) if isinstance(score, float) else None
    if unit is None:
        return Mark(0.0, False, Failure("not a score in its range", ""))
    return Mark(unit, True)


def _number(score: object) -> float | None:
    """A finite float, or None. numpy's real scalars count; truth values, text and complex numbers do not."""
    if isinstance(score, bool) or not isinstance(score, numbers.Real):
        return None
    value = float(score)  # a huge integer raises OverflowError: the caller's boundary has it
    return value if math.isfinite(value) else None


def _punned(label: object, output: object) -> bool:
    """True == 1 in Python: a truth value is not a number and the other way round."""
    truth = isinstance(label, bool), isinstance(output, bool)
    number = isinstance(label, int | float), isinstance(output, int | float)  # bool is an int here
    return all(number) and truth[0] != truth[1]


def mean_over(marks: Sequence[Mark], lines: int) -> float:
    """The denominator is every issued item and every line beyond them.  # V-1, T-6"""
    return math.fsum(each.unit for each in marks) / max(len(marks), lines)


def judge(
    scorer: Scorer, items: dict[str, Item], predictions: Predictions, roots: Sequence[Path]
) -> tuple[float, list[Mark]]:
    """Unit mean and the marks, in the order of ``items``; unanswered items have the worst score."""
    rows = [
        Row(item, shown_id, partial(predictions.output, shown_id) if shown_id in predictions.spans else None)
        for shown_id, item in items.items()
    ]
    found = marks(scorer, rows, roots)
    return mean_over(found, predictions.lines), found
