"""People, rollback and rules changing in the middle of things, on a real system with three generations."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

from festina.errors import IntegrityError
from festina.ledger import entries as e
from festina.loop.state import fold
from festina.release.refs import LINE, RELEASED
from festina.system import home as homes
from festina.system.repo import Repo
from tests.loop import commandline
from tests.loop.commandline import festina
from tests.loop.invariants import check, read
from tests.loop.paper import PaperLoop, digest, oid
from tests.toy import Toy, make_toy

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
    assert festina("rollback", toy=system).returncode == 0
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
