"""Planted defects in a real run: real git, real boxes, a real verifier."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from festina.ledger.log import Ledger
from festina.loop.planting import audit
from festina.loop.state import fold
from festina.release.refs import LINE, generation_ref
from festina.system import home as homes
from festina.system.repo import Repo
from tests.loop.commandline import festina
from tests.loop.invariants import check, read
from tests.toy import Toy, make_toy

STEP = "0.01 * (1 + len(tried))"


pytestmark = pytest.mark.slow  # one long run stands behind them; the state machine is tested in test_next


@pytest.fixture(scope="module")
def planted(tmp_path_factory: pytest.TempPathFactory) -> Toy:
    """A toy most of whose slots are planted."""
    policy = "plant_rate = 0.5\ncontrol_share = 0.0\nbeta = 0.5"  # tests give up early: few trials
    toy = make_toy(tmp_path_factory.mktemp("planted"), skill=0.5, step=STEP, detect=0.9, policy=policy)
    return until_planted(toy)


def until_planted(toy: Toy) -> Toy:
    """Whether a slot is planted is drawn: go on until one was. The first run has no cover and plants nothing."""
    for number in range(12):
        done = festina("run", "--proposals", "2" if number else "1", "--budget", "200s", toy=toy)
        assert done.returncode == 0, done.stderr
        if read(toy.root)[0].plants:
            return toy
    raise AssertionError("nothing was planted in 12 runs")


@pytest.fixture(autouse=True)
def _environment(planted: Toy, monkeypatch: pytest.MonkeyPatch) -> None:
    for key, value in planted.environment.items():
        monkeypatch.setenv(key, value)


def test_V7_plants_are_judged_revealed_and_counted_apart(planted: Toy) -> None:
    state = check(planted.root, settled=True)
    assert state.plants
    assert state.run_proposals == 2
    page = json.loads(festina("status", "--json", toy=planted).stdout)
    assert page["planted"]["all"]["judged"] == sum(p.judged for p in state.plants)
    assert page["planted"]["all"]["caught"] == page["planted"]["all"]["judged"]
    assert sum(page["proposals"].values()) == len(state.proposals) - len(state.plants)
    assert "known-bad change" in festina("status", toy=planted).stdout
    assert Repo.discover(planted.root).ref(LINE) == state.head.commit
    assert all(Repo.discover(planted.root).ref(generation_ref(n)) for n in state.line)


def test_V7_the_improver_never_sees_a_plant_in_its_history(planted: Toy) -> None:
    """The toy's step is a hundredth for each row of its history: what it proposed tells how many rows it saw."""
    state, _ = read(planted.root)
    home = homes.require(Repo.discover(planted.root))
    with Ledger.open(home.ledger, readonly=True) as ledger:
        real = [p for p in state.proposals.values() if p.plant is None and p.patch is not None]
        skills = [json.loads(_added(ledger.get_blob(p.patch))) for p in real if p.patch is not None]
    assert [round(row["skill"], 4) for row in skills] == [round(0.5 + 0.01 * (n + 1), 4) for n in range(len(real))]


def _added(patch: bytes) -> str:
    return next(line[1:] for line in patch.decode().splitlines() if line.startswith("+{"))


def test_V7_whether_a_slot_is_planted_follows_from_the_sealed_secret(planted: Toy) -> None:
    home = homes.require(Repo.discover(planted.root))
    with Ledger.open(home.ledger, readonly=True) as ledger:
        state = fold(ledger.records())
        found = audit(ledger, state)
        assert found.wrong == ()
        assert found.planted == len(state.plants)
        # the control: a slot that was called planted against its coin, or never revealed, does not pass
        hidden = next(p for p in state.proposals.values() if p.plant is not None)
        hidden.leaf, hidden.plant = "0" * 64, None
        assert hidden.number in audit(ledger, state).wrong
    done = festina("ledger", "plants", toy=planted)
    assert done.returncode == 0, done.stderr
    assert "Every planted slot follows" in done.stdout


def test_L5_a_public_copy_tells_no_plant_that_was_not_revealed(planted: Toy, tmp_path: Path) -> None:
    target = tmp_path / "public.db"
    assert festina("ledger", "export", str(target), "--public", toy=planted).returncode == 0
    assert festina("ledger", "verify", str(target), toy=planted).returncode == 0
    with Ledger.open(target, readonly=True) as ledger:
        received = [r for r in ledger.records() if r.kind == "proposal-received"]
        assert all(ledger.opening(record, "origin") is None for record in received)
        reveals = [r for r in ledger.records() if r.kind == "plant-revealed"]
    assert reveals  # and those that were revealed can be checked without openings: the fold does
    data = target.read_bytes()
    secret = [r for r in read(planted.root)[1] if r.kind == "epoch-opened"]
    home = homes.require(Repo.discover(planted.root))
    with Ledger.open(home.ledger, readonly=True) as ledger:
        opening = ledger.opening(secret[0], "plant_secret")
    assert opening is not None
    assert opening[1].encode() not in data


def test_V7_time_author_and_prediction_are_those_of_a_real_proposal(planted: Toy) -> None:
    state, records = read(planted.root)
    bodies = {r.body.proposal: r.body for r in records if r.kind == "proposal-received"}
    real = [b for n, b in bodies.items() if state.proposals[n].plant is None]
    for plant in state.plants:
        body = bodies[plant.proposal]
        assert body.author == "own"
        assert body.cpu_s in {b.cpu_s for b in real}
        assert body.predicted in {b.predicted for b in real}
        assert min(b.wall_s for b in real) <= body.wall_s


PUBLIC = '[suite.public]\nscorer = "scoring:right"\nitems = "public.jsonl"\n'


def test_V7_small_mistakes_are_planted_only_where_public_items_show_the_harm(tmp_path: Path) -> None:
    toy = make_toy(tmp_path, skill=0.9, step=STEP, detect=0.6, extra=PUBLIC,
                   policy="plant_rate = 0.7\ncontrol_share = 0.0\nbeta = 0.5")  # fmt: skip
    rows = [json.dumps({"id": str(i), "input": i, "label": i % 7}) for i in range(60)]
    (toy.root / "public.jsonl").write_text("\n".join(rows) + "\n")
    text = (toy.root / "festina.toml").read_text()
    (toy.root / "festina.toml").write_text(text.replace('["skill.json", "improve.py"]', '["*.json", "*.py"]'))
    toy.commit("public items, and the script that answers may change")
    until_planted(toy)
    state, records = read(toy.root)
    check(toy.root, settled=True)
    assert state.plants
    for plant in state.plants:
        assert plant.basis in ("construction", "public"), plant
        assert not plant.missed
    extra = [r.body for r in records if r.kind == "plant-revealed"]
    assert all(b.trials >= 2 for b in extra if b.basis == "public")


def test_V7_a_rate_of_zero_plants_nothing_and_seals_nothing(tmp_path: Path) -> None:
    toy = make_toy(tmp_path, skill=0.9, step="0.0")
    done = festina("run", "--proposals", "1", "--budget", "60s", toy=toy)
    assert done.returncode == 0, done.stderr
    _, records = read(toy.root)
    assert not any(r.commitments for r in records)
