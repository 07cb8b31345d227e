"""A real task: the loop as a user runs it, and afterwards an audit on tasks that nobody in the loop has seen.

The example in ``examples/library`` proposes by lot in three ways (``audit_improver``), ``festina run`` decides, in
sandboxes, with its own vault. Then every proposal that was tested is measured against its incumbent and generation 0 on
6,000 tasks drawn for the audit alone. Beside it: the same proposals under keep-if-better, on the differences that the
ledger recorded, and keep-if-better running a line of its own with the same improver.

    python benchmarks/acceptance --only audit [--out FILE]       # about ten minutes, and one run: an example, no rate

Does not cover: other systems; the audit is as good as its 6,000 tasks (a difference is known to about .005).
"""

from __future__ import annotations

import json
import os
import random
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from acceptance.frame import Column, Goal, Job, Row, Size, Table, Tables

EXAMPLE = Path(__file__).resolve().parents[2] / "examples" / "library"
AUDIT_SEED, AUDIT_TASKS = 90210, 6000
BATCH = 40  # items of a unit, as in the example's manifest
MAX_LOSS = 0.04  # of its guard
MINUTES = {"tiny": 1, "quick": 2, "full": 8}
LINES = 3  # lines of keep-if-better with the same improver

Library = list[Any]  # of the example's primitives


@dataclass
class Tested:
    """A proposal that came to a test: libraries, recorded differences (a unit each), and what became of it."""

    candidate: Library
    incumbent: Library
    gains: list[float] = field(default_factory=list)
    accepted: bool = False


@contextmanager
def example() -> Iterator[None]:
    """The example's modules can be imported; afterwards they are forgotten, since their names are common ones."""
    path, names = list(sys.path), ("solve", "improve", "generator", "audit_improver")
    before = {name: sys.modules.pop(name) for name in names if name in sys.modules}
    sys.path[:0] = [str(EXAMPLE / "system"), str(EXAMPLE / "vault"), str(Path(__file__).parent)]
    try:
        yield
    finally:
        sys.path[:] = path
        for name in names:
            sys.modules.pop(name, None)
        sys.modules.update(before)


def run_loop(folder: Path, minutes: float) -> Path:
    """``festina run`` on a copy of the example whose improver is the audit's; the copy, with ``FESTINA_HOME`` set."""
    root = folder / "system"
    shutil.copytree(EXAMPLE / "system", root, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(Path(__file__).parent / "audit_improver.py", root / "mixed.py")
    manifest = root / "festina.toml"
    manifest.write_text(with_our_improver(manifest.read_text()))
    os.environ["FESTINA_HOME"] = str(folder / "home")
    git = ["git", "-c", "user.name=audit", "-c", "user.email=audit@localhost"]
    festina = [sys.executable, "-m", "festina"]
    for words in (
        [*git, "init", "-q", "-b", "main"],
        [*git, "add", "-A"],
        [*git, "commit", "-q", "-m", "Generation 0"],
        [*festina, "vault", "add", "hidden", "--generator", str(EXAMPLE / "vault" / "generator.py")],
    ):
        subprocess.run(words, cwd=root, check=True, stdout=subprocess.DEVNULL)
    argv = [*festina, "run", "--budget", f"{round(60 * minutes)}s", "--yes"]
    subprocess.run(argv, cwd=root, check=False, stdin=subprocess.DEVNULL)
    return root


def with_our_improver(manifest: str) -> str:
    """The example's manifest, with the audit's improver, which may change the language and nothing else."""
    for old, new in (
        ('"-E", "improve.py"]', '"-E", "mixed.py"]'),
        ('code = ["improve.py", "library.json"]', 'code = ["mixed.py"]'),
        ('allow = ["library.json", "improve.py", "memo.json"]', 'allow = ["library.json"]'),
    ):
        if manifest.count(old) != 1:
            raise ValueError(f"the example's manifest has changed: {old}")
        manifest = manifest.replace(old, new)
    return manifest


def certified(root: Path) -> float | None:
    """What ``festina status`` says that the line's steps gained at least, all together, at 95 %."""
    argv = [sys.executable, "-m", "festina", "status", "--json"]
    done = subprocess.run(argv, cwd=root, check=True, capture_output=True, text=True)
    told = json.loads(done.stdout)["certified_gain"]
    return None if told is None else told["at_least"]


def read(root: Path) -> list[Tested]:
    """What the ledger says was tested; tests without a verdict are left out."""
    from festina.ledger import entries as e
    from festina.ledger.log import Ledger
    from festina.system import home as homes
    from festina.system.repo import Repo

    home = homes.find(Repo.discover(root))
    assert home is not None
    ledger = Ledger.open(home.ledger, readonly=True)
    found: dict[int, Tested] = {}
    judged = []
    for record in ledger.records():
        body = record.body
        if isinstance(body, e.TestOpened):
            found[body.test] = Tested(library(root, body.tree), library(root, body.base_commit))
        elif isinstance(body, e.BatchEnded) and body.test in found:
            found[body.test].gains += body.gain
        elif isinstance(body, e.Verdict) and body.test in found and body.reason in ("shown", "futile", "guard", "cap"):
            found[body.test].accepted = body.verdict == "accept"
            judged.append(found[body.test])
    ledger.close()
    return judged


def library(root: Path, tree: str) -> Library:
    """The library of a tree or commit in the system's repository."""
    import solve

    done = subprocess.run(["git", "show", f"{tree}:library.json"], cwd=root, check=True, capture_output=True, text=True)
    with tempfile.TemporaryDirectory() as scratch:
        Path(scratch, "library.json").write_text(done.stdout)
        return list(solve.read_library(scratch))


# ---- the audit ---------------------------------------------------------------------------------------------


class Auditor:
    """Solves tasks that nobody in the loop has seen; remembers what it measured."""

    def __init__(self, seed: int, count: int) -> None:
        import generator

        items = generator.draw(seed, count, 1)
        self.tasks = [(x["input"]["inputs"], int(x["input"]["table"][::-1], 2)) for x in items]
        self.easy = np.array([x["label"]["easy"] for x in items])
        self.known: dict[frozenset[str], Any] = {}

    def hits(self, library: Library) -> Any:  # noqa: ANN401 - an array of booleans
        import solve

        key = frozenset(primitive.name for primitive in library)
        if key not in self.known:
            found = {inputs: solve.search(library, inputs) for inputs in (3, 4, 5)}
            self.known[key] = np.array([table in found[inputs] for inputs, table in self.tasks])
        return self.known[key]

    def gain(self, candidate: Library, incumbent: Library) -> float:
        return float(self.hits(candidate).mean() - self.hits(incumbent).mean())

    def bad(self, candidate: Library, incumbent: Library, anchor: Library) -> bool:
        """No better, or more than the guard allows is lost on easy tasks."""
        lost = float((self.easy & self.hits(anchor)).mean() - (self.easy & self.hits(candidate)).mean())
        return self.gain(candidate, incumbent) <= 0.0 or lost > MAX_LOSS


def keep_if_better(anchor: Library, proposals: int, seed: int) -> list[Tested]:
    """A line of its own: the same improver, and one batch of fresh hidden tasks decides each proposal."""
    import audit_improver
    import improve
    import solve

    public = solve.read_tasks(str(EXAMPLE / "system" / "data" / "public.jsonl"))
    incumbent, tried, found = anchor, set(), []
    rng = random.Random(seed)
    for _ in range(20 * proposals):
        if len(found) == proposals:
            break
        candidate, _ = audit_improver.choose(incumbent, public, tried, rng.randrange(2**31))
        if candidate is None:
            continue
        batch = Auditor(rng.randrange(2**31), BATCH)
        tested = Tested(candidate, incumbent, [batch.gain(candidate, incumbent)])
        tested.accepted = tested.gains[0] > 0
        tried.add(improve.names(candidate))
        found.append(tested)
        if tested.accepted:
            incumbent, tried = candidate, set()
    return found


def summary(rule: str, tested: Sequence[Tested], auditor: Auditor, anchor: Library, units: int) -> Row:
    accepted = [t for t in tested if t.accepted]
    gain = sum(auditor.gain(t.candidate, t.incumbent) for t in accepted)
    return {
        "rule": rule, "proposals": len(tested), "accepted": len(accepted),
        "false": sum(auditor.bad(t.candidate, t.incumbent, anchor) for t in accepted),
        "bad": sum(auditor.bad(t.candidate, t.incumbent, anchor) for t in tested),
        "seems": sum(float(np.mean(t.gains)) for t in accepted), "gain": gain, "units": units,
        "rate": 1000.0 * gain / units,
    }  # fmt: skip


def rows(size: Size) -> list[Row]:
    with example(), tempfile.TemporaryDirectory() as scratch:
        import solve

        folder = Path(scratch)
        root = run_loop(folder, MINUTES[size.name])
        tested = read(root)
        auditor, anchor = Auditor(AUDIT_SEED, AUDIT_TASKS), list(solve.read_library(str(EXAMPLE / "system")))
        units = sum(len(t.gains) for t in tested)
        found = [summary("Festina, as a user runs it", tested, auditor, anchor, units)]
        found[0]["certified"] = certified(root)
        for looks in (1, 5):
            replayed = [Tested(t.candidate, t.incumbent, t.gains[:looks]) for t in tested]
            for t in replayed:
                t.accepted = float(np.mean(t.gains)) > 0
            name = f"keep if better on the same proposals, {looks} unit{'s' if looks > 1 else ''}"
            found.append(summary(name, replayed, auditor, anchor, sum(len(t.gains) for t in replayed)))
        for seed in range(1, LINES + 1):
            line = keep_if_better(anchor, len(tested), seed)
            found.append(summary(f"keep if better, line {seed} of its own, 1 unit", line, auditor, anchor, len(line)))
        for path, _, _ in os.walk(folder):
            os.chmod(path, 0o700)  # exported trees are read-only
        return found


TABLES = (
    Table(
        "audit",
        "A real task, audited",
        "The example of this repository (a search that grows its own language) proposes by lot in three ways: "
        "carefully, fitted to twenty public tasks, and at random. `festina run` decides in sandboxes on its hidden "
        "tasks; afterwards every tested proposal is measured on 6,000 tasks drawn for this audit alone. A unit is "
        "one process that answers 40 tasks. Differences are large here, and keep-if-better, which looks at one "
        "unit, gains far more for each unit; it takes what is no better now and then, misses real gains, and its "
        "own scores say little about how good the result is. One run: an example, not a rate.",
        (
            Column("rule", "rule"),
            Column("proposals", "proposals"),
            Column("bad", "of these no better"),
            Column("accepted", "accepted"),
            Column("false", "wrongly"),
            Column("seems", "gain as its own scores say", "+.3f"),
            Column("gain", "audited gain", "+.3f"),
            Column("certified", "certified at 95 %: at least", "+.3f"),
            Column("units", "units", ",d"),
            Column("rate", "audited gain per 1,000 units", "+.3f"),
        ),
    ),
)


def jobs(size: Size) -> list[Job]:
    return [Job("audit", partial(rows, size), 60.0 * MINUTES[size.name])]


def goals(tables: Tables) -> list[Goal]:
    """Nothing wrong was accepted, and what is certified is true."""
    first = tables["audit"][0]
    found = [Goal("audit: wrong acceptances of the real loop", float(str(first["false"])), 0.0, at_most=True)]
    if first["certified"] is not None:
        found.append(
            Goal("audit: certified total gain", float(str(first["certified"])), float(str(first["gain"])), at_most=True)
        )
    return found
