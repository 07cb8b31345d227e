"""`festina halt`: everything of a system dies within a second, and only a signed resume ends it.  # G-5, D-5"""

from __future__ import annotations

import errno
import itertools
import json
import os
import queue
import signal
import subprocess
import sys
import time
from base64 import b64encode
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from festina.cli.common import opened
from festina.cli.status import _halts
from festina.errors import Halted, IntegrityError, UsageError
from festina.govern import stopping
from festina.ledger import entries as e
from festina.ledger.log import Draft, Ledger, verify
from festina.ledger.signing import LocalKey
from festina.loop import acts, holds
from festina.loop import next as plan
from festina.loop.state import fold
from festina.notify import outbox
from festina.review.desk import reviewer_key
from festina.system import halts
from festina.system import home as homes
from festina.system.home import Home
from festina.system.repo import Repo
from tests.loop.commandline import festina
from tests.loop.invariants import check, no_orphans, read
from tests.loop.paper import PaperLoop, digest
from tests.loop.test_kill import engine, finish
from tests.toy import Toy, make_toy

# Works for a home and leaves children of every kind; says their pids, then hangs without hearing any signal.
BUSY = """
import os, signal, subprocess, sys, time
from pathlib import Path
from festina.system.halts import at_work, watched
sleep = [sys.executable, "-c", "import time; time.sleep(60)"]
double = "import os, time; os.setsid(); p = os.fork(); p or time.sleep(60); print(p, flush=True); time.sleep(60)"
with at_work(Path(sys.argv[1])):
    plain = subprocess.Popen(sleep)
    session = subprocess.Popen(sleep, start_new_session=True)
    deep = subprocess.Popen([sys.executable, "-c", double], stdout=subprocess.PIPE, text=True)
    inner = deep.stdout.readline().strip()
    os.kill(plain.pid, signal.SIGSTOP)
    print(plain.pid, session.pid, deep.pid, inner, flush=True)
    signal.pthread_sigmask(signal.SIG_BLOCK, set(signal.Signals))
    time.sleep(60)
"""


@pytest.fixture
def busy(tmp_path: Path) -> Iterator[tuple[subprocess.Popen[str], list[int]]]:
    process = subprocess.Popen([sys.executable, "-c", BUSY, str(tmp_path)], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    pids = [process.pid, *map(int, process.stdout.readline().split())]
    assert len(pids) == 5
    yield process, pids
    for pid in pids:
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    process.wait()
    process.stdout.close()


def alive(pids: list[int]) -> list[int]:
    return [pid for pid in pids if halts.started(pid) is not None]


def test_G5_a_whole_tree_dies_whatever_its_processes_did(busy, tmp_path: Path) -> None:
    process, pids = busy
    done = stopping.stop_all(tmp_path, by="ann", reason="enough")
    assert alive(pids) == []
    assert done.processes == 5
    assert done.left == ()
    assert done.took_s < stopping.DEADLINE_S
    assert process.wait() == -signal.SIGKILL


def test_G5_a_signal_to_the_engine_alone_leaves_the_rest_alive(busy, tmp_path: Path) -> None:  # positive control
    process, pids = busy
    process.kill()
    process.wait()
    assert alive(pids) == pids[1:]


def test_G5_a_stopped_process_dies_as_well(busy, tmp_path: Path) -> None:
    process, pids = busy
    process.send_signal(signal.SIGSTOP)
    assert stopping.stop_all(tmp_path, by="ann", reason="").left == ()
    assert alive(pids) == []


def test_G5_a_halt_touches_nobody_elses_processes(busy, tmp_path: Path) -> None:
    _, pids = busy
    other = tmp_path / "other-home"
    other.mkdir()
    assert stopping.stop_all(other, by="ann", reason="").processes == 0
    assert alive(pids) == pids


def test_G5_a_number_used_again_is_not_hit(busy, tmp_path: Path) -> None:
    _, pids = busy
    for path in (tmp_path / "running").iterdir():
        pid, began, count = path.name.split("-")
        path.rename(path.with_name(f"{pid}-{int(began) - 1}-{count}"))  # as a dead process with the same number
    assert stopping.stop_all(tmp_path, by="ann", reason="").processes == 0
    assert alive(pids) == pids


def test_G5_a_process_that_may_not_be_signalled_ends_by_the_marker(tmp_path: Path) -> None:
    script = (
        "import sys, time\nfrom pathlib import Path\nfrom festina.govern.stopping import leave\n"
        "from festina.system.halts import watched\n"
        "with watched(Path(sys.argv[1]), frozenset(['0' * 16]), leave):\n print('up', flush=True)\n time.sleep(60)"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", script, str(tmp_path)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    process.stdout.readline()
    halts.file_halt(tmp_path, by="ann", reason="smoke")  # and its command dies right here
    _, said = process.communicate(timeout=60)
    assert process.returncode == 7
    assert "halted by ann" in said
    assert "smoke" in said
    assert "festina unhalt" in said


@settings(max_examples=50)
@given(st.text(), st.text())
def test_T5_G5_any_words_make_a_halt_and_a_harmless_line(by: str, reason: str) -> None:
    import tempfile

    with tempfile.TemporaryDirectory() as folder:
        halt = halts.file_halt(Path(folder), by=by, reason=reason)
        assert halts.found(Path(folder)) == [halt]
    assert halt.sentence().isprintable()
    assert len(halt.reason) <= halts.MAX_TEXT
    e.Halted(halt=halt.id, by=halt.by, since=halt.at, reason=halt.reason)


def test_G5_two_halts_at_once_both_stand(tmp_path: Path) -> None:
    first = halts.file_halt(tmp_path, by="ann", reason="one")
    second = halts.file_halt(tmp_path, by="bob", reason="two")
    assert {each.id for each in halts.found(tmp_path)} == {first.id, second.id}
    assert halts.found(tmp_path, frozenset({first.id})) == [second]
    halts.clear(tmp_path, frozenset({first.id}))
    assert halts.found(tmp_path) == [second]


@pytest.mark.parametrize("content", ["", "{", "[]", '{"id": "x"}', json.dumps({"id": "f" * 16})])
def test_T6_G5_a_marker_that_cannot_be_read_is_a_halt(tmp_path: Path, content: str) -> None:
    (tmp_path / "halts").mkdir()
    (tmp_path / "halts" / "0123456789abcdef.json").write_text(content)
    assert "cannot be read" in halts.found(tmp_path)[0].sentence()


def test_T6_G5_where_markers_cannot_be_looked_for_nothing_goes_on(tmp_path: Path) -> None:
    (tmp_path / "halts").write_text("not a folder")
    with pytest.raises(UsageError, match="cannot be seen"):
        halts.found(tmp_path)
    seen: queue.Queue[halts.Halt] = queue.Queue()
    with halts.watched(tmp_path, frozenset(), seen.put):
        assert "cannot be seen" in seen.get(timeout=60).reason


def test_G5_a_moment_without_a_free_handle_ends_no_watch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    looks = itertools.count()
    real = halts.found

    def found(home: Path, ended: Any = frozenset()) -> list[halts.Halt]:
        if next(looks) == 0:
            raise OSError(errno.EMFILE, "too many open files")
        return real(home, ended)

    monkeypatch.setattr(halts, "found", found)
    seen: queue.Queue[halts.Halt] = queue.Queue()
    with halts.watched(tmp_path, frozenset(), seen.put):
        halt = halts.file_halt(tmp_path, by="ann", reason="smoke")
        assert seen.get(timeout=60) == halt
    assert next(looks) >= 2


def test_G5_a_full_disk_prevents_no_halt(busy, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object, **__: object) -> int:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(Path, "write_text", full)
    done = stopping.stop_all(tmp_path, by="ann", reason="enough")
    assert alive(busy[1]) == []
    assert [each.id for each in halts.found(tmp_path)] == [done.halt.id]


def test_G5_what_cannot_be_filed_is_killed_all_the_same_and_told(busy, tmp_path: Path) -> None:
    (tmp_path / "halts").write_text("not a folder")
    with pytest.raises(UsageError, match="NOTHING keeps the system from starting"):
        stopping.stop_all(tmp_path, by="ann", reason="enough")
    assert alive(busy[1]) == []


# -- the ledger's side


def halted(number: int = 1, reason: str = "smoke") -> e.Halted:
    return e.Halted(halt=f"{number:016x}", by="ann", since="2026-01-01T00:00:00+00:00", reason=reason)


def resumed(*numbers: int, reviewer: str = "zoe", demo: bool = False) -> e.Resumed:
    return e.Resumed(
        halts=tuple(f"{n:016x}" for n in numbers), reviewer=reviewer, reason=digest(1), without_person=demo
    )


def test_G5_G6_while_a_halt_stands_the_only_step_is_to_stop() -> None:
    loop = PaperLoop(1)
    loop.begin()
    assert not isinstance(plan.next_action(loop.state, plan.Facts(0.0)), plan.Finish)
    loop.put(halted())
    action = plan.next_action(loop.state, plan.Facts(0.0, plant_due=1))
    assert isinstance(action, plan.Finish)
    assert action.reason == "halted"
    assert "ann" in action.detail
    assert "smoke" in action.detail


def test_G5_only_an_enrolled_persons_signature_ends_a_halt() -> None:
    loop = PaperLoop(1)
    loop.begin()
    loop.put(halted(1), resumed(1))
    assert list(loop.state.halts.standing) == [f"{1:016x}"]  # nobody is enrolled
    loop.put(e.ReviewerEnrolled(reviewer="toy", key="x", demo=True), resumed(1, reviewer="toy", demo=True))
    assert loop.state.halts.standing  # a demo's key, outside a demo
    loop.put(e.ReviewerEnrolled(reviewer="zoe", key="y", demo=False), halted(2), resumed(1))
    assert list(loop.state.halts.standing) == [f"{2:016x}"]  # one that it does not name stays
    loop.put(resumed(1, 2, 7))
    assert not loop.state.halts.standing
    assert [each.resumed.reviewer for each in loop.state.halts.history] == ["zoe", "zoe"]


def test_G5_a_run_that_begins_under_a_halt_does_not_fit() -> None:
    loop = PaperLoop(1)
    loop.begin()
    started = next(r.body for r in loop.records if r.kind == "run-started")
    loop.put(halted())
    with pytest.raises(IntegrityError, match="while a halt stood"):
        loop.put(started)


# -- real runs


def wait_for(toy: Toy, kind: str, within_s: float = 180.0) -> None:
    deadline = time.monotonic() + within_s
    while time.monotonic() < deadline:
        with suppress(Exception):  # no ledger yet
            if any(r.kind == kind for r in read(toy.root)[1]):
                return
        time.sleep(0.3)
    raise AssertionError(f"no entry {kind}")


def test_G5_D5_a_halted_run_is_dead_refused_resumed_and_loses_nothing(tmp_path: Path) -> None:
    toy = make_toy(tmp_path, step="0.3")
    process = engine(toy, "--proposals", "50")
    wait_for(toy, "batch-started")
    done = festina("halt", "--reason", "smoke \x1b[31m", toy=toy)
    assert done.returncode == 0, done.stderr
    no_orphans(str(tmp_path), within_s=0.0)
    _told_of_everything(toy)
    process.communicate(timeout=60)
    assert process.returncode in (7, -signal.SIGKILL)

    state = check(toy.root, settled=False)
    assert state.run is None
    assert state.last_end is not None
    assert state.last_end.reason == "halted"
    home = homes.require(Repo.discover(toy.root))
    for path in (home.path / "halts").iterdir():
        path.unlink()  # the record has it, whoever deletes the marker
    refused = festina("run", "--budget", "60s", toy=toy)
    assert refused.returncode == 7
    assert "because: smoke <U+001B>[31m" in refused.stderr
    assert "festina unhalt" in refused.stderr
    with opened(toy.root, write=True) as here:
        assert "HALTED: halted by" in _halts(here)[0]
        with pytest.raises(Halted):
            holds.require_free(here.ledger, here.state, here.home)
        with pytest.raises(UsageError, match="may not decide here"):
            acts.resume(here.ledger, here.state, here.home, "ann", "the smoke was steam")
        acts.enrol(here.ledger, here.state, here.home, "ann")
    over = festina("unhalt", "--as", "ann", "--reason", "the smoke was steam", toy=toy)
    assert over.returncode == 0, over.stderr
    finish(engine(toy, "--proposals", "1"))
    check(toy.root, settled=True)
    told = [letter.message.title for letter in outbox.letters(home.path)]
    assert told[0] == "A halt was ended"
    assert "The run has ended (finished)" in told
    for letter in outbox.letters(home.path):
        letter.remove(home.path)  # its courier leaves


def _told_of_everything(toy: Toy) -> None:
    """Notifications to an endpoint that is not there: they are kept, and cost the run nothing."""
    found = homes.find(Repo.discover(toy.root))
    assert found is not None
    (found.path / "notify.toml").write_text('[[webhook]]\nurl = "http://127.0.0.1:1"\n')


def test_G5_halts_are_recorded_once_also_those_whose_command_died(tmp_path: Path) -> None:
    home = Home(tmp_path / "homes" / "toy-00000000")
    home.create()
    engine_key, verifier_key = (LocalKey.create(home.key(role), role) for role in ("engine", "verifier"))
    genesis = e.Genesis(
        origin="festina.local/toy-00000000", system="toy", engine_key=b64encode(engine_key.public).decode(),
        verifier_key=b64encode(verifier_key.public).decode(), alpha=0.05, demo=False, version="0", schema_number=1,
    )  # fmt: skip
    Ledger.create(home.ledger, genesis, signers={"engine": engine_key}).close()
    assert holds.halt(home, by="ann", reason="one").recorded
    halts.file_halt(home.path, by="bob", reason="two")  # a command that died between effect and record
    with Ledger.open(home.ledger, signers={"engine": engine_key}) as ledger:
        state = fold(ledger.records())
        assert len(holds.standing(home, state)) == 2
        with pytest.raises(Halted, match="1 more"):
            holds.require_free(ledger, state, home)
        assert [b.reason for b in state.halts.standing.values()] == ["one", "two"]
        acts.enrol(ledger, state, home, "ann")
        third = halts.file_halt(home.path, by="eve", reason="while it is being ended")
        acts.resume(ledger, state, home, "ann", "looked at both of them")
        assert [each.id for each in holds.standing(home, state)] == [third.id]
        forged = resumed(1, reviewer="bob")
        with pytest.raises(UsageError, match="in the name of bob"):
            ledger.append([Draft(forged, signer=reviewer_key("ann"))])
    assert verify(home.ledger).ok


def test_G5_without_the_engines_key_the_marker_alone_halts(tmp_path: Path) -> None:
    home = Home(tmp_path / "homes" / "toy-00000000")
    home.create()
    assert not holds.halt(home, by="ann", reason="").recorded
    with pytest.raises(Halted), holds.guarded(home):
        pass
