"""The other claim, ``error = "fdr"``: of all that is accepted, the mean share of wrong ones is at most alpha.

Gains are mixed with candidates that are bad in the way that costs the rule most. The familywise rule runs on the same
draws: it accepts less, and hardly ever anything wrong.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

import numpy as np

from acceptance.frame import ALPHA, Column, Goal, Job, Row, Size, Table, Tables, numbers, stream
from acceptance.laws import Graded, Law, all_or_nothing, ternary
from acceptance.runs import Mode, close, levels_of, plan_of
from festina.select.vector import gate

LIMIT = 2.326  # standard errors: one-sided 99 %


@dataclass(frozen=True, slots=True)
class Mixture:
    """One proposal in ``every`` gains; the others are bad."""

    name: str
    gain: Law
    bad: Law
    every: int
    detect: float
    cap: int


MIXTURES = (
    Mixture("every second one gains, the rest wins small and then loses all", Graded(0.3, 0.1), all_or_nothing(0.24),
            2, 0.2, 150),
    Mixture("one in ten gains, the rest changes nothing", ternary(0.1), ternary(0.0), 10, 0.1, 1000),
)  # fmt: skip


def played(mixture: Mixture, mode: Mode, proposals: int, runs: int) -> list[Row]:
    """Mean share of wrong ones among the accepted at the end, and how much was found."""
    levels, plan = levels_of(mode, runs), plan_of(mixture.detect, mixture.cap)
    wrong, right, tried = np.zeros(runs), np.zeros(runs), 0
    for t in range(proposals):
        good = t % mixture.every == 0
        law = mixture.gain if good else mixture.bad
        opened = levels.open()
        draws = law.draw(stream("share", mixture.name, t), runs, mixture.cap)
        ends = gate(plan, opened, draws, noise=levels.noise)
        accepted = close(levels, opened, ends, draws, mixture.cap)
        wrong, right, tried = wrong + accepted * (not good), right + accepted * good, tried + good
    share = wrong / np.maximum(wrong + right, 1.0)
    return [
        {
            "mixture": mixture.name, "error": "share of wrong ones" if mode == "fdr" else "any wrong one",
            "runs": runs, "proposals": proposals, "share": float(share.mean()),
            "limit": float(share.mean() + LIMIT * share.std() / runs**0.5), "any": float((wrong > 0).mean()),
            "found": float(right.mean() / tried),
        }
    ]  # fmt: skip


TABLES = (
    Table(
        "share",
        "The other claim: the share of wrong ones",
        "With `error = \"fdr\"` alpha bounds the mean share of wrong ones among all that was accepted. Limit: "
        "one-sided, 99 %.",
        (
            Column("mixture", "proposals"), Column("error", "alpha is about"), Column("runs", "runs", ",d"),
            Column("proposals", "number", ",d"), Column("share", "share of wrong ones", ".4f"),
            Column("limit", "99 % limit", ".4f"), Column("any", "runs with any wrong", ".3f"),
            Column("found", "gains found", ".3f"),
        ),
    ),
)  # fmt: skip


def jobs(size: Size) -> list[Job]:
    mixtures = MIXTURES[:1] if size.name == "tiny" else MIXTURES
    modes: tuple[Mode, ...] = ("fdr", "fresh")
    return [
        Job("share", partial(played, mixture, mode, size.proposals, size.runs), 40)
        for mixture in mixtures
        for mode in modes
    ]


def goals(tables: Tables) -> list[Goal]:
    rows = [row for row in tables["share"] if row["error"] == "share of wrong ones"]
    return [
        Goal(
            "share of wrong ones where alpha is about it, 99 % limit", max(numbers(rows, "limit")), ALPHA, at_most=True
        )
    ]
