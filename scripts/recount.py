"""Make every verdict of an exported ledger again, with nothing but the standard library.

    festina ledger export FOLDER
    python scripts/recount.py FOLDER

For an auditor who wants to read, in an hour, all of the code that checks the numbers. It shares no line with the
package, and a test holds both against the same ledgers, in every mode. What it makes again, from the entries alone: the
level of every test, the evidence for the gain, every guard and every further verifier, the decision and its reason,
estimate, interval, units, items, and the error budget after every verdict. It also checks that each entry follows the
one before.

Not here, and in `festina ledger verify --verdicts`: signatures and the checkpoint (Ed25519 is not in the standard
library), the content beside the entries, the wording of sentences, the incumbent against itself, cross-play and
control arms, and whether a test that ended without a decision (a moved line, a spent budget, a fault) really did so.
"""

from __future__ import annotations

import base64
import copy
import hashlib
import json
import sys
from bisect import insort
from collections.abc import Callable, Iterator, Sequence
from datetime import datetime
from math import exp, fsum, log, sqrt
from pathlib import Path
from typing import Any

Body = dict[str, Any]

# -- the bets: stakes that start at a sum of 1, and are multiplied by 1 + risk * payoff ------------------

LOSSES = (4.0, 0.6, 0.05, 0.95, 2.0, 0.0)  # prior units, prior squares, patience, share, weight of losses, of wins
SQUARES = (4.0, 0.5, 0.1, 0.97, 1.0, 1.0)
#: version of the rule -> bet -> (aims as multiples of the effect, weights, how stakes are set)
FIRST: dict[str, tuple[tuple[float, ...], tuple[float, ...], tuple[float, ...]]] = {
    "gain": ((1.0, 2.0, 4.0), (0.5, 0.3, 0.2), LOSSES),
    "futility": ((1.0, 2.5), (0.7, 0.3), LOSSES),
    "guard": ((0.5, 1.0, 2.0), (0.2, 0.5, 0.3), LOSSES),
    "violation": ((1.0, 4.0), (0.5, 0.5), LOSSES),
}
SECOND = FIRST | {"futility": ((1.0, 4.0), (0.85, 0.15), SQUARES)}
RULES = {1: FIRST, 2: SECOND, 3: SECOND}
LEARNS = {3}  # these begin the goal's bets with the noise that the epoch's closed tests have shown
SLOPES, CLIP, SAMPLES = (0.6, 2.0), 20.0, 101


class Bounded:
    """A bet that payoffs of at least -worst have a positive mean."""

    def __init__(
        self, version: int, kind: str, effect: float, worst: float, noise: tuple[int, float] = (0, 0.0),
        aim: float = 0.0,
    ) -> None:  # fmt: skip
        aims, weights, self.tuning = RULES[version][kind]
        self.prior = self.tuning[:2]
        tests, squares = noise
        if tests:
            units = self.tuning[0] + min(16.0, 4.0 * tests)
            self.prior = (units, units * ((0.125 + squares) / (1.0 + tests) + aim * aim))
        self.effects = [effect * aim for aim in aims]
        self.stakes = list(weights)
        self.limit = self.tuning[3] / worst
        self.wealth, self.n, self.losses, self.squares, self.wins = 1.0, 0, 0.0, 0.0, 0.0

    def see(self, x: float) -> None:
        units, prior = self.prior
        _, _, patience, _, by_losses, by_wins = self.tuning
        size = 1.0 / (1.0 + patience * self.n)
        if self.losses > 0.0:
            size = max(size, self.squares / self.losses)
        spread = (prior + by_losses * self.squares + by_wins * self.wins) / (units + self.n)
        self.wealth = 0.0
        for i, effect in enumerate(self.effects):
            self.stakes[i] *= 1.0 + min(1.0 / (size + spread / effect), self.limit) * x
            self.wealth += self.stakes[i]
        if x < 0.0:
            self.losses -= x
            self.squares += x * x
        elif by_wins:
            self.wins += x * x
        self.n += 1

    def most(self, best: float) -> float:
        return 1.0 + self.limit * best


class Symmetric:
    """A bet that payoffs lie to the right of 0, against symmetry about a point that does not."""

    def __init__(self) -> None:
        self.stakes, self.wealth, self.sizes = [0.5, 0.5], 1.0, []  # type: list[float], float, list[float]

    def see(self, x: float) -> None:
        if x == 0.0:
            return
        z = standard(x, middle(self.sizes))
        self.wealth = 0.0
        for i, slope in enumerate(SLOPES):
            self.stakes[i] *= factor(slope * z)
            self.wealth += self.stakes[i]
        keep(self.sizes, abs(x))

    def most(self, best: float) -> float:
        return 2.0


def factor(u: float) -> float:
    return 1.0 + u / sqrt(1.0 + u * u)


def middle(ordered: Sequence[float]) -> float:
    return ordered[(len(ordered) - 1) // 2] if ordered else 0.0


def standard(x: float, scale: float) -> float:
    return max(-CLIP, min(CLIP, x / scale)) if scale != 0.0 else float((x > 0.0) - (x < 0.0))


def keep(sizes: list[float], size: float) -> None:
    if len(sizes) < SAMPLES and size > 0.0:
        insort(sizes, size)


# -- one test ------------------------------------------------------------------------------------------


class Test:
    """Bets in pairs, (shows, refutes): gain, guards, further verifiers. A pair rests once it has shown its point."""

    def __init__(self, epoch: Body, opened: Body, leaf: str) -> None:
        suite, level = epoch["suite"], opened["level"]
        self.opened, self.epoch, self.leaf = opened, epoch, leaf
        self.bounded = suite["low"] is not None and suite.get("test", "bounded") == "bounded"
        self.width = suite["high"] - suite["low"] if suite["low"] is not None else 1.0
        self.margin, self.detect = suite["margin"] / self.width, suite["detect"] / self.width
        self.proven, self.beta, self.most = 1.0 / level, epoch["beta"], opened["units_max"]
        version, improver = epoch.get("rule", 1), opened.get("target") == "productivity"
        self.learns = self.bounded and not improver
        self.tampering = [0, 0]  # attempts on the guards: the candidate's improver, and that in force
        self.losses = [g["max_loss"] / (g["high"] - g["low"]) for g in epoch["guards"]]
        self.judges = [
            (j["margin"] / (j["high"] - j["low"]), j["detect"] / (j["high"] - j["low"]))
            for j in epoch.get("judges", [])
            if j["role"] == "decide" and not improver
        ]
        if improver:  # the task itself and conduct follow the declared guards
            terms = epoch["productivity"]
            self.margin, self.detect = 0.0, terms["detect"] / self.width
            self.losses += [terms["max_loss"] / self.width] * (2 if terms.get("anchored") else 1) + [terms["conduct"]]

        def better(margin: float, detect: float, noise: tuple[int, float] = (0, 0.0)) -> tuple[Any, Any]:
            effect = detect - margin
            return (
                Bounded(version, "gain", effect, 1.0 + margin, noise, margin),
                Bounded(version, "futility", effect, 1.0 - detect, noise, detect),
            )

        known = (opened.get("noise_tests", 0), opened.get("noise_squares", 0.0)) if version in LEARNS else (0, 0.0)
        self.gain = better(self.margin, self.detect, known) if self.bounded else (Symmetric(), Symmetric())
        self.guards = [
            (Bounded(version, "guard", x, 1.0 - x), Bounded(version, "violation", x, 1.0 + x)) for x in self.losses
        ]
        self.further = [better(*aim) for aim in self.judges]
        self.units, self.outcome, self.items, self.gains = 0, "continue", 0, []  # type: int, str, int, list[float]

    def batch(self, ended: Body) -> None:
        roles = [judge["role"] for judge in self.epoch.get("judges", [])] if ended.get("judges") else []
        self.tampering = [a + b for a, b in zip(self.tampering, ended.get("tampering", (0, 0)), strict=True)]
        deciding = [s for s, role in zip(ended.get("judges", []), roles, strict=True) if role == "decide"]
        for i, gain in enumerate(ended["gain"]):
            if self.outcome == "continue":
                self.see(gain, [g[i] for g in ended["guards"]], [j[i] for j in deciding])
        self.gains += ended["gain"]

    def see(self, gain: float, guards: list[float], judges: list[float]) -> None:
        rows = [(self.gain, gain - self.margin, self.detect - gain)]
        rows += [(p, x + loss, -loss - x) for p, x, loss in zip(self.guards, guards, self.losses, strict=True)]
        rows += [(p, x - a, b - x) for p, x, (a, b) in zip(self.further, judges, self.judges, strict=True)]
        for (shows, refutes), up, down in rows:
            if shows.wealth < self.proven:
                shows.see(up)
                refutes.see(down)
        self.units += 1
        self.outcome = self.decide()

    def decide(self) -> str:
        best = [1.0 - self.margin, *(1.0 + loss for loss in self.losses), *(1.0 - a for a, _ in self.judges)]
        pairs = [self.gain, *self.guards, *self.further]
        missing = [(p[0], b) for p, b in zip(pairs, best, strict=True) if p[0].wealth < self.proven]
        if not missing:
            return "accept"
        if any(p[1].wealth >= len(self.guards) / self.beta for p in self.guards):
            return "guard"
        if self.gain[0].wealth < self.proven and self.gain[1].wealth >= 1.0 / self.beta:
            return "futile"
        refuted = len(self.further) / self.beta
        if any(p[0].wealth < self.proven and p[1].wealth >= refuted for p in self.further):
            return "judge"
        left = self.most - self.units
        return "continue" if all(self.reachable(bet, b, left) for bet, b in missing) else "cap"

    def reachable(self, bet: Any, best: float, left: int) -> bool:  # noqa: ANN401 - one of the two kinds of bet
        wealth, most = bet.wealth, bet.most(best)
        for _ in range(left):
            wealth *= most
            if wealth >= self.proven:
                return True
        return False

    @property
    def refund(self) -> float:
        return min(1.0, *(pair[0].wealth for pair in (self.gain, *self.guards, *self.further)))

    def numbers(self, word: str) -> Body:
        """What a verdict says about the differences."""
        around = interval(self.gains, self.bounded) if self.gains else None
        middle_ = estimate(self.gains, self.bounded) if self.gains else None
        if around is not None and middle_ is not None and word == "accept":
            around = (min(max(around[0], self.margin), middle_), around[1])
        return {
            "units": len(self.gains), "items": self.items,
            "estimate": None if middle_ is None else middle_ * self.width,
            "interval": None if around is None else [around[0] * self.width, around[1] * self.width],
            "log_evidence": rounded(self.gain[0].wealth), "log_threshold": rounded(self.proven),
            "guard_evidence": [rounded(p[0].wealth) for p in self.guards],
            "judge_evidence": [rounded(p[0].wealth) for p in self.further],
        }  # fmt: skip


def rounded(wealth: float) -> float:
    return round(log(wealth), 9) if wealth > 1e-304 else -700.0


# -- estimate and interval -----------------------------------------------------------------------------

OUTSIDE, NATS, STEPS = 40.0, 3.6888794541139363, 26
HORIZONS = ((200.0, 0.8), (2000.0, 0.2))


def estimate(gains: Sequence[float], bounded: bool) -> float:
    if not bounded:
        ordered, half = sorted(gains), len(gains) // 2
        return ordered[half] if len(ordered) % 2 else 0.5 * ordered[half - 1] + 0.5 * ordered[half]
    total = 0.0
    for gain in gains:
        total += gain
    return total / len(gains)


def interval(gains: Sequence[float], bounded: bool) -> tuple[float, float] | None:
    """Means (or centres) that bets of 1:40 on either side could not put outside."""
    center, turned = estimate(gains, bounded), [-gain for gain in gains]
    if bounded:
        plans = stakes(gains)
        return bounded_below(gains, plans, center), -bounded_below(turned, plans, -center)
    if len(gains) < 6:
        return None
    scales = distances(gains)
    low, high = symmetric_below(gains, scales, center), symmetric_below(turned, scales, -center)
    return None if low is None or high is None else (low, -high)


def stakes(gains: Sequence[float]) -> list[list[float]]:
    plans: list[list[float]] = [[] for _ in HORIZONS]
    total, squares = 0.0, 4.0 * 0.05
    for n, gain in enumerate(gains):
        for plan, (horizon, _) in zip(plans, HORIZONS, strict=True):
            plan.append(sqrt(2.0 * NATS / (squares / (4.0 + n) * max(n + 1.0, horizon))))
        squares += (gain - total / (n + 1)) * (gain - total / (n + 1))
        total += gain
    return plans


def bounded_below(gains: Sequence[float], plans: list[list[float]], center: float) -> float:
    def outside(mean: float) -> bool:
        wealth = [share for _, share in HORIZONS]
        for i, gain in enumerate(gains):
            total = 0.0
            for j, plan in enumerate(plans):
                wealth[j] *= 1.0 + min(plan[i], 0.95 / (1.0 + mean)) * (gain - mean)
                total += wealth[j]
            if total >= OUTSIDE:
                return True
        return False

    low, high = -1.0, center
    for _ in range(STEPS):
        mean = 0.5 * (low + high)
        low, high = (mean, high) if mean > -1.0 and outside(mean) else (low, mean)
    return low


def distances(gains: Sequence[float]) -> list[float]:
    scales: list[float] = []
    sizes: list[float] = []
    ordered: list[float] = []
    for gain in gains:
        scales.append(middle(sizes))
        if ordered:
            keep(sizes, abs(gain - middle(ordered)))
        insort(ordered, gain)
    return scales


def symmetric_below(gains: Sequence[float], scales: list[float], center: float) -> float | None:
    def outside(point: float) -> bool:
        wealth = [0.5, 0.5]
        for gain, scale in zip(gains, scales, strict=True):
            z = standard(gain - point, scale)
            wealth = [w * factor(slope * z) for w, slope in zip(wealth, SLOPES, strict=True)]
            if wealth[0] + wealth[1] >= OUTSIDE:
                return True
        return False

    size = scales[-1] or max(abs(gain) for gain in gains)
    step = size * 1e-3 if size > 0.0 else 1.0
    for _ in range(60):
        if outside(center - step):
            break
        step *= 2.0
    else:
        return None
    low, high = center - step, center
    for _ in range(STEPS):
        point = 0.5 * (low + high)
        low, high = (point, high) if outside(point) else (low, point)
    return low


# -- the error budget ----------------------------------------------------------------------------------


def share(index: int) -> float:
    return 20.0 / ((index + 20) * (index + 21))


def slot_nats(slots: int) -> float:
    return -log(63.0 / 64.0 if slots == 1 else (1.0 - 63.0 / 64.0) / (slots * (slots - 1.0)))


class Familywise:
    """Fresh items: a slice for each test, all of it back on acceptance, what was not used otherwise."""

    shared = False

    def __init__(self, alpha: float, spread: float) -> None:
        self.alpha, self.spread, self.free, self.used, self.held = alpha, spread, alpha, 0.0, {}  # type: ignore[var-annotated]

    def level(self) -> float:
        return self.free / (self.spread + 1.0 + self.used)

    def open(self, test: int, level: float) -> None:
        self.free -= level
        self.held[test] = level

    def close(self, test: int, accepted: bool, refund: float) -> float:
        """What the test has cost."""
        level = self.held.pop(test)
        self.free = min(self.free + level * (1.0 if accepted else refund), self.alpha)
        self.used += 0.0 if accepted else 1.0 - refund
        return 0.0 if accepted else level * (1.0 - refund)

    def spent(self) -> float:
        return max(0.0, self.alpha - self.free - fsum(self.held.values()))


class Share(Familywise):
    """Fresh items, the share of wrong ones among the accepted: levels grow with acceptances."""

    def __init__(self, alpha: float, spread: float) -> None:
        super().__init__(alpha, spread)
        self.gone, self.accepts, self.charges = 0.0, 0, {}  # type: float, int, dict[int, float]

    def slice(self) -> tuple[float, float]:
        left = max(0.0, self.alpha - self.gone - fsum(self.charges.values()))
        charge, count = left / (self.spread + 1.0 + self.used), self.accepts + 1.0
        level = min(charge * count, self.alpha)
        while level in self.held.values():
            level *= 0.999
        return level, min(charge, level / count)

    def level(self) -> float:
        return self.slice()[0]

    def open(self, test: int, level: float) -> None:
        self.charges[test] = self.slice()[1]
        self.held[test] = level

    def close(self, test: int, accepted: bool, refund: float) -> float:
        del self.held[test]
        back = 0.0 if accepted else refund
        cost = self.charges.pop(test) * (1.0 - back)
        self.gone, self.used = min(self.gone + cost, self.alpha), self.used + (1.0 - back)
        self.accepts += accepted
        return cost

    def spent(self) -> float:
        return self.gone


class Sealed(Familywise):
    """Blocks that candidates share until one is accepted."""

    shared = True

    def __init__(self, alpha: float, block: int = 0) -> None:
        self.alpha, self.block, self.index, self.nats, self.held = alpha, block, 0, 0.0, {}

    def level(self) -> float:
        k = self.block
        return 5.0 * self.alpha / ((k + 5) * (k + 6)) * share(self.index) * exp(-self.nats)

    def open(self, test: int, level: float) -> None:
        self.held[test] = level

    def close(self, test: int, accepted: bool, refund: float) -> float:
        level = float(self.held.pop(test))
        self.index += 1
        if accepted or self.index >= 40:
            self.retire()
        return level

    def told(self, slots: int) -> None:
        self.nats += slot_nats(slots) if self.index > 0 else 0.0

    def retire(self) -> None:
        if self.index > 0:
            self.block, self.index, self.nats = self.block + 1, 0, 0.0

    def spent(self) -> float:
        k, j = self.block, self.index
        return self.alpha * k / (k + 5) + 5.0 * self.alpha / ((k + 5) * (k + 6)) * j / (j + 20)


class Answers(Sealed):
    """One block for ever: each answer costs its code length."""

    def __init__(self, alpha: float) -> None:
        super().__init__(alpha)
        self.accepts, self.refusals, self.gone = 0, 0, 0.0

    def level(self) -> float:
        return self.alpha * share(self.accepts + self.refusals) * exp(-self.nats)

    def close(self, test: int, accepted: bool, refund: float) -> float:
        level = float(self.held.pop(test))
        chance = (1 + self.accepts if accepted else 19 + self.refusals) / (20 + self.accepts + self.refusals)
        self.accepts, self.refusals = self.accepts + accepted, self.refusals + (not accepted)
        self.nats, self.gone = self.nats - log(chance), self.gone + level
        return level

    def told(self, slots: int) -> None:
        self.nats += slot_nats(slots)

    def retire(self) -> None:
        return

    def spent(self) -> float:
        return self.gone


# -- the ledger ----------------------------------------------------------------------------------------


class Audit:
    """One pass over the entries. ``wrong`` gathers what is not what it should be."""

    def __init__(self) -> None:
        self.wrong: list[str] = []
        self.epoch: Body = {}
        self.budget: Any = None
        self.noise = (0, 0.0)  # closed tests of the epoch with units enough, and the sum of their mean squares
        self.tests: dict[int, Test] = {}
        self.before: dict[int, Any] = {}  # budgets as they were when a test opened
        self.undo: tuple[int, Any] | None = None
        self.blocks: dict[str, Any] = {}  # by source: what a block that stays was told
        self.level, self.run_at, self.word_from, self.cause, self.verdicts = 0, "", "", "", 0

    def differ(self, seq: int, kind: str, body: Body, wanted: Body) -> None:
        for name, value in wanted.items():
            if json.dumps(body.get(name)) != json.dumps(value):
                said = f"{name} is {body.get(name)}, and the entries before give {value}"
                self.wrong.append(f"entry {seq}, {kind}: {said}")

    def see(self, seq: int, kind: str, at: str, leaf: str, b: Body) -> None:
        take: Callable[..., None] | None = getattr(self, "on_" + kind.replace("-", "_"), None)
        if take is not None:
            take(seq, at, leaf, b)

    def on_epoch_opened(self, seq: int, at: str, leaf: str, b: Body) -> None:
        for test in self.tests:
            if isinstance(self.budget, Answers):
                self.budget.close(test, False, 0.0)
        self.tests, self.undo, self.word_from, self.epoch, self.noise = {}, None, "", b, (0, 0.0)
        mode, source = b["suite"]["mode"], b["suite"]["source"] or ""
        if mode == "sealed":
            self.budget = Sealed(b["alpha"])
        elif mode == "ledger":
            self.budget = self.blocks.get(source) or Answers(b["alpha"])
            self.budget.alpha, self.budget.gone, self.budget.held = b["alpha"], 0.0, {}
        else:
            self.budget = (Share if b.get("error") == "fdr" else Familywise)(b["alpha"], b["spread"])

    def on_run_started(self, seq: int, at: str, leaf: str, b: Body) -> None:
        self.level, self.run_at = b["sandbox_level"], at

    def on_proposal_requested(self, seq: int, at: str, leaf: str, b: Body) -> None:
        """On shared items the time of a word is paid for: whole slots since the test opened."""
        if b["attempt"] != 1:
            return
        if self.word_from and self.budget.shared:
            slots, every = 1, self.epoch["suite"].get("word_every_s", 0.0)
            if self.word_from >= self.run_at and every > 0:
                passed = datetime.fromisoformat(at) - datetime.fromisoformat(self.word_from)
                slots = max(1, int(passed.total_seconds() // every))
            self.budget.told(slots)
        self.word_from = ""

    on_try_started = on_proposal_requested

    def on_test_opened(self, seq: int, at: str, leaf: str, b: Body) -> None:
        level = self.budget.level()
        near = abs(level - b["level"]) <= 1e-12 * level  # an exponential may be rounded differently elsewhere
        self.differ(seq, "test-opened", b, {"level": b["level"] if self.budget.shared and near else level})
        if self.epoch.get("rule", 1) in LEARNS:
            tests, squares = self.noise if b.get("target", "gain") == "gain" else (0, 0.0)
            self.differ(seq, "test-opened", b, {"noise_tests": tests, "noise_squares": squares})
        self.before[b["test"]] = copy.deepcopy(self.budget)
        self.budget.open(b["test"], b["level"])
        self.tests[b["test"]] = Test(self.epoch, b, leaf)
        self.undo = None
        if self.budget.shared:
            self.word_from = at
        if isinstance(self.budget, Answers):
            self.blocks[self.epoch["suite"]["source"] or ""] = self.budget

    def on_batch_started(self, seq: int, at: str, leaf: str, b: Body) -> None:
        test = self.tests[b["test"]]
        test.items += b["items"]
        drawn = [f"festina-unit-seed:{test.leaf}:{b['batch']}:{i}".encode() for i in range(b["units"])]
        seeds = [int.from_bytes(hashlib.sha256(each).digest()[:8], "big") >> 1 for each in drawn]
        text = json.dumps(seeds, separators=(",", ":")).encode()
        self.differ(seq, "batch-started", b, {"seeds": hashlib.sha256(text).hexdigest()})

    def on_batch_ended(self, seq: int, at: str, leaf: str, b: Body) -> None:
        self.tests[b["test"]].batch(b)

    def on_verdict(self, seq: int, at: str, leaf: str, b: Body) -> None:
        test, before = self.tests.pop(b["test"]), self.before.pop(b["test"])
        ends = {"accept": ("accept", "shown"), "cap": ("inconclusive", "cap")}
        ends |= {reason: ("reject", reason) for reason in ("futile", "guard", "judge")}
        ended = "guard" if test.tampering[0] > test.tampering[1] and b["reason"] == "guard" else test.outcome
        said, given = (b["verdict"], b["reason"]), ends.get(ended)
        if said != given and (b["verdict"] != "inconclusive" or b["reason"] in ("cap", "shown", "futile", "guard")):
            self.wrong.append(f"entry {seq}, verdict: it says {said}, and the evidence gives {given or 'no decision'}")
        accepted = b["verdict"] == "accept"
        self.undo = (b["proposal"], self.without(b["test"], test.opened["level"], before))
        cost = self.budget.close(b["test"], accepted, 0.0 if accepted else test.refund)
        wanted = test.numbers(b["verdict"]) | {
            "alpha_spent": cost, "alpha_left": self.budget.alpha - self.budget.spent(), "tree": test.opened["tree"],
            "provisional": min(self.level, self.epoch["min_level"]) < 2,
        }  # fmt: skip
        self.differ(seq, "verdict", b, {k: v for k, v in wanted.items() if k in b or k != "judge_evidence"})
        self.verdicts += 1
        if self.epoch.get("rule", 1) in LEARNS and test.learns and not self.budget.shared and len(test.gains) >= 10:
            total = 0.0
            for gain in test.gains:
                total += gain * gain
            self.noise = (self.noise[0] + 1, self.noise[1] + total / len(test.gains))

    def without(self, test: int, level: float, before: Any) -> Any:  # noqa: ANN401 - one of four kinds
        """The budget as if this open test had never been: what a planted change leaves behind."""
        again, now = copy.deepcopy(before), copy.deepcopy(self.budget)
        again.open(test, level)
        if vars(again) == vars(now):
            return before
        now.close(test, False, 1.0)  # others were opened or closed meanwhile
        return now

    def on_plant_revealed(self, seq: int, at: str, leaf: str, b: Body) -> None:
        if self.undo is not None and self.undo[0] == b["proposal"]:
            self.budget = self.undo[1]
            if isinstance(self.budget, Answers):
                self.blocks[self.epoch["suite"]["source"] or ""] = self.budget
        self.undo = None

    def on_line_intent(self, seq: int, at: str, leaf: str, b: Body) -> None:
        self.cause = b["cause"]

    def on_line_moved(self, seq: int, at: str, leaf: str, b: Body) -> None:
        if self.cause in ("denial", "rollback") and self.budget.shared and not self.budget.held:
            self.budget.retire()


def entries(folder: Path) -> Iterator[tuple[int, str, str, str, Body]]:
    """(number, kind, time, leaf hash, body); each must name the hash of the one before."""
    before = "0" * 64
    for seq, line in enumerate((folder / "entries.jsonl").read_bytes().splitlines()):
        statement = json.loads(base64.b64decode(json.loads(line)["payload"]))
        predicate = statement["predicate"]
        if (predicate["seq"], predicate["prev"]) != (seq, before):
            sys.exit(f"entry {seq} does not follow the one before it")
        before = hashlib.sha256(b"\0" + line).hexdigest()
        yield seq, statement["predicateType"].split(":")[3], predicate["at"], before, predicate["body"]


def audit(folder: Path) -> Audit:
    found = Audit()
    for entry in entries(folder):
        found.see(*entry)
    return found


if __name__ == "__main__":
    if len(sys.argv) != 2 or not (Path(sys.argv[1]) / "entries.jsonl").is_file():
        sys.exit("usage: recount.py FOLDER, where FOLDER was written by: festina ledger export FOLDER")
    result = audit(Path(sys.argv[1]))
    for text in result.wrong:
        sys.stdout.write(f"WRONG {text}\n")
    sys.stdout.write(f"{result.verdicts} verdicts made again, {len(result.wrong)} numbers are others\n")
    sys.exit(6 if result.wrong else 0)
