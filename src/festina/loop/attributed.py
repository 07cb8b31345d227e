"""An attribution read back from the ledger, with the places of its hunks: for the reviewer, the report and --json.

Nothing here is ever handed to an improver.  # P-4, V-8
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from festina.errors import IntegrityError
from festina.ledger import entries as e
from festina.ledger.canonical import parse_strict
from festina.propose.text import visible
from festina.select import told

DETAILS_BYTES = 64 << 20
PLACE_CHARS = 200


def places(body: e.Attributed, blob: Callable[[str], bytes]) -> tuple[str, ...]:
    """Where each hunk is, with nothing in it that a reader cannot see.  # T-5

    Raises ``IntegrityError`` for details that do not fit the entry.
    """
    details = parse_strict(blob(body.details), max_bytes=DETAILS_BYTES, max_depth=8)
    found = details.get("parts") if isinstance(details, dict) else None
    if not isinstance(found, list) or len(found) != len(body.hunks):
        raise IntegrityError("details-differ", "an attribution's details name other hunks than its entry")
    return tuple(visible(str(place), lines=False, limit=PLACE_CHARS) for place in found)


def sentences(body: e.Attributed) -> tuple[str, ...]:
    """What each hunk does, in words."""
    return tuple(
        told.hunk(
            h.verdict, h.share or h.leave_out, list(zip(body.guards, h.guards, strict=False)), units=body.units,
            shared=h.share is not None,
        )
        for h in body.hunks
    )  # fmt: skip


def summary(body: e.Attributed) -> str:
    """The whole change, in words."""
    return told.whole(body.total, body.residue, units=body.units, broken=body.broken)


def record(body: e.Attributed, blob: Callable[[str], bytes]) -> dict[str, Any]:
    """Everything for a script, hunk by hunk."""
    hunks = [
        {"place": place, "words": words, **h.model_dump(mode="json")}
        for place, words, h in zip(places(body, blob), sentences(body), body.hunks, strict=True)
    ]
    return {
        "proposal": body.proposal, "generation": body.generation, "method": body.method, "units": body.units,
        "total": body.total, "residue": body.residue, "broken": body.broken, "guards": body.guards,
        "words": summary(body), "hunks": hunks,
    }  # fmt: skip


def lines(body: e.Attributed, blob: Callable[[str], bytes]) -> list[str]:
    """For a terminal: the whole, then a line a hunk."""
    both = enumerate(zip(places(body, blob), sentences(body), strict=True), 1)
    return [summary(body), *(f"{i}. {place}: {words}" for i, (place, words) in both)]
