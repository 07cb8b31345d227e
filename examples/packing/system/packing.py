"""Online bin packing, played by a rule that is data: read strictly, evaluated here, never executed.

A rule is ``{"priority": FORMULA, "tables": {NAME: [101 numbers], ...}}``. For each item in turn, every bin with
enough space gets the formula's value, and the item goes into the bin with the highest one (of equal ones, the
fullest). The formula knows numbers, ``+ - * / **``, comparisons (1 or 0), ``min max abs sqrt log1p``, its tables,
indexed by ``item``, ``space`` or ``left``, and these names:

    item    size of the item                        space   free space of the bin before it is put there
    left    free space of the bin afterwards        new     1 for opening a new bin, else 0
    same    open bins with that much ``space``      after   open bins with as much space as ``left``

That is all a rule can see: the items so far, through the counts, and never one that is still to come. It cannot
look ahead because it is not a program; the loop over the items is here, in the judge's hands.

Rules are played in batches: constants and tables may carry a leading axis of P variants of the same formula.
"""

from __future__ import annotations

import ast
import math
import operator
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

CAPACITY = 100
MAX_FORMULA, MAX_NODES, MAX_TABLES, MAX_NUMBER = 2000, 300, 4, 1e9
STATIC, DYNAMIC = ("item", "space", "left", "new"), ("same", "after")
FUNCTIONS: dict[str, tuple[int, Callable[..., Any]]] = {
    "min": (2, np.minimum), "max": (2, np.maximum), "abs": (1, np.abs), "sqrt": (1, np.sqrt), "log1p": (1, np.log1p),
}  # fmt: skip
OPERATORS: dict[type[ast.AST], Callable[..., Any]] = {
    ast.Add: operator.add, ast.Sub: operator.sub, ast.Mult: operator.mul, ast.Div: operator.truediv,
    ast.Pow: operator.pow, ast.Lt: operator.lt, ast.LtE: operator.le, ast.Gt: operator.gt, ast.GtE: operator.ge,
    ast.Eq: operator.eq, ast.NotEq: operator.ne,
}  # fmt: skip

Env = Mapping[str, Any]
Node = tuple[bool, Callable[[Env], Any]]  # does it depend on the counts; its value in an environment


class BadRule(ValueError):
    """What was handed in is no rule."""


@dataclass(frozen=True, slots=True)
class Rule:
    """A formula that was read, its numbers in order of appearance, and its tables."""

    formula: str
    constants: tuple[float, ...]
    tables: Mapping[str, tuple[float, ...]]


def read_rule(value: object) -> Rule:
    """A rule from JSON values. Raises ``BadRule`` for anything else."""
    if type(value) is not dict or value.keys() != {"priority", "tables"}:
        raise BadRule("a rule has a priority and tables")
    formula, tables = value["priority"], value["tables"]
    if type(formula) is not str or len(formula) > MAX_FORMULA or not formula.isascii() or not formula.isprintable():
        raise BadRule(f"a priority is one line of at most {MAX_FORMULA} ASCII characters")
    if type(tables) is not dict or len(tables) > MAX_TABLES:
        raise BadRule(f"tables are at most {MAX_TABLES} by name")
    for name, row in tables.items():
        if not re.fullmatch("[a-z]{1,8}", name) or name in (*STATIC, *DYNAMIC, *FUNCTIONS):
            raise BadRule("a table's name is one to eight small letters, and no other word of the language")
        if type(row) is not list or len(row) != CAPACITY + 1 or not all(map(_number, row)):
            raise BadRule(f"a table is a list of {CAPACITY + 1} numbers")
    rule = Rule(formula, (), {name: tuple(map(float, row)) for name, row in tables.items()})
    constants: list[float] = []
    _compile(rule, constants, None)
    return Rule(formula, tuple(constants), rule.tables)


def _number(value: object) -> bool:
    return type(value) in (int, float) and abs(value) <= MAX_NUMBER  # neither true, nor infinite, nor NaN


def _compile(rule: Rule, constants: list[float], values: np.ndarray | None, tables: Env | None = None) -> Node:
    """The formula as nested functions of an environment. Its numbers are collected, or taken from ``values``."""
    try:
        tree = ast.parse(rule.formula, mode="eval")
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        raise BadRule("the priority is no formula") from None
    if sum(1 for _ in ast.walk(tree)) > MAX_NODES:
        raise BadRule(f"the priority has more than {MAX_NODES} parts")
    return _node(tree.body, constants, values, rule.tables if tables is None else tables)


def _node(node: ast.expr, constants: list[float], values: np.ndarray | None, tables: Env) -> Node:
    def inner(child: ast.expr) -> Node:
        return _node(child, constants, values, tables)

    match node:
        case ast.Constant(value=number) if _number(number):
            at = len(constants)
            constants.append(float(number))
            fixed = np.float64(number) if values is None else values[:, at : at + 1]  # numpy's: 1/0 is no error
            return False, lambda _: fixed
        case ast.Name(id=name) if name in STATIC or name in DYNAMIC:
            return name in DYNAMIC, lambda env: env[name]
        case ast.Subscript(value=ast.Name(id=name), slice=ast.Name(id=index)) if name in tables and index in STATIC[:3]:
            table = np.atleast_2d(np.asarray(tables[name], dtype=float))
            return False, lambda env: table[:, env[index].astype(int)]
        case ast.UnaryOp(op=ast.USub(), operand=operand):
            return _apply(operator.neg, [inner(operand)])
        case ast.BinOp(left=left, op=op, right=right) if type(op) in OPERATORS:
            return _apply(OPERATORS[type(op)], [inner(left), inner(right)])
        case ast.Compare(left=left, ops=[op], comparators=[right]) if type(op) in OPERATORS:
            compare = OPERATORS[type(op)]
            return _apply(lambda a, b: np.asarray(compare(a, b), dtype=float), [inner(left), inner(right)])
        case ast.Call(func=ast.Name(id=name), args=args, keywords=[]) if name in FUNCTIONS:
            count, function = FUNCTIONS[name]
            if len(args) == count:
                return _apply(function, [inner(each) for each in args])
    raise BadRule(f"{type(node).__name__} is not part of the language here")


def _apply(function: Callable[..., Any], parts: Sequence[Node]) -> Node:
    """A function of nodes. A static part below a dynamic node is worked out once for each item size."""
    dynamic = any(each[0] for each in parts)
    calls = [_remembered(call) if dynamic and not moves else call for moves, call in parts]
    if len(calls) == 1:
        (only,) = calls
        return dynamic, lambda env: function(only(env))
    first, second = calls
    return dynamic, lambda env: function(first(env), second(env))


def _remembered(call: Callable[[Env], Any]) -> Callable[[Env], Any]:
    known: dict[int, Any] = {}

    def look(env: Env) -> Any:
        size = env["size"]
        if size not in known:
            known[size] = call(env)
        return known[size]

    return look


def play(
    rule: Rule,
    items: Sequence[int],
    constants: np.ndarray | None = None,
    tables: Mapping[str, np.ndarray] | None = None,
) -> np.ndarray:
    """Bins used for ``items``, for each of P variants of ``rule``: its numbers [P, k], its tables [P, 101] each.

    Without variants, P is 1. A variant whose chosen priority is once not finite gets infinity.
    """
    variants = 1
    if constants is not None:
        variants = len(constants)
    if tables:
        variants = max(variants, *(len(table) for table in tables.values()))
    moves, call = _compile(rule, [], constants, tables)
    call = call if moves else _remembered(call)
    rows = np.arange(variants)
    counts = np.zeros((variants, CAPACITY + 1))  # open bins by free space
    least = np.zeros(CAPACITY + 1)
    least[CAPACITY] = -1  # a new bin can always be had
    bins, sound = np.zeros(variants), np.ones(variants, dtype=bool)
    spaces = np.arange(CAPACITY + 1)
    fixed = [_environment(size, spaces) for size in range(CAPACITY + 1)]
    with np.errstate(all="ignore"):
        for size in items:
            env = fixed[size]
            env["same"], env["after"] = counts[:, size:], counts[:, : CAPACITY + 1 - size]
            score = np.where(counts[:, size:] > least[size:], call(env), -np.inf)
            best = score.argmax(axis=1)
            sound &= np.isfinite(score[rows, best])
            space = best + size
            bins += space == CAPACITY
            counts[rows, space] -= 1
            counts[rows, best] += 1
            counts[:, 0] = 0  # full bins and unopened ones are never counted
            counts[:, CAPACITY] = 0
    return np.where(sound, bins, np.inf)


def _environment(size: int, spaces: np.ndarray) -> dict[str, Any]:
    space = spaces[size:]
    return {
        "size": size, "item": np.array([size]), "space": space.astype(float), "left": (space - size).astype(float),
        "new": (space == CAPACITY).astype(float),
    }  # fmt: skip


def excess(bins: float, items: Sequence[int]) -> float:
    """How many more bins than the items' total size needs, in per cent of that."""
    needed = math.ceil(sum(items) / CAPACITY)
    return 100.0 * (bins - needed) / needed
