"""Where in a scorer's source the line stands that lets an attack through: for the finding, never for the verdict.

Follows the scorer into functions of the tree that it calls. Names the first line of the kind looked for, else the
last one that gives a score. Reads source as text and runs nothing.
"""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from festina.drill.model import Place
from festina.system.scorers import Command, Function, parse

Wanted = Callable[[ast.AST], bool]
MAX_FUNCTIONS = 40


def calls(*names: str) -> Wanted:
    """A call of one of ``names``, bare or as an attribute."""

    def wanted(node: ast.AST) -> bool:
        if not isinstance(node, ast.Call):
            return False
        callee = node.func
        name = callee.id if isinstance(callee, ast.Name) else callee.attr if isinstance(callee, ast.Attribute) else ""
        return name in names

    return wanted


def contains(node: ast.AST) -> bool:
    return isinstance(node, ast.Compare) and any(isinstance(op, ast.In | ast.NotIn) for op in node.ops)


def remembers(node: ast.AST) -> bool:
    return isinstance(node, ast.Global | ast.Nonlocal) or (
        isinstance(node, ast.AugAssign) and isinstance(node.target, ast.Attribute | ast.Subscript)
    )


def lets_pass(node: ast.AST) -> bool:
    """``if ...: return <something>`` near the top: how an empty answer gets its score."""
    return isinstance(node, ast.If) and any(
        isinstance(each, ast.Return) and each.value is not None and not _zero(each.value) for each in node.body
    )


def handles(node: ast.AST) -> bool:
    """An except branch."""
    return isinstance(node, ast.ExceptHandler)


def either(*wanted: Wanted) -> Wanted:
    return lambda node: any(each(node) for each in wanted)


def _zero(node: ast.expr) -> bool:
    return isinstance(node, ast.Constant) and node.value in (0, 0.0, False, None)


@dataclass(frozen=True, slots=True)
class _Function:
    file: str
    node: ast.FunctionDef | ast.AsyncFunctionDef
    lines: tuple[str, ...]


def locate(tree: Path, scorer: str, wanted: Wanted | None) -> Place | None:
    """The line of a scorer's source under ``tree``; None where it is not found there."""
    form = parse(scorer)
    if isinstance(form, Command):
        return next((Place(name, 1) for name in form.paths if (tree / name).is_file()), None)
    module, name = (form.module, form.function) if isinstance(form, Function) else (
        form.file.removesuffix(".py").replace("/", "."), form.task
    )  # fmt: skip
    first: Place | None = None
    for function in _reach(tree, module, name):
        if first is None:
            first = _place(function, _decisive(function.node))
        if wanted is None:
            break
        for node in ast.walk(function.node):
            if wanted(node):
                return _place(function, getattr(node, "lineno", function.node.lineno))
    return first


def _decisive(node: ast.AST) -> int:
    """The last line that gives a score, or the function's own."""
    gives = [each.lineno for each in ast.walk(node) if isinstance(each, ast.Return) and each.value is not None
             and not _zero(each.value)]  # fmt: skip
    return max(gives, default=getattr(node, "lineno", 1))


def _place(function: _Function, line: int) -> Place:
    text = function.lines[line - 1] if line <= len(function.lines) else ""
    return Place(function.file, line, text.strip()[:200])


def _reach(tree: Path, module: str, name: str) -> Iterator[_Function]:
    """The scorer, then what it calls in the tree, nearest first."""
    waiting, seen = [(module, name)], set[tuple[str, str]]()
    while waiting and len(seen) < MAX_FUNCTIONS:
        step = waiting.pop(0)
        if step in seen:
            continue
        seen.add(step)
        read = _module(tree, step[0])
        if read is None:
            continue
        file, body, lines = read
        known = {node.name: node for node in body.body if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)}
        imported = _imports(body)
        if step[1] not in known:
            if step[1] in imported:
                waiting.append(imported[step[1]])
            continue
        yield _Function(file, known[step[1]], lines)
        for node in ast.walk(known[step[1]]):
            if not isinstance(node, ast.Call):
                continue
            callee = node.func
            if isinstance(callee, ast.Name):
                waiting.append(imported.get(callee.id, (step[0], callee.id)))
            elif isinstance(callee, ast.Attribute) and isinstance(callee.value, ast.Name):
                base = imported.get(callee.value.id)
                if base is not None and base[1] == "":
                    waiting.append((base[0], callee.attr))


def _module(tree: Path, module: str) -> tuple[str, ast.Module, tuple[str, ...]] | None:
    for file in module_files(module):
        path = tree / file
        if path.is_file():
            try:
                text = path.read_text(errors="replace")
                return file, ast.parse(text), tuple(text.splitlines())
            except (SyntaxError, ValueError, RecursionError):
                return None
    return None


def module_files(module: str) -> tuple[str, str]:
    base = module.replace(".", "/")
    return f"{base}.py", f"{base}/__init__.py"


def _imports(body: ast.Module) -> dict[str, tuple[str, str]]:
    """Local name -> (module, name); an imported module has the empty name."""
    found: dict[str, tuple[str, str]] = {}
    for node in ast.walk(body):
        if isinstance(node, ast.Import):
            for alias in node.names:
                found[alias.asname or alias.name.partition(".")[0]] = (alias.name, "")
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            for alias in node.names:
                found[alias.asname or alias.name] = (node.module, alias.name)
    return found


def imported_files(tree: Path, module: str) -> dict[str, int]:
    """Files of the tree that ``module`` loads, directly or through others, with the line that first does."""
    found: dict[str, int] = {}
    waiting, seen = [module], set[str]()
    while waiting and len(seen) < MAX_FUNCTIONS:
        name = waiting.pop(0)
        if name in seen:
            continue
        seen.add(name)
        read = _module(tree, name)
        if read is None:
            continue
        for node in ast.walk(read[1]):
            names: list[str] = []
            if isinstance(node, ast.Import):
                names = [alias.name for alias in node.names]
            elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
                names = [node.module, *(f"{node.module}.{alias.name}" for alias in node.names)]
            for each in names:
                other = _module(tree, each)
                if other is not None and other[0] not in found:
                    found[other[0]] = getattr(node, "lineno", 1)
                    waiting.append(each)
    return found


def opened_files(tree: Path, module: str) -> dict[str, int]:
    """Files of the tree whose path stands as text in ``module`` or in what it loads: data that a scorer reads."""
    found: dict[str, int] = {}
    for file in [*module_files(module), *imported_files(tree, module)]:
        path = tree / file
        if not path.is_file():
            continue
        try:
            body = ast.parse(path.read_text(errors="replace"))
        except (SyntaxError, ValueError, RecursionError):
            continue
        for node in ast.walk(body):
            if isinstance(node, ast.Constant) and isinstance(node.value, str) and 0 < len(node.value) < 200:
                name = node.value.removeprefix("./")
                if "\0" not in name and not name.startswith("/") and "\n" not in name and (tree / name).is_file():
                    found.setdefault(name, node.lineno)
    return found


def modules(scorers: Iterable[str]) -> list[str]:
    """The Python modules that hold these scorers."""
    return [form.module for form in map(parse, scorers) if isinstance(form, Function)]
