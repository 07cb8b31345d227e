"""Whether the times in a ledger fit their order, as the whole check sees it.

A time is the word of the machine that recorded it and proves nothing; one that does not fit its place is a finding:
an entry dated before the engine's last one (back-dated, or a clock that jumped), a person's entry dated after the
engine's next one, and one dated after the time of the check. Clocks of honest machines may be ``SKEW_S`` apart.
Not covered: times that were all made up and fit each other; a witness bounds those (``witnesses``).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from festina.ledger.witnesses import MAX_FINDINGS, SKEW_S

_SKEW = timedelta(seconds=SKEW_S)


@dataclass(slots=True)
class Dates:
    """Reads entries in order; ``close`` comes last, where the present time is known.

    Times are RFC 3339 in UTC, milliseconds, so that text compares.
    """

    findings: list[tuple[int, str]] = field(default_factory=list)
    _engine: tuple[str, int] = ("", -1)  # time and number of the last entry that no person signed
    _ahead: list[tuple[str, int]] = field(default_factory=list)  # people's entries since, dated after it
    _newest: tuple[str, int] = ("", -1)

    def see(self, seq: int, at: str, *, person: bool) -> None:
        last, number = self._engine
        if at < last and _apart(at, last):
            self._find(seq, f"back-dated: it says {at}, and entry {number} before it {last}")
        self._newest = max(self._newest, (at, seq))
        if person:
            if at > last:
                self._ahead.append((at, seq))
            return
        for said, who in self._ahead:
            if at < said and _apart(at, said):
                self._find(who, f"dated ahead: it says {said}, and entry {seq} after it {at}")
        self._ahead.clear()
        self._engine = (at, seq)

    def close(self, now: datetime | None = None) -> list[tuple[int, str]]:
        at, seq = self._newest
        if at and datetime.fromisoformat(at) > (now or datetime.now(UTC)) + _SKEW:
            self._find(seq, f"dated in the future: it says {at}, which this machine's clock has not reached")
        return self.findings

    def _find(self, seq: int, what: str) -> None:
        if len(self.findings) < MAX_FINDINGS:
            self.findings.append((seq, what))


def _apart(earlier: str, later: str) -> bool:
    return datetime.fromisoformat(later) - datetime.fromisoformat(earlier) > _SKEW
