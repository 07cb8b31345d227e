"""The boxes that improvers are tested in: a plain process, and the strongest real one of this host."""

from __future__ import annotations

import os
import shutil
import tempfile
from pathlib import Path

import pytest

from festina.errors import UsageError
from festina.propose.types import Budget, HistoryRow, View
from festina.sandbox import choose
from festina.sandbox.job import Job, Level, Limits

from .fakebox import FakeBox

BUDGET = Budget(wall_s=20.0, cpu_s=20.0)


@pytest.fixture(params=["fake", "plain", "strongest"])
def box(request, tmp_path_factory):
    if request.param == "fake":
        yield FakeBox()
        return
    state = Path(tempfile.mkdtemp(prefix="festina-test-state-"))
    try:
        if request.param == "plain":
            from festina.sandbox import PlainBox

            yield PlainBox(state)
        else:
            try:
                yield choose(Level.L2, state)
            except UsageError as error:
                if os.environ.get("CI_NEEDS_L3"):
                    raise
                pytest.skip(f"no box of level L2 on this host: {error.what}")
    finally:
        shutil.rmtree(state, ignore_errors=True)


@pytest.fixture
def python_box(box):
    """A box in which Python starts: L0 as root cannot show an interpreter that only root can reach."""
    if box.level < Level.L2 and box.run(Job(("python", "-c", "")), Limits()).exit_code == 127:
        pytest.skip("L0 binds nothing, and this interpreter lies where another uid cannot reach it")
    return box


@pytest.fixture
def trees(tmp_path):
    """An incumbent and an improver tree, exported read-only as the engine does."""

    def write(name, files):
        top = tmp_path / name
        for path, text in files.items():
            (top / path).parent.mkdir(parents=True, exist_ok=True)
            (top / path).write_text(text)
        top.mkdir(exist_ok=True)
        for path in top.rglob("*"):
            path.chmod(0o555 if path.is_dir() else 0o444)
        return top

    yield write
    for path in tmp_path.rglob("*"):
        if path.is_dir():
            path.chmod(0o755)


def view(tree, improver_tree=None, history=(), **kw):
    fields = {"seed": 7, "allow": ("train.py",), "max_changed_lines": 50, "public_scores": {"public": 0.5}, **kw}
    return View(tree, improver_tree or tree, tuple(history), **fields)


def row(number, word="rejected", patch="", reason="", author="own"):
    return HistoryRow(number, author, patch, word, reason)
