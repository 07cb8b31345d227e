"""The improver's tries in plain words, for ``festina status``.  # P-7"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rich.table import Table

    from festina.loop.state import State

WORDS = {"nothing": "gave nothing", "refused": "refused", "no-op": "changed nothing", "duplicate": "tried before",
         "cut-off": "cut off"}  # fmt: skip


def search_summary(s: State) -> dict[str, Any] | None:
    """What was tried in this epoch, as plain data; None where nothing is tried before it is proposed."""
    from festina.loop import searching

    if s.epoch is None or s.epoch.archive is None or not s.line:
        return None
    known, q = searching.archive(s), s.search
    rows = []
    for number, tried in q.nodes.items():
        node = known.nodes[number] if known is not None else None
        lead = known.lead(number) if known is not None else 0.0
        handed = sorted(p.number for p in s.proposals.values() if p.tree == tried.tree and p.plant is None)
        rows.append(
            {
                "node": number, "parent": tried.parent, "author": tried.author, "runs": len(tried.scores),
                "works": node is not None and node.works, "scores": tried.scores,
                "lead": lead if node is not None and node.works else None, "proposals": handed,
            }
        )  # fmt: skip
    return {"tries": q.count, "runs": q.runs, "since": q.since, "results": dict(q.results), "trees": rows}


def search_lines(s: State) -> list[str]:
    """Two lines at most."""
    found = search_summary(s)
    if found is None:
        return []
    works = [row for row in found["trees"] if row["lead"] is not None]
    rest = ", ".join(f"{n} {WORDS[w]}" for w, n in sorted(found["results"].items()) if w in WORDS)
    failed = len(found["trees"]) - len(works)
    parts = [part for part in (f"{failed} did not run" if failed else "", rest) if part]
    more = f" ({', '.join(parts)})" if parts else ""
    lines = [f"Tried in public: {found['tries']} tries in {found['runs']} runs{more}."]
    best = max(works, key=lambda row: row["lead"], default=None)
    if best is not None and best["lead"] > 0:
        chain, at = [], best["node"]
        parents = {row["node"]: row["parent"] for row in found["trees"]}
        while at is not None:
            chain.append(str(at))
            at = parents[at]
        path = " > ".join(reversed(chain))
        lines.append(f"Best so far: tree {best['node']}, {best['lead']:+.3g} over the version in use ({path}).")
    return lines


def search_table(s: State) -> Table | None:
    """Every tree that was tried, for ``festina status --tries``."""
    from rich.table import Table

    found = search_summary(s)
    if found is None:
        return None
    table = Table(show_edge=False, pad_edge=False, expand=False)
    for column in ("tree", "changed from", "by", "runs", "public score", "against the version in use", "proposal"):
        table.add_column(column, overflow="fold")
    for row in found["trees"]:
        known = [x for x in row["scores"] if x is not None]
        score = f"{sum(known) / len(known):.4g}" if row["works"] else "did not run"
        lead = "" if row["lead"] is None else f"{row['lead']:+.3g}"
        parent = "" if row["parent"] is None else str(row["parent"])
        handed = ", ".join(map(str, row["proposals"]))
        table.add_row(str(row["node"]), parent, row["author"], str(row["runs"]), score, lead, handed)
    return table
