"""The lineage: which generation came from which, and every candidate that was tried beside it, laid out here.

A page shows ``WINDOW`` generations; the newest stands at the top. The picture is an SVG made on the server, and the
table below it says the same in words.
"""

from __future__ import annotations

from collections import Counter
from typing import Any

from festina.loop.rows import Proposed
from festina.loop.state import State
from festina.report.markup import Html, el
from festina.report.numerals import between, signed
from festina.web.run_view import generation

WINDOW = 30  # generations on a page
BESIDE = 24  # candidates drawn beside one generation; the rest are counted
ROW, LANE, STEP, TOP = 46, 26, 19, 24  # distances in the picture, in its own units
WORDS = {
    "accepted": "accepted", "rejected": "rejected", "inconclusive": "inconclusive", "refused": "refused",
    "no-op": "changed nothing", "duplicate": "tried before", "failed": "came to nothing", None: "under way",
}  # fmt: skip


def view(s: State, until: int | None = None, hidden: frozenset[int] = frozenset()) -> dict[str, Any]:
    """The generations up to ``until`` (default: the newest), newest first, each with its candidates.

    ``hidden``: proposals whose outcome this viewer may not see yet.  # R-2
    """
    numbers = sorted(s.generations, reverse=True)
    last = numbers[0] if numbers else 0
    top = last if until is None else max(0, min(until, last))
    shown = [n for n in numbers if n <= top][:WINDOW]
    beside = _beside(s, frozenset(shown))
    lanes = _lanes(s)
    rows = []
    for number in shown:
        candidates = beside.get(number, [])
        rows.append(
            generation(s, s.generations[number], hidden)
            | {
                "parent": s.generations[number].parent,
                "lane": lanes[number],
                "candidates": [_candidate(p, hidden) for p in candidates[-BESIDE:]],
                "more": max(0, len(candidates) - BESIDE),
                "counts": dict(Counter(_word(p, hidden) for p in candidates)),
            }
        )
    return {
        "generations": rows,
        "newest": last,
        "newer": min(last, top + WINDOW) if top < last else None,
        "older": shown[-1] - 1 if shown and shown[-1] > min(numbers) else None,
    }


def _beside(s: State, shown: frozenset[int]) -> dict[int, list[Proposed]]:
    """Proposals by the generation that they were made against; planted ones stand apart once they are revealed."""
    by_commit = {s.generations[n].commit: n for n in shown}
    found: dict[int, list[Proposed]] = {}
    for p in s.proposals.values():
        number = by_commit.get(p.base_commit)
        if number is not None and p.plant is None:
            found.setdefault(number, []).append(p)
    return found


def _lanes(s: State) -> dict[int, int]:
    """Column of each generation: 0 for the working line, the next free one for each branch that left it."""
    line, lanes, free = frozenset(s.line), {}, 1
    for number in sorted(s.generations):
        parent = s.generations[number].parent
        if number in line or parent is None:
            lanes[number] = 0
        elif parent in lanes and lanes[parent] > 0:
            lanes[number] = lanes[parent]
        else:
            lanes[number] = min(free, 4)
            free += 1
    return lanes


def _word(p: Proposed, hidden: frozenset[int]) -> str:
    return "hidden for now" if p.number in hidden else WORDS.get(p.word, p.word or "")


def _candidate(p: Proposed, hidden: frozenset[int]) -> dict[str, Any]:
    return {"proposal": p.number, "word": _word(p, hidden), "improver_changed": p.improver_changed}


def picture(found: dict[str, Any]) -> Html | None:
    """The tree as SVG. Candidates are links; their colour is never the only sign of what became of them."""
    rows = found["generations"]
    if not rows:
        return None
    at = {row["generation"]: (TOP + row["lane"] * LANE, TOP + i * ROW) for i, row in enumerate(rows)}
    left = TOP + (1 + max(row["lane"] for row in rows)) * LANE
    height = TOP * 2 + (len(rows) - 1) * ROW
    edges = [_edge(at, row["generation"], row["parent"], height) for row in rows if row["parent"] is not None]
    nodes = [part for row in rows for part in _node(row, at[row["generation"]], left)]
    width = left + 300 + BESIDE * 8
    return el(
        "svg", el("title", f"Lineage: {len(rows)} generations and the candidates beside each"), *edges, *nodes,
        cls="tree", viewbox=f"0 0 {width} {height}", width=width, height=height, role="group",
        aria_label="Lineage; the table below says the same",
    )  # fmt: skip


def _edge(at: dict[int, tuple[int, int]], child: int, parent: int, height: int) -> Html:
    x, y = at[child]
    px, py = at.get(parent, (TOP, height))
    bend = f"M{x} {y}V{py - 14}C{x} {py} {px} {py - 14} {px} {py}" if x != px else f"M{x} {y}V{py}"
    return el("path", d=bend, cls="edge")


def _node(row: dict[str, Any], place: tuple[int, int], left: int) -> list[Html]:
    x, y = place
    number = row["generation"]
    kind = "node on" if row["on_line"] else "node off"
    dot = el("circle", cx=x, cy=y, r=9, cls=kind)
    label = el("text", str(number), x=x, y=y + 4, cls="in")
    target = f"/proposal/{row['proposal']}" if row["proposal"] is not None else "/lineage"
    link = el("a", el("title", f"generation {number}"), dot, label, href=target, aria_label=f"generation {number}")
    said = "start" if row["parent"] is None else f"{signed(row['estimate'])}  ({_interval(row)})"
    words = el("text", said, x=left, y=y - 3, cls="said")
    marks = [_mark(c, left + 4 + i * STEP, y + 13) for i, c in enumerate(row["candidates"])]
    more = f"and {row['more']:,} more" if row["more"] else ""
    tail = el("text", more, x=left + 4 + len(row["candidates"]) * STEP, y=y + 17, cls="quiet") if more else None
    return [link, words, *marks, *([tail] if tail else [])]


def _interval(row: dict[str, Any]) -> str:
    return between((row["interval"][0], row["interval"][1])) if row["interval"] else "no interval"


SHAPES = {"accepted": "good", "rejected": "poor", "refused": "poor", "under way": "other", "hidden for now": "other"}


def _mark(candidate: dict[str, Any], x: int, y: int) -> Html:
    """A disc: accepted. A cross: rejected. A square: refused. A ring: anything else."""
    word, number = candidate["word"], candidate["proposal"]
    tone = SHAPES.get(word, "muted")
    if word == "accepted":
        shape = el("circle", cx=x, cy=y, r=5, cls=f"f-{tone}")
    elif word == "rejected":
        shape = el("path", d=f"M{x - 4} {y - 4}l8 8m0 -8l-8 8", cls=f"s-{tone} cross")
    elif word == "refused":
        shape = el("rect", x=x - 4, y=y - 4, width=8, height=8, cls=f"f-{tone}")
    else:
        shape = el("circle", cx=x, cy=y, r=4, cls=f"s-{tone} ring")
    hit = el("rect", x=x - 9, y=y - 9, width=18, height=18, cls="hit")
    name = f"proposal {number}: {word}"
    return el("a", el("title", name), hit, shape, href=f"/proposal/{number}", aria_label=name)
