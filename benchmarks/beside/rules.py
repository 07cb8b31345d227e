"""Festina's own choices in one process: its archive and its gate on the same stream, without boxes, verifier or ledger.

``propose/archive.py`` and ``select/gate.py`` decide as they do in the engine, and runs are counted as it charges them
(tries, and both sides of every unit). It costs a tenth of the engine's processor time, so that more seeds can be had.
"""

from __future__ import annotations

from pathlib import Path
from statistics import fmean

from beside.endpoint import Stream
from beside.loops import Played, ask, changed
from beside.tasks import Task, TinyLM
from festina.select.budget import SEARCHED
from searching.loops import Play
from searching.systems import Edge


class Fed:
    """A task as ``searching.loops`` wants a system; its changes come from the endpoint."""

    def __init__(self, task: Task, stream: Stream) -> None:
        self._task, self._stream = task, stream
        self.name, self.start, self.detect = task.name, task.start, task.detect / task.width
        self.kind, self.most = task.kind, task.most
        self._each: dict[str, list[float] | None] = {}

    def public(self, tree: str, seed: int) -> float | None:
        each = self.public_each(tree)  # the same in every run, where there is any
        if each is not None:
            return fmean(each)
        found = self._task.public(tree)
        return None if found is None else found / self._task.width

    def public_each(self, tree: str) -> list[float] | None:
        if tree not in self._each:
            self._each[tree] = self._task.public_each(tree)
        found = self._each[tree]
        return None if found is None else [each / self._task.width for each in found]

    def unit(self, tree: str, seed: int) -> float:
        return self._task.unit(tree, seed) / self._task.width

    def truth(self, tree: str) -> float:
        return self._task.truth(tree)

    def child(self, tree: str, own: str, past: list[Edge], seed: int) -> str:
        return changed(ask(self._stream, f"# Current Program\n```\n{tree}```\n"), tree)


class Line(Play):
    """Keeps what was accepted, in order."""

    def __post_init__(self) -> None:
        super().__post_init__()
        self.line = [self.head]

    def test(self, tree: str) -> bool | None:
        won = super().test(tree)
        if won:
            self.line.append(tree)
        return won


class FedOnce(Fed):
    """The same where a tree is trained once, and its artifact answers public items and every batch of a test."""

    def __init__(self, task: TinyLM, stream: Stream) -> None:
        super().__init__(task, stream)
        self._trained = task

    def public_each(self, tree: str) -> list[float] | None:
        if tree not in self._each:
            self._each[tree] = self._trained.kept_each(tree, self._trained.shown)
        found = self._each[tree]
        return None if found is None else [each / self._task.width for each in found]

    def unit(self, tree: str, seed: int) -> float:
        return self._trained.kept_unit(tree, seed) / self._task.width


def festina_rules(
    task: Task, kind: str, stream: Stream, runs: int, folder: Path, once: bool = False, spread: float = SEARCHED
) -> Played:
    if once:
        assert isinstance(task, TinyLM)
    play = Line(FedOnce(task, stream) if once else Fed(task, stream), task.seed, runs, spread=spread)
    play.share = TinyLM.ANSWERING if once else 1.0
    play.play("mixed")
    return Played(tuple(play.line), round(play.used))
