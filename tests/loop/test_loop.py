"""The whole loop on a tiny real system: real git, real boxes, a real verifier process."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from festina.errors import UsageError
from festina.ledger import entries as e
from festina.ledger.log import Ledger
from festina.loop.engine import Options, run
from festina.release.refs import LINE, RELEASED
from festina.sandbox import Level, probe
from festina.system import home as homes
from festina.system.repo import Repo
from tests.loop.commandline import decide, evidence, festina
from tests.loop.invariants import check, no_orphans, read
from tests.toy import Toy, make_toy


@pytest.fixture(scope="module")
def accepted(tmp_path_factory: pytest.TempPathFactory) -> Toy:
    """A toy whose first proposal was accepted and waits for a person."""
    base = tmp_path_factory.mktemp("accepted")
    before = {key: os.environ.get(key) for key in ("FESTINA_HOME", "FESTINA_REVIEWER_KEYS")}
    toy = make_toy(base, step="0.6")
    done = festina("run", "--proposals", "1", "--budget", "200s", toy=toy, fresh=True)
    for key, value in before.items():
        if value is not None:
            os.environ[key] = value
    assert done.returncode == 0, done.stderr
    return toy


@pytest.fixture(autouse=True)
def _environment(accepted: Toy, monkeypatch: pytest.MonkeyPatch) -> None:
    for key, value in accepted.environment.items():
        monkeypatch.setenv(key, value)


def test_a_true_gain_is_accepted_and_the_line_moves(accepted: Toy) -> None:
    state = check(accepted.root, settled=True)
    verdict = state.head.verdict
    assert verdict is not None
    assert state.head.number == 1
    assert verdict.assurance == "hidden"
    assert verdict.log_evidence >= verdict.log_threshold
    assert verdict.estimate == pytest.approx(0.6, abs=0.2)  # of some 19 units: eight standard errors
    assert Repo.discover(accepted.root).ref(LINE) == state.head.commit


def test_S4_the_same_sentence_in_commit_status_and_record(accepted: Toy) -> None:
    state, _ = read(accepted.root)
    assert state.head.verdict is not None
    sentence = state.head.verdict.sentence
    message = accepted.git("log", "-1", "--format=%B", state.head.commit)
    assert sentence in message
    page = json.loads(festina("status", "--json", toy=accepted, fresh=True).stdout)
    assert page["line"][-1]["sentence"] == sentence
    for word in ("e-process", "martingale", "Merkle", "DSSE", "e-value"):
        assert word not in sentence


def test_L3_every_effect_has_its_intent_and_seeds_follow_from_the_record(accepted: Toy) -> None:
    import hashlib

    from festina.ledger.canonical import canonical
    from festina.ledger.seeds import unit_seed

    _, records = read(accepted.root)
    opened = next(r for r in records if r.kind == "test-opened")
    for record in records:
        if isinstance(record.body, e.BatchStarted):
            seeds = [unit_seed(opened.leaf, record.body.batch, i) for i in range(record.body.units)]
            assert hashlib.sha256(canonical(seeds)).hexdigest() == record.body.seeds  # E-3
            assert record.seq > opened.seq


def test_T5_no_word_of_a_proposer_stands_in_an_entry(accepted: Toy) -> None:
    _, records = read(accepted.root)
    assert not any(b"more skill" in record.envelope for record in records)


def test_D2_nothing_is_released_without_approval(accepted: Toy) -> None:
    done = festina("release", toy=accepted)
    assert done.returncode == 2
    assert "nothing-approved" in done.stderr
    assert Repo.discover(accepted.root).ref(RELEASED) is None


def test_R1_D5_a_person_sees_patch_and_numbers_decides_with_a_reason_and_it_is_released_and_rolled_back(
    accepted: Toy,
) -> None:
    refused = decide("approve", 0, accepted, reason="looks right to me")
    assert "not-enrolled" in refused.stderr
    assert festina("reviewer", "add", "ann", toy=accepted).returncode == 0
    shown = festina("review", "show", "0", "--as", "ann", toy=accepted, fresh=True)
    assert '+{"skill": 0.9}' in shown.stdout
    assert "better by" not in shown.stdout  # no evidence before a first judgement
    early = festina("review", "evidence", "0", "--as", "ann", toy=accepted)
    assert "classify-first" in early.stderr
    bare = festina("review", "approve", "0", "--as", "ann", "--reason", "looks right to me", toy=accepted)
    assert "classify-first" in bare.stderr
    seen = evidence(0, accepted)
    assert "better by" in seen
    assert seen.index("better by") < seen.index("more skill")  # the proposer's words come last
    short = festina("review", "approve", "0", "--as", "ann", "--reason", "ok", toy=accepted)
    assert "no-reason" in short.stderr
    done = festina("review", "approve", "0", "--as", "ann", "--reason", "the skill is what we wanted", toy=accepted)
    assert done.returncode == 0, done.stderr
    again = festina("review", "deny", "0", "--as", "ann", "--reason", "changed my mind about it", toy=accepted)
    assert "already-settled" in again.stderr
    released = festina("release", toy=accepted, fresh=True)
    assert released.returncode == 0, released.stderr
    repo = Repo.discover(accepted.root)
    state, _ = read(accepted.root)
    assert repo.ref(RELEASED) == state.generations[1].commit
    assert state.released == 1
    again = festina("release", "1", toy=accepted)
    assert (again.returncode, "released already" in again.stderr) == (0, True), again.stderr
    assert [r.kind for r in read(accepted.root)[1]].count("released") == 1, "a second release is no second entry"
    back = festina("rollback", "0", toy=accepted)
    assert back.returncode == 0, back.stderr
    state = check(accepted.root, settled=True)
    assert state.head.number == 0
    assert repo.ref(RELEASED) == state.generations[0].commit == repo.ref(LINE)


def test_P5_a_changed_improver_proposes_nothing_before_it_is_approved(tmp_path: Path) -> None:
    """The patch rewrites the improver too; until a person approves, generation 0's code goes on proposing."""
    toy = make_toy(tmp_path, step="0.3")
    improve = (toy.root / "improve.py").read_text()
    rewritten = improve.replace('"more skill"', '"rewritten"')
    (toy.root / "improve.py").write_text(rewritten)
    (toy.root / "skill.json").write_text('{"skill": 0.7}')
    patch = tmp_path / "both.patch"
    patch.write_text(toy.git("diff") + "\n")
    toy.git("checkout", "-q", ".")
    done = festina("run", "--proposals", "3", "--budget", "200s", "--with", str(patch), toy=toy)
    assert done.returncode == 0, done.stderr
    state, records = read(toy.root)
    changed = next(p for p in state.proposals.values() if p.improver.startswith("person:somebody:both-"))
    assert changed.word == "accepted"
    assert changed.improver_changed
    later = [p for p in state.proposals.values() if p.number > changed.number]
    assert later
    assert all(p.from_generation == 0 for p in later)
    del records


@pytest.mark.parametrize(
    ("name", "patch", "word", "reason"),
    [
        ("scope", "answer.py", "refused", "scope"),
        ("guard", "scoring.py", "refused", "protected"),
        ("manifest", "festina.toml", "refused", "protected"),
    ],
)
def test_P2_T4_changes_outside_the_scope_are_refused_and_named(
    tmp_path: Path, name: str, patch: str, word: str, reason: str
) -> None:
    toy = make_toy(tmp_path, step="0.0")
    with (toy.root / patch).open("a") as file:
        file.write("\n# changed\n")
    path = tmp_path / f"{name}.patch"
    path.write_text(toy.git("diff") + "\n")
    toy.git("checkout", "-q", ".")
    done = festina("run", "--proposals", "2", "--budget", "100s", "--with", str(path), toy=toy)
    assert done.returncode == 0, done.stderr
    state, _ = read(toy.root)
    planted = next(p for p in state.proposals.values() if p.improver.startswith(f"person:somebody:{name}-"))
    assert (planted.word, planted.reason) == (word, reason)
    assert planted.guard_change == (reason == "protected")
    own = next(p for p in state.proposals.values() if p.improver == "own")
    assert own.word == "no-op"  # P-3: a step of nothing costs nothing
    assert state.trials == 1  # the rehearsal of the incumbent, charged like any other run  # E-1


def test_P2_weights_are_handed_in_whole_where_the_scope_says_so_and_nowhere_else(tmp_path: Path) -> None:
    weights = bytes(range(256)) * 40
    for allowed in (True, False):
        toy = make_toy(tmp_path / str(allowed))
        with (toy.root / "improve.py").open("a") as file:
            file.write('open(out + "/files/notes.txt", "wb").write(bytes(range(256)) * 40)\n')
        if allowed:
            manifest = toy.root / "festina.toml"
            manifest.write_text(manifest.read_text().replace("[scope]\n", "[scope]\nbinary = true\n"))
        toy.commit()
        done = festina("run", "--proposals", "1", "--trials", "4", "--budget", "100s", toy=toy)
        assert done.returncode in (0, 5), done.stderr
        state, _ = read(toy.root)
        proposal = state.proposals[0]
        assert proposal.binary
        if allowed:
            assert proposal.tree is not None
            assert Repo.discover(toy.root).read_file(proposal.tree, "notes.txt") == weights
        else:
            assert (proposal.word, proposal.reason) == ("refused", "binary")


def test_S3_a_tree_that_was_tried_is_a_duplicate_and_costs_nothing(tmp_path: Path) -> None:
    toy = make_toy(tmp_path, step="-0.2")
    done = festina("run", "--proposals", "2", "--budget", "200s", toy=toy)
    assert done.returncode == 0, done.stderr
    state, _ = read(toy.root)
    assert [p.word for p in state.proposals.values()] == ["rejected", "duplicate"]
    assert state.tests == 1


def test_V4_a_guard_that_gets_worse_blocks_a_true_gain(tmp_path: Path) -> None:
    """Skill rises, but wrong answers become absurd: the guard on small answers breaks."""
    extra = '[guard.small]\nscorer = "scoring:small"\ndirection = "higher"\nrange = [0, 1]\nmax_loss = 0.1\n'
    toy = make_toy(tmp_path, step="0.3", extra=extra)
    answer = (toy.root / "answer.py").read_text()
    answer = answer.replace("else -1", 'else json.load(open("skill.json")).get("miss", -1)')
    (toy.root / "answer.py").write_text(answer)
    toy.commit("a knob for what a miss looks like")
    (toy.root / "skill.json").write_text('{"skill": 0.6, "miss": 99}')
    path = tmp_path / "harm.patch"
    path.write_text(toy.git("diff") + "\n")
    toy.git("checkout", "-q", ".")
    done = festina("run", "--proposals", "2", "--budget", "200s", "--with", str(path), toy=toy)
    assert done.returncode == 0, done.stderr
    state, _ = read(toy.root)
    harm = next(p for p in state.proposals.values() if p.improver.startswith("person:somebody:harm-"))
    assert (harm.word, harm.reason) == ("rejected", "guard")
    own = next(p for p in state.proposals.values() if p.improver == "own")
    assert own.word == "accepted"


def test_P4_the_improver_learns_one_word_and_no_number(tmp_path: Path) -> None:
    """The second proposing run copies its whole view out: no score, no count, no duration is in it."""
    spy = "__import__('shutil').copy(view + '/history.jsonl', out + '/files/improve.py') and -0.2 if tried else -0.1"
    toy = make_toy(tmp_path, step=spy)
    text = (toy.root / "improve.py").read_text().replace("os.makedirs(out", "os.makedirs(out", 1)
    (toy.root / "improve.py").write_text(text)
    done = festina("run", "--proposals", "2", "--budget", "200s", toy=toy)
    assert done.returncode == 0, done.stderr
    home = read(toy.root)[0]
    patch = home.proposals[1].patch
    assert patch is not None
    from festina.ledger.log import Ledger
    from festina.system import home as homes

    with Ledger.open(homes.require(Repo.discover(toy.root)).ledger, readonly=True) as ledger:
        seen = ledger.get_blob(patch).decode()
    row = json.loads(next(line[1:] for line in seen.splitlines() if line.startswith('+{"') and "proposal" in line))
    assert row["word"] == "rejected"
    assert set(row) <= {"proposal", "author", "word", "reason", "patch"}


def test_L1_all_files_beside_the_ledger_may_go_and_the_state_is_the_same(accepted: Toy, tmp_path: Path) -> None:
    import shutil

    from festina.ledger.log import Ledger
    from festina.loop.state import fold
    from festina.system import home as homes

    home = homes.require(Repo.discover(accepted.root))
    alone = tmp_path / "ledger.db"
    shutil.copy(home.ledger, alone)
    with Ledger.open(alone, readonly=True) as ledger:
        state = fold(ledger.records())
    assert state.head.number == read(accepted.root)[0].head.number
    done = subprocess.run(
        [sys.executable, "-m", "festina", "ledger", "verify", str(alone)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr


def test_the_python_api_yields_verdicts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import festina as package

    toy = make_toy(tmp_path, step="0.6")
    for key, value in toy.environment.items():
        monkeypatch.setenv(key, value)
    verdicts = list(package.improve(root=toy.root, proposals=1, budget=200))
    assert [v.verdict for v in verdicts] == ["accept"]
    no_orphans(str(tmp_path))


def test_E1_every_trial_is_charged_before_it_starts(accepted: Toy) -> None:
    _, records = read(accepted.root)
    started = {(r.body.test, r.body.batch): r.seq for r in records if r.kind == "batch-started"}
    for record in records:
        if record.kind == "batch-ended":
            assert started[(record.body.test, record.body.batch)] < record.seq


def test_engine_options_reach_the_record(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    toy = make_toy(tmp_path, step="0.0")
    for key, value in toy.environment.items():
        monkeypatch.setenv(key, value)
    state = run(toy.root, Options(proposals=1, wall_s=220, frozen_improver=True))
    assert state.last_end is not None
    assert state.last_end.reason == "finished"
    _, records = read(toy.root)
    started = next(r.body for r in records if r.kind == "run-started")
    assert started.frozen_improver
    assert started.sandbox_level >= 2


@pytest.mark.skipif(probe().level < Level.L2, reason="no box on this host: see `festina doctor`")
def test_T2_declared_modules_are_loaded_once_and_the_record_says_which_box_ran(tmp_path: Path) -> None:
    toy = make_toy(tmp_path, step="0.6")
    manifest = toy.root / "festina.toml"
    manifest.write_text(manifest.read_text().replace("limits =", 'preload = ["json", "random"]\nlimits =', 1))
    toy.commit("preload")
    assert run(toy.root, Options(proposals=1, wall_s=220.0)).head.number == 1
    _, records = read(toy.root)
    with Ledger.open(homes.require(Repo.discover(toy.root)).ledger, readonly=True) as ledger:
        batches = [json.loads(ledger.get_blob(r.body.details)) for r in records if isinstance(r.body, e.BatchEnded)]
    sides = [side for batch in batches for unit in batch["units"] for side in unit["sides"]]
    assert {side["box"] for side in sides} == {"warm"}
    assert len({side["policy"] for side in sides}) == 1
    layers = list((homes.require(Repo.discover(toy.root)).work / "layers").iterdir())
    if os.geteuid() == 0:  # the candidate's tree was one changed file over the start's export
        assert [[path.name for path in layer.iterdir()] for layer in layers] == [["skill.json"]]


def test_T6_a_module_that_cannot_be_loaded_stops_the_run_before_it_starts(tmp_path: Path) -> None:
    toy = make_toy(tmp_path)
    manifest = toy.root / "festina.toml"
    manifest.write_text(manifest.read_text().replace("limits =", 'preload = ["no_such_module"]\nlimits =', 1))
    toy.commit("preload")
    done = festina("run", "--proposals", "1", toy=toy)
    assert done.returncode == 2
    assert "no_such_module" in done.stderr
    assert "[preload-failed]" in done.stderr
    with pytest.raises(UsageError, match="nothing has been run"):
        homes.require(Repo.discover(toy.root))
