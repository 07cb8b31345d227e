"""From what was measured to what a loop would find and cost, by playing the real rule.

``forecast`` is deterministic and takes a few seconds at most. Ranges carry the noise's own uncertainty over: each
figure is played with the noise as estimated and with both ends of its interval.

Not covered: what a proposer is worth. The share of good proposals is an assumption (``Setting.improving``).
"""

from __future__ import annotations

from dataclasses import replace
from math import exp, hypot, inf, log

from festina.calibrate.advising import advise, claims, unseen
from festina.calibrate.choices import choose
from festina.calibrate.noise import Noise, Variance, analyse
from festina.calibrate.others import rules
from festina.calibrate.play import Case, Result, play
from festina.calibrate.reach import ANY_GAIN, UNITS, reach_units, smallest
from festina.calibrate.scene import WHICH, Scene, make_scene
from festina.calibrate.types import Measured, Setting
from festina.calibrate.values import Forecast, Kind, Point, Price, Reach, Sources, Span
from festina.select.planning import units_ideal, units_min_accept

CURVE = (0.0, 0.25, 0.5, 0.75, 1.0, 1.25, 1.5, 2.0, 3.0)  # of the detectable gain


def forecast(measured: Measured, setting: Setting) -> Forecast:
    """Raises ``UsageError`` where the version in use gave no score at all."""
    noise = analyse(measured)
    scene = make_scene(measured, setting, noise)
    reach = _reach(scene)
    scene, choices = choose(scene)
    if not scene.bounded:
        scene = replace(scene, reference=scene.detect or _typical_gain(scene, reach))
    kinds, later, curve = _main(scene)
    proposals, accepted, hours = _night(scene, kinds)
    bottleneck, advice = advise(scene)
    plan = scene.plan()
    return Forecast(
        name=measured.name, lower=measured.direction == "lower", bounded=scene.bounded, setting=setting,
        noise=_sources(noise, scene), run_s=noise.wall_s, batch=scene.batch, levels=scene.levels,
        detect=None if scene.detect is None else scene.detect * scene.width, detect_chosen=scene.chosen,
        units_max=plan.units_max, units_least=units_min_accept(plan), units_clean=units_ideal(plan),
        kinds=kinds, later=later, proposals=proposals, accepted=accepted, hours_per_acceptance=hours, reach=reach,
        choices=choices, curve=curve, rules=rules(scene), bottleneck=bottleneck, advice=advice, claims=claims(scene),
        unseen=unseen(scene), any_gain=not scene.bounded and scene.reference is not None and scene.square == 0.0,
        notes=setting.notes, train_s=noise.train_s,
    )  # fmt: skip


# ---- noise --------------------------------------------------------------------------------------------------


def _sources(noise: Noise, scene: Scene) -> Sources:
    paired = noise.unit(scene.groups)
    unpaired = None
    if noise.seeds is not None:
        effect = noise.cluster_effect.value if noise.cluster_effect else 1.0
        items = noise.between_items.times(effect / scene.setting.items_per_run) if noise.between_items else None
        unpaired = noise.seeds.plus(items).times(2.0)
    share = None
    if paired is not None and noise.items is not None and paired.value > 0.0:
        share = min(1.0, noise.items.variance.value / scene.groups / paired.value)
    return Sources(
        score=noise.score, seeds=_sd(noise.seeds, scene), reruns=_sd(noise.reruns, scene),
        items=_sd(noise.between_items, scene), clusters=_span(noise.cluster_effect), paired=_sd(paired, scene),
        unpaired=_sd(unpaired, scene), pairing=_ratio(unpaired, paired) if noise.source == "neighbours" else None,
        source=noise.source, pairs=noise.pairs, share_items=share, runs=noise.runs, failed=noise.failed,
        broken=len(noise.broken),
    )  # fmt: skip


def _sd(variance: Variance | None, scene: Scene) -> Span | None:
    if variance is None:
        return None
    return Span(*(scene.width * value**0.5 for value in (variance.value, variance.low, variance.high)))


def _span(variance: Variance | None) -> Span | None:
    return None if variance is None else Span(variance.value, variance.low, variance.high)


def _ratio(over: Variance | None, under: Variance | None) -> Span | None:
    """A ratio of variances with an interval: errors of the logarithms add up like errors."""
    if over is None or under is None or under.value == 0.0 or over.value == 0.0:
        return None
    ratio = over.value / under.value

    def step(larger: float, smaller: float) -> float:
        return log(larger / smaller) if smaller > 0.0 and larger < inf else inf

    down = hypot(step(over.value, over.low), step(under.high, under.value))
    up = hypot(step(over.high, over.value), step(under.value, under.low))
    return Span(ratio, ratio * exp(-down), ratio * exp(up) if up < 700.0 else inf)


# ---- tests --------------------------------------------------------------------------------------------------


def _main(scene: Scene) -> tuple[tuple[Kind, ...], tuple[Kind, ...], tuple[Point, ...]]:
    """Proposals that change nothing, gain and lose, at the first test and the 50th; and the power curve."""
    at = scene.reference
    if at is None or not scene.stages:
        return (), (), ()
    gains = (0.0, at, -at)
    points = [factor * at for factor in CURVE if factor * at < 1.0 or not scene.bounded]
    cases = {(gain, 0, which): Case(scene.stages[which], gain, scene.levels[0]) for gain in gains for which in range(3)}
    for time, (level, earlier) in enumerate(zip(scene.levels, (0, scene.earlier), strict=True)):
        cases |= {(gain, time, 0): Case(scene.stages[0], gain, level, earlier) for gain in (*gains, *points)}
    ends = play(scene.plan(), cases)
    first = tuple(_kind(scene, gain, [ends[gain, 0, which] for which in range(3)]) for gain in gains)
    later = tuple(_kind(scene, gain, [ends[gain, 1, 0]]) for gain in gains)
    curve = tuple(Point(g * scene.width, ends[g, 0, 0].accepted, ends[g, 1, 0].accepted) for g in points)
    return first, later, curve


def _kind(scene: Scene, gain: float, ends: list[Result]) -> Kind:
    """One kind of proposal, with the noise as estimated and, where they were played, at the ends of its interval."""
    runs = [scene.runs(end) for end in ends]
    price = Price(_around(runs), _around([scene.hours(each) for each in runs]))
    return Kind(gain * scene.width, _around([end.accepted for end in ends]), price)


def _around(values: list[float]) -> Span:
    return Span(values[0], min(values), max(values))


def _night(scene: Scene, kinds: tuple[Kind, ...]) -> tuple[Span | None, Span | None, Span | None]:
    """Proposals that the budget judges, how many of these it accepts, and hours for each acceptance."""
    if not kinds:
        return None, None, None
    setting = scene.setting
    shares = (1.0 - setting.improving - setting.harmful, setting.improving, setting.harmful)

    def mixed(spans: list[Span]) -> Span:
        return Span(*(
            sum(share * getattr(span, end) for share, span in zip(shares, spans, strict=True))
            for end in ("value", "low", "high")
        ))  # fmt: skip

    runs, rate = mixed([kind.price.runs for kind in kinds]), mixed([kind.accepted for kind in kinds])
    hours = Span(
        scene.hours(runs.value) / rate.value if rate.value else inf,
        scene.hours(runs.low) / rate.high if rate.high else inf,
        scene.hours(runs.high) / rate.low if rate.low else inf,
    )  # fmt: skip
    if scene.budget_units is None:
        return None, None, hours
    most, more = 2.0 * scene.budget_units, scene.training_runs
    judged = Span(most / (runs.value + more), most / (runs.high + more), most / (runs.low + more))
    return judged, Span(judged.value * rate.value, judged.low * rate.low, judged.high * rate.high), hours


def _typical_gain(scene: Scene, reach: Reach | None) -> float | None:
    """Without a range: the smallest gain that a test finds, whole tests allowed even where the budget has no room."""
    if reach is None:
        return None
    found = None if reach.first is None else reach.first.value
    if found is None:
        cap, variance = scene.plan().units_max, scene.square
        found = smallest(scene, {"": Case(scene.stages[0], 0.0, scene.levels[0])}, (variance, variance), cap)[""]
    if found == 0.0:  # any gain shows; half the noise between seeds stands for one, so that other rules can be played
        seeds = scene.noise.seeds
        return 0.5 * seeds.value**0.5 if seeds is not None and seeds.value > 0.0 else ANY_GAIN
    return found


def _reach(scene: Scene) -> Reach | None:
    """The smallest gain that one test finds, with the range that the noise's interval leaves."""
    if not scene.stages:
        return None
    units, unit = reach_units(scene), scene.noise.unit(scene.groups)
    assert unit is not None  # there are stages
    wanted = {which: Case(stage, 0.0, scene.levels[0]) for which, stage in zip(WHICH, scene.stages, strict=True)}
    later = Case(scene.stages[0], 0.0, scene.levels[1], scene.earlier)
    found = smallest(scene, {**wanted, "later": later}, (unit.low, min(unit.high, 1e4 * unit.value)))
    first = found["value"]
    longer = scene.setting.units_max is None and units == UNITS and scene.bounded
    span = None
    if first is not None:
        low = first if found["low"] is None else found["low"]
        high = inf if found["high"] is None else found["high"]
        span = Span(*(scene.width * gain for gain in (first, min(low, first), max(high, first))))
    fiftieth, apart = (None if gain is None else gain * scene.width for gain in (found["later"], _apart(scene)))
    return Reach(units, span, fiftieth, apart, longer)


def _apart(scene: Scene) -> float | None:
    """The smallest gain of candidates that draw their chance in another way, so that no seed cancels in a pair."""
    noise = scene.noise
    if noise.source != "neighbours" or noise.one_run is None or noise.process is None:
        return None
    wider = noise.one_run.variance.times(2.0)
    if wider.value <= noise.process.variance.value:
        return None
    blind = replace(noise, process=replace(noise.one_run, variance=wider))
    unit = blind.unit(scene.groups)
    assert unit is not None  # it has a process part
    stage = scene.stage(blind, scene.groups)
    return smallest(scene, {"": Case(stage, 0.0, scene.levels[0])}, (unit.value, unit.value))[""]
