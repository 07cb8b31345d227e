"""Processes that wait for their trial: one each, under its limits, and nothing of them is left."""

from __future__ import annotations

import os
import signal
import tempfile
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from festina.sandbox.box import BubblewrapBox
from festina.sandbox.host import probe
from festina.sandbox.job import Ended, Job, Level, Limits
from festina.sandbox.spares import Spare
from festina.sandbox.supervise import GroupMeter
from festina.sandbox.warm import WarmBox
from tests.sandbox.groups import groups_of
from tests.waiting import until

PYTHON = "/usr/bin/python3"
SMALL = Limits(wall_s=20, cpu_s=10, memory_bytes=128 << 20, pids=32, output_bytes=4 << 20, tmp_bytes=8 << 20)
LARGE = replace(SMALL, memory_bytes=512 << 20, pids=64, tmp_bytes=64 << 20, output_bytes=32 << 20)
pytestmark = pytest.mark.skipif(probe().level < Level.L2, reason="no box on this host: see `festina doctor`")


@pytest.fixture
def warm() -> Iterator[WarmBox]:
    mechanisms = probe().mechanisms
    assert mechanisms is not None
    with tempfile.TemporaryDirectory(prefix="festina-test-") as name:
        box = WarmBox(BubblewrapBox(Path(name), mechanisms), (), python=PYTHON)
        box.start()
        yield box
        box.close()


def py(code: str, **job: object) -> Job:
    return Job((PYTHON, "-c", code), **job)  # type: ignore[arg-type]


def waiting(box: WarmBox) -> list[Spare]:
    assert box._outer is not None
    return box._outer.spares._waiting


BIRTHS = """
import os
def born(pid): return int(open(f"/proc/{pid}/stat").read().rpartition(")")[2].split()[19])
print(born(1), born(os.getpid()))
"""


def test_E4_each_trial_has_a_first_process_of_its_own_that_was_there_before_its_job(warm: WarmBox) -> None:
    births = []
    for _ in range(3):
        until(lambda: waiting(warm))
        time.sleep(0.3)
        births.append([int(word) for word in warm.run(py(BIRTHS), SMALL).stdout.split()])
    assert len({first for first, _ in births}) == 3
    tick = os.sysconf("SC_CLK_TCK")
    assert all(own - first >= 0.2 * tick for first, own in births)  # it waited while nothing ran


def test_E1_a_trial_is_under_its_own_limits_not_those_of_the_trial_before(warm: WarmBox) -> None:
    if probe().mechanisms.groups is None:  # type: ignore[union-attr]
        pytest.skip("no control group here")
    eat = "x = bytearray(300 << 20); print(len(x))"
    fill = "open('/tmp/f', 'wb').write(bytes(32 << 20)); open('/out/r', 'wb').write(bytes(16 << 20)); print(1)"
    threads = (
        "import threading, time\n"
        "all = [threading.Thread(target=time.sleep, args=(.3,)) for _ in range(40)]\n"
        "[t.start() for t in all]; print(len(all))"
    )
    for limits, ends in ((SMALL, False), (LARGE, True), (SMALL, False)):
        for code, other in ((eat, Ended.OOM), (threads, Ended.PIDS_LIMIT), (fill, Ended.NONZERO)):
            outcome = warm.run(py(code), limits)
            assert outcome.box == "warm"
            assert outcome.ended is (Ended.OK if ends else other), (code, limits, outcome)


def test_E2_a_memory_limit_that_does_not_hold_the_box_is_out_of_memory_and_not_ours(warm: WarmBox) -> None:
    if probe().mechanisms.groups is None:  # type: ignore[union-attr]
        pytest.skip("no control group here")
    for memory, ended in ((256 << 10, Ended.OOM), (64 << 20, Ended.OK), (256 << 10, Ended.OOM), (64 << 20, Ended.OK)):
        assert warm.run(py("print(1)"), replace(SMALL, memory_bytes=memory)).ended is ended


def test_E1_the_rate_of_one_trial_is_not_the_next_one_s(warm: WarmBox) -> None:
    groups = probe().mechanisms.groups  # type: ignore[union-attr]
    if groups is None or groups.quota is None:
        pytest.skip("no rate can be capped here")
    name = "cpu.cfs_quota_us" if groups.version == 1 else "cpu.max"
    seen = []
    for cpus in (0.5, None, None, 2.0, 0.5):
        assert warm.run(py("pass"), replace(SMALL, cpus=cpus)).ended is Ended.OK
        group = waiting(warm)[0].group
        assert group is not None
        assert group.quota is not None
        seen.append((group.quota / name).read_text().split()[0])
        group.limit(SMALL.memory_bytes, SMALL.pids + 1, 0.25)  # what a trial in between would have set
    assert seen == ["50000", seen[1], seen[1], "200000", "50000"]
    assert seen[1] in ("-1", "max")
    assert warm.run(py("pass"), replace(SMALL, cpus=None)).ended is Ended.OK


def test_E2_what_its_making_cost_is_not_charged_to_the_trial(warm: WarmBox, monkeypatch: pytest.MonkeyPatch) -> None:
    if probe().mechanisms.groups is None:  # type: ignore[union-attr]
        pytest.skip("no control group here")
    meters = []

    def noted(*words: Any) -> GroupMeter:
        meters.append(GroupMeter(*words))
        return meters[-1]

    monkeypatch.setattr("festina.sandbox.warm.GroupMeter", noted)
    warm.run(py("pass"), SMALL)
    until(lambda: waiting(warm))
    time.sleep(0.3)
    group = waiting(warm)[0].group
    assert group is not None
    made = group.usage().cpu_s
    assert made > 0
    outcome = warm.run(py("sum(range(10**6))"), SMALL)
    assert meters[-1].group is group
    assert meters[-1]._base >= made
    assert outcome.cpu_s > 0.001


def test_T6_one_that_died_while_it_waited_costs_the_next_trial_nothing(warm: WarmBox) -> None:
    for _ in range(2):
        warm.run(py("pass"), SMALL)
        spare = waiting(warm)[0]
        assert spare.usable()
        until(lambda spare=spare: spare.usable() and spare.forked.handle >= 0)
        os.kill(spare.forked.pid(), signal.SIGKILL)
        until(lambda spare=spare: not spare.usable())
        outcome = warm.run(py("print(1)"), SMALL)
        assert (outcome.ended, outcome.stdout, outcome.box) == (Ended.OK, b"1\n", "warm")
        assert spare not in waiting(warm)


def test_E1_a_box_that_closes_takes_them_along(warm: WarmBox) -> None:
    before = {*os.listdir("/proc/self/fd")}
    warm.close()
    kept = {*groups_of(os.getpid())}
    warm.run(py("pass"), SMALL)
    spare = waiting(warm)[0]
    until(lambda: spare.usable() and spare.forked.handle >= 0)
    pid = spare.forked.pid()
    assert Path(f"/proc/{pid}").exists()
    warm.close()
    assert not Path(f"/proc/{pid}").exists()
    assert {*groups_of(os.getpid())} <= kept
    assert len(os.listdir("/proc/self/fd")) <= len(before)


def test_T2_a_denied_call_ends_those_that_wait_too(warm: WarmBox) -> None:
    if not probe().mechanisms.notify:  # type: ignore[union-attr]
        pytest.skip("denied calls are not recorded here")
    warm.run(py("pass"), SMALL)
    old = waiting(warm)[0]
    assert warm.run(py("import socket; socket.socket()"), SMALL).denied
    outer = warm._outer
    assert outer is None or old not in outer.spares._waiting
    assert warm.run(py("print(1)"), SMALL).stdout == b"1\n"
