"""What boxes and workspaces cost, each beside its floor in the same run.

    python benchmarks/sandbox.py [--runs 30] [--json] [--only cold|warm|workspace] [--command PROGRAM ...]

cold: the same command bare, at L0 and in the strongest cold box, and where the time goes.
warm: a numpy trial (and a torch trial, where it is installed) in the warm box; its floor is a bare fork of a process
with the same modules, without any isolation; beside it ``multiprocessing``'s forkserver, the cold box and, where it
is installed, firejail (``apt-get install firejail``). Trials a second with one and two workers.
workspace: 2,000 files, one of them changed: write a candidate's tree and remove it, as a layer, in full, and by
``git worktree``.

Ways alternate within a run, so that a busy host slows all alike. Medians and 90 % points, in milliseconds. On a loaded
machine read the ratio beside the load that is printed, or use ``--real-time`` as root: everything then runs in the
real-time class, and no other work gets in between. Rate caps are left out there, since groups that have them take no
such process.
"""

from __future__ import annotations

import argparse
import dataclasses
import importlib.util
import json
import os
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from festina.sandbox import box as box_module
from festina.sandbox import supervise
from festina.sandbox.box import BubblewrapBox
from festina.sandbox.cgroup import Group
from festina.sandbox.host import Mechanisms, probe
from festina.sandbox.job import Ended, Job, Limits, Sandbox
from festina.sandbox.launch import shared
from festina.sandbox.plain import PlainBox
from festina.sandbox.runtime import FIXED_ENV
from festina.sandbox.warm import WarmBox
from festina.system.export import remove_export
from festina.system.repo import Repo

PHASES = {
    "launch (arguments, request)": (box_module._Run, "_launch"),
    "until the box is built": (box_module._Run, "_await_ready"),
    "pin /out and /tmp": (box_module._Run, "_pin"),
    "the job, until its tree is reaped": (supervise.Watch, "follow"),
    "harvest and verdict": (box_module, "conclude"),
    "remove the control group": (Group, "destroy"),
}


def timed(action: Callable[[], object]) -> float:
    started = time.perf_counter()
    action()
    return (time.perf_counter() - started) * 1000


def summary(values: list[float]) -> dict[str, float]:
    ordered = sorted(values)
    return {
        "median_ms": round(statistics.median(ordered), 2),
        "p90_ms": round(ordered[int(0.9 * (len(ordered) - 1))], 2),
        "min_ms": round(ordered[0], 2),
    }


def once(sandbox: Sandbox, command: tuple[str, ...]) -> None:
    outcome = sandbox.run(Job(command), Limits())
    if outcome.ended is not Ended.OK:
        raise SystemExit(f"the command ended {outcome.ended}: {outcome.stderr.decode(errors='replace')}")


def breakdown(sandbox: Sandbox, command: tuple[str, ...], runs: int) -> dict[str, float]:
    """Wrap each phase in a clock for these runs only."""
    spent: dict[str, float] = dict.fromkeys(PHASES, 0.0)
    originals = {name: getattr(owner, method) for name, (owner, method) in PHASES.items()}

    def clocked(name: str) -> Callable[..., object]:
        def wrapper(*args: object, **named: object) -> object:
            started = time.perf_counter()
            try:
                return originals[name](*args, **named)
            finally:
                spent[name] += (time.perf_counter() - started) * 1000

        return wrapper

    for name, (owner, method) in PHASES.items():
        setattr(owner, method, clocked(name))
    try:
        for _ in range(runs):
            once(sandbox, command)
    finally:
        for name, (owner, method) in PHASES.items():
            setattr(owner, method, originals[name])
    return {name: round(total / runs, 2) for name, total in spent.items()}


def variants(state: Path) -> dict[str, Sandbox]:
    found = probe()
    boxes: dict[str, Sandbox] = {"L0 plain": PlainBox(state)}
    if found.mechanisms is not None:
        boxes[f"{found.level.name} box"] = BubblewrapBox(state, found.mechanisms)
        quiet = dataclasses.replace(found.mechanisms, notify=False)
        boxes[f"{found.level.name} box, denied calls not recorded"] = BubblewrapBox(state, quiet)
        if found.mechanisms.groups is not None:
            boxes["L2 box"] = BubblewrapBox(state, dataclasses.replace(found.mechanisms, groups=None))
    return boxes


# The warm box

NUMPY_TRIAL = """
import json, numpy
rng = numpy.random.default_rng(7)
for _ in range({rounds}):
    x = rng.standard_normal((400, 20))
    y = x @ rng.standard_normal(20) + rng.standard_normal(400)
    w = numpy.linalg.solve(x.T @ x + numpy.eye(20), x.T @ y)
with open({out!r}, "w") as file:
    json.dump({{"error": float(((x @ w - y) ** 2).mean())}}, file)
"""
TORCH_TRIAL = """
import json, torch
torch.manual_seed(7)
for _ in range({rounds}):
    x = torch.randn(400, 20)
    w = torch.linalg.solve(x.T @ x + torch.eye(20), x.T @ x.sum(1))
with open({out!r}, "w") as file:
    json.dump({{"error": float(w.sum())}}, file)
"""
# A fork server without isolation: one request, one fork, one program, the child's end.
BARE_SERVER = """
import gc, importlib, json, os, socket, sys
line = socket.socket(fileno=int(sys.argv[1]))
for name in sys.argv[2].split(","):
    importlib.import_module(name)
if "numpy" in sys.modules:
    import numpy.linalg, numpy.random
    numpy.random.default_rng(0).random(1)
gc.collect()
gc.freeze()
line.send(b"ready")
while True:
    program = line.recv(65536)
    if not program:
        break
    child = os.fork()
    if child == 0:
        exec(compile(program, "<trial>", "exec"), {"__name__": "__main__"})
        os._exit(0)
    assert os.waitpid(child, 0)[1] == 0
    line.send(b"done")
"""
FORKSERVER = """
import json, multiprocessing, sys, time
context = multiprocessing.get_context("forkserver")
context.set_forkserver_preload(sys.argv[1].split(",") + ["json"])
program, runs, times = sys.argv[2], int(sys.argv[3]), []
for number in range(runs + 2):
    started = time.perf_counter()
    process = context.Process(target=exec, args=(program, {}))
    process.start()
    process.join()
    assert process.exitcode == 0
    times.append((time.perf_counter() - started) * 1000)
print(json.dumps(times[2:]))
"""


PEER = ("firejail", "--quiet", "--noprofile", "--net=none", "--private-dev", "--ipc-namespace", "--caps.drop=all",
        "--nonewprivs", "--seccomp")  # fmt: skip


def peer(command: list[str]) -> None:
    """The same program in the nearest peer that a distribution packages; it starts afresh and reads no results."""
    subprocess.run([*PEER, *command], env={**os.environ, **FIXED_ENV}, capture_output=True, check=True)


@contextmanager
def bare_server(preload: str) -> Iterator[socket.socket]:
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    command = [sys.executable, "-c", BARE_SERVER, str(theirs.fileno()), preload]
    server = subprocess.Popen(command, pass_fds=[theirs.fileno()], env={**os.environ, **FIXED_ENV})
    theirs.close()
    with ours:
        if ours.recv(16) != b"ready":
            raise SystemExit("the bare fork server did not start")
        yield ours
    server.wait()


def bare(line: socket.socket, program: str) -> None:
    line.send(program.encode())
    if line.recv(16) != b"done":
        raise SystemExit("the bare trial failed")


def boxed(box: Sandbox, program: str, kind: str) -> None:
    outcome = box.run(Job((sys.executable, "-c", program), outputs=("r",)), Limits())
    if outcome.ended is not Ended.OK or outcome.box != kind:
        raise SystemExit(f"{outcome.ended} in {outcome.box}: {outcome.stderr.decode(errors='replace')}")


def mechanisms_of(*, real_time: bool) -> Mechanisms | None:
    """What this host offers; with ``real_time`` this process and the helper that starts boxes change their class."""
    found = probe().mechanisms
    if found is None or not real_time:
        return found
    for pid in (0, shared().pid):
        os.sched_setscheduler(pid, os.SCHED_RR, os.sched_param(1))
    groups = found.groups and dataclasses.replace(found.groups, quota=None)
    return dataclasses.replace(found, groups=groups)


def warm(runs: int, state: Path, *, real_time: bool = False) -> dict[str, Any]:
    mechanisms = mechanisms_of(real_time=real_time)
    if mechanisms is None:
        return {"skipped": "no box on this host"}
    trials = {"numpy": NUMPY_TRIAL, "torch": TORCH_TRIAL}
    report: dict[str, Any] = {}
    for name, trial in trials.items():
        if importlib.util.find_spec(name) is None:
            report[name] = {"skipped": f"{name} is not installed"}
            continue
        box = WarmBox(BubblewrapBox(state, mechanisms), (name,), python=sys.executable)
        try:
            with bare_server(name) as line:
                box.start()
                for rounds in (1, 100):
                    report[f"{name}, {rounds} rounds"] = ways(box, line, name, trial, rounds, runs, state)
        finally:
            box.close()
    return report


def ways(
    box: WarmBox, line: socket.socket, name: str, trial: str, rounds: int, runs: int, state: Path
) -> dict[str, Any]:
    inside = trial.format(rounds=rounds, out="/out/r")
    outside = trial.format(rounds=rounds, out=str(state / "r"))
    actions: dict[str, Callable[[], None]] = {
        "bare fork, no isolation": lambda: bare(line, outside),
        "warm box": lambda: boxed(box, inside, "warm"),
    }
    times: dict[str, list[float]] = {way: [] for way in actions}
    for _ in range(runs + 3):
        for way, action in actions.items():
            times[way].append(timed(action))
    found = {way: summary(values[3:]) for way, values in times.items()}
    found["cold box"] = summary([timed(lambda: boxed(box.cold, inside, "cold")) for _ in range(max(5, runs // 4))])
    if shutil.which(PEER[0]):
        fresh = [sys.executable, "-c", outside]
        found["firejail"] = summary([timed(lambda: peer(fresh)) for _ in range(max(5, runs // 4))])
    command = [sys.executable, "-c", FORKSERVER, name, outside, str(runs)]
    done = subprocess.run(command, env={**os.environ, **FIXED_ENV}, capture_output=True, check=True)
    found["multiprocessing forkserver, no isolation"] = summary(json.loads(done.stdout))
    floor = found["bare fork, no isolation"]["median_ms"]
    for numbers in found.values():
        numbers["ratio"] = round(numbers["median_ms"] / floor, 2)
    for workers in (1, 2):
        with ThreadPoolExecutor(workers) as pool:
            started = time.perf_counter()
            list(pool.map(lambda _: boxed(box, inside, "warm"), range(4 * runs)))
            found[f"warm box, {workers} workers"] = {
                "trials_per_s": round(4 * runs / (time.perf_counter() - started), 1)
            }
    return found


# Workspaces


def workspace(runs: int, state: Path, files: int = 2000) -> dict[str, Any]:
    mechanisms = probe().mechanisms
    if mechanisms is None or not BubblewrapBox(state, mechanisms).layers:
        return {"skipped": "layers are not shown here"}
    root = state / "system"
    for number in range(files):
        path = root / f"d{number % 40}" / f"f{number}.py"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"# file {number}\n" * 40)
    git = ["git", "-C", str(root), "-c", "user.name=b", "-c", "user.email=b@localhost"]
    for words in (["init", "-q", "-b", "main"], ["add", "-A"], ["commit", "-qm", "start"]):
        subprocess.run([*git, *words], check=True)
    with Repo(root) as repo:
        first = repo.tree_of(repo.head())
        changed = repo.write_files(first, {"d1/f1.py": b"changed\n", "d2/f2.py": None})
        repo.promote(changed)
        commit = repo.commit(changed, [repo.head()], "changed", at="2026-01-01T00:00:00Z")
        repo.export_tree(first, state / "base")
        base = repo.layer_base(first, state / "base")
        target = state / "candidate"

        def layer() -> None:
            repo.export_layer(base, changed, target)
            remove_export(target)

        def full() -> None:
            repo.export_tree(changed, target)
            remove_export(target)

        def worktree() -> None:
            subprocess.run([*git, "worktree", "add", "-q", "--detach", str(target), commit], check=True)
            subprocess.run([*git, "worktree", "remove", "--force", str(target)], check=True)

        actions = {"layer": layer, "full export": full, "git worktree add and remove": worktree}
        times: dict[str, list[float]] = {way: [] for way in actions}
        for _ in range(max(5, runs // 3)):
            for way, action in actions.items():
                times[way].append(timed(action))
        remove_export(state / "base")
    shutil.rmtree(root)
    found = {way: summary(values) for way, values in times.items()}
    floor = found["git worktree add and remove"]["median_ms"]
    for numbers in found.values():
        numbers["of_worktree"] = round(numbers["median_ms"] / floor, 3)
    return found


def cold(runs: int, state: Path, command: tuple[str, ...]) -> dict[str, Any]:
    boxes = variants(state)
    times: dict[str, list[float]] = {"bare": [], **{label: [] for label in boxes}}
    for sandbox in boxes.values():
        once(sandbox, command)
    for _ in range(runs):
        times["bare"].append(timed(lambda: subprocess.run(command, check=True, capture_output=True)))
        for label, sandbox in boxes.items():
            times[label].append(timed(lambda sandbox=sandbox: once(sandbox, command)))  # type: ignore[misc]
    result: dict[str, Any] = {label: summary(values) for label, values in times.items()}
    floor = result["bare"]["median_ms"]
    for numbers in result.values():
        numbers["ratio"] = round(numbers["median_ms"] / floor, 1)
    strongest = list(boxes)[1] if len(boxes) > 1 else ""
    if strongest:
        phases = breakdown(boxes[strongest], command, runs)
        result |= {f"of which: {name}": {"mean_ms": value} for name, value in phases.items()}
    return result


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=30)
    parser.add_argument("--only", choices=["cold", "warm", "workspace"])
    parser.add_argument("--real-time", action="store_true", help="with --only warm, as root: see above")
    parser.add_argument("--command", nargs=argparse.REMAINDER, default=["/bin/true"])
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    if options.real_time and options.only != "warm":
        parser.error("--real-time goes with --only warm")
    report: dict[str, Any] = {}
    with tempfile.TemporaryDirectory(prefix="festina-bench-") as name:
        os.chmod(name, 0o755)
        for part in (options.only,) if options.only else ("cold", "warm", "workspace"):
            load = os.getloadavg()[0]
            place = Path(name) / part
            if part == "cold":
                found = cold(options.runs, place, tuple(options.command))
            elif part == "warm":
                found = warm(options.runs, place, real_time=options.real_time)
            else:
                found = workspace(options.runs, place)
            report[part] = {"load_before": round(load, 1), **found}
    if options.json:
        print(json.dumps({"runs": options.runs, "processors": os.cpu_count(), **report}, indent=2))
        return
    for part, found in report.items():
        print(f"{part}: {options.runs} runs on {os.cpu_count()} processors, load {found.pop('load_before')} before")
        show(found)


def show(found: dict[str, Any], indent: str = "  ") -> None:
    for label, value in found.items():
        if isinstance(value, dict) and any(isinstance(inner, dict) for inner in value.values()):
            print(f"{indent}{label}")
            show(value, indent + "  ")
        elif isinstance(value, dict):
            print(f"{indent}{label:<42}" + "  ".join(f"{key} {number}" for key, number in value.items()))
        else:
            print(f"{indent}{label}: {value}")


if __name__ == "__main__":
    main()
