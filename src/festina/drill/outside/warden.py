"""Run one evaluation and leave nothing alive: a program of its own, one per evaluation.

Usage: ``python -I -S warden.py`` with a JSON job on standard input. It becomes the reaper of all that the evaluation
starts, kills the tree at the wall limit or above the memory limit, waits a short while for what outlives the evaluator
(a survivor may still write to its output, as it could in a real loop), kills that too, and only then writes a JSON
account, to a file: its standard output could be written to by a candidate.

Does not cover: disk space, and processes that another user's service starts for the candidate.
"""

from __future__ import annotations

import ctypes
import json
import os
import select
import signal
import subprocess
import sys
import time
from typing import Any

PR_SET_PDEATHSIG, PR_SET_CHILD_SUBREAPER = 1, 36
PAGE = os.sysconf("SC_PAGE_SIZE")


def main() -> None:
    job = json.load(sys.stdin)
    libc = ctypes.CDLL(None, use_errno=True)
    libc.prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    libc.prctl(PR_SET_PDEATHSIG, signal.SIGTERM, 0, 0, 0)
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, _stop)
    account = watch(job)
    with open(job["account"], "w", encoding="utf-8") as file:  # written when nothing is left that could change it
        json.dump(account, file)


def _stop(number: int, frame: object) -> None:
    slay()
    os._exit(128 + number)


def watch(job: dict[str, Any]) -> dict[str, Any]:
    flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND
    out, err = os.open(job["stdout"], flags, 0o644), os.open(job["stderr"], flags, 0o644)
    start = time.monotonic()
    try:
        child = subprocess.Popen(
            job["argv"], cwd=job["cwd"], env=job["env"], stdin=subprocess.DEVNULL, stdout=out, stderr=err,
            start_new_session=True,
        )  # fmt: skip
    except OSError as error:
        return {"status": 127, "seconds": 0.0, "ended": "not started", "error": str(error), "survivors": 0, "peak": 0}
    ended, peak = "", 0
    gone = select.poll()
    gone.register(os.pidfd_open(child.pid), select.POLLIN)
    while child.poll() is None:
        now = time.monotonic() - start
        peak = max(peak, _resident(descendants()))
        if now > job["timeout"]:
            ended = "timeout"
        elif peak > job["memory"]:
            ended = "memory"
        if ended:
            break
        gone.poll(50)  # milliseconds; at once when it ends
    seconds = time.monotonic() - start
    if ended:
        slay()
        child.wait()
    survivors = len(descendants())
    until = time.monotonic() + job["linger"]
    while survivors and not ended and time.monotonic() < until and descendants():
        time.sleep(0.02)
    slay()
    status = child.returncode
    used = os.times()
    cpu = used.children_user + used.children_system
    return {
        "status": status, "seconds": seconds, "ended": ended or "exit", "survivors": survivors, "peak": peak,
        "cpu": cpu,
    }  # fmt: skip


def descendants() -> list[int]:
    """All living processes below this one; zombies are not counted."""
    parents: dict[int, int] = {}
    for name in os.listdir("/proc"):
        if not name.isdigit():
            continue
        try:
            with open(f"/proc/{name}/stat", "rb") as file:
                fields = file.read().rpartition(b")")[2].split()
        except OSError:
            continue
        if fields[0] != b"Z":
            parents[int(name)] = int(fields[1])
    mine = {os.getpid()}
    found: list[int] = []
    while True:
        fresh = [pid for pid, parent in parents.items() if parent in mine and pid not in mine]
        if not fresh:
            return found
        mine.update(fresh)
        found += fresh


def _resident(pids: list[int]) -> int:
    total = 0
    for pid in pids:
        try:
            with open(f"/proc/{pid}/statm", "rb") as file:
                total += int(file.read().split()[1]) * PAGE
        except OSError:
            continue
    return total


def slay() -> None:
    """Kill everything below, until nothing is left or two seconds have passed."""
    until = time.monotonic() + 2
    while time.monotonic() < until:
        alive = descendants()
        if not alive:
            break
        for pid in alive:
            try:
                os.kill(pid, signal.SIGKILL)
            except OSError:
                continue
        time.sleep(0.005)


if __name__ == "__main__":
    main()
