"""What a soak suite says: pure, the same for whoever measures, signs or decides.  # D-3"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from festina.ledger import entries as e
from festina.ledger.soaking import SoakAnswer
from festina.select.pairing import mean
from festina.select.report import estimate, interval
from festina.verify import capabilities

__all__ = ["answer_of", "numbers", "suite_of"]


def suite_of(terms: e.SoakTerms, source: str | None) -> e.SuiteTerms:
    """The terms under which a verifier scores it. Its items lie in the vault as ``soak.NAME``."""
    return capabilities.suite_of(terms, source, f"soak.{terms.name}")


def numbers(terms: e.SoakTerms, rows: Sequence[tuple[float, float | None, float | None]]) -> dict[str, Any]:
    """The entry's numbers from units: (oriented difference as a share of the range, its mean, mean beside it)."""
    width, gains = terms.high - terms.low, [gain for gain, _, _ in rows]
    around = interval(gains)
    assert around is not None  # a soak has units
    found = (around[0] * width, around[1] * width)
    return {
        "mean": mean([each for _, each, _ in rows]) or 0.0, "base_mean": mean([each for _, _, each in rows]) or 0.0,
        "estimate": estimate(gains) * width, "interval": found, "answer": answer_of(terms, found),
    }  # fmt: skip


def answer_of(terms: e.SoakTerms, around: tuple[float, float]) -> SoakAnswer:
    """A guard that cannot be shown to hold does not hold.  # V-4"""
    if around[0] > -terms.max_loss:
        return "holds"
    return "worse" if around[1] < -terms.max_loss else "cannot tell"
