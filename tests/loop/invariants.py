"""What must hold after any kill and resume: nothing lost, nothing twice, nothing left behind."""

from __future__ import annotations

import subprocess
import time
from collections import Counter
from itertools import pairwise
from pathlib import Path

from festina.ledger.log import Ledger, verify
from festina.loop.state import State, fold
from festina.release.refs import LINE, generation_ref
from festina.select.budget import Budget
from festina.system import home as homes
from festina.system.repo import Repo


def read(root: Path) -> tuple[State, list]:
    home = homes.require(Repo.discover(root))
    ledger = Ledger.open(home.ledger, readonly=True)
    try:
        records = list(ledger.records())
    finally:
        ledger.close()
    return fold(records), records


def check(root: Path, *, settled: bool) -> State:
    """Assert every invariant. ``settled``: the last run ended by itself, so nothing may be half done."""
    repo = Repo.discover(root)
    home = homes.require(repo)
    report = verify(home.ledger)
    assert report.ok, report
    state, records = read(root)
    verdicts = Counter(r.body.test for r in records if r.kind == "verdict")
    assert all(count == 1 for count in verdicts.values()), "a test was decided twice"  # D-1
    ends = Counter((r.body.test, r.body.batch) for r in records if r.kind == "batch-ended")
    assert all(count == 1 for count in ends.values()), "a batch counted twice"  # E-1
    twins = Counter(r.body.control for r in records if r.kind == "control-ended")
    assert all(count == 1 for count in twins.values()), "a control counted twice"  # V-2
    ended = Counter(r.body.measure for r in records if r.kind == "measure-ended")
    assert all(count == 1 for count in ended.values()), "a measurement counted twice"  # E-1
    charged = sum(r.body.trials for r in records if r.kind in ("batch-started", "control-started", "measure-started"))
    charged += sum(r.body.trials for r in records if r.kind == "plant-revealed")
    charged += sum(r.body.runs for r in records if r.kind == "try-started")
    charged += sum(r.kind == "training-started" for r in records)
    assert state.trials == charged  # E-1
    tried = Counter(r.body.number for r in records if r.kind == "try-ended")
    assert all(count == 1 for count in tried.values()), "a try counted twice"  # P-7
    assert not (settled and state.search.open), "a try was left half done"
    revealed = Counter(r.body.proposal for r in records if r.kind == "plant-revealed")
    assert all(count == 1 for count in revealed.values()), "a plant was revealed twice"  # V-7
    assert all(g.proposal not in revealed for g in state.generations.values()), "a plant is on the line"
    _budget_charged_once(state, records)
    _line(repo, state, records, settled)
    if settled:
        assert state.move is None
        assert state.release is None
        assert state.run is None
    return state


def _budget_charged_once(state: State, records: list) -> None:
    """Recompute the error budget from the entries alone."""
    epoch = next(r.body for r in records if r.kind == "epoch-opened")
    budget = Budget(epoch.alpha, epoch.spread)
    levels: dict[int, float] = {}
    spent = 0.0
    last: tuple[int, Budget, float] | None = None  # the newest verdict: proposal, budget and spending without its test
    before: dict[int, Budget] = {}
    for record in records:
        if record.kind == "test-opened":
            before[record.body.test], last = budget, None  # a plant revealed later stays paid for
            level, budget = budget.open()
            assert abs(level - record.body.level) < 1e-12
            levels[record.body.test] = level
        if record.kind == "verdict":
            level = levels.pop(record.body.test)
            alone = before[record.body.test].open()[1] == budget
            without = before[record.body.test] if alone else budget.close(level, False, 1.0)
            last = record.body.proposal, without, spent
            spent += record.body.alpha_spent
            refund = min(1.0, max(0.0, 1 - record.body.alpha_spent / level))
            budget = budget.close(level, record.body.verdict == "accept", refund)
        if record.kind == "plant-revealed" and last is not None and last[0] == record.body.proposal:
            _, budget, spent = last  # V-7: as if it had never been tested
    assert len(levels) <= max(r.body.at_once for r in records if r.kind == "run-started")
    assert state.budget is not None
    assert abs(budget.free - state.budget.free) < 1e-12
    assert abs(budget.free + spent + sum(levels.values()) - epoch.alpha) < 1e-12


def _line(repo: Repo, state: State, records: list, settled: bool) -> None:
    """The reference, the ledger and git's own ancestry tell the same line."""
    at = repo.ref(LINE)
    if settled:
        assert at == state.head.commit
    elif state.move is not None:
        assert at in (state.move.old_commit, state.move.new_commit)
    elif state.line:
        assert at == state.head.commit
    commits = [state.generations[n].commit for n in state.line]
    assert len(set(commits)) == len(commits), "a generation stands twice on the line"
    for parent, child in pairwise(commits):
        found = subprocess.run(
            ["git", "-C", str(repo.root), "rev-parse", f"{child}^"], capture_output=True, text=True, check=True
        )
        assert found.stdout.strip() == parent
    if settled:  # every generation's commit is kept, whoever finished its move
        assert all(repo.ref(generation_ref(n)) == state.generations[n].commit for n in state.line)
    accepted = [p for p in state.proposals.values() if p.word == "accepted" and p.plant is None]
    made = [g for g in state.generations.values() if g.parent is not None]  # also those that the line went back from
    unrevealed = 0 if settled else 1  # a kill between a verdict and its reveal
    assert abs(len(made) + _observed(records) - len(accepted)) <= unrevealed, "a decision was lost or doubled"
    assert all(g.commit for g in made) or not settled


def _observed(records: list) -> int:
    """Acceptances at the rung that merges nothing.  # G-7"""
    state, found = State(), 0
    for record in records:
        found += record.kind == "verdict" and record.body.verdict == "accept" and not state.govern.autonomy.merges
        state.apply(record)
    return found


def no_orphans(marker: str, *, within_s: float = 60.0) -> None:
    """No process is left whose command line, environment or working directory names ``marker``."""
    deadline = time.monotonic() + within_s
    while True:
        left = [pid for pid in _processes() if marker in _about(pid)]
        if not left:
            return
        assert time.monotonic() < deadline, f"processes left: {[(pid, _about(pid)[:200]) for pid in left]}"
        time.sleep(0.05)


def _processes() -> list[int]:
    return [int(entry.name) for entry in Path("/proc").iterdir() if entry.name.isdigit()]


def _about(pid: int) -> str:
    text = ""
    for name in ("cmdline", "environ"):
        try:
            text += Path(f"/proc/{pid}/{name}").read_bytes().decode(errors="replace")
        except OSError:
            pass
    return text
