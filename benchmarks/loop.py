"""What the engine costs beside the candidate's own run, what a resume costs, and what `festina --help` costs.

    python benchmarks/loop.py [--trials 60] [--entries 100000] [--json]

Each number stands beside a floor or peer measured in the same run: a bare subprocess that does the same work, a bare
SQLite scan with hashing, `python -c pass`. Limits: a trial, at most 60 ms over the bare subprocess; a resume of
100,000 entries, under 5 s; help, at most 0.3 s of CPU.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import resource
import sqlite3
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from tests.loop.paper import PaperLoop, digest, oid
from tests.toy import make_toy

from festina.experiment.trial import Recipe, Trials
from festina.ledger import entries as e
from festina.ledger.log import Draft, Ledger
from festina.ledger.signing import LocalKey
from festina.loop.engine import Options, session
from festina.loop.state import fold
from festina.sandbox.job import Limits


def median_ms(action: Callable[[], object], count: int) -> float:
    times = []
    for _ in range(count):
        began = time.perf_counter()
        action()
        times.append(1000 * (time.perf_counter() - began))
    return statistics.median(times)


def trial(base: Path, count: int) -> dict[str, float]:
    """Median milliseconds of one side: draw, box, harvest, score; against a bare subprocess with the same work."""
    toy = make_toy(base)
    argv = ("/bin/sh", "-c", "cat skill.json > $FESTINA_OUT/predictions.jsonl")
    with session(toy.root, Options()) as bench:
        trials = Trials(bench.sandbox, Recipe(argv, None, (), Limits(), False), bench.tree_dir)
        assert bench.state.epoch is not None
        tree = bench.state.epoch.start_tree
        seeds = iter(range(10**9))

        def side() -> None:
            ticket, inputs = bench.judge.issue(next(seeds))
            done = trials.side(tree, 1, inputs)
            assert done.ended.value == "ok", done
            bench.judge.score(ticket, done.answer)

        side()
        folder = bench.tree_dir(tree)
        out = base / "out"
        out.mkdir()
        environment = {"PATH": os.environ["PATH"], "FESTINA_OUT": str(out)}

        def bare() -> None:
            subprocess.run(argv, cwd=folder, env=environment, check=True)

        both = [(median_ms(side, 1), median_ms(bare, 1)) for _ in range(count)]
    ours, floor = (statistics.median(column) for column in zip(*both, strict=True))
    return {"trial_ms": ours, "bare_ms": floor, "overhead_ms": ours - floor, "ratio": ours / floor}


def resume(base: Path, count: int) -> dict[str, float]:
    """Seconds to open and fold a ledger of ``count`` entries, against reading and hashing the same bytes."""
    path = base / "long.db"
    signers = {role: LocalKey.create(base / f"{role}.pem", role) for role in ("engine", "verifier")}
    paper = PaperLoop(seed=1)
    paper.begin()
    genesis = e.Genesis(
        origin="festina.local/long-00000000", system="long", engine_key=_key(signers["engine"]),
        verifier_key=_key(signers["verifier"]), alpha=0.05, demo=False, version="0", schema_number=e.SCHEMA,
    )  # fmt: skip
    bodies: list[e.Body] = []
    for record in paper.records[1:]:
        body = record.body
        if isinstance(body, e.EpochOpened):  # one test that never runs out of units
            body = body.model_copy(update={"suite": body.suite.model_copy(update={"max_units": 10**8})})
        if body.kind != "reviewer-enrolled":
            bodies.append(body)
    start = len(paper.records)
    paper._StartLine(None)
    paper._FinishMove(None)
    paper._CheckControls(None)
    bodies += [record.body for record in paper.records[start:]]
    bodies += _proposal()
    batch = 0
    while len(bodies) < count:
        bodies += _batch(batch)
        batch += 1
    ledger = Ledger.create(path, genesis, signers=signers)  # type: ignore[arg-type]
    for at in range(0, len(bodies), 2000):
        ledger.append([Draft(body) for body in bodies[at : at + 2000]], durable=False)
    ledger.close()
    began = time.perf_counter()
    ledger = Ledger.open(path, signers=signers)  # type: ignore[arg-type]
    state = fold(ledger.records())
    ours = time.perf_counter() - began
    entries = state.size
    ledger.close()
    began = time.perf_counter()
    with sqlite3.connect(path) as bare:
        for (envelope,) in bare.execute("select envelope from entry order by seq"):
            hashlib.sha256(envelope).digest()
    floor = time.perf_counter() - began
    return {"entries": entries, "resume_s": ours, "bare_scan_s": floor, "ratio": ours / floor}


def _key(key: LocalKey) -> str:
    import base64

    return base64.b64encode(key.public).decode()


def _proposal() -> list[e.Body]:
    return [
        e.ProposalRequested(
            proposal=0, attempt=1, improver="own", from_generation=0, from_commit=oid(1), base_commit=oid(1), seed=1
        ),
        e.ProposalReceived(
            proposal=0, author="own", patch=digest(20), plan=None, predicted=None, exhausted=False, reason="",
            wall_s=0.0, cpu_s=0.0,
        ),
        e.Screened(
            proposal=0, result="passed", reason="", detail=None, guard_change=False, base_commit=oid(1), tree=oid(3),
            changed_files=1, changed_lines=1, improver_changed=False,
        ),
        e.TestOpened(
            test=0, proposal=0, tree=oid(3), base_commit=oid(1), anchor_tree=oid(2), level=0.05 / 51, block=0,
            units_max=10**8, units_min_accept=1,
        ),
    ]  # fmt: skip


def _batch(number: int) -> list[e.Body]:
    gains = tuple(0.2 * (-1) ** i for i in range(16))
    return [
        e.BatchStarted(test=0, batch=number, attempt=1, units=16, trials=32, items=160, seeds=digest(9)),
        e.BatchEnded(
            test=0, batch=number, gain=gains, guards=(), candidate_mean=0.5, incumbent_mean=0.5, failed=0, denied=0,
            details=digest(10),
        ),
    ]  # fmt: skip


def help_cpu() -> dict[str, float]:
    """CPU seconds of `festina --help`, median of five, against an interpreter that does nothing."""
    return {"help_cpu_s": _cpu(["-m", "festina", "--help"]), "python_cpu_s": _cpu(["-c", "pass"])}


def _cpu(argv: list[str]) -> float:
    seen = []
    for _ in range(5):
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        subprocess.run([sys.executable, *argv], check=True, stdout=subprocess.DEVNULL)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        seen.append(after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)
    return statistics.median(seen)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--trials", type=int, default=60)
    parser.add_argument("--entries", type=int, default=100_000)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        base = Path(folder)
        os.environ["FESTINA_HOME"] = str(base / "homes")
        rows = {
            "trial": trial(base / "trial", options.trials),
            "resume": resume(base, options.entries),
            "help": help_cpu(),
        }
    if options.json:
        print(json.dumps(rows))
        return 0
    for name, row in rows.items():
        print(name + ": " + ", ".join(f"{key} {value:.4g}" for key, value in row.items()))
    within = (
        rows["trial"]["overhead_ms"] <= 60 and rows["resume"]["resume_s"] < 5 and rows["help"]["help_cpu_s"] <= 0.3
    )
    print("within the limits" if within else "OVER a limit")
    return 0


if __name__ == "__main__":
    sys.exit(main())
