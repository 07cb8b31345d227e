"""What other people's loops left behind, read as claims: one reader a tool.  # T-3, T-5

Nothing here believes anything. A reader gives rows (what was told of each generation) and findings (what does not fit
or may hide something); ``loop.foreign`` compares them with what was told before.
"""

from __future__ import annotations

from festina.propose.history.autoresearch import read_autoresearch
from festina.propose.history.gitline import read_git
from festina.propose.history.inspect_log import read_inspect
from festina.propose.history.lines import read_lines
from festina.propose.history.openevolve import read_openevolve
from festina.propose.history.types import GRAVE, Finding, History, Told, told_of

__all__ = [
    "GRAVE", "Finding", "History", "Told", "read_autoresearch", "read_git", "read_inspect", "read_lines",
    "read_openevolve", "told_of",
]  # fmt: skip
