"""Real repositories for the tests of the system room."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from festina.system.repo import Repo

ENV = {
    "PATH": os.environ["PATH"],
    "HOME": "/nonexistent",
    "GIT_CONFIG_NOSYSTEM": "1",
    "GIT_CONFIG_GLOBAL": "/dev/null",
    **{f"GIT_{w}_{k}": v for w in ("AUTHOR", "COMMITTER") for k, v in (("NAME", "t"), ("EMAIL", "t@localhost"))},
}
FILES = {"train.py": b"a = 1\nb = 2\n", "model/net.py": b"layers = 2\n", "data/raw.bin": b"\0\xff\r\n" * 40}


def plain_git(cwd: Path, *args: str, stdin: bytes = b"", check: bool = True) -> bytes:
    """git as a person would run it there: repository configuration in force."""
    done = subprocess.run(["git", *args], cwd=cwd, env=ENV, input=stdin, capture_output=True, timeout=60)
    assert done.returncode == 0 or not check, (args, done.stderr)
    return done.stdout


def make_repository(root: Path, *init: str) -> Path:
    root.mkdir(parents=True, exist_ok=True)
    plain_git(root, "init", "-q", "-b", "main", *init)
    for name, data in FILES.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(data)
    (root / "run.sh").write_bytes(b"#!/bin/sh\n")
    (root / "run.sh").chmod(0o755)
    plain_git(root, "add", "-A")
    plain_git(root, "commit", "-qm", "start")
    return root


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return make_repository(tmp_path / "system")


@pytest.fixture
def repo(root: Path) -> Iterator[Repo]:
    with Repo(root) as opened:
        yield opened


@pytest.fixture
def tree(repo: Repo) -> str:
    return repo.tree_of(repo.head())


@pytest.fixture
def user_git(root: Path) -> Callable[..., bytes]:
    def run(*args: str, stdin: bytes = b"") -> bytes:
        return plain_git(root, *args, stdin=stdin)

    return run
