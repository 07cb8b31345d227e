"""Errors that Festina raises on purpose.

::

    FestinaError
     ├── Halted            a person stopped everything, and only a signed resume ends it (exit 7)  # G-5
     ├── UsageError        the caller can mend it (exit 2); shown without a traceback
     │    └── Busy         another engine holds this ledger
     ├── Rejected          the evidence says no to what was asked (exit 3)
     ├── IntegrityError    hostile or corrupt input (exit 6)
     ├── Unreachable       a plan that cannot reach a verdict, refused before it starts (exit 2)
     └── Fault             an error of Festina's own or of its host (exit 1); never charged to a candidate  # T-6

Every error carries a stable kebab-case ``name``, what happened, why, and what to do. The loop's
normal ends (budget spent, waiting for review, interrupted) are states and not errors.  # G-6
"""

from __future__ import annotations

__all__ = ["Busy", "Fault", "FestinaError", "Halted", "IntegrityError", "Rejected", "Unreachable", "UsageError"]


class FestinaError(Exception):
    """Root of all deliberate errors.

    ``name`` is stable and kebab-case, ``what`` says what happened, ``fix`` what the reader can do,
    ``where`` which file, line or entry is meant (may be empty).
    """

    exit_code = 1

    def __init__(self, name: str, what: str, *, fix: str = "", where: str = "") -> None:
        super().__init__(what)
        self.name = name
        self.what = what
        self.fix = fix
        self.where = where

    def __str__(self) -> str:
        place = f"{self.where}: " if self.where else ""
        remedy = f"\n  what to do: {self.fix}" if self.fix else ""
        return f"{place}{self.what} [{self.name}]{remedy}"


class Halted(FestinaError):
    """Somebody stopped everything; nothing runs before a person signs that it may.  # G-5"""

    exit_code = 7


class UsageError(FestinaError):
    """The caller can mend it: a bad manifest, a dirty tree, a missing file."""

    exit_code = 2


class Busy(UsageError):
    """Another engine holds the lock on this ledger."""


class Unreachable(UsageError):
    """The plan cannot reach a verdict within its budget.  # S-7"""


class Rejected(FestinaError):
    """What was asked for would go against the evidence: a release that its own final score contradicts.  # V-3"""

    exit_code = 3


class IntegrityError(FestinaError):
    """Hostile or corrupt input: a damaged ledger, a forged entry, a moved reference."""

    exit_code = 6


class Fault(FestinaError):
    """Festina's own failure or its host's: disk full, sandbox did not start.  # T-6"""

    exit_code = 1
