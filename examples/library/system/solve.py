"""Answer tasks: find, for each truth table, a program over NAND and the primitives in ``library.json``.

A task is ``{"id": ..., "input": {"inputs": k, "table": "0110..."}}``: character r of the table is the
wanted output for row r, and input i of row r is bit i of r. An answer is a straight-line NAND program,
fully expanded so that the scorer needs no library: a list of gates ``[a, b]``; numbers below k name
inputs, k + n names gate n, and the last gate is the output. No answer is ``null``.

The search is bottom-up and shared by all tasks with the same number of inputs: expressions are tested
from cheap to dear until BUDGET of them are spent. An application costs 1, its arguments' costs, and 1
more if two arguments read the same input. The only thing that evolves is the language: a new primitive
makes useful programs cheaper, and every other one a little later, because the budget stays the same.
"""

from __future__ import annotations

import itertools
import json
import os
from collections import namedtuple

TYPE_CHECKING = False  # the typing module would cost a fifth of the start-up time
if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, Iterable, Iterator

    Gates = list[list[int]]  # pairs of wires
    Task = tuple[str, int, int]  # id, inputs, table
    Cell = tuple[int, int, list[int]]  # cost, inputs read (bits), tables
    Found = dict[int, tuple["Primitive", tuple[int, ...]] | None]
    Node = Hashable

BUDGET = 1000  # expressions tested for each number of inputs
MAX_COST = 12

Primitive = namedtuple("Primitive", "name inputs gates")


def read_library(folder: str) -> list[Primitive]:
    """The primitives of a tree, in the order in which the search tries them."""
    with open(os.path.join(folder, "library.json")) as file:
        rows = json.load(file)["primitives"]
    return [Primitive(row["name"], row["inputs"], tuple(map(tuple, row["gates"]))) for row in rows]


def library_text(primitives: list[Primitive]) -> str:
    """A library as it is kept: one primitive a line, so that a patch shows which come and go."""
    rows = [json.dumps({"name": p.name, "inputs": p.inputs, "gates": p.gates}) for p in primitives]
    return '{"primitives": [\n' + ",\n".join(rows) + "\n]}\n"


def read_tasks(path: str) -> list[Task]:
    """Tasks as (id, number of inputs, table); a table is an integer whose bit r is the output for row r."""
    with open(path) as file:
        items = [json.loads(line) for line in file]
    return [(item["id"], item["input"]["inputs"], int(item["input"]["table"][::-1], 2)) for item in items]


def columns(inputs: int) -> list[int]:
    """The tables of the inputs themselves."""
    return [sum(1 << row for row in range(1 << inputs) if row >> i & 1) for i in range(inputs)]


def run(gates: Gates, tables: Iterable[int], full: int) -> int:
    """The table that NAND gates compute from argument tables; ``full`` is the all-ones table."""
    wires = list(tables)
    for a, b in gates:
        wires.append(full & ~(wires[a] & wires[b]))
    return wires[-1]


def twins(primitive: Primitive) -> list[int]:
    """Positions i whose argument may be swapped with the next one without changing the result."""
    full, plain = (1 << (1 << primitive.inputs)) - 1, columns(primitive.inputs)

    def table(order: list[int]) -> int:
        return run(primitive.gates, [plain[i] for i in order], full)

    order = list(range(primitive.inputs))
    return [i for i in order[:-1] if table([*order[:i], i + 1, i, *order[i + 2 :]]) == table(order)]


def cell_tuples(
    cells: list[Cell],
    left: int,
    swaps: list[int],
    cost: int,
    reads: int = 0,
    shared: bool = False,
    chosen: tuple[int, ...] = (),
) -> Iterator[tuple[tuple[int, ...], int, bool]]:
    """Cells for the arguments of one application whose costs, plus 1 if they share an input, sum to ``cost``."""
    if not left:
        if cost == shared:
            yield chosen, reads, shared
        return
    first = chosen[-1] if chosen and len(chosen) - 1 in swaps else 0
    for index in range(first, len(cells)):
        price, mask, _ = cells[index]
        if price > cost:
            return
        both = shared or bool(reads & mask)
        if price + both <= cost:
            yield from cell_tuples(cells, left - 1, swaps, cost - price, reads | mask, both, (*chosen, index))


def arguments(
    cells: list[Cell], primitive: Primitive, swaps: list[int], cost: int
) -> Iterator[tuple[tuple[int, ...], int]]:
    """Every argument list (tables) of that total cost, once up to swapping twins, with the inputs it reads."""
    for chosen, reads, shared in cell_tuples(cells, primitive.inputs, swaps, cost):
        ordered = [i for i in swaps if chosen[i] == chosen[i + 1]]
        for args in itertools.product(*(cells[index][2] for index in chosen)):
            if not shared or (len(set(args)) == len(args) and all(args[i] < args[i + 1] for i in ordered)):
                yield args, reads


def search(primitives: list[Primitive], inputs: int, budget: int = BUDGET) -> Found:
    """Table -> (primitive, argument tables), or None for an input, for all that the budget reaches."""
    full, swaps = (1 << (1 << inputs)) - 1, [twins(primitive) for primitive in primitives]
    found = dict.fromkeys(columns(inputs))
    cells = [(0, 1 << i, [table]) for i, table in enumerate(found)]  # by cost
    for cost in range(1, MAX_COST):
        fresh = {}
        for primitive, swap in zip(primitives, swaps, strict=True):
            for args, reads in arguments(cells, primitive, swap, cost - 1):
                if budget == 0:
                    return found
                budget -= 1
                table = run(primitive.gates, args, full)
                if table not in found:
                    found[table] = (primitive, args)
                    fresh.setdefault(reads, []).append(table)
        cells += [(cost, reads, tables) for reads, tables in fresh.items()]
    return found


def program(root: Node, parts: Callable[[Node], tuple[Primitive, tuple[Node, ...]]], leaves: list[Node]) -> Gates:
    """NAND gates for an expression, each distinct gate once.

    ``parts(node)`` gives a node's (primitive, argument nodes); ``leaves`` are the nodes that are inputs.
    """
    wires = {leaf: i for i, leaf in enumerate(leaves)}
    gates = {}

    def wire(node: Node) -> int:
        if node not in wires:
            primitive, args = parts(node)
            local = [wire(arg) for arg in args]
            for a, b in primitive.gates:
                gate = (min(local[a], local[b]), max(local[a], local[b]))
                local.append(gates.setdefault(gate, len(leaves) + len(gates)))
            wires[node] = local[-1]
        return wires[node]

    last = wire(root)
    return [list(gate) for gate in gates][: last + 1 - len(leaves)]


def answer(tasks: list[Task], primitives: list[Primitive], memo: dict[str, Gates]) -> Iterator[dict[str, object]]:
    """One program, or None, for each task; ``memo`` maps "k:table" to programs remembered from before."""
    found = {inputs: search(primitives, inputs) for inputs in sorted({inputs for _, inputs, _ in tasks})}
    for name, inputs, table in tasks:
        gates = memo.get(f"{inputs}:{table:x}")
        if gates is None and found[inputs].get(table) is not None:
            gates = program(table, found[inputs].__getitem__, columns(inputs))
        yield {"id": name, "output": gates}


def main() -> None:
    here = os.path.dirname(os.path.abspath(__file__))
    tasks = read_tasks(os.path.join(os.environ["FESTINA_IN"], "items.jsonl"))
    with open(os.path.join(here, "memo.json")) as file:
        memo = json.load(file)
    with open(os.path.join(os.environ["FESTINA_OUT"], "predictions.jsonl"), "w") as file:
        for line in answer(tasks, read_library(here), memo):
            file.write(json.dumps(line) + "\n")


if __name__ == "__main__":
    main()
