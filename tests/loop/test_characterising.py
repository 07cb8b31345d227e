"""Characterisation on a real system: measured in boxes, signed by the verifier, and the loop waits for it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from festina.errors import UsageError
from festina.ledger import entries as e
from festina.ledger.log import Draft, Ledger
from festina.ledger.signing import LocalKey
from festina.loop import abilities
from festina.loop.characterising import characterise, leaks
from festina.loop.engine import Options, measuring
from festina.system import home as homes
from festina.system.repo import Repo
from festina.verify.vault import Vault
from tests.loop.commandline import festina
from tests.loop.invariants import check, read
from tests.loop.test_kill import engine, finish
from tests.toy import make_toy

EXTRA = """
[capability.skill]
scorer = "scoring:right"
units = 10
batch = 20
tiers = [{ at = 0.2, safeguards = ["two-people"] }]

[policy.pace]
step = 12
"""


def test_G1_G2_the_loop_characterises_halts_at_a_tier_and_goes_on_when_it_is_attested(tmp_path: Path) -> None:
    toy = make_toy(tmp_path, step="0.4", policy="plant_rate = 0.0\ncontrol_share = 0.0\n" + EXTRA)
    home = homes.find(Repo.discover(toy.root))
    assert home is not None
    rows = [{"id": str(i), "input": 7 * i + i % 5, "label": (7 * i + i % 5) % 7} for i in range(200)]
    items = tmp_path / "skill.jsonl"
    items.write_text("".join(json.dumps(row) + "\n" for row in rows))
    Vault(home.vault).add_items("skill", items)
    first = engine(toy, "--proposals", "1")
    _, said = first.communicate(timeout=240)
    assert first.returncode == 7, said.decode()
    state, _ = read(toy.root)
    (halt,) = state.halts.standing.values()
    assert halt.by == "the governor"
    assert "two-people" in halt.reason
    measured = state.govern.abilities[0]["skill"][1]
    assert measured.missing == 0
    assert abs(measured.mean - 0.3) < 5 * measured.error + 0.05
    scale = state.govern.skills.scales["skill"]
    assert (scale.linked, scale.at, len(scale.difficulties)) == (False, 0.0, 10)
    assert sum(score or 0.0 for score in measured.scores) / 10 == pytest.approx(measured.mean)

    assert festina("reviewer", "add", "ann", toy=toy).returncode == 0
    attested = festina("attest", "two-people", "--as", "ann", "--reason", "both of us look at each", toy=toy)
    assert attested.returncode == 0, attested.stderr
    assert festina("unhalt", "--as", "ann", "--reason", "the safeguard is in place", toy=toy).returncode == 0
    finish(engine(toy, "--proposals", "1"))
    state = check(toy.root, settled=True)
    assert state.head.number == 1
    gain = state.govern.gains[1]
    assert gain is not None
    assert 1.0 < gain < 12.0

    with measuring(toy.root, Options()) as bench:
        (body,) = characterise(bench, 1)
        at = abilities.standing(abilities.view(bench.state), abilities.terms_of(bench.state)[0], 1)
    assert body.mean > measured.mean
    assert at is not None
    assert at.level is not None
    assert at.level > 0.5
    assert at.used == 10
    signer = LocalKey.load(home.key("engine"), "engine")
    with Ledger.open(home.ledger, signers={"engine": signer}) as ledger, pytest.raises(UsageError, match="verifier"):
        ledger.append([Draft(body.model_copy(update={"mean": 0.0}))])  # not in the engine's name


def test_G1_what_a_tree_knows_by_heart_has_leaked(tmp_path: Path) -> None:
    toy = make_toy(tmp_path, vault=False)
    text = "which river runs through the town of Amberley Old Bridge?"
    (toy.root / "library.json").write_text(json.dumps({"notes": f"asked once: {text} and more"}))
    toy.commit("a memory")
    first = toy.git("rev-parse", "HEAD")
    repo = Repo.discover(toy.root)

    def line(i: int, q: str) -> str:
        return json.dumps({"id": str(i), "input": {"system": "You are a helpful clerk of the town.", "q": q}})

    shown = {
        0: "\n".join(line(i, f"question {i} that nobody wrote down anywhere") for i in range(2)).encode(),
        1: line(9, text).encode(),
        2: line(10, "short").encode(),
    }  # fmt: skip
    assert leaks(repo, repo.tree_of(first), shown) == [1]
    (toy.root / "prompt.txt").write_text("You are a helpful clerk of the town.")
    toy.commit("what all items share is no leak")
    assert leaks(repo, repo.tree_of(toy.git("rev-parse", "HEAD")), shown) == [1]


def test_T1_G1_the_verifier_signs_no_other_ability_than_it_scored(tmp_path: Path) -> None:
    from festina.verify.capabilities import ability, summary

    means = [0.0, 0.5, 1.0, 0.5]
    centre, error = summary(means)
    assert (centre, round(error, 4)) == (0.5, 0.2041)
    terms = e.CapabilityTerms(name="x", scorer="s:f", low=0.0, high=2.0, direction="lower", units=4, batch_items=5)
    low, wide = ability(terms, 2.0, 0.0, 20)
    high, _ = ability(terms, 0.0, 0.0, 20)
    assert low < 0.0
    assert abs(low + high) < 1e-9
    assert wide > 0.5, "all alike is no proof of certainty"
