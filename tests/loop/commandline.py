"""Helper: the command line in a process of its own, as a user runs it, but for the time it takes to load."""

from __future__ import annotations

import os
import subprocess
import sys

from tests import preloaded
from tests.toy import Toy


def festina(
    *argv: str, toy: Toy | None = None, text: str | None = None, fresh: bool = False
) -> subprocess.CompletedProcess[str]:
    """Run ``festina COMMAND -C SYSTEM ...`` and return what it said. ``fresh``: with nothing loaded before."""
    environment = os.environ | (toy.environment if toy else {})
    line = [argv[0], *(["-C", str(toy.root)] if toy else []), *argv[1:]]
    if not fresh:
        return preloaded.command(line, environment=environment, text=text)
    return subprocess.run(
        [sys.executable, "-m", "festina", *line], env=environment, capture_output=True, text=True, input=text,
        timeout=240, check=False,
    )  # fmt: skip


FIRST = ("--cite", "the whole of it", "--answer", "1", "--predict", "0.5")


def decide(
    word: str, number: int, toy: Toy, *, by: str = "ann", reason: str = "it does what it says, the numbers hold"
) -> subprocess.CompletedProcess[str]:
    """All steps of one review in one command: ``word`` is "approve" or "deny"."""
    first = "sound" if word == "approve" else "scope"
    return festina("review", word, str(number), "--as", by, "--reason", reason, "--first", first, *FIRST, toy=toy)


def evidence(number: int, toy: Toy, *, by: str = "ann") -> str:
    """What a person is shown after a first judgement; enrols the person and makes the judgement."""
    festina("reviewer", "add", by, toy=toy)
    festina("review", "classify", str(number), "--as", by, "--first", "sound", *FIRST, toy=toy)
    return festina("review", "evidence", str(number), "--as", by, toy=toy).stdout
