"""Names of temporary folders that tell whose they are: what a killed process left is found and removed later.

``sandbox.sweep`` removes every folder ``festina-PID-START-...`` of the temporary directory whose process is gone.
"""

from __future__ import annotations

import os
from pathlib import Path

__all__ = ["alive", "prefix", "stamp"]


def stamp() -> str:
    """This process's pid and start time: names that no later process can share."""
    return f"{os.getpid()}-{_started(os.getpid())}"


def prefix(what: str) -> str:
    """Of a folder of this process, for ``tempfile``."""
    return f"festina-{stamp()}-{what}-"


def alive(name: str) -> bool:
    """Whether the process whose ``stamp`` is in ``name`` (``festina-PID-START-...``) still runs."""
    try:
        _, pid, started, *_ = name.split("-")
        os.kill(int(pid), 0)
        return _started(int(pid)) == int(started)
    except PermissionError:
        return True
    except (OSError, ValueError, OverflowError):
        return False


def _started(pid: int) -> int:
    """Clock ticks from the machine's start; 0 where there is no /proc."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text()
    except FileNotFoundError:
        return 0
    return int(text.rpartition(")")[2].split()[19])
