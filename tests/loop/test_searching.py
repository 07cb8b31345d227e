"""Tries on public evidence before the gate: what is charged, what is handed in, and what nobody learns."""

from __future__ import annotations

import json
import os
import re
from pathlib import Path
from types import SimpleNamespace
from typing import cast

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from festina.errors import IntegrityError, UsageError
from festina.loop import searching
from festina.loop.bench import Bench
from festina.loop.engine import Options, run
from festina.loop.history import lineage_history, tried_rows
from festina.loop.state import State, fold
from festina.loop.terms import _archive, manifest_at, spread_of
from festina.propose.types import Budget, NoProposal, Proposal, View
from festina.sandbox.job import Sandbox
from festina.select import SPREAD, Plan, units_steady
from festina.select import Budget as ErrorBudget
from festina.select.budget import SEARCHED
from festina.system.manifest import Manifest, parse_manifest
from festina.system.repo import Repo
from festina.verify.account import Account
from tests.loop.invariants import check, read
from tests.loop.paper import Paper, Searching
from tests.toy import make_toy

ARCHIVE = "archive = { tries = 3, seeds = 2, workers = 2 }"
DRAWN = "0.1 * __import__('random').Random(os.environ['FESTINA_SEED']).randint(-2, 4)"


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.integers(0, 10**6), st.integers(1, 3), st.floats(0, 1))
def test_P7_whatever_tries_and_crashes_do_each_ends_once_and_only_leaders_are_tested(
    seed: int, at_once: int, approve: float
) -> None:
    loop = Searching(seed=seed, proposals=4, at_once=at_once, approve=approve)
    loop.begin()
    loop.run()
    assert fold(loop.records) == loop.state  # L-1
    state = State()
    ended: set[int] = set()
    for record in loop.records:
        if record.kind == "try-ended":
            assert record.body.number not in ended
            ended.add(record.body.number)
        if record.kind == "proposal-requested" and record.body.attempt == 1:
            best = searching.best(state)
            assert best is not None
            known = searching.archive(state)
            assert known is not None
            assert known.lead(best) > 0
            assert not known.nodes[best].tested
        state.apply(record)
    if state.last_end is not None and state.last_end.reason == "exhausted" and not state.run_barren:
        assert not searching.last(state, searching.Room(10**6, 10**6))  # what is worth a test was handed in before
    charged = sum(r.body.runs for r in loop.records if r.kind == "try-started")
    assert state.search.runs == charged  # E-1


def test_E5_the_room_for_a_test_is_what_trials_and_time_allow() -> None:
    loop = Searching(seed=1, proposals=1)
    loop.begin()
    loop.run()
    loop.start_run()
    s = loop.state
    assert s.run is not None
    made = s.run_trials
    assert searching.room(s, 0.0, 2) == searching.Room(10**6 - made, 10**6)  # no run took any time
    s.search.timed = (4, 8.0)
    assert searching.room(s, s.run.wall_s - 90.0, 2) == searching.Room(90, 10**6)  # two seconds each, two at once
    assert searching.room(s, 2.0 * s.run.wall_s, 2).left == 0
    s.search.timed = (4, 4e5)
    assert searching.room(s, 0.0, 1) == searching.Room(10, 10.0)


@pytest.mark.parametrize("mode", ["sealed", "ledger"])
def test_P4_a_word_is_paid_for_by_the_slot_in_which_the_first_try_shows_it(mode: str) -> None:
    """A run that ends after that try, and a proposal of the next run, would make many slots one."""
    shown = 0
    for seed in range(6):
        loop = Searching(seed=seed, proposals=3, mode=mode, approve=1.0)
        loop.begin()
        loop.run()
        loop.start_run()
        loop.run()
        state, account = State(), Account()
        for record in loop.records:
            told = state.word_from
            state.apply(record)  # type: ignore[arg-type]
            assert account.see(record) == []
            if record.kind == "try-started" and record.body.attempt == 1:
                shown += bool(told)
                assert state.word_from == ""
        assert account.budget == state.budget
    assert shown >= 6  # positive control: tries come between a test and the next proposal


def test_R1_nobody_is_shown_what_an_improver_that_was_taken_back_has_tried() -> None:
    """Positive control: the archive holds such trees, and rows of others are shown."""
    out = shown = 0
    for seed in range(12):
        loop = Searching(seed=seed, proposals=5, approve=0.5)
        loop.begin()
        loop.run()
        s = loop.state
        s.line = s.line[:1]  # as a rollback to the start leaves it
        known = searching.archive(s)
        ledger = SimpleNamespace(get_blob=lambda digest: digest.encode())
        b = cast(Bench, SimpleNamespace(state=s, ledger=ledger))
        if known is None:
            continue
        gone = {n.number for n in s.search.nodes.values() if n.parent is not None and n.from_generation not in s.line}
        rows = tried_rows(b, known, known.head)
        assert not gone & {row.node for row in rows}
        assert {row.parent for row in rows} - {None} <= {row.node for row in rows}
        patches = {s.search.nodes[number].patch for number in gone} - {None}
        told = [row for parent in known.nodes for row in lineage_history(b, "own", parent)]
        seen = [row.patch for row in told if row.gain is not None]
        assert not patches & set(seen)
        out, shown = out + len(gone), shown + len(seen)
    assert out > 5
    assert shown > 50


class Spy:
    """Raises the skill by what the seed says, and keeps what it was shown."""

    author = "own"

    def __init__(self) -> None:
        self.views: list[View] = []

    def propose(self, view: View, budget: Budget) -> Proposal | NoProposal:
        self.views.append(view)
        skill = json.loads((view.tree / "skill.json").read_text())["skill"]
        step = (0.1, -0.1, 0.2, 0.0)[len(self.views) % 4]
        text = json.dumps({"skill": round(skill + step, 6)})
        return Proposal("own", files={"skill.json": text.encode()}, rationale=f"step {step}")


def test_P7_what_leads_in_public_is_handed_in_as_one_change(tmp_path: Path) -> None:
    toy = make_toy(tmp_path, step=DRAWN, public=60, improver=ARCHIVE)
    run(toy.root, Options(wall_s=220.0, proposals=1, at_once=2))
    state = check(toy.root, settled=True)
    _, records = read(toy.root)
    first = next(p for p in state.proposals.values())
    node = state.search.nodes[state.search.by_tree[first.tree or ""]]  # P-5: whose tree it is, the record proves
    assert (first.author, node.author) == ("own", "own")
    assert first.predicted is not None
    assert first.predicted >= 0.2  # detect: less was not worth a test
    tries = [r.body for r in records if r.kind == "try-started"]
    assert sum(body.parent is not None for body in tries) >= 6
    assert state.search.runs == sum(body.runs for body in tries)  # E-1
    opened = next(r.seq for r in records if r.kind == "test-opened")
    assert sum(getattr(r.body, "items", 0) for r in records if r.seq < opened and r.kind == "batch-started") == 0
    end = next(r for r in records if r.kind == "try-ended")
    with pytest.raises(IntegrityError, match="without its intent"):  # L-3
        fold([*records, Paper(len(records), end.kind, end.at, end.body, end.leaf)])
    assert all(r.body.purpose == "rehearsal" for r in records if r.seq < opened and r.kind == "measure-started")


def test_P4_a_try_shows_public_gains_of_its_lineage_and_the_gates_word(tmp_path: Path) -> None:
    toy = make_toy(tmp_path, public=60, improver="archive = { tries = 3, seeds = 2, workers = 1 }")
    spy = Spy()

    def make(_manifest: Manifest, _sandbox: Sandbox) -> Spy:
        return spy

    run(toy.root, Options(wall_s=220.0, proposals=2, improver=make))
    state = check(toy.root, settled=True)
    last = spy.views[-1]
    assert last.tried
    assert all(row.parent is None or row.gain is not None for row in last.tried)
    assert {row.word for view in spy.views for row in view.history} <= {
        "accepted", "rejected", "inconclusive", "better", "worse", "failed"
    }  # fmt: skip
    gate_rows = [row for row in last.history if row.gain is None]
    told = [p.word for p in state.proposals.values() if p.word is not None and p.number == 0]
    seen = [row.word for row in gate_rows if row.word != "accepted"]
    assert seen in ([], [w for w in told if w != "accepted"])  # the last view may be older than the word
    assert set(last.public_scores) == {"tree", "incumbent"}


class Weights:
    """Raises the skill, and hands in bytes that are no text along with it."""

    author = "own"

    def __init__(self) -> None:
        self.views: list[View] = []

    def propose(self, view: View, budget: Budget) -> Proposal | NoProposal:
        self.views.append(view)
        skill = json.loads((view.tree / "skill.json").read_text())["skill"]
        text = json.dumps({"skill": round(min(1.0, skill + 0.2), 6)})
        return Proposal("own", files={"skill.json": text.encode(), "notes.txt": b"\0\xff" + os.urandom(64)})


def test_P1_P7_what_leads_with_binary_files_is_handed_in_as_it_is(tmp_path: Path) -> None:
    toy = make_toy(tmp_path, skill=0.2, public=20, improver=ARCHIVE.replace("tries = 3", "tries = 1"))
    path = toy.root / "festina.toml"
    path.write_text(path.read_text().replace("[scope]\n", "[scope]\nbinary = true\n"))
    toy.commit("weights are in scope")
    maker = Weights()

    def make(_manifest: Manifest, _sandbox: Sandbox) -> Weights:
        return maker

    run(toy.root, Options(wall_s=220.0, proposals=1, trials=64, improver=make))
    state = check(toy.root, settled=False)
    first = state.proposals[0]
    assert first.binary
    assert first.reason in ("", "shown")
    assert first.tree in state.search.by_tree  # screened, and what was tried is what is tested
    assert all("GIT binary patch" not in row.patch for view in maker.views for row in (*view.history, *view.tried))
    assert any("Binary file" in row.patch for view in maker.views for row in view.tried)


def test_P7_the_built_in_search_tries_in_public_where_there_is_evidence(tmp_path: Path) -> None:
    def archive_of(base: Path, line: str, public: int) -> object:
        base.mkdir()
        toy = make_toy(base, public=public)
        path = toy.root / "festina.toml"
        path.write_text(re.sub(r"\[improver\].*?\n\n", f"[improver]\n{line}\n\n", path.read_text(), flags=re.DOTALL))
        toy.commit("another improver")
        repo = Repo.discover(toy.root)
        manifest, data = manifest_at(repo, repo.head())
        assert data
        return _archive(manifest)

    assert archive_of(tmp_path / "a", 'use = "search"', 60) is not None
    assert archive_of(tmp_path / "b", 'use = "search"', 0) is None
    assert archive_of(tmp_path / "c", 'use = "search"\narchive = false', 60) is None
    assert archive_of(tmp_path / "d", 'use = "command"\nrun = ["a"]', 60) is None


def test_S1_few_tests_share_the_budget_where_changes_are_tried_in_public_first() -> None:
    def epoch_spread(improver: str, policy: str = "") -> float:
        text = f'run = ["a"]\nmetric = "loss:lower"\nallow = ["a.py"]\n[improver]\n{improver}\n[policy]\n{policy}\n'
        return spread_of(parse_manifest(text.encode(), "here"))

    searched = 'use = "search"'
    assert (SEARCHED, SPREAD) == (10.0, 50.0)
    assert epoch_spread(searched) == epoch_spread('use = "command"\nrun = ["a"]\narchive = {}') == SEARCHED
    assert epoch_spread(searched + "\narchive = false") == epoch_spread('use = "command"\nrun = ["a"]') == SPREAD
    assert epoch_spread(searched, 'error = "fdr"') == SPREAD  # acceptances give nothing back there
    assert epoch_spread(searched, "spread = 3") == 3.0


def test_S1_what_a_test_costs_after_failures_is_as_the_decision_says() -> None:
    page = next((Path(__file__).parents[2] / "docs" / "decisions").glob("0054-*.md")).read_text()
    head, _, *rows = [[cell.strip() for cell in line.split("|")[1:-1]] for line in page.splitlines() if line[:1] == "|"]
    assert len(rows) == 5
    for spread, *told in rows:
        budget, found = ErrorBudget(0.05, float(spread)), []
        for failures in range(101):
            level, opened = budget.open()
            if str(failures) in head:
                found.append(str(units_steady(Plan("bounded", level, 0.0, 0.04, 0.1, (), 2000), 0.1)))
            budget = opened.close(level, accepted=False)
        assert found == told


def test_P7_an_archive_without_public_evidence_is_refused(tmp_path: Path) -> None:
    toy = make_toy(tmp_path, improver=ARCHIVE)
    with pytest.raises(UsageError, match="public items"):
        run(toy.root, Options(wall_s=10, proposals=1))


def test_E5_the_improvers_own_budget_of_runs_is_kept(tmp_path: Path) -> None:
    toy = make_toy(tmp_path, step="-0.01 * (1 + int(os.environ['FESTINA_SEED']) % 20)", public=60,
                   improver="archive = { tries = 50, seeds = 2, trials = 9 }")  # fmt: skip
    state = run(toy.root, Options(wall_s=220.0, proposals=1))
    assert state.last_end is not None
    assert (state.last_end.reason, state.search.runs <= 9) == ("budget", True)
    assert state.run_proposals == 0
    assert os.environ["FESTINA_HOME"]
