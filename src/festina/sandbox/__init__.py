"""Where untrusted code runs: levels, the box, limits, the result channel.

``choose(minimum, state)`` gives the strongest box of this host or refuses; ``probe()`` says why;
``sweep(state)`` removes what killed engines left. Names are loaded at first use: ``sandbox.job`` alone stays cheap.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from festina.sandbox.box import BubblewrapBox
    from festina.sandbox.host import Probe, choose, probe, shows_layers, sweep, warmed
    from festina.sandbox.job import Bind, Ended, Job, Level, Limits, Outcome, Sandbox
    from festina.sandbox.place import CANDIDATE_UID, PROPOSER_UID
    from festina.sandbox.plain import PlainBox
    from festina.sandbox.warm import WarmBox

__all__ = [
    "CANDIDATE_UID",
    "PROPOSER_UID",
    "Bind",
    "BubblewrapBox",
    "Ended",
    "Job",
    "Level",
    "Limits",
    "Outcome",
    "PlainBox",
    "Probe",
    "Sandbox",
    "WarmBox",
    "choose",
    "probe",
    "shows_layers",
    "sweep",
    "warmed",
]
_HOMES = {
    "box": ("BubblewrapBox",),
    "job": ("Bind", "Ended", "Job", "Level", "Limits", "Outcome", "Sandbox"),
    "place": ("CANDIDATE_UID", "PROPOSER_UID"),
    "plain": ("PlainBox",),
    "host": ("Probe", "choose", "probe", "shows_layers", "sweep", "warmed"),
    "warm": ("WarmBox",),
}


def __getattr__(name: str) -> object:
    for module, names in _HOMES.items():
        if name in names:
            return getattr(importlib.import_module(f"{__name__}.{module}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
