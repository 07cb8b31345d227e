"""Receipts: how the verifier knows its own scores again.  # T-1

Every score leaves the verifier's process with a MAC over what was scored for whom: the terms of the suite, the batch,
the role of the side, and the numbers. When an entry is to be signed, the engine shows the receipts of the scores behind
it. The secret follows from the verifier's key, so a receipt outlives a restart, nothing has to be kept, and a score
that was given out under one role or batch cannot be shown under another.

Not covered: that the bytes that were scored came from the tree that the engine says; that it ran a tree once only.
"""

from __future__ import annotations

import hmac
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256

from festina.errors import IntegrityError
from festina.ledger.canonical import canonical

__all__ = ["Receipts", "ScoreRow", "digest_of", "rows_of"]

LATE = ":late"  # after a role: this side ran out of wall time


def digest_of(suite: Mapping[str, object], others: Sequence[Mapping[str, object]]) -> str:
    """What a verifier judges by: its suite and its further scorers, as they were handed to it."""
    return sha256(canonical([suite, list(others)])).hexdigest()


@dataclass(frozen=True, slots=True)
class ScoreRow:
    """One side's score with its receipt, as the engine shows it. Guards and further verifiers stand in one row."""

    role: str
    batch: str
    mean: float
    others: tuple[float, ...]
    failed: int
    receipt: str

    @property
    def late(self) -> bool:
        return self.role.endswith(LATE)

    @property
    def side(self) -> str:
        return self.role.removesuffix(LATE)

    def plain(self) -> list[object]:
        return [self.role, self.batch, self.mean, list(self.others), self.failed, self.receipt]


def rows_of(value: object) -> list[ScoreRow]:
    """One unit's rows from the wire. Raises ``IntegrityError``."""
    rows = []
    for row in value if isinstance(value, list) else [value]:
        match row:
            case [str(role), str(batch), float(mean), list(others), int(failed), str(receipt)]:
                rows.append(ScoreRow(role, batch, mean, tuple(map(_number, others)), failed, receipt))
            case _:
                raise IntegrityError("not-a-receipt", "what was shown for a signature is no receipt")
    return rows


def _number(value: object) -> float:
    if not isinstance(value, float):
        raise IntegrityError("not-a-receipt", "what was shown for a signature is no receipt")
    return value


@dataclass(frozen=True, slots=True)
class Receipts:
    """Makes receipts under one set of terms, and tests them under any."""

    secret: bytes
    terms: str

    def score(self, role: str, batch: str, mean: float, others: Sequence[float], failed: int) -> str:
        return self._mac(self.terms, "score", role, batch, mean, list(others), failed)

    def controls(self, further: int, constant: float, random: float, oracle: float | None, ok: bool) -> str:
        return self._mac(self.terms, "controls", further, constant, random, oracle, ok)

    def holds(self, row: ScoreRow, terms: str) -> bool:
        made = self._mac(terms, "score", row.role, row.batch, row.mean, list(row.others), row.failed)
        return hmac.compare_digest(made.encode(), row.receipt.encode("utf-8", "replace"))

    def _mac(self, *parts: object) -> str:
        return hmac.digest(self.secret, canonical(parts), "sha256").hex()
