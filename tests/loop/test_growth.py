"""Whether recursion pays, measured on a real system: cross-play, control arm, shares of the gain."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

from festina.errors import IntegrityError
from festina.ledger import entries as e
from festina.loop.growth import HANDLERS
from tests.loop.commandline import festina
from tests.loop.invariants import check, no_orphans, read
from tests.loop.paper import Paper
from tests.toy import Toy, make_toy


def patched(toy: Toy, path: Path, *, skill: str, step: str) -> Path:
    """A person's change of skill and improver, as a patch."""
    (toy.root / "skill.json").write_text(f'{{"skill": {skill}}}')
    code = (toy.root / "improve.py").read_text()
    (toy.root / "improve.py").write_text(code.replace("step = 0.1\n", f"step = {step}\n"))
    path.write_text(toy.git("diff") + "\n")
    toy.git("checkout", "--", ".")
    return path


@pytest.fixture(scope="module")
def grown(tmp_path_factory: pytest.TempPathFactory) -> Toy:
    """Skill 0.1 and an improver that adds 0.1; a person's generation 1 has skill 0.7 and an improver that adds 0.5."""
    base = tmp_path_factory.mktemp("grown")
    before = {key: os.environ.get(key) for key in ("FESTINA_HOME", "FESTINA_REVIEWER_KEYS")}
    toy = make_toy(base, skill=0.1, step="0.1", detect=0.3)
    patch = patched(toy, base / "more.patch", skill="0.7", step="0.5")
    done = festina("run", "--with", str(patch), "--as", "ann", "--proposals", "1", "--budget", "200s", toy=toy)
    os.environ.update({key: value for key, value in before.items() if value is not None})
    assert "Accepted" in done.stderr, done.stderr
    return toy


PLAY = ("--crossplay", "--left", "1", "--problems", "6", "--units", "2")


def test_W2_crossplay_finds_the_better_improver_and_a_kill_loses_and_doubles_nothing(
    grown: Toy, monkeypatch: pytest.MonkeyPatch
) -> None:
    for key, value in grown.environment.items():
        monkeypatch.setenv(key, value)
    argv = [sys.executable, "-m", "festina", "growth", "-C", str(grown.root), *PLAY]
    killed = subprocess.run(argv, env=os.environ | {"FESTINA_CRASH_AT": "growth-problem"}, capture_output=True)
    assert killed.returncode == -signal.SIGKILL
    no_orphans(str(grown.root.parent))
    done = festina("growth", *PLAY, "--json", toy=grown)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert found["answer"] == "paid"
    assert abs(found["left"][0] - 0.5) < 0.25
    assert found["ratio"] is None or found["ratio"][1] > 1.0
    state = check(grown.root, settled=True)
    records = read(grown.root)[1]
    kinds = Counter(r.kind for r in records)
    assert kinds["crossplay-planned"] == kinds["crossplay-ended"] == 1  # the plan stands before data, and once  # L-4
    assert kinds["crossplay-problem"] == 6
    charged = [r.body for r in records if r.kind == "measure-started" and r.body.purpose == "crossplay"]
    assert len(charged) == 7  # the one that was cut off is paid for, too  # E-1
    assert {x.trials for x in charged} == {2 + 3 * 2}
    assert len(state.proposals) == 1  # no product became a proposal
    assert found["sentence"] in festina("growth", toy=grown).stdout
    play = state.growth.crossplays[0]
    for body in (play.problems[0], play.ended, e.ArmEnded.model_construct(arm=7)):  # nothing unplanned is a result
        with pytest.raises(IntegrityError) as refused:
            HANDLERS[body.kind](state, Paper(state.size, body.kind, "", body, ""), body)
        assert refused.value.name == "entry-does-not-fit"


def test_W2_P5_status_and_growth_say_who_made_the_gain(grown: Toy) -> None:
    for command in ("growth", "status"):
        said = " ".join(festina(command, toy=grown).stdout.split())
        assert "Gain by author (sums of estimates): people" in said
    made = json.loads(festina("growth", "--json", toy=grown).stdout)["authors"]
    assert [(row["author"], row["part"]) for row in made] == [("people", 1.0)]


def test_W2_the_control_arm_is_one_command_and_what_it_found_is_recorded(
    grown: Toy, monkeypatch: pytest.MonkeyPatch
) -> None:
    for key, value in grown.environment.items():
        monkeypatch.setenv(key, value)
    argv = [sys.executable, "-m", "festina", "growth", "-C", str(grown.root), "--control", "--units", "12"]
    killed = subprocess.run(argv, env=os.environ | {"FESTINA_CRASH_AT": "batch-started"}, capture_output=True)
    assert killed.returncode == -signal.SIGKILL  # in the arm's own loop
    before = read(grown.root)[0]
    done = festina("growth", "--control", "--units", "12", toy=grown)
    assert done.returncode == 0, done.stderr
    state = check(grown.root, settled=True)
    (started, ended) = state.growth.arms[-1]
    assert len(state.growth.arms) == 1  # it went on with the arm that was cut off
    assert ended is not None
    assert ended.proposals <= started.proposals == 1  # the same budget
    assert ended.trials <= started.trials
    assert (ended.generations, ended.tree) == (0, state.epoch.start_tree)  # 0.1 more is under what was asked for
    assert ended.estimate > 0.3  # 0.7 against 0.1
    assert ended.answer == "cannot tell"  # ahead by what a person did: no changed improver has made anything
    assert state.line == before.line
    assert ended.sentence in " ".join(festina("growth", toy=grown).stdout.split("\n"))
    assert "control arm" in festina("report", "--no-plots", "-o", "-", toy=grown).stdout
