"""Rules that Festina is compared with do what their papers say: each by a small example worked by hand."""

import math
import subprocess
import sys
import tomllib
from pathlib import Path

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).parents[2] / "benchmarks"))
from acceptance import audit, contest, peers
from festina.select import Plan


def rows(*values):
    return np.array(values, dtype=float)


def test_keep_if_better_looks_at_its_first_evaluations_and_takes_anything_above_zero():
    d = rows([0.1, -0.3, 9.9], [0.3, -0.2, -9.9])
    verdict = peers.KeepIfBetter(2, 2).judge(d)
    assert verdict.accepted.tolist() == [False, True]
    assert verdict.used.tolist() == [2, 2]
    assert verdict.told == pytest.approx([-0.1, 0.05])


def test_the_ladder_wants_one_standard_error_and_else_shows_the_old_score():
    verdict = peers.Ladder(2, 2).judge(rows([0.05, 0.2], [-0.01, 0.2]))  # mean .125, error .075; mean .095, error .105
    assert verdict.accepted.tolist() == [True, False]
    assert verdict.told == pytest.approx([0.125, 0.0])


@pytest.mark.parametrize(("level", "freedom", "table"), [(0.05, 29, 1.6991), (0.01, 120, 2.3578), (0.001, 60, 3.2317)])
def test_t_quantiles_are_those_of_the_tables(level, freedom, table):
    assert peers.t_quantile(level, freedom) == pytest.approx(table, abs=0.004)


def test_bonferroni_finds_the_detectable_gain_as_often_as_its_size_was_chosen_for():
    n = peers.bonferroni_size(0.9, 0.05, 0.1, 200)
    rule = peers.bonferroni(2000, n, 200)
    d = np.random.default_rng(1).normal(0.05, 0.1, (2000, n))
    assert rule.judge(d).accepted.mean() == pytest.approx(0.9, abs=0.03)


def test_thresholdout_shows_the_training_mean_unless_the_holdout_is_far_from_it():
    far, near = [0.0] * 4 + [0.5] * 4, [0.5] * 8
    verdict = peers.Thresholdout(2, 4).judge(rows(far, near))
    assert abs(verdict.told[0]) < 0.2  # the holdout's 0 with noise of scale .01
    assert verdict.told[1] == 0.5


def test_racing_stops_at_the_look_that_is_clear_and_at_the_end_otherwise():
    ahead, behind, even = [0.5, 0.4] * 50, [-0.5, -0.4] * 50, [0.5, -0.5] * 50
    verdict = peers.Racing(3, 100, 50).judge(rows(ahead, behind, even))
    assert verdict.accepted.tolist() == [True, False, False]
    assert verdict.used.tolist() == [50, 50, 100]


def test_sgm_spends_its_level_harmonically_and_only_on_confirmations():
    """Two rounds: H = 1.5, levels .05/1.5 and .05/3. Constant gains: the radius is 3 ln(3/level)/n."""
    n, first, second = 100, 3 * math.log(90) / 100, 3 * math.log(180) / 100
    rule = peers.SGM(1, 2, "Bernstein", 10, n)
    assert not rule.judge(np.full((1, n), -0.5)).accepted[0]  # not confirmed, so not charged
    assert rule.judge(np.full((1, n), first + 0.001)).accepted[0]
    assert not rule.judge(np.full((1, n), first + 0.001)).accepted[0]
    assert first + 0.001 < second
    hoeffding = math.sqrt(2 * math.log(30) / n)
    for gain, accepted in ((hoeffding + 0.001, True), (hoeffding - 0.001, False)):
        assert peers.SGM(1, 2, "Hoeffding", 10, n).judge(np.full((1, n), gain)).accepted[0] == accepted


def test_dgms_archive_takes_what_is_worse_by_less_than_its_leeway():
    rule = peers.Leeway(1, 2)
    verdicts = [rule.decide(np.full((1, 2), gain), np.array([gain])).accepted[0] for gain in (-0.09, -0.2)]
    assert verdicts[0]
    assert rule.gain[0] == 0.0  # the best of the archive is still the first agent
    assert not verdicts[1]


def test_S1_a_level_for_each_decision_is_none_for_the_run():
    """At 0.05 a decision, a third of the runs of 25 null proposals end with something accepted."""
    plan, rng = Plan("bounded", 0.5, 0.0, 0.1, 0.1, (), 200), np.random.default_rng(3)
    verdict = peers.PerDecision(1000, plan).judge(rng.choice((-0.5, 0.5), (1000, 200)))
    assert verdict.accepted.mean() <= 0.05
    assert verdict.accepted.reshape(40, 25).any(1).mean() > 0.3


def test_the_audit_knows_a_lucky_change_from_a_real_one(tmp_path):
    lucky = (audit.EXAMPLE / "planted" / "generation-0" / "lucky.patch").read_bytes()
    with audit.example():
        import generator
        import solve

        start = list(solve.read_library(str(audit.EXAMPLE / "system")))
        (tmp_path / "library.json").write_bytes((audit.EXAMPLE / "system" / "library.json").read_bytes())
        subprocess.run(["git", "apply", "-"], cwd=tmp_path, input=lucky, check=True)
        auditor, grown = audit.Auditor(1, 1500), []
        for name, inputs in (
            ("and", 2),
            ("or", 2),
            ("xor", 2),
            ("differ", 3),
            ("majority", 3),
        ):  # where the example ends
            gates = generator.gates_of([name, *range(inputs)], inputs)
            grown.append(solve.Primitive(name, inputs, tuple(map(tuple, gates))))
        assert auditor.bad(list(solve.read_library(str(tmp_path))), start, start)
        assert not auditor.bad(grown, start, start)
        assert auditor.gain(grown, start) > 0.4


def test_the_audit_puts_its_improver_into_the_example():
    changed = tomllib.loads(audit.with_our_improver((audit.EXAMPLE / "system" / "festina.toml").read_text()))
    assert changed["improver"]["run"][-1] == changed["improver"]["code"][0] == "mixed.py"
    assert changed["scope"]["allow"] == ["library.json"]


@pytest.mark.slow
def test_rules_from_packages_are_driven_as_they_are():
    pytest.importorskip("openevolve")
    pytest.importorskip("online_fdr")
    from acceptance import packages

    rng = np.random.default_rng(1)
    theirs, ours = packages.OpenEvolve(5, 100, islands=False), peers.KeepIfBetter(5, 100)
    for _ in range(60):
        d = rng.choice((-1.0, 0.0, 1.0), (5, 100), p=(0.1, 0.8, 0.1))
        verdicts = [rule.decide(d, np.full(5, 0.01)).accepted for rule in (theirs, ours)]
        assert verdicts[0].tolist() == verdicts[1].tolist()  # with its best as the parent it keeps what is better
    assert theirs.gain == pytest.approx(ours.gain)
    gamma = 0.07720838 * math.log(2)  # the first of the published sequence
    lord = packages.LordPlus(2, 500)
    assert packages.p_values(np.array([1.6991]), 29)[0] == pytest.approx(0.05, abs=1e-3)
    below, above = (0.9 * 0.025 * gamma, 1.1 * 0.025 * gamma)  # level: half of alpha times gamma_1
    assert lord.rules[0].test_one(below)
    assert not lord.rules[1].test_one(above)


@pytest.mark.slow
def test_on_the_same_draws_festina_errs_less_than_each_cheaper_rule():
    rows = contest.rows(contest.SCENARIOS[4], 40)
    ours, theirs = rows[0], [row for row in rows if row["source"] != peers.Festina.source]
    cheaper = [row for row in theirs if row["units"] < ours["units"]]
    assert ours["wrong"] <= 0.05
    assert cheaper
    assert all(row["wrong"] > 0.9 for row in cheaper)
    assert next(row["share"] for row in rows if row["rule"] == peers.FestinaFdr.name) <= 0.05
