"""A lower bound for the total gain of a line of accepted changes, jointly for all its steps, at a level of its own.

Accepted changes were picked for looking good, so the sum of their estimates is too high on average; and the error
budget of acceptances does not pay for bounds on sizes, since it gets its levels back. So this has a level of its
own, and holds whatever was accepted, rejected, denied or taken back, and whenever one looks.

**Corollary** (total gain, fresh units). Let test t of an epoch open with a share ``w_t`` in (0, 1) that depends on
the past only, let ``d_t`` be the mean difference of its units given the past, and K_t(d) the wealth of bets on "the
mean is above d" with stakes that depend on earlier units only. Under A1 and A2 of ``budget``, the product over all
tests of ``1 - w_t + w_t K_t(d_t)`` is a nonnegative supermartingale from 1: each unit, whichever test it belongs to,
changes one factor, and not upwards on average. So with probability ``1 - alpha`` the true sizes satisfy, at all
times at once,

    sum over t of log(1 - w_t + w_t K_t(d_t))  <  log(1/alpha).

A test that is not a step of the line has a term of at least ``log(1 - w_t)``. What is left bounds the steps' sizes
together, and the total is at least the smallest sum that they allow. QED

So what the selection costs is the code length of the word "step" or "no step" for each test under the shares, which
are the guesses of a Beta(1, 3) prior: about 3 nats a step where one test in ten is accepted. A bound for each test
by itself, at ``50 alpha/((t+49)(t+50))``, costs 7 to 10 a step, which is what its acceptance had to show: next to
nothing is left of it.

The smallest sum is bounded from below by its Lagrangian dual on a grid, which is on the safe side whatever the
shape. On items that candidates share the product is no supermartingale, so there is no such bound in sealed and
ledger mode; the symmetric kind has no mean to add up.

For people; nothing is decided by it. ``log`` may differ in the last bit between machines.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from math import inf, log, log1p, prod

from festina.errors import Fault
from festina.select import report
from festina.select.report import STAKE_LIMIT, estimate
from festina.select.words import number

ALPHA = 0.05  # of all epochs together; epoch e (from 0) has alpha/((e+1)(e+2))
NATS = 5.0  # what the stakes are tuned to: about what a step has to pay for
HORIZONS = ((50.0, 0.2), (200.0, 0.4), (1000.0, 0.25), (5000.0, 0.15))  # (units that the stake is tuned to, share)
CELLS = 48  # of the grid for one step
PRICES = tuple(10.0 ** (-5.0 + 0.1 * i) for i in range(71))  # tried for a nat: each gives a bound, the best one counts


@dataclass(frozen=True, slots=True)
class Shares:
    """The shares of an epoch's tests, in the order of opening."""

    tests: int = 0
    accepts: int = 0
    nats: float = 0.0  # what all tests opened so far cost if none of them is a step

    def open(self) -> tuple[float, Shares]:
        """The next test's share."""
        share = (1.0 + self.accepts) / (4.0 + self.tests)
        return share, replace(self, tests=self.tests + 1, nats=self.nats - log1p(-share))

    def accepted(self, count: int = 1) -> Shares:
        """A test was accepted; -1: it was no candidate but a planted one."""
        return replace(self, accepts=max(0, self.accepts + count))


@dataclass(frozen=True, slots=True)
class Step:
    """An accepted change: its differences as they came, in units of the declared range, and its test's share."""

    gains: tuple[float, ...]
    share: float


@dataclass(frozen=True, slots=True)
class Total:
    """What is certified of a line. ``at_least`` is None where ``why`` says why nothing is."""

    steps: int
    estimates: float  # their sum, in the suite's own unit; positive is better
    at_least: float | None
    why: str = ""

    def sentence(self) -> str:
        """The same in status and report."""
        many = "its one step is" if self.steps == 1 else f"its {self.steps} steps add up to"
        estimates = f"the estimate{'' if self.steps == 1 else 's'} of {many} {number(self.estimates, self.estimates)}"
        if self.at_least is None:
            return f"No certified total gain: {self.why}; {estimates}."
        least = number(self.at_least, self.estimates)
        return f"Certified total gain of the working line: at least {least} (95 %); {estimates}."


def obstacle(mode: str, *, bounded: bool, provisional: bool, doubtful: bool, improver: bool) -> str:
    """Why a line has no certified total gain; empty where it has one. ``improver``: a step was accepted for what its
    improver makes, and may have cost the task as much as its guard allows."""
    if not bounded:
        return "the test for few observations says nothing about a mean"
    if mode != "fresh":
        return "candidates answered the same hidden items; each step alone is better at the stated error level"
    if doubtful:
        return "an acceptance is in doubt"
    if improver:
        return "a step was accepted as a better improver, and may have lost a little at the task"
    return "the sandbox was weaker than demanded" if provisional else ""


def certify(
    steps: Sequence[Step], shares: Shares, epoch: int, *, estimates: float, width: float, why: str
) -> Total | None:
    """What is certified of a line of these steps; None where there is none yet. ``width``: of the declared range."""
    if not steps:
        return None
    if why:
        return Total(len(steps), estimates, None, why)
    least = _cached(tuple(steps), shares.nats, ALPHA / ((epoch + 1.0) * (epoch + 2.0)))
    return Total(len(steps), estimates, width * least)


@lru_cache(maxsize=8)
def _cached(steps: tuple[Step, ...], nats: float, alpha: float) -> float:
    return total_at_least(steps, nats, alpha)


def total_at_least(steps: Sequence[Step], nats: float, alpha: float) -> float:
    """The total gain of ``steps`` is at least this, in units of the declared range. ``nats``: of all tests opened."""
    if not 0.0 < alpha < 1.0 or any(not 0.0 < step.share < 1.0 or not step.gains for step in steps):
        raise Fault("certificate-terms", "a bound on the total gain was asked for with impossible terms")
    floors = [log1p(-step.share) for step in steps]
    room = log(1.0 / alpha) + nats + sum(floors)  # for the steps' terms together
    tables = [_table(step, room - (sum(floors) - floor)) for step, floor in zip(steps, floors, strict=True)]
    best = sum(table[0][0] for table in tables)
    for price in PRICES:
        least = [min([left + price * term for left, term in table]) for table in tables]
        best = max(best, sum(least) - price * room)
    return best


def _table(step: Step, most: float) -> list[tuple[float, float]]:
    """Cells of the step's size, from the smallest that is possible: (left end, smallest term in the cell).

    Terms fall with the size, so a cell's smallest one is at its right end; from the mean on it is that of no wealth.
    """
    middle, width = estimate(step.gains), 1.0 / 1024.0
    while middle - width > -1.0 and _term(step, _stakes(step), middle - width) < most:
        width *= 2.0
    found = _terms(step, width)
    cells = [(found[i][0], found[i + 1][1]) for i in range(CELLS) if found[i + 1][1] < most]  # below: impossible sizes
    return [*cells, (middle, log1p(-step.share))]


@lru_cache(maxsize=8192)
def _terms(step: Step, width: float) -> tuple[tuple[float, float], ...]:
    """(size, term) at the cells' edges, from ``width`` below the mean up to it. The same however many steps follow."""
    middle, stakes = estimate(step.gains), _stakes(step)
    low = max(-1.0, middle - width)
    edges = [low + (middle - low) * i / CELLS for i in range(CELLS + 1)]
    return tuple((edge, _term(step, stakes, edge)) for edge in edges)


@lru_cache(maxsize=8192)
def _stakes(step: Step) -> list[list[float]]:
    return report.stakes(step.gains, HORIZONS, NATS)


def _term(step: Step, plans: Sequence[Sequence[float]], size: float) -> float:
    """``log(1 - w + w K(size))``. Falls as the size grows, since every factor does."""
    limit = STAKE_LIMIT / (1.0 + size) if size > -1.0 else inf
    wealth = 0.0
    for plan, (_, share) in zip(plans, HORIZONS, strict=True):
        pairs = zip(plan, step.gains, strict=True)
        wealth += share * prod([1.0 + (stake if stake < limit else limit) * (value - size) for stake, value in pairs])
    return log(1.0 - step.share + step.share * wealth) if wealth < inf else inf
