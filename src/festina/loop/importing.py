"""``festina init --from TOOL DIR``: another tool's task becomes a system in a folder of its own.

In order: read the task, copy its folder to a place where nothing is, add what the reader adds, commit, run the command
once in a box, write festina.toml, commit. The original is never written to. Where the run fails the system stays, and
the error says so: what is missing is usually a package or data, which only the user can add.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from festina.errors import UsageError
from festina.loop.plain import plain
from festina.propose.foreign import READERS, Task
from festina.system.manifest import FILE_NAME, parse_manifest

__all__ = ["Imported", "bring"]

LEFT_OUT = frozenset({
    ".git", ".venv", "venv", "node_modules", "__pycache__", ".mypy_cache", ".pytest_cache", ".tox", "openevolve_output",
})  # fmt: skip
ADDED = "Add festina.toml"
MAX_FILES, MAX_BYTES = 5_000, 300 << 20


@dataclass(frozen=True, slots=True)
class Imported:
    """What was made. ``told`` says everything that a person should know, line by line."""

    root: Path
    told: str


def bring(kind: str, folder: Path, target: Path, *, metric: str | None, allow: tuple[str, ...]) -> Imported:
    """Raises ``UsageError`` where the task cannot be read, the target is taken, or the first run fails."""
    if not folder.is_dir():
        raise UsageError("no-folder", "there is no such folder", fix="give the task's folder", where=str(folder))
    if target.exists() or target.is_symlink():
        raise _taken(target)
    if target.resolve().is_relative_to(folder.resolve()):
        raise UsageError("folder-inside", "the task's own folder is never written to", fix="--to a folder beside it")
    task = READERS[kind](folder, metric, allow)
    files, links = _files(folder)
    taken = [name for name in (*task.files, FILE_NAME) if (folder / name).exists()]
    if taken:
        raise UsageError("name-taken", f"{taken[0]} is there already", fix="it would be written anew: rename it")
    with _whole_or_nothing(target):
        _copied(folder, files, target, task)
        _git(target, "init", "-q", "-b", "main")
        _commit(target, f"{kind}'s task as it was")
        said = _manifest(target, task)
        _commit(target, ADDED)
    if links:
        said.append(f"  left out   {len(links)} symbolic links: {', '.join(links)[:200]}")
    said += [f"  not done   {line}" for line in task.lost]
    said += [f"  {'assurance' if n == 0 else '':9}  {line}" for n, line in enumerate(task.assurance)]
    return Imported(target, "\n".join(said))


@contextmanager
def _whole_or_nothing(target: Path) -> Iterator[None]:
    """No half of a system stays in the way of the next attempt; one that only does not run yet does stay."""
    done = False
    try:
        yield
        done = True
    except UsageError as error:
        done = error.name == "import-does-not-run"
        raise
    finally:
        if not done:
            shutil.rmtree(target, ignore_errors=True)


def _taken(target: Path) -> UsageError:
    """Why nothing is imported there: an earlier import, which only wants what it lacked, or something else."""
    if (target / FILE_NAME).is_file() and (target / ".git").is_dir() and not target.is_symlink():
        log = subprocess.run(["git", "log", "--format=%s"], cwd=target, capture_output=True, text=True, check=False)
        if ADDED in log.stdout.splitlines():
            return UsageError(
                "folder-exists", "an earlier import made this folder, and nothing is ever overwritten",
                fix="go on there: add what was missing, commit it, then, in that folder: festina run; or remove the "
                "folder and import again; or --to NEW_FOLDER",
                where=str(target),
            )  # fmt: skip
    return UsageError("folder-exists", "nothing is ever overwritten", fix="--to NEW_FOLDER", where=str(target))


def _copied(folder: Path, files: Sequence[str], target: Path, task: Task) -> None:
    for name in files:
        (target / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(folder / name, target / name)
        shutil.copymode(folder / name, target / name)
    for name, data in task.files.items():
        (target / name).parent.mkdir(parents=True, exist_ok=True)
        (target / name).write_bytes(data)


def _manifest(target: Path, task: Task) -> list[str]:
    """Write festina.toml, with the limits that one run suggests; returns what to tell."""
    lines = [f"run = {json.dumps(list(task.run))}", f"metric = {json.dumps(task.metric)}"]
    data = ("\n".join([*lines, f"allow = {json.dumps(list(task.allow))}", *task.settings]) + "\n").encode()
    path = target / FILE_NAME
    if not task.try_it:
        parse_manifest(data)
        path.write_bytes(data)
        return _basics(task, task.metric, "not tried: it wants a GPU")
    try:
        found = plain(target, task.run, metric=task.metric, allow=task.allow, anew=True)
    except UsageError as error:
        path.write_bytes(data)
        _commit(target, ADDED)
        raise UsageError(
            "import-does-not-run",
            f"the system is in {target}, but its command does not run in a box yet: {error.what}",
            fix=f"{error.fix}; add what is missing and commit it there, then, in that folder: festina run",
            where=error.where,
        ) from None  # fmt: skip
    path.write_bytes(found.data)
    return _basics(task, found.manifest.metric or task.metric, f"{found.run_s or 0.0:.1f} s a run")


def _basics(task: Task, metric: str, run: str) -> list[str]:
    return [
        f"  command     {' '.join(task.run)}   ({run})",
        f"  metric      {metric}",
        f"  may change  {', '.join(task.allow)}",
    ]


def _files(folder: Path) -> tuple[list[str], list[str]]:
    """What is copied, and the symbolic links that are not."""
    files, links, size = [], [], 0
    for here, folders, names in os.walk(folder):
        folders[:] = sorted(name for name in folders if name not in LEFT_OUT)
        for name in sorted([*names, *(each for each in folders if os.path.islink(os.path.join(here, each)))]):
            path = Path(here, name)
            below = path.relative_to(folder).as_posix()
            if path.is_symlink():
                links.append(below)
            elif path.is_file():
                files.append(below)
                size += path.stat().st_size
        if len(files) > MAX_FILES or size > MAX_BYTES:
            raise UsageError(
                "folder-too-large", f"more than {MAX_FILES:,} files or {MAX_BYTES >> 20} MiB", where=str(folder),
                fix="give the task's own folder, without results and downloads",
            )  # fmt: skip
    return files, links


def _commit(target: Path, message: str) -> None:
    _git(target, "add", "-A")
    _git(target, "commit", "-q", "--allow-empty", "-m", message)


def _git(target: Path, *words: str) -> None:
    """Git in a folder that was just made here; a name for the commits where the user has set none."""
    who = ["-c", "user.name=festina", "-c", "user.email=festina@localhost", "-c", "core.hooksPath=/dev/null",
           "-c", "commit.gpgsign=false"]  # fmt: skip
    named = subprocess.run(["git", "config", "user.email"], cwd=target, capture_output=True, check=False)
    done = subprocess.run(
        ["git", *(who[4:] if named.returncode == 0 else who), *words], cwd=target, capture_output=True, check=False
    )
    if done.returncode:
        raise UsageError(
            "git-failed", f"git {words[0]}: {done.stderr.decode('utf-8', 'replace').strip()[:500]}", where=str(target)
        )
