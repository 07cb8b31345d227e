"""Whether anything that the engine numbers one after the other was left out, as the whole check sees it.

Proposals, tests, moves, releases and requests to people are numbered without gaps. Whoever holds the keys can write a
whole ledger again without a losing evaluation, and every hash and signature will fit; the gap is a finding.
Not covered: one who numbers everything anew as well; ``ledger verify --verdicts`` finds that levels and seeds then no
longer follow, and a checkpoint that somebody else kept shows the whole replacement.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from festina.ledger import entries as e
from festina.ledger.base import Body
from festina.ledger.witnesses import MAX_FINDINGS


@dataclass(slots=True)
class Numbering:
    """Reads entries in order. A number may come again (a further attempt), and none may be passed over."""

    findings: list[tuple[int, str]] = field(default_factory=list)
    _next: dict[str, int] = field(default_factory=dict)

    def see(self, seq: int, body: Body) -> None:
        found = _number(body)
        if found is None:
            return
        name, number = found
        due = self._next.get(name, 0)
        if number > due and len(self.findings) < MAX_FINDINGS:
            gone = f"{name} {due}" if number == due + 1 else f"{name}s {due} to {number - 1}"
            self.findings.append((seq, f"left out: {name} {number} begins, and {gone} never did"))
        self._next[name] = max(due, number + 1)


def _number(body: Body) -> tuple[str, int] | None:
    """What is numbered, and its number; None for entries that begin nothing."""
    match body:
        case e.ProposalRequested():
            return "proposal", body.proposal
        case e.TestOpened():
            return "test", body.test
        case e.LineIntent():
            return "move", body.move
        case e.ReleaseIntent():
            return "release", body.release
        case e.ReviewRequested():
            return "review", body.review
        case _:
            return None
