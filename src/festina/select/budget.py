"""The error budget of a whole ledger: how much error each test may use, and what comes back.  # S-1

Four ways to share ``alpha``; all are pure folds with the same two steps, ``open() -> (level, next)`` and
``close(level, accepted, refund) -> next``:

* :class:`Budget` for fresh units (every unit is drawn anew): levels shrink slowly, an acceptance gives its
  level back, and a test that ends otherwise gives back what it had not used.
* :class:`FdrBudget` for fresh units, with a weaker promise: not that nothing wrong is ever accepted, but that of what
  is accepted at most a share ``alpha`` is wrong on average. Levels grow with the number of acceptances.
* :class:`SealedBlocks` for a fixed block of items that candidates share: one test at a time, no refunds,
  a new block after each acceptance, and only one word leaves the gate.
* :class:`InformationLedger` for a block that cannot be replaced: each answer is paid for by its code length.

The last two also pay for *when* an answer comes (``told``): words are given out on a fixed schedule, and one that
misses its slot says something by that.

**Theorem 1** (fresh units). Let (A1) every difference lie in the declared range (symmetric kind: be
symmetric about one point, given the past); (A2) every unit be drawn, given everything seen before and all
other candidates, so that a bad candidate has mean gain <= margin at every unit, or one fixed guard with
mean <= -max_loss at every unit; (A3) levels, plans and bets depend on the past only, and reserved levels
never exceed the free budget. Then the chance that *any* bad candidate is *ever* accepted is at most
``alpha``: for every improver, however it adapts, every stopping, abort and re-submission policy, and a run
without end.

**Corollary** (share of wrong ones, fresh units). Let R be the number of acceptances so far. A test that opens with
charge ``q`` and level ``a = q (R+1)`` gives back ``q * refund`` when it is given up and nothing when it is accepted;
charges are taken from what is neither charged for good nor reserved. Then the share of bad ones among all acceptances
has at every moment, and at its worst moment, a mean of at most ``alpha``, under A1 to A3. Several tests may be open:
each keeps the R that it opened with.

**Theorem 2** (sealed blocks). Items of block k are independent draws, untouched when it opens; while it is
open only verdict words reach the proposer; its j-th candidate is tested at ``A_k g_j`` with ``sum A_k <=
alpha`` and ``sum g_j <= 1``; the block is replaced on acceptance. Then the same chance is at most alpha.
No refunds here: on shared items the evidence of an earlier test says something about the next one.

**Theorem 3** (a block that stays). Items of the block are independent draws, untouched when it opens; what reaches the
proposer about it is a string h of words and slots. The t-th candidate after h is tested at ``alpha w_t pi(h)`` with
``sum w_t <= 1`` and ``pi`` a probability on the strings of each length. Then the same chance is at most alpha.
Proofs, and what each condition protects from: ``docs/proof.md``.

Not covered: what breaks A1 and A2. A range that is wrong, units that share a process and are counted
singly, items that leaked, an incumbent's score that was remembered instead of measured again, a score that
is not the value. Those are other rooms' business and are listed there.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from math import exp, fsum, log
from typing import Literal

from festina.errors import Fault, UsageError

Promise = Literal["familywise", "fdr"]  # nothing wrong with chance 1 - alpha; or a share alpha of the accepted at most

BLOCK_TESTS = 40  # of one sealed block without an acceptance: two thirds of its share are used by then
IN_TIME = 63.0 / 64.0  # prior chance that a word meets its first slot: 40 of them cost 0.6 nats, a miss 5 and more
SPREAD = 50.0  # about how many tests share the budget evenly; 10 to 200 changes costs little
SEARCHED = 10.0  # the same where changes are tried in public first: few tests, and most of them are accepted


@dataclass(frozen=True, slots=True)
class Budget:
    """Alpha over the ledger's life, for fresh units.

    Invariants: ``free + sum(reserved) <= alpha``; ``free > 0`` for ever, so there is always a next level.
    """

    alpha: float
    spread: float = SPREAD
    free: float = -1.0  # what is not reserved and not used; default: all of alpha
    spent_effective: float = 0.0  # tests paid for in full, refunds counted: sum of (1 - refund)
    reserved: tuple[float, ...] = ()  # levels of open tests, in the order of opening

    def __post_init__(self) -> None:
        _check_alpha(self.alpha)
        _check_spread(self.spread)
        if self.free == -1.0:
            object.__setattr__(self, "free", self.alpha)
        if not 0.0 <= self.free <= self.alpha or not self.spent_effective >= 0.0:
            raise Fault("budget-broken", "an error budget holds more than alpha or less than nothing")

    def next_level(self) -> float:
        """The level that ``open`` would give: for plans and forecasts."""
        return self.free / (self.spread + 1 + self.spent_effective)

    def cost(self, level: float, accepted: bool, refund: float = 0.0) -> float:
        """Alpha that a test at this level uses up when it ends so."""
        return 0.0 if accepted else level * (1.0 - refund)

    def open(self) -> tuple[float, Budget]:
        """Reserve a level for one test. Several may be open at once: reserves are disjoint."""
        level = self.next_level()
        return level, replace(self, free=self.free - level, reserved=(*self.reserved, level))

    def close(self, level: float, accepted: bool, refund: float = 0.0) -> Budget:
        """End a test. ``refund`` is ``gate.refund_share`` in [0, 1]; an acceptance returns the whole level.

        Every way to end without acceptance closes like this: futile, guard, cap, a moved line (S-8), a fault.
        """
        if level not in self.reserved:
            raise Fault("budget-level", "a test was closed that never opened, or twice")
        _check_refund(refund)
        share = 1 if accepted else refund
        used = 0 if accepted else 1 - refund
        at = self.reserved.index(level)
        rest = self.reserved[:at] + self.reserved[at + 1 :]
        free = min(self.free + level * share, self.alpha)  # rounding must not make budget
        return replace(self, free=free, spent_effective=self.spent_effective + used, reserved=rest)

    @property
    def left(self) -> float:
        """Alpha for tests that are not open yet."""
        return self.free

    @property
    def spent(self) -> float:
        """Alpha that is gone: neither free nor reserved. At most alpha, for ever."""
        return max(0.0, self.alpha - self.free - fsum(self.reserved))


@dataclass(frozen=True, slots=True)
class FdrBudget:
    """Alpha as the mean share of wrong ones among the accepted, for fresh units. See the corollary above.

    ``reserved`` holds (level, charge) of open tests. No level is above ``alpha``: however many were accepted before,
    nothing is accepted on less evidence than ``1/alpha``.
    """

    alpha: float
    spread: float = SPREAD
    used: float = 0.0  # charges that never come back
    spent_effective: float = 0.0  # sum of (1 - refund); an acceptance gives nothing back
    accepts: int = 0
    reserved: tuple[tuple[float, float], ...] = ()

    def __post_init__(self) -> None:
        _check_alpha(self.alpha)
        _check_spread(self.spread)
        if not 0.0 <= self.used <= self.alpha or not self.spent_effective >= 0.0 or self.accepts < 0:
            raise Fault("budget-broken", "an error budget holds more than alpha or less than nothing")

    def next_level(self) -> float:
        """The level that ``open`` would give."""
        return self._next()[0]

    def _next(self) -> tuple[float, float]:
        charge = self.left / (self.spread + 1.0 + self.spent_effective)
        count = self.accepts + 1.0
        level = min(charge * count, self.alpha)
        while any(level == held for held, _ in self.reserved):  # a test is closed by its level: it has one of its own
            level *= 0.999
        return level, min(charge, level / count)

    def open(self) -> tuple[float, FdrBudget]:
        """Reserve a level for one test. Several may be open at once: reserves are disjoint."""
        level, charge = self._next()
        return level, replace(self, reserved=(*self.reserved, (level, charge)))

    def cost(self, level: float, accepted: bool, refund: float = 0.0) -> float:
        """Alpha that an open test at this level uses up when it ends so."""
        charge = next((each for held, each in self.reserved if held == level), None)
        if charge is None:
            raise Fault("budget-level", "a test was closed that never opened, or twice")
        return charge * (1.0 - (0.0 if accepted else refund))

    def close(self, level: float, accepted: bool, refund: float = 0.0) -> FdrBudget:
        """End a test; an acceptance returns nothing and makes later levels larger."""
        _check_refund(refund)
        used = self.cost(level, accepted, refund)
        at = [held for held, _ in self.reserved].index(level)
        return replace(
            self, used=min(self.used + used, self.alpha), accepts=self.accepts + accepted,
            spent_effective=self.spent_effective + (1.0 if accepted else 1.0 - refund),
            reserved=self.reserved[:at] + self.reserved[at + 1 :],
        )  # fmt: skip

    @property
    def left(self) -> float:
        """Alpha for tests that are not open yet."""
        return max(0.0, self.alpha - self.used - fsum(charge for _, charge in self.reserved))

    @property
    def spent(self) -> float:
        return self.used


@dataclass(frozen=True, slots=True)
class SealedBlocks:
    """Alpha over sealed blocks: block k, j-th candidate in it, both from 0.

    ``A_k = 5 alpha / ((k+5)(k+6))`` and ``g_j = 20 / ((j+20)(j+21))``: both sums telescope to 1.
    """

    alpha: float
    block: int = 0
    index: int = 0
    nats: float = 0.0  # told about this block by the time at which words came
    reserved: tuple[float, ...] = ()

    def __post_init__(self) -> None:
        _check_alpha(self.alpha)

    def next_level(self) -> float:
        """The level of the next candidate in this block."""
        k, j = self.block, self.index
        return 5.0 * self.alpha / ((k + 5) * (k + 6)) * _share(j) * exp(-self.nats)

    def open(self) -> tuple[float, SealedBlocks]:
        """Reserve the level of the next candidate; one test at a time.  # P-4"""
        level = self.next_level()
        return level, replace(self, reserved=_only(self.reserved, level))

    def close(self, level: float, accepted: bool, refund: float = 0.0) -> SealedBlocks:
        """End the test. The block is over, and must be replaced, on acceptance or when its tests are spent.

        ``refund`` is not paid.
        """
        if self.reserved != (level,):
            raise Fault("budget-level", "a test was closed that never opened, or twice")
        after = replace(self, index=self.index + 1, reserved=())
        return after.retire() if accepted or after.index >= BLOCK_TESTS else after

    def cost(self, level: float, accepted: bool, refund: float = 0.0) -> float:
        """Alpha that a test at this level uses up, however it ends."""
        return level

    def told(self, slots: int) -> SealedBlocks:
        """A word came after so many slots of the schedule."""
        return replace(self, nats=self.nats + slot_nats(slots)) if self.index > 0 else self

    def retire(self) -> SealedBlocks:
        """Go on with a new block; what is left of this one's share is forfeited."""
        return SealedBlocks(self.alpha, self.block + 1) if self.index > 0 else self

    @property
    def left(self) -> float:
        """Alpha for tests that are not open yet, in this block and later ones."""
        return max(0.0, self.alpha - self.spent - fsum(self.reserved))

    @property
    def spent(self) -> float:
        """What is gone: all of earlier blocks, and this block's candidates so far."""
        k, j = self.block, self.index
        earlier = self.alpha * k / (k + 5)
        return earlier + 5.0 * self.alpha / ((k + 5) * (k + 6)) * j / (j + 20)


@dataclass(frozen=True, slots=True)
class InformationLedger:
    """Alpha over one block for ever: each answer lowers later levels by its code length.

    Words: the predictive probability of a Beta(1, 19) prior on acceptance, so that a row of n refusals costs
    ``ln(1 + n/19)`` nats and a first acceptance about 3. Places: ``w_t = 20 / ((t+20)(t+21))``. Both are choices made
    before data; any others with sums of at most 1 would hold as well.
    """

    alpha: float
    accepts: int = 0
    refusals: int = 0
    nats: float = 0.0  # told about the block so far
    gone: float = 0.0  # sum of the levels used so far
    reserved: tuple[float, ...] = ()

    def __post_init__(self) -> None:
        _check_alpha(self.alpha)

    @property
    def bits(self) -> float:
        """What the proposer has been told about the block."""
        return self.nats / log(2.0)

    def next_level(self) -> float:
        return self.alpha * _share(self.accepts + self.refusals) * exp(-self.nats)

    def open(self) -> tuple[float, InformationLedger]:
        """Reserve the level of the next candidate; one test at a time.  # P-4"""
        level = self.next_level()
        return level, replace(self, reserved=_only(self.reserved, level))

    def close(self, level: float, accepted: bool, refund: float = 0.0) -> InformationLedger:
        """End the test and pay for its word. ``refund`` is not paid."""
        if self.reserved != (level,):
            raise Fault("budget-level", "a test was closed that never opened, or twice")
        chance = (1 + self.accepts if accepted else 19 + self.refusals) / (20 + self.accepts + self.refusals)
        return replace(
            self, accepts=self.accepts + accepted, refusals=self.refusals + (not accepted),
            nats=self.nats - log(chance), gone=self.gone + level, reserved=(),
        )  # fmt: skip

    def cost(self, level: float, accepted: bool, refund: float = 0.0) -> float:
        """Alpha that a test at this level uses up, however it ends."""
        return level

    def told(self, slots: int) -> InformationLedger:
        """A word came after so many slots of the schedule."""
        return replace(self, nats=self.nats + slot_nats(slots))

    def under(self, alpha: float) -> InformationLedger:
        """The same block in a new epoch with its own alpha: what was told stays told."""
        return replace(self, alpha=alpha, gone=0.0, reserved=())

    @property
    def left(self) -> float:
        """Alpha not used by levels so far. Not all of it can be used: answers lower the levels to come."""
        return max(0.0, self.alpha - self.gone - fsum(self.reserved))

    @property
    def spent(self) -> float:
        return self.gone


AnyBudget = Budget | FdrBudget | SealedBlocks | InformationLedger


def budget_of(mode: str, alpha: float, spread: float, error: Promise = "familywise") -> AnyBudget:
    """The budget of an epoch whose suite has this data mode and whose policy promises this.

    Raises ``UsageError`` for a share of wrong ones on items that candidates share: no theorem covers it.
    """
    if mode != "fresh" and error == "fdr":
        raise UsageError(
            "fdr-needs-fresh", f'error = "fdr" needs fresh items, and the hidden suite is in {mode} mode',
            fix='error = "familywise", or mode = "fresh"', where="policy.error",
        )  # fmt: skip
    if mode == "sealed":
        return SealedBlocks(alpha)
    if mode == "ledger":
        return InformationLedger(alpha)
    return FdrBudget(alpha, spread) if error == "fdr" else Budget(alpha, spread)


def without(budget: AnyBudget, before: AnyBudget, level: float) -> AnyBudget:
    """The budget as if its open test at ``level`` had never been opened on ``before``.  # V-7

    To the last bit where no other test was opened or closed meanwhile.
    """
    return before if before.open()[1] == budget else budget.close(level, False, 1.0)


def slot_nats(slots: int) -> float:
    """Code length of "after so many slots": 63/64 for the first, the rest shared as 1/(s(s-1)) among the later ones."""
    if slots < 1:
        raise Fault("budget-slots", "a word came before its slot")
    return -log(IN_TIME if slots == 1 else (1.0 - IN_TIME) / (slots * (slots - 1.0)))


def _share(index: int) -> float:
    return 20.0 / ((index + 20) * (index + 21))


def _only(reserved: tuple[float, ...], level: float) -> tuple[float, ...]:
    if reserved:
        raise Fault("block-busy", "a block carries one open test at a time")
    return (level,)


def _check_spread(spread: float) -> None:
    if not 0.0 < spread <= 1e6:
        raise UsageError("spread-range", "spread must be above 0", where="policy.spread", fix="use 50")


def _check_refund(refund: float) -> None:
    if not 0.0 <= refund <= 1.0:
        raise Fault("budget-refund", f"a refund of {refund} is no share")


def _check_alpha(alpha: float) -> None:
    if not 0.0 < alpha <= 0.5:
        raise UsageError("alpha-range", "alpha must lie in (0, 0.5]", where="policy.alpha", fix="use 0.05")
