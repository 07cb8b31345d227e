"""Material changes: what people judged, which documents they confirmed, and what a release needs of both.  # C-1

A change that anybody judged material, and has not taken that back, blocks every release that contains it until the
update of the Model Report was confirmed after that judgement. One that nobody judged blocks where the rules say so.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from festina.errors import UsageError
from festina.ledger import entries as e
from festina.ledger.log import Record
from festina.loop.autonomy import speaks
from festina.system.manifest import Manifest

if TYPE_CHECKING:
    from festina.loop.state import State

UPDATE = "eu.model-report-update"


@dataclass(slots=True)
class Material:
    """``judged``: by generation and person, the newest judgement and its entry; ``confirmed``: in order."""

    judged: dict[int, dict[str, tuple[int, e.MaterialityDetermined]]] = field(default_factory=dict)
    confirmed: list[tuple[int, e.DocumentConfirmed]] = field(default_factory=list)


def _determined(s: State, r: Record, b: e.MaterialityDetermined) -> None:
    known = s.generations.get(b.generation)
    if speaks(s, b.reviewer) and known is not None and known.commit == b.commit:
        s.outside.material.judged.setdefault(b.generation, {})[b.reviewer] = (r.seq, b)


def _confirmed(s: State, r: Record, b: e.DocumentConfirmed) -> None:
    if speaks(s, b.reviewer):
        s.outside.material.confirmed.append((r.seq, b))


def changes(s: State, number: int) -> list[int]:
    """Generations whose changes would come into use for the first time with a release of ``number``."""
    before = s.line.index(s.released) if s.released in s.line else 0
    return [n for n in s.line[before + 1 :] if n <= number]


def require(s: State, number: int) -> None:
    """Raise unless every change that comes into use was judged as far as the rules ask, and what follows was done."""
    found = problem(s, number)
    if found is not None:
        raise found


def problem(s: State, number: int) -> UsageError | None:
    """What stands in the way of releasing ``number``."""
    terms = s.epoch.documents if s.epoch is not None else None
    update = terms.update if terms is not None else UPDATE
    for each in changes(s, number):
        words = s.outside.material.judged.get(each, {}).values()
        since = max((seq for seq, b in words if b.material), default=None)
        if since is not None and not _done(s, update, each, since):
            return UsageError(
                "material-change", f"the change of generation {each} was judged material, and no update was confirmed",
                fix=f"festina report confirm {update} --generation {number} --as NAME",
            )  # fmt: skip
        if not words and terms is not None and terms.undetermined:
            return UsageError(
                "materiality-undetermined", f"nobody judged whether the change of generation {each} is material",
                fix=f"festina report determine {each} --not-material --text WHY --as NAME, or --material",
                where="festina.toml: policy.documents",
            )  # fmt: skip
    return None


def _done(s: State, update: str, generation: int, since: int) -> bool:
    return any(
        seq > since and b.document == update and b.generation >= generation and b.generation in s.line
        for seq, b in s.outside.material.confirmed
    )


def terms_from(manifest: Manifest) -> e.DocumentTerms | None:
    """What a release has to have in documents.  # C-1"""
    table = manifest.policy.documents
    if table is None:
        return None
    return e.DocumentTerms(undetermined=table.undetermined == "block", update=table.update)


HANDLERS: dict[str, Callable[[State, Record, Any], None]] = {
    "materiality-determined": _determined, "document-confirmed": _confirmed,
}  # fmt: skip
