"""The rule of ``gate`` on many tests of one plan at once, for simulation and planning: numpy, and the same bits.

``gate(plan, levels, gains, guards, judges)`` plays ``len(levels)`` tests, each at its own level, on differences that
are given in full (tests x units, in C order), and says how each would have ended. Nothing here decides a real test: the
loop uses ``festina.select.gate`` alone, and ``tests/select/test_vector.py`` shows that both give the same bits.

Not imported by ``festina.select``: numpy costs a tenth of a second that no command should pay without need.

Tests are played in chunks that fit the processor's cache, units in blocks; tests that have ended leave at the end of
a block, so that nothing is copied in between. A bet that is latched is offered payoffs of 0, which change no stake.

Does not cover: going on with a capped test (``extend``); evidence outside the declared range, which the caller keeps
out (``gate.observe`` refuses it, here it is a Fault for the whole batch).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from festina.errors import Fault
from festina.select.bets import CLIP, SCALE_SAMPLES, SLOPES, Bet, Bounded
from festina.select.gate import Plan, gain_bets, guard_bets, judge_bets
from festina.select.noise import EACH, GUESS, LEAST, MOST, UNKNOWN
from festina.select.rules import RULES

Array = NDArray[np.float64]
Flags = NDArray[np.bool_]
Abort = Callable[[int, NDArray[np.int64], Array], Flags]

CHUNK = 2048  # tests at once: some 20 arrays of 16 kB
BLOCK = 16  # units between two clearances
NEAR = 1.0 + 1e-6  # wealths this close to the last that could still be proven are followed unit by unit


@dataclass(frozen=True, slots=True)
class Ends:
    """How each of many tests ended; arrays of one entry a test."""

    outcome: NDArray[np.str_]  # "accept", "futile", "guard", "judge", "cap" or "abort"
    units: NDArray[np.int64]  # looked at, up to the decision
    refund: Array  # ``gate.refund_share``: of the level, if the test is not accepted


@dataclass(frozen=True, slots=True)
class Noises:
    """``noise.Noise`` of many tests; arrays of one entry a test."""

    tests: Array
    squares: Array

    def prior(self, units: float, squares: float, aim: float) -> tuple[Array, Array]:
        """``Noise.prior``, in the same order of steps."""
        known = self.tests > 0.0
        count = units + np.minimum(MOST, EACH * self.tests)
        mean = (GUESS + self.squares) / (1.0 + self.tests)
        return np.where(known, count, units), np.where(known, count * (mean + aim * aim), squares)

    def after(self, units: NDArray[np.int64], diffs: Array) -> Noises:
        """Each with one more closed test, which looked at the first ``units`` of its row."""
        told = units >= LEAST
        mean = np.where(np.arange(diffs.shape[1]) < units[:, None], diffs * diffs, 0.0).sum(1) / units
        return Noises(self.tests + told, self.squares + np.where(told, mean, 0.0))

    def take(self, index: NDArray[np.int64]) -> Noises:
        return Noises(self.tests[index], self.squares[index])


class BoundedBets:
    """``bets.Bounded`` for many tests: the same aims, payoffs of their own. Steps are made in place."""

    def __init__(self, bet: Bounded, tests: int, noise: Noises | None = None, aim: float = 0.0) -> None:
        self.effects, self.limit, self.tuning, self.units = bet.effects, bet.limit, bet.tuning, bet.units
        self.prior: tuple[Array | float, Array | float] = bet.tuning[:2]
        if noise is not None:
            self.prior = noise.prior(*bet.tuning[:2], aim)
        self.stakes = [np.full(tests, stake) for stake in bet.stakes]
        self.wealth = np.full(tests, bet.wealth)
        self.losses, self.squares, self.wins = (np.full(tests, v) for v in (bet.losses, bet.squares, bet.wins))
        self._size, self._spread, self._risk = (np.empty(tests) for _ in range(3))

    @np.errstate(invalid="ignore", divide="ignore")
    def step(self, x: Array) -> None:
        """One payoff for each test."""
        n, (_, _, patience, _, loss_weight, win_weight) = self.units, self.tuning
        prior_units, prior_squares = self.prior
        size, spread, risk, wealth = self._size, self._spread, self._risk, self.wealth
        np.divide(self.squares, self.losses, out=size)  # 0/0 where no loss was seen: fmax takes the other
        np.fmax(size, 1.0 / (1.0 + patience * n), out=size)
        np.multiply(self.squares, loss_weight, out=spread)
        spread += prior_squares
        if win_weight:
            spread += np.multiply(self.wins, win_weight, out=risk)
        spread /= prior_units + n
        for part, (stake, effect) in enumerate(zip(self.stakes, self.effects, strict=True)):
            np.divide(spread, effect, out=risk)
            risk += size
            np.divide(1.0, risk, out=risk)
            np.minimum(risk, self.limit, out=risk)
            risk *= x
            risk += 1.0
            np.multiply(stake, risk, out=stake)
            if part:
                wealth += stake
            else:
                wealth[:] = stake
        loss = np.minimum(x, 0.0, out=risk)
        self.losses -= loss
        loss *= loss
        self.squares += loss
        if win_weight:
            win = np.maximum(x, 0.0, out=risk)
            win *= win
            self.wins += win
        self.units = n + 1

    def keep(self, rows: Flags) -> None:
        """Forget all other tests."""
        units, squares = self.prior
        if isinstance(units, np.ndarray) and isinstance(squares, np.ndarray):
            self.prior = units[rows], squares[rows]
        self.stakes = [part[rows] for part in self.stakes]
        self.wealth, self.losses, self.squares = self.wealth[rows], self.losses[rows], self.squares[rows]
        self.wins = self.wins[rows]
        self._size, self._spread, self._risk = (np.empty(len(self.wealth)) for _ in range(3))

    def best_factor(self, best: float) -> float:
        """No payoff up to ``best`` multiplies a wealth by more than this."""
        return 1.0 + self.limit * best


class SymmetricBets:
    """``bets.Symmetric`` for many tests. Steps are made in place."""

    def __init__(self, tests: int) -> None:
        self.units = 0
        self.stakes = [np.full(tests, 0.5) for _ in SLOPES]
        self.wealth = np.ones(tests)
        self.sizes = np.full((tests, SCALE_SAMPLES), np.inf)  # sorted; inf: not there yet
        self.count = np.zeros(tests, dtype=np.int64)

    @np.errstate(over="ignore")
    def step(self, x: Array) -> None:
        """One payoff for each test; 0 changes nothing."""
        counts = x != 0.0
        scale = self.sizes[np.arange(len(x)), np.maximum(self.count - 1, 0) // 2]
        z = np.where(self.count == 0, np.sign(x), np.maximum(-CLIP, np.minimum(CLIP, x / scale)))
        total = np.zeros_like(x)
        for part, slope in enumerate(SLOPES):
            u = slope * z
            self.stakes[part] *= np.where(counts, 1.0 + u / np.sqrt(1.0 + u * u), 1.0)
            total += self.stakes[part]
        self.wealth = total
        if self.units < SCALE_SAMPLES:
            self._remember(np.abs(x), counts)
        else:
            at = np.nonzero(counts & (self.count < SCALE_SAMPLES))[0]
            self.sizes[at, self.count[at]] = np.abs(x[at])
            self.sizes[at] = np.sort(self.sizes[at], axis=1)
            self.count[at] += 1
        self.units += 1

    def _remember(self, size: Array, counts: Flags) -> None:
        """So early no row is full, and a row needs sorting only as far as there have been units."""
        seen = self.sizes[:, : self.units + 1]
        seen[:, -1] = np.where(counts, size, np.inf)  # sorts behind all others where it does not count
        seen.sort(axis=1)
        self.count += counts

    def keep(self, rows: Flags) -> None:
        self.stakes = [part[rows] for part in self.stakes]
        self.wealth, self.sizes, self.count = self.wealth[rows], self.sizes[rows], self.count[rows]

    def best_factor(self, best: float) -> float:
        return 2.0


Bets = BoundedBets | SymmetricBets


def many(bet: Bet, tests: int, noise: Noises | None = None, aim: float = 0.0) -> Bets:
    """So many copies of a fresh bet, each with a noise of its own where there is one."""
    return BoundedBets(bet, tests, noise, aim) if isinstance(bet, Bounded) else SymmetricBets(tests)


@dataclass(slots=True)
class _Part:
    """What must be shown (``shows``) and what speaks against it (``doubts``), on one column of differences."""

    shows: Bets
    doubts: Bets
    above: float  # shows bets on D - above
    below: float  # doubts bets on below - D
    best: float  # largest payoff of ``shows``
    word: str  # how the test ends when a doubt is confirmed
    refuted: float  # ... which is at this wealth

    def step(self, d: Array, proven: Array) -> None:
        up, down = d - self.above, self.below - d
        moving = self.shows.wealth < proven
        if not moving.all():
            up *= moving
            down *= moving
        self.shows.step(up)
        self.doubts.step(down)

    def doubted(self, proven: Array) -> Flags:
        """Where the doubt is confirmed. A broken guard counts even where it had been shown to hold before."""
        confirmed: Flags = self.doubts.wealth >= self.refuted
        return confirmed if self.word == "guard" else confirmed & (self.shows.wealth < proven)

    def keep(self, rows: Flags) -> None:
        self.shows.keep(rows)
        self.doubts.keep(rows)


def gate(
    plan: Plan, levels: Array, gains: Array, guards: Sequence[Array] = (), judges: Sequence[Array] = (),
    *, futility: bool = True, abort: Abort | None = None, noise: Noises | None = None,
) -> Ends:  # fmt: skip
    """Play one test per entry of ``levels`` on the given differences (tests x ``plan.units_max`` or more).

    ``plan.level`` is not looked at, nor ``plan.noise`` where ``noise`` has one for each test. ``futility=False`` plays
    on where the rule would give up: for comparisons. ``abort(n, rows, wealth)``: an owner who stops as he likes. Called
    after every unit with the tests that are open after ``n`` units and the smallest of all their evidences; where it
    says true the test ends as "abort".
    """
    _check(plan, levels, gains, guards, judges)
    tests = len(levels)
    ends = Ends(np.full(tests, "cap", "<U6"), np.full(tests, plan.units_max), np.zeros(tests))
    step = CHUNK if abort is None else max(1, tests)  # who stops wants to see all of them
    for first in range(0, tests, step):
        index = np.arange(first, min(first + step, tests))
        own = noise.take(index) if noise is not None and RULES[plan.rule].learns else None
        _play(plan, levels, (gains, *guards, *judges), index, ends, futility, abort, own)
    return ends


def _play(
    plan: Plan, levels: Array, columns: Sequence[Array], index: NDArray[np.int64], ends: Ends, futility: bool,
    abort: Abort | None, noise: Noises | None,
) -> None:  # fmt: skip
    """Play the tests of ``index`` and note in ``ends`` how they ended."""
    parts, proven = _parts(plan, len(index), futility, noise), 1.0 / levels[index]
    for first in range(0, plan.units_max, BLOCK):
        live = np.ones(len(index), dtype=bool)
        blocks = [np.ascontiguousarray(column[index, first : first + BLOCK].T) for column in columns]
        for n in range(first, min(first + BLOCK, plan.units_max)):
            for part, block in zip(parts, blocks, strict=True):
                part.step(block[n - first], proven)
            done = live & _ended(parts, proven, plan.units_max - n - 1)
            if done.any():
                _note(ends, index, done, n + 1, _words(parts, proven), _least(parts))
                live &= ~done
            if abort is not None and live.any():
                wealth, rows = _least(parts), np.nonzero(live)[0]
                stopped = np.zeros(len(index), dtype=bool)
                stopped[rows] = abort(n + 1, index[rows], wealth[rows])
                _note(ends, index, stopped, n + 1, np.full(len(index), "abort"), wealth)
                live &= ~stopped
        if not live.all():
            index, proven = index[live], proven[live]
            for part in parts:
                part.keep(live)
        if not len(index):
            break


def _note(
    ends: Ends, index: NDArray[np.int64], rows: Flags, units: int, words: NDArray[np.str_], wealth: Array
) -> None:
    at = index[rows]
    ends.outcome[at], ends.units[at], ends.refund[at] = words[rows], units, np.minimum(1.0, wealth[rows])


def _least(parts: list[_Part]) -> Array:
    """The smallest of all evidences of each test."""
    least: Array = np.minimum.reduce([part.shows.wealth for part in parts])
    return least


def _parts(plan: Plan, tests: int, futility: bool, noise: Noises | None) -> list[_Part]:
    """Gain, guards and judges, in this order."""
    refuted = 1.0 / plan.beta if futility else np.inf
    bare = plan if noise is None else replace(plan, noise=UNKNOWN)
    found = [_part(gain_bets(bare), tests, plan.margin, plan.detect, "futile", refuted, noise)]
    for loss in plan.guards:
        found.append(_part(guard_bets(plan, loss), tests, -loss, -loss, "guard", len(plan.guards) / plan.beta))
    for margin, detect in plan.judges:
        bets = judge_bets(plan, margin, detect)
        found.append(_part(bets, tests, margin, detect, "judge", len(plan.judges) / plan.beta))
    return found


def _part(
    bets: tuple[Bet, Bet], tests: int, above: float, below: float, word: str, refuted: float,
    noise: Noises | None = None,
) -> _Part:  # fmt: skip
    shows, doubts = many(bets[0], tests, noise, above), many(bets[1], tests, noise, below)
    return _Part(shows, doubts, above, below, 1.0 - above, word, refuted)


def _ended(parts: list[_Part], proven: Array, left: int) -> Flags:
    """Which tests are decided; what came of them is told by ``_words``."""
    latched = np.ones(len(proven), dtype=bool)
    ended = np.zeros(len(proven), dtype=bool)
    for part in parts:
        latched &= part.shows.wealth >= proven
        ended |= part.doubted(proven)
        ended |= _lost(part, proven, left)
    return ended | latched


def _words(parts: list[_Part], proven: Array) -> NDArray[np.str_]:
    """The outcome of tests that have ended: the strongest word that fits."""
    out = np.full(len(proven), "cap", dtype="<U6")
    for word in ("judge", "futile", "guard"):
        for part in parts:
            if part.word == word:
                out[part.doubted(proven)] = word
    out[np.logical_and.reduce([part.shows.wealth >= proven for part in parts])] = "accept"
    return out


def _lost(part: _Part, proven: Array, left: int) -> Flags:
    """Where ``left`` more units cannot take the evidence to its threshold: where ``gate._within`` says no."""
    wealth, factor = part.shows.wealth, part.shows.best_factor(part.best)
    reach = wealth * min(1e280, factor ** min(left, 900))
    lost: Flags = reach < proven * NEAR
    if lost.any():
        for i in np.nonzero(lost & (reach * NEAR > proven))[0]:
            follow = float(wealth[i])
            for _ in range(left):
                follow *= factor
            lost[i] = follow < proven[i]
    return lost


def _check(plan: Plan, levels: Array, gains: Array, guards: Sequence[Array], judges: Sequence[Array]) -> None:
    if len(guards) != len(plan.guards) or len(judges) != len(plan.judges):
        raise Fault("evidence-columns", "not as many columns of differences as the plan has guards and judges")
    if not bool(((levels > 0.0) & (levels < 1.0)).all()):
        raise Fault("plan-levels", "a level lies between 0 and 1")
    kinds = [plan.kind, *(plan.guard_kind for _ in guards), *("bounded" for _ in judges)]
    for values, kind in zip((gains, *guards, *judges), kinds, strict=True):
        if values.shape[0] != len(levels) or values.shape[1] < plan.units_max:
            raise Fault("evidence-columns", f"differences of shape {values.shape}: a test a row, units_max columns")
        bound = 1.0 if kind == "bounded" else 1e300
        if not bool((np.abs(values[:, : plan.units_max]) <= bound).all()):
            raise Fault("evidence-out-of-range", "a difference lies outside the declared range")
