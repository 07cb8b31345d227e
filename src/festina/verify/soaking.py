"""What a soak suite says: pure, the same for whoever measures, signs or decides.  # D-3"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from festina.ledger import entries as e
from festina.ledger.soaking import SoakAnswer
from festina.select.pairing import mean
from festina.select.report import estimate, repeated
from festina.verify import capabilities

__all__ = ["Asking", "Askings", "after", "answer_of", "asking", "numbers", "suite_of"]

Askings = Mapping[tuple[str, str], "Asking"]  # by content (tree) and suite


class Asking(NamedTuple):
    """How often a suite was asked about a content, this time included; how often before it was not shown to hold."""

    asked: int = 0
    failed: int = 0


def asking(known: Askings, tree: str, suite: str) -> Asking:
    """Of the next time."""
    before = known.get((tree, suite), Asking())
    return Asking(before.asked + 1, before.failed)


def after(b: e.Soaked, known: Askings) -> Asking:
    """What is known of a content once this answer is in. Also where the entry is from before askings were counted."""
    now = asking(known, b.tree, b.suite)
    return Asking(now.asked, now.failed + (b.answer != "holds"))


def suite_of(terms: e.SoakTerms, source: str | None) -> e.SuiteTerms:
    """The terms under which a verifier scores it. Its items lie in the vault as ``soak.NAME``."""
    return capabilities.suite_of(terms, source, f"soak.{terms.name}")


def numbers(
    terms: e.SoakTerms, rows: Sequence[tuple[float, float | None, float | None]], now: Asking
) -> dict[str, Any]:
    """The entry's numbers from units: (oriented difference as a share of the range, its mean, mean beside it).

    Whoever asks until chance says yes pays at the lower end, whoever looks until chance says worse at the upper one.
    """
    width, gains = terms.high - terms.low, [gain for gain, _, _ in rows]
    around = repeated(gains, below=now.failed + 1, above=max(1, now.asked))
    assert around is not None  # a soak has units
    found = (around[0] * width, around[1] * width)
    return {
        "mean": mean([each for _, each, _ in rows]) or 0.0, "base_mean": mean([each for _, _, each in rows]) or 0.0,
        "estimate": estimate(gains) * width, "interval": found, "answer": answer_of(terms, found),
        "asked": now.asked, "failed": now.failed,
    }  # fmt: skip


def answer_of(terms: e.SoakTerms, around: tuple[float, float]) -> SoakAnswer:
    """A guard that cannot be shown to hold does not hold.  # V-4"""
    if around[0] > -terms.max_loss:
        return "holds"
    return "worse" if around[1] < -terms.max_loss else "cannot tell"
