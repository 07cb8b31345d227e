"""What a forecast says of systems whose noise is known, and that it says so plainly."""

from __future__ import annotations

import json
import random
from dataclasses import replace
from functools import cache

import pytest

from festina.calibrate import words
from festina.calibrate.forecast import forecast
from festina.calibrate.noise import analyse
from festina.calibrate.types import Answer, Measured, Run, Setting
from festina.calibrate.values import Forecast, record
from festina.errors import UsageError

SETTING = Setting(
    alpha=0.05, spread=50, beta=0.1, margin=0.0, detect=0.05, units_max=None, items_per_run=20, mode="fresh", hours=0.1,
    unit="item",
)  # fmt: skip
PRINTED = replace(SETTING, detect=None, units_max=60, items_per_run=1, mode="printed", unit="seed")
FORBIDDEN = ("e-process", "e-value", "martingale", "wealth", "null", "variance", "p-value", "beta", "sequential")


def scored(
    *, seeds: int = 6, items: int = 20, run_sd: float = 0.0, item_sd: float = 0.0, per_cluster: int = 1
) -> Measured:
    """Fresh items for each seed; a change adds noise of its own to each run (``run_sd``), item and cluster."""
    rng = random.Random(1)
    runs = []
    for s in range(seeds):
        groups = range(s * items // per_cluster, (s + 1) * items // per_cluster)
        base = {g: rng.gauss(0.5, item_sd) for g in groups}
        for tree, repeat in (("incumbent", 0), ("incumbent", 1), ("change", 0)):
            own = {g: rng.gauss(0.0, item_sd) if tree == "change" else 0.0 for g in groups}
            shift = rng.gauss(0.0, run_sd) if tree == "change" else 0.0
            answers = tuple(
                Answer(f"{g}-{i}", f"{g}" if per_cluster > 1 else None, base[g] + own[g] + shift)
                for g in groups for i in range(per_cluster)
            )  # fmt: skip
            runs.append(Run(tree, s, repeat, 1.0, 1.0, answers))
    return Measured("acc", "bounded", "higher", (0.0, 1.0), "fresh", tuple(runs))


@cache
def usual() -> Forecast:
    return forecast(scored(run_sd=0.02, item_sd=0.2), SETTING)


def printed(sd: float, own: float, *, seeds: int = 8, changes: int = 1) -> Measured:
    rng = random.Random(3)
    runs = []
    for s in range(seeds):
        value = rng.gauss(1.2, sd)
        for k in range(changes + 1):
            metric = value + (rng.gauss(0.0, own) if k else 0.0)
            runs.append(Run("incumbent" if k == 0 else f"change {k}", s, 0, 30.0, None, metric=metric))
    return Measured("val_bpb", "symmetric", "lower", None, "none", tuple(runs))


def text_of(found: Forecast) -> str:
    blocks = words.lines(found)
    parts = [line for block in blocks for line in (block.title, *block.text, *block.head, *sum(block.rows, ()))]
    return "\n".join(parts)


def test_S7_the_same_measurements_give_the_same_forecast_and_plain_json():
    assert forecast(scored(run_sd=0.02, item_sd=0.2), SETTING) == usual()
    json.dumps(record(usual()), allow_nan=False)


def test_S4_nobody_needs_to_know_the_statistics_to_read_it():
    for found in (usual(), forecast(printed(0.01, 0.002), PRINTED)):
        text = text_of(found).lower()
        assert not [word for word in FORBIDDEN if word in text]


def test_S7_a_system_without_noise_costs_what_a_noise_free_test_costs():
    found = forecast(scored(), SETTING)
    assert found.bottleneck == "range"
    good = found.kinds[1]
    assert good.accepted.value == 1.0
    assert 2 * found.units_clean <= good.price.runs.value <= 2 * (found.units_clean + found.batch)
    once = next(rule for rule in found.rules if rule.name == "once")
    assert (once.wrong, once.found) == (0.0, 1.0), "without noise, keep-if-better errs in nothing"


def test_S7_noise_makes_every_figure_worse_and_is_blamed_on_its_source():
    quiet = forecast(scored(run_sd=0.01, item_sd=0.02), SETTING)
    runs = forecast(scored(run_sd=0.3, item_sd=0.02), SETTING)
    items = forecast(scored(run_sd=0.0, item_sd=1.2), SETTING)
    assert (quiet.bottleneck, runs.bottleneck, items.bottleneck) == ("range", "runs", "items")
    for noisy in (runs, items):
        assert noisy.kinds[0].price.runs.value > 1.3 * quiet.kinds[0].price.runs.value
        assert noisy.reach is not None
        assert quiet.reach is not None
        assert noisy.reach.first.value > quiet.reach.first.value
    more = next(advice for advice in items.advice if advice.name == "items")
    assert more.runs_rejected[1] < more.runs_rejected[0]
    assert more.reach is not None
    assert more.reach[1] < more.reach[0]


def test_E3_what_a_seed_shares_cancels_in_a_pair():
    noise = forecast(printed(0.05, 0.002), PRINTED).noise
    assert noise.source == "neighbours"
    assert noise.pairing is not None
    assert noise.pairing.low > 10.0
    alone = forecast(printed(0.05, 0.002, changes=0), PRINTED).noise
    assert (alone.source, alone.pairing) == ("seeds", None), "without a change to compare nothing is assumed to cancel"
    assert alone.paired.value > 10 * noise.paired.value


def test_S7_one_run_and_failed_runs_are_told_apart_from_quiet_ones():
    one = replace(scored(), runs=scored().runs[:1])
    found = forecast(one, SETTING)
    assert (found.kinds, found.proposals, found.bottleneck) == ((), None, "unknown")
    assert "One run says nothing" in text_of(found)
    dead = replace(one, runs=tuple(replace(run, answers=(), failed="nonzero") for run in one.runs))
    with pytest.raises(UsageError) as refused:
        forecast(dead, SETTING)
    assert refused.value.name == "nothing-to-forecast"


def test_V1_failing_runs_are_disasters_in_the_forecast_too():
    measured = scored(seeds=10, run_sd=0.01)
    runs = [replace(r, answers=(), failed="oom") if r.seed == 4 and r.repeat == 0 else r for r in measured.runs]
    with_failures = forecast(replace(measured, runs=tuple(runs)), SETTING)
    assert with_failures.noise.failed == 2
    assert with_failures.kinds[0].price.runs.value > forecast(measured, SETTING).kinds[0].price.runs.value


def test_E3_items_of_a_cluster_that_repeat_each_other_count_as_one():
    noise = analyse(scored(seeds=8, items=40, item_sd=0.3, per_cluster=8))
    assert noise.cluster_items == 8.0
    assert noise.cluster_effect is not None
    assert noise.cluster_effect.low < 8.0 < noise.cluster_effect.high
    assert noise.items is not None
    assert noise.items.variance.low < 0.09 < noise.items.variance.high, "a cluster's mean is as noisy as one item"


def test_S7_without_a_budget_or_a_declared_gain_there_is_still_an_answer():
    noisy = scored(run_sd=0.02, item_sd=0.2)
    found = forecast(noisy, replace(SETTING, hours=None, detect=None))
    assert found.detect_chosen
    assert found.proposals is None
    assert found.choices
    poor = forecast(noisy, replace(SETTING, hours=0.05, detect=None))
    assert found.detect < poor.detect, "the less time, the larger the gain worth looking for"


def test_S7_items_that_candidates_share_cost_later_tests_more():
    shared = forecast(scored(run_sd=0.02, item_sd=0.2), replace(SETTING, mode="ledger"))
    assert shared.levels[1] < usual().levels[1]
    assert shared.later[1].price.runs.value > usual().later[1].price.runs.value
