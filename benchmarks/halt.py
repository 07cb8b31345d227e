"""How long `festina halt` takes, from the command to the last process dead, whatever the engine is doing.

    python benchmarks/halt.py [--runs 4] [--json]

A toy system runs in real boxes; once the phase is reached, `festina halt` is started as from another terminal. A
watcher that shares nothing with it holds every process of the engine's tree by a pidfd and notes when the last one is
dead; afterwards no process may be left that names the system's folder. Beside it stands Ctrl-C (SIGINT to the engine),
which ends neither an engine that was stopped nor one that hangs. Limit: 1 s, each time.
"""

from __future__ import annotations

import argparse
import json
import os
import select
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from tests.loop.invariants import check, read
from tests.toy import Toy, make_toy

from festina.errors import FestinaError

PATIENCE_S = 180.0
SLOW = "\nimport time; time.sleep({})\n"


def children() -> dict[int, list[int]]:
    below: dict[int, list[int]] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdecimal():
            try:
                parent = int((entry / "stat").read_text().rpartition(")")[2].split()[1])
            except (OSError, IndexError):
                continue
            below.setdefault(parent, []).append(int(entry.name))
    return below


def tree(root: int) -> list[int]:
    below, found, queue = children(), [root], [root]
    while queue:
        more = below.get(queue.pop(), [])
        found += more
        queue += more
    return found


def helpers(root: int) -> list[int]:
    return [pid for pid in tree(root) if b"spawner.py" in Path(f"/proc/{pid}/cmdline").read_bytes()]


def naming(text: str) -> list[int]:
    """Living processes whose command line or environment names ``text``."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdecimal() and int(entry.name) != os.getpid():
            try:
                about = (entry / "cmdline").read_bytes() + (entry / "environ").read_bytes()
            except OSError:
                continue
            if text.encode() in about:
                found.append(int(entry.name))
    return found


class Watcher:
    """Holds a tree and says when all of it is dead."""

    def __init__(self, root: int) -> None:
        self.handles: dict[int, int] = {}
        for pid in tree(root):
            try:
                self.handles[pid] = os.pidfd_open(pid)
            except OSError:
                continue
        self.count = len(self.handles)

    def wait(self, deadline: float) -> bool:
        poll = select.poll()
        left = set(self.handles.values())
        for handle in left:
            poll.register(handle, select.POLLIN)
        while left and time.monotonic() < deadline:
            for handle, _ in poll.poll(100):
                poll.unregister(handle)
                left.discard(handle)
        for handle in self.handles.values():
            os.close(handle)
        return not left


def until(test: Callable[[], bool]) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while not test():
        if time.monotonic() > deadline:
            raise SystemExit("the phase was never reached")
        time.sleep(0.1)


def seen(toy: Toy, kind: str) -> bool:
    try:
        return any(record.kind == kind for record in read(toy.root)[1])
    except FestinaError:  # no ledger yet
        return False


def begin(toy: Toy) -> subprocess.Popen[bytes]:
    argv = [sys.executable, "-m", "festina", "run", "-C", str(toy.root), "--budget", "600s", "--at-once", "2"]
    return subprocess.Popen(
        argv, env=os.environ | toy.environment, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )  # fmt: skip


def slow(toy: Toy, file: str, seconds: float) -> None:
    with (toy.root / file).open("a") as source:
        source.write(SLOW.format(seconds))
    toy.commit(f"a slow {file}")


def one(phase: str, base: Path) -> dict[str, object]:
    toy = make_toy(base, step="0.02", detect=0.05)
    if phase == "propose":
        slow(toy, "improve.py", 300)
    if phase.startswith("trial"):
        slow(toy, "answer.py", 8)
    if phase == "verify":
        source = toy.root / "scoring.py"
        waiting = "    import time; time.sleep(0.05)\n    return 1.0 if output =="
        source.write_text(source.read_text().replace("    return 1.0 if output ==", waiting))
        toy.commit("a slow scorer")
    process = begin(toy)
    try:
        if phase == "start":
            until(lambda: (base / "homes").is_dir() and any(base.glob("homes/*/running/*")))
        else:
            wanted = {"propose": "proposal-requested", "verify": "batch-started"}.get(phase, "run-started")
            if phase == "batch" or phase.startswith("engine"):
                wanted = "batch-ended"
            until(lambda: seen(toy, wanted))
            time.sleep(0.5 if phase != "batch" else 0.05)
        stopped = {"engine stopped": lambda: [process.pid], "helper stopped": lambda: helpers(process.pid),
                   "trial, all stopped": lambda: tree(process.pid)}.get(phase, list)()
        for pid in stopped:
            os.kill(pid, signal.SIGSTOP)
        watcher = Watcher(process.pid)
        if phase == "engine killed":
            process.kill()
        with suppress(PermissionError):  # the watcher alone: it must not be late because the machine is busy
            os.sched_setscheduler(0, os.SCHED_RR | os.SCHED_RESET_ON_FORK, os.sched_param(2))
        began = time.monotonic()
        command = subprocess.Popen(
            [sys.executable, "-m", "festina", "halt", "-C", str(toy.root), "--reason", "a measurement"],
            env=os.environ | toy.environment, stderr=subprocess.PIPE, text=True,
        )  # fmt: skip
        ended = watcher.wait(began + PATIENCE_S)
        took = time.monotonic() - began
        os.sched_setscheduler(0, os.SCHED_OTHER, os.sched_param(0))
        _, said = command.communicate()
    finally:
        process.kill()
        process.wait()
    rest = naming(str(base))
    row = {"phase": phase, "seconds": took, "processes": watcher.count, "ended": ended, "left": len(rest), "said": said}
    row["own_seconds"] = float(said.partition(" ended in ")[2].partition(" s")[0] or "nan")
    if any(base.glob("homes/*/ledger.db")):  # a halt may come before there is one
        check(toy.root, settled=False)
    return row


PHASES = (
    "start", "propose", "trial", "verify", "batch", "engine stopped", "helper stopped", "trial, all stopped",
    "engine killed",
)  # fmt: skip


def ctrl_c(base: Path) -> float:
    """The peer: seconds from SIGINT to the last process dead, of an engine that hears it."""
    toy = make_toy(base, step="0.02", detect=0.05)
    slow(toy, "answer.py", 8)
    process = begin(toy)
    until(lambda: seen(toy, "run-started"))
    time.sleep(0.5)
    watcher = Watcher(process.pid)
    began = time.monotonic()
    process.send_signal(signal.SIGINT)
    watcher.wait(began + PATIENCE_S)
    process.wait()
    return time.monotonic() - began


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=3, help="of each phase")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    rows = []
    with tempfile.TemporaryDirectory(prefix="halt-") as folder:
        for number in range(options.runs):
            for at, phase in enumerate(PHASES):
                rows.append(one(phase, Path(folder) / f"{number}-{at}"))
                print(f"{phase}: {rows[-1]['seconds']:.2f} s ({rows[-1]['own_seconds']} s)", file=sys.stderr)
        peer = ctrl_c(Path(folder) / "peer")
    times = [float(str(row["seconds"])) for row in rows]
    result = {
        "runs": len(rows), "max_s": max(times), "median_s": sorted(times)[len(times) // 2],
        "own_max_s": max(float(str(row["own_seconds"])) for row in rows),
        "left": sum(int(str(row["left"])) for row in rows), "ctrl_c_s": peer, "load": os.getloadavg()[0],
        "rows": rows,
    }  # fmt: skip
    if options.json:
        print(json.dumps(result, indent=2))
    else:
        for phase in PHASES:
            mine = [float(str(row["seconds"])) for row in rows if row["phase"] == phase]
            print(f"{phase:20} {min(mine):5.2f} to {max(mine):5.2f} s")
        print(
            f"{len(rows)} halts: median {result['median_s']:.2f} s, longest {result['max_s']:.2f} s from the command "
            f"to the last process dead ({result['own_max_s']:.2f} s of it by the command's own clock); "
            f"{result['left']} processes left; Ctrl-C {peer:.2f} s; load {result['load']:.1f}"
        )
    return 0 if max(times) < 1.0 and not result["left"] else 1


if __name__ == "__main__":
    raise SystemExit(main())
