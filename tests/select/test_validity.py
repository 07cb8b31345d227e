"""How often the rule errs, by simulation; the full sizes are marked slow and are the benchmark's.

The simulator is ``festina.select.vector``; that it is the same rule, bit for bit, is shown in ``test_vector``.
"""

import importlib.util
import random
from pathlib import Path

import numpy as np
import pytest

from festina.select import Evidence, Plan, observe_all, start
from festina.select.vector import gate


def _load():
    path = Path(__file__).parents[2] / "benchmarks" / "selection.py"
    spec = importlib.util.spec_from_file_location("festina_benchmark_selection", path)
    module = importlib.util.module_from_spec(spec)
    import sys

    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


bench = _load()


def test_S1_no_run_of_bad_candidates_errs_more_than_alpha_and_the_mistake_does():
    rows = bench.validity(runs=60, proposals=4, most=180)
    for row in rows:
        if row["breaks"]:
            assert row["wrong"] > 0.5, row  # positive control: units that share a coin, counted singly  # E-3
        else:
            assert row["wrong"] <= 0.05, row  # the limit proper is the slow test's


@pytest.mark.slow
def test_S1_full_runs_of_bad_candidates_stay_below_alpha_at_99_percent():
    for row in bench.validity(runs=1000, proposals=60):
        if not row["breaks"]:
            assert row["upper99"] <= 0.05, row


def test_S1_sealed_blocks_hold_when_candidates_share_the_items():
    """Twenty bad candidates answer the same block, one after another, and only verdict words come back."""
    runs = 150
    rng = np.random.default_rng(2)
    plan = Plan("bounded", 0.5, 0.0, 0.05, 0.1, (), 300)
    budgets = bench.Budgets(runs, sealed=True)
    block = rng.normal(0.0, 0.1, (runs, 300))
    hit = np.zeros(runs, dtype=bool)
    for _ in range(20):
        own = rng.normal(0.0, 0.05, (runs, 300))
        levels = budgets.open()
        ends = gate(plan, levels, np.clip(block + own, -1, 1))
        budgets.close(levels, ends)
        hit |= ends.outcome == "accept"
    assert hit.mean() <= 0.05


@pytest.mark.parametrize("rule", ["greedy", "t"])
def test_S2_the_rare_disaster_fools_simpler_rules_but_not_this_one(rule):
    """Positive control: +0.02 nearly always, -0.98 seldom, mean 0. Seven tries in ten show no disaster in 18."""
    rng = np.random.default_rng(3)
    draws = bench.catastrophe(0.0)(rng, 400, 60)
    if rule == "greedy":
        fooled = (draws[:, :20].mean(1) > 0).mean()
    else:
        head = draws[:, :30]
        fooled = (head.mean(1) > 4.0 * head.std(1, ddof=1) / 30**0.5).mean()
    assert fooled > 0.3
    plan = Plan("bounded", 0.05, 0.0, 0.05, 0.1, (), 60)
    assert (gate(plan, np.full(400, 0.05), draws).outcome == "accept").mean() <= 0.02


def test_S7_the_symmetric_rule_holds_under_symmetry():
    from festina.select import decision

    plan = Plan("symmetric", 0.05, 0.0, 0.0, 0.1, (), 40)
    rng = random.Random(4)
    laws = [
        lambda: rng.gauss(0, 1),
        lambda: rng.gauss(0, 1) ** 3,
        lambda: rng.choice([-1.0, 0.0, 1.0]),
        lambda: rng.gauss(-0.2, 1),
    ]
    for law in laws:
        wrong = sum(
            decision(observe_all(start(plan), [Evidence(law()) for _ in range(40)])) == "accept" for _ in range(200)
        )
        assert wrong <= 19  # 10 expected at most; 20 or more has a chance of 0.003
