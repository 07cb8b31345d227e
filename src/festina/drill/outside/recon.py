"""What is known about an evaluator: how it treats an honest candidate (seen by the candidate), and what its source
says.

``Facts.has`` answers for the names in ``attacks.toml`` and ``Facts.lacks`` says in words why an attack does not apply.
Pure but for reading the copied sources. Events come from a candidate and are data, never code: recorded results stay
encoded text here and are only ever written into other candidates.
"""

from __future__ import annotations

import ast
import json
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

Event = Mapping[str, Any]
TIMERS = {"perf_counter", "perf_counter_ns", "monotonic", "process_time", "time", "timeit", "default_timer"}
_MODULES = {"json", "random", "math", "numpy", "statistics", "scipy", "pandas", "torch", "sklearn", "yaml", "requests"}


@dataclass(frozen=True)
class Source:
    """What the evaluator's own files say, by static reading: (file, line) for each kind of place."""

    files: tuple[str, ...]
    places: Mapping[str, tuple[tuple[str, int], ...]]
    tools: tuple[str, ...]
    imports: tuple[str, ...]
    limit: float = 0.0  # the largest time limit, in seconds, that is written out in the source

    def has(self, kind: str) -> bool:
        return bool(self.places.get(kind))


@dataclass(frozen=True)
class Facts:
    """Everything that decides which attacks apply, and what they are baked with."""

    python: bool
    command: bool  # the score is read from standard output
    result: bool  # the score is read from a file
    source: Source
    runs: tuple[tuple[Event, ...], ...] = ()  # events of honest runs
    frozen: tuple[tuple[Event, ...], ...] = ()  # the same under frozen random generators
    data: bool = False
    tests: bool = False
    timing: bool = False
    limited: float = 0.0  # seconds after which the evaluator itself ended a hanging candidate; 0: it did not
    more: Mapping[str, bool] = field(default_factory=dict)

    @property
    def blind(self) -> bool:
        """No report ever came out of the candidate: it runs behind a wall."""
        return self.python and not any(self.runs)

    def events(self, kind: str) -> list[Event]:
        return [each for run in self.runs for each in run if each["event"] == kind]

    @property
    def calls(self) -> list[Event]:
        return self.events("call")

    def frames(self, kind: str) -> list[list[Any]]:
        """The evaluator's frames (file, line, its text), nearest first, of the first import or call that saw any."""
        return next((each["frames"] for each in self.events(kind) if each.get("frames")), [])

    def has(self, name: str) -> bool:
        if self.blind and name in _BLIND:
            return _BLIND[name]
        found = _CHECKS.get(name)
        return found(self) if found else self.more.get(name, False)

    def lacks(self, needs: Sequence[str]) -> str:
        """Why an attack with these needs does not apply; empty when it does."""
        for name in needs:
            if not self.has(name):
                unseen = self.blind and name in _BLIND and name != "shared"
                return _UNSEEN if unseen else _WHY.get(name, name)
        return ""

    @property
    def slow(self) -> float:
        """Seconds that slow honest work takes longer in each call: about 0.4 in all, well below any time limit."""
        calls = sum(each["event"] == "call" for each in self.runs[0]) if self.runs else 0
        return min(0.25, 0.4 / calls) if calls else 0.02

    def specs(self) -> dict[str, Any]:
        """The form of each function's result, by function, from its first recorded call."""
        found: dict[str, Any] = {}
        for each in self.calls:
            found.setdefault(each["fn"], each["spec"])
        return found

    def table(self, frozen: bool = False) -> dict[str, str]:
        """Encoded results by input."""
        runs = self.frozen if frozen else self.runs
        found = {e["key"]: e["value"] for run in runs for e in run if e["event"] == "call" and e.get("value")}
        found |= {e["key"]: e["stdout"] for run in runs for e in run if e["event"] == "script"}
        return found if sum(map(len, found.values())) < 4 << 20 else {}

    def order(self) -> dict[str, list[str]]:
        rows: dict[str, list[str]] = {}
        for each in self.runs[0] if self.runs else ():
            if each["event"] == "call" and each.get("value"):
                rows.setdefault(each["fn"], []).append(each["value"])
        return rows if sum(len(v) for row in rows.values() for v in row) < 4 << 20 else {}

    def first(self) -> dict[str, str]:
        found: dict[str, str] = {}
        for each in self.calls:
            if each.get("value"):
                found.setdefault(each["fn"], each["value"])
        return found

    def claims(self) -> dict[str, Any]:
        found: dict[str, Any] = {}
        for each in self.calls:
            if each.get("plain") is not None:
                found.setdefault(each["fn"], each["plain"])
        return found

    def words(self) -> list[str]:
        """Words of honest answers, and of what honest programs printed."""
        found: dict[str, None] = {}
        for each in [*self.calls, *self.events("script")]:
            for text in _strings(each.get("plain", each.get("stdout"))):
                found |= dict.fromkeys(text.split())
        return list(found)[:3000]

    def printed(self) -> str:
        """What an honest program prints, or what it says to its first line where it is killed before its end."""
        found = [each["stdout"] for each in self.events("script")] + [each["printed"] for each in self.events("turn")]
        return next((text for text in found if text), "")

    def turns(self) -> dict[str, str]:
        """What an honest program says to each line that it is given."""
        return {each["given"]: each["printed"] for each in self.events("turn")}


def _strings(value: object) -> Iterable[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, list | tuple):
        for each in value:
            yield from _strings(each)
    elif isinstance(value, dict):
        for each in value.values():
            yield from _strings(each)


def _keys(run: Iterable[Event]) -> list[str]:
    return [each["key"] for each in run if each["event"] in ("call", "script") and each.get("inputs", 1)]


def recurring(runs: Sequence[Sequence[Event]], share: float = 0.5) -> bool:
    """Does so large a share of the inputs of one evaluation come again in another?"""
    if len(runs) < 2:
        return False
    one, two = set(_keys(runs[0])), set(_keys(runs[1]))
    return bool(one) and len(one & two) >= len(one) * share


def _given(run: Iterable[Event]) -> set[str]:
    """Lines that a program was given and answered one by one."""
    return {each["given"] for each in run if each["event"] == "turn"}


def _ordered(facts: Facts) -> bool:
    if len(facts.runs) < 2:
        return False
    one, two = ([e.get("value") for e in run if e["event"] == "call"] for run in facts.runs[:2])
    same = sum(a == b for a, b in zip(one, two, strict=False))
    return len(one) >= 2 and len(one) == len(two) and same >= 0.9 * len(one) and len(set(one)) > 1


def _varied(facts: Facts, name: str) -> bool:
    """Has this function two inputs in one evaluation with different honest answers?"""
    calls = [e for e in facts.runs[0] if e["event"] == "call" and e["fn"] == name] if facts.runs else []
    return len({e["key"] for e in calls}) > 1 and len({e.get("value") for e in calls}) > 1


def _leaf(spec: object, kinds: set[str]) -> bool:
    if not isinstance(spec, dict):
        return False
    if spec["t"] in kinds:
        return True
    inner = spec.get("of")
    if spec["t"] == "fields":
        return any(_leaf(each, kinds) for each in inner or ())
    if spec["t"] == "dict":
        return any(_leaf(each, kinds) for _, each in inner or ())
    return _leaf(inner, kinds)


def _size(spec: Mapping[str, Any]) -> int:
    if spec["t"] == "array":
        return int(spec["shape"][0]) if spec["shape"] else 0
    return int(spec.get("n", 0)) if spec["t"] == "list" else len(spec.get("of") or ()) if spec["t"] == "dict" else 0


def _specs(facts: Facts) -> list[Any]:
    return [each["spec"] for each in facts.calls]


_NUMERIC = {"int", "float", "array"}
_CHECKS: dict[str, Callable[[Facts], bool]] = {
    "python": lambda f: f.python,
    "command": lambda f: f.command,
    "result": lambda f: f.result,
    "shared": lambda f: bool(f.frames("import") or f.frames("call")) or any(e.get("near") for e in f.events("import")),
    "called": lambda f: bool(f.calls),
    "script": lambda f: any(e["name"] == "__main__" and not e["frames"] for e in f.events("import")),
    "inputs": lambda f: any(e["inputs"] for e in f.calls),
    "many": lambda f: len(set(_keys(f.runs[0]))) >= 4 if f.runs else False,
    "runs": lambda f: sum(e["event"] == "script" for e in f.runs[0]) >= 4 if f.runs else False,
    "fed": lambda f: any(e["stdin"] or e["argv"] for e in f.events("script")),
    "turns": lambda f: len(set(f.turns().values())) > 1,
    "turns again": lambda f: len(f.runs) > 1 and bool(_given(f.runs[0]) & _given(f.runs[-1])),
    "answers": lambda f: len({e["stdout"] for e in f.events("script") if e["stdout"].strip()}) > 1,
    "writes": lambda f: any(e.get("wrote") for e in f.events("script")),
    "prints": lambda f: bool(f.printed()),
    "long": lambda f: any(_size(spec) >= 10 for spec in _specs(f)),
    "numeric": lambda f: any(_leaf(spec, _NUMERIC) for spec in _specs(f)),
    "texts": lambda f: any(_leaf(spec, {"str", "set"}) or spec["t"] == "list" for spec in _specs(f)),
    "words": lambda f: bool(f.words()),
    "container": lambda f: any(spec["t"] in ("list", "dict", "array") for spec in _specs(f)),
    "varied": lambda f: any(_varied(f, name) for name in f.specs()),
    "recurring": lambda f: recurring(f.runs, 0.1),
    "fresh": lambda f: len(f.runs) > 1 and not recurring(f.runs),
    "frozen": lambda f: not recurring(f.runs) and recurring(f.frozen),
    "ordered": _ordered,
    "mutable": lambda f: any(e["batch"] for e in f.calls),
    "pytest": lambda f: any("_pytest" in e["modules"] for e in f.events("import")),
    "tests": lambda f: any({"_pytest", "unittest"} & set(e["modules"]) for e in f.events("import")),
    "testfiles": lambda f: f.tests,
    "data": lambda f: f.data,
    "tools": lambda f: bool(f.source.tools),
    "evals": lambda f: f.source.has("eval"),
    "pickles": lambda f: f.source.has("pickle"),
    "timing": lambda f: f.timing,
    "limited": lambda f: f.limited > 0,
}

# What is assumed of a candidate that nothing is heard from: attacks run blind, those that need records do not.
_BLIND = {
    "called": True, "script": True, "numeric": True, "texts": True, "inputs": True, "fed": True, "prints": False,
    "answers": False, "turns": False, "turns again": False, "writes": False,
    "shared": False, "many": False, "runs": False, "long": False, "recurring": False, "frozen": False, "varied": False,
}  # fmt: skip

_UNSEEN = "what the candidate is given cannot be seen from outside its sandbox"
_WHY = {
    "python": "the candidate is not Python",
    "inspect": "the target is not an Inspect task",
    "command": "the score is not read from standard output",
    "result": "the score is not read from a file",
    "shared": "the candidate runs in a process of its own, away from the evaluator's code",
    "called": "the evaluator calls no function of the candidate",
    "script": "the candidate is not run as a program",
    "inputs": "the candidate is called without inputs",
    "many": "there are fewer than four different inputs",
    "runs": "the candidate is run fewer than four times",
    "fed": "the program is given no input",
    "prints": "the program prints nothing",
    "turns": "the program is not asked line by line",
    "turns again": "it is not asked the same lines in every evaluation",
    "answers": "there are not two inputs with different honest outputs",
    "writes": "the program writes no file that is named in its arguments",
    "claims": "the candidate does not print the score itself",
    "keeps": "no function of the candidate keeps a number in a variable of its module",
    "long": "no result has ten entries or more",
    "numeric": "no result holds a number",
    "texts": "no result is text or a list",
    "words": "no honest text was recorded",
    "container": "no result is a list, a mapping or an array",
    "varied": "there are not two inputs with different honest answers",
    "recurring": "inputs differ from one evaluation to the next",
    "fresh": "inputs are the same in every evaluation",
    "frozen": "patched random generators do not make the inputs come again",
    "ordered": "answers do not come in the same order in every evaluation",
    "mutable": "no input can be changed by the candidate",
    "pytest": "the candidate does not share a process with pytest",
    "tests": "the candidate does not share a process with a test runner",
    "testfiles": "there are no test files",
    "data": "there are no data files beside the evaluator",
    "tools": "the evaluator starts no program by name",
    "evals": "the evaluator evaluates no text",
    "pickles": "the evaluator loads no pickle",
    "timing": "the score does not depend on time",
    "limited": "the evaluator has no time limit of its own that ends a hanging candidate",
}


# -- the evaluator's source -----------------------------------------------------------------------------------


def read_source(root: Path, starts: Sequence[str]) -> Source:
    """Static reading of the files in ``starts`` and of the modules below ``root`` that they import."""
    seen: dict[str, ast.Module] = {}
    waiting = [name for name in starts if name.endswith(".py")] or _named(root, starts) or _below(root, starts)
    while waiting and len(seen) < 60:
        name = waiting.pop(0)
        if name in seen or not (root / name).is_file():
            continue
        try:
            seen[name] = ast.parse((root / name).read_text(encoding="utf-8", errors="replace"))
        except (SyntaxError, ValueError):
            continue
        waiting += _local(root, name, seen[name])
    places: dict[str, list[tuple[str, int]]] = {}
    tools: dict[str, None] = {}
    imports: dict[str, None] = {}
    limit = 0.0
    for name, tree in seen.items():
        for node in ast.walk(tree):
            for kind in _kinds(node):
                places.setdefault(kind, []).append((name, getattr(node, "lineno", 1)))
            tools |= dict.fromkeys(_tool(node))
            imports |= dict.fromkeys(_imported(node) & _MODULES)
            limit = max(limit, _limit(node))
    return Source(tuple(seen), {k: tuple(v) for k, v in places.items()}, tuple(tools), tuple(imports), limit)


def _named(root: Path, starts: Sequence[str]) -> list[str]:
    """Python files that a script among ``starts`` (a shell script, a Makefile) names."""
    found = []
    for start in starts:
        path = root / start
        if path.is_file() and path.stat().st_size < 1 << 20:
            words = re.findall(r"[\w./-]+\.py\b", path.read_text(encoding="utf-8", errors="replace"))
            tried = [(path.parent / word) for word in words] + [(root / word) for word in words]
            found += [each.relative_to(root).as_posix() for each in tried if _within(each, root)]
    return list(dict.fromkeys(found))


def _within(path: Path, root: Path) -> bool:
    return path.is_file() and path.is_relative_to(root) and ".." not in path.parts


def _below(root: Path, starts: Sequence[str]) -> list[str]:
    """Python files beside what is started, else anywhere in the evaluator's folder."""
    folder = next(((root / start).parent for start in starts if (root / start).is_file()), root)
    found = sorted(folder.rglob("*.py")) or sorted(root.rglob("*.py"))
    return [path.relative_to(root).as_posix() for path in found[:30]]


def _limit(node: ast.AST) -> float:
    """A time limit of at most two minutes that is written out: ``timeout=5``, ``TIMEOUT = 5``, ``alarm(5)``."""
    values: list[ast.expr | None] = []
    if (isinstance(node, ast.keyword) and "timeout" in (node.arg or "").lower()) or (
        isinstance(node, ast.Assign) and any("timeout" in _dotted(each).lower() for each in node.targets)
    ):
        values.append(node.value)
    elif isinstance(node, ast.arguments):
        values += [
            value
            for arg, value in zip(node.args[::-1], node.defaults[::-1], strict=False)
            if "timeout" in arg.arg.lower()
        ]
    elif isinstance(node, ast.Call) and _dotted(node.func).endswith(("alarm", "setitimer")):
        values += node.args
    found = [v.value for v in values if isinstance(v, ast.Constant) and isinstance(v.value, int | float)]
    return max((float(value) for value in found if value <= 120), default=0.0)


def _local(root: Path, name: str, tree: ast.Module) -> list[str]:
    folder = Path(name).parent
    found = []
    for node in ast.walk(tree):
        for module in _imported(node, whole=True):
            path = module.replace(".", "/")
            for top in (folder, Path(".")):
                for tail in (".py", "/__init__.py"):
                    if (root / top / (path + tail)).is_file():
                        found.append((top / (path + tail)).as_posix())
    for node in ast.walk(tree):  # a worker script that is named in the text
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and node.value.endswith(".py"):
            found += [
                p for p in (node.value, (folder / node.value).as_posix()) if len(p) < 200 and (root / p).is_file()
            ]
    return found


def _imported(node: ast.AST, whole: bool = False) -> set[str]:
    if isinstance(node, ast.Import):
        return {alias.name if whole else alias.name.partition(".")[0] for alias in node.names}
    if isinstance(node, ast.ImportFrom) and node.module:
        return {node.module if whole else node.module.partition(".")[0]}
    return set()


def _tool(node: ast.AST) -> list[str]:
    """Programs that are started by a bare name."""
    if isinstance(node, ast.Call) and _dotted(node.func).startswith(("subprocess.", "run", "Popen", "check_")):
        first = node.args[0] if node.args else None
        if isinstance(first, ast.List) and first.elts and isinstance(first.elts[0], ast.Constant):
            word = first.elts[0].value
            if isinstance(word, str) and "/" not in word:
                return [word]
    return []


def _dotted(node: ast.AST) -> str:
    if isinstance(node, ast.Attribute):
        return f"{_dotted(node.value)}.{node.attr}"
    return node.id if isinstance(node, ast.Name) else ""


_CALLS = {
    "eval": "eval", "exec": "import", "exec_module": "import", "import_module": "import", "__import__": "import",
    "run_path": "import", "run": "subprocess", "Popen": "subprocess", "check_output": "subprocess",
    "call": "subprocess", "check_call": "subprocess",
    "system": "subprocess", "getoutput": "subprocess", "Process": "subprocess",
    "create_subprocess_exec": "subprocess", "zip": "zip", "loads": "pickle", "load": "pickle", "seed": "random",
    "default_rng": "random", "Random": "random", "randint": "random", "shuffle": "random", "sample": "random",
    "open": "data", "read_text": "data", "read_csv": "data", "isclose": "compare", "allclose": "compare",
    "array_equal": "compare",
}  # fmt: skip


def _kinds(node: ast.AST) -> list[str]:
    if isinstance(node, ast.Call):
        dotted = _dotted(node.func)
        last = dotted.rpartition(".")[2]
        if last in TIMERS:
            return ["timer"]
        if dotted.startswith("re.") and last in ("search", "match", "fullmatch", "findall"):
            return ["in"]
        if last in ("get", "recv") and isinstance(node.func, ast.Attribute) and not node.args:  # of a queue, a pipe
            return ["pickle"]
        kind = _CALLS.get(last)
        if kind == "pickle" and not dotted.startswith(
            ("pickle.", "dill.", "joblib.", "torch.", "cloudpickle.", "np.", "numpy.")
        ):
            kind = "eval" if dotted.startswith("yaml.") else None
        if kind == "subprocess" and last in ("run", "call") and not dotted.startswith(("subprocess.", "run")):
            kind = None
        if kind == "eval" and dotted not in ("eval", "yaml.load", "builtins.eval"):
            kind = None
        return [kind] if kind else []
    if isinstance(node, ast.ExceptHandler):
        return ["except"]
    if isinstance(node, ast.Compare):
        return ["in" if isinstance(node.ops[0], ast.In | ast.NotIn) else "compare"]
    return []


def parse_events(path: Path) -> tuple[Event, ...]:
    """What candidates reported, damaged lines left out."""
    if not path.is_file():
        return ()
    found = []
    for line in path.read_bytes()[: 64 << 20].splitlines():
        try:
            event = json.loads(line)
        except ValueError:
            continue
        if isinstance(event, dict) and isinstance(event.get("event"), str):
            found.append(event)
    return tuple(found)
