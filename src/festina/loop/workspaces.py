"""Where a run's trees lie on disk, and which box runs them: one tree in full, the others as thin layers over it where
the box can show layers.

Exports are caches in the home's scratch space: made once an engine, swept at the start of the next.
"""

from __future__ import annotations

import threading
from contextlib import ExitStack
from pathlib import Path

from festina.experiment.trial import TREE
from festina.sandbox import WarmBox, choose, warmed
from festina.sandbox.gpu import require
from festina.sandbox.job import Bind, Level, Sandbox
from festina.system.home import Home
from festina.system.layers import Base
from festina.system.manifest import Manifest
from festina.system.manifest_checks import is_python
from festina.system.repo import Repo

__all__ = ["Workspaces", "box_for", "export"]

_exporting = threading.Lock()  # the sides of several units may ask for one tree at once


def box_for(stack: ExitStack, level: Level, home: Home, manifest: Manifest) -> Sandbox:
    """The box for candidates; a warm one where the manifest names modules to load and the host can confine."""
    if manifest.experiment.gpu:
        require()  # before anything is recorded or spent
    cold = choose(level, home.work)
    modules = manifest.experiment.preload
    if not modules:
        return cold
    commands = (manifest.command, manifest.experiment.answer or ())
    python = next(command[0] for command in commands if is_python(command))
    warm = warmed(cold, modules, python)
    if isinstance(warm, WarmBox):
        stack.callback(warm.close)
        warm.start()
    return warm


def export(repo: Repo, home: Home, tree: str) -> Path:
    """Export ``tree`` in full into the home's scratch space, once. Safe to call from several threads."""
    target = home.work / "trees" / tree
    with _exporting:
        if not target.exists():
            target.parent.mkdir(parents=True, exist_ok=True)
            repo.export_tree(tree, target)
    return target


class Workspaces:
    """How a candidate's tree is shown. ``first`` is the tree that is there in full. Safe to share between threads."""

    def __init__(self, repo: Repo, home: Home, first: str, *, layers: bool) -> None:
        self._repo = repo
        self._home = home
        self._first = first
        self._layers = layers
        self._base: Base | None = None
        self._lock = threading.Lock()

    def show(self, tree: str) -> Bind:
        if not self._layers or tree == self._first:
            return Bind(export(self._repo, self._home, tree), TREE)
        with self._lock:
            if self._base is None:
                self._base = self._repo.layer_base(self._first, export(self._repo, self._home, self._first))
            target = self._home.work / "layers" / tree
            if not target.exists():
                target.parent.mkdir(parents=True, exist_ok=True)
                self._repo.export_layer(self._base, tree, target)
        return Bind(target, TREE, below=(self._base.path,))
