"""Which honest candidates differ in more than their work, and which attack is built on which of them.

An attack keeps nothing of honest work but its form: names and signatures of Python, or the kind of file. Candidates of
one form would repeat every attack, so the first of each form stands for it. Where time is limited the attacks go
round (``turns``): each is built on one form, the next one in turn on which it makes sense, so that all cost no more.

Pure. Not covered: forms that differ in what functions return, or in modules beside a folder's entry.
"""

from __future__ import annotations

import ast
from collections.abc import Sequence

from festina.drill.outside.build import Honest
from festina.drill.outside.catalog import Attack
from festina.drill.outside.mutants import kind_of
from festina.drill.outside.recon import Facts

__all__ = ["form", "turns"]

KEPT = frozenset({"limits"})  # these look at one another's outcome, and stay together


def form(raw: str, name: str) -> tuple[str, ...]:
    """What an attack keeps of this candidate."""
    if name.endswith(".py"):
        try:
            return ("python", *_names(Honest.parse(raw).tree))
        except (SyntaxError, ValueError):
            return ("text",)
    return (kind_of(raw, name),)


def _names(tree: ast.Module) -> list[str]:
    found = []
    for node in tree.body:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            found.append(_signature(node))
        elif isinstance(node, ast.ClassDef):
            methods = [each for each in node.body if isinstance(each, ast.FunctionDef | ast.AsyncFunctionDef)]
            found.append(f"{node.name}: {sorted(map(_signature, methods))}")
        elif isinstance(node, ast.If | ast.For | ast.While | ast.With) or (
            isinstance(node, ast.Expr) and isinstance(node.value, ast.Call)
        ):
            found.append("a script")
    return sorted(set(found))


def _signature(node: ast.FunctionDef | ast.AsyncFunctionDef) -> str:
    args = node.args
    named = [each.arg for each in (*args.posonlyargs, *args.args, *args.kwonlyargs)]
    more = [f"*{each.arg}" for each in (args.vararg, args.kwarg) if each is not None]
    return f"{'async ' if isinstance(node, ast.AsyncFunctionDef) else ''}{node.name}({', '.join(named + more)})"


def turns(attacks: Sequence[Attack], facts: Sequence[Facts]) -> dict[str, int]:
    """Attack id -> number of the candidate on which it is built. ``facts``: of each Python candidate."""
    found = {}
    for place, attack in enumerate(attacks):
        order = [(place + step) % len(facts) for step in range(len(facts))] if attack.kind not in KEPT else [0]
        found[attack.id] = next((each for each in order if not facts[each].lacks(attack.needs)), order[0])
    return found
