"""A commit on a scratch copy: for whoever must run a system and leave its repository, home and ledger alone."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from festina.system.git import git, make_private_dir
from festina.system.repo import Repo

__all__ = ["borrow", "scratch_folder"]


@contextmanager
def scratch_folder(prefix: str) -> Iterator[Path]:
    """A temporary folder that runs of any uid can pass through; gone afterwards, read-only exports in it too."""
    place = Path(tempfile.mkdtemp(prefix=prefix))
    place.chmod(0o755)
    try:
        yield place
    finally:
        for folder, _, _ in os.walk(place):
            os.chmod(folder, 0o700)
        shutil.rmtree(place, ignore_errors=True)


def borrow(yours: Repo, commit: str, place: Path) -> Repo:
    """A repository under ``place`` with that commit, which borrows the original's objects and writes only its own."""
    top = place / "system"
    inner = top / ".git"
    inner.mkdir(parents=True)
    make_private_dir(inner, object_format=yours.config_get("extensions.objectformat") or "sha1")
    (inner / "objects" / "info").mkdir()
    (inner / "objects" / "info" / "alternates").write_text(f"{yours.objects}\n")
    (inner / "HEAD").write_text("ref: refs/heads/main\n")
    git(inner, "update-ref", "refs/heads/main", commit)
    return Repo(top, scratch=place / "git")
