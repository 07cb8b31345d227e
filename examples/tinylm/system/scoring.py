"""Score predictions in bits: how surprised an answer is by the character that came next. Nothing in it is trusted.

An answer is an object, symbol to whole millionths, that adds up to a million exactly. A symbol that it leaves out
counts half a millionth, 20.9 bits; what is no answer has no score, and so the worst one that the range has.
"""

from __future__ import annotations

import math
from typing import Any

MILLION = 1_000_000


def bits(item: dict[str, Any], output: object) -> float:
    """Bits for the item's label: 0 for a certain and right answer, 21 for a certain and wrong one."""
    if type(output) is not dict or not output or not all(len(symbol) == 1 for symbol in output):
        raise ValueError("not an object of single characters")
    if not all(type(n) is int and n > 0 for n in output.values()) or sum(output.values()) != MILLION:
        raise ValueError("not whole millionths that add up to a million")
    return -math.log2(max(output.get(item["label"], 0), 0.5) / MILLION)
