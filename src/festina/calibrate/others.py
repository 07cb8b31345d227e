"""What simpler rules would accept on this very system, beside Festina's: 100 proposals of the stated mix.

* *once*: one run of each side, side by side; kept if better.
* *mean*: five runs of each side, side by side; kept if the mean is better.
* *record*: one run, kept if better than the best score so far, which is remembered.
* *best*: three runs, the best of which must beat the best score so far.

The last two remember a lucky score and then ask everybody to beat it: they accept less, and also miss what is real.
"""

from __future__ import annotations

from typing import Literal

import numpy as np

from festina.calibrate.play import POOL, Array, Case, Stage, play
from festina.calibrate.scene import Scene
from festina.calibrate.values import Rule

PROPOSALS = 100
MANY = 2_000  # tests: a share below 1/2,000 is seen as none
TINY = 1e-12  # what rounding may leave of no difference at all
MEAN_OF = 5
BEST_OF = 3
REPEATS = 400


def rules(scene: Scene) -> tuple[Rule, ...]:
    """Empty where the noise or a gain to look for is not known."""
    at = scene.reference
    if at is None or not scene.stages:
        return ()
    stage, setting = scene.stages[0], scene.setting
    gains = round(PROPOSALS * setting.improving)
    harms = round(PROPOSALS * setting.harmful)
    numbers = (PROPOSALS - gains - harms, gains, harms)
    found = [_side_by_side("once", stage, at, numbers, 1), _side_by_side("mean", stage, at, numbers, MEAN_OF)]
    if scene.noise.one_run is not None:
        found += [_record("record", scene, at, numbers, 1), _record("best", scene, at, numbers, BEST_OF)]
    return (*found, _festina(scene, at, numbers))


def _side_by_side(
    name: Literal["once", "mean"], stage: Stage, at: float, numbers: tuple[int, int, int], runs: int
) -> Rule:
    rng = np.random.default_rng((3, runs))
    drawn = rng.integers(POOL, size=(MANY, runs))
    null, gain, harm = (float((stage.at(shift)[drawn].mean(1) > TINY).mean()) for shift in (0.0, at, -at))
    harmful = numbers[2] * harm
    return Rule(name, 2.0 * runs * PROPOSALS, numbers[0] * null + harmful, harmful, gain)


def _record(
    name: Literal["record", "best"], scene: Scene, at: float, numbers: tuple[int, int, int], runs: int
) -> Rule:
    """A loop that remembers the best score, many times over, with proposals in a drawn order."""
    rng = np.random.default_rng((4, runs))
    noise = _luck(scene, rng, (REPEATS, PROPOSALS + 1, runs)).max(2)
    effects = np.repeat([0.0, at, -at], numbers)
    order = rng.permuted(np.tile(effects, (REPEATS, 1)), axis=1)
    truth, record = np.zeros(REPEATS), noise[:, 0].copy()
    wrong = harmful = found = 0
    for t in range(PROPOSALS):
        score = truth + order[:, t] + noise[:, t + 1]
        kept = score > record
        wrong += int((kept & (order[:, t] <= 0.0)).sum())
        harmful += int((kept & (order[:, t] < 0.0)).sum())
        found += int((kept & (order[:, t] > 0.0)).sum())
        record = np.where(kept, score, record)
        truth = np.where(kept, truth + order[:, t], truth)
    share = found / REPEATS / numbers[1] if numbers[1] else 0.0
    return Rule(name, float(runs * PROPOSALS), wrong / REPEATS, harmful / REPEATS, share)


def _luck(scene: Scene, rng: np.random.Generator, size: tuple[int, int, int]) -> Array:
    """What one run's score on the usual items owes to luck: its seed, and how its change happens to suit the items."""
    noise = scene.noise
    assert noise.one_run is not None
    assert noise.process is not None  # there are stages
    shape = np.array(noise.one_run.shape)
    spread = float(np.sqrt((shape**2).mean()))
    own = max(noise.one_run.variance.value, 0.5 * noise.process.variance.value) ** 0.5
    items = 0.0 if noise.items is None else (0.5 * noise.items.variance.value / scene.groups) ** 0.5
    drawn = rng.choice(shape / spread, size) * own if spread > 0.0 else np.zeros(size)
    smooth = rng.standard_normal(size) * np.hypot(0.05 * own, items)  # no ties among few values
    return np.asarray(drawn + smooth, dtype=np.float64)


def _festina(scene: Scene, at: float, numbers: tuple[int, int, int]) -> Rule:
    stage, level = scene.stages[0], scene.levels[0]
    cases = {name: Case(stage, gain, level) for name, gain in (("null", 0.0), ("gain", at), ("harm", -at))}
    ends = play(scene.plan(), cases, tests=max(400, min(MANY, MANY * 400 // scene.plan().units_max)))
    null, gain, harm = ends["null"], ends["gain"], ends["harm"]
    runs = sum(scene.runs(end) * n for end, n in zip((null, gain, harm), numbers, strict=True))
    harmful = numbers[2] * harm.accepted
    return Rule("festina", runs, numbers[0] * null.accepted + harmful, harmful, gain.accepted)


