"""What a cold box costs: the same command bare, at L0 and in the strongest box of this host, and where the time goes.

    python benchmarks/sandbox.py [--runs 30] [--json] [--command PROGRAM ...]

Bare and boxed runs alternate, so that a busy host slows both alike. Medians and 90 % points, in milliseconds.
``overhead`` is boxed minus bare; on a loaded machine read the ratio beside the load that is printed.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import os
import statistics
import subprocess
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from festina.sandbox import box as box_module
from festina.sandbox import supervise
from festina.sandbox.box import BubblewrapBox
from festina.sandbox.cgroup import Group
from festina.sandbox.host import probe
from festina.sandbox.job import Ended, Job, Limits, Sandbox
from festina.sandbox.plain import PlainBox

PHASES = {
    "launch (arguments, request)": (box_module._Run, "_launch"),
    "until the box is built": (box_module._Run, "_await_ready"),
    "pin /out and /tmp": (box_module._Run, "_pin"),
    "the job, until its tree is reaped": (supervise.Watch, "follow"),
    "harvest and verdict": (box_module._Run, "_judge"),
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


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=30)
    parser.add_argument("--command", nargs=argparse.REMAINDER, default=["/bin/true"])
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    command = tuple(options.command)
    with tempfile.TemporaryDirectory(prefix="festina-bench-") as name:
        boxes = variants(Path(name))
        times: dict[str, list[float]] = {"bare": [], **{label: [] for label in boxes}}
        for sandbox in boxes.values():
            once(sandbox, command)
        for _ in range(options.runs):
            times["bare"].append(timed(lambda: subprocess.run(command, check=True, capture_output=True)))
            for label, sandbox in boxes.items():
                times[label].append(timed(lambda sandbox=sandbox: once(sandbox, command)))  # type: ignore[misc]
        strongest = list(boxes)[1] if len(boxes) > 1 else ""
        phases = breakdown(boxes[strongest], command, options.runs) if strongest else {}
    result = {label: summary(values) for label, values in times.items()}
    bare = result["bare"]["median_ms"]
    for label, numbers in result.items():
        if label != "bare":
            numbers["overhead_ms"] = round(numbers["median_ms"] - bare, 2)
            numbers["ratio"] = round(numbers["median_ms"] / bare, 1)
    report = {
        "command": command,
        "runs": options.runs,
        "load": os.getloadavg()[0],
        "times": result,
        "phases_ms": phases,
    }
    if options.json:
        print(json.dumps(report, indent=2))
        return
    print(f"{' '.join(command)}, {options.runs} runs, load {report['load']:.1f} on {os.cpu_count()} processors")
    for label, numbers in result.items():
        print(f"  {label:<40}" + "  ".join(f"{key} {value}" for key, value in numbers.items()))
    print(f"phases of the {strongest}, mean ms:")
    for label, value in phases.items():
        print(f"  {label:<40}{value}")


if __name__ == "__main__":
    main()
