"""Real processes: killed while appending, appending at once, without disk, without permission."""

from __future__ import annotations

import os
import random
import resource
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner

from festina.cli.ledger import group
from festina.errors import Fault, FestinaError, UsageError
from festina.ledger.audit import verify
from festina.ledger.entries import FaultRecorded
from festina.ledger.log import Draft, Ledger
from festina.ledger.signing import LocalKey
from tests.ledger.support import ENTRIES, Keys, decided, digest, fault, genesis, make_keys

WRITER = """
import sys
from pathlib import Path
from festina.ledger.entries import FaultRecorded
from festina.ledger.log import Draft, Ledger
from festina.ledger.signing import LocalKey
path, keys = Path(sys.argv[1]), Path(sys.argv[2])
name, count, durable = sys.argv[3], int(sys.argv[4]), sys.argv[5] == "1"
signers = {role: LocalKey.load(keys / f"{role}.pem", role) for role in ("engine", "verifier")}
ledger = Ledger.open(path, signers=signers)
for n in range(count):
    data = f"{name}.{n}".encode() * 500
    pair = [Draft(FaultRecorded(what=f"{name}.{n}.{part}", detail=None), blobs=(data,)) for part in "ab"]
    last = ledger.append(pair, durable=durable)[-1]
    print(last.seq, flush=True)
ledger.close()
"""


def writer(path: Path, keys: Path, name: str, count: int, *, durable: bool = True) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", WRITER, str(path), str(keys), name, str(count), str(int(durable))],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip


@pytest.fixture
def fresh(tmp_path: Path) -> tuple[Path, Path, Keys]:
    keys = make_keys(tmp_path / "keys")
    path = tmp_path / "ledger.db"
    Ledger.create(path, genesis(keys), signers=keys.own).close()
    return path, tmp_path / "keys", keys


def names(path: Path) -> list[str]:
    with Ledger.open(path) as ledger:
        return [r.body.what for r in ledger.records() if isinstance(r.body, FaultRecorded)]


def kill_and_check(path: Path, keys: Path, rounds: int, seed: int, *, durable: bool) -> int:
    """Kill a writer ``rounds`` times at random; return how many entries there are in the end."""
    coins, before = random.Random(seed), 1
    for turn in range(rounds):
        process = writer(path, keys, f"w{turn}", 100_000, durable=durable)
        assert process.stdout is not None
        acknowledged = int(process.stdout.readline())  # it appends from here on
        time.sleep(coins.random() * 0.15)
        process.send_signal(signal.SIGKILL)
        rest = [line for line in process.communicate()[0].splitlines(keepends=True) if line.endswith("\n")]
        acknowledged = int(rest[-1]) if rest else acknowledged
        report = verify(path)
        assert report.ok, report.first_bad
        assert report.covered == report.entries  # entries and their checkpoint came together
        assert report.entries >= acknowledged + 1 > before  # nothing that was acknowledged is lost
        assert report.entries % 2 == 1  # pairs came together
        if durable:  # what was acknowledged is in the one file, without the log beside it
            alone = path.with_name("alone.db")
            alone.write_bytes(path.read_bytes())
            assert verify(alone).entries >= acknowledged + 1 or not verify(alone).ok
        before = report.entries
    return before


def test_L2_D1_kill_9_while_appending_tears_nothing(fresh: tuple[Path, Path, Keys]):
    path, keys, _ = fresh
    total = kill_and_check(path, keys, 4, seed=1, durable=True)
    assert len(names(path)) == total - 1


def test_L2_kill_9_while_appending_in_bulk_tears_nothing(fresh: tuple[Path, Path, Keys]):
    path, keys, _ = fresh
    kill_and_check(path, keys, 2, seed=2, durable=False)


@pytest.mark.slow
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("durable", [True, False])
def test_L2_D1_kill_9_twenty_times(fresh: tuple[Path, Path, Keys], durable: bool):
    path, keys, _ = fresh
    kill_and_check(path, keys, 10, seed=3, durable=durable)


def test_L1_two_processes_append_at_once_in_one_order(fresh: tuple[Path, Path, Keys]):
    path, keys, _ = fresh
    both = [writer(path, keys, name, 40) for name in ("p", "q")]
    for process in both:
        out, err = process.communicate(timeout=120)
        assert process.returncode == 0, err
        seqs = [int(line) for line in out.split()]
        assert seqs == sorted(seqs)
    report = verify(path)
    assert (report.ok, report.entries) == (True, 1 + 2 * 2 * 40)
    found = names(path)
    for name in ("p", "q"):
        assert [n for n in found if n.startswith(name)] == [f"{name}.{n}.{part}" for n in range(40) for part in "ab"]
    assert all(found[n][:-1] == found[n + 1][:-1] for n in range(0, len(found), 2))  # pairs stay together
    assert found != sorted(found)  # positive control: they really ran at once


def test_L1_reading_while_another_process_appends(fresh: tuple[Path, Path, Keys]):
    path, keys, _ = fresh
    process = writer(path, keys, "w", 60)
    sizes = []
    with Ledger.open(path, readonly=True) as ledger:
        while process.poll() is None:
            ledger.refresh()
            sizes.append(ledger.size)
            assert verify(path).ok
        assert process.communicate()[1] == ""
        ledger.refresh()
        assert ledger.size == 121
    assert sizes == sorted(sizes)


# -- without disk or permission


def in_child(act: Callable[[], None]) -> int:
    """Run ``act`` in a forked process; 0 when it returns, 1 when it fails, with its words on stderr."""
    pid = os.fork()
    if pid == 0:
        code = 1
        try:
            act()
            code = 0
        except (FestinaError, AssertionError, OSError) as error:
            os.write(2, f"{type(error).__name__}: {error}\n".encode())
        finally:
            os._exit(code)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def test_T6_a_file_size_limit_is_a_fault_and_loses_nothing(ledger_file: Path, keys: Keys):
    def act() -> None:
        with Ledger.open(ledger_file, signers=keys.own) as ledger:
            resource.setrlimit(resource.RLIMIT_FSIZE, (120_000, resource.RLIM_INFINITY))
            with pytest.raises(Fault):
                ledger.append([Draft(fault(), blobs=(os.urandom(300_000),))])
            assert ledger.size == ENTRIES
            resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
            assert ledger.append([Draft(fault("after"))])[0].seq == ENTRIES

    assert in_child(act) == 0
    assert verify(ledger_file).ok
    assert verify(ledger_file).entries == ENTRIES + 1


@pytest.mark.skipif(os.geteuid() != 0, reason="mounting a file system of one megabyte needs root")
def test_T6_a_full_disk_is_a_fault_and_loses_nothing(tmp_path: Path, pristine: Path, keys: Keys):
    disk = tmp_path / "disk"
    disk.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "none", str(disk)], capture_output=True)
    if mounted.returncode:
        pytest.skip("this machine does not let root mount")
    try:
        path = Path(shutil.copyfile(pristine, disk / "ledger.db"))
        with Ledger.open(path, signers=keys.own) as ledger:
            name = ""
            for _ in range(100):
                try:
                    ledger.append([Draft(fault(), blobs=(os.urandom(20_000),))])
                except Fault as error:
                    name = error.name
                    break
            assert name in ("disk-full", "ledger-io")
            written = ledger.size - ENTRIES
            assert 0 < written < 50
            assert ledger.checkpoint().split("\n")[1] == str(ledger.size)
        report = verify(path)
        assert (report.ok, report.entries) == (True, ENTRIES + written), report.first_bad
        with pytest.raises(FestinaError):
            Ledger.create(disk / "other.db", genesis(keys), signers=keys.own)
        assert [p.name for p in disk.glob("*other*")] == []
    finally:
        subprocess.run(["umount", "-l", str(disk)], check=True)


NOBODY = 65_534
needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can become somebody who lacks a permission")


@pytest.fixture
def archive() -> Iterator[Path]:
    """A directory that everybody can reach (pytest's own belong to one user)."""
    with tempfile.TemporaryDirectory() as directory:
        os.chmod(directory, 0o755)
        yield Path(directory)


@needs_root
def test_an_unreadable_ledger_is_a_usage_error(archive: Path, pristine: Path):
    path = Path(shutil.copyfile(pristine, archive / "ledger.db"))

    def act() -> None:
        os.setuid(NOBODY)
        assert verify(path).ok  # positive control: with permission it can be read from here

    def denied() -> None:
        os.setuid(NOBODY)
        for call in (verify, Ledger.open):
            with pytest.raises(UsageError) as caught:
                call(path)
            assert caught.value.name == "ledger-unreadable"
        assert CliRunner().invoke(group, ["verify", str(path)]).exit_code == 2

    os.chmod(path, 0o644)
    assert in_child(act) == 0
    os.chmod(path, 0o600)
    assert in_child(denied) == 0


@needs_root
@pytest.mark.parametrize("with_log", [False, True])
def test_L1_a_ledger_in_a_directory_that_cannot_be_written_is_read_and_checked(
    ledger_file: Path, archive: Path, keys: Keys, with_log: bool
):
    path = archive / "ledger.db"
    if with_log:  # as a killed writer leaves it: the newest entry is only in the log
        with Ledger.open(ledger_file, signers=keys.own) as ledger:
            ledger.append([Draft(fault())], durable=False)
            for tail in ("", "-wal"):
                shutil.copyfile(f"{ledger_file}{tail}", f"{path}{tail}")
    else:
        shutil.copyfile(ledger_file, path)
    size = ENTRIES + with_log

    def act() -> None:
        os.setuid(NOBODY)
        assert not os.access(archive, os.W_OK)
        assert verify(path).entries == size
        with Ledger.open(path, readonly=True) as ledger:
            assert len([r.body for r in ledger.records()]) == size
        with pytest.raises(UsageError), Ledger.open(path, signers=keys.own) as ledger:
            ledger.append([Draft(fault())])

    for file in archive.iterdir():
        os.chmod(file, 0o644)
    before = sorted(p.name for p in archive.iterdir())
    assert in_child(act) == 0
    assert sorted(p.name for p in archive.iterdir()) == before


def test_T1_a_reviewers_process_appends_without_the_engines_key(fresh: tuple[Path, Path, Keys]):
    path, keys_at, keys = fresh
    from tests.ledger.support import enrolled

    with Ledger.open(path, signers=keys.own) as engine:
        engine.append([Draft(enrolled(keys.reviewer))])
        with Ledger.open(path, signers={"reviewer": LocalKey.load(keys_at / "reviewer.pem", "reviewer")}) as person:
            person.append([Draft(decided(), blobs=(b"sound",))])
            assert (person.size, person.covered) == (3, 2)
        assert [r.kind for r in engine.refresh()] == ["review-decided"]
        engine.append([Draft(fault())])
        assert engine.covered == 4
        assert engine.get_blob(digest(b"sound")) == b"sound"
    assert verify(path).ok


def test_a_writer_that_holds_the_lock_too_long_is_named(ledger_file: Path, keys: Keys, monkeypatch: pytest.MonkeyPatch):
    import sqlite3

    from festina.errors import Busy
    from festina.ledger import store

    monkeypatch.setattr(store, "BUSY_S", 0.1)
    holder = sqlite3.connect(ledger_file, isolation_level=None)
    holder.execute("BEGIN IMMEDIATE")
    with Ledger.open(ledger_file, signers=keys.own) as ledger:
        with pytest.raises(Busy) as caught:
            ledger.append([Draft(fault())])
        assert caught.value.name == "ledger-busy"
        holder.execute("ROLLBACK")
        ledger.append([Draft(fault())])
    holder.close()
