"""What others outside the loop keep or say, as part of the state: witnesses, material changes.  # L-2"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from festina.errors import UsageError
from festina.ledger import entries as e
from festina.ledger.cosignature import witness_key
from festina.ledger.log import Ledger, Record
from festina.ledger.witnesses import SKEW_S, Seen, check_note
from festina.loop import material
from festina.system.manifest import Manifest

if TYPE_CHECKING:
    from festina.loop.state import State


@dataclass(slots=True)
class Outside:
    """``seen``: the newest checkpoint that each witness cosigned, by name; ``audits``: what came in, in order."""

    seen: dict[str, Seen] = field(default_factory=dict)
    auditors: dict[str, e.AuditorEnrolled] = field(default_factory=dict)
    audits: list[tuple[int, e.AuditReceived]] = field(default_factory=list)
    material: material.Material = field(default_factory=material.Material)


def _witnessed(s: State, r: Record, b: e.Witnessed) -> None:
    for each in b.by:
        s.outside.seen[each.name] = Seen(r.seq, b.size, each.at, each.key, b.note)


def _auditor(s: State, r: Record, b: e.AuditorEnrolled) -> None:
    s.outside.auditors.setdefault(b.auditor, b)


def _audited(s: State, r: Record, b: e.AuditReceived) -> None:
    s.outside.audits.append((r.seq, b))


def terms_of(state: State) -> e.WitnessTerms:
    """The rules about witnesses. Raises ``UsageError`` where there are none."""
    terms = state.epoch.witness if state.epoch is not None else None
    if terms is None:
        raise UsageError(
            "no-witnesses", "the rules in force name no witness",
            fix="[policy.witness] in festina.toml, and a new epoch (docs/witnesses.md)",
        )  # fmt: skip
    return terms


def enough(ledger: Ledger, state: State, since: int, now: float) -> tuple[str, ...]:
    """Witnesses that saw every entry up to ``since`` and said so lately, each cosignature checked again.  # D-2"""
    terms = terms_of(state)
    keys = {witness_key(each.key).name: each.key for each in terms.witnesses}
    fit = [
        (name, seen)
        for name, seen in state.outside.seen.items()
        if keys.get(name) == seen.key and seen.size > since and now - terms.max_age_s <= seen.at <= now + SKEW_S
    ]
    return tuple(name for name, seen in fit if name in _shown(ledger, seen))


def _shown(ledger: Ledger, seen: Seen) -> list[str]:
    body = ledger.record(seen.seq).body
    assert isinstance(body, e.Witnessed)
    note = ledger.get_blob(body.note).decode("utf-8")
    return [each.name for each in check_note(note, body, ledger.origin, ledger.engine_key, ledger.root)]


def seen_by_enough(ledger: Ledger, state: State, since: int) -> bool:
    """Whether a release may go on as far as witnesses are concerned."""
    terms = state.epoch.witness if state.epoch is not None else None
    return terms is None or not terms.release or len(enough(ledger, state, since, time.time())) >= terms.quorum


def require(ledger: Ledger, state: State, since: int) -> None:
    """Raise unless a quorum of witnesses has lately seen everything up to entry ``since``, where the rules say so."""
    if not seen_by_enough(ledger, state, since):
        terms = terms_of(state)
        found = enough(ledger, state, since, time.time())
        raise UsageError(
            "no-quorum", f"{len(found)} of the {terms.quorum} witnesses that a release needs have seen its approval",
            fix="festina witness ask", where="festina.toml: policy.witness",
        )  # fmt: skip


def terms_from(manifest: Manifest) -> e.WitnessTerms | None:
    """Who else keeps the record.  # L-2"""
    table = manifest.policy.witness
    if table is None:
        return None
    return e.WitnessTerms(
        witnesses=tuple(e.WitnessOf(key=each.key, url=each.url) for each in table.witnesses), quorum=table.quorum,
        max_age_s=table.max_age, release=table.release,
    )  # fmt: skip


HANDLERS: dict[str, Callable[[State, Record, Any], None]] = {
    "witnessed": _witnessed, "auditor-enrolled": _auditor, "audit-received": _audited, **material.HANDLERS,
}  # fmt: skip
