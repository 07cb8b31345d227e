"""Positive controls: each attack is carried out against an undefended evaluator, where it must work.

An attack that does not work there proves nothing by being caught elsewhere; it is then reported as not tested. Results
are kept in the user's cache under a hash of all payloads, undefended evaluators and the interpreter, so that they are
measured once for each version. ``undefended.py.txt`` holds the evaluators.
"""

from __future__ import annotations

import hashlib
import json
import math
import os
import re
import shutil
import tempfile
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from functools import cache
from importlib.resources import files
from pathlib import Path

from festina.drill.model import Verdict
from festina.drill.outside import build
from festina.drill.outside.assault import Assault
from festina.drill.outside.bake import baked
from festina.drill.outside.bench import Bench
from festina.drill.outside.catalog import Attack
from festina.drill.outside.given import Given
from festina.drill.outside.mutants import mutants
from festina.drill.outside.side import WORKERS, workers
from festina.drill.outside.study import Listener, NotScored, brief
from festina.drill.outside.target import parse
from festina.drill.render import count
from festina.errors import Fault
from festina.system.scratch import prefix

LATE = "the time given with --seconds was over before its positive control"
_LOADING = """import importlib.util, sys


def load(path=None):
    spec = importlib.util.spec_from_file_location("program", path or sys.argv[-1])
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
"""


@dataclass(frozen=True)
class Bed:
    """An undefended evaluator."""

    name: str
    target: str
    honest: str
    body: str
    result: str
    candidate: str  # the file name of a candidate
    extra: tuple[tuple[str, str], ...]


@cache
def beds() -> dict[str, Bed]:
    text = files(__package__).joinpath("undefended.py.txt").read_text(encoding="utf-8")
    parts = re.split(r"^#([:=]) (.*)\n", text, flags=re.M)[1:]
    candidates: dict[str, str] = {}
    found: dict[str, Bed] = {}
    for mark, head, body in zip(parts[::3], parts[1::3], parts[2::3], strict=True):
        if mark == "=":
            candidates[head.strip()] = body
            continue
        name, _, rest = head.partition(" ")
        target, _, wanted = rest.rpartition(" = ")
        honest, _, variable = wanted.partition(" : ")
        honest, _, result = honest.partition(" > ")
        if variable:
            target = f"env {variable} {target}"
        file = honest.strip() if "." in honest else "candidate.py"
        extra = tuple(re.findall(r"^#\+ (\S+) (.*)$", body, flags=re.M))
        found[name] = Bed(name, target, candidates[honest.strip()], body, result.strip(), file, extra)
    return found


def version(python: str) -> str:
    """A hash of everything that decides whether a positive control works."""
    here = files(__package__)
    digest = hashlib.sha256(python.encode())
    for name in sorted(each.name for each in here.iterdir() if each.name.endswith((".py", ".toml", ".txt"))):
        digest.update(here.joinpath(name).read_bytes())
    digest.update(build.kit().encode())
    for text in build.sections().values():
        digest.update(text.encode())
    return digest.hexdigest()[:24]


def _store(python: str) -> Path:
    home = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return home / "festina" / f"drill-{version(python)}.json"


def works(
    attacks: Iterable[Attack], python: str, say: Callable[[str], None], until: float = math.inf
) -> dict[str, str]:
    """For each attack: empty when it works on its undefended evaluator, else what happened there. By the monotonic
    clock, no control begins after ``until``."""
    wanted = list(attacks)
    path = _store(python)
    known: dict[str, str] = {}
    if path.is_file():
        try:
            known = {str(k): str(v) for k, v in json.loads(path.read_text(encoding="utf-8")).items()}
        except ValueError:
            known = {}
    missing = [attack for attack in wanted if attack.id not in known]
    if missing:
        say(f"positive controls: {count(len(missing), 'attack')} on undefended evaluators (kept for the next drill)")
        known |= _measure(missing, python, until)
        _keep(path, known)
    return {attack.id: known.get(attack.id, LATE) for attack in wanted}


def _keep(path: Path, known: dict[str, str]) -> None:
    """Best effort: without a cache the controls are measured again."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        fresh = path.with_suffix(f".{os.getpid()}")
        fresh.write_text(json.dumps(known), encoding="utf-8")
        fresh.replace(path)
    except OSError:
        return


def _measure(attacks: list[Attack], python: str, until: float) -> dict[str, str]:
    grouped: dict[str, list[Attack]] = {}
    for attack in attacks:
        grouped.setdefault(attack.bed, []).append(attack)
    with workers(WORKERS) as pool:
        done = [pool.submit(_bed, beds()[name], group, python, until) for name, group in grouped.items()]
        return {key: value for each in done for key, value in each.result().items()}


def _bed(bed: Bed, attacks: list[Attack], python: str, until: float) -> dict[str, str]:
    """Study one undefended evaluator briefly and carry out its attacks, those that begin in time."""
    if time.monotonic() >= until:
        return {}
    work = Path(tempfile.mkdtemp(prefix=prefix("drill-bed")))
    listener = None
    try:
        root = work / "theirs"
        root.mkdir()
        (root / "loading.py").write_text(_LOADING, encoding="utf-8")
        (root / "evaluate.py").write_text(bed.body, encoding="utf-8")
        for name, text in bed.extra:
            (root / name).write_text(
                text.replace("; ", "\n") if name.endswith((".py", ".csv")) else text, encoding="utf-8"
            )
        target = parse(bed.target, root, root)
        limit = 60.0 if target.form == "inspect" else 20.0  # loading Inspect alone takes five seconds of a whole core
        bench = Bench(
            target, work / "work", Given(Path(bed.candidate)), python=python, result=bed.result, timeout=limit
        )
        found = brief(bench, bed.honest)
        listener = Listener(bench.token)
        (work / "attacks").mkdir()
        assault = Assault(found, work / "attacks", 1, listener.port, lambda: listener.count > 0)
        return {attack.id: _one(assault, attack) for attack in attacks if time.monotonic() < until}
    except (NotScored, Fault) as error:
        return {attack.id: f"its undefended evaluator did not run here: {error.what[-200:]}" for attack in attacks}
    finally:
        if listener is not None:
            listener.close()
        shutil.rmtree(work, ignore_errors=True)


def _one(assault: Assault, attack: Attack) -> str:
    if attack.id == "limits/hang":
        assault.hang = 2.0
    if attack.id == "limits/alarm":
        assault.study.facts = replace(assault.study.facts, limited=0.3)
    if attack.id == "resources/crash":
        outcome = assault.study.bench.evaluate(assault.source(attack, attack.section, attack.base))
        return "" if outcome.score == 0 or outcome.score is None else "the crash did not happen"
    if assault.study.honest is None:
        forged = baked(assault.study.known())["FORGED"]
        found = {
            m.attack.id: m
            for m in mutants(assault.study.raw, assault.study.bench.given.file.name, forged, assault.study.bench.base)
        }
        finding = assault.mutant(found[attack.id])
    else:
        finding = assault.attack(attack)
    if finding.verdict in (Verdict.HOLE, Verdict.EXPOSURE):
        return ""
    return f"it did not work on an undefended evaluator: {finding.verdict.value}, {finding.why}"
