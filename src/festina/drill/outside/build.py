"""Make candidates: the honest one without its work, honest variants, and any of them with an exploit in front.

A candidate without work has the same imports, names and signatures. *Husk*: every body returns ``None``, a program
prints nothing. *Blank*: every function returns an empty value of the form that the honest one returned (zeros, empty
text).

Pure: source text in, source text out. Not covered: honest candidates whose work lies in a compiled extension.
"""

from __future__ import annotations

import ast
import base64
import copy
import re
import zlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from importlib.resources import files
from typing import Any

PAYLOADS = ("scorer", "objects", "clock", "exits", "forge", "outputs", "answers", "system", "task", "outfile", "judge",
            "recon")  # fmt: skip
_KEPT_DECORATORS = {"property", "staticmethod", "classmethod", "dataclass", "dataclasses.dataclass", "abstractmethod"}


@cache
def kit() -> str:
    return _payload("kit")


@cache
def sections() -> dict[str, str]:
    """Every payload by its name: ``kind/name`` or ``lib-...``."""
    found: dict[str, str] = {}
    for name in PAYLOADS:
        for part in re.split(r"^#: ", _payload(name), flags=re.M)[1:]:
            title, _, body = part.partition("\n")
            found[title.strip()] = body
    found["recon-frozen"] = found["recon"] + "\n_see = on_import\n\n\ndef on_import():\n    freeze()\n    _see()\n"
    return found


@cache
def library() -> str:
    return "\n".join(body for name, body in sections().items() if name.startswith("lib-"))


def _payload(name: str) -> str:
    return files(__package__).joinpath(f"payloads/{name}.py.txt").read_text(encoding="utf-8")


@dataclass(frozen=True)
class Honest:
    """An honest Python candidate: its source and parsed tree."""

    source: str
    tree: ast.Module = field(compare=False)
    futures: str = ""

    @classmethod
    def parse(cls, source: str) -> Honest:
        """Raises ``SyntaxError`` when it is not Python."""
        tree = ast.parse(source)
        lines = [ast.unparse(n) for n in tree.body if isinstance(n, ast.ImportFrom) and n.module == "__future__"]
        return cls(source, tree, "\n".join(lines))


def _is_docstring(node: ast.stmt) -> bool:
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)


def _is_guard(node: ast.stmt) -> bool:
    return isinstance(node, ast.If) and "__name__" in ast.unparse(node.test)


def compose(honest: Honest, base: str, attack: str, baked: Mapping[str, Any]) -> str:
    """Source of a candidate: the kit, one attack, and ``base`` (``honest``, ``husk`` or ``blank``)."""
    exploit = sections()[attack] if attack else ""
    main, guard = _parts(honest, base)
    head = f"{honest.futures}\n" if honest.futures else ""
    return (
        f"{head}_fd = {{'C': {dict(baked)!r}}}\n"
        f"exec(compile({kit()!r}, '<fd>', 'exec'), _fd)\n"
        f"exec(compile({library()!r}, '<fd>', 'exec'), _fd)\n"
        f"# the exploit: {attack or 'none (control)'}\n"
        f"exec(compile({exploit!r}, '<fd>', 'exec'), _fd)\n"
        "_fd['start'](globals())\n\n"
        f"{main}\n\n"
        "_fd['finish'](globals())\n"
        f"{guard}\n"
    )


_TOOLS = re.compile(r"^_fd = \{'C': .*?^(?=_fd\['start'\])", re.DOTALL | re.MULTILINE)


def pack(source: str) -> str:
    """The same candidate with the drill's tools as one opaque line.

    An evaluator that reads the candidate's text must find in it what the candidate says, and not what our tools hold:
    honest code, words to a judge.
    """
    found = _TOOLS.search(source)
    if found is None:
        return source
    blob = base64.b64encode(zlib.compress(found[0].encode("utf-8", "backslashreplace"), 9)).decode()
    line = f"exec(__import__('zlib').decompress(__import__('base64').b64decode('{blob}')).decode())\n"
    return source[: found.start()] + line + source[found.end() :]


def spoken(honest: Honest, section: str) -> str:
    """The candidate that does no work, with words of one attack in a comment; nothing of ours beside them."""
    words = "".join(f"# {line}".rstrip() + "\n" for line in sections()[section].splitlines()) if section else ""
    return husk(honest) + words


def kept(honest: Honest) -> tuple[str, ...]:
    """Variables of the module that its functions write while they work, such as a time or a count of calls."""
    inner = [each for each in ast.walk(honest.tree) if isinstance(each, ast.FunctionDef | ast.AsyncFunctionDef)]
    return tuple(sorted({name for fn in inner for each in ast.walk(fn) if isinstance(each, ast.Global)
                         for name in each.names}))  # fmt: skip


def _parts(honest: Honest, base: str) -> tuple[str, str]:
    """(body, main guard) of the base as text."""
    tree = copy.deepcopy(honest.tree)
    body = [n for n in tree.body if not (isinstance(n, ast.ImportFrom) and n.module == "__future__")]
    guards = [n for n in body if isinstance(n, ast.If) and _is_guard(n)]
    body = [n for n in body if not _is_guard(n)]
    if base != "honest":
        body = _emptied(body, blank=base == "blank")
        guards = [_only_own_calls(n, body) for n in guards]
    return _text(body), _text(guards)


def _text(body: list[Any]) -> str:
    return "\n".join(ast.unparse(ast.fix_missing_locations(node)) for node in body)


def husk(honest: Honest) -> str:
    """The candidate that does no work, without any of our code in it."""
    main, guard = _parts(honest, "husk")
    return f"from __future__ import annotations\n{main}\n{guard}\n"


def _emptied(body: list[ast.stmt], *, blank: bool) -> list[ast.stmt]:
    kept: list[ast.stmt] = []
    for node in body:
        if isinstance(node, ast.Import | ast.ImportFrom) or _is_docstring(node):
            kept.append(node)
        elif isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            kept.append(_hollow(node, node.name, blank=blank))
        elif isinstance(node, ast.ClassDef):
            kept.append(_hollow_class(node, blank=blank))
        elif isinstance(node, ast.Assign | ast.AnnAssign):
            kept += _unset(node)
        elif isinstance(node, ast.Try) and all(isinstance(n, ast.Import | ast.ImportFrom) for n in node.body):
            kept.append(node)
    return kept


def _unset(node: ast.Assign | ast.AnnAssign) -> list[ast.stmt]:
    """``NAME = None``; names such as ``__all__`` keep their value."""
    targets = node.targets if isinstance(node, ast.Assign) else [node.target]
    names = [t for t in targets if isinstance(t, ast.Name)]
    if any(name.id.startswith("__") for name in names):
        return [node]
    return [ast.Assign(targets=[name], value=ast.Constant(None), lineno=node.lineno) for name in names]


def _hollow(node: ast.FunctionDef | ast.AsyncFunctionDef, path: str, *, blank: bool) -> ast.stmt:
    node.decorator_list = [d for d in node.decorator_list if ast.unparse(d).split("(")[0] in _KEPT_DECORATORS]
    result = "None"
    if blank and not node.name.startswith("__"):
        names = [a.arg for a in [*node.args.posonlyargs, *node.args.args]]
        own = names[1:] if "." in path else names
        result = f"_fd['blank']({path!r}, ({''.join(name + ', ' for name in own)}))"
    body: list[ast.stmt] = [ast.parse(f"return {result}").body[0]] if blank else ast.parse("return None").body
    if node.name == "__init__":
        body = ast.parse("pass").body
    if _yields(node):
        body += ast.parse("yield").body
    node.body = body
    return node


def _yields(node: ast.AST) -> bool:
    stack = list(ast.iter_child_nodes(node))
    while stack:
        item = stack.pop()
        if isinstance(item, ast.Yield | ast.YieldFrom):
            return True
        if not isinstance(item, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda | ast.ClassDef):
            stack += ast.iter_child_nodes(item)
    return False


def _hollow_class(node: ast.ClassDef, *, blank: bool) -> ast.ClassDef:
    body: list[ast.stmt] = []
    fields = any("dataclass" in ast.unparse(d) for d in node.decorator_list)
    for item in node.body:
        if isinstance(item, ast.FunctionDef | ast.AsyncFunctionDef):
            body.append(_hollow(item, f"{node.name}.{item.name}", blank=blank))
        elif (isinstance(item, ast.AnnAssign) and fields) or _is_docstring(item):
            body.append(item)
        elif isinstance(item, ast.Assign | ast.AnnAssign):
            body += _unset(item)
        elif isinstance(item, ast.ClassDef):
            body.append(_hollow_class(item, blank=blank))
    node.body = body or ast.parse("pass").body
    return node


def _only_own_calls(guard: ast.If, body: list[ast.stmt]) -> ast.If:
    """The main guard with nothing but its calls of the candidate's own (now empty) functions."""
    own = {n.name for n in body if isinstance(n, ast.FunctionDef | ast.AsyncFunctionDef)}
    calls = [
        n for n in guard.body
        if isinstance(n, ast.Expr) and isinstance(n.value, ast.Call) and isinstance(n.value.func, ast.Name)
        and n.value.func.id in own and not n.value.args
    ]  # fmt: skip
    guard.body = list(calls) or ast.parse("pass").body
    guard.orelse = []
    return guard


# -- honest variants ---------------------------------------------------------------------------------------


def commented(honest: Honest) -> str:
    return f"{honest.source.rstrip()}\n# checked twice; nothing to see here\n"


def chatty(honest: Honest, stream: str) -> str:
    """The honest candidate with a word on ``stream`` when it is loaded."""
    line = f"import sys as _sys\nprint('working on it ...', file=_sys.{stream}, flush=True)\n"
    return _after_futures(honest, line)


def slower(honest: Honest, seconds: float) -> str:
    return _after_futures(honest, f"import time as _time\n_time.sleep({seconds})\n")


def renamed(honest: Honest) -> str | None:
    """Local variables renamed, where a function has some that can be renamed safely; ``None`` where none has."""
    tree = copy.deepcopy(honest.tree)
    changed = False
    for node in tree.body:
        if isinstance(node, ast.FunctionDef):
            changed |= _rename(node)
    return ast.unparse(tree) + "\n" if changed else None


def _rename(node: ast.FunctionDef) -> bool:
    inner = (
        ast.FunctionDef, ast.Lambda, ast.ClassDef, ast.Global, ast.Nonlocal, ast.ExceptHandler, ast.Match, ast.Import,
        ast.ImportFrom,
    )  # fmt: skip
    if any(isinstance(item, inner) and item is not node for item in ast.walk(node)):
        return False
    if any(isinstance(item, ast.Name) and item.id in {"locals", "exec", "eval", "vars"} for item in ast.walk(node)):
        return False
    parameters = {a.arg for a in ast.walk(node.args) if isinstance(a, ast.arg)}
    stored = {n.id for n in ast.walk(node) if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Store)} - parameters
    for item in ast.walk(node):
        if isinstance(item, ast.Name) and item.id in stored:
            item.id = f"{item.id}_renamed"
    return bool(stored)


def _after_futures(honest: Honest, line: str) -> str:
    rows = honest.source.splitlines(keepends=True)
    at = 0
    for node in honest.tree.body:
        if _is_docstring(node) or (isinstance(node, ast.ImportFrom) and node.module == "__future__"):
            at = node.end_lineno or at
        else:
            break
    return "".join(rows[:at]) + ("\n" if at and not rows[at - 1].endswith("\n") else "") + line + "".join(rows[at:])
