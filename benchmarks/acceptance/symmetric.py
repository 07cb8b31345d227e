"""The rule for few seeds without a declared range: errors where its own assumption holds, and its power beside others.

Its null is another one: the difference is symmetric about some point that is not positive. That is exact when a change
does nothing, since then the two sides are exchangeable.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from math import log

import numpy as np

from acceptance.frame import ALPHA, Array, Column, Goal, Job, Row, Size, Table, Tables, numbers, stream, upper_limit
from acceptance.peers import t_quantile
from acceptance.runs import Fresh, close, plan_of
from festina.select.vector import gate

SEEDS = 40
LEVEL = 1e-3
FIXED = 20  # seeds of the t-test
Shape = tuple[int, int]


@dataclass(frozen=True, slots=True)
class Noise:
    name: str
    draw: Callable[[np.random.Generator, Shape], Array]


def _bimodal(rng: np.random.Generator, shape: Shape) -> Array:
    return rng.choice((-1.0, 1.0), shape) * rng.normal(1.0, 0.1, shape)


def _pairs(rng: np.random.Generator, shape: Shape) -> Array:
    """Two runs of the same skewed, heavy-tailed recipe."""
    return rng.lognormal(0.0, 1.5, shape) - rng.lognormal(0.0, 1.5, shape)


def _signs(rng: np.random.Generator, shape: Shape) -> Array:
    return rng.choice((-1.0, 1.0), shape)


NOISES = (
    Noise("Gaussian", lambda rng, shape: rng.normal(0.0, 1.0, shape)),
    Noise("t, 3 degrees", lambda rng, shape: rng.standard_t(3, shape)),
    Noise("Laplace", lambda rng, shape: rng.laplace(0.0, 1.0, shape)),
    Noise("two peaks", _bimodal),
    Noise("pairs of a skewed law", _pairs),
    Noise("-1 or 1", _signs),
    Noise("Gaussian, worse by 0.2", lambda rng, shape: rng.normal(-0.2, 1.0, shape)),
)


def errors(index: int, size: Size) -> list[Row]:
    """Runs in which nothing is better: any acceptance is wrong."""
    noise, levels, hit = NOISES[index], Fresh(size.runs), np.zeros(size.runs, dtype=bool)
    for t in range(size.proposals):
        opened = levels.open()
        draws = noise.draw(stream("symmetric", noise.name, t), (size.runs, SEEDS))
        hit |= close(levels, opened, gate(plan_of(0.0, SEEDS, symmetric=True), opened, draws), draws, SEEDS)
        if t + 1 == size.short:
            early = int(hit.sum())
    pairs = [(size.short, early), (size.proposals, int(hit.sum()))]
    limits = [upper_limit(hits, size.runs) for _, hits in pairs]
    return [
        {
            "noise": noise.name, "runs": size.runs, "proposals": " / ".join(f"{n:,}" for n, _ in pairs),
            "wrong": " / ".join(f"{hits / size.runs:.4f}" for _, hits in pairs),
            "limits": " / ".join(f"{limit:.4f}" for limit in limits), "worst": max(limits),
        }
    ]  # fmt: skip


# ---- power ---------------------------------------------------------------------------------------------------


def power(effect: float, tests: int) -> list[Row]:
    """D is normal with mean ``effect`` standard deviations; every rule at the same level on the same draws."""
    draws = stream("few seeds", int(100 * effect)).normal(effect, 1.0, (tests, SEEDS))
    ends = gate(plan_of(0.0, SEEDS, level=LEVEL, symmetric=True), np.full(tests, LEVEL), draws)
    ours = np.where(ends.outcome == "accept", ends.units, SEEDS + 1)
    head = draws[:, :FIXED]
    t = head.mean(1) / (head.std(1, ddof=1) / FIXED**0.5) > t_quantile(LEVEL, FIXED - 1)
    rows: list[Row] = []
    for name, first in (
        ("Festina, symmetric", ours),
        ("Gaussian-t e-process", first_crossing(t_evidence(draws))),
        ("sign e-process", first_crossing(sign_evidence(draws))),
        (f"t-test, {FIXED} seeds fixed before", np.where(t, FIXED, SEEDS + 1)),
    ):
        found = first <= SEEDS
        rows.append(
            {
                "effect": effect, "rule": name, "tests": tests, "found": float(found.mean()),
                "seeds": float(first[found].mean()) if found.any() else None,
            }
        )  # fmt: skip
    return rows


def first_crossing(logs: Array) -> Array:
    """The seed at which each row first reaches the level, else one more than there are."""
    over = logs >= log(1.0 / LEVEL)
    return np.where(over.any(1), over.argmax(1) + 1, logs.shape[1] + 1)


def t_evidence(draws: Array, effects: tuple[float, ...] = (0.5, 1.0, 2.0)) -> Array:
    """Likelihood ratio of the t statistic for standardised effects against none, evenly mixed; log, after each seed.

    With the right Haar prior on the scale it is E[exp(d r W)] exp(-n d^2/2) over W of a chi law with n degrees, where r
    is the sum over the root of the sum of squares.
    """
    n = np.arange(1, draws.shape[1] + 1)
    r = np.cumsum(draws, 1) / np.sqrt(np.cumsum(draws**2, 1))
    w = np.linspace(0.01, 14.0, 700)
    found = np.empty_like(draws)
    for i in range(draws.shape[1]):
        logs = (n[i] - 1) * np.log(w) - 0.5 * w * w
        weights = np.exp(logs - logs.max())
        weights /= weights.sum()
        mixed = np.zeros(len(draws))
        for d in effects:
            mixed += np.exp(np.minimum(np.outer(r[:, i], d * w), 600.0)) @ weights * np.exp(-n[i] * d * d / 2)
        found[:, i] = np.log(np.maximum(mixed / len(effects), 1e-300))
    return found


def sign_evidence(draws: Array, chances: tuple[float, ...] = (0.6, 0.75, 0.9, 0.98)) -> Array:
    """Of the signs alone, against a fair coin: chances of a win evenly mixed; log, after each seed."""
    wins = np.cumsum(draws > 0, 1)
    losses = np.arange(1, draws.shape[1] + 1) - wins
    each = [np.exp(wins * log(2 * p) + losses * log(2 * (1 - p))) for p in chances]
    return np.log(np.mean(each, axis=0))


TABLES = (
    Table(
        "symmetric",
        "Few seeds: runs in which nothing is better",
        "The symmetric kind (unit `seed` without a range), at most 40 seeds a test. Its null is that the difference is "
        "symmetric about a point that is not positive.",
        (
            Column("noise", "difference"), Column("runs", "runs", ",d"), Column("proposals", "proposals"),
            Column("wrong", "runs with an acceptance"), Column("limits", "99 % limit"),
        ),
    ),
    Table(
        "seeds",
        "Few seeds: power",
        "Normal differences with a mean of so many standard deviations, level 0.001, at most 40 seeds. Peers are "
        "written from their formulas. No rule that assumes only a range of 100 standard deviations accepts any "
        "of these.",
        (
            Column("effect", "effect", ".2g"), Column("rule", "rule"), Column("tests", "tests", ",d"),
            Column("found", "found", ".3f"), Column("seeds", "seeds when found", ".1f"),
        ),
    ),
)  # fmt: skip


def jobs(size: Size) -> list[Job]:
    kinds = range(1 if size.name == "tiny" else len(NOISES))
    return [
        *(Job("symmetric", partial(errors, index, size), 50) for index in kinds),
        *(Job("seeds", partial(power, effect, size.tests), 5) for effect in (0.5, 1.0, 2.0)),
    ]


def goals(tables: Tables) -> list[Goal]:
    ours = next(row for row in tables["seeds"] if row["effect"] == 1.0)
    return [
        Goal("few seeds: runs with a wrong acceptance, 99 % limit", max(numbers(tables["symmetric"], "worst")), ALPHA,
             at_most=True),
        Goal("few seeds: found at one standard deviation", numbers([ours], "found")[0], 0.9),
    ]  # fmt: skip
