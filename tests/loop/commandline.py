"""Helper: the command line in a process of its own, as a user runs it."""

from __future__ import annotations

import os
import subprocess
import sys

from tests.toy import Toy


def festina(*argv: str, toy: Toy | None = None, text: str | None = None) -> subprocess.CompletedProcess[str]:
    """Run ``festina COMMAND -C SYSTEM ...`` and return what it said."""
    environment = os.environ | (toy.environment if toy else {})
    root = ["-C", str(toy.root)] if toy else []
    command, rest = argv[0], argv[1:]
    return subprocess.run(
        [sys.executable, "-m", "festina", command, *root, *rest], env=environment, capture_output=True, text=True,
        input=text, timeout=240, check=False,
    )  # fmt: skip
