"""What is improved: one file of an example, changed at random, run on public evidence, and known in truth.

``change`` is one step of the proposer's stream: what it does to a program follows from the program and the step's
number alone. ``public`` is one run on the items that every loop may look at; ``truth`` is the score on items that
nothing else uses. Scores are such that higher is better.

* ``library``: the language of ``examples/library``; a step puts in a word that the program's own language finds in
  the public tasks, or takes one out by lot. ``public`` tasks: 800 as shipped, or few. "grown" begins at the language
  that the example ends with, where most changes harm. What the vault draws and what measures the truth are independent
  draws of the same law, on tables that no public task has.
* ``packing``: the rule of ``examples/packing``; a step adds a random term, takes one out, or scales a number.
* ``tinylm``: ``train.py`` of ``examples/tinylm`` at a reduced budget of counted work; a step is
  one edit of its improver.
"""

from __future__ import annotations

import json
import random
import shutil
import statistics
import sys
from functools import cached_property, lru_cache, partial
from pathlib import Path
from typing import Any

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"
Module = Any  # of an example: they are read by a bare interpreter and have no types
Rule = Any
GROWN = ("f2_8", "f2_e", "f2_6", "f3_7e", "f3_e8")  # the language that examples/library ends with
POLICY = """
[policy]
alpha = 0.05
plant_rate = 0.0
attribution = { share = 0 }
autonomy = "release-by-approval"
debt = { generations = 1000, lines = 1000000 }
"""


class Task:
    """One system with one cut of its evidence; ``name`` is what ``task_of`` reads."""

    name: str
    file: str
    runs: int  # a fair budget
    width, detect = 1.0, 0.04  # of the hidden score's range; gain worth finding
    kind, most = "bounded", 2000  # the test of its manifest, and its longest

    def __init__(self, seed: int) -> None:
        self.seed = seed

    @property
    def start(self) -> str:
        raise NotImplementedError

    def change(self, text: str, rng: random.Random) -> str | None:
        raise NotImplementedError

    def public(self, text: str) -> float | None:
        """None: it does not run."""
        each = self.public_each(text)
        return None if each is None else statistics.fmean(each)

    def public_each(self, text: str) -> list[float] | None:
        """The same, item by item; None also where a run has luck of its own."""
        return None

    def unit(self, text: str, seed: int) -> float:
        """One side of a unit of the gate: the hidden items that the vault would draw for ``seed``."""
        raise NotImplementedError

    def truth(self, text: str) -> float:
        raise NotImplementedError

    def lay_out(self, folder: Path) -> None:
        """The tree that Festina improves, with its manifest but for ``[improver]``, and ``generator.py`` beside it."""
        raise NotImplementedError


def step(task: Task, text: str, number: int) -> str:
    """What the proposer makes of a program at its step ``number``; the program itself where it knows nothing."""
    rng = random.Random(f"{task.name}/{task.seed}/{number}")
    for _ in range(50):
        made = task.change(text, rng)
        if made is not None and made.strip() != text.strip():
            return made
    return text


def _copy(source: Path, folder: Path, *leave_out: str) -> None:
    shutil.copytree(source, folder, ignore=shutil.ignore_patterns("__pycache__", "festina.toml", *leave_out))


class Library(Task):
    file, runs = "library.json", 600

    def __init__(self, seed: int, shown: int = 800, grown: bool = False) -> None:
        super().__init__(seed)
        self.shown, self.grown = shown, grown
        self.name = ("grown " if grown else "") + ("library" if shown == 800 else f"library with {shown} public tasks")
        sys.path[:0] = [str(EXAMPLES / "library")]
        import chains

        self.chains, self.improve, self.solve = chains, chains.improve, chains.solve
        self.mined: dict[str, Any] = {}
        self.found: dict[str, dict[int, frozenset[str]]] = {}

    def _solved(self, text: str, tasks: list[Any]) -> float:
        return statistics.fmean(self._each(text, tasks))

    def _each(self, text: str, tasks: list[Any]) -> list[float]:
        """1 for each task that a language solves, else 0; what it reaches is worked out once."""
        if text not in self.found:
            words = self._read(text)
            self.found[text] = {n: frozenset(self.solve.search(words, n)) for n in {n for _, n, _ in self.tasks}}
        found = self.found[text]
        return [float(table in found[inputs]) for _, inputs, table in tasks]

    @cached_property
    def tasks(self) -> list[Any]:
        return self.chains.public_tasks(7000 + self.seed, self.shown)

    @cached_property
    def fresh(self) -> list[Any]:
        return self.chains.as_tasks(self.chains.generator.draw(8000 + self.seed, 8000, 1))

    @cached_property
    def vault(self) -> list[Any]:
        return self.chains.as_tasks(self.chains.generator.draw(9000 + self.seed, 8000, 1))

    def unit(self, text: str, seed: int) -> float:
        return self._solved(text, random.Random(seed).sample(self.vault, 40))

    @cached_property
    def start(self) -> str:
        words = self.solve.read_library(EXAMPLES / "library" / "system")
        if self.grown:
            words = self._grown(words)
        return self.solve.library_text(words)

    def _grown(self, words: list[Any]) -> list[Any]:
        """``GROWN``, each found by a language that tries what was found before it first. Raises ``LookupError``."""
        tasks, known = self.chains.public_tasks(7000 + self.seed), dict[str, Any]()
        while missing := [word for word in GROWN if word not in known]:
            found = {p.name: p for p in self.improve.mine([*known.values(), *words], tasks)}
            if not any(word in found for word in missing):
                raise LookupError(f"library, seed {self.seed}: its public tasks have no {', '.join(missing)}")
            known |= {word: found[word] for word in missing if word in found}
        return [known[word] for word in GROWN]

    def _read(self, text: str) -> list[Any]:
        rows = json.loads(text)["primitives"]
        return [self.solve.Primitive(row["name"], row["inputs"], tuple(map(tuple, row["gates"]))) for row in rows]

    def change(self, text: str, rng: random.Random) -> str | None:
        words = self._read(text)
        if text not in self.mined:
            self.mined[text] = self.improve.mine(words, self.tasks)[:60]
        pool = [p for p in self.mined[text] if p.name not in self.improve.names(words)]
        if (len(words) > 1 and rng.random() < 0.25) or not pool:
            gone = rng.randrange(len(words))
            return self.solve.library_text(words[:gone] + words[gone + 1 :]) if len(words) > 1 else None
        return self.solve.library_text([rng.choice(pool), *words])

    def public_each(self, text: str) -> list[float] | None:
        return self._each(text, self.tasks)

    @lru_cache(4000)  # noqa: B019 -- one task lives as long as the benchmark
    def truth(self, text: str) -> float:
        return self._solved(text, self.fresh)

    def lay_out(self, folder: Path) -> None:
        system, vault = EXAMPLES / "library" / "system", EXAMPLES / "library" / "vault"
        _copy(system, folder, "improve.py", "memo.json")
        (folder / "memo.json").write_bytes((system / "memo.json").read_bytes())
        (folder / "library.json").write_text(self.start)
        rows = self.chains.generator.draw(7000 + self.seed, self.shown, 0)
        _write_items(folder, [{"input": row["input"], "label": row["label"]} for row in rows])
        shutil.copy(vault / "generator.py", folder.parent)
        (folder / "festina.toml").write_text("""\
[system]
name = "library"
kind = "program-synthesis"
[scope]
allow = ["library.json"]
max_changed_lines = 60
[experiment]
run = ["python3", "-S", "-E", "solve.py"]
limits = { wall = "10s", memory = "256MiB", cpus = 1 }
[suite.public]
scorer = "scoring:solved"
items = "data/public.jsonl"
direction = "higher"
[suite.hidden]
scorer = "scoring:solved"
direction = "higher"
range = [0, 1]
unit = "item"
mode = "fresh"
detect = 0.04
batch = 40
""" + POLICY)


def _write_items(folder: Path, rows: list[dict[str, Any]]) -> None:
    (folder / "data").mkdir(exist_ok=True)
    lines = [json.dumps({"id": f"p{n:03d}", **row}) for n, row in enumerate(rows)]
    (folder / "data" / "public.jsonl").write_text("\n".join(lines) + "\n")


class Packing(Task):
    name, file, runs = "packing", "rule.json", 80
    start = '{\n  "priority": "-left",\n  "tables": {}\n}\n'
    INSTANCES, HELD = 2, 12
    width, detect = 5.0, 0.1

    def __init__(self, seed: int) -> None:
        super().__init__(seed)
        sys.path[:0] = [str(EXAMPLES / "packing" / "system")]
        import packing

        self.packing = packing
        self.draw = _module("packing_generator", EXAMPLES / "packing" / "vault" / "generator.py")
        self.search = _module("packing_improve", EXAMPLES / "packing" / "system" / "improve.py")

    @cached_property
    def shown(self) -> list[dict[str, Any]]:
        return self.draw.generate(7000 + self.seed, self.INSTANCES)

    @cached_property
    def fresh(self) -> list[list[int]]:
        rows = self.draw.generate(8000 + self.seed, self.HELD)
        return [list(bytes.fromhex(row["label"]["items"])) for row in rows]

    def _rule(self, text: str) -> Rule | None:
        try:
            return self.packing.read_rule(json.loads(text))
        except (ValueError, RecursionError):
            return None

    def change(self, text: str, rng: random.Random) -> str | None:
        rule = self._rule(text)
        if rule is None:
            return None
        parts, what = rule.formula.split(" + "), rng.random()
        if what < 0.6 or (len(parts) == 1 and what < 0.8):
            parts.append(f"{self.search.term(rng)} * ({rng.choice(self.search.WEIGHTS)})")
        elif what < 0.8:
            del parts[rng.randrange(len(parts))]
        elif rule.constants:
            found = self.search.Variant.of(rule)
            found.constants[rng.randrange(len(found.constants))] *= rng.choice((0.1, 0.3, 0.5, 2.0, 3.0, 10.0))
            parts = [found.document()["priority"]]
        new = self.search.text_of({"priority": " + ".join(parts), "tables": {}})
        return new if self._rule(new) is not None else None

    def _excess(self, rule: Rule, items: list[int]) -> float:
        return min(5.0, self.packing.excess(float(self.packing.play(rule, items)[0]), items))

    def public_each(self, text: str) -> list[float] | None:
        rule = self._rule(text)
        if rule is None:
            return None
        return [-self._excess(rule, list(bytes.fromhex(row["label"]["items"]))) for row in self.shown]

    def unit(self, text: str, seed: int) -> float:
        rule = self._rule(text)
        items = bytes.fromhex(self.draw.generate(seed, 1)[0]["label"]["items"])
        return -5.0 if rule is None else -self._excess(rule, list(items))

    @lru_cache(4000)  # noqa: B019
    def truth(self, text: str) -> float:
        rule = self._rule(text)
        return -5.0 if rule is None else -statistics.fmean(self._excess(rule, each) for each in self.fresh)

    def lay_out(self, folder: Path) -> None:
        _copy(EXAMPLES / "packing" / "system", folder, "improve.py")
        (folder / "rule.json").write_text(self.start)
        _write_items(folder, [{"input": row["input"], "label": row["label"]} for row in self.shown])
        shutil.copy(EXAMPLES / "packing" / "vault" / "generator.py", folder.parent)
        manifest = (EXAMPLES / "packing" / "system" / "festina.toml").read_text()
        (folder / "festina.toml").write_text(_without(manifest, "improver", "policy") + POLICY)


class TinyLM(Task):
    name, file, runs = "tinylm", "train.py", 120
    width, detect = 21.0, 0.05
    kind, most = "symmetric", 60
    GFLOP, ITEMS = 4.0, 600  # of 200, and of all passages
    ANSWERING = 0.1  # of a run at 200 GFLOP is answering, the rest training (examples/tinylm/measure.py)

    def __init__(self, seed: int) -> None:
        super().__init__(seed)
        self.system = EXAMPLES / "tinylm" / "system"
        sys.path[:0] = [str(self.system)]
        self.search = _module("tinylm_improve", self.system / "improve.py")
        self.draw = _module("tinylm_generator", EXAMPLES / "tinylm" / "vault" / "generator.py")
        self.policy = json.loads((self.system / "policy.json").read_text())

    @cached_property
    def start(self) -> str:
        return (self.system / "train.py").read_text()

    @cached_property
    def lab(self) -> Module:
        return self.search.Lab(self.system)

    @cached_property
    def shown(self) -> list[dict[str, Any]]:
        return self.draw.draw((self.system / "data" / "public.txt").read_text(), 7000 + self.seed, self.ITEMS)

    @cached_property
    def fresh(self) -> list[dict[str, Any]]:
        return self.draw.generate(8000 + self.seed, self.ITEMS)

    def change(self, text: str, rng: random.Random) -> str | None:
        return self.search.trial_of(text, self.policy | {"edits": 1.0}, rng, False)[0]

    def _bits(self, text: str, seed: int, rows: list[dict[str, Any]]) -> float | None:
        self.lab.pairs = [(row["input"], row["label"]) for row in rows]
        bits, _ = self.lab.bits(text, seed, self.GFLOP * 1e9 / self.lab.harness.BUDGET)
        return bits if bits < float("inf") else None

    def public(self, text: str) -> float | None:
        found = self._bits(text, random.Random().getrandbits(31), self.shown)  # a run has luck of its own
        return None if found is None else -found

    def unit(self, text: str, seed: int) -> float:
        found = self._bits(text, seed % (1 << 31), self.draw.generate(seed, self.ITEMS))
        return -21.0 if found is None else -found

    @lru_cache(4000)  # noqa: B019
    def kept(self, text: str) -> Module:
        """The model that this source makes under the seed that all share; None: it does not run."""
        return self.lab.trained(text, self.seed, self.GFLOP * 1e9 / self.lab.harness.BUDGET)

    def kept_each(self, text: str, rows: list[dict[str, Any]]) -> list[float] | None:
        """Bits of each passage, negative, as that model answers it."""
        model = self.kept(text)
        each = None if model is None else self.lab.losses(*model, [(row["input"], row["label"]) for row in rows])
        return None if each is None else [-bits for bits in each]

    def kept_unit(self, text: str, seed: int) -> float:
        found = self.kept_each(text, self.draw.generate(seed, self.ITEMS))
        return -21.0 if found is None else statistics.fmean(found)

    @lru_cache(4000)  # noqa: B019
    def truth(self, text: str) -> float:
        found = [self._bits(text, 10**6 + seed, self.fresh) for seed in range(5)]
        return -statistics.fmean(21.0 if bits is None else bits for bits in found)

    def lay_out(self, folder: Path) -> None:
        _copy(self.system, folder, "improve.py", "edits.py", "policy.json")
        harness = (folder / "harness.py").read_text()
        (folder / "harness.py").write_text(harness.replace('"TINYLM_GFLOP", "200"', f'"TINYLM_GFLOP", "{self.GFLOP}"'))
        _write_items(folder, [{"input": row["input"], "label": row["label"]} for row in self.shown])
        shutil.copy(EXAMPLES / "tinylm" / "vault" / "generator.py", folder.parent)
        manifest = (self.system / "festina.toml").read_text()
        manifest = _without(manifest, "improver", "policy", "scope").replace("batch = 600", f"batch = {self.ITEMS}")
        (folder / "festina.toml").write_text(manifest + """
[scope]
allow = ["train.py"]
protect = ["harness.py", "data/**"]
max_changed_lines = 200

[suite.public]
scorer = "scoring:bits"
items = "data/public.jsonl"
direction = "lower"
""" + POLICY)


def _without(manifest: str, *tables: str) -> str:
    """The manifest but for some tables."""
    parts = ("\n" + manifest).split("\n[")
    return parts[0] + "".join("\n[" + part for part in parts[1:] if part.split("]")[0] not in tables) + "\n"


def _module(name: str, path: Path) -> Module:
    """A file of an example under a name of its own: several have a generator."""
    import importlib.util

    spec = importlib.util.spec_from_file_location(name, path)
    assert spec is not None
    assert spec.loader is not None
    found = importlib.util.module_from_spec(spec)
    sys.modules[name] = found
    spec.loader.exec_module(found)
    return found


KINDS = {
    "library": Library, "library-40": partial(Library, shown=40), "grown-library": partial(Library, grown=True),
    "grown-library-40": partial(Library, shown=40, grown=True), "packing": Packing, "tinylm": TinyLM,
}  # fmt: skip


def task_of(kind: str, seed: int) -> Task:
    return KINDS[kind](seed)
