"""Draw tasks: random compositions of a hidden mix of useful functions, over three to five inputs.

Festina loads this file into the vault (``festina vault add hidden --generator vault/generator.py``) and
calls ``generate(seed, n)`` for fresh items; nothing that runs in a sandbox ever sees it.

The space of functions is cut once and for all into a public and a hidden half, within each stratum at
random. A hidden task is therefore never a public one, and yet both are draws from the same distribution:
remembering the public answers is worth nothing here, and learning from them is worth a lot.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from functools import cache
from typing import Any

Nand = Callable[[int, int], int]
Tree = Any  # an input number, or [function, *trees]
Family = tuple[dict[str, int], set[str] | None, tuple[int, ...]]
Function = tuple[Family, int, int, Tree]  # with inputs and table

# Each function is written once, over an abstract NAND ``n``: with tables it computes, with gates it compiles.
FUNCTIONS = {
    "and": (2, lambda n, a, b: n(n(a, b), n(a, b))),
    "or": (2, lambda n, a, b: n(n(a, a), n(b, b))),
    "xor": (2, lambda n, a, b: n(n(a, n(a, b)), n(b, n(a, b)))),
    "parity": (3, lambda n, a, b, c: f("xor", n, f("xor", n, a, b), c)),
    "majority": (3, lambda n, a, b, c: f("or", n, f("and", n, a, b), f("and", n, c, f("or", n, a, b)))),
    "differ": (3, lambda n, a, b, c: f("or", n, f("xor", n, a, b), f("xor", n, b, c))),
    "one": (3, lambda n, a, b, c: f("and", n, f("parity", n, a, b, c), n(a, b))),
}

# family: how often each function is drawn, functions one of which must occur, and sizes (applications)
PLAIN = ({"and": 2, "or": 2}, None, (2, 3, 4))
PARITY = ({"and": 2, "or": 2, "xor": 3}, {"xor"}, (2, 3, 4))
COUNTING = (
    {"and": 2, "or": 2, "xor": 2, "parity": 1, "majority": 4, "differ": 3, "one": 3},
    {"parity", "majority", "differ", "one"},
    (1, 2, 2, 2),
)
STRATA = [  # (weight, family, inputs)
    (2, PLAIN, 3), (6, PLAIN, 4), (1, PLAIN, 5),
    (4, PARITY, 3), (3, PARITY, 4), (1, PARITY, 5),
    (2, COUNTING, 3), (6, COUNTING, 4), (10, COUNTING, 5),
]  # fmt: skip
DRAWS = 500  # compositions drawn for each stratum; many of them compute the same function
CUT = 20250  # seed of the cut into halves


def f(name: str, n: Nand, *args: int) -> int:
    """Apply a function of the mix to wires (tables or gate numbers)."""
    return FUNCTIONS[name][1](n, *args)


def compose(rng: random.Random, family: Family, inputs: int) -> Tree | None:
    """One random expression ``[name, *subtrees]`` whose leaves are input numbers, or None if it does not fit."""
    weights, needed, sizes = family
    names = rng.choices(list(weights), list(weights.values()), k=rng.choice(sizes))
    leaves = 1 + sum(FUNCTIONS[name][0] - 1 for name in names)
    spare = leaves - inputs
    if not 0 <= spare <= (inputs == 3) or (needed and needed.isdisjoint(names)):
        return None
    reads = [*range(inputs), *rng.choices(range(inputs), k=spare)]
    rng.shuffle(reads)
    tree = [None]
    holes = [(tree, 0)]
    for name in names:
        parent, place = holes.pop(rng.randrange(len(holes)))
        parent[place] = [name] + [None] * FUNCTIONS[name][0]
        holes += [(parent[place], i) for i in range(1, len(parent[place]))]
    for (parent, place), read in zip(holes, reads, strict=True):
        parent[place] = read
    return tree[0]


def evaluate(tree: Tree, n: Nand, wires: list[int]) -> int:
    """Fold an expression with NAND ``n``."""
    return wires[tree] if isinstance(tree, int) else f(tree[0], n, *(evaluate(sub, n, wires) for sub in tree[1:]))


def table_of(tree: Tree, inputs: int) -> int:
    rows = range(1 << inputs)
    full = (1 << (1 << inputs)) - 1
    columns = [sum(1 << row for row in rows if row >> i & 1) for i in range(inputs)]
    return evaluate(tree, lambda a, b: full & ~(a & b), columns)


def gates_of(tree: Tree, inputs: int) -> list[list[int]]:
    """The expression as a straight-line NAND program: proof that the task can be solved."""
    gates = {}

    def nand(a: int, b: int) -> int:
        return gates.setdefault((min(a, b), max(a, b)), inputs + len(gates))

    last = evaluate(tree, nand, list(range(inputs)))
    return [list(gate) for gate in gates][: last - inputs + 1]


def uses_all(table: int, inputs: int) -> bool:
    rows = range(1 << inputs)
    return all(any((table >> r ^ table >> (r ^ 1 << i)) & 1 for r in rows) for i in range(inputs))


@cache
def halves() -> list[tuple[list[Function], list[Function]]]:
    """For each stratum its distinct functions (family, inputs, table, expression): (public half, hidden half)."""
    rng = random.Random(CUT)
    seen, cut = set(), []
    for _, family, inputs in STRATA:
        fresh = []
        for _ in range(DRAWS):
            tree = compose(rng, family, inputs)
            table = tree and table_of(tree, inputs)
            if tree and (inputs, table) not in seen and uses_all(table, inputs):
                seen.add((inputs, table))
                fresh.append((family, inputs, table, tree))
        rng.shuffle(fresh)
        cut.append((fresh[: len(fresh) // 2], fresh[len(fresh) // 2 :]))
    return cut


def draw(seed: int, n: int, half: int) -> list[dict[str, Any]]:
    """n items of the public (0) or hidden (1) half."""
    rng = random.Random(seed)
    strata = rng.choices(halves(), [weight for weight, _, _ in STRATA], k=n)
    return [item(*rng.choice(stratum[half])) for stratum in strata]


def item(family: Family, inputs: int, table: int, tree: Tree) -> dict[str, Any]:
    """``easy`` marks what generation 0 can say well: AND and OR of three or four inputs."""
    return {
        "input": {"inputs": inputs, "table": f"{table:0{1 << inputs}b}"[::-1]},
        "label": {"easy": family is PLAIN and inputs < 5},
        "oracle": gates_of(tree, inputs),
    }


def generate(seed: int, n: int) -> list[dict[str, Any]]:
    """Fresh hidden items: what Festina calls."""
    return draw(seed, n, 1)
