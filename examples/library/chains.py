"""Chains of generations without the engine: the same improver, other judges. Seconds instead of minutes.

Here the judge simply knows the answer, from thousands of held-out tasks: what a chain is worth when no error
of judgement is made. The real gate, which sees few tasks and controls its error, is ``festina run``.
"""

from __future__ import annotations

import functools
import random
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE / "system"), str(HERE / "vault")]

import generator  # noqa: E402
import improve  # noqa: E402
import solve  # noqa: E402

Library = list[solve.Primitive]
Task = tuple[int, int, int]
Tried = set[frozenset[str]]

HELD_SEED, HELD = 12345, 6000
WORTH = 0.025  # the perfect judge accepts gains from here on, three standard errors of a difference on HELD tasks
MAX_LOSS = 0.04  # and refuses larger losses on easy tasks, as [guard.easy] does
PATIENCE = 4  # proposals in a row that come to nothing end a chain


@dataclass
class Chain:
    """What happened: per generation its held-out share, public share and size; per proposal its gain and fate."""

    generations: list
    proposals: list = field(default_factory=list)
    library: list = field(default_factory=list)

    @property
    def final(self) -> float:
        return self.generations[-1][0]


def as_tasks(items: list[dict[str, Any]]) -> list[Task]:
    return [(n, x["input"]["inputs"], int(x["input"]["table"][::-1], 2)) for n, x in enumerate(items)]


def public_tasks(seed: int, n: int = 800) -> list[Task]:
    return as_tasks(generator.draw(seed, n, 0))


@functools.cache
def held_out() -> tuple[list[Task], list[Task]]:
    items = generator.draw(HELD_SEED, HELD, 1)
    return as_tasks(items), as_tasks([item for item in items if item["label"]["easy"]])


def held(library: Library) -> tuple[float, float]:
    """(share of held-out tasks solved, share of them that are easy and solved)."""
    tasks, easy = held_out()
    return improve.solved(library, tasks), improve.solved(library, easy) * len(easy) / len(tasks)


def ranked(own: Library, incumbent: Library, tasks: list[Task], tried: Tried, seed: str) -> Library | None:
    """The system's improver: the best untried edit of the incumbent, or None."""
    best = improve.propose(own, incumbent, tasks, tried, seed)
    return best and best[0]


def random_edit(own: Library, incumbent: Library, tasks: list[Task], tried: Tried, seed: str) -> Library | None:
    """Two mined sub-functions by lot, sometimes for an old one; not tried out."""
    rng = random.Random(seed)
    pool = [p for p in improve.mine(own, tasks) if p.name not in improve.names(incumbent)]
    library = rng.sample(pool, min(2, len(pool))) + incumbent
    if rng.random() < 0.5:
        library.remove(rng.choice(incumbent))
    return None if improve.names(library) in tried else library


def most_used(own: Library, incumbent: Library, tasks: list[Task], tried: Tried, seed: str) -> Library | None:
    """The two most frequent sub-functions that the library lacks; not tried out."""
    return [p for p in improve.mine(own, tasks) if p.name not in improve.names(incumbent)][:2] + incumbent


PROPOSERS = {"own": ranked, "frozen": ranked, "random": random_edit, "most-used": most_used}


def chain(
    tasks: list[Task],
    *,
    arm: str = "own",
    gate: str = "perfect",
    steps: int = 16,
    seed: int = 1,
    start: Library | None = None,
) -> Chain:
    """One chain. arm: a key of PROPOSERS (frozen: generation 0 stays the improver). gate: perfect | public | none."""
    generation_0 = solve.read_library(HERE / "system")
    incumbent, tried, idle = start or generation_0, set(), 0
    level, anchor = held(incumbent)
    result = Chain([(level, improve.solved(incumbent, tasks), len(incumbent))])
    for step in range(steps):
        own = generation_0 if arm == "frozen" else incumbent
        library = PROPOSERS[arm](own, incumbent, tasks, tried, f"{seed}/{step}")
        idle += 1
        if library is not None and improve.names(library) != improve.names(incumbent):
            (share, easy), public, before = held(library), improve.solved(library, tasks), result.generations[-1][1]
            fine = share - level >= WORTH and anchor - easy <= MAX_LOSS
            accept = {"perfect": fine, "public": public > before, "none": True}[gate]
            result.proposals.append((share - level, public - before, accept))
            tried.add(improve.names(library))
            if accept:
                incumbent, level, tried, idle = library, share, set(), 0
                result.generations.append((share, public, len(library)))
        if idle == PATIENCE and arm != "random":
            break
    result.library = incumbent
    return result
