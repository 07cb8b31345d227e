"""Two cheap systems whose true score can be had: a small training recipe, and a language that a search grows.

``recipe`` are the settings of a numpy network that is trained with a fixed amount of counted work on noisy spirals; the
built-in search changes them. A run prints its loss, so its gate is the test for few seeds. ``library`` is
``examples/library``; its changes are one word of the language each, drawn from what the incumbent's language finds
or dropped by lot, and nobody tries them out before. Its gate counts hidden tasks solved.

Everything is run in this process: candidates here are made by the built-in search, which writes no hostile code.
"""

from __future__ import annotations

import json
import random
import sys
from dataclasses import dataclass, field
from difflib import unified_diff
from functools import lru_cache
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from festina.propose.past import read_past
from festina.propose.source import config_knobs
from festina.propose.strategy import Space, suggest

EXAMPLE = Path(__file__).resolve().parents[2] / "examples" / "library"
Tree = Any  # what a system's trees are: settings as bytes, or a tuple of primitives
Array = Any
FILE = "recipe.json"
FAR = 5.0  # a loss beyond it is as bad as any


@dataclass(frozen=True)
class Edge:
    """One earlier change: which tree it changed, what came of it, in a word and, where it was tried, in public."""

    before: Any
    after: Any
    word: str
    gain: float | None = None


class System(Protocol):
    """``public`` is a scratch run, ``public_each`` the same item by item where every run is alike, ``unit`` one side of
    a unit of the gate, ``truth`` is on what is never used.
    """

    name: str
    start: Tree
    kind: str
    detect: float
    most: int

    def public(self, tree: Tree, seed: int) -> float | None: ...
    def public_each(self, tree: Tree) -> list[float] | None: ...
    def unit(self, tree: Tree, seed: int) -> float: ...
    def truth(self, tree: Tree) -> float: ...
    def child(self, tree: Tree, own: Tree, past: list[Edge], seed: int) -> Tree: ...


SETTINGS = b"""{
  "lr": 0.05,
  "batch": 96,
  "hidden": 6,
  "momentum": 0.0,
  "weight_decay": 0.005,
  "init_std": 0.2,
  "warmup": 0.5,
  "clip": 0.2,
  "smoothing": 0.1,
  "noise": 0.3,
  "frequencies": 1,
  "frequency_scale": 0.2,
  "relu": false
}
"""
WORK = 200_000  # multiply-adds of one training run
STEPS = 80  # whose overhead the work does not count


def features(s: dict[str, Any], x: Array) -> Array:
    scales = [s["frequency_scale"] * (k + 1) for k in range(s["frequencies"])]
    waves = [f(scale * x) for scale in scales for f in (np.sin, np.cos)]
    return np.concatenate([x, *waves, np.ones((len(x), 1))], axis=1)


def act(s: dict[str, Any], z: Array) -> Tree:
    return np.maximum(z, 0.0) if s["relu"] else np.tanh(z)


def train(s: dict[str, Any], rng: Array, x: Array, y: Array) -> Tree:
    """A network with one hidden layer, by stochastic gradient descent; (input weights, output weights)."""
    width = features(s, x[:1]).shape[1]
    a, b = (rng.normal(0.0, s["init_std"], shape) for shape in ((width, s["hidden"]), (s["hidden"], 1)))
    va, vb = np.zeros_like(a), np.zeros_like(b)
    steps = min(STEPS, int(WORK / (6 * s["batch"] * s["hidden"] * (width + 1))))
    for step in range(steps):
        rows = rng.integers(0, len(x), s["batch"])
        f = features(s, x[rows] + rng.normal(0.0, s["noise"], (s["batch"], x.shape[1])))
        t = y[rows] * (1.0 - 2.0 * s["smoothing"]) + s["smoothing"]
        h = act(s, f @ a)
        p = 1.0 / (1.0 + np.exp(-np.clip(h @ b, -30.0, 30.0)))
        e = (p - t) / s["batch"]
        gb = h.T @ e + s["weight_decay"] * b
        ga = f.T @ ((e @ b.T) * ((h > 0.0) * 1.0 if s["relu"] else 1.0 - h * h)) + s["weight_decay"] * a
        size = float(np.sqrt((ga * ga).sum() + (gb * gb).sum()))
        if size > s["clip"]:
            ga, gb = ga * s["clip"] / size, gb * s["clip"] / size
        rate = s["lr"] * min(1.0, (step + 1) / (s["warmup"] * steps + 1))
        va, vb = s["momentum"] * va - rate * ga, s["momentum"] * vb - rate * gb
        a, b = a + va, b + vb
    return a, b


def spirals(seed: int, count: int) -> tuple[Any, Any]:
    rng = np.random.default_rng(seed)
    side = rng.integers(0, 2, count)
    turn = rng.uniform(0.3, 2.0, count)
    angle = 2.5 * turn + np.pi * side
    x = np.stack([turn * np.cos(angle), turn * np.sin(angle)], axis=1) + rng.normal(0.0, 0.12, (count, 2))
    return x, side[:, None].astype(float)


def valid(_path: str, data: bytes) -> bool:
    try:
        json.loads(data)
    except ValueError:
        return False
    return True


@lru_cache(4000)
def _space(data: bytes) -> Space:
    return Space({FILE: data}, list(config_knobs(FILE, data)), [])


@lru_cache(20_000)
def _patch(old: bytes, new: bytes) -> str:
    lines = list(unified_diff(old.decode().split("\n"), new.decode().split("\n"), f"a/{FILE}", f"b/{FILE}",
                              lineterm=""))  # fmt: skip
    return "\n".join([f"diff --git a/{FILE} b/{FILE}", *lines, ""])


@dataclass
class Recipe:
    """Trees are settings; a higher score is a lower loss."""

    name: str = "recipe"
    kind: str = "symmetric"
    detect: float = 0.0
    most: int = 60
    start: bytes = SETTINGS
    known: dict[bytes, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.data = spirals(1, 400)
        self.shown, self.fresh = spirals(2, 600), spirals(3, 3000)

    def _score(self, tree: bytes, seed: int, on: tuple[Any, Any]) -> float | None:
        s = json.loads(tree)
        if not 0 < s["hidden"] * s["batch"] < 1 << 18 or not 0 <= s["frequencies"] < 64:
            return None
        try:
            with np.errstate(all="ignore"):
                a, b = train(s, np.random.default_rng(seed), *self.data)
        except (ValueError, TypeError, ZeroDivisionError):  # settings that no training can use
            return None
        z = np.clip(act(s, features(s, on[0]) @ a) @ b, -30.0, 30.0)
        loss = float(np.mean(np.logaddexp(0.0, z) - on[1] * z))
        return -min(loss, FAR) if np.isfinite(loss) else None

    def public(self, tree: bytes, seed: int) -> float | None:
        return self._score(tree, seed, self.shown)

    def public_each(self, tree: bytes) -> list[float] | None:
        return None  # it prints its loss

    def unit(self, tree: bytes, seed: int) -> float:
        found = self._score(tree, seed, self.shown)
        return -FAR if found is None else found

    def truth(self, tree: bytes) -> float:
        """Mean loss of eight fresh seeds on points that nothing else uses."""
        if tree not in self.known:
            scores = [self._score(tree, 10**9 + k, self.fresh) for k in range(8)]
            self.known[tree] = float(np.mean([-FAR if x is None else x for x in scores]))
        return self.known[tree]

    def child(self, tree: bytes, own: bytes, past: list[Edge], seed: int) -> bytes | None:
        rows = [(edge.word, "", _patch(edge.before, edge.after), edge.gain) for edge in past[-100:]]
        found = suggest(
            _space(tree), read_past(rows, {FILE: tree}), seed=seed, max_changed_lines=200, valid=valid
        )
        return None if found is None else found.files[FILE]


class Library:
    """Trees are languages, as tuples of primitives; a score is a share of tasks solved."""

    name, kind, detect, most = "library", "bounded", 0.04, 2000

    def __init__(self, cut: int = 0) -> None:
        sys.path[:0] = [str(EXAMPLE)]
        import chains

        self.chains, self.improve, self.solve = chains, chains.improve, chains.solve
        self.start = tuple(self.solve.read_library(EXAMPLE / "system"))
        self.shown = chains.public_tasks(7000 + cut)
        pool = chains.as_tasks(chains.generator.draw(8000 + cut, 6000, 1))
        self.hidden, self.fresh = pool[:3000], pool[3000:]
        self.tables: dict[Any, dict[int, Any]] = {}
        self.pools: dict[Any, list[Any]] = {}

    def language(self, words: tuple[str, ...]) -> Tree:
        """The words, as they are found one after the other in what is solved."""
        known: dict[str, Any] = {}
        while missing := [word for word in words if word not in known]:
            own = [*known.values(), *self.start]
            found = {p.name: p for p in self.improve.mine(own, self.shown)}
            if not any(word in found for word in missing):
                raise LookupError(f"not found: {missing}")
            known |= {word: found[word] for word in missing if word in found}
        return tuple(known[word] for word in words)

    def _found(self, tree: Tree) -> dict[int, Any]:
        key = self.improve.names(tree)
        if key not in self.tables:
            self.tables[key] = {n: frozenset(self.solve.search(list(tree), n)) for n in (3, 4, 5)}
        return self.tables[key]

    def _share(self, tree: Tree, tasks: list[Any]) -> float:
        found = self._found(tree)
        return sum(table in found[n] for _, n, table in tasks) / len(tasks)

    def public(self, tree: Tree, seed: int) -> float | None:
        return self._share(tree, self.shown)

    def public_each(self, tree: Tree) -> list[float] | None:
        found = self._found(tree)
        return [float(table in found[n]) for _, n, table in self.shown]

    def unit(self, tree: Tree, seed: int) -> float:
        return self._share(tree, random.Random(seed).sample(self.hidden, 40))

    def truth(self, tree: Tree) -> float:
        return self._share(tree, self.fresh)

    def child(self, tree: Tree, own: Tree, past: list[Edge], seed: int) -> Tree:
        rng = random.Random(seed)
        key = self.improve.names(own)
        if key not in self.pools:
            self.pools[key] = self.improve.mine(list(own), self.shown)
        pool = [p for p in self.pools[key][:60] if p.name not in self.improve.names(tree)]
        if (len(tree) > 1 and rng.random() < 0.25) or not pool:
            gone = rng.randrange(len(tree))
            return tree[:gone] + tree[gone + 1 :] if len(tree) > 1 else None
        return (rng.choice(pool), *tree)


TUNED = {
    "lr": 1.0, "batch": 32, "hidden": 16, "momentum": 0.9, "weight_decay": 0.0001, "init_std": 0.5, "warmup": 0.1,
    "clip": 5.0, "smoothing": 0.01, "noise": 0.1, "frequencies": 2, "frequency_scale": 1.0, "relu": False,
}  # fmt: skip
WORDS = ("f2_8", "f2_e", "f2_6", "f3_7e", "f3_e8")  # the language that examples/library ends with


class Tuned:
    """The same system, begun where a search has been already."""

    def __init__(self, system: Array) -> None:
        self._system = system
        self.name = f"tuned {system.name}"
        self.start: Any = json.dumps(TUNED, indent=2).encode() + b"\n"
        if isinstance(system, Library):
            self.start = system.language(WORDS)

    def __getattr__(self, name: str) -> Tree:
        return getattr(self._system, name)
