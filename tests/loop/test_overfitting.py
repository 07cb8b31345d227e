"""A gain that is public only is told from one that carries over, and every run that measures it is paid for."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from festina.ledger import entries as e
from festina.select import overfit
from tests.loop.commandline import decide, evidence, festina
from tests.loop.invariants import check, read
from tests.toy import Toy, make_toy

spreads = st.tuples(st.floats(-1, 1), st.floats(0, 1), st.floats(0, 1)).map(lambda t: (t[0], t[0] - t[1], t[0] + t[2]))


def with_public(tmp_path: Path, skill: dict[str, object], *, memo: bool = False) -> tuple[Toy, Path]:
    """A toy whose answers may come from a memo of public items, and a patch that writes ``skill``."""
    toy = make_toy(tmp_path, step="0.0", public=80)
    items = [json.loads(line) for line in (toy.root / "public.jsonl").read_text().splitlines()]
    answer = (toy.root / "answer.py").read_text()
    lookup = 'memo = json.load(open("skill.json")).get("memo", [])\n'
    answer = answer.replace("out = open", lookup + "out = open", 1)
    answer = answer.replace("coin < skill", 'coin < skill or item["input"] in memo')
    (toy.root / "answer.py").write_text(answer)
    toy.commit("a memo")
    (toy.root / "skill.json").write_text(json.dumps(skill | ({"memo": [x["input"] for x in items]} if memo else {})))
    patch = tmp_path / "change.patch"
    patch.write_text(toy.git("diff") + "\n")
    toy.git("checkout", "-q", ".")
    return toy, patch


def compared(toy: Toy, patch: Path) -> e.PublicCompared:
    done = festina("run", "--proposals", "1", "--budget", "200s", "--with", str(patch), toy=toy)
    assert done.returncode == 0, done.stderr
    found = check(toy.root, settled=True).head.public
    assert isinstance(found, e.PublicCompared)
    return found


def test_V6_a_memorised_public_gain_is_reported_as_overfitting_everywhere(tmp_path: Path) -> None:
    toy, patch = with_public(tmp_path, {"skill": 0.6}, memo=True)
    found = compared(toy, patch)
    assert found.public[0] == pytest.approx(0.7, abs=0.1)
    assert found.hidden[0] == pytest.approx(0.3, abs=0.15)
    assert found.gap[1] > 0
    assert found.line_gap[0] == pytest.approx(found.gap[0])
    assert "fitted to the public items" in found.sentence
    page = json.loads(festina("status", "--json", toy=toy).stdout)
    assert page["overfitting"]["overfitted"]
    assert "evaluation overfitting" in festina("status", toy=toy).stdout.replace("\n", " ")
    assert "fitted to the public items" in evidence(0, toy)
    why = "to see what the release says"
    assert "1 more must decide" in decide("approve", 0, toy, reason=why).stderr  # nobody has signed the patch  # R-1
    assert festina("reviewer", "add", "bob", toy=toy).returncode == 0
    assert decide("approve", 0, toy, by="bob", reason=why).returncode == 0
    assert "fitted to the public items" in festina("release", toy=toy).stderr
    assert "fitted to the public items" in festina("report", "--no-plots", "-o", "-", toy=toy).stdout


def test_V6_E1_a_gain_that_carries_over_is_not_and_its_runs_are_charged(tmp_path: Path) -> None:
    toy, patch = with_public(tmp_path, {"skill": 0.9})
    found = compared(toy, patch)
    assert not overfit.overfitted(found.gap)
    assert "within what chance explains" in found.sentence
    state, records = read(toy.root)
    charged = [r for r in records if r.kind == "measure-started"]
    assert [r.body.purpose for r in charged] == ["rehearsal", "public"]
    result = next(r.seq for r in records if r.kind == "public-compared")
    assert charged[1].seq < result
    tests = sum(r.body.trials for r in records if r.kind in ("batch-started", "control-started"))
    assert state.trials == state.run_trials == tests + 1 + charged[1].body.trials
    skipped = state.head.attribution  # V-8: there is nothing to take apart, and people are told so
    assert isinstance(skipped, e.MeasureSkipped)
    assert "single hunk" in skipped.reason
    assert "single hunk" in evidence(0, toy)


def test_E5_a_run_whose_trials_are_spent_skips_the_comparison_and_overruns_nothing(tmp_path: Path) -> None:
    toy, patch = with_public(tmp_path, {"skill": 1.0})
    state = None
    for _ in range(40):  # few trials a run: the acceptance comes at the end of one of them
        done = festina("run", "--proposals", "1", "--trials", "13", "--budget", "100s", "--with", str(patch), toy=toy)
        assert done.returncode in (0, 5), done.stderr
        state, _ = read(toy.root)
        assert state.run_trials <= 13
        if state.head.number and state.head.public is not None:
            break
    assert state is not None
    assert state.head.public is not None


@given(spreads, spreads)
def test_V6_the_gap_holds_its_estimate_and_shrinks_with_both_intervals(a: overfit.Spread, b: overfit.Spread) -> None:
    gap = overfit.minus(a, b)
    assert gap[1] <= gap[0] <= gap[2]
    assert gap[0] - gap[1] <= (a[0] - a[1]) + (b[2] - b[0]) + 1e-12
    exact = (b[0], b[0], b[0])
    assert overfit.minus(a, exact)[0] - overfit.minus(a, exact)[1] == pytest.approx(a[0] - a[1])


@given(st.lists(spreads, min_size=1, max_size=6))
def test_V6_sums_over_the_run_add_up(rows: list[overfit.Spread]) -> None:
    total = overfit.summed(rows)
    assert total[0] == pytest.approx(sum(row[0] for row in rows))
    assert total[1] <= total[0] <= total[2]
