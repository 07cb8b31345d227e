"""The incumbent against itself, as a report reads it: the same pure test, on the recorded differences.  # V-2"""

from __future__ import annotations

from dataclasses import dataclass, field

from festina.errors import FestinaError
from festina.ledger import entries as e
from festina.loop.sameness import fresh
from festina.report.data import TwinsRow
from festina.select import sameness


@dataclass
class Twins:
    """Under construction; one epoch at a time."""

    epoch: e.EpochOpened | None = None
    test: sameness.Sameness | None = None
    sound_seq: int = -1
    units: int = 0
    seqs: list[int] = field(default_factory=list)
    alarms: list[int] = field(default_factory=list)
    open_alarm: int | None = None
    resolved_by: list[str] = field(default_factory=list)

    @classmethod
    def of(cls, seq: int, epoch: e.EpochOpened) -> Twins:
        """The control of a new epoch."""
        return cls(epoch, fresh(epoch), seq)

    def see(self, seq: int, body: e.ControlEnded) -> str:
        """Take a result in; words for a finding where it does not fit."""
        if self.test is None:
            return "a control ended before any epoch was opened"
        try:
            for unit in zip(body.gain, body.order, *body.guards, strict=True):
                self.test = sameness.see(self.test, unit)
        except (FestinaError, ValueError):
            return f"control {body.control}: its differences are not those of this epoch's streams"
        self.units += len(body.gain)
        self.seqs.append(seq)
        if self.test.broken and self.open_alarm is None:
            self.open_alarm = seq
            self.alarms.append(seq)
        elif self.test.evidence <= 1.0:
            self.sound_seq = seq
        return ""

    def resolve(self, seq: int, body: e.ControlResolved) -> bool:
        """A person's word about the open alarm; False for any other."""
        if self.open_alarm is None or body.alarm != self.open_alarm or self.epoch is None:
            return False
        self.open_alarm, self.sound_seq, self.test = None, seq, fresh(self.epoch)
        self.resolved_by.append(body.reviewer)
        return True

    def row(self) -> TwinsRow | None:
        if self.epoch is None:
            return None
        return TwinsRow(
            self.epoch.control_share, self.epoch.control_level, self.units, tuple(self.seqs), tuple(self.alarms),
            self.open_alarm, tuple(self.resolved_by),
        )  # fmt: skip
