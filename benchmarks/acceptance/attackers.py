"""Proposers that learn from what a gate lets out. All that they propose is no better, except gains hidden on purpose.

An attacker answers for every run at once. ``propose`` gives the differences on the items that there are (runs x items)
and the true mean; ``learn`` is told what the gate shows; ``renew`` says for which runs the items are new ones.

* :class:`Boost`: probes that differ by chance, then votes of random halves of them, weighted by what was shown. Votes
  on items that shaped no weight are worth nothing, whatever the weights; on the others they look excellent.
* :class:`Climb`: answers some items anew by chance, and builds on what was accepted: the accept bit alone is climbed.
* :class:`Duplicates`: hands in slightly changed copies of one draft again and again, and keeps whichever was shown to
  do better. Where nothing is shown it walks on and hopes.

The last two are played with whole systems: incumbent and candidate are right or wrong on each item, and an acceptance
replaces the incumbent. The first is played on differences, as in the papers that attack leaderboards.
"""

from __future__ import annotations

from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from acceptance.frame import Array, Flags
from acceptance.laws import ternary

GAIN, GAINS = 0.08, 10
PROBES, VOTES = 100, 90
AT_ONCE = 20  # runs whose votes are counted together: memory that fits the cache


class Attacker(Protocol):
    proposals: int

    def propose(self) -> tuple[Array, float]: ...

    def learn(self, told: Array, accepted: Flags) -> None: ...

    def renew(self, rows: Flags) -> None: ...


class Boost:
    """100 probes (truly -.005), 90 votes (truly -.01), and ten gains of .08 among them.

    ``fresh``: every candidate gets new items. Votes on new items are fair signs whatever the weights, so they are drawn
    as such.
    """

    proposals = PROBES + VOTES + GAINS

    def __init__(self, rng: np.random.Generator, runs: int, items: int, *, fresh: bool = False) -> None:
        self.rng, self.runs, self.items, self.fresh = rng, runs, items, fresh
        self.block = np.zeros((0, 0, 0), np.int8) if fresh else self._probes(runs)
        self.weights, self.step, self.probe, self.new = np.zeros((runs, PROBES)), -1, 0, False
        places = np.random.default_rng(5).permutation(self.proposals)
        self.gains = {int(place) for place in places[:GAINS]}  # the same in every run

    def propose(self) -> tuple[Array, float]:
        self.step += 1
        if self.step in self.gains:
            return ternary(GAIN).draw(self.rng, self.runs, self.items), GAIN
        self.new = self.probe < PROBES
        if self.new:
            signs = self._signs(self.runs) if self.fresh else self.block[:, self.probe]
            self.probe += 1
            return self._worse(signs, 0.005), -0.005
        return self._worse(self._votes(), 0.01), -0.01

    def learn(self, told: Array, accepted: Flags) -> None:
        if self.step not in self.gains and self.new:
            self.weights[:, self.probe - 1] = told

    def renew(self, rows: Flags) -> None:
        if not self.fresh and rows.any():
            self.block[rows] = self._probes(int(rows.sum()))

    def _signs(self, runs: int, probes: int = 0) -> NDArray[np.int8]:
        """-1, 0 or 1 with chances .1, .8, .1: no better and no worse."""
        u = self.rng.random((runs, probes, self.items) if probes else (runs, self.items), dtype=np.float32)
        return (u > 0.9).astype(np.int8) - (u < 0.1).astype(np.int8)

    def _probes(self, runs: int) -> NDArray[np.int8]:
        return np.concatenate([self._signs(min(AT_ONCE, runs - i), PROBES) for i in range(0, runs, AT_ONCE)])

    def _votes(self) -> NDArray[np.int8]:
        if self.fresh:
            return np.where(self.rng.random((self.runs, self.items)) < 0.5, 1, -1).astype(np.int8)
        known = self.weights - self.weights.mean(1, keepdims=True)
        known = known + 1e-9 * self.rng.standard_normal(known.shape)  # where nothing was shown: any weights
        chosen = np.where(self.rng.random(known.shape) < 0.5, known, 0.0).astype(np.float32)
        return np.concatenate(
            [
                np.sign(chosen[i : i + AT_ONCE, None, :] @ self.block[i : i + AT_ONCE].astype(np.float32))[:, 0]
                for i in range(0, self.runs, AT_ONCE)
            ]
        ).astype(np.int8)

    def _worse(self, signs: NDArray[np.int8], share: float) -> Array:
        """A loss on a share of the items, at random: what makes the true mean negative."""
        return np.where(self.rng.random(signs.shape) < share, -1.0, signs)


class Climb:
    """40 proposals, each with 30 % of the items answered anew, on top of what was accepted."""

    proposals, share = 40, 0.3

    def __init__(self, rng: np.random.Generator, runs: int, items: int) -> None:
        self.rng, self.shape = rng, (runs, items)
        self.incumbent = self._chance()
        self.candidate = self.incumbent

    def propose(self) -> tuple[Array, float]:
        self.candidate = self._anew(self.incumbent)
        return self.candidate.astype(float) - self.incumbent, 0.0

    def learn(self, told: Array, accepted: Flags) -> None:
        self.incumbent = np.where(accepted[:, None], self.candidate, self.incumbent)

    def renew(self, rows: Flags) -> None:
        self.incumbent = np.where(rows[:, None], self._chance(), self.incumbent)

    def _chance(self) -> Flags:
        return self.rng.random(self.shape) < 0.5

    def _anew(self, answers: Flags) -> Flags:
        return np.where(self.rng.random(self.shape) < self.share, self._chance(), answers)


class Duplicates(Climb):
    """200 copies of a draft, each with 5 % of the items answered anew; the copy becomes the draft if it was shown to do
    at least as well."""

    proposals, share = 200, 0.05

    def __init__(self, rng: np.random.Generator, runs: int, items: int) -> None:
        super().__init__(rng, runs, items)
        self.draft, self.best = self.incumbent, np.full(runs, -np.inf)
        self.apart = np.zeros(runs)  # share of items that the draft answers otherwise than by the incumbent's luck

    def propose(self) -> tuple[Array, float]:
        self.candidate = self._anew(self.draft)
        return self.candidate.astype(float) - self.incumbent, 0.0

    def learn(self, told: Array, accepted: Flags) -> None:
        super().learn(told, accepted)
        kept = (told >= self.best) | accepted
        self.draft = np.where(kept[:, None], self.candidate, self.draft)
        self.best = np.where(accepted, 0.0, np.where(kept, told, self.best))
        self.apart = np.where(accepted, 0.0, np.where(kept, 1 - (1 - self.apart) * (1 - self.share), self.apart))

    def renew(self, rows: Flags) -> None:
        super().renew(rows)
        draft = np.where(self.rng.random(self.shape) < self.apart[:, None], self._chance(), self.incumbent)
        self.draft = np.where(rows[:, None], draft, self.draft)
