"""What in an Inspect task can be gamed when Inspect itself runs it, or cannot work here. Reads source, runs nothing.

Each finding is a line ``file:line: words``. The traps were seen with inspect_ai 0.3.285: a sample that errors leaves
the mean unless it is scored, a not-a-number score is "unscored" and leaves it too, a retry re-rolls a crash, and the
sandbox called "local" is none. Under Festina they cost the candidate, whatever the task says (``inspect_child``).

Does not cover: values that are not written out in the file, and whether the scorer is right.
"""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterable, Iterator

from festina.system.scorers import InspectTask, parse

__all__ = ["findings", "lint"]

_NO_MODEL = "asks a model; the verifier has neither a model nor a network, so that such samples score worst"
_NO_BOX = "runs something in a sandbox; there is none here, so that such samples score worst"
_CALLS = {
    "model_graded_qa": _NO_MODEL, "model_graded_fact": _NO_MODEL, "get_model": _NO_MODEL, "sandbox": _NO_BOX,
    "sandbox_service": _NO_BOX,
}  # fmt: skip
_RUNNERS = {"Task", "task_with", "eval", "eval_async", "eval_set"}


def findings(scorers: Iterable[str], read: Callable[[str], bytes | None]) -> list[str]:
    """Over all Inspect tasks among ``scorers``; ``read`` gives a file of the repository."""
    files = {form.file for form in map(parse, scorers) if isinstance(form, InspectTask)}
    return [line for file in sorted(files) for line in lint(read(file) or b"", file)]


def lint(source: bytes, file: str) -> list[str]:
    """The findings of one file; nothing for a file that is not Python (which is refused elsewhere)."""
    try:
        tree = ast.parse(source)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return []
    found = {(node.lineno, words) for node in ast.walk(tree) if isinstance(node, ast.expr) for words in _look(node)}
    return [f"{file}:{line}: {words}" for line, words in sorted(found)]


def _look(node: ast.expr) -> Iterator[str]:
    if isinstance(node, ast.Call):
        name = _name(node.func)
        if name in _CALLS:
            yield f"{name} {_CALLS[name]}"
        if name in _RUNNERS:
            for keyword in node.keywords:
                yield from _keyword(keyword.arg or "", keyword.value)
        if name == "float" and node.args and _constant(node.args[0], str).strip("+-").lower() == "nan":
            yield _NAN
    elif isinstance(node, ast.Attribute) and node.attr == "nan":
        yield _NAN


_NAN = "a score that is not a number leaves Inspect's mean, as if the sample had not been there; here it is the worst"


def _keyword(name: str, value: ast.expr) -> Iterator[str]:
    literal = value.value if isinstance(value, ast.Constant) else None
    if name == "fail_on_error" and literal is not True:
        yield "fail_on_error: a sample that errors leaves Inspect's mean, so that crashing pays; here it is the worst"
    elif name == "continue_on_fail" and literal is not False:
        yield "continue_on_fail: a sample that errors leaves Inspect's mean; here it is the worst"
    elif name == "retry_on_error" and literal != 0:
        yield "retry_on_error: a crash is rolled again; here nothing is"
    elif name == "sandbox" and _local(value):
        yield 'sandbox="local" is no sandbox: what runs there can read targets from the evaluator; it is not used here'
    elif name == "epochs" and literal != 1:
        yield "epochs are not used here: a unit of evidence is one run of the candidate"


def _local(value: ast.expr) -> bool:
    first = value.elts[0] if isinstance(value, ast.Tuple) and value.elts else value
    return _constant(first, str) == "local"


def _constant(node: ast.expr, kind: type[str]) -> str:
    return node.value if isinstance(node, ast.Constant) and isinstance(node.value, kind) else ""


def _name(node: ast.expr) -> str:
    return node.id if isinstance(node, ast.Name) else node.attr if isinstance(node, ast.Attribute) else ""
