"""What a tree's training leaves: made once, kept, and asked as often as a verdict needs.  # S-7

Every tree is trained under the same seed, so that a change that changes nothing makes the same model, and proposing
the same recipe again buys no other draw. A verdict on kept artifacts is about these models. That they were made by a
recipe which does it again is another claim (``train = "each"``).

Kept for as long as an engine runs, in its scratch space; what evidence rests on is kept elsewhere (``Kept``), and so
is a training that failed: here it is tried again. Safe to use from several threads.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Protocol

from festina.ledger.canonical import canonical
from festina.sandbox.job import Ended, Outcome

MOST_BYTES = 4 << 30  # in the scratch space: the oldest go first


@dataclass(frozen=True)
class Made:
    """One training: what it left by name, and how it ended. No file of a training that did not end ok is kept."""

    tree: str
    files: Mapping[str, bytes]
    outcome: Outcome | None  # None: it was not made now
    ended: Ended = Ended.OK

    @cached_property
    def digest(self) -> str | None:
        """The artifact's name: sha256 over its files' names and digests; None where there is none."""
        return artifact_digest({name: sha(data) for name, data in self.files.items()}) if self.files else None


def sha(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def artifact_digest(files: Mapping[str, str]) -> str:
    """The one name of all files of an artifact. ``files``: sha256 in hex by name."""
    return sha(canonical(dict(files)))


class Kept(Protocol):
    """Trainings that evidence rests on, wherever they are kept."""

    def ended(self, tree: str) -> tuple[Ended, str | None] | None:
        """How the tree's one training ended and its artifact's digest; None where there was none."""
        ...

    def files(self, tree: str) -> Mapping[str, bytes]: ...


class Artifacts:
    """The trained trees of one engine. ``seed``: of every training."""

    def __init__(self, seed: int, folder: Path, kept: Kept | None = None) -> None:
        self.seed = seed
        self._folder = folder
        self._outside = kept
        self._lock = threading.Lock()
        self._each: dict[str, threading.Lock] = {}
        self._went: dict[str, Outcome] = {}  # how the trainings of this engine went

    def of(self, tree: str, train: Callable[[], Made]) -> Made:
        """The tree's artifact; ``train`` makes it where it is not there yet. One at a time for a tree."""
        with self._lock:
            mine = self._each.setdefault(tree, threading.Lock())
        with mine:
            made = self._known(tree)
            if made is None:
                made = train()
                if made.outcome is not None:
                    self._went[tree] = made.outcome
                if made.ended is Ended.OK:
                    self._keep(made)
            return made

    def went(self, tree: str) -> Outcome | None:
        """How this engine's training of the tree went; None where it made none."""
        return self._went.get(tree)

    def _known(self, tree: str) -> Made | None:
        known = self._outside.ended(tree) if self._outside is not None else None
        here = self._here(tree)
        if known is None:
            return here
        if known[0] is not Ended.OK:
            return Made(tree, {}, None, known[0])
        if here is None or here.digest != known[1]:
            assert self._outside is not None
            here = Made(tree, self._outside.files(tree), None)
            self._keep(here)
        return here

    def _here(self, tree: str) -> Made | None:
        for place in self._folder.glob(f"{tree}.{'[0-9a-f]' * 64}"):
            files = {str(p.relative_to(place)): p.read_bytes() for p in sorted(place.rglob("*")) if p.is_file()}
            made = Made(tree, files, None)
            if place.suffix == f".{made.digest}":
                return made
            _let_go(place)  # a crash or somebody's hand left another one: it answers nothing
        return None

    def _keep(self, made: Made) -> None:
        """Under its own name, so that what is not whole any more is seen when it is read."""
        half = self._folder / f"{made.tree}.half"
        shutil.rmtree(half, ignore_errors=True)
        for name, data in made.files.items():
            path = half / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(data)
        for old in self._folder.glob(f"{made.tree}.{'[0-9a-f]' * 64}"):
            _let_go(old)
        os.rename(half, self._folder / f"{made.tree}.{made.digest}")
        with self._lock:
            self._shrink(made.tree)

    def _shrink(self, newest: str) -> None:
        """Let the oldest go where all take more than ``MOST_BYTES``; none that another thread is at work on."""
        places = sorted((p for p in self._folder.iterdir() if len(p.suffix) == 65), key=lambda p: p.stat().st_mtime)
        sizes = {place: sum(f.stat().st_size for f in place.rglob("*") if f.is_file()) for place in places}
        total = sum(sizes.values())
        for place in places:
            if total <= MOST_BYTES:
                return
            mine = self._each.setdefault(place.stem, threading.Lock())
            if place.stem == newest or not mine.acquire(blocking=False):
                continue
            try:
                _let_go(place)
            finally:
                mine.release()
            total -= sizes[place]


def _let_go(place: Path) -> None:
    shutil.rmtree(place, ignore_errors=True)


def of_outcome(tree: str, outcome: Outcome) -> Made:
    """A training as it came out of its box."""
    well = outcome.ended is Ended.OK
    return Made(tree, dict(outcome.outputs) if well else {}, replace(outcome, outputs={}), outcome.ended)
