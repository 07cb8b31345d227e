"""The built-in search: proposes without a model, from the files alone.  # P-3

It reads the files that the scope allows (``*.py``, ``*.json``, ``*.toml``) and changes settings and small
structures in them; ``strategy`` says which. It is deterministic: the same tree, history and seed give the
same proposal. The parser is native code that a hostile incumbent could crash, so each proposal is made in
a process of its own under limits, which reads files and executes none of them. That process has the
engine's uid: it is a shield against crashes and endless loops, no sandbox.

Not covered: new files, ideas that are not in the code already, and what a change means. Its proposals predict
no number.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from festina.errors import Fault
from festina.propose.text import visible
from festina.propose.types import Budget, NoProposal, Proposal, View
from festina.system.globs import matches_any

__all__ = ["Search", "neighbours"]

MAX_HISTORY = 2000  # rows, newest


class Search:
    """Stateless: everything it knows stands in the view."""

    author = "search"

    def propose(self, view: View, budget: Budget) -> Proposal | NoProposal:
        """One new change within the scope, or ``NoProposal``; ``exhausted`` when nothing new is left."""
        request = {
            "tree": os.fspath(view.tree),
            "allow": list(view.allow),
            "seed": view.seed,
            "max_changed_lines": view.max_changed_lines,
            "history": [[row.word, row.reason, row.patch, row.gain] for row in view.history[-MAX_HISTORY:]],
        }
        started = time.monotonic()
        answer = _ask(request, budget)
        wall = time.monotonic() - started
        if isinstance(answer, str):
            return NoProposal(self.author, answer, wall_s=wall)
        cpu = float(answer["cpu_s"])
        if "none" in answer:
            return NoProposal(self.author, answer["none"], exhausted=True, wall_s=wall, cpu_s=cpu)
        files = _files(answer["files"], view.allow)
        return Proposal(
            self.author, files=files, rationale=answer["rationale"], weakness=answer["weakness"], wall_s=wall, cpu_s=cpu
        )


def neighbours(
    tree: Path, allow: Sequence[str], *, count: int, seed: int, max_changed_lines: int, budget: Budget
) -> list[tuple[dict[str, bytes | None], str]]:
    """Up to ``count`` small changes of ``tree``, each with what it is: made to measure with, not to improve.

    Files by path. Empty where the scope holds nothing that the search can read.
    """
    request = {
        "tree": os.fspath(tree), "allow": list(allow), "seed": seed, "max_changed_lines": max_changed_lines,
        "history": [], "near": count,
    }  # fmt: skip
    answer = _ask(request, budget)
    rows = [] if isinstance(answer, str) else answer["near"]
    return [(_files(files, allow), visible(str(what), lines=False, limit=200)) for files, what in rows]


def _files(texts: Mapping[str, str], allow: Sequence[str]) -> dict[str, bytes | None]:
    if not all(matches_any(allow, path) for path in texts):
        raise Fault("search-out-of-scope", "the built-in search left its scope")
    return {path: text.encode() for path, text in texts.items()}


def _ask(request: Mapping[str, object], budget: Budget) -> dict[str, Any] | str:
    """The worker's answer, or in words how it failed."""
    argv = [sys.executable, "-P", "-m", "festina.propose.search_worker"]
    argv += [str(max(1, int(budget.cpu_s))), str(max(budget.memory_bytes, 512 << 20))]
    places = os.pathsep.join(os.path.abspath(place) for place in sys.path if place)
    env = {"PYTHONPATH": places, "PYTHONHASHSEED": "0", "LC_ALL": "C.UTF-8"}
    data = json.dumps(request).encode()
    try:
        done = subprocess.run(
            argv, input=data, capture_output=True, timeout=budget.wall_s, env=env, cwd="/", check=False
        )
    except subprocess.TimeoutExpired:
        return "the search found nothing within its time"
    except OSError as error:
        raise Fault("search-not-started", f"the search's worker did not start: {error}") from error
    if done.returncode < 0:
        return f"the search could not read the files: its worker died by signal {-done.returncode}"
    try:
        answer = json.loads(done.stdout)
    except ValueError as error:
        tail = done.stderr.decode("utf-8", "replace").strip().rpartition("\n")[2][:200]
        if tail.startswith(("ImportError", "ModuleNotFoundError")) or "No module named" in tail:
            raise Fault("search-not-installed", f"the search's worker cannot start: {tail}") from error
        return "the search could not read the files: its worker failed"  # what it read is hostile
    return answer if isinstance(answer, dict) else "the search's worker gave no answer"
