"""What a capability suite says: pure, the same for whoever measures, signs or decides.  # G-1, G-2

Ability is in doublings of the odds of success, so that what is far from certain and what is nearly certain compare.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import log2, sqrt

from festina.ledger import entries as e

__all__ = ["KEPT", "ability", "by_place", "doublings", "share", "suite_of", "summary"]

KEPT = 1000  # units whose scores stand in the entry
_LN2 = 0.6931471805599453


def suite_of(terms: e.CapabilityTerms | e.SoakTerms, source: str | None, name: str = "") -> e.SuiteTerms:
    """The terms under which a verifier scores it. ``name``: of its items in the vault, by default the suite's own."""
    return e.SuiteTerms(
        name=name or terms.name, scorer=terms.scorer, low=terms.low, high=terms.high, direction=terms.direction,
        unit="item", mode="fresh", margin=0.0, detect=terms.high - terms.low, batch_items=terms.batch_items,
        max_units=terms.units, source=source, assurance="hidden",
    )  # fmt: skip


def summary(means: Sequence[float]) -> tuple[float, float]:
    """(mean, standard error) of the units' means; (0, 0) of none."""
    if not means:
        return 0.0, 0.0
    centre = sum(means) / len(means)
    if len(means) < 2:
        return centre, 0.0
    return centre, sqrt(sum((x - centre) ** 2 for x in means) / (len(means) - 1) / len(means))


def by_place(units: int, means: Mapping[int, float]) -> tuple[float | None, ...]:
    """Unit means by place, the first ``KEPT`` of them; None where a unit gave none."""
    return tuple(means.get(at) for at in range(min(units, KEPT)))


def share(terms: e.CapabilityTerms, mean: float) -> float:
    """A mean as a share of the range: 0 least capable, 1 most."""
    part = (mean - terms.low) / (terms.high - terms.low)
    return min(1.0, max(0.0, part if terms.direction == "higher" else 1.0 - part))


def doublings(part: float, items: float) -> float:
    """Odds of a share in [0, 1] as a power of two, kept finite: half an item is added to both sides."""
    kept = (min(1.0, max(0.0, part)) * items + 0.5) / (items + 1.0)
    return log2(kept / (1.0 - kept))


def ability(terms: e.CapabilityTerms, mean: float, error: float, items: int) -> tuple[float, float]:
    """(doublings, standard error). Where every item went the same way, the error is that of so many coins."""
    part = share(terms, mean)
    kept = (part * items + 0.5) / (items + 1.0)
    spread = max(error / (terms.high - terms.low), sqrt(kept * (1.0 - kept) / max(1, items)))
    return doublings(part, items), spread / (kept * (1.0 - kept) * _LN2)
