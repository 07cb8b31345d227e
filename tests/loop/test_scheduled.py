"""A whole run that compares its improvers by itself, from both versions, within its share of the budget."""

from __future__ import annotations

from pathlib import Path

import pytest

from festina.loop import corners
from festina.loop.engine import Options, run
from festina.loop.recount import recount
from festina.select.corners import sentence
from tests.loop.commandline import decide, festina
from tests.loop.forging import ledger_of
from tests.loop.invariants import check
from tests.loop.test_growth import patched
from tests.toy import make_toy


@pytest.mark.slow
def test_W2_a_run_measures_the_four_corners_by_itself_and_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(corners, "PROBLEMS", 4)
    monkeypatch.setattr(corners, "UNITS", 2)
    monkeypatch.setattr(corners, "ALL_FOUR", 3.0)
    policy = "plant_rate = 0.0\ncontrol_share = 0.0\ncrossplay_share = 0.5\n"
    toy = make_toy(tmp_path, skill=0.1, step="0.1", detect=0.3, policy=policy)
    for key, value in toy.environment.items():
        monkeypatch.setenv(key, value)
    patch = patched(toy, tmp_path / "more.patch", skill="0.7", step="0.2")
    done = festina("run", "--with", str(patch), "--as", "eve", "--proposals", "1", "--budget", "200s", toy=toy)
    assert "Accepted" in done.stderr, done.stderr
    for name in ("ann", "bob"):  # nobody signed the patch: two people have to approve it
        assert festina("reviewer", "add", name, toy=toy).returncode == 0
    for name in ("ann", "bob"):
        assert decide("approve", 0, toy, by=name).returncode == 0

    state = run(toy.root, Options(wall_s=240.0, proposals=1))
    assert state.in_force >= 1
    plays = [(p.plan.left, p.plan.right, p.plan.start, len(p.problems)) for p in state.growth.crossplays]
    assert plays == [(1, 0, 0, 4), (1, 0, 1, 4)]
    assert all(p.ended is not None for p in state.growth.crossplays)
    first = next(p for p in state.proposals.values() if p.improver == "own")
    assert first.word is not None, "and then it proposed"
    spent = sum(len(p.problems) * (2 + 3 * p.plan.units) for p in state.growth.crossplays)
    assert spent <= 0.5 * state.trials
    assert state.side.comparing == spent, "no effort towards any gain"
    found = corners.square(state)
    assert found is not None
    assert "Returns to improvement" in sentence(found.found, found.left, found.right)
    assert recount(ledger_of(toy)).mismatches == ()
    check(toy.root, settled=True)
