"""Evaluate one candidate on a fresh copy of the evaluator and read the score.

Invariants: every evaluation has a copy, a home and a temp folder of its own (two evaluations share them only when
that is what is tested); the score of an attack is read exactly as the honest one was; the user's files are never the
copy's.
"""

from __future__ import annotations

import json
import math
import secrets
import shlex
import shutil
import sys
import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from festina.drill.outside import build, execute, scoring
from festina.drill.outside.copies import Room, digest, pristine, room
from festina.drill.outside.given import Given
from festina.drill.outside.recon import Event, parse_events
from festina.drill.outside.target import Target

TAKEN = "code of the candidate ran in the evaluator"
HARNESS = Path(__file__).with_name("harness.py")


@dataclass(frozen=True)
class Outcome:
    """One evaluation of one candidate."""

    score: float | None  # as the evaluator gave it; None: no score
    ended: execute.Ended
    numbers: Mapping[str, float]
    events: tuple[Event, ...] = ()
    changed: tuple[str, ...] = ()  # files of the evaluator that are no longer what they were

    @property
    def effects(self) -> list[Event]:
        return [each for each in self.events if each["event"] == "effect"]

    def taken_over(self) -> bool:
        """Did code from the candidate's output run in another process than the one that made that output?"""
        makers = {each.get("pid") for each in self.events if each["event"] == "made"}
        return any(each.get("what") == TAKEN and each.get("pid") not in makers for each in self.effects)


@dataclass
class Bench:
    """Where candidates are evaluated. ``reading`` is set once, from an honest run."""

    target: Target
    work: Path
    given: Given  # the honest candidate: every other one takes its place and its name
    python: str = sys.executable
    result: str = ""  # a results file that the evaluator writes, relative to where it runs
    inside: str = ""  # candidates lie here below the evaluator's folder; empty: in a folder of their own
    fixed: bool = False  # the evaluator looks for its candidate there, and nowhere else
    workers: int = 2  # evaluations side by side
    timeout: float = 60.0
    reading: scoring.Reading | None = None
    honest_status: int = 0
    token: str = field(default_factory=lambda: secrets.token_hex(8))
    evaluations: int = 0
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def __post_init__(self) -> None:
        self.base = self.work / "pristine"
        pristine(self.target.root, self.base)
        self.files = digest(self.base)

    def fresh(self) -> Room:
        with self._lock:
            self.evaluations += 1
            number = self.evaluations
        return room(self.work / "runs" / f"{number:04d}", self.base)

    def candidate(self, made: Room) -> Path:
        return made.root / self.inside if self.inside else made.candidates / self.given.path.resolve().name

    def evaluate(
        self,
        source: str,
        *,
        made: Room | None = None,
        keep: bool = False,
        timeout: float = 0.0,
        given: Given | None = None,
    ) -> Outcome:
        """``source`` may hold ``@ROOT@``, ``@CHAN@``, ``@HOME@``, ``@TOP@`` and ``@CAND@``, which become this
        room's."""
        own = made is None
        made = made or self.fresh()
        channel = made.top / "events"
        channel.unlink(missing_ok=True)
        path = self.candidate(made)
        file = self._laid(path, given or self.given)
        for mark, real in (
            ("@ROOT@", made.root),
            ("@CHAN@", channel),
            ("@HOME@", made.home),
            ("@TOP@", made.top),
            ("@CAND@", file.parent),
        ):
            source = source.replace(mark, str(real))
        file.write_text(build.pack(source), encoding="utf-8", errors="surrogateescape")
        ended = execute.run(self._call(made, path, timeout or self.timeout))
        score, numbers = self._score(made, ended)
        after = digest(made.root) if made.root.is_dir() else {}
        changed = tuple(name for name, value in self.files.items() if after.get(name) != value and not self.own(name))
        changed += tuple(n for n in after if n not in self.files and n.endswith(".py") and not self.own(n))
        outcome = Outcome(score, ended, numbers, parse_events(channel), changed)
        if own and not keep:
            shutil.rmtree(made.top, ignore_errors=True)
        return outcome

    def _laid(self, path: Path, given: Given) -> Path:
        """The file that the candidate's source goes to; a folder's other files are laid beside it."""
        path.parent.mkdir(parents=True, exist_ok=True)
        if not given.entry:
            return path
        shutil.rmtree(path, ignore_errors=True)
        pristine(given.path, path)
        return path / given.entry

    def own(self, name: str) -> bool:
        """Does this file of the evaluator's folder belong to the candidate?"""
        return bool(self.inside) and (name == self.inside or name.startswith(f"{self.inside}/"))

    def _call(self, made: Room, path: Path, timeout: float) -> execute.Call:
        env = execute.environment(made.home, made.tmp, {"FD_CANARY": self.token})
        cwd = made.root / self.target.cwd
        if self.target.form == "function":
            job = {
                "file": str(made.root / self.target.file),
                "function": self.target.name,
                "candidate": str(path),
                "answer": str(made.top / "answer"),
            }
            (made.top / "answer").unlink(missing_ok=True)
            argv: tuple[str, ...] = (self.python, str(HARNESS), json.dumps(job))
        elif self.target.form == "inspect":
            job = {
                "file": str(made.root / self.target.file),
                "task": self.target.name,
                "candidate": str(path),
                "answer": str(made.top / "answer"),
                "logs": str(made.top / "logs"),
            }
            (made.top / "answer").unlink(missing_ok=True)
            argv = (self.python, str(HARNESS.with_name("inspectharness.py")), json.dumps(job))
        elif self.target.shell:
            text = self.target.text.replace(f"{self.target.root}/", f"{made.root}/")
            argv = ("/bin/sh", "-c", text.replace("{candidate}", shlex.quote(str(path))))
        else:
            argv = tuple(
                word.replace("{root}", str(made.root)).replace("{candidate}", str(path)) for word in self.target.argv
            )
        if self.result:
            (cwd / self.result).unlink(missing_ok=True)
        return execute.Call(argv, cwd, env, made.top / "streams", timeout)

    def _score(self, made: Room, ended: execute.Ended) -> tuple[float | None, Mapping[str, float]]:
        if ended.ended != "exit":
            return None, {}
        if self.target.form != "command":
            numbers = _answer(made.top / "answer")
            if self.reading is None:
                return None, numbers
            return scoring.of(numbers, self.reading.name) if numbers else None, numbers
        text = self.text(made, ended)
        numbers = scoring.last_json(text) or scoring.named(text)
        if self.reading is None:
            return None, numbers
        return scoring.read(text, ended.status, self.reading, self.honest_status), numbers

    def text(self, made: Room, ended: execute.Ended) -> str:
        """What the score is read from."""
        if not self.result:
            return ended.stdout
        path = made.root / self.target.cwd / self.result
        try:
            return path.read_text(encoding="utf-8", errors="replace") if path.stat().st_size < 16 << 20 else ""
        except OSError:
            return ""

    def signed(self, outcome: Outcome) -> float | None:
        """The score so that more is better."""
        if outcome.score is None or self.reading is None:
            return None
        return outcome.score * self.reading.sign


def _answer(path: Path) -> dict[str, float]:
    try:
        found: Any = json.loads(path.read_bytes())
    except (OSError, ValueError):
        return {}
    if not isinstance(found, dict):
        return {}
    return {key: float(value) for key, value in found.items() if isinstance(value, int | float)}


def finite(values: Mapping[str, float]) -> dict[str, float]:
    return {key: value for key, value in values.items() if math.isfinite(value)}
