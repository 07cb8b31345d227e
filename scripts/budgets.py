"""Measure the size budgets of the source and fail when one is broken.

Budgets (docs/spec.md is about behaviour; these are about how the code reads):
95 % of functions have at most 50 lines, no file more than 500, no broad ``except`` outside the named
boundaries, no ``print`` outside the command line, every function annotated in full.

Does not cover: style (ruff), types (mypy), import directions (import-linter).
"""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
SOURCE = ROOT / "src" / "festina"
FUNCTION_LINES = 50
FUNCTION_SHARE = 0.95
FILE_LINES = 500

# Where code that may do anything is called, so that any exception must be caught: (file, function), and why.
BOUNDARIES = {
    ("cli/__init__.py", "main"): "the command line: whatever happens becomes a message and an exit code",
    ("loop/api.py", "work"): "the thread that runs a loop for Python callers: the error is raised in the caller's own",
    ("sandbox/becoming.py", "become"): "the candidate's program: whatever it raises is shown as an interpreter would",
    ("sandbox/becoming.py", "_finish"): "the candidate's own clean-up, run as an interpreter would",
    ("sandbox/zygote.py", "_preload"): "an import that the operator asked for: whatever it raises is reported by name",
    ("verify/scoring.py", "run"): "the user's scorer: whatever it raises is the worst score",
}

AnyFunction = ast.FunctionDef | ast.AsyncFunctionDef


@dataclass(frozen=True)
class Function:
    """One function: where it is, how long (decorators not counted), and which annotations it lacks."""

    where: str
    lines: int
    bare: tuple[str, ...]


def functions(tree: ast.Module, name: str) -> Iterator[Function]:
    methods = {
        id(item)
        for node in ast.walk(tree)
        if isinstance(node, ast.ClassDef)
        for item in node.body
        if isinstance(item, AnyFunction) and not any(_named(d) == "staticmethod" for d in item.decorator_list)
    }
    for node in ast.walk(tree):
        if isinstance(node, AnyFunction):
            lines = (node.end_lineno or node.lineno) - node.lineno + 1
            yield Function(f"{name}:{node.lineno} {node.name}", lines, _bare(node, bound=id(node) in methods))


def _named(node: ast.expr) -> str:
    return node.id if isinstance(node, ast.Name) else node.attr if isinstance(node, ast.Attribute) else ""


def _bare(node: AnyFunction, *, bound: bool) -> tuple[str, ...]:
    spec = node.args
    positional = [*spec.posonlyargs, *spec.args]
    asked = positional[1:] if bound else positional
    asked += [*spec.kwonlyargs, *(arg for arg in (spec.vararg, spec.kwarg) if arg is not None)]
    missing = [arg.arg for arg in asked if arg.annotation is None]
    return (*missing, *(() if node.returns is not None else ("return",)))


def broad_excepts(tree: ast.Module, name: str) -> Iterator[str]:
    """Handlers for everything, except inside a named boundary."""
    for node, owner in _with_owner(tree):
        if not isinstance(node, ast.ExceptHandler) or (name, owner) in BOUNDARIES:
            continue
        kinds = node.type.elts if isinstance(node.type, ast.Tuple) else [node.type]
        if any(kind is None or _named(kind) in {"Exception", "BaseException"} for kind in kinds):
            yield f"{name}:{node.lineno} in {owner or 'module'}"


def prints(tree: ast.Module, name: str) -> Iterator[str]:
    if name.startswith("cli/"):
        return
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "print":
            yield f"{name}:{node.lineno}"


def _with_owner(node: ast.AST, owner: str = "") -> Iterator[tuple[ast.AST, str]]:
    for child in ast.iter_child_nodes(node):
        inner = child.name if isinstance(child, AnyFunction) else owner
        yield child, inner
        yield from _with_owner(child, inner)


def main() -> int:
    every: list[Function] = []
    long_files: list[str] = []
    broad: list[str] = []
    printed: list[str] = []
    files = sorted(SOURCE.rglob("*.py"))
    total = 0
    for path in files:
        text = path.read_text(encoding="utf-8")
        name = path.relative_to(SOURCE).as_posix()
        count = len(text.splitlines())
        total += count
        if count > FILE_LINES:
            long_files.append(f"{name}: {count} lines")
        tree = ast.parse(text, filename=str(path))
        every += functions(tree, name)
        broad += broad_excepts(tree, name)
        printed += prints(tree, name)
    long = sorted((f for f in every if f.lines > FUNCTION_LINES), key=lambda f: -f.lines)
    short_share = 1 - len(long) / max(1, len(every))
    bare = [f"{f.where}: {', '.join(f.bare)}" for f in every if f.bare]
    print(f"{len(files)} files, {total} lines, {len(every)} functions")
    print(f"functions of at most {FUNCTION_LINES} lines: {short_share:.1%} (at least {FUNCTION_SHARE:.0%})")
    broken = [
        *(
            [f"too many long functions: {f.where} has {f.lines} lines" for f in long]
            if short_share < FUNCTION_SHARE
            else []
        ),
        *(f"file over {FILE_LINES} lines: {line}" for line in long_files),
        *(f"broad except outside the named boundaries: {line}" for line in broad),
        *(f"print outside the command line: {line}" for line in printed),
        *(f"not annotated: {line}" for line in bare),
    ]
    for line in broken:
        print(line, file=sys.stderr)
    if not broken:
        print(f"files over {FILE_LINES} lines, broad excepts, prints, missing annotations: none")
    return 1 if broken else 0


if __name__ == "__main__":
    sys.exit(main())
