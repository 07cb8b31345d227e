"""The rungs of autonomy on a real system: what is merged, what is released, and by whose word."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from festina.cli.common import opened
from festina.loop import unattended
from festina.system import home as homes
from festina.system.repo import Repo
from festina.verify.vault import Vault
from tests.loop.commandline import festina
from tests.loop.invariants import check, read
from tests.loop.test_kill import engine, finish
from tests.toy import Toy, make_toy

QUIET = "plant_rate = 0.0\ncontrol_share = 0.0\n"
RESTS = """autonomy = "unattended"
lease = "24h"

[capability.skill]
scorer = "scoring:right"
units = 10
batch = 20
tiers = [{ at = 0.99, safeguards = ["two-people"] }]

[policy.pace]
step = 12
"""


def patch_of(toy: Toy, base: Path, skill: float) -> Path:
    """What somebody outside would hand in."""
    (toy.root / "skill.json").write_text(f'{{"skill": {skill}}}')
    path = base / "outside.patch"
    path.write_bytes((toy.git("diff") + "\n").encode())
    toy.git("checkout", "-q", "--", "skill.json")
    return path


@pytest.mark.slow
def test_G7_observe_judges_what_is_handed_in_and_a_signature_lets_it_propose(tmp_path: Path) -> None:
    toy = make_toy(tmp_path, skill=0.2, step="0.5", policy=QUIET + 'autonomy = "observe"\n')
    done = festina("run", "--yes", "--proposals", "2", toy=toy)
    assert done.returncode == 0, done.stderr
    assert not read(toy.root)[0].proposals, "it proposes nothing by itself"
    handed = festina("run", "--yes", "--with", str(patch_of(toy, tmp_path, 0.8)), "--as", "eve", toy=toy)
    assert handed.returncode == 0, handed.stderr
    state = check(toy.root, settled=True)
    assert [p.word for p in state.proposals.values()] == ["accepted"]
    assert (state.line, list(state.generations), state.reviews) == ([0], [0], {})
    assert json.loads(festina("status", "--json", toy=toy).stdout)["autonomy"]["rung"] == "observe"
    assert "nothing is released" in festina("release", toy=toy).stderr
    assert festina("report", "-o", str(tmp_path / "r.html"), toy=toy).returncode == 0

    manifest = toy.root / "festina.toml"
    manifest.write_text(manifest.read_text().replace('"observe"', '"propose-only"'))
    toy.commit("it may propose")
    assert festina("reviewer", "add", "ann", toy=toy).returncode == 0
    run = ("run", "--yes", "--proposals", "1", "--new-epoch", "it may propose")
    assert festina(*run, toy=toy).returncode == 0
    assert read(toy.root)[0].govern.autonomy.rung == "observe", "new rules are no signature"
    stepped = festina("autonomy", "raise", "--as", "ann", "--reason", "its verdicts were right", toy=toy)
    assert stepped.returncode == 0, stepped.stderr
    assert "propose-only" in stepped.stdout
    finish(engine(toy, "--proposals", "1"))
    state = check(toy.root, settled=True)
    assert state.head.author == "own"
    refused = festina("autonomy", "raise", "--as", "ann", "--reason", "further still", toy=toy)
    assert "policy.autonomy" in refused.stderr


@pytest.mark.slow
def test_G7_unattended_releases_what_was_tested_and_falls_back_on_an_incident(tmp_path: Path) -> None:
    toy = make_toy(tmp_path, skill=0.2, step="0.3", policy=QUIET + RESTS)
    manifest = toy.root / "festina.toml"  # a late unit leaves a characterisation incomplete
    manifest.write_text(manifest.read_text().replace('wall = "10s"', 'wall = "60s"'))
    toy.commit("time on a busy host")
    home = homes.find(Repo.discover(toy.root))
    assert home is not None
    rows = [{"id": str(i), "input": 7 * i + i % 5, "label": (7 * i + i % 5) % 7} for i in range(200)]
    items = tmp_path / "skill.jsonl"
    items.write_text("".join(json.dumps(row) + "\n" for row in rows))
    Vault(home.vault).add_items("skill", items)
    finish(engine(toy, "--trials", "2"))
    assert festina("reviewer", "add", "ann", toy=toy).returncode == 0
    said = ("--as", "ann", "--reason", "both of us look at each")
    assert festina("attest", "two-people", *said, toy=toy).returncode == 0
    assert festina("characterise", toy=toy).returncode == 0
    early = festina("autonomy", "raise", *said, toy=toy)
    assert early.returncode != 0
    assert "festina trust" in early.stderr, "a record this young is no yes"
    with opened(toy.root, write=True) as here:
        evidence = ("yes", (0,))  # as if every ground held: what the loop itself asks for is what is tested here
        assert unattended.step(
            here.ledger, here.state, here.home, "ann", rung="unattended", reason="a trial of it", evidence=evidence,
            lasts_s=3600.0,
        )
    finish(engine(toy, "--proposals", "1"))
    state = check(toy.root, settled=True)
    assert (state.released, state.head.number, state.head.approved) == (1, 1, None)
    assert state.head.granted == state.govern.autonomy.grant.seqs[-1]  # type: ignore[union-attr]
    assert state.waiting, "people are asked all the same"
    gates = festina("status", "--gates", toy=toy).stdout
    assert "evidence of the tests: 0 of 1 test not accepted" in gates
    assert "measuring what it can do: 0 of 2 suite runs" in gates
    assert toy.git("rev-parse", "refs/festina/released") == state.head.commit

    opened_ = festina("incident", "open", "--as", "ann", "--text", "a user was harmed", toy=toy)
    assert opened_.returncode == 0, opened_.stderr
    solved = festina("incident", "resolve", "1", "--as", "ann", "--text", "it was not us", toy=toy)
    assert solved.returncode == 0, solved.stderr
    finish(engine(toy, "--proposals", "1"))
    state = check(toy.root, settled=True)
    assert state.govern.autonomy.rung == "release-by-approval"
    assert "incident" in state.govern.autonomy.moves[-1].why
    assert state.released == 1, "what was accepted since waits for people"
