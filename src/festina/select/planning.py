"""How many units a test needs: the fewest possible, what an ideal candidate needs, and what to allow.  # S-7

Exact where it says exact. ``units_ideal`` and ``units_max_default`` are planning figures, not promises: how
many units a real candidate needs depends on its gain and its noise.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import lru_cache
from math import ceil, floor, log, log10, sqrt

from festina.errors import Unreachable
from festina.select.bets import Bet
from festina.select.gate import Plan, gain_bets, guard_bets, judge_bets

SEARCH_LIMIT = 50_000  # units after which "how many would be enough" is answered with "none"


def units_min_accept(plan: Plan) -> int:
    """The fewest units that could ever accept: exact.

    No sequence of fewer units accepts, and one of exactly this many does: the largest gain and guard
    differences every time (bounded), or each far larger than the one before (symmetric). Bounded: an unbroken
    row of the best payoff maximises each factor, because only losses make a stake smaller, and ``+ * /``
    round monotonically. Symmetric: ``z`` is at most 1 at the first non-zero payoff and CLIP later.
    """
    proven = 1.0 / plan.level
    gain, _ = gain_bets(plan)
    counts = [_count(gain, _best(plan.kind, 1.0 - plan.margin), proven, SEARCH_LIMIT)]
    for loss in plan.guards:
        holds, _ = guard_bets(plan, loss)
        counts.append(_count(holds, _best(plan.guard_kind, 1.0 + loss), proven, SEARCH_LIMIT))
    for margin, detect in plan.judges:
        better, _ = judge_bets(plan, margin, detect)
        counts.append(_count(better, [1.0 - margin], proven, SEARCH_LIMIT))
    return max(counts)


def units_ideal(plan: Plan, limit: int = SEARCH_LIMIT) -> int:
    """Units until acceptance of a candidate without noise: gain exactly ``detect``, guards exactly unchanged.

    Noise adds to this. ``limit + 1`` when it is not reached within ``limit``.
    """
    guards = [_ideal_guard(plan, loss, limit) for loss in plan.guards]
    judges = [_ideal_judge(plan, margin, detect, limit) for margin, detect in plan.judges]
    return max([_ideal_gain(plan, limit), *guards, *judges])


@lru_cache(4096)
def units_steady(plan: Plan, gain: float) -> int:
    """Units until acceptance of a candidate that is better by ``gain`` in every unit, guards and judges at their aims.

    ``gain`` is in shares of the range; without a range any gain takes the same. Noise adds to this. ``plan.units_max +
    1`` when it is not reached within ``plan.units_max``.
    """
    limit, payoff = plan.units_max, 1.0 if plan.kind == "symmetric" else gain - plan.margin
    if payoff <= 0.0:
        return limit + 1
    bet, _ = gain_bets(plan)
    guards = [_ideal_guard(plan, loss, limit) for loss in plan.guards]
    judges = [_ideal_judge(plan, margin, detect, limit) for margin, detect in plan.judges]
    return max([_count(bet, [min(payoff, 1.0)], 1.0 / plan.level, limit), *guards, *judges])


def check_reachable(
    plan: Plan, *, width: float = 1.0, guards: Sequence[tuple[str, float]] = (),
    judges: Sequence[str] = (),
) -> None:  # fmt: skip
    """Refuse a plan that could not even accept a noise-free candidate of the size it looks for.  # S-7

    Raises Unreachable, with the units, the detectable effect or the guard margins that would do. For the
    message only: ``width`` is the suite's declared range and ``guards`` gives name and range of each guard, so that
    it speaks in the manifest's own numbers.
    """
    wants: list[str] = []
    gain = _ideal_gain(plan, SEARCH_LIMIT)
    if gain > plan.units_max:
        what = f"a gain of {plan.detect * width:g}" if plan.detect > 0.0 else "any gain"
        wants.append(f"{what} needs {_units(gain)}{_other_detect(plan, width)}")
    labels = [(name, scale) for name, scale in guards] or [(str(k + 1), 1.0) for k in range(len(plan.guards))]
    for (name, scale), loss in zip(labels, plan.guards, strict=True):
        units = _ideal_guard(plan, loss, SEARCH_LIMIT)
        if units > plan.units_max:
            also = _other_loss(plan, loss, scale)
            wants.append(f"guard {name} with max_loss {loss * scale:g} needs {_units(units)}{also}")
    for j, (margin, detect) in enumerate(plan.judges):
        units = _ideal_judge(plan, margin, detect, SEARCH_LIMIT)
        if units > plan.units_max:
            name = judges[j] if j < len(judges) else str(j + 1)
            wants.append(f"verifier {name} with its detect needs {_units(units)}")
    if wants:
        raise Unreachable(
            "plan-unreachable",
            f"at error level {plan.level:.2g} no verdict can be reached in {plan.units_max} units, even without noise",
            fix="; ".join(wants) + "; or a larger alpha",
            where="suite.hidden",
        )


def _other_detect(plan: Plan, width: float) -> str:
    if plan.kind != "bounded":
        return ""
    most = plan.units_max
    reach = _smallest(lambda d: _ideal_gain(replace(plan, detect=d), most) <= most, plan.detect, 0.999)
    return "" if reach is None else f" or detect = {_up(reach * width)} or more"


def _other_loss(plan: Plan, loss: float, width: float) -> str:
    if plan.guard_kind != "bounded":
        return ""
    most = plan.units_max
    reach = _smallest(lambda e: _ideal_guard(plan, e, most) <= most, loss, 0.999)
    return "" if reach is None else f" or max_loss = {_up(reach * width)} or more"


def units_max_default(plan: Plan, v0: float = 0.25) -> int:
    """A cap that lets nearly every gain of ``detect`` through: ``plan.units_max`` is not looked at.

    ``v0`` is the mean square of a unit's difference in units of the range (a coin-like score changes
    at about 0.2 of the items; a mean of 40 items has about 0.01). From a pilot where there is one.
    Expected units at the best stake, plus two standard deviations, plus a quarter for not knowing the
    stake; never less than 1.25 times what a noise-free candidate or a guard needs. Symmetric: 6 per nat of
    evidence (41 at level 0.001).
    """
    nats = log(1.0 / plan.level)
    least = ceil(1.25 * units_ideal(replace(plan, units_max=1)))
    if plan.kind == "symmetric":
        return max(ceil(6.0 * nats), least)
    effect = plan.detect - plan.margin
    square = max(v0, 0.0) + effect * effect
    stake = min(0.95, effect / square)
    growth = stake * effect - 0.5 * stake * stake * square  # at least half of stake * effect
    noise = stake * sqrt(max(v0, 0.0))
    mean = nats / growth
    return max(ceil(1.25 * (mean + 2.0 * noise * sqrt(mean) / growth)), least)


def _best(kind: str, largest: float) -> list[float] | None:
    return [largest] if kind == "bounded" else None


def _count(bet: Bet, best: list[float] | None, proven: float, limit: int) -> int:
    """Units until ``bet`` reaches ``proven`` on its best sequence (None: growing without bound)."""
    payoff = 1.0
    for units in range(1, limit + 1):
        bet = bet.after(best[0] if best else payoff)
        payoff = min(payoff * 1e3, 1e290)
        if bet.wealth >= proven:
            return units
    return limit + 1


def _ideal_gain(plan: Plan, limit: int) -> int:
    bet, _ = gain_bets(plan)
    effect = plan.detect - plan.margin
    return _count(bet, [effect if effect > 0.0 else 1.0], 1.0 / plan.level, limit)


def _ideal_judge(plan: Plan, margin: float, detect: float, limit: int) -> int:
    bet, _ = judge_bets(plan, margin, detect)
    return _count(bet, [detect - margin], 1.0 / plan.level, limit)


def _ideal_guard(plan: Plan, loss: float, limit: int) -> int:
    bet, _ = guard_bets(plan, loss)
    return _count(bet, [loss], 1.0 / plan.level, limit)


def _smallest(enough: Callable[[float], bool], low: float, high: float) -> float | None:
    """The smallest value in (low, high] for which ``enough`` holds, to a relative 1e-6 or so."""
    if not enough(high):
        return None
    for _ in range(24):
        middle = 0.5 * (low + high)
        low, high = (low, middle) if enough(middle) else (middle, high)
    return high


def _up(value: float) -> str:
    """Two significant digits, rounded up, so that the advice holds."""
    step = 10.0 ** (floor(log10(value)) - 1)
    return f"{ceil(value / step - 1e-9) * step:.3g}"


def _units(count: int) -> str:
    return "more units than can be counted" if count > SEARCH_LIMIT else f"{count} units or more (max_units)"
