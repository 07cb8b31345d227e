"""The setting of a forecast in the gate's own units: levels, plan, budget and stages, each made once."""

from __future__ import annotations

from dataclasses import dataclass, replace
from math import log, sqrt

from festina.calibrate.noise import Noise
from festina.calibrate.play import Result, Stage, Which, stage
from festina.calibrate.types import Measured, Setting
from festina.loop.testing import BATCH_S, MAX_BATCH
from festina.select.budget import InformationLedger, SealedBlocks, budget_of
from festina.select.gate import Kind, Plan
from festina.select.planning import units_max_default

WHICH: tuple[Which, ...] = ("value", "low", "high")
LATER = 50  # which test stands for "later"
LONGEST = 6_000  # units of a test that is still played out
USUAL_DETECT = 0.05  # of the range, where nothing says what to look for


@dataclass(frozen=True, slots=True)
class Scene:
    """Everything that playing needs. Effects are in units of the range; without a range, in the metric's own."""

    setting: Setting
    noise: Noise
    bounded: bool
    width: float
    groups: float  # items or clusters that a run answers
    levels: tuple[float, float]  # of the first test and of the 50th
    stages: tuple[Stage, ...]  # noise as estimated, at its low end, at its high end; empty where it is not known
    budget_units: float | None
    batch: int
    detect: float | None = None  # None: not declared and without a range not needed
    chosen: bool = False
    reference: float | None = None  # the gain that stands for a real one

    @property
    def margin(self) -> float:
        return self.setting.margin / self.width

    @property
    def earlier(self) -> int:
        """Tests before the 50th whose noise it begins with: none where candidates share items or there is no range.

        The rule's own condition (``verify.verdicts.learn``).
        """
        return LATER - 1 if self.bounded and self.setting.mode == "fresh" else 0

    @property
    def square(self) -> float:
        """Variance of a unit's difference; that of a coin where it is not known."""
        unit = self.noise.unit(self.groups)
        return 0.25 if unit is None else unit.value

    def plan(self, detect: float | None = None, units_max: int | None = None, scale: float = 1.0) -> Plan:
        """The plan of the first test. Without a range only a loss is futile unless ``detect`` was declared."""
        aim = detect or self.detect
        kind: Kind = "bounded" if self.bounded else "symmetric"
        if not self.bounded:
            aim = max(self.margin, self.setting.detect or 0.0)
        assert aim is not None  # bounded scenes have one
        losses = tuple(loss / width for _, loss, width in self.setting.guards)
        plan = Plan(kind, self.levels[0], self.margin * scale, aim * scale, self.setting.beta, losses, 1)
        cap = units_max or self.setting.units_max or units_max_default(plan, self.square * scale * scale)
        return replace(plan, units_max=min(cap, LONGEST))

    def stage(self, noise: Noise, groups: float, which: Which = "value") -> Stage:
        widths = tuple((name, width) for name, _, width in self.setting.guards)
        return stage(noise, groups, widths, bounded=self.bounded, which=which)

    def runs(self, result: Result) -> float:
        """Mean runs of a test, both sides and whole batches counted."""
        return 2.0 * result.spent(self.setting.workers, self.batch)

    def hours(self, runs: float) -> float:
        """Of one test with so many runs; where a candidate is trained once, that comes first."""
        training_s = self.noise.train_s if self.setting.once else 0.0
        return (runs * self.noise.wall_s / self.setting.workers + training_s) / 3600.0

    @property
    def training_runs(self) -> float:
        """What one training takes of a budget of hours, in runs."""
        if not self.setting.once or self.setting.hours is None or self.noise.wall_s <= 0.0:
            return 0.0
        return self.noise.train_s * self.setting.workers / self.noise.wall_s

    def guess(self, units: int, variance: float) -> float:
        """About the gain that so many units find: where to start looking, never an answer."""
        nats = log(1.0 / self.levels[0])
        noise = sqrt(2.0 * variance * nats / units)
        return self.margin + noise + (nats / (0.95 * units) if self.bounded else 0.0)


def make_scene(measured: Measured, setting: Setting, noise: Noise) -> Scene:
    """The scene, but for the gain to look for (``aimed``)."""
    bounded = measured.kind == "bounded" and measured.scale is not None
    width = measured.scale[1] - measured.scale[0] if bounded and measured.scale else 1.0
    groups = 1.0 if setting.unit == "cluster" else max(1.0, setting.items_per_run / noise.cluster_items)
    unit_s = max(2.0 * noise.wall_s, 1e-6)
    scene = Scene(
        setting, noise, bounded, width, groups, _levels(setting), (), _budget_units(setting, unit_s),
        max(setting.workers, min(MAX_BATCH, int(BATCH_S * setting.workers / unit_s))),
        detect=setting.detect / width if setting.detect else None if not bounded else USUAL_DETECT,
        chosen=bounded and not setting.detect,
    )  # fmt: skip
    if noise.process is None:
        return scene
    return replace(scene, stages=tuple(scene.stage(noise, groups, which) for which in WHICH))


def _levels(setting: Setting) -> tuple[float, float]:
    """Levels of the first and of the 50th test when nothing is accepted and nothing comes back in between."""
    budget = budget_of("fresh" if setting.mode == "printed" else setting.mode, setting.alpha, setting.spread)
    first = budget.next_level()
    for _ in range(LATER - 1):
        level, budget = budget.open()
        budget = budget.close(level, False)
        budget = budget.told(1) if isinstance(budget, SealedBlocks | InformationLedger) else budget
    return first, budget.next_level()


def _budget_units(setting: Setting, unit_s: float) -> float | None:
    known = [] if setting.trials is None else [setting.trials / 2.0]
    if setting.hours is not None:
        known.append(setting.hours * 3600.0 * setting.workers / unit_s)
    return min(known) if known else None
