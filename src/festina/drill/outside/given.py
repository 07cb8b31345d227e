"""The honest candidate as it was given: one file, or a folder in which one file, the entry, is what attacks replace.

Attacks are built on the first ``--honest`` and on each further one of another form (``shapes``). All of them are run as
honest candidates.

Not covered: an entry that is not text, and work that is done while a folder's other modules are imported.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from festina.errors import UsageError

# Names under which folders of candidates are usually started, the likeliest first.
ENTRIES = ("main.py", "agent.py", "solution.py", "candidate.py", "program.py", "solve.py", "run.py", "app.py",
           "__main__.py", "__init__.py")  # fmt: skip


@dataclass(frozen=True)
class Given:
    """Where it lies, and which of its files attacks replace."""

    path: Path
    entry: str = ""  # relative to ``path``, where that is a folder

    @property
    def file(self) -> Path:
        return self.path / self.entry if self.entry else self.path

    def text(self) -> str:
        try:
            return self.file.read_text(encoding="utf-8", errors="surrogateescape")
        except OSError as error:
            raise UsageError(
                "drill-no-honest-file", f"cannot read {self.file}: {error.strerror}", where="--honest",
                fix="name a file that is there: a candidate that the evaluator scores well",
            ) from error  # fmt: skip

    def inside(self, root: Path) -> str:
        """Its place below ``root``, or empty."""
        real = self.path.resolve()
        return real.relative_to(root).as_posix() if real.is_relative_to(root) and real != root else ""


def given(path: Path, entry: str = "") -> Given:
    """Raises ``UsageError`` where a folder has no entry that can be told, or ``entry`` is not one of its files."""
    if not path.is_dir():
        if entry:
            raise UsageError("drill-entry", f"--entry is about a folder, and {path} is a file")
        return Given(path)
    if entry:
        if not (path / entry).is_file() or os.pardir in Path(entry).parts:
            raise UsageError("drill-entry", f"there is no file {entry} in {path}")
        return Given(path, entry)
    scripts = sorted(each.name for each in path.glob("*.py"))
    for name in (*ENTRIES, *(scripts if len(scripts) == 1 else ())):
        if (path / name).is_file():
            return Given(path, name)
    raise UsageError(
        "drill-entry", f"cannot tell which file of {path} is run first",
        fix="say so: --entry FILE, relative to that folder",
    )  # fmt: skip
