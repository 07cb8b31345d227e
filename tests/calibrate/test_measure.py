"""What ``festina calibrate`` measures: the real path, a budget that is kept, and no hidden item of a test."""

from __future__ import annotations

import hashlib
import json
import random
from pathlib import Path

import pytest

from festina.calibrate.measure import INCUMBENT, LEAST_RUNS, Found, Wish, calibration_seed, measure
from festina.calibrate.subject import opened
from festina.errors import UsageError
from festina.ledger.seeds import control_seed, unit_seed
from festina.system.manifest import parse_manifest
from tests.toy import Toy, make_toy


def found_in(toy: Toy, runs: int = 12, *, items: Path | None = None, seconds: float = 60.0) -> Found:
    with opened(toy.root, items=items) as subject:
        return measure(subject, Wish(runs, seconds, 1), lambda *_: None, lambda *_: None)


def everything_in(folder: Path) -> dict[str, str]:
    """Every file below ``folder`` by its digest."""
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in folder.rglob("*")
        if path.is_file()
    }


def test_V3_fresh_items_are_measured_on_and_nothing_of_the_system_or_its_home_changes(tmp_path: Path) -> None:
    # V-3, E-3: draws of a key that is thrown away, the same items under the same seed; L-1: no trace
    toy = make_toy(tmp_path, public=10)  # which are not needed then
    before = everything_in(tmp_path)
    for _ in range(4):  # fresh draws: now and then a change shows no difference on them, or a large one, and is dropped
        found = found_in(toy)
        assert everything_in(tmp_path) == before
        runs = found.measured.runs
        changes = [run for run in runs if run.tree != INCUMBENT]
        if changes:
            break
    assert (found.measured.items_from, found.stopped, found.made) == ("fresh", "", 12)
    assert {len(run.answers) for run in runs} == {20}
    by_seed = {(run.tree, run.seed, run.repeat): run for run in runs}
    again = by_seed[INCUMBENT, 0, 1]
    assert by_seed[INCUMBENT, 0, 0].answers == again.answers, "the toy's coins follow from seed and item"
    assert changes, "skill.json holds a number, so there is a small change to pair with"
    for run in changes:
        assert [a.item for a in run.answers] == [a.item for a in by_seed[INCUMBENT, run.seed, 0].answers]
    items = {a.item for run in runs if run.tree == INCUMBENT for a in run.answers}
    assert len(items) == 20 * len({run.seed for run in runs if run.tree == INCUMBENT}), "fresh ones for each seed"
    assert all(run.wall_s > 0 and run.cpu_s is not None for run in runs)


def test_V3_no_test_can_ever_draw_a_seed_or_item_of_a_calibration(tmp_path: Path) -> None:
    # two calibrations draw different items under one seed: their keys differ, as a run's does
    toy = make_toy(tmp_path)
    drawn = []
    for _ in range(2):
        with opened(toy.root) as subject:
            drawn.append((subject.questions.ask(7).inputs or b"").splitlines())
            assert drawn[-1] == (subject.questions.ask(7).inputs or b"").splitlines()
    inputs = [{json.loads(line)["input"] for line in lines} for lines in drawn]
    assert len(inputs[0]) == 20
    assert not inputs[0] & inputs[1]
    seeds = {calibration_seed("ab", i) for i in range(100)}
    assert not seeds & {unit_seed("ab", b, i) for b in range(10) for i in range(10)}
    assert not seeds & {control_seed("ab", i) for i in range(100)}


def test_S7_public_items_and_a_set_of_ones_own_are_scored_item_by_item(tmp_path: Path) -> None:
    toy = make_toy(tmp_path, public=30, vault=False, extra='[guard.small]\nscorer = "scoring:small"\n'
                   'direction = "higher"\nmax_loss = 0.1\n')  # fmt: skip
    public = found_in(toy, LEAST_RUNS)
    assert public.measured.items_from == "public"
    assert all(len(run.answers) == 20 and dict(run.guards) == {"small": 1.0} for run in public.measured.runs)
    assert {a.score for run in public.measured.runs for a in run.answers} == {0.0, 1.0}
    own = tmp_path / "own.jsonl"
    own.write_text("".join(json.dumps({"id": f"own-{i}", "input": i, "label": i % 7}) + "\n" for i in range(10)))
    with opened(toy.root, items=own) as subject:
        asked = subject.questions.ask(1)
        rows = [json.loads(line) for line in (asked.inputs or b"").splitlines()]
        right = "".join(json.dumps({"id": row["id"], "output": row["input"] % 7}) + "\n" for row in rows[1:])
        read = subject.questions.read(asked, right.encode())
    assert subject.origin == "dedicated"
    assert {answer.item for answer in read.answers} == {f"own-{i}" for i in range(10)}
    assert [answer.score for answer in read.answers] == [0.0] + [1.0] * 9  # V-1: unanswered is the worst
    assert read.unscored == 1


def test_V3_without_public_items_or_a_generator_hidden_ones_are_left_alone(tmp_path: Path) -> None:
    toy = make_toy(tmp_path, vault=False)
    with pytest.raises(UsageError) as refused:
        found_in(toy)
    assert refused.value.name == "no-calibration-items"
    assert "--items" in refused.value.fix


def test_E1_the_budget_of_a_calibration_is_kept_and_a_run_too_long_for_it_refused(tmp_path: Path) -> None:
    toy = make_toy(tmp_path)
    (toy.root / "answer.py").write_text("import time\ntime.sleep(1)\n" + (toy.root / "answer.py").read_text())
    toy.commit()
    with pytest.raises(UsageError) as refused:
        found_in(toy, seconds=4.0)
    assert refused.value.name == "run-too-long"
    assert "--seconds" in refused.value.fix
    with pytest.raises(UsageError) as refused:
        found_in(toy, seconds=0.5)
    assert refused.value.name == "run-too-long"


def test_V1_answers_that_the_scorer_cannot_use_are_named_and_not_averaged_over(tmp_path: Path) -> None:
    toy = make_toy(tmp_path, public=10, vault=False)
    scoring = toy.root / "scoring.py"
    scoring.write_text(scoring.read_text().replace("1.0 if output", "7.0 if output").replace("else 0.0", "else 7.0"))
    toy.commit()
    with pytest.raises(UsageError) as refused:
        found_in(toy)
    assert refused.value.name == "nothing-scored"


def test_E3_runs_of_a_command_pair_by_seed_and_changes_that_change_nothing_make_place(tmp_path: Path) -> None:
    toy = make_toy(tmp_path, vault=False)
    (toy.root / "train.py").write_text(
        "import os, random\nunused = 5\nother = 7\nrate = 0.5\n"
        "print('loss:', random.Random(os.environ['FESTINA_SEED']).random() + rate)\n"
    )
    toy.commit()
    data = b'run = ["python3", "train.py"]\nmetric = "loss:lower"\nallow = ["train.py"]\n'
    with opened(toy.root, given=(parse_manifest(data), data)) as subject:
        found = measure(subject, Wish(20, 60.0, 2), lambda *_: None, lambda *_: None)
    runs = found.measured.runs
    incumbent = {run.seed: run.metric for run in runs if run.tree == INCUMBENT}
    shifts = {round(run.metric - incumbent[run.seed], 9) for run in runs if run.tree != INCUMBENT and run.metric}
    assert len(shifts) == 1, "only the change of the rate is left, and it moves every seed alike"
    assert 0.0 not in shifts
    assert {run.seed for run in runs if run.tree != INCUMBENT} <= set(incumbent)


def test_V1_a_first_run_that_fails_by_chance_is_counted_and_ends_nothing(tmp_path: Path) -> None:
    toy = make_toy(tmp_path, vault=False)
    data = b'run = ["python3", "train.py"]\nmetric = "loss:lower"\nallow = ["train.py"]\n'
    for number in range(100):  # a text whose first seed fails and whose second does not
        (toy.root / "train.py").write_text(
            f"import os, random  # {number}\nrate = 0.5\n"
            "x = random.Random(os.environ['FESTINA_SEED']).random() + rate\nassert x < 0.9\nprint('loss:', x)\n"
        )
        toy.commit()
        tree = toy.git("rev-parse", "HEAD^{tree}")
        coins = [random.Random(str(calibration_seed(tree, i))).random() + 0.5 for i in range(2)]
        if coins[0] >= 0.9 > coins[1]:
            break
    with opened(toy.root, given=(parse_manifest(data), data)) as subject:
        found = measure(subject, Wish(LEAST_RUNS, 60.0, 1), lambda *_: None, lambda *_: None)
    own = {run.seed: run.failed for run in found.measured.runs if run.tree == INCUMBENT and run.repeat == 0}
    assert (own[0], own[1]) == ("nonzero", "")
    assert found.made == LEAST_RUNS
