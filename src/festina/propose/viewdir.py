"""The folder that a proposing run sees at ``/view``, written on the host and removed afterwards.  # P-4

It holds ``history.jsonl`` (the improver's own past proposals with one word each: exactly the keys
``proposal, author, word, reason, patch``, and ``gain`` in rows of tries on public evidence), ``budget.json`` (limits
and scope of this run), ``public.json`` (public scores), ``archive.jsonl`` where trees were tried before (``node,
parent, author, patch, gain, works``), and ``tree``, an empty folder onto which the tree to be changed is bound, or a
copy of it for boxes below L2, which cannot bind one folder within another. The folder is readable by every
uid, since the box runs under one of its own, and nothing in it is secret: scores of hidden items, their
number, durations and queue places never reach this module.
"""

from __future__ import annotations

import json
import shutil
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path

from festina.propose.types import Budget, HistoryRow, View
from festina.sandbox.job import Limits
from festina.system.scratch import prefix

__all__ = ["history_lines", "limits_of", "view_directory"]

MAX_HISTORY_BYTES = 1 << 20
MAX_REASON = 40  # characters; a reason class, never a sentence


def _row(row: HistoryRow, patch: str) -> bytes:
    fields = {
        "proposal": row.proposal,
        "author": row.author,
        "word": row.word,
        "reason": row.reason[:MAX_REASON],
        "patch": patch,
    }
    if row.gain is not None:
        fields["gain"] = row.gain
    return json.dumps(fields, ensure_ascii=True).encode("ascii") + b"\n"


def history_lines(history: Sequence[HistoryRow], max_bytes: int = MAX_HISTORY_BYTES) -> bytes:
    """JSON lines, oldest first. The oldest rows are dropped to keep to ``max_bytes``.

    A patch that alone would fill half of it is left out of its row, so that the newest word always stands.
    """
    kept: list[bytes] = []
    size = 0
    for row in reversed(history):
        line = _row(row, row.patch)
        if len(line) > max_bytes // 2:
            line = _row(row, "")
        if size + len(line) > max_bytes:
            break
        size += len(line)
        kept.append(line)
    return b"".join(reversed(kept))


def _archive(view: View, max_bytes: int = MAX_HISTORY_BYTES) -> bytes:
    """JSON lines, oldest first; the oldest rows are dropped to keep to ``max_bytes``."""
    kept: list[bytes] = []
    size = 0
    for row in reversed(view.tried):
        line = json.dumps(asdict(row), ensure_ascii=True).encode("ascii") + b"\n"
        size += len(line)
        if size > max_bytes:
            break
        kept.append(line)
    return b"".join(reversed(kept))


def limits_of(budget: Budget, *, tree_bytes: int = 0, tree_files: int = 0) -> Limits:
    """The box's limits for one proposing run; a copied tree needs room of its own.  # E-5"""
    return Limits(
        wall_s=budget.wall_s,
        cpu_s=budget.cpu_s,
        memory_bytes=budget.memory_bytes,
        output_bytes=tree_bytes + (16 << 20),
        output_files=tree_files + 500,
    )


@contextmanager
def view_directory(
    view: View, budget: Budget, extra: Mapping[str, bytes] | None = None, *, copy_tree: bool = False
) -> Iterator[Path]:
    """Yields the finished folder; removes it also when the body raises."""
    top = Path(tempfile.mkdtemp(prefix=prefix("view")))
    try:
        limits = {**asdict(budget), "allow": list(view.allow), "max_changed_lines": view.max_changed_lines}
        scores = {"scores": dict(sorted(view.public_scores.items()))}
        texts = {
            "history.jsonl": history_lines(view.history),
            "budget.json": json.dumps(limits, sort_keys=True).encode() + b"\n",
            "public.json": json.dumps(scores, sort_keys=True, allow_nan=False).encode() + b"\n",
            **({"archive.jsonl": _archive(view)} if view.tried else {}),
            **(extra or {}),
        }
        for name, data in texts.items():
            path = top / name
            path.write_bytes(data)
            path.chmod(0o644)
        if copy_tree:
            shutil.copytree(view.tree, top / "tree", symlinks=True, copy_function=shutil.copyfile)
        else:
            (top / "tree").mkdir()
        for folder in ((top / "tree"), *(item for item in (top / "tree").rglob("*") if item.is_dir())):
            folder.chmod(0o755)
        top.chmod(0o755)
        yield top
    finally:
        shutil.rmtree(top, ignore_errors=True)
