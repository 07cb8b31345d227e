"""A system on a scratch copy: for whoever must run it and leave its repository, home and ledger alone."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from festina.errors import UsageError
from festina.system.git import git, make_private_dir
from festina.system.repo import Repo
from festina.system.scratch import prefix

__all__ = ["borrow", "scratch_folder", "snapshot"]

SNAPSHOT_FILES = 5_000
SNAPSHOT_BYTES = 200 << 20
_LEFT_OUT = (".*", "__pycache__", "node_modules", "venv")  # folders, as git's exclude file has them
_WHO = {f"GIT_{role}_{what}": value for role in ("AUTHOR", "COMMITTER")
        for what, value in (("NAME", "festina"), ("EMAIL", "festina@localhost"), ("DATE", "@0 +0000"))}  # fmt: skip


@contextmanager
def scratch_folder(what: str) -> Iterator[Path]:
    """A temporary folder that runs of any uid can pass through; gone afterwards, read-only exports in it too."""
    place = Path(tempfile.mkdtemp(prefix=prefix(what)))
    place.chmod(0o755)
    try:
        yield place
    finally:
        for folder, _, _ in os.walk(place):
            with suppress(FileNotFoundError):  # what a dying box had mounted may still be going
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


def snapshot(folder: Path, place: Path) -> Path:
    """A repository under ``place`` whose one commit holds what lies in ``folder``, which is no repository itself.

    Hidden files and folders of installed packages stay out, and whatever a .gitignore names. Raises ``UsageError``
    where that is too much to copy for a measurement.
    """
    _small_enough(folder)
    top = place / "folder"
    inner = top / ".git"
    inner.mkdir(parents=True)
    make_private_dir(inner, object_format="sha1")
    (inner / "info").mkdir()
    (inner / "info" / "exclude").write_text("".join(f"{name}\n" for name in _LEFT_OUT))
    (inner / "HEAD").write_text("ref: refs/heads/main\n")
    git(inner, "-c", "core.bare=false", "add", "-A", "--", ".", env={"GIT_WORK_TREE": str(folder.resolve())})
    tree = git(inner, "write-tree").out.decode().strip()
    commit = git(inner, "commit-tree", tree, stdin=b"as it lay there\n", env=_WHO).out.decode().strip()
    git(inner, "update-ref", "refs/heads/main", commit)
    git(inner, "-c", "core.bare=false", "read-tree", "-u", "--reset", "HEAD", env={"GIT_WORK_TREE": str(top)})
    return top


def _small_enough(folder: Path) -> None:
    files = size = 0
    for here, folders, names in os.walk(folder):
        folders[:] = [name for name in folders if not name.startswith(".") and name not in _LEFT_OUT]
        files += len(names)
        size += sum(os.lstat(os.path.join(here, name)).st_size for name in names)
        if files > SNAPSHOT_FILES or size > SNAPSHOT_BYTES:
            raise UsageError(
                "not-a-git-repository", f"{folder} is no git repository, and more than {SNAPSHOT_FILES:,} files or "
                f"{SNAPSHOT_BYTES >> 20} MiB lie in it, too many to copy",
                fix="run `git init`, then `git add` and `git commit` what the command needs", where=str(folder),
            )  # fmt: skip
