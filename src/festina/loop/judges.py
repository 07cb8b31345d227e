"""Two judges: the verifier's process for items that nobody could see, and the candidate's own word.

``MetricJudge`` believes what the candidate printed. Its verdicts carry the assurance *self-reported*, and
nothing in Festina calls them proven.  # V-10
"""

from __future__ import annotations

from festina.experiment.batch import Scored
from festina.propose.guess import parse_metric
from festina.verify.client import Verifier
from festina.verify.receipts import ScoreRow


class HiddenJudge:
    """Draws fresh items through the verifier's process and has it score the answers."""

    def __init__(self, verifier: Verifier, items: int, guards: int | None = None) -> None:
        """``guards``: how many of the verifier's other scorers are guards; those behind them are further verifiers."""
        self._verifier = verifier
        self._items = items
        self._guards = guards

    def issue(self, seed: int, place: int | None = None) -> tuple[str, bytes | None]:
        issued = self._verifier.draw(seed, self._items, first=place)
        return issued.batch_id, issued.inputs

    def rehearse(self, seed: int) -> tuple[str, bytes | None]:
        return self.again(seed, 0)

    def again(self, seed: int, first: int) -> tuple[str, bytes | None]:
        issued = self._verifier.draw(seed, self._items, first=first)
        return issued.batch_id, issued.inputs

    def score(self, ticket: str, answer: bytes | None, role: str = "") -> Scored:
        scored = self._verifier.score(ticket, answer, role)
        guards = len(scored.guards) if self._guards is None else self._guards
        row = ScoreRow(role, ticket, scored.mean, scored.guards, scored.failed, scored.receipt)
        return Scored(scored.mean, scored.guards[:guards], scored.failed, scored.guards[guards:], row.plain())

    def probe(self, ticket: str) -> None:
        self._verifier.probe(ticket)


class MetricJudge:
    """Reads ``name: number`` from what the run printed."""

    def __init__(self, metric: str) -> None:
        self._metric = metric

    def issue(self, seed: int, place: int | None = None) -> tuple[str, bytes | None]:
        return self.rehearse(seed)

    def rehearse(self, seed: int) -> tuple[str, bytes | None]:
        return f"seed-{seed}", None

    def again(self, seed: int, first: int) -> tuple[str, bytes | None]:
        return self.issue(seed)

    def score(self, ticket: str, answer: bytes | None, role: str = "") -> Scored:
        value = parse_metric(answer, self._metric) if answer is not None else None
        return Scored(value, (), int(value is None))

    def probe(self, ticket: str) -> None:
        """Nothing runs that an answer could break."""
