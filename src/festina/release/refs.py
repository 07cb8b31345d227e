"""Moving a reference so that a crash at any point and a resume give the same result.  # D-1

The intent (old, new) is in the ledger before ``settle`` is called. ``settle`` may be called any number of
times: it moves the reference from old to new by compare-and-swap, and finds it done when it is done. A
reference that is neither old nor new was moved by somebody else: that is never overwritten.
"""

from __future__ import annotations

from festina.errors import IntegrityError
from festina.system.repo import Repo

LINE = "refs/festina/line"
SCRATCH = "refs/festina/scratch"  # provisional verdicts: below the sandbox level that release needs  # T-2
RELEASED = "refs/festina/released"
DEMO_RELEASED = "refs/festina/demo-released"  # approved without a person: cannot leave the demo


def generation_ref(number: int) -> str:
    """Keeps a generation's commit from being collected, also after the line went back."""
    return f"refs/festina/generations/{number}"


def line_ref(min_level: int) -> str:
    """Where the working line lives for an epoch that demands this sandbox level."""
    return LINE if min_level >= 2 else SCRATCH


def released_ref(demo: bool) -> str:
    return DEMO_RELEASED if demo else RELEASED


def settle(repo: Repo, name: str, old: str | None, new: str) -> None:
    """Make ``name`` point to ``new``, given that it pointed to ``old`` when the intent was written."""
    at = repo.ref(name)
    if at == new:
        return
    if at != old:
        raise IntegrityError(
            "reference-moved",
            f"{name} is at {at or 'nothing'}, but the ledger's intent moves it from {old or 'nothing'} to {new}",
            fix=f"something outside Festina moved it; put it back: git update-ref {name} {old or new}",
            where=name,
        )
    repo.cas_ref(name, new, old)


def settle_line(repo: Repo, min_level: int, generation: int, old: str | None, new: str) -> None:
    """Carry out a recorded move of the working line, and keep the generation's commit for good."""
    settle(repo, line_ref(min_level), old, new)
    kept = generation_ref(generation)
    settle(repo, kept, repo.ref(kept), new)
