"""Proposals whose target is productivity: judged by what their improver makes, with the task as a guard.  # S-6"""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from festina.experiment.batch import Scored, Trees, run_unit
from festina.experiment.trial import Side
from festina.ledger import entries as e
from festina.ledger.seeds import problem_seed, unit_seed
from festina.loop import contents
from festina.loop.certifying import total_gain
from festina.loop.recount import recount
from festina.sandbox.job import Ended
from festina.select.pairing import Scale
from festina.system import home as homes
from festina.system.repo import Repo
from festina.verify.account import Account
from festina.verify.verdicts import losses_of
from tests.loop.commandline import festina
from tests.loop.invariants import check, read
from tests.loop.paper import PaperLoop
from tests.toy import Toy, make_toy

TERMS = "[improver.productivity]\ndetect = 0.3\nmax_loss = 0.3\nconduct = 0.3\n"


def proposal(toy: Toy, path: Path, change: dict[str, tuple[str, str]], target: str = "productivity") -> Path:
    """A patch with a plan beside it."""
    for name, (old, new) in change.items():
        file = toy.root / name
        text = file.read_text()
        assert old in text
        file.write_text(text.replace(old, new))
    path.write_text(toy.git("diff") + "\n")
    path.with_suffix(".json").write_text(json.dumps({"rationale": "better at it", "target": target}))
    toy.git("checkout", "--", ".")
    return path


def test_S6_an_improver_is_accepted_for_what_it_makes_and_rejected_for_one_attempt_on_the_guards(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    toy = make_toy(tmp_path, skill=0.2, step="0.1", detect=0.3, extra=TERMS)
    for key, value in toy.environment.items():
        monkeypatch.setenv(key, value)
    step, end = ("step = 0.1\n", "step = 0.6\n"), 'json.dump(plan, open(out + "/proposal.json", "w"))'
    patches = [
        proposal(toy, tmp_path / "a.patch", {"skill.json": ("0.2", "0.9")}),  # nothing of the improver
        proposal(toy, tmp_path / "b.patch", {"improve.py": (end, end + '; open(out + "/files/scoring.py", "w")')}),
        proposal(toy, tmp_path / "c.patch", {"improve.py": step}),
    ]
    queue = [part for patch in patches for part in ("--with", str(patch))]
    done = festina("run", *queue, "--proposals", "3", "--budget", "230s", toy=toy)
    assert done.returncode == 0, done.stderr
    state = check(toy.root, settled=True)
    records = read(toy.root)[1]
    rows = [state.proposals[n] for n in range(3)]
    assert [(p.word, p.reason) for p in rows] == [("refused", "target"), ("rejected", "guard"), ("accepted", "shown")]
    assert {p.target for p in rows} == {"productivity"}
    batches = [r.body for r in records if r.kind == "batch-ended"]
    assert batches[0].tampering[0] > batches[0].tampering[1] == 0  # T-4: seen in the first batch, and the end
    verdicts = {r.body.proposal: r.body for r in records if r.kind == "verdict"}
    assert verdicts[1].units <= batches[0].tampering[0]
    assert "conduct" in verdicts[1].sentence
    assert "its improver gains more than the one in force" in verdicts[2].sentence
    assert "task" in verdicts[2].sentence  # the task suite is a guard
    head = state.head
    assert (head.number, head.improver_changed, head.step, head.target) == (1, True, None, "productivity")
    assert state.in_force == 0  # a changed improver waits for a person all the same  # R-1
    assert "certified" not in festina("status", toy=toy).stdout  # what it shows is no gain at the task
    home = homes.require(Repo.discover(toy.root))
    assert recount(home.ledger).mismatches == ()  # every number again, from the entries alone  # S-4
    out, script = tmp_path / "export", Path(__file__).resolve().parents[2] / "scripts" / "recount.py"
    subprocess.run([sys.executable, "-m", "festina", "ledger", "export", str(out)], cwd=toy.root, check=True)
    again = subprocess.run([sys.executable, "-S", "-E", str(script), str(out)], capture_output=True, text=True)
    assert again.returncode == 0, again.stdout  # and by the standard library alone


def test_S6_productivity_is_a_target_only_where_the_improver_is_part_of_the_system(tmp_path: Path) -> None:
    toy = make_toy(tmp_path, extra=TERMS)
    text = (toy.root / "festina.toml").read_text()
    (toy.root / "festina.toml").write_text(text.replace('use = "own"', 'use = "command"'))
    toy.commit()
    done = festina("run", "--proposals", "1", toy=toy)
    assert done.returncode == 2
    assert "productivity-needs-own" in done.stderr
    said = " ".join(done.stderr.split())
    assert 'the improver is no part of the system (use = "command")' in said  # what is missing, and nothing that is not
    assert "range" not in said.split("productivity-needs-own")[1].split("where")[0]


def test_S6_a_plan_names_a_known_target_or_is_unreadable() -> None:
    from festina.propose.harvest import Unreadable, parse_plan

    assert parse_plan(b'{"target": "productivity"}').target == "productivity"
    assert parse_plan(b"{}").target == parse_plan(None).target == "gain"
    for odd in (b'{"target": "power"}', b'{"target": null}', b'{"target": 1}', b'{"target": ["gain"]}'):
        with pytest.raises(Unreadable):
            parse_plan(odd)


def test_S4_S6_a_step_that_may_have_lost_at_the_task_leaves_no_certified_total_gain() -> None:
    """Its guard allows a loss of ``max_loss`` at the task, and no bound of the other steps' sizes pays for it."""
    for seed in range(50):
        loop = PaperLoop(seed, proposals=6, approve=1.0)
        loop.begin()
        loop.run()
        if len(loop.state.line) >= 3:
            break
    found = total_gain(loop.state)
    assert found is not None
    assert found.at_least is not None  # positive control
    step = loop.state.generations[loop.state.line[-1]]
    step.step, step.target = None, "productivity"
    found = total_gain(loop.state)
    assert found is not None
    assert found.at_least is None
    assert "better improver" in found.sentence()


def test_E3_S6_improvers_know_no_bit_of_the_seed_under_which_their_products_run() -> None:
    units = [unit_seed("ab" * 32, 0, i) for i in range(64)]
    given = [problem_seed(seed) for seed in units]
    assert len(set(given)) == 64
    assert all(0 <= each < 1 << 31 for each in given)
    assert not any(each in (seed % (1 << 31), seed >> 32) for each, seed in zip(given, units, strict=True))
    for bit in range(31):  # as if by a coin
        same = sum((each >> bit & 1) == (seed >> bit & 1) for each, seed in zip(given, units, strict=True))
        assert 10 < same < 54


class Scores:
    """Boxes and a judge in one: a tree's answer is its name, and its name has a score."""

    def __init__(self, **scores: float) -> None:
        self.scores, self.roles = scores, []

    def side(self, tree: str, seed: int, inputs: bytes | None) -> Side:
        return Side(tree, tree.encode(), Ended.OK, 0.1, 0.1, (), 3, "0" * 64, "")

    def issue(self, seed: int, place: int | None = None) -> tuple[str, bytes | None]:
        return "ticket", b""

    def score(self, ticket: str, answer: bytes, role: str = "") -> Scored:
        self.roles.append(role)
        return Scored(self.scores[answer.decode()], (), 0)


def test_V4_S6_the_task_is_guarded_against_the_anchor_so_that_small_losses_do_not_add_up() -> None:
    box = Scores(start=0.3, better=0.4, carrier=0.35, head=0.4, anchor=0.9)
    trees = Trees("better", "start", "anchor", carrier="carrier", head="head")
    old, new = (run_unit(box, box, trees, Scale(1.0, 1.0, (), anchored=on), 3) for on in (False, True))  # type: ignore[arg-type]
    assert old.guards == pytest.approx((-0.05, 0.0))  # the control: beside the version in use it has hardly lost
    assert new.guards == pytest.approx((-0.05, -0.55, 0.0))  # and beside the anchor everything
    alone = run_unit(box, box, replace(trees, anchor="head"), Scale(1.0, 1.0, (), anchored=True), 3)  # type: ignore[arg-type]
    assert alone.guards == pytest.approx((-0.05, -0.05, 0.0))  # the anchor is the version in use: run once
    terms = e.ProductivityTerms(detect=0.1, max_loss=0.2, conduct=0.1, max_units=9)
    assert losses_of(terms, 2.0) == (0.1, 0.1)  # as epochs from before have it: their records hold  # S-4
    assert losses_of(terms.model_copy(update={"anchored": True}), 2.0) == (0.1, 0.1, 0.1)


@pytest.mark.parametrize(("made", "gain"), [(0.2, -0.3), (0.9, 0.0)])
def test_V1_S6_an_improver_in_force_that_ran_out_of_time_hides_no_loss_and_gives_no_gain(made, gain) -> None:
    """Its product cannot be compared then: the start stands in for it, and what is worse than the start counts."""
    box = Scores(start=0.5, made=made, carrier=0.5)
    trees = Trees("made", "start", None, carrier="carrier", head="start")
    unit = run_unit(box, box, trees, Scale(1.0, 1.0, ()), 3, late=True)  # type: ignore[arg-type]
    assert (unit.gain, unit.guards) == (pytest.approx(gain), (0.0, 0.0))
    assert sorted(box.roles) == ["candidate", "carrier", "head", "incumbent:late"]  # the verifier knows it  # T-1
    loop = PaperLoop(1)
    loop.begin()
    account = Account()
    for record in loop.records:
        account.take(record)
    told = replace(unit, made=({"word": "proposed", "late": False}, {"word": "nothing", "late": True})).record()
    again = contents._unit(contents.Contents(account, lambda _: b""), told)
    assert (again.gain, again.guards) == (unit.gain, unit.guards)  # S-4
