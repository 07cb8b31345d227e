"""The values that cross the improver seam: what an improver may see, and what it hands back."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, Protocol

Target = Literal["gain", "productivity"]  # better at the task, or better at improving  # S-6
Word = Literal[
    "accepted", "rejected", "inconclusive", "not accepted", "refused", "no-op", "duplicate", "failed",
    "better", "worse",  # of a try on public evidence, against the tree that it changed; the gate says neither
]  # fmt: skip


@dataclass(frozen=True, slots=True)
class HistoryRow:
    """All that an improver ever learns about an earlier proposal: one word.  # P-4

    ``reason`` is a coarse reason class, and only for refusals (scope, size, type, apply …).
    ``patch`` is the improver's own earlier patch text. ``gain`` is there for tries alone: the public gain over the tree
    that was changed, higher is better.
    """

    proposal: int
    author: str
    patch: str
    word: Word
    reason: str = ""
    gain: float | None = None


@dataclass(frozen=True, slots=True)
class TriedRow:
    """One tree of the archive: which tree it changed, how, and its public gain over it (None: it has none).  # P-7

    ``lead``: its public gain over the version in use. ``shown``: its change stands in the history already.
    """

    node: int
    parent: int | None
    author: str
    patch: str
    gain: float | None
    works: bool
    lead: float | None = None
    shown: bool = False


@dataclass(frozen=True, slots=True)
class View:
    """What one proposing run may look at.  # P-4

    ``tree`` is the exported tree that is to be changed: the incumbent's, or in a try another one of the archive;
    ``improver_tree`` the exported tree of the improver in force, whose code runs. ``seed`` differs for every run.
    """

    tree: Path
    improver_tree: Path
    history: tuple[HistoryRow, ...]
    seed: int
    allow: tuple[str, ...]  # the scope's allow globs, so that nothing is proposed in vain
    max_changed_lines: int
    public_scores: Mapping[str, float] = field(default_factory=dict)
    proposal: int | None = None  # for the record of what was paid for it; never shown to untrusted code
    tried: tuple[TriedRow, ...] = ()  # the archive, where there is one


@dataclass(frozen=True, slots=True)
class Budget:
    """Limits for one proposing run.  # E-5"""

    wall_s: float = 30.0
    cpu_s: float = 30.0
    memory_bytes: int = 1 << 30


@dataclass(frozen=True, slots=True)
class Proposal:
    """A change, before anyone has judged it. Everything in it is hostile input.  # T-5

    Exactly one of ``patch`` (a unified git diff against the incumbent) and ``files`` (path -> new
    content, or ``None`` to delete) is set.
    """

    author: str  # "own", "search", "command:NAME", "model:NAME", "person:NAME", "planted:NAME"
    patch: bytes | None = None
    files: Mapping[str, bytes | None] | None = None
    rationale: str = ""
    weakness: str = ""  # P-6: what weakness it addresses
    predicted: float | None = None  # P-6: predicted gain in the suite's unit
    wall_s: float = 0.0
    cpu_s: float = 0.0
    repairs: int = 0  # near misses that were mended when the answer was read
    target: Target = "gain"  # S-6
    sig: str = ""  # of the person who made ``patch``  # R-1


@dataclass(frozen=True, slots=True)
class NoProposal:
    """The improver had nothing to offer, or failed. ``exhausted``: asking again would give nothing new.

    ``spent``: a budget for models, which is the run's, allows no other call.  # E-5
    """

    author: str
    reason: str
    exhausted: bool = False
    wall_s: float = 0.0
    cpu_s: float = 0.0
    spent: bool = False


class Improver(Protocol):
    """Produces proposals. Must not raise for what untrusted code does: return ``NoProposal`` instead."""

    author: str

    def propose(self, view: View, budget: Budget) -> Proposal | NoProposal: ...
