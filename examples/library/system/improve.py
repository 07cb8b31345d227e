"""Propose the next library: what the approved generation's own language shows it.

Started by Festina in the tree of the improver in force, with a view of the incumbent. Three steps:

1. Solve the public tasks with *this tree's* solver and library, and collect the sub-functions of the
   programs found that have at most three inputs. A richer library finds programs that a poorer one
   cannot, hence sub-functions that it cannot: this is where one generation helps the next.
2. Try edits of the *incumbent's* library, adding such sub-functions and dropping primitives, up to
   EDITS at once, and rank them by the public tasks solved.
3. Leave out what was tried since the last acceptance, and write down the best of the rest.

Public tasks guide the search and decide nothing: whether an edit is kept is settled on hidden tasks.
"""

from __future__ import annotations

import itertools
import json
import os
import random
from collections import Counter

import solve

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from solve import Found, Primitive, Task

    Tree = int | tuple[Primitive | "Tree", ...]

EDITS = 2  # additions and removals in one proposal
BEAM = 3  # partial edits kept at each step
FRAGMENT = 4  # applications in one sub-function
TOP, MORE = 24, 6  # sub-functions considered: the most frequent, and a random choice of others


def fragments(found: Found, table: int, size: int) -> Iterator[tuple[Tree, int]]:
    """Expressions for ``table`` of up to ``size`` applications, cut off at any node: pairs (tree, applications).

    A tree is a table (a cut: an input of the sub-function) or ``(primitive, *trees)``.
    """
    yield table, 0
    if size and found[table]:
        primitive, args = found[table]
        partial = [((primitive,), 1)]
        for arg in args:
            pieces = list(fragments(found, arg, size - 1))
            partial = [((*tree, sub), n + m) for tree, n in partial for sub, m in pieces if n + m <= size]
        yield from partial


def cuts(tree: Tree) -> list[int]:
    """The distinct inputs of a sub-function, in order of appearance."""
    if isinstance(tree, int):
        return [tree]
    return list(dict.fromkeys(leaf for sub in tree[1:] for leaf in cuts(sub)))


def primitive_of(tree: Tree, leaves: list[int]) -> Primitive | None:
    """A sub-function as a primitive, the same one whatever the order of its inputs; None if it ignores one."""
    gates = solve.program(tree, lambda node: (node[0], node[1:]), leaves)
    n = len(leaves)
    full, plain, versions = (1 << (1 << n)) - 1, solve.columns(n), []
    for order in itertools.permutations(range(n)):
        moved = tuple(tuple(sorted(order[w] if w < n else w for w in gate)) for gate in gates)
        table = solve.run(moved, plain, full)
        versions.append((-len(solve.twins(solve.Primitive("", n, moved))), table, moved))
    _, table, moved = min(versions)
    rows = range(1 << n)
    if not all(any((table >> row ^ table >> (row ^ 1 << i)) & 1 for row in rows) for i in range(n)):
        return None
    return solve.Primitive(f"f{n}_{table:x}", n, moved)


def mine(library: list[Primitive], tasks: list[Task]) -> list[Primitive]:
    """Sub-functions of the solutions that this library finds, most frequent first."""
    counts, best = Counter(), {}
    for inputs in sorted({inputs for _, inputs, _ in tasks}):
        found = solve.search(library, inputs)
        of_node = {}
        for table in [table for _, k, table in tasks if k == inputs and table in found]:
            nodes = [table]
            for node in nodes:
                nodes += [arg for arg in (found[node] or (None, ()))[1] if arg not in nodes]
            used = set()
            for node in nodes:
                if node not in of_node:
                    trees = [tree for tree, size in fragments(found, node, FRAGMENT) if size > 1]
                    leaves = [(tree, cuts(tree)) for tree in trees]
                    of_node[node] = [p for p in (primitive_of(t, ls) for t, ls in leaves if len(ls) < 4) if p]
                for primitive in of_node[node]:
                    used.add(primitive.name)
                    known = best.setdefault(primitive.name, primitive)
                    if len(primitive.gates) < len(known.gates):
                        best[primitive.name] = primitive
            counts.update(sorted(used))
    return [best[name] for name, _ in sorted(counts.items(), key=lambda pair: (-pair[1], pair[0]))]


def solved(library: list[Primitive], tasks: list[Task]) -> float:
    """The share of tasks that a library solves."""
    found = {inputs: solve.search(library, inputs) for inputs in {inputs for _, inputs, _ in tasks}}
    return sum(table in found[inputs] for _, inputs, table in tasks) / len(tasks)


def names(library: list[Primitive]) -> frozenset[str]:
    return frozenset(primitive.name for primitive in library)


def tried_since_acceptance(history: list[dict[str, str]], incumbent: list[Primitive]) -> set[frozenset[str]]:
    """Libraries (sets of names) that the incumbent's earlier proposals would have led to."""
    tried = []
    for row in history:
        lines = [line for line in (row["patch"] or "").splitlines() if line[1:].startswith('{"name"')]
        sets = {sign: {json.loads(x[1:].rstrip(","))["name"] for x in lines if x[0] == sign} for sign in "+-"}
        tried = [] if row["word"] == "accepted" else [*tried, sets]
    return {names(incumbent) - sets["-"] | sets["+"] for sets in tried}


def propose(
    own: list[Primitive],
    incumbent: list[Primitive],
    tasks: list[Task],
    tried: set[frozenset[str]],
    seed: int | str,
) -> tuple[list[Primitive], float, float] | None:
    """The best untried edit of the incumbent: (library, its public share, the incumbent's), or None."""
    pool = mine(own, tasks)
    rest = pool[TOP:]
    pool = pool[:TOP] + random.Random(seed).sample(rest, min(MORE, len(rest)))
    base = solved(incumbent, tasks)
    scores = {names(incumbent): (base, incumbent)}
    beam = [incumbent]
    for _ in range(EDITS):
        reached = {}
        for library in beam:
            added = [[primitive, *library] for primitive in pool if primitive.name not in names(library)]
            dropped = [library[:i] + library[i + 1 :] for i in range(len(library))]
            reached |= {names(edited): edited for edited in added + dropped}
        for key, library in reached.items():
            if key not in scores:
                scores[key] = (solved(library, tasks), library)
        beam = [library for _, library in sorted((scores[key] for key in reached if key not in tried), key=rank)[:BEAM]]
    fresh = [scores[key] for key in scores if key not in tried and key != names(incumbent)]
    share, library = min(fresh, key=rank, default=(0.0, None))
    return (library, share, base) if share > base else None


def rank(scored: tuple[float, list[Primitive]]) -> tuple[float, int, list[str]]:
    """Best first: more tasks solved, then a smaller library, then any fixed order."""
    share, library = scored
    return -share, len(library), sorted(names(library))


def main() -> None:
    view, out = os.environ["FESTINA_VIEW"], os.environ["FESTINA_OUT"]
    here, tree = os.path.dirname(os.path.abspath(__file__)), os.path.join(view, "tree")
    tasks = solve.read_tasks(os.path.join(tree, "data", "public.jsonl"))
    incumbent = solve.read_library(tree)
    with open(os.path.join(view, "history.jsonl")) as file:
        tried = tried_since_acceptance([json.loads(line) for line in file], incumbent)
    best = propose(solve.read_library(here), incumbent, tasks, tried, int(os.environ["FESTINA_SEED"]))
    if best is None:
        print("nothing untried solves more public tasks")
        return
    library, share, base = best
    plus, minus = sorted(names(library) - names(incumbent)), sorted(names(incumbent) - names(library))
    os.makedirs(os.path.join(out, "files"), exist_ok=True)
    with open(os.path.join(out, "files", "library.json"), "w") as file:
        file.write(solve.library_text(library))
    with open(os.path.join(out, "proposal.json"), "w") as file:
        json.dump(
            {
                "weakness": f"{1 - base:.0%} of the public tasks have no program within the budget",
                "rationale": f"add {', '.join(plus) or 'nothing'}; drop {', '.join(minus) or 'nothing'}: "
                f"public tasks solved {base:.3f} -> {share:.3f}",
                "predicted": round(share - base, 4),
            },
            file,
        )


if __name__ == "__main__":
    main()
