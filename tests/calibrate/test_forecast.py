"""What a forecast says of systems whose noise is known, and that it says so plainly."""

from __future__ import annotations

import json
import random
import re
from dataclasses import replace
from functools import cache

import numpy as np
import pytest

from festina.calibrate import words
from festina.calibrate.forecast import forecast
from festina.calibrate.noise import analyse
from festina.calibrate.play import Case, play
from festina.calibrate.scene import make_scene
from festina.calibrate.types import Answer, Measured, Run, Setting
from festina.calibrate.values import Forecast, record
from festina.cli import calibrate
from festina.errors import UsageError
from festina.select import gate
from festina.select.noise import Noise

SETTING = Setting(
    alpha=0.05, spread=50, beta=0.1, margin=0.0, detect=0.2, units_max=None, items_per_run=20, mode="fresh", hours=0.1,
    unit="item",
)  # fmt: skip
PRINTED = replace(SETTING, hours=8.0, detect=None, units_max=60, items_per_run=1, mode="printed", unit="seed")
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


@cache
def usual_printed() -> Forecast:
    return forecast(printed(0.05, 0.002), PRINTED)


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


@pytest.mark.parametrize("width", range(60, 100, 3))
def test_a_sentence_keeps_a_number_and_its_unit_together_on_a_terminal(
    width: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("COLUMNS", str(width))
    calibrate._show(usual(), [], [])
    rows = capsys.readouterr().out.splitlines()
    assert max(map(len, rows)) <= width
    assert any(" % " in row for row in rows)
    assert not [row for row in rows if re.match(r"  (%|s|min|h)(?!\w)", row)]  # cells of a table begin further in


def trained(train_s: float, *, once: bool) -> Forecast:
    """The usual system, whose training takes so long: within each run of a second more, or once before all."""
    measured = scored(run_sd=0.02, item_sd=0.2)
    within = 0.0 if once else train_s
    runs = tuple(replace(run, wall_s=1.0 + within, train_s=train_s) for run in measured.runs)
    return forecast(replace(measured, runs=runs), replace(SETTING, once=once))


def test_S7_a_candidate_that_is_trained_once_costs_one_training_and_its_answers():
    plain, kept, each = usual(), trained(600.0, once=True), trained(600.0, once=False)
    runs = plain.kinds[1].price.runs.value
    assert kept.kinds[1].price.runs.value == runs
    assert kept.kinds[1].price.hours.value == pytest.approx(plain.kinds[1].price.hours.value + 600.0 / 3600.0)
    assert each.kinds[1].price.hours.value > 20 * kept.kinds[1].price.hours.value
    artifact = {claim.name: claim for claim in each.claims}["artifact"]
    assert artifact.hours_accepted is not None  # what it would take if it were trained once
    assert artifact.hours_accepted < each.kinds[1].price.hours.value / 20
    assert {claim.name: claim for claim in kept.claims}["recipe"].hours_accepted is None
    assert kept.proposals is not None
    assert plain.proposals is not None
    assert kept.proposals.value < plain.proposals.value / 3
    assert "Each candidate is trained once (10 min, counted in)" in text_of(kept)


def test_S7_the_same_measurements_give_the_same_forecast_and_plain_json():
    assert forecast(scored(run_sd=0.02, item_sd=0.2), SETTING) == usual()
    json.dumps(record(usual()), allow_nan=False)


def test_S4_nobody_needs_to_know_the_statistics_to_read_it():
    for found in (usual(), usual_printed()):
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
    runs = forecast(scored(run_sd=0.5, item_sd=0.02), SETTING)
    items = forecast(scored(run_sd=0.0, item_sd=2.0), SETTING)
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
    noise = usual_printed().noise
    assert noise.source == "neighbours"
    assert noise.pairing is not None
    assert noise.pairing.low > 10.0
    alone = analyse(printed(0.05, 0.002, changes=0))
    assert alone.source == "seeds", "without a change to compare nothing is assumed to cancel"
    assert alone.unit(1.0).value > 100.0 * noise.paired.value**2


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


def test_V1_a_printed_metric_survives_a_failed_run_in_its_forecast():
    measured = printed(0.05, 0.002)
    runs = [replace(r, metric=None, failed="nonzero") if r.seed == 4 and r.tree == "incumbent" else r
            for r in measured.runs]  # fmt: skip
    hurt = forecast(replace(measured, runs=tuple(runs)), PRINTED)
    assert hurt.noise.failed == 1
    assert hurt.kinds[1].gain < 5.0 * usual_printed().kinds[1].gain


def test_E3_changes_that_touch_no_chance_do_not_make_a_system_look_quiet():
    measured = printed(0.05, 0.004, seeds=12)
    own = [run for run in measured.runs if run.tree == "incumbent"]
    still = tuple(replace(run, tree="still", metric=run.metric + 0.01) for run in own)
    assert analyse(replace(measured, runs=measured.runs + still)).process == analyse(measured).process


def test_S7_where_the_same_seed_gives_the_same_run_any_gain_shows_and_the_worst_case_is_told():
    measured = printed(0.05, 0.0)
    runs = tuple(replace(r, metric=r.metric + 0.3) if r.tree != "incumbent" else r for r in measured.runs)  # rounding
    found = forecast(replace(measured, runs=runs), PRINTED)
    assert found.any_gain
    assert found.kinds[1].accepted.value == 1.0
    assert found.reach.apart is not None
    assert "however small; " in text_of(found)


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


def test_S7_later_tests_know_the_noise_that_earlier_ones_have_shown_and_cost_less_for_it():
    scene = make_scene(scored(run_sd=0.01, item_sd=0.05), SETTING, analyse(scored(run_sd=0.01, item_sd=0.05)))
    stage, level = scene.stages[0], scene.levels[0]
    ends = play(scene.plan(), {earlier: Case(stage, 0.0, level, earlier) for earlier in (0, scene.earlier)})
    first, later = (end.spent(1, 1) for end in ends.values())
    assert later < 0.97 * first
    plan = replace(scene.plan(), level=level, noise=Noise(49, 49 * float((stage.at(0.0) ** 2).mean())))
    count = len(ends[49].counts)
    drawn = np.random.default_rng((2, 7)).integers(len(stage.pool), size=(count, plan.units_max))
    for row, units in zip(stage.at(0.0)[drawn[:20]], ends[49].counts, strict=False):
        state = gate.observe_all(gate.start(plan), [gate.Evidence(float(value)) for value in row])
        assert state.units == units, "as the rule itself goes, unit by unit"
    shared = replace(SETTING, mode="ledger")
    assert make_scene(scored(), shared, analyse(scored())).earlier == 0, "nothing is learnt on shared items"


def test_S7_items_that_candidates_share_cost_later_tests_more():
    shared = forecast(scored(run_sd=0.02, item_sd=0.2), replace(SETTING, mode="ledger"))
    assert shared.levels[1] < usual().levels[1]
    assert shared.later[1].accepted.value < usual().later[1].accepted.value
