"""What waits for a person, as values."""

from __future__ import annotations

from typing import Any

from festina.loop.state import State


def queue(s: State) -> dict[str, Any]:
    """Reviews that wait, oldest first."""
    rows = []
    for review in sorted(s.waiting, key=lambda r: r.seq):
        g = s.generations[review.terms.generation]
        rows.append(
            {"review": review.terms.review, "generation": g.number, "lines": g.changed_lines,
             "improver_changed": review.terms.improver_changed, "expires": review.terms.expires}
        )  # fmt: skip
    return {"waiting": rows}


def people(s: State) -> dict[str, Any]:
    """Who may decide."""
    return {"reviewers": [{"name": name, "demo": body.demo} for name, body in s.reviewers.items()]}
