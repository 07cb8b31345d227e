"""Solved or not: every call gave back what the reference solution gives. No program of a candidate runs here."""

import ast

LONGEST = 2000


def value(word):
    if not isinstance(word, str) or len(word) > LONGEST:
        raise ValueError("no literal")
    return ast.literal_eval(word)


def same(a, b):
    if isinstance(a, bool) or isinstance(b, bool):
        return a is b
    if isinstance(a, float | int) and isinstance(b, float | int) and float in (type(a), type(b)):
        return abs(a - b) <= 1e-6 * max(1.0, abs(b))
    if type(a) is not type(b):
        return False
    if isinstance(a, list | tuple):
        return len(a) == len(b) and all(same(x, y) for x, y in zip(a, b, strict=True))
    return a == b


def solved(item, output):
    label = item["label"]
    if not isinstance(output, list) or len(output) != len(label):
        return 0.0
    try:
        return 1.0 if all(same(value(mine), value(right)) for mine, right in zip(output, label, strict=True)) else 0.0
    except (ValueError, OverflowError, SyntaxError, RecursionError, MemoryError):
        return 0.0
