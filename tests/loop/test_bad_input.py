"""Bad input: each case is a clear error or a defined state; nothing is lost, nothing half done."""

from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest

from festina.system import home as homes
from festina.system.repo import Repo
from tests.loop.commandline import festina
from tests.loop.invariants import check, read
from tests.toy import Toy, make_toy


def refused(done: subprocess.CompletedProcess[str], name: str, code: int = 2) -> str:
    """The command failed with this named error, said what to do, and showed no traceback."""
    assert done.returncode == code, done.stderr
    assert f"[{name}]" in done.stderr, done.stderr
    assert "Traceback" not in done.stderr
    return done.stderr


def quick(toy: Toy, *extra: str) -> subprocess.CompletedProcess[str]:
    return festina("run", "--proposals", "1", "--budget", "100s", *extra, toy=toy)


def test_not_a_git_repository(tmp_path: Path) -> None:
    plain = tmp_path / "plain"
    plain.mkdir()
    toy = Toy(plain, {"FESTINA_HOME": str(tmp_path / "h")})
    assert "git init" in refused(quick(toy), "not-a-git-repository")


def test_a_repository_without_a_commit(tmp_path: Path) -> None:
    subprocess.run(["git", "init", "-q", str(tmp_path / "r")], check=True)
    refused(quick(Toy(tmp_path / "r", {})), "no-commit")


def test_a_dirty_tree_names_the_files(tmp_path: Path) -> None:
    toy = make_toy(tmp_path)
    (toy.root / "answer.py").write_text("changed")
    assert "answer.py" in refused(quick(toy), "dirty-tree")


def test_no_manifest(tmp_path: Path) -> None:
    toy = make_toy(tmp_path)
    toy.git("rm", "-q", "festina.toml")
    toy.git("commit", "-q", "-m", "gone")
    assert "festina init" in refused(quick(toy), "no-manifest")


def test_an_unknown_key_names_line_and_neighbour(tmp_path: Path) -> None:
    toy = make_toy(tmp_path)
    text = (toy.root / "festina.toml").read_text().replace("detect =", "detct =")
    (toy.root / "festina.toml").write_text(text)
    toy.commit()
    done = quick(toy)
    assert done.returncode == 2
    line = next(i for i, row in enumerate(text.splitlines(), 1) if row.startswith("detct"))
    assert f"festina.toml:{line}" in done.stderr or "detect" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_missing_scorer(tmp_path: Path) -> None:
    toy = make_toy(tmp_path)
    toy.git("rm", "-q", "scoring.py")
    toy.git("commit", "-q", "-m", "gone")
    done = quick(toy)
    assert done.returncode == 2
    assert "scoring" in done.stderr
    assert "Traceback" not in done.stderr


def test_no_hidden_items(tmp_path: Path) -> None:
    toy = make_toy(tmp_path, vault=False)
    done = quick(toy)
    assert done.returncode == 2
    assert "festina vault add" in done.stderr


def test_hidden_items_inside_the_repository_are_refused(tmp_path: Path) -> None:
    toy = make_toy(tmp_path, vault=False)
    (toy.root / "hidden.jsonl").write_text('{"id": "a", "input": 1, "label": 1}\n')
    toy.commit()
    done = festina("vault", "add", "hidden", str(toy.root / "hidden.jsonl"), toy=toy)
    assert done.returncode == 2
    assert "repository" in done.stderr


def test_a_home_inside_the_repository_is_refused(tmp_path: Path) -> None:
    toy = make_toy(tmp_path, vault=False)
    inside = Toy(toy.root, {"FESTINA_HOME": str(toy.root / "homes")})
    refused(quick(inside), "home-inside-repository")


def test_an_empty_suite(tmp_path: Path) -> None:
    toy = make_toy(tmp_path, vault=False)
    items = tmp_path / "none.jsonl"
    items.write_text("\n")
    done = festina("vault", "add", "hidden", str(items), toy=toy)
    assert done.returncode == 2
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    ("scorer", "code"),
    [
        ("def right(item, output):\n    raise RuntimeError('no')\n", 1),
        ("def right(item, output):\n    return float('nan')\n", 1),
        ("def right(item, output):\n    return 0.5\n", 1),
        ("def right(item, output):\n    return 1.0 if output is not None else 0.0\n", 1),
        ("def wrong_name(item, output):\n    return 1.0\n", 2),
        ("this is not python\n", 2),
    ],
    ids=["raises", "nan", "constant", "anything-passes", "missing", "syntax"],
)
def test_V2_a_scorer_that_tells_nothing_apart_stops_the_run_before_any_trial(
    tmp_path: Path, scorer: str, code: int
) -> None:
    toy = make_toy(tmp_path)
    (toy.root / "scoring.py").write_text(scorer)
    toy.commit()
    done = quick(toy)
    assert done.returncode in (1, 2), done.stderr
    assert "Traceback" not in done.stderr
    assert "scorer" in done.stderr or "scoring" in done.stderr
    home = homes.find(Repo.discover(toy.root))
    assert home is not None
    if home.ledger.exists():
        assert read(toy.root)[0].trials == 0


def test_a_ledger_from_a_newer_schema_is_left_alone(tmp_path: Path) -> None:
    toy = make_toy(tmp_path, step="0.0")
    assert quick(toy).returncode == 0
    ledger = homes.require(Repo.discover(toy.root)).ledger
    bare = sqlite3.connect(ledger)
    bare.execute("pragma user_version = 99")
    bare.close()
    before = ledger.read_bytes()
    done = quick(toy)
    assert done.returncode in (2, 6)
    assert "Traceback" not in done.stderr
    assert ledger.read_bytes() == before


def test_the_rules_cannot_change_under_a_ledger_without_a_new_epoch(tmp_path: Path) -> None:
    toy = make_toy(tmp_path, step="0.0")
    assert quick(toy).returncode == 0
    text = (toy.root / "festina.toml").read_text().replace("alpha = 0.05", "alpha = 0.4")
    (toy.root / "festina.toml").write_text(text)
    toy.commit("looser")
    refused(quick(toy), "rules-changed")
    done = quick(toy, "--new-epoch", "we accept more risk")
    assert done.returncode == 0, done.stderr
    state, _ = read(toy.root)
    assert state.alpha_epochs == pytest.approx(0.4)  # S-1: no test was opened under the first rules


def test_V4_guards_stay_anchored_through_a_new_epoch_until_the_anchor_is_moved(tmp_path: Path) -> None:
    guard = '[guard.small]\nscorer = "scoring:small"\ndirection = "higher"\nrange = [0, 1]\nmax_loss = 0.3\n'
    toy = make_toy(tmp_path, step="0.0", extra=guard)
    scorer = toy.root / "scoring.py"
    scorer.write_text(scorer.read_text() + "\ndef small(item, output): return float(abs(float(output)) < 100)\n")
    toy.commit("a guard")
    refused(quick(toy, "--move-anchor"), "anchor-needs-an-epoch")
    assert quick(toy).returncode == 0
    first = toy.git("rev-parse", "HEAD^{tree}").strip()
    manifest = toy.root / "festina.toml"
    manifest.write_text(manifest.read_text().replace("answer.py", "reply.py"))
    toy.git("mv", "answer.py", "reply.py")
    toy.commit("another name")
    said = refused(quick(toy, "--new-epoch", "renamed"), "anchor-broken")  # beside it no guard could be hurt
    assert "--move-anchor" in said
    assert read(toy.root)[0].epoch.anchor_tree == first
    assert quick(toy, "--new-epoch", "renamed", "--move-anchor").returncode == 0
    state = read(toy.root)[0]
    assert state.epoch.anchor_tree == toy.git("rev-parse", "HEAD^{tree}").strip()
    assert state.alpha_epochs == pytest.approx(0.05)  # S-1: the epoch that was refused has used none of its alpha


def test_G7_the_highest_rung_of_autonomy_needs_what_it_rests_on_declared(tmp_path: Path) -> None:
    toy = make_toy(tmp_path, policy='autonomy = "unattended"')
    said = refused(quick(toy), "unattended-needs")
    assert "policy.lease" in said
    assert "tiers" in said


def test_a_plan_that_can_never_reach_a_verdict_is_refused_before_it_starts(tmp_path: Path) -> None:
    toy = make_toy(tmp_path, detect=0.01, extra="max_units = 20\n")
    refused(quick(toy), "plan-unreachable")


def test_an_improver_that_always_crashes_ends_the_run_and_says_so(tmp_path: Path) -> None:
    toy = make_toy(tmp_path, step="1 / 0")
    done = festina("run", "--proposals", "50", "--budget", "100s", toy=toy)
    assert done.returncode == 0, done.stderr
    state = check(toy.root, settled=True)
    assert state.last_end is not None
    assert state.last_end.reason == "exhausted"
    assert len(state.proposals) == 5


def test_a_clock_that_jumps_back_moves_no_order_and_no_budget(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two runs, the second with a wall clock a year in the past."""
    from datetime import datetime, timedelta

    from festina.ledger import log
    from festina.loop.engine import Options, run

    toy = make_toy(tmp_path, step="0.6")
    for key, value in toy.environment.items():
        monkeypatch.setenv(key, value)
    run(toy.root, Options(proposals=1, wall_s=220.0))
    past = datetime(2001, 1, 1) + timedelta(days=1)
    monkeypatch.setattr(log, "now", lambda: past.isoformat(timespec="milliseconds") + "Z")
    run(toy.root, Options(proposals=1, wall_s=220.0))
    state = check(toy.root, settled=True)
    assert state.runs == 2
    assert state.last_at > "2025"


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_a_home_that_cannot_be_written(tmp_path: Path) -> None:
    toy = make_toy(tmp_path, vault=False)
    locked = tmp_path / "locked"
    locked.mkdir(mode=0o500)
    refused(quick(Toy(toy.root, {"FESTINA_HOME": str(locked / "h")})), "home-not-writable")


@pytest.mark.skipif(os.geteuid() != 0, reason="a tiny file system needs root")
def test_a_full_disk_is_a_fault_and_loses_nothing(tmp_path: Path) -> None:
    toy = make_toy(tmp_path, step="0.6", vault=False)
    small = tmp_path / "small"
    small.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=600k", "tmpfs", str(small)], check=True)
    try:
        there = Toy(toy.root, {**toy.environment, "FESTINA_HOME": str(small)})
        generator = tmp_path / "generator.py"
        from tests.toy import GENERATOR

        generator.write_text(GENERATOR)
        done = festina("vault", "add", "hidden", "--generator", str(generator), toy=there)
        assert done.returncode == 0, done.stderr
        free = os.statvfs(small).f_bavail * os.statvfs(small).f_frsize
        (small / "filler").write_bytes(b"x" * max(0, free - (96 << 10)))
        done = festina("run", "--proposals", "3", "--budget", "100s", toy=there)
        assert done.returncode in (1, 2), done.stderr
        assert "Traceback" not in done.stderr
        os.environ["FESTINA_HOME"] = str(small)
        subprocess.run(["mount", "-o", "remount,size=64m", str(small)], check=True)
        done = festina("run", "--proposals", "1", "--budget", "100s", toy=there)
        assert done.returncode == 0, done.stderr
        check(toy.root, settled=True)
    finally:
        subprocess.run(["umount", "-l", str(small)], check=False)


def test_help_never_uses_the_words_that_nobody_needs() -> None:
    done = subprocess.run([sys.executable, "-m", "festina", "--help"], capture_output=True, text=True, check=True)
    for word in ("e-process", "DSSE", "Merkle", "martingale"):
        assert word not in done.stdout


def test_V3_a_finite_suite_is_used_up_without_reuse_and_the_run_says_so(tmp_path: Path) -> None:
    import json

    toy = make_toy(tmp_path, step="0.25", vault=False, detect=0.2)
    items = tmp_path / "items.jsonl"
    items.write_text("".join(json.dumps({"id": f"i{k}", "input": k, "label": k % 7}) + "\n" for k in range(300)))
    assert festina("vault", "add", "hidden", str(items), toy=toy).returncode == 0
    done = festina("run", "--proposals", "2", "--budget", "60s", toy=toy)
    assert done.returncode == 5, done.stderr
    state = check(toy.root, settled=True)
    assert list(state.source_looks.values()) == [300]
    assert state.looks == 320  # the rehearsal of the incumbent looks at items again, and is counted
    assert [p.word for p in state.proposals.values()] == ["inconclusive"]
    assert "vault add" in done.stderr


def test_V2_a_baseline_that_cannot_answer_stops_the_run_and_shows_what_it_said(tmp_path: Path) -> None:
    toy = make_toy(tmp_path)
    (toy.root / "answer.py").write_text("import no_such_module_here\n")
    toy.commit("broken")
    done = quick(toy)
    assert done.returncode == 2
    assert "[incumbent-broken]" in done.stderr
    assert "No module named 'no_such_module_here'" in done.stderr  # the candidate's traceback, not ours
    state = check(toy.root, settled=True)
    assert state.tests == 0
