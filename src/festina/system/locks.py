"""Lock files that a killed git left behind.

git creates ``REF.lock``, writes it and renames it; killed in between, the lock stays and every later move of that
reference fails. A lock is swept only if it is older than the caller's own engine lock (so no other engine of
this ledger can be its owner), no process has it open, and no git process works on this repository.

Where ``/proc`` cannot be read (another user's processes, no Linux), holders are not seen: there a lock must
also be ``AGE_S`` old, far longer than a reference update takes.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from pathlib import Path

__all__ = ["stale_locks"]

AGE_S = 10.0


def stale_locks(common: Path, root: Path, *, before: float | None) -> Iterator[Path]:
    """Locks under ``refs/festina`` that nobody holds. ``before``: Unix time at which the engine lock was taken."""
    found = [path for path in (common / "refs" / "festina").rglob("*.lock") if path.is_file()]
    if not found:
        return
    holders = _git_at_work(root, common)
    for path in found:
        try:
            age_limit = time.time() - AGE_S
            modified = path.stat().st_mtime
        except FileNotFoundError:
            continue
        if before is not None and modified >= before and modified >= age_limit:
            continue  # made under the engine lock: one of our own
        if holders is True or (holders is None and modified >= age_limit):
            continue
        yield path


def _git_at_work(root: Path, common: Path) -> bool | None:
    """Whether some git process uses this repository: True, False, or None when it cannot be told."""
    places = (os.fsencode(root) + b"/", os.fsencode(common) + b"/")
    unknown = not Path("/proc/self/stat").exists()
    for process in Path("/proc").glob("[0-9]*"):
        try:
            if not (process / "comm").read_bytes().startswith(b"git"):
                continue
            if (process / "stat").read_bytes().rpartition(b")")[2].split()[0] in (b"Z", b"X"):
                continue
            used = [os.fsencode(os.readlink(process / "cwd")) + b"/"]
            used += [os.fsencode(os.readlink(link)) for link in (process / "fd").iterdir()]
            used += [v.partition(b"=")[2] + b"/" for v in (process / "environ").read_bytes().split(b"\0")]
        except (FileNotFoundError, ProcessLookupError):
            continue
        except PermissionError:
            unknown = True
            continue
        if any(use.startswith(place) for use in used for place in places):
            return True
    return None if unknown else False
