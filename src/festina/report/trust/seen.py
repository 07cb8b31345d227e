"""Facts that a judgement of trust needs and a report does not show: drills, halts, roll backs, times of decisions."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from festina.ledger import entries as e

if TYPE_CHECKING:
    from festina.ledger.base import Entered


@dataclass(frozen=True, slots=True)
class At:
    """An entry and when it was recorded."""

    seq: int
    at: str


_READ = frozenset(  # all that ``Seen.take`` looks at
    body.kind
    for body in (
        e.DrillFinished, e.EpochOpened, e.Halted, e.Resumed, e.ReleaseIntent, e.Released, e.ReviewRequested,
        e.ReviewDecided, e.Calibrated,
    )
)  # fmt: skip


@dataclass(slots=True)
class Seen:
    """Folded from the ledger by ``take``; the newest of each."""

    drill: tuple[At, e.DrillFinished] | None = None
    rules: At | None = None  # when the rules in force began
    halts: list[tuple[At, e.Halted]] = field(default_factory=list)
    resumed: set[str] = field(default_factory=set)
    rollbacks: list[tuple[At, At]] = field(default_factory=list)  # intent and end
    asked: dict[int, At] = field(default_factory=dict)
    decisions: list[tuple[At, e.ReviewDecided]] = field(default_factory=list)
    calibrated: At | None = None
    back: dict[int, At] = field(default_factory=dict)  # roll backs begun

    def take(self, record: Entered) -> None:
        if record.kind not in _READ:
            return  # a long record is mostly of other kinds, and taking each apart takes longest
        at, body = At(record.seq, record.at), record.body
        if isinstance(body, e.DrillFinished):
            self.drill = (at, body)
        elif isinstance(body, e.EpochOpened):
            self.rules = at
        elif isinstance(body, e.Halted):
            self.halts.append((at, body))
        elif isinstance(body, e.Resumed):
            self.resumed.update(body.halts)
        elif isinstance(body, e.ReleaseIntent) and body.cause == "rollback":
            self.back[body.release] = at
        elif isinstance(body, e.Released) and body.release in self.back:
            self.rollbacks.append((self.back.pop(body.release), at))
        elif isinstance(body, e.ReviewRequested):
            self.asked[body.review] = at
        elif isinstance(body, e.ReviewDecided):
            self.decisions.append((at, body))
        elif isinstance(body, e.Calibrated):
            self.calibrated = at
