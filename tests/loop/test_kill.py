"""Kill the engine at every labelled step and at random moments: the next one goes on as if nothing had been."""

from __future__ import annotations

import os
import random
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from festina.loop import crash
from tests import preloaded
from tests.loop.invariants import check, no_orphans, read
from tests.toy import Toy, make_toy

ELSEWHERE = ("model-", "growth-", "training-")  # tests/loop/test_models.py, test_growth.py, test_training.py
CALLS = tuple(label for label in crash.CRASH_POINTS if label.startswith(ELSEWHERE))
STEPS = tuple(label for label in crash.CRASH_POINTS if label not in CALLS)
CHAINS = {  # each of its labels kills the engine that went on after the one before
    "alone": (
        "run-started", "start-intent", "measure-started", "test-opened", "line-moved-unrecorded", "public-unrecorded",
        "control-started", "control-unrecorded",
    ),
    "side by side": (
        "proposal-requested", "proposal-received", "batch-started", "batch-unrecorded", "verdict-unrecorded",
        "accepted",
    ),
    "archive": ("try-started", "try-unrecorded"), "plants": ("plant-unrevealed",), "parts": ("attribution-unrecorded",),
}  # fmt: skip
KILLS = int(os.environ.get("FESTINA_TEST_KILLS", "20"))  # at random moments
SHARE = "\nattribution = { share = 4.0 }"


def engine(toy: Toy, *extra: str) -> subprocess.Popen[bytes]:
    environment = os.environ | toy.environment
    argv = [sys.executable, "-m", "festina", "run", "-C", str(toy.root), "--budget", "300s", "--proposals", "2", *extra]
    return subprocess.Popen(
        argv, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, stdin=subprocess.DEVNULL
    )


def worthless(base: Path) -> Path:
    """A person's change that does nothing and fits every version."""
    path = base / "worthless.patch"
    path.write_text(
        "diff --git a/notes2.txt b/notes2.txt\nnew file mode 100644\n--- /dev/null\n+++ b/notes2.txt\n"
        "@@ -0,0 +1 @@\n+x\n"
    )
    return path


def until_a_batch_runs(toy: Toy) -> None:
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline:
        time.sleep(0.1)
        try:
            _, records = read(toy.root)
        except Exception:  # noqa: BLE001 - no ledger yet
            continue
        if any(record.kind == "batch-started" for record in records):
            return


def finish(process: subprocess.Popen[bytes], timeout: float = 240) -> int:
    _, errors = process.communicate(timeout=timeout)
    assert process.returncode in (0, 4, 5), errors.decode(errors="replace")[-2000:]
    return process.returncode


def test_every_crash_point_is_tested() -> None:
    source = Path(crash.__file__).parent
    labels = {
        label
        for path in source.glob("*.py")
        for label in re.findall(r'crash_point\("([a-z-]+)"\)', path.read_text())
    }
    assert labels == set(crash.CRASH_POINTS)
    assert sorted(label for chain in CHAINS.values() for label in chain) == sorted(STEPS)


@pytest.mark.slow
@pytest.mark.parametrize("chain", CHAINS)
def test_D1_a_kill_at_any_step_changes_nothing(tmp_path: Path, chain: str) -> None:
    plants, parts = chain == "plants", chain == "parts"  # taking apart: more trials than all the rest
    policy = f"control_share = 0.3\nplant_rate = {0.5 if plants else 0.0}{SHARE if parts else ''}"
    step = "0.1 * (6 - 5 * len(tried))" if plants else "0.6 if not tried else -0.5"  # two real changes, and a plant
    archive = "archive = { tries = 2, seeds = 2, workers = 2 }" if chain == "archive" else ""  # P-7
    toy = make_toy(tmp_path, step=step, public=20, notes=parts, policy=policy, improver=archive)
    beside = ("--at-once", "2", "--with", str(worthless(tmp_path))) if chain == "side by side" else ()
    line = ["run", "-C", str(toy.root), "--budget", "300s", "--proposals", "40" if plants else "2", *beside]
    environment = os.environ | toy.environment
    for label in CHAINS[chain]:
        killed = preloaded.command(line, environment=environment | {"FESTINA_CRASH_AT": label})
        assert killed.returncode == -signal.SIGKILL, f"{label} was never reached: {killed.stderr[-1500:]}"
        no_orphans(str(tmp_path))
        at_kill = check(toy.root, settled=False)
        assert len(at_kill.open) == 2 or not (beside and label.startswith("batch"))
    done = preloaded.command([*line[:5], "--proposals", "2", *beside], environment=environment)
    assert done.returncode in (0, 4, 5), done.stderr[-2000:]
    state = check(toy.root, settled=True)
    assert next(p.word for p in state.proposals.values() if p.improver == "own") == "accepted"
    assert state.head.number == 1


@pytest.mark.slow
@pytest.mark.timeout(1500)
def test_D1_E1_random_kills_lose_and_double_nothing(tmp_path: Path) -> None:
    """Each engine has loaded the package before it begins, so that most kills meet one that works."""
    toy = make_toy(tmp_path, step="0.12 if len(tried) % 2 else -0.1", detect=0.1,
                   policy="control_share = 0.2\nplant_rate = 0.2")  # fmt: skip
    moments = random.Random(20260101)
    began, first = time.monotonic(), engine(toy, "--proposals", "100000")
    until_a_batch_runs(toy)
    first.kill()
    first.communicate()
    latest = max(2.5, 0.6 * (time.monotonic() - began))  # a busy host needs longer until there is something to lose
    for kills in range(1, KILLS + 1):
        argv = ["run", "-C", str(toy.root), "--budget", "300s", "--proposals", "100000", "--at-once"]
        argv.append(str(moments.choice([1, 1, 2, 3])))
        try:
            done = preloaded.command(
                argv, environment=os.environ | toy.environment, timeout=moments.uniform(0.05, latest)
            )
            raise AssertionError(f"it ended by itself: {done.stderr[-1500:]}")
        except subprocess.TimeoutExpired:
            pass  # and was killed
        if kills % 10 == 0:
            no_orphans(str(tmp_path))
            check(toy.root, settled=False)
    finish(engine(toy, "--proposals", "1"))
    state = check(toy.root, settled=True)
    no_orphans(str(tmp_path))
    assert state.runs > 10


def test_interrupt_stops_cleanly_and_resumes(tmp_path: Path) -> None:
    toy = make_toy(tmp_path, step="0.6")
    process = engine(toy, "--at-once", "2")
    until_a_batch_runs(toy)
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=200)
    assert process.returncode == 130
    no_orphans(str(tmp_path))
    state, _ = read(toy.root)
    assert state.last_end is not None
    assert state.last_end.reason == "interrupted"
    finish(engine(toy))
    check(toy.root, settled=True)


def test_two_engines_on_one_ledger_the_second_refuses(tmp_path: Path) -> None:
    toy = make_toy(tmp_path)
    first = engine(toy)
    until_a_batch_runs(toy)
    second = engine(toy)
    _, errors = second.communicate(timeout=120)
    assert second.returncode == 2
    assert b"engine-already-running" in errors
    first.send_signal(signal.SIGINT)
    first.communicate(timeout=200)
