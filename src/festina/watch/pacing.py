"""A governed loop in many simulated worlds: what each rule of pace does to the gap, to harm, and to progress.  # G-2

A world is a law of compounding (Forethought's priors, in closed form over capability), a bottleneck, a time that a full
characterisation takes, and a rate of flaws. A loop makes a generation a week. Between characterisations it runs on what
its gate can see; the gap is the capability gained since the version that was last characterised in full.

| rule | a generation is made |
| --- | --- |
| none | always, and nothing is characterised |
| watch | always; characterisations run beside it and find flaws, but nothing waits for them |
| stop-after D | while the gap is below D: what the next generation adds is not asked |
| step D | if the gap and the predicted gain (95 % upper) stay within D |
| pace D | with as little effort as keeps the gap within D until the characterisation in flight is done |

Invented, and said to be: flaws, harm, jumps and the gate's catch rate. Their numbers mean nothing alone; the order of
the rules is what ``stress`` varies them for. Rules see estimates with errors (``seen``), never a world's own law.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from festina.select.normal import ONE_SIDED

Array = NDArray[np.float64]
Flags = NDArray[np.bool_]

RULES = ("none", "watch", "stop-after", "step", "pace")
CHARACTERISED = ("watch", "stop-after", "step", "pace")
WEEK = 7.0 / 365.25
LARGEST_PHI = 0.6 * (1.0 - 1.0 / 3.6)  # p (1 - 1/r) at the priors' upper ends: the rules' upper bound of compounding
MEMORY = 0.7  # of the rules' running mean of gain per effort


@dataclass(frozen=True, slots=True)
class Rule:
    """A rule of pace. ``limit``: doublings of gap that it allows; of no effect on "none" and "watch"."""

    kind: str
    limit: float = 2.0

    @property
    def name(self) -> str:
        return self.kind if self.kind in ("none", "watch") else f"{self.kind} {self.limit:g}"


@dataclass(frozen=True, slots=True)
class World:
    """Priors of worlds, each (low, high): log-uniform, but ``ceiling`` and ``ces`` uniform."""

    speedup: tuple[float, float] = (2.0, 32.0)  # of recent software progress, which is 4 doublings a year
    returns: tuple[float, float] = (0.4, 3.6)
    parallel: tuple[float, float] = (0.15, 0.6)
    ceiling: tuple[float, float] = (48.0, 128.0)  # doublings to the limits of software
    bottleneck: tuple[float, float] = (0.7, 0.7)  # share of worlds in which compute limits speed
    ces: tuple[float, float] = (-0.5, -0.1)  # substitution there: speed at most 2^(1/|rho|) of the recent one
    latency_weeks: tuple[float, float] = (1.0, 26.0)  # of one full characterisation
    generation_weeks: tuple[float, float] = (1.0, 1.0)
    years: tuple[float, float] = (2.0, 2.0)
    luck: tuple[float, float] = (0.7, 0.7)  # coefficient of variation of a full generation's gain
    jumps: tuple[float, float] = (0.01, 0.01)  # chance that a generation gains 3 to 10 times as much
    misjudged: tuple[float, float] = (1.0, 1.0)  # the rules' estimate of the loop's speed, as a share of the truth
    flaws: tuple[float, float] = (0.05, 0.5)  # for each doubling
    catch: tuple[float, float] = (0.9, 0.9)  # of flaws, by the gate, where the gap is 0
    staleness: tuple[float, float] = (4.0, 4.0)  # doublings of gap that halve the gate's catch
    harm: tuple[float, float] = (0.02, 0.02)  # chance of harm from one live flaw, a week


@dataclass(slots=True)
class Outcome:
    """How one rule fared, an entry a world. ``gap_path``, ``gain_path``: generations x (median, 95 %)."""

    rule: Rule
    gained: Array  # doublings at the end
    worst_gap: Array  # doublings
    harmed: Flags
    waited: Array  # share of generations that were not made, or the share of effort that was held back
    gap_path: list[tuple[float, float]] = field(default_factory=list)
    gain_path: list[tuple[float, float]] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Drawn:
    """Worlds as drawn; arrays of one entry each."""

    speed: Array  # doublings a year at the start, unlimited
    power: Array  # p
    bend: Array  # p K ln 2 / r: how the ceiling slows
    ceiling: Array
    rho: Array  # 0: no bottleneck
    latency: Array  # years
    flaws: Array


def draw(n: int, rng: np.random.Generator, priors: World) -> Drawn:
    """``n`` worlds."""
    power, ceiling = _logs(rng, n, priors.parallel), rng.uniform(*priors.ceiling, size=n)
    limited = rng.random(n) < priors.bottleneck[0]
    return Drawn(
        speed=_logs(rng, n, priors.speedup), power=power, ceiling=ceiling,
        bend=power * ceiling * np.log(2.0) / _logs(rng, n, priors.returns),
        rho=np.where(limited, rng.uniform(*priors.ces, size=n), 0.0),
        latency=_logs(rng, n, priors.latency_weeks) * WEEK, flaws=_logs(rng, n, priors.flaws),
    )  # fmt: skip


def velocity(world: Drawn, gained: Array) -> Array:
    """Doublings a year at full effort, ``gained`` doublings after the start."""
    left: Array = np.maximum(1.0 - gained / world.ceiling, 0.0)
    free = world.speed * np.exp2(world.power * np.minimum(gained, world.ceiling)) * left**world.bend
    bound = world.rho < 0.0
    rho = np.where(bound, world.rho, -1.0)
    limited = ((np.maximum(free, 1e-12) ** rho + 1.0) / 2.0) ** (1.0 / rho)
    return np.asarray(4.0 * np.where(bound, limited, free))


def effort(rule: Rule, gap: Array, pace: Array, weeks: float, remaining: Array, luck: float) -> Array:
    """Share of a generation's effort that the rule allows now, 0 to 1.

    ``gap``: doublings. ``pace``: doublings a year at full effort, as estimated. ``weeks``: of one generation.
    ``remaining``: years until the characterisation in flight is done, at most.
    """
    if rule.kind in ("none", "watch"):
        return np.ones_like(gap)
    room = np.maximum(rule.limit - gap, 0.0)
    if rule.kind == "stop-after":
        return np.where(room > 0.0, 1.0, 0.0)
    mean = np.maximum(pace * weeks * WEEK, 1e-12)
    spread = ONE_SIDED * luck
    if rule.kind == "step":
        return np.where(mean * (1.0 + spread) <= room, 1.0, 0.0)
    root: Array = (np.sqrt(spread**2 + 4.0 * room / mean) - spread) / 2.0  # mean (e + spread sqrt(e)) = room
    steady: Array = (1.0 - np.exp2(-LARGEST_PHI * room)) / (
        LARGEST_PHI * np.log(2.0) * np.maximum(remaining, weeks * WEEK)
    )
    return np.minimum(1.0, np.minimum(root**2, steady / np.maximum(pace, 1e-12)))


def govern(rule: Rule, world: Drawn, rng: np.random.Generator, priors: World, paths: bool = False) -> Outcome:
    """Run every world under ``rule``. The same seed gives each rule the same luck as far as they act alike."""
    n = len(world.speed)
    weeks, luck = priors.generation_weeks[0], priors.luck[0]
    out = Outcome(rule, np.zeros(n), np.zeros(n), np.zeros(n, np.bool_), np.zeros(n))
    desk = _Desk(n, world, rng)
    seen = velocity(world, out.gained) * priors.misjudged[0] * np.exp(0.3 * rng.standard_normal(n))
    generations = round(priors.years[0] / (weeks * WEEK))
    watched = rule.kind in CHARACTERISED
    for _ in range(generations):
        gap = out.gained - desk.known
        share = effort(rule, gap, seen, weeks, desk.remaining, luck)
        gain = _gain(rng, velocity(world, out.gained) * weeks * WEEK, share, luck, priors.jumps[0])
        gain = np.minimum(gain, np.maximum(world.ceiling - out.gained, 0.0))
        out.gained += gain
        gap += gain
        np.maximum(out.worst_gap, gap, out=out.worst_gap)
        out.waited += (1.0 - share) / generations
        caught = priors.catch[0] * np.exp2(-gap / priors.staleness[0])
        desk.fresh += rng.poisson(world.flaws * gain * (1.0 - caught))
        live = desk.fresh + desk.older
        out.harmed |= rng.random(n) > (1.0 - priors.harm[0]) ** (live * weeks)
        seen = _learned(seen, gain, share, weeks, priors.misjudged[0], rng)
        if watched:
            desk.advance(weeks * WEEK, out.gained)
        if paths:
            out.gap_path.append(_middle(out.gained - desk.known))
            out.gain_path.append(_middle(out.gained))
    return out


def compared(rules: Sequence[Rule], priors: World, worlds: int, seed: int, *, paths: bool = False) -> list[Outcome]:
    """Every rule in the same worlds."""
    drawn = draw(worlds, np.random.Generator(np.random.SFC64([seed, 1])), priors)
    return [govern(rule, drawn, np.random.Generator(np.random.SFC64([seed, 2])), priors, paths) for rule in rules]


def summary(out: Outcome) -> dict[str, Any]:
    """In a few numbers: doublings gained and worst gap (middle world; 1 world in 20 above), harm, effort held back."""
    middle, high = _middle(out.worst_gap)
    return {
        "rule": out.rule.name, "doublings": round(float(np.median(out.gained)), 3),
        "worst_gap": round(middle, 3), "worst_gap_95": round(high, 3),
        "harm": round(float(out.harmed.mean()), 4), "held_back": round(float(out.waited.mean()), 4),
    }  # fmt: skip


class _Desk:
    """The desk at which versions are characterised in full, one at a time. ``known``: capability of the newest done."""

    def __init__(self, n: int, world: Drawn, rng: np.random.Generator) -> None:
        self.rng, self.latency = rng, world.latency
        self.known, self.started = np.zeros(n), np.zeros(n)  # capability of the version in flight
        self.fresh, self.older = np.zeros(n, np.int64), np.zeros(n, np.int64)  # live flaws: after it, and in it
        self.left = self._time(np.ones(n, np.bool_))

    def _time(self, which: Flags) -> Array:
        return np.asarray(self.latency[which] * np.exp(0.2 * self.rng.standard_normal(int(which.sum()))))

    @property
    def remaining(self) -> Array:
        """What a rule may count on: the usual time and a half, since nobody knows how long this one will take."""
        return 1.5 * np.minimum(self.left, self.latency)

    def advance(self, years: float, gained: Array) -> None:
        """Time passes; what is done makes its version known, finds nine of ten flaws in it, and the next begins."""
        self.left -= years
        done = self.left <= 0.0
        if not done.any():
            return
        self.known[done] = self.started[done]
        self.older[done] = self.rng.binomial(self.older[done], 0.1) + self.fresh[done]
        self.fresh[done] = 0
        self.started[done] = gained[done]
        self.left[done] = self._time(done)


def _gain(rng: np.random.Generator, mean: Array, share: Array, luck: float, jumps: float) -> Array:
    """Gain of one generation: a compound of successes, of which a smaller effort has fewer; now and then a jump."""
    shape = np.maximum(share / luck**2, 1e-9)
    gain = rng.standard_gamma(shape) * mean * luck**2
    jumped = rng.random(len(mean)) < jumps * share
    if jumped.any():
        gain[jumped] *= np.exp(rng.uniform(np.log(3.0), np.log(10.0), int(jumped.sum())))
    return np.where(share > 0.0, gain, 0.0)


def _learned(seen: Array, gain: Array, share: Array, weeks: float, misjudged: float, rng: np.random.Generator) -> Array:
    """The rules' running mean of gain per effort, in doublings a year, from gains measured to 0.1 doublings."""
    told = np.maximum(gain + 0.1 * rng.standard_normal(len(gain)), 0.0) * misjudged
    new = told / np.maximum(share * weeks * WEEK, 1e-9)
    weight = (1.0 - MEMORY) * np.sqrt(share)  # a small generation tells little
    told_of = np.where(share > 0.05, seen + weight * (new - seen), seen)
    return np.asarray(told_of * np.exp2(LARGEST_PHI * gain))  # faster by now, as far as the priors allow


def _middle(values: Array) -> tuple[float, float]:
    low, high = np.quantile(values, (0.5, 0.95))
    return float(low), float(high)


def _logs(rng: np.random.Generator, n: int, bounds: tuple[float, float]) -> Array:
    return np.exp(rng.uniform(np.log(bounds[0]), np.log(bounds[1]), n))


# -- stress -------------------------------------------------------------------------------------------------

STRESS: dict[str, World] = {
    "as given": World(),
    "speed judged half": World(misjudged=(0.5, 0.5)),
    "speed judged double": World(misjudged=(2.0, 2.0)),
    "jumps five times as often": World(jumps=(0.05, 0.05)),
    "no jumps": World(jumps=(0.0, 0.0)),
    "a gate that ages twice as fast": World(staleness=(2.0, 2.0)),
    "a gate that hardly ages": World(staleness=(16.0, 16.0)),
    "a generation a month": World(generation_weeks=(4.0, 4.0)),
}
"""Worlds in which what was invented is otherwise."""
