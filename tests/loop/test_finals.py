"""The sealed final suite: scored once before a release, never used by the gate, and strict; budgets of looks."""

from __future__ import annotations

import signal
from pathlib import Path

import pytest

from festina.errors import Rejected, UsageError
from festina.ledger import entries as e
from festina.loop import finals
from festina.loop.engine import Options, measuring
from festina.loop.state import State
from festina.release.refs import RELEASED
from festina.system.repo import Repo
from tests.loop.commandline import decide, festina
from tests.loop.invariants import check, read
from tests.toy import GENERATOR, Toy, make_toy

FINAL = "[suite.final]\nunits = 20\nbatch = 20\nlooks = 800\n"


def final_toy(tmp_path: Path, generator: str) -> Toy:
    """A toy with an accepted and approved change of its skill from 0.3 to 0.9."""
    toy = make_toy(tmp_path, step="0.6", extra=FINAL)
    source = tmp_path / "final.py"
    source.write_text(generator)
    assert festina("vault", "add", "final", "--generator", str(source), toy=toy).returncode == 0
    done = festina("run", "--proposals", "1", "--budget", "200s", toy=toy)
    assert done.returncode == 0, done.stderr
    assert festina("reviewer", "add", "ann", toy=toy).returncode == 0
    why = "the skill is what we wanted"
    assert decide("approve", 0, toy, reason=why).returncode == 0
    return toy


def released_at(toy: Toy) -> str | None:
    return Repo.discover(toy.root).ref(RELEASED)


def charged(toy: Toy) -> list[e.MeasureStarted]:
    return [r.body for r in read(toy.root)[1] if r.kind == "measure-started" and r.body.purpose == "final"]


def test_V3_a_release_is_scored_once_before_the_reference_moves_and_a_kill_scores_the_same_items(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    toy = final_toy(tmp_path, GENERATOR)
    for key, value in toy.environment.items():
        monkeypatch.setenv(key, value)
    assert not charged(toy)  # the gate used none of it
    with monkeypatch.context() as crashing:
        crashing.setenv("FESTINA_CRASH_AT", "measure-started")
        killed = festina("release", toy=toy)
    assert killed.returncode == -signal.SIGKILL
    assert released_at(toy) is None
    done = festina("release", toy=toy)
    assert done.returncode == 0, done.stderr
    assert "sealed final suite" in done.stderr
    assert "better by 0." in done.stderr
    state, records = read(toy.root)
    score = state.side.finals[1]
    assert score.interval[0] > 0
    assert score.estimate == pytest.approx(0.6, abs=0.2)
    assert [x.attempt for x in charged(toy)] == [1, 2]  # looks and trials are paid for twice, items drawn once
    assert [x.fresh for x in charged(toy)] == [True, False]
    assert state.side.looks[f"final:{charged(toy)[0].source}"] == 800
    order = [r.kind for r in records if r.kind in ("final-scored", "release-intent")]
    assert order == ["final-scored", "release-intent"]
    assert released_at(toy) == state.generations[1].commit
    again = festina("release", "1", toy=toy)
    assert len(charged(toy)) == 2, again.stderr  # what is recorded stands
    assert "sealed final suite" in festina("report", "--no-plots", "-o", "-", toy=toy).stdout
    check(toy.root, settled=True)
    with measuring(toy.root, Options()) as bench:  # the budget of looks is spent: nobody else is scored on it
        assert finals.score_final(bench, 1) == score
        with pytest.raises(UsageError, match="800 of its 800 looks") as spent:
            finals.score_final(bench, 0)
        assert spent.value.name == "final-spent"
        assert "--replace" in spent.value.fix


@pytest.mark.slow
def test_V3_a_release_that_its_final_score_contradicts_is_refused_and_not_scored_again(tmp_path: Path) -> None:
    """On these items the miss is what is right, so that more skill is worse."""
    toy = final_toy(tmp_path, GENERATOR.replace('"label": x % 7', '"label": -1'))
    for _ in range(2):
        done = festina("release", toy=toy)
        assert done.returncode == 3, done.stderr
        assert "final-contradicts" in done.stderr
        assert "contradicts the verdict" in done.stderr
        assert released_at(toy) is None
    assert len(charged(toy)) == 1
    state, _ = read(toy.root)
    intent = e.ReleaseIntent(
        release=0, cause="release", generation=1, old_commit=None, new_commit=state.generations[1].commit, review=0
    )
    refuse_to_fold(state, intent)  # also where somebody writes the intent without asking
    with pytest.raises(Rejected):
        finals.require(state, state.generations[1])


def refuse_to_fold(state: State, body: e.Body) -> None:
    from festina.errors import IntegrityError
    from tests.loop.paper import Paper, digest

    with pytest.raises(IntegrityError, match="final score"):
        state.apply(Paper(state.size, body.kind, state.last_at, body, digest(1), {}))


def test_V3_a_final_suite_needs_items_of_its_own(tmp_path: Path) -> None:
    toy = make_toy(tmp_path, step="0.6", extra=FINAL)
    none = festina("run", "--proposals", "1", "--budget", "60s", toy=toy)
    assert none.returncode == 2
    assert "vault add final" in none.stderr


def test_V3_a_hidden_suite_whose_looks_are_spent_is_retired_with_the_remedy(tmp_path: Path) -> None:
    """200 looks: the rehearsal of the incumbent takes 20, and a test cannot end within the rest."""
    toy = make_toy(tmp_path, step="0.2")
    manifest = toy.root / "festina.toml"
    manifest.write_text(manifest.read_text().replace("batch = 20\n", "batch = 20\nlooks = 200\n"))
    toy.commit("a budget of looks")
    done = festina("run", "--proposals", "2", "--budget", "100s", toy=toy)
    assert done.returncode == 5, done.stderr
    assert "budget of looks is spent" in done.stderr
    state = check(toy.root, settled=True)
    assert state.looks <= 200
    assert state.looks_left is not None
    assert state.looks_left < 20
    assert [p.word for p in state.proposals.values()] == ["inconclusive"]
    again = festina("run", "--proposals", "2", "--budget", "100s", toy=toy)
    assert again.returncode == 5
    assert read(toy.root)[0].looks == state.looks  # not even the incumbent is shown another item
