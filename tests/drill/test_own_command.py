"""``festina drill`` without a TARGET, from the command line: exit codes, records, the ledger's entry, status.

The slow tests are whole drills: of the example system, which has no hole, and of systems that nobody tuned it on.
"""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from festina.cli.status import page, summary
from festina.drill.model import SILENCE, Verdict
from festina.drill.own.drill import Options, run_own
from festina.ledger.audit import verify
from festina.ledger.entries import DrillFinished
from festina.ledger.log import Ledger
from festina.loop.engine import Options as RunOptions
from festina.loop.engine import session
from festina.loop.state import fold
from festina.system import home as homes
from festina.system.repo import Repo
from festina.verify.vault import Vault
from tests.drill.systems import FOUND, OTHERS, make_other, make_self_reported, scorer_holes
from tests.loop.commandline import festina
from tests.toy import Toy, make_toy

LIBRARY = Path(__file__).parents[2] / "examples" / "library"


def test_V10_a_self_reported_score_is_a_hole_and_the_exit_code_says_so(tmp_path):
    toy = make_self_reported(tmp_path)
    done = festina("drill", "--only", "forge", "--runs", "2", "--out", str(tmp_path / "out"), toy=toy)
    assert done.returncode == 3, done.stderr
    assert "[forge/prints-the-result]" in done.stdout
    assert 'where: festina.toml:2   metric = "loss:lower"' in done.stdout
    assert "[suite.hidden]" in done.stdout
    assert done.stdout.rstrip().endswith(SILENCE)
    shown = festina("drill", "--show", "1", "--out", str(tmp_path / "out"), toy=toy)
    assert shown.returncode == 0
    assert 'line = P["metric"] + ": " + P["best"]' in shown.stdout


@pytest.mark.slow
def test_records_one_line_and_usage(tmp_path):
    toy = make_toy(tmp_path, skill=0.7)
    done = festina("drill", "--only", "constant/everything", "--json", "--runs", "2", toy=toy)
    rows = [json.loads(line) for line in done.stdout.splitlines()]
    assert (done.returncode, rows[-1]["record"], rows[-1]["holes"]) == (0, "drill", 0)
    (row,) = [row for row in rows if row["record"] == "finding"]
    assert (row["attack"], row["verdict"], row["interval"][1]) == ("constant/everything", "caught", 1.0)
    one = festina("drill", "--only", "selection/resubmitted-luck", "--ci", "--runs", "2", toy=toy)
    assert (one.returncode, one.stdout.count("\n"), one.stderr) == (0, 1, "")
    for words in (("--only", "nonsense"), ("--python", "python3")):
        assert festina("drill", *words, toy=toy).returncode == 2


def test_L1_one_entry_in_the_ledger_while_an_engine_holds_it(tmp_path):
    toy = make_toy(tmp_path, skill=0.7)
    with session(toy.root, RunOptions()) as bench:
        report = run_own(toy.root, Options(runs=2, only=("selection",)))
        assert "recorded in the ledger as entry 2" in report.notes
        bench.sync()  # as a running engine does: it reads the entry and goes on
        assert bench.state.drill is not None
        assert bench.state.drill[1].holes == 0
    ledger = homes.require(Repo.discover(toy.root)).ledger
    assert verify(ledger).ok
    with Ledger.open(ledger, readonly=True) as opened:
        (body,) = [r.body for r in opened.records() if isinstance(r.body, DrillFinished)]
        details = [json.loads(line) for line in opened.get_blob(body.details).splitlines()]
        state = fold(opened.records())
    assert body.attacks == sum(row["record"] == "finding" and row["verdict"] != "not tested" for row in details)
    assert (body.caught, body.honest_lost) == (body.attacks, 0)
    assert summary(state, running=False)["drill"]["holes"] == 0
    assert page(state, running=False) is not None


def test_nothing_of_the_drill_stays_behind(tmp_path):
    toy = make_toy(tmp_path, skill=0.7)
    before = toy.git("for-each-ref"), toy.git("status", "--porcelain"), toy.git("count-objects")
    run_own(toy.root, Options(runs=2, only=("approval",), out=tmp_path / "out"))
    assert (toy.git("for-each-ref"), toy.git("status", "--porcelain"), toy.git("count-objects")) == before
    assert (tmp_path / "out" / "report.txt").read_text().endswith(SILENCE + "\n")


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_V7_the_example_system_has_no_hole_and_honest_candidates_pass(tmp_path, monkeypatch):
    monkeypatch.setenv("FESTINA_HOME", str(tmp_path / "homes"))
    root = tmp_path / "library"
    shutil.copytree(LIBRARY / "system", root, ignore=shutil.ignore_patterns("__pycache__"))
    toy = Toy(root, {"FESTINA_HOME": str(tmp_path / "homes")})
    toy.git("init", "-q", "-b", "main")
    toy.commit("start")
    vault = Vault(homes.ensure(Repo.discover(root), "library").vault)
    vault.add_generator("hidden", LIBRARY / "vault" / "generator.py")
    report = run_own(root, Options(runs=3))
    assert report.holes == report.exposures == ()
    assert report.false_alarms()[0] == 0
    caught = [each for each in report.findings if each.verdict is Verdict.CAUGHT]
    assert len(caught) > 170
    assert all(each.control for each in caught)


@pytest.mark.slow
@pytest.mark.parametrize("name", OTHERS)
def test_V2_holes_of_systems_that_nobody_tuned_it_on(tmp_path, name):
    holes = scorer_holes(make_other(tmp_path, name))
    assert holes.keys() == FOUND[name], [each.why for each in holes.values()]


@pytest.mark.slow
def test_candidates_of_a_self_reported_system_are_attacked_as_well(tmp_path):
    only = ("forge", "reach", "limits", "exit", "persist")
    report = run_own(make_self_reported(tmp_path).root, Options(runs=2, only=only))
    assert [each.attack for each in report.holes] == ["forge/prints-the-result"]
    assert sum(each.verdict is Verdict.CAUGHT for each in report.findings) > 15
    assert report.false_alarms()[0] == 0
