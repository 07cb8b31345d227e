"""The gate against a stronger proposer: more probes, better attackers, leaked items, harm that hides in a guard."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial

import numpy as np

from acceptance import attack, attackers
from acceptance.frame import ALPHA
from acceptance.runs import Fresh
from festina.select import Plan
from festina.select.report import interval
from festina.select.vector import gate
from oversight.frame import Ladder, Rung, stream

DETECT, CAP = 0.05, 4000
FIRST = ALPHA / 51  # level of a ledger's first test
CHANGE = 0.2  # share of items that two versions answer differently
PUBLIC = 200  # items


def plan(guards: tuple[float, ...] = (), cap: int = CAP) -> Plan:
    return Plan("bounded", FIRST, 0.0, DETECT, 0.1, guards, cap)


def ternary(rng: np.random.Generator, means: np.ndarray, n: int) -> np.ndarray:
    """Right-or-wrong differences with these true means: len(means) x n."""
    u = rng.random((len(means), n))
    up, down = (CHANGE + means[:, None]) / 2, (CHANGE - means[:, None]) / 2
    return np.where(u < up, 1.0, np.where(u > 1.0 - down, -1.0, 0.0))


def public(runs: int, *, hidden: bool) -> Iterator[Rung]:
    """Of so many candidates (true gains -.03 +- .02) the best on public items is handed in, ten times a ledger."""
    for probes in (1, 10, 100, 1_000, 10_000, 100_000):
        rng, levels = stream("public", probes), Fresh(runs)
        worse = caught = better = kept = 0
        for _ in range(10):
            true = _best(rng, probes, runs)
            if hidden:
                opened, draws = levels.open(), ternary(rng, true, CAP)
                ends = gate(plan(), opened, draws, noise=levels.noise)
                accepted = ends.outcome == "accept"
                levels.close(opened, accepted, ends.refund, np.ones(runs, dtype=np.int64))
            else:
                accepted = np.ones(runs, dtype=bool) if probes > 1 else rng.random(runs) < 0.5
            bad = true <= 0.0
            worse, caught = worse + int(bad.sum()), caught + int((bad & ~accepted).sum())
            better, kept = better + int((~bad).sum()), kept + int((~bad & accepted).sum())
        yield Rung(f"{probes:,}", caught, worse, {"really better": better / (10 * runs)})


def _best(rng: np.random.Generator, probes: int, runs: int) -> np.ndarray:
    """True gains of what looks best in public. Of many, the largest score is drawn as such, then the truth given it."""
    spread, noise = 0.02, (CHANGE / PUBLIC) ** 0.5
    total = (spread**2 + noise**2) ** 0.5
    top = _top(rng, probes, runs)
    score = -0.03 + total * top
    weight = spread**2 / total**2
    return -0.03 + weight * (score + 0.03) + (spread * noise / total) * rng.standard_normal(runs)


def _top(rng: np.random.Generator, probes: int, runs: int) -> np.ndarray:
    """The largest of so many normal numbers, by its own law."""
    from statistics import NormalDist

    inverse = NormalDist().inv_cdf
    return np.array([inverse(u ** (1.0 / probes)) for u in rng.random(runs)])


@contextmanager
def _probes(count: int) -> Iterator[None]:
    """The boosting attacker with another number of probes, and nine votes for ten of them."""
    before = attackers.PROBES, attackers.VOTES, attackers.Boost.proposals
    attackers.PROBES, attackers.VOTES = count, max(1, 9 * count // 10)
    attackers.Boost.proposals = attackers.PROBES + attackers.VOTES + attackers.GAINS
    try:
        yield
    finally:
        attackers.PROBES, attackers.VOTES, attackers.Boost.proposals = before


def shared(runs: int, *, name: str) -> Iterator[Rung]:
    """Boosting on answers of the gate: ledgers without a wrong acceptance, by the number of probes."""
    door = next(each for each in attack.GATES if each.name == name)
    for count in (10, 30, 100, 300):
        with _probes(count):
            fought = attack.fight(door, "boost", max(20, runs // 8), 500)
        wrong = int(fought.wrong.sum())
        gain = float(fought.gain.mean())
        yield Rung(f"{count}", len(fought.wrong) - wrong, len(fought.wrong), {"true gain of .80": gain})


def attacked(runs: int, *, names: Sequence[str]) -> Iterator[Rung]:
    """Better and better attackers on one block of 500 items."""
    labels = ("climbs the verdicts", "hands in near copies", "boosts on verdicts", "boosts on their time")
    for label, kind, name in zip(labels, ("climb", "duplicates", "boost", "boost"), names, strict=True):
        door = next(each for each in attack.GATES if each.name == name)
        fought = attack.fight(door, kind, max(20, runs // 8), 500)
        wrong = int(fought.wrong.sum())
        yield Rung(label, len(fought.wrong) - wrong, len(fought.wrong))


def leaked(runs: int, *, final: bool) -> Iterator[Rung]:
    """Truly .02 worse, and it knows a share of the hidden file by heart (the incumbent solves half)."""
    for share in (0.0, 0.02, 0.05, 0.1, 0.15, 0.2, 0.4):
        rng, n = stream("leak", share), 20
        known = rng.random((runs, 600, n)) < share
        fair = ternary(rng, np.full(runs * 600, -0.02), n).reshape(runs, 600, n)
        gains = np.where(known, rng.random((runs, 600, n)) < 0.5, fair).mean(2)
        accepted = gate(plan(cap=600), np.full(runs, FIRST), gains).outcome == "accept"
        if final:
            accepted &= ~np.array([_contradicts(rng) if each else True for each in accepted])
        yield Rung(f"{share:.0%}", int((~accepted).sum()), runs)


def _contradicts(rng: np.random.Generator) -> bool:
    """The sealed final suite: 100 units of 40 items of its own, truly .02 worse."""
    around = interval(list(ternary(rng, np.full(100, -0.02), 40).mean(1)))
    assert around is not None
    return around[1] < 0.0


def harm(runs: int, *, rare: bool) -> Iterator[Rung]:
    """A real gain of .1 with a loss in a guard of so many times its margin (.05): even, or in a few units all."""
    for times in (4.0, 2.0, 1.5, 1.2, 1.0, 0.9, 0.75, 0.5):
        rng, loss = stream("harm", times, rare), 0.05 * times
        gains = np.clip(rng.normal(0.1, 0.1, (runs, 2000)), -1, 1)
        even = np.clip(rng.normal(-loss, 0.1, (runs, 2000)), -1, 1)
        guard = np.where(rng.random((runs, 2000)) < loss, -1.0, 0.0) if rare else even
        ends = gate(plan((0.05,), 2000), np.full(runs, FIRST), gains, (guard,))
        yield Rung(f"{times:g} margins", int((ends.outcome != "accept").sum()), runs)


SEALED_ON = (attack.SEALED, attack.SEALED, attack.SEALED, "Festina, sealed, short slots")
LEDGER_ON = ("Festina, ledger", "Festina, ledger", "Festina, ledger", "Festina, ledger, short slots")
WRONG_ON = (attack.KEEP, attack.KEEP, attack.KEEP, attack.KEEP)
PROBES, LEARN = "probes of the public evidence", "probes that learn from the gate's answers"
LEAKED, LEDGERS = "share of the file that leaked", "95 % of ledgers"
LADDERS = (
    Ladder("public-keep", "none: what looks better in public is kept", PROBES, partial(public, hidden=False)),
    Ladder("public", "gate on fresh hidden items", PROBES, partial(public, hidden=True), LEDGERS),
    Ladder("shared-mistake", "MISTAKE: fresh items' rule on one holdout, scores shown", LEARN,
           partial(shared, name=attack.MISTAKE)),
    Ladder("shared-sealed", "gate on sealed blocks, words alone", LEARN, partial(shared, name=attack.SEALED), LEDGERS),
    Ladder("attackers-keep", "none: keep if better on one holdout", "attackers", partial(attacked, names=WRONG_ON)),
    Ladder("attackers-sealed", "gate on sealed blocks", "attackers", partial(attacked, names=SEALED_ON), LEDGERS),
    Ladder("attackers-ledger", "gate on one block with its ledger of answers", "attackers",
           partial(attacked, names=LEDGER_ON), LEDGERS),
    Ladder("leak", "gate on a hidden file", LEAKED, partial(leaked, final=False)),
    Ladder("leak-final", "the same, then a sealed final suite", LEAKED, partial(leaked, final=True)),
    Ladder("harm-even", "guard of the gate", "smaller harm", partial(harm, rare=False), "95 % down to 1 margin"),
    Ladder("harm-rare", "guard of the gate", "rarer disaster", partial(harm, rare=True), "95 % down to 1 margin"),
)  # fmt: skip
