"""Run the acceptance benchmark: all of it, or some of its parts.

    python benchmarks/acceptance --quick                # a minute: shows that it works
    python benchmarks/acceptance --out FILE             # the full size, two processes
    python benchmarks/acceptance --write-docs [FILE]    # docs/acceptance.md and its plots, from FILE

``--only`` measures some parts again and leaves the other tables of FILE as they are; every table says when and from
which sources it was measured.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import multiprocessing
import os
import platform
import resource
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # ``python benchmarks/acceptance`` has the folder there

import numpy as np

from acceptance import aging, attack, audit, contest, efficiency, intervals, share, speed, symmetric, validity
from acceptance.document import page
from acceptance.frame import SIZES, Goal, Job, Row, Size, Table
from festina.select.rules import RULE

ROOT = Path(__file__).resolve().parents[2]
RESULT = ROOT / "benchmarks" / "results" / "acceptance.json"
PAGE = ROOT / "docs" / "acceptance.md"
PARTS: dict[str, ModuleType] = {
    part.__name__.rpartition(".")[2]: part
    for part in (validity, share, symmetric, efficiency, aging, contest, attack, speed, intervals, audit)
}
APART = ("audit",)  # a real run of minutes: only with --only


def main() -> None:
    asked = _arguments()
    if asked.write_docs:
        write_docs(asked.write_docs)
        return
    size = SIZES[asked.size]
    parts = asked.only or [name for name in PARTS if name not in APART]
    measured = measure(parts, size, asked.processes)
    before = json.loads(asked.out.read_text())["tables"] if asked.only and asked.out and asked.out.is_file() else {}
    result = {"tables": {t.key: ({**before, **measured})[t.key] for t in tables() if t.key in {**before, **measured}}}
    for table in tables():
        if table.key in measured:
            print(f"\n{table.title}\n\n{table.markdown(measured[table.key]['rows'])}")
    for goal in goals(result):
        print(f"{'reached' if goal.reached else 'MISSED '}  {goal.what}: {goal.value:.4g} (limit {goal.limit:.4g})")
    if asked.out:
        asked.out.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--size", choices=list(SIZES), default="full", help="how much is simulated")
    parser.add_argument("--quick", dest="size", action="store_const", const="quick", help="the same as --size quick")
    parser.add_argument("--only", type=lambda text: text.split(","), help=f"parts: {','.join(PARTS)}")
    parser.add_argument("--out", type=Path, help="write the tables as JSON")
    parser.add_argument("--processes", type=int, default=2, help="how many at once")
    parser.add_argument("--write-docs", type=Path, nargs="?", const=RESULT, help="write the page in docs/")
    return parser.parse_args()


def tables() -> Iterator[Table]:
    for part in PARTS.values():
        yield from part.TABLES


def goals(result: dict[str, Any]) -> list[Goal]:
    """Numbers to reach, of the parts whose tables are all there."""
    rows = {key: table["rows"] for key, table in result["tables"].items()}
    return [g for part in PARTS.values() if all(t.key in rows for t in part.TABLES) for g in part.goals(rows)]


def measure(parts: list[str], size: Size, processes: int) -> dict[str, Any]:
    """Rows and stamp of each table of these parts."""
    jobs = [job for name in parts for job in PARTS[name].jobs(size)]
    alone = [i for i, job in enumerate(jobs) if job.alone]
    order = sorted(set(range(len(jobs))) - set(alone), key=lambda i: -jobs[i].weight)  # the longest first
    found: dict[int, tuple[list[Row], float]] = {i: _one((i, jobs[i]))[1:] for i in alone}
    with multiprocessing.get_context("fork").Pool(processes) as pool:
        for i, rows, seconds in pool.imap_unordered(_one, [(i, jobs[i]) for i in order]):
            found[i] = (rows, seconds)
            print(f"{seconds:7.1f} s  {jobs[i].table}  {next(iter(rows[0].values()), '')}", file=sys.stderr, flush=True)
    stamp = _stamp(size)
    result: dict[str, Any] = {}
    for i, job in enumerate(jobs):
        table = result.setdefault(job.table, {"stamp": {**stamp, "cpu_s": 0.0}, "rows": []})
        table["rows"] += found[i][0]
        table["stamp"]["cpu_s"] = round(table["stamp"]["cpu_s"] + found[i][1], 1)
    return result


def _one(numbered: tuple[int, Job]) -> tuple[int, list[Row], float]:
    began = resource.getrusage(resource.RUSAGE_SELF).ru_utime
    rows = numbered[1].make()
    return numbered[0], rows, resource.getrusage(resource.RUSAGE_SELF).ru_utime - began


def _stamp(size: Size) -> dict[str, str | int]:
    """When, where and from which sources."""
    digest = hashlib.sha256()
    for path in sorted([*Path(__file__).parent.glob("*.py"), *(ROOT / "src" / "festina" / "select").glob("*.py")]):
        digest.update(path.read_bytes())
    return {
        "size": size.name, "date": time.strftime("%Y-%m-%d", time.gmtime()), "cpu": _cpu(),
        "cores": os.cpu_count() or 0,
        "python": platform.python_version(), "numpy": np.__version__, "rule": RULE, "sources": digest.hexdigest(),
    }  # fmt: skip


def _cpu() -> str:
    lines = Path("/proc/cpuinfo").read_text().splitlines() if Path("/proc/cpuinfo").exists() else []
    return next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), platform.machine())


def write_docs(source: Path) -> None:
    result = json.loads(source.read_text(encoding="utf-8"))
    from acceptance import plots  # matplotlib is for the page alone

    plots.write({key: table["rows"] for key, table in result["tables"].items()}, PAGE.parent / "images")
    PAGE.write_text(page(result, list(tables()), goals(result)), encoding="utf-8")


if __name__ == "__main__":
    main()
