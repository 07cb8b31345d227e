"""Entry types of the improver's own search: changes that are tried on public evidence before one is handed in.  # P-7

A try makes a child of a tree that was tried before, or runs a known tree on more seeds. It is charged by ``TryStarted``
before anything runs (E-1, E-5) and closed by ``TryEnded``. Nothing hidden is in it: no item, look, level or verdict.
"""

from __future__ import annotations

from typing import ClassVar, Literal

from pydantic import BaseModel, ConfigDict

from festina.ledger.base import Body, Count, Digest, Name, Number, Oid, Short

PARTS = 64  # groups of public items at most
Result = Literal["scored", "nothing", "refused", "no-op", "duplicate", "cut-off"]


class ArchiveTerms(BaseModel):
    """How an improver searches before it hands in, fixed for an epoch."""

    model_config = ConfigDict(frozen=True, strict=True, extra="forbid")
    tries: Count  # new trees for each proposal
    seeds: Count  # runs of one tree at most
    workers: Count  # tries in flight; 0: one for each core
    trials: Count | None  # scratch runs of one engine run at most; None: as many as the run's own budget allows


class TryStarted(Body):
    """Intent: a scratch run, charged to the improver's budget now.  # E-1, E-5, L-3

    ``parent`` is the node whose child is to be made; None: ``node``, whose tree is ``tree``, is run again or for the
    first time. Runs have the archive's seeds number ``first`` to ``first + runs - 1``, the same for every node.
    """

    kind: ClassVar[str] = "try-started"
    number: Count
    attempt: Count
    node: Count
    parent: Count | None
    tree: Oid | None
    improver: Name
    from_generation: Count  # whose code proposes  # P-5
    from_commit: Oid
    base_commit: Oid  # head of the working line
    seed: Count  # handed to the improver
    first: Count
    runs: Count  # charged, made or not


class TryEnded(Body):
    """What came of a try. ``scores`` are means over the public items (or the printed metric), one for each run.

    None in ``scores``: the run gave nothing to score. ``guards`` are the public means of each guard over the runs that
    did. ``patch`` is the child minus its parent. ``parts`` are the first run's public scores by group of items (item
    ``n`` belongs to group ``n mod PARTS``): how far they differ from the parent's says how much of a gain may be luck.
    """

    kind: ClassVar[str] = "try-ended"
    number: Count
    result: Result
    reason: Short  # engine's words
    author: Name
    tree: Oid | None
    patch: Digest | None
    plan: Digest | None
    scores: tuple[Number | None, ...]
    guards: tuple[Number, ...]
    spent: bool = False  # a budget for models allows no other call  # E-5
    exhausted: bool  # the improver knows nothing new below this parent
    guard_change: bool  # it touched what judges it  # T-4
    changed_lines: Count  # of the whole difference against ``base_commit``
    wall_s: Number  # of the improver
    cpu_s: Number
    run_cpu_s: Number  # of the runs
    run_wall_s: Number
    trained_s: Number = 0.0  # of these, in a training whose artifact is kept  # S-7
    parts: tuple[Number, ...] = ()
