"""People, rollback and rules changing in the middle of things, on a real system with three generations."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from http.client import HTTPException
from pathlib import Path

import pytest

from festina.cli.common import opened
from festina.errors import IntegrityError
from festina.ledger import entries as e
from festina.ledger.log import Draft
from festina.loop import acts, watching
from festina.loop.state import fold
from festina.release.refs import LINE, RELEASED
from festina.system import home as homes
from festina.system.repo import Repo
from tests.loop import commandline
from tests.loop.commandline import festina
from tests.loop.invariants import check, read
from tests.loop.paper import PaperLoop, digest, oid
from tests.toy import Toy, make_toy
from tests.watch.services import Service, ask

WHY = "it does what it says and the numbers hold"


@pytest.fixture(scope="module")
def three(tmp_path_factory: pytest.TempPathFactory) -> Toy:
    """A toy with generations 0 to 3, none approved."""
    base = tmp_path_factory.mktemp("three")
    before = {key: os.environ.get(key) for key in ("FESTINA_HOME", "FESTINA_REVIEWER_KEYS")}
    toy = make_toy(base, skill=0.0, step="0.33", detect=0.25)
    done = festina("run", "--proposals", "3", "--budget", "250s", toy=toy)
    for key, value in before.items():
        if value is not None:
            os.environ[key] = value
    assert done.returncode == 0, done.stderr
    assert read_in(toy)[0].head.number == 3
    return toy


def read_in(toy: Toy):
    os.environ.update(toy.environment)
    return read(toy.root)


@pytest.fixture
def system(three: Toy, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Toy:
    """A copy of it for one test, with a reviewer called ann."""
    base = three.root.parent
    for name in ("system", "homes", "reviewers"):
        if (base / name).exists():
            shutil.copytree(base / name, tmp_path / name)
    toy = Toy(
        tmp_path / "system",
        {"FESTINA_HOME": str(tmp_path / "homes"), "FESTINA_REVIEWER_KEYS": str(tmp_path / "reviewers")},
    )
    for key, value in toy.environment.items():
        monkeypatch.setenv(key, value)
    assert festina("reviewer", "add", "ann", toy=toy).returncode == 0
    return toy


def decide(toy: Toy, word: str, review: int) -> None:
    done = commandline.decide(word, review, toy)
    assert done.returncode == 0, done.stderr


def test_D2_a_rollback_never_releases_what_nobody_approved(system: Toy) -> None:
    decide(system, "approve", 2)
    assert festina("release", toy=system).returncode == 0
    back = festina("rollback", toy=system)
    assert back.returncode == 0
    assert "refs/festina/generations/" in back.stderr  # whoever meant something else learns where it lies
    state = check(system.root, settled=True)
    assert state.head.number == 2
    assert state.released == 0
    assert Repo.discover(system.root).ref(RELEASED) == state.generations[0].commit


def test_P5_R1_after_a_rollback_no_unapproved_improver_is_in_force(system: Toy) -> None:
    decide(system, "approve", 2)
    done = festina("run", "--proposals", "1", "--budget", "100s", toy=system)
    assert done.returncode == 0, done.stderr
    assert read(system.root)[0].in_force == 3
    assert festina("rollback", "2", toy=system).returncode == 0
    assert read(system.root)[0].in_force == 0


def test_R1_a_denial_below_blocks_the_release_and_takes_line_and_release_back(system: Toy) -> None:
    decide(system, "approve", 2)
    assert festina("release", toy=system).returncode == 0
    decide(system, "deny", 0)
    refused = festina("release", "3", toy=system)
    assert "denied-below" in refused.stderr
    done = festina("run", "--proposals", "1", "--budget", "2s", toy=system)
    assert "Traceback" not in done.stderr
    state = check(system.root, settled=False)
    assert state.line[:1] == [0]
    assert 1 not in state.line
    assert state.released == 0


def test_R1_a_reference_that_somebody_else_moved_is_never_overwritten(system: Toy) -> None:
    evil = system.git("rev-parse", "HEAD")
    system.git("update-ref", LINE, evil)
    done = festina("rollback", "2", toy=system)
    assert done.returncode == 6
    assert "reference-moved" in done.stderr
    assert system.git("rev-parse", LINE) == evil


def test_S1_new_rules_end_an_open_test_and_leave_the_ledger_whole(system: Toy) -> None:
    done = festina("run", "--proposals", "9", "--trials", "8", "--budget", "60s", toy=system)
    assert done.returncode == 5, done.stderr
    state, _ = read(system.root)
    assert state.open
    text = (system.root / "festina.toml").read_text().replace("alpha = 0.05", "alpha = 0.06")
    (system.root / "festina.toml").write_text(text)
    system.commit("another alpha")
    done = festina("run", "--new-epoch", "we changed our mind", "--budget", "3s", toy=system)
    assert done.returncode in (0, 5), done.stderr
    state = check_fold(system)
    assert state.alpha_epochs == pytest.approx(0.11)  # summed: tests ran under both
    assert state.line[0] == 4
    assert festina("status", toy=system).returncode == 0
    assert festina("ledger", "verify", toy=system).returncode == 0


def check_fold(toy: Toy):
    return read(toy.root)[0]


def test_S1_without_its_home_a_system_never_starts_a_second_ledger_by_itself(system: Toy) -> None:
    elsewhere = Toy(system.root, system.environment | {"FESTINA_HOME": str(system.root.parent / "nowhere")})
    done = festina("run", "--budget", "5s", toy=elsewhere)
    assert done.returncode == 2
    assert "home-missing" in done.stderr
    assert homes.find(Repo.discover(system.root)) is not None


def test_R1_nobody_decides_about_a_change_that_is_their_own(system: Toy) -> None:
    """Ann's patch becomes generation 4; the review covers it, so she may not decide."""
    (system.root / "improve.py").write_text((system.root / "improve.py").read_text() + "# tidy\n")
    patch = system.root.parent / "mine.patch"
    patch.write_text(system.git("diff") + "\n")
    system.git("checkout", "-q", ".")
    state, _ = read(system.root)
    terms = state.reviews[0].terms
    from festina.errors import UsageError
    from festina.review import desk

    enrolled = state.reviewers["ann"]
    key = desk.reviewer_key("ann")
    with pytest.raises(UsageError, match="cannot decide"):
        desk.decision(
            terms, authors=["own", "person:ann:mine-00"], reviewer=enrolled, key=key, approve=True, reason=WHY
        )


@pytest.mark.parametrize(
    "forged",
    [
        e.LineIntent(move=9, cause="start", generation=7, old_commit=None, new_commit=oid(1), proposal=None),
        e.LineIntent(move=9, cause="rollback", generation=0, old_commit=None, new_commit=oid(666), proposal=None),
        e.LineIntent(move=9, cause="accept", generation=0, old_commit=None, new_commit=oid(666), proposal=None),
        e.ReleaseIntent(release=0, cause="release", generation=0, old_commit=None, new_commit=oid(1), review=0),
        e.ReleaseIntent(release=0, cause="rollback", generation=0, old_commit=None, new_commit=oid(666), review=None),
        e.InForce(generation=0, commit=oid(1), review=77),
        e.ReviewerEnrolled(reviewer="ann", key="another", demo=False),
        e.ProposalRequested(
            proposal=99, attempt=1, improver="own", from_generation=0, from_commit=oid(666), base_commit=oid(1), seed=1
        ),
        e.LineMoved(move=0, generation=0, commit=oid(1)),
    ],
    ids=lambda body: body.kind,
)  # fmt: skip
def test_L3_a_forged_entry_does_not_fold(forged: e.Body) -> None:
    loop = PaperLoop(seed=5)
    loop.begin()
    loop._StartLine(None)
    loop._FinishMove(None)
    with pytest.raises(IntegrityError):
        loop.put(forged)


def test_R1_a_decision_about_nothing_is_recorded_without_effect() -> None:
    loop = PaperLoop(seed=5)
    loop.begin()
    loop._StartLine(None)
    loop._FinishMove(None)
    loop.put(
        e.ReviewDecided(
            review=42, binding=digest(1), reviewer="ann", decision="approve", reason=digest(2), without_person=False
        )
    )
    assert fold(loop.records).reviews == {}


@pytest.mark.slow
def test_D3_D4_a_watched_version_passes_or_is_taken_back_and_then_nothing_goes_on(system: Toy) -> None:
    """Real services, real requests, the command as an operator starts it; the bad one is in use when it turns bad."""
    old, new = Service("old"), Service("new")
    old_at, new_at = (f"http://127.0.0.1:{s.start().port}" for s in (old, new))
    words = ("--new", new_at, "--old", old_at, "--once", "--for", "60s")
    refused = festina("watch", "3", *words, toy=system)
    assert "not-approved" in refused.stderr
    decide(system, "approve", 2)
    assert watched(system, new, ("watch", "3", *words, "--requests", "30")) == 0
    assert festina("release", "3", toy=system).returncode == 0
    full = ("watch", "3", "--step", "full", *words, "--requests", "5000")
    assert watched(system, new, full, breaks_after=40) == 3
    state = check(system.root, settled=True)
    assert state.released != 3
    assert [w.ended.reason for w in state.watches.rows.values() if w.ended] == ["passed", "rolled-back"]
    last = state.watches.rows[1].ended
    assert last is not None
    assert last.took_s is not None
    assert last.took_s < 20.0  # hundredths of a second where nothing else runs
    assert festina("run", "--proposals", "1", "--budget", "5s", toy=system).returncode == 7
    assert festina("ledger", "verify", "--verdicts", toy=system).returncode == 0
    for service in (old, new):
        assert service.server is not None
        service.server.shutdown()
        service.server.server_close()


@pytest.mark.slow
def test_D2_D5_what_is_in_use_goes_back_also_after_new_rules_began_a_new_line(system: Toy) -> None:
    decide(system, "approve", 2)
    assert festina("release", "3", toy=system).returncode == 0
    done = festina("run", "--new-epoch", "other rules", "--proposals", "1", "--budget", "60s", toy=system)
    assert done.returncode == 0, done.stderr
    before = read(system.root)[0].line
    refused = festina("rollback", "99", toy=system)
    assert "no-such-generation" in refused.stderr
    done = festina("rollback", toy=system)
    assert done.returncode == 0, done.stderr
    assert "Generation 0 is released again" in done.stderr
    state = check(system.root, settled=True)
    assert (state.released, state.line) == (0, before)
    assert Repo.discover(system.root).ref(RELEASED) == state.generations[0].commit


@pytest.mark.slow
@pytest.mark.parametrize("later", [False, True])
def test_D4_a_watch_killed_after_the_event_that_decides_is_closed_with_all_that_it_would_have_done(
    system: Toy, later: bool
) -> None:
    """``later``: new rules, and so another working line, began while it watched."""
    decide(system, "approve", 2)
    assert festina("release", "3", toy=system).returncode == 0
    with opened(system.root, write=True) as here:
        plan = watching.Plan(3, "full", 1.0, 0.01, 5000)
        watch = watching.begin(here.ledger, here.state, plan)
    if later:
        done = festina("run", "--new-epoch", "other rules", "--proposals", "1", "--budget", "60s", toy=system)
        assert done.returncode == 0, done.stderr
        assert 3 not in read(system.root)[0].line
    with opened(system.root, write=True) as here:
        events = "0" * 10 + "1" * 20
        seen = e.WatchCounted(watch=0, requests=30, failures=20, beside=0, beside_failures=0, events=events)
        acts.write(here.ledger, here.state, lambda _: [Draft(seen)])
        assert here.state.watches.rows[watch.started.watch].monitor.answer == "roll back"
    done = festina("watch", "--close", toy=system)
    assert done.returncode == 0, done.stderr
    assert "taken back by the monitor" in done.stdout
    (row,) = map(json.loads, festina("watch", "--json", toy=system).stdout.splitlines())
    assert (row["generation"], row["requests"], row["failures"], row["ended"]) == (3, 30, 20, "rolled-back")
    state = check(system.root, settled=True)
    assert state.released == 0, "the newest approved one before it"
    assert Repo.discover(system.root).ref(RELEASED) == state.generations[0].commit
    assert len(state.halts.standing) == 1
    assert festina("run", "--proposals", "1", "--budget", "5s", toy=system).returncode == 7
    assert festina("ledger", "verify", "--verdicts", toy=system).returncode == 0


def watched(toy: Toy, new: Service, argv: tuple[str, ...], breaks_after: int = 10**9) -> int:
    """Run a watch and ask through it until it ends; the new service breaks after so many requests."""
    command = [sys.executable, "-m", "festina", argv[0], "-C", str(toy.root), *argv[1:]]
    process = subprocess.Popen(command, env=os.environ | toy.environment, stderr=subprocess.PIPE, text=True)
    assert process.stderr is not None
    port = int(process.stderr.readline().split(",")[0].rsplit(":", 1)[1])
    for number in range(2_000):
        new.status = 500 if number >= breaks_after else 200
        try:
            ask(port)
        except (OSError, HTTPException):  # it ends with an answer half sent
            break
        if process.poll() is not None:
            break
    process.stderr.read()
    process.stderr.close()
    return process.wait(60)
