"""The three forms in which a manifest names a scorer, and the one text by which terms and ledger know each.

``"module:function"`` a Python function; ``["./score.sh", "--strict"]`` or ``{ command = [...] }`` a program, known as
``command:["./score.sh","--strict"]``; ``"inspect:file.py@task"`` the scorer of an Inspect task. Everything named lies
in the repository, is read from the pinned commit and is protected.  # T-4

Does not cover: what a scorer does; ``verify`` runs it.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass

__all__ = ["Command", "Form", "Function", "InspectTask", "normal", "parse"]

_FUNCTION = re.compile(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)*:[A-Za-z_]\w*", re.ASCII)
_INSPECT = re.compile(r"inspect:(?P<file>[A-Za-z0-9_][\w./-]*\.py)@(?P<task>[A-Za-z_]\w*)", re.ASCII)
_COMMAND = "command:"
MAX_TEXT = 1000
HELP = (
    'write "module:function", a command such as ["./score.sh"], or "inspect:file.py@task", '
    "all of them files of this repository"
)


@dataclass(frozen=True, slots=True)
class Function:
    """``module:function``."""

    module: str
    function: str


@dataclass(frozen=True, slots=True)
class Command:
    """A program: it reads items with labels and outputs, and writes scores."""

    argv: tuple[str, ...]

    @property
    def paths(self) -> tuple[str, ...]:
        """Every word that could name a file of the repository, as a path from its root."""
        words = (word.removeprefix("./") for word in self.argv)
        return tuple(word for word in words if word and not word.startswith(("-", "/")) and ".." not in word.split("/"))


@dataclass(frozen=True, slots=True)
class InspectTask:
    """A task function in a Python file: its scorer judges recorded outputs."""

    file: str
    task: str


Form = Function | Command | InspectTask


def parse(text: str) -> Form:
    """The form behind a scorer's text. Raises ``ValueError`` with what to write."""
    if len(text) <= MAX_TEXT:
        if text.startswith(_COMMAND):
            return _command(text)
        found = _INSPECT.fullmatch(text)
        if found is not None and not {"", ".", ".."} & set(found["file"].split("/")):
            return InspectTask(found["file"], found["task"])
        if found is None and _FUNCTION.fullmatch(text):
            module, _, function = text.partition(":")
            return Function(module, function)
    raise ValueError(HELP)


def _command(text: str) -> Command:
    try:
        words = json.loads(text.removeprefix(_COMMAND))
    except (ValueError, RecursionError):
        raise ValueError(HELP) from None
    if not isinstance(words, list) or not words or not all(isinstance(word, str) for word in words):
        raise ValueError(HELP)
    if not words[0] or any(not word.isprintable() for word in words):
        raise ValueError("a command's words are printable text, and the first one is a program")
    if words[0].startswith("/") or ".." in words[0].split("/"):
        raise ValueError("a scorer's program lies in this repository or on the PATH: " + HELP)
    return Command(tuple(words))


def normal(value: object) -> str:
    """A manifest's value as the one text. Raises ``ValueError``."""
    if isinstance(value, dict) and value.keys() == {"command"}:
        value = value["command"]
    if isinstance(value, list):
        value = _COMMAND + json.dumps(value, ensure_ascii=False, separators=(",", ":"))
    if not isinstance(value, str):
        raise ValueError(HELP)
    parse(value)
    return value
