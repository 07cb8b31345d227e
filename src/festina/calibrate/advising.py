"""What limits a verdict here, and what would help: each advice is played, and shown with what it buys.

A test is limited by the noise between runs, by the noise between items, or, where both are small, by the declared
range: who may score anything between the ends must be watched for long, however alike all scores look.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Literal

from festina.calibrate.noise import Noise, Part, Variance
from festina.calibrate.play import Case, Stage, play
from festina.calibrate.reach import smallest
from festina.calibrate.scene import Scene
from festina.calibrate.values import Advice, AdviceName, Claim

Bottleneck = Literal["items", "runs", "range", "none", "unknown"]
CLEAN = 0.75  # where a test without noise needs this share of the units, noise is not what costs
WORTH = 0.9  # an advice must bring the price below this share to be given
NARROW = 0.4  # of the range: where all scores lie within so little, half of it may do
CLUSTERED = 1.5  # cluster effect from which splitting clusters is worth a word
Priced = tuple[float, float]  # runs of a rejected and of an accepted test


@dataclass(frozen=True, slots=True)
class _Idea:
    """A change of the set-up: what it changes from and to, and the stage that it would give."""

    name: AdviceName
    before: float
    after: float
    stage: Stage
    scale: float = 1.0  # how much wider a gain looks: of a narrower range


def advise(scene: Scene) -> tuple[Bottleneck, tuple[Advice, ...]]:
    """The bottleneck, and what helps most, best first."""
    if not scene.stages or scene.reference is None:
        return "unknown", ()
    before = _price(scene, scene.stages[0], scene.reference)
    bottleneck = _bottleneck(scene, before)
    ideas = list(_ideas(scene, bottleneck))
    reaches = _reaches(scene, ideas)
    found: list[Advice | None] = []
    for idea in ideas:
        after = _price(scene, idea.stage, scene.reference, idea.scale)
        reach = None
        now, then = reaches["now"], reaches[idea.name]
        if now is not None and then is not None:
            reach = (now * scene.width, then * scene.width / idea.scale)
        found.append(_advice(scene, idea.name, idea.before, idea.after, before, after, reach))
    found += [_larger(scene, before), _looser(scene, before)] if scene.bounded else []
    found.append(_workers(scene, before))
    worth = [each for each in found if each is not None and _helps(each)]
    return bottleneck, tuple(sorted(worth, key=lambda each: each.hours_rejected[1]))


def _helps(advice: Advice) -> bool:
    if advice.name == "fewer-items":  # the price stays the same in runs, each of which has less to do
        return advice.runs_rejected[1] <= 1.1 * advice.runs_rejected[0]
    pairs = (advice.hours_rejected, advice.hours_accepted, advice.reach or (0.0, 1.0))
    return any(after <= WORTH * before for before, after in pairs)


def _bottleneck(scene: Scene, before: Priced) -> Bottleneck:
    unit = scene.noise.unit(scene.groups)
    assert unit is not None  # there are stages
    assert scene.reference is not None
    if scene.bounded and _price(scene, scene.stages[0].scaled(0.0), scene.reference)[0] >= CLEAN * before[0]:
        return "range"
    if unit.value == 0.0:
        return "none"
    items = scene.noise.items
    share = 0.0 if items is None else items.variance.value / scene.groups / unit.value
    return "items" if share >= 0.5 else "runs"


def _price(scene: Scene, on: Stage, gain: float, scale: float = 1.0) -> Priced:
    """Runs for a rejected and for an accepted test."""
    level = scene.levels[0]
    ends = play(
        scene.plan(scale=scale), {"null": Case(on, 0.0, level), "gain": Case(on, gain * scale, level)}
    )
    return scene.runs(ends["null"]), scene.runs(ends["gain"])


def _ideas(scene: Scene, bottleneck: Bottleneck) -> Iterator[_Idea]:
    noise, items = scene.noise, scene.setting.items_per_run
    own_items = noise.items is not None and scene.setting.unit != "cluster"
    if own_items and bottleneck == "items":
        more = scene.stage(noise, 2.0 * scene.groups)
        yield _Idea("items", items, 2.0 * items, more)
        if noise.step is not None:
            yield _Idea("graded", 1.0, 0.5, more)
    if own_items and bottleneck in ("runs", "range") and items >= 8:
        yield _Idea("fewer-items", items, items // 4, scene.stage(noise, max(1.0, scene.groups / 4.0)))
    if noise.items is None and scene.bounded and items == 1 and bottleneck == "runs" and noise.process is not None:
        yield _Idea("items", 1.0, 4.0, scene.stage(_settled(noise, noise.process.variance.value / 4.0), scene.groups))
    if bottleneck == "runs" and (steady := _steady(noise)) is not None:
        yield _Idea("pairing", 1.0, 0.0, scene.stage(steady, scene.groups))
    effect = 1.0 if noise.cluster_effect is None else noise.cluster_effect.value
    if effect >= CLUSTERED and noise.items is not None and bottleneck == "items":
        alone = replace(noise, items=Part(noise.items.variance.times(1.0 / effect), noise.items.shape))
        yield _Idea("clusters", effect, 1.0, scene.stage(alone, scene.groups))
    seen = noise.seen
    if bottleneck == "range" and seen is not None and seen[1] - seen[0] <= NARROW * scene.width:
        yield _Idea("range", scene.width, scene.width / 2.0, scene.stages[0].scaled(2.0), 2.0)


def _reaches(scene: Scene, ideas: list[_Idea]) -> dict[str, float | None]:
    """The smallest gain now and with each idea; of a narrower range in its own units."""
    if not ideas:
        return {"now": None}
    level, unit = scene.levels[0], scene.noise.unit(scene.groups)
    assert unit is not None
    wanted = {"now": Case(scene.stages[0], 0.0, level)} | {idea.name: Case(idea.stage, 0.0, level) for idea in ideas}
    return dict(smallest(scene, wanted, (unit.value / 4.0, 4.0 * unit.value)))


def _steady(noise: Noise) -> Noise | None:
    """With runs that depend on their seed alone, so that the same seed cancels in a pair. None: they do already."""
    if noise.process is None or noise.reruns is None or noise.reruns.value == 0.0:
        return None
    left = max(0.0, noise.process.variance.value - 2.0 * noise.reruns.value)
    if left > 0.5 * noise.process.variance.value:
        return None
    return _settled(noise, left)


def _settled(noise: Noise, variance: float) -> Noise:
    assert noise.process is not None
    return replace(noise, process=Part(Variance(variance, variance, variance), noise.process.shape))


def _larger(scene: Scene, before: Priced) -> Advice | None:
    """Looking for twice the gain."""
    assert scene.detect is not None
    twice = 2.0 * scene.detect
    if twice >= 0.5:
        return None
    level, stage = scene.levels[0], scene.stages[0]
    ends = play(scene.plan(twice), {"null": Case(stage, 0.0, level), "gain": Case(stage, twice, level)})
    after = (scene.runs(ends["null"]), scene.runs(ends["gain"]))
    detect = scene.detect * scene.width
    return _advice(scene, "detect", detect, 2.0 * detect, before, after, None)


def _looser(scene: Scene, before: Priced) -> Advice | None:
    """Guards that may lose twice as much."""
    if not scene.setting.guards:
        return None
    assert scene.reference is not None
    guards = tuple((name, min(2.0 * loss, 0.9 * width), width) for name, loss, width in scene.setting.guards)
    looser = replace(scene, setting=replace(scene.setting, guards=guards))
    return _advice(scene, "guards", 1.0, 2.0, before, _price(looser, scene.stages[0], scene.reference), None)


def unseen(scene: Scene) -> float | None:
    """Runs of a rejection had one more of the runs that were made failed."""
    noise = scene.noise
    if not scene.bounded or not scene.stages or scene.reference is None or noise.failed:
        return None
    worse = replace(noise, failed=1, runs=noise.runs - 1)
    return _price(scene, scene.stage(worse, scene.groups), scene.reference)[0]


def _workers(scene: Scene, before: Priced) -> Advice:
    """Twice the workers: the same runs in half the time, but for whole batches."""
    assert scene.reference is not None
    workers = scene.setting.workers
    twice = replace(scene, setting=replace(scene.setting, workers=2 * workers), batch=2 * scene.batch)
    after = _price(twice, scene.stages[0], scene.reference)
    advice = _advice(scene, "workers", workers, 2.0 * workers, before, after, None)
    return replace(
        advice, hours_rejected=(advice.hours_rejected[0], twice.hours(after[0])),
        hours_accepted=(advice.hours_accepted[0], twice.hours(after[1])),
    )  # fmt: skip


def _advice(
    scene: Scene, name: AdviceName, one: float, other: float, before: Priced, after: Priced,
    reach: tuple[float, float] | None,
) -> Advice:  # fmt: skip
    return Advice(
        name, one, other, (before[0], after[0]), (before[1], after[1]),
        (scene.hours(before[0]), scene.hours(after[0])), (scene.hours(before[1]), scene.hours(after[1])), reach,
    )  # fmt: skip


# ---- what an acceptance would say ---------------------------------------------------------------------------


def claims(scene: Scene) -> tuple[Claim, ...]:
    """The claim about this very artifact and the one about the recipe, each with its price."""
    return _artifact(scene), _recipe(scene)


def _recipe(scene: Scene) -> Claim:
    if not scene.stages or scene.reference is None:
        return Claim("recipe", None, None, None, "no two runs under different seeds")
    if scene.setting.once:
        return Claim("recipe", None, None, None, 'each was trained once (experiment.train = "each" measures it)')
    if scene.noise.source == "reruns":
        return Claim("recipe", None, None, None, "all runs had the same seed")
    return _claim(scene, "recipe", scene.noise, scene.stages[0])


def _artifact(scene: Scene) -> Claim:
    """Without the noise of the seed: the artifact is what it is, and items are what is drawn."""
    noise = scene.noise
    if scene.stages and scene.reference is not None and (scene.setting.once or _nothing_drawn(noise)):
        return _claim(scene, "artifact", noise, scene.stages[0])
    if noise.items is None:
        return Claim("artifact", None, None, None, "a run gives one number, so items cannot be told from runs")
    if not scene.stages or scene.reference is None or noise.process is None:
        return Claim("artifact", None, None, None, "no two runs to compare")
    if noise.reruns is None and noise.process.variance.value > 0.0:
        return Claim("artifact", None, None, None, "no seed was run twice")
    left = min(noise.process.variance.value, 2.0 * noise.reruns.value if noise.reruns else 0.0)
    fixed = _settled(noise, left)
    if 0.0 < noise.train_s < noise.wall_s:  # it would be trained once, and only answer in each run
        answering = replace(fixed, wall_s=noise.wall_s - noise.train_s)
        scene = replace(scene, noise=answering, setting=replace(scene.setting, once=True))
    return _claim(scene, "artifact", fixed, scene.stage(fixed, scene.groups))


def _nothing_drawn(noise: Noise) -> bool:
    """Whether each run gives the same score, whatever its seed: the recipe has one artifact."""
    parts = (noise.seeds, noise.process.variance if noise.process else None)
    return all(part is not None and part.high == 0.0 for part in parts)


def _claim(scene: Scene, name: Literal["artifact", "recipe"], noise: Noise, on: Stage) -> Claim:
    assert scene.reference is not None
    unit = noise.unit(scene.groups)
    assert unit is not None
    rejected, accepted = _price(scene, on, scene.reference)
    return Claim(name, unit.value**0.5 * scene.width, scene.hours(accepted), scene.hours(rejected))


