"""What the governor looks at, as part of the state: signs of life, changes taken back, escapes, incidents.  # G-4"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from festina.ledger import entries as e
from festina.ledger.log import Record

if TYPE_CHECKING:
    from festina.loop.state import State

ESCAPES = ("tree-would-not-die",)  # failures that mean: something outlived its box


@dataclass(slots=True)
class Governed:
    """``alive``: when a person last gave a sign of life: any signed act, or the opening of an epoch (RFC 3339)."""

    alive: str = ""
    accepted: list[int] = field(default_factory=list)  # generations of this epoch, in order
    taken_back: set[int] = field(default_factory=set)  # by denial or rollback
    escapes: int = 0  # since a person last signed that it may go on
    incidents: set[int] = field(default_factory=set)  # open ones

    def new_epoch(self, at: str) -> None:
        """A person opened it, and its changes are counted anew."""
        self.alive = max(self.alive, at)
        self.accepted, self.taken_back = [], set()

    def fault(self, b: e.FaultRecorded) -> None:
        self.escapes += b.what in ESCAPES


def sign_of_life(s: State, r: Record) -> None:
    """Every signed act of an enrolled person counts; a demo's key speaks for nobody outside a demo.  # G-4"""
    if r.body.role != "reviewer":
        return
    who = s.reviewers.get(getattr(r.body, "reviewer", ""))
    if who is not None and (not who.demo or (s.genesis is not None and s.genesis.demo)):
        s.govern.alive = max(s.govern.alive, r.at)


def _opened(s: State, r: Record, b: e.IncidentOpened) -> None:
    if b.reviewer in s.reviewers:
        s.govern.incidents.add(b.incident)


def _resolved(s: State, r: Record, b: e.IncidentResolved) -> None:
    if b.reviewer in s.reviewers:
        s.govern.incidents.discard(b.incident)


HANDLERS: dict[str, Callable[[State, Record, Any], None]] = {
    "incident-opened": _opened, "incident-resolved": _resolved,
}  # fmt: skip
