"""Three loops over one endpoint, each as it is: OpenEvolve's package, autoresearch's rule, and ``festina run``.

Each gets as many runs of the system as the others and asks the same stream. ``Played`` is what came of it.
"""

from __future__ import annotations

import http.client
import json
import os
import re
import resource
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

from beside.endpoint import Stream
from beside.tasks import POLICY, Task
from festina.ledger import entries as e
from festina.ledger.log import Ledger
from festina.loop.state import fold
from festina.system import home as homes
from festina.system.repo import Repo

HERE = Path(__file__).resolve().parent
LIMIT_S = 3600


@dataclass(frozen=True)
class Played:
    """``line``: the programs that the loop held for its best, in order, the start first. ``runs``: of the system."""

    line: tuple[str, ...]
    runs: int


def keep_if_better(task: Task, kind: str, stream: Stream, runs: int, folder: Path) -> Played:
    """autoresearch's rule (karpathy/autoresearch, program.md): one run a change, kept if its number is better."""
    line, best = [task.start], task.public(task.start)
    for _ in range(runs - 1):
        made = changed(ask(stream, f"# Score\n{best}\n\n# Current Program\n```\n{line[-1]}```\n"), line[-1])
        score = task.public(made)
        if score is not None and (best is None or score > best):
            line.append(made)
            best = score
    return Played(tuple(line), runs)


def ask(stream: Stream, prompt: str) -> str:
    where = re.fullmatch(r"http://([\d.]+):(\d+)(/v1)", stream.url)
    assert where is not None
    link = http.client.HTTPConnection(where[1], int(where[2]), timeout=60)
    body = json.dumps({"model": "scripted", "messages": [{"role": "user", "content": prompt}]})
    link.request("POST", where[3] + "/chat/completions", body, {"Content-Type": "application/json"})
    answer = json.loads(link.getresponse().read())
    link.close()
    return answer["choices"][0]["message"]["content"]


def changed(answer: str, text: str) -> str:
    found = re.search(r"<<<<<<< SEARCH\n(.*?)\n=======\n(.*?)\n>>>>>>> REPLACE", answer, re.DOTALL)
    assert found is not None
    assert found[1] in text
    return text.replace(found[1], found[2])


def openevolve(task: Task, kind: str, stream: Stream, runs: int, folder: Path) -> Played:
    """Its whole loop: prompts, islands, archive, worker processes; what it tracks as its best."""
    log = folder / "log.jsonl"
    environment = os.environ | {"BESIDE_TASK": kind, "BESIDE_SEED": str(task.seed), "BESIDE_LOG": str(log)}
    _call([sys.executable, str(HERE / "openevolve_loop.py"), stream.url, str(runs), str(folder)], environment)
    line: list[str] = []
    best = -float("inf")
    rows = [json.loads(row) for row in log.read_text().splitlines()]
    for row in rows:
        if row["score"] is not None and row["score"] > best:
            line.append(row["text"])
            best = row["score"]
    assert line[-1].strip() == (folder / "best").read_text().strip(), "its best is not what scored best"
    return Played(tuple(text.rstrip("\n") + "\n" for text in line), len(rows))


MANIFEST = """
[improver]
use = "model"
tries = 1
task = "make it better"
{archive}
[model]
endpoint = "{url}"
names = ["scripted"]
"""


def festina(task: Task, kind: str, stream: Stream, runs: int, folder: Path, archive: str = "") -> Played:
    """The engine as a user runs it: boxes, verifier, ledger and gate; the model is asked over HTTP."""
    system = folder / "system"
    task.lay_out(system)
    manifest = (system / "festina.toml").read_text()
    assert POLICY in manifest
    (system / "festina.toml").write_text(manifest + MANIFEST.format(url=stream.url, archive=archive))
    environment = os.environ | {"FESTINA_HOME": str(folder / "home")}
    git = ["git", "-c", "user.name=benchmark", "-c", "user.email=benchmark@example.invalid", "-C", str(system)]
    for argv in (["init", "-q"], ["add", "-A"], ["commit", "-qm", "Generation 0"]):
        _call([*git, *argv], environment)
    engine = [sys.executable, "-m", "festina"]
    generator = str(folder / "generator.py")
    _call([*engine, "vault", "-C", str(system), "add", "hidden", "--generator", generator], environment)
    limits = ["--trials", str(runs), "--budget", f"{LIMIT_S}s", "--workers", "1", "--yes"]
    _call([*engine, "run", "-C", str(system), *limits], environment, allowed=(0, 4, 5))
    return _read(task, system, folder / "home")


def _read(task: Task, system: Path, home: Path) -> Played:
    before = os.environ.get("FESTINA_HOME")
    os.environ["FESTINA_HOME"] = str(home)
    try:
        repo = Repo.discover(system)
        with Ledger.open(homes.require(repo).ledger, readonly=True) as ledger:
            records = list(ledger.records())
    finally:
        os.environ.pop("FESTINA_HOME")
        if before is not None:
            os.environ["FESTINA_HOME"] = before
    verdicts = [record.body for record in records if isinstance(record.body, e.Verdict)]
    trees = [body.tree for body in verdicts if body.verdict == "accept"]
    show = ["git", "-C", str(system), "show"]
    line = [subprocess.check_output([*show, f"{tree}:{task.file}"], text=True) for tree in trees]
    return Played((task.start, *line), fold(iter(records)).trials)


def _call(argv: list[str], environment: dict[str, str], allowed: tuple[int, ...] = (0,)) -> None:
    done = subprocess.run(argv, env=environment, capture_output=True, text=True, timeout=LIMIT_S + 300, check=False)
    if done.returncode not in allowed:
        raise RuntimeError(f"{' '.join(argv[:4])} ended with {done.returncode}:\n{done.stderr[-3000:]}")


def cpu_s() -> float:
    """Processor time of this process and of those that it waited for."""
    mine = resource.getrusage(resource.RUSAGE_CHILDREN)
    return time.process_time() + mine.ru_utime + mine.ru_stime
