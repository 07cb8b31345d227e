"""References move by compare-and-swap, leave a log, and survive a killed git.  # D-1"""

from __future__ import annotations

import multiprocessing
import os
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from festina.errors import Fault, IntegrityError
from festina.system.repo import Repo
from tests.system.conftest import ENV

LINE = "refs/festina/line"


@pytest.fixture
def commits(repo: Repo, tree: str) -> list[str]:
    return [repo.commit(tree, [], f"{number}\n", at="2026-01-02T03:04:05Z") for number in range(4)]


def test_D1_a_move_needs_the_right_old_value(repo: Repo, commits: list[str]) -> None:
    assert repo.ref(LINE) is None
    with pytest.raises(IntegrityError, match="nothing"):
        repo.cas_ref(LINE, commits[1], commits[0])
    repo.cas_ref(LINE, commits[0], None)
    for old in (None, commits[2]):
        with pytest.raises(IntegrityError) as caught:
            repo.cas_ref(LINE, commits[1], old)
        assert caught.value.name == "ref-moved"
    assert repo.ref(LINE) == commits[0]
    repo.cas_ref(LINE, commits[1], commits[0])
    assert repo.ref(LINE) == commits[1]


def test_D1_every_move_is_in_the_log(repo: Repo, commits: list[str], user_git: Callable[..., bytes]) -> None:
    user_git("config", "core.logAllRefUpdates", "false")
    repo.cas_ref(LINE, commits[0], None)
    repo.cas_ref(LINE, commits[1], commits[0])
    log = user_git("reflog", "show", "--format=%H %gs", LINE).decode().splitlines()
    assert log == [f"{commits[1]} festina", f"{commits[0]} festina"]


@pytest.mark.parametrize(
    "name", ["HEAD", "refs/", "--stdin", "refs/../x", "refs/a.lock", "refs/a b", "refs/x.", "refs/a//b", "refs/.a"]
)
def test_only_full_reference_names_are_taken(repo: Repo, commits: list[str], name: str) -> None:
    with pytest.raises(ValueError, match="reference name"):
        repo.cas_ref(name, commits[0], None)


def test_a_name_is_never_guessed(repo: Repo, commits: list[str], user_git: Callable[..., bytes]) -> None:
    user_git("update-ref", "refs/heads/refs/festina/line", commits[0])
    user_git("update-ref", "refs/festina/line/below", commits[0])
    assert repo.ref(LINE) is None


def test_D1_a_symbolic_reference_is_replaced_and_not_followed(
    repo: Repo, commits: list[str], user_git: Callable[..., bytes]
) -> None:
    head = repo.head()
    user_git("symbolic-ref", LINE, "refs/heads/main")
    repo.cas_ref(LINE, commits[0], head)
    assert repo.head() == head, "the user's branch moved"


def _mover(root: Path, new: str, old: str, barrier: object, wins: object) -> None:
    with Repo(root) as repo:
        barrier.wait()
        try:
            repo.cas_ref(LINE, new, old)
        except IntegrityError:
            return
        wins.put(new)


def test_D1_of_two_processes_one_wins(repo: Repo, root: Path, commits: list[str]) -> None:
    context = multiprocessing.get_context("spawn")
    repo.cas_ref(LINE, commits[0], None)
    barrier, wins = context.Barrier(2), context.SimpleQueue()
    movers = [context.Process(target=_mover, args=(root, new, commits[0], barrier, wins)) for new in commits[1:3]]
    for mover in movers:
        mover.start()
    for mover in movers:
        mover.join(60)
        assert mover.exitcode == 0
    winner = wins.get()
    assert wins.empty()
    assert repo.ref(LINE) == winner


@pytest.fixture
def held_lock(root: Path, repo: Repo, commits: list[str]) -> subprocess.Popen[bytes]:
    """A real git in the middle of moving the line: it has the lock and waits for the word to commit."""
    repo.cas_ref(LINE, commits[0], None)
    process = subprocess.Popen(
        ["git", "update-ref", "--stdin"], cwd=root, env=ENV, stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    process.stdin.write(f"start\nupdate {LINE} {commits[1]} {commits[0]}\nprepare\n".encode())
    process.stdin.flush()
    assert process.stdout.readline() == b"start: ok\n"
    assert process.stdout.readline() == b"prepare: ok\n"
    yield process
    process.kill()
    process.wait()
    process.stdin.close()
    process.stdout.close()


def test_D1_a_killed_gits_lock_is_swept(
    repo: Repo, root: Path, commits: list[str], held_lock: subprocess.Popen[bytes]
) -> None:
    lock = root / ".git" / f"{LINE}.lock"
    os.kill(held_lock.pid, signal.SIGKILL)
    held_lock.wait()
    assert lock.exists()
    with pytest.raises(Fault) as caught:  # control: without the sweep nothing moves any more
        repo.cas_ref(LINE, commits[2], commits[0])
    assert caught.value.name == "ref-not-moved"
    assert repo.sweep_stale_locks(before=time.time()) == [lock]
    repo.cas_ref(LINE, commits[2], commits[0])
    assert repo.sweep_stale_locks(before=time.time()) == []


def test_D1_a_living_gits_lock_is_left_alone(repo: Repo, root: Path, held_lock: subprocess.Popen[bytes]) -> None:
    assert repo.sweep_stale_locks(before=time.time()) == []
    assert (root / ".git" / f"{LINE}.lock").exists()


def test_D1_a_lock_younger_than_the_engine_is_left_alone(repo: Repo, root: Path) -> None:
    since = time.time() - 1
    lock = root / ".git/refs/festina/x.lock"
    lock.parent.mkdir(parents=True)
    lock.write_text("")
    assert repo.sweep_stale_locks(before=since) == []
    assert repo.sweep_stale_locks(before=time.time() + 1) == [lock]


def test_a_broken_reference_is_not_taken_for_a_missing_one(repo: Repo, root: Path) -> None:
    path = root / ".git" / LINE
    path.parent.mkdir(parents=True)
    path.write_text("")  # what a power loss can leave
    with pytest.raises(IntegrityError) as caught:
        repo.ref(LINE)
    assert caught.value.name == "ref-broken"
