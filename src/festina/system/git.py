"""Running git so that nothing which a repository, a user or a candidate configured is ever executed.

Two kinds of git directory are used. The *private* one is made here, has a configuration of four lines, no
hooks, no attributes, no remotes, and reads the repository's objects as alternates: everything that touches
trees, blobs and patches runs in it, so that filters, textconv, external diffs, includes, hooks, fsmonitor
and lazy fetches have nowhere to be declared. The *repository's own* directory is used only to read and
move references and to read and write single settings; there, hooks are switched off by the command line.

Git's check of who owns a repository guards against running its configuration. It does not apply here
because discovery is our own and the directory is always named explicitly.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from festina.errors import Fault, UsageError

__all__ = ["GitResult", "git", "make_private_dir"]

TIMEOUT_S = 60.0  # any plumbing call here takes milliseconds; a minute means that something is broken

_OPTIONS = (
    "-c", "core.hooksPath=/dev/null",
    "-c", "core.fsmonitor=false",
    "-c", "core.attributesFile=/dev/null",
    "-c", "core.excludesFile=/dev/null",
    "-c", "core.untrackedCache=false",
    "-c", "core.pager=cat",
    "-c", "core.protectHFS=true",
    "-c", "core.protectNTFS=true",
    "-c", "core.logAllRefUpdates=always",
    "-c", "core.filesRefLockTimeout=1000",
    "-c", "protocol.allow=never",
    "-c", "gc.auto=0",
    "-c", "maintenance.auto=false",
)  # fmt: skip

_ENVIRONMENT = {
    "PATH": os.defpath,
    "HOME": "/nonexistent",
    "XDG_CONFIG_HOME": "/nonexistent",
    "LC_ALL": "C",
    "TZ": "UTC",
    "GIT_CONFIG_NOSYSTEM": "1",
    "GIT_CONFIG_GLOBAL": "/dev/null",
    "GIT_ATTR_NOSYSTEM": "1",
    "GIT_NO_REPLACE_OBJECTS": "1",
    "GIT_NO_LAZY_FETCH": "1",
    "GIT_OPTIONAL_LOCKS": "0",
    "GIT_TERMINAL_PROMPT": "0",
    "GIT_ALLOW_PROTOCOL": "none",
    "GIT_PAGER": "cat",
    "GIT_EDITOR": "false",
    "GIT_LITERAL_PATHSPECS": "1",
}


@dataclass(frozen=True, slots=True)
class GitResult:
    """Exit status and output of one git process. ``err`` is git's own text and may quote hostile names."""

    code: int
    out: bytes
    err: bytes


@cache
def _program() -> str:
    places = [place for place in os.environ.get("PATH", os.defpath).split(os.pathsep) if os.path.isabs(place)]
    found = shutil.which("git", path=os.pathsep.join(places))  # never one that lies in the current directory
    if found is None:
        raise UsageError("git-not-found", "there is no git on PATH", fix="install git 2.36 or newer")
    return found


def git(
    directory: Path, *args: str, stdin: bytes = b"", env: Mapping[str, str] | None = None,
    fsync: bool = False, timeout_s: float = TIMEOUT_S, ok: Sequence[int] = (0,),
) -> GitResult:  # fmt: skip
    """Run one git command on the git directory ``directory`` in the fixed environment.

    ``ok`` lists the exit codes that the caller understands; any other raises ``Fault`` ``git-failed``.
    ``fsync`` makes what is written survive a power loss (git's own default leaves loose objects out).  # D-1
    Raises ``subprocess.TimeoutExpired`` never: running out of time is ``Fault`` ``git-timeout``.
    """
    environment = {**_ENVIRONMENT, "GIT_DIR": str(directory), **(env or {})}
    command = [_program(), *_OPTIONS, "-c", f"core.fsync={'all' if fsync else 'none'}", *args]
    try:
        done = subprocess.run(
            command, env=environment, cwd=directory, input=stdin, capture_output=True, timeout=timeout_s, check=False,
            start_new_session=True,  # Ctrl-C is for the engine: a git that it kills would look like a patch that fails
        )  # fmt: skip
    except subprocess.TimeoutExpired as error:
        raise Fault("git-timeout", f"git {args[0]} did not end within {timeout_s:g} s") from error
    except OSError as error:
        raise Fault("git-not-started", f"git {args[0]} could not be started: {error.strerror}") from error
    if done.returncode not in ok:
        words = done.stderr.decode(errors="replace").strip()[:300]
        raise Fault("git-failed", f"git {args[0]} ended with {done.returncode}: {words!a}")
    return GitResult(done.returncode, done.stdout, done.stderr)


def make_private_dir(directory: Path, *, object_format: str) -> None:
    """Make the private git directory: the least that git takes for a repository."""
    for name in ("objects", "refs"):
        (directory / name).mkdir(mode=0o700)
    (directory / "HEAD").write_text("ref: refs/heads/none\n")
    lines = ["[core]", "\tbare = true", "\tfilemode = true", "\tignorecase = false"]
    if object_format == "sha256":
        lines += ["\trepositoryformatversion = 1", "[extensions]", "\tobjectformat = sha256"]
    else:
        lines.append("\trepositoryformatversion = 0")
    (directory / "config").write_text("\n".join(lines) + "\n")
