"""Other tools' tasks, read as systems: what to run, what may change, how good it is, and what is lost on the way.

One reader a tool; each is pure but for reading the folder. ``copying`` lays the result out. A reader never strengthens
and never hides: what its tool promised and this form cannot keep stands in ``lost``, and ``assurance`` says whose word
the score is.  # V-10
"""

from __future__ import annotations

from festina.propose.foreign.autoresearch import read_autoresearch
from festina.propose.foreign.inspect_task import read_inspect
from festina.propose.foreign.openevolve import read_openevolve
from festina.propose.foreign.types import Task

__all__ = ["READERS", "Task"]

READERS = {"openevolve": read_openevolve, "autoresearch": read_autoresearch, "inspect": read_inspect}
