"""The rate of processor time is capped for each run, and a kill for want of the host's memory is nobody's fault."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from festina.sandbox import cgroup
from festina.sandbox.job import Ended, Limits
from festina.sandbox.supervise import GroupMeter

HOME, _ = cgroup.find_home()
needs_groups = pytest.mark.skipif(HOME is None, reason="needs control groups")
BURN = "import os, time\nfor _ in range(3): os.fork()\nend = time.time() + 1.5\nwhile time.time() < end: pass\n"


def spend(cpus: float | None) -> float:
    """Processor seconds that eight busy processes get in a second and a half."""
    assert HOME is not None
    group = HOME.create(memory_bytes=256 << 20, pids=32, cpus=cpus)
    try:
        lines = "; ".join(f"echo 0 > {path}" for path in group.entrances)
        command = ["sh", "-c", f"{lines}; exec {sys.executable} -c '{BURN}'"]
        subprocess.run(command, check=True)
        time.sleep(0.3)
        return group.usage().cpu_s
    finally:
        group.destroy()


@needs_groups
def test_E1_a_run_gets_its_processors_worth_of_time_and_no_more() -> None:
    if HOME is None or HOME.quota is None or (os.cpu_count() or 1) < 2:
        pytest.skip("this host cannot cap the rate, or has one processor")
    capped = spend(0.05)
    assert capped < 0.25
    assert spend(None) > 1.5 * capped  # positive control: without the cap the same eight take more


@needs_groups
@pytest.mark.skipif(os.geteuid() != 0, reason="needs a group above the run's")
@pytest.mark.parametrize(("own", "above", "ended"), [(64, 512, Ended.OOM), (512, 64, Ended.SANDBOX_ERROR)])
def test_T6_only_a_run_that_met_its_own_limit_is_out_of_memory(own: int, above: int, ended: Ended) -> None:
    assert HOME is not None
    if HOME.version != 1:
        pytest.skip("a nested group of version 2 needs another layout")
    host = HOME.create(memory_bytes=above << 20, pids=64)
    nested = cgroup.Home(1, host.memory, host.pids, host.cpu)
    group = nested.create(memory_bytes=own << 20, pids=32)
    try:
        lines = "; ".join(f"echo 0 > {path}" for path in group.entrances)
        eat = "keep = []\nwhile True: keep.append(bytearray(1 << 20))"
        done = subprocess.run(["sh", "-c", f"{lines}; exec {sys.executable} -c '{eat}'"], check=False)
        assert done.returncode == -9
        assert GroupMeter(group, Limits()).over() is ended
        assert GroupMeter(group, Limits()).host_ran_out() is (ended is Ended.SANDBOX_ERROR)
    finally:
        group.destroy()
        host.destroy()
    assert not Path(group.memory).exists()
