"""Draw hidden problems: additions of one to twenty digits, most of them longer than the first model can do.

Festina loads this file into the vault (``festina vault add hidden --generator vault/generator.py``) and calls
``generate(seed, n)`` for fresh items; nothing that runs in a sandbox ever sees it. The only place of this example
where two numbers are added is here, and in the scripts beside the system that measure it.

The lengths are spread, so that the frontier can move through them without a change of the rules: a model that can do
one digit more than before gains a fourteenth of the long part, and up to the last digit
that is aimed at (sixteen) there is something left to gain. A quarter of the items are as short as what
the first model was taught; the guard ``old`` looks at those.
"""

from __future__ import annotations

import random
from typing import Any

OLD = range(1, 7)
LONG = range(7, 21)
OLD_SHARE = 0.25


def draw(rng: random.Random, digits: int) -> dict[str, Any]:
    low, high = (0, 9) if digits == 1 else (10 ** (digits - 1), 10**digits - 1)
    a, b = rng.randint(low, high), rng.randint(low, high)
    return {
        "input": {"a": str(a), "b": str(b)},
        "label": {"sum": str(a + b), "old": digits in OLD},
        "oracle": str(a + b),
    }


def generate(seed: int, n: int) -> list[dict[str, Any]]:
    """Fresh hidden items: what Festina calls."""
    rng = random.Random(seed)
    lengths = [rng.choice(OLD) if rng.random() < OLD_SHARE else rng.choice(LONG) for _ in range(n)]
    return [draw(rng, digits) for digits in lengths]
