"""How fast the loop may go, as a pure function: what is known goes in, a rate with its reasons comes out.  # G-1..G-4

Rules, each off where the policy leaves its number out. A *halt* is ended by a person's signature alone; a *pause* stops
everything until what it names has happened; a *hold* lets open tests go on and starts nothing new; *slow* makes the
loop rest as long as it works, or longer. Every reason says what is waited for and what would end it (G-6).

Invariants, proven by property tests: what is not known and is needed stops the loop; nothing that makes the situation
worse ever makes the loop faster; a change is committed only while the capability gap and its gain stay within the step.

The gap is the sum of upper 95 % bounds of the gains since the last complete characterisation, in doublings of the odds
of success, so it errs to the large side. Not covered: skills that no suite measures, and a candidate that hides what it
can do.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Literal

__all__ = ["Decision", "Policy", "Reading", "Reason", "decide", "may_commit"]

Effect = Literal["slow", "hold", "pause", "halt"]
SLOWEST = 0.1
UNPACED = 0.5  # after an alarm of growth, where no pace is declared
QUEUE_FREE = 0.7  # share of the queue's room above which waiting times grow without bound (M/M/1)
FAST_BURN, FAST_OVER = 6.0, 5  # times the budget of reverted changes, over so many of the last accepted ones
SLOW_BURN, SLOW_OVER = 2.0, 20
_ROUNDING = 1e-9
DIVERGENCE = 0.05  # chance that capability diverges before three characterisations could be made
MAX_LOGIT_SE = 0.3 / math.log(2)  # doublings: a coarser ability is not a characterisation


@dataclass(frozen=True, slots=True)
class Policy:
    """What the epoch declared. ``None`` and 0 switch a rule off."""

    step: float | None = None  # doublings since the last complete characterisation at most
    first: float = 1.0  # doublings that the next gain is taken for, while none was measured
    valid_s: float | None = None  # a characterisation is worth nothing after
    lease_s: float | None = None  # a person's sign of life is good for
    reverts: float = 0.1  # share of accepted changes that may later be taken back
    max_waiting: int = 0  # reviews that may wait


@dataclass(frozen=True, slots=True)
class Reading:
    """What is known. ``None``: not known, which stops whatever depends on it."""

    gap: float | None = 0.0
    next_gain: float | None = None  # upper bound of the next gain; None: nothing measured yet, ``Policy.first`` stands
    characterised_s: float | None = None  # age of the last complete characterisation of a generation on the line
    coarse: tuple[str, ...] = ()  # suites so near their floor or ceiling that they measure nothing  (headroom)
    crossed: tuple[str, ...] = ()  # tiers reached without the safeguards that they ask for  # G-1
    lease_left_s: float | None = None
    ahead: str = ""  # time of a sign of life that lies in the future: one of the two clocks is wrong
    waiting: int = 0
    reverted: tuple[bool, ...] = ()  # of accepted changes, oldest first: whether it was taken back later
    escapes: int = 0  # signs that something got out of its box, since a person last looked
    alarms: tuple[str, ...] = ()  # of the watch, not answered yet
    incidents: int = 0  # open ones
    drafts: tuple[int, ...] = ()  # entries that may show one, and nobody opened it
    new_abilities: tuple[str, ...] = ()  # of versions that no person has approved  # G-1
    divergence: float | None = 0.0
    trusted: bool | None = True  # whether past forecasts came true; False halves the step


@dataclass(frozen=True, slots=True)
class Reason:
    """One rule that holds the loop back. ``rate``: of its own, 0 unless it is ``slow``."""

    rule: str
    effect: Effect
    waits_for: str
    ends: str  # a command, or what has to happen
    rate: float = 0.0

    def sentence(self) -> str:
        return f"{self.waits_for}: {self.ends}"


@dataclass(frozen=True, slots=True)
class Decision:
    """``rate`` 1: as fast as it goes; 0: nothing new. ``characterise``: a complete characterisation would raise it."""

    rate: float
    reasons: tuple[Reason, ...] = ()
    characterise: bool = False
    room: float = math.inf  # doublings that a change may move capability now  # G-2

    @property
    def halt(self) -> bool:
        return any(reason.effect == "halt" for reason in self.reasons)

    def first(self, *effects: Effect) -> Reason | None:
        """The first reason of one of these effects."""
        return next((reason for reason in self.reasons if reason.effect in effects), None)


FREE = Decision(1.0)


def step_of(reading: Reading, policy: Policy) -> float | None:
    """The step in force: halved where forecasts did not come true, or where nobody can say."""
    if policy.step is None:
        return None
    return policy.step if reading.trusted else policy.step / 2


def may_commit(reading: Reading, policy: Policy, gain: float | None) -> bool:
    """Whether a change of this gain (upper bound, doublings) may be committed now.  # G-2"""
    room = room_of(reading, policy)
    return room == math.inf or (gain is not None and math.isfinite(gain) and max(0.0, gain) <= room)


def room_of(reading: Reading, policy: Policy) -> float:
    """How far one change may move capability now, in doublings; less than nothing where that is not known."""
    step = step_of(reading, policy)
    if step is None:
        return math.inf
    known = _sane(reading)
    if known.gap is None or not _fresh(known, policy):
        return -1.0
    return step - max(0.0, known.gap)


def decide(reading: Reading, policy: Policy) -> Decision:
    """The rate and every reason for it, gravest first. Pure."""
    reading = _sane(reading)
    reasons = [*_halts(reading, policy), *_pauses(reading, policy), *_pace(reading, policy), *_slow(reading, policy)]
    stopped = any(reason.effect != "slow" for reason in reasons)
    rate = 0.0 if stopped else min([1.0, *(reason.rate for reason in reasons)])
    holds = [reason for reason in reasons if reason.effect != "slow"]
    paced = bool(holds) and all(reason.rule in ("pace", "characterisation", "alarm") for reason in holds)
    return Decision(rate, tuple(reasons), paced, room_of(reading, policy))


def _sane(r: Reading) -> Reading:
    """What is no finite number is not known, and an unknown size of the next gain is no small one.  # T-6, G-4"""
    gain = r.next_gain
    return replace(
        r, gap=_finite(r.gap), characterised_s=_finite(r.characterised_s), lease_left_s=_finite(r.lease_left_s),
        divergence=_finite(r.divergence), next_gain=gain if gain is None or math.isfinite(gain) else math.inf,
    )  # fmt: skip


def _finite(value: float | None) -> float | None:
    return value if value is not None and math.isfinite(value) else None


def _halts(r: Reading, p: Policy) -> list[Reason]:
    found = []
    if r.escapes:
        found.append(
            Reason("escape", "halt", "Something may have got out of its box", "a person looks, then festina unhalt")
        )
    for tier in r.crossed:
        found.append(Reason("tier", "halt", f"{tier}", "festina attest for each of them, then festina unhalt"))  # G-1
    if p.step is not None and (r.divergence is None or r.divergence > DIVERGENCE):
        known = "cannot be told" if r.divergence is None else f"is {r.divergence:.0%}"
        found.append(
            Reason("divergence", "halt", f"The chance that capability outruns every measurement {known}",
                   "a person looks at festina growth, and signs festina unhalt")
        )  # fmt: skip
    return found


def _pauses(r: Reading, p: Policy) -> list[Reason]:
    found = []
    if p.lease_s is not None and (r.lease_left_s is None or r.lease_left_s <= 0.0):
        what, how = "No person has given a sign of life in time", "festina renew --as NAME"
        if r.ahead:  # none that is given now would be the newest
            what = f"By the record a person gave a sign of life at {r.ahead[:19]}, which has not come yet"
            how = "set this machine's clock right; where the record's was wrong, that time has to come first"
        found.append(Reason("lease", "pause", what, how))  # G-4
    for alarm in r.alarms if p.step is not None else ():
        found.append(Reason("alarm", "hold", alarm, "festina characterise, or a person's approval: festina review"))
    for what in r.new_abilities:
        found.append(Reason("new-ability", "hold", what, "a person's approval of it: festina review"))
    if r.incidents:
        how = "festina incident resolve NUMBER --as NAME --text HOW"
        found.append(Reason("incident", "hold", "An incident is open", how))
    if r.drafts:
        how = f"festina incident open --entry {r.drafts[0]} --as NAME --text WHAT (and resolve it, if it was none)"
        found.append(Reason("incident", "hold", "What may be an incident waits for a person", how))
    share, burn = _burn(r, p, FAST_OVER)
    if burn >= FAST_BURN - _ROUNDING:
        found.append(
            Reason("reverts", "pause", f"{share:.0%} of the last accepted changes were taken back",
                   'a person looks for the cause, then festina run --new-epoch "why"')
        )  # fmt: skip
    return found


def _pace(r: Reading, p: Policy) -> list[Reason]:
    step = step_of(r, p)
    if step is None:
        return []
    if r.coarse:
        what = f"Suites that measure nothing at this level: {', '.join(r.coarse)}"
        how = 'harder items (festina vault add SUITE ITEMS), then festina run --new-epoch "why"'
        return [Reason("headroom", "hold", what, how)]
    if not _fresh(r, p):
        return [Reason("characterisation", "hold", "No complete and valid characterisation", "festina characterise")]
    if r.gap is None:
        return [Reason("pace", "hold", "How far capability moved is not known", "festina characterise")]
    gain = p.first if r.next_gain is None else max(0.0, r.next_gain)
    if max(0.0, r.gap) + gain <= step:
        return []
    if r.gap <= 0.0:
        what = f"One change may move capability by {gain:.1f} doublings, and {step:g} is the step"
        return [Reason("step", "hold", what, "a larger policy.pace.step, in a new epoch that a person opens")]
    what = f"Capability may have moved {r.gap:.1f} doublings since it was characterised, and the next change {gain:.1f}"
    return [Reason("pace", "hold", f"{what}, while {step:g} is the step", "festina characterise")]


def _slow(r: Reading, p: Policy) -> list[Reason]:
    found = []
    load = r.waiting / p.max_waiting if p.max_waiting else 0.0
    if load > QUEUE_FREE:
        rate = max(SLOWEST, (1.0 - load) / (1.0 - QUEUE_FREE))
        what = f"{r.waiting} of {p.max_waiting} places in the reviewers' queue are taken"
        found.append(Reason("queue", "slow", what, "festina review", rate))
    for alarm in r.alarms if p.step is None else ():  # nobody declared a pace, so half of the present one
        found.append(Reason("alarm", "slow", alarm, "a person's approval: festina review", UNPACED))
    share, burn = _burn(r, p, SLOW_OVER)
    if burn >= SLOW_BURN - _ROUNDING:
        what = f"{share:.0%} of the last accepted changes were taken back"
        found.append(Reason("reverts", "slow", what, "changes that last", max(SLOWEST, 1.0 / burn)))
    return found


def _fresh(r: Reading, p: Policy) -> bool:
    if r.characterised_s is None:
        return False
    return p.valid_s is None or 0.0 <= r.characterised_s <= p.valid_s  # a clock that jumped back proves nothing


def _burn(r: Reading, p: Policy, over: int) -> tuple[float, float]:
    """(share of the last ``over`` accepted changes that were taken back, in times of the budget for it).

    The denominator is ``over`` also where there are fewer, so that the first one taken back is no catastrophe.
    """
    share = sum(r.reverted[-over:]) / over
    return share, share / p.reverts if p.reverts > 0 else (math.inf if share else 0.0)
