"""The values that cross the verify seam. All frozen, all plain; none can carry a label.  # T-1

``UnitScore`` speaks in each scorer's own unit and direction, always inside its declared range. ``Controls``
speaks in *unit scores*: 0 is the worst end of the range, 1 the best, whatever the direction.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

__all__ = ["Controls", "Issued", "Probed", "Source", "SourceKind", "UnitScore"]

SourceKind = Literal["items", "generator"]


@dataclass(frozen=True, slots=True)
class Source:
    """Where a suite's hidden items come from. ``count`` is None for a generator: it never runs dry."""

    kind: SourceKind
    digest: str  # sha256 hex of the file's bytes
    count: int | None
    clusters: int | None = None  # how many clusters the items name; None where they name none

    def positions(self, unit: str, batch: int) -> int | None:
        """How many items can be issued: whole clusters with ``batch`` places each, where the unit is one."""
        return self.count if unit != "cluster" or self.clusters is None else self.clusters * batch


@dataclass(frozen=True, slots=True)
class Issued:
    """One unit's items as the candidate sees them: JSON lines ``{"id", "input"}``, no labels.

    ``batch_id`` stays with the engine; it names the draw and lets the verifier repeat it after a restart.
    """

    batch_id: str
    inputs: bytes


@dataclass(frozen=True, slots=True)
class UnitScore:
    """The mean over one batch; every issued item and every line beyond them is in the denominator.  # V-1"""

    mean: float  # in the suite's own unit
    guards: tuple[float, ...]  # each in its own unit, in the order of the guards' terms
    items: int  # issued
    failed: int  # issued items without a valid score of the suite's scorer
    each: tuple[float, ...] = ()  # every item's score, in the order of the items; for public items only
    receipt: str = ""  # by which the verifier knows this score again; for hidden items only  # T-1


@dataclass(frozen=True, slots=True)
class Controls:
    """Unit scores of answers that must fail and of the answer that must pass.  # V-2"""

    constant: float
    random: float
    oracle: float | None  # None: no output is known to be right
    ok: bool
    note: str  # one line, in words; never holds an item, a label or a scorer's message
    receipt: str = ""


@dataclass(frozen=True, slots=True)
class Probed:
    """What one trick answer earned on a sample: unit scores, seconds, and never an item, a label or a message."""

    name: str  # "set:name"
    mean: float
    spread: float  # standard error of the mean
    failed: int  # items on which the scorer raised or gave no score
    seconds: float
    executed: bool = False  # the scorer ran the text as code
