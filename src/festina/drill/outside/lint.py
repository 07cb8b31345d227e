"""Settings of an Inspect task that let failures pass, read from its source; nothing is run.

They are notes beside the executed attacks: a setting is not a hole by itself. Not covered: values not written out.
"""

from __future__ import annotations

import ast

_CALLS = {
    "includes": "includes() finds the target anywhere in the output: an answer that names everything passes",
    "model_graded_qa": "a model judges the output, which may hold instructions to it; plant some and see",
    "model_graded_fact": "a model judges the output, which may hold instructions to it; plant some and see",
}


def lint(source: str, file: str) -> list[str]:
    """Lines ``file:line: words``."""
    try:
        tree = ast.parse(source)
    except (SyntaxError, ValueError):
        return []
    found: list[str] = []
    for node in ast.walk(tree):
        if not isinstance(node, ast.Call):
            continue
        name = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
        words = [_CALLS[name]] if name in _CALLS else []
        given = {keyword.arg: keyword.value for keyword in node.keywords}
        if name in ("Task", "eval", "eval_async", "task_with"):
            words += _settings(given)
        found += [f"{file}:{node.lineno}: {each}" for each in words]
    return found


def _settings(given: dict[str | None, ast.expr]) -> list[str]:
    words = []
    tolerant = given.get("fail_on_error")
    scored = given.get("score_on_error")
    if tolerant is not None and not _is(tolerant, True) and not (scored is not None and _is(scored, True)):
        words.append("fail_on_error tolerates errors without score_on_error: samples that fail leave the mean")
    sandbox = given.get("sandbox")
    if isinstance(sandbox, ast.Constant) and sandbox.value == "local":
        words.append("sandbox='local' is none: the evaluator's memory and files are within reach")
    if "retry_on_error" in given and not _is(given["retry_on_error"], 0):
        words.append("retry_on_error re-rolls a sample that crashed")
    return words


def _is(node: ast.expr, value: object) -> bool:
    return isinstance(node, ast.Constant) and node.value is value
