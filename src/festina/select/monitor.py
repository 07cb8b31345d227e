"""Is what is in use worse than what was verified? A test that may be looked at after every event, for ever.  # D-4, S-5

An event is a request in which one of two versions failed and the other did not (shadow), a failure of either while
requests are dealt out at random (canary), or a request to the one version (full); ``x`` says whether it speaks against
the new version, and ``null`` is the chance of that if the new version is as good as it has to be. For each way of being
worse (an odds ratio) a likelihood ratio is the bet. Started anew at every event with weights that sum to one, the sum

    W_t = f_t (W_{t-1} + w_t),  w_j = 1 / (j (j + 1))

and the weights still to come are together a supermartingale that begins at 1, so that W ever reaches 1/alpha with
chance at most alpha while the new version is good enough, however long it is watched (Ville). A degradation that
begins late is found as one that was there from the start, at the price of the logarithm of when. The alert of a
person is the Shiryaev-Roberts sum R_t = f_t (R_{t-1} + 1): on average at least ``alert`` events apart while nothing is
wrong (Shin, Ramdas and Rinaldo, e-detectors). Not covered: events that depend on each other, such as one outage that
fails many requests at once.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from math import ceil, isfinite, log
from typing import Literal

RATIOS = (1.5, 2.0, 4.0, 10.0)  # odds of an event speaking against the new version, against what the null allows
ALERT = 10_000.0  # events between false alerts, on average at least
CAP = 1e300  # wealth beyond any use: kept finite

Answer = Literal["quiet", "alert", "roll back"]


@dataclass(frozen=True, slots=True)
class Monitor:
    """After ``events`` events, ``against`` of them speaking against the new version; ``wealth``, ``sums``: by ratio."""

    null: float
    alpha: float
    events: int = 0
    against: int = 0
    wealth: tuple[float, ...] = (0.0,) * len(RATIOS)
    sums: tuple[float, ...] = (0.0,) * len(RATIOS)
    peak: float = 0.0

    @property
    def evidence(self) -> float:
        """Of the lifetime test: a roll back at 1/alpha."""
        return sum(self.wealth) / len(RATIOS)

    @property
    def warning(self) -> float:
        """Of the alert: a word to a person at ``ALERT``."""
        return sum(self.sums) / len(RATIOS)

    @property
    def answer(self) -> Answer:
        """The strongest that it ever said for a roll back; the alert as it stands."""
        if self.peak >= 1.0 / self.alpha:
            return "roll back"
        return "alert" if self.warning >= ALERT else "quiet"

    @property
    def rate(self) -> float | None:
        """Share of events that speak against the new version."""
        return self.against / self.events if self.events else None


def start(null: float, alpha: float) -> Monitor:
    """Raises ``ValueError`` for a chance that is none."""
    if not (isfinite(null) and 0.0 < null < 1.0 and isfinite(alpha) and 0.0 < alpha < 1.0):
        raise ValueError(f"no chances: null {null}, alpha {alpha}")
    return Monitor(null, alpha)


def observe(monitor: Monitor, x: bool) -> Monitor:
    """One further event."""
    t = monitor.events + 1
    weight = 1.0 / (t * (t + 1))
    factors = [_factor(monitor.null, ratio, x) for ratio in RATIOS]
    wealth = tuple(min(CAP, f * (w + weight)) for f, w in zip(factors, monitor.wealth, strict=True))
    sums = tuple(min(CAP, f * (s + 1.0)) for f, s in zip(factors, monitor.sums, strict=True))
    peak = max(monitor.peak, sum(wealth) / len(RATIOS))
    return replace(
        monitor, events=t, against=monitor.against + x, wealth=wealth, sums=sums, peak=peak,
    )  # fmt: skip


def fewest(null: float, alpha: float, *, full: bool = False) -> int:
    """Events that a roll back takes at the least: all against the new version; ``full``: at ten times the odds allowed.

    At the full step every request is an event, so that a version ten times as bad has to be found on average; at the
    others only failures are, and how many there are nobody knows. 10**9 where no number is enough.
    """
    bar, odds = log(len(RATIOS) / alpha), RATIOS[-1] * null / (1.0 - null)
    chance = odds / (1.0 + odds) if full else 1.0
    best = 10**9
    for ratio in RATIOS:
        up, down = log(_factor(null, ratio, True)), log(_factor(null, ratio, False))
        growth = chance * up + (1.0 - chance) * down
        if growth <= 0.0:
            continue
        best = min(best, ceil((bar + log(2.0)) / growth))  # begun at the first event, whose weight is 1/2
    return best


def _factor(null: float, ratio: float, x: bool) -> float:
    """Likelihood ratio of one event: its mean is 1 under the null, and at most 1 where the chance is smaller."""
    worse = ratio * null / (ratio * null + 1.0 - null)
    return worse / null if x else (1.0 - worse) / (1.0 - null)


def shadow_null(tolerate: float) -> float:
    """Of the requests in which exactly one failed: the new one's share, if it may fail ``tolerate`` times as often."""
    return tolerate / (1.0 + tolerate)


def canary_null(share: float, tolerate: float) -> float:
    """Of all failures: the new version's share, if it gets ``share`` of the requests."""
    return share * tolerate / (share * tolerate + 1.0 - share)
