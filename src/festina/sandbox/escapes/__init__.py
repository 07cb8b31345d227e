"""The escape suite: attempts to get out of a box, carried out for real, judged from outside.

``try_out([("L3", box)])`` runs all of it against any ``Sandbox``. Shipped code, since it must run on the
machine whose boxes are in question: ``festina doctor --attack``.
"""

from __future__ import annotations

from festina.sandbox.escapes.attempt import Attempt, Control, Group, Shape
from festina.sandbox.escapes.suite import ATTEMPTS, Report, Result, Seen, attempt_once, groups, try_out, world_here

__all__ = [
    "ATTEMPTS",
    "Attempt",
    "Control",
    "Group",
    "Report",
    "Result",
    "Seen",
    "Shape",
    "attempt_once",
    "groups",
    "try_out",
    "world_here",
]
