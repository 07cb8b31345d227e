"""What was tried on public evidence before anything was handed in: the archive's trees, as they grew.  # P-7

A tree is named with a proposal only once that was judged: before, what has no tree here would be known for planted.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from statistics import fmean

from festina.ledger import entries as e
from festina.report.data import Tried, TryRow
from festina.report.markup import Html, el, join
from festina.report.numerals import count, signed

LISTED = 150  # trees with their parents; the others are counted


_READ = frozenset({e.EpochOpened, e.TryStarted, e.TryEnded, e.Verdict})  # all that ``Tries.take`` looks at


@dataclass
class Tries:
    """The account of all archives of a ledger; node numbers are never used again."""

    runs: int = 0  # charged
    sign: float = 1.0
    rows: dict[int, TryRow] = field(default_factory=dict)
    results: dict[str, int] = field(default_factory=dict)
    _open: dict[int, e.TryStarted] = field(default_factory=dict)
    _by_tree: dict[str, int] = field(default_factory=dict)

    def take(self, seq: int, body: e.Body) -> None:
        if type(body) not in _READ:
            return
        if isinstance(body, e.EpochOpened):
            self.sign = 1.0 if body.suite.direction == "higher" else -1.0
            self._by_tree = {}
        elif isinstance(body, e.TryStarted):
            self.runs += body.runs
            self._open[body.number] = body
        elif isinstance(body, e.TryEnded) and (began := self._open.pop(body.number, None)) is not None:
            self.results[body.result] = self.results.get(body.result, 0) + 1
            if body.result == "scored":
                self._scored(seq, began, body)
        elif isinstance(body, e.Verdict) and (node := self._by_tree.get(body.tree)) is not None:
            row = self.rows[node]
            self.rows[node] = replace(row, judged=(*row.judged, (body.proposal, WORDS[body.verdict])))

    def _scored(self, seq: int, began: e.TryStarted, body: e.TryEnded) -> None:
        old = self.rows.get(began.node)
        row = old or TryRow(began.node, began.parent, body.author if began.parent is not None else "the start", seq, ())
        self.rows[began.node] = replace(row, scores=(*row.scores, *body.scores))
        if (tree := body.tree or began.tree) is not None:
            self._by_tree[tree] = began.node

    def row(self) -> Tried:
        rows = tuple(replace(row, gain=self._gain(row)) for _, row in sorted(self.rows.items()))
        return Tried(rows, self.runs, sum(n for what, n in self.results.items() if what != "scored"))

    def _gain(self, row: TryRow) -> float | None:
        over = self.rows.get(row.parent) if row.parent is not None else None
        if over is None or not row.works or not over.works:
            return None
        pairs = zip(row.scores, over.scores, strict=False)
        return self.sign * fmean((x or 0.0) - (y or 0.0) for x, y in pairs)


WORDS = {"accept": "accepted", "reject": "rejected", "inconclusive": "not decided"}


def section(tried: Tried, ref: Callable[..., Html]) -> Html:
    """Empty where nothing is tried before it is handed in."""
    rows = tried.trees
    if not rows:
        return Html("")
    failed = sum(not row.works for row in rows)
    told = f"{count(len(rows), 'tree')} in {count(tried.runs, 'run')}"
    told += f", {failed} of which did not run" if failed else ""
    told += f"; {count(tried.fruitless, 'try', 'tries')} gave no new tree" if tried.fruitless else ""
    handed = [row for row in rows if row.judged]
    return join(
        el("h3", "Tried in public", id="tries"),
        el(
            "p",
            f"The improver tried changes on public evidence before it handed anything in: {told}. "
            f"{count(len(handed), 'tree')} went to the gate, which decides on evidence that no try has seen.",
            ref(rows[0].seq, rows[-1].seq),
        ),
        el("ul", *(_way(row, rows, ref) for row in handed)) if handed else None,
        el("details", el("summary", f"All trees, by what they were made of{_cut(rows)}"), _lineage(rows[:LISTED])),
    )  # fmt: skip


def _cut(rows: Sequence[TryRow]) -> str:
    return f" (the first {LISTED} of {len(rows):,})" if len(rows) > LISTED else ""


def _way(row: TryRow, rows: Sequence[TryRow], ref: Callable[..., Html]) -> Html:
    """How a tree that was handed in came about."""
    known = {each.node: each for each in rows}
    path = [row]
    while (parent := path[-1].parent) is not None and parent in known:
        path.append(known[parent])
    steps = " > ".join(str(each.node) for each in path[::-1])
    words = ", ".join(f"proposal {number}: {word}" for number, word in row.judged)
    return el("li", f"Tree {row.node} by {row.author} ({steps}), {words}", ref(row.seq))


def _lineage(rows: Sequence[TryRow]) -> Html:
    """Trees below what they were made of. One walk with a stack: a chain may be longer than Python recurses."""
    shown = {row.node for row in rows}
    children: dict[int | None, list[TryRow]] = {}
    for row in rows:
        children.setdefault(row.parent if row.parent in shown else None, []).append(row)
    made: dict[int, Html] = {}
    for row in reversed(rows):  # children have higher numbers than what they were made of
        below = children.get(row.node)
        made[row.node] = el("li", _said(row), el("ul", *(made[each.node] for each in below)) if below else None)
    return el("ul", *(made[row.node] for row in children.get(None, ())))


def _said(row: TryRow) -> str:
    gain = "did not run" if not row.works else "" if row.gain is None else f"{signed(row.gain)} in public"
    words = [f"tree {row.node} by {row.author}", gain, f"{len(row.scores)} runs" if len(row.scores) > 1 else ""]
    words += [f"proposal {number}: {word}" for number, word in row.judged]
    return ", ".join(word for word in words if word)
