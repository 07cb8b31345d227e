"""A tree that is trained once: its artifact is made, recorded, and asked in every side of every test.  # S-7"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from festina.errors import Fault, IntegrityError
from festina.experiment.artifacts import Artifacts, Made, artifact_digest, sha
from festina.ledger import entries as e
from festina.ledger.canonical import canonical
from festina.ledger.log import Ledger, Record
from festina.loop.contents import Contents
from festina.loop.state import State, fold
from festina.loop.trained import Trained, train
from festina.sandbox.job import Ended
from festina.system import home as homes
from festina.system.repo import Repo
from festina.verify.account import Account
from tests.loop.commandline import festina
from tests.loop.invariants import check, no_orphans, read
from tests.loop.paper import Paper
from tests.toy import Toy, make_toy


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Toy:
    """Trained once; a real gain was accepted, then one was refused that changes nothing but a note."""
    base = tmp_path_factory.mktemp("trained")
    before = {key: os.environ.get(key) for key in ("FESTINA_HOME", "FESTINA_REVIEWER_KEYS")}
    toy = make_toy(base, step="0.6 if skill < 0.5 else 0.0", notes=True, train="once")
    done = festina("run", "--proposals", "2", "--budget", "300s", toy=toy)
    for key, value in before.items():
        if value is not None:
            os.environ[key] = value
    assert done.returncode == 0, done.stderr
    return toy


@pytest.fixture(autouse=True)
def _environment(trained: Toy, monkeypatch: pytest.MonkeyPatch) -> None:
    for key, value in trained.environment.items():
        monkeypatch.setenv(key, value)


def details(toy: Toy, records: list[Record]) -> list[dict[str, object]]:
    home = homes.require(Repo.discover(toy.root))
    with Ledger.open(home.ledger, readonly=True) as ledger:
        blobs = [ledger.get_blob(r.body.details) for r in records if isinstance(r.body, e.BatchEnded)]
    return [unit for blob in blobs for unit in json.loads(blob)["units"]]


def test_S7_every_tree_is_trained_once_and_its_artifact_answers_every_side(trained: Toy) -> None:
    state, records = read(trained.root)
    made = {r.body.tree: r.body for r in records if isinstance(r.body, e.TrainingEnded)}
    started = [r.body.tree for r in records if isinstance(r.body, e.TrainingStarted)]
    assert sorted(started) == sorted(made)
    assert len(made) == len(set(started)) == 3  # the start, and both proposals
    sides = [side for unit in details(trained, records) for side in unit["sides"]]  # type: ignore[attr-defined]
    assert len(sides) > 30
    assert all(side["artifact"] == made[side["tree"]].artifact for side in sides)
    assert state.head.number == 1


def test_S7_the_verdict_says_that_it_is_about_this_model(trained: Toy) -> None:
    state = check(trained.root, settled=True)
    assert state.head.verdict is not None
    assert "It is about this trained model, not about training again." in state.head.verdict.sentence
    assert festina("ledger", "verify", "--verdicts", toy=trained).returncode == 0


def test_a_change_that_changes_nothing_makes_the_same_model_and_draws_no_luck(trained: Toy) -> None:
    state, records = read(trained.root)
    head, other = (state.trained.done[tree] for tree in _trees(state))
    assert head.tree != other.tree
    assert head.artifact == other.artifact
    unit = details(trained, records)[-1]
    assert unit["gain"] == 0.0
    assert {r.body.seed for r in records if isinstance(r.body, e.TrainingStarted)} == {state.trained.seed}


def _trees(state: State) -> list[str]:
    return [p.tree for p in state.proposals.values() if p.tree is not None]


def test_the_model_of_a_generation_comes_out_as_it_was_tested(trained: Toy, tmp_path: Path) -> None:
    out = tmp_path / "model"
    said = festina("artifact", "1", "--out", str(out), toy=trained)
    assert said.returncode == 0, said.stderr
    data = (out / "model.json").read_bytes()
    state, _ = read(trained.root)
    made = next(b for b in state.trained.done.values() if b.artifact == artifact_digest({"model.json": sha(data)}))
    assert made.artifact is not None
    assert made.artifact in said.stdout
    assert json.loads(data)["skill"] == pytest.approx(0.9)
    again = festina("artifact", "1", "--out", str(out), toy=trained)
    assert again.returncode == 2
    assert "already-there" in again.stderr
    missing = festina("artifact", "7", toy=trained)
    assert missing.returncode == 2
    assert "no-artifact" in missing.stderr


def test_L3_no_second_training_of_a_tree_and_no_artifact_that_its_files_do_not_make(trained: Toy) -> None:
    _, records = read(trained.root)
    at = next(i for i, r in enumerate(records) if isinstance(r.body, e.TrainingEnded))
    state = fold(records[: at + 1])
    ended = records[at].body
    assert isinstance(ended, e.TrainingEnded)
    start = next(r.body for r in records if isinstance(r.body, e.TrainingStarted) and r.body.tree == ended.tree)

    def entry(body: e.Body) -> Any:
        return Paper(state.size, body.kind, records[at].at, body, records[at].leaf)

    with pytest.raises(IntegrityError, match="a second training"):
        state.apply(entry(start))
    other = "0" * 40
    with pytest.raises(IntegrityError, match="under another seed"):
        state.apply(entry(start.model_copy(update={"tree": other, "seed": start.seed + 1})))
    with pytest.raises(IntegrityError, match="without its intent"):
        state.apply(entry(ended.model_copy(update={"tree": other})))
    state.apply(entry(start.model_copy(update={"tree": other})))  # the control: what fits is taken
    with pytest.raises(IntegrityError, match="not what its files make"):
        state.apply(entry(ended.model_copy(update={"tree": other, "artifact": "0" * 64})))


def test_V1_what_cannot_be_trained_scores_worst_and_is_not_tried_again(tmp_path: Path) -> None:
    toy = make_toy(tmp_path, step="-1.0", detect=0.2, train="once")
    improve = (toy.root / "improve.py").read_text().replace("min(1.0, skill + step)", "-1.0")
    (toy.root / "improve.py").write_text(improve)
    toy.commit("an improver that breaks the training")
    done = festina("run", "--proposals", "1", "--budget", "200s", toy=toy)
    assert done.returncode == 0, done.stderr
    state, records = read(toy.root)
    assert state.head.number == 0
    assert state.proposals[0].word == "rejected"
    failed = [r.body for r in records if isinstance(r.body, e.TrainingEnded) and r.body.artifact is None]
    assert [each.ended for each in failed] == ["nonzero"]


def test_E5_trainings_are_within_the_trials_that_a_run_may_charge(tmp_path: Path) -> None:
    toy = make_toy(tmp_path, step="0.6", train="once")
    done = festina("run", "--proposals", "1", "--trials", "16", "--budget", "200s", toy=toy)
    assert done.returncode == 5, done.stderr
    state = check(toy.root, settled=True)
    assert 10 < state.trials <= 16
    assert state.trained.count == 2


@pytest.mark.slow
@pytest.mark.parametrize("label", ["training-started", "training-unrecorded"])
def test_a_killed_training_is_made_again_under_the_same_seed(tmp_path: Path, label: str) -> None:
    toy = make_toy(tmp_path, step="0.6", train="once")
    argv = [sys.executable, "-m", "festina", "run", "-C", str(toy.root), "--budget", "200s", "--proposals", "1"]
    environment = os.environ | toy.environment
    killed = subprocess.run(argv, env=environment | {"FESTINA_CRASH_AT": label}, capture_output=True, timeout=200)
    assert killed.returncode == -9
    done = subprocess.run(argv, env=environment, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    state = check(toy.root, settled=True)
    no_orphans(str(tmp_path))
    assert state.head.number == 1
    _, records = read(toy.root)
    starts = [r.body for r in records if isinstance(r.body, e.TrainingStarted)]
    assert max(each.attempt for each in starts) == 2
    assert len({each.seed for each in starts}) == 1
    assert set(state.trained.done) == {state.epoch.start_tree if state.epoch else "", *_trees(state)}


class OneEngine:
    """What the step needs of an engine: trainings end as ``ends`` says, by tree and attempt, and entries are kept."""

    def __init__(self, ends: dict[str, list[Ended]]) -> None:
        self.ends, self.workers, self.bodies = ends, 2, []  # type: ignore[var-annotated]
        self.state = SimpleNamespace(trained=Trained("leaf"))
        self.trials = SimpleNamespace(artifact=self.artifact, artifacts=SimpleNamespace(went=lambda _: None),
                                      recipe=SimpleNamespace(once=True))  # fmt: skip

    def artifact(self, tree: str) -> Made:
        ended = self.ends[tree].pop(0)
        return Made(tree, {"model": b"x"} if ended is Ended.OK else {}, None, ended)

    def append(self, *drafts: Any, still: object = None) -> None:
        for body in (draft.body for draft in drafts):
            self.bodies.append(body)
            if isinstance(body, e.TrainingStarted):
                self.state.trained.open[body.tree] = body


def test_T6_what_ran_out_of_time_beside_another_training_is_trained_once_more_alone() -> None:
    a, b = "a" * 40, "b" * 40
    busy = OneEngine({a: [Ended.OK], b: [Ended.TIMEOUT_WALL, Ended.OK]})
    train(busy, [a, b], b)  # type: ignore[arg-type]
    kept = {body.tree: body.ended for body in busy.bodies if isinstance(body, e.TrainingEnded)}
    assert kept == {a: "ok", b: "ok"}
    assert [body.attempt for body in busy.bodies if isinstance(body, e.TrainingStarted) and body.tree == b] == [1, 2]
    slow = OneEngine({a: [Ended.OK], b: [Ended.TIMEOUT_WALL, Ended.TIMEOUT_WALL]})
    train(slow, [a, b], b)  # type: ignore[arg-type]
    assert [body.ended for body in slow.bodies if isinstance(body, e.TrainingEnded)] == ["ok", "timeout_wall"]
    alone = OneEngine({b: [Ended.TIMEOUT_WALL]})  # nothing stood beside it
    train(alone, [b], b)  # type: ignore[arg-type]
    assert [body.ended for body in alone.bodies if isinstance(body, e.TrainingEnded)] == ["timeout_wall"]


def test_a_version_in_use_that_fails_is_a_fault_and_no_evidence() -> None:
    a, b = "a" * 40, "b" * 40
    broken = OneEngine({a: [Ended.OOM], b: [Ended.OK]})
    with pytest.raises(Fault, match="a version in use"):
        train(broken, [a, b], b)  # type: ignore[arg-type]
    assert not [body for body in broken.bodies if isinstance(body, e.TrainingEnded)]


class Elsewhere:
    def __init__(self, ended: Ended, data: bytes) -> None:
        self.how, self.data, self.read = ended, data, 0

    def ended(self, tree: str) -> tuple[Ended, str | None] | None:
        return self.how, artifact_digest({"model": sha(self.data)}) if self.how is Ended.OK else None

    def files(self, tree: str) -> dict[str, bytes]:
        self.read += 1
        return {"model": self.data}


def test_threads_that_want_one_tree_train_it_once(tmp_path: Path) -> None:
    shelf, count, lock = Artifacts(7, tmp_path / "artifacts"), [0], threading.Lock()

    def train() -> Made:
        with lock:
            count[0] += 1
        time.sleep(0.05)
        return Made("a" * 40, {"deep/model": b"weights"}, None)

    with ThreadPoolExecutor(8) as pool:
        made = list(pool.map(lambda _: shelf.of("a" * 40, train), range(16)))
    assert count == [1]
    assert {each.digest for each in made} == {artifact_digest({"deep/model": sha(b"weights")})}


def test_what_is_recorded_comes_before_what_lies_about(tmp_path: Path) -> None:
    def never() -> Made:
        raise AssertionError("it was trained")

    recorded = Elsewhere(Ended.OK, b"the recorded one")
    plain = Artifacts(7, tmp_path / "artifacts")
    plain.of("a" * 40, lambda: Made("a" * 40, {"model": b"another"}, None))
    shelf = Artifacts(7, tmp_path / "artifacts", recorded)
    assert shelf.of("a" * 40, never).files == {"model": b"the recorded one"}
    shelf.of("a" * 40, never)
    assert recorded.read == 1  # from then on it lies here
    failed = Artifacts(7, tmp_path / "artifacts", Elsewhere(Ended.OOM, b""))
    assert failed.of("a" * 40, never).ended is Ended.OOM


def test_what_failed_is_kept_by_the_record_alone(tmp_path: Path) -> None:
    shelf, ends = Artifacts(7, tmp_path / "artifacts"), [Ended.TIMEOUT_WALL, Ended.OK]
    made = [shelf.of("a" * 40, lambda: _ended(ends.pop(0))) for _ in range(2)]
    assert [each.ended for each in made] == [Ended.TIMEOUT_WALL, Ended.OK]


def _ended(ended: Ended) -> Made:
    return Made("a" * 40, {"model": b"x"} if ended is Ended.OK else {}, None, ended)


def test_the_oldest_artifacts_go_where_room_is_short(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("festina.experiment.artifacts.MOST_BYTES", 250)
    shelf = Artifacts(7, tmp_path / "artifacts")
    for n in range(4):
        tree = str(n) * 40
        shelf.of(tree, lambda tree=tree: Made(tree, {"model": bytes(100)}, None))  # type: ignore[misc]
        (place,) = (tmp_path / "artifacts").glob(f"{tree}.*")
        os.utime(place, (n, n))
    assert sorted(p.name[0] for p in (tmp_path / "artifacts").iterdir()) == ["2", "3"]


def test_what_is_not_whole_any_more_answers_nothing_and_is_made_again(tmp_path: Path) -> None:
    """A crash while old files go, or while new ones are on their way to the disk, leaves a part of them."""
    whole = {"model": b"weights", "words": b"a b c"}
    shelf = Artifacts(7, tmp_path / "artifacts")
    made = shelf.of("a" * 40, lambda: Made("a" * 40, whole, None))
    (place,) = (tmp_path / "artifacts").iterdir()

    def never() -> Made:
        raise AssertionError("it was trained")

    assert Artifacts(7, tmp_path / "artifacts").of("a" * 40, never).digest == made.digest  # the control
    for spoil in ((place / "words").unlink, lambda: (place / "model").write_bytes(b"")):
        spoil()
        again = Artifacts(7, tmp_path / "artifacts").of("a" * 40, lambda: Made("a" * 40, whole, None))
        assert again.files == whole


def test_files_go_only_where_no_other_thread_is_at_work_on_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("festina.experiment.artifacts.MOST_BYTES", 150)
    shelf, old, new = Artifacts(7, tmp_path / "artifacts"), "a" * 40, "b" * 40
    shelf.of(old, lambda: Made(old, {"model": bytes(100)}, None))
    held = shelf._each[old]  # as a thread that reads it holds it
    with held:
        shelf.of(new, lambda: Made(new, {"model": bytes(100)}, None))
        assert len(list((tmp_path / "artifacts").iterdir())) == 2
    shelf.of("c" * 40, lambda: Made("c" * 40, {"model": bytes(100)}, None))  # the control: nobody holds it
    assert [p.name[0] for p in (tmp_path / "artifacts").iterdir()] == ["c"]


@pytest.mark.parametrize("forged", ["0" * 64, None])
def test_S7_a_side_that_another_artifact_answered_is_told_when_verdicts_are_made_again(
    trained: Toy, forged: str | None
) -> None:
    state, records = read(trained.root)
    account, at = Account(), next(i for i, r in enumerate(records) if isinstance(r.body, e.BatchEnded))
    for record in records[:at]:
        account.take(record)
    with Ledger.open(homes.require(Repo.discover(trained.root)).ledger, readonly=True) as ledger:
        details = json.loads(ledger.get_blob(records[at].body.details))
    assert not Contents(account, lambda _: canonical(details), state.trained.done).check(records[at])  # the control
    (side, *_) = details["units"][-1]["sides"]
    side["artifact"] = forged
    told = Contents(account, lambda _: canonical(details), state.trained.done).check(records[at])
    assert [each.field for each in told] == ["artifacts"]
    assert f"{side['tree']} by {forged}" in told[0].recorded


def test_the_artifacts_name_is_the_same_for_anybody() -> None:
    """The sha256 of the canonical JSON of digests by name: two lines of another program make it."""
    import hashlib

    plain = hashlib.sha256(b'{"a":"' + b"1" * 64 + b'","b":"' + b"2" * 64 + b'"}').hexdigest()
    assert artifact_digest({"b": "2" * 64, "a": "1" * 64}) == plain
    assert re.fullmatch("[0-9a-f]{64}", plain)
