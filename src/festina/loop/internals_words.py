"""The internals card, read back from the ledger: for reviewers, pages and --json; never for an improver.  # V-9"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from festina.errors import IntegrityError
from festina.ledger import entries as e
from festina.ledger.canonical import parse_strict

DETAILS_BYTES = 16 << 20
NONE_OFFERED = "the inside of the model was not compared: the system lays none open ([internals] in festina.toml)"
NOT_COMPARED = "the inside of the model was not compared yet: festina internals"


def skipped(body: e.MeasureSkipped) -> str:
    """Why a run did not compare by itself."""
    return f"the inside of the model was not compared: {body.reason}"


def card(body: e.InternalsCompared, blob: Callable[[str], bytes]) -> dict[str, Any]:
    """The finding as values. ``IntegrityError`` for details that do not fit the entry."""
    details = parse_strict(blob(body.details), max_bytes=DETAILS_BYTES, max_depth=8)
    rows = details.get("tensors") if isinstance(details, dict) else None
    if not isinstance(details, dict) or not isinstance(rows, list):
        raise IntegrityError("details-differ", "the details of an internals card are not readable")
    tensors = [
        {"name": str(row[0]), "size": row[1], "direction": row[2]}
        for row in rows
        if isinstance(row, list) and len(row) == 3
    ]
    shown = body.model_dump(mode="json", exclude={"details", "measure"})
    return shown | {"tensors": tensors, "unlike": int(details.get("unlike", 0))}


def lines(body: e.InternalsCompared) -> list[str]:
    """The finding in a few lines, the sentence first."""
    rows = [body.sentence]
    rows += [
        f"{d.name}: {d.candidate:.3g}; retrainings {d.median:.3g} (median), at most {d.largest:.3g}"
        for d in body.distances
    ]
    if body.failed:
        rows.append(f"{body.failed} retrainings of the version before failed, or left what cannot be read")
    return [*rows, *(f"not compared, {each}" for each in body.missing)]
