"""A checked safety case as text, as LTAC (a line-based notation of assurance cases), as a GSN picture, and as JSON."""

from __future__ import annotations

import textwrap
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from festina.ledger.canonical import canonical
from festina.report.case.check import Checked, Judged
from festina.report.markup import Html, el, visible

NOTE = "It rests on the record and on people's statements; no number says how sure anybody is."
MARK = {"holds": "+", "does not hold": "-", "cannot be ruled out": "?", "unsupported": "!"}
_LTAC = {
    "claim": "Claim", "argument": "Strategy", "evidence": "Evidence", "context": "Context", "assumption": "Assumption",
    "defeater": "Defeater",
}  # fmt: skip


def _walk(case: Checked) -> Iterator[tuple[int, Judged]]:
    """Nodes from the top, depth first, each with its depth."""
    children: dict[str | None, list[Judged]] = {}
    for row in case.nodes:
        children.setdefault(row.node.parent, []).append(row)
    stack = [(0, case.top)]
    while stack:
        depth, row = stack.pop()
        yield depth, row
        stack += [(depth + 1, child) for child in reversed(children.get(row.node.id, []))]


def as_text(case: Checked) -> str:
    lines = [f"{case.title}: {case.top.state.upper()} ({case.system}, as of {case.at})", ""]
    for depth, row in _walk(case):
        cited = f" [{', '.join(map(str, row.seqs[:2]))}{'…' if len(row.seqs) > 2 else ''}]" if row.seqs else ""
        lines.append(f"{'  ' * depth}{MARK[row.state]} {row.node.kind} {row.node.id}: {row.node.text}")
        if row.node.kind not in ("claim", "argument"):
            lines.append(f"{'  ' * depth}    {row.state}: {visible(row.why, 300)}{cited}")
    lines += ["", NOTE, ""]
    return "\n".join(lines)


def as_ltac(case: Checked) -> str:
    """One line a node: two spaces a level, ``- Kind ID: text``, its state in braces."""
    lines = [f"{'  ' * d}- {_LTAC[r.node.kind]} {r.node.id}: {r.node.text} {{{r.state}}}" for d, r in _walk(case)]
    return "\n".join(lines) + "\n"


def as_json(case: Checked) -> str:
    nodes = [row.node.model_dump(mode="json") | {"state": row.state, "why": row.why, "entries": list(row.seqs)}
             for row in case.nodes]  # fmt: skip
    whole = {
        "title": case.title, "version": case.version, "system": case.system, "at": case.at, "size": case.size,
        "root": case.root, "state": case.top.state, "nodes": nodes,
    }  # fmt: skip
    return canonical(whole).decode("utf-8") + "\n"


# -- the picture: Goal Structuring Notation ----------------------------------------------------------------

WIDE, HIGH, GAP, LEVEL = 190, 84, 16, 124
INK = {"holds": "#1a7f4b", "does not hold": "#b3261e", "cannot be ruled out": "#8a6100", "unsupported": "#6b4fa0"}


@dataclass(slots=True)
class _Box:
    row: Judged
    x: float
    y: float


def as_svg(case: Checked) -> str:
    """Claims are rectangles, strategies parallelograms, evidence round, context and assumptions rounded, defeaters
    hexagons; the colour and a word say the state, so that colour alone says nothing."""  # fmt: skip
    boxes = _laid_out(case)
    width = max(box.x for box in boxes.values()) + WIDE + GAP
    height = max(box.y for box in boxes.values()) + HIGH + 40
    lines = [
        el("line", x1=_n(boxes[p].x + WIDE / 2), y1=_n(boxes[p].y + HIGH), x2=_n(b.x + WIDE / 2), y2=_n(b.y),
           stroke="#777", stroke_dasharray="4 3" if b.row.node.kind in ("context", "assumption", "defeater") else None)
        for b in boxes.values()
        if (p := b.row.node.parent) is not None
    ]  # fmt: skip
    drawn = [_drawn(box) for box in boxes.values()]
    title = el("title", f"{case.title}: {case.top.state}")
    picture = el("svg", title, *lines, *drawn, xmlns="http://www.w3.org/2000/svg", width=_n(width), height=_n(height),
                 role="img", font_family="sans-serif", font_size="11")  # fmt: skip
    return picture.replace("<svg ", f'<svg viewBox="0 0 {_n(width)} {_n(height)}" ', 1) + "\n"


def _laid_out(case: Checked) -> dict[str, _Box]:
    """Leaves of one claim in a column below it, claims side by side, parents in the middle above their children."""
    boxes: dict[str, _Box] = {}
    children: dict[str | None, list[str]] = {}
    for row in case.nodes:
        children.setdefault(row.node.parent, []).append(row.node.id)
    free = float(GAP)
    for depth, row in _walk(case):
        boxes[row.node.id] = _Box(row, -1.0, GAP + depth * LEVEL)
    for name, box in boxes.items():  # depth first
        below = children.get(name, [])
        leaves = [child for child in below if child not in children]
        if leaves or not below:
            column = leaves if name in children else [name] if box.row.node.parent is None else []
            for place, leaf in enumerate(column):
                boxes[leaf].x, boxes[leaf].y = free, (boxes[leaf].y if name == leaf else box.y + (place + 1) * LEVEL)
            free += (WIDE + GAP) * bool(column)
    for name in reversed(boxes):
        if name in children:
            xs = [boxes[child].x for child in children[name]]
            boxes[name].x = (min(xs) + max(xs)) / 2
    return boxes


def _drawn(box: _Box) -> Html:
    kind, ink = box.row.node.kind, INK[box.row.state]
    x, y, w, h = box.x, box.y, float(WIDE), float(HIGH)
    style = {"fill": "#fff", "stroke": ink, "stroke_width": "2"}
    if kind == "argument":
        shape = el("path", d=f"M{_n(x + 14)} {_n(y)}H{_n(x + w)}L{_n(x + w - 14)} {_n(y + h)}H{_n(x)}Z", **style)
    elif kind == "defeater":
        middle = _n(y + h / 2)
        shape = el("path", d=f"M{_n(x)} {middle}L{_n(x + 14)} {_n(y)}H{_n(x + w - 14)}L{_n(x + w)} {middle}"
                             f"L{_n(x + w - 14)} {_n(y + h)}H{_n(x + 14)}Z", **style)  # fmt: skip
    else:
        round_ = {"claim": 0, "evidence": 40, "context": 16, "assumption": 24}[kind]
        shape = el("rect", x=_n(x), y=_n(y), width=_n(w), height=_n(h), rx=str(round_), **style)
    words = [f"{kind} {box.row.node.id}", *textwrap.wrap(visible(box.row.node.text, 120), 30)[:3], box.row.state]
    lines = [
        el("text", word, x=_n(x + w / 2), y=_n(y + 16 + 15 * i), text_anchor="middle",
           fill=ink if i == len(words) - 1 else "#222", font_weight="bold" if i == 0 else None)
        for i, word in enumerate(words)
    ]  # fmt: skip
    return el("g", shape, *lines)


def _n(value: float) -> str:
    return f"{value:.0f}"


FORMS: dict[str, Callable[[Checked], str]] = {"text": as_text, "ltac": as_ltac, "svg": as_svg, "json": as_json}
