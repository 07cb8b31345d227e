"""Does a safety case hold? Pure: the case, a judgement of trust, people's statements, and a day.

A claim holds when something supports it and everything below it holds. Evidence holds with a ground that is a yes, or
with a person's statement made since this version came; a defeater is closed by the same, at any time; an assumption
holds until it ends. "Cannot be ruled out" is an answer of its own, and no number says how sure anybody is.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from typing import Literal

from festina.report.case.model import DOCUMENT, Case, Node
from festina.report.law.incidents import People, Statement
from festina.report.trust.model import Trust

State = Literal["holds", "does not hold", "cannot be ruled out", "unsupported"]


@dataclass(frozen=True, slots=True)
class Judged:
    """A node with its answer, why, and the entries that it rests on."""

    node: Node
    state: State
    why: str
    seqs: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class Checked:
    """The whole case. ``problems``: leaves that keep the top from holding, the refuted first."""

    title: str
    version: str
    system: str
    at: str
    size: int
    root: str
    nodes: tuple[Judged, ...]

    @property
    def top(self) -> Judged:
        return next(row for row in self.nodes if row.node.parent is None)

    @property
    def problems(self) -> tuple[Judged, ...]:
        order = {"does not hold": 0, "cannot be ruled out": 1, "unsupported": 2}
        inner = {row.node.parent for row in self.nodes}
        found = [row for row in self.nodes if row.state != "holds" and row.node.id not in inner]
        return tuple(sorted(found, key=lambda row: order[row.state]))


def check(case: Case, trust: Trust, people: People, day: date) -> Checked:
    """Judge every node, leaves first."""
    done: dict[str, Judged] = {}
    for node in sorted(case.node, key=lambda n: -_depth(n, case)):
        done[node.id] = _judge(node, [done[c.id] for c in case.children(node)], trust, people, day)
    nodes = tuple(done[node.id] for node in case.node)
    return Checked(case.case.title, case.case.version, trust.system, trust.at, trust.size, trust.root, nodes)


def _depth(node: Node, case: Case) -> int:
    by_id = {other.id: other for other in case.node}
    depth = 0
    while node.parent is not None:
        node, depth = by_id[node.parent], depth + 1
    return depth


def _judge(node: Node, below: list[Judged], trust: Trust, people: People, day: date) -> Judged:
    if node.kind in ("claim", "argument"):
        return _inner(node, below)
    if node.kind == "assumption" and node.until is not None and node.until < day:
        return Judged(node, "does not hold", f"it ended on {node.until.isoformat()}")
    if node.ground is not None:
        return _grounded(node, trust)
    if node.stated or node.kind == "defeater":
        return _stated(node, people.of(DOCUMENT, node.id), trust.since)
    if node.kind == "evidence":
        return Judged(node, "unsupported", "it names neither a ground nor a person's statement")
    return Judged(node, "holds", "as the case says it")


def _inner(node: Node, below: list[Judged]) -> Judged:
    states = {row.state for row in below}
    if not any(row.node.kind in ("claim", "argument", "evidence") for row in below):
        return Judged(node, "unsupported", "nothing supports it")
    for state in ("does not hold", "unsupported", "cannot be ruled out"):
        if state in states:
            count = sum(row.state == state for row in below)
            return Judged(node, state, f"{count} of {len(below)} below it: {state}")
    return Judged(node, "holds", f"all {len(below)} below it hold")


def _grounded(node: Node, trust: Trust) -> Judged:
    stage, _, name = (node.ground or "").partition("/")
    found = [g for s in trust.stages if s.name == stage for g in s.grounds if g.name == name]
    if not found:
        return Judged(node, "unsupported", f"trust has no ground '{node.ground}'")
    ground = found[0]
    states: dict[str, State] = {"yes": "holds", "no": "does not hold", "cannot tell yet": "cannot be ruled out"}
    return Judged(node, states[ground.answer], ground.words, ground.seqs)


def _stated(node: Node, said: list[Statement], since: int) -> Judged:
    spoken = [s for s in said if not s.without_person]
    if not spoken:
        what = "open: nobody answered it" if node.kind == "defeater" else "nobody stated it"
        return Judged(node, "cannot be ruled out", f"{what} (festina report state {DOCUMENT} {node.id} --text ...)")
    if len({" ".join(s.text.split()) for s in spoken}) > 1:
        return Judged(node, "cannot be ruled out", "people state different things", tuple(s.seq for s in spoken))
    if node.kind == "evidence" and all(s.seq < since for s in spoken):
        why = f"stated in entry {spoken[-1].seq}, of an earlier version: this one came with entry {since}"
        return Judged(node, "cannot be ruled out", f"{why} (state it again)", tuple(s.seq for s in spoken))
    return Judged(node, "holds", f"{spoken[-1].reviewer}: {spoken[-1].text}", tuple(s.seq for s in spoken))
